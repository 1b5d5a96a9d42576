"""Who comes first, how many send, and what the queue refuses; on a server if there is one."""

from __future__ import annotations

import pickle
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from sqlalchemy import text

from importer.atomic_file import write_durably
from importer.errors import ConfigurationError, LedgerError, UsageError
from importer.ledger import Ledger
from importer.model import Counts, Plan
from importer.settings import load_settings
from importer.work.job_runner import most_senders, priority_of
from importer.work.queue import SEND, JobQueue, require_queue
from importer.work.queue_checks import examine_queue
from importer.work.queued_lists import QueuedLists, read_plan
from importer.work.worker_pool import require_workable
from tests.support.postgres import server_url
from tests.unit.ledger.test_leases import plan, sender

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.settings import Settings

__all__ = ["server_url"]  # a fixture


def settings_of(url: str, **flags: object) -> Settings:
    """Return settings with a ledger."""
    return load_settings(None, {"ledger": url, **flags})


def test_a_short_list_comes_before_every_long_one() -> None:
    """However old the long one is; of two long ones the older one comes first."""
    new, old = timedelta(0), timedelta(days=3)
    assert priority_of(10, new) > priority_of(500, new) > priority_of(501, old)
    assert priority_of(1_000_000, old) > priority_of(1_000_000, new)
    assert priority_of(1_000, new) > priority_of(1_000_000, new)


def test_as_many_send_as_keep_the_rate(tmp_path: Path) -> None:
    """Unless the settings say how many."""
    url = f"sqlite:///{tmp_path / 'importer.db'}"
    assert most_senders(settings_of(url, rate_per_s=100.0, concurrency=4)) == 26
    assert most_senders(settings_of(url, rate_per_s=100.0, senders_per_org=1)) == 1


def test_a_ledger_in_a_file_has_no_queue(tmp_path: Path) -> None:
    """The error says what a queue needs; nothing must be examined."""
    settings = settings_of(f"sqlite:///{tmp_path / 'importer.db'}")
    with pytest.raises(ConfigurationError, match="PostgreSQL"):
        require_queue(settings)
    assert examine_queue(settings) == []


def test_the_queue_of_a_server(server_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is set up once, takes a job once, and the doctor sees that nobody works."""
    monkeypatch.setenv("POPP_API_KEY", "rehearsal")
    monkeypatch.setenv("POPP_ORGANIZATION_ID", "acme")
    settings = settings_of(server_url)
    with pytest.raises(LedgerError, match="no ledger"):
        require_workable(settings)
    Ledger.open(server_url).close()
    with pytest.raises(LedgerError, match="not set up"):
        require_workable(settings)
    assert [each.warning for each in examine_queue(settings)] == [False, True]
    with JobQueue.open(settings) as queue:
        assert queue.set_up()
        assert not queue.set_up()
        assert queue.defer("send", SEND, "send:a:0", priority=1, list_id="a", slot=0)
        assert not queue.defer("send", SEND, "send:a:0", priority=2, list_id="a", slot=1)
        queue.wake_worker()
        queue.wake_worker()
        seen = queue.overview()
    assert seen.waiting == {"send": 1, "control": 1}
    assert (seen.workers, seen.stalled, seen.failed) == (0, 0, 0)
    require_workable(settings)
    [_, found] = examine_queue(settings)
    assert found.ok
    assert "no worker is alive" in found.message


def test_a_ledger_is_not_upgraded_while_an_older_version_may_send(server_url: str) -> None:
    """The error names the process."""
    with Ledger.open(server_url) as old, old.lock("importer work"):
        change = text("UPDATE ledger_version SET version_num = '0014'")
        old._database.write("version", lambda c: c.execute(change))
        with pytest.raises(LedgerError, match="older version and may send") as refused:
            Ledger.open(server_url)
        assert "Stop the older version on every machine" in refused.value.fix


class Exploit:
    """Makes a file when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        """Return what `pickle` calls."""
        return Path.touch, (self._target,)


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o644])
def test_a_plan_that_another_user_could_have_written_is_not_read(tmp_path: Path, mode: int) -> None:
    """Unpickling it could run any code; the plan is made again."""
    kept, made = tmp_path / "a.plan", tmp_path / "made"
    kept.write_bytes(pickle.dumps(Exploit(made)))
    kept.chmod(0o600)
    (tmp_path / "link.plan").symlink_to(kept)
    assert read_plan(tmp_path / "link.plan") is None
    kept.chmod(mode)
    assert read_plan(kept) is None
    assert not made.exists()


def test_a_plan_is_read_or_made_again(tmp_path: Path) -> None:
    """Damage, or a class that an older version had, is no error."""
    kept, none = tmp_path / "a.plan", pl.DataFrame()
    assert read_plan(kept) is None
    plan = Plan((), (), none, none, none, Counts(), "hash", none)
    write_durably(kept, pickle.dumps(plan))
    found = read_plan(kept)
    assert found is not None
    assert found.hash == "hash"
    for content in (b"", b"damaged", b"cimporter.gone\nPlan\n.", pickle.dumps("no plan")):
        write_durably(kept, content)
        assert read_plan(kept) is None


def test_only_a_list_of_the_queue_is_paused(server_url: str) -> None:
    """Any other run is paused where it was started."""
    with sender(server_url) as ledger:
        run = plan(ledger, 1)
        with pytest.raises(UsageError, match="not in the queue"):
            QueuedLists(settings_of(server_url), ledger).pause(run)
