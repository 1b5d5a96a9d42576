"""Read OpenDocument spreadsheets (ODS): values as text, hidden parts, merged cells."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import polars as pl

from importer.loader.files import member_chunks
from importer.loader.safe_xml import parse
from importer.loader.sheet import Merged, Parts, Refusal, as_frame, check_extent, plain
from schemas.codes import Code
from schemas.columns import ROW

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


_ROW_START: Final = "<table:table-row"
_ROW_END: Final = "</table:table-row>"
_CELL: Final = "<table:table-cell"
_PLAIN_ROWS: Final = "importer-plain-rows"
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
_WIDEST: Final = 256
"""Columns of a plain row; a wider one is parsed, so that a chunk of them cannot fill the memory."""


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
        if self.walk.refusal is not None:
            raise self.walk.refusal
        return self.walk.frame(), self.walk.parts


def read_sheets(book: zipfile.ZipFile, settings: Settings) -> list[OdsSheet]:
    """Read the sheet that the settings name, or all visible sheets in tab order.

    Raises:
        Refusal: the workbook is damaged.
    """
    rows = _PlainRows()
    document = _Document(settings, rows)
    parse(rows.take_out(member_chunks(book, _CONTENT)), document.start, document.end, document.text)
    return document.sheets


class _PlainRows:
    """The rows in which every cell has one plain text; they are read in bulk, before parsing.

    A document gets an element instead of them, with how many there were in its place.
    """

    def __init__(self) -> None:
        self._frames: deque[pl.DataFrame] = deque()  # `0`, `1`, ... as text
        self._taken = 0  # rows of the first frame

    def take_out(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Take the plain rows out of a document, chunk by chunk.

        Comments are rare; all after one is left as it is.
        """
        rest, usual, end = b"", True, _ROW_END.encode()
        for chunk in chunks:
            whole, found, rest = (rest + chunk).rpartition(end)
            whole += found
            if len(rest) > _MOST_BYTES_OF_ROW:
                whole, rest = whole + rest, b""
            usual = usual and b"<!" not in whole and _PLAIN_ROWS.encode() not in whole
            try:
                yield self._without_plain_rows(whole.decode()).encode() if usual else whole
            except UnicodeDecodeError:
                usual = False
                yield whole
        yield rest

    def next(self, count: int) -> list[pl.DataFrame]:
        """Return the next rows; the frames may have different columns."""
        found = []
        while count and self._frames:
            part = self._frames[0][self._taken : self._taken + count]
            found.append(part)
            count -= part.height
            self._taken += part.height
            if self._taken == self._frames[0].height:
                self._frames.popleft()
                self._taken = 0
        return found

    def _without_plain_rows(self, text: str) -> str:
        """Take the plain rows out of a part of a document."""
        parts = pl.Series([text]).str.split(_ROW_START).explode()
        plain = parts.str.contains(_PLAIN_CELLS) & (parts.str.len_bytes() < _LONGEST_TEXT)
        plain = plain.scatter([0], values=False)
        if not plain.any():
            return text
        rows, readable = _read_plain(parts.filter(plain))
        plain = plain.scatter(plain.arg_true().filter(~readable), values=False)
        self._frames.append(rows)
        runs = plain.rle().struct.unnest()
        kept, start = [], 0
        for length, is_plain in runs.iter_rows():
            if is_plain:
                kept.append(f'<{_PLAIN_ROWS} count="{length}"/>')
            else:
                kept += [
                    _ROW_START if start else "",
                    _ROW_START.join(parts[start : start + length]),
                ]
            start += length
        return "".join(kept)


