"""Which delimiter a text has: the one that gives headers we know and rows of one width."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Final

import polars as pl

from importer import problems
from importer.loader.csv_reader import end_of_data, lines_of, records
from importer.loader.encoding import (
    DOUBT,
    Encoding,
    as_utf8,
    detect_encoding,
    is_text,
    refuse_other_formats,
)
from importer.loader.headers import columns_named
from importer.loader.sheet import (
    Cells,
    Record,
    Refusal,
    as_frame,
    named_width,
    schema,
    too_many_rows,
)
from schemas.codes import WORDS, Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from importer.loader.csv_reader import Read
    from importer.settings import Settings


DELIMITERS: Final = (",", ";", "\t", "|", "^")
_RARE: Final = ("~", "\x1f", "\x01", "¦", "§", "#", ":", "*", "/", "!", "·")
"""Delimiters that are tried only if none of the usual ones shows a column that is known."""
_SAID: Final = re.compile(r'\A"?sep=([^\r\n"])"?[ \t,;|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_ROWS: Final = 100
_HEADER_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text is delimited.

    Attributes:
        delimiter: one character.
        said: the first line is `sep=` and the delimiter, no row.
    """

    delimiter: str
    said: bool = False


def detect_dialect(head: str, overrides: Mapping[str, str]) -> Dialect:
    """Finds the delimiter.

    Args:
        head: the first lines of the text, whole.
        overrides: header -> column, as in the settings: these headers are known, too.
    """
    said = _SAID.match(head)
    if said is not None:
        return Dialect(said.group(1), said=True)
    fits = {delimiter: _fit(head, delimiter, overrides) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=fits.__getitem__)
    if not fits[best][0]:
        fits |= {delimiter: _fit(head, delimiter, overrides) for delimiter in _RARE}
        best = max((best, *_RARE), key=lambda each: fits[each][0])
    return Dialect(best)


def _fit(head: str, delimiter: str, overrides: Mapping[str, str]) -> tuple[int, float, int]:
    """How well a delimiter explains the first rows: known headers, even rows, width."""
    read = islice(records(iter(io.StringIO(head, newline="")), delimiter), _ROWS)
    rows = [record.cells for record in read if any(map(str.strip, record.cells))]
    if not rows:
        return 0, 0.0, 0
    known = [len(columns_named(cells, overrides)) for cells in rows[:_HEADER_ROWS]]
    header = known.index(max(known))
    width = len(rows[header])
    return max(known), _evenness(rows[header:], width), width


def _evenness(rows: Sequence[Sequence[str]], width: int) -> float:
    return sum(len(cells) == width for cells in rows) / len(rows)


_BATCH: Final = 4_000


def read_exact(rows: Iterator[Read], header: Record, max_rows: int) -> Cells:
    """Reads the rows below a header.

    A row with cells beyond the header, or without all of those that have one, is a problem; it
    keeps what is under the header. Empty cells at its end are no fault.

    Args:
        rows: every row of the text, those above the header too.
        header: the header row.
        max_rows: how many may follow.

    Raises:
        Refusal: there are more.
    """
    width, named = len(header.cells), named_width(header.cells)
    below = (row for row in rows if row.row > header.row)
    frames = [pl.DataFrame(schema=schema(width))]
    faults = _Faults()
    count = 0
    while batch := list(islice(below, _BATCH)):
        count += len(batch)
        if count > max_rows:
            raise too_many_rows(max_rows)
        cells = []
        for row in batch:
            if row.unclosed:
                faults.add(row.row, Code.QUOTE_UNCLOSED)
            if len(row.cells) == width:
                cells.append(row.cells)
            else:
                cells.append(_fitted(row, width, named, faults))
        frames.append(as_frame([row.row for row in batch], cells))
    return Cells(pl.concat(frames), faults.problems())


def _fitted(row: Read, width: int, named: int, faults: _Faults) -> list[str]:
    """The cells of a row that has another number than the header, and the fault if it is one."""
    cells, filled = row.cells, named_width(row.cells)
    if filled > width:
        detail = f"{_cells(filled)} where the header has {width}"
        faults.add(row.row, Code.ROW_RAGGED, " | ".join(cells[width:filled]), detail)
    elif filled and len(cells) < named:
        detail = f"{_cells(len(cells))} where the header has {named}"
        faults.add(row.row, Code.ROW_RAGGED, "", detail)
    return cells[:width] + [""] * (width - len(cells))


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


