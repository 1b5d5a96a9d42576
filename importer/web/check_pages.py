"""The pages on which a list is put right: its tasks, its wrong cells as inputs, its corrections."""

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
from importer.report.tasks import tasks
from importer.web.access import record_event
from importer.web.pages import (
    find_list,
    find_own_list,
    name_of,
    person_of,
    refuse,
    render,
    render_fragment,
    render_text,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from importer.web.uploads import same_content
from schemas.codes import Code, Severity
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger.records import UploadedList
    from importer.loader.corrections import Corrections
    from importer.model import Plan
    from importer.report.tasks import Task
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

COLUMN_CODES: Final = (
    Code.COLUMN_MISSING,
    Code.COLUMN_DUPLICATE,
    Code.COLUMN_UNKNOWN,
    Code.COLUMN_UNUSED,
)
"""Codes that mean that the columns of a list are not clear."""


# ---- where a list is -----------------------------------------------------------------------------


def list_page(request: Request) -> Response:
    """A list wherever it is: being checked, to fix, ready, or on its way."""
    known, site = find_list(request), site_of(request)
    if known.state is ListState.DELETED:
        words = words_of(request)
        message = words("This list was deleted on {day}.", day=words.moment(known.changed_at))
        return render(
            request,
            "refusal.html.j2",
            410,
            message=message,
            fix=words("Its results stay: they are on the page of its run.") if known.run else "",
        )
    if known.run is not None and known.state is not ListState.OPEN:
        return see_other(f"/runs/{known.run}")
    name = site.workbench.name_of(known)
    waits = {ListState.CHECKING, ListState.UPLOADED, ListState.QUEUED, ListState.SENDING}
    if known.state in waits or known.state in {ListState.PAUSED, ListState.STOPPED}:
        return render(request, "waiting.html.j2", known=known, name=name)
    if known.state is ListState.FAILED:
        return render(request, "unreadable.html.j2", known=known, name=name, reason=known.message)
    return _check_page(request, known, name)


def list_status(request: Request) -> Response:
    """The part of a list's page that is polled while it is being checked."""
    known = find_list(request)
    answer = render_fragment(request, "status.html.j2", known=known)
    if known.state not in {ListState.CHECKING, ListState.QUEUED} or known.run is not None:
        answer.headers["x-reload"] = "1"
    return answer


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task in a recruiter's words.

    Attributes:
        key: of its rows on the page of the rows; empty if it concerns the whole list.
        kind: `fix` or `check`.
        title: what to do.
        how: what is wrong and how to put it right.
        rows: how many rows it concerns; 0 for the whole list.
        first: the first row.
        of_columns: it is put right on the page of the columns.
    """

    key: str
    kind: str
    title: str
    how: str
    rows: int
    first: int | None
    of_columns: bool


def task_lines(plan: Plan, words: Wording) -> list[TaskLine]:
    """Return the tasks of a plan in a recruiter's words, errors first."""
    found = tasks(plan.problems, plan.tables)
    return [_task_line(task, plan, words) for task in found if task.severity is not Severity.INFO]


def _task_line(task: Task, plan: Plan, words: Wording) -> TaskLine:
    here = plan.problems.filter(pl.col("code") == task.code.value)
    if task.column is not None:
        here = here.filter(pl.col("column") == task.column)
    details = here["detail"].head(100).unique(maintain_order=True)
    header = task.examples[0].header or task.label.strip("“”")
    message, fix = words.problem(task.code, header, details[0] if details.len() == 1 else "…")
    varies = details.len() > 1 and "…" in message
    rows = task.where[0].rows
    return TaskLine(
        key=f"{task.code.value}.{task.column or ''}",
        kind="fix" if task.severity is Severity.ERROR else "check",
        title=words.task(task.code, task.label),
        how=fix if varies else f"{message} {fix}",
        rows=task.total,
        first=rows[0] if rows else None,
        of_columns=task.code in COLUMN_CODES,
    )


def _check_page(request: Request, known: UploadedList, name: str) -> Response:
    site, words = site_of(request), words_of(request)
    try:
        plan = site.workbench.plan(known)
        corrections = site.workbench.corrections(known)
    except (ImporterError, Refusal) as error:
        return render(request, "unreadable.html.j2", known=known, name=name, reason=str(error))
    summary = site.workbench.summary(plan, corrections)
    lines = task_lines(plan, words)
    table = plan.tables[0]
    meetings, participants = site.workbench.templates()
    settings = site.workbench.settings_for(known)
    unclear = [line for line in lines if line.of_columns]
    return render(
        request,
        "check.html.j2",
        known=known,
        name=name,
        counts=summary.counts,
        fixes=[line for line in lines if line.kind == "fix"],
        checks=[line for line in lines if line.kind == "check"],
        unclear=bool(unclear),
        corrections=corrections,
        same=same_content(request, known),
        columns=[(header, column_words(words, column)) for header, column in table.mapping.items()],
        extra=list(table.extra),
        meetings=meetings,
        participants=participants,
        chosen={
            "campaign": settings.campaign or settings.external_campaign or "",
            "meeting": settings.meeting or "",
            "participants": settings.participants or "",
            "country": settings.default_country or "",
        },
        countries=words.countries(),
        mine=known.owner == name_of(person_of(request)),
    )


COLUMN_WORDS: Final = {
    "phone_number": "Phone",
    "email": "E-mail",
    "first_name": "First name",
    "last_name": "Last name",
    "full_name": "First and last name in one",
    "country": "Country",
    "campaign": "Campaign",
    "external_campaign": "Campaign, by your own number",
    "candidate_id": "Candidate’s own number",
    "meeting_template": "Meeting",
    "participant_template": "People to meet",
    "send_during_business_hours": "Only in business hours (yes or no)",
    "skip_duplication_check": "Contact again (yes or no)",
}


def column_words(words: Wording, column: str) -> str:
    """Return what a person calls a column."""
    return words(COLUMN_WORDS.get(column) or column.replace("_", " ").capitalize())


# ---- the rows ------------------------------------------------------------------------------------


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
