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
"""A PostgreSQL database in which the tests may make schemas; without it they run on SQLite."""


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
