"""The pages on which a list is corrected: its wrong cells as inputs, and its corrections."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import TYPE_CHECKING, Final

import polars as pl
from starlette.responses import JSONResponse, Response

from importer.errors import ImporterError
from importer.ledger.records import ListState
from importer.loader.sheet import Refusal
from importer.web.access import record_event
from importer.web.check_pages import task_lines
from importer.web.pages import (
    find_list,
    find_own_list,
    name_of,
    number_of,
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
from importer.web.rows_table import NEVER, RowsTable
from importer.web.suggestions import Suggestions
from schemas.columns import ROW

if TYPE_CHECKING:
    from starlette.datastructures import FormData
    from starlette.requests import Request

    from importer.ledger.records import UploadedList
    from importer.loader.corrections import Correction, Corrections
    from importer.model import Plan
    from importer.web.wording import Wording


PAGE: Final = 100
"""Rows on one page of the table."""

_SHOWN_TOGETHER: Final = 100
_MOST_BATCHES: Final = 1_000


def _rows_of(request: Request, known: UploadedList) -> RowsTable:
    site = site_of(request)
    try:
        plan, names = site.workbench.plan(known), site.workbench.templates()
        country = site.workbench.settings_for(known).default_country
        return RowsTable(
            plan,
            site.workbench.corrections(known),
            words_of(request),
            names,
            Suggestions(plan, names, country),
        )
    except Refusal as refusal:
        raise ImporterError(f"The list cannot be read: {refusal.detail}.") from refusal


_SHOWN: Final = ("errors", "all", "corrected", "out")


def rows_page(request: Request) -> Response:
    """Show the rows of a list that need attention, with their wrong cells as inputs."""
    known = find_list(request)
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        return see_other(f"/lists/{known.id}")
    query = request.query_params
    show = query.get("show", "errors") if query.get("show") in _SHOWN else "errors"
    task = query.get("task", "")[:200]
    rows, words = _rows_of(request, known), words_of(request)
    wanted = number_of(query.get("row", ""))
    if wanted is not None:
        numbers = [wanted] if rows.has(wanted) else []
    else:
        numbers = rows.select(show, task)
    pages = max(1, math.ceil(len(numbers) / PAGE))
    page = min(max(number_of(query.get("page", "")) or 1, 1), pages)
    here = numbers[(page - 1) * PAGE : page * PAGE]
    headers = rows.headers(here)
    lines = [line for line in task_lines(rows.plan, words) if line.rows]
    return render(
        request,
        "rows.html.j2",
        known=known,
        name=site_of(request).workbench.name_of(known),
        headers=headers,
        rows=rows.views(here, headers, every=wanted is not None),
        total=len(numbers),
        page=page,
        pages=pages,
        show=show,
        task=task,
        wanted=wanted,
        tasks=[line for line in lines if not line.of_columns],
        of_columns=[line for line in lines if line.of_columns],
        together=_together(rows, words, task) if task and len(numbers) > 1 else [],
        left=_left(rows.plan, words),
    )


def _together(
    rows: RowsTable, words: Wording, task: str
) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the columns in which one value can solve a task, each with the values to choose from.

    A column without such values takes any text. The countries of the list come first.
    """
    table, found = rows.plan.tables[0], []
    for header in rows.headers_for(task):
        column = {**table.extra, **table.mapping}[header]
        options = [(name, name) for name in rows.options(column)]
        if column == "country":
            names = dict(words.countries())
            order = dict.fromkeys([*rows.suggestions.countries, *names])
            options = [(code, names[code]) for code in order if code in names]
        found.append((header, options))
    return found


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
    refuse_if_sent(request, known)
    rows = _rows_of(request, known)
    header, action = text_of(form, "header", 500), text_of(form, "action") or "save"
    column = {**rows.plan.tables[0].extra, **rows.plan.tables[0].mapping}.get(header)
    if not rows.has(row):
        refuse(request, "The list has no row {row}.", "Reload the page.", 404, row=row)
    value: str | None = None
    if action in {"save", "undo"}:
        if column is None or column in NEVER:
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
    headers = [name for name in headers if name in rows.plan.tables[0].frame.columns]
    every = bool(text_of(form, "every"))
    html = render_text(
        request,
        "row.html.j2",
        "/",
        known=known,
        row=rows.views([row], headers, every=every)[0],
        every=every,
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


def refuse_if_sent(request: Request, known: UploadedList) -> None:
    """Refuse a correction of a list that is on its way."""
    if known.state not in {ListState.OPEN, ListState.WAITING}:
        refuse(request, "This list cannot be corrected any more.", "Sending has begun.", 423)


# ---- many rows at once ---------------------------------------------------------------------------


def correct_together(request: Request, form: FormData) -> Response:
    """Give a column one value in many rows: show them first, and change them once confirmed."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    refuse_if_sent(request, known)
    rows = _rows_of(request, known)
    header, value = text_of(form, "header", 500), _clean_value(request, form)
    if not rows.can_change_together(header):
        refuse(request, "This column cannot be corrected here.", "Correct it in the file.")
    task, like = text_of(form, "task", 200), text_of(form, "like", 100_000)
    numbers = rows.select("errors", task) if task else rows.alike(header, like)
    if not numbers or not value:
        refuse(request, "There is nothing to change.", "Go back, and reload the page.")
    seen = f"{rows.corrections.digest} {len(numbers)}"
    if text_of(form, "seen", 100) != seen:
        frame = rows.plan.tables[0].frame
        first = frame.filter(pl.col(ROW).is_in(numbers[:_SHOWN_TOGETHER]))
        shown = [header, *(each for each in rows.headers(numbers[:1])[:3] if each != header)]
        return render(
            request,
            "together.html.j2",
            known=known,
            name=site.workbench.name_of(known),
            header=header,
            value=value,
            task=task,
            like=like,
            seen=seen,
            total=len(numbers),
            headers=shown,
            rows=first.select(ROW, *shown).rows(),
        )
    site.workbench.correct_cells(known, {(n, header): value for n in numbers}, name_of(person))
    column = {**rows.plan.tables[0].extra, **rows.plan.tables[0].mapping}.get(header, "")
    record_event(site.ledger, person, "rows-corrected", list_id=known.id, column=column)
    note_correction(request, known)
    return see_other(f"/lists/{known.id}")


# ---- what was corrected --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CorrectionBatch:
    """Corrections that one click made.

    Attributes:
        first: the first of them.
        at: UTC.
        count: how many there are.
        counts: whether some of them still count, so that they can be taken back.
    """

    first: Correction
    at: datetime
    count: int
    counts: bool


def _batches(corrections: Corrections) -> list[CorrectionBatch]:
    """Return the corrections as they were made, the newest first."""
    found = []
    for _, lines in groupby(corrections.lines, key=lambda line: (line.by, line.at)):
        same = list(lines)
        counts = any(
            line.value is not None and corrections.cells.get((line.row, line.header)) == line.value
            for line in same
        )
        found.append(
            CorrectionBatch(
                same[0], datetime.fromisoformat(same[0].at), len(same), counts and len(same) > 1
            )
        )
    return found[::-1]


def corrections_page(request: Request) -> Response:
    """Show every correction of a list, with who made it and when."""
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
        batches=_batches(corrections)[:_MOST_BATCHES],
        total=len(corrections.lines),
    )


def take_back(request: Request, form: FormData) -> Response:
    """Take many corrections back that were made at once."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    refuse_if_sent(request, known)
    corrections = site.workbench.corrections(known)
    seq = number_of(text_of(form, "seq", 12)) or 0
    batch = next((each for each in _batches(corrections) if each.first.seq == seq), None)
    if batch is None or not batch.counts:
        refuse(request, "There is nothing to change.", "Go back, and reload the page.")
    lines = corrections.lines[seq - 1 : seq - 1 + batch.count]
    cells = {
        (line.row, line.header): None
        for line in lines
        if corrections.cells.get((line.row, line.header)) == line.value
    }
    site.workbench.correct_cells(known, cells, name_of(person))
    record_event(site.ledger, person, "rows-corrected", list_id=known.id)
    note_correction(request, known)
    return see_other(f"/lists/{known.id}/corrections")


correct_form, together_form = with_form(correct_row), with_form(correct_together)
take_back_form = with_form(take_back)
