"""The files of remote inboxes as each kind of store has them; one try each, as fsspec does it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from importer.nightly.remote.address import EXTRAS
from importer.nightly.remote.remote_errors import RemoteFault

if TYPE_CHECKING:
    from pathlib import Path

    from importer.nightly.remote.address import Address


_BLOCK: Final = 8 << 20
TRIES: Final = 4
"""How often a step is tried where nothing else tries it again."""
_TIMES: Final = ("LastModified", "updated", "last_modified", "mtime")
_COMMON: Final = {"use_listings_cache": False, "skip_instance_cache": True}
"""What was listed once is no news: nothing is remembered."""


@dataclass(frozen=True, slots=True)
class StoredFile:
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

    @classmethod
    def of(cls, facts: Any) -> StoredFile:
        """What fsspec's facts say, under whichever names each store has for them."""
        tag = str(facts.get("ETag") or facts.get("etag") or "").strip('"')
        time = _time(next((facts[name] for name in _TIMES if facts.get(name)), None))
        size = int(facts.get("size") or 0)
        second = f"{time:%Y-%m-%dT%H:%M:%SZ}" if time is not None else ""
        return cls(
            name=str(facts["name"]).rstrip("/").rpartition("/")[2],
            size=size,
            version=" ".join(filter(None, (str(size), tag, second))),
            tag=tag,
            changed_s=time.timestamp() if time is not None and tag else float("inf"),
            folder=facts["type"] == "directory",
        )


class ObjectFiles:
    """The objects of a store that has tags for them, and puts each whole or not at all.

    Paths are relative to the inbox. Whatever fsspec and its libraries raise goes through.

    Args:
        address: of the inbox.
        timeout_s: of every step of the network, seconds.
    """

    tries: int = 1
    """How often a step is tried; once where the store's own library tries it again and again."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._system: Any = None

    @property
    def system(self) -> Any:
        """Fsspec's file system, made when it is asked for."""
        if self._system is None:
            try:
                self._system = self.connected()
            except ImportError as exc:
                scheme = self.address.scheme
                raise RemoteFault(
                    f"{scheme}:// inboxes need more than is installed.",
                    f"pip install '.[{EXTRAS[scheme]}]'",
                ) from exc
        return self._system

    def connected(self) -> Any:
        """A new file system; raises ImportError where nothing installed can speak to it."""
        import fsspec  # noqa: PLC0415 - an extra

        return fsspec.filesystem(
            {"az": "abfs"}.get(self.address.scheme, self.address.scheme), **_COMMON
        )

    def renew(self) -> None:
        """Makes ready for another try; there is no connection that could be broken."""

    def close(self) -> None:
        """Lets go of the file system."""
        self._system = None

    def listed(self, path: str) -> list[StoredFile]:
        """What lies in a folder, in order of name; nothing where it is not there."""
        where = self.address.below(path)
        try:
            found = self.system.ls(where, detail=True)
        except FileNotFoundError as error:
            if self.more_is_missing(path, error):
                raise
            return []
        inside = [facts for facts in found if str(facts["name"]).strip("/") != where.strip("/")]
        entries = [
            StoredFile.of(facts) for facts in inside if facts["type"] in {"file", "directory"}
        ]
        return sorted((each for each in entries if each.name), key=lambda each: each.name)

    def more_is_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether more than a folder is: an empty one is not there in an object store."""
        del path, error
        with suppress(PermissionError):  # who may list the inbox may not list all of the bucket
            self.system.ls(self.address.bucket)
        return False

    def entry(self, path: str) -> StoredFile | None:
        """What file lies at a path, or None."""
        try:
            facts = self.system.info(self.address.below(path))
        except FileNotFoundError:
            return None
        return StoredFile.of(facts) if facts["type"] == "file" else None

    def opened(self, path: str) -> Any:
        """A file to read from, as a context."""
        return self.system.open(self.address.below(path), "rb", block_size=_BLOCK)

    def put(self, file: Path, path: str) -> None:
        """Puts a file over whatever lies at a path."""
        self.system.put_file(str(file), self.address.below(path))

    def create(self, path: str, data: bytes) -> None:
        """Puts a small file where nothing lies; raises FileExistsError where something does.

        Stores that cannot promise that put it all the same: look at it once more.
        """
        self.system.pipe_file(self.address.below(path), data, mode="create")

    def rewrite(self, path: str, data: bytes) -> None:
        """Puts a small file over whatever lies at a path."""
        self.system.pipe_file(self.address.below(path), data)

    def remove(self, path: str, version: str) -> bool:
        """Removes a version of a file; False where another one lies there."""
        found = self.entry(path)
        if found is not None and found.version == version:
            return self.removed(path, found)
        return found is None

    def removed(self, path: str, entry: StoredFile) -> bool:
        """Removes a file that was just looked at; what comes at this very moment goes too."""
        del entry
        self.system.rm_file(self.address.below(path))
        return True


class S3Files(ObjectFiles):
    """The objects of a bucket."""

    tries = TRIES

    def connected(self) -> Any:
        """A file system whose own tries do not multiply ours."""
        import fsspec  # noqa: PLC0415 - an extra

        limits = {
            "connect_timeout": self.timeout_s,
            "read_timeout": self.timeout_s,
            "retries": {"max_attempts": 0},
        }
        system = fsspec.filesystem("s3", config_kwargs=limits, **_COMMON)
        system.retries = 1
        return system

    def more_is_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether the bucket is."""
        del path
        return "NoSuchBucket" in repr(error.__cause__)

    def create(self, path: str, data: bytes) -> None:
        """Puts an object where nothing lies: the store itself looks, if it can."""
        try:
            super().create(path, data)
        except OSError as error:
            if "PreconditionFailed" in repr(error.__cause__):
                raise FileExistsError(path) from error
            if "NotImplemented" not in repr(error.__cause__):
                raise
            if self.entry(path) is not None:  # a server that is only like S3
                raise FileExistsError(path) from error
            self.system.pipe_file(self.address.below(path), data)

    def removed(self, path: str, entry: StoredFile) -> bool:
        """Removes an object if it still has its tag: the store itself looks."""
        bucket, key, _ = self.system.split_path(self.address.below(path))
        try:
            self.system.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=f'"{entry.tag}"')
        except OSError as error:
            if "NotImplemented" in repr(error.__cause__):  # a server that is only like S3
                return super().removed(path, entry)
            if "PreconditionFailed" not in repr(error.__cause__):
                raise
            return False
        return True


