"""A ledger that an older version made is upgraded by a run, and by nothing that only looks."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.integration.cli.conftest import GOOD
from tests.support.desk import Desk

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

FIRST = Path(__file__).parents[2] / "unit" / "ledger" / "version-0001.sql"


@pytest.fixture
def older(desk: Desk) -> Path:
    """A ledger as the first version made it, where the desk's is."""
    file = desk.folder / "importer.db"
    with sqlite3.connect(file) as ledger:
        ledger.executescript(FIRST.read_text("utf-8"))
    ledger.close()
    return file


def test_a_check_says_what_upgrades_it(desk: Desk, older: Path) -> None:
    """And leaves it as it is."""
    before = older.read_bytes()
    said = desk("check", "good.csv")
    assert said.code == 4
    assert "importer run" in said.err
    assert older.read_bytes() == before


def test_a_run_upgrades_it_with_a_backup(desk: Desk, older: Path) -> None:
    """It goes on, up to the examples that are still in the templates."""
    said = desk("run", "good.csv")
    assert said.code == Exit.HELD, said.err
    assert "Examples are left" in said.err
    assert [path for path in older.parent.glob("importer.db-before-*") if path.stat().st_size]


def test_what_it_sent_is_matched_as_it_was_sent(near: Desk, sandbox: Sandbox) -> None:
    """By the key, without hashes of e-mail and candidate id; and in the list by the id of then."""
    sandbox.set_faults("reset-after:1,list-500:1")
    listed = GOOD.replace("first_name", "candidate_id,first_name").replace("\n", "\nC-", 2)
    near.write("good.csv", listed.replace("C-Ada", "C-1,Ada").replace("C-Bob", "C-2,Bob"))
    then = Desk(near.folder, {**near.env, "IMPORTER_EXTERNAL_ID": "then-{key}"})
    sent = then("run", "good.csv", "--yes")
    assert sent.code == Exit.DOUBTFUL, sent.err
    with sqlite3.connect(near.folder / "importer.db") as ledger:
        ledger.execute("UPDATE submissions SET email = NULL, candidate = NULL, resends = NULL")
    ledger.close()
    sandbox.set_faults("")
    near.write("more.csv", listed.replace("C-Ada", "C-8,Ada").replace("C-Bob", "C-9,Bob"))
    for command, code in (
        (("run", "more.csv", "--yes"), Exit.OK),  # nobody is new, so it looks the doubts up
        (("reconcile",), Exit.OK),
        (("run", "more.csv", "--yes"), Exit.OK),
    ):
        assert near(*command).code == code
    assert len(sandbox.journal) == 2
    assert all(str(each["externalId"]).startswith("then-") for each in sandbox.journal)
    assert set(Counter(str(each["phoneNumber"]) for each in sandbox.journal).values()) == {1}
