"""What is in an XLS beside values, read from its records: sheets, hidden parts, errors, merges."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.loader.compound import streams
from importer.loader.parts import Merged, Parts
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOF, _EOF, _PASSWORD, _SHEET = 0x0809, 0x000A, 0x002F, 0x0085
_ROW, _COLUMNS, _ERROR, _FORMULA, _MERGED = 0x0208, 0x007D, 0x0205, 0x0006, 0x00E5
_DIMENSIONS: Final = 0x0200
_BIFF8: Final = 0x0600
_ZERO_HEIGHT: Final = 0x20
_MOST_COLUMNS: Final = 256
_ERRORS: Final = {
    0x00: "#NULL!",
    0x07: "#DIV/0!",
    0x0F: "#VALUE!",
    0x17: "#REF!",
    0x1D: "#NAME?",
    0x24: "#NUM!",
    0x2A: "#N/A",
}


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


def sheet_places(stream: bytes) -> list[SheetPlace]:
    """The worksheets, in the order of their tabs.

    Raises:
        Refusal: the workbook is locked or damaged.
    """
    found = []
    version = _BIFF8
    try:
        for kind, body in _records(stream, 0):
            if kind == _BOF:
                (version,) = struct.unpack_from("<H", body)
            elif kind == _PASSWORD:
                raise Refusal(Code.FILE_UNREADABLE, "it is protected by a password")
            elif kind == _SHEET and body[5] == 0:
                (offset,) = struct.unpack_from("<I", body)
                found.append(SheetPlace(_name(body, version), offset, body[4] & 3 == 0))
            elif kind == _EOF:
                break
    except (struct.error, IndexError) as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error
    return found


def _name(body: bytes, version: int) -> str:
    length = body[6]
    if version < _BIFF8:
        return body[7 : 7 + length].decode("cp1252", "replace")
    if body[7] & 1:
        return body[8 : 8 + 2 * length].decode("utf-16-le", "replace")
    return body[8 : 8 + length].decode("latin-1")


def parts(stream: bytes, offset: int) -> tuple[Parts, int, int]:
    """Walks through a sheet for what its values do not tell.

    Returns:
        The parts; how many rows and columns the sheet spans.

    Raises:
        Refusal: the sheet is damaged.
    """
    found = Parts()
    rows = columns = 0
    try:
        for kind, body in _records(stream, offset):
            if kind == _EOF:
                break
            if kind == _DIMENSIONS:
                rows, columns = _extent(body)
            else:
                _note(found, kind, body)
    except (struct.error, IndexError) as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged, or no workbook") from error
    return found, rows, columns


def _note(found: Parts, kind: int, body: bytes) -> None:
    """Remembers what one record says."""
    if kind == _ROW:
        (row,) = struct.unpack_from("<H", body)
        if body[12] & _ZERO_HEIGHT:
            found.hidden_rows.add(row + 1)
    elif kind == _COLUMNS:
        first, last, _, _, options = struct.unpack_from("<5H", body)
        if options & 1:
            found.hidden_columns.update(range(first, min(last + 1, _MOST_COLUMNS)))
    elif kind == _ERROR and body[7] == 1:
        row, column = struct.unpack_from("<2H", body)
        found.errors[row + 1, column] = _ERRORS.get(body[6], "#ERROR!")
    elif kind == _FORMULA and body[12:14] == b"\xff\xff" and body[6] == 2:  # noqa: PLR2004
        row, column = struct.unpack_from("<2H", body)
        found.errors[row + 1, column] = _ERRORS.get(body[8], "#ERROR!")
    elif kind == _MERGED:
        (count,) = struct.unpack_from("<H", body)
        for place in range(count):
            top, bottom, left, right = struct.unpack_from("<4H", body, 2 + 8 * place)
            found.merged.append(Merged(top + 1, left, bottom + 1, right))


def _extent(body: bytes) -> tuple[int, int]:
    if len(body) >= 14:  # noqa: PLR2004 (BIFF8; older ones have 16-bit rows)
        rows, columns = struct.unpack_from("<4xI2xH", body)
    else:
        rows, columns = struct.unpack_from("<2xH2xH", body)
    return rows, columns


def _records(stream: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    while offset + 4 <= len(stream):
        kind, length = struct.unpack_from("<2H", stream, offset)
        yield kind, stream[offset + 4 : offset + 4 + length]
        offset += 4 + length
