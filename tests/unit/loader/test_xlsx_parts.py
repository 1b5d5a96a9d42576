"""The parts of an XLSX sheet: leaving out plain rows and cells before parsing changes nothing."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Final

import pytest

from importer.loader import xlsx
from importer.loader.office_package import Package, SheetName
from importer.loader.sheet import Parts, Refusal
from importer.settings import Settings

_ROWS: Final = 4_000
_HEAD: Final = (
    '<worksheet><sheetFormatPr defaultRowHeight="15"/>'
    '<cols><col min="2" max="3" width="9" hidden="1"/><col min="4" max="4" width="0"/></cols>'
    "<sheetData>"
)
_GAP: Final = "<row/>" * 400_000  # longer than a chunk
_TAIL: Final = (
    '</sheetData><mergeCells><mergeCell ref="A2:A5"/></mergeCells>'
    '<hyperlinks><hyperlink ref="C2" r:id="rId1"/></hyperlinks></worksheet>'
)
_STYLES: Final = (
    '<styleSheet><numFmts><numFmt numFmtId="170" formatCode="&quot;+&quot;0"/></numFmts>'
    '<cellXfs><xf numFmtId="0"/><xf numFmtId="170"/><xf numFmtId="46"/></cellXfs></styleSheet>'
)
_RELATIONS: Final = (
    '<Relationships><Relationship Id="rId1" TargetMode="External" '
    'Type="http://schemas.example/hyperlink" Target="mailto:ada@example.org"/></Relationships>'
)
_CELLS: Final = (
    '<c r="{0}" t="s"><v>7</v></c>',
    '<c r="{0}" t="inlineStr"><is><t>García &lt;f&gt; row hidden</t></is></c>',
    '<c r="{0}" s="3"/>',
    '<c r="{0}"/>',
    '<c r="{0}"><v>12</v></c>',
    '<c r="{0}" s="1"><v>442079460018</v></c>',
    '<c s="2" r="{0}"><v>10.5</v></c>',
    '<c r="{0}" t="e"><v>#DIV/0!</v></c>',
    '<c r="{0}"><f>A1+1</f><v>3</v></c>',
    '<c r="{0}"><f>A1+1</f></c>',
    '<c r="{0}"><f>A1+1</f><v></v></c>',
    '<c r="{0}"><f t="shared" si="0"/><v/></c>',
    '<c r="{0}" t="str"><f>A1</f><v></v></c>',
    '<c r="{0}" t="str"><f>HYPERLINK("mailto:bo@example.org","Bo")</f><v>Bo</v></c>',
)
_ROW_TAGS: Final = (*('<row r="{0}">',) * 20, '<row r="{0}" spans="1:9" hidden="1">')
_ODD_ROW_TAGS: Final = ('<row r="{0}" ht="0.0">', '<row hidden="true" r="{0}">', '<row ht="15">')


def sheet(seed: int, *, plain: float, odd_tags: bool) -> str:
    """Return a sheet in which a part of the cells has only values."""
    chance = random.Random(seed)
    tags = _ROW_TAGS + (_ODD_ROW_TAGS if odd_tags else ())
    rows = []
    for row in range(1, _ROWS):
        cells = [
            chance.choice(_CELLS[:5] if chance.random() < plain else _CELLS).format(
                f"{column}{row}"
            )
            for column in "ABCDEFGHI"
        ]
        if odd_tags and chance.random() < 0.01:
            cells[chance.randrange(9)] = "<c><v>1</v></c>"
        rows.append(chance.choice(tags).format(row) + "".join(cells) + "</row>")
    return _HEAD + "".join(rows) + _TAIL


def parts_of(text: str) -> Parts:
    """Return what is read from a workbook with this sheet."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as book:
        book.writestr("xl/worksheets/sheet1.xml", text)
        book.writestr("xl/worksheets/_rels/sheet1.xml.rels", _RELATIONS)
        book.writestr("xl/styles.xml", _STYLES)
    name = SheetName("A", "xl/worksheets/sheet1.xml", visible=True)
    with zipfile.ZipFile(file) as book:
        package = Package(book, (name,), None, "xl/styles.xml", since_1904=False, usual=True)
        assert xlsx.check_sheet(package, name, Settings())
        return xlsx.read_parts(package, name, xlsx.special_formats(package))


