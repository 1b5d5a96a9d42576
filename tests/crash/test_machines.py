"""The proof for several machines, in small: kills, freezes and cut connections on PostgreSQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.crash.machines import prove
from tests.support.postgres import PROGRAMS


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")
def test_nobody_is_contacted_twice_by_several_machines() -> None:
    """Two senders on one ledger, and an adversary."""
    with tempfile.TemporaryDirectory() as name:  # the server's user must be able to enter it
        Path(name).chmod(0o755)
        verdict = prove(Path(name), seed=3, machines=2, people=30, events=5, rate=100)
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]
