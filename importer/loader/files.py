"""Find files by names, folders, patterns and archives, and read their bytes within the limits.

Limits are checked while data are unpacked, so that a file over a limit never fills the memory.
"""

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
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from importer.errors import UsageError
from importer.loader import xls
from importer.loader.sheet import Refusal, too_many_rows
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import BinaryIO

    from importer.settings import Settings


GZIP: Final = b"\x1f\x8b"
ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
_CHUNK: Final = 1 << 20
_SLICE: Final = 1 << 13
_GZIP_WINDOW: Final = 31
_RAW_WINDOW: Final = -15
_DEPTH: Final = 3
_KEPT: Final = 1 << 28  # unpacked bytes that are kept before it is known that they are allowed
_TITLE_ROWS: Final = 20  # rows that may stand above the data, as far as the header is looked for
_BLANK: Final = b" \t\r\n,;|"
STDIN: Final = "-"
_LOCAL_HEADER: Final = 30
_MOST_RATIO: Final = 1032
"""The largest ratio by which deflate can shrink data."""

BROKEN: Final = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    KeyError,
    OSError,
    RuntimeError,  # locked; its subclass NotImplementedError: compressed by another method
    ValueError,  # and its subclass UnicodeError
)
"""Exceptions that zipfile raises for damaged, locked and unusual archives."""


def unpack(data: bytes, settings: Settings) -> bytes:
    """Return the spreadsheet in an archive, or the data unchanged if they are not an archive.

    Args:
        data: a file.
        settings: the limits on size, rows and length of a row.

    Raises:
        Refusal: the archive is damaged, locked, over a limit, or does not hold one spreadsheet.
    """
    for _ in range(_DEPTH):
        if data.startswith(GZIP):
            data = collect(partial(_inflate, memoryview(data), _GZIP_WINDOW), settings)
        elif data.startswith(ZIP):
            book = open_zip(data)
            if is_workbook(book):
                check_expansion(book, data, settings.max_expanded_bytes)
                return data
            data = read_member(book, _only(spreadsheets(book)), settings)
        else:
            _check_lines(data, settings)
            return data
    raise Refusal(Code.FILE_UNREADABLE, "it is an archive in an archive in an archive")


def collect(
    chunks: Callable[[], Iterator[bytes]], settings: Settings, most_kept: int = _KEPT
) -> bytes:
    """Return unpacked data in one piece.

    Large data are unpacked twice: first to check the limits, then to keep them.

    Args:
        chunks: unpacks the data, chunk by chunk; can be called again.
        settings: the limits.
        most_kept: up to this many bytes are kept during the check.

    Raises:
        Refusal: it is over a limit.
    """
    gauge = _Gauge(settings)
    kept: list[bytes] = []
    for chunk in chunks():
        gauge.take(chunk)
        if gauge.size <= most_kept:
            kept.append(chunk)
        else:
            kept.clear()
    return b"".join(kept if gauge.size <= most_kept else chunks())


class _Gauge:
    """Measures data chunk by chunk, and refuses them as soon as they exceed a limit.

    Attributes:
        size: bytes so far.
    """

    def __init__(self, settings: Settings) -> None:
        self.size = 0
        self._settings = settings
        self._longest = longest_line(settings)
        self._is_text = True
        self._counts = True
        self._inside = False  # of quotation marks
        self._line = self._rows = 0

    def take(self, chunk: bytes) -> None:
        """Measure the next bytes.

        Raises:
            Refusal: too many bytes, rows, or characters in a line.
        """
        if not self.size:
            self._is_text = not chunk.startswith((GZIP, *ZIP, xls.MAGIC))
            self._counts = self._is_text and b"\0" not in chunk[:_SLICE]
        self.size += len(chunk)
        _check(self.size, self._settings.max_expanded_bytes)
        if self._is_text:
            end = max(chunk.rfind(b"\n"), chunk.rfind(b"\r"))
            self._line = self._line + len(chunk) if end < 0 else len(chunk) - 1 - end
            if self._line > self._longest:
                raise too_long_line(self._settings)
        if self._counts:
            self._count(chunk)

    def _count(self, chunk: bytes) -> None:
        """Count rows up to the last that is not blank; a quoted line break ends none."""
        content = chunk.rstrip(_BLANK)
        if not content:
            return  # blank rows at the end are not read
        parts = chunk.split(b'"')
        self._rows += b"".join(parts[int(self._inside) :: 2]).count(b"\n")
        self._inside ^= len(parts) % 2 == 0
        if self._rows - chunk.count(b"\n", len(content)) > self._settings.max_rows + _TITLE_ROWS:
            raise too_many_rows(self._settings.max_rows)


