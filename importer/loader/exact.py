"""The exact road: rows one by one, as wide as the header, and what is wrong with them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

import polars as pl

from importer import problems
from importer.loader.cells import Cells, Record, as_frame, named_width, schema
from importer.loader.refusal import Refusal
from schemas.codes import WORDS, Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.loader.records import Read

_BATCH: Final = 4_000


def read(rows: Iterator[Read], header: Record, max_rows: int) -> Cells:
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
            raise too_many(max_rows)
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


def too_many(max_rows: int) -> Refusal:
    """The refusal of a file with more rows than allowed."""
    return Refusal(
        Code.FILE_TOO_LARGE, f"more than {max_rows:,} rows, blank ones included (max_rows)"
    )


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
