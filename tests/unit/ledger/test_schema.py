"""The migrations make the tables that the queries expect, and old ledgers keep what they know."""

from __future__ import annotations

import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, text

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger import connection as connection_module
from importer.ledger.connection import (
    MIGRATIONS,
    VERSION_TABLE,
    VERSIONS,
    make_tables,
    migrate,
    on_upgrade,
)
from importer.ledger.lock import file_lock
from importer.ledger.records import ListLag
from importer.ledger.tables import metadata
from importer.model import RowStatus, State
from tests.unit.ledger.ledger_builders import FILE, new_run, planned_row, read_attempts

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
    """Return a ledger as the first version made it, with one created submission."""
    path = tmp_path / "importer.db"
    with sqlite3.connect(path) as database:
        database.executescript(FIRST.read_text("utf-8"))
        database.executescript(OLD_ROWS)
    database.close()
    path.chmod(0o600)
    return path


def laws(engine: Engine) -> dict[str, str]:
    """Return what Alembic does not compare: the text of indexes, triggers and checks."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT name, sql FROM sqlite_master WHERE sql <> ''")
        texts = {name: sql for name, sql in rows if name != VERSION_TABLE}
    for table in ("submissions", "webhook_events"):
        texts[f"check of {table}"] = re.search(r"CHECK \((.*)\)", texts[table]).group(1)  # type: ignore[union-attr]  # or the test fails
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
    assert len(laws(made)) == 27
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
    """Tables, constraints, indexes and triggers are as in a new ledger."""
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
    """It knows what it knew, can do what is new, and its old copy is beside it."""
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
    backup = old.with_name("importer.db-before-0016-20261122T153000Z")
    assert backup.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(backup) as copy:
        assert copy.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [("0001",)]  # noqa: S608 - a constant
        assert copy.execute('SELECT "key", state FROM submissions').fetchall() == [
            ("k1", "created"),
            ("k2", "sending"),
        ]
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()


V15 = Path(__file__).with_name("version-0015.sql")
"""A ledger of version 0015 with a submission in every state, made by that version's own code."""
CREATED_15 = "d1a5ac9a015fac2ef7b3416736355"
RUNS_15 = ("20261122-163001-0002", "20261122-153000-0001")


@pytest.fixture
def v15(tmp_path: Path) -> Path:
    """Return the path of that ledger."""
    path = tmp_path / "importer.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript(V15.read_text("utf-8"))
    path.chmod(0o600)
    return path


def require_all_of_v15(ledger: Ledger) -> None:
    """Require all that version 0015 knew, and that nobody can be contacted twice."""
    later, first = RUNS_15
    assert [run.id for run in ledger.runs.list()] == [later, first]
    assert ledger.runs.list()[1].sources == (FILE,)
    assert ledger.runs.states(first, live=True) == {
        State.CREATED: 3,
        State.DUPLICATE: 1,
        State.REJECTED: 1,
        State.SENDING: 1,
        State.PLANNED: 2,
    }
    assert ledger.runs.counts(first).read == 10
    assert ledger.submissions.campaigns() == ("camp-42",)
    rows = {row.row: row for row in ledger.runs.rows(first)}
    assert (rows[90].status, rows[90].codes) == (RowStatus.REJECTED, "phone-invalid")
    known = {row: each.submission for row, each in rows.items() if each.submission is not None}
    assert known[2].key.startswith(CREATED_15)
    assert (known[2].conversation_id, known[2].remote_status) == (
        "conv_0123456789abcdef0123456789abcde0",
        "OPTED_OUT",
    )
    assert known[2].external_id == f"C-0-{known[2].key[:16]}"
    assert (known[3].masked, known[3].meeting_state) == ("+44 •••• 0001", "scheduled")
    assert known[3].meeting_at == datetime(2026, 12, 1, 9, tzinfo=UTC)
    assert (known[4].state, known[4].code, known[4].message) == (
        State.REJECTED,
        "http-400",
        "The API refused it.",
    )
    assert (known[5].decided_by, known[5].conversation_id) == ("Ada at the desk", "theirs")
    assert (known[6].run, known[6].state) == (later, State.PLANNED)
    assert known[7].conversation_id == "3d813cbb-47fb-4a9f-b3c5-30a5b2b1e0a1"
    assert known[8].sent_at == datetime(2026, 11, 22, 15, 30, 1, 250000, tzinfo=UTC)
    assert known[8].name == "2d8e452e1634cae42e/17cc9ec974af"
    assert known[2].person in ledger.submissions.opted_out([known[2].person])
    assert [each["request_id"] for each in read_attempts(ledger, known[2].key)] == [
        "req_0123456789abcdef0123456789abcdef"
    ]
    assert ledger.conversations.list_lag() == ListLag(1, 3.5)
    (event,) = ledger.events.pending()
    assert (event.number, event.external_id) == (3, known[8].external_id)
    assert event.facts == {
        "persons": [known[8].person],
        "emails": [known[3].email],
        "status": "OPTED_OUT",
    }
    ledger.events.receive(replace(event, id="evt-4"))
    ledger.events.receive(replace(event, id="evt-4"))
    assert [each.id for each in ledger.events.pending()] == ["evt-3", "evt-4"]
    # A later list cannot send them again, but for those that surely arrived nowhere.
    again = [planned_row(each.key, row) for row, each in known.items()]
    run = ledger.runs.begin(new_run(), again)
    assert sorted(ledger.submissions.sendable(run)) == sorted(known[row].key for row in (4, 6, 9))


