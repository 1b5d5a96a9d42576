"""The exact road: rows one by one, as wide as the header, and what is wrong with them."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from importer import problems
from importer.loader.cells import Cells, Record, as_frame, named_width, schema
from importer.loader.refusal import Refusal
from schemas.codes import WORDS, Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.loader.records import Read

    _Fault: TypeAlias = tuple[int, Code, str, str]

_BATCH: Final = 50_000


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
    faults: list[_Fault] = []
    count = 0
    while batch := list(islice(below, _BATCH)):
        count += len(batch)
        if count > max_rows:
            raise too_many(max_rows)
        cells = []
        for row in batch:
            if row.unclosed:
                faults.append((row.row, Code.QUOTE_UNCLOSED, "", ""))
            if len(row.cells) == width:
                cells.append(row.cells)
            else:
                cells.append(_fitted(row, width, named, faults))
        frames.append(as_frame([row.row for row in batch], cells))
    return Cells(pl.concat(frames), _problems(faults))


def too_many(max_rows: int) -> Refusal:
    """The refusal of a file with more rows than allowed."""
    return Refusal(Code.FILE_TOO_LARGE, f"more than {max_rows:,} rows (max_rows)")


def _fitted(row: Read, width: int, named: int, faults: list[_Fault]) -> list[str]:
    """The cells of a row that has another number than the header, and the fault if it is one."""
    cells, filled = row.cells, named_width(row.cells)
    if filled > width:
        detail = f"{_cells(filled)} where the header has {width}"
        faults.append((row.row, Code.ROW_RAGGED, " | ".join(cells[width:filled]), detail))
    elif filled and len(cells) < named:
        detail = f"{_cells(len(cells))} where the header has {named}"
        faults.append((row.row, Code.ROW_RAGGED, "", detail))
    return cells[:width] + [""] * (width - len(cells))


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _problems(faults: list[_Fault]) -> pl.DataFrame:
    """A problem frame of all faults, made at once: every row may have one."""
    if not faults:
        return problems.empty()
    rows, codes, values, details = zip(*faults, strict=True)
    return pl.DataFrame(
        {
            SOURCE: [0] * len(faults),
            ROW: rows,
            "column": [None] * len(faults),
            "code": [code.value for code in codes],
            "severity": [WORDS[code].severity.value for code in codes],
            "value": values,
            "detail": details,
        },
        schema=problems.SCHEMA,
    )
