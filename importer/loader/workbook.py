"""Workbooks: the cells of one sheet as text, on the rows that the spreadsheet program shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import fastexcel
import polars as pl

from importer import problems
from importer.loader.cells import Cells, Record
from importer.loader.refusal import Refusal
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.settings import Settings

HEADER_ROWS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Workbook:
    """A sheet of a workbook that was read."""

    sheet: str
    frame: pl.DataFrame = field(repr=False)

    def head(self) -> list[Record]:
        """The rows in which the header may be, blank ones left out."""
        rows = self.frame.head(HEADER_ROWS).iter_rows()
        records = (Record(row, [cell or "" for cell in cells]) for row, *cells in rows)
        return [record for record in records if any(map(str.strip, record.cells))]

    def below(self, header: Record) -> Cells:
        """Everything below the header."""
        return Cells(self.frame.filter(pl.col(ROW) > header.row), problems.empty())


def open_workbook(data: bytes, settings: Settings) -> Workbook:
    """Reads the first visible sheet, or the one that the settings name.

    Raises:
        Refusal: it is no workbook, or has no such sheet.
    """
    try:
        book = fastexcel.read_excel(data)
        name = _sheet(book, settings.sheet)
        sheet = book.load_sheet(name, header_row=None, skip_rows=0, dtypes="string")
        frame = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is no workbook that can be opened") from error
    first = min((c.absolute_index for c in sheet.available_columns()), default=0)
    frame.columns = [str(first + n) for n in range(frame.width)]
    frame = frame.select(
        *(pl.lit(None, dtype=pl.String).alias(str(n)) for n in range(first)), pl.all()
    ).with_row_index(ROW, offset=1)
    return Workbook(name, frame)


def _sheet(book: fastexcel.ExcelReader, wanted: str | None) -> str:
    names = book.sheet_names
    if wanted is not None:
        if wanted in names:
            return wanted
        raise Refusal(
            Code.FILE_UNREADABLE, f"it has no sheet “{wanted}”; it has {', '.join(names)}"
        )
    for name in names:
        if book.load_sheet(name, n_rows=0, header_row=None).visible == "visible":
            return name
    raise Refusal(Code.FILE_UNREADABLE, "none of its sheets is visible")
