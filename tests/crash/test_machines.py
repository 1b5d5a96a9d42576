"""The proof for several machines, in small: kills, freezes and cut connections on PostgreSQL."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.ledger.writer import record_patiently
from importer.model import State
from tests.crash.machine_group import Case, Style
from tests.crash.machines import freeze_one, prove
from tests.support.postgres import POOLER, PROGRAMS, own_server
from tests.unit.ledger.ledger_builders import new_run, planned_row

pytestmark = pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")


def test_nobody_is_contacted_twice_by_several_machines() -> None:
    """Two senders on one ledger, and an adversary."""
    with tempfile.TemporaryDirectory() as name:  # the server's user must be able to enter it
        Path(name).chmod(0o755)
        verdict = prove(Path(name), seed=3, machines=2, people=30, events=5, rate=100)
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]


@pytest.mark.skipif(POOLER is None, reason="PgBouncer is not installed")
def test_pgbouncer_may_be_between_the_machines_and_the_database() -> None:
    """In transaction mode, in which no session belongs to a machine."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        style = Style(pooled=True)
        verdict = prove(Path(name), seed=4, machines=2, people=20, events=3, rate=100, style=style)
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]


def test_a_server_that_loses_its_connections_or_becomes_a_replica() -> None:
    """A sender goes on after a restart; on a replica it stops, and nothing more may leave."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with own_server(Path(name) / "postgres") as server, Ledger.open(server.url) as ledger:
            with ledger.lock("importer run"):
                run = ledger.runs.begin(new_run(), [planned_row("k0"), planned_row("k1", 3)])
                share = ledger.share(run)
                assert share is not None
                assert share.claim(2) == ["k0", "k1"]
                server.restart()
                assert record_patiently(share, ["k0"], ())[0] == (True,)
                server.become_replica()
                end = Settlement("k0", State.CREATED, 201, "conv-1")
                with pytest.raises(LedgerError, match="is on a read-only replica"):
                    record_patiently(share, ["k1"], [end])
            with pytest.raises(LedgerError, match="is on a read-only replica"):
                Ledger.open(server.url)


def test_a_machine_that_is_frozen_after_its_last_check_contacts_nobody_twice() -> None:
    """Its request leaves late; until it has said so, no other machine sends it again."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        verdict = freeze_one(Path(name), Case("last-check"))
    assert verdict.faults == []
    assert verdict.conversations == verdict.people == verdict.states["created"]
