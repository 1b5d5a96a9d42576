"""What the ledger's tests open: a new one in a file, and on a server if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.ledger import Ledger
from tests.support.postgres import SERVER, server_url
from tests.unit.ledger.ledger_builders import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["server_url"]  # a fixture


@pytest.fixture
def clock() -> Clock:
    """Return a clock at 22 November 2026, 15:30 UTC."""
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Return the URL of a ledger in a file that does not exist yet."""
    return f"sqlite:///{tmp_path / 'importer.db'}"


@pytest.fixture
def file_ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a new ledger in a real file."""
    with Ledger.open(url, now=clock.now, suffix=clock.end) as opened:
        yield opened


@pytest.fixture(params=["file_ledger", "server_ledger"] if SERVER else ["file_ledger"])
def ledger(request: pytest.FixtureRequest) -> Ledger:
    """Return a new ledger in a file, and once more on a server if there is one."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Ledger)
    return found


@pytest.fixture
def server_ledger(server_url: str, clock: Clock) -> Iterator[Ledger]:
    """Yield a new ledger on the server."""
    with Ledger.open(server_url, now=clock.now, suffix=clock.end) as opened:
        yield opened
