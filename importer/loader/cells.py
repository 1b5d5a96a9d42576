"""What the readers of text and of workbooks both give: cells on spreadsheet rows, as text."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import polars as pl

from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Record:
    """One spreadsheet row.

    Attributes:
        row: as the spreadsheet program numbers it.
        cells: as text; empty cells are empty.
        first_line: physical lines before it, in a text.
        end_line: physical lines up to its end, in a text.
    """

    row: int
    cells: Sequence[str] = field(repr=False)
    first_line: int = 0
    end_line: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """The cells below a header.

    Attributes:
        frame: `#row` (UInt32), then `0`, `1`, ... (text, empty is null) for the columns.
        problems: a problem frame, of whole rows and of the file.
        ignored: headers of columns that were left out.
        notes: what else a report should say of the file.
    """

    frame: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)
    ignored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class Sheet(Protocol):
    """A sheet that is open: its first rows to find the header in, then what lies below it."""

    def head(self) -> Sequence[Record]:
        """The rows in which the header may be, blank ones left out."""

    def below(self, header: Record) -> Cells:
        """Everything below the header."""


def schema(width: int) -> dict[str, type[pl.DataType]]:
    """Names and types of a frame with so many columns of cells."""
    return {ROW: pl.UInt32, **{str(position): pl.String for position in range(width)}}


def named_width(cells: Sequence[str]) -> int:
    """How many cells a row has up to its last one that is not blank."""
    return next((place for place in range(len(cells), 0, -1) if cells[place - 1].strip()), 0)


def without_blanks(frame: pl.DataFrame) -> pl.DataFrame:
    """The same cells without the rows in which every cell is blank; empty cells become null."""
    texts = [name for name in frame.columns if name != ROW]
    if not texts:
        return frame.clear()
    empties = frame.select((pl.col(texts) == "").any()).row(0)
    frame = frame.with_columns(
        pl.when(pl.col(name) != "").then(pl.col(name)).alias(name)
        for name, some in zip(texts, empties, strict=True)
        if some
    )
    cell = pl.col(texts[0])
    blank = frame.filter(cell.is_null() | (cell.str.strip_chars() == "")).select(ROW)
    if not blank.height:
        return frame
    for name in texts[1:]:  # few rows are blank in their first cell, fewer in the next
        here = frame.lazy().select(ROW, name).join(blank.lazy(), on=ROW, how="semi")
        cell = pl.col(name)
        blank = here.filter(cell.is_null() | (cell.str.strip_chars() == "")).select(ROW).collect()
        if not blank.height:
            return frame
    return frame.join(blank, on=ROW, how="anti", maintain_order="left")


def as_frame(rows: Sequence[int], cells: Sequence[Sequence[str | None]]) -> pl.DataFrame:
    """A frame of rows that all have as many cells."""
    columns = zip(*cells, strict=True)
    return pl.DataFrame(
        [
            pl.Series(ROW, rows, dtype=pl.UInt32),
            *(pl.Series(str(n), column, dtype=pl.String) for n, column in enumerate(columns)),
        ]
    )