def longest_line(settings: Settings) -> int:
    """Return how many bytes a line may have: all allowed columns, each as long as allowed."""
    return max(_CHUNK, settings.max_columns * settings.max_cell_chars)


def too_long_line(settings: Settings) -> Refusal:
    """Return the refusal of a text with a line that is too long."""
    detail = f"a line of more than {longest_line(settings):,} bytes (max_columns x max_cell_chars)"
    return Refusal(Code.FILE_TOO_LARGE, detail)


def _check_lines(data: bytes, settings: Settings) -> None:
    """Refuse a text with a line that is too long; workbooks have no lines."""
    if data.startswith(xls.MAGIC):
        return
    longest = longest_line(settings)
    start = 0
    while len(data) - start > longest:
        ends = (data.rfind(mark, start, start + longest) for mark in (b"\n", b"\r"))
        end = max(ends)
        if end < 0:
            raise too_long_line(settings)
        start = end + 1


def open_zip(data: bytes) -> zipfile.ZipFile:
    """Open an archive and read its list of members.

    Raises:
        Refusal: it is damaged.
    """
    try:
        return zipfile.ZipFile(io.BytesIO(data))
    except BROKEN as error:
        raise Refusal(Code.FILE_UNREADABLE, "it is damaged or cut short") from error


def is_workbook(book: zipfile.ZipFile) -> bool:
    """Whether a zip is a workbook that can be read.

    Raises:
        Refusal: it is a document of another kind.
    """
    names = {plain_path(name) for name in book.namelist()}
    if not names.isdisjoint({"xl/workbook.xml", "xl/workbook.bin"}) or is_ods(book):
        return True
    for name, kind in (
        ("word/document.xml", "a Word document"),
        ("ppt/presentation.xml", "a PowerPoint presentation"),
        ("index/document.iwa", "an Apple Numbers or Pages document"),
        ("mimetype", "an OpenDocument file, but no spreadsheet"),
    ):
        if name in names:
            raise Refusal(Code.FILE_UNREADABLE, f"it is {kind}")
    return "[content_types].xml" in names


def plain_path(name: str) -> str:
    """Return a path in an archive in lower case, with `/` as separator and none at the start."""
    return name.replace("\\", "/").lstrip("/").lower()


def is_ods(book: zipfile.ZipFile) -> bool:
    """Whether a zip is an OpenDocument spreadsheet."""
    try:
        with book.open("mimetype") as file:
            kind = file.read(100)
    except BROKEN:
        return False
    return kind.startswith(b"application/vnd.oasis.opendocument.spreadsheet")


def spreadsheets(archive: zipfile.ZipFile) -> list[str]:
    """Return the members of an archive that are spreadsheets, sorted by name."""
    return sorted(
        info.filename
        for info in archive.infolist()
        if not info.is_dir()
        and not info.filename.startswith("__MACOSX/")
        and not PurePosixPath(info.filename).name.startswith((".", "~$"))
        and info.filename.lower().removesuffix(".gz").endswith(SUFFIXES)
    )


def read_member(archive: zipfile.ZipFile, name: str, settings: Settings) -> bytes:
    """Read one member of an archive, unpacked within the limits.

    Raises:
        Refusal: it is damaged, locked or over a limit.
    """
    return collect(partial(member_chunks, archive, name), settings)


def member_chunks(archive: zipfile.ZipFile, name: str) -> Iterator[bytes]:
    """Read one member of an archive, chunk by chunk.

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
    """Refuse a workbook that unpacks to more than a limit, even if it claims to be smaller.

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


