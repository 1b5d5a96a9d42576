"""A doubt is listed with all that is known, and ends only by evidence or a person's decision."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import UsageError
from importer.ledger.doubts import RECONCILIATION, RESOLVED
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.model import Outcome, PlannedRow, State
from tests.unit.ledger.ledger_builders import (
    FILE,
    PLAN,
    absent_outcome,
    found_outcome,
    new_run,
    planned_row,
    read_submission,
    settle_submission,
)

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from tests.unit.ledger.ledger_builders import Clock


def test_a_doubt_says_all_that_is_known(ledger: Ledger, clock: Clock) -> None:
    """What reconciliation looks for, and what a person needs to settle it."""
    run = ledger.runs.begin(new_run(), [planned_row("k1", 7)])
    clock.pass_s(1)
    ledger.submissions.intend(run, ["k1"])
    sent = clock.now()
    clock.pass_s(30)
    end = Settlement("k1", State.DOUBTFUL, 500, code="http-500", message="It broke.")
    ledger.submissions.settle(run, [end])
    (doubt,) = ledger.doubts.list()
    assert (doubt.key, doubt.run, doubt.source_name, doubt.row) == ("k1", run, FILE.name, 7)
    assert (doubt.external_id, doubt.campaign, doubt.person) == ("A-k1", "camp-42", "person of k1")
    assert (doubt.masked, doubt.attempts) == ("+44 •••• 0018", 1)
    assert (doubt.sent_at, doubt.settled_at) == (sent, clock.now())
    assert (doubt.code, doubt.message) == ("http-500", "It broke.")


def test_doubts_of_a_run_or_of_all(ledger: Ledger) -> None:
    """What was cut off counts, recovered or not; what is clear does not."""
    first = settle_submission(ledger, "k1", State.DOUBTFUL)
    second = ledger.runs.begin(new_run(), [planned_row("k2"), planned_row("k3", 3)])
    ledger.submissions.intend(second, ["k2"])
    settle_submission(ledger, "k4", State.CREATED)
    assert [doubt.key for doubt in ledger.doubts.list()] == ["k1", "k2"]
    assert [doubt.key for doubt in ledger.doubts.list(first)] == ["k1"]
    (cut,) = ledger.doubts.list(second)
    assert cut.settled_at is None


def test_found_is_created(ledger: Ledger, clock: Clock) -> None:
    """With its conversation, and who decided; the time of contact stays."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    sent = clock.now()
    clock.pass_s(60)
    assert ledger.doubts.reconcile([found_outcome("k1", "conv-9")]) == 1
    (row,) = ledger.runs.rows(run)
    known = ledger.submissions.records(["k1"])["k1"]
    assert row.submission == known
    assert (known.state, known.conversation_id, known.decided_by) == (
        State.CREATED,
        "conv-9",
        RECONCILIATION,
    )
    assert (known.sent_at, known.settled_at) == (sent, clock.now())
    assert ledger.doubts.list() == ()
    assert ledger.conversations.ids() == ("conv-9",)


def test_absent_may_be_sent_again(ledger: Ledger) -> None:
    """By the same run, and attempts are counted on."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    assert ledger.doubts.reconcile([absent_outcome("k1")]) == 1
    assert ledger.submissions.sendable(run) == ["k1"]
    assert ledger.submissions.intend(run, ["k1"]) == (True,)
    assert read_submission(ledger, "k1")["attempts"] == 2


def test_still_doubtful_has_the_newer_reason(ledger: Ledger) -> None:
    """Nobody decided anything."""
    settle_submission(ledger, "k1", State.DOUBTFUL)
    outcome = Outcome("k1", State.DOUBTFUL, 0, code="unsettled", message="The list broke off.")
    assert ledger.doubts.reconcile([outcome]) == 1
    (doubt,) = ledger.doubts.list()
    assert (doubt.code, doubt.message) == ("unsettled", "The list broke off.")
    assert read_submission(ledger, "k1")["decided_by"] is None


@pytest.mark.parametrize("state", sorted(set(State) - {State.DOUBTFUL, State.SENDING}))
def test_only_doubts_are_reconciled(ledger: Ledger, state: State) -> None:
    """What is clear does not change, whatever a list says."""
    settle_submission(ledger, "k1", state)
    before = read_submission(ledger, "k1")
    assert ledger.doubts.reconcile([absent_outcome("k1")]) == 0
    assert ledger.doubts.reconcile([found_outcome("k1")]) == 0
    assert read_submission(ledger, "k1") == before


def test_what_is_being_sent_is_not_reconciled(ledger: Ledger) -> None:
    """A live attempt is its sender's; after a crash `recover` comes first."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])
    ledger.submissions.intend(run, ["k1"])
    assert ledger.doubts.reconcile([absent_outcome("k1")]) == 0
    ledger.submissions.recover()
    assert ledger.doubts.reconcile([absent_outcome("k1")]) == 1


