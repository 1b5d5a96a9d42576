"""SIGTERM at any moment of a real night: it ends soon and says so, and the next one finishes."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from importer.nightly import import_file
from importer.nightly.clock import StopSignal
from importer.report.night_report import FileEnding
from tests.support.night_setup import NightSetup, candidate_list, serve_webhook
from tests.support.waiting import has_logged, wait_until

if TYPE_CHECKING:
    from importer.model import RunReport
    from importer.sandbox.server import Sandbox

COUNT = 20
GRACE_S = 0.5


class Moment(NamedTuple):
    """When the signal comes.

    Attributes:
        event: of the log, after which it comes.
        settings: of the night.
        faults: of the service.
        sent: how many were written to before it comes.
        repeated: how often the list has each row, so that its check takes time.
        code: how the process ends.
        says: what its summary has.
    """

    event: str
    settings: str = ""
    faults: str = ""
    sent: int = 0
    repeated: int = 1
    code: Exit = Exit.INTERRUPTED
    says: str = "Exit code 130: interrupted"


MOMENTS = {
    "at the start": Moment("night.started"),
    "while it waits for quiet": Moment("night.started", "quiet_s: 60"),
    "while it checks": Moment("file.claimed", repeated=1_000, says="left for the next night"),
    "when it is checked": Moment("file.checked", says="left for the next night"),
    "with requests in flight": Moment(
        "run.started", faults="slow:1:0.4", sent=3, says="The night was told to stop."
    ),
    "while it waits to try again": Moment(
        "run.started", "max_wait_s: 60\nwait_base_s: 60\nattempts: 3", "429:1:50"
    ),
    "while it looks up the doubtful": Moment(
        "run.started",
        "settle_s: 30\nmax_failures_in_a_row: 99\nmax_doubtful: 99",
        "reset-after:1",
        sent=COUNT,
    ),
    "in an outage": Moment(
        "api.outage", "outage_wait_s: 600", "429:1", code=Exit.SETUP, says="in a row failed"
    ),
    "while it writes its reports": Moment("run.ended", repeated=1_000, says="20 created"),
}


@pytest.mark.parametrize("moment", MOMENTS.values(), ids=MOMENTS)
def test_a_signal(setup: NightSetup, sandbox: Sandbox, moment: Moment) -> None:
    """The process ends by itself, the summary names the rest, everybody is written to once."""
    log = setup.workspace.folder / "log.jsonl"
    quiet = "" if "quiet_s" in moment.settings else "quiet_s: 0\n"
    setup.settings(
        sandbox.base_url, f"{quiet}grace_s: 20\nlog_file: log.jsonl\n{moment.settings}\n"
    )
    sandbox.set_faults(moment.faults)
    header, *rows = candidate_list(0, COUNT).splitlines()
    setup.add_file("a.csv", "\n".join([header, *rows * moment.repeated]))
    process = setup.workspace.process("nightly", "inbox")
    wait_until(has_logged(log, moment.event), process)
    wait_until(lambda: len(sandbox.journal) >= moment.sent, process)
    process.terminate()
    began = time.monotonic()
    out, err = process.communicate()
    assert time.monotonic() - began < 15
    assert (process.returncode, moment.says in " ".join(out.split())) == (moment.code, True), (
        out + err
    )
    assert has_logged(log, "night.ended")()
    finished(setup, sandbox)


def finished(setup: NightSetup, sandbox: Sandbox) -> None:
    """Require that the next night finishes: everybody was written to once, and nothing is open."""
    sandbox.set_faults("")
    setup.settings(sandbox.base_url)
    night = setup.night()
    assert all(file.ending in {FileEnding.DONE, FileEnding.SEEN} for file in night.files), (
        night.files
    )
    written_to = Counter(entry["phoneNumber"] for entry in sandbox.journal)
    assert len(written_to) == COUNT == written_to.total()
    assert [path for path in setup.spreadsheets() if "done/" in path] == list(setup.spreadsheets())
    with Ledger.open(setup.inbox_settings.load().ledger) as ledger:
        assert ledger.doubts.list() == ()


def test_an_answer_that_comes_after_the_grace(setup: NightSetup, sandbox: Sandbox) -> None:
    """The process gives it up and ends; the next night finds out that the people were reached."""
    setup.settings(sandbox.base_url, f"quiet_s: 0\ngrace_s: {GRACE_S}\nlog_file: log.jsonl\n")
    sandbox.set_faults("late:1:2")
    setup.add_file("a.csv", candidate_list(0, COUNT))
    process = setup.workspace.process("nightly", "inbox")
    wait_until(lambda: sandbox.requests >= 4, process)
    process.terminate()
    out, err = process.communicate()
    assert process.returncode == Exit.INTERRUPTED, out + err
    assert "The API did not answer within grace_s" in " ".join(out.split())
    assert "4 submissions may have been accepted" in out
    assert len(sandbox.journal) == 0
    wait_until(lambda: len(sandbox.journal) == 4)
    finished(setup, sandbox)


def test_while_it_tries_to_tell(
    setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The import is over and its code stays; the message is not tried again."""
    with serve_webhook() as (url, posts, answers):
        answers.extend([503] * 9)
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        setup.settings(sandbox.base_url, "quiet_s: 0\n")
        setup.add_file("a.csv", candidate_list(0, COUNT))
        process = setup.workspace.process("nightly", "inbox")
        wait_until(lambda: len(posts) == 1, process)
        process.terminate()
        out, err = process.communicate()
    assert process.returncode == Exit.OK, out + err
    assert "message by webhook was not delivered (HTTP 503)" in " ".join(out.split())
    assert len(posts) <= 2
    monkeypatch.delenv("IMPORTER_WEBHOOK_URL")
    finished(setup, sandbox)


def test_a_signal_after_the_last_request(
    setup: NightSetup, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything is sent, but the doubtful rows were not looked up: the next night does that."""
    deliver, stop = import_file._deliver_or_resume, StopSignal(0.0)

    def deliver_and_stop(*given: Any) -> RunReport:
        report = deliver(*given)
        stop.request()
        return report

    setup.settings(
        sandbox.base_url, "reconcile: false\nmax_failures_in_a_row: 99\nmax_doubtful: 99\n"
    )
    sandbox.set_faults("reset-after:1")
    setup.add_file("a.csv", candidate_list(0, COUNT))
    with monkeypatch.context() as cut_short:
        cut_short.setattr(import_file, "_deliver_or_resume", deliver_and_stop)
        night = setup.night(stop)
    assert [file.ending for file in night.files] == [FileEnding.WAITING]
    assert (night.exit_code, night.doubtful_open) == (Exit.INTERRUPTED, COUNT)
    finished(setup, sandbox)
