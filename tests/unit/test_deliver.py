"""`deliver` and `resume` send each row once, and say what happened to it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer.deliver import deliver, prepare_again, report_of, resume
from importer.errors import Exit, TurnTaken, UsageError
from importer.ledger import Ledger
from importer.ledger.records import Run, SourceFile
from importer.model import Counts, Outcome, State
from importer.planning.history import open_history
from importer.prepare import prepare
from importer.sending.run_options import RunOptions, SilentObserver
from tests.support.builders import CREDENTIALS
from tests.support.project import GOOD, PIECE, Project, assert_same_plan, mixed_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Plan
    from importer.sandbox.server import Sandbox

OPTIONS = RunOptions("a test", CREDENTIALS)
ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


def phones(sandbox: Sandbox) -> list[object]:
    """Return the phones that the sandbox accepted, in their order."""
    return [entry["phoneNumber"] for entry in sandbox.journal]


def test_a_plan_is_delivered(project: Project, sandbox: Sandbox) -> None:
    """Every ready row once; the report adds up, and says how it ended."""
    plan = project.plan(ROWS, [{**GOOD, "first_name": ""}])
    report = deliver(plan, project.settings, OPTIONS)
    assert len(phones(sandbox)) == 6
    assert report.states == {State.CREATED: 6}
    assert report.counts == Counts(read=7, ready=6, rejected=1)
    assert (report.stopped, report.exit_code) == ("", Exit.REJECTED)
    assert report.plan_hash == plan.hash
    assert report.started <= report.finished


def test_nobody_waits_for_another_sender_that_looks_doubts_up(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What can be sent is sent meanwhile, and its own doubts are looked up afterwards."""
    happened: list[str] = []
    real = Ledger.turn

    @contextmanager
    def turn(ledger: Ledger, name: str, wait_s: float = 0.0) -> Iterator[object]:
        if name == "reconcile":
            happened.append("taken" if not happened else "looked up")
            if happened == ["taken"]:
                raise TurnTaken("Another sender looks them up.")
        with real(ledger, name, wait_s) as fence:
            yield fence

    class Listener(SilentObserver):
        def on_outcome(self, outcome: Outcome) -> None:
            happened.append(outcome.state)

    monkeypatch.setattr(Ledger, "turn", turn)
    deliver(project.plan(ROWS), project.settings, OPTIONS, Listener())
    assert happened == ["taken", *[State.CREATED] * 6, "looked up"]


def test_whoever_listens_is_told(project: Project) -> None:
    """The run and its size first, and then each outcome."""
    messages: list[object] = []

    class Listener(SilentObserver):
        def on_start(self, run: str, count: int, seconds: float) -> None:
            messages.append((bool(run), count, seconds >= 0))

        def on_outcome(self, outcome: Outcome) -> None:
            messages.append(outcome.state)

    deliver(project.plan(ROWS), project.settings, OPTIONS, Listener())
    assert messages == [(True, 6, True), *[State.CREATED] * 6]


def test_a_plan_that_is_old_by_now(project: Project, sandbox: Sandbox) -> None:
    """Between asking and sending another run may have ended: the ledger is looked at again."""
    plan = project.plan(ROWS)
    deliver(project.plan(ROWS[:4]), project.settings, OPTIONS)
    report = deliver(plan, project.settings, OPTIONS)
    assert report.counts == Counts(read=6, ready=2, already_imported=4)
    assert len(phones(sandbox)) == len(set(phones(sandbox))) == 6


def test_a_limit_leaves_the_rest_open(project: Project, sandbox: Sandbox) -> None:
    """They stay planned, and a resumed run sends them."""
    report = deliver(
        project.plan(ROWS), project.settings, RunOptions("a test", CREDENTIALS, limit=2)
    )
    assert report.states == {State.CREATED: 2, State.PLANNED: 4}
    assert "limit of 2" in report.stopped
    assert report.exit_code == Exit.OK
    with open_history(project.settings) as history:
        assert project.plan(ROWS).counts.ready == 6
        names = [str(project.folder / "list-0.csv")]
        assert prepare(names, project.settings, history).counts.ready == 4
    again = resume(report.run[:15], project.settings, OPTIONS)
    assert again.run == report.run
    assert again.states == {State.CREATED: 6}
    assert again.stopped == ""
    assert len(set(phones(sandbox))) == 6


def test_whom_a_run_wrote_to_is_known_in_every_piece(project: Project) -> None:
    """However the list is read, and whatever is kept of it; the hash is the files'."""
    names = project.files(mixed_rows(200))
    plan = prepare(names, project.settings)
    deliver(plan, project.settings, RunOptions("a test", CREDENTIALS, limit=50))
    with open_history(project.settings) as history:
        known = history.exclude_known(plan, project.settings)
        assert known.counts.already_imported == 50
        for whole in (True, False):
            seen = prepare(names, project.settings, history, whole=whole, piece=PIECE)
            assert_same_plan(known, seen)
            assert seen.hash == plan.hash


