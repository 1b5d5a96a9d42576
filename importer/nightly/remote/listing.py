"""What has arrived in a remote inbox, by the rules of a local one, and its settings on the desk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.nightly.inbox import OURS, Arrival
from importer.nightly.mark import NAME
from importer.nightly.names import MARKER, SETTINGS, may_be_taken
from importer.nightly.remote.faults import RemoteFault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from importer.nightly.remote.files import Entry
    from importer.nightly.remote.store import Store

DRAFT: Final = ".fetching"
"""What is fetched is called so until it is whole."""


@dataclass(frozen=True)
class Listing:
    """The folders of an inbox, and what lies in them now.

    Attributes:
        desk: the settings files come here; arrivals are called by where they will lie.
        store: the door to the inbox.
    """

    desk: Path
    store: Store
    _brought: dict[str, str] = field(default_factory=dict)

    def arrivals(self) -> list[Arrival]:
        """What lies in the inbox and its subfolders and may be taken; raises RemoteFault."""
        return [
            arrival
            for folder, entries in self.folders()
            for arrival in self._arrivals_in(folder, entries)
        ]

    def folders(self) -> list[tuple[str, Sequence[Entry]]]:
        """The inbox and each subfolder with what lies in it, once their settings are on the desk.

        The mark that a subfolder has of its own comes with them.

        Raises:
            RemoteFault: the inbox cannot be read, or the desk not be written to.
        """
        root = self.store.listed()
        folders = [each.name for each in root if each.folder]
        names = [name for name in folders if name not in OURS and not name.startswith(".")]
        found: list[tuple[str, Sequence[Entry]]] = [("", root)]
        found += [(name, self.store.listed(name)) for name in names]
        for folder, entries in found:
            self._bring(SETTINGS, folder, entries)
            if folder:  # the inbox's own is looked at before anything else is done there
                self._bring(NAME, folder, entries)
        return found

    def _arrivals_in(self, folder: str, entries: Sequence[Entry]) -> Iterator[Arrival]:
        names = {each.name for each in entries}
        for each in entries:
            if not each.folder and may_be_taken(each.name):
                yield Arrival(
                    folder,
                    self.desk / folder / each.name,
                    (each.size, each.version),
                    each.changed_s,
                    each.name + MARKER in names,
                )

    def _bring(self, name: str, folder: str, entries: Sequence[Entry]) -> None:
        here = self.desk / folder / name
        path = here.relative_to(self.desk).as_posix()
        found = next((each for each in entries if each.name == name), None)
        try:
            if found is None:
                here.unlink(missing_ok=True)
            elif self._brought.get(path) != found.version or not here.is_file():
                here.parent.mkdir(parents=True, exist_ok=True)
                if self.store.fetch(path, found.version, self.desk / DRAFT) is None:
                    raise RemoteFault(f"{path} of {self.store.address} changed while it was read.")
                (self.desk / DRAFT).replace(here)
                self._brought[path] = found.version
        except OSError as exc:
            raise desk_refused(self.desk, exc) from exc


def desk_refused(desk: Path, exc: OSError) -> RemoteFault:
    """That the system does not let us work on the desk."""
    return RemoteFault(
        f"The desk {desk} cannot be worked on: {exc.strerror}.",
        "Make room, and give the importer write access, or name another folder in `desk:`.",
    )
