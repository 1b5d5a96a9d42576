"""One spreadsheet row out of lines whose quotation marks are not as they should be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

QUOTE: Final = '"'
_QUOTES: Final = re.compile(r'\\"|"')
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


class _Unclosed(Exception):
    """A quoted cell does not end as it should."""


def mend(lines: Iterator[str], delimiter: str) -> Mended:
    """Reads one row that the csv module cannot read, or not as wide as its header.

    In this order: backslashed quotation marks and spaces around quoted cells, over as many lines
    as it takes; stray quotation marks inside a quoted cell of one line (`"Ann "Nan" Lee"`); an
    opening quotation mark that is never closed.

    Args:
        lines: the row's first line and all that follow, with their ends.
        delimiter: one character.
    """
    first = next(lines)
    row = _Row(first, lines, delimiter)
    try:
        return Mended(row.read(strict=True), row.lines)
    except _Unclosed:
        pass
    try:
        return Mended(_Row(first, iter(()), delimiter).read(strict=False), 1)
    except _Unclosed:
        row = _Row(first, iter(()), delimiter)
        return Mended(row.read(strict=False, literal=True), 1, unclosed=True)


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

    def __init__(self, first: str, more: Iterator[str], delimiter: str) -> None:
        self.lines = 1
        self._text = first
        self._place = 0
        self._more = more
        self._delimiter = delimiter
        self._plain, self._opening, self._closing = _patterns(delimiter)

    def read(self, *, strict: bool, literal: bool = False) -> list[str]:
        """All cells of the row.

        Args:
            strict: a quotation mark inside a quoted cell must be doubled or backslashed.
            literal: an opening quotation mark that is never closed is a character.

        Raises:
            _Unclosed: a quoted cell does not end as it should.
        """
        cells = []
        while True:
            cells.append(self._cell(strict=strict, literal=literal))
            if self._text[self._place : self._place + 1] != self._delimiter:
                return cells
            self._place += 1

    def _cell(self, *, strict: bool, literal: bool) -> str:
        opening = self._opening.match(self._text, self._place)
        if opening is not None:
            start = self._place
            self._place = opening.end()
            try:
                return self._quoted(strict=strict)
            except _Unclosed:
                if not literal:
                    raise
                self._place = start
        plain = self._plain.match(self._text, self._place)
        assert plain is not None  # noqa: S101 (it matches the empty text, too)
        self._place = plain.end()
        return plain.group()

    def _quoted(self, *, strict: bool) -> str:
        parts: list[str] = []
        while True:
            found = _QUOTES.search(self._text, self._place)
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
            elif strict:
                raise _Unclosed
            else:
                parts.append(QUOTE)

    def _next_line(self, parts: list[str]) -> None:
        line = next(self._more, None)
        if line is None or sum(map(len, parts)) > _MOST_CHARS:
            raise _Unclosed
        self._text, self._place = line, 0
        self.lines += 1
