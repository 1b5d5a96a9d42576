"""Read binary workbooks of Excel 2007 and later (XLSB): BIFF12, described in [MS-XLSB].

Calamine reads the values of an XLSB, but neither its formats nor what is hidden or merged.
"""

from __future__ import annotations

import re
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.loader.files import member_chunks
from importer.loader.office_package import (
    PartNames,
    SheetName,
    link_targets,
    main_path,
    relations_of,
)
from importer.loader.safe_xml import LONGEST_TEXT, small
from importer.loader.sheet import (
    Merged,
    Parts,
    Refusal,
    as_frame,
    check_extent,
    shown_number,
)
from schemas.codes import Code

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterable, Iterator, Mapping

    import polars as pl

    from importer.settings import Settings


class _Kind:
    """Numbers of the records that are read."""

    ROW: Final = 0
    BLANK: Final = 1
    RK: Final = 2  # a number in four bytes
    ERROR: Final = 3
    BOOLEAN: Final = 4
    REAL: Final = 5
    TEXT: Final = 6
    SHARED_TEXT: Final = 7
    FORMULA_TEXT: Final = 8
    FORMULA_REAL: Final = 9
    FORMULA_BOOLEAN: Final = 10
    FORMULA_ERROR: Final = 11
    SHARED: Final = 19  # one of the shared texts
    FORMAT: Final = 44
    STYLE: Final = 47
    COLUMNS: Final = 60
    RICH_TEXT: Final = 62
    ROWS_BEGIN: Final = 145
    ROWS_END: Final = 146
    WORKBOOK: Final = 153
    SHEET: Final = 156
    MERGED: Final = 176
    LINK: Final = 494
    STYLES_BEGIN: Final = 617
    STYLES_END: Final = 618


_STRINGS: Final = "xl/sharedStrings.bin"
_STYLES: Final = "xl/styles.bin"
_ERRORS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
    0x2B: "#GETTING_DATA",
}
_SHORT: Final = {12 + n: _Kind.BLANK + n for n in range(7)} | {61: _Kind.RICH_TEXT}
"""Kinds of cells without a column, which follow the cell before -> the same kinds with one."""

_CELLS: Final = frozenset({*range(_Kind.BLANK, _Kind.FORMULA_ERROR + 1), _Kind.RICH_TEXT, *_SHORT})
_SHARED_CELLS: Final = re.compile(rb"(?:\x07\x0c.{12})+", re.DOTALL)
"""Records of cells with a shared text, one after the other."""

_FOUR_BYTES: Final = struct.Struct("<I")
_SHARED_CELL: Final = struct.Struct("<2xI4xI")
_NO_TEXT: Final = 0xFFFFFFFF  # the length of a text that is missing
_LAST_BYTE: Final = 0x80  # a byte of a record's head below this is the last one
_CELL_START: Final = 8  # the value comes after the column and the style
_SHORT_START: Final = 4
_SHARED_START: Final = 5  # the letters come after the flags and their number
_STYLE: Final = 0xFFFFFF  # the bits of a style's number; others follow
_MOST_COLUMNS: Final = 1 << 14


@dataclass(frozen=True, slots=True)
class BinaryBook:
    """An open workbook.

    Attributes:
        archive: the parts.
        sheets: the worksheets, in the order of their tabs.
        texts: the shared texts.
        formats: number and code of the format of each style.
        since_1904: whether days are counted from 1904.
    """

    archive: zipfile.ZipFile
    sheets: tuple[SheetName, ...]
    texts: tuple[str, ...]
    formats: tuple[tuple[int, str | None], ...]
    since_1904: bool


def open_book(names: PartNames) -> BinaryBook:
    """Open a workbook; `read` reads its sheets.

    Raises:
        Refusal: it is damaged.
    """
    book = names.book
    main = main_path(names)
    relations = relations_of(names, main)
    parts = dict(relations.values())
    sheets = []
    since_1904 = False
    with _damage_refused():
        for kind, record in _records(small(member_chunks(book, names.find(main) or main))):
            if kind == _Kind.WORKBOOK:
                since_1904 = bool(record[0] & 1)
            elif kind == _Kind.SHEET:
                key, end = _text(record, 8)
                name, _ = _text(record, end)
                type_, target = relations.get(key, ("", ""))
                if type_ == "worksheet":
                    visible = _number(record, 0) == 0
                    sheets.append(SheetName(name, names.find(target) or target, visible))
        strings = names.find(parts.get("sharedStrings", _STRINGS))
        texts = _shared_texts(member_chunks(book, strings)) if strings else ()
        styles = names.find(parts.get("styles", _STYLES))
        formats = _formats(small(member_chunks(book, styles))) if styles else ()
    return BinaryBook(book, tuple(sheets), texts, formats, since_1904)


