"""A ledger is opened with the one key under which its people are recognised."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError, SettingsError
from importer.ledger import Ledger
from importer.ledger.records import NewRun
from importer.planning.history import bind_history, open_history
from importer.planning.identity import PREVIEW_KEY, hmac_key, key_id
from tests.support.project import GOOD, Project, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def project() -> Iterator[Project]:
    """Yield a folder to plan in."""
    with make_project() as project:
        yield project


def begin_run(project: Project) -> None:
    """Begin a run in the ledger of the workspace, which notes its key."""
    with Ledger.open(project.settings.ledger) as ledger:
        history = bind_history(ledger, project.settings, "acme")
        ledger.runs.begin(NewRun("0" * 64, (), history.run_settings(project.settings)), [])


def test_looking_writes_nothing(project: Project) -> None:
    """Without a ledger there is none afterwards, and the key is a preview."""
    before = sorted(project.folder.rglob("*"))
    with open_history(project.settings) as history:
        assert history.ledger is None
        assert history.identity.hmac_key == PREVIEW_KEY
        plan = project.plan([GOOD])
        assert history.exclude_known(plan, project.settings) is plan
    assert sorted(path for path in project.folder.rglob("*") if path.suffix != ".csv") == before


def test_a_new_ledger_gets_a_key(project: Project) -> None:
    """It is made once, noted by the run, and used by every look-up."""
    begin_run(project)
    key = hmac_key(project.settings, create=False)
    assert key != PREVIEW_KEY
    with open_history(project.settings) as history:
        assert history.identity.hmac_key == key
        assert history.ledger is not None
        run = history.ledger.runs.list(limit=1)[0]
    assert run.settings["hmac_key"] == key_id(key)
    assert key.hex() not in str(run.settings)


@pytest.mark.skipif("POPP_ORGANIZATION_ID" in os.environ, reason="the environment names one")
def test_the_organization_is_remembered(project: Project) -> None:
    """A check without credentials knows people as the runs did."""
    begin_run(project)
    with open_history(project.settings) as history:
        assert history.identity.organization == "acme"


def test_the_round_is_that_of_the_settings(project: Project) -> None:
    """Not that of an earlier run."""
    begin_run(project)
    second = project.settings.model_copy(update={"round": "second"})
    with open_history(second) as history:
        assert history.identity.round == "second"


@pytest.mark.parametrize("text", [None, "another key of more than thirty-two characters"])
def test_another_key_opens_nothing(project: Project, text: str | None) -> None:
    """Under it everybody would look new and be contacted again."""
    begin_run(project)
    file = project.folder / "importer.db.key"
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with (
        pytest.raises(LedgerError, match="not the one under which"),
        open_history(project.settings),
    ):
        pass
    with (
        Ledger.open(project.settings.ledger) as ledger,
        pytest.raises(LedgerError, match="contacted again"),
    ):
        bind_history(ledger, project.settings, "acme")


def test_a_short_key_is_no_secret(project: Project) -> None:
    """It is refused, and not shown."""
    (project.folder / "importer.db.key").write_text("hunter2")
    with pytest.raises(SettingsError) as refused, open_history(project.settings):
        pass
    assert "hunter2" not in str(refused.value)
