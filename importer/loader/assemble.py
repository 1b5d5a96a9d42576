"""Cells under a header become a table: names, columns, and what to say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from importer import problems
from importer.headers import understand
from importer.loader.cells import without_blanks
from importer.model import Table
from schemas.codes import Code
from schemas.columns import RETURNED_COLUMNS, ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.loader.cells import Cells, Record
    from importer.model import Source


def assemble(
    source: Source,
    header: Record,
    cells: Cells,
    overrides: Mapping[str, str],
    found: Sequence[pl.DataFrame] = (),
) -> Table:
    """Names the columns of the cells and maps them.

    Args:
        source: the file, with `header_row` set.
        header: the header row.
        cells: what lies below it.
        overrides: header -> column, from the settings.
        found: problems of the file that are known already.
    """
    frame = without_blanks(cells.frame)
    kept, names = [], []
    for place, name in enumerate(frame.columns[1:]):
        header_cell = header.cells[place] if place < len(header.cells) else ""
        if header_cell.strip():
            kept.append(name)
            names.append(header_cell)
        elif frame[name].null_count() < frame.height:
            kept.append(name)
            names.append(f"column {letters(place)}")
    headers = understand(names, overrides)
    ignored = _returned(headers.names)
    frame = frame.select(ROW, *kept)
    frame.columns = [ROW, *headers.names]
    moved = []
    if source.header_row > 1:
        moved.append(problems.one(Code.HEADER_MOVED, detail=str(source.header_row)))
    if not frame.height:
        moved.append(problems.one(Code.FILE_EMPTY, detail="a header and no rows below it"))
    of_headers = headers.problems.with_columns(
        pl.lit(source.header_row, dtype=problems.SCHEMA[ROW]).alias(ROW)
    )
    return Table(
        source=source,
        frame=frame.drop(ignored),
        mapping={k: v for k, v in headers.mapping.items() if k not in ignored},
        extra={k: v for k, v in headers.extra.items() if k not in ignored},
        ignored=ignored,
        problems=problems.joined([*found, *moved, of_headers, cells.problems]),
    )


def letters(place: int) -> str:
    """What the spreadsheet program calls a column: A for 0, AA for 26."""
    text = ""
    place += 1
    while place:
        place, letter = divmod(place - 1, 26)
        text = chr(ord("A") + letter) + text
    return text


def _returned(names: Sequence[str]) -> tuple[str, ...]:
    """The headers that our own output files added."""
    ours = RETURNED_COLUMNS if "import_status" in names else RETURNED_COLUMNS[:3]
    return tuple(name for name in names if name in ours)
