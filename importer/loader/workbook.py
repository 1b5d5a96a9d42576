"""Workbooks: the cells of one sheet as text, on the rows that the spreadsheet program shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from importer import problems
from importer.loader import archive, biff, compound, hidden, ods, xls, xlsx
from importer.loader.cells import Cells, Record, without_blanks
from importer.loader.parts import Parts, check_extent
from importer.loader.refusal import Refusal
from importer.loader.values import read_values
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Sequence
    from zipfile import ZipFile

    from importer.settings import Settings

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
        shown, gone = hidden.without(frame, names, self.parts)
        found = problems.empty()
        if gone.detail:
            found = problems.one(Code.ROWS_HIDDEN, detail=gone.detail)
        shown, filled = hidden.spread(shown, self.parts.merged)
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
    if data.startswith(compound.MAGIC):
        return _xls(data, settings)
    book = archive.open_zip(data)
    return _ods(book, settings) if archive.is_ods(book) else _xlsx(book, data, settings)


def _xlsx(book: ZipFile, data: bytes, settings: Settings) -> Workbook:
    sheets = xlsx.sheet_names(book)
    place, notes = _choose([(sheet.name, sheet.visible) for sheet in sheets], settings.sheet)
    sheet = sheets[place]
    rows, columns, special = xlsx.extent(book, sheet.path)
    check_extent(rows, columns, settings)
    padded = xlsx.padded_styles(book)
    parts = xlsx.parts(book, sheet.path, padded) if special or padded else Parts()
    return Workbook(sheet.name, hidden.shown(read_values(data, sheet.name), parts), parts, notes)


def _xls(data: bytes, settings: Settings) -> Workbook:
    stream = biff.workbook_stream(data)
    book = biff.read_globals(stream)
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
