"""A run writes its rows and takes over what may be sent, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import pytest
from sqlalchemy import Engine, inspect, text
from sqlalchemy.exc import IntegrityError

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.model import PlannedRow, State
from tests.unit.ledger.ledger_builders import (
    Clock,
    absent_outcome,
    new_run,
    planned_row,
    read_submission,
    settle_submission,
)

UNTOUCHABLE = sorted({State.CREATED, State.DUPLICATE, State.SENDING, State.DOUBTFUL})


def leave(ledger: Ledger, key: str, state: State) -> str:
    """Make a run that leaves a submission in a state; return the run."""
    if state is State.PLANNED:
        return ledger.runs.begin(new_run(), [planned_row(key)])
    if state is State.SENDING:
        run = ledger.runs.begin(new_run(), [planned_row(key)])
        assert ledger.submissions.intend(run, [key]) == (True,)
        return run
    return settle_submission(ledger, key, state)


def test_ids_are_readable_and_unique(ledger: Ledger, clock: Clock) -> None:
    """An id has the time in UTC and an end that keeps two runs of a second apart."""
    first, second = (ledger.runs.begin(new_run(), []) for _ in range(2))
    assert first == "20261122-153000-0001"
    assert second == "20261122-153000-0002"
    clock.pass_s(61)
    assert ledger.runs.begin(new_run(), []) == "20261122-153101-0003"


def test_an_id_that_is_taken_is_not_given_again(url: str, clock: Clock) -> None:
    """Where the random end repeats, another is drawn."""
    ends = iter(["aaaa", "aaaa", "bbbb"])
    with Ledger.open(url, now=clock.now, suffix=lambda: next(ends)) as ledger:
        runs = [ledger.runs.begin(new_run(), []) for _ in range(2)]
    assert [run[-4:] for run in runs] == ["aaaa", "bbbb"]


def test_ids_by_themselves(url: str) -> None:
    """Without a clock and an end passed in, the real ones are taken."""
    with Ledger.open(url) as ledger:
        assert re.fullmatch(r"20\d{6}-\d{6}-[0-9a-f]{4}", ledger.runs.begin(new_run(), []))


def test_every_row_is_kept(ledger: Ledger) -> None:
    """Rows of every status come back in order, with the state of their key if it has one."""
    rows = [
        PlannedRow(1, 2, "already-imported", "already-imported", "k9"),
        PlannedRow(0, 3, "rejected", "phone-invalid contact-missing"),
        PlannedRow(0, 4, "duplicate", "duplicate-in-file", "k2"),
        planned_row("k2", 2),
    ]
    run = ledger.runs.begin(new_run(), rows)
    assert [
        (row.source, row.row, str(row.status), row.codes, row.submission and row.submission.state)
        for row in ledger.runs.rows(run)
    ] == [
        (0, 2, "ready", "", State.PLANNED),
        (0, 3, "rejected", "phone-invalid contact-missing", None),
        (0, 4, "duplicate", "duplicate-in-file", State.PLANNED),
        (1, 2, "already-imported", "already-imported", None),
    ]
    assert ledger.submissions.sendable(run) == ["k2"]
    assert ledger.runs.states(run) == {State.PLANNED: 1}


@pytest.mark.parametrize(("state", "body"), list(product(UNTOUCHABLE, "12")))
def test_what_may_have_arrived_is_never_planned_again(
    ledger: Ledger, state: State, body: str
) -> None:
    """Created, duplicate, sending, doubtful: not a field changes, whatever the body."""
    old = leave(ledger, "k1", state)
    before = read_submission(ledger, "k1")
    new = ledger.runs.begin(new_run(), [planned_row("k1", 7, body=body)])
    assert read_submission(ledger, "k1") == before
    assert ledger.submissions.sendable(new) == []
    assert ledger.submissions.intend(new, ["k1"]) == (False,)
    assert ledger.submissions.records(["k1"])["k1"].run == old


@pytest.mark.parametrize("state", [State.PLANNED, State.UNSENT])
def test_what_surely_did_not_leave_goes_with_the_newer_run(ledger: Ledger, state: State) -> None:
    """The newer run has it, with its own row and body, as if it were new."""
    old = leave(ledger, "k1", state)
    new = ledger.runs.begin(new_run(), [planned_row("k1", 7, body="2")])
    assert (ledger.submissions.sendable(old), ledger.submissions.sendable(new)) == ([], ["k1"])
    row = read_submission(ledger, "k1")
    assert (row["run"], row["row"], row["body_hash"], row["attempts"]) == (new, 7, "2", 0)
    assert (row["code"], row["sent_at"], row["settled_at"]) == ("", None, None)


def test_what_was_rejected_goes_again_only_changed(ledger: Ledger) -> None:
    """The same body would be refused again."""
    settle_submission(ledger, "k1", State.REJECTED)
    assert ledger.submissions.sendable(ledger.runs.begin(new_run(), [planned_row("k1")])) == []
    assert ledger.submissions.sendable(
        ledger.runs.begin(new_run(), [planned_row("k1", body="2")])
    ) == ["k1"]


@pytest.mark.parametrize("state", [*State])
def test_a_run_may_retry_what_was_rejected(ledger: Ledger, state: State) -> None:
    """Only that, besides what never left: people who may have been contacted stay unchanged."""
    leave(ledger, "k1", state)
    retrying = replace(new_run(), retry_rejected=True)
    goes = state in {State.PLANNED, State.UNSENT, State.REJECTED}
    assert (
        ledger.submissions.sendable(ledger.runs.begin(retrying, [planned_row("k1")]))
        == ["k1"] * goes
    )


def test_of_two_rows_with_one_key_the_first_stays(ledger: Ledger) -> None:
    """A run plans a submission once."""
    run = ledger.runs.begin(new_run(), [planned_row("k1", 2), planned_row("k1", 9)])
    assert read_submission(ledger, "k1")["row"] == 2
    assert ledger.submissions.intend(run, ["k1", "k1"]) == (True, False)


def test_of_two_rows_with_one_key_the_first_that_may_go_is_taken(ledger: Ledger) -> None:
    """The first has the body that was refused, so the second is planned."""
    settle_submission(ledger, "k1", State.REJECTED)
    rows = [planned_row("k1", 2), planned_row("k1", 9, body="2"), planned_row("k1", 11, body="3")]
    run = ledger.runs.begin(new_run(), rows)
    assert ledger.submissions.sendable(run) == ["k1"]
    assert read_submission(ledger, "k1")["row"] == 9


def test_texts_arrive_as_they_are(ledger: Ledger) -> None:
    """Characters that mean something where rows are copied."""
    odd = "\\N\t\\.\n\r\\x41,é"
    row = planned_row("k1", email=None)._replace(masked=odd, codes=odd, external_id=odd)
    run = ledger.runs.begin(new_run(), [row])
    (found,) = ledger.runs.rows(run)
    assert found.submission is not None
    kept = (found.codes, found.submission.masked, found.submission.external_id)
    assert kept == (odd, odd, odd)


def test_proved_absent_may_be_planned(ledger: Ledger) -> None:
    """What a doubtful submission needs first is the proof."""
    settle_submission(ledger, "k1", State.DOUBTFUL)
    assert ledger.submissions.sendable(ledger.runs.begin(new_run(), [planned_row("k1")])) == []
    assert ledger.doubts.reconcile([absent_outcome("k1")]) == 1
    assert ledger.submissions.sendable(ledger.runs.begin(new_run(), [planned_row("k1")])) == ["k1"]


def test_a_run_is_begun_whole_or_not_at_all(ledger: Ledger) -> None:
    """A row without a key in the middle of a list leaves nothing of the run."""
    rows = [planned_row(f"k{n}", n + 2) for n in range(30_000)]
    rows[25_000] = PlannedRow(0, 25_002, "ready")
    with pytest.raises(LedgerError, match="25002"):
        ledger.runs.begin(new_run(), rows)
    assert ledger.runs.list() == ()
    assert ledger.submissions.is_empty()


def describe_indexes(engine: Engine) -> list[tuple[object, ...]]:
    """Return the indexes of submissions: names, columns and conditions."""
    return [
        (
            each["name"],
            each["column_names"],
            each["unique"],
            *map(str, each["dialect_options"].values()),
        )
        for each in inspect(engine).get_indexes("submissions")
    ]


def test_many_rows_are_written_as_few_are(ledger: Ledger) -> None:
    """Known ones are taken over or left, the first of two stays, and the tables are as before."""
    engine = ledger._database.engine
    indexes = describe_indexes(engine)
    leave(ledger, "k1", State.UNSENT)
    reached = leave(ledger, "k2", State.CREATED)
    rows = [planned_row(f"k{n}", n + 2) for n in range(20_000)]
    run = ledger.runs.begin(new_run(), [*rows, planned_row("k9", 90_000)])
    known = ledger.submissions.records(["k1", "k2", "k3", "k9", "k19999"])
    assert {key: (each.run, each.row) for key, each in known.items()} == {
        "k1": (run, 3),
        "k2": (reached, 2),
        "k3": (run, 5),
        "k9": (run, 11),
        "k19999": (run, 20_001),
    }
    assert ledger.runs.states(run) == {State.PLANNED: 20_000, State.CREATED: 1}
    assert ledger.submissions.count_sendable(run) == 19_999
    assert describe_indexes(engine) == indexes
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(text("UPDATE submissions SET state = 9"))


def test_settlements_of_an_old_run_do_not_touch_the_new(ledger: Ledger) -> None:
    """After another run has taken over, the old one's late words are refused."""
    old = leave(ledger, "k1", State.UNSENT)
    new = ledger.runs.begin(new_run(), [planned_row("k1")])
    ledger.submissions.intend(new, ["k1"])
    assert ledger.submissions.settle(old, [Settlement("k1", State.PLANNED)]) == (None,)
    assert read_submission(ledger, "k1")["state"] == State.SENDING
