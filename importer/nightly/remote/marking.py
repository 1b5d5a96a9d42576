"""A remote inbox as a folder that can have a mark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from importer.nightly.mark import LONGEST, NAME

if TYPE_CHECKING:
    from importer.nightly.remote.store import Store


@dataclass(frozen=True)
class FarFolder:
    """The root of a remote inbox; its methods raise RemoteFault where the inbox is away.

    Attributes:
        store: the door to the inbox.
    """

    store: Store

    @property
    def name(self) -> str:
        """Its address."""
        return str(self.store.address)

    def read(self) -> bytes | None:
        """Its mark, or whatever lies there as one; None where nothing does."""
        return self.store.read(NAME, LONGEST)

    def create(self, mark: bytes) -> None:
        """Puts its mark there, whole or not at all; one that is there already stays.

        Where a store cannot promise the latter, whoever puts it looks at it afterwards.
        """
        self.store.create(NAME, mark)

    def rewrite(self, mark: bytes) -> None:
        """Puts another one in the place of its mark, whole or not at all."""
        self.store.rewrite(NAME, mark)
