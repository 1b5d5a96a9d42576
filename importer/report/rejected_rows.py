"""Rejected rows with messages at their cells, and automatic changes, limited to fit a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import RowStatus
from importer.problems import with_words
from importer.report.export import original_cells
from importer.report.formatting import html_size, plain
from schemas.codes import Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.model import Plan, Table


ROWS: Final = 500
"""Most rejected rows that a page shows."""

CHANGES: Final = 500
"""Most automatic changes that a page shows."""

_COLUMNS: Final = 60
_CELL: Final = 120
_BUDGET: Final = 1_300_000  # bytes of all tables, because huge cells must not make a huge page
_CHANGES_BUDGET: Final = 400_000
_MARKUP: Final = 50  # bytes of an empty cell
_BECAME: Final = re.compile(r"`(.*)` -> `(.*)`", re.DOTALL)
_CHANGED: Final = (Code.VALUE_CHANGED.value, Code.NAME_SPLIT.value)


@dataclass(frozen=True, slots=True)
class Note:
    """A message at a cell: an error, which rejects the row, or a warning."""

    message: str
    error: bool


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell as it was read, cut to a limit, with its messages."""

    value: str
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A rejected row: messages about the whole row, and its cells."""

    row: int
    notes: tuple[Note, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class RejectedTable:
    """The first rejected rows of a file.

    Attributes:
        position: of the file in the run.
        headers: of the cells.
        hidden: number of columns without a problem that are not shown.
        total: number of rejected rows of the file.
    """

    file: str
    position: int
    headers: tuple[str, ...]
    hidden: int
    rows: tuple[RejectedRow, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Change:
    """A value that the importer changed."""

    file: str
    row: int
    header: str
    before: str
    after: str


def rejected_tables(plan: Plan) -> tuple[RejectedTable, ...]:
    """Return a table for each file with rejected rows: at most `ROWS` rows and `_BUDGET` bytes."""
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
        cells = original_cells(table).join(here, on=ROW, how="semi", maintain_order="left")
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
    """Return errors and warnings by file and row, then by header; None is the whole row."""
    wanted = plan.problems.filter(pl.col("severity") != Severity.INFO.value).join(
        rows, on=[SOURCE, ROW], how="semi", maintain_order="left"
    )
    found: _Notes = {}
    for source, row, header, message, severity in (
        with_words(wanted, plan.tables)
        .sort("severity", maintain_order=True)  # "error" comes before "warning"
        .select(SOURCE, ROW, "header", "message", "severity")
        .iter_rows()
    ):
        note = Note(plain(message, 300), severity == Severity.ERROR.value)
        found.setdefault((source, row), {}).setdefault(header, []).append(note)
    return found


def _columns(table: Table, noted: set[str | None]) -> list[str]:
    """Return the headers to show: all if they fit, else those with notes and the known ones."""
    every = original_cells(table).columns[1:]
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
    """Return one row; messages of columns that are not shown go to the whole row."""
    cells = tuple(
        Cell(plain(value or "", _CELL), tuple(notes.get(name, ())))
        for name, value in zip(names, values, strict=True)
    )
    elsewhere = [note for header, some in notes.items() if header not in names for note in some]
    return RejectedRow(row, tuple(elsewhere), cells)


def _cost(line: RejectedRow) -> int:
    """Estimate the bytes of a row in the page."""
    cells = (Cell("", line.notes), *line.cells)
    return sum(
        _MARKUP * (1 + len(cell.notes))
        + html_size(cell.value, *(note.message for note in cell.notes))
        for cell in cells
    )


def changes(plan: Plan) -> tuple[tuple[Change, ...], int]:
    """Return the first automatic changes, as many as fit, and the number of all changes."""
    changed = plan.problems.filter(pl.col("code").is_in(_CHANGED) & pl.col(ROW).is_not_null())
    first = with_words(changed.head(CHANGES), plan.tables)
    budget = _CHANGES_BUDGET
    found = []
    for line in first.select("source", ROW, "header", "column", "value", "detail").iter_rows():
        change = _change(line)
        budget -= _MARKUP * 5 + html_size(change.file, change.header, change.before, change.after)
        if budget < 0:
            break
        found.append(change)
    return tuple(found), changed.height


def _change(line: tuple[str, int, str | None, str | None, str, str]) -> Change:
    """Return one change; the detail of the problem holds the new value."""
    file, row, header, column, value, detail = line
    spelled = _BECAME.fullmatch(detail)
    before, after = spelled.groups() if spelled else (value, detail)
    named = plain(header or column or "", 60)
    return Change(plain(file, 60), row, named, plain(before, _CELL), plain(after, _CELL))
