"""The fast road: regular text with delimiters, read by Polars and counted after."""

from __future__ import annotations

import io
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.loader.cells import schema
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.loader.cells import Record

_BLANK_LINE: Final = re.compile(rb"(?<=\n)\r?\n")


@lru_cache(maxsize=8)
def _well_quoted(delimiter: bytes) -> re.Pattern[bytes]:
    """Text in which every quotation mark opens, doubles or closes a cell."""
    d = re.escape(delimiter)
    return re.compile(
        rb'[^"]*+(?:(?<![^' + d + rb'\n])"[^"]*+(?:""[^"]*+)*+"(?=[' + d + rb'\r\n]|\Z)[^"]*+)*+\Z'
    )


def read(
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
    """What `read` gives where there are no rows below the header."""
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
