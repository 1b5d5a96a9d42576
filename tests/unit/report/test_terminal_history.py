"""What a terminal shows of runs."""

from __future__ import annotations

import dataclasses
import io
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group

from importer.ledger.nights import Night, NightFile
from importer.ledger.records import ArrangedMeeting, Run, SourceFile, SubmissionRecord
from importer.model import MeetingState, State
from importer.report import terminal_history, view
from importer.report.formatting import GivenFlags
from importer.report.terminal_history import PastNight, nights_text

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from importer.ledger.records import RowOutcome
    from importer.model import RunReport
    from tests.unit.report.conftest import MakeView


def shown(what: RenderableType, width: int = 120) -> str:
    """Return the text without the spaces that fill lines up."""
    out = io.StringIO()
    Console(file=out, width=width).print(what, crop=False)
    return "\n".join(line.rstrip() for line in out.getvalue().splitlines())


def test_a_run_says_what_became_of_its_rows(run_view: view.RunView) -> None:
    """Every word that rows ended with, how many, and what it means."""
    text = shown(terminal_history.run_text(run_view))
    assert (
        "Run 20261122-153000-3f2a: 1 conversation started from 6 rows.\nIt took 1 min 15 s." in text
    )
    assert "created                1   a conversation was started" in text
    assert "doubtful               1   may have been sent; not sent again until" in text
    assert "duplicate-in-file      1" in text
    assert "already-imported" not in text
    assert "Exit code 5: doubtful submissions remain." in text


def test_doubtful_rows_are_a_worklist(run_view: view.RunView) -> None:
    """Row, person and reason of each, and the commands that settle it."""
    text = shown(terminal_history.run_text(run_view))
    assert "4     +44 •••• 0018   doubtful   The server failed (500)." in text
    assert "importer reconcile 20261122-153000-3f2a" in text
    assert "importer resolve 20261122-153000-3f2a ROW --sent CONVERSATION_ID" in text


def doubtful_row(row: int = 4, source_name: str = "a.csv", **facts: Any) -> SubmissionRecord:
    """Return a doubtful row as the ledger gives it."""
    return SubmissionRecord(
        key="ab" * 32,
        state=State.DOUBTFUL,
        run="20261122-153000-3f2a",
        source_name=source_name,
        row=row,
        campaign="camp-42",
        external_id="c-17-ab12",
        person="cd" * 32,
        email=None,
        candidate=None,
        name=None,
        masked="+44 •••• 0018",
        body_hash="ef" * 32,
        conversation_id=None,
        http_status=None,
        code="unsettled",
        message="The list lacks conversations that are known to exist.",
        attempts=1,
        resends=0,
        sent_at=AT,
        settled_at=None,
        remote_status=None,
        remote_at=None,
        decided_by=None,
        **facts,
    )


def test_a_doubtful_row_says_who_when_why_and_what_to_do() -> None:
    """With the request id for the API's support, and the flags that were given."""
    given = GivenFlags("", {"ledger": "sqlite:///other.db"})
    text = shown(Group(*terminal_history.worklist([doubtful_row(request_id="req-9")], given)))
    assert "a.csv row 4: +44 •••• 0018, campaign camp-42" in text
    assert "external id c-17-ab12\n    request id  req-9" in text
    assert "The list lacks conversations that are known to exist." in text
    command = (
        "importer resolve 20261122-153000-3f2a 4 --ledger sqlite:///other.db --sent CONVERSATION_ID"
    )
    assert command in text


def test_a_row_of_several_files_names_its_file() -> None:
    """Only then; without an answer there is no request id."""
    both = [doubtful_row(), doubtful_row(source_name="b.csv")]
    text = shown(Group(*terminal_history.worklist(both)))
    assert "importer resolve 20261122-153000-3f2a 4 --file b.csv --sent CONVERSATION_ID" in text
    assert "request id" not in text
    assert "--file" not in shown(Group(*terminal_history.worklist(both[:1])))


def test_what_was_not_sent_can_go_on(run_view: view.RunView) -> None:
    """Planned and unsent rows are counted together; phones in reasons are masked."""
    text = shown(terminal_history.run_text(run_view))
    assert "Send the 2 rows not sent yet" in text
    assert "importer resume 20261122-153000-3f2a" in text
    assert "7946 0018" not in text
    assert "No connection to +44 •••• 0018." in text


def test_the_results_file_is_named(run_view: view.RunView) -> None:
    """Where it was written, or how to get it."""
    assert "importer results 2026" in shown(terminal_history.run_text(run_view))
    text = shown(terminal_history.run_text(run_view, results=Path("out/results.csv")))
    assert "Results: out/results.csv" in text
    assert "importer results" not in text


def test_a_perfect_run_is_short(
    run_report: RunReport, make_view: MakeView, row_outcome: Callable[..., RowOutcome]
) -> None:
    """No worklist, no commands that have nothing to do."""
    report = dataclasses.replace(run_report, exit_code=0)
    rows = [row_outcome(row, State.CREATED) for row in range(2, 5)]
    text = shown(terminal_history.run_text(make_view(report, rows)))
    assert "3 conversations started from 3 rows." in text
    assert "Exit code 0: all well." in text
    for absent in ("settle", "Not sent", "resume", "reconcile", "rejected"):
        assert absent not in text