class _Faults:
    """What is wrong with rows, in columns: every row may have something."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._codes: list[str] = []
        self._values: list[str] = []
        self._details: list[str] = []

    def add(self, row: int, code: Code, value: str = "", detail: str = "") -> None:
        """Remembers a fault."""
        self._rows.append(row)
        self._codes.append(code.value)
        self._values.append(value)
        self._details.append(detail)

    def problems(self) -> pl.DataFrame:
        """A problem frame of all faults, made at once."""
        count = len(self._rows)
        severities = {code.value: words.severity.value for code, words in WORDS.items()}
        return pl.DataFrame(
            {
                SOURCE: [0] * count,
                ROW: self._rows,
                "column": [None] * count,
                "code": self._codes,
                "severity": [severities[code] for code in self._codes],
                "value": self._values,
                "detail": self._details,
            },
            schema=problems.SCHEMA,
        )


_BLANK_LINE: Final = re.compile(rb"(?<=\n)\r?\n")


@lru_cache(maxsize=8)
def _well_quoted(delimiter: bytes) -> re.Pattern[bytes]:
    """Text in which every quotation mark opens, doubles or closes a cell."""
    d = re.escape(delimiter)
    return re.compile(
        rb'[^"]*+(?:(?<![^' + d + rb'\n])"[^"]*+(?:""[^"]*+)*+"(?=[' + d + rb'\r\n]|\Z)[^"]*+)*+\Z'
    )


def read_regular(
    data: bytes, start: int, delimiter: str, header: Record, before: int = 0
) -> pl.DataFrame | None:
    """Reads the rows below a header, if every one of them is regular.

    Regular is: UTF-8; ends of lines LF or CRLF; quotation marks only around cells and doubled in
    them; as many cells in every row as in the header, or none at all. Polars checks that no row
    has more, the counts that none has less and that no line is lost.

    Args:
        data: the text, UTF-8.
        start: where the line after the header begins, bytes; 0 in a text without header, of which
            the first line has a row.
        delimiter: one character.
        header: the header row.
        before: rows between the header and the first line after it in `data`.

    Returns:
        `#row` and `0`, `1`, ...; None where the text is not regular.
    """
    mark = delimiter.encode()
    quoted = data.find(b'"') >= 0
    if not _looks_regular(data, start, mark, quoted=quoted):
        return None
    try:
        frame = pl.read_csv(
            io.BytesIO(data),
            has_header=False,
            skip_lines=header.first_line if start else 0,
            separator=delimiter,
            quote_char='"' if quoted else None,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError:
        return None
    if start:
        if [cell or "" for cell in frame.row(0)] != list(header.cells):
            return None
        frame = frame.slice(1)
    if frame.width != len(header.cells):
        return None
    frame.columns = [str(position) for position in range(frame.width)]
    if not _complete(frame, data, start, mark, quoted=quoted):
        return None
    return frame.with_row_index(ROW, offset=header.row + 1 + before)


def nothing(header: Record) -> pl.DataFrame:
    """What `read` returns if there are no rows below the header."""
    return pl.DataFrame(schema=schema(len(header.cells)))


def _looks_regular(data: bytes, start: int, mark: bytes, *, quoted: bool) -> bool:
    """Whether ends of lines and quotation marks are as they should be."""
    if len(mark) != 1 or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
        return False
    if data.endswith(mark):
        return False  # Polars overlooks one delimiter too many at the very end
    if not quoted:
        return True
    return data.find(b'\\"') < 0 and _well_quoted(mark).match(data, start) is not None


def _complete(frame: pl.DataFrame, data: bytes, start: int, mark: bytes, *, quoted: bool) -> bool:
    """Whether the cells account for every delimiter and every line of the text."""
    ends = data.count(b"\n", start) + (len(data) > start and not data.endswith(b"\n"))
    wrapped = _inside(frame, "\n") if quoted else 0
    ends -= wrapped
    if frame.height == ends and not frame.to_series(-1).null_count():
        return True  # a row that lacked a cell would lack its last one
    delimiters = data.count(mark, start) - (_inside(frame, mark.decode()) if quoted else 0)
    blank = 0
    if frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        if wrapped:
            return False  # a blank line may be one of a cell
        blank = sum(1 for _ in _BLANK_LINE.finditer(data, start))
    return frame.height == ends and delimiters == (ends - blank) * (frame.width - 1)


def _inside(frame: pl.DataFrame, char: str) -> int:
    """How often a character stands inside the cells."""
    counts = frame.select(pl.all().str.count_matches(char, literal=True).sum())
    return sum(counts.row(0))


HEADER_ROWS: Final = 20
_HEAD_BYTES: Final = 1 << 17
_END_MARKS: Final = b"\0\x1a"  # padding, and the end of a file of DOS
_FEW: Final = 2  # lines that show how all are quoted
_QUOTED_LINE: Final = re.compile(rb'^"((?:[^"\r\n]|"")*)"(?=\r?$)', re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Delimited:
    """A text that was understood, ready to be read.

    Attributes:
        data: UTF-8, whatever the file was written in; a byte-order mark may be before it.
        encoding: what the file was written in.
        dialect: how it is delimited.
        settings: the limits.
    """

    data: bytes = field(repr=False)
    encoding: Encoding
    dialect: Dialect
    settings: Settings

    def head(self) -> list[Record]:
        """The rows in which the header may be, blank ones left out."""
        found = []
        before = int(self.dialect.said)
        for read in islice(self._records(), HEADER_ROWS):
            if any(map(str.strip, read.cells)):
                end = read.lines + int(self.dialect.said)
                cells = [cell.replace(DOUBT, "") for cell in read.cells]
                found.append(Record(read.row, cells, before, end))
            before = read.lines + int(self.dialect.said)
        return found

    def below(self, header: Record, *, careful: bool = False) -> Cells:
        """Everything below the header.

        Args:
            header: one of `head()`.
            careful: take the exact road even where the text is regular.
        """
        if len(header.cells) > self.settings.max_columns:
            raise Refusal(
                Code.FILE_TOO_LARGE,
                f"{len(header.cells):,} columns, and {self.settings.max_columns:,} are allowed "
                "(max_columns)",
            )
        frame = None if careful else self._regular(header)
        if frame is None:
            cells = read_exact(self._records(len(header.cells)), header, self.settings.max_rows)
        elif frame.height > self.settings.max_rows:
            raise too_many_rows(self.settings.max_rows)
        else:
            cells = Cells(frame, problems.empty())
        return _without_doubts(cells, self.encoding) if self.encoding.has_doubts else cells

    def _records(self, width: int | None = None) -> Iterator[Read]:
        lines = lines_of(self.data)
        if self.dialect.said:
            next(lines)
        return records(lines, self.dialect.delimiter, width)

    def _regular(self, header: Record) -> pl.DataFrame | None:
        """The rows by the fast road, or None; the blank ones at the end are not looked at."""
        delimiter = self.dialect.delimiter
        end = end_of_data(io.BytesIO(self.data), len(self.data), delimiter.encode())
        data = self.data if end == len(self.data) else self.data[:end]
        if b'"' not in data and data.count(b"\n") > self.settings.max_rows + header.end_line:
            raise too_many_rows(self.settings.max_rows)
        start = 0
        for _ in range(header.end_line):
            start = data.find(b"\n", start) + 1
            if not start:
                return None
        return read_regular(data, start, delimiter, header)


def _without_doubts(cells: Cells, encoding: Encoding) -> Cells:
    """The cells without uncertain characters, and an error for each row that had some.

    They become the replacement character, so that a file of rejected rows is no readable file of
    garbled names.
    """
    frame = cells.frame
    texts = [name for name in frame.columns if name != ROW]
    doubts = pl.any_horizontal(
        pl.col(texts).str.contains(DOUBT, literal=True).fill_null(value=False)
    )
    rows = frame.filter(doubts)
    if not rows.height:
        return cells
    parts = [
        pl.when(pl.col(name).str.contains(DOUBT, literal=True)).then(pl.col(name)) for name in texts
    ]
    value = pl.concat_str(parts, separator=" | ", ignore_nulls=True).str.replace_all(DOUBT, "")
    detail = _OF_ONE_ROW if encoding.odd else _OF_A_FILE
    held = problems.at(
        rows.with_columns(pl.lit(0).alias(SOURCE)),
        Code.ENCODING_DOUBTFUL,
        value=value,
        detail=pl.lit(detail),
    )
    lost = pl.col(texts).str.replace_all(f"{DOUBT}.", "\N{REPLACEMENT CHARACTER}")
    return replace(
        cells, frame=frame.with_columns(lost), problems=problems.concat([cells.problems, held])
    )


_OF_ONE_ROW: Final = "it is not in UTF-8 as the rest of the file is"
_OF_A_FILE: Final = "the encoding of the file is uncertain"


def open_text(data: bytes, settings: Settings) -> Delimited:
    """Finds out how a text is encoded and delimited.

    Raises:
        Refusal: it is no text.
    """
    refuse_other_formats(data)
    encoding = detect_encoding(data, settings.encoding, settings.fallback_encoding)
    data = as_utf8(data, encoding).rstrip(_END_MARKS)
    data = _without_outer_quotes(data)
    head = _head(data)
    if not is_text(head):
        raise Refusal(Code.FILE_UNREADABLE, "it is neither text nor a workbook that we know")
    return Delimited(data, encoding, detect_dialect(head, settings.columns), settings)


def _without_outer_quotes(data: bytes) -> bytes:
    """The text without quotation marks around whole lines, if they are around every line."""
    lines = [line for line in data[:_HEAD_BYTES].splitlines()[:_HEADER_ROWS] if line.strip()]
    if len(lines) < _FEW or not all(map(_QUOTED_LINE.fullmatch, lines)):
        return data
    if not any(delimiter.encode() in lines[0] for delimiter in DELIMITERS):
        return data
    return _QUOTED_LINE.sub(lambda line: line[1].replace(b'""', b'"'), data)


def _head(data: bytes) -> str:
    """The first lines, whole."""
    part = data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)
    text = part.decode("utf-8", "ignore")
    if len(data) <= _HEAD_BYTES:
        return text
    end = max(text.rfind("\n"), text.rfind("\r", 0, -1))
    return text[: end + 1] or text
