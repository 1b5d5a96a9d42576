"""Transfers between a remote inbox and its staging folder: settings and markers in, results out."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.nightly.inbox import (
    DONE,
    DONE_SUFFIX,
    FAILED,
    HELD,
    NIGHTS,
    PAGE_SUFFIXES,
    RESERVED,
    SETTINGS,
    Arrival,
    is_importable,
    numbered_names,
    sha256_of,
)
from importer.nightly.ownership import MARKER_NAME
from importer.nightly.remote.remote_errors import RemoteFault, RemoteStopped
from importer.report.formatting import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.nightly.clock import Clock
    from importer.nightly.inbox import InboxFolders
    from importer.nightly.remote.backends import StoredFile
    from importer.nightly.remote.storage import Store


DRAFT: Final = ".fetching"
"""Name of a file until it is fetched completely."""


@dataclass(frozen=True)
class RemoteListing:
    """The folders of a remote inbox and the files in them.

    Attributes:
        staging: the folder to fetch settings into; paths of arrivals are in it, too.
        store: the files of the inbox.
    """

    staging: Path
    store: Store
    _fetched: dict[str, str] = field(default_factory=dict)

    def list_arrivals(self) -> list[Arrival]:
        """Return the importable files in the inbox and its subfolders; raise RemoteFault."""
        return [
            arrival
            for folder, entries in self.list_folders()
            for arrival in self._arrivals_in(folder, entries)
        ]

    def list_folders(self) -> list[tuple[str, Sequence[StoredFile]]]:
        """Return the inbox and each subfolder with its files.

        Their settings are fetched first, and the ownership markers of subfolders.

        Raises:
            RemoteFault: the inbox cannot be read, or the staging folder cannot be written to.
        """
        root = self.store.list_folder()
        folders = [each.name for each in root if each.folder]
        names = [name for name in folders if name not in RESERVED and not name.startswith(".")]
        found: list[tuple[str, Sequence[StoredFile]]] = [("", root)]
        found += [(name, self.store.list_folder(name)) for name in names]
        for folder, entries in found:
            self._fetch(SETTINGS, folder, entries)
            if folder:  # the inbox's own marker was checked before
                self._fetch(MARKER_NAME, folder, entries)
        return found

    def _arrivals_in(self, folder: str, entries: Sequence[StoredFile]) -> Iterator[Arrival]:
        names = {each.name for each in entries}
        for each in entries:
            if not each.folder and is_importable(each.name):
                yield Arrival(
                    folder,
                    self.staging / folder / each.name,
                    (each.size, each.version),
                    each.changed_s,
                    each.name + DONE_SUFFIX in names,
                )

    def _fetch(self, name: str, folder: str, entries: Sequence[StoredFile]) -> None:
        here = self.staging / folder / name
        path = here.relative_to(self.staging).as_posix()
        found = next((each for each in entries if each.name == name), None)
        try:
            if found is None:
                here.unlink(missing_ok=True)
            elif self._fetched.get(path) != found.version or not here.is_file():
                here.parent.mkdir(parents=True, exist_ok=True)
                if self.store.fetch(path, found.version, self.staging / DRAFT) is None:
                    raise RemoteFault(f"{path} of {self.store.address} changed while it was read.")
                (self.staging / DRAFT).replace(here)
                self._fetched[path] = found.version
        except OSError as exc:
            raise staging_refusal(self.staging, exc) from exc


def staging_refusal(staging: Path, exc: OSError) -> RemoteFault:
    """Return the fault of a staging folder that cannot be used."""
    return RemoteFault(
        f"The staging folder {staging} cannot be used: {exc.strerror}.",
        "Make room, and give the importer write access, or name another folder in `desk:`.",
    )


def upload_results(
    folders: InboxFolders,
    store: Store,
    ledger: Ledger,
    clock: Clock,
    before_first: Callable[[], None],
) -> None:
    """Upload every concluded file with its pages; end its claim, and remove it here.

    Args:
        folders: the staging folder.
        store: the files of the inbox.
        ledger: the one that has the claims.
        clock: the time when claims end.
        before_first: called before the first upload; it may raise to prevent it.

    Raises:
        RemoteFault: some files stay in the staging folder for the next night; the others were
            uploaded.
    """
    fault: RemoteFault | None = None
    waiting, away = 0, False
    for file in _files_to_upload(folders.root):
        if away:
            waiting += 1
            continue
        try:
            before_first()
            _upload(file, folders, store, ledger, clock)
        except RemoteFault as exc:
            fault, waiting = exc, waiting + 1
            away = exc.passing and not store.answers()
    if fault is not None:
        files = quantity(waiting, "file is", "files are")
        kind = RemoteStopped if isinstance(fault, RemoteStopped) else RemoteFault
        raise kind(
            f"{files} not uploaded to {store.address} yet: {fault.message}",
            f"{fault.fix} The next night starts with what is in {folders.root}.",
            passing=fault.passing,
        )


def hashes_to_upload(staging: Path) -> frozenset[str]:
    """Return the hex sha256 of every concluded file that is not uploaded yet."""
    return frozenset(sha256_of(file) for file in _files_to_upload(staging))


def _files_to_upload(staging: Path) -> list[Path]:
    """Return concluded files and pages without a file; other pages are uploaded with theirs."""
    found = [
        path
        for place in (DONE, HELD, FAILED, NIGHTS)
        for path in sorted((staging / place).rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    ]
    pages = {page for file in found for page in _pages_of(file)}
    return [file for file in found if file not in pages]


def _pages_of(file: Path) -> list[Path]:
    beside = (file.with_name(file.name + suffix) for suffix in PAGE_SUFFIXES)
    return [page for page in beside if page.is_file()]


def _upload(file: Path, folders: InboxFolders, store: Store, ledger: Ledger, clock: Clock) -> None:
    sha256, pages = sha256_of(file), _pages_of(file)
    path = _free_remote_path(file, folders, store, sha256)
    for page in pages:
        store.put(page, path + page.name.removeprefix(file.name))
    store.put(file, path)
    for claim in ledger.claims.open(str(store.address)):
        if claim.sha256 != sha256 or _is_in_work(folders.root / claim.place, sha256):
            continue
        if claim.path != path:
            store.remove(claim.path, claim.version)
        ledger.claims.note_returned(claim, clock.now())
    known = ledger.nights.last(sha256)
    if known is not None and known.run is not None:
        ledger.nights.note_path(known.run, sha256, f"{store.address}/{path}")
    for each in (*pages, file):
        each.unlink(missing_ok=True)
    with suppress(OSError):  # stops at the first folder that is not empty
        for folder in file.relative_to(folders.root).parents[:-1]:
            (folders.root / folder).rmdir()


def _is_in_work(path: Path, sha256: str) -> bool:
    """Whether another claimed file with this content is not concluded yet."""
    return path.is_file() and sha256_of(path) == sha256


def _free_remote_path(file: Path, folders: InboxFolders, store: Store, sha256: str) -> str:
    """Return the file's path in the inbox, numbered if another file has it."""
    folder, pages = folders.relative(file.parent), _pages_of(file)
    for name in numbered_names(file.name):
        path = f"{folder}/{name}"
        ours = {f"{path}{page.name.removeprefix(file.name)}": page for page in pages}
        beside = [f"{path}{suffix}" for suffix in PAGE_SUFFIXES]
        if all(_is_free(each, ours.get(each), store) for each in beside) and _is_free(
            path, file, store, sha256
        ):
            return path
    raise AssertionError("numbered names never end")


def _is_free(path: str, file: Path | None, store: Store, sha256: str = "") -> bool:
    """Whether a remote path is free, or has this very file from a night that was cut off.

    Args:
        path: in the inbox.
        file: the one to put there; None for none.
        store: the files of the inbox.
        sha256: of the file; empty to calculate it if it is needed.
    """
    found = store.entry(path)
    if found is None or file is None:
        return found is None
    same_size = found.size == file.stat().st_size
    return same_size and store.sha256_of(path) == (sha256 or sha256_of(file))
