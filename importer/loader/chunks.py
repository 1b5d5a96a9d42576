"""Read a long list in pieces, so that it is never completely in memory.

Only regular UTF-8 text is cut, and only between two rows. Anything that needs the whole file
(another encoding, wrong quotation marks, rows of another width) raises `NotInChunks`, and the file
is read again in one piece. So the result never depends on how a file was read.
"""

from __future__ import annotations

import codecs
import hashlib
import os
import stat
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from importer import problems
from importer.loader import delimited, table
from importer.loader.corrections import corrections_file
from importer.loader.csv_reader import end_of_data, halve, read_rows
from importer.loader.delimited import open_text
from importer.loader.files import readable_name
from importer.loader.sheet import Cells, Refusal
from importer.loader.table import TAIL, assemble, load
from importer.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from importer.loader.delimited import Delimited
    from importer.loader.sheet import Record
    from importer.model import Table
    from importer.settings import Settings


PIECE: Final = 24_000_000
"""Bytes of a piece, about; a file of less than two pieces is read at once."""

_SMALL: Final = 8_000_000
_ROWS: Final = 500_000  # of a piece, if rows are short
_HEAD: Final = 1 << 20
_LINES: Final = 100  # a head with fewer lines might not reach the header
_AS_THEY_ARE: Final = frozenset({"utf-8", "ascii"})


class NotInChunks(Exception):
    """A file cannot be read in pieces after all; the text is the file's name."""


class Pieces(Protocol):
    """An open file whose columns are known."""

    @property
    def extra(self) -> Mapping[str, str]:
        """As in `Table`."""

    @property
    def columns(self) -> Sequence[str]:
        """The columns of the frame of each piece."""

    def tables(self) -> Iterator[Callable[[], Table]]:
        """Yield a call for each piece that reads its rows; the calls may run side by side.

        Each piece is a table with the problems of its own rows and of the whole file. Its
        source has no hash yet.

        Raises:
            NotInChunks: the file must be read whole; the calls raise it, too.
        """

    def source(self) -> Source:
        """Return the file's source, with its hash, after all pieces were taken."""


def open_pieces(name: str, settings: Settings, size: int = PIECE, *, whole: bool = False) -> Pieces:
    """Open a file; an unreadable file is a single piece with a problem and without rows.

    Args:
        name: the name that `load` takes.
        settings: the settings that `load` takes.
        size: bytes of a piece.
        whole: read the file in one piece in any case.
    """
    long = None if whole else _open_long(name, settings, size)
    return long or WholeFile(load(name, settings))


def open_read(name: str, settings: Settings, size: int = _SMALL) -> Pieces:
    """Open a file and read it once, so that its hash is known and it can be read in pieces.

    Args:
        name: the name that `load` takes.
        settings: the settings that `load` takes.
        size: bytes of a piece; small ones take little memory.
    """
    opened = open_pieces(name, settings, size)
    try:
        for read in opened.tables():
            read()
    except NotInChunks:
        return open_pieces(name, settings, whole=True)
    return opened


@dataclass(frozen=True, slots=True, eq=False)
class WholeFile:
    """A file that was read at once."""

    table: Table

    @property
    def extra(self) -> Mapping[str, str]:
        """As in `Table`."""
        return self.table.extra

    @property
    def columns(self) -> Sequence[str]:
        """The columns of its frame."""
        return self.table.frame.columns

    def tables(self) -> Iterator[Callable[[], Table]]:
        """Yield one call, which returns the table."""
        yield lambda: self.table

    def source(self) -> Source:
        """Return where its rows came from."""
        return self.table.source


