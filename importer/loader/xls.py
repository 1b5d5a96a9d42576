"""The OLE compound file that an XLS lies in: its streams, read without trusting its chains."""

from __future__ import annotations

import codecs
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.loader import sheet
from importer.loader.sheet import Merged, Parts, Refusal, as_frame, check_extent
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import polars as pl

    from importer.settings import Settings


MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENTRY: Final = 128
_END: Final = 0xFFFFFFFA  # from here on, sector numbers have other meanings
_STREAM, _ROOT = 2, 5
WANTED: Final = frozenset({"Workbook", "Book"})


def streams(data: bytes) -> dict[str, bytes]:
    """The streams of a compound file, by name; those that are large and not wanted are empty.

    Raises:
        Refusal: it is damaged.
    """
    try:
        return _streams(data)
    except (struct.error, IndexError, ValueError, OverflowError) as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error


def _streams(data: bytes) -> dict[str, bytes]:
    size = 1 << min(max(struct.unpack_from("<H", data, 30)[0], 7), 20)
    small = 1 << min(max(struct.unpack_from("<H", data, 32)[0], 4), 20)
    (directory,) = struct.unpack_from("<I", data, 48)
    cutoff, small_fat = struct.unpack_from("<II", data, 56)
    fat = _fat(data, size)
    body = data[size:]  # sector 0 begins after the header
    entries = _chain(body, directory, fat, size)
    table = _chain(body, small_fat, fat, size)
    next_small = struct.unpack(f"<{len(table) // 4}I", table[: len(table) // 4 * 4])
    root = b""
    found = {}
    for place in range(0, len(entries) - _ENTRY + 1, _ENTRY):
        entry = entries[place : place + _ENTRY]
        length = min(struct.unpack_from("<H", entry, 64)[0], 64)
        name = entry[: max(0, length - 2)].decode("utf-16-le", "replace")
        first, count = struct.unpack_from("<II", entry, 116)
        if entry[66] == _ROOT:
            root = _chain(body, first, fat, size)
        elif entry[66] == _STREAM and count < cutoff:
            found[name] = _chain(root, first, next_small, small, count)
        elif entry[66] == _STREAM and name in WANTED:
            found[name] = _chain(body, first, fat, size, count)
        elif entry[66] == _STREAM:
            found[name] = b""
    return found


def _fat(data: bytes, size: int) -> list[int]:
    """The next sector of every sector."""
    sectors = list(struct.unpack_from("<109I", data, 76))
    (more,) = struct.unpack_from("<I", data, 68)
    most = len(data) // size + 1
    for _ in range(most):
        if more >= _END:
            break
        block = struct.unpack_from(f"<{size // 4}I", data, (more + 1) * size)
        sectors.extend(block[:-1])
        more = block[-1]
    fat: list[int] = []
    for sector in sectors[:most]:
        if sector < _END:
            fat.extend(struct.unpack_from(f"<{size // 4}I", data, (sector + 1) * size))
    return fat


def _chain(
    body: bytes, first: int, following: Sequence[int], size: int, count: int | None = None
) -> bytes:
    """The bytes of the sectors that follow one another; a circle ends it."""
    parts = []
    sector = first
    for _ in range(len(following) if count is None else min(len(following), count // size + 1)):
        if sector >= _END:
            break
        parts.append(body[sector * size : (sector + 1) * size])
        sector = following[sector]
    return b"".join(parts)[:count]


BOF, EOF = 0x0809, 0x000A
_PASSWORD, _SHEET, _STRINGS, _XF, _FORMAT = 0x002F, 0x0085, 0x00FC, 0x00E0, 0x041E
_DATE_MODE, _CODE_PAGE = 0x0022, 0x0042
BIFF8: Final = 0x0600
_WORKSHEET: Final = 0
DAMAGED: Final = (struct.error, IndexError, ValueError, OverflowError)
"""What reading a damaged record raises."""


@dataclass(frozen=True, slots=True)
class SheetPlace:
    """A sheet of an XLS.

    Attributes:
        name: as the tab says.
        offset: where its records begin in the stream.
        visible: the spreadsheet program shows its tab.
    """

    name: str
    offset: int
    visible: bool


@dataclass(slots=True)
class Globals:
    """What an XLS says before its sheets.

    Attributes:
        wide: strings are Unicode (BIFF8), not in a code page (BIFF5).
        codec: of strings that are not Unicode.
        sheets: the worksheets, in the order of their tabs.
        strings: shared by all sheets.
        formats: number format -> code, for those that are not built in.
        styles: style -> number format.
        since_1904: days are counted from 1904.
    """

    wide: bool = True
    codec: str = "cp1252"
    sheets: list[SheetPlace] = field(default_factory=list)
    strings: list[str] = field(default_factory=list)
    formats: dict[int, str] = field(default_factory=dict)
    styles: list[int] = field(default_factory=list)
    since_1904: bool = False


def workbook_stream(data: bytes) -> bytes:
    """The records of an XLS.

    Raises:
        Refusal: it is damaged, locked, or a document of another kind.
    """
    found = streams(data)
    if "EncryptedPackage" in found:
        raise Refusal(Code.FILE_UNREADABLE, "it is protected by a password")
    for name in ("Workbook", "Book"):
        if found.get(name):
            return found[name]
    kind = "a Word document" if "WordDocument" in found else "no workbook"
    raise Refusal(Code.FILE_UNREADABLE, f"it is {kind}")


def records(stream: bytes, offset: int) -> Iterator[tuple[int, list[bytes]]]:
    """Each record from an offset on: its kind, its body and those that continue it."""
    while offset + 4 <= len(stream):
        kind, length = struct.unpack_from("<2H", stream, offset)
        bodies = [stream[offset + 4 : offset + 4 + length]]
        offset += 4 + length
        while stream[offset : offset + 2] == b"\x3c\x00" and offset + 4 <= len(stream):
            (length,) = struct.unpack_from("<H", stream, offset + 2)
            bodies.append(stream[offset + 4 : offset + 4 + length])
            offset += 4 + length
        yield kind, bodies


def read_globals(stream: bytes) -> Globals:
    """Reads what stands before the sheets.

    Raises:
        Refusal: the workbook is locked or damaged.
    """
    found = Globals()
    try:
        for kind, bodies in records(stream, 0):
            if kind == EOF:
                break
            _note(found, kind, bodies)
    except DAMAGED as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error
    return found


def _note(found: Globals, kind: int, bodies: list[bytes]) -> None:
    body = bodies[0]
    if kind == BOF:
        found.wide = struct.unpack_from("<H", body)[0] >= BIFF8
    elif kind == _PASSWORD:
        raise Refusal(Code.FILE_UNREADABLE, "it is protected by a password")
    elif kind == _CODE_PAGE:
        found.codec = _codec(struct.unpack_from("<H", body)[0])
    elif kind == _DATE_MODE:
        found.since_1904 = struct.unpack_from("<H", body)[0] == 1
    elif kind == _SHEET and body[5] == _WORKSHEET:
        (offset,) = struct.unpack_from("<I", body)
        name = Strings([body[6:]], found).text(short=True)
        found.sheets.append(SheetPlace(name, offset, body[4] & 3 == 0))
    elif kind == _STRINGS:
        (count,) = struct.unpack_from("<4xI", body)
        strings = Strings([body[8:], *bodies[1:]], found)
        while strings.left and len(found.strings) < count:
            found.strings.append(strings.text())
    elif kind == _FORMAT:
        (number,) = struct.unpack_from("<H", body)
        found.formats[number] = Strings([body[2:]], found).text(short=not found.wide)
    elif kind == _XF:
        found.styles.append(struct.unpack_from("<2xH", body)[0])


def _codec(page: int) -> str:
    name = {1200: "utf-16-le", 10000: "mac_roman", 32768: "mac_roman", 32769: "cp1252"}.get(page)
    try:
        return codecs.lookup(name or f"cp{page}").name
    except LookupError:
        return "cp1252"


def shown(book: Globals, style: int, value: float) -> str:
    """A number as its style shows it: a date, with leading zeros, or all digits."""
    number = book.styles[style] if style < len(book.styles) else 0
    code = book.formats.get(number)
    if sheet.is_date(number, code):
        elapsed = sheet.is_elapsed(number, code)
        return sheet.moment(value, since_1904=book.since_1904, elapsed=elapsed)
    return sheet.padded(sheet.plain(value), sheet.zeros(code or ""))


class Strings:
    """Strings one after another, over the breaks between a record and those that continue it."""

    def __init__(self, bodies: list[bytes], book: Globals) -> None:
        self._bodies = bodies
        self._book = book
        self._body = 0
        self._place = 0

    @property
    def left(self) -> bool:
        """Whether there is anything more to read."""
        last = len(self._bodies) - 1
        return self._body < last or self._place < len(self._bodies[last])

    def text(self, *, short: bool = False) -> str:
        """The next string; a short one has its length in one byte."""
        count = self._bytes(1)[0] if short else struct.unpack("<H", self._bytes(2))[0]
        if not self._book.wide:
            return self._bytes(count).decode(self._book.codec, "replace")
        flags = self._bytes(1)[0]
        runs = struct.unpack("<H", self._bytes(2))[0] if flags & 8 else 0
        extra = struct.unpack("<I", self._bytes(4))[0] if flags & 4 else 0
        parts: list[str] = []
        while count:
            width = 1 + (flags & 1)
            here = (len(self._bodies[self._body]) - self._place) // width
            if not here:
                flags = self._continued()[0]
                continue
            taken = self._bytes(min(here, count) * width)
            parts.append(taken.decode("utf-16-le" if width > 1 else "latin-1", "replace"))
            count -= min(here, count)
        self._bytes(runs * 4 + extra)
        return "".join(parts)

    def _continued(self) -> bytes:
        """The flags that a string goes on with after a break."""
        self._body += 1
        self._place = 1
        return self._bodies[self._body][:1]

    def _bytes(self, count: int) -> bytes:
        """So many bytes, over breaks."""
        found = self._bodies[self._body][self._place : self._place + count]
        self._place += len(found)
        while len(found) < count:
            self._body += 1
            more = self._bodies[self._body][: count - len(found)]
            self._place = len(more)
            found += more
        return found


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
    stream: bytes, book: Globals, sheet: SheetPlace, settings: Settings
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
        for kind, bodies in records(stream, sheet.offset):
            depth += (kind == BOF) - (kind == EOF)  # charts are sheets in the sheet
            if not depth:
                break
            if depth == 1:
                walk.note(kind, bodies)
    except DAMAGED as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error
    width = max((place + 1 for cells in walk.cells.values() for place in cells), default=0)
    check_extent(max(walk.cells, default=0), width, settings)
    rows = sorted(walk.cells)
    return as_frame(
        rows, [list(map(walk.cells[row].get, range(width))) for row in rows]
    ), walk.parts


class _Walk:
    """What is known of a sheet while its records pass by."""

    def __init__(self, book: Globals) -> None:
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
        text = Strings([bodies[0][6:], *bodies[1:]], self._book).text()
        self._set(row, column, text)

    def _number(self, bodies: list[bytes]) -> None:
        row, column, style, value = struct.unpack_from("<3Hd", bodies[0])
        self._set(row, column, shown(self._book, style, value))

    def _rk(self, bodies: list[bytes]) -> None:
        row, column, style, value = struct.unpack_from("<3HI", bodies[0])
        self._set(row, column, shown(self._book, style, _rk(value)))

    def _rks(self, bodies: list[bytes]) -> None:
        row, first = struct.unpack_from("<2H", bodies[0])
        for place in range((len(bodies[0]) - 6) // 6):
            style, value = struct.unpack_from("<HI", bodies[0], 4 + 6 * place)
            self._set(row, first + place, shown(self._book, style, _rk(value)))

    def _truth(self, bodies: list[bytes]) -> None:
        row, column, value, is_error = struct.unpack_from("<2H2xBB", bodies[0])
        self._special(row, column, _OF_ERROR if is_error else _OF_TRUTH, value)

    def _formula(self, bodies: list[bytes]) -> None:
        row, column, style, result = struct.unpack_from("<3H8s", bodies[0])
        self._awaiting = None
        if result[6:] != b"\xff\xff":
            (value,) = struct.unpack("<d", result)
            self._set(row, column, shown(self._book, style, value))
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
            self._set(*self._awaiting, Strings(bodies, self._book).text())
            self._awaiting = None


def _rk(value: int) -> float:
    """A number in the short form: 30 bits, perhaps whole, perhaps of hundredths."""
    if value & 2:
        number = float(value >> 2 if value < 1 << 31 else (value >> 2) - (1 << 30))
    else:
        (number,) = struct.unpack("<d", struct.pack("<Q", (value & 0xFFFFFFFC) << 32))
    return number / 100 if value & 1 else number
