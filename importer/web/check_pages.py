"""The page of a list, with its tasks; and the page of its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl
from starlette.responses import Response

from importer.errors import ImporterError
from importer.ledger.records import ListState
from importer.loader.sheet import Refusal
from importer.planning.placeholders import fold_name
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
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from importer.web.uploads import same_content
from importer.web.wording import plain_anomaly
from schemas.codes import Code, Severity
from schemas.columns import BY_NAME, ROW

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from importer.ledger.records import UploadedList
    from importer.model import Plan
    from importer.report.tasks import Task
    from importer.web.wording import Wording


COLUMN_CODES: Final = (
    Code.COLUMN_MISSING,
    Code.COLUMN_DUPLICATE,
    Code.COLUMN_UNKNOWN,
    Code.COLUMN_UNUSED,
)
"""Codes that mean that the columns of a list are not clear."""


# ---- where a list is -----------------------------------------------------------------------------


def list_page(request: Request) -> Response:
    """Show a list in any state: being checked, to fix, ready, or being sent."""
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
        progress = site.workbench.checking.get(known.id)
        return render(request, "waiting.html.j2", known=known, name=name, progress=progress)
    if known.state is ListState.FAILED:
        return render(request, "unreadable.html.j2", known=known, name=name, reason=known.message)
    return _check_page(request, known, name)


def list_status(request: Request) -> Response:
    """Show the part of a list's page that is polled while it is being checked."""
    known = find_list(request)
    progress = site_of(request).workbench.checking.get(known.id)
    answer = render_fragment(request, "status.html.j2", known=known, progress=progress)
    if known.state not in {ListState.CHECKING, ListState.QUEUED} or known.run is not None:
        answer.headers["x-reload"] = "1"
    return answer


@dataclass(frozen=True, slots=True)
class TaskLine:
    """A task in a recruiter's words.

    Attributes:
        key: the key of its rows on the page of the rows; empty if it concerns the whole list.
        kind: `fix` or `check`.
        title: what to do.
        how: what is wrong and how to put it right.
        rows: how many rows it concerns; 0 for the whole list.
        first: the first row.
        of_columns: whether it is corrected on the page of the columns.
        code: the code of its paragraph in the help.
    """

    key: str
    kind: str
    title: str
    how: str
    rows: int
    first: int | None
    of_columns: bool
    code: str


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
    message, fix = words.problem(
        task.code, header, details[0] if details.len() == 1 else "…", task.column or ""
    )
    varies = details.len() > 1 and "…" in message
    rows = task.where[0].rows
    return TaskLine(
        key=f"{task.code.value}.{task.column or ''}",
        kind="fix" if task.severity is Severity.ERROR else "check",
        title=words.task(task.code, task.label, task.column or ""),
        how=fix if varies else f"{message} {fix}",
        rows=task.total,
        first=rows[0] if rows else None,
        of_columns=task.code in COLUMN_CODES,
        code=task.code.value,
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
        unusual=[plain_anomaly(each) for each in site.workbench.find_unusual(known)],
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


_SAMPLES: Final = 3
_TEXT, _IGNORE = "text", "ignore"
_NEVER: Final = "skip_duplication_check"


@dataclass(frozen=True, slots=True)
class ColumnView:
    """A column of a list.

    Attributes:
        header: what the file calls it.
        samples: the first values in it.
        taken_for: a canonical column, `text` or `ignore`.
        doubt: what is unclear about it; empty if nothing is.
    """

    header: str
    samples: tuple[str, ...]
    taken_for: str
    doubt: str


def columns_page(request: Request) -> Response:
    """Show each header with samples, and a choice of what it is."""
    known, site = find_own_list(request), site_of(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        return see_other(f"/lists/{known.id}")
    plan = site.workbench.plan(known)
    words = words_of(request)
    choices = [(name, column_words(words, name)) for name in BY_NAME if name != _NEVER]
    choices += [(name, _needed_words(words, name)) for name in _needed(plan)]
    return render(
        request,
        "columns.html.j2",
        known=known,
        name=site.workbench.name_of(known),
        columns=_views(request, plan),
        choices=choices,
        missing=[words("“{name}”", name=column_words(words, name)) for name in _missing(plan)],
        never=(_NEVER, column_words(words, _NEVER)),
    )


def _needed(plan: Plan) -> list[str]:
    """Return what the meeting is filled with and no column has by its own name."""
    extra = plan.tables[0].extra
    taken = [column for header, column in extra.items() if column != fold_name(header)]
    return [name for name in sorted({*_missing(plan), *taken}) if name not in BY_NAME]


def _missing(plan: Plan) -> list[str]:
    """Return the columns that a list needs and does not have."""
    missing = plan.problems.filter(pl.col("code") == Code.COLUMN_MISSING.value)["column"]
    return sorted(missing.drop_nulls().cast(pl.String).unique())


def _needed_words(words: Wording, name: str) -> str:
    text = name.replace("_", " ").capitalize()
    return words("“{name}” for the text of the meeting", name=text)


def _views(request: Request, plan: Plan) -> list[ColumnView]:
    table, words = plan.tables[0], words_of(request)
    doubts: dict[str, str] = {}
    named = {column: header for header, column in {**table.extra, **table.mapping}.items()}
    unclear = plan.problems.filter(
        plan.problems["code"].is_in([each.value for each in COLUMN_CODES])
    )
    for column, code, detail in unclear.select("column", "code", "detail").iter_rows():
        header = named.get(column)
        if header is not None:
            problem = next(each for each in COLUMN_CODES if each.value == code)
            doubts.setdefault(header, words.problem(problem, header, detail)[0])
    found = []
    for header in [name for name in table.frame.columns if name != ROW]:
        samples = table.frame[header].drop_nulls().head(_SAMPLES).to_list()
        own = table.extra.get(header)
        taken_for = table.mapping.get(header) or own or _IGNORE
        taken_for = _TEXT if own is not None and own == fold_name(header) else taken_for
        found.append(
            ColumnView(header, tuple(map(str, samples)), taken_for, doubts.get(header, ""))
        )
    return found


def choose_columns(request: Request, form: FormData) -> Response:
    """Save what a person says about the columns, and use it for similar lists, too."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        refuse(request, "This list cannot be changed any more.", "Sending has begun.", 423)
    plan = site.workbench.plan(known)
    before = known.choices.get("columns")
    chosen = dict(before) if isinstance(before, dict) else {}
    possible = {_TEXT, _IGNORE, *BY_NAME, *_needed(plan)} - {_NEVER}
    for number, view in enumerate(_views(request, plan)):
        said = text_of(form, f"c{number}", 100)
        if text_of(form, f"h{number}", 500) != view.header.strip() or said in {"", view.taken_for}:
            continue
        if said not in possible:
            refuse(request, "There is no such column.", "Go back and choose another one.")
        chosen[view.header] = fold_name(view.header) if said == _TEXT else said
    site.ledger.lists.remember_columns(
        site.workbench.headers_hash(plan),
        {name: str(of) for name, of in chosen.items()},
        name_of(person),
    )
    site.ledger.lists.change(
        known.id,
        {ListState.OPEN, ListState.WAITING},
        state=ListState.CHECKING.value,
        choices={**known.choices, "columns": chosen, "columns_by": name_of(person)},
    )
    record_event(site.ledger, person, "columns-chosen", list_id=known.id)
    site.jobs.wake()
    return see_other(f"/lists/{known.id}")


choose_columns_form = with_form(choose_columns)
