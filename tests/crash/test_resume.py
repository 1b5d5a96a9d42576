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
    from tests.support.desk import Desk

EVERYBODY = sorted(f"zq{number}@example.org" for number in range(12))


def reached(sandbox: Sandbox) -> list[str]:
    """E-mail addresses of the accepted conversations, repeated ones included."""
    return sorted(str(each["emailAddress"]) for each in sandbox.journal)


def states(desk: Desk) -> dict[State, int]:
    """How the rows of the newest run stand."""
    ledger = Ledger.open_existing(f"sqlite:///{desk.folder / 'importer.db'}")
    assert ledger is not None
    with ledger:
        return ledger.runs.states(ledger.runs.find().id)


def under_way(desk: Desk, sandbox: Sandbox) -> subprocess.Popen[str]:
    """A run in a process of its own that has reached somebody, and takes its time."""
    sandbox.set_faults("slow:1:2")
    process = desk.process("run", "list.csv", "--yes", "--concurrency", "1", "--rate-per-s", "20")
    while not sandbox.journal and process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.01)
    assert process.poll() is None, process.communicate()
    return process


def test_a_second_process_names_the_first(desk: Desk, sandbox: Sandbox) -> None:
    """It sends nothing and names the first; with a wait time it waits for its turn."""
    with under_way(desk, sandbox) as first:
        for command in (("resume",), ("run", "list.csv", "--yes"), ("reconcile",)):
            said = desk(*command)
            assert said.code == Exit.SETUP
            assert "importer run" in said.error
            assert str(first.pid) in said.error
        sandbox.set_faults("")
        waiting = type(desk)(desk.folder, {**desk.env, "IMPORTER_LEDGER_WAIT_S": "60"})
        assert waiting("resume").code == Exit.OK
        first.communicate()
        assert first.returncode == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_requests_in_flight_finish(
    desk: Desk, sandbox: Sandbox, number: signal.Signals
) -> None:
    """Exit code 130, nothing doubtful, all that was sent is known; resume sends the rest."""
    with under_way(desk, sandbox) as process:
        process.send_signal(number)
        _, err = process.communicate()
    assert process.returncode == Exit.INTERRUPTED, err
    assert "importer resume" in err
    known = states(desk)
    assert known[State.CREATED] == len(sandbox.journal) < 12
    assert known[State.CREATED] + known[State.PLANNED] == 12
    sandbox.set_faults("")
    assert desk("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("then", ["changed", "gone"])
def test_resume_needs_the_same_file(desk: Desk, sandbox: Sandbox, then: str) -> None:
    """It says that the file has changed; running the new file contacts nobody twice."""
    assert desk("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    file = desk.folder / "list.csv"
    file.unlink()
    if then == "changed":
        desk.write("list.csv", people(14))
    said = desk("resume")
    assert said.code == Exit.USAGE
    assert "list.csv" in said.error
    assert then in said.error
    assert len(sandbox.journal) == 4
    desk.write("list.csv", people(12))
    assert desk("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


def test_resume_needs_the_same_templates_and_settings(desk: Desk, sandbox: Sandbox) -> None:
    """What would be sent is not what was agreed to: nothing is sent."""
    assert desk("run", "list.csv", "--yes", "--limit", "4").code == Exit.OK
    said = desk("resume", "--meeting", "video-30")
    assert said.code == Exit.USAGE
    assert "changed since run" in said.error
    assert len(sandbox.journal) == 4


def test_a_finished_run_sends_nothing_again(desk: Desk, sandbox: Sandbox) -> None:
    """When all is done, resume and run spend no request."""
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    requests = sandbox.requests
    assert desk("resume").code == Exit.OK
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    assert sandbox.requests == requests


def test_results_are_the_next_input(desk: Desk, sandbox: Sandbox) -> None:
    """What is done is skipped, what was put right in the results file goes, all else stays."""
    broken = people(12).replace("zq3@example.org", "zq3 at example org")
    desk.write("list.csv", broken)
    assert desk("run", "list.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    results = desk("results", "--format", "csv").out
    rows = list(csv.DictReader(io.StringIO(results.removeprefix("\ufeff"))))
    assert [row["import_status"] for row in rows].count("created") == 11
    assert rows[3]["import_status"] == "rejected"
    assert rows[3]["reason"]
    desk.write("next.csv", results.replace("zq3 at example org", "zq3@example.org"))
    assert desk("run", "next.csv", "--yes").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


@pytest.mark.parametrize("arrived", [True, False])
def test_resolve_settles_a_row(desk: Desk, sandbox: Sandbox, *, arrived: bool) -> None:
    """What was sent is never sent again; what was not goes with the next resume; both say who."""
    fault = "after" if arrived else "before"
    sandbox.set_faults(f"reset-{fault}:1,list-500:1")
    desk.write("list.csv", people(1))
    assert desk("run", "list.csv", "--yes").code == Exit.DOUBTFUL
    word = ("--sent", sandbox.journal[0]["id"]) if arrived else ("--not-sent",)
    ledger = Ledger.open_existing(f"sqlite:///{desk.folder / 'importer.db'}")
    assert ledger is not None
    with ledger:
        run = ledger.runs.find().id
    assert desk("resolve", run, "2", *word).code == Exit.OK
    sandbox.set_faults("")
    assert desk("resume").code == Exit.OK
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    assert reached(sandbox) == ["zq0@example.org"]
    with Ledger.open(f"sqlite:///{desk.folder / 'importer.db'}") as ledger:
        assert [
            each.submission.decided_by for each in ledger.runs.rows(run) if each.submission
        ] != [None]


def test_purged_rows_still_count_as_contacted(desk: Desk, sandbox: Sandbox) -> None:
    """Without masks and file names the ledger knows everybody as before."""
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    said = desk("purge", "--older-than", "0d", "--yes")
    assert said.code == Exit.OK
    assert "12" in said.err
    requests = sandbox.requests
    assert desk("run", "list.csv", "--yes").code == Exit.OK
    assert desk("run", "list.csv", "--yes", "--round", "two").code == Exit.OK
    assert sandbox.requests == requests + 12


def test_an_unreachable_api_loses_nobody(desk: Desk, sandbox: Sandbox) -> None:
    """Without a server nothing is sent, the exit code is not 0, and resume sends everything."""
    away = type(desk)(desk.folder, {**desk.env, "IMPORTER_BASE_URL": "http://127.0.0.1:9/v1"})
    said = away("run", "list.csv", "--yes")
    assert said.code in {Exit.SETUP, Exit.HELD}, said.err
    assert State.DOUBTFUL not in states(desk)
    assert desk("resume").code == Exit.OK
    assert reached(sandbox) == EVERYBODY


def test_what_nothing_proves_absent_is_not_called_done(desk: Desk, sandbox: Sandbox) -> None:
    """If something eats every request, no conversation is a witness; a later run brings one."""
    sandbox.set_faults("reset-before:1")
    desk.write("list.csv", people(2))
    said = desk("run", "list.csv", "--yes")
    assert said.code == Exit.DOUBTFUL, said.err
    assert states(desk) == {State.DOUBTFUL: 2}
    sandbox.set_faults("")
    with Ledger.open(f"sqlite:///{desk.folder / 'importer.db'}") as ledger:
        run = ledger.runs.find().id
    desk.write("later.csv", people(1, start=5))
    later = desk("run", "later.csv", "--yes")
    assert later.code == Exit.OK  # of its own rows; the others are still to be contacted
    assert f"importer resume {run}" in later.err
    assert desk("resume", run).code == Exit.OK
    assert len(sandbox.journal) == 3
