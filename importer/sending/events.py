"""Events of the API: read what one says, and apply it to the submissions that it is about.

An event concerns a submission that has its conversation's id. It also concerns one whose externalId
it names, by the rules of reconciliation: nothing that the event shows may contradict that, neither
a phone nor an e-mail nor the organization. Such an event settles a doubt, because it shows that the
conversation exists. No event makes a submission sendable again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from importer.ledger.doubts import RESOLVED
from importer.ledger.records import ArrangedMeeting
from importer.ledger.webhook_events import ConversationNews, EventOutcome, WebhookEvent
from importer.model import MeetingState, State
from importer.sending.echo import Period, read_time, same_id, text_at
from importer.sending.matching import (
    Doubt,
    ListedConversation,
    Match,
    match_conversation,
    read_conversation,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.ledger import Ledger
    from importer.ledger.records import SubmissionRecord
    from importer.model import Json
    from importer.sending.matching import PersonHashes


_NOT_STARTED: Final = "START_CONVERSATION_FAILED"
_CONVERSATION_EVENTS: Final[Mapping[str, str | None]] = {
    "CONVERSATION_QUEUED": "QUEUED",
    "CONVERSATION_STARTED": "ONGOING",
    "CONVERSATION_COMPLETED": "COMPLETED",
    "CONVERSATION_NEEDS_REVIEW": None,
    "CONVERSATION_OPTED_OUT": "OPTED_OUT",
    "CONVERSATION_MAX_NUDGES_REACHED": None,
    _NOT_STARTED: "DELIVERY_FAILED",
}
"""Event -> the status of the conversation that it implies."""

_MEETING_EVENTS: Final[Mapping[str, MeetingState | None]] = {
    "CALENDAR_MEETING_SCHEDULED": MeetingState.SCHEDULED,
    "CALENDAR_MEETING_UPDATED": MeetingState.SCHEDULED,
    "CALENDAR_MEETING_RESCHEDULED": MeetingState.SCHEDULED,
    "CALENDAR_MEETING_CANCELLED": MeetingState.CANCELLED,
    "CALENDAR_AVAILABILITY_NOT_FOUND": None,
    "CALENDAR_MORE_TIME_REQUESTED": None,
}
"""Event -> the state of the meeting that it implies."""

_DONE: Final = frozenset({State.CREATED, State.DUPLICATE})
_STAGES: Final[Mapping[str, int]] = {
    "CREATED": 0,
    "QUEUED": 1,
    "ONGOING": 2,
    "OPTED_OUT": 4,
    "DELIVERY_FAILED": 4,
}
_LAST_STAGE: Final = 3
_WESTMOST: Final = timedelta(hours=12)
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_MOST_STATUS_CHARS: Final = 60


class _NoHashes:
    """Hashes of a ledger that has no key yet, and so knows nobody."""

    organization = ""

    def person(self, phone: str | None, email: str | None) -> str:
        """Return no hash."""
        del phone, email
        return ""

    def email(self, address: str) -> str:
        """Return no hash."""
        del address
        return ""


# ---- reading ---------------------------------------------------------------------------------


def read_event(body: bytes, received_at: datetime, hashes: PersonHashes | None) -> WebhookEvent:
    """Read an event; an unreadable body becomes an event, too, so that it is kept.

    Args:
        body: the body of the request, whose signature is right.
        received_at: UTC.
        hashes: keyed hashes of people; None if the ledger has no key yet.
    """
    own_id = f"sha256:{sha256(body).hexdigest()}"
    content = _read_object(body)
    if content is None:
        return WebhookEvent(own_id, "", received_at, None, None, None, {}, EventOutcome.UNREADABLE)
    event_id, name = text_at(content, "eventId") or own_id, text_at(content, "event") or ""
    happened_at = _read_moment(text_at(content, "eventTimestamp"))
    if happened_at is not None:
        happened_at = min(happened_at, received_at)  # a clock ahead of ours must not block others
    data = content.get("data")
    known = name in _CONVERSATION_EVENTS or name in _MEETING_EVENTS
    if not known or not isinstance(data, dict):
        outcome = EventOutcome.UNREADABLE if known else EventOutcome.UNKNOWN_EVENT
        return WebhookEvent(event_id, name, received_at, happened_at, None, None, {}, outcome)
    conversation = dict(data)
    if name in _MEETING_EVENTS:
        conversation |= {
            "id": data.get("conversationId"),
            "externalId": data.get("externalConversationId") or data.get("externalId"),
        }
    else:
        conversation["id"] = data.get("recordId")
    seen = read_conversation(conversation, hashes or _NoHashes())
    facts: dict[str, Json] = {
        "campaign": seen.campaign,
        "externalCampaign": seen.external_campaign,
        "organization": seen.organization,
        **_person_facts(seen, known=hashes is not None),
        **(_meeting_facts(name, data) if name in _MEETING_EVENTS else _status_facts(name, data)),
    }
    return WebhookEvent(
        event_id,
        name,
        received_at,
        happened_at,
        seen.conversation_id,
        seen.external_id,
        {key: value for key, value in facts.items() if value},
    )


def _read_object(body: bytes) -> dict[str, Json] | None:
    """Return the JSON object in a body; None if there is none."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _person_facts(seen: ListedConversation, *, known: bool) -> dict[str, Json]:
    """Return the keyed hashes of the person, if the event shows who it is."""
    if not known:
        return {}
    return {
        "persons": sorted(seen.persons),
        "emails": sorted(seen.emails),
        "knownPhone": seen.known_phone,
    }


