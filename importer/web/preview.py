"""What a candidate gets: the meeting in words, when and from whom, row by row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.planning.history import open_history
from importer.planning.payload import submissions
from importer.report.html import contact, facts, pretty
from importer.report.view import GroupView
from importer.web.pages import find_list, render, see_other, site_of, words_of
from schemas.codes import Code, Severity
from schemas.columns import GROUP, ROW

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from importer.model import Json, Plan
    from importer.web.wording import Wording


_PLACE: Final = re.compile(r"\{\{?\s*([A-Za-z0-9_]+)\s*\}?\}")


def in_brackets(text: str) -> str:
    """Return a text of a template with what is filled in later as words: `[job title]`."""
    return _PLACE.sub(lambda found: f"[{found[1].replace('_', ' ').lower()}]", text)


@dataclass(frozen=True, slots=True)
class CandidateView:
    """What one row becomes.

    Attributes:
        contact: who is written to, as labels and texts.
        meeting: what they are invited to, as labels and texts.
        title: of the meeting.
        campaign: that they are in.
        exact: the request, word for word.
    """

    contact: list[tuple[str, str]]
    meeting: list[tuple[str, str]]
    title: str
    campaign: str
    exact: str


def preview_page(request: Request) -> Response:
    """What the person of one row gets, or why the row is left out; previous and next."""
    known, site = find_list(request), site_of(request)
    if not known.counts:
        return see_other(f"/lists/{known.id}")
    plan = site.workbench.plan(known)
    rows = plan.frame[ROW]
    asked = request.query_params.get("row", "")
    row = int(asked) if asked.isdecimal() and len(asked) < 9 else None  # noqa: PLR2004
    if row is None:
        row = int(rows[0]) if rows.len() else 0
    here = plan.frame.filter(pl.col(ROW) == row)
    settings = site.workbench.settings_for(known)
    seen: CandidateView | None = None
    if here.height:
        with open_history(settings, site.ledger) as history:
            sent = next(iter(submissions(plan, history.identity, settings, here)))
        seen = candidate_view(plan, sent.body, int(here[GROUP][0]))
    return render(
        request,
        "preview.html.j2",
        known=known,
        name=site.workbench.name_of(known),
        row=row,
        seen=seen,
        reasons=[] if seen else _reasons(plan, row, words_of(request)),
        before=rows.filter(rows < row).max(),
        after=rows.filter(rows > row).min(),
        total=rows.len(),
    )


def candidate_view(plan: Plan, body: Json, number: int) -> CandidateView:
    """Return what a request body says, in words."""
    said = body if isinstance(body, dict) else {}
    group = plan.groups[number]
    meeting, people = said.get("meetingConfiguration"), said.get("meetingParticipants")
    view = GroupView(
        campaign=group.campaign or group.external_campaign,
        meeting=group.meeting,
        participants=group.participants,
        rows=1,
        bindings={},
        meeting_configuration=meeting if isinstance(meeting, dict) else {},
        meeting_participants=tuple(people) if isinstance(people, list | tuple) else (),
    )
    return CandidateView(
        contact=contact(said),
        meeting=[(label, in_brackets(text)) for label, text in facts(view)],
        title=in_brackets(str(view.meeting_configuration.get("title") or group.meeting)),
        campaign=view.campaign,
        exact=pretty(said),
    )


def _reasons(plan: Plan, row: int, words: Wording) -> list[str]:
    """Return why a row is not sent."""
    here = plan.problems.filter(
        (pl.col(ROW) == row) & (pl.col("severity") != Severity.WARNING.value)
    )
    table = plan.tables[0]
    named = {column: header for header, column in {**table.extra, **table.mapping}.items()}
    return [
        " ".join(words.problem(Code(code), named.get(column) or "", detail))
        for column, code, detail in here.select("column", "code", "detail").iter_rows()
    ]
