"""The records of an XLS: what a workbook says before its sheets, and the strings it shares."""

from __future__ import annotations

import codecs
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.loader import numbers
from importer.loader.compound import streams
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    if numbers.is_date(number, code):
        elapsed = numbers.is_elapsed(number, code)
        return numbers.moment(value, since_1904=book.since_1904, elapsed=elapsed)
    return numbers.padded(numbers.plain(value), numbers.zeros(code or ""))


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
