"""The later state of doubtful submissions and of conversations, asked of a real sandbox."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.deliver import deliver, reconcile, refresh
from importer.errors import LedgerError, UsageError
from importer.ledger import Ledger
from importer.model import State
from importer.sending.run_options import RunOptions
from tests.support.builders import CREDENTIALS
from tests.support.project import GOOD, Project, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.server import Sandbox

OPTIONS = RunOptions("a test", CREDENTIALS)
ROWS = [{**GOOD, "phone_number": f"+1 202 555 01{number:02}"} for number in range(4)]


@pytest.fixture
def project(sandbox: Sandbox) -> Iterator[Project]:
    """Yield a folder whose settings send to the sandbox, and leave doubt for later."""
    choices = {"rate_per_s": 1_000, "settle_s": 0.05, "reconcile": False}
    with make_project(base_url=sandbox.base_url, **choices) as project:
        yield project


def test_doubt_is_settled_later(project: Project, sandbox: Sandbox) -> None:
    """By the API's list, into the ledger; asked again there is nothing left to ask."""
    sandbox.set_faults("reset-after:1")
    run = deliver(project.plan(ROWS), project.settings, OPTIONS).run
    settled = reconcile(run[:15], project.settings, OPTIONS)
    assert {outcome.state for outcome in settled.findings.outcomes} == {State.CREATED}
    assert not settled.doubtful
    with Ledger.open(project.settings.ledger) as ledger:
        assert ledger.runs.states(run) == {State.CREATED: 4}
    requests = sandbox.requests
    assert reconcile(None, project.settings, OPTIONS).findings.outcomes == ()
    assert sandbox.requests == requests


def test_a_list_that_cannot_be_read_settles_nothing(project: Project, sandbox: Sandbox) -> None:
    """All stay doubtful, and each can be looked up by a person."""
    sandbox.set_faults("reset-after:1,list-403:1")
    run = deliver(project.plan(ROWS), project.settings, OPTIONS).run
    settled = reconcile(run, project.settings, OPTIONS)
    assert [each.row for each in settled.doubtful] == [2, 3, 4, 5]
    assert all(each.external_id and each.masked for each in settled.doubtful)


def test_statuses_are_read(project: Project, sandbox: Sandbox) -> None:
    """Of every conversation that the ledger knows, each counted under what it is now."""
    deliver(project.plan(ROWS), project.settings, OPTIONS)
    found = refresh(None, project.settings, OPTIONS)
    assert found.asked == 4
    assert sum(found.known.values()) == 4
    assert found.reason == ""
    sandbox.set_faults("get-403:1,list-403:1")
    assert refresh(None, project.settings, OPTIONS).reason


def test_there_must_be_something_to_ask_about(project: Project) -> None:
    """No ledger is an error, and none is made; nor is there a run of any name."""
    for ask in (reconcile, refresh):
        with pytest.raises(LedgerError, match="no ledger"):
            ask(None, project.settings, OPTIONS)
    assert not (project.folder / "importer.db").exists()
    deliver(project.plan(ROWS), project.settings, OPTIONS)
    for ask in (reconcile, refresh):
        with pytest.raises(UsageError, match="no run"):
            ask("1999", project.settings, OPTIONS)
