"""Fixtures of the ledger's tests: a new ledger in a real file, and a clock turned by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.ledger import Ledger
from tests.unit.ledger.made import Clock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def clock() -> Clock:
    """A clock at 22 November 2026, 15:30 UTC."""
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Of a ledger that does not exist yet."""
    return f"sqlite:///{tmp_path / 'importer.db'}"


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    """A new ledger in a real file."""
    with Ledger.open(url, now=clock.now, id_end=clock.end) as opened:
        yield opened
