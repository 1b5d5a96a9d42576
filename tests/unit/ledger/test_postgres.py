"""On a server a ledger keeps the same promises; skipped where TEST_POSTGRES_URL is not set."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, make_url, text, update
from sqlalchemy.exc import DBAPIError

from importer.errors import LedgerAway, LedgerError
from importer.ledger import Ledger
from importer.ledger.connection import VERSION_TABLE
from importer.ledger.database import explain_error
from importer.ledger.records import Settlement
from importer.ledger.tables import identity, metadata
from importer.ledger.writer import LedgerWriter
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row, settle_submission, submission

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Connection


def test_looking_makes_nothing(server_url: str) -> None:
    """In an empty database there is no ledger, and none is made by looking."""
    assert Ledger.open_existing(server_url) is None
    engine = create_engine(make_url(server_url).set(drivername="postgresql+psycopg"))
    assert inspect(engine).get_table_names() == []
    engine.dispose()


def test_looking_cannot_write(server_ledger: Ledger, server_url: str) -> None:
    """Neither by its methods nor by its connection."""
    settle_submission(server_ledger, "k1", State.CREATED)
    readonly = Ledger.open_existing(server_url)
    assert readonly is not None
    with readonly:
        assert readonly.submissions.records(["k1"])["k1"].state is State.CREATED
        with pytest.raises(LedgerError):
            readonly.runs.begin(new_run(), [])
        with pytest.raises(LedgerError):
            readonly._database.read(lambda c: c.execute(metadata.tables["attempts"].delete()))


def test_the_migrations_make_the_tables_of_the_queries(
    server_ledger: Ledger, server_url: str
) -> None:
    """Alembic finds no difference on a server either."""
    del server_ledger
    engine = create_engine(make_url(server_url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def test_two_writers_cannot_both_have_an_intent(server_ledger: Ledger, server_url: str) -> None:
    """Even without the lock: of two journals, one is refused each submission."""
    names = [f"k{n}" for n in range(40)]
    run = server_ledger.runs.begin(
        new_run(), [planned_row(key, n + 2) for n, key in enumerate(names)]
    )

    async def both() -> list[str]:
        sent: list[str] = []

        async def send(journal: LedgerWriter, key: str) -> None:
            try:
                await journal.intend(submission(key))
            except LedgerError:
                return
            sent.append(key)
            await journal.settle(Settlement(key, State.CREATED, 201))

        async with LedgerWriter(server_ledger, run) as one, LedgerWriter(other, run) as two:
            await asyncio.gather(*(send(journal, key) for key in names for journal in (one, two)))
        return sent

    with ExitStack() as stack:
        other = stack.enter_context(Ledger.open(server_url))
        assert sorted(asyncio.run(both())) == sorted(names)
    assert server_ledger.runs.states(run) == {State.CREATED: 40}


def test_purging(server_ledger: Ledger) -> None:
    """There is no file to rewrite, and no backup of ours."""
    settle_submission(server_ledger, "k1", State.CREATED)
    clock_end = server_ledger.runs.find().started.replace(year=2030)
    assert server_ledger.purge(clock_end).submissions == 1


def test_an_older_dump_that_was_restored(server_url: str, tmp_path: Path) -> None:
    """A machine that has written since notices it; one that has not cannot, and says nothing."""
    here, elsewhere = (tmp_path / name / "importer.key" for name in ("here", "elsewhere"))
    for key in (here, elsewhere):
        key.parent.mkdir()
    with Ledger.open(server_url) as ledger:
        ledger.remember_writes(elsewhere, new=False)
        ledger.runs.begin(new_run(), [])
    with Ledger.open(server_url) as ledger:
        ledger.remember_writes(here, new=False)
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        ledger.submissions.intend(run, ["k1"])
        [last] = here.parent.iterdir()
        assert ledger.id in last.read_text()
    with Ledger.open(server_url) as ledger:
        ledger._database.write(
            "restore", lambda c: c.execute(update(identity).values(writes=identity.c.writes - 1))
        )
        with pytest.raises(LedgerError, match="lacks the last 1 changes"):
            ledger.remember_writes(here, new=False)
        ledger.remember_writes(elsewhere, new=False)
        ledger.remember_writes(here, new=True)


def test_counts_follow_a_row_on_a_server(server_ledger: Ledger) -> None:
    """The trigger notes there, too, that another run took a submission over."""
    first = server_ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
    second = server_ledger.runs.begin(new_run(), [planned_row("k2", 9)])
    server_ledger.submissions.settle(second, [Settlement("k2", State.REJECTED, 422)])
    assert server_ledger.runs.states(first) == {State.PLANNED: 1, State.REJECTED: 1}
    assert server_ledger.runs.states(second) == {State.REJECTED: 1}
    assert [row.row for row in server_ledger.runs.not_sent(first, 20)] == [3]
    assert {
        each.key for part in server_ledger.submissions.known(["k2", "k9"]) for each in part
    } == {"k2"}


def test_a_transaction_that_the_server_ended_passes(server_url: str) -> None:
    """As after a frozen process thaws: the database was away for it, and nobody reports a fault."""
    with Ledger.open(server_url) as ledger:
        soon = text("SELECT set_config('idle_in_transaction_session_timeout', '20', true)")

        def freeze(connection: Connection) -> None:
            connection.execute(soon)
            time.sleep(0.2)
            connection.execute(text("SELECT 1"))

        with pytest.raises(LedgerAway):
            ledger._database.write("frozen", freeze)
        assert ledger.runs.list() == ()


def test_a_connection_that_is_out_of_step_passes() -> None:
    """The driver says so without a code of the server, for example behind PgBouncer."""
    lost = psycopg.InternalError("received 2 results from command 'COMMIT'")
    assert isinstance(explain_error("x", DBAPIError("COMMIT", {}, lost)), LedgerAway)


def _cut_connections(server_url: str) -> None:
    """Cut every other connection to the database."""
    with psycopg.connect(server_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
        )


def test_connections_lost_while_they_rested_are_replaced(
    server_ledger: Ledger, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next command does not notice that the server was restarted overnight."""
    monkeypatch.setattr("importer.ledger.database._IDLE_S", 0.0)
    assert server_ledger.submissions.records(["k1"]) == {}
    _cut_connections(server_url)
    assert server_ledger.submissions.records(["k1"]) == {}


def test_a_connection_that_did_not_rest_is_not_tried(
    server_ledger: Ledger, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sender saves a round trip each time; if the connection is lost, it learns of that."""
    dialect = server_ledger._database.engine.dialect
    monkeypatch.setattr("importer.ledger.database._IDLE_S", 60.0)
    monkeypatch.setattr(dialect, "do_ping", lambda _: pytest.fail("it was tried"))
    for _ in range(2):
        assert server_ledger.submissions.records(["k1"]) == {}
    _cut_connections(server_url)
    with pytest.raises(LedgerAway):
        server_ledger.submissions.records(["k1"])
    assert server_ledger.submissions.records(["k1"]) == {}  # the pool has connected again
