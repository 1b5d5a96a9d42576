"""The proof for several machines, in small: kills, freezes and cut connections on PostgreSQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from tests.crash.machines import freeze_one, prove
from tests.support.postgres import PROGRAMS


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")
def test_nobody_is_contacted_twice_by_several_machines() -> None:
    """Two senders on one ledger, and an adversary."""
    with tempfile.TemporaryDirectory() as name:  # the server's user must be able to enter it
        Path(name).chmod(0o755)
        verdict = prove(Path(name), seed=3, machines=2, people=30, events=5, rate=100)
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")
def test_a_machine_that_is_frozen_after_its_last_check_contacts_nobody_twice() -> None:
    """Its request leaves late; until it has said so, no other machine sends it again."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        verdict = freeze_one(Path(name), point="last-check")
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]
