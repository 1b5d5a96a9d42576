"""The exact road: text with delimiters, row by row, whatever is wrong with it."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from importer.loader.quotes import again, mend

if TYPE_CHECKING:
    from collections.abc import Iterator


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
        """Takes back all lines of the present row but the first so many."""
        self._back.extendleft(reversed(self.taken[keep:]))
        del self.taken[keep:]


def lines_of(data: bytes) -> Iterator[str]:
    """The physical lines of a UTF-8 text, each with its end as it stands."""
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