def test_a_run_that_is_done_is_resumed_in_vain(project: Project, sandbox: Sandbox) -> None:
    """It says what it said, and nothing is sent."""
    report = deliver(project.plan(ROWS), project.settings, OPTIONS)
    requests = sandbox.requests
    assert resume(None, project.settings, OPTIONS).states == report.states
    assert sandbox.requests == requests


def test_a_resumed_run_leaves_out_whom_another_reached_under_another_phone(
    project: Project, sandbox: Sandbox
) -> None:
    """The corrected list went first; the row of the old one is left for a decision."""
    mail = {**GOOD, "email": "cy@example.org"}
    report = deliver(
        project.plan([{**GOOD, "phone_number": "+1 202 555 0100"}, mail]),
        project.settings,
        RunOptions("a test", CREDENTIALS, limit=1),
    )
    old = (project.folder / "list-0.csv").read_bytes()
    corrected = project.plan([{**mail, "phone_number": "+1 202 555 0198"}])
    allowed = project.settings.model_copy(update={"allow_shared_contact": True})
    assert deliver(corrected, allowed, OPTIONS).states == {State.CREATED: 1}
    (project.folder / "list-0.csv").write_bytes(old)
    again = resume(report.run, project.settings, OPTIONS)
    assert again.states == {State.CREATED: 1, State.REJECTED: 1}
    assert phones(sandbox) == ["+12025550100", "+12025550198"]


def test_what_a_run_was_allowed_is_allowed_when_it_goes_on(
    project: Project, sandbox: Sandbox
) -> None:
    """The permission to write to people who share an address is part of the run."""

    def people(*phones: int) -> list[dict[str, str]]:
        return [
            {**GOOD, "email": f"cy{n}@example.org", "phone_number": f"+1 202 555 01{phone:02}"}
            for n, phone in enumerate(phones)
        ]

    deliver(project.plan(people(0, 1)), project.settings, OPTIONS)
    allowed = project.settings.model_copy(update={"allow_shared_contact": True})
    one = RunOptions("a test", CREDENTIALS, limit=1)
    first = deliver(project.plan(people(2, 3)), allowed, one)
    assert resume(first.run, project.settings, OPTIONS).states == {State.CREATED: 2}
    assert len(set(phones(sandbox))) == 4


def test_only_what_was_agreed_to_is_resumed(project: Project, sandbox: Sandbox) -> None:
    """Another template is another message: the run cannot go on, and nothing is sent."""
    deliver(project.plan(ROWS), project.settings, RunOptions("a test", CREDENTIALS, limit=1))
    template = project.folder / "templates" / "participants" / "manager.yaml"
    template.write_text(template.read_text().replace("Max", "Moritz"))
    requests = sandbox.requests
    with pytest.raises(UsageError, match="Templates, settings or the importer changed"):
        resume(None, project.settings, OPTIONS)
    assert sandbox.requests == requests


def test_the_ledger_tells_the_same_later(project: Project) -> None:
    """What a run reported is what `results` reads."""
    report = deliver(project.plan(ROWS), project.settings, OPTIONS)
    with Ledger.open(project.settings.ledger) as ledger:
        later = report_of(ledger, ledger.runs.find(report.run))
    assert later == report


def run_of(plan: Plan, **changes: object) -> Run:
    """Return a run that sent this plan."""
    table = plan.tables[0]
    source = SourceFile(
        table.source.name, str(table.source.path), table.source.sha256, table.source.size
    )
    run = Run(
        id="20261122-153000-0001",
        started=datetime(2026, 11, 22, tzinfo=UTC),
        finished=None,
        plan_hash=plan.hash,
        sources=(source,),
        settings={},
        stopped="",
        host="here",
        pid=1,
    )
    return replace(run, **changes)  # type: ignore[arg-type]  # any fields


def test_an_earlier_plan_is_made_again(project: Project) -> None:
    """From its files, by the paths that the run noted."""
    plan = project.plan([GOOD])
    assert prepare_again(run_of(plan), project.settings).hash == plan.hash


def test_what_is_no_longer_the_same_cannot_go_on(project: Project) -> None:
    """Standard input, a file that is gone or changed, other settings: each is named."""
    plan = project.plan([GOOD])
    gone = SourceFile("list.csv", None, "", 0)
    with pytest.raises(UsageError, match="standard input"):
        prepare_again(run_of(plan, sources=(gone,)), project.settings)
    gone = SourceFile("list.csv", "/nowhere/list.csv", "", 0)
    with pytest.raises(UsageError, match="which is gone"):
        prepare_again(run_of(plan, sources=(gone,)), project.settings)
    with pytest.raises(UsageError, match="Templates, settings or the importer changed"):
        prepare_again(run_of(plan, plan_hash="0" * 64), project.settings)
    run = run_of(plan)
    project.plan([GOOD, GOOD])  # writes the file again
    with pytest.raises(UsageError, match="its content changed"):
        prepare_again(run, project.settings)
