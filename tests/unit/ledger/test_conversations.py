"""Whose conversation it is, which ones are witnesses, and how late the API's list shows them."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import UsageError
from importer.ledger.records import ListLag, Settlement, Witness
from importer.ledger.submissions import CONVERSATION_OF_ANOTHER
from importer.model import State
from tests.unit.ledger.ledger_builders import (
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

CAMPAIGN = ("camp-42", "auto-schedule")


def sent(ledger: Ledger, *keys: str) -> str:
    """Plan submissions and let their requests leave."""
    run = ledger.runs.begin(new_run(), [planned_row(key, n) for n, key in enumerate(keys, 2)])
    assert all(ledger.submissions.intend(run, keys))
    return run


def created(key: str, conversation: str | None) -> Settlement:
    """Return a settlement: the API says that it made a conversation."""
    return Settlement(key, State.CREATED, 201, conversation)


# ---- one conversation, one submission ----------------------------------------------------------


def test_a_conversation_of_another_submission_is_doubt(ledger: Ledger) -> None:
    """Of one id for every row the first is believed, in one transaction or in several."""
    run = sent(ledger, "k1", "k2", "k3", "k4")
    first = ledger.submissions.settle(run, [created("k1", "c1"), created("k2", "c1")])
    assert first == (State.CREATED, State.DOUBTFUL)
    assert ledger.submissions.settle(run, [created("k3", "c1")]) == (State.DOUBTFUL,)
    assert ledger.submissions.settle(run, [created("k4", "c4")]) == (State.CREATED,)
    doubts = ledger.doubts.list()
    assert [(doubt.key, doubt.code) for doubt in doubts] == [
        ("k2", CONVERSATION_OF_ANOTHER),
        ("k3", CONVERSATION_OF_ANOTHER),
    ]
    assert f"row 2 of run {run}" in doubts[1].message
    assert read_submission(ledger, "k3")["conversation_id"] is None


def test_without_an_id_nothing_is_compared(ledger: Ledger) -> None:
    """An API that gives no ids contradicts nobody."""
    run = sent(ledger, "k1", "k2")
    ends = [created("k1", None), created("k2", None)]
    assert ledger.submissions.settle(run, ends) == (State.CREATED, State.CREATED)


def test_a_duplicate_may_name_a_known_conversation(ledger: Ledger) -> None:
    """If it is the same person's, such as that of an earlier round."""
    rows = [
        planned_row("k1", 2, person="p"),
        planned_row("k2", 3, person="p"),
        planned_row("k3", 4),
        planned_row("k4", 5),
    ]
    run = ledger.runs.begin(new_run(), rows)
    ledger.submissions.intend(run, ["k1", "k2", "k3", "k4"])
    ledger.submissions.settle(run, [created("k1", "c1")])
    duplicates = [
        Settlement("k2", State.DUPLICATE, 409, "c1"),
        Settlement("k3", State.DUPLICATE, 409, "c1"),
        Settlement("k4", State.DUPLICATE, 200, "c1"),
    ]
    written = ledger.submissions.settle(run, duplicates)
    assert written == (State.DUPLICATE, State.REJECTED, State.DOUBTFUL)
    standing = ledger.submissions.records(["k3", "k4"])
    assert {each.code for each in standing.values()} == {CONVERSATION_OF_ANOTHER}


def test_the_list_does_not_give_a_conversation_twice(ledger: Ledger) -> None:
    """Two people under one externalId: the first one's conversation proves nothing of the other."""
    run = sent(ledger, "k1", "k2", "k3")
    ledger.submissions.settle(run, [created("k1", "c1")])
    ledger.submissions.recover()
    assert ledger.doubts.reconcile([found_outcome("k2", "c1"), found_outcome("k3", "c3")]) == 2
    standing = ledger.submissions.records(["k2", "k3"])
    assert (standing["k2"].state, standing["k2"].code) == (State.DOUBTFUL, CONVERSATION_OF_ANOTHER)
    assert (standing["k3"].state, standing["k3"].conversation_id) == (State.CREATED, "c3")


def test_a_person_cannot_give_it_twice_either(ledger: Ledger) -> None:
    """The row stays doubtful."""
    run = sent(ledger, "k1", "k2")
    ledger.submissions.settle(run, [created("k1", "c1"), Settlement("k2", State.DOUBTFUL)])
    with pytest.raises(UsageError, match="c1 belongs to another row"):
        ledger.doubts.resolve(run, 3, sent=True, by="ops", conversation_id="c1")
    assert [doubt.key for doubt in ledger.doubts.list()] == ["k2"]


# ---- what reconciliation needs ------------------------------------------------------------------