@dataclass(slots=True, eq=False)
class _Long:
    """A long text.

    Attributes:
        unread: the source, as far as it is known before the file is read.
        size: bytes of a piece.
        prefix: the text up to the end of the header.
        header: the header row.
        settings: the limits, and header overrides.
        known: the table of its header, without rows.
    """

    unread: Source
    size: int
    prefix: bytes = field(repr=False)
    header: Record = field(repr=False)
    settings: Settings = field(repr=False)
    known: Table = field(repr=False)
    _digest: str = ""
    _read: int = 0

    @property
    def extra(self) -> Mapping[str, str]:
        return self.known.extra

    @property
    def columns(self) -> Sequence[str]:
        return self.known.frame.columns

    def source(self) -> Source:
        return replace(self.unread, sha256=self._digest, size=self._read)

    def tables(self) -> Iterator[Callable[[], Table]]:
        before = 0
        for block, ends in self._blocks():
            parts = list(halve(block, _ROWS))
            for number, (part, rows) in enumerate(parts, 1):
                yield partial(self._table, part, before, last=ends and number == len(parts))
                before += rows
                if before > self.settings.max_rows:
                    raise NotInChunks(self.unread.name)

    def _table(self, block: bytes, before: int, *, last: bool) -> Table:
        # Polars cannot see the width in a blank line, and would take a mark for part of a cell.
        blank = block.startswith((b"\n", b"\r", codecs.BOM_UTF8))
        data, start = (self.prefix + block, len(self.prefix)) if blank else (block, 0)
        frame = delimited.read_regular(data, start, self.unread.delimiter, self.header, before)
        if frame is None:
            raise NotInChunks(self.unread.name)
        cells = Cells(frame, problems.empty())
        table = assemble(self.unread, self.header, cells, self.settings.columns, last=last)
        if last and table.frame.height < TAIL:
            raise NotInChunks(self.unread.name)  # footers may begin before this piece
        return table

    def _blocks(self) -> Iterator[tuple[bytes, bool]]:
        """Cut the text below the header between rows; yield blocks, and whether each is last."""
        digest = hashlib.sha256(self.prefix)
        try:
            with _open_source(self.unread) as file:
                facts = os.fstat(file.fileno())
                end = end_of_data(file, facts.st_size, self.unread.delimiter.encode())
                file.seek(0)
                if file.read(len(self.prefix)) != self.prefix or file.tell() >= end:
                    raise NotInChunks(self.unread.name)
                while (left := end - file.tell()) > 0:
                    block = read_rows(file, self.size) if left >= 2 * self.size else file.read(left)
                    if not block:
                        raise NotInChunks(self.unread.name)
                    digest.update(block)
                    yield block, file.tell() >= end
                while chunk := file.read(self.size):  # blank rows at the end: hashed, not kept
                    digest.update(chunk)
                self._read = file.tell()
                if _has_changed(facts, os.fstat(file.fileno())):
                    raise NotInChunks(self.unread.name)
        except OSError:
            raise NotInChunks(self.unread.name) from None
        self._digest = digest.hexdigest()


def _has_changed(before: os.stat_result, now: os.stat_result) -> bool:
    """Whether a file was written to; its size was checked against the limit before."""
    return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)


def _open_long(name: str, settings: Settings, size: int) -> _Long | None:
    """Open a long text and understand its header; None if the file is anything else."""
    source = Source(name, "", Path(name).absolute(), 0)
    if readable_name(name) != name:
        return None
    try:
        facts = Path(name).stat()
        if not stat.S_ISREG(facts.st_mode) or not 2 * size <= facts.st_size <= settings.max_bytes:
            return None
        if corrections_file(Path(name)).exists():
            return None
        with _open_source(source) as file:
            head = file.read(_HEAD)
        text = _open_head(head[: head.rfind(b"\n") + 1], settings)
        header = table.find_header(text.head(), settings.columns)
    except (Refusal, OSError, ValueError):  # reading it whole will say what is wrong
        return None
    prefix = _through_header(header, text.data)
    plain = all(cell.strip() for cell in header.cells) and len(header.cells) <= settings.max_columns
    if not 0 < len(prefix) <= size or not plain or (header.row > 1 and b'"' in prefix):
        return None
    unread = replace(
        source,
        encoding=text.encoding.codec,
        delimiter=text.dialect.delimiter,
        header_row=header.row,
    )
    nothing = Cells(delimited.no_rows(header), problems.empty())
    known = assemble(unread, header, nothing, settings.columns, last=False)
    return _Long(unread, size, prefix, header, settings, known)


def _open_head(head: bytes, settings: Settings) -> Delimited:
    """Open the first lines of a text that can be cut.

    Raises:
        Refusal: it is not text.
        ValueError: it is not regular UTF-8, or has too few lines.
    """
    text = open_text(head, settings)
    encoding = text.encoding
    if encoding.codec not in _AS_THEY_ARE or encoding.odd or head.count(b"\n") < _LINES:
        raise ValueError("not in pieces")
    return text


def _open_source(source: Source) -> BinaryIO:
    if source.path is None:
        raise ValueError("standard input comes whole")
    return source.path.open("rb")


def _through_header(header: Record, head: bytes) -> bytes:
    """Return the text up to the end of the header row; nothing if the head is too short."""
    end = 0
    for _ in range(header.end_line):
        end = head.find(b"\n", end) + 1
        if not end:
            return b""
    return head[:end]
