"""A ledger that an older version made is upgraded by a run, and by nothing that only looks."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.desk import Desk

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
    """It goes on to the question, which nobody is there to answer."""
    said = desk("run", "good.csv")
    assert said.code == 2, said.err
    assert "--yes" in said.err
    assert [path for path in older.parent.glob("importer.db-before-*") if path.stat().st_size]
