"""Keys and people are looked up in bulk, by index."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event

from importer.ledger.records import Settlement
from importer.model import PlannedRow, RowStatus, State
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
    """Whoever got, or may have got, a message since then; not who surely got none."""
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
    """To whom another run wrote, within the window, or who opted out; of its own unsent rows."""
    people = [planned_row(f"k{n}", n, person=f"p{n % 3}") for n in range(2, 8)]
    mine = ledger.runs.begin(new_run(), people)
    ledger.submissions.intend(mine, ["k2"])
    ledger.submissions.settle(mine, [Settlement("k2", State.CREATED, 201, "c-mine")])
    theirs = ledger.runs.begin(new_run(), [planned_row("k9", person="p0")])
    ledger.submissions.intend(theirs, ["k9"])
    ledger.submissions.settle(theirs, [Settlement("k9", State.CREATED, 201, "c-theirs")])
    hour_ago = clock.now() - timedelta(hours=1)
    assert sorted(ledger.submissions.contacted_by_others(mine, hour_ago)) == ["k3", "k6"]
    assert ledger.submissions.contacted_by_others(mine, clock.now() + timedelta(seconds=1)) == []
    assert ledger.submissions.contacted_by_others(theirs, hour_ago) == []
    assert ledger.submissions.opted_out_since(mine) == []
    ledger.conversations.write_statuses({"c-mine": "opted_out"})
    assert ledger.submissions.opted_out_since(mine) == ["k5"]


_GIVEN = {"SCAN listed VIRTUAL TABLE INDEX 1:"}
"""The values that a query is given, as one parameter."""


def test_people_and_open_attempts_are_found_by_index(file_ledger: Ledger, clock: Clock) -> None:
    """The conditions of the partial indexes are repeated word for word, or SQLite would scan."""
    plans: list[str] = []

    def explain(
        connection: Connection, cursor: object, sql: str, values: object, *_: object
    ) -> None:
        del cursor
        if sql.lstrip().startswith(("SELECT", "UPDATE")) and "submissions" in sql:
            driver = connection.connection.driver_connection
            assert driver is not None
            steps = [row[3] for row in driver.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
            plans.extend(step for step in steps if step not in _GIVEN)

    rejected = PlannedRow(0, 9, RowStatus.REJECTED.value, "phone-invalid")
    run = file_ledger.runs.begin(new_run(), [planned_row("k1"), rejected])
    event.listen(file_ledger._database.engine, "before_cursor_execute", explain)
    for ask in (
        lambda: file_ledger.submissions.contacted(["p1"], clock.now()),
        lambda: file_ledger.submissions.opted_out(["p1"]),
        file_ledger.doubts.list,
        file_ledger.submissions.recover,
        lambda: file_ledger.conversations.write_statuses({"c1": "ONGOING"}),
        lambda: file_ledger.submissions.related(["e1"], ["i1"]),
        lambda: file_ledger.submissions.settle("run", [Settlement("k", State.CREATED, 201, "c")]),
        lambda: file_ledger.conversations.witnesses("camp-42", "auto-schedule", clock.now()),
        lambda: file_ledger.conversations.note_listed(["A-1"], clock.now()),
        file_ledger.conversations.list_lag,
        lambda: file_ledger.submissions.sendable("run"),
        lambda: file_ledger.conversations.ids("run"),
        lambda: file_ledger.submissions.contacted_by_others("run", clock.now()),
        lambda: file_ledger.submissions.opted_out_since("run"),
        lambda: file_ledger.submissions.count_sendable("run"),
        lambda: file_ledger.submissions.records(["k1"]),
        lambda: list(file_ledger.submissions.known(["k1"])),
        lambda: file_ledger.runs.states("run"),
        lambda: file_ledger.runs.not_sent(run, 20),
        lambda: file_ledger.runs.open_elsewhere("run"),
        lambda: list(file_ledger.runs.rows("run")),
        lambda: file_ledger.doubts.list("run"),
        lambda: file_ledger.doubts.list_rejected("code"),
        lambda: file_ledger.doubts.count_absent("code"),
    ):
        plans.clear()
        ask()
        touching = [plan for plan in plans if "submissions" in plan]
        assert touching
        assert not any(
            plan.startswith("SCAN submissions") and "INDEX" not in plan for plan in plans
        )
        assert not any(plan.startswith("SCAN") and "_listed" not in plan for plan in plans), plans


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
