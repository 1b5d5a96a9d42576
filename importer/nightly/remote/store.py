"""The door to a remote inbox: lists, fetches, puts and removes, each tried again within bounds."""

from __future__ import annotations

import errno
import hashlib
import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential_jitter

from importer.nightly.remote.address import EXTRAS
from importer.nightly.remote.faults import RemoteFault, RemoteStopped, gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from importer.nightly.remote.address import Address

_Found = TypeVar("_Found")
_TRIES: Final = 4
_PIECE: Final = 1 << 20
_BLOCK: Final = 8 << 20
_TIMES: Final = ("LastModified", "updated", "last_modified", "mtime")
_FOREVER: Final = float("inf")
_DISK: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class Entry:
    """Something that lies in a remote folder.

    Attributes:
        name: its own, without the folder's.
        size: bytes.
        version: what tells it from another file at the same path: size, entity tag where the
            store has one, and time of the last change in seconds.
        tag: the entity tag alone; empty where the store has none.
        changed_s: seconds since 1970, by the store's clock; infinite where whoever uploads sets
            the time, so that only looking twice tells that a file is whole.
        folder: it is one.
    """

    name: str
    size: int
    version: str
    tag: str
    changed_s: float
    folder: bool


class Store:
    """A remote inbox by its paths, which are relative to it.

    Every method raises RemoteFault, after `_TRIES` tries where another try may help.

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
        self._timeout_s = timeout_s
        self._file_s = file_s
        self._elapsed_s = elapsed_s
        self._sleep = sleep
        self._goes_on = goes_on
        self._system: Any = None

    def listed(self, path: str = "") -> list[Entry]:
        """What lies in a folder of the inbox, in order of name; nothing where it is not there."""
        return self._tried(lambda: self._listed(path))

    def entry(self, path: str) -> Entry | None:
        """What lies at a path, or None."""
        return self._tried(lambda: self._entry(path))

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

    def remove(self, path: str, version: str) -> bool:
        """Removes that version of a file; False where another one lies there, which stays."""
        return self._tried(lambda: self._removed(path, version))

    def answers(self) -> bool:
        """Whether the inbox can be listed: what else does not work is not the whole inbox."""
        try:
            self.listed()
        except RemoteFault:
            return False
        return True

    def close(self) -> None:
        """Ends the connection."""
        system, self._system = self._system, None
        if hasattr(system, "close"):
            system.close()

    # ---- one try each ------------------------------------------------------------------------

    def _listed(self, path: str) -> list[Entry]:
        where = self.address.below(path)
        try:
            found = self._files.ls(where, detail=True)
        except FileNotFoundError as error:
            if self._is_fault(path, error):
                raise
            return []
        entries = [self._seen(facts) for facts in found if facts["type"] in {"file", "directory"}]
        own = where.rpartition("/")[2]
        return sorted(
            (each for each in entries if each.name and not (each.name == own and not each.size)),
            key=lambda each: each.name,
        )

    def _is_fault(self, path: str, error: FileNotFoundError) -> bool:
        """Whether more than a folder is missing: an empty one is not there in an object store."""
        if self._by_server:
            return not path
        if self.address.scheme == "s3":
            return "NoSuchBucket" in repr(error.__cause__)
        with suppress(PermissionError):  # who may list the inbox may not list all of the bucket
            self._files.ls(self.address.bucket)
        return False

    def _entry(self, path: str) -> Entry | None:
        try:
            facts = self._files.info(self.address.below(path))
        except FileNotFoundError:
            return None
        return self._seen(facts) if facts["type"] == "file" else None

    def _fetched(self, path: str, wanted: str, into: Path) -> str | None:
        if not self._is(path, wanted):
            return None
        with _written(into) as file:
            try:
                sha256 = self._read(path, file)
                found = self._entry(path)
            except FileNotFoundError:
                return None
        if found is None or found.version != wanted or found.size != into.stat().st_size:
            return None
        return sha256

    def _read(self, path: str, write: Callable[[bytes], object]) -> str:
        digest, began_s = hashlib.sha256(), self._elapsed_s()
        with self._files.open(self.address.below(path), "rb", block_size=_BLOCK) as source:
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

    def _put(self, file: Path, path: str) -> None:
        target, size = self.address.below(path), file.stat().st_size
        if self._by_server:
            draft = self._aside(path, "draft")
            self._files.put_file(str(file), draft)
            if self._files.info(draft)["size"] != size:
                raise RemoteFault(f"{self.address} keeps another size than it got.", passing=True)
            self._files.mv(draft, target)
        else:
            self._files.put_file(str(file), target)
        found = self._entry(path)
        if found is None or found.size != size:
            raise RemoteFault(f"{self.address} keeps another size than it got.", passing=True)

    def _removed(self, path: str, version: str) -> bool:
        if self._by_server:
            return self._removed_from_server(path, version)
        found = self._entry(path)
        if found is None:
            return True
        if found.version != version:
            return False
        if self.address.scheme != "s3" or not found.tag:
            self._files.rm_file(self.address.below(path))
            return True
        bucket, key, _ = self._files.split_path(self.address.below(path))
        try:  # the store itself looks whether it is still that one
            self._files.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=f'"{found.tag}"')
        except OSError as error:
            if "PreconditionFailed" not in repr(error.__cause__):
                raise
            return False
        return True

    def _removed_from_server(self, path: str, version: str) -> bool:
        """Takes a file aside at once, and only then looks which one it was."""
        aside, target = self._aside(path, version), self.address.below(path)
        if not self._files.exists(aside):
            try:
                self._files.mv(target, aside)
            except FileNotFoundError:
                return True
        if self._seen(self._files.info(aside)).version == version:
            self._files.rm_file(aside)
            return True
        number, back = 1, target
        stem, dot, suffix = target.rpartition(".")
        while self._files.exists(back):  # uploaded once more meanwhile
            number += 1
            back = f"{stem}-{number}{dot}{suffix}"
        self._files.mv(aside, back)
        return False

    # ---- how ---------------------------------------------------------------------------------

    def _tried(self, attempt: Callable[[], _Found]) -> _Found:
        def once() -> _Found:
            with gate(self.address):
                try:
                    return attempt()
                except RemoteFault:
                    raise
                except Exception:
                    self._renew()
                    raise

        retrying = Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, RemoteFault) and error.passing
            ),
            stop=lambda state: stop_after_attempt(_TRIES)(state) or not self._goes_on(),
            wait=wait_exponential_jitter(initial=1, max=20),
            sleep=self._pause,
            reraise=True,
        )
        return retrying(once)

    def _pause(self, seconds: float) -> None:
        self._sleep(seconds)

    def _renew(self) -> None:
        """Connects anew for the next try, where there is a connection."""
        if self._by_server:
            self.close()

    def _is(self, path: str, version: str) -> bool:
        found = self._entry(path)
        return found is not None and found.version == version

    def _aside(self, path: str, what: str) -> str:
        """A hidden path beside another one, the same whenever it is asked for."""
        folder, _, name = self.address.below(path).rpartition("/")
        mark = hashlib.sha256(f"{name}\n{what}".encode()).hexdigest()[:12]
        return f"{folder}/.importer-{mark}"

    @property
    def _by_server(self) -> bool:
        return self.address.scheme == "sftp"

    @property
    def _files(self) -> Any:
        if self._system is None:
            self._system = _opened(self.address, self._timeout_s)
        return self._system

    def _seen(self, facts: Any) -> Entry:
        tag = str(facts.get("ETag") or facts.get("etag") or "").strip('"')
        time = _time(next((facts[name] for name in _TIMES if facts.get(name)), None))
        size = int(facts.get("size") or 0)
        second = f"{time:%Y-%m-%dT%H:%M:%SZ}" if time is not None else ""
        return Entry(
            name=str(facts["name"]).rstrip("/").rpartition("/")[2],
            size=size,
            version=" ".join(filter(None, (str(size), tag, second))),
            tag=tag,
            changed_s=time.timestamp() if time is not None and not self._by_server else _FOREVER,
            folder=facts["type"] == "directory",
        )


def _passing(error: BaseException) -> bool:
    return isinstance(error, RemoteFault) and error.passing


def _time(said: object) -> datetime | None:
    if isinstance(said, str):
        said = datetime.fromisoformat(said)
    if not isinstance(said, datetime):
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)


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


def _opened(address: Address, timeout_s: float) -> Any:
    """The file system of an address, which remembers nothing of what it listed.

    Raises:
        RemoteFault: what can speak to it is not installed.
    """
    common = {"use_listings_cache": False, "skip_instance_cache": True}
    try:
        if address.scheme == "sftp":
            from importer.nightly.remote.sftp import CarefulSftp  # noqa: PLC0415 - an extra

            return CarefulSftp(address.host, address.user, address.port, timeout_s)
        import fsspec  # noqa: PLC0415 - an extra

        if address.scheme == "s3":
            limits = {
                "connect_timeout": timeout_s,
                "read_timeout": timeout_s,
                "retries": {"max_attempts": 0},  # ours are enough
            }
            system = fsspec.filesystem("s3", config_kwargs=limits, **common)
            system.retries = 1
            return system
        return fsspec.filesystem({"az": "abfs"}.get(address.scheme, address.scheme), **common)
    except ImportError as exc:
        extra = EXTRAS[address.scheme]
        raise RemoteFault(
            f"{address.scheme}:// inboxes need more than is installed.",
            f"pip install 'importer[{extra}]'",
        ) from exc