def test_sending_again_is_counted_for_life(ledger: Ledger) -> None:
    """Each proof of absence counts, over runs; what a person decided does not."""
    run = settle_submission(ledger, "k1", State.DOUBTFUL)
    assert ledger.doubts.list()[0].resends == 0
    for resends in (1, 2):
        ledger.doubts.reconcile([absent_outcome("k1")])
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        ledger.submissions.intend(run, ["k1"])
        ledger.submissions.settle(run, [Settlement("k1", State.DOUBTFUL)])
        assert ledger.doubts.list()[0].resends == resends
    assert ledger.doubts.resolve(run, 2, sent=False, by="ops").resends == 2
    assert read_submission(ledger, "k1")["resends"] == 2


def test_a_doubt_says_whom_it_is_about(ledger: Ledger) -> None:
    """The keyed hashes of its e-mail and candidate id, and the last answer's request id."""
    run = ledger.runs.begin(
        new_run(), [planned_row("k1", email="e1", candidate="i1"), planned_row("k2", 3)]
    )
    ledger.submissions.intend(run, ["k1", "k2"])
    unclear = Settlement("k1", State.DOUBTFUL, 504, request_id="req-1")
    ledger.submissions.settle(run, [unclear, Settlement("k2", State.DOUBTFUL)])
    first, second = ledger.doubts.list()
    assert (first.email, first.candidate, first.request_id) == ("e1", "i1", "req-1")
    assert (second.email, second.candidate, second.request_id) == (None, None, "")


def test_witnesses(ledger: Ledger, clock: Clock) -> None:
    """Created later, in the campaign and by the same call; not because a person says so."""
    before = sent(ledger, "k1")
    ledger.submissions.settle(before, [created("k1", "c1")])
    since = clock.now()
    clock.pass_s(1)
    other = ledger.runs.begin(new_run(), [planned_row("k2", campaign="camp-1")])
    run = sent(ledger, "k3", "k4", "k5", "k6")
    ledger.submissions.intend(other, ["k2"])
    ledger.submissions.settle(other, [created("k2", "c2")])
    ledger.submissions.settle(
        run,
        [created("k3", "c3"), Settlement("k4", State.DUPLICATE, 409), created("k5", None)],
    )
    ledger.submissions.recover()
    ledger.doubts.resolve(run, 5, sent=True, by="ops")  # k6
    assert ledger.conversations.witnesses(*CAMPAIGN, since) == (
        Witness("A-k3", "c3", clock.now()),
        Witness("A-k5", None, clock.now()),
    )
    assert ledger.conversations.witnesses("camp-42", "campaign", since) == ()
    assert ledger.conversations.witnesses(*CAMPAIGN, clock.now()) == ()


def test_how_late_the_list_is(ledger: Ledger, clock: Clock) -> None:
    """The first sight counts, of conversations whose request left; the longest is kept."""
    assert ledger.conversations.list_lag() == ListLag(0, 0.0)
    start = clock.now()
    run = sent(ledger, "k1", "k2", "k3", "k4")
    ledger.submissions.settle(
        run,
        [created("k1", "c1"), Settlement("k3", State.DUPLICATE), Settlement("k4", State.UNSENT)],
    )
    note = ledger.conversations.note_listed
    assert note(["A-k1", "A-k3", "A-k4", "another"], start + timedelta(seconds=5)) == 1
    assert note(["A-k1"], start + timedelta(hours=5)) == 0
    assert ledger.conversations.list_lag() == ListLag(1, 5.0)
    assert note(["A-k1", "A-k2"], start + timedelta(seconds=40)) == 1  # still doubtful
    assert note([], start) == 0
    assert ledger.conversations.list_lag() == ListLag(2, 40.0)


def test_clocks_that_differ_make_no_negative_lag(ledger: Ledger, clock: Clock) -> None:
    """The list was read before the request left, by its clock."""
    run = sent(ledger, "k1")
    ledger.submissions.settle(run, [created("k1", "c1")])
    ledger.conversations.note_listed(["A-k1"], clock.now() - timedelta(minutes=10))
    assert ledger.conversations.list_lag() == ListLag(1, 0.0)


# ---- news of a conversation ----------------------------------------------------------------------


def test_an_opt_out_is_final(ledger: Ledger, clock: Clock) -> None:
    """A list that lags behind must not make the importer contact the person again."""
    run = sent(ledger, "k1")
    ledger.submissions.settle(run, [created("k1", "c1")])
    ledger.conversations.write_statuses({"c1": "OPTED_OUT"})
    clock.pass_s(60)
    assert ledger.conversations.write_statuses({"c1": "ONGOING"}) == 0
    assert ledger.submissions.records(["k1"])["k1"].remote_status == "OPTED_OUT"
