"""Keys and people are looked up in bulk, by index."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from importer.ledger.records import Settlement
from importer.ledger.submissions import WHO_OPTED_OUT
from importer.ledger.webhook_events import WebhookEvent
from importer.model import PlannedRow, RowStatus, State
from schemas.codes import Code
from tests.unit.ledger.ledger_builders import FILE, new_run, planned_row, settle_submission

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from importer.ledger import Ledger
    from tests.unit.ledger.ledger_builders import Clock


def test_a_record_says_all_that_a_later_run_needs(ledger: Ledger, clock: Clock) -> None:
    """State, run, time, file, row, body, conversation, reason; nothing of unknown keys."""
    run = ledger.runs.begin(new_run(), [planned_row("k1", 7, body="9")])
    ledger.submissions.intend(run, ["k1"])
    clock.pass_s(1)
    ledger.submissions.settle(run, [Settlement("k1", State.REJECTED, 400, "c1", "http-400", "no")])
    assert list(ledger.submissions.records(["k0", "k1"])) == ["k1"]
    known = ledger.submissions.records(["k1"])["k1"]
    assert (known.state, known.run, known.settled_at) == (State.REJECTED, run, clock.now())
    assert (known.source_name, known.row, known.body_hash) == (FILE.name, 7, "9")
    assert (known.conversation_id, known.code, known.message) == ("c1", "http-400", "no")


def test_any_number_of_keys(ledger: Ledger) -> None:
    """More than a statement takes, and none."""
    keys = [f"k{n}" for n in range(12_345)]
    ledger.runs.begin(new_run(), [planned_row(key, n + 2) for n, key in enumerate(keys)])
    assert sorted(ledger.submissions.records(iter(keys))) == sorted(keys)
    assert ledger.submissions.records([]) == {}


def test_an_empty_ledger(ledger: Ledger) -> None:
    """It is empty until the first submission is planned."""
    assert ledger.submissions.is_empty()
    ledger.runs.begin(new_run(), [])
    assert ledger.submissions.is_empty()
    ledger.runs.begin(new_run(), [planned_row("k1")])
    assert not ledger.submissions.is_empty()


@pytest.mark.parametrize(
    ("state", "counts"),
    [
        (State.CREATED, True),
        (State.DUPLICATE, True),
        (State.DOUBTFUL, True),
        (State.REJECTED, False),
        (State.UNSENT, False),
        (State.PLANNED, False),
    ],
)
def test_who_was_contacted(ledger: Ledger, clock: Clock, state: State, *, counts: bool) -> None:
    """People who got, or may have got, a message since then; not those who surely got none."""
    run = settle_submission(ledger, "k1", state)
    since = clock.now() - timedelta(days=1)
    expected = {"person of k1": (clock.now(), run, "camp-42")} if counts else {}
    found = ledger.submissions.contacted(["person of k1", "a stranger"], since)
    assert {
        person: (each.sent_at, each.run, each.campaign) for person, each in found.items()
    } == expected
    assert ledger.submissions.contacted(["person of k1"], clock.now() + timedelta(seconds=1)) == {}


def test_the_latest_contact_counts(ledger: Ledger, clock: Clock) -> None:
    """Of several campaigns, and across more people than a statement takes."""
    rows = [planned_row(f"k{n}", n + 2, person=f"p{n // 2}") for n in range(12_000)]
    run = ledger.runs.begin(new_run(), rows)
    ledger.submissions.intend(run, [f"k{n}" for n in range(0, 12_000, 2)])
    clock.pass_s(60)
    ledger.submissions.intend(run, [f"k{n}" for n in range(1, 12_000, 2)])
    found = ledger.submissions.contacted(
        (f"p{n}" for n in range(6_000)), clock.now() - timedelta(hours=1)
    )
    assert len(found) == 6_000
    assert {each.sent_at for each in found.values()} == {clock.now()}


def test_who_opted_out(ledger: Ledger, clock: Clock) -> None:
    """A status of any conversation of theirs says so."""
    run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
    ledger.submissions.intend(run, ["k1", "k2"])
    ledger.submissions.settle(
        run, [Settlement(k, State.CREATED, 201, f"c-{k}") for k in ("k1", "k2")]
    )
    clock.pass_s(86_400)
    assert ledger.conversations.write_statuses({"c-k1": "OPTED_OUT", "c-k2": "ONGOING"}) == 2
    found = ledger.submissions.opted_out(["person of k1", "person of k2"])
    assert list(found) == ["person of k1"]
    assert (found["person of k1"].remote_at, found["person of k1"].run) == (clock.now(), run)


def test_what_a_run_must_not_send_any_more(ledger: Ledger, clock: Clock) -> None:
    """The unsent rows of people that another run wrote to in the window, or who opted out."""
    people = [planned_row(f"k{n}", n, person=f"p{n % 3}") for n in range(2, 8)]
    mine = ledger.runs.begin(new_run(), people)
    ledger.submissions.intend(mine, ["k2"])
    ledger.submissions.settle(mine, [Settlement("k2", State.CREATED, 201, "c-mine")])
    theirs = ledger.runs.begin(new_run(), [planned_row("k9", person="p0")])
    ledger.submissions.intend(theirs, ["k9"])
    ledger.submissions.settle(theirs, [Settlement("k9", State.CREATED, 201, "c-theirs")])
    hour_ago = clock.now() - timedelta(hours=1)
    assert sorted(ledger.rechecks.contacted_by_others(mine, hour_ago)) == ["k3", "k6"]
    assert ledger.rechecks.contacted_by_others(mine, clock.now() + timedelta(seconds=1)) == []
    assert ledger.rechecks.contacted_by_others(theirs, hour_ago) == []
    assert ledger.rechecks.opted_out(mine) == []
    ledger.conversations.write_statuses({"c-mine": "opted_out"})
    assert ledger.rechecks.opted_out(mine) == ["k5"]


EVENT_OF_ANOTHER = WebhookEvent(
    id="e1",
    name="CONVERSATION_STARTED",
    received_at=datetime(2026, 11, 22, tzinfo=UTC),
    happened_at=None,
    conversation_id="c9",
    external_id="A-0123456789abcdef",
    facts={},
)

_PART = re.compile("_listed|webhook_events_stray")
"""Partial indexes that are read whole, because their rows are what is asked for."""
_GIVEN = {"SCAN listed VIRTUAL TABLE INDEX 1:"}
"""The values that a query is given, as one parameter."""


def explain(connection: Connection, sql: str, values: Any) -> list[str]:
    """Return the steps of a statement that read more of a table than an index leads to."""
    driver: Any = connection.connection.driver_connection
    if connection.dialect.name == "sqlite":
        steps = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        steps = [step for step in steps if step not in _GIVEN]
        return [step for step in steps if step.startswith("SCAN") and not _PART.search(step)]
    driver.execute("SET LOCAL enable_seqscan = off")  # it scans only what no index leads to
    steps = [row[0].strip() for row in driver.execute(f"EXPLAIN {sql}", values)]
    return [
        step for step in steps if re.search(r"Seq Scan on (submissions|run_rows|attempts)", step)
    ]


def watch_queries(ledger: Ledger) -> tuple[list[str], list[str]]:
    """Return lists that grow: the statements on submissions, and their steps without an index."""
    asked, scans = list[str](), list[str]()

    def note(connection: Connection, cursor: object, sql: str, values: object, *_: object) -> None:
        del cursor
        if sql.lstrip().startswith(("SELECT", "UPDATE")) and "submissions" in sql:
            asked.append(sql)
            scans.extend(explain(connection, sql, values))

    event.listen(ledger._database.engine, "before_cursor_execute", note)
    return asked, scans


def test_people_and_open_attempts_are_found_by_index(ledger: Ledger, clock: Clock) -> None:
    """The conditions of the partial indexes are repeated word for word, or all would be scanned."""
    rejected = PlannedRow(0, 9, RowStatus.REJECTED.value, "phone-invalid")
    run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k3", 3), rejected])
    ledger.submissions.intend(run, ["k3"])
    ledger.submissions.settle(run, [Settlement("k3", State.DOUBTFUL)])
    asked, scans = watch_queries(ledger)
    for ask in (
        lambda: ledger.submissions.contacted(["p1"], clock.now()),
        lambda: ledger.submissions.opted_out(["p1"]),
        ledger.doubts.list,
        ledger.submissions.recover,
        lambda: ledger.conversations.write_statuses({"c1": "ONGOING"}),
        lambda: ledger.submissions.related(["e1"], ["i1"]),
        lambda: ledger.submissions.settle("run", [Settlement("k", State.CREATED, 201, "c")]),
        lambda: ledger.conversations.witnesses("camp-42", "auto-schedule", clock.now()),
        lambda: ledger.conversations.note_listed(["A-1"], clock.now()),
        ledger.conversations.list_lag,
        lambda: ledger.submissions.sendable("run"),
        lambda: ledger.submissions.unfinished("run"),
        lambda: ledger.conversations.ids("run"),
        lambda: ledger.rechecks.contacted_by_others("run", clock.now()),
        lambda: ledger.rechecks.opted_out("run"),
        lambda: ledger.rechecks.shared_contacts("run"),
        lambda: ledger.submissions.count_sendable("run"),
        lambda: ledger.submissions.records(["k1"]),
        lambda: list(ledger.submissions.known(["k1"])),
        lambda: ledger.runs.states("run"),
        lambda: ledger.runs.not_sent(run, 20),
        lambda: ledger.runs.open_elsewhere("run"),
        lambda: list(ledger.runs.rows("run")),
        lambda: ledger.runs.first_outcomes("run", 20),
        lambda: ledger.doubts.list("run"),
        lambda: ledger.doubts.list_rejected("code"),
        lambda: ledger.doubts.count_absent("code"),
        lambda: ledger.doubts.resolve(run, 3, sent=True, by="a person"),
        lambda: ledger.events.find_submissions(EVENT_OF_ANOTHER),
        ledger.events.reopen,
    ):
        asked.clear()
        ask()
        assert asked
        assert not scans


def test_who_opted_out_is_read_from_an_index_of_its_own(file_ledger: Ledger) -> None:
    """Not from that of everybody who was contacted: with five million it takes twenty seconds."""
    with file_ledger._database.engine.connect() as connection:
        query = WHO_OPTED_OUT.limit(1).compile(connection, compile_kwargs={"literal_binds": True})
        steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}").all()
    assert ["submissions_opted_out" in step[3] for step in steps] == [True]


def test_who_is_related(ledger: Ledger) -> None:
    """The same e-mail or candidate id, in any run, campaign and state; each submission once."""
    first = ledger.runs.begin(
        new_run(), [planned_row("k1", email="e1", candidate="i1"), planned_row("k2", 3, email="e2")]
    )
    ledger.submissions.intend(first, ["k1"])
    second = ledger.runs.begin(new_run(), [planned_row("k3", 4, candidate="i1", campaign="camp-1")])
    related = {each.key: each for each in ledger.submissions.related(["e1"], ["i1", "i9"])}
    assert set(related) == {"k1", "k3"}
    known = related["k1"]
    assert (known.person, known.email, known.candidate) == ("person of k1", "e1", "i1")
    assert (known.campaign, known.state) == ("camp-42", State.DOUBTFUL)
    assert (known.run, known.source_name, known.row) == (first, FILE.name, 2)
    assert (related["k3"].state, related["k3"].run) == (State.PLANNED, second)
    assert ledger.submissions.related([], []) == ()
    many = ledger.submissions.related([f"e{n}" for n in range(12_000)], [])
    assert {each.key for each in many} == {"k1", "k2"}


def test_whose_contacts_another_person_has_by_now(ledger: Ledger) -> None:
    """In another run of the same campaign; rejected people do not count."""
    rows = [
        planned_row("k1", 2, email="e1", candidate="i1"),
        planned_row("k2", 3, email="e2"),
        planned_row("k3", 4, email="e3"),
        planned_row("k4", 5, email="e4"),
        planned_row("k5", 6, email="e5", candidate="i5"),
        planned_row("k6", 7, email="e5"),  # of the same run, which was checked as a whole
        planned_row("k7", 8),
    ]
    mine = ledger.runs.begin(new_run(), rows)
    assert ledger.rechecks.shared_contacts(mine) == {}
    theirs = ledger.runs.begin(
        new_run(),
        [
            planned_row("n1", 2, email="e1", candidate="i1"),
            planned_row("n2", 3, email="e2"),
            planned_row("n3", 4, email="e3", campaign="camp-1"),
            planned_row("n4", 5, email="e4", person="person of k4"),
            planned_row("n5", 6, candidate="i5"),
        ],
    )
    reject = Settlement("n5", State.REJECTED, 422)
    ledger.submissions.settle(theirs, [reject])
    assert ledger.rechecks.shared_contacts(mine) == {
        "k1": Code.CANDIDATE_ID_OF_ANOTHER,
        "k2": Code.EMAIL_OF_ANOTHER,
    }
    ledger.submissions.settle(mine, [Settlement("k2", State.REJECTED, 422)])
    assert set(ledger.rechecks.shared_contacts(mine)) == {"k1"}


def test_campaigns_as_they_were_spelled(ledger: Ledger) -> None:
    """Each spelling once, whatever became of the submissions."""
    assert ledger.submissions.campaigns() == ()
    ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3, campaign="CAMP-42")])
    ledger.runs.begin(new_run(), [planned_row("k3")])
    assert ledger.submissions.campaigns() == ("CAMP-42", "camp-42")


def test_a_record_shows_nothing_of_the_person(ledger: Ledger) -> None:
    """Neither the masked text nor a hash is in its repr, or in that of a row that has it."""
    run = ledger.runs.begin(
        new_run(), [planned_row("k1", 7, email="e1", candidate="i1", body="99")]
    )
    (row,) = ledger.runs.rows(run)
    shown = f"{row!r} {row.submission!r}"
    assert "k1" in shown
    assert not any(text in shown for text in ("person of k1", "e1", "i1", "0018", "99"))


def test_a_submission_that_was_never_sent_has_no_time(ledger: Ledger, clock: Clock) -> None:
    """Who needs the time of its request learns that there was none."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])
    with pytest.raises(ValueError, match="k1"):
        _ = ledger.submissions.records(["k1"])["k1"].requested_at
    ledger.submissions.intend(run, ["k1"])
    assert ledger.submissions.records(["k1"])["k1"].requested_at == clock.now()
