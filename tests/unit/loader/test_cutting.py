"""A text is cut where a row ends, and where nothing but blanks follows."""

from __future__ import annotations

import io

import pytest

from importer.loader.csv_reader import end_of_data, end_of_rows, halve, read_rows, rows_in


@pytest.mark.parametrize(
    ("text", "end", "rows"),
    [
        (b"a,b", 0, 1),
        (b"a,b\nc", 4, 2),
        (b"a,b\r\nc,d\r\n", 10, 2),
        (b'a,"b\nc"\nd', 8, 2),
        (b'a,"b""\n"\n\nc', 10, 3),
    ],
)
def test_rows_end_outside_of_quotation_marks(text: bytes, end: int, rows: int) -> None:
    """Wherever cells have line breaks."""
    assert end_of_rows(text) == end
    assert rows_in(text) == rows


@pytest.mark.parametrize(
    ("text", "size", "blocks"),
    [
        (b"a,b\nc,d\ne,f\n", 5, [b"a,b\nc,d\n", b""]),
        (b"a,b\r\nc,d\r\ne,f\r\ng", 4, [b"a,b\r\n", b"c,d\r\n", b"e,f\r\n"]),
        (b'"a\nb",c\n"d\ne",f\n', 9, [b'"a\nb",c\n']),
        (b'a,"b\n\n\n\n\n\n"\n', 4, [b""]),
        (b"a,b" * 100, 4, [b""]),
    ],
)
def test_blocks_end_where_rows_do(text: bytes, size: int, blocks: list[bytes]) -> None:
    """One after the other, and the file stands where the next one begins."""
    file = io.BytesIO(text)
    for block in blocks:
        begun = file.tell()
        assert read_rows(file, size) == block
        assert file.tell() == begun + len(block)


@pytest.mark.parametrize("text", [b"a,b\n" * 1_000, b"\n" * 1_000, b'"a\nb",c\n' * 1_000])
def test_parts_have_few_rows(text: bytes) -> None:
    """None many more than wanted, and together they are the text."""
    parts = list(halve(text, 100))
    assert b"".join(part for part, _ in parts) == text
    assert [rows for _, rows in parts] == [rows_in(part) for part, _ in parts]
    assert sum(rows for _, rows in parts) == rows_in(text)
    assert max(rows for _, rows in parts) <= 100


def test_a_row_is_never_cut() -> None:
    """Even if it has more breaks than a part should have rows."""
    text = b'"' + b"\n" * 1_000 + b'",b\nc,d\n'
    assert [part for part, _ in halve(text, 1)] in ([text], [text[:-4], text[-4:]])


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (b"a,b\n", b"a,b\n"),
        (b"a,b", b"a,b"),
        (b"a,b,,\n,,\n \t,\r\n\n", b"a,b,,\n"),
        (b'a,""\n,,\n', b'a,""\n'),
        (b",,\n\n ", b""),
        (b"", b""),
        (b"a\n" + b",\n" * 700_000, b"a\n"),
    ],
)
def test_data_end_before_the_blank_rows(text: bytes, left: bytes) -> None:
    """With the row that has the last cell, whole; however many blank ones follow."""
    assert text[: end_of_data(io.BytesIO(text), len(text), b",")] == left