def _time(said: object) -> datetime | None:
    if isinstance(said, str):
        said = datetime.fromisoformat(said)
    if not isinstance(said, datetime):
        return None
    return said.replace(tzinfo=UTC) if said.tzinfo is None else said.astimezone(UTC)


class SftpFiles(ObjectFiles):
    """The files of a server, which renames at once and keeps what was cut off."""

    tries = TRIES

    def connected(self) -> Any:
        """A connection."""
        from importer.nightly.remote.sftp import CarefulSftp  # noqa: PLC0415 - an extra

        a = self.address
        return CarefulSftp(a.host, a.user, a.port, self.timeout_s)

    def renew(self) -> None:
        """Ends the connection, so that another try makes a new one."""
        self.close()

    def close(self) -> None:
        """Ends the connection."""
        if self._system is not None:
            self._system.close()
        super().close()

    def more_is_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether the inbox itself is."""
        del error
        return not path

    def put(self, file: Path, path: str) -> None:
        """Puts a file beside its place under a hidden name, and then to its place at once."""
        draft = self._aside(path, "draft")
        self.system.put_file(str(file), draft)
        self.system.mv(draft, self.address.below(path))

    def create(self, path: str, data: bytes) -> None:
        """Puts a file beside its place, and renames it only where nothing has the name."""
        draft, target = self._aside(path, token_hex(8)), self.address.below(path)
        self.system.pipe_file(draft, data)
        try:
            self.system.settle(draft, target)
        except FileExistsError:
            self.system.rm_file(draft)
            raise

    def rewrite(self, path: str, data: bytes) -> None:
        """Puts a file beside its place, and then to its place at once."""
        draft = self._aside(path, token_hex(8))
        self.system.pipe_file(draft, data)
        self.system.mv(draft, self.address.below(path))

    def remove(self, path: str, version: str) -> bool:
        """Takes a file aside at once, and only then looks which one it was."""
        aside, target = self._aside(path, version), self.address.below(path)
        if not self.system.exists(aside):  # from a night that was cut off here
            try:
                self.system.mv(target, aside)
            except FileNotFoundError:
                return True
        if StoredFile.of(self.system.info(aside)).version == version:
            self.system.rm_file(aside)
            return True
        number, back = 1, target
        stem, dot, suffix = target.rpartition(".")
        while self.system.exists(back):  # uploaded once more meanwhile
            number += 1
            back = f"{stem}-{number}{dot}{suffix}"
        self.system.mv(aside, back)
        return False

    def _aside(self, path: str, what: str) -> str:
        """A hidden path beside another one, the same whenever it is asked for."""
        folder, _, name = self.address.below(path).rpartition("/")
        mark = hashlib.sha256(f"{name}\n{what}".encode()).hexdigest()[:12]
        return f"{folder}/.importer-{mark}"
