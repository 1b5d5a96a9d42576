"""Events that the API sent: kept before they are answered, applied to submissions afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, delete, func, or_, select, update

from importer.ledger.database import dialect_insert
from importer.ledger.submissions import (
    OPTED_OUT,
    conversation_owners,
    read_record,
    select_records,
)
from importer.ledger.tables import reached, submissions, webhook_events
from importer.model import MeetingState, State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection, Update

    from importer.ledger.database import Database
    from importer.ledger.records import ArrangedMeeting, SubmissionRecord
    from importer.model import Json


EVENT: Final = "event"
"""The value of `decided_by` if an event of the API decided."""

_EARLY: Final = frozenset({"CREATED", "QUEUED", "ONGOING"})
_KEY_DIGITS: Final = 16
_MOST_KEYS: Final = 40
_KEY_HEX: Final = 32  # digits of a whole key
_SHOWN: Final = "An event of the API shows the conversation."


class EventOutcome(StrEnum):
    """The result of an event."""

    APPLIED = "applied"
    """It was about conversations of this ledger, and what it says was noted if it was news."""
    SETTLED = "settled"
    """It also showed that the conversation of a submission exists."""
    UNKNOWN_CONVERSATION = "unknown-conversation"
    """It is about a conversation that this ledger does not know, or not yet."""
    CONTRADICTION = "contradiction"
    """It names our externalId, but another person, organization or campaign."""
    UNKNOWN_EVENT = "unknown-event"
    """The importer does not know this kind of event."""
    UNREADABLE = "unreadable"
    """It is not JSON as documented."""


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """An event of the API, without personal data.

    Attributes:
        id: the API's, by which repeats are known.
        name: such as `CONVERSATION_STARTED`; empty if it is unreadable.
        received_at: UTC.
        happened_at: UTC, never later than `received_at`; None if the event does not say.
        conversation_id: the id; None if it names none.
        external_id: the external id; None if it names none.
        facts: what `importer.sending.events` needs to apply it.
        outcome: the outcome; None until it is applied.
        number: position in the order of receipt; 0 until it is written.
    """

    id: str
    name: str
    received_at: datetime
    happened_at: datetime | None
    conversation_id: str | None
    external_id: str | None
    facts: Mapping[str, Json]
    outcome: EventOutcome | None = None
    number: int = 0

    @property
    def at(self) -> datetime:
        """Return when the event happened, or when it was received if that is unknown."""
        return self.happened_at or self.received_at


@dataclass(frozen=True, slots=True)
class ConversationNews:
    """An event's news about the conversation of a submission.

    Attributes:
        key: the key of the submission.
        state: the state of the submission when the event was compared with it.
        settles: whether the event proves that the submission's conversation exists.
        conversation_id: the id; None if the event names none.
        status: the status of the conversation; None if the event does not say.
        meeting: the meeting that was arranged or cancelled; None for none.
        meeting_id: the id of the booking; None if the event does not say.
    """

    key: str
    state: State
    settles: bool = False
    conversation_id: str | None = None
    status: str | None = None
    meeting: ArrangedMeeting | None = None
    meeting_id: str | None = None


@dataclass(frozen=True, slots=True)
class EventCounts:
    """The number of events, by kind.

    Attributes:
        received: the number of all events.
        waiting: the number of events that are not applied yet.
        newest: when the last one came, UTC; None if none did.
    """

    received: int
    waiting: int
    newest: datetime | None


class WebhookEvents:
    """Keep events and apply them. Each method is one short transaction.

    Other processes may hold the ledger's lock meanwhile: no method needs it.

    Args:
        database: open.
        now: the clock; timezone-aware.
    """

    def __init__(self, database: Database, now: Callable[[], datetime]) -> None:
        self._database = database
        self._now = now

    def receive(self, event: WebhookEvent) -> None:
        """Write an event, unless it is known; it is durable when this returns."""
        values = {
            name: getattr(event, name)
            for name in WebhookEvent.__slots__
            if name not in {"facts", "number", "outcome"}
        }
        values["facts"] = dict(event.facts)
        values["outcome"] = None if event.outcome is None else event.outcome.value

        def write(connection: Connection) -> None:
            new = dialect_insert(connection)(webhook_events).values(**values)
            connection.execute(new.on_conflict_do_nothing(index_elements=[webhook_events.c.id]))

        # The API does not send again what was answered, so a copy without it must count as older.
        self._database.write("event", write, counted=True, unsynced=True)

    def pending(self, after: int = 0, limit: int = 500) -> tuple[WebhookEvent, ...]:
        """Return events that are not applied yet, oldest first.

        Args:
            after: only those with a larger number.
            limit: how many.
        """
        e = webhook_events.c
        names = [name for name in WebhookEvent.__slots__ if name != "outcome"]
        wanted = (
            select(*(e[name] for name in names))
            .where(e.outcome.is_(None), e.number > after)
            .order_by(e.number)
            .limit(limit)
        )
        return self._database.read(
            lambda c: tuple(
                WebhookEvent(**dict(zip(names, row, strict=True))) for row in c.execute(wanted)
            )
        )

    def counts(self) -> EventCounts:
        """Count the events."""
        e = webhook_events.c
        waiting = func.count() - func.count(e.outcome)  # a null is not counted
        newest = select(e.received_at).order_by(e.number.desc()).limit(1)

        def read(connection: Connection) -> EventCounts:
            counted = select(func.count(), waiting).select_from(webhook_events)
            count, left = connection.execute(counted).one()
            return EventCounts(count, left, connection.scalar(newest))

        return self._database.read(read)

    def reopen(self) -> int:
        """Reopen events whose conversation has become known since; return how many."""
        e, s = webhook_events.c, submissions.c
        by_id = select(1).where(s.conversation_id == e.conversation_id)
        by_external_id = select(1).where(s.external_id == e.external_id, reached(s.state))
        known = select(e.number).where(
            e.outcome == EventOutcome.UNKNOWN_CONVERSATION.value,
            or_(
                and_(e.conversation_id.is_not(None), by_id.exists()),
                and_(e.external_id.is_not(None), by_external_id.exists()),
            ),
        )
        numbers = self._database.read(lambda c: list(c.scalars(known)))
        if numbers:
            again = update(webhook_events).where(e.number.in_(numbers)).values(outcome=None)
            self._database.write("event-again", lambda c: c.execute(again))
        return len(numbers)

    def find_submissions(self, event: WebhookEvent) -> tuple[SubmissionRecord, ...]:
        """Return the submissions that an event may be about, each once.

        They have its conversation id or its externalId. The text of old externalIds may be purged;
        the digits of the submission's key in it are enough.
        """
        s = submissions.c
        ways: list[ColumnElement[bool]] = []
        if event.conversation_id is not None:
            ways.append(s.conversation_id == event.conversation_id)
        if event.external_id is not None:
            ways.append(and_(s.external_id == event.external_id, reached(s.state)))
            ours = s.external_id.in_([event.external_id, ""])
            ways += [
                and_(s.key.between(digits.ljust(_KEY_HEX, "0"), digits.ljust(_KEY_HEX, "f")), ours)
                for digits in _key_digits(event.external_id)
            ]

        def read(connection: Connection) -> tuple[SubmissionRecord, ...]:
            found = {}
            for way in ways:  # one after the other, so that each is found by its index
                for row in connection.execute(select_records().where(way)):
                    record = read_record(row)
                    found[record.key] = record
            return tuple(found.values())

        return self._database.read(read)

    def apply(
        self, event: WebhookEvent, outcome: EventOutcome, news: Sequence[ConversationNews] = ()
    ) -> bool:
        """Write what an event says, and that it was applied; return whether it was.

        It was not if a submission is just being sent, or has changed since it was compared with
        the event. Status and meeting are written even then, because an opt-out must count at once.

        Args:
            event: the event that was received.
            outcome: what it leads to.
            news: about each submission that it concerns.
        """
        number = webhook_events.c.number

        def write(connection: Connection) -> bool:
            left = select(number).where(number == event.number, webhook_events.c.outcome.is_(None))
            if connection.scalar(left.with_for_update()) is None:
                return True  # another process has applied it
            settled = [_settle(connection, each, self._now()) for each in news if each.settles]
            for each in news:
                _write_news(connection, each, event.at)
            if all(settled):
                done = update(webhook_events).where(number == event.number)
                connection.execute(done.values(outcome=outcome.value))
            return all(settled)

        return self._database.write("event-applied", write, counted=True, unsynced=True)


def forget_events(connection: Connection, before: datetime) -> None:
    """Remove events that came before a time and were applied."""
    e = webhook_events.c
    connection.execute(delete(webhook_events).where(e.received_at < before, e.outcome.is_not(None)))


def _key_digits(external_id: str) -> list[str]:
    """Return the parts of an externalId that may begin a submission's key."""
    found = re.findall(rf"(?=([0-9a-f]{{{_KEY_DIGITS}}}))", external_id)
    return list(dict.fromkeys(found))[-_MOST_KEYS:]


