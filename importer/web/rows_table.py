"""The table of a list's rows: the messages at their cells, and the cells that are inputs."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import polars as pl

from importer.languages import translate
from importer.loader.sheet import column_letters
from schemas.codes import Code, Severity
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.loader.corrections import Corrections
    from importer.model import Plan
    from importer.web.suggestions import Suggestions
    from importer.web.wording import Wording


_MOST_COLUMNS: Final = 10
NEVER: Final = frozenset({"skip_duplication_check"})
"""Columns that nobody may correct here."""

_ALSO: Final[Mapping[Code, tuple[str, ...]]] = {
    Code.CONTACT_MISSING: ("phone_number", "email"),
    Code.PHONE_COUNTRY_NEEDED: ("country",),
    Code.COUNTRY_DIFFERS: ("country", "phone_number"),
    Code.NAME_SPLIT: ("first_name", "last_name"),
    Code.FIRST_NAME_MISSING: ("first_name", "full_name"),
    Code.EMAIL_OF_ANOTHER: ("email",),
    Code.PHONE_OF_ANOTHER_NAME: ("phone_number", "email"),
    Code.CANDIDATE_ID_OF_ANOTHER: ("candidate_id",),
}
"""Code -> more columns whose cells may be what is wrong."""

_CODES: Final = frozenset(each.value for each in Code)
_OF_THE_LIST: Final = (Code.COLUMN_MISSING.value,)
"""Codes that every row has, and that no cell of a row can solve."""

_NAMES: Final = ("first_name", "last_name", "full_name")
_YES_OR_NO: Final = frozenset({"send_during_business_hours"})
_OF_ONE_PERSON: Final = frozenset(
    {"phone_number", "email", "first_name", "last_name", "full_name", "candidate_id"}
)
"""Columns whose value is right in one row only."""


@dataclass(frozen=True, slots=True)
class CellNote:
    """A message at a cell or a row.

    Attributes:
        code: the code of the problem; its paragraph in the help has this name.
        header: the header of the cell; None for the whole row.
        error: whether it keeps the row out.
        text: what is wrong, and what to do.
        meant: what the cell probably should be, to choose from.
    """

    code: Code
    header: str | None
    error: bool
    text: str
    meant: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellView:
    """A cell of the table of rows.

    Attributes:
        header: the header of its column.
        value: the value as it counts now.
        place: the place as a spreadsheet program calls it: `B14`.
        notes: what is wrong with it.
        editable: whether it is an input.
        options: the values that are possible; empty for any.
        original: what the file has, if it was corrected; None if it was not.
        meant: what is probably meant, to choose from.
        alike: how many other rows have the value that was corrected here.
        aside: whether a small screen leaves it out, because it is neither wrong nor a name.
    """

    header: str
    value: str
    place: str
    notes: tuple[CellNote, ...]
    editable: bool
    options: tuple[str, ...]
    original: str | None
    meant: tuple[str, ...] = ()
    alike: int = 0
    aside: bool = False


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of the table of rows.

    Attributes:
        row: spreadsheet row.
        cells: the cells in the order of the file.
        notes: what is wrong with the whole row.
        state: `fix`, `check`, `out` (left out) or `good`.
        seen: number of its newest correction.
    """

    row: int
    cells: tuple[CellView, ...]
    notes: tuple[CellNote, ...]
    state: str
    seen: int