def test_a_run_that_stopped_says_why(
    run_report: RunReport, make_view: MakeView, row_outcome: Callable[..., RowOutcome]
) -> None:
    """The reason stands right below the headline."""
    report = dataclasses.replace(run_report, stopped="401: the key is refused", exit_code=4)
    text = shown(terminal_history.run_text(make_view(report, [row_outcome(2)])))
    assert "no conversation was started." in text
    assert "It stopped early: 401: the key is refused" in text


def test_long_worklists_say_what_is_left_out(
    run_report: RunReport, make_view: MakeView, row_outcome: Callable[..., RowOutcome]
) -> None:
    """Twenty are shown."""
    rows = [row_outcome(row, State.DOUBTFUL) for row in range(2, 102)]
    text = shown(terminal_history.run_text(make_view(run_report, rows)))
    assert "and 80 more rows" in text


def test_results_as_a_table(run_view: view.RunView) -> None:
    """A line for each row; what is cut is said, with how to get all."""
    text = shown(terminal_history.results_table(run_view))
    assert "2     +44 •••• 0018   created             conv-1" in text
    assert "progress" not in text
    assert len([line for line in text.splitlines() if line[:1].isdigit()]) == 6
    cut = shown(terminal_history.results_table(run_view, most=2))
    assert "and 4 more rows; --format csv gives them all." in cut


def test_results_show_how_far_conversations_are(
    run_report: RunReport, make_view: MakeView, row_outcome: Callable[..., RowOutcome]
) -> None:
    """Once something is known: a word for each person, the meeting, and the counts."""
    at = datetime(2026, 11, 24, 9, tzinfo=UTC)
    rows = [
        row_outcome(2, State.CREATED, remote="OPTED_OUT"),
        row_outcome(3, State.CREATED, meeting=ArrangedMeeting(MeetingState.SCHEDULED, at)),
        row_outcome(4, State.CREATED),
    ]
    text = shown(terminal_history.results_table(make_view(run_report, rows)))
    assert "2     +44 •••• 0018   created   opted-out" in text
    assert "3     +44 •••• 0018   created   meeting 2026-11-24 09:00 UTC" in text
    assert "As far as is known: 1 meeting, 1 opted-out." in text


def test_runs_as_a_table(run_report: RunReport) -> None:
    """An attempt that is open counts as doubtful; an end that never came is said."""
    run = Run(
        id="20261122-153000-3f2a",
        started=run_report.started,
        finished=None,
        plan_hash="0" * 64,
        sources=(SourceFile("a.csv", None, "0" * 64, 1), SourceFile("b.csv", None, "0" * 64, 1)),
        settings={},
        stopped="",
        host="h",
        pid=1,
    )
    counts = {run.id: {State.CREATED: 1200, State.SENDING: 1, State.DOUBTFUL: 1}}
    text = shown(terminal_history.runs_table([run], counts), 160)
    assert "a.csv, b.csv" in text
    assert "1,200 created, 2 doubtful" in text
    assert text.splitlines()[-1].split()[-2:] == ["not", "finished"]


AT = datetime(2026, 7, 10, 2, tzinfo=UTC)
NIGHT = Night("night-20260710-020000-3f2a", AT, AT + timedelta(minutes=4), 6)


def file(ending: str, **facts: Any) -> NightFile:
    """Return the ending of a file."""
    values = {"night": NIGHT.id, "position": 0, "folder": "", "name": "a.csv", "sha256": "0" * 64}
    return NightFile(**{**values, "at": AT, "ending": ending, **facts})


def shown_nights(
    files: Sequence[NightFile], *, night: Night = NIGHT, later: NightFile | None = None
) -> str:
    """Return the text of one night, in one line."""
    now = {each.sha256: later or each for each in files}
    out = io.StringIO()
    Console(file=out, width=80).print(nights_text([PastNight(night, files, now)], 0))
    return " ".join(out.getvalue().split())


def test_a_night_that_was_cut_off() -> None:
    """It has no end, and what waits is the next night's first work."""
    text = shown_nights([file("waiting")], night=Night(NIGHT.id, AT, None, None))
    assert "2026-07-10 02:00 UTC, running or interrupted waiting a.csv" in text
    assert "a.csv is left for the next night, which begins with it." in text


def test_a_clock_that_went_back() -> None:
    """A night takes no less than no time."""
    assert "UTC, 0.0 s" in shown_nights([], night=Night(NIGHT.id, AT, AT - timedelta(days=1), 0))


def test_what_became_of_a_file_later() -> None:
    """A held file that was released and imported needs nobody any more."""
    later = file("done", night="night-20260711-020000-77aa", at=AT + timedelta(days=1))
    text = shown_nights([file("held", reason="It is odd.")], later=later)
    assert "held a.csv It is odd. done on 2026-07-11 02:00 UTC" in text
    assert "What needs a person" not in text
    assert "importer release INBOX/held/a.csv" in shown_nights([file("held", reason="It is odd.")])


def test_what_was_purged() -> None:
    """The names of old files are gone, and the rest is shown."""
    assert "done acme/(name purged) run r-1" in shown_nights(
        [file("done", name="", folder="acme", run="r-1")]
    )
