"""The exit code of a run says the worst that happened."""

from __future__ import annotations

import pytest

from importer.errors import Exit
from importer.model import State
from importer.report.exit_codes import exit_of_run
from importer.sending.circuit_breaker import INTERRUPTED, Ending


@pytest.mark.parametrize(
    ("rejected", "states", "ending", "exit_code"),
    [
        (0, {}, Ending(), Exit.OK),
        (0, {State.CREATED: 3, State.DUPLICATE: 1}, Ending(), Exit.OK),
        (1, {State.CREATED: 3}, Ending(), Exit.REJECTED),
        (0, {State.REJECTED: 1}, Ending(), Exit.REJECTED),
        (1, {State.DOUBTFUL: 1, State.REJECTED: 1}, Ending(), Exit.DOUBTFUL),
        (0, {State.SENDING: 1}, Ending(), Exit.DOUBTFUL),
        (0, {State.UNSENT: 1, State.CREATED: 3}, Ending(), Exit.SETUP),
        (0, {State.PLANNED: 3}, INTERRUPTED, Exit.INTERRUPTED),
        (1, {State.DOUBTFUL: 1}, Ending("held", Exit.HELD), Exit.HELD),
        (0, {}, Ending("limit", Exit.OK), Exit.OK),
    ],
)
def test_how_a_run_ends(
    rejected: int, states: dict[State, int], ending: Ending, exit_code: Exit
) -> None:
    """Why it stopped goes first, then doubt, then rejected rows, then what was not sent."""
    assert exit_of_run(rejected, states, ending) is exit_code
