"""Which kind of store an address names."""

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


def files_at(address: Address, timeout_s: float) -> ObjectFiles:
    """The files of an address; nothing is connected to yet."""
    kind = {"s3": S3Files, "sftp": SftpFiles}.get(address.scheme, ObjectFiles)
    return kind(address, timeout_s)


_Found = TypeVar("_Found")
_PIECE: Final = 1 << 20
_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG})


class Store:
    """A remote inbox by its paths, which are relative to it.

    Every method raises RemoteFault, after a few tries where another try may help.

    Args:
        address: of the inbox.
        timeout_s: for every step of the network, seconds.
        file_s: for one whole file, seconds; however little comes in every step.
        elapsed_s: a clock that never jumps.
        sleep: waits between two tries, in seconds.
        goes_on: whether the night does; nothing long is begun or continued otherwise.
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
        self._files = files_at(address, timeout_s)

    def listed(self, path: str = "") -> list[StoredFile]:
        """What lies in a folder of the inbox, in order of name; nothing where it is not there."""
        return self._tried(lambda: self._files.listed(path))

    def entry(self, path: str) -> StoredFile | None:
        """What lies at a path, or None."""
        return self._tried(lambda: self._files.entry(path))

    def fetch(self, path: str, wanted: str, into: Path) -> str | None:
        """Fetches a file whole and durably; None where it is no longer the wanted version.

        Args:
            path: of the file.
            wanted: its version.
            into: file of this machine; written over where it is there.

        Returns:
            Hex sha256 of its bytes.
        """
        return self._tried(lambda: self._fetched(path, wanted, into))

    def digest(self, path: str) -> str:
        """Hex sha256 of what lies at a path."""
        return self._tried(lambda: self._read(path, lambda _: None))

    def put(self, file: Path, path: str) -> None:
        """Puts a file of this machine to a path, whole or not at all, over what lies there."""
        self._tried(lambda: self._put(file, path))

    def read(self, path: str, most: int) -> bytes | None:
        """The first bytes of a small file, so many at most; None where nothing lies there."""
        return self._tried(lambda: self._first(path, most))

    def create(self, path: str, data: bytes) -> None:
        """Puts a small file, whole or not at all; what lies there already stays."""
        self._tried(lambda: self._create(path, data))

    def rewrite(self, path: str, data: bytes) -> None:
        """Puts a small file, whole or not at all, over what lies there."""
        self._tried(lambda: self._files.rewrite(path, data))

    def remove(self, path: str, version: str) -> bool:
        """Removes that version of a file; False where another one lies there, which stays."""
        return self._tried(lambda: self._files.remove(path, version))

    def answers(self) -> bool:
        """Whether the inbox can be listed: what else does not work is not the whole inbox."""
        try:
            self.listed()
        except RemoteFault:
            return False
        return True

    def close(self) -> None:
        """Ends the connection."""
        self._files.close()

    def _fetched(self, path: str, wanted: str, into: Path) -> str | None:
        found = self._files.entry(path)
        if found is None or found.version != wanted:
            return None
        with _written(into) as write:
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
        with self._files.opened(path) as source:
            while piece := source.read(_PIECE):
                digest.update(piece)
                write(piece)
                if not self._goes_on():
                    raise RemoteStopped("The night ended before the whole file was fetched.")
                if self._elapsed_s() - began_s > self._file_s:
                    raise RemoteFault(
                        f"It came too slowly: more than {self._file_s:g} seconds.",
                        "The next night tries again; remote_file_s allows more.",
                    )
        return digest.hexdigest()

    def _first(self, path: str, most: int) -> bytes | None:
        try:
            with self._files.opened(path) as source:
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
            raise RemoteFault(f"{self.address} keeps another size than it got.", passing=True)

    def _tried(self, attempt: Callable[[], _Found]) -> _Found:
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
def _written(path: Path) -> Iterator[Callable[[bytes], None]]:
    """A way to write a file of this machine, which is on its disk when the context ends.

    Raises:
        RemoteFault: this machine does not let us; no other try helps.
    """
    with _desk(path):
        opened = path.open("wb")
    with opened as file:

        def write(piece: bytes) -> None:
            with _desk(path):
                file.write(piece)

        yield write
        with _desk(path):
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def _desk(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        if exc.errno not in _DISK:
            raise
        raise RemoteFault(
            f"{path.parent} cannot be written to: {exc.strerror}.",
            "Make room on the desk, or name another one in `desk:`.",
        ) from exc
