"""The pages on which a list is put right: its wrong cells as inputs, and its corrections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import polars as pl
from starlette.responses import JSONResponse, Response

from importer.errors import ImporterError
from importer.ledger.records import ListState
from importer.loader.sheet import Refusal, column_letters
from importer.normalise.emails import correct_typo
from importer.web.access import record_event
from importer.web.check_pages import task_lines
from importer.web.pages import (
    find_list,
    find_own_list,
    name_of,
    person_of,
    refuse,
    render,
    render_text,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from schemas.codes import Code, Severity
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger.records import UploadedList
    from importer.loader.corrections import Corrections
    from importer.model import Plan
    from importer.web.wording import Wording


PAGE: Final = 100
"""Rows on one page of the table."""

_MOST_COLUMNS: Final = 10
_NEVER: Final = frozenset({"skip_duplication_check"})
"""Columns that nobody may correct here."""

_ALSO: Final[Mapping[Code, tuple[str, ...]]] = {
    Code.CONTACT_MISSING: ("phone_number", "email"),
    Code.PHONE_COUNTRY_NEEDED: ("country",),
    Code.COUNTRY_DIFFERS: ("country", "phone_number"),
    Code.NAME_SPLIT: ("first_name", "last_name"),
    Code.FIRST_NAME_MISSING: ("first_name", "full_name"),
    Code.EMAIL_OF_ANOTHER: ("email",),
    Code.PHONE_OF_ANOTHER_NAME: ("phone_number",),
    Code.CANDIDATE_ID_OF_ANOTHER: ("candidate_id",),
}
"""Code -> more columns whose cells may be what is wrong."""


@dataclass(frozen=True, slots=True)
class CellView:
    """A cell of the table of rows.

    Attributes:
        header: of its column.
        value: as it counts now.
        place: as a spreadsheet program calls it: `B14`.
        notes: what is wrong with it; whether it is an error, and the message.
        editable: it is an input.
        options: the values that are possible; empty for any.
        original: what the file has, if it was corrected; None if it was not.
        proposal: what is probably meant; empty if nobody can say.
    """

    header: str
    value: str
    place: str
    notes: tuple[tuple[bool, str], ...]
    editable: bool
    options: tuple[str, ...]
    original: str | None
    proposal: str


@dataclass(frozen=True, slots=True)
class RowView:
    """A row of the table of rows.

    Attributes:
        row: spreadsheet row.
        cells: in the order of the file.
        notes: what is wrong with the whole row.
        state: `fix`, `check`, `out` (left out) or `good`.
        seen: number of its newest correction.
    """

    row: int
    cells: tuple[CellView, ...]
    notes: tuple[tuple[bool, str], ...]
    state: str
    seen: int


@dataclass(frozen=True, slots=True)
class _Rows:
    """What the table of rows needs: the plan, the corrections and the words."""

    plan: Plan
    corrections: Corrections
    words: Wording
    templates: tuple[tuple[str, ...], tuple[str, ...]]

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
        elif show != "all":
            problems = problems.filter(pl.col("severity") == Severity.ERROR.value)
        return problems[ROW].unique().sort().to_list()

    def headers(self, rows: Sequence[int]) -> list[str]:
        """Return the headers to show for rows: those that matter, in the order of the file."""
        table = self.plan.tables[0]
        every = [name for name in table.frame.columns if name != ROW]
        if len(every) <= _MOST_COLUMNS:
            return every
        of = {column: header for header, column in {**table.mapping, **table.extra}.items()}
        here = self.plan.problems.filter(pl.col(ROW).is_in(list(rows)))
        named = {of.get(column) for column in here["column"].drop_nulls().unique()}
        named |= {header for _, header in self.corrections.cells}
        known = [name for name in every if name in table.mapping]
        chosen = {*named, *known[:_MOST_COLUMNS]}
        return [name for name in every if name in chosen]

    def views(self, rows: Sequence[int], headers: Sequence[str]) -> list[RowView]:
        """Return rows with the messages at their cells."""
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
            self._view(row, by_row[row], original.get(row, {}), headers, notes.get(row, []))
            for row in rows
            if row in by_row
        ]

    def _notes(self, rows: Sequence[int]) -> dict[int, list[tuple[Code, str | None, bool, str]]]:
        table = self.plan.tables[0]
        of = {column: header for header, column in {**table.extra, **table.mapping}.items()}
        here = self.plan.problems.filter(
            pl.col(ROW).is_in(list(rows)) & (pl.col("severity") != Severity.INFO.value)
        ).sort("severity", maintain_order=True)
        found: dict[int, list[tuple[Code, str | None, bool, str]]] = {}
        for row, column, code, severity, detail in here.select(
            ROW, "column", "code", "severity", "detail"
        ).iter_rows():
            header = of.get(column) if column is not None else None
            said = self.words.problem(Code(code), header or column or "", detail)
            note = (Code(code), header, severity == Severity.ERROR.value, " ".join(said))
            found.setdefault(row, []).append(note)
        return found

    def _view(
        self,
        row: int,
        line: Mapping[str, Any],
        original: Mapping[str, Any],
        headers: Sequence[str],
        notes: Sequence[tuple[Code, str | None, bool, str]],
    ) -> RowView:
        table = self.plan.tables[0]
        columns = {**table.extra, **table.mapping}
        out = row in self.corrections.out
        wrong = {columns.get(header) for _, header, _, _ in notes if header is not None}
        wrong |= {column for code, *_ in notes for column in _ALSO.get(code, ())}
        cells = []
        for header in headers:
            column = columns.get(header)
            corrected = (row, header) in self.corrections.cells
            editable = not out and column not in _NEVER and (column in wrong or corrected)
            here = tuple((error, text) for _, at, error, text in notes if at == header)
            typo = any(at == header and code is Code.EMAIL_TYPO for code, at, _, _ in notes)
            cells.append(
                CellView(
                    header=header,
                    value=str(line.get(header) or ""),
                    place=f"{column_letters(table.places[header])}{row}"
                    if header in table.places
                    else "",
                    notes=() if out else here,
                    editable=editable and column is not None,
                    options=self._options(column),
                    original=str(original.get(header) or "") if corrected else None,
                    proposal=correct_typo(str(line.get(header) or "")) if typo else "",
                )
            )
        whole = tuple((error, text) for _, at, error, text in notes if at not in headers)
        errors = any(error for _, _, error, _ in notes)
        state = "out" if out else "fix" if errors else "check" if notes else "good"
        return RowView(row, tuple(cells), whole, state, self.corrections.seqs.get(row, 0))

    def _options(self, column: str | None) -> tuple[str, ...]:
        if column == "meeting_template":
            return self.templates[0]
        return self.templates[1] if column == "participant_template" else ()


def _rows_of(request: Request, known: UploadedList) -> _Rows:
    site = site_of(request)
    try:
        plan = site.workbench.plan(known)
        return _Rows(
            plan,
            site.workbench.corrections(known),
            words_of(request),
            site.workbench.templates(),
        )
    except Refusal as refusal:
        raise ImporterError(f"The list cannot be read: {refusal.detail}.") from refusal


_SHOWN: Final = ("errors", "all", "corrected", "out")


def rows_page(request: Request) -> Response:
    """The rows of a list that need a look, with their wrong cells as inputs."""
    known = find_list(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        return see_other(f"/lists/{known.id}")
    query = request.query_params
    show = query.get("show", "errors") if query.get("show") in _SHOWN else "errors"
    task = query.get("task", "")[:200]
    rows = _rows_of(request, known)
    numbers = rows.select(show, task)
    pages = max(1, math.ceil(len(numbers) / PAGE))
    asked = query.get("page", "1")
    page = min(max(int(asked) if asked.isdecimal() and len(asked) < 9 else 1, 1), pages)  # noqa: PLR2004
    here = numbers[(page - 1) * PAGE : page * PAGE]
    headers = rows.headers(here)
    lines = [line for line in task_lines(rows.plan, words_of(request)) if line.rows]
    return render(
        request,
        "rows.html.j2",
        known=known,
        name=site_of(request).workbench.name_of(known),
        headers=headers,
        rows=rows.views(here, headers),
        total=len(numbers),
        page=page,
        pages=pages,
        show=show,
        task=task,
        tasks=lines,
        left=_left(rows.plan, words_of(request)),
        corrections=rows.corrections,
        shown=",".join(headers),
    )


def _left(plan: Plan, words: Wording) -> str:
    """Return how many rows still need fixing, in words."""
    count = plan.counts.rejected
    if not count:
        return words("Every row is ready")
    return words.count(count, "{n} row needs fixing", "{n} rows need fixing")


def correct_row(request: Request, form: FormData) -> Response:
    """Correct a cell, take a correction back, leave a row out, or take it in again."""
    known, site = find_own_list(request), site_of(request)
    person, words = person_of(request), words_of(request)
    row = int(request.path_params["row"])
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        refuse(request, "This list cannot be corrected any more.", "Sending has begun.", 423)
    rows = _rows_of(request, known)
    header, action = text_of(form, "header", 500), text_of(form, "action") or "save"
    column = {**rows.plan.tables[0].extra, **rows.plan.tables[0].mapping}.get(header)
    if not rows.has(row):
        refuse(request, "The list has no row {row}.", "Reload the page.", 404, row=row)
    value: str | None = None
    if action in {"save", "undo"}:
        if column is None or column in _NEVER:
            refuse(request, "This column cannot be corrected here.", "Correct it in the file.")
        value = _clean_value(request, form) if action == "save" else None
    seen = text_of(form, "seen", 12)
    done = site.workbench.correct(
        known,
        row,
        name_of(person),
        seen=int(seen) if seen.isdecimal() else 0,
        header="" if action in {"leave-out", "take-in"} else header,
        value=value,
        out=action == "leave-out",
    )
    if done:
        record_event(
            site.ledger,
            person,
            "row-left-out" if action == "leave-out" else "cell-corrected",
            list_id=known.id,
            row=row,
            column=column or "",
        )
        known = note_correction(request, known)
    said = (
        words("Row {row} was checked again.", row=row)
        if done
        else words("A colleague changed row {row} meanwhile. Here it is as it is now.", row=row)
    )
    if "application/json" not in request.headers.get("accept", ""):
        if not done:
            refuse(
                request,
                "A colleague changed row {row} meanwhile.",
                "Go back, and reload the page.",
                409,
                row=row,
            )
        back = text_of(form, "back", 500)
        return see_other(f"/lists/{known.id}/fix{back if back.startswith('?') else ''}#r{row}")
    rows = _rows_of(request, known)
    headers = [name for name in text_of(form, "headers").split("\x1f") if name]
    headers = [name for name in rows.plan.tables[0].frame.columns if name in headers]
    html = render_text(
        request,
        "row.html.j2",
        "/",
        known=known,
        row=rows.views([row], headers)[0],
        headers=headers,
        back="",
    )
    return JSONResponse(
        {
            "row": html,
            "left": _left(rows.plan, words),
            "said": f"{said} {_left(rows.plan, words)}.",
        },
        status_code=200 if done else 409,
    )


def _clean_value(request: Request, form: FormData) -> str:
    """Return the new value of a cell; refuse what no cell may have."""
    value = text_of(form, "value", 100_000)
    most = site_of(request).settings.max_cell_chars
    if len(value) > most:
        refuse(
            request,
            "The value is too long: it has {n} characters, and {most} are possible.",
            "Shorten it.",
            n=len(value),
            most=most,
        )
    if any(ord(char) < 32 or ord(char) == 127 for char in value):  # noqa: PLR2004 - control characters
        refuse(request, "The value has characters that cannot be seen.", "Type it again.")
    if "{{" in value:
        refuse(request, "The value has double braces.", "Remove the braces.")
    return value


def note_correction(request: Request, known: UploadedList) -> UploadedList:
    """Check a list again after a correction; an approval that it had is void."""
    site = site_of(request)
    plan = site.workbench.plan(known)
    found = site.workbench.summary(plan, site.workbench.corrections(known))
    site.workbench.keep_people(known, plan)
    changed = site.ledger.lists.change(
        known.id,
        {ListState.OPEN, ListState.WAITING},
        state=ListState.OPEN.value,
        counts=found.counts,
        plan_hash=found.plan_hash,
    )
    return changed or known


def corrections_page(request: Request) -> Response:
    """Every correction of a list, with who made it and when."""
    known, site = find_list(request), site_of(request)
    try:
        corrections = site.workbench.corrections(known)
    except Refusal as refusal:
        raise ImporterError(f"The corrections cannot be read: {refusal.detail}.") from refusal
    return render(
        request,
        "corrections.html.j2",
        known=known,
        name=site.workbench.name_of(known),
        lines=list(reversed(corrections.lines))[:1_000],
        total=len(corrections.lines),
    )


correct_form = with_form(correct_row)
