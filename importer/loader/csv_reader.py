"""Read the spreadsheet rows of a delimited text, even if its quotation marks are wrong."""

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
class RepairedRow:
    """A row that was read despite wrong quotation marks.

    Attributes:
        cells: the cells as text.
        lines: how many of the given lines belong to it.
        unclosed: a quotation mark was never closed, so it counts as a character, and the row ends
            with its first line.
    """

    cells: list[str]
    lines: int
    unclosed: bool = False


class _Style(NamedTuple):
    """One way of reading quotation marks. All of them allow spaces around quoted cells.

    Attributes:
        backslashes: whether a quotation mark after a backslash is a character.
        stray: whether a quotation mark in the middle of a quoted cell is a character.
        followed: whether text after a quoted cell belongs to the cell.
        literal: whether an opening quotation mark that is never closed is a character.
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
    """A quoted cell has no proper end."""


def repair(lines: Iterator[str], delimiter: str, width: int | None) -> RepairedRow:
    """Read one row that the csv module cannot read.

    These styles are tried in order: spaces around quoted cells, then backslashes before quotation
    marks, both over any number of lines. Then, within one line, stray quotation marks in a cell
    (`"Ann "Nan" Lee"`) and text after a quoted cell (`"Mary" Ann`), whichever gives the width.
    Last, an opening quotation mark that is never closed.

    Args:
        lines: the row's first line and all later lines, with their endings.
        delimiter: one character.
        width: how many cells the row should have; None if unknown.
    """
    first, *_ = taken = [next(lines)]

    def all_lines() -> Iterator[str]:
        yield from taken
        for line in lines:
            taken.append(line)
            yield line

    for style in (_SPACED, _BACKSLASHED):
        repaired = read_in_style(all_lines(), delimiter, style)
        if repaired is not None:
            return repaired
    stray = read_in_style(iter([first]), delimiter, _STRAY)
    followed = read_in_style(iter([first]), delimiter, _FOLLOWED)
    if stray is not None and (width is None or len(stray.cells) == width or followed is None):
        return stray
    if followed is not None:
        return followed
    repaired = read_in_style(iter([first]), delimiter, _LITERAL)
    assert repaired is not None  # noqa: S101 (this style reads every line)
    return RepairedRow(repaired.cells, 1, unclosed=True)


def reread(
    lines: Iterator[str], delimiter: str, width: int, *, backslashes: bool
) -> RepairedRow | None:
    """Read a row in another style, because the csv module may have misread it.

    Args:
        lines: the row's first line and all later lines, with their endings.
        delimiter: one character.
        width: how many cells the row must have in that style.
        backslashes: whether a quotation mark after a backslash is a character in that style.

    Returns:
        The row; None if that style does not fit.
    """
    repaired = read_in_style(lines, delimiter, _BACKSLASHED if backslashes else _SPACED)
    return repaired if repaired is not None and len(repaired.cells) == width else None


def read_in_style(lines: Iterator[str], delimiter: str, style: _Style) -> RepairedRow | None:
    """Read a row in one style; None if it does not fit."""
    row = _Row(next(lines), lines, delimiter, style)
    try:
        return RepairedRow(row.read(), row.lines)
    except _Unclosed:
        return None


@lru_cache(maxsize=8)
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return patterns: a plain cell, what may precede an opening mark, and follow a closing one."""
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
        """Read all cells of the row.

        Raises:
            _Unclosed: a quoted cell has no proper end.
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
        """Read everything up to the next delimiter."""
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
        self._chars += len(parts[-1])  # adding up all parts every time would be slow
        if line is None or self._chars > _MOST_CHARS:
            raise _Unclosed
        self._text, self._place = line, 0
        self.lines += 1


class Read(NamedTuple):
    """One spreadsheet row of a text.

    Attributes:
        row: the number of the row, from 1; blank rows count.
        cells: the cells as text; none for a blank row.
        lines: physical lines from the start of the text to the end of the row.
        unclosed: whether the row has a quotation mark that is never closed.
    """

    row: int
    cells: list[str]
    lines: int
    unclosed: bool


class Lines:
    """Physical lines, each with its ending (CR, LF or CRLF), that can be given back."""

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
        """Return all lines of the present row except the first `keep` to the source."""
        self._back.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]


def split_lines(data: bytes) -> Iterator[str]:
    """Split a UTF-8 text into physical lines, each with its own ending."""
    return io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline="")


def records(source: Iterator[str], delimiter: str, width: int | None = None) -> Iterator[Read]:
    """Yield every spreadsheet row of a text, including blank ones.

    Args:
        source: physical lines with their endings.
        delimiter: one character.
        width: how many cells a row should have; None if unknown. A row of another width is read
            again, with backslashes before quotation marks.
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
            repaired = repair(lines, delimiter, width)
            lines.give_back(repaired.lines)
            cells, unclosed = repaired.cells, repaired.unclosed
            reader = csv.reader(lines, delimiter=delimiter, strict=True)
        else:
            first = lines.taken[0]
            if '"' in first and spaced.search(first):
                cells = _reread_or_keep(
                    lines, delimiter, width or len(cells), cells, backslashes=False
                )
            if width is not None and len(cells) != width and '\\"' in first:
                cells = _reread_or_keep(lines, delimiter, width, cells, backslashes=True)
        row += 1
        used += len(lines.taken)
        yield Read(row, cells, used, unclosed)


def _reread_or_keep(
    lines: Lines, delimiter: str, width: int, cells: list[str], *, backslashes: bool
) -> list[str]:
    """Return the cells in another style if they fit the header, or else as they were read."""
    keep = len(lines.taken)
    lines.give_back(0)
    repaired = reread(lines, delimiter, width, backslashes=backslashes)
    if repaired is not None:
        lines.give_back(repaired.lines)
        return repaired.cells
    lines.give_back(0)
    for _ in range(keep):
        next(lines)
    return cells


_BACK: Final = 1 << 20


def end_of_rows(text: bytes) -> int:
    """Return where the last complete row of a text ends; 0 if there is none."""
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


def read_rows(file: BinaryIO, size: int) -> bytes:
    """Read the next complete rows of a text; nothing if no row ends within about `size` bytes.

    The end of the last row is looked up first, so that the rows are read in one piece and not
    copied. If that end is inside quotation marks, the piece is cut once more.

    Args:
        file: must be at the beginning of a row, and is left at the beginning of the next one.
        size: bytes, about.
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


def halve(text: bytes, most: int) -> Iterator[tuple[bytes, int]]:
    """Halve a text of complete rows until no part has many more rows than `most`.

    A text of short or blank lines has many rows in few bytes.

    Returns:
        Each part with its number of rows.
    """
    count = rows_in(text)
    middle = end_of_rows(text[: len(text) // 2]) if count > most else 0
    if not middle:
        yield text, count
        return
    yield from halve(text[:middle], most)
    yield from halve(text[middle:], most)


def end_of_data(file: BinaryIO, size: int, delimiter: bytes) -> int:
    """Return where the last line ends that has more than blanks and delimiters; 0 if none has.

    Args:
        file: open, at any position.
        size: the size of the file, in bytes.
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
    """Count the rows of a text: line breaks outside quotation marks, and an unfinished last row."""
    outside = text.split(b'"')[::2] if b'"' in text else [text]
    return sum(part.count(b"\n") for part in outside) + (not text.endswith(b"\n"))
