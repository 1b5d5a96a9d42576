"""Detect the delimiter of a text, and read its rows.

The right delimiter is the one that yields known headers and rows of equal width.
"""

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
from importer.loader.csv_reader import end_of_data, records, split_lines
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
"""Delimiters that are tried only if the usual ones yield no known column."""
_SEP_LINE: Final = re.compile(r'\A"?sep=([^\r\n"])"?[ \t,;|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_ROWS: Final = 100
_HEADER_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """The delimiter and quotes of a text.

    Attributes:
        delimiter: one character.
        declared: whether the first line is `sep=` with the delimiter; it is not a row.
    """

    delimiter: str
    declared: bool = False


def detect_dialect(head: str, overrides: Mapping[str, str]) -> Dialect:
    """Return the dialect of a text.

    Args:
        head: the first complete lines of the text.
        overrides: header -> column from the settings; these headers count as known, too.
    """
    declared = _SEP_LINE.match(head)
    if declared is not None:
        return Dialect(declared.group(1), declared=True)
    fits = {delimiter: _fit(head, delimiter, overrides) for delimiter in DELIMITERS}
    best = max(DELIMITERS, key=fits.__getitem__)
    if not fits[best][0]:
        fits |= {delimiter: _fit(head, delimiter, overrides) for delimiter in _RARE}
        best = max((best, *_RARE), key=lambda each: fits[each][0])
    return Dialect(best)


def _fit(head: str, delimiter: str, overrides: Mapping[str, str]) -> tuple[float, float, int]:
    """Rate a delimiter by the first rows: known headers that fit them, evenness, width.

    A sign that is common within headers names columns, too, but fits no row: "Person : Email",
    "Phone, mobile". So the number of known headers counts times the share of rows of one width.
    """
    read = islice(records(iter(io.StringIO(head, newline="")), delimiter), _ROWS)
    rows = [record.cells for record in read if any(map(str.strip, record.cells))]
    if not rows:
        return 0, 0.0, 0
    known = [len(columns_named(cells, overrides)) for cells in rows[:_HEADER_ROWS]]
    header = known.index(max(known))
    width = len(rows[header])
    evenness = _evenness(rows[header:], width)
    return max(known) * evenness, evenness, width


def _evenness(rows: Sequence[Sequence[str]], width: int) -> float:
    return sum(len(cells) == width for cells in rows) / len(rows)


_BATCH: Final = 4_000


def read_exact(rows: Iterator[Read], header: Record, max_rows: int) -> Cells:
    """Read the rows below a header.

    A row with too many or too few cells for the header is a problem; its cells under the header
    are kept. Empty cells at its end are allowed.

    Args:
        rows: every row of the text, including those above the header.
        header: the header row.
        max_rows: how many rows may follow it.

    Raises:
        Refusal: more rows follow.
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
                cells.append(_fit_to_header(row, width, named, faults))
        frames.append(as_frame([row.row for row in batch], cells))
    return Cells(pl.concat(frames), faults.problems())


def _fit_to_header(row: Read, width: int, named: int, faults: _Faults) -> list[str]:
    """Cut or fill a row to the header's width; note a fault if cells are lost or missing."""
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
    """Problems of rows, kept as columns because every row may have one."""

    def __init__(self) -> None:
        self._rows: list[int] = []
        self._codes: list[str] = []
        self._values: list[str] = []
        self._details: list[str] = []

    def add(self, row: int, code: Code, value: str = "", detail: str = "") -> None:
        """Remember a fault."""
        self._rows.append(row)
        self._codes.append(code.value)
        self._values.append(value)
        self._details.append(detail)

    def problems(self) -> pl.DataFrame:
        """Return all faults as one problem frame."""
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
    """Return the pattern of text whose quotation marks open or close a cell, or are doubled."""
    d = re.escape(delimiter)
    return re.compile(
        rb'[^"]*+(?:(?<![^' + d + rb'\n])"[^"]*+(?:""[^"]*+)*+"(?=[' + d + rb'\r\n]|\Z)[^"]*+)*+\Z'
    )


def read_regular(
    data: bytes, start: int, delimiter: str, header: Record, before: int = 0
) -> pl.DataFrame | None:
    """Read the rows below a header if every one of them is regular.

    Regular text is UTF-8 with lines that end in LF or CRLF. Quotation marks are only around cells,
    and doubled inside them. Every row is blank or has as many cells as the header. Polars finds
    rows with more cells; counting delimiters and lines finds rows with fewer, and lost lines.

    Args:
        data: the text in UTF-8.
        start: where the line after the header begins, in bytes; 0 if the text has no header and
            begins with a row.
        delimiter: one character.
        header: the header row.
        before: rows between the header and the first line after it in `data`.

    Returns:
        Columns `#row`, `0`, `1` and so on; None if the text is not regular.
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
    if not _is_complete(frame, data, start, mark, quoted=quoted):
        return None
    return frame.with_row_index(ROW, offset=header.row + 1 + before)


def no_rows(header: Record) -> pl.DataFrame:
    """Return the frame of a text without rows below the header."""
    return pl.DataFrame(schema=schema(len(header.cells)))


def _looks_regular(data: bytes, start: int, mark: bytes, *, quoted: bool) -> bool:
    """Whether line endings and quotation marks are regular."""
    if len(mark) != 1 or (b"\r" in data and data.count(b"\r") != data.count(b"\r\n")):
        return False
    if data.endswith(mark):
        return False  # Polars overlooks one delimiter too many at the very end
    if not quoted:
        return True
    return data.find(b'\\"') < 0 and _well_quoted(mark).match(data, start) is not None


def _is_complete(
    frame: pl.DataFrame, data: bytes, start: int, mark: bytes, *, quoted: bool
) -> bool:
    """Whether the cells account for every delimiter and every line of the text."""
    ends = data.count(b"\n", start) + (len(data) > start and not data.endswith(b"\n"))
    wrapped = _count_inside(frame, "\n") if quoted else 0
    ends -= wrapped
    if frame.height == ends and not frame.to_series(-1).null_count():
        return True  # a row with too few cells would lack its last one
    delimiters = data.count(mark, start) - (_count_inside(frame, mark.decode()) if quoted else 0)
    blank = 0
    if frame.select(pl.all_horizontal(pl.all().is_null()).any()).item():
        if wrapped:
            return False  # a blank line may be part of a cell
        blank = sum(1 for _ in _BLANK_LINE.finditer(data, start))
    return frame.height == ends and delimiters == (ends - blank) * (frame.width - 1)


def _count_inside(frame: pl.DataFrame, char: str) -> int:
    """Count a character inside the cells."""
    counts = frame.select(pl.all().str.count_matches(char, literal=True).sum())
    return sum(counts.row(0))


HEADER_ROWS: Final = 20
_HEAD_BYTES: Final = 1 << 17
_END_MARKS: Final = b"\0\x1a"  # padding, and the end-of-file mark of DOS
_FEW: Final = 2  # lines that are enough to see how all are quoted
_QUOTED_LINE: Final = re.compile(rb'^"((?:[^"\r\n]|"")*)"(?=\r?$)', re.MULTILINE)


@dataclass(frozen=True, slots=True, eq=False)
class Delimited:
    """A text of known encoding and dialect, ready to be read.

    Attributes:
        data: the text in UTF-8, perhaps with a byte-order mark.
        encoding: the encoding of the original file.
        dialect: how it is delimited.
        settings: the limits.
    """

    data: bytes = field(repr=False)
    encoding: Encoding
    dialect: Dialect
    settings: Settings

    def head(self) -> list[Record]:
        """Return the rows that may be the header, without blank ones."""
        found = []
        before = int(self.dialect.declared)
        for read in islice(self._records(), HEADER_ROWS):
            if any(map(str.strip, read.cells)):
                end = read.lines + int(self.dialect.declared)
                cells = [cell.replace(DOUBT, "") for cell in read.cells]
                found.append(Record(read.row, cells, before, end))
            before = read.lines + int(self.dialect.declared)
        return found

    def below(self, header: Record, *, careful: bool = False) -> Cells:
        """Read everything below the header.

        Args:
            header: one of `head()`.
            careful: use the slow, exact reader even if the text is regular.
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
        lines = split_lines(self.data)
        if self.dialect.declared:
            next(lines)
        return records(lines, self.dialect.delimiter, width)

    def _regular(self, header: Record) -> pl.DataFrame | None:
        """Read the rows with the fast reader, without blank ones at the end; None if it cannot."""
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
    """Replace uncertain characters, and add an error for each row that has some.

    They become the replacement character, so that a file of rejected rows does not pass garbled
    names off as good ones.
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


_OF_ONE_ROW: Final = "it is not in UTF-8, unlike the rest of the file"
_OF_A_FILE: Final = "the encoding of the file is uncertain"


def open_text(data: bytes, settings: Settings) -> Delimited:
    """Detect how a text is encoded and delimited.

    Raises:
        Refusal: it is not text.
    """
    refuse_other_formats(data)
    encoding = detect_encoding(data, settings.encoding, settings.fallback_encoding)
    data = as_utf8(data, encoding).rstrip(_END_MARKS)
    data = _without_outer_quotes(data)
    head = _head(data)
    if not is_text(head):
        raise Refusal(Code.FILE_UNREADABLE, "it is neither text nor a known kind of workbook")
    return Delimited(data, encoding, detect_dialect(head, settings.columns), settings)


def _without_outer_quotes(data: bytes) -> bytes:
    """Remove quotation marks around whole lines if every line has them."""
    lines = [line for line in data[:_HEAD_BYTES].splitlines()[:_HEADER_ROWS] if line.strip()]
    if len(lines) < _FEW or not all(map(_QUOTED_LINE.fullmatch, lines)):
        return data
    if not any(delimiter.encode() in lines[0] for delimiter in DELIMITERS):
        return data
    return _QUOTED_LINE.sub(lambda line: line[1].replace(b'""', b'"'), data)


def _head(data: bytes) -> str:
    """Return the first complete lines."""
    part = data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)
    text = part.decode("utf-8", "ignore")
    if len(data) <= _HEAD_BYTES:
        return text
    end = max(text.rfind("\n"), text.rfind("\r", 0, -1))
    return text[: end + 1] or text
