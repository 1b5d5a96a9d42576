"""Every ledger has an id of its own, and keeps it; nights say in which inbox they were."""

from __future__ import annotations

import re
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier, Timer
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import create_engine, delete

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.connection import migrate
from importer.ledger.tables import identity

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.ledger.ledger_builders import Clock


def test_it_stays(ledger: Ledger, url: str) -> None:
    """It is 32 hex characters, the same whenever and however the ledger is opened."""
    assert re.fullmatch("[0-9a-f]{32}", ledger.id)
    with Ledger.open(url) as first, Ledger.open(url) as again:
        assert first.id == again.id
        readonly = Ledger.open_existing(url)
        assert readonly is not None
        with readonly:
            assert readonly.id == first.id


def test_no_two_have_the_same(tmp_path: Path) -> None:
    """But for a copy, which knows what the ledger knew."""
    found = set()
    for name in ("a.db", "b.db"):
        with Ledger.open(f"sqlite:///{tmp_path / name}") as ledger:
            found.add(ledger.id)
    assert len(found) == 2
    shutil.copy(tmp_path / "a.db", tmp_path / "copy.db")
    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as ledger:
        assert ledger.id in found


@pytest.mark.parametrize("where", ["url", "server_url"])
def test_made_by_several_at_once(request: pytest.FixtureRequest, where: str) -> None:
    """One of them makes the ledger, and all have its id."""
    place, ready = str(request.getfixturevalue(where)), Barrier(4)

    def made(_: int) -> str:
        ready.wait()
        with Ledger.open(place) as ledger:
            return ledger.id

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(made, range(4)))) == 1


def test_it_outlives_a_purge(ledger: Ledger, clock: Clock) -> None:
    """What keeps an inbox to its ledger is not what people read."""
    before = ledger.id
    ledger.purge(clock.now() + timedelta(days=400))
    again = type(ledger)(ledger._database)
    assert again.id == before


def test_one_that_lost_it(file_ledger: Ledger) -> None:
    """Somebody emptied the table: said in words, and no new id is made up."""
    file_ledger._database.write("test", lambda c: c.execute(delete(identity)))
    with pytest.raises(LedgerError, match="has lost its id"):
        _ = file_ledger.id


def test_where_nights_were(ledger: Ledger, clock: Clock) -> None:
    """A night keeps its inbox when it ends; older ones did not write it down."""
    ledger.nights.begin("night-1", clock.now(), "/srv/inbox")
    ledger.nights.end("night-1", 0, clock.now())
    ledger.nights.begin("night-0", clock.now())
    assert [(each.id, each.inbox) for each in ledger.nights.list()] == [
        ("night-1", "/srv/inbox"),
        ("night-0", None),
    ]


def test_nights_of_an_older_ledger(tmp_path: Path) -> None:
    """They are there after the upgrade, without an inbox; and the ledger got an id, once."""
    path = tmp_path / "importer.db"
    engine = create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        migrate(connection, "0004")
        connection.exec_driver_sql(
            "INSERT INTO nights VALUES ('night-9', '2026-07-10 02:00:00.000000', NULL, NULL)"
        )
    engine.dispose()
    ids = set()
    for _ in range(2):
        with Ledger.open(f"sqlite:///{path}") as ledger:
            ids.add(ledger.id)
            assert [(each.id, each.inbox) for each in ledger.nights.list()] == [("night-9", None)]
    assert len(ids) == 1
    assert len(list(tmp_path.glob("importer.db-before-0016-*"))) == 1


def test_another_changes_the_mode(url: str, tmp_path: Path) -> None:
    """SQLite does not wait if two connections begin to log ahead at once; the ledger does."""
    other = sqlite3.connect(tmp_path / "importer.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        sqlite3.connect(tmp_path / "importer.db").execute("PRAGMA journal_mode = WAL")
    release = Timer(0.1, other.execute, ["COMMIT"])
    release.start()
    with Ledger.open(url) as ledger:
        assert ledger.id
    release.join()
    other.close()