@pytest.mark.parametrize("state", [State.SENDING, State.DUPLICATE, State.REJECTED, State.UNSENT])
def test_a_list_has_three_things_to_say(ledger: Ledger, state: State) -> None:
    """Found, absent, unsettled: any other outcome is not written."""
    settle_submission(ledger, "k1", State.DOUBTFUL)
    assert ledger.doubts.reconcile([Outcome("k1", state, 0)]) == 0
    assert read_submission(ledger, "k1")["state"] == State.DOUBTFUL


def test_a_person_says_it_was_sent(ledger: Ledger, clock: Clock) -> None:
    """It never goes again, and who decided stays."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    clock.pass_s(3600)
    before = ledger.doubts.resolve(run, 2, sent=True, by="ops", conversation_id="conv-7")
    assert before.key == "k1"
    row = read_submission(ledger, "k1")
    assert (row["state"], row["conversation_id"], row["code"]) == ("created", "conv-7", RESOLVED)
    assert (row["decided_by"], row["decided_at"]) == ("ops", clock.now())
    assert ledger.submissions.sendable(run) == []


def test_a_person_says_it_was_not_sent(ledger: Ledger) -> None:
    """It may go again, with this run or a later one, and who decided still stays."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    ledger.doubts.resolve(run, 2, sent=False, by="ops")
    assert ledger.submissions.sendable(run) == ["k1"]
    new = ledger.runs.begin(new_run(), [planned_row("k1")])
    assert ledger.submissions.intend(new, ["k1"]) == (True,)
    assert read_submission(ledger, "k1")["decided_by"] == "ops"


def test_a_row_of_a_later_run_is_resolved_too(ledger: Ledger) -> None:
    """Where a later file has the same person, its row names the same doubt."""
    settle_submission(ledger, "k1", State.DOUBTFUL)
    later = ledger.runs.begin(new_run(), [PlannedRow(0, 9, "already-imported", key="k1")])
    assert ledger.doubts.resolve(later, 9, sent=True, by="ops").row == 2


def test_a_row_of_several_files(ledger: Ledger) -> None:
    """The file must be named."""
    files = tuple(SourceFile(name, None, "b" * 64, 1) for name in ("a.csv", "b.csv"))
    rows = [planned_row("k1"), planned_row("k2")._replace(source=1)]
    run = ledger.runs.begin(NewRun(PLAN, files, {}), rows)
    ledger.submissions.intend(run, ["k1", "k2"])
    with pytest.raises(UsageError, match=r"Several files have a row .: a\.csv, b\.csv"):
        ledger.doubts.resolve(run, 2, sent=False, by="ops")
    assert ledger.doubts.resolve(run, 2, sent=False, by="ops", source="b.csv").key == "k2"
    assert ledger.submissions.sendable(run) == ["k2"]


@pytest.mark.parametrize("state", sorted(set(State) - {State.DOUBTFUL, State.SENDING}))
def test_what_is_clear_cannot_be_resolved(ledger: Ledger, state: State) -> None:
    """And the message says how it stands."""
    run = settle_submission(ledger, "k1", state)
    before = read_submission(ledger, "k1")
    for sent in (True, False):
        with pytest.raises(UsageError, match=f"not doubtful: it is {state}"):
            ledger.doubts.resolve(run, 2, sent=sent, by="ops")
    assert read_submission(ledger, "k1") == before


def test_rows_that_cannot_be_resolved(ledger: Ledger) -> None:
    """A row that is not there, and one that never was a submission."""
    run = ledger.runs.begin(new_run(), [PlannedRow(0, 3, "rejected", "phone-invalid")])
    with pytest.raises(UsageError, match="no row 99"):
        ledger.doubts.resolve(run, 99, sent=True, by="ops")
    with pytest.raises(UsageError, match="not a submission"):
        ledger.doubts.resolve(run, 3, sent=True, by="ops")


def test_a_word_is_corrected_until_something_else_happens(ledger: Ledger, clock: Clock) -> None:
    """What was known of the wrong conversation goes; once it is sent again, only the API counts."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    ledger.doubts.resolve(run, 2, sent=True, by="ops", conversation_id="conv-1")
    ledger.conversations.write_statuses({"conv-1": "OPTED_OUT"})
    clock.pass_s(60)
    before = ledger.doubts.resolve(run, 2, sent=False, by="another")
    assert (before.conversation_id, before.decided_by) == ("conv-1", "ops")
    known = ledger.submissions.records(["k1"])["k1"]
    assert (known.state, known.conversation_id) == (State.PLANNED, None)
    assert (known.remote_status, known.decided_by) == (None, "another")
    assert ledger.submissions.intend(run, ["k1"]) == (True,)
    ledger.submissions.settle(run, [Settlement("k1", State.CREATED, 201, "conv-2")])
    with pytest.raises(UsageError, match="not doubtful: it is created"):
        ledger.doubts.resolve(run, 2, sent=False, by="ops")
