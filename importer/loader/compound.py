"""The OLE compound file that an XLS lies in: its streams, read without trusting its chains."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

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