def _inflate(packed: memoryview, window: int) -> Iterator[bytes]:
    """Inflate data chunk by chunk; several gzip members in a row are one file."""
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


@dataclass(frozen=True, slots=True)
class Content:
    """A file as it is on disk.

    Attributes:
        data: the bytes of the file.
        path: absolute; None for standard input.
    """

    data: bytes = field(repr=False)
    path: Path | None
    _digest: Future[str] = field(repr=False)

    def sha256(self) -> str:
        """Return the hex digest of the data; a thread computes it while they are parsed."""
        return self._digest.result()


def read(name: str, settings: Settings) -> Content:
    """Read a file, standard input for `-`, or `lists.zip/march.csv` out of an archive.

    Raises:
        Refusal: it cannot be opened, is no regular file, or is over a limit.
    """
    if name == STDIN:
        return _hashed(_bytes(sys.stdin.buffer, settings.max_bytes), None)
    path = Path(name)
    try:
        name.encode()
        parent = next((parent for parent in path.parents if parent.is_file()), None)
        with open_regular(path if parent is None else parent) as file:
            data = _bytes(file, settings.max_bytes)
        if parent is not None:
            data = read_member(open_zip(data), str(path.relative_to(parent)), settings)
        return _hashed(data, path.absolute())
    except FileNotFoundError:
        raise Refusal(Code.FILE_MISSING) from None
    except PermissionError:
        raise Refusal(Code.FILE_UNREADABLE, "the importer has no permission to open it") from None
    except UnicodeEncodeError:
        raise Refusal(Code.FILE_UNREADABLE, "its name is not UTF-8; rename it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise Refusal(Code.FILE_UNREADABLE, f"it cannot be opened ({_reason(error)})") from None


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file; refuse a pipe, a socket or a device without waiting for it.

    Raises:
        Refusal: it is no regular file.
        OSError: it cannot be opened.
    """
    _check_regular(path.stat().st_mode)  # opening some devices changes them
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    file = os.fdopen(descriptor, "rb")
    try:
        _check_regular(os.fstat(descriptor).st_mode)  # it may have been replaced
    except Refusal:
        file.close()
        raise
    return file


def _check_regular(mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = {
        stat.S_IFDIR: "a folder",
        stat.S_IFIFO: "a pipe; `-` reads standard input",
        stat.S_IFSOCK: "a socket",
    }
    kind = kinds.get(stat.S_IFMT(mode), "a device")
    raise Refusal(Code.FILE_UNREADABLE, f"it is {kind}")


def _bytes(file: BinaryIO, max_bytes: int) -> bytes:
    """Read all bytes of an open file."""
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
    """Return the files that names stand for, each once and in the order of the names.

    A folder stands for the spreadsheets directly in it, a pattern (`*`, `?`, `[]`, `**`) for the
    spreadsheets that it matches, and an archive of several spreadsheets for each of them
    (`lists.zip/march.csv`); these are sorted by name. Any other name is kept, even if there is no
    such file.

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


def readable_name(name: str) -> str:
    """Return a file name as text; bytes that are not UTF-8 become U+FFFD."""
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
            f"Names of spreadsheets end in {', '.join(SUFFIXES)}, one of these and .gz, or .zip.",
        )
    return files


def _members(name: str) -> list[str]:
    """Return the spreadsheets in an archive that has several, else nothing."""
    if not name.lower().endswith(".zip") or not Path(name).is_file():
        return []
    try:
        with zipfile.ZipFile(name) as archive:
            members = spreadsheets(archive)
    except BROKEN:
        return []  # reading it reports the fault
    return [f"{name}/{member}" for member in members] if len(members) > 1 else []


def _is_spreadsheet(path: Path) -> bool:
    """Whether a file that a folder or pattern found is a spreadsheet to read."""
    name = path.name.lower()
    if name.startswith(_TEMPORARY) or not path.is_file():
        return False
    return name.endswith(_FOUND)
