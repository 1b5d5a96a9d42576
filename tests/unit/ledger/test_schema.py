"""The migrations make the tables that the queries expect, and old ledgers keep what they know."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.connection import MIGRATIONS, VERSION_TABLE, VERSIONS, make_tables, migrate
from importer.ledger.tables import metadata
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from tests.unit.ledger.ledger_builders import Clock

FIRST = Path(__file__).with_name("version-0001.sql")
OLD_ROWS = """
INSERT INTO runs VALUES ('20260101-080000-aaaa', '2026-01-01 08:00:00.000000', NULL, 'plan',
    '{"campaign": "camp-42"}', '', 'host', 1);
INSERT INTO run_sources VALUES ('20260101-080000-aaaa', 0, 'old.csv', '/old.csv', 'sha', 5);
INSERT INTO run_rows VALUES ('20260101-080000-aaaa', 0, 2, 'ready', 'k1', '');
INSERT INTO run_rows VALUES ('20260101-080000-aaaa', 0, 3, 'ready', 'k2', '');
INSERT INTO submissions ("key", run, source, "row", campaign, external_id, person, masked,
    body_hash, state, code, message, attempts, planned_at, sent_at) VALUES
    ('k1', '20260101-080000-aaaa', 0, 2, 'camp-42', 'A-1', 'p1', '+44 •••• 0018', 'b', 'created',
     '', '', 1, '2026-01-01 08:00:00.000000', '2026-01-01 08:00:01.000000'),
    ('k2', '20260101-080000-aaaa', 0, 3, 'camp-42', 'A-2', 'p2', '+44 •••• 0019', 'b', 'sending',
     '', '', 1, '2026-01-01 08:00:00.000000', '2026-01-01 08:00:02.000000');
"""


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A ledger as the first version made it, written by hand, with one created submission."""
    path = tmp_path / "importer.db"
    with sqlite3.connect(path) as database:
        database.executescript(FIRST.read_text("utf-8"))
        database.executescript(OLD_ROWS)
    database.close()
    path.chmod(0o600)
    return path


def laws(engine: Engine) -> dict[str, str]:
    """What Alembic does not compare: the text of indexes, and what a state may be."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql <> ''")
        texts = {name: sql for name, sql in rows if name != VERSION_TABLE}
    texts["states"] = re.search(r"CHECK \((.*)\)", texts["submissions"]).group(1)  # type: ignore[union-attr]  # or the test fails
    return {name: sql for name, sql in texts.items() if not sql.startswith("CREATE TABLE")}


def test_the_migrations_make_the_tables_of_the_queries(url: str) -> None:
    """Alembic finds no difference in tables and columns; the indexes are the same text."""
    Ledger.open(url).close()
    migrated, made = create_engine("sqlite://"), create_engine(url)
    with migrated.begin() as connection:
        migrate(connection)
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    assert laws(migrated) == laws(made)
    assert len(laws(made)) == 24
    migrated.dispose()
    made.dispose()


SERVER_LAWS = """
SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
WHERE connamespace = 'public'::regnamespace
UNION ALL SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
UNION ALL SELECT tgrelid::regclass::text, tgname, pg_get_triggerdef(oid) FROM pg_trigger
WHERE NOT tgisinternal
UNION ALL SELECT 'function', proname, prosrc FROM pg_proc
WHERE pronamespace = 'public'::regnamespace
"""


def test_the_migrations_make_the_same_on_a_server(server_url: str) -> None:
    """Tables, constraints, indexes and triggers are those of a new ledger."""
    engine = create_engine(server_url)
    found = []
    for make in (migrate, make_tables):
        with engine.begin() as connection:
            make(connection)
            context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
            assert compare_metadata(context, metadata) == []
            laws = connection.execute(text(SERVER_LAWS))
            found.append({tuple(" ".join(each.split()) for each in law) for law in laws})
            connection.execute(text("DROP SCHEMA public CASCADE"))
            connection.execute(text("CREATE SCHEMA public"))
    engine.dispose()
    assert found[0] == found[1]


def test_every_migration_is_known() -> None:
    """The list of versions that opening goes by is the folder's, in order."""
    steps = ScriptDirectory(str(MIGRATIONS)).walk_revisions()
    assert [step.revision for step in steps][::-1] == list(VERSIONS)


def test_an_old_ledger_is_upgraded_with_a_backup(old: Path, clock: Clock) -> None:
    """It knows what it knew, can do what is new, and lies beside itself as it was."""
    with Ledger.open(f"sqlite:///{old}", now=clock.now, suffix=clock.end) as ledger:
        assert ledger.submissions.records(["k1"])["k1"].state is State.CREATED
        assert ledger.submissions.recover() == 1
        assert (
            ledger.submissions.sendable(
                ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
            )
            == []
        )
        assert (
            ledger.doubts.resolve("20260101-080000-aaaa", 3, sent=False, by="a person").key == "k2"
        )
    backup = old.with_name("importer.db-before-0015-20261122T153000Z")
    assert backup.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(backup) as copy:
        assert copy.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0001",)]  # noqa: S608 - a constant
        assert copy.execute('SELECT "key", state FROM submissions').fetchall() == [
            ("k1", "created"),
            ("k2", "sending"),
        ]
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


def test_a_new_ledger_needs_no_backup(url: str, tmp_path: Path) -> None:
    """There is nothing to lose."""
    Ledger.open(url).close()
    assert [path.name for path in tmp_path.iterdir()] == ["importer.db"]


def test_without_a_backup_there_is_no_upgrade(old: Path, clock: Clock) -> None:
    """Where the backup cannot be made the ledger stays as it was."""
    old.with_name("importer.db-before-0015-20261122T153000Z").mkdir()
    with pytest.raises(LedgerError, match="no backup"):
        Ledger.open(f"sqlite:///{old}", now=clock.now)
    with sqlite3.connect(old) as database:
        assert database.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [  # noqa: S608 - a constant
            ("0001",)
        ]
    database.close()


def test_looking_at_an_old_ledger(old: Path) -> None:
    """It is refused with what to do, and stays as it is."""
    before = old.read_bytes()
    with pytest.raises(LedgerError, match=r"older version .* upgrade it"):
        Ledger.open_existing(f"sqlite:///{old}")
    assert old.read_bytes() == before


def test_two_processes_at_once(tmp_path: Path, old: Path) -> None:
    """Whether they make a ledger or upgrade one, one of them does it and both can use it."""
    code = (
        "import sys\n"
        "from importer.ledger import Ledger\n"
        "from tests.unit.ledger.ledger_builders import new_run\n"
        "sys.stdin.read()\n"  # all wait for the same moment
        "with Ledger.open(sys.argv[1]) as ledger: print(ledger.runs.begin(new_run(), []))\n"
    )
    for path in (tmp_path / "new.db", old):
        processes = [
            subprocess.Popen(
                [sys.executable, "-c", code, f"sqlite:///{path}"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(3)
        ]
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
        begun = set()
        for process in processes:
            assert process.stdout is not None
            begun.add(process.stdout.read().strip())
            process.stdout.close()
            assert process.wait() == 0
        with Ledger.open(f"sqlite:///{path}") as ledger:
            assert begun <= {run.id for run in ledger.runs.list()}
            assert len(begun) == 3
