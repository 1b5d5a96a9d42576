"""An intent is granted once, and the end of an attempt is written where it may follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.ledger.records import Settlement
from importer.ledger.submissions import INTERRUPTED
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row, read_attempts, settle_submission

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from tests.unit.ledger.ledger_builders import Clock


def test_an_intent_is_granted_once(ledger: Ledger) -> None:
    """What is being sent is refused, within a call and between two."""
    run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
    assert ledger.submissions.intend(run, ["k1", "k1", "k2", "unknown"]) == (
        True,
        False,
        True,
        False,
    )
    assert ledger.submissions.intend(run, ["k1", "k2"]) == (False, False)


@pytest.mark.parametrize("state", sorted(set(State) - {State.PLANNED, State.UNSENT, State.SENDING}))
def test_no_intent_after_an_answer(ledger: Ledger, state: State) -> None:
    """Created, duplicate, rejected and doubtful submissions are refused."""
    run = settle_submission(ledger, "k1", state)
    assert ledger.submissions.intend(run, ["k1"]) == (False,)


@pytest.mark.parametrize("state", [State.PLANNED, State.UNSENT])
def test_an_intent_after_what_was_surely_not_processed(ledger: Ledger, state: State) -> None:
    """A 429 or a refused connection may be tried again; attempts are counted on."""
    run = settle_submission(ledger, "k1", state, code="http-429")
    assert ledger.submissions.intend(run, ["k1"]) == (True,)
    assert [(each["number"], each["code"]) for each in read_attempts(ledger, "k1")] == [
        (1, "http-429"),
        (2, ""),
    ]


def test_another_run_cannot_send(ledger: Ledger) -> None:
    """Only the run that last planned a submission may send it."""
    old = ledger.runs.begin(new_run(), [planned_row("k1")])
    new = ledger.runs.begin(new_run(), [planned_row("k1")])
    assert ledger.submissions.intend(old, ["k1"]) == (False,)
    assert ledger.submissions.settle(old, [Settlement("k1", State.UNSENT)]) == (None,)
    assert ledger.submissions.intend(new, ["k1"]) == (True,)


def test_an_end_is_written_whole(ledger: Ledger, clock: Clock) -> None:
    """Status, conversation, code, message, times and the attempt's duration are kept."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])
    clock.pass_s(5)
    ledger.submissions.intend(run, ["k1"])
    sent = clock.now()
    clock.pass_s(2)
    end = Settlement("k1", State.REJECTED, 400, "conv-1", "http-400", "no such campaign", 1.5)
    assert ledger.submissions.settle(run, [end]) == (State.REJECTED,)
    known = ledger.submissions.records(["k1"])["k1"]
    assert [row.submission for row in ledger.runs.rows(run)] == [known]
    assert (known.state, known.http_status, known.conversation_id) == (
        State.REJECTED,
        400,
        "conv-1",
    )
    assert (known.code, known.message, known.attempts) == ("http-400", "no such campaign", 1)
    assert (known.sent_at, known.settled_at) == (sent, clock.now())
    (attempt,) = read_attempts(ledger, "k1")
    assert (attempt["duration_s"], attempt["status"], attempt["code"]) == (1.5, 400, "http-400")


def test_what_is_settled_stays(ledger: Ledger) -> None:
    """No end of an attempt overwrites a clear answer."""
    run = settle_submission(ledger, "k1", State.CREATED)
    for state in State:
        assert ledger.submissions.settle(run, [Settlement("k1", state)]) == (None,)
    assert ledger.submissions.records(["k1"])["k1"].state is State.CREATED


def test_a_crash_leaves_doubt(ledger: Ledger, clock: Clock) -> None:
    """An attempt without an end reads as doubtful at once, and is so after recovery."""
    run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
    ledger.submissions.intend(run, ["k1"])
    assert ledger.submissions.records(["k1"])["k1"].state is State.DOUBTFUL
    assert ledger.doubts.list()[0].settled_at is None
    clock.pass_s(60)
    assert ledger.submissions.recover(run) == 1
    assert ledger.submissions.recover() == 0
    assert ledger.submissions.records(["k1"])["k1"].code == INTERRUPTED
    assert ledger.doubts.list()[0].settled_at == clock.now()  # settle_s counts from here
    assert ledger.submissions.sendable(run) == ["k2"]


def test_a_late_answer_ends_the_doubt(ledger: Ledger) -> None:
    """Created or duplicate still counts after recovery; nothing else does."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])
    ledger.submissions.intend(run, ["k1"])
    ledger.submissions.recover()
    for state in set(State) - {State.CREATED, State.DUPLICATE}:
        assert ledger.submissions.settle(run, [Settlement("k1", state)]) == (None,)
    created = Settlement("k1", State.CREATED, 201)
    assert ledger.submissions.settle(run, [created]) == (State.CREATED,)
