"""Stores that cannot promise to put a file only where none lies: the mark is looked at again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec
import pytest

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.nightly.ownership import MARKER_NAME, Marker, claim_folder, render_marker
from importer.nightly.remote.address import Address
from importer.nightly.remote.backends import ObjectFiles

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 22, tzinfo=UTC)
OTHER = render_marker(Marker("f" * 32, NOW.date()))


class InMemory(ObjectFiles):
    """The objects of fsspec's store in memory."""

    def connect(self) -> Any:
        """Return that store."""
        return fsspec.filesystem("memory", skip_instance_cache=True)


class Careless(InMemory):
    """A store that puts what it gets over anything that is there."""

    def create(self, path: str, data: bytes) -> None:
        """Put it there; then somebody else does."""
        self.system.pipe_file(self.address.below(path), data)
        self.system.pipe_file(self.address.below(path), OTHER)


class There:
    """A folder of such a store as one that can have a mark."""

    name = "memory://inbox"

    def __init__(self, files: ObjectFiles) -> None:
        self.files = files

    def read(self) -> bytes | None:
        """Return its mark."""
        path = self.files.address.below(MARKER_NAME)
        return bytes(self.files.system.cat_file(path)) if self.files.system.exists(path) else None

    def create(self, mark: bytes) -> None:
        """Put it there."""
        self.files.create(MARKER_NAME, mark)

    def rewrite(self, mark: bytes) -> None:
        """Put it over the one that is there."""
        self.files.rewrite(MARKER_NAME, mark)


def test_the_first_stays() -> None:
    """As far as the store can tell."""
    files = InMemory(Address("gs", uuid4().hex, "inbox"), 1)
    files.create(MARKER_NAME, b"first")
    with pytest.raises(FileExistsError):
        files.create(MARKER_NAME, b"second")
    assert There(files).read() == b"first"


def test_whoever_was_overwritten_goes(tmp_path: Path) -> None:
    """It put its mark, and finds another one there: nothing is done with the wrong ledger."""
    place = There(Careless(Address("gs", uuid4().hex, "inbox"), 1))
    with (
        Ledger.open(f"sqlite:///{tmp_path / 'importer.db'}") as ledger,
        pytest.raises(ConfigurationError, match="belongs to ledger ffffffff"),
    ):
        claim_folder(place, ledger, NOW)
