"""What is packed in gzip or zip, unpacked within a limit; workbooks are zips, too."""

from __future__ import annotations

import glob
import hashlib
import io
import os
import stat
import sys
import zipfile
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from importer.errors import UsageError
from importer.loader.sheet import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO


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


STDIN: Final = "-"


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it lies on the disk.

    Attributes:
        data: all of it.
        path: absolute; None for standard input.
    """

    data: bytes = field(repr=False)
    path: Path | None
    _digest: Future[str] = field(repr=False)

    def sha256(self) -> str:
        """Hex digest of the data; it is computed beside whatever else is done with them."""
        return self._digest.result()


def read(name: str, max_bytes: int, max_expanded_bytes: int) -> Content:
    """Reads a file, standard input for `-`, or `lists.zip/march.csv` out of an archive.

    Raises:
        Refusal: it cannot be opened, or is larger than `max_bytes`.
    """
    if name == STDIN:
        return _hashed(_bytes(sys.stdin.buffer, max_bytes), None)
    path = Path(name)
    try:
        name.encode()
        if path.is_dir():
            raise Refusal(Code.FILE_UNREADABLE, "it is a folder")
        parent = next((parent for parent in path.parents if parent.is_file()), None)
        if parent is not None:
            member = str(path.relative_to(parent))
            with parent.open("rb") as file:
                box = open_zip(_bytes(file, max_bytes))
            return _hashed(read_member(box, member, max_expanded_bytes), path.absolute())
        with path.open("rb") as file:
            return _hashed(_bytes(file, max_bytes), path.absolute())
    except FileNotFoundError:
        raise Refusal(Code.FILE_MISSING) from None
    except PermissionError:
        raise Refusal(Code.FILE_UNREADABLE, "we may not open it") from None
    except UnicodeEncodeError:
        raise Refusal(Code.FILE_UNREADABLE, "its name is not UTF-8; rename it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refusal(Code.FILE_UNREADABLE, f"it cannot be opened ({_reason(error)})") from None


def _bytes(file: BinaryIO, max_bytes: int) -> bytes:
    """All bytes of an open file, in one piece."""
    found = os.fstat(file.fileno())
    size = found.st_size if stat.S_ISREG(found.st_mode) else max_bytes
    if size > max_bytes:
        raise Refusal(Code.FILE_TOO_LARGE, _over(max_bytes))
    data = file.read(size + 1)
    while len(data) <= max_bytes and (more := file.read(max_bytes + 1 - len(data))):
        data += more
    if len(data) > max_bytes:
        raise Refusal(Code.FILE_TOO_LARGE, _over(max_bytes))
    return data


def _hashed(data: bytes, path: Path | None) -> Content:
    with_one_thread = ThreadPoolExecutor(max_workers=1)
    digest = with_one_thread.submit(lambda: hashlib.sha256(data).hexdigest())
    with_one_thread.shutdown(wait=False)
    return Content(data, path, digest)


def _over(max_bytes: int) -> str:
    return f"it has more than {max_bytes:,} bytes (max_bytes)"


def _reason(error: Exception) -> str:
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)


_FOUND: Final = (*SUFFIXES, ".zip", *(f"{suffix}.gz" for suffix in SUFFIXES))
_TEMPORARY: Final = ("~$", ".", "_")


def expand(names: Sequence[str]) -> list[str]:
    """The files behind the names, each once: those given, in order; those found, by name.

    A folder stands for the spreadsheets directly in it, a pattern (`*`, `?`, `[]`, `**`) for the
    spreadsheets that it matches, an archive of several for each of them (`lists.zip/march.csv`).
    A name that is none of these stays, whether the file exists or not.

    Raises:
        UsageError: there is no name, or a folder or pattern has no spreadsheet.
    """
    found: dict[str, None] = {}
    for name in names:
        for file in _behind(name):
            found.update(dict.fromkeys(_members(file) or [file]))
    if not found:
        raise UsageError("No file was given.", "Name a spreadsheet, a folder, a pattern or `-`.")
    return list(found)


def spoken(name: str) -> str:
    """A name as text: what of it is none (the system allows any bytes) becomes U+FFFD."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _behind(name: str) -> list[str]:
    if name == STDIN:
        return [name]
    if Path(name).is_dir():
        files = sorted(str(path) for path in Path(name).iterdir() if _is_spreadsheet(path))
    elif glob.has_magic(name) and not Path(name).exists():
        matches = map(Path, glob.glob(name, recursive=True))  # noqa: PTH207 (absolute patterns)
        files = sorted(str(path) for path in matches if _is_spreadsheet(path))
    else:
        return [name]
    if not files:
        raise UsageError(
            f"There is no spreadsheet in {name}.",
            f"Spreadsheets end in {', '.join(SUFFIXES)}, or in one of these and .gz or .zip.",
        )
    return files


def _members(name: str) -> list[str]:
    """The spreadsheets in an archive that has several, else nothing."""
    if not name.lower().endswith(".zip") or not Path(name).is_file():
        return []
    try:
        with zipfile.ZipFile(name) as archive:
            members = spreadsheets(archive)
    except (OSError, zipfile.BadZipFile, ValueError, NotImplementedError):
        return []  # reading it will say what is wrong
    return [f"{name}/{member}" for member in members] if len(members) > 1 else []


def _is_spreadsheet(path: Path) -> bool:
    """Whether a file that was found, not named, is one to read."""
    name = path.name.lower()
    if name.startswith(_TEMPORARY) or not path.is_file():
        return False
    return name.endswith(_FOUND)
