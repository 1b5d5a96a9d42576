"""The files of a remote inbox, with retries and time limits, and transfers to and from it."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

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
from importer.nightly.remote.backends import (
    ObjectFiles,
    RemoteFault,
    RemoteStopped,
    S3Files,
    SftpFiles,
    translate_errors,
)
from importer.report.formatting import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.nightly.clock import Clock
    from importer.nightly.inbox import InboxFolders
    from importer.nightly.remote.address import Address
    from importer.nightly.remote.backends import StoredFile


def open_files(address: Address, timeout_s: float) -> ObjectFiles:
    """Return the files at an address, without connecting to it yet."""
    kind = {"s3": S3Files, "sftp": SftpFiles}.get(address.scheme, ObjectFiles)
    return kind(address, timeout_s)


_Found = TypeVar("_Found")
_CHUNK_BYTES: Final = 1 << 20
_DISK_ERRORS: Final = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG}
)


class Store:
    """The files of a remote inbox, by paths relative to it.

    Every method raises RemoteFault. Before that, it tries a few times if that may help.

    Args:
        address: the address of the inbox.
        timeout_s: seconds for each network step.
        file_s: seconds for one whole file, even if data keep coming.
        elapsed_s: a clock that never jumps.
        sleep: waits between attempts, in seconds.
        goes_on: returns whether the night continues; if not, long transfers end and none starts.
    """

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        file_s: float,
        *,
        elapsed_s: Callable[[], float],
        sleep: Callable[[float], None],
        goes_on: Callable[[], bool],
    ) -> None:
        self.address = address
        self._file_s = file_s
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._goes_on = goes_on
        self._files = open_files(address, timeout_s)

    def list_folder(self, path: str = "") -> list[StoredFile]:
        """Return the entries of a folder by name; none if it does not exist."""
        return self._with_retries(lambda: self._files.list_folder(path))

    def entry(self, path: str) -> StoredFile | None:
        """Return the file at a path, or None."""
        return self._with_retries(lambda: self._files.entry(path))

    def fetch(self, path: str, wanted: str, into: Path) -> str | None:
        """Fetch a file completely and durably; None if it is no longer the wanted version.

        Args:
            path: the path of the file.
            wanted: the version that is wanted.
            into: a file on this machine; overwritten if it exists.

        Returns:
            The hex sha256 of its bytes.
        """
        return self._with_retries(lambda: self._fetch_version(path, wanted, into))

    def sha256_of(self, path: str) -> str:
        """Return the hex sha256 of the file at a path."""
        return self._with_retries(lambda: self._read(path, lambda _: None))

    def put(self, file: Path, path: str) -> None:
        """Upload a file to a path, completely or not at all, replacing what is there."""
        self._with_retries(lambda: self._put(file, path))

    def read(self, path: str, most: int) -> bytes | None:
        """Read up to `most` bytes from the start of a file; None if there is no file."""
        return self._with_retries(lambda: self._read_start(path, most))

    def create(self, path: str, data: bytes) -> None:
        """Create a small file, completely or not at all; an existing one stays."""
        self._with_retries(lambda: self._create(path, data))

    def rewrite(self, path: str, data: bytes) -> None:
        """Write a small file, completely or not at all, replacing what is there."""
        self._with_retries(lambda: self._files.rewrite(path, data))

    def remove(self, path: str, version: str) -> bool:
        """Remove this version of a file; if another version is there, keep it and return False."""
        return self._with_retries(lambda: self._files.remove(path, version))

    def answers(self) -> bool:
        """Whether the inbox can be listed; if so, a fault concerns a single file."""
        try:
            self.list_folder()
        except RemoteFault:
            return False
        return True

    def close(self) -> None:
        """Close the connection."""
        self._files.close()

    def _fetch_version(self, path: str, wanted: str, into: Path) -> str | None:
        found = self._files.entry(path)
        if found is None or found.version != wanted:
            return None
        with _durable_writer(into) as write:
            try:
                sha256 = self._read(path, write)
                found = self._files.entry(path)
            except FileNotFoundError:
                return None
        if found is None or found.version != wanted or found.size != into.stat().st_size:
            return None
        return sha256

    def _read(self, path: str, write: Callable[[bytes], object]) -> str:
        digest, began_s = hashlib.sha256(), self._elapsed_s()
        with self._files.open_file(path) as source:
            while piece := source.read(_CHUNK_BYTES):
                digest.update(piece)
                write(piece)
                if not self._goes_on():
                    raise RemoteStopped("The night ended before the whole file was fetched.")
                if self._elapsed_s() - began_s > self._file_s:
                    raise RemoteFault(
                        f"The file took too long: more than {self._file_s:g} seconds.",
                        "The next night tries again; remote_file_s allows more.",
                    )
        return digest.hexdigest()

    def _read_start(self, path: str, most: int) -> bytes | None:
        try:
            with self._files.open_file(path) as source:
                return bytes(source.read(most))
        except FileNotFoundError:
            return None

    def _create(self, path: str, data: bytes) -> None:
        with suppress(FileExistsError):
            self._files.create(path, data)

    def _put(self, file: Path, path: str) -> None:
        self._files.put(file, path)
        found = self._files.entry(path)
        if found is None or found.size != file.stat().st_size:
            raise RemoteFault(
                f"{self.address} stored a file of another size than was uploaded.", passing=True
            )

    def _with_retries(self, attempt: Callable[[], _Found]) -> _Found:
        def once() -> _Found:
            with translate_errors(self.address):
                try:
                    return attempt()
                except RemoteFault:
                    raise
                except Exception:  # raised again; the next attempt needs a new connection
                    self._files.renew()
                    raise

        retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=lambda state: stop_after_attempt(self._files.tries)(state) or not self._goes_on(),
            wait=wait_exponential_jitter(initial=1, max=20),
            sleep=self._sleep,
            reraise=True,
        )
        return retrying(once)


def _passing(error: BaseException) -> bool:
    return isinstance(error, RemoteFault) and error.passing


@contextmanager
def _durable_writer(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Yield a function that writes to a local file, which is on disk when the context ends.

    Raises:
        RemoteFault: the file cannot be written; another attempt does not help.
    """
    with _staging_gate(path):
        opened = path.open("wb")
    with opened as file:

        def write(piece: bytes) -> None:
            with _staging_gate(path):
                file.write(piece)

        yield write
        with _staging_gate(path):
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _staging_gate(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in _DISK_ERRORS:
            raise
        raise RemoteFault(
            f"{path.parent} cannot be written to: {exc.strerror}.",
            "Make room there, or name another staging folder in `desk:`.",
        ) from exc


# ---- transfers between the inbox and its staging folder ------------------------------------------


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
        path: the path in the inbox.
        file: the one to put there; None for none.
        store: the files of the inbox.
        sha256: the SHA-256 of the file; empty to calculate it if it is needed.
    """
    found = store.entry(path)
    if found is None or file is None:
        return found is None
    same_size = found.size == file.stat().st_size
    return same_size and store.sha256_of(path) == (sha256 or sha256_of(file))
