"""A run at work: a canary goes first, doubt is settled, and what was absent goes after all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.deliver import deliver
from importer.errors import Exit
from importer.model import State
from importer.sending.run_options import RunOptions, SilentObserver
from tests.support.builders import CREDENTIALS
from tests.support.project import GOOD, Project

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

OPTIONS = RunOptions("a test", CREDENTIALS)
ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(6)]


def choosing(project: Project, **choices: object) -> Project:
    """Return the same workspace with other settings."""
    return Project(project.folder, project.settings.model_copy(update=choices))


def test_a_canary_that_lives(project: Project, sandbox: Sandbox) -> None:
    """The others follow it, each once."""
    canary = choosing(project, canary=2)
    report = deliver(canary.plan(ROWS), canary.settings, OPTIONS)
    assert report.states == {State.CREATED: 6}
    assert sandbox.requests == 6


def test_a_canary_that_dies(project: Project, sandbox: Sandbox) -> None:
    """Nobody else is contacted; the reason and the exit code say why."""
    sandbox.set_faults("400:1")
    canary = choosing(project, canary=2)
    report = deliver(canary.plan(ROWS), canary.settings, OPTIONS)
    assert report.states == {State.REJECTED: 2, State.PLANNED: 4}
    assert report.stopped.startswith("The canary failed: 2 of the first 2 were not created")
    assert report.exit_code == Exit.HELD
    assert sandbox.requests == 2


def test_a_canary_of_all(project: Project) -> None:
    """More canaries than rows is all of them."""
    canary = choosing(project, canary=60)
    assert deliver(canary.plan(ROWS), canary.settings, OPTIONS).states == {State.CREATED: 6}


def test_a_lost_answer_is_looked_up(project: Project, sandbox: Sandbox) -> None:
    """What the list has is created, with its id; nothing is sent twice."""
    sandbox.set_faults("reset-after:1")
    stages: list[str] = []

    class Listener(SilentObserver):
        def on_stage(self, sentence: str) -> None:
            stages.append(sentence)

    report = deliver(project.plan(ROWS), project.settings, OPTIONS, Listener())
    assert report.states == {State.CREATED: 6}
    assert len(sandbox.journal) == 6
    assert any("6 doubtful submissions" in sentence for sentence in stages)


def test_without_reconciling_doubt_stays(project: Project, sandbox: Sandbox) -> None:
    """`reconcile: false` asks nobody; the exit code says that somebody must."""
    sandbox.set_faults("reset-after:1")
    alone = choosing(project, reconcile=False)
    report = deliver(alone.plan(ROWS), alone.settings, OPTIONS)
    assert report.states == {State.DOUBTFUL: 6}
    assert report.exit_code == Exit.DOUBTFUL
