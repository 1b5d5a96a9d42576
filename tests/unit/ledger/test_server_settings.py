"""A server's own settings: what breaks a promise in silence is refused, with the command to run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from importer.errors import LedgerAway, LedgerError
from importer.ledger import Ledger
from importer.model import State
from tests.support.postgres import PROGRAMS, own_server
from tests.unit.ledger.ledger_builders import new_run, planned_row


def administer(url: str, *statements: str) -> None:
    """Run statements in a server's database, with the name of the database for `{database}`."""
    parsed = make_url(url).set(drivername="postgresql+psycopg")
    engine = create_engine(parsed, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        for each in statements:
            connection.execute(text(each.format(database=parsed.database)))
    engine.dispose()


UNSAFE = {
    "synchronous_commit": "off",
    "default_transaction_isolation": "repeatable read",
    "datestyle": "German, DMY",
    "standard_conforming_strings": "off",
}


@pytest.mark.parametrize("setting", UNSAFE)
@pytest.mark.parametrize("is_old", [False, True])
def test_an_unsafe_default_is_refused(server_url: str, setting: str, *, is_old: bool) -> None:
    """For a new ledger and an old one, also for reading; the command of the message mends it."""
    if is_old:
        Ledger.open(server_url).close()
    administer(server_url, f"ALTER DATABASE {{database}} SET {setting} = '{UNSAFE[setting]}'")
    with pytest.raises(LedgerError, match=f"has {setting} = '{UNSAFE[setting]}'") as refused:
        Ledger.open(server_url)
    with pytest.raises(LedgerError, match=f"has {setting} = "):
        Ledger.open_existing(server_url)
    administer(server_url, str(refused.value.fix).split("`")[1])
    Ledger.open(server_url).close()
    found = Ledger.open_existing(server_url)
    assert found is not None
    found.close()


def test_defaults_that_do_no_harm(server_url: str) -> None:
    """Another time zone, another form of numbers and bytes, and a client that speaks Latin-1."""
    administer(
        server_url,
        "ALTER DATABASE {database} SET timezone = 'Pacific/Kiritimati'",
        "ALTER DATABASE {database} SET intervalstyle = 'sql_standard'",
        "ALTER DATABASE {database} SET bytea_output = 'escape'",
        "ALTER DATABASE {database} SET client_encoding = 'LATIN1'",
        "ALTER DATABASE {database} SET synchronous_commit = 'local'",
    )
    with Ledger.open(server_url) as ledger, ledger.lock("importer run"):
        run = ledger.runs.begin(new_run(), [planned_row("k0")])
        share = ledger.share(run)
        assert share is not None
        assert share.claim(1) == ["k0"]
        assert share.record(["k0"], ())[0] == (True,)
        assert ledger.submissions.records(["k0"])["k0"].state is State.DOUBTFUL


def test_a_server_that_was_set_to_read_only(server_url: str) -> None:
    """As providers do if a disk is full: the ledger can be read, and the message says why."""
    Ledger.open(server_url).close()
    administer(server_url, "ALTER DATABASE {database} SET default_transaction_read_only = on")
    with pytest.raises(LedgerError, match="default_transaction_read_only is on"):
        Ledger.open(server_url)
    found = Ledger.open_existing(server_url)
    assert found is not None
    found.close()


def test_a_statement_timeout_is_named(server_url: str) -> None:
    """It is a setting of the server, and no fault of ours."""
    administer(server_url, "ALTER DATABASE {database} SET statement_timeout = '1ms'")
    with pytest.raises(LedgerError, match="statement_timeout"):
        Ledger.open(server_url)


def test_an_encoding_that_cannot_hold_every_name(server_url: str) -> None:
    """LATIN1 has no Polish letters."""
    wanted = make_url(server_url)
    name = f"{wanted.database}_latin"
    administer(
        server_url,
        f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C'",
    )
    try:
        latin = wanted.set(database=name).render_as_string(hide_password=False)
        with pytest.raises(LedgerError, match="encoding LATIN1"):
            Ledger.open(latin)
    finally:
        administer(server_url, f"DROP DATABASE {name} WITH (FORCE)")


def test_a_search_path_that_leads_nowhere(server_url: str) -> None:
    """The message has the path, and the command."""
    administer(server_url, "ALTER DATABASE {database} SET search_path = nowhere")
    with pytest.raises(LedgerError, match="nowhere") as refused:
        Ledger.open(server_url)
    administer(server_url, str(refused.value.fix).split("`")[1])
    Ledger.open(server_url).close()


def test_a_schema_that_hides_the_ledger(server_url: str) -> None:
    """A schema with the user's name comes first by default; an empty ledger there knows nobody."""
    Ledger.open(server_url).close()
    administer(server_url, "CREATE SCHEMA AUTHORIZATION CURRENT_USER")
    with pytest.raises(LedgerError, match="is in the schema public") as refused:
        Ledger.open(server_url)
    assert "--new-ledger" in str(refused.value.fix)
    administer(server_url, str(refused.value.fix).split("`")[1])
    Ledger.open(server_url).close()
    administer(server_url, "ALTER DATABASE {database} RESET search_path")


def test_a_second_ledger_in_another_schema(server_url: str) -> None:
    """It is made if a person says so, and found again without saying so."""
    Ledger.open(server_url).close()
    administer(server_url, "CREATE SCHEMA second")
    parsed = make_url(server_url).update_query_dict({"options": "-csearch_path=second"})
    second = parsed.render_as_string(hide_password=False)
    with pytest.raises(LedgerError, match="is in the schema public"):
        Ledger.open(second)
    with Ledger.open(second, new=True) as ledger:
        own = ledger.id
    with Ledger.open(second) as again, Ledger.open(server_url) as first:
        assert again.id == own != first.id


def test_defaults_that_change_after_the_ledger_was_opened(server_url: str) -> None:
    """Each transaction says what it needs, so new connections are as safe as old ones."""
    with Ledger.open(server_url) as ledger:
        administer(
            server_url,
            "ALTER DATABASE {database} SET default_transaction_isolation = 'serializable'",
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        show = text("SELECT current_setting('transaction_isolation')")
        ledger._database.engine.dispose()
        isolation = ledger._database.read(lambda c: c.scalar(show))
    assert isolation == "read committed"


@pytest.mark.skipif(not PROGRAMS, reason="PostgreSQL is not installed")
def test_an_intent_outlives_a_crash_of_a_server_that_does_not_wait_for_its_disk() -> None:
    """The default was changed after the ledger was opened; a lost intent is a second message."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        with own_server(Path(name) / "postgres") as server, Ledger.open(server.url) as ledger:
            assert "fsync off" in str(ledger.find_risk())
            with ledger.lock("importer run"):
                run = ledger.runs.begin(new_run(), [planned_row("k0")])
                share = ledger.share(run)
                assert share is not None
                assert share.claim(1) == ["k0"]
                administer(
                    server.url,
                    "ALTER SYSTEM SET wal_writer_delay = '10s'",
                    "ALTER SYSTEM SET synchronous_commit = off",
                    "CHECKPOINT",
                    "SELECT pg_reload_conf()",
                )
                ledger._database.engine.dispose()
                assert share.record(["k0"], ())[0] == (True,)
                server.restart()
                ledger._database.engine.dispose()  # its connections are lost
                assert ledger.submissions.records(["k0"])["k0"].state is State.DOUBTFUL


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"database": "no_such_database"}, "is in a database that does not exist"),
        ({"username": "no_such_user"}, "a user who does not exist"),
        ({"port": 9}, "nothing listens at that host and port"),
        ({"host": "no-such-host.invalid"}, "on a host whose name is not known"),
    ],
)
def test_why_there_is_no_connection(server_url: str, change: dict[str, Any], said: str) -> None:
    """Each cause has its own words; it may pass, so senders ask again."""
    url = make_url(server_url).set(**change).render_as_string(hide_password=False)
    with pytest.raises(LedgerAway, match=said):
        Ledger.open(url)


def test_a_user_without_rights(server_url: str) -> None:
    """That is no fault of importer."""
    name = f"guest_{uuid4().hex[:12]}"
    administer(server_url, f"CREATE ROLE {name} LOGIN PASSWORD 'x'")
    try:
        url = make_url(server_url).set(username=name, password="x")
        with pytest.raises(LedgerError, match="a right that importer needs") as refused:
            Ledger.open(url.render_as_string(hide_password=False))
        assert "OWNER TO" in str(refused.value.fix)
        assert "fault of importer" not in str(refused.value.fix)
    finally:
        administer(server_url, f"DROP ROLE {name}")
