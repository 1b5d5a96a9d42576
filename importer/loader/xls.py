"""XLS workbooks, read from their records: values as text, hidden parts, errors, merged cells."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from importer.loader import biff
from importer.loader.cells import as_frame
from importer.loader.parts import Merged, Parts, check_extent
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable

    import polars as pl

    from importer.settings import Settings

_ROW, _COLUMNS, _MERGED = 0x0208, 0x007D, 0x00E5
_SHARED, _LABEL, _RICH, _NUMBER, _RK, _RKS = 0x00FD, 0x0204, 0x00D6, 0x0203, 0x027E, 0x00BD
_TRUTH, _FORMULA, _STRING = 0x0205, 0x0006, 0x0207
_ZERO_HEIGHT: Final = 0x20
_MOST_COLUMNS: Final = 256
_OF_STRING, _OF_TRUTH, _OF_ERROR, _OF_NOTHING = 0, 1, 2, 3
_ERRORS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}


def read(
    stream: bytes, book: biff.Globals, sheet: biff.SheetPlace, settings: Settings
) -> tuple[pl.DataFrame, Parts]:
    """All cells of a sheet that are not blank, and what it has beside values.

    Returns:
        `#row` and `0`, `1`, ... as text; and the parts.

    Raises:
        Refusal: the sheet is damaged, or over a limit.
    """
    walk = _Walk(book)
    depth = 0
    try:
        for kind, bodies in biff.records(stream, sheet.offset):
            depth += (kind == biff.BOF) - (kind == biff.EOF)  # charts are sheets in the sheet
            if not depth:
                break
            if depth == 1:
                walk.note(kind, bodies)
    except biff.DAMAGED as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error
    width = max((place + 1 for cells in walk.cells.values() for place in cells), default=0)
    check_extent(max(walk.cells, default=0), width, settings)
    rows = sorted(walk.cells)
    return as_frame(
        rows, [list(map(walk.cells[row].get, range(width))) for row in rows]
    ), walk.parts


class _Walk:
    """What is known of a sheet while its records pass by."""

    def __init__(self, book: biff.Globals) -> None:
        self.cells: dict[int, dict[int, str]] = {}
        self.parts = Parts()
        self._book = book
        self._awaiting: tuple[int, int] | None = None
        self._notes: dict[int, Callable[[list[bytes]], None]] = {
            _ROW: self._row,
            _COLUMNS: self._columns,
            _MERGED: self._merged,
            _SHARED: self._shared,
            _LABEL: self._label,
            _RICH: self._label,
            _NUMBER: self._number,
            _RK: self._rk,
            _RKS: self._rks,
            _TRUTH: self._truth,
            _FORMULA: self._formula,
            _STRING: self._string,
        }

    def note(self, kind: int, bodies: list[bytes]) -> None:
        """A record passes by."""
        if kind in self._notes:
            self._notes[kind](bodies)

    def _set(self, row: int, column: int, value: str) -> None:
        if value:
            self.cells.setdefault(row + 1, {})[column] = value

    def _row(self, bodies: list[bytes]) -> None:
        row, options = struct.unpack_from("<H10xB", bodies[0])
        if options & _ZERO_HEIGHT:
            self.parts.hidden_rows.add(row + 1)

    def _columns(self, bodies: list[bytes]) -> None:
        first, last, _, _, options = struct.unpack_from("<5H", bodies[0])
        if options & 1:
            self.parts.hidden_columns.update(range(first, min(last + 1, _MOST_COLUMNS)))

    def _merged(self, bodies: list[bytes]) -> None:
        (count,) = struct.unpack_from("<H", bodies[0])
        for place in range(count):
            top, bottom, left, right = struct.unpack_from("<4H", bodies[0], 2 + 8 * place)
            self.parts.merged.append(Merged(top + 1, left, bottom + 1, right))

    def _shared(self, bodies: list[bytes]) -> None:
        row, column, _, string = struct.unpack_from("<3HI", bodies[0])
        self._set(row, column, self._book.strings[string])

    def _label(self, bodies: list[bytes]) -> None:
        row, column = struct.unpack_from("<2H", bodies[0])
        text = biff.Strings([bodies[0][6:], *bodies[1:]], self._book).text()
        self._set(row, column, text)

    def _number(self, bodies: list[bytes]) -> None:
        row, column, style, value = struct.unpack_from("<3Hd", bodies[0])
        self._set(row, column, biff.shown(self._book, style, value))

    def _rk(self, bodies: list[bytes]) -> None:
        row, column, style, value = struct.unpack_from("<3HI", bodies[0])
        self._set(row, column, biff.shown(self._book, style, _rk(value)))

    def _rks(self, bodies: list[bytes]) -> None:
        row, first = struct.unpack_from("<2H", bodies[0])
        for place in range((len(bodies[0]) - 6) // 6):
            style, value = struct.unpack_from("<HI", bodies[0], 4 + 6 * place)
            self._set(row, first + place, biff.shown(self._book, style, _rk(value)))

    def _truth(self, bodies: list[bytes]) -> None:
        row, column, value, is_error = struct.unpack_from("<2H2xBB", bodies[0])
        self._special(row, column, _OF_ERROR if is_error else _OF_TRUTH, value)

    def _formula(self, bodies: list[bytes]) -> None:
        row, column, style, result = struct.unpack_from("<3H8s", bodies[0])
        self._awaiting = None
        if result[6:] != b"\xff\xff":
            (value,) = struct.unpack("<d", result)
            self._set(row, column, biff.shown(self._book, style, value))
        elif result[0] == _OF_STRING:
            self._awaiting = (row, column)
        else:
            self._special(row, column, result[0], result[2])

    def _special(self, row: int, column: int, kind: int, value: int) -> None:
        if kind == _OF_ERROR:
            self._set(row, column, _ERRORS.get(value, "#ERROR!"))
        elif kind == _OF_TRUTH:
            self._set(row, column, "true" if value else "false")

    def _string(self, bodies: list[bytes]) -> None:
        if self._awaiting is not None:
            self._set(*self._awaiting, biff.Strings(bodies, self._book).text())
            self._awaiting = None


def _rk(value: int) -> float:
    """A number in the short form: 30 bits, perhaps whole, perhaps of hundredths."""
    if value & 2:
        number = float(value >> 2 if value < 1 << 31 else (value >> 2) - (1 << 30))
    else:
        (number,) = struct.unpack("<d", struct.pack("<Q", (value & 0xFFFFFFFC) << 32))
    return number / 100 if value & 1 else number
