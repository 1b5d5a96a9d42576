"""Resuming after another process, Ctrl-C, a changed file, or a manual decision."""

from __future__ import annotations

import contextlib
import csv
import io
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from importer.model import State
from tests.crash.conftest import people

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

EVERYBODY = sorted(f"zq{number}@example.org" for number in range(12))


def reached(sandbox: Sandbox) -> list[str]:
    """Return e-mail addresses of the accepted conversations, repeated ones included."""
    return sorted(str(each["emailAddress"]) for each in sandbox.journal)


def states(workspace: Workspace) -> dict[State, int]:
    """Return how the rows of the newest run stand."""
    ledger = Ledger.open_existing(f"sqlite:///{workspace.folder / 'importer.db'}")
    assert ledger is not None
    with ledger:
        return ledger.runs.states(ledger.runs.find().id)


def under_way(workspace: Workspace, sandbox: Sandbox) -> subprocess.Popen[str]:
    """Return a run in a process of its own that has reached somebody, and takes its time."""
    sandbox.set_faults("slow:1:2")
    process = workspace.process(
        "run", "list.csv", "--yes", "--concurrency", "1", "--rate-per-s", "20"
    )
    while not sandbox.journal and process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    assert process.poll() is None, process.communicate()
    return process


def test_a_second_process_names_the_first(workspace: Workspace, sandbox: Sandbox) -> None:
    """It sends nothing and names the first; with a wait time it waits for its turn."""
    with under_way(workspace, sandbox) as first:
        for command in (("resume",), ("run", "list.csv", "--yes"), ("reconcile",)):
            result = workspace(*command)
            assert result.code == Exit.SETUP
            assert "importer run" in result.error
            assert str(first.pid) in result.error
        sandbox.set_faults("")
        waiting = type(workspace)(
            workspace.folder, {**workspace.env, "IMPORTER_LEDGER_WAIT_S": "60"}
        )
        assert waiting("resume").code == Exit.OK
        first.communicate()
        assert first.returncode == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_requests_in_flight_finish(
    workspace: Workspace, sandbox: Sandbox, number: signal.Signals
) -> None:
    """Exit code 130, nothing doubtful, all that was sent is known; resume sends the rest."""
    with under_way(workspace, sandbox) as process:
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == Exit.INTERRUPTED, err
    assert "importer resume" in err
    known = states(workspace)
    assert known[State.CREATED] == len(sandbox.journal) < 12
    assert known[State.CREATED] + known[State.PLANNED] == 12
    sandbox.set_faults("")
    assert workspace("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("then", ["changed", "gone"])
def test_resume_needs_the_same_file(workspace: Workspace, sandbox: Sandbox, then: str) -> None:
    """It says that the file has changed; running the new file contacts nobody twice."""
    assert workspace("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    file = workspace.folder / "list.csv"
    file.unlink()
    if then == "changed":
        workspace.write("list.csv", people(14))
    result = workspace("resume")
    assert result.code == Exit.USAGE
    assert "list.csv" in result.error
    assert then in result.error
    assert len(sandbox.journal) == 4
    workspace.write("list.csv", people(12))
    assert workspace("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


def test_resume_needs_the_same_templates_and_settings(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """What would be sent is not what was agreed to: nothing is sent."""
    assert workspace("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    result = workspace("resume", "--meeting", "video-30")
    assert result.code == Exit.USAGE
    assert "changed since run" in result.error
    assert len(sandbox.journal) == 4


def test_a_finished_run_sends_nothing_again(workspace: Workspace, sandbox: Sandbox) -> None:
    """When all is done, resume and run spend no request."""
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    requests = sandbox.requests
    assert workspace("resume").code == Exit.OK
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    assert sandbox.requests == requests


def test_results_are_the_next_input(workspace: Workspace, sandbox: Sandbox) -> None:
    """What is done is skipped, what was put right in the results file goes, all else stays."""
    broken = people(12).replace("zq3@example.org", "zq3 at example org")
    workspace.write("list.csv", broken)
    assert workspace("run", "list.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    results = workspace("results", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(results.removeprefix("\ufeff"))))
    assert [row["import_status"] for row in rows].count("created") == 11
    assert rows[3]["import_status"] == "rejected"
    assert rows[3]["reason"]
    workspace.write("next.csv", results.replace("zq3 at example org", "zq3@example.org"))
    assert workspace("run", "next.csv", "--yes").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("arrived", [True, False])
def test_resolve_settles_a_row(workspace: Workspace, sandbox: Sandbox, *, arrived: bool) -> None:
    """What was sent is never sent again; what was not goes with the next resume; both say who."""
    fault = "after" if arrived else "before"
    sandbox.set_faults(f"reset-{fault}:1,list-500:1")
    workspace.write("list.csv", people(1))
    assert workspace("run", "list.csv", "--yes").code == Exit.DOUBTFUL
    word = ("--sent", sandbox.journal[0]["id"]) if arrived else ("--not-sent",)
    ledger = Ledger.open_existing(f"sqlite:///{workspace.folder / 'importer.db'}")
    assert ledger is not None
    with ledger:
        run = ledger.runs.find().id
    assert workspace("resolve", run, "2", *word).code == Exit.OK
    sandbox.set_faults("")
    assert workspace("resume").code == Exit.OK
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    assert reached(sandbox) == ["zq0@example.org"]
    with Ledger.open(f"sqlite:///{workspace.folder / 'importer.db'}") as ledger:
        assert [
            each.submission.decided_by for each in ledger.runs.rows(run) if each.submission
        ] != [None]


def test_purged_rows_still_count_as_contacted(workspace: Workspace, sandbox: Sandbox) -> None:
    """Without masks and file names the ledger knows everybody as before."""
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    result = workspace("purge", "--older-than", "0d", "--yes")
    assert result.code == Exit.OK
    assert "12" in result.err
    requests = sandbox.requests
    assert workspace("run", "list.csv", "--yes").code == Exit.OK
    assert workspace("run", "list.csv", "--yes", "--round", "two").code == Exit.OK
    assert sandbox.requests == requests + 12


def test_an_unreachable_api_loses_nobody(workspace: Workspace, sandbox: Sandbox) -> None:
    """Without a server nothing is sent, the exit code is not 0, and resume sends everything."""
    away = type(workspace)(
        workspace.folder, {**workspace.env, "IMPORTER_BASE_URL": "http://127.0.0.1:9/v1"}
    )
    result = away("run", "list.csv", "--yes")
    assert result.code in {Exit.SETUP, Exit.HELD}, result.err
    assert State.DOUBTFUL not in states(workspace)
    assert workspace("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


def test_what_nothing_proves_absent_is_not_called_done(
    workspace: Workspace, sandbox: Sandbox
) -> None:
    """If something eats every request, no conversation is a witness; a later run brings one."""
    sandbox.set_faults("reset-before:1")
    workspace.write("list.csv", people(2))
    result = workspace("run", "list.csv", "--yes")
    assert result.code == Exit.DOUBTFUL, result.err
    assert states(workspace) == {State.DOUBTFUL: 2}
    sandbox.set_faults("")
    with Ledger.open(f"sqlite:///{workspace.folder / 'importer.db'}") as ledger:
        run = ledger.runs.find().id
    workspace.write("later.csv", people(1, start=5))
    later = workspace("run", "later.csv", "--yes")
    assert later.code == Exit.OK  # of its own rows; the others are still to be contacted
    assert f"importer resume {run}" in later.err
    assert workspace("resume", run).code == Exit.OK
    assert len(sandbox.journal) == 3
