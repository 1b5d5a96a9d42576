"""What a worker does with a list that cannot be sent, on a server if there is one."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.sandbox.server import SandboxOptions, start_sandbox
from importer.settings import load_settings
from importer.work.job_runner import JobRunner
from importer.work.queue import JobQueue
from importer.work.queued_lists import QueuedLists
from tests.crash.conftest import SETTINGS, people
from tests.support.postgres import free_port, server_url
from tests.support.workspace import CREDENTIALS, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.ledger.records import UploadedList
    from importer.sandbox.server import Sandbox

__all__ = ["server_url"]  # a fixture


@pytest.fixture
def shop(tmp_path: Path, server_url: str, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a workspace with ledger and queue on the server; set its variables here, too."""
    env: dict[str, str | None] = {**CREDENTIALS, **SETTINGS, "IMPORTER_LEDGER": server_url}
    env["IMPORTER_BASE_URL"] = f"http://127.0.0.1:{free_port()}/v1"
    for name, value in env.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(tmp_path)
    shop = Workspace(tmp_path, {})
    assert shop("upgrade").code == 0
    shop.write("list.csv", people(12))
    return shop


def put_in(shop: Workspace) -> str:
    """Put the list into the queue; return the id of its run."""
    done = shop("run", "list.csv", "--queue", "--no-wait", "--yes", "-q")
    assert done.code == 0, done
    return done.out.strip()


@contextmanager
def runner_of(shop: Workspace) -> Iterator[JobRunner]:
    """Yield a worker's jobs, done in this process."""
    settings = load_settings(None, {})
    with (
        Ledger.open(settings.ledger) as ledger,
        JobQueue.open(settings) as queue,
        ledger.lock("importer work"),
    ):
        yield JobRunner(settings, settings.credentials(), ledger, queue)
    assert shop("jobs").code == 0


def send(runner: JobRunner, run: str) -> UploadedList:
    """Do what is next for the list of a run; return the list afterwards."""
    known = runner.ledger.lists.find_by_run(run)
    assert known is not None
    runner.send(known.id, 0)
    after = runner.ledger.lists.find_by_run(run)
    assert after is not None
    return after


def test_a_list_that_a_guard_stops_goes_on_when_a_person_says_so(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failures are counted from then on, and what the API refused stays refused."""
    with start_sandbox(SandboxOptions(faults="422:1")) as sandbox:
        monkeypatch.setenv("IMPORTER_BASE_URL", sandbox.base_url)
        run = put_in(shop)
        with runner_of(shop) as runner:
            after = send(runner, run)
            assert after.state is ListState.STOPPED
            assert "in a row failed" in after.message
            assert after.counts["exit_code"] == 6
            assert send(runner, run).state is ListState.STOPPED
            found = QueuedLists(runner.settings, runner.ledger).resume(run)
            assert (found.state, found.message, found.counts) == (ListState.QUEUED, "", {})
            while (after := send(runner, run)).state is ListState.QUEUED:
                assert runner.ledger.submissions.count_sendable(run) < 12
            assert after.state is ListState.DONE
        assert sandbox.journal == []


def test_a_list_waits_for_an_api_that_cannot_be_reached(shop: Workspace) -> None:
    """When the API is back, everybody is contacted."""
    run = put_in(shop)
    with runner_of(shop) as runner:
        after = send(runner, run)
        assert after.state is ListState.QUEUED
        assert "cannot be reached" in after.message
        assert after.start_at is not None
        assert after.start_at > runner.ledger.now()
        assert send(runner, run) == after  # it is not due
        runner.ledger.lists.change(after.id, {ListState.QUEUED}, start_at=None)
        port = urlsplit(runner.settings.base_url).port
        with start_sandbox(SandboxOptions(port=port or 0)) as sandbox:
            while (after := send(runner, run)).state is ListState.QUEUED:
                assert not after.message
        assert after.state is ListState.DONE
        assert len({each["emailAddress"] for each in sandbox.journal}) == 12
        assert len(sandbox.journal) == 12


def test_a_fault_of_ours_stops_a_list_and_a_night(
    shop: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person learns where to look, and that it is safe to try again; nothing of the fault."""

    def fail(*_: object) -> None:
        raise RuntimeError("zq1@example.org")

    monkeypatch.setattr("importer.work.job_runner.SlicedRun.load", fail)
    monkeypatch.setattr("importer.work.queued_night.run_queued_night", fail)
    run = put_in(shop)
    with runner_of(shop) as runner:
        night = QueuedLists(runner.settings, runner.ledger).put_in_night("inbox", {}, "ann")
        runner.night(night)
        stopped = (
            (send(runner, run), f"`importer jobs --resume {run}` lets it go on."),
            (runner.ledger.lists.find(night), "`importer nightly INBOX --queue`."),
        )
        for after, command in stopped:
            assert after is not None
            assert after.message.endswith(command)
            assert (after.state, after.counts) == (ListState.STOPPED, {"exit_code": 4})
            assert after.message.startswith("It stopped because of a fault in importer.")
            assert f"machine {os.uname().nodename}" in after.message
            assert "zq1" not in after.message


def test_a_machine_with_other_templates_sends_nothing(
    shop: Workspace, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list stops and names the machine; the plan was another one."""
    monkeypatch.setenv("IMPORTER_BASE_URL", sandbox.base_url)
    run = put_in(shop)
    monkeypatch.setenv("IMPORTER_TEMPLATES", str(shop.folder / "templates"))
    meeting = "title: Another\ntimezone: Europe/London\nduration: 45\n"
    shop.write("templates/meetings/onsite-45.yaml", meeting)
    shop.write("templates/participants/panel.yaml", "- {name: Ann, email: ann@example.org}\n")
    with runner_of(shop) as runner:
        after = send(runner, run)
    assert after.state is ListState.STOPPED
    assert "(machine " in after.message
    assert sandbox.journal == []
