"""`importer jobs` and `upgrade`: on a ledger in a file, and on a server if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.cli.main import main
from importer.cli.queue_following import _WorkerWatch
from importer.errors import Exit
from importer.ledger import Ledger
from importer.ledger.tables import senders
from importer.model import Outcome, State
from importer.work.queue import COMMAND
from tests.integration.cli.conftest import GOOD
from tests.support.postgres import server_url
from tests.support.workspace import Workspace
from tests.unit.ledger.test_leases import lose_lease, plan, pretend_elsewhere, sender, share_of

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["server_url"]  # a fixture


def importer(*arguments: str) -> int:
    """Run a command; return its exit code."""
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_a_ledger_in_a_file_is_upgraded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It has no senders."""
    url = f"sqlite:///{tmp_path / 'importer.db'}"
    Ledger.open(url).close()
    assert importer("upgrade", "--ledger", url) == 0
    assert "is new and empty" in capsys.readouterr().err
    assert importer("jobs", "--ledger", url) == 0
    assert "Nobody is sending." in capsys.readouterr().out
    assert importer("jobs", "--metrics", "--ledger", url) == 0
    assert 'importer_senders{state="live"} 0.0' in capsys.readouterr().out


def test_a_person_says_that_a_sender_has_ended(
    server_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Then its row can be sent again, once the list shows that it is absent."""
    with sender(server_url) as here:
        run = plan(here, 1)
        other = Ledger.open(server_url)
        lock = other.lock("importer resume")
        lock.__enter__()
        lost = other.lease.id if other.lease else 0
        pretend_elsewhere(other)
        share = share_of(other, run)
        share.claim(1)
        share.record(["k0"], ())
        assert importer("jobs", "--ended", str(lost), "--yes", "--ledger", server_url) == 2
        assert "renews its lease" in capsys.readouterr().err
        lose_lease(other)
        here.recover()
        absent = [Outcome("k0", State.PLANNED, 0, code="absent")]
        here.doubts.reconcile(absent)
        assert here.submissions.records(["k0"])["k0"].state is State.DOUBTFUL
        assert importer("jobs", "--stop", "", "--ledger", server_url) == 2
        assert "is empty" in capsys.readouterr().err
        assert importer("jobs", "--ledger", server_url) == 0
        shown = capsys.readouterr().out
        assert "elsewhere" in shown
        assert "no sign of life" in shown
        assert importer("jobs", "--metrics", "--ledger", server_url) == 0
        numbers = set(capsys.readouterr().out.splitlines())
        assert {
            'importer_senders{state="live"} 1.0',
            'importer_senders{state="silent"} 1.0',
            "importer_unanswered 1.0",
            f'importer_run_submissions{{run="{run}",state="doubtful"}} 1.0',
        } <= numbers
        assert importer("jobs", "--ended", str(lost), "--yes", "--ledger", server_url) == 0
        assert importer("jobs", "--ended", str(lost), "--yes", "--ledger", server_url) == 2
        here.doubts.reconcile(absent)
        assert here.submissions.records(["k0"])["k0"].state is State.PLANNED
        row = senders.c.ended_how
        result = here._database.read(
            lambda c: c.scalar(senders.select().with_only_columns(row).where(senders.c.id == lost))
        )
        assert str(result).endswith("said so")
        lock.__exit__(None, None, None)
        other.close()


def test_a_worker_without_the_key_of_the_ledger(server_url: str, workspace: Workspace) -> None:
    """It ends at once; else each list that it takes would stop."""
    pytest.importorskip("procrastinate")
    first = Workspace(workspace.folder, {**workspace.env, "IMPORTER_HMAC_KEY": "k" * 40})
    assert first("upgrade", "--ledger", server_url).code == 0
    for key in ("j" * 40, None):
        other = Workspace(workspace.folder, {**workspace.env, "IMPORTER_HMAC_KEY": key})
        result = other("work", "--ledger", server_url)
        assert result.code == Exit.SETUP
        assert "HMAC key" in result.err
    short = Workspace(workspace.folder, {**workspace.env, "IMPORTER_HMAC_KEY": "hunter2"})
    assert "fewer than 32" in short("work", "--ledger", server_url).err


def test_what_a_queue_refuses(server_url: str, workspace: Workspace) -> None:
    """A rate that workers would not keep, and a rehearsal, whose ledger is a file."""
    pytest.importorskip("procrastinate")
    workspace.write("good.csv", GOOD)
    assert workspace("upgrade", "--ledger", server_url).code == 0
    run = ("run", "good.csv", "--queue", "--yes", "--ledger", server_url)
    result = workspace(*run, "--rate-per-s", "1")
    assert result.code == Exit.USAGE
    assert "--rate-per-s and --queue exclude each other" in result.err
    workspace.write("importer.yaml", f"rehearsal: true\nledger: {server_url}\n")
    rehearsed = workspace("work")
    assert rehearsed.code == Exit.SETUP
    assert "the ledger of a rehearsal is a file" in rehearsed.err


def test_who_waits_is_told_once_that_no_worker_is_alive(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And again, if one came and has gone."""
    monkeypatch.setattr("importer.cli.queue_following._WORKERS_S", 0.0)
    with Ledger.open(server_url) as ledger:
        watch = _WorkerWatch(ledger, COMMAND)
        assert [watch.have_gone() for _ in range(2)] == [True, False]
        with Ledger.open(server_url) as other, other.lock(COMMAND):
            assert not watch.have_gone()
        assert [watch.have_gone() for _ in range(2)] == [True, False]
