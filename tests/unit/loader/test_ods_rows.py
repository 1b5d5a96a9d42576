"""Rows of an ODS: reading the plain ones in bulk gives what parsing all of them gives."""

from __future__ import annotations

import io
import random
import zipfile
from typing import TYPE_CHECKING, Final

import pytest

from importer.loader.ods import read_sheets
from importer.loader.sheet import Parts, Refusal
from importer.settings import Settings

if TYPE_CHECKING:
    import polars as pl

_PLAIN: Final = (
    (
        '<table:table-cell office:value-type="string" calcext:value-type="string">'
        "<text:p>{0} ÄÖ > x</text:p></table:table-cell>"
    ),
    '<table:table-cell office:value-type="string"><text:p>{0}</text:p></table:table-cell>',
    (
        '<table:table-cell table:style-name="ce1" office:value-type="string"><text:p>{0}</text:p>'
        "</table:table-cell>"
    ),
    '<table:table-cell office:value-type="string"><text:p></text:p></table:table-cell>',
    (
        '<table:table-cell office:value-type="float" office:value="44207946{0}"><text:p>44207946{0}'
        "</text:p></table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="float" office:value="2079460018"><text:p>02079460018'
        "</text:p></table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="float" office:value="4420794600"><text:p>+4420794600'
        "</text:p></table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="float" office:value="1.5E3"><text:p>1,500</text:p>'
        "</table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="date" office:date-value="2026-12-0{1}T00:00:00">'
        "<text:p>{1} December</text:p></table:table-cell>"
    ),
    '<table:table-cell office:value-type="time" office:time-value="PT09H3{1}M00S"/>',
    (
        '<table:table-cell office:value-type="boolean" office:boolean-value="true"><text:p>WAHR'
        "</text:p></table:table-cell>"
    ),
    "<table:table-cell/>",
    '<table:table-cell table:style-name="ce2" table:number-columns-repeated="{1}"/>',
    (
        '<table:table-cell table:number-columns-repeated="2" office:value-type="string"><text:p>{0}'
        "</text:p></table:table-cell>"
    ),
    (
        '<table:table-cell table:formula="of:=[.A1]" office:value-type="float" office:value="7">'
        "<text:p>7</text:p></table:table-cell>"
    ),
)
_SPECIAL: Final = (
    (
        '<table:table-cell office:value-type="string"><text:p>O&apos;Brien{0}</text:p>'
        "</table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="string"><text:p>a<text:s/></text:p><text:p>c'
        "</text:p></table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="string"><text:p><text:a xlink:href="mailto:a%40b.c">a'
        "</text:a></text:p></table:table-cell>"
    ),
    (
        '<table:table-cell office:value-type="string" table:number-columns-spanned="2" '
        'table:number-rows-spanned="2"><text:p>{0}</text:p></table:table-cell>'
        "<table:covered-table-cell/>"
    ),
    (
        '<table:table-cell office:value-type="string"><office:annotation><text:p>note</text:p>'
        "</office:annotation><text:p>{0}</text:p></table:table-cell>"
    ),
    '<table:table-cell office:value-type="string" office:string-value="s{0}"/>',
    '<table:table-cell office:value-type="string"><text:p>two\nlines\t</text:p></table:table-cell>',
)
_TAGS: Final = (
    *('<table:table-row table:style-name="ro1">',) * 12,
    "<table:table-row>",
    '<table:table-row table:number-rows-repeated="2">',
    '<table:table-row table:visibility="collapse">',
)
_NAMES: Final = " ".join(
    f'xmlns:{name}="urn:x:{name}"' for name in ("office", "table", "text", "calcext", "xlink")
)


def document(seed: int, rows: int) -> str:
    """Return a document with two sheets."""
    chance = random.Random(seed)
    sheets = []
    for name in ("A", "B"):
        written = []
        for number in range(rows):
            kinds = _PLAIN if chance.random() < 0.8 else _PLAIN + _SPECIAL
            cells = "".join(
                chance.choice(kinds).format(f"{number:04}", chance.randrange(1, 10))
                for _ in range(chance.randrange(1, 8))
            )
            row = f"{chance.choice(_TAGS)}{cells}</table:table-row>"
            if not number:
                row = f"<table:table-header-rows>{row}</table:table-header-rows>"
            written.append(row)
        columns = '<table:table-column table:visibility="collapse"/>'
        sheets.append(f'<table:table table:name="{name}">{columns}{"".join(written)}</table:table>')
    return f"<office:document-content {_NAMES}>{''.join(sheets)}</office:document-content>"


def read(text: str, given: Settings) -> list[tuple[pl.DataFrame, Parts]]:
    """Return cells and parts of every sheet."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("content.xml", text)
    with zipfile.ZipFile(file) as book:
        return [sheet.read() for sheet in read_sheets(book, given)]


def test_plain_rows_are_read_as_by_parsing_everything() -> None:
    """A comment makes the whole document be parsed; a chunk ends in the middle of a row."""
    text = document(3, 6_000)
    whole = read(text.replace("<table:table ", "<!-- all of it --><table:table ", 1), Settings())
    found = read(text, Settings())
    assert len(found) == len(whole) == 2
    for (cells, parts), (expected, its_parts) in zip(found, whole, strict=True):
        assert cells.equals(expected)
        assert parts == its_parts
        assert cells.height > 5_000


@pytest.mark.parametrize("given", [Settings(max_rows=100), Settings(max_columns=10)])
def test_limits_hold_for_plain_rows(given: Settings) -> None:
    """As for the others, with the same words."""
    text = document(3, 300)
    reasons = []
    for each in (text, text.replace("<table:table ", "<!-- all of it --><table:table ", 1)):
        with pytest.raises(Refusal) as refusal:
            read(each, given)
        reasons.append(str(refusal.value))
    assert reasons[0] == reasons[1]


def test_an_element_with_the_name_of_ours_takes_no_row() -> None:
    """Nobody can make two rows change places."""
    row = '<table:table-row><table:table-cell office:value-type="string"><text:p>{}</text:p>'
    end = "</table:table-cell></table:table-row>"
    rows = "".join(f"{row.format(name)}{end}" for name in ("one", "two"))
    text = (
        f"<office:document-content {_NAMES}><table:table table:name='A'>"
        f"<importer-plain-rows count='1'/>{rows}</table:table></office:document-content>"
    )
    ((cells, _),) = read(text, Settings())
    assert cells["0"].to_list() == ["one", "two"]
