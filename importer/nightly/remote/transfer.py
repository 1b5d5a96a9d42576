"""What has arrived in a remote inbox, by the rules of a local one, and its settings on the desk."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.ledger import Ledger
from importer.nightly.inbox import (
    DONE,
    FAILED,
    HELD,
    MARKER,
    NIGHTS,
    OURS,
    SETTINGS,
    WRITTEN,
    Arrival,
    digest,
    may_be_taken,
)
from importer.nightly.ownership import NAME
from importer.nightly.remote.remote_errors import RemoteFault, RemoteStopped
from importer.report.formatting import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from importer.nightly.clock import Clock
    from importer.nightly.remote.backends import StoredFile
    from importer.nightly.remote.storage import Store


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

    def folders(self) -> list[tuple[str, Sequence[StoredFile]]]:
        """The inbox and each subfolder with what lies in it, once their settings are on the desk.

        The mark that a subfolder has of its own comes with them.

        Raises:
            RemoteFault: the inbox cannot be read, or the desk not be written to.
        """
        root = self.store.listed()
        folders = [each.name for each in root if each.folder]
        names = [name for name in folders if name not in OURS and not name.startswith(".")]
        found: list[tuple[str, Sequence[StoredFile]]] = [("", root)]
        found += [(name, self.store.listed(name)) for name in names]
        for folder, entries in found:
            self._bring(SETTINGS, folder, entries)
            if folder:  # the inbox's own is looked at before anything else is done there
                self._bring(NAME, folder, entries)
        return found

    def _arrivals_in(self, folder: str, entries: Sequence[StoredFile]) -> Iterator[Arrival]:
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

    def _bring(self, name: str, folder: str, entries: Sequence[StoredFile]) -> None:
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


def carry_back(
    desk: Path, store: Store, ledger: str, clock: Clock, first: Callable[[], None]
) -> None:
    """Puts every ending of a desk to its inbox, ends its claim, and clears the desk of it.

    Args:
        desk: with the folders of an inbox.
        store: the door to the inbox.
        ledger: URL of the ledger that has the claims.
        clock: the time of their end.
        first: called before anything is put there; what it raises keeps it from being put.

    Raises:
        RemoteFault: something stays on the desk, for the next night; the rest was given back.
    """
    fault: RemoteFault | None = None
    waiting, away = 0, False
    for file in _endings(desk):
        if away:
            waiting += 1
            continue
        try:
            first()
            _carry(file, desk, store, ledger, clock)
        except RemoteFault as exc:
            fault, waiting = exc, waiting + 1
            away = exc.passing and not store.answers()
    if fault is not None:
        files = quantity(waiting, "file is", "files are")
        kind = RemoteStopped if isinstance(fault, RemoteStopped) else RemoteFault
        raise kind(
            f"{files} not given back to {store.address} yet: {fault.message}",
            f"{fault.fix} They lie in {desk}, and the next night begins with them.",
            passing=fault.passing,
        )


def left_on_desk(desk: Path) -> frozenset[str]:
    """Hex sha256 of every file that came to its end on a desk and was not given back."""
    return frozenset(digest(file) for file in _endings(desk))


def _endings(desk: Path) -> list[Path]:
    """What lies in the folders of endings, but for the pages about a file that lies there too."""
    found = [
        path
        for place in (DONE, HELD, FAILED, NIGHTS)
        for path in sorted((desk / place).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    pages = {page for file in found for page in _pages(file)}
    return [file for file in found if file not in pages]


def _pages(file: Path) -> list[Path]:
    beside = (file.with_name(file.name + suffix) for suffix in WRITTEN)
    return [page for page in beside if page.is_file()]


def _carry(file: Path, desk: Path, store: Store, ledger: str, clock: Clock) -> None:
    sha256, pages = digest(file), _pages(file)
    path = _path_there(file, desk, store, sha256)
    for page in pages:
        store.put(page, path + page.name.removeprefix(file.name))
    store.put(file, path)
    with Ledger.open(ledger) as opened:
        for claim in opened.claims.open(str(store.address)):
            if claim.sha256 != sha256 or _at_work(desk / claim.place, sha256):
                continue
            if claim.path != path:
                store.remove(claim.path, claim.version)
            opened.claims.note_returned(claim, clock.now())
        known = opened.nights.last(sha256)
        if known is not None and known.run is not None:
            opened.nights.note_path(known.run, sha256, f"{store.address}/{path}")
    for each in (*pages, file):
        each.unlink(missing_ok=True)
    with suppress(OSError):  # folders that something is left in
        for folder in file.relative_to(desk).parents[:-1]:
            (desk / folder).rmdir()


def _at_work(path: Path, sha256: str) -> bool:
    """Whether a claimed file still lies where it was brought to: its own end is yet to come."""
    return path.is_file() and digest(path) == sha256


def _path_there(file: Path, desk: Path, store: Store, sha256: str) -> str:
    """The file's path in the inbox; another one where another file has it."""
    wanted = path = file.relative_to(desk).as_posix()
    number = 1
    while (found := store.entry(path)) is not None:
        if found.size == file.stat().st_size and store.digest(path) == sha256:
            break  # ours, from a night that was cut off
        number += 1
        stem, dot, suffix = wanted.rpartition(".")
        path = f"{stem}-{number}{dot}{suffix}" if stem else f"{wanted}-{number}"
    return path
