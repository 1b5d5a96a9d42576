"""One spreadsheet row out of lines whose quotation marks are not as they should be."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO


QUOTE: Final = '"'
_QUOTES: Final = re.compile('"')
_BACKSLASHED_QUOTES: Final = re.compile(r'\\"|"')
_MOST_CHARS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Mended:
    """A row that was read in spite of its quotation marks.

    Attributes:
        cells: as text.
        lines: how many of the lines given belong to it.
        unclosed: a quotation mark was opened and never closed: it was taken as a character, and
            the row ends with its first line.
    """

    cells: list[str]
    lines: int
    unclosed: bool = False


class _Style(NamedTuple):
    """One way of reading quotation marks, spaces around quoted cells aside.

    Attributes:
        backslashes: a backslash before a quotation mark makes it a character.
        stray: so it is in the middle of a quoted cell anyway.
        followed: what follows a quoted cell belongs to it.
        literal: an opening quotation mark that is never closed is a character.
    """

    backslashes: bool = False
    stray: bool = False
    followed: bool = False
    literal: bool = False


_SPACED: Final = _Style()
_BACKSLASHED: Final = _Style(backslashes=True)
_STRAY: Final = _Style(backslashes=True, stray=True)
_FOLLOWED: Final = _Style(backslashes=True, followed=True)
_LITERAL: Final = _Style(backslashes=True, followed=True, literal=True)


class _Unclosed(Exception):
    """A quoted cell does not end as it should."""


def mend(lines: Iterator[str], delimiter: str, width: int | None) -> Mended:
    """Reads one row that the csv module cannot read.

    In this order: spaces around quoted cells, then backslashed quotation marks, over as many
    lines as it takes; then, in one line, stray quotation marks in a cell (`"Ann "Nan" Lee"`),
    and characters after a quoted cell (`"Mary" Ann`), whichever gives the width; then an opening
    quotation mark that is never closed.

    Args:
        lines: the row's first line and all that follow, with their ends.
        delimiter: one character.
        width: how many cells the row should have, if that is known.
    """
    first, *_ = taken = [next(lines)]

    def all_lines() -> Iterator[str]:
        yield from taken
        for line in lines:
            taken.append(line)
            yield line

    for style in (_SPACED, _BACKSLASHED):
        mended = attempt(all_lines(), delimiter, style)
        if mended is not None:
            return mended
    stray = attempt(iter([first]), delimiter, _STRAY)
    followed = attempt(iter([first]), delimiter, _FOLLOWED)
    if stray is not None and (width is None or len(stray.cells) == width or followed is None):
        return stray
    if followed is not None:
        return followed
    mended = attempt(iter([first]), delimiter, _LITERAL)
    assert mended is not None  # noqa: S101 (it takes everything)
    return Mended(mended.cells, 1, unclosed=True)


def again(lines: Iterator[str], delimiter: str, width: int, *, backslashes: bool) -> Mended | None:
    """Reads a row again that the csv module can read, but perhaps not as it was meant.

    Args:
        lines: the row's first line and all that follow, with their ends.
        delimiter: one character.
        width: how many cells the row has if it was meant so.
        backslashes: whether a backslash before a quotation mark is one more way to mean it.
    """
    mended = attempt(lines, delimiter, _BACKSLASHED if backslashes else _SPACED)
    return mended if mended is not None and len(mended.cells) == width else None


def attempt(lines: Iterator[str], delimiter: str, style: _Style) -> Mended | None:
    """The row in one way of reading quotation marks, or None where that does not fit."""
    row = _Row(next(lines), lines, delimiter, style)
    try:
        return Mended(row.read(), row.lines)
    except _Unclosed:
        return None


@lru_cache(maxsize=8)
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A plain cell; what may precede an opening and follow a closing quotation mark."""
    d = re.escape(delimiter)
    space = "[ ]*" if delimiter == "\t" else "[ \t]*"
    return (
        re.compile(f"[^{d}\r\n]*"),
        re.compile(f'{space}"'),
        re.compile(f"{space}(?=[{d}\r\n]|\\Z)"),
    )


class _Row:
    """A row while it is read, cell by cell."""

    def __init__(self, first: str, more: Iterator[str], delimiter: str, style: _Style) -> None:
        self.lines = 1
        self._chars = 0
        self._text = first
        self._place = 0
        self._more = more
        self._delimiter = delimiter
        self._style = style
        self._plain, self._opening, self._closing = _patterns(delimiter)
        self._quotes = _BACKSLASHED_QUOTES if style.backslashes else _QUOTES

    def read(self) -> list[str]:
        """All cells of the row.

        Raises:
            _Unclosed: a quoted cell does not end as it should.
        """
        cells = []
        while True:
            cells.append(self._cell())
            if self._text[self._place : self._place + 1] != self._delimiter:
                return cells
            self._place += 1

    def _cell(self) -> str:
        opening = self._opening.match(self._text, self._place)
        if opening is None:
            return self._rest()
        start = self._place
        self._place = opening.end()
        try:
            return self._quoted()
        except _Unclosed:
            if not self._style.literal:
                raise
            self._place = start
            return self._rest()

    def _rest(self) -> str:
        """Everything up to the next delimiter."""
        plain = self._plain.match(self._text, self._place)
        assert plain is not None  # noqa: S101 (it matches the empty text, too)
        self._place = plain.end()
        return plain.group()

    def _quoted(self) -> str:
        parts: list[str] = []
        self._chars = 0
        while True:
            found = self._quotes.search(self._text, self._place)
            if found is None:
                parts.append(self._text[self._place :])
                self._next_line(parts)
                continue
            parts.append(self._text[self._place : found.start()])
            self._place = found.end()
            if found.group() != QUOTE:
                parts.append(QUOTE)
            elif self._text.startswith(QUOTE, self._place):
                parts.append(QUOTE)
                self._place += 1
            elif closing := self._closing.match(self._text, self._place):
                self._place = closing.end()
                return "".join(parts)
            elif self._style.stray:
                parts.append(QUOTE)
            elif self._style.followed:
                return "".join(parts) + self._rest()
            else:
                raise _Unclosed

    def _next_line(self, parts: list[str]) -> None:
        line = next(self._more, None)
        self._chars += len(parts[-1])  # not their sum: that would take its time at every line
        if line is None or self._chars > _MOST_CHARS:
            raise _Unclosed
        self._text, self._place = line, 0
        self.lines += 1


