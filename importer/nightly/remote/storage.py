"""The files of a remote inbox, with retries, time limits and durable local copies."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from importer.nightly.remote.backends import ObjectFiles, S3Files, SftpFiles
from importer.nightly.remote.remote_errors import RemoteFault, RemoteStopped, gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

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
        address: of the inbox.
        timeout_s: seconds for each network step.
        file_s: seconds for one whole file, even if data keep coming.
        elapsed_s: a clock that never jumps.
        sleep: waits between attempts, in seconds.
        goes_on: returns whether the night goes on; if not, no long transfer starts or continues.
    """

    def __init__(
        self,
        address: Address,
        timeout_s: float,
        file_s: float,
        *,
        elapsed_s: Callable[[], float],
        sleep: Callable[[float], object],
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
            path: of the file.
            wanted: its version.
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
        """Whether the inbox can be listed: if so, a fault is not one of the whole inbox."""
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
            with gate(self.address):
                try:
                    return attempt()
                except RemoteFault:
                    raise
                except Exception:
                    self._files.renew()
                    raise

        retrying = Retrying(
            retry=retry_if_exception(_passing),
            stop=lambda state: stop_after_attempt(self._files.tries)(state) or not self._goes_on(),
            wait=wait_exponential_jitter(initial=1, max=20),
            sleep=self._pause,
            reraise=True,
        )
        return retrying(once)

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds)


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
