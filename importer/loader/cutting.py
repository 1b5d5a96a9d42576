"""Where a text of rows may be cut: after a line break outside of quotation marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

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
    """The next rows of a text, of about so many bytes; nothing where none ends so soon.

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
