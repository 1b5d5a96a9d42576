"""The proof in small: some kills at random moments, for every way in which an API may behave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.crash.fork_server import ForkServer
from tests.crash.proof import TRIALS, Size, prove

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="module")
def fork_server() -> Iterator[ForkServer]:
    """Yield one for all tests of a worker, because importing takes the time."""
    with ForkServer() as server:
        yield server


def test_nobody_is_contacted_twice_and_nobody_lost(tmp_path: Path, fork_server: ForkServer) -> None:
    """With an honest API everybody ends with one conversation or a definite no."""
    size = Size(submissions=160, kills=6, restarts=1)
    result = prove(tmp_path / "honest", size, seed=5, fork_server=fork_server)
    assert result.faults == []
    assert sum(result.tally.kills.values()) == 6
    assert result.tally.restarts == 1
    assert result.audit.conversations == result.audit.states["created"] > 150


@pytest.mark.parametrize("name", TRIALS)
def test_nobody_is_contacted_twice_whatever_the_api_does(
    tmp_path: Path, fork_server: ForkServer, name: str
) -> None:
    """Everybody is created, rejected with a reason, or openly doubtful or unsent."""
    size = Size(submissions=14, kills=1, threaded=True, rounds=1)
    result = prove(tmp_path / name, size, seed=5, trial=TRIALS[name], fork_server=fork_server)
    assert result.faults == []
    assert sum(result.tally.kills.values()) == 1
