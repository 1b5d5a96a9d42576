"""The values of a sheet by way of fastexcel: all as text, dates as ISO writes them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import fastexcel
import polars as pl

from importer import problems
from importer.loader import files, ods, xls, xlsx
from importer.loader.sheet import (
    Cells,
    Parts,
    Record,
    Refusal,
    check_extent,
    column_letters,
    ranges,
    without_blanks,
)
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from zipfile import ZipFile

    from importer.loader.sheet import Merged
    from importer.settings import Settings


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


@dataclass(frozen=True, slots=True)
class Gone:
    """What was left out.

    Attributes:
        detail: the rows and columns for people; empty where nothing was.
        headers: of the columns.
    """

    detail: str = ""
    headers: tuple[str, ...] = ()


def without(frame: pl.DataFrame, names: Sequence[str], parts: Parts) -> tuple[pl.DataFrame, Gone]:
    """The cells that are shown, and what is not.

    Args:
        frame: `#row` and `0`, `1`, ... below the header, without blank rows.
        names: the cells of the header row, those of hidden columns too.
        parts: of the sheet.
    """
    rows = sorted(parts.hidden_rows.intersection(frame[ROW])) if parts.hidden_rows else []
    columns = [
        place
        for place in sorted(parts.hidden_columns)
        if place < len(names)
        and (names[place].strip() or frame[str(place)].null_count() < frame.height)
    ]
    said = []
    if rows:
        said.append(f"{'row' if len(rows) == 1 else 'rows'} {ranges(rows)}")
        frame = frame.filter(~pl.col(ROW).is_in(rows))
    if columns:
        shown = ", ".join(_named(place, names[place]) for place in columns)
        said.append(f"{'column' if len(columns) == 1 else 'columns'} {shown}")
        empty = pl.lit(None, dtype=pl.String)
        frame = frame.with_columns(empty.alias(str(place)) for place in columns)
    headers = tuple(names[place] for place in columns if names[place].strip())
    return frame, Gone(" and ".join(said), headers)


def _named(place: int, name: str) -> str:
    return f"{column_letters(place)} (“{name}”)" if name.strip() else column_letters(place)


def spread(frame: pl.DataFrame, merged: Sequence[Merged]) -> tuple[pl.DataFrame, str]:
    """Merged cells read as their one value in each of their rows, and a sentence that says so.

    Only empty cells of the block's first column are filled, in rows that are not blank.
    """
    rows = frame[ROW].to_list()
    columns: dict[int, dict[int, str]] = {}
    filled = []
    for block in merged:
        first = bisect_left(rows, block.top)
        last = bisect_right(rows, block.bottom)
        name = str(block.left)
        if name not in frame.columns or first >= last - 1 or rows[first] != block.top:
            continue
        cells = frame[name][first:last]
        if cells[0] is None or cells.null_count() < cells.len() - 1:
            continue
        columns.setdefault(block.left, {}).update(dict.fromkeys(rows[first + 1 : last], cells[0]))
        letters = column_letters(block.left)
        filled.append(f"{letters}{block.top}:{letters}{block.bottom}")
    frame = _with(frame, columns)
    if not filled:
        return frame, ""
    shown = ", ".join(filled[:5]) + (" and more" if len(filled) > 5 else "")  # noqa: PLR2004
    return frame, f"Merged cells were read as their value in each of their rows: {shown}."


def shown(frame: pl.DataFrame, parts: Parts) -> pl.DataFrame:
    """The cells as the spreadsheet program shows them: errors by name, padded numbers whole."""
    columns: dict[int, dict[int, str]] = {}
    for (row, place), error in parts.errors.items():
        columns.setdefault(place, {})[row] = error
    for (row, place), digits in parts.padded.items():
        if str(place) in frame.columns and row <= frame.height:
            value = frame[str(place)][row - 1]
            if value is not None and value.isdigit() and len(value) < digits:
                columns.setdefault(place, {})[row] = value.zfill(digits)
    return _with(frame, columns)


def _with(frame: pl.DataFrame, columns: Mapping[int, Mapping[int, str]]) -> pl.DataFrame:
    """The same cells with some values instead of what stands there: column -> row -> value."""
    for place, values in columns.items():
        name = str(place)
        if name not in frame.columns:
            continue
        now = pl.DataFrame(
            {ROW: list(values), "now": list(values.values())},
            schema={ROW: pl.UInt32, "now": pl.String},
        )
        frame = (
            frame.join(now, on=ROW, how="left", maintain_order="left")
            .with_columns(pl.coalesce("now", name).alias(name))
            .drop("now")
        )
    return frame


HEADER_ROWS: Final = 20


@dataclass(frozen=True, slots=True, eq=False)
class Workbook:
    """A sheet of a workbook that was read.

    Attributes:
        sheet: its name.
        frame: `#row` and `0`, `1`, ... (text) for all columns, hidden parts too.
        parts: what it has beside values.
        notes: what else a report should say of the workbook.
    """

    sheet: str
    frame: pl.DataFrame = field(repr=False)
    parts: Parts = field(repr=False)
    notes: tuple[str, ...] = ()

    def head(self) -> list[Record]:
        """The rows in which the header may be, blank and hidden ones left out."""
        found = []
        for row, *cells in self.frame.filter(pl.col(ROW) <= HEADER_ROWS).iter_rows():
            shown = [
                "" if cell is None or place in self.parts.hidden_columns else cell
                for place, cell in enumerate(cells)
            ]
            if row not in self.parts.hidden_rows and any(map(str.strip, shown)):
                found.append(Record(row, shown))
        return found

    def below(self, header: Record) -> Cells:
        """Everything below the header that the spreadsheet program shows."""
        frame = without_blanks(self.frame.filter(pl.col(ROW) > header.row))
        (cells,) = self.frame.filter(pl.col(ROW) == header.row).rows()
        names = [cell or "" for cell in cells[1:]]
        shown, gone = without(frame, names, self.parts)
        found = problems.empty()
        if gone.detail:
            found = problems.one(Code.ROWS_HIDDEN, detail=gone.detail)
        shown, filled = spread(shown, self.parts.merged)
        notes = (*self.notes, filled) if filled else self.notes
        return Cells(shown, found, ignored=gone.headers, notes=notes)


def open_workbook(data: bytes, settings: Settings) -> Workbook:
    """Reads the first visible sheet, or the one that the settings name.

    Args:
        data: XLSX, XLSM, XLS or ODS, unpacked to no more than the limit.
        settings: the sheet and the limits.

    Raises:
        Refusal: it is damaged or locked, has no such sheet, or is over a limit.
    """
    if data.startswith(xls.MAGIC):
        return _xls(data, settings)
    book = files.open_zip(data)
    return _ods(book, settings) if files.is_ods(book) else _xlsx(book, data, settings)


def _xlsx(book: ZipFile, data: bytes, settings: Settings) -> Workbook:
    sheets = xlsx.sheet_names(book)
    place, notes = _choose([(sheet.name, sheet.visible) for sheet in sheets], settings.sheet)
    sheet = sheets[place]
    rows, columns, special = xlsx.extent(book, sheet.path)
    check_extent(rows, columns, settings)
    padded = xlsx.padded_styles(book)
    parts = xlsx.parts(book, sheet.path, padded) if special or padded else Parts()
    return Workbook(sheet.name, shown(read_values(data, sheet.name), parts), parts, notes)


def _xls(data: bytes, settings: Settings) -> Workbook:
    stream = xls.workbook_stream(data)
    book = xls.read_globals(stream)
    place, notes = _choose([(sheet.name, sheet.visible) for sheet in book.sheets], settings.sheet)
    frame, parts = xls.read(stream, book, book.sheets[place], settings)
    return Workbook(book.sheets[place].name, frame, parts, notes)


def _ods(book: ZipFile, settings: Settings) -> Workbook:
    sheets = ods.sheet_names(book)
    place, notes = _choose(sheets, settings.sheet)
    frame, parts = ods.read(book, sheets[place][0], settings)
    return Workbook(sheets[place][0], frame, parts, notes)


def _choose(sheets: Sequence[tuple[str, bool]], wanted: str | None) -> tuple[int, tuple[str, ...]]:
    """The position of the sheet to read, and what a report should say about the others."""
    names = [name for name, _ in sheets]
    visible = [place for place, (_, shown) in enumerate(sheets) if shown]
    if wanted is not None:
        if wanted in names:
            return names.index(wanted), ()
        there = ", ".join(f"“{name}”" for name in names)
        raise Refusal(Code.FILE_UNREADABLE, f"it has no sheet “{wanted}”; it has {there}")
    if not visible:
        raise Refusal(Code.FILE_UNREADABLE, "none of its sheets is visible")
    others = ", ".join(f"“{names[place]}”" for place in visible[1:])
    said = f"Sheet “{names[visible[0]]}” was read; not read: {others} (--sheet)."
    return visible[0], (said,) if others else ()
