"""What is packed in gzip or zip, unpacked within a limit; workbooks are zips, too."""

from __future__ import annotations

import io
import zipfile
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP: Final = b"\x1f\x8b"
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xls", ".ods")
_CHUNK: Final = 1 << 20
_SLICE: Final = 1 << 13
_GZIP_WINDOW: Final = 31
_RAW_WINDOW: Final = -15
_DEPTH: Final = 3
_LOCAL_HEADER: Final = 30
_MOST_RATIO: Final = 1032
"""Deflate never makes more than this of one byte."""

BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    UnicodeError,
    ValueError,
)
"""What zipfile raises over damaged, locked and unusual archives."""


def unpack(data: bytes, max_bytes: int) -> bytes:
    """The spreadsheet in an archive, or the data themselves where they are none.

    Args:
        data: a file.
        max_bytes: how large it may become (`max_expanded_bytes`).

    Raises:
        Refusal: the archive is damaged, locked, too large, or does not hold one spreadsheet.
    """
    for _ in range(_DEPTH):
        if data.startswith(GZIP):
            data = b"".join(_gunzip(data, max_bytes))
        elif data.startswith(ZIP):
            book = open_zip(data)
            if is_workbook(book):
                check_expansion(book, data, max_bytes)
                return data
            data = read_member(book, _only(spreadsheets(book)), max_bytes)
        else:
            return data
    raise Refusal(Code.FILE_UNREADABLE, "it is an archive in an archive in an archive")


def open_zip(data: bytes) -> zipfile.ZipFile:
    """The archive, with its list of members read.

    Raises:
        Refusal: it is damaged.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except BROKEN as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged or cut short") from error


def is_workbook(book: zipfile.ZipFile) -> bool:
    """Whether a zip is a workbook that we read.

    Raises:
        Refusal: it is a document of another kind.
    """
    names = set(book.namelist())
    if "xl/workbook.xml" in names or is_ods(book):
        return True
    for name, kind in (
        ("xl/workbook.bin", "a binary workbook (XLSB)"),
        ("word/document.xml", "a Word document"),
        ("Index/Document.iwa", "an Apple Numbers or Pages document"),
        ("mimetype", "an OpenDocument file, but no spreadsheet"),
    ):
        if name in names:
            raise Refusal(Code.FILE_UNREADABLE, f"it is {kind}")
    return "[Content_Types].xml" in names


def is_ods(book: zipfile.ZipFile) -> bool:
    """Whether a zip is an OpenDocument spreadsheet."""
    try:
        kind = book.read("mimetype")[:100]
    except BROKEN:
        return False
    return kind.startswith(b"application/vnd.oasis.opendocument.spreadsheet")


def spreadsheets(archive: zipfile.ZipFile) -> list[str]:
    """The members of an archive that are spreadsheets, by name."""
    return sorted(
        info.filename
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not PurePosixPath(info.filename).name.startswith((".", "~$"))
        and info.filename.lower().removesuffix(".gz").endswith(SUFFIXES)
    )


def read_member(archive: zipfile.ZipFile, name: str, max_bytes: int) -> bytes:
    """One member of an archive, unpacked within a limit.

    Raises:
        Refusal: it is damaged, locked or too large.
    """
    data = bytearray()
    for chunk in member_chunks(archive, name):
        data += chunk
        _check(len(data), max_bytes)
    return bytes(data)


def member_chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """One member of an archive, part by part.

    Raises:
        Refusal: it is damaged or locked.
    """
    try:
        if archive.getinfo(name).flag_bits & 1:
            raise Refusal(Code.FILE_UNREADABLE, "it is protected by a password")
        with archive.open(name) as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    except BROKEN as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged or cut short") from error


def check_expansion(book: zipfile.ZipFile, data: bytes, max_bytes: int) -> None:
    """Makes sure that no member of a workbook unpacks to more than a limit, whatever it claims.

    Raises:
        Refusal: it is too large, damaged or locked.
    """
    members = book.infolist()
    if sum(member.compress_size for member in members) * _MOST_RATIO <= max_bytes:
        return
    total = 0
    for member in members:
        if member.flag_bits & 1:
            raise Refusal(Code.FILE_UNREADABLE, "it is protected by a password")
        if member.compress_type == zipfile.ZIP_STORED:
            total += member.compress_size
            _check(total, max_bytes)
            continue
        if member.compress_type != zipfile.ZIP_DEFLATED:
            raise Refusal(Code.FILE_UNREADABLE, "it is packed in an unusual way")
        head = data[member.header_offset : member.header_offset + _LOCAL_HEADER]
        start = member.header_offset + _LOCAL_HEADER
        start += int.from_bytes(head[26:28], "little") + int.from_bytes(head[28:30], "little")
        packed = memoryview(data)[start : start + member.compress_size]
        for chunk in _inflate(packed, _RAW_WINDOW):
            total += len(chunk)
            _check(total, max_bytes)


def _only(names: list[str]) -> str:
    if len(names) == 1:
        return names[0]
    if not names:
        raise Refusal(Code.FILE_UNREADABLE, "there is no spreadsheet in the archive")
    shown = ", ".join(names[:5]) + (" and more" if len(names) > 5 else "")  # noqa: PLR2004
    raise Refusal(Code.FILE_UNREADABLE, f"the archive holds {len(names)} spreadsheets: {shown}")


def _gunzip(data: bytes, max_bytes: int) -> Iterator[bytes]:
    total = 0
    for chunk in _inflate(memoryview(data), _GZIP_WINDOW):
        total += len(chunk)
        _check(total, max_bytes)
        yield chunk


def _inflate(packed: memoryview, window: int) -> Iterator[bytes]:
    """Deflated data part by part; gzip members that follow one another are one file."""
    inflater = zlib.decompressobj(window)
    try:
        for place in range(0, len(packed), _SLICE):
            rest = bytes(packed[place : place + _SLICE])
            while rest := rest if not inflater.eof else rest.lstrip(b"\0"):
                if inflater.eof:
                    if window == _RAW_WINDOW:
                        return
                    inflater = zlib.decompressobj(window)
                yield inflater.decompress(rest, _CHUNK)
                rest = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
        while not inflater.eof and (chunk := inflater.decompress(b"", _CHUNK)):
            yield chunk
    except zlib.error as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged or cut short") from error
    if not inflater.eof:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged or cut short")


def _check(total: int, max_bytes: int) -> None:
    if total > max_bytes:
        detail = f"more than {max_bytes:,} bytes once unpacked (max_expanded_bytes)"
        raise Refusal(Code.FILE_TOO_LARGE, detail)
