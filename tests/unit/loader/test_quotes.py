"""Rows whose quotation marks are not as they should be are read as they were meant."""

from __future__ import annotations

import pytest

from importer.loader.csv_reader import records


def read(*lines: str, width: int | None = None) -> list[tuple[int, list[str], bool]]:
    """Return row, cells and whether a quotation mark stays open, for each row of some lines."""
    found = records(iter([f"{line}\n" for line in lines]), ",", width)
    return [(each.row, each.cells, each.unclosed) for each in found]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('1,"a ""b"" c"', ["1", 'a "b" c']),
        (r'1,"a \"b\" c"', ["1", 'a "b" c']),
        (r'1,"a \", b"', ["1", 'a ", b']),
        (r'"C:\",x', ["C:\\", "x"]),
        ('1, "a, b"', ["1", "a, b"]),
        ('1,"a, b" ', ["1", "a, b"]),
        (' "a" , "b" ', ["a", "b"]),
        ("1,5'4\" tall", ["1", "5'4\" tall"]),
        ('1,"Ann "Nan" Lee"', ["1", 'Ann "Nan" Lee']),
        ('"Mary" Ann,"y"', ["Mary Ann", "y"]),
        ('"",""', ["", ""]),
        ('"""",x', ['"', "x"]),
    ],
)
def test_one_line(line: str, cells: list[str]) -> None:
    """Doubled, backslashed and stray quotation marks, and spaces around them."""
    assert read(line, width=2) == [(1, cells, False)]


def test_a_break_in_quotes_is_no_new_row() -> None:
    """Rows count as the spreadsheet program counts them; blank ones count, too."""
    assert read("a,b", '1,"x', "", 'y"', "", "2,z") == [
        (1, ["a", "b"], False),
        (2, ["1", "x\n\ny"], False),
        (3, [], False),
        (4, ["2", "z"], False),
    ]


def test_an_open_quote_ends_with_its_line() -> None:
    """The rows after it stay the rows that they are."""
    assert read('1,"open', '2,"closed"', "3,x") == [
        (1, ["1", '"open'], True),
        (2, ["2", "closed"], False),
        (3, ["3", "x"], False),
    ]


def test_an_open_quote_at_the_end() -> None:
    """Also where no other quotation mark follows at all."""
    assert read("1,a", '2,"open', "3,x") == [
        (1, ["1", "a"], False),
        (2, ["2", '"open'], True),
        (3, ["3", "x"], False),
    ]


def test_backslashes_over_lines() -> None:
    """A cell of several lines may have backslashed quotation marks."""
    assert read(r'1,"a \"b\"', r'c \"d\"",e', "2,f,g", width=3) == [
        (1, ["1", 'a "b"\nc "d"', "e"], False),
        (2, ["2", "f", "g"], False),
    ]


def test_lines_are_counted() -> None:
    """Each row says how many physical lines there are up to its end."""
    found = records(iter(['1,"a\n', 'b"\n', "\n", '2,"c\n', "3,d\n"]), ",")
    assert [(each.row, each.lines) for each in found] == [(1, 2), (2, 3), (3, 4), (4, 5)]


def test_a_tab_is_no_space_where_it_delimits() -> None:
    """With tabs as delimiters only spaces may surround a quoted cell."""
    found = records(iter(['1\t"a"\t\t"b"\n']), "\t")
    assert next(found).cells == ["1", "a", "", "b"]
