"""The proof in small: some kills at random moments of a list of some hundred people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.crash.proof import prove

if TYPE_CHECKING:
    from pathlib import Path


def test_nobody_is_contacted_twice_and_nobody_lost(tmp_path: Path) -> None:
    """Killed, cut and lied to, every person of the list ends with one conversation or a no."""
    desk = prove(tmp_path / "desk", submissions=160, kills=6, restarts=1, seed=5)
    assert desk.faults == []
    assert sum(desk.tally.kills.values()) == 6
    assert desk.tally.restarts == 1
    assert desk.verdict.conversations == desk.verdict.states["created"] > 150
