"""One process holds the ledger, another waits or learns who it is, a dead one holds nothing."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys
from importer.ledger import Ledger
with Ledger.open(sys.argv[1]) as ledger, ledger.lock("importer run"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(url: str) -> Iterator[subprocess.Popen[str]]:
    """Yield another process that holds the ledger until its input ends."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_the_second_learns_who_was_first(
    holder: subprocess.Popen[str], file_ledger: Ledger
) -> None:
    """Command, process, host and time of the holder."""
    with pytest.raises(LedgerError) as caught, file_ledger.lock("importer resume"):
        pytest.fail("both hold it")
    assert "in use by 'importer run' (process" in caught.value.message
    assert ", since 20" in caught.value.message
    assert f"process {holder.pid} on " in caught.value.message
    assert "ledger_wait_s" in caught.value.fix


def test_the_second_waits_its_turn(holder: subprocess.Popen[str], file_ledger: Ledger) -> None:
    """As long as it was told to."""
    assert holder.stdin is not None
    threading.Timer(0.2, holder.stdin.close).start()
    with file_ledger.lock("importer resume", 30):
        pass
    with pytest.raises(LedgerError, match="in use"):
        second_hold(file_ledger, wait_s=0.05)


def second_hold(file_ledger: Ledger, *, wait_s: float) -> None:
    """Hold the ledger twice."""
    with file_ledger.lock("first"), file_ledger.lock("second", wait_s):
        pass


def test_a_dead_process_holds_nothing(holder: subprocess.Popen[str], file_ledger: Ledger) -> None:
    """Killed, it leaves its card behind and no lock."""
    holder.kill()
    holder.wait()
    with file_ledger.lock("importer resume"):
        pass


def test_a_holder_without_a_card(
    holder: subprocess.Popen[str], file_ledger: Ledger, tmp_path: Path
) -> None:
    """A process that comes between lock and lock info still gets a sentence."""
    del holder
    card = tmp_path / "importer.db-holder"
    for text in ("", "[]", None):
        card.unlink() if text is None else card.write_text(text, encoding="utf-8")
        with pytest.raises(LedgerError, match="in use by another process"), file_ledger.lock("x"):
            pytest.fail("both hold it")


def test_held_again_after_release(file_ledger: Ledger, tmp_path: Path) -> None:
    """However the first one ended; the card goes with it."""
    with pytest.raises(ZeroDivisionError), file_ledger.lock("first"):
        _ = 1 / 0
    assert not (tmp_path / "importer.db-holder").exists()
    with file_ledger.lock("second"):
        assert (tmp_path / "importer.db-holder").exists()


def test_others_may_look_meanwhile(holder: subprocess.Popen[str], url: str) -> None:
    """The lock keeps runs apart, not readers: `runs` and `results` work during a run."""
    del holder
    readonly = Ledger.open_existing(url)
    assert readonly is not None
    with readonly:
        assert readonly.runs.list() == ()
