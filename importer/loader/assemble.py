"""Cells under a header become a table: names, columns, and what to say about them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from importer import problems
from importer.headers import understand
from importer.loader import footers
from importer.loader.cells import without_blanks
from importer.loader.parts import ERROR_CELL, NOT_SAVED, column_letters
from importer.model import Table
from schemas.codes import Code
from schemas.columns import ROW, SOURCE, returned

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.headers import Headers
    from importer.loader.cells import Cells, Record
    from importer.model import Source


def assemble(
    source: Source,
    header: Record,
    cells: Cells,
    overrides: Mapping[str, str],
    found: Sequence[pl.DataFrame] = (),
    *,
    last: bool = True,
) -> Table:
    """Names the columns of the cells and maps them.

    Args:
        source: the file, with `header_row` set.
        header: the header row.
        cells: what lies below it.
        overrides: header -> column, from the settings.
        found: problems of the file that are known already.
        last: the file ends with these cells; totals may stand below them.
    """
    frame = without_blanks(cells.frame)
    frame, totals = footers.without(frame) if last else (frame, problems.empty())
    headers, frame = _named(header, frame, overrides)
    ignored = tuple(name for name in headers.names if name in returned(headers.names))
    mapping = {name: column for name, column in headers.mapping.items() if name not in ignored}
    extra = {name: column for name, column in headers.extra.items() if name not in ignored}
    of_file = list(found)
    if source.header_row > 1:
        of_file.append(problems.one(Code.HEADER_MOVED, detail=str(source.header_row)))
    if last and not frame.height:
        of_file.append(problems.one(Code.FILE_EMPTY, detail="a header and no rows below it"))
    here = pl.lit(source.header_row, dtype=pl.UInt32).alias(ROW)
    of_rows = cells.problems.filter(
        pl.col(ROW).is_null() | ~pl.col(ROW).is_in(totals[ROW].implode())
    )
    return Table(
        source=source,
        frame=frame.drop(ignored),
        mapping=mapping,
        extra=extra,
        ignored=(*cells.ignored, *ignored),
        problems=problems.joined(
            [
                *of_file,
                headers.problems.with_columns(here),
                of_rows,
                totals,
                *_cell_errors(frame, mapping | extra),
            ]
        ),
        notes=cells.notes,
    )


def _named(
    header: Record, frame: pl.DataFrame, overrides: Mapping[str, str]
) -> tuple[Headers, pl.DataFrame]:
    """The headers, and the frame under their names; columns without header and cells are gone."""
    kept, names = [], []
    for place, name in enumerate(frame.columns[1:]):
        cell = header.cells[place] if place < len(header.cells) else ""
        if cell.strip():
            kept.append(name)
            names.append(cell)
        elif frame[name].null_count() < frame.height:
            kept.append(name)
            names.append(f"column {column_letters(place)}")
    headers = understand(names, overrides)
    frame = frame.select(ROW, *kept)
    frame.columns = [ROW, *headers.names]
    return headers, frame


def _cell_errors(frame: pl.DataFrame, columns: Mapping[str, str]) -> list[pl.DataFrame]:
    """The cells in which a spreadsheet program shows an error instead of a value."""
    found = []
    for name, column in columns.items():
        cell = pl.col(name)
        likely = frame.filter(cell.str.starts_with("#") | cell.str.starts_with("Err:"))
        wrong = likely.filter(cell.str.contains(ERROR_CELL))
        if wrong.height:
            detail = cell.replace({NOT_SAVED: "a formula whose value was never saved"})
            at = wrong.select(
                pl.lit(0).alias(SOURCE), ROW, cell.alias(column), detail.alias("#detail")
            )
            found.append(problems.at(at, Code.CELL_ERROR, column=column, detail=pl.col("#detail")))
    return found
