"""A long list comes in pieces, so that it is never in memory as a whole.

Only regular UTF-8 text is cut, between two rows. Whatever is found on the way that has to be seen
whole (another encoding, quotation marks gone astray, rows of another width) ends it with `Uneven`,
and the file is read again in one piece: what is found in a file does not depend on how it is read.
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
from importer.loader.csv_reader import end_of_data, halved, rows_of
from importer.loader.delimited import open_text
from importer.loader.files import readable_name
from importer.loader.sheet import Cells, Refusal
from importer.loader.table import TAIL, assemble, load
from importer.model import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import BinaryIO

    from importer.loader.delimited import Delimited
    from importer.loader.sheet import Record
    from importer.model import Table
    from importer.settings import Settings


PIECE: Final = 24_000_000
"""Bytes of a piece, about; files of less than two are read at once."""

_ROWS: Final = 500_000  # of a piece, where rows are short
_HEAD: Final = 1 << 20
_LINES: Final = 100  # a head with fewer lines may not show the rows that the header is among
_AS_THEY_ARE: Final = frozenset({"utf-8", "ascii"})


class Uneven(Exception):
    """A file that cannot be read in pieces after all; its text is the file's name."""


class Pieces(Protocol):
    """A file that is open, with its columns understood."""

    @property
    def extra(self) -> Mapping[str, str]:
        """As in `Table`."""

    def tables(self) -> Iterator[Callable[[], Table]]:
        """Reads the rows, one piece at a call; calls may run side by side.

        Each piece is a table with the problems of its own rows and those of the whole file. Its
        source has no hash yet.

        Raises:
            Uneven: the file must be read whole; also out of the calls.
        """

    def source(self) -> Source:
        """The file, once all pieces have been taken."""


def open_pieces(name: str, settings: Settings, size: int = PIECE, *, whole: bool = False) -> Pieces:
    """Opens a file; one that cannot be read is a single piece with a problem and without rows.

    Args:
        name: as for `load`.
        settings: as for `load`.
        size: bytes of a piece.
        whole: read it in one piece whatever it is.
    """
    long = None if whole else _open_long(name, settings, size)
    return long or _Whole(load(name, settings))


@dataclass(frozen=True, slots=True, eq=False)
class _Whole:
    """A file that was read at once."""

    table: Table

    @property
    def extra(self) -> Mapping[str, str]:
        return self.table.extra

    def tables(self) -> Iterator[Callable[[], Table]]:
        yield lambda: self.table

    def source(self) -> Source:
        return self.table.source


@dataclass(slots=True, eq=False)
class _Long:
    """A long text.

    Attributes:
        begun: as far as it is known before it was read.
        size: bytes of a piece.
        prefix: the text up to the end of the header, bytes.
        header: the header row.
        settings: the limits, and header overrides.
        known: its header without rows.
    """

    begun: Source
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

    def source(self) -> Source:
        return replace(self.begun, sha256=self._digest, size=self._read)

    def tables(self) -> Iterator[Callable[[], Table]]:
        before = 0
        for block, ends in self._blocks():
            parts = list(halved(block, _ROWS))
            for number, (part, rows) in enumerate(parts, 1):
                yield partial(self._table, part, before, last=ends and number == len(parts))
                before += rows
                if before > self.settings.max_rows:
                    raise Uneven(self.begun.name)

    def _table(self, block: bytes, before: int, *, last: bool) -> Table:
        # A blank line tells Polars nothing of the width, and a mark would not be a cell's.
        blank = block.startswith((b"\n", b"\r", codecs.BOM_UTF8))
        data, start = (self.prefix + block, len(self.prefix)) if blank else (block, 0)
        frame = delimited.read_regular(data, start, self.begun.delimiter, self.header, before)
        if frame is None:
            raise Uneven(self.begun.name)
        cells = Cells(frame, problems.empty())
        table = assemble(self.begun, self.header, cells, self.settings.columns, last=last)
        if last and table.frame.height < TAIL:
            raise Uneven(self.begun.name)  # what stands below the data may begin before this piece
        return table

    def _blocks(self) -> Iterator[tuple[bytes, bool]]:
        """The text below the header, cut between rows; and whether it ends there."""
        digest = hashlib.sha256(self.prefix)
        try:
            with _opened(self.begun) as file:
                facts = os.fstat(file.fileno())
                end = end_of_data(file, facts.st_size, self.begun.delimiter.encode())
                file.seek(0)
                if file.read(len(self.prefix)) != self.prefix or file.tell() >= end:
                    raise Uneven(self.begun.name)
                while (left := end - file.tell()) > 0:
                    block = rows_of(file, self.size) if left >= 2 * self.size else file.read(left)
                    if not block:
                        raise Uneven(self.begun.name)
                    digest.update(block)
                    yield block, file.tell() >= end
                while chunk := file.read(self.size):  # blank rows, of which nothing is kept
                    digest.update(chunk)
                self._read = file.tell()
                if _changed(facts, os.fstat(file.fileno())):
                    raise Uneven(self.begun.name)
        except OSError:
            raise Uneven(self.begun.name) from None
        self._digest = digest.hexdigest()


def _changed(before: os.stat_result, now: os.stat_result) -> bool:
    """Whether a file was written to; how large it may be was seen before."""
    return (before.st_size, before.st_mtime_ns) != (now.st_size, now.st_mtime_ns)


def _open_long(name: str, settings: Settings, size: int) -> _Long | None:
    """A long text with its header understood; None where the file is anything else."""
    source = Source(name, "", Path(name).absolute(), 0)
    if readable_name(name) != name:
        return None
    try:
        facts = Path(name).stat()
        if not stat.S_ISREG(facts.st_mode) or not 2 * size <= facts.st_size <= settings.max_bytes:
            return None
        with _opened(source) as file:
            head = file.read(_HEAD)
        text = _text(head[: head.rfind(b"\n") + 1], settings)
        header = table.find(text.head(), settings.columns)
    except (Refusal, OSError, ValueError):  # reading it whole will say what is wrong
        return None
    prefix = _up_to(header, text.data)
    plain = all(cell.strip() for cell in header.cells) and len(header.cells) <= settings.max_columns
    if not 0 < len(prefix) <= size or not plain or (header.row > 1 and b'"' in prefix):
        return None
    begun = replace(
        source,
        encoding=text.encoding.codec,
        delimiter=text.dialect.delimiter,
        header_row=header.row,
    )
    nothing = Cells(delimited.nothing(header), problems.empty())
    known = assemble(begun, header, nothing, settings.columns, last=False)
    return _Long(begun, size, prefix, header, settings, known)


def _text(head: bytes, settings: Settings) -> Delimited:
    """The first lines of a text that can be cut.

    Raises:
        Refusal: it is something else.
    """
    text = open_text(head, settings)
    encoding = text.encoding
    if encoding.codec not in _AS_THEY_ARE or encoding.odd or head.count(b"\n") < _LINES:
        raise ValueError("not in pieces")
    return text


def _opened(source: Source) -> BinaryIO:
    if source.path is None:
        raise ValueError("standard input comes whole")
    return source.path.open("rb")


def _up_to(header: Record, head: bytes) -> bytes:
    """The text up to the end of the header row; nothing where the head does not reach so far."""
    end = 0
    for _ in range(header.end_line):
        end = head.find(b"\n", end) + 1
        if not end:
            return b""
    return head[:end]
