"""The fast road is taken by regular text, and by nothing else."""

from __future__ import annotations

import codecs

import pytest

from importer.loader import delimited
from importer.loader.delimited import open_text
from importer.loader.sheet import Record
from importer.settings import Settings

HEADER = "Phone,First name,Note\n"


def fast(text: bytes) -> list[tuple[object, ...]] | None:
    """Return what the fast road reads below a header in the first row, if it is taken."""
    header = open_text(text, Settings()).head()[0]
    frame = delimited.read_regular(text, text.index(b"\n") + 1, ",", header)
    return None if frame is None else frame.rows()


@pytest.mark.parametrize(
    ("below", "rows"),
    [
        ("1,Ada,x\n2,Grace,y\n", [(2, "1", "Ada", "x"), (3, "2", "Grace", "y")]),
        ("1,Ada,x\r\n2,Grace,y", [(2, "1", "Ada", "x"), (3, "2", "Grace", "y")]),
        ('1,"A, B","x ""y"""\n', [(2, "1", "A, B", 'x "y"')]),
        ('1,"a\nb",x\n2,c,y\n', [(2, "1", "a\nb", "x"), (3, "2", "c", "y")]),
        ("1,Ada,x\n\n2,b,y\n", [(2, "1", "Ada", "x"), (3, None, None, None), (4, "2", "b", "y")]),
        ("007,1e5, 2024-01-01 \n", [(2, "007", "1e5", " 2024-01-01 ")]),
        ("", []),
    ],
)
def test_regular_text(below: str, rows: list[tuple[object, ...]]) -> None:
    """Every cell is text, on the row that the spreadsheet program shows."""
    assert fast((HEADER + below).encode()) == rows


def test_a_mark_does_not_matter() -> None:
    """A byte-order mark before the header keeps nothing from the fast road."""
    assert fast(codecs.BOM_UTF8 + (HEADER + "1,a,b\n").encode()) == [(2, "1", "a", "b")]


@pytest.mark.parametrize(
    "below",
    [
        "1,Ada\n",  # too few
        "1,Ada,x,y\n",  # too many
        "1,Ada,x,\n",  # too many, empty
        "1,Ada\n2,Grace,x,\n",  # too few here, too many there
        "1\n2,Grace,x,y,",  # the same where the text ends
        "1,Ada,x\r2,Grace,y\n",  # a break that is not the others'
        '1,"Ada,x\n2,Grace,y\n',  # never closed
        '1,"A" b,x\n',  # something after a quoted cell
        '1, "A, b",x\n',  # a space before one
        '1,5",x\n',  # a quotation mark in a plain cell
        '1,"a \\" b",x\n',  # a backslashed one
        '1,"a\n\nb",x\n,,\n',  # blank lines inside a cell and a blank row
        "  \n1,Ada,x\n",  # a blank row of another width
    ],
)
def test_what_is_not_regular(below: str) -> None:
    """Whatever could move a value to another cell is left to the exact road."""
    assert fast((HEADER + below).encode()) is None


def test_the_header_is_where_it_was_found() -> None:
    """Rows count on from the header, wherever it stands."""
    text = b"Candidates\n\nPhone,Name\n1,Ada\n"
    header = Record(3, ["Phone", "Name"], first_line=2, end_line=3)
    frame = delimited.read_regular(text, text.index(b"1,"), ",", header)
    assert frame is not None
    assert frame.rows() == [(4, "1", "Ada")]


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        (b"1,Ada\n2,Grace\n", [(12, "1", "Ada"), (13, "2", "Grace")]),
        (b'"1","A, B"\n\n', [(12, "1", "A, B"), (13, None, None)]),
        (b"1\n2,Grace\n", None),
        (b"1,Ada,x\n2,Grace,y\n", None),
        (b"1,Ada\n2,Grace,y\n", None),
        (b"1,Ada\n2\n", None),
    ],
)
def test_rows_without_their_header(text: bytes, rows: list[tuple[object, ...]] | None) -> None:
    """A text from the middle of a list: as wide as the header, on rows that count on."""
    header = Record(1, ["Phone", "Name"], end_line=1)
    frame = delimited.read_regular(text, 0, ",", header, before=10)
    assert (None if frame is None else frame.rows()) == rows
