"""A PostgreSQL server to keep ledgers on, where the environment names one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from sqlalchemy import create_engine, make_url, text

if TYPE_CHECKING:
    from collections.abc import Iterator


SERVER = os.environ.get("TEST_POSTGRES_URL", "")
"""A PostgreSQL server on which the tests may make databases; without it they run on SQLite."""


@pytest.fixture
def server_url() -> Iterator[str]:
    """Of an empty database on the server; skips the test if there is no server.

    A database of its own, not a schema: the ledger's lock holds for a whole database, and tests run
    side by side.
    """
    if not SERVER:
        pytest.skip("TEST_POSTGRES_URL names no PostgreSQL server")
    name = f"ledger_{uuid4().hex}"
    server = make_url(SERVER).set(drivername="postgresql+psycopg")
    engine = create_engine(server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        yield server.set(database=name).render_as_string(hide_password=False)
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    engine.dispose()