def test_a_ledger_of_text_becomes_one_of_bytes(v15: Path, clock: Clock) -> None:
    """In a file, with progress and a backup; the people who read along see the same."""
    told = list[tuple[int, int]]()
    on_upgrade.set(lambda done, total: told.append((done, total)))
    try:
        with Ledger.open(f"sqlite:///{v15}", now=clock.now, suffix=clock.end) as ledger:
            require_all_of_v15(ledger)
            ledger.purge(clock.now())
    finally:
        on_upgrade.set(None)
    assert told == [(13, 28), (21, 28), (28, 28)]
    with closing(sqlite3.connect(v15)) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
        with pytest.raises(sqlite3.IntegrityError, match="ids_are_bytes"):  # as 0015 writes them
            database.execute(
                "INSERT INTO webhook_events (id, name, received_at, external_id, facts)"
                " VALUES ('evt-5', '', '2026-11-22 15:31:00', 'C-6-1d92ad4b6987fa03', '{}')"
            )
        names = {row[0] for row in database.execute("SELECT name FROM sqlite_master")}
    assert not {name for name in names if name.startswith("old_")}
    assert len(list(v15.parent.glob("importer.db-before-0016-*"))) == 1


def test_a_ledger_on_a_server_becomes_one_of_bytes(server_url: str, clock: Clock) -> None:
    """The same on a server, and its numbers go on."""
    engine = create_engine(server_url)
    rows = [line for line in V15.read_text("utf-8").splitlines() if line.startswith("INSERT INTO")]
    with engine.begin() as connection:
        migrate(connection, "0015")
        connection.exec_driver_sql("SET session_replication_role = replica")  # in any order
        for row in rows:
            if not row.startswith(('INSERT INTO "ledger_', 'INSERT INTO "sqlite_')):
                connection.exec_driver_sql(row.replace("%", "%%"))
    engine.dispose()
    with Ledger.open(server_url, now=clock.now, suffix=clock.end) as ledger:
        require_all_of_v15(ledger)
        ledger.runs.begin(new_run(), [planned_row("new", campaign="another")])
        assert ledger.submissions.campaigns() == ("another", "camp-42")


def test_an_upgrade_that_is_killed_leaves_the_old_ledger(v15: Path, clock: Clock) -> None:
    """At each step of the copying; the next one does it."""
    code = (
        "import os, signal, sys\n"
        "from importer.ledger import Ledger\n"
        "from importer.ledger.connection import on_upgrade\n"
        "steps = iter(range(int(sys.argv[2])))\n"
        "def kill(done, total):\n"
        "    if next(steps, None) is None: os.kill(os.getpid(), signal.SIGKILL)\n"
        "on_upgrade.set(kill)\n"
        "Ledger.open(sys.argv[1])\n"
    )
    for step in (0, 2):
        killed = subprocess.run(
            [sys.executable, "-c", code, f"sqlite:///{v15}", str(step)], check=False
        )
        assert killed.returncode == -signal.SIGKILL
        with closing(sqlite3.connect(v15)) as database:
            version = database.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall()  # noqa: S608 - a constant
            assert version == [("0015",)]
            states = "SELECT state, count(*) FROM submissions GROUP BY state ORDER BY state"
            assert ("created", 3) in database.execute(states).fetchall()
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    with Ledger.open(f"sqlite:///{v15}", now=clock.now, suffix=clock.end) as ledger:
        require_all_of_v15(ledger)


def test_without_room_there_is_no_upgrade(
    v15: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says how much is needed, and nothing has changed."""
    usage = shutil.disk_usage(v15.parent)._replace(free=3 * v15.stat().st_size)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(LedgerError, match=r"disk is too full: 2 MB are needed, 0 MB are free"):
        Ledger.open(f"sqlite:///{v15}", now=clock.now)
    assert list(v15.parent.glob("*-before-*")) == []
    with closing(sqlite3.connect(v15)) as database:
        assert database.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchall() == [  # noqa: S608 - a constant
            ("0015",)
        ]


def test_no_upgrade_while_an_older_process_sends(v15: Path, clock: Clock) -> None:
    """Its lock is waited for; then its name is said."""
    with file_lock(v15).acquire(), pytest.MonkeyPatch.context() as patched:
        patched.setattr(connection_module, "BUSY_MS", 50)
        with pytest.raises(LedgerError, match="is in use by"):
            Ledger.open(f"sqlite:///{v15}", now=clock.now)


def test_a_new_ledger_needs_no_backup(url: str, tmp_path: Path) -> None:
    """There is nothing to lose."""
    Ledger.open(url).close()
    assert [path.name for path in tmp_path.iterdir()] == ["importer.db"]


def test_without_a_backup_there_is_no_upgrade(old: Path, clock: Clock) -> None:
    """Where the backup cannot be made the ledger stays as it was."""
    old.with_name("importer.db-before-0016-20261122T153000Z").mkdir()
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
    with pytest.raises(LedgerError, match=r"older version .* Run `importer upgrade`"):
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