def _settle(connection: Connection, news: ConversationNews, now: datetime) -> bool:
    """Write that a conversation exists; False if its submission is no longer in that state."""
    claimed = news.conversation_id
    if claimed and conversation_owners(connection, [(news.key, claimed)]):
        claimed = None
    shown = (
        update(submissions)
        .where(submissions.c.key == news.key, submissions.c.state == news.state.value)
        .values(
            state=State.CREATED.value,
            conversation_id=claimed,
            code="",
            message=_SHOWN,
            settled_at=now,
            decided_by=EVENT,
            decided_at=now,
        )
    )
    return connection.execute(shown).rowcount > 0


def _write_news(connection: Connection, news: ConversationNews, at: datetime) -> None:
    """Write the status and the meeting of a conversation unless the ledger's are newer."""
    if news.status is not None:
        connection.execute(_newer_status(news.status, at).where(submissions.c.key == news.key))
    if news.meeting is not None:
        newer = _newer_meeting(news.meeting, news.meeting_id, at)
        connection.execute(newer.where(submissions.c.key == news.key))


def _newer_status(status: str, at: datetime) -> Update:
    """Write a status; an opt-out is final, and counts whenever it comes."""
    s = submissions.c
    change = update(submissions).values(remote_status=status, remote_at=at)
    change = change.where(s.remote_status.is_(None) | (func.upper(s.remote_status) != OPTED_OUT))
    if status.upper() == OPTED_OUT:
        return change
    newer = s.remote_at < at if status.upper() in _EARLY else s.remote_at <= at
    return change.where(s.remote_at.is_(None) | newer)


def _newer_meeting(meeting: ArrangedMeeting, booking: str | None, at: datetime) -> Update:
    """Write a meeting; the end of one booking does not cancel another one."""
    s = submissions.c
    begins = s.meeting_at if meeting.at is None else meeting.at
    change = update(submissions).values(
        meeting_state=meeting.state.value,
        meeting_at=begins,
        meeting_known_at=at,
        meeting_id=s.meeting_id if booking is None else booking,
    )
    if meeting.state is MeetingState.CANCELLED and booking is not None:
        change = change.where(s.meeting_id.is_(None) | (s.meeting_id == booking))
    return change.where(s.meeting_known_at.is_(None) | (s.meeting_known_at <= at))