def read(book: BinaryBook, place: int, settings: Settings) -> tuple[pl.DataFrame, Parts]:
    """Read all cells of a sheet, and what it has besides values.

    Returns:
        `#row` and `0`, `1`, ... as text; and the parts.

    Raises:
        Refusal: the sheet is damaged, or over a limit.
    """
    path = book.sheets[place].path
    walk = _Walk(book, link_targets(book.archive, path), settings)
    data = b"".join(member_chunks(book.archive, path))
    place = 0
    with _damage_refused():
        while place < len(data):
            usual = _SHARED_CELLS.match(data, place)
            if usual is not None and walk.take_shared(usual[0]):
                place = usual.end()
            else:
                kind, start, place = _head(data, place)
                walk.take(kind, data[start:place])
        return walk.frame(), walk.parts


@contextmanager
def _damage_refused() -> Iterator[None]:
    """Refuse a workbook whose records are shorter than they should be, or point to nothing."""
    try:
        yield
    except (IndexError, struct.error) as error:
        raise _damaged() from error


def _damaged() -> Refusal:
    return Refusal(Code.FILE_UNREADABLE, "a part of the workbook is damaged")


def _records(chunks: Iterable[bytes]) -> Iterator[tuple[int, bytes]]:
    """Cut a part into records: the number of the kind, and the content."""
    data = b"".join(chunks)
    place = 0
    while place < len(data):
        kind, start, place = _head(data, place)
        yield kind, data[start:place]


def _head(data: bytes, place: int) -> tuple[int, int, int]:
    """Read the head of a record: the number of its kind, and where the content starts and ends."""
    kind, size, start = data[place], data[place + 1], place + 2
    if kind >= _LAST_BYTE or size >= _LAST_BYTE:  # rare
        kind, place = _compact(data, place, most=2)
        size, start = _compact(data, place, most=4)
    if start + size > len(data):
        raise _damaged()
    return kind, start, start + size


def _compact(data: bytes, place: int, *, most: int) -> tuple[int, int]:
    """Read a number of a few bytes with seven bits each, and return where it ends, too."""
    value = 0
    for count in range(most):
        byte = data[place + count]
        value |= (byte & ~_LAST_BYTE) << 7 * count
        if byte < _LAST_BYTE:
            return value, place + count + 1
    raise _damaged()


def _number(record: bytes, place: int) -> int:
    """Read an unsigned number of four bytes."""
    (value,) = _FOUR_BYTES.unpack_from(record, place)
    return int(value)


def _text(record: bytes, place: int) -> tuple[str, int]:
    """Read a text, and return where it ends, too; a missing text is empty."""
    length = _number(record, place)
    start = place + 4
    if length == _NO_TEXT:
        return "", start
    end = start + 2 * length
    if end > len(record):
        raise _damaged()
    if end - start > LONGEST_TEXT:
        detail = f"a cell has more than {LONGEST_TEXT:,} bytes"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
    return record[start:end].decode("utf-16-le", "replace"), end


def _shared_texts(chunks: Iterable[bytes]) -> tuple[str, ...]:
    data = b"".join(chunks)
    texts = []
    place = 0
    while place < len(data):
        kind, start, place = _head(data, place)
        if kind == _Kind.SHARED:
            end = start + _SHARED_START + 2 * _number(data, start + 1)
            if end == place and end - start < LONGEST_TEXT:  # there are no fonts in it
                texts.append(data[start + _SHARED_START : end].decode("utf-16-le", "replace"))
            else:
                texts.append(_text(data[start:place], 1)[0])
    return tuple(texts)


def _formats(chunks: Iterable[bytes]) -> tuple[tuple[int, str | None], ...]:
    """Return number and code of the format of each cell style."""
    codes: dict[int, str] = {}
    styles: list[int] = []
    inside = False  # of the styles of cells; named styles have records of the same kind
    for kind, record in _records(chunks):
        if kind == _Kind.FORMAT:
            (number,) = struct.unpack_from("<H", record)
            codes[number], _ = _text(record, 2)
        elif kind in {_Kind.STYLES_BEGIN, _Kind.STYLES_END}:
            inside = kind == _Kind.STYLES_BEGIN
        elif kind == _Kind.STYLE and inside:
            _, number = struct.unpack_from("<HH", record)
            styles.append(number)
    return tuple((number, codes.get(number)) for number in styles)


