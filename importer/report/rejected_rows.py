"""Rejected rows with the message at the cell, and the automatic changes; as many as fit a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import RowStatus
from importer.problems import with_words
from importer.report.export import originals
from importer.report.formatting import plain, weight
from schemas.codes import Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.model import Plan, Table


ROWS: Final = 500
"""Rejected rows that a page shows at most."""

CHANGES: Final = 500
"""Automatic changes that a page shows at most."""

_COLUMNS: Final = 60
_CELL: Final = 120
_BUDGET: Final = 1_300_000  # bytes of all tables, so that huge cells do not make a huge page
_CHANGES_BUDGET: Final = 400_000
_MARKUP: Final = 50  # bytes that a cell costs whatever is in it
_BECAME: Final = re.compile(r"`(.*)` -> `(.*)`", re.DOTALL)
_CHANGED: Final = (Code.VALUE_CHANGED.value, Code.NAME_SPLIT.value)


@dataclass(frozen=True, slots=True)
class Note:
    """A message at a cell; an error kept the row out."""

    message: str
    error: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it came, cut, and what is wrong with it."""

    value: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that was kept out: what is wrong with the whole row, and its cells."""

    row: int
    notes: tuple[Note, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RejectedTable:
    """The first rejected rows of a file.

    Attributes:
        position: of the file in the run.
        headers: of the cells.
        hidden: columns without any problem that found no room.
        total: rejected rows of the file in all.
    """

    file: str
    position: int
    headers: tuple[str, ...]
    hidden: int
    rows: tuple[RejectedRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Change:
    """A value that was tidied by itself."""

    file: str
    row: int
    header: str
    before: str
    after: str


def rejected_tables(plan: Plan) -> tuple[RejectedTable, ...]:
    """One for each file that has rejected rows; `ROWS` rows and a bounded number of characters."""
    rejected = plan.rows.filter(pl.col("status") == RowStatus.REJECTED.value)
    shown = rejected.head(ROWS)
    notes = _notes(plan, shown)
    budget = _BUDGET
    tables = []
    for position, table in enumerate(plan.tables):
        total = rejected.filter(pl.col(SOURCE) == position).height
        if not total:
            continue
        here = shown.filter(pl.col(SOURCE) == position).select(ROW)
        noted = {name for key, found in notes.items() if key[0] == position for name in found}
        names = _columns(table, noted)
        cells = originals(table).join(here, on=ROW, how="semi", maintain_order="left")
        rows = []
        for row, *values in cells.select(ROW, *names).iter_rows():
            line = _row(row, values, names, notes.get((position, row), {}))
            budget -= _cost(line)
            if budget < 0:
                break
            rows.append(line)
        hidden = len(cells.columns) - 1 - len(names)
        tables.append(
            RejectedTable(table.source.name, position, tuple(names), hidden, tuple(rows), total)
        )
    return tuple(tables)


_Notes = dict[tuple[int, int], dict[str | None, list[Note]]]


def _notes(plan: Plan, rows: pl.DataFrame) -> _Notes:
    """Errors and warnings of some rows by file and row, then by header; None for the whole row."""
    wanted = plan.problems.filter(pl.col("severity") != Severity.INFO.value).join(
        rows, on=[SOURCE, ROW], how="semi", maintain_order="left"
    )
    found: _Notes = {}
    for source, row, header, message, severity in (
        with_words(wanted, plan.tables)
        .sort("severity", maintain_order=True)  # "error" stands before "warning"
        .select(SOURCE, ROW, "header", "message", "severity")
        .iter_rows()
    ):
        note = Note(plain(message, 300), severity == Severity.ERROR.value)
        found.setdefault((source, row), {}).setdefault(header, []).append(note)
    return found


def _columns(table: Table, noted: set[str | None]) -> list[str]:
    """The headers to show: all where there is room, else those with notes and those we know."""
    every = originals(table).columns[1:]
    if len(every) <= _COLUMNS:
        return every
    first = [name for name in every if name in noted]
    known = [name for name in every if name in table.mapping and name not in noted]
    chosen = set([*first, *known][:_COLUMNS])
    return [name for name in every if name in chosen]


def _row(
    row: int,
    values: Sequence[str | None],
    names: Sequence[str],
    notes: Mapping[str | None, list[Note]],
) -> RejectedRow:
    """One row with its messages; one at a column that is not shown is about the whole row."""
    cells = tuple(
        Cell(plain(value or "", _CELL), tuple(notes.get(name, ())))
        for name, value in zip(names, values, strict=True)
    )
    elsewhere = [note for header, some in notes.items() if header not in names for note in some]
    return RejectedRow(row, tuple(elsewhere), cells)


def _cost(line: RejectedRow) -> int:
    """Bytes of a row in the page, about."""
    cells = (Cell("", line.notes), *line.cells)
    return sum(
        _MARKUP * (1 + len(cell.notes)) + weight(cell.value, *(note.message for note in cell.notes))
        for cell in cells
    )


def changes(plan: Plan) -> tuple[tuple[Change, ...], int]:
    """The first `CHANGES` automatic changes, or as many as fit, and how many there are."""
    changed = plan.problems.filter(pl.col("code").is_in(_CHANGED) & pl.col(ROW).is_not_null())
    first = with_words(changed.head(CHANGES), plan.tables)
    budget = _CHANGES_BUDGET
    found = []
    for line in first.select("source", ROW, "header", "column", "value", "detail").iter_rows():
        change = _change(line)
        budget -= _MARKUP * 5 + weight(change.file, change.header, change.before, change.after)
        if budget < 0:
            break
        found.append(change)
    return tuple(found), changed.height


def _change(line: tuple[str, int, str | None, str | None, str, str]) -> Change:
    """One change; the detail says what the value has become."""
    file, row, header, column, value, detail = line
    spelled = _BECAME.fullmatch(detail)
    before, after = spelled.groups() if spelled else (value, detail)
    named = plain(header or column or "", 60)
    return Change(plain(file, 60), row, named, plain(before, _CELL), plain(after, _CELL))
