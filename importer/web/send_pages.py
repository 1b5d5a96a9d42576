"""Previews of what candidates receive; and the page that starts a list and sends what it shows.

With `approval: required`, the page asks a second person for approval. That person sees the same
page, and starts the list by approving.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import polars as pl
from starlette.exceptions import HTTPException

from importer.languages import number
from importer.ledger.records import ListState
from importer.planning.history import open_history
from importer.planning.payload import submissions
from importer.report.formatting import duration
from importer.report.html import contact, facts, pretty
from importer.report.view import GroupView
from importer.web.access import Role, record_event, require_role
from importer.web.correction_pages import note_correction
from importer.web.pages import (
    find_list,
    find_own_list,
    name_of,
    person_of,
    refuse,
    render,
    see_other,
    site_of,
    text_of,
    with_form,
    words_of,
)
from importer.web.wording import in_brackets, plain_anomaly
from importer.work.hours import count_zones, find_start, is_quiet, local_times
from importer.work.upload_store import new_id
from schemas.codes import Code, Severity
from schemas.columns import GROUP, ROW

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import FormData
    from starlette.requests import Request
    from starlette.responses import Response

    from importer.ledger.records import Approval, UploadedList
    from importer.model import Json, Plan
    from importer.web.access import Person
    from importer.web.pages import Site
    from importer.web.wording import Wording
    from importer.work.hours import LocalTimes


@dataclass(frozen=True, slots=True)
class CandidateView:
    """The conversation that one row becomes.

    Attributes:
        contact: who is contacted, as labels and texts.
        meeting: what they are invited to, as labels and texts.
        title: the title of the meeting.
        campaign: the campaign that they are in.
        exact: the request, word for word.
    """

    contact: list[tuple[str, str]]
    meeting: list[tuple[str, str]]
    title: str
    campaign: str
    exact: str


def preview_page(request: Request) -> Response:
    """Show what the person of a row receives, or why the row is left out."""
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


EXPIRES: Final = timedelta(hours=24)
"""How long a request for approval waits."""

_OPEN: Final = frozenset({ListState.OPEN, ListState.WAITING})


@dataclass(frozen=True, slots=True)
class SendPreview:
    """The preview of what the page would send.

    Attributes:
        plan: what is sent.
        known: the list.
        behind: rows that are not sent: how many, and why.
        takes: how long it takes, in words.
        times: when people are contacted, in local time.
        quiet: how many people would be contacted too early or too late.
        opens: when sending can start, if not now; None if it can start now, or never.
        never: whether there is no hour that suits everybody.
        unusual: how the list differs from the last ones of its campaign, in sentences.
    """

    plan: Plan
    known: UploadedList
    behind: list[tuple[int, str]]
    takes: str
    times: Sequence[LocalTimes]
    quiet: int
    opens: datetime | None
    never: bool
    unusual: Sequence[str]

    @property
    def doubt(self) -> str:
        """A hash of what is unusual, so that a person confirms only what they saw."""
        return hashlib.sha256("\n".join(self.unusual).encode()).hexdigest()[:32]


def _preview(request: Request, known: UploadedList) -> SendPreview:
    """Return what would be sent now."""
    site, now = site_of(request), datetime.now(UTC)
    plan = site.workbench.plan(known, fresh=True)
    if plan.hash != known.plan_hash or plan.counts.ready != known.counts.get("ready"):
        known = note_correction(request, known)
    people = site.workbench.ensure_people(known)
    settings = site.workbench.settings_for(known)
    times: Sequence[LocalTimes] = ()
    quiet, opens, never = 0, None, False
    if people is not None:
        zones = count_zones(people)
        start = find_start(zones, now, settings)
        never = start is None
        opens = start if start is not None and start > now else None
        times = local_times(people, now, settings.rate_per_s)
        quiet = sum(each.quiet for each in times)
        if opens is None and not never and not is_quiet(zones, now):
            quiet = 0  # it pauses by itself in the evening
    return SendPreview(
        plan=plan,
        known=known,
        behind=list(_behind(request, plan, known)),
        takes=duration(plan.counts.ready / settings.rate_per_s),
        times=times,
        quiet=quiet,
        opens=opens,
        never=never,
        unusual=site.workbench.find_unusual(known),
    )


def _behind(request: Request, plan: Plan, known: UploadedList) -> list[tuple[int, str]]:
    """Return the rows that are not sent: how many, and why."""
    words = words_of(request)
    known_codes = plan.problems.filter(
        pl.col("code").is_in([Code.OPTED_OUT.value, Code.CONTACTED_RECENTLY.value])
    )
    unwanted = known_codes.height
    counts = plan.counts
    found = [
        (counts.already_imported, words("contacted before for this campaign")),
        (unwanted, words("people who want no messages, or were contacted recently")),
        (counts.rejected - min(unwanted, counts.rejected), words("to fix")),
        (counts.duplicates, words("the same person as an earlier row")),
        (known.counts.get("left_out", 0), words("left out by hand")),
    ]
    return [(number, why) for number, why in found if number]


def send_page(request: Request) -> Response:
    """Show what would be sent, to whom and when, and the button that starts it."""
    known = find_list(request)
    if known.state not in _OPEN:
        return see_other(f"/lists/{known.id}")
    if not known.counts.get("ready") or known.counts.get("unusable"):
        return see_other(f"/lists/{known.id}")
    return _show(request, known)


def _show(request: Request, known: UploadedList, said: str = "", status: int = 200) -> Response:
    site, person = site_of(request), person_of(request)
    preview = _preview(request, known)
    known = preview.known
    corrections = site.workbench.corrections(known)
    asked = _asked(site, known)
    return render(
        request,
        "send.html.j2",
        status,
        known=known,
        name=site.workbench.name_of(known),
        preview=preview,
        organization=site.credentials.organization_id,
        api=urlsplit(site.settings.base_url).netloc,
        campaigns=sorted({each.campaign or each.external_campaign for each in preview.plan.groups}),
        canary=site.workbench.settings_for(known).canary,
        elsewhere=site.workbench.elsewhere(known),
        contacted=site.workbench.contacted_before(known),
        corrections=corrections,
        needs_approval=site.settings.approval == "required",
        asked=asked,
        may_start=person.may(Role.SENDER)
        and (known.owner == name_of(person) or person.may(Role.OPERATOR)),
        may_agree=asked is not None and _may_agree(person, known, asked, corrections.lines),
        may_any_hour=person.may(Role.OPERATOR),
        unusual=[plain_anomaly(each) for each in preview.unusual],
        said=said,
    )


def _asked(site: Site, known: UploadedList) -> Approval | None:
    """Return the request for approval that is open for a list as it is now."""
    for approval in site.ledger.lists.approvals(known.id):
        fresh = datetime.now(UTC) - approval.asked_at < EXPIRES
        if approval.agreed is None and approval.plan_hash == known.plan_hash and fresh:
            return approval
    return None


def _may_agree(
    person: Person, known: UploadedList, asked: Approval, lines: Sequence[object]
) -> bool:
    """Whether a person may approve; people who uploaded, asked or corrected may not."""
    me = name_of(person)
    hands = {known.owner, asked.asked_by, *(getattr(line, "by", "") for line in lines)}
    return person.may(Role.APPROVER) and me not in hands


def start(request: Request, form: FormData) -> Response:
    """Start a list, or ask for approval, if it is still what the person saw."""
    known, site, person = find_own_list(request), site_of(request), person_of(request)
    require_role(person, Role.SENDER)
    if known.state not in _OPEN:
        return see_other(f"/lists/{known.id}")  # a second click, or a colleague was faster
    preview = _preview(request, known)
    changed = _changed(request, preview, form)
    if changed:
        return _show(request, preview.known, changed, 409)
    if preview.unusual:
        if text_of(form, "unusual", 64) != preview.doubt:
            words = words_of(request)
            said = words("Say first that you have looked at what is unusual.")
            return _show(request, preview.known, said, 409)
        record_event(site.ledger, person, "unusual-confirmed", list_id=known.id)
    choices, start_at = _when(request, preview, form)
    if site.settings.approval == "required":
        return _ask(request, preview, choices, start_at)
    begun = site.ledger.lists.change(
        known.id,
        {ListState.OPEN},
        int(text_of(form, "version", 12) or 0),
        state=ListState.QUEUED.value,
        choices=choices,
        start_at=start_at,
        run=None,
        wish="",
        message="",
    )
    if begun is not None:
        _note_start(request, preview)
    return see_other(f"/lists/{known.id}")


def _note_start(request: Request, preview: SendPreview) -> None:
    site = site_of(request)
    record_event(
        site.ledger,
        person_of(request),
        "sending-started",
        list_id=preview.known.id,
        plan_hash=preview.plan.hash,
    )
    site.jobs.wake()


def _changed(request: Request, preview: SendPreview, form: FormData) -> str:
    """Return what has changed since the person saw the page; empty if nothing has."""
    words, now = words_of(request), preview.plan.counts.ready
    seen = text_of(form, "ready", 12)
    then = int(seen) if seen.isdecimal() else 0
    if text_of(form, "plan", 64) == preview.plan.hash and then == now:
        return ""
    if then == now:
        return words("The list, the meeting or a setting changed since you looked. Look again.")
    return words(
        "The list changed since you looked: {then} rows were ready then, {now} are now.",
        then=number(then),
        now=number(now),
    )


def _when(
    request: Request, preview: SendPreview, form: FormData
) -> tuple[dict[str, object], datetime | None]:
    """Return the choices of a list that starts, and the time from which it may be sent."""
    site, person = site_of(request), person_of(request)
    kept = {key: value for key, value in preview.known.choices.items() if key != "any_hour"}
    choices: dict[str, object] = dict(kept)
    if site.is_rehearsal:
        return choices, None
    if text_of(form, "any_hour") and person.may(Role.OPERATOR):
        return {**choices, "any_hour": True}, None
    if preview.never:
        refuse(
            request,
            "There is no hour at which it is day for everybody of this list.",
            "Split the list by country, or ask the person who runs this page to allow it.",
        )
    return choices, preview.opens


def _ask(
    request: Request, preview: SendPreview, choices: dict[str, object], start_at: datetime | None
) -> Response:
    """Ask a second person for approval."""
    site, person, known = site_of(request), person_of(request), preview.known
    waiting = site.ledger.lists.change(
        known.id,
        {ListState.OPEN},
        state=ListState.WAITING.value,
        choices=choices,
        start_at=start_at,
    )
    if waiting is not None:
        site.ledger.lists.ask_approval(new_id(), known.id, preview.plan.hash, name_of(person))
        record_event(
            site.ledger, person, "approval-asked", list_id=known.id, plan_hash=preview.plan.hash
        )
    return see_other(f"/lists/{known.id}/send")


def decide(request: Request, form: FormData) -> Response:
    """Agree to a list, which starts it, or decline it with a reason."""
    known, site, person = find_list(request), site_of(request), person_of(request)
    require_role(person, Role.APPROVER)
    preview = _preview(request, known)
    known = preview.known
    asked = _asked(site, known)
    if known.state is not ListState.WAITING or asked is None:
        refuse(
            request,
            "This list does not wait for approval any more.",
            "It was changed, decided or withdrawn meanwhile.",
            409,
        )
    if not _may_agree(person, known, asked, site.workbench.corrections(known).lines):
        raise HTTPException(
            403, "You uploaded, started or corrected this list. Somebody else has to approve it."
        )
    changed = _changed(request, preview, form)
    if changed:
        return _show(request, known, changed, 409)
    agreed = text_of(form, "decision") == "agree"
    reason = text_of(form, "reason", 500)
    if not agreed and not reason:
        refuse(request, "Say why you decline.", "Go back and fill in the reason.")
    if not site.ledger.lists.decide_approval(
        asked.id, name_of(person), agreed=agreed, reason=reason
    ):
        return see_other(f"/lists/{known.id}/send")
    record_event(
        site.ledger,
        person,
        "approval-given" if agreed else "approval-declined",
        list_id=known.id,
        plan_hash=preview.plan.hash,
    )
    if not agreed:
        site.ledger.lists.change(known.id, {ListState.WAITING}, state=ListState.OPEN.value)
        return see_other("/")
    begun = site.ledger.lists.change(
        known.id,
        {ListState.WAITING},
        known.version,
        state=ListState.QUEUED.value,
        run=None,
        wish="",
        message="",
    )
    if begun is not None:
        _note_start(request, preview)
    return see_other("/")


def withdraw(request: Request, form: FormData) -> Response:
    """Take a request for approval back."""
    del form
    known, site = find_own_list(request), site_of(request)
    site.ledger.lists.change(known.id, {ListState.WAITING}, state=ListState.OPEN.value)
    for approval in site.ledger.lists.approvals(known.id):
        if approval.agreed is None:
            me = name_of(person_of(request))
            site.ledger.lists.decide_approval(approval.id, me, agreed=False, reason="withdrawn")
    return see_other(f"/lists/{known.id}")


start_form, decide_form, withdraw_form = map(with_form, (start, decide, withdraw))