class _Walk:
    """Collects the cells and the parts of a sheet, record by record."""

    def __init__(self, book: BinaryBook, targets: Mapping[str, str], settings: Settings) -> None:
        self.parts = Parts()
        self._book = book
        self._targets = targets
        self._settings = settings
        self._row = self._column = -1
        self._width = self._chars = 0
        self._rows: list[int] = []
        self._cells: list[list[str | None]] = []
        self._open = False  # the rows have begun and not ended

    def take(self, kind: int, record: bytes) -> None:
        """Take the next record."""
        if kind in _CELLS:
            self._take_cell(kind, record)
        elif kind == _Kind.ROW:
            self._take_row(record)
        elif kind in {_Kind.ROWS_BEGIN, _Kind.ROWS_END}:
            self._open = kind == _Kind.ROWS_BEGIN
        elif kind == _Kind.COLUMNS:
            first, last, width = struct.unpack_from("<III", record)
            if record[16] & 1 or not width:
                self.parts.hidden_columns.update(range(first, min(last + 1, _MOST_COLUMNS)))
        elif kind == _Kind.MERGED:
            top, bottom, left, right = struct.unpack_from("<4I", record)
            self.parts.merged.append(Merged(top + 1, left, bottom + 1, right))
        elif kind == _Kind.LINK:
            target = self._targets.get(_text(record, 16)[0])
            if target is not None:
                self.parts.links[_number(record, 0) + 1, _number(record, 8)] = target

    def frame(self) -> pl.DataFrame:
        """Return the rows that have a cell with a value.

        Raises:
            Refusal: the rows have no end.
        """
        if self._open:
            raise _damaged()
        for texts in self._cells:
            texts.extend([None] * (self._width - len(texts)))
        return as_frame(self._rows, self._cells)

    def _take_row(self, record: bytes) -> None:
        row, _, height, _, flags = struct.unpack_from("<IIHBB", record)
        if row <= self._row:
            raise _damaged()
        self._row, self._column = row, -1
        if flags & 0x10 or not height:
            self.parts.hidden_rows.add(row + 1)

    def take_shared(self, cells: bytes) -> bool:
        """Take the next cells of the current row, which have shared texts.

        Returns:
            False if they must be taken one by one: a column is left out, a text is empty, or they
            are over a limit, or damaged.
        """
        columns, places = zip(*_SHARED_CELL.iter_unpack(cells), strict=True)
        first, end = columns[0], columns[0] + len(columns)
        if columns != tuple(range(first, end)) or not self._column < first or self._row < 0:
            return False
        texts = [self._book.texts[place] for place in places]
        chars = self._chars + sum(map(len, texts))
        if "" in texts or chars > self._settings.max_expanded_bytes:
            return False
        width = max(self._width, end)
        try:
            check_extent(self._row + 1, width, self._settings)
        except Refusal:
            return False  # which of them is over the limit?
        self._chars, self._width, self._column = chars, width, end - 1
        self._add(first, texts)
        return True

    def _add(self, column: int, texts: list[str]) -> None:
        """Add texts to the current row, from a column on."""
        if not self._rows or self._rows[-1] != self._row + 1:
            self._rows.append(self._row + 1)
            self._cells.append([])
        row = self._cells[-1]
        row.extend([None] * (column - len(row)))
        row.extend(texts)

    def _take_cell(self, kind: int, record: bytes) -> None:
        """Take a cell of the current row."""
        if kind in _SHORT:
            kind, column, start = _SHORT[kind], self._column + 1, _SHORT_START
        else:
            column, start = _number(record, 0), _CELL_START
        if column <= self._column or self._row < 0:
            raise _damaged()
        self._column = column
        text = self._shown(kind, record, start)
        if not text:
            return
        self._chars += len(text)
        if self._chars > self._settings.max_expanded_bytes:
            detail = f"more than {self._settings.max_expanded_bytes:,} bytes (max_expanded_bytes)"
            raise Refusal(Code.FILE_TOO_LARGE, detail)
        self._width = max(self._width, column + 1)
        check_extent(self._row + 1, self._width, self._settings)
        self._add(column, [text])

    def _shown(self, kind: int, record: bytes, start: int) -> str | None:
        """Return a cell as the spreadsheet program shows it."""
        text = None
        match kind:
            case _Kind.SHARED_TEXT:
                text = self._book.texts[_number(record, start)]
            case _Kind.TEXT | _Kind.FORMULA_TEXT:
                text, _ = _text(record, start)
            case _Kind.RICH_TEXT:
                text, _ = _text(record, start + 1)
            case _Kind.RK:
                text = self._formatted(_unpacked(_number(record, start)), record, start)
            case _Kind.REAL | _Kind.FORMULA_REAL:
                (value,) = struct.unpack_from("<d", record, start)
                text = self._formatted(value, record, start)
            case _Kind.BOOLEAN | _Kind.FORMULA_BOOLEAN:
                text = "true" if record[start] else "false"
            case _Kind.ERROR | _Kind.FORMULA_ERROR:
                text = _ERRORS.get(record[start], "#ERROR!")
        return text

    def _formatted(self, value: float, record: bytes, start: int) -> str:
        """Return a number as its style shows it."""
        style = _number(record, start - 4) & _STYLE
        number, code = self._book.formats[style] if self._book.formats else (0, None)
        return shown_number(value, number, code, since_1904=self._book.since_1904)


def _unpacked(packed: int) -> float:
    """Return the number in four bytes: an integer or half a double, perhaps times 100."""
    if packed & 2:
        whole = packed >> 2
        value = float(whole - (1 << 30) if whole >> 29 else whole)
    else:
        (value,) = struct.unpack("<d", struct.pack("<Q", (packed & ~3) << 32))
    return value / 100 if packed & 1 else value
