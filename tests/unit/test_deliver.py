"""`deliver` and `resume` send each row once, and say what became of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer.deliver import deliver, prepare_again, report_of, resume
from importer.errors import Exit, UsageError
from importer.ledger import Ledger
from importer.ledger.records import Run, SourceFile
from importer.model import Counts, Outcome, State
from importer.planning.history import open_history
from importer.prepare import prepare
from importer.sending.run_options import RunOptions, SilentObserver
from tests.support.made import CREDENTIALS
from tests.support.place import GOOD, PIECE, Place, many, same

if TYPE_CHECKING:
    from importer.model import Plan
    from importer.sandbox.server import Sandbox

OPTIONS = RunOptions("a test", CREDENTIALS)
ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


def phones(sandbox: Sandbox) -> list[object]:
    """The phones that the sandbox accepted, in their order."""
    return [entry["phoneNumber"] for entry in sandbox.journal]


def test_a_plan_is_delivered(desk: Place, sandbox: Sandbox) -> None:
    """Every ready row once; the report adds up, and says how it ended."""
    plan = desk.plan(ROWS, [{**GOOD, "first_name": ""}])
    report = deliver(plan, desk.settings, OPTIONS)
    assert len(phones(sandbox)) == 6
    assert report.states == {State.CREATED: 6}
    assert report.counts == Counts(read=7, ready=6, rejected=1)
    assert (report.stopped, report.exit_code) == ("", Exit.REJECTED)
    assert report.plan_hash == plan.hash
    assert report.started <= report.finished


def test_whoever_listens_is_told(desk: Place) -> None:
    """The run and its size first, and then each outcome."""
    told: list[object] = []

    class Listener(SilentObserver):
        def on_start(self, run: str, count: int, seconds: float) -> None:
            told.append((bool(run), count, seconds >= 0))

        def on_outcome(self, outcome: Outcome) -> None:
            told.append(outcome.state)

    deliver(desk.plan(ROWS), desk.settings, OPTIONS, Listener())
    assert told == [(True, 6, True), *[State.CREATED] * 6]


def test_a_plan_that_is_old_by_now(desk: Place, sandbox: Sandbox) -> None:
    """Between asking and sending another run may have ended: the ledger is looked at again."""
    plan = desk.plan(ROWS)
    deliver(desk.plan(ROWS[:4]), desk.settings, OPTIONS)
    report = deliver(plan, desk.settings, OPTIONS)
    assert report.counts == Counts(read=6, ready=2, already_imported=4)
    assert len(phones(sandbox)) == len(set(phones(sandbox))) == 6


def test_a_limit_leaves_the_rest_open(desk: Place, sandbox: Sandbox) -> None:
    """They stay planned, and a resumed run sends them."""
    report = deliver(desk.plan(ROWS), desk.settings, RunOptions("a test", CREDENTIALS, limit=2))
    assert report.states == {State.CREATED: 2, State.PLANNED: 4}
    assert "limit of 2" in report.stopped
    assert report.exit_code == Exit.OK
    with open_history(desk.settings) as history:
        assert desk.plan(ROWS).counts.ready == 6
        names = [str(desk.folder / "list-0.csv")]
        assert prepare(names, desk.settings, history).counts.ready == 4
    again = resume(report.run[:15], desk.settings, OPTIONS)
    assert again.run == report.run
    assert again.states == {State.CREATED: 6}
    assert again.stopped == ""
    assert len(set(phones(sandbox))) == 6


def test_whom_a_run_wrote_to_is_known_in_every_piece(desk: Place) -> None:
    """However the list is read, and whatever is kept of it; the hash is that of the files."""
    names = desk.files(many(200))
    plan = prepare(names, desk.settings)
    deliver(plan, desk.settings, RunOptions("a test", CREDENTIALS, limit=50))
    with open_history(desk.settings) as history:
        known = history.exclude_known(plan, desk.settings)
        assert known.counts.already_imported == 50
        for whole in (True, False):
            seen = prepare(names, desk.settings, history, whole=whole, piece=PIECE)
            same(known, seen)
            assert seen.hash == plan.hash


def test_a_run_that_is_done_is_resumed_in_vain(desk: Place, sandbox: Sandbox) -> None:
    """It says what it said, and nothing is sent."""
    report = deliver(desk.plan(ROWS), desk.settings, OPTIONS)
    requests = sandbox.requests
    assert resume(None, desk.settings, OPTIONS).states == report.states
    assert sandbox.requests == requests


def test_a_resumed_run_leaves_out_whom_another_reached_under_another_phone(
    desk: Place, sandbox: Sandbox
) -> None:
    """The corrected list went first; the row of the old one is left for a decision."""
    mail = {**GOOD, "email": "cy@example.org"}
    report = deliver(
        desk.plan([{**GOOD, "phone_number": "+1 202 555 0100"}, mail]),
        desk.settings,
        RunOptions("a test", CREDENTIALS, limit=1),
    )
    old = (desk.folder / "list-0.csv").read_bytes()
    corrected = desk.plan([{**mail, "phone_number": "+1 202 555 0198"}])
    allowed = desk.settings.model_copy(update={"allow_shared_contact": True})
    assert deliver(corrected, allowed, OPTIONS).states == {State.CREATED: 1}
    (desk.folder / "list-0.csv").write_bytes(old)
    again = resume(report.run, desk.settings, OPTIONS)
    assert again.states == {State.CREATED: 1, State.REJECTED: 1}
    assert phones(sandbox) == ["+12025550100", "+12025550198"]


def test_what_a_run_was_allowed_is_allowed_when_it_goes_on(desk: Place, sandbox: Sandbox) -> None:
    """The permission to write to people who share an address is part of the run."""

    def people(*phones: int) -> list[dict[str, str]]:
        return [
            {**GOOD, "email": f"cy{n}@example.org", "phone_number": f"+1 202 555 01{phone:02}"}
            for n, phone in enumerate(phones)
        ]

    deliver(desk.plan(people(0, 1)), desk.settings, OPTIONS)
    allowed = desk.settings.model_copy(update={"allow_shared_contact": True})
    one = RunOptions("a test", CREDENTIALS, limit=1)
    first = deliver(desk.plan(people(2, 3)), allowed, one)
    assert resume(first.run, desk.settings, OPTIONS).states == {State.CREATED: 2}
    assert len(set(phones(sandbox))) == 4


def test_only_what_was_agreed_to_is_resumed(desk: Place, sandbox: Sandbox) -> None:
    """Another template is another message: the run cannot go on, and nothing is sent."""
    deliver(desk.plan(ROWS), desk.settings, RunOptions("a test", CREDENTIALS, limit=1))
    template = desk.folder / "templates" / "participants" / "manager.yaml"
    template.write_text(template.read_text().replace("Max", "Moritz"))
    requests = sandbox.requests
    with pytest.raises(UsageError, match="Templates, settings or the importer changed"):
        resume(None, desk.settings, OPTIONS)
    assert sandbox.requests == requests


def test_the_ledger_tells_the_same_later(desk: Place) -> None:
    """What a run reported is what `results` reads."""
    report = deliver(desk.plan(ROWS), desk.settings, OPTIONS)
    with Ledger.open(desk.settings.ledger) as ledger:
        later = report_of(ledger, ledger.runs.find(report.run))
    assert later == report


def run_of(plan: Plan, **changes: object) -> Run:
    """A run that sent this plan."""
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


def test_an_earlier_plan_is_made_again(desk: Place) -> None:
    """From its files, by the paths that the run noted."""
    plan = desk.plan([GOOD])
    assert prepare_again(run_of(plan), desk.settings).hash == plan.hash


def test_what_is_no_longer_the_same_cannot_go_on(desk: Place) -> None:
    """Standard input, a file that is gone or changed, other settings: each is named."""
    plan = desk.plan([GOOD])
    gone = SourceFile("list.csv", None, "", 0)
    with pytest.raises(UsageError, match="standard input"):
        prepare_again(run_of(plan, sources=(gone,)), desk.settings)
    gone = SourceFile("list.csv", "/nowhere/list.csv", "", 0)
    with pytest.raises(UsageError, match="which is gone"):
        prepare_again(run_of(plan, sources=(gone,)), desk.settings)
    with pytest.raises(UsageError, match="Templates, settings or the importer changed"):
        prepare_again(run_of(plan, plan_hash="0" * 64), desk.settings)
    run = run_of(plan)
    desk.plan([GOOD, GOOD])  # writes the file again
    with pytest.raises(UsageError, match="its content changed"):
        prepare_again(run, desk.settings)
