"""Read OpenDocument spreadsheets (ODS): values as text, hidden parts, merged cells."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias
from urllib.parse import unquote

import polars as pl

from importer.loader.files import member_chunks
from importer.loader.safe_xml import parse
from importer.loader.sheet import Merged, Parts, Refusal, as_frame, check_extent, plain
from schemas.codes import Code

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Callable, Iterator

    from importer.settings import Settings

_CONTENT: Final = "content.xml"
_PHONE_LIKE: Final = re.compile(r"[+(]?\d[\d ()/-]*|[(+]{2}\d[\d ()/-]*")
_LONGEST_TEXT: Final = 1 << 20
_DURATION: Final = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,]\d+)?S)?")
_ASIDE: Final = frozenset({"annotation", "shapes", "frame", "sub-table"})
_TRUTH: Final = frozenset({"TRUE", "FALSE"})
_HIDDEN: Final = frozenset({"collapse", "filter"})
_MOST_COLUMNS: Final = 1 << 14


_ROW: Final = "<table:table-row"
_ROW_END: Final = "</table:table-row>"
_CELL: Final = "<table:table-cell"
_PLAIN_ROW: Final = "importer-plain-row"
_PLAIN_TEXT: Final = r"[^<&\x00-\x1f]*"
_ATTRIBUTE: Final = (
    r" (?:table:(?:style-name|formula|content-validation-name|number-columns-repeated)"
    r"|calcext:value-type|office:(?:value-type|value|currency|date-value|time-value|boolean-value))"
    r'="[^"<>&\x00-\x1f]*"'
)
_PLAIN_CELLS: Final = (
    r'^(?: table:(?:default-cell-)?style-name="[^"<>&\x00-\x1f]*")*>'
    rf"(?:{_CELL}(?:{_ATTRIBUTE})*(?:/>|>(?:<text:p>{_PLAIN_TEXT}</text:p>)?</table:table-cell>))+"
    rf"{_ROW_END}$"
)
_TEXT_CELLS: Final = (
    ' office:value-type="string" calcext:value-type="string"><text:p>',
    ' office:value-type="string"><text:p>',
)
_TEXT_END: Final = "</text:p></table:table-cell>"
_PAIR: Final = re.compile(r' ([a-z:-]+)="([^"]*)"')
_MOST_BYTES_OF_ROW: Final = 1 << 22
_Row: TypeAlias = tuple[list[str | None], list[int]]
"""Values of cells, and how often each is repeated."""


@dataclass(frozen=True, slots=True, eq=False)
class OdsSheet:
    """One sheet.

    Attributes:
        name: the name on its tab.
        visible: whether the spreadsheet program shows its tab.
        walk: the walk over its content.
    """

    name: str
    visible: bool
    walk: _Walk = field(repr=False)

    def read(self) -> tuple[pl.DataFrame, Parts]:
        """Return the cells as `#row` and `0`, `1`, ... (text), and the parts.

        Raises:
            Refusal: the sheet is over a limit.
        """
        walk = self.walk
        if walk.refusal is not None:
            raise walk.refusal
        width = max(map(len, walk.cells), default=0)
        for cells in walk.cells:
            cells.extend([None] * (width - len(cells)))
        return as_frame(walk.rows, walk.cells), walk.parts


def read_sheets(book: zipfile.ZipFile, settings: Settings) -> list[OdsSheet]:
    """Read the sheet that the settings name, or all visible sheets in tab order.

    Raises:
        Refusal: the workbook is damaged.
    """
    rows: deque[_Row] = deque()
    document = _Document(settings, rows)
    chunks = _take_plain_rows(member_chunks(book, _CONTENT), rows)
    parse(chunks, document.start, document.end, document.text)
    return document.sheets


def _take_plain_rows(chunks: Iterator[bytes], rows: deque[_Row]) -> Iterator[bytes]:
    """Take the rows in which every cell has one plain text out of a document before parsing.

    An empty element is left for each of them. Comments are rare; all after one is parsed.

    Args:
        chunks: the document.
        rows: gets the cells of these rows.
    """
    rest, usual, end = b"", True, _ROW_END.encode()
    for chunk in chunks:
        whole, found, rest = (rest + chunk).rpartition(end)
        whole += found
        if len(rest) > _MOST_BYTES_OF_ROW:
            whole, rest = whole + rest, b""
        usual = usual and b"<!" not in whole and _PLAIN_ROW.encode() not in whole
        try:
            yield _without_plain_rows(whole.decode(), rows).encode() if usual else whole
        except UnicodeDecodeError:
            usual = False
            yield whole
    yield rest


def _without_plain_rows(text: str, rows: deque[_Row]) -> str:
    """Take the plain rows out of a part of a document."""
    parts = pl.Series([text]).str.split(_ROW).explode()
    plain = parts.str.contains(_PLAIN_CELLS) & (parts.str.len_bytes() < _LONGEST_TEXT)
    plain = plain.scatter([0], values=False)
    if not plain.any():
        return text
    rows.extend(_read_plain(parts.filter(plain)))
    kept = (_ROW + parts).scatter([0], parts.head(1))
    return "".join(kept.zip_with(~plain, pl.Series([f"<{_PLAIN_ROW}/>"])))


def _read_plain(rows: pl.Series) -> Iterator[_Row]:
    """Read plain rows, from the end of their tag on."""
    lists = rows.str.strip_suffix(_ROW_END).str.split(_CELL).list.slice(1)
    cells = lists.explode()
    is_text = cells.str.starts_with(_TEXT_CELLS[0]) | cells.str.starts_with(_TEXT_CELLS[1])
    values = cells
    for before in _TEXT_CELLS:
        values = values.str.strip_prefix(before)
    values = values.str.strip_suffix(_TEXT_END)
    others, places = cells.filter(~is_text), (~is_text).arg_true()
    read = {cell: _value(dict(_PAIR.findall(cell)), _shown_in(cell)) for cell in others.unique()}
    values = values.scatter(places, [read[cell] for cell in others])
    repeats = pl.Series([1]).new_from_index(0, cells.len())
    given = others.str.extract(r'number-columns-repeated="([0-9]+)"').cast(pl.Int64).fill_null(1)
    texts = values.set(values == "", None).to_list()
    counts, end = repeats.scatter(places, given).to_list(), 0
    for length in lists.list.len():
        start, end = end, end + length
        yield texts[start:end], counts[start:end]


def _shown_in(cell: str) -> str:
    return cell.partition("<text:p>")[2].partition("</text:p>")[0]


class _Document:
    """Collects the sheets of a workbook while its XML is parsed."""

    def __init__(self, settings: Settings, rows: deque[_Row]) -> None:
        self.sheets: list[OdsSheet] = []
        self._settings = settings
        self._rows = rows  # those that were taken out of the document
        self._invisible: set[str] = set()
        self._style = ""
        self._depth = 0
        self._walk: _Walk | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self._depth += name == "table"
        if name == _PLAIN_ROW and self._rows:
            row = self._rows.popleft()
            if self._walk is not None:
                self._note(self._walk, lambda walk: walk.add(row))
        elif name == "style":
            self._style = attributes.get("style:name", "")
        elif name == "table-properties" and attributes.get("table:display") == "false":
            self._invisible.add(self._style)
        elif name == "table" and self._depth == 1:
            self._start_sheet(attributes)
        elif self._walk is not None:
            self._note(self._walk, lambda walk: walk.start(name, attributes))

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        self._depth -= name == "table"
        if not self._depth:
            self._walk = None
        elif self._walk is not None and name != _PLAIN_ROW:
            self._note(self._walk, lambda walk: walk.end(name))

    def text(self, data: str) -> None:
        """Collect text."""
        if self._walk is not None:
            self._note(self._walk, lambda walk: walk.text(data))

    def _start_sheet(self, attributes: dict[str, str]) -> None:
        name = attributes.get("table:name", "")
        visible = attributes.get("table:style-name", "") not in self._invisible
        walk = _Walk(self._settings)
        self.sheets.append(OdsSheet(name, visible, walk))
        wanted = self._settings.sheet
        self._walk = walk if (visible if wanted is None else name == wanted) else None

    def _note(self, walk: _Walk, act: Callable[[_Walk], None]) -> None:
        """Stop reading a sheet that exceeds a limit, and continue with the next."""
        try:
            act(walk)
        except Refusal as refusal:
            walk.refusal = refusal
            self._walk = None


class _Walk:
    """Collects the cells of a sheet while its XML is parsed.

    Attributes:
        refusal: why reading the sheet was stopped, or None.
    """

    def __init__(self, settings: Settings) -> None:
        self.rows: list[int] = []
        self.cells: list[list[str | None]] = []
        self.parts = Parts()
        self.refusal: Refusal | None = None
        self._settings = settings
        self._cell = False
        self._aside = 0
        self._row = self._column = 0
        self._line: list[str | None] = []
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []
        self._length = 0
        self._link = ""
        self._most = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if name in _ASIDE or self._aside:
            self._aside += 1
        elif name == "table-column":
            count = _count(attributes, "columns-repeated")
            if attributes.get("table:visibility") in _HIDDEN:
                last = min(self._column + count, _MOST_COLUMNS)
                self.parts.hidden_columns.update(range(self._column, last))
            self._column += count
        elif name == "table-row":
            self._line, self._column = [], 0
            self._repeat = _count(attributes, "rows-repeated")
            self._hidden = attributes.get("table:visibility") in _HIDDEN
        elif name in {"table-cell", "covered-table-cell"}:
            self._cell, self._attributes, self._text = True, attributes, []
            self._length, self._link = 0, ""
        elif self._cell:
            self._write(name, attributes)

    def add(self, row: _Row) -> None:
        """Add a whole row of plain cells."""
        if self._aside:
            return
        self._line, self._repeat, self._hidden = [], 1, False
        values, repeats = row
        while values and values[-1] is None:
            del values[-1]
        if repeats[: len(values)].count(1) == len(values):
            self._line = values
        else:
            for value, repeat in zip(values, repeats, strict=False):
                check_extent(1, len(self._line) + repeat, self._settings)
                self._line.extend([value] * max(1, repeat))
        check_extent(1, len(self._line), self._settings)
        self._cell = False
        self._end_row()

    def _write(self, name: str, attributes: dict[str, str]) -> None:
        if name == "p" and self._text:
            self._text.append("\n")
        elif name == "p":
            self._text.append("")
        elif name == "s":
            self._text.append(" " * min(int(attributes.get("text:c", "1")), 10_000))
        elif name == "tab":
            self._text.append("\t")
        elif name == "line-break":
            self._text.append("\n")
        elif name == "a":
            self._link = attributes.get("xlink:href", "")

    def text(self, data: str) -> None:
        """Collect text."""
        if self._cell and not self._aside:
            self._length += len(data)
            if self._length > _LONGEST_TEXT:
                detail = f"a cell has more than {_LONGEST_TEXT:,} characters"
                raise Refusal(Code.FILE_TOO_LARGE, detail)
            self._text.append(data)

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if self._aside:
            self._aside -= 1
        elif name == "table-cell":
            self._end_cell(_value(self._attributes, "".join(self._text)))
        elif name == "covered-table-cell":
            self._end_cell(None)
        elif name == "table-row":
            self._end_row()

    def _end_cell(self, value: str | None) -> None:
        self._cell = False
        repeat = _count(self._attributes, "columns-repeated")
        if self._link:
            self.parts.links[self._row + 1, self._column] = unquote(self._link)
        if value:
            width = self._column + repeat
            check_extent(1, width, self._settings)
            self._line.extend([None] * (self._column - len(self._line)))
            self._line.extend([value] * repeat)
            down = _count(self._attributes, "rows-spanned")
            right = _count(self._attributes, "columns-spanned")
            if down > 1 or right > 1:
                top, left = self._row + 1, self._column
                self.parts.merged.append(Merged(top, left, top + down - 1, left + right - 1))
        self._column += repeat

    def _end_row(self) -> None:
        if self._line:
            rows = range(self._row + 1, self._row + self._repeat + 1)
            self._most = max(self._most, len(self._line))
            check_extent(max(rows[-1], len(self.rows)), self._most, self._settings)
            self.rows.extend(rows)
            self.cells.extend(list(self._line) for _ in rows)
            if self._hidden:
                self.parts.hidden_rows.update(rows)
        self._row += self._repeat


def _count(attributes: dict[str, str], what: str) -> int:
    return max(1, int(attributes.get(f"table:number-{what}", "1")))


def _value(attributes: dict[str, str], shown: str) -> str | None:
    """Return a cell as text: numbers with all digits, dates and times in ISO form."""
    kind = attributes.get("office:value-type", "")
    if kind in {"float", "percentage", "currency"}:
        return _number(attributes.get("office:value", ""), shown)
    if kind == "date":
        moment = attributes.get("office:date-value", "")
        return re.sub(r"(T\d\d:\d\d:\d\d)[.,]\d+$", r"\1", moment).removesuffix("T00:00:00")
    if kind == "time":
        return _time(attributes.get("office:time-value", ""))
    if kind == "boolean":
        return attributes.get("office:boolean-value")
    return shown or attributes.get("office:string-value") or None


def _number(value: str, shown: str) -> str:
    """Return a number without exponent or `.0`, with the digits and `+` that its format adds."""
    if shown in _TRUTH:
        return shown.lower()
    number = plain(float(value))
    if not number.isdigit() or not _PHONE_LIKE.fullmatch(shown):
        return number
    digits = "".join(filter(str.isdigit, shown))
    if not digits.endswith(number) or (digits.lstrip("0") == number and "+" not in shown):
        return number.zfill(len(digits)) if digits.endswith(number) else number
    return shown


def _time(value: str) -> str:
    found = _DURATION.fullmatch(value)
    if found is None:
        return value
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return f"{days * 24 + hours:02}:{minutes:02}:{seconds:02}"
