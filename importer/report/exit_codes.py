"""Choose the exit code of a check and of a run. What each code means is in `importer.errors`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from importer.errors import Exit
from importer.model import State
from importer.problems import file_errors
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Plan
    from importer.sending.circuit_breaker import Ending


def exit_of_plan(plan: Plan) -> Exit:
    """Return a check's exit code: 3 if a file cannot be used, 1 if rows are rejected, else 0."""
    if file_errors(plan).height:
        return Exit.INPUT
    return Exit.REJECTED if plan.counts.rejected else Exit.OK


def exit_without_sending(plan: Plan) -> Exit:
    """Return the code of a run with nothing to send: as for a check, but 5 for doubtful rows."""
    code = exit_of_plan(plan)
    doubtful = plan.problems.filter(pl.col("code") == Code.POSSIBLY_SENT.value).height
    return Exit.DOUBTFUL if doubtful and code is not Exit.INPUT else code


def exit_of_run(rejected: int, states: Mapping[State, int], ending: Ending) -> Exit:
    """Return the exit code of a run: why it stopped, else doubtful, rejected, not sent, or 0.

    Args:
        rejected: rows that were rejected before anything was sent.
        states: how many submissions are in each state.
        ending: how the sending ended.
    """
    if ending.exit_code is not Exit.OK:
        return ending.exit_code
    if states.get(State.DOUBTFUL, 0) or states.get(State.SENDING, 0):
        return Exit.DOUBTFUL
    if rejected or states.get(State.REJECTED, 0):
        return Exit.REJECTED
    left = states.get(State.UNSENT, 0) or (not ending and states.get(State.PLANNED, 0))
    return Exit.SETUP if left else Exit.OK