def _status_facts(name: str, data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the status that the event shows or implies, whichever is later."""
    implied, shown = _CONVERSATION_EVENTS[name], text_at(data, "conversationStatus")
    if shown is None or len(shown) > _MOST_STATUS_CHARS:
        return {"status": implied}
    later = implied is None or _stage(shown) >= _stage(implied)
    return {"status": shown if later else implied}


def _stage(status: str) -> int:
    return _STAGES.get(status.upper(), _LAST_STAGE)


def _meeting_facts(name: str, data: Mapping[str, Json]) -> dict[str, Json]:
    """Return the booking, its state, and when it begins."""
    state = _MEETING_EVENTS[name]
    if state is None:
        return {}
    zone = text_at(data, "meetingDetails.timezone")
    begins = _read_moment(text_at(data, "meetingDetails.startDateTime"), zone)
    return {
        "meeting": state.value,
        "booking": text_at(data, "recordId"),
        "begins": None if begins is None else begins.isoformat(),
    }


def _read_moment(text: str | None, zone: str | None = None) -> datetime | None:
    """Parse a time; one without a zone is in `zone`, or else in UTC."""
    period = read_time(text)
    if period is None:
        return None
    if period.earliest == period.latest:
        return period.latest
    naive = (period.latest - _WESTMOST).replace(tzinfo=None)
    try:
        return naive.replace(tzinfo=ZoneInfo(zone or "UTC")).astimezone(UTC)
    except (KeyError, ValueError, OSError):
        return None


# ---- applying --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AppliedEvents:
    """The result of `apply_events`.

    Attributes:
        applied: events that need no more work.
        waiting: events that must be looked at again, because their row is just being sent.
    """

    applied: int
    waiting: int


def apply_events(ledger: Ledger, organization: str) -> AppliedEvents:
    """Apply the events that wait in the ledger; it may be locked by a run of another process.

    Args:
        ledger: open for writing.
        organization: whose events they are; empty if it is not known.

    Raises:
        LedgerError: the ledger fails; the events still wait then.
    """
    ledger.events.reopen()
    after = applied = waiting = 0
    while events := ledger.events.pending(after):
        after = events[-1].number
        for event in events:
            outcome, news = _decide(event, ledger.events.find_submissions(event), organization)
            if ledger.events.apply(event, outcome, news):
                applied += 1
            else:
                waiting += 1
    return AppliedEvents(applied, waiting)


def _decide(
    event: WebhookEvent, found: tuple[SubmissionRecord, ...], organization: str
) -> tuple[EventOutcome, list[ConversationNews]]:
    """Decide the outcome of an event and the news about each submission."""
    whose = event.facts.get("organization")
    if organization and isinstance(whose, str) and not same_id(organization, whose):
        return EventOutcome.CONTRADICTION, []
    concerned = [each for each in found if _concerns(event, each, organization)]
    if not concerned:
        contradicted = EventOutcome.CONTRADICTION if found else EventOutcome.UNKNOWN_CONVERSATION
        return contradicted, []
    news = [_news(event, each) for each in concerned if not _confirms_refusal(event, each)]
    settles = any(each.settles for each in news)
    return EventOutcome.SETTLED if settles else EventOutcome.APPLIED, news


def _concerns(event: WebhookEvent, known: SubmissionRecord, organization: str) -> bool:
    """Whether an event is about the conversation of a submission."""
    if event.conversation_id is not None and known.conversation_id == event.conversation_id:
        return True
    facts = event.facts
    seen = ListedConversation(
        conversation_id=event.conversation_id,
        external_id=event.external_id,
        organization=_text(facts, "organization"),
        persons=_texts(facts, "persons"),
        emails=_texts(facts, "emails"),
        known_phone=bool(facts.get("knownPhone")),
        created=Period(_LONG_AGO, event.at),  # not later than its event
    )
    doubt = Doubt(
        key=known.key,
        external_id=known.external_id or event.external_id or "",  # it may be purged
        campaign=known.campaign,
        person=known.person,
        sent_at=known.sent_at or _LONG_AGO + timedelta(days=1),
        email=known.email,
    )
    campaign, external = _text(facts, "campaign"), _text(facts, "externalCampaign")
    named = [each for each in (campaign, external) if each is not None]
    same = any(same_id(known.campaign, each) for each in named)
    if not same and len(named) == 1:
        # The ledger does not say whether a campaign's name is the API's id or ours, so the other
        # kind of name proves nothing. The externalId has the submission's key, of one campaign.
        return match_conversation(doubt, seen, None, organization) is Match.CERTAIN
    seen = replace(seen, campaign=campaign, external_campaign=external)
    same_campaign = same if named else None
    return match_conversation(doubt, seen, same_campaign, organization) is Match.CERTAIN


def _confirms_refusal(event: WebhookEvent, known: SubmissionRecord) -> bool:
    """Whether an event only says of a rejected submission that it was not started."""
    return known.state is State.REJECTED and event.name == _NOT_STARTED


def _news(event: WebhookEvent, known: SubmissionRecord) -> ConversationNews:
    """Return what an event says about the conversation of a submission."""
    facts, meeting = event.facts, _text(event.facts, "meeting")
    begins = _text(facts, "begins")
    by_person = known.code == RESOLVED and known.external_id == event.external_id
    return ConversationNews(
        key=known.key,
        state=known.state,
        settles=known.state not in _DONE or by_person,  # an event outweighs a person's decision
        conversation_id=event.conversation_id,
        status=_text(facts, "status"),
        meeting=None
        if meeting is None
        else ArrangedMeeting(
            MeetingState(meeting), None if begins is None else datetime.fromisoformat(begins)
        ),
        meeting_id=_text(facts, "booking"),
    )


def _text(facts: Mapping[str, Json], name: str) -> str | None:
    value = facts.get(name)
    return value if isinstance(value, str) else None


def _texts(facts: Mapping[str, Json], name: str) -> frozenset[str]:
    value = facts.get(name)
    return frozenset(map(str, value)) if isinstance(value, list) else frozenset()
