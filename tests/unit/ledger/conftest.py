"""What the ledger's tests open: a new one in a file, and on a server where there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

from importer.ledger import Ledger
from tests.unit.ledger.made import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVER = os.environ.get("TEST_POSTGRES_URL", "")
"""A PostgreSQL database in which the tests may make schemas; without it they run on SQLite."""


@pytest.fixture
def clock() -> Clock:
    """A clock at 22 November 2026, 15:30 UTC."""
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a ledger in a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'importer.db'}"


@pytest.fixture
def server_url() -> Iterator[str]:
    """Of an empty schema on the server; skips the test where there is no server."""
    if not SERVER:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    schema = f"ledger_{uuid4().hex}"
    server = make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE SCHEMA {schema}"))
        yield server.update_query_dict({"options": f"-csearch_path={schema}"}).render_as_string(
            hide_password=False
        )
        connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    engine.dispose()


@pytest.fixture
def file_ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    """A new ledger in a real file."""
    with Ledger.open(url, now=clock.now, id_end=clock.end) as opened:
        yield opened


@pytest.fixture(params=["file_ledger", "server_ledger"] if SERVER else ["file_ledger"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """A new ledger in a file, and once more on the server where there is one."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Ledger)
    return found


@pytest.fixture
def server_ledger(server_url: str, clock: Clock) -> Iterator[Ledger]:
    """A new ledger on the server."""
    with Ledger.open(server_url, now=clock.now, id_end=clock.end) as opened:
        yield opened
