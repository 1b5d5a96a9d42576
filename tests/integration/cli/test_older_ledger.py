"""A ledger that an older version made is upgraded by a run, and by nothing that only looks."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.integration.cli.conftest import GOOD
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

FIRST = Path(__file__).parents[2] / "unit" / "ledger" / "version-0001.sql"


@pytest.fixture
def older(workspace: Workspace) -> Path:
    """Return a ledger as the first version made it, where the workspace's is."""
    file = workspace.folder / "importer.db"
    with sqlite3.connect(file) as ledger:
        ledger.executescript(FIRST.read_text("utf-8"))
    ledger.close()
    return file


def test_a_check_says_what_upgrades_it(workspace: Workspace, older: Path) -> None:
    """And leaves it as it is."""
    before = older.read_bytes()
    result = workspace("check", "good.csv")
    assert result.code == 4
    assert "importer upgrade" in result.err
    assert older.read_bytes() == before


def test_a_run_upgrades_it_with_a_backup(workspace: Workspace, older: Path) -> None:
    """It goes on, up to the examples that are still in the templates."""
    result = workspace("run", "good.csv")
    assert result.code == Exit.HELD, result.err
    assert "Examples are left" in result.err
    assert [path for path in older.parent.glob("importer.db-before-*") if path.stat().st_size]


def test_what_it_sent_is_matched_as_it_was_sent(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """By the key, without hashes of e-mail and candidate id; and in the list by the id of then."""
    sandbox.set_faults("reset-after:1,list-500:1")
    listed = GOOD.replace("first_name", "candidate_id,first_name").replace("\n", "\nC-", 2)
    sandbox_workspace.write(
        "good.csv", listed.replace("C-Ada", "C-1,Ada").replace("C-Bob", "C-2,Bob")
    )
    then = Workspace(
        sandbox_workspace.folder, {**sandbox_workspace.env, "IMPORTER_EXTERNAL_ID": "then-{key}"}
    )
    sent = then("run", "good.csv", "--yes")
    assert sent.code == Exit.DOUBTFUL, sent.err
    with sqlite3.connect(sandbox_workspace.folder / "importer.db") as ledger:
        ledger.execute("UPDATE submissions SET email = NULL, candidate = NULL, resends = NULL")
    ledger.close()
    sandbox.set_faults("")
    sandbox_workspace.write(
        "more.csv", listed.replace("C-Ada", "C-8,Ada").replace("C-Bob", "C-9,Bob")
    )
    for command, code in (
        (("run", "more.csv", "--yes"), Exit.OK),  # nobody is new, so it looks the doubts up
        (("reconcile",), Exit.OK),
        (("run", "more.csv", "--yes"), Exit.OK),
    ):
        assert sandbox_workspace(*command).code == code
    assert len(sandbox.journal) == 2
    assert all(str(each["externalId"]).startswith("then-") for each in sandbox.journal)
    assert set(Counter(str(each["phoneNumber"]) for each in sandbox.journal).values()) == {1}
