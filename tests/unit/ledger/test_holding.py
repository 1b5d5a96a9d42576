"""A ledger in hand is nobody else's, and what a crash left open in it is doubtful."""

from __future__ import annotations

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger, open_and_lock
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row


def test_there_must_be_one(url: str) -> None:
    """Unless it will be made."""
    with pytest.raises(LedgerError), open_and_lock(url, "importer resolve"):
        pass
    with open_and_lock(url, "importer run", create=True) as ledger:
        assert ledger.submissions.is_empty()


def test_nobody_else_holds_it(url: str) -> None:
    """The second one is told who holds it; afterwards it is free."""
    with (
        open_and_lock(url, "importer run", create=True),
        pytest.raises(LedgerError, match="importer run"),
        open_and_lock(url, "importer purge"),
    ):
        pass
    with open_and_lock(url, "importer purge"):
        pass


def test_what_a_crash_left_open_is_doubtful(url: str) -> None:
    """An intent without an end may have reached somebody."""
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
        ledger.submissions.intend(run, ["k1"])
    with open_and_lock(url, "importer resume") as ledger:
        assert ledger.runs.states(run) == {State.DOUBTFUL: 1, State.PLANNED: 1}