def _read_plain(rows: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Read plain rows, from the end of their tag on.

    Returns:
        The cells of the rows that could be read, as `0`, `1`, ...; for each row whether it was:
        it is not too wide, and has no repeated value.
    """
    lists = rows.str.strip_suffix(_ROW_END).str.split(_CELL).list.slice(1)
    lengths = lists.list.len()
    frame = pl.DataFrame([pl.Series("row", range(rows.len())), lists.alias("cell")]).explode("cell")
    cells = frame["cell"]
    is_text = cells.str.starts_with(_TEXT_CELLS[0]) | cells.str.starts_with(_TEXT_CELLS[1])
    values = cells
    for before in _TEXT_CELLS:
        values = values.str.strip_prefix(before)
    values = values.str.strip_suffix(_TEXT_END)
    others, places = cells.filter(~is_text), (~is_text).arg_true()
    read = {cell: _value(dict(_PAIR.findall(cell)), _shown_in(cell)) for cell in others.unique()}
    values = values.scatter(places, [read[cell] for cell in others])
    repeated = others.str.extract(r'number-columns-repeated="([0-9]{1,9})"').cast(pl.Int64)
    counts = pl.Series([1]).new_from_index(0, cells.len()).scatter(places, repeated.fill_null(1))
    ends = counts.cum_sum()
    before_row = ends.gather(lengths.cum_sum() - 1).shift(1, fill_value=0)
    frame = frame.select(
        "row",
        (ends - counts - before_row.gather(frame["row"])).alias("column"),
        values.set(values == "", None).alias("value"),
        counts.alias("count"),
    ).drop_nulls("value")
    odd = frame.filter((pl.col("count") > 1) | (pl.col("column") >= _WIDEST))["row"]
    readable = pl.Series([True]).new_from_index(0, rows.len()).scatter(odd, values=False)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, rows.len())
    columns = {
        column: nothing.clone().scatter(some["row"], some["value"])
        for (column,), some in frame.partition_by("column", as_dict=True).items()
        if column < _WIDEST
    }
    width = max(columns, default=0) + 1
    found = pl.DataFrame([columns.get(n, nothing).alias(str(n)) for n in range(width)])
    return found.filter(readable), readable


def _shown_in(cell: str) -> str:
    return cell.partition("<text:p>")[2].partition("</text:p>")[0]


class _Document:
    """Collects the sheets of a workbook while its XML is parsed."""

    def __init__(self, settings: Settings, rows: _PlainRows) -> None:
        self.sheets: list[OdsSheet] = []
        self._settings = settings
        self._rows = rows
        self._invisible: set[str] = set()
        self._style = ""
        self._depth = 0
        self._walk: _Walk | None = None

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        self._depth += name == "table"
        if name == _PLAIN_ROWS:
            frames = self._rows.next(int(attributes.get("count", "0")))
            if self._walk is not None:
                self._note(self._walk, lambda walk: walk.add(frames))
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
        elif self._walk is not None and name != _PLAIN_ROWS:
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
        self.parts = Parts()
        self.refusal: Refusal | None = None
        self._plain: list[pl.DataFrame] = []
        self._plain_rows: list[int] = []  # the number of each plain row
        self._rows: list[int] = []
        self._cells: list[list[str | None]] = []
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

    def add(self, frames: list[pl.DataFrame]) -> None:
        """Add the next rows, which are plain."""
        if self._aside:
            return
        for frame in frames:
            last = self._row + frame.height
            width = max(self._most, frame.width)
            try:
                check_extent(last, width, self._settings)
            except Refusal:
                self._check_rows(frame)  # its last rows and columns may be empty
            else:
                self._most = max(self._most, _width(frame) if width > self._most else 0)
            self._plain.append(frame)
            self._plain_rows.extend(range(self._row + 1, last + 1))
            self._row = last
        self._cell = False

    def _check_rows(self, frame: pl.DataFrame) -> None:
        """Refuse the first of the next rows that exceeds a limit."""
        for row, cells in enumerate(frame.iter_rows(), self._row + 1):
            filled = [place for place, cell in enumerate(cells, 1) if cell is not None]
            for width in filled:
                check_extent(1, width, self._settings)
            if filled:
                self._most = max(self._most, filled[-1])
                check_extent(row, self._most, self._settings)

    def frame(self) -> pl.DataFrame:
        """Return the rows that have a value: `#row` and `0`, `1`, ... (text)."""
        width = max(map(len, self._cells), default=0)
        for cells in self._cells:
            cells.extend([None] * (width - len(cells)))
        parsed = as_frame(self._rows, self._cells)
        if not self._plain:
            return parsed
        plain = pl.concat(self._plain, how="diagonal")
        plain = plain.insert_column(0, pl.Series(ROW, self._plain_rows, dtype=pl.UInt32))
        plain = plain.filter(~pl.all_horizontal(pl.exclude(ROW).is_null()))
        both = pl.concat([plain, parsed], how="diagonal").sort(ROW)
        return both.select(ROW, *map(str, range(_width(both.drop(ROW)))))

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
            check_extent(rows[-1], self._most, self._settings)
            self._rows.extend(rows)
            self._cells.extend(list(self._line) for _ in rows)
            if self._hidden:
                self.parts.hidden_rows.update(rows)
        self._row += self._repeat


def _width(frame: pl.DataFrame) -> int:
    """Return the position after the last column that has a value."""
    empty = [count == frame.height for count in frame.null_count().row(0)]
    return max((place for place, blank in enumerate(empty, 1) if not blank), default=0)


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
