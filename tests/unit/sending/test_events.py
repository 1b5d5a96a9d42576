"""An event changes what it proves, and nothing else; late, repeated and odd ones do no harm."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from importer.deliver import deliver
from importer.errors import Exit
from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.ledger.tables import webhook_events
from importer.ledger.webhook_events import EVENT, EventOutcome
from importer.model import Outcome, State
from importer.sending.events import apply_events, read_event
from importer.sending.run_options import RunOptions, SilentObserver
from schemas.codes import Code
from tests.support.builders import CREDENTIALS, HASHES
from tests.support.events import NOON, event
from tests.support.project import GOOD, Project
from tests.unit.ledger.ledger_builders import (
    Clock,
    absent_outcome,
    new_run,
    planned_row,
    read_submission,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox

KEY = "0123456789abcdef" * 4
EXTERNAL_ID = f"A-{KEY}"
LATER = NOON + timedelta(minutes=5)
PHONE = "+442079460018"


@pytest.fixture
def clock() -> Clock:
    """Return a clock at noon."""
    return Clock(NOON)


@pytest.fixture
def ledger(tmp_path: Path, clock: Clock) -> Iterator[Ledger]:
    """Yield a new ledger."""
    with Ledger.open(f"sqlite:///{tmp_path / 'importer.db'}", now=clock.now) as opened:
        yield opened


def planned(ledger: Ledger, *, person: str = "") -> str:
    """Return a run with one submission that has not left."""
    row = planned_row(KEY, person=person or HASHES.person(PHONE, None))
    return ledger.runs.begin(new_run(), [row])


def ended(ledger: Ledger, state: State, conversation: str | None = None, code: str = "") -> str:
    """Return a run whose submission ended like this."""
    run = planned(ledger)
    assert ledger.submissions.intend(run, [KEY]) == (True,)
    settlement = Settlement(KEY, state, conversation_id=conversation, code=code)
    assert ledger.submissions.settle(run, [settlement]) == (state,)
    return run


def receive(ledger: Ledger, *bodies: bytes) -> list[str | None]:
    """Receive events and apply them; return the outcome of each event in the ledger."""
    for body in bodies:
        ledger.events.receive(read_event(body, LATER + timedelta(hours=1), HASHES))
    apply_events(ledger, HASHES.organization)
    wanted = select(webhook_events.c.outcome).order_by(webhook_events.c.number)
    with ledger._database.engine.connect() as connection:
        return list(connection.scalars(wanted))


def started(**data: Any) -> bytes:
    """Return the first message was delivered."""
    known = {"recordId": "conv-1", "externalId": EXTERNAL_ID, "organizationId": "org-1"}
    return event("CONVERSATION_STARTED", LATER, **{**known, **data})


# ---- reading -------------------------------------------------------------------------------------


def test_nothing_of_a_person_is_kept() -> None:
    """Names are dropped, phones and addresses become hashes."""
    body = started(
        participantFirstName="Ada",
        participantLastName="Lovelace",
        participantPhoneNumber=PHONE,
        participantEmailAddress="ada@example.com",
    )

    class Hashes:
        organization = "org-1"

        def person(self, phone: str | None, email: str | None) -> str:
            return "p1" if phone == PHONE else f"p2{email is None}"

        def email(self, address: str) -> str:
            return f"e{len(address)}"

    found = read_event(body, LATER, Hashes())
    assert (found.conversation_id, found.external_id) == ("conv-1", EXTERNAL_ID)
    assert found.facts["persons"] == ["p1", "p2False"]
    kept = json.dumps(dict(found.facts))
    assert not [word for word in ("Ada", "Lovelace", "7946", "example") if word in kept]


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (b"", EventOutcome.UNREADABLE),
        (b"[]", EventOutcome.UNREADABLE),
        (b"\xff\xfe{", EventOutcome.UNREADABLE),
        (b"[" * 100_000, EventOutcome.UNREADABLE),
        (b'{"event": "CONVERSATION_STARTED", "data": 7}', EventOutcome.UNREADABLE),
        (b"{}", EventOutcome.UNKNOWN_EVENT),
        (event("CANDIDATE_SNEEZED", recordId="conv-1"), EventOutcome.UNKNOWN_EVENT),
    ],
)
def test_what_cannot_be_understood_is_kept_as_seen(
    body: bytes, outcome: EventOutcome, ledger: Ledger
) -> None:
    """Once, however often it comes, and it changes nothing."""
    ended(ledger, State.DOUBTFUL)
    assert receive(ledger, body, body) == [outcome]
    assert read_submission(ledger, KEY)["state"] == "doubtful"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(["CONVERSATION_STARTED", "CALENDAR_MEETING_SCHEDULED", "OTHER"]),
    st.dictionaries(
        st.sampled_from(
            ["recordId", "externalId", "organizationId", "conversationStatus", "meetingDetails"]
        ),
        _JSON,
    ),
    _JSON,
)
def test_no_event_is_too_odd_to_be_read(name: str, data: dict[str, Any], when: Any) -> None:
    """Whatever the values are, there is an event to keep, and it can be kept."""
    body = {"event": name, "eventId": when, "eventTimestamp": when, "data": data}
    found = read_event(json.dumps(body).encode(), LATER, HASHES)
    assert found.id
    assert found.at <= LATER
    json.dumps(dict(found.facts), allow_nan=False).encode()


@pytest.mark.parametrize(
    ("name", "shown", "status"),
    [
        ("CONVERSATION_STARTED", "CREATED", "ONGOING"),
        ("CONVERSATION_COMPLETED", "COMPLETED_SCREENING_PASSED", "COMPLETED_SCREENING_PASSED"),
        ("CONVERSATION_COMPLETED", "ONGOING", "COMPLETED"),
        ("CONVERSATION_OPTED_OUT", "CLOSED", "OPTED_OUT"),
        ("START_CONVERSATION_FAILED", None, "DELIVERY_FAILED"),
        ("CONVERSATION_NEEDS_REVIEW", "ONGOING", "ONGOING"),
    ],
)
def test_the_later_status_counts(name: str, shown: str | None, status: str) -> None:
    """The one that the event implies, or the one that it shows."""
    body = event(name, recordId="conv-1", conversationStatus=shown)
    assert read_event(body, LATER, None).facts["status"] == status


def test_a_meeting_begins_in_its_own_zone() -> None:
    """If its time has none."""
    details = {"startDateTime": "2026-12-01T10:00:00", "timezone": "America/New_York"}
    body = event("CALENDAR_MEETING_SCHEDULED", conversationId="conv-1", meetingDetails=details)
    assert read_event(body, LATER, None).facts["begins"] == "2026-12-01T15:00:00+00:00"


# ---- what is proved ------------------------------------------------------------------------------


def test_an_event_settles_a_doubt(ledger: Ledger) -> None:
    """By our externalId, if nothing contradicts it; the status is known, too."""
    ended(ledger, State.DOUBTFUL)
    assert receive(ledger, started(participantPhoneNumber="+44 20 7946 0018")) == ["settled"]
    known = read_submission(ledger, KEY)
    assert (known["state"], known["conversation_id"]) == ("created", "conv-1")
    assert (known["decided_by"], known["remote_status"]) == (EVENT, "ONGOING")


@pytest.mark.parametrize(
    "shown",
    [
        {"participantPhoneNumber": "+12025550104"},
        {"organizationId": "org-2"},
        {"campaignId": "camp-1", "externalCampaignId": "camp-2"},
    ],
)
def test_an_event_that_contradicts_settles_nothing(ledger: Ledger, shown: dict[str, str]) -> None:
    """Another phone, organization or campaign: the row stays doubtful, and without news."""
    ended(ledger, State.DOUBTFUL)
    assert receive(ledger, started(**shown)) == ["contradiction"]
    known = read_submission(ledger, KEY)
    assert (known["state"], known["remote_status"]) == ("doubtful", None)


def test_an_event_of_long_ago_settles_nothing(ledger: Ledger) -> None:
    """Its conversation cannot be the one that a request asked for later."""
    ended(ledger, State.DOUBTFUL)
    known = {"recordId": "conv-0", "externalId": EXTERNAL_ID}
    early = event("CONVERSATION_STARTED", NOON - timedelta(hours=2), **known)
    assert receive(ledger, early) == ["contradiction"]
    assert read_submission(ledger, KEY)["state"] == "doubtful"


def test_an_external_campaign_does_not_contradict_a_campaign(ledger: Ledger) -> None:
    """The ledger cannot tell which kind of name it has."""
    ended(ledger, State.DOUBTFUL)
    assert receive(ledger, started(externalCampaignId="our-name-for-it")) == ["settled"]


def test_what_was_proved_absent_is_not_sent_again_if_an_event_shows_it(ledger: Ledger) -> None:
    """The list was wrong, and the run that is about to send it is refused."""
    run = ended(ledger, State.DOUBTFUL)
    ledger.doubts.reconcile([absent_outcome(KEY)])
    assert ledger.submissions.sendable(run) == [KEY]
    assert receive(ledger, started()) == ["settled"]
    assert ledger.submissions.sendable(run) == []
    assert ledger.submissions.intend(run, [KEY]) == (False,)


def test_an_event_alone_makes_nothing_sendable(ledger: Ledger) -> None:
    """Not even one that says that the conversation failed."""
    run = ended(ledger, State.DOUBTFUL)
    failed = event("START_CONVERSATION_FAILED", LATER, recordId="conv-1", externalId=EXTERNAL_ID)
    assert receive(ledger, failed) == ["settled"]
    assert ledger.submissions.sendable(run) == []
    assert read_submission(ledger, KEY)["remote_status"] == "DELIVERY_FAILED"


def test_the_failure_of_a_refused_row_is_no_news(ledger: Ledger) -> None:
    """It stays rejected, so it can be corrected and sent; a conversation that goes on settles."""
    ended(ledger, State.REJECTED)
    failed = event("START_CONVERSATION_FAILED", LATER, recordId="conv-1", externalId=EXTERNAL_ID)
    assert receive(ledger, failed) == ["applied"]
    assert read_submission(ledger, KEY)["state"] == "rejected"
    assert receive(ledger, started()) == ["applied", "settled"]
    assert read_submission(ledger, KEY)["state"] == "created"


def test_an_event_is_better_than_a_persons_word(ledger: Ledger) -> None:
    """Somebody named another conversation for the row; the event names ours."""
    run = ended(ledger, State.DOUBTFUL)
    ledger.doubts.resolve(run, 2, sent=True, by="ops", conversation_id="conv-9")
    assert receive(ledger, started()) == ["settled"]
    known = read_submission(ledger, KEY)
    assert (known["conversation_id"], known["decided_by"]) == ("conv-1", EVENT)


def test_an_event_for_a_row_that_is_just_being_sent_waits(ledger: Ledger) -> None:
    """Its news counts at once; the run settles the row, or a crash leaves a doubt to settle."""
    run = planned(ledger)
    ledger.submissions.intend(run, [KEY])
    assert receive(ledger, started()) == [None]
    assert (
        read_submission(ledger, KEY)["state"],
        read_submission(ledger, KEY)["remote_status"],
    ) == (
        "sending",
        "ONGOING",
    )
    assert ledger.events.counts().waiting == 1
    assert ledger.submissions.recover() == 1
    assert receive(ledger) == ["settled"]


def test_an_event_that_comes_before_its_conversation_is_known_counts_later(ledger: Ledger) -> None:
    """Without externalId, and while the ledger has no id of the conversation yet."""
    run = planned(ledger)
    out = event("CONVERSATION_OPTED_OUT", LATER, recordId="conv-1")
    assert receive(ledger, out) == ["unknown-conversation"]
    ledger.submissions.intend(run, [KEY])
    ledger.submissions.settle(run, [Settlement(KEY, State.CREATED, conversation_id="conv-1")])
    assert receive(ledger) == ["applied"]
    assert read_submission(ledger, KEY)["remote_status"] == "OPTED_OUT"


# ---- order ---------------------------------------------------------------------------------------


def test_an_older_event_does_not_overwrite_a_newer_one(ledger: Ledger) -> None:
    """In any order; of one moment the later stage counts."""
    ended(ledger, State.CREATED, "conv-1")
    done = event("CONVERSATION_COMPLETED", LATER, recordId="conv-1")
    early = event("CONVERSATION_QUEUED", NOON, recordId="conv-1")
    same = event("CONVERSATION_STARTED", LATER, recordId="conv-1")
    receive(ledger, done, early, same, done)
    known = read_submission(ledger, KEY)
    assert (known["remote_status"], known["remote_at"]) == ("COMPLETED", LATER)


def test_an_opt_out_is_final_whenever_it_comes(ledger: Ledger) -> None:
    """Late or early, nothing undoes it."""
    ended(ledger, State.CREATED, "conv-1")
    receive(
        ledger,
        event("CONVERSATION_COMPLETED", LATER, recordId="conv-1"),
        event("CONVERSATION_OPTED_OUT", NOON, recordId="conv-1"),
        event("CONVERSATION_STARTED", LATER, recordId="conv-1"),
    )
    assert read_submission(ledger, KEY)["remote_status"] == "OPTED_OUT"


def test_a_clock_ahead_of_ours_blocks_nothing(ledger: Ledger) -> None:
    """An event of next year counts as one of now."""
    ended(ledger, State.CREATED, "conv-1")
    receive(ledger, event("CONVERSATION_STARTED", LATER + timedelta(days=365), recordId="conv-1"))
    now = datetime.now(UTC)
    ledger.events.receive(
        read_event(event("CONVERSATION_COMPLETED", now, recordId="conv-1"), now, HASHES)
    )
    apply_events(ledger, "")
    assert read_submission(ledger, KEY)["remote_status"] == "COMPLETED"


def meeting(name: str, at: datetime, booking: str, begins: datetime | None = None) -> bytes:
    """Return an event about a meeting."""
    details = {"startDateTime": begins.isoformat()} if begins else {}
    return event(name, at, recordId=booking, conversationId="conv-1", meetingDetails=details)


def test_a_meeting_is_arranged_moved_and_cancelled(ledger: Ledger) -> None:
    """The end of an old booking does not cancel a newer one."""
    ended(ledger, State.CREATED, "conv-1")
    first, second = NOON + timedelta(days=2), NOON + timedelta(days=3)
    receive(ledger, meeting("CALENDAR_MEETING_SCHEDULED", NOON, "b1", first))
    assert (
        read_submission(ledger, KEY)["meeting_state"],
        read_submission(ledger, KEY)["meeting_at"],
    ) == (
        "scheduled",
        first,
    )
    receive(
        ledger,
        meeting("CALENDAR_MEETING_RESCHEDULED", NOON + timedelta(seconds=2), "b2", second),
        meeting("CALENDAR_MEETING_CANCELLED", NOON + timedelta(seconds=3), "b1"),
        meeting("CALENDAR_MEETING_UPDATED", NOON + timedelta(seconds=1), "b1", first),
    )
    known = read_submission(ledger, KEY)
    assert (known["meeting_state"], known["meeting_at"]) == ("scheduled", second)
    receive(ledger, meeting("CALENDAR_MEETING_CANCELLED", LATER, "b2"))
    assert read_submission(ledger, KEY)["meeting_state"] == "cancelled"


def test_a_purge_forgets_events_that_were_applied(ledger: Ledger) -> None:
    """What waits is kept."""
    run = planned(ledger)
    ledger.submissions.intend(run, [KEY])
    receive(ledger, event("OTHER"), started())
    ledger.purge(LATER + timedelta(days=1))
    assert receive(ledger) == [None]


# ---- people who opt out --------------------------------------------------------------------------


def test_who_opts_out_during_a_run_is_not_contacted_any_more(
    project: Project, sandbox: Sandbox
) -> None:
    """Everybody is in two campaigns; the first who was reached opts out while the run goes on."""
    people = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(40)]
    rows = people + [{**row, "campaign": "b"} for row in people]
    settings = project.settings.model_copy(update={"rate_per_s": 200.0, "concurrency": 2})
    plan = project.plan(rows)
    left: list[Outcome] = []

    class Listener(SilentObserver):
        def on_outcome(self, outcome: Outcome) -> None:
            left.append(outcome)
            if len(left) == 1:
                body = event(
                    "CONVERSATION_OPTED_OUT", datetime.now(UTC), recordId=outcome.conversation_id
                )
                with Ledger.open(settings.ledger) as beside:
                    beside.events.receive(read_event(body, datetime.now(UTC), None))
                    apply_events(beside, "")

    report = deliver(plan, settings, RunOptions("a test", CREDENTIALS), Listener())
    out = next(each for each in sandbox.journal if each["id"] == left[0].conversation_id)
    phones = [each["phoneNumber"] for each in sandbox.journal]
    assert phones.count(out["phoneNumber"]) == 1
    assert len(phones) == 79
    assert report.states == {State.CREATED: 79, State.REJECTED: 1}
    assert (report.stopped, report.exit_code) == ("", Exit.REJECTED)
    assert [each.code for each in left if each.state is State.REJECTED] == [Code.OPTED_OUT.value]


def test_an_opt_out_that_was_only_received_counts_for_the_next_run(
    project: Project, sandbox: Sandbox
) -> None:
    """The receiver was killed before it could work: the run reads the event itself."""
    options = RunOptions("a test", CREDENTIALS)
    deliver(project.plan([GOOD]), project.settings, options)
    conversation = sandbox.journal[0]["id"]
    again = project.plan([{**GOOD, "campaign": "b"}])
    with Ledger.open(project.settings.ledger) as beside:
        out = event("CONVERSATION_OPTED_OUT", datetime.now(UTC), recordId=conversation)
        beside.events.receive(read_event(out, datetime.now(UTC), None))
    report = deliver(again, project.settings, options)
    assert report.counts.rejected == 1
    assert len(sandbox.journal) == 1
