"""Where a text of rows may be cut: after a line break outside of quotation marks."""

from __future__ import annotations


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


def rows_in(text: bytes) -> int:
    """How many rows a text has: its line breaks outside of quotation marks, and what follows."""
    outside = text.split(b'"')[::2] if b'"' in text else [text]
    return sum(part.count(b"\n") for part in outside) + (not text.endswith(b"\n"))
