"""OpenDocument spreadsheets, read from their XML: values as text, hidden parts, merged cells."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from importer.loader import sheet
from importer.loader.files import member_chunks
from importer.loader.safe_xml import parse
from importer.loader.sheet import Merged, Parts, as_frame, check_extent

if TYPE_CHECKING:
    import zipfile

    import polars as pl

    from importer.settings import Settings

_CONTENT: Final = "content.xml"
_PADDED: Final = re.compile(r"0+[1-9]\d*")
_DURATION: Final = re.compile(r"P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,]\d+)?S)?")
_ASIDE: Final = frozenset({"annotation", "shapes", "frame", "sub-table"})
_TRUTH: Final = frozenset({"TRUE", "FALSE"})
_HIDDEN: Final = frozenset({"collapse", "filter"})
_MOST_COLUMNS: Final = 1 << 14


def sheet_names(book: zipfile.ZipFile) -> list[tuple[str, bool]]:
    """The sheets of a workbook and whether each is visible, in the order of their tabs.

    Raises:
        Refusal: the workbook is damaged.
    """
    invisible: set[str] = set()
    found: list[tuple[str, str]] = []
    style = ""

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal style
        if name == "style":
            style = attributes.get("style:name", "")
        elif name == "table-properties" and attributes.get("table:display") == "false":
            invisible.add(style)
        elif name == "table" and "table:name" in attributes:
            found.append((attributes["table:name"], attributes.get("table:style-name", "")))

    parse(member_chunks(book, _CONTENT), start)
    return [(name, style not in invisible) for name, style in found]


def read(book: zipfile.ZipFile, sheet: str, settings: Settings) -> tuple[pl.DataFrame, Parts]:
    """All cells of a sheet that are not blank, and what it has beside values.

    Returns:
        `#row` and `0`, `1`, ... as text; and the parts.

    Raises:
        Refusal: the workbook is damaged, or the sheet over a limit.
    """
    walk = _Walk(sheet, settings)
    parse(member_chunks(book, _CONTENT), walk.start, walk.end, walk.text)
    width = max(map(len, walk.cells), default=0)
    for cells in walk.cells:
        cells.extend([None] * (width - len(cells)))
    return as_frame(walk.rows, walk.cells), walk.parts


class _Walk:
    """What is known of a sheet while the elements of the document pass by."""

    def __init__(self, sheet: str, settings: Settings) -> None:
        self.rows: list[int] = []
        self.cells: list[list[str | None]] = []
        self.parts = Parts()
        self._sheet = sheet
        self._settings = settings
        self._inside = self._cell = False
        self._aside = 0
        self._row = self._column = 0
        self._line: list[str | None] = []
        self._attributes: dict[str, str] = {}
        self._text: list[str] = []
        self._most = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "table":
            self._inside = attributes.get("table:name") == self._sheet and not self.cells
        elif not self._inside:
            return
        elif name in _ASIDE or self._aside:
            self._aside += 1
        elif name == "table-column":
            count = _count(attributes, "columns-repeated")
            if attributes.get("table:visibility") in _HIDDEN:
                last = min(self._column + count, _MOST_COLUMNS)
                self.parts.hidden_columns.update(range(self._column, last))
            self._column += count
        elif name == "table-row":
            self._line, self._column = [], 0
            self._attributes = attributes
            self._repeat = _count(attributes, "rows-repeated")
            self._hidden = attributes.get("table:visibility") in _HIDDEN
        elif name in {"table-cell", "covered-table-cell"}:
            self._cell, self._attributes, self._text = True, attributes, []
        elif self._cell:
            self._write(name, attributes)

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

    def text(self, data: str) -> None:
        """Text passes by."""
        if self._cell and self._inside and not self._aside:
            self._text.append(data)

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "table":
            self._inside = False
        elif not self._inside:
            return
        elif self._aside:
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
    """A cell as text: numbers with all their digits, dates and times as ISO writes them."""
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
    """A number without exponent and `.0`; with its leading zeros where it is shown with them."""
    if shown in _TRUTH:
        return shown.lower()
    number = sheet.plain(float(value))
    is_padded = _PADDED.fullmatch(shown) is not None and shown.lstrip("0") == number
    return shown if is_padded else number


def _time(value: str) -> str:
    found = _DURATION.fullmatch(value)
    if found is None:
        return value
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return f"{days * 24 + hours:02}:{minutes:02}:{seconds:02}"
