"""Killed at any point, the ledger lets nobody be contacted twice and forgets nobody."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import count
from typing import TYPE_CHECKING

import pytest

from importer.ledger import Ledger
from importer.model import State
from tests.unit.ledger.crash_child import KEYS, Api

if TYPE_CHECKING:
    from pathlib import Path


def ran(folder: Path, point: int) -> int:
    """Return the exit status of a child that is killed at a point (0: never)."""
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.unit.ledger.crash_child",
            f"sqlite:///{folder / 'importer.db'}",
            str(folder / "server"),
            str(point),
        ],
        check=False,
    ).returncode


def test_killed_between_every_two_writes(tmp_path: Path) -> None:
    """At each write and each request, one by one; then the run goes on and ends as it should."""
    killed = 0
    for point in count(1):
        folder = tmp_path / str(point)
        status = ran(folder, point)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        killed += 1
        # What was accepted is never planned; what may have left is doubtful, not forgotten.
        readonly = Ledger.open_existing(f"sqlite:///{folder / 'importer.db'}")
        if readonly is not None:
            with readonly:
                states = {key: s.state for key, s in readonly.submissions.records(KEYS).items()}
            for key in Api(folder / "server").accepted():
                assert states[key] in {State.CREATED, State.DOUBTFUL}
        assert ran(folder, 0) == 0
        check_end(folder)
    check_end(tmp_path / str(killed + 1))
    # The schema, recovery, reconciliation, begin, finish; three requests, their intents and ends.
    assert killed >= 5 + 3 + 2


@pytest.mark.parametrize("stride", [2, 3])
def test_killed_again_and_again(tmp_path: Path, stride: int) -> None:
    """Every process gets a little further before it dies."""
    folder = tmp_path / "one"
    for point in count(stride, stride):
        if ran(folder, point) == 0:
            break
    check_end(folder)


def check_end(folder: Path) -> None:
    """Require that everybody was contacted once, and that the ledger says so."""
    assert sorted(Api(folder / "server").accepted()) == sorted(KEYS)
    with Ledger.open(f"sqlite:///{folder / 'importer.db'}") as ledger:
        rows = list(ledger.runs.rows(ledger.runs.find().id))
        known = [row.submission for row in rows if row.submission]
        assert [(each.key, each.state, each.conversation_id) for each in known] == [
            (key, State.CREATED, f"conv-{key}") for key in KEYS
        ]
        assert ledger.submissions.recover() == 0
        assert len(ledger.runs.list()) == 1