class Read(NamedTuple):
    """One spreadsheet row of a text.

    Attributes:
        row: 1 for the first; blank rows count.
        cells: as text; none for a blank row.
        lines: physical lines from the start to the end of the row.
        unclosed: it opens a quotation mark that is never closed.
    """

    row: int
    cells: list[str]
    lines: int
    unclosed: bool


class Lines:
    """Physical lines, each with its end (CR, LF or CRLF), that can be given back."""

    def __init__(self, source: Iterator[str]) -> None:
        self._source = source
        self._back: deque[str] = deque()
        self.taken: list[str] = []

    def __iter__(self) -> Lines:
        return self

    def __next__(self) -> str:
        line = self._back.popleft() if self._back else next(self._source)
        self.taken.append(line)
        return line

    def give_back(self, keep: int) -> None:
        """Take back all lines of the present row except the first `keep`."""
        self._back.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]


def lines_of(data: bytes) -> Iterator[str]:
    """The physical lines of a UTF-8 text, each with its own line ending."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")


def records(source: Iterator[str], delimiter: str, width: int | None = None) -> Iterator[Read]:
    """Every spreadsheet row of a text, blank ones too.

    Args:
        source: physical lines with their ends.
        delimiter: one character.
        width: how many cells a row should have, if that is known; a row that has another number
            is read again with backslashed quotation marks.
    """
    lines = Lines(source)
    spaced = re.compile(rf'(?:^|{re.escape(delimiter)})[ \t]+"')
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    row = used = 0
    while True:
        lines.taken.clear()
        unclosed = False
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            lines.give_back(0)
            mended = mend(lines, delimiter, width)
            lines.give_back(mended.lines)
            cells, unclosed = mended.cells, mended.unclosed
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        else:
            first = lines.taken[0]
            if '"' in first and spaced.search(first):
                cells = _again(lines, delimiter, width or len(cells), cells, backslashes=False)
            if width is not None and len(cells) != width and '\\"' in first:
                cells = _again(lines, delimiter, width, cells, backslashes=True)
        row += 1
        used += len(lines.taken)
        yield Read(row, cells, used, unclosed)


def _again(
    lines: Lines, delimiter: str, width: int, cells: list[str], *, backslashes: bool
) -> list[str]:
    """The row as it may be meant, if that fits the header, else as it was read."""
    keep = len(lines.taken)
    lines.give_back(0)
    mended = again(lines, delimiter, width, backslashes=backslashes)
    if mended is not None:
        lines.give_back(mended.lines)
        return mended.cells
    lines.give_back(0)
    for _ in range(keep):
        next(lines)
    return cells


_BACK: Final = 1 << 20


def end_of_rows(text: bytes) -> int:
    """Where the last whole row of a text ends; 0 where none does."""
    end = text.rfind(b"\n")
    if b'"' not in text:
        return end + 1
    marks = text.count(b'"')
    after, edge = 0, len(text)
    while end >= 0:
        after += text.count(b'"', end, edge)
        if (marks - after) % 2 == 0:
            return end + 1
        edge, end = end, text.rfind(b"\n", 0, end)
    return 0


def rows_of(file: BinaryIO, size: int) -> bytes:
    """The next rows of a text, of about that many bytes; nothing if no row ends so soon.

    They are read in one piece and not copied: where they end is looked up before. Only where that
    is inside of quotation marks they are cut once more.

    Args:
        file: open where a row begins; afterwards where the next one does.
        size: bytes.
    """
    start = file.tell()
    file.seek(start + size)
    rest = file.readline(size)
    file.seek(start)
    if not rest.endswith(b"\n"):
        return b""
    text = file.read(size + len(rest))
    if text.count(b'"') % 2:
        text = text[: end_of_rows(text)]
        file.seek(start + len(text))
    return text


def halved(text: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """The parts of a text of whole rows, none of them with many more rows than `most`.

    Returns:
        Each part, with its number of rows; a text of blank lines has many in few bytes.
    """
    count = rows_in(text)
    middle = end_of_rows(text[: len(text) // 2]) if count > most else 0
    if not middle:
        yield text, count
        return
    yield from halved(text[:middle], most)
    yield from halved(text[middle:], most)


def end_of_data(file: BinaryIO, size: int, delimiter: bytes) -> int:
    """Where the last line ends in which a text has more than blanks and delimiters; 0 for none.

    Args:
        file: open, at any place.
        size: bytes of it.
        delimiter: between cells.
    """
    blank, edge = b" \t\r\n" + delimiter, size
    while edge:
        start = max(0, edge - _BACK)
        file.seek(start)
        rest = file.read(edge - start).rstrip(blank)
        if rest:
            file.seek(start + len(rest))
            return start + len(rest) + len(file.readline())
        edge = start
    return 0


def rows_in(text: bytes) -> int:
    """How many rows a text has: its line breaks outside of quotation marks, and what follows."""
    outside = text.split(b'"')[::2] if b'"' in text else [text]
    return sum(part.count(b"\n") for part in outside) + (not text.endswith(b"\n"))