@pytest.mark.parametrize("plain", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("odd_tags", [False, True])
def test_the_same_parts_are_found_as_by_parsing_everything(plain: float, *, odd_tags: bool) -> None:
    """A comment makes the whole sheet be parsed."""
    text = sheet(7, plain=plain, odd_tags=odd_tags)
    found = parts_of(text)
    assert found == parts_of(text.replace("<sheetData>", "<!-- all of it --><sheetData>"))
    assert found.shown
    assert found.hidden_rows
    assert found.links[2, 2] == "mailto:ada@example.org"


@pytest.mark.parametrize(
    ("cell", "detail"),
    [
        ('<c r="AAA5"><v>1</v></c>', "703 columns"),
        ('<c r="C40"><v>1</v></c>', "40 rows"),
        ('<c r="AAA5" s="1"/><c r="C40" s="1"/>', None),
    ],
)
def test_a_cell_far_out_is_found_in_any_place(cell: str, detail: str | None) -> None:
    """An empty one with a format does not count."""
    usual = "".join(f'<c r="{column}{{0}}"><v>1</v></c>' for column in "ABC")
    rows = "".join(f'<row r="{row}">{usual.format(row)}</row>' for row in range(1, 21))
    text = f"{_HEAD}{rows}{_GAP}<row r='21'>{cell}</row>{_GAP}{rows}{_TAIL}"
    given = Settings(max_rows=30, max_columns=700)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("a.xml", text)
    name = SheetName("A", "a.xml", visible=True)
    with zipfile.ZipFile(file) as book:
        package = Package(book, (name,), None, None, since_1904=False, usual=True)
        if detail is None:
            assert xlsx.check_sheet(package, name, given)
        else:
            with pytest.raises(Refusal, match=detail):
                xlsx.check_sheet(package, name, given)


def test_rows_are_counted_again_if_a_later_row_is_wider() -> None:
    """The wider a sheet is, the fewer rows fit into the limit on bytes."""
    narrow = "".join(f'<row r="{row}"><c r="A{row}"><v>1</v></c></row>' for row in range(1, 90_000))
    text = f"{_HEAD}{narrow}<row r='90000'><c r='Z90000'><v>1</v></c></row>{_TAIL}"
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("a.xml", text)
    name = SheetName("A", "a.xml", visible=True)
    with zipfile.ZipFile(file) as book:
        package = Package(book, (name,), None, None, since_1904=False, usual=True)
        with pytest.raises(Refusal, match="26 columns"):
            xlsx.check_sheet(package, name, Settings(max_expanded_bytes=60_000_000))


def test_usual_links_are_those_that_parsing_finds() -> None:
    """Excel's own spelling is read at once; another one, and a comment, make it be parsed."""
    relation = (
        '<Relationship Id="r{0}" Type="http://schemas.example/hyperlink" '
        'Target="mailto:a{0}%40example.org" TargetMode="External"/>'
    )
    odd = '<Relationship TargetMode="External" Type="x/hyperlink" Target="tel:1&amp;2" Id="odd"/>'
    relations = f"<Relationships>{''.join(map(relation.format, range(9)))}{odd}</Relationships>"
    links = "".join(
        f'<hyperlink ref="C{row}:D{row}" r:id="r{row}" tooltip="Write" xr:uid="{{0}}"/>'
        for row in range(1, 9)
    )
    text = (
        f'<worksheet><hyperlinks>{links}<hyperlink r:id="odd" ref="A1"/></hyperlinks></worksheet>'
    )
    found = []
    for comment in ("", "<!-- all of it -->"):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as book:
            book.writestr("a.xml", text.replace("<hyperlinks>", f"{comment}<hyperlinks>"))
            book.writestr("_rels/a.xml.rels", relations.replace("<Rel", f"{comment}<Rel"))
        name = SheetName("A", "a.xml", visible=True)
        with zipfile.ZipFile(file) as book:
            package = Package(book, (name,), None, None, since_1904=False, usual=True)
            found.append(xlsx.read_parts(package, name, {}).links)
    assert found[0] == found[1]
    assert found[0] == {(1, 0): "tel:1&2"} | {
        (row, 2): f"mailto:a{row}@example.org" for row in range(1, 9)
    }