@dataclass(frozen=True)
class RowsTable:
    """The table of rows: the plan, the corrections and the words."""

    plan: Plan
    corrections: Corrections
    words: Wording
    templates: tuple[tuple[str, ...], tuple[str, ...]]
    suggestions: Suggestions
    _alike: dict[tuple[str, str], list[int]] = field(default_factory=dict, repr=False)

    @property
    def original(self) -> pl.DataFrame:
        """The rows that were corrected or left out, as the file has them."""
        kept = self.plan.tables[0].original
        return kept if kept.width else self.plan.tables[0].frame.clear()

    def has(self, row: int) -> bool:
        """Whether the file has a row, left out or not."""
        return any(row in frame[ROW] for frame in (self.plan.tables[0].frame, self.original))

    def select(self, show: str, task: str) -> list[int]:
        """Return the rows to show: those with errors, of a task, corrected, or left out."""
        if show == "out":
            return sorted(self.corrections.out)
        if show == "corrected":
            return sorted(self.corrections.rows)
        problems = self.plan.problems.filter(
            pl.col(ROW).is_not_null() & (pl.col("severity") != Severity.INFO.value)
        )
        if task:
            code, _, column = task.partition(".")
            problems = problems.filter(pl.col("code").cast(pl.String) == code)
            if column:
                problems = problems.filter(pl.col("column").cast(pl.String) == column)
        else:
            problems = problems.filter(~pl.col("code").is_in(_OF_THE_LIST))
        if not task and show != "all":
            problems = problems.filter(pl.col("severity") == Severity.ERROR.value)
        return problems[ROW].unique().sort().to_list()

    def headers(self, rows: Sequence[int]) -> list[str]:
        """Return the headers to show for rows: names, then what is wrong, then the others."""
        table = self.plan.tables[0]
        every = [name for name in table.frame.columns if name != ROW]
        of = {column: header for header, column in {**table.mapping, **table.extra}.items()}
        here = self.plan.problems.filter(pl.col(ROW).is_in(list(rows)))
        here = here.filter(pl.col("severity") != Severity.INFO.value)
        named = {of.get(column) for column in here["column"].drop_nulls().unique()}
        named |= {of.get(column) for column in _NAMES}
        changed = {header for _, header in self.corrections.cells}
        known = [name for name in every if name in table.mapping and name not in named][
            : max(0, _MOST_COLUMNS - len(named))
        ]
        chosen = every if len(every) <= _MOST_COLUMNS else [*named, *changed, *known]
        first = [name for column in _NAMES if (name := of.get(column)) in every]
        order = [*first, *(name for name in every if name in named), *every]
        return [name for name in dict.fromkeys(order) if name in chosen]

    def views(
        self, rows: Sequence[int], headers: Sequence[str], *, every: bool = False
    ) -> list[RowView]:
        """Return rows with the messages at their cells; `every` cell is an input, or the wrong."""
        table = self.plan.tables[0]
        cells = table.frame.filter(pl.col(ROW).is_in(list(rows)))
        missing = [row for row in rows if row not in set(cells[ROW])]
        if missing:  # left out: the file has them
            kept = self.original.filter(pl.col(ROW).is_in(missing))
            cells = pl.concat([cells, kept.select(cells.columns)])
        by_row = {int(line[ROW]): line for line in cells.iter_rows(named=True)}
        first = self.original.filter(pl.col(ROW).is_in(list(rows)))
        original = {int(line[ROW]): line for line in first.iter_rows(named=True)}
        notes = self._notes(rows)
        return [
            self._view(
                row, by_row[row], original.get(row, {}), headers, notes.get(row, []), every=every
            )
            for row in rows
            if row in by_row
        ]

    def _notes(self, rows: Sequence[int]) -> dict[int, list[CellNote]]:
        table = self.plan.tables[0]
        of = {column: header for header, column in {**table.extra, **table.mapping}.items()}
        here = self.plan.problems.filter(
            pl.col(ROW).is_in(list(rows))
            & (pl.col("severity") != Severity.INFO.value)
            & ~pl.col("code").is_in(_OF_THE_LIST)
        ).sort("severity", maintain_order=True)
        found: dict[int, list[CellNote]] = {}
        for row, column, name, severity, value, detail in here.select(
            ROW, "column", "code", "severity", "value", "detail"
        ).iter_rows():
            code, header = Code(name), of.get(column) if column is not None else None
            said = self.words.problem(code, header or column or "", detail, column or "")
            meant = self.suggestions.find(code, column or "", value, detail)
            note = CellNote(code, header, severity == Severity.ERROR.value, " ".join(said), meant)
            found.setdefault(row, []).append(note)
        return found

    def _view(
        self,
        row: int,
        line: Mapping[str, Any],
        original: Mapping[str, Any],
        headers: Sequence[str],
        notes: Sequence[CellNote],
        *,
        every: bool,
    ) -> RowView:
        table = self.plan.tables[0]
        columns = {**table.extra, **table.mapping}
        out = row in self.corrections.out
        wrong = {columns.get(note.header) for note in notes if note.header is not None}
        wrong |= {column for note in notes for column in _ALSO.get(note.code, ())}
        cells = []
        for header in headers:
            column = columns.get(header)
            corrected = (row, header) in self.corrections.cells
            at = tuple(note for note in notes if note.header == header)
            editable = column is not None and column not in NEVER and not out
            editable = editable and (every or corrected or column in wrong)
            first = str(original.get(header) or "") if corrected else None
            cells.append(
                CellView(
                    header=header,
                    value=str(line.get(header) or ""),
                    place=f"{column_letters(table.places[header])}{row}"
                    if header in table.places
                    else "",
                    notes=() if out else at,
                    editable=editable,
                    options=self.options(column),
                    original=first,
                    meant=tuple(dict.fromkeys(each for note in at for each in note.meant)),
                    alike=len(self.alike(header, first)) if first and not out else 0,
                    aside=not at and not editable and column not in _NAMES,
                )
            )
        whole = tuple(note for note in notes if note.header not in headers)
        errors = any(note.error for note in notes)
        state = "out" if out else "fix" if errors else "check" if notes else "good"
        return RowView(row, tuple(cells), whole, state, self.corrections.seqs.get(row, 0))

    def can_change_together(self, header: str) -> bool:
        """Whether one value can be right in many rows: not a name, a number or an address."""
        table = self.plan.tables[0]
        column = {**table.extra, **table.mapping}.get(header)
        return column is not None and column not in NEVER | _OF_ONE_PERSON

    def alike(self, header: str, value: str) -> list[int]:
        """Return the rows that have a value in a column where one value can be right in many."""
        frame = self.plan.tables[0].frame
        if header not in frame.columns or not self.can_change_together(header):
            return []
        if (header, value) not in self._alike:
            same = pl.col(header).str.strip_chars() == value.strip()
            self._alike[header, value] = frame.filter(same)[ROW].to_list()
        return self._alike[header, value]

    def headers_for(self, task: str) -> list[str]:
        """Return the columns in which one value can solve a task for all of its rows."""
        code, _, column = task.partition(".")
        table = self.plan.tables[0]
        named = {column, *(_ALSO.get(Code(code), ()) if code in _CODES else ())}
        of = {**table.extra, **table.mapping}
        return [header for header in of if of[header] in named and self.can_change_together(header)]

    def options(self, column: str | None) -> tuple[str, ...]:
        """Return the values that are possible in a column; none if any is."""
        if column == "meeting_template":
            return self.templates[0]
        if column in _YES_OR_NO:
            return (translate("yes"), translate("no"))
        return self.templates[1] if column == "participant_template" else ()
