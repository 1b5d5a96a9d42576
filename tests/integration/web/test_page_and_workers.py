"""Lists of the page that workers send, on PostgreSQL; the worker is on a machine of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, text

from importer.errors import TurnTaken
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.ledger.run_guards import RunGuards
from importer.ledger.uploaded_lists import UploadedLists
from importer.planning.identity import hmac_key, key_id
from importer.settings import load_settings
from importer.work.job_runner import JobRunner
from importer.work.queue import JobQueue
from importer.work.queue_checks import examine_queue
from tests.support.postgres import server_url
from tests.support.recruiter import make_list, open_site, write_project
from tests.support.waiting import wait_until
from tests.support.workspace import CREDENTIALS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.ledger.records import UploadedList
    from importer.sandbox.server import Sandbox
    from importer.settings import Settings
    from tests.support.recruiter import Recruiter

__all__ = ["server_url"]  # a fixture

ROWS = [f"Pia,Q,,p{n}@example.com,GB,Cook\r\n" for n in range(40)]


@pytest.fixture
def settings(
    tmp_path: Path, server_url: str, api: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """Return settings of a page whose ledger is on the server, with a queue."""
    for name, value in {**CREDENTIALS, "IMPORTER_HMAC_KEY": "c3" * 32}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("importer.web.jobs._LOOK_AT_WORKERS_S", 0.2)
    monkeypatch.setattr("importer.web.jobs._STANDBY_S", 0.2)
    settings = load_settings(project(tmp_path / "near", api, server_url))
    with Ledger.open(server_url) as ledger:
        ledger.note_key(key_id(hmac_key(settings, create=False)))
    with JobQueue.open(settings) as queue:
        queue.set_up()
    return settings


def project(folder: Path, api: Sandbox, server_url: str) -> Path:
    """Write the settings of a machine; all machines share ledger and uploads."""
    campaign = f"camp-{server_url[-8:]}"  # the stand-in for the API is shared, too
    lines = (f"ledger: {server_url}", f"uploads: {folder.parent / 'uploads'}", "settle_s: 0.1")
    file = write_project(folder, api.base_url, *lines, "canary: 1")
    written = file.read_text("utf-8").replace("camp-1", campaign)
    written = written.replace("rehearsal: true\n", "")  # it would have a ledger of its own
    file.write_text(written.replace("rate_per_s: 1000", "rate_per_s: 20"), "utf-8")
    return file


@contextmanager
def worker(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Yield a worker in a folder of its own."""
    command = [sys.executable, "-m", "importer", "work", "-q", "--config", str(file)]
    with subprocess.Popen(command, cwd=file.parent, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def commands(url: str) -> set[str]:
    """Return the commands that sent something."""
    engine = create_engine(url)
    with engine.connect() as connection:
        asked = "SELECT DISTINCT command FROM senders JOIN attempts ON senders.id = attempts.sender"
        found = {str(row[0]) for row in connection.execute(text(asked))}
    engine.dispose()
    return found


def contacted(api: Sandbox, settings: Settings) -> Counter[str]:
    """Return how often each person was contacted, by e-mail address."""
    mine = [each for each in api.journal if each["campaignId"] == settings.campaign]
    return Counter(str(each["emailAddress"]) for each in mine)


@contextmanager
def runner_of(settings: Settings) -> Iterator[JobRunner]:
    """Yield a worker's jobs, done in this process."""
    with (
        Ledger.open(settings.ledger) as ledger,
        JobQueue.open(settings) as queue,
        ledger.lock("importer work"),
    ):
        runner = JobRunner(settings, settings.credentials(), ledger, queue)
        yield runner
        runner.close()


def start(ann: Recruiter, *rows: str) -> str:
    """Upload a list and start it; return its id."""
    list_id = ann.upload(make_list(*rows))
    assert ann.post(f"/lists/{list_id}/send", **ann.offer(list_id)).status_code == 303
    return list_id


def test_a_worker_sends_what_the_page_starts(
    tmp_path: Path, settings: Settings, api: Sandbox
) -> None:
    """The page follows, pauses and goes on; without a worker it sends the rest itself."""
    far = project(tmp_path / "far", api, settings.ledger)
    hint = "No worker is alive"
    with open_site(settings) as site, site.sign_in() as ann:
        wait_until(lambda: hint in ann.browser.get("/").text)
        with worker(far) as process:
            with Ledger.open(settings.ledger) as ledger:
                wait_until(lambda: ledger.senders.count_live("importer work") > 0, process)
            wait_until(lambda: hint not in ann.browser.get("/").text, process)
            list_id = ann.upload(make_list(*ROWS))
            run = ann.start(list_id)
            wait_until(lambda: len(contacted(api, settings)) > 3, process)
            assert ann.post(f"/lists/{list_id}/halt", wish="pause").status_code == 303
            assert "Paused" in ann.wait_until_sent(run)
            so_far = len(contacted(api, settings))
            assert so_far < len(ROWS)
            assert ann.post(f"/lists/{list_id}/go-on").status_code == 303
            wait_until(lambda: len(contacted(api, settings)) > so_far + 2, process)
            assert commands(settings.ledger) == {"importer work"}
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
            assert (process.returncode, "Traceback" in said) == (0, False), said
        assert "All 40 rows are through" in ann.wait_until_sent(run)
        assert hint in ann.browser.get("/").text
        results = ann.browser.get(f"{run}/results.csv").text
        assert "First Name,Surname" in results
    assert contacted(api, settings) == {f"p{n}@example.com": 1 for n in range(40)}
    assert commands(settings.ledger) == {"importer work", "importer serve"}
    [_, found] = examine_queue(settings)
    assert "importer serve" in found.message


def test_a_page_and_a_worker_never_send_one_list_at_once(
    settings: Settings, api: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both look at it all the time, and one of them has its turn."""
    monkeypatch.setattr("importer.web.jobs.count_workers", lambda *_: None)
    ends = threading.Event()

    def work(list_id: str) -> None:
        with runner_of(settings) as runner:
            while not ends.wait(0.02):
                with suppress(TurnTaken):
                    runner.send_uploaded(list_id)

    with open_site(settings) as site, site.sign_in() as ann:
        list_id = ann.upload(make_list(*ROWS))
        beside = threading.Thread(target=work, args=(list_id,))
        beside.start()
        try:
            run = ann.start(list_id)
            assert "All 40 rows are through" in ann.wait_until_sent(run)
        finally:
            ends.set()
            beside.join()
    assert contacted(api, settings) == {f"p{n}@example.com": 1 for n in range(40)}
    assert len(commands(settings.ledger)) == 1
    with Ledger.open(settings.ledger) as ledger:
        known = ledger.lists.find(list_id)
        assert known is not None
        assert (known.state, known.run) == (ListState.DONE, run.rpartition("/")[2])
        assert len(ledger.runs.list()) == 1


def test_a_worker_gives_way_and_skips_what_it_does_not_see(
    tmp_path: Path, settings: Settings, api: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A list that waits comes in between; without its file, a list waits for another machine.

    The page of another machine shows what the worker does, and a run has one canary.
    """
    monkeypatch.setattr("importer.web.jobs.count_workers", lambda *_: 1)
    canaries = list[str]()
    real = RunGuards.pass_canary

    def note_canary(guards: RunGuards) -> None:
        canaries.append(guards._run)
        real(guards)

    monkeypatch.setattr(RunGuards, "pass_canary", note_canary)
    for name in ("job_runner._SLICE_S", "sliced_run._POLL_S", "sliced_run._WAITING_S"):
        monkeypatch.setattr(f"importer.work.{name}", 0.1)
    is_one_waiting = UploadedLists.is_one_waiting

    def notice(lists: UploadedLists, longer_s: float) -> bool:
        """Notice no other list before somebody was contacted, however slow the machine is."""
        return bool(contacted(api, settings)) and is_one_waiting(lists, longer_s)

    monkeypatch.setattr(UploadedLists, "is_one_waiting", notice)
    with open_site(settings) as site, site.sign_in() as ann, runner_of(settings) as runner:
        lists = runner.ledger.lists

        def send(list_id: str) -> UploadedList:
            runner.send_uploaded(list_id)
            found = lists.find(list_id)
            assert found is not None
            return found

        long, short = start(ann, *ROWS), start(ann, "Pia,Q,,short@example.com,GB,Cook\r\n")
        (tmp_path / "uploads").rename(tmp_path / "elsewhere")
        waits = send(long)
        assert (waits.state, "It goes on by itself" in waits.message) == (ListState.QUEUED, True)
        assert send(long) == waits  # it is not due
        (tmp_path / "elsewhere").rename(tmp_path / "uploads")
        lists.change(long, {ListState.QUEUED}, start_at=None)
        handed_back = send(long)
        assert handed_back.state is ListState.SENDING
        assert 0 < len(contacted(api, settings)) < len(ROWS)
        status = ann.browser.get(f"/runs/{handed_back.run}/status").text
        assert "The newest" in status
        assert "•••@e•••.com</bdi>: conversation" in status
        assert send(short).state is ListState.DONE
        assert send(long).state is ListState.DONE
        assert runner.queue.overview().waiting["send"] == 1
    assert len(contacted(api, settings)) == 41
    assert set(contacted(api, settings).values()) == {1}
    assert (len(canaries), len(set(canaries))) == (2, 2)
    assert commands(settings.ledger) == {"importer work"}
