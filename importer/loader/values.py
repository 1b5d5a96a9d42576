"""The values of a sheet by way of fastexcel: all as text, dates as ISO writes them."""

from __future__ import annotations

from typing import Final

import fastexcel
import polars as pl

from importer.loader.refusal import Refusal
from schemas.codes import Code
from schemas.columns import ROW

_DAMAGED: Final = "it is damaged, or no workbook"
_MOMENT: Final = r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.0+|(\.\d+?)0*)?$"
_TIME_ONLY: Final = r"^1899-12-3[01]T"
_MIDNIGHT: Final = "T00:00:00"


def read_values(data: bytes, sheet: str) -> pl.DataFrame:
    """All cells of a sheet, from its first row and column on.

    Args:
        data: the workbook, XLSX or XLS, within the limits.
        sheet: name of the sheet.

    Returns:
        `#row` from 1, and `0`, `1`, ... as text; an error in a cell is null.

    Raises:
        Refusal: the workbook is damaged.
    """
    try:
        book = fastexcel.read_excel(data)
        values = book.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        first = min((column.absolute_index for column in values.available_columns()), default=0)
        frame = values.to_polars()
    except fastexcel.FastExcelError as error:
        raise Refusal(Code.FILE_UNREADABLE, _DAMAGED) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # a fault of the reader, not of Python
            raise
        raise Refusal(Code.FILE_UNREADABLE, _DAMAGED) from error
    frame.columns = [str(first + place) for place in range(frame.width)]
    before = (pl.lit(None, dtype=pl.String).alias(str(place)) for place in range(first))
    return frame.select(*before, pl.all().map_batches(_iso)).with_row_index(ROW, offset=1)


def _iso(cells: pl.Series) -> pl.Series:
    """Dates without midnight, times without the day before time began, both joined by `T`."""
    if not cells.str.contains(_MOMENT).any():
        return cells
    moments = cells.str.replace(_MOMENT, "${1}T${2}${3}")
    changed = moments != cells
    short = moments.str.replace(_TIME_ONLY, "").str.strip_suffix(_MIDNIGHT)
    return short.zip_with(changed.fill_null(value=False), cells)
