"""The files of remote inboxes, for each kind of store. fsspec does the work, without retries."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final

from importer.errors import ConfigurationError, Exit
from importer.nightly.inbox import numbered_names
from importer.nightly.remote.address import EXTRAS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.nightly.remote.address import Address


# ---- what their exceptions mean ------------------------------------------------------------------


class RemoteFault(ConfigurationError):
    """A remote inbox failed; the text has no personal data and no content of files.

    Args:
        message: what is wrong.
        fix: what to do about it.
        passing: whether another attempt may help.
    """

    def __init__(self, message: str, fix: str = "", *, passing: bool = False) -> None:
        super().__init__(message, fix)
        self.passing = passing


class RemoteStopped(RemoteFault):
    """The night ended during a transfer."""

    exit_code = Exit.INTERRUPTED


_WAYS: Final = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account.",
    "az": "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with its key.",
    "abfs": "Set AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME with its key.",
    "sftp": "Give it a key that the server knows: ~/.ssh/config, ~/.ssh/id_ed25519, or an agent.",
}
"""Scheme -> where its credentials come from."""

_WORDS: Final[tuple[tuple[frozenset[str], str, str], ...]] = (
    (
        frozenset({"BadHostKeyException"}),
        "{place} shows another host key than known_hosts has for it.",
        "Ask its owner why. Until then nothing is sent there.",
    ),
    (
        frozenset({"UnknownHostKey"}),
        "The host key of {place} is not in known_hosts.",
        "Get the key from the server's owner, and put it into ~/.ssh/known_hosts.",
    ),
    (
        frozenset({
            "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError",
            "ProfileNotFound", "TokenRetrievalError", "SSOTokenLoadError",
            "UnauthorizedSSOTokenError", "DefaultCredentialsError", "CredentialUnavailableError",
        }),
        "There are no credentials for {place}.",
        "{way}",
    ),
    (
        frozenset({
            "AuthenticationException", "PasswordRequiredException", "ClientAuthenticationError",
            "PermissionError",
        }),
        "{place} refuses access: the credentials are wrong or lack permission.",
        "{way} They must allow listing, reading, writing and deleting there.",
    ),
    (
        frozenset({"FileNotFoundError", "ResourceNotFoundError"}),
        "{address} does not exist: the bucket or the folder is missing.",
        "Make it, or correct its name.",
    ),
)  # fmt: skip
"""Names of exception classes of any library -> what is wrong, and what to do."""

_PASSING: Final = frozenset({
    "OSError", "EOFError", "SSHException", "HTTPClientError", "ConnectionError", "ClientError",
    "HttpError", "FSTimeoutError", "ResponseParserError", "ServiceRequestError",
    "ServiceResponseError",
})  # fmt: skip
"""Names of exception classes worth retrying."""


def explain(address: Address, error: Exception) -> RemoteFault:
    """Return the fault that an exception of a remote store means, without quoting the exception."""
    if isinstance(error, RemoteFault):
        return error
    names, kind = _names(error), type(error).__name__
    words = {
        "place": f"{address.scheme}://{address.host}",
        "address": str(address),
        "way": _WAYS[address.scheme],
    }
    for marks, message, fix in _WORDS:
        if names & marks:
            return RemoteFault(message.format(**words), fix.format(**words))
    if names & _PASSING or "Timeout" in kind:
        return RemoteFault(
            f"{words['place']} does not answer properly ({kind}).",
            "The next night continues.",
            passing=True,
        )
    return RemoteFault(
        f"{words['place']} cannot be used ({kind}).", "Check its address and its settings."
    )


@contextmanager
def translate_errors(address: Address) -> Iterator[None]:
    """Turn every exception of a remote store into a RemoteFault."""
    try:
        yield
    except Exception as error:  # the libraries of the stores share no base class
        raise explain(address, error) from error


def _names(error: BaseException) -> set[str]:
    """Return the class names of an exception and of its cause."""
    raised = [error, *([error.__cause__] if error.__cause__ is not None else [])]
    names = {each.__name__ for one in raised for each in type(one).__mro__}
    if "SSHException" in names and "known_hosts" in str(error):
        names.add("UnknownHostKey")  # paramiko has no class for it
    return names


# ---- the files -----------------------------------------------------------------------------------


_BLOCK: Final = 8 << 20
TRIES: Final = 4
"""Attempts for a step that no library repeats by itself."""
_TIMES: Final = ("LastModified", "updated", "last_modified", "mtime")
_COMMON: Final = {"use_listings_cache": False, "skip_instance_cache": True}
"""Nothing is cached: others change the folders."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """An entry of a remote folder.

    Attributes:
        name: the name without the folder.
        size: bytes.
        version: distinguishes it from other files at the same path: size, entity tag if the
            store has one, and time of the last change in seconds.
        tag: only the entity tag; empty if the store has none.
        changed_s: when it last changed, in seconds since 1970, by the store's clock. Infinite if
            the uploader sets the time; then only watching shows that an upload is complete.
        folder: whether it is a folder.
    """

    name: str
    size: int
    version: str
    tag: str
    changed_s: float
    folder: bool

    @classmethod
    def of(cls, facts: Any) -> StoredFile:
        """Read an entry of fsspec, whose keys differ between stores."""
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
    """The objects of a store that has entity tags and writes each object completely or not at all.

    Paths are relative to the inbox. Exceptions of fsspec and its libraries pass through.

    Args:
        address: the address of the inbox.
        timeout_s: seconds for each network step.
    """

    tries: int = 1
    """Attempts for a step; 1 if the store's own library repeats it."""

    def __init__(self, address: Address, timeout_s: float) -> None:
        self.address = address
        self.timeout_s = timeout_s
        self._system: Any = None

    @property
    def system(self) -> Any:
        """Return fsspec's file system, created on first use."""
        if self._system is None:
            try:
                self._system = self.connect()
            except ImportError as exc:
                scheme = self.address.scheme
                raise RemoteFault(
                    f"{scheme}:// inboxes need a package that is not installed.",
                    f"Run `pip install '.[{EXTRAS[scheme]}]'` in the importer's folder.",
                ) from exc
        return self._system

    def connect(self) -> Any:
        """Create the file system; raise ImportError if its library is not installed."""
        import fsspec  # noqa: PLC0415 - an extra

        return fsspec.filesystem(
            {"az": "abfs"}.get(self.address.scheme, self.address.scheme), **_COMMON
        )

    def renew(self) -> None:
        """Prepare for another attempt; here there is no connection to renew."""

    def close(self) -> None:
        """Drop the file system."""
        self._system = None

    def list_folder(self, path: str) -> list[StoredFile]:
        """Return the entries of a folder by name; none if it does not exist."""
        where = self.address.below(path)
        try:
            found = self.system.ls(where, detail=True)
        except FileNotFoundError as error:
            if self.is_root_missing(path, error):
                raise
            return []
        inside = [facts for facts in found if str(facts["name"]).strip("/") != where.strip("/")]
        entries = [
            StoredFile.of(facts) for facts in inside if facts["type"] in {"file", "directory"}
        ]
        return sorted((each for each in entries if each.name), key=lambda each: each.name)

    def is_root_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether more than the folder is missing: object stores have no empty folders."""
        del path, error
        with suppress(PermissionError):  # permission for the inbox need not cover the whole bucket
            self.system.ls(self.address.bucket)
        return False

    def entry(self, path: str) -> StoredFile | None:
        """Return the file at a path, or None."""
        try:
            facts = self.system.info(self.address.below(path))
        except FileNotFoundError:
            return None
        return StoredFile.of(facts) if facts["type"] == "file" else None

    def open_file(self, path: str) -> Any:
        """Open a file for reading; use the result as a context manager."""
        return self.system.open(self.address.below(path), "rb", block_size=_BLOCK)

    def put(self, file: Path, path: str) -> None:
        """Upload a file to a path, replacing what is there."""
        self.system.put_file(str(file), self.address.below(path))

    def create(self, path: str, data: bytes) -> None:
        """Create a small file; raise FileExistsError if something is there.

        A store that cannot promise this overwrites, so callers read the file again.
        """
        self.system.pipe_file(self.address.below(path), data, mode="create")

    def rewrite(self, path: str, data: bytes) -> None:
        """Write a small file to a path, replacing what is there."""
        self.system.pipe_file(self.address.below(path), data)

    def remove(self, path: str, version: str) -> bool:
        """Remove a version of a file; False if another version is there."""
        found = self.entry(path)
        if found is not None and found.version == version:
            return self.remove_checked(path, found)
        return found is None

    def remove_checked(self, path: str, entry: StoredFile) -> bool:
        """Remove a file that was just checked, or a file that has replaced it since."""
        del entry
        self.system.rm_file(self.address.below(path))
        return True


class S3Files(ObjectFiles):
    """The objects of a bucket."""

    tries = TRIES

    def connect(self) -> Any:
        """Create a file system whose own retries do not multiply ours."""
        import fsspec  # noqa: PLC0415 - an extra

        limits = {
            "connect_timeout": self.timeout_s,
            "read_timeout": self.timeout_s,
            "retries": {"max_attempts": 0},
        }
        system = fsspec.filesystem("s3", config_kwargs=limits, **_COMMON)
        system.retries = 1
        return system

    def is_root_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether the bucket is missing."""
        del path
        return "NoSuchBucket" in repr(error.__cause__)

    def create(self, path: str, data: bytes) -> None:
        """Create an object; if it can, the store checks that there is none."""
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

    def remove_checked(self, path: str, entry: StoredFile) -> bool:
        """Remove an object if its tag is unchanged, which the store checks."""
        bucket, key, _ = self.system.split_path(self.address.below(path))
        try:
            self.system.call_s3("delete_object", Bucket=bucket, Key=key, IfMatch=f'"{entry.tag}"')
        except OSError as error:
            if "NotImplemented" in repr(error.__cause__):  # a server that is only like S3
                return super().remove_checked(path, entry)
            if "PreconditionFailed" not in repr(error.__cause__):
                raise
            return False
        return True


def _time(value: object) -> datetime | None:
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return None
    return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class SftpFiles(ObjectFiles):
    """The files of an SFTP server, which renames atomically but keeps unfinished uploads."""

    tries = TRIES

    def connect(self) -> Any:
        """Connect to the server."""
        from importer.nightly.remote.sftp import CarefulSftp  # noqa: PLC0415 - an extra

        a = self.address
        return CarefulSftp(a.host, a.user, a.port, self.timeout_s)

    def renew(self) -> None:
        """Close the connection, so that the next attempt makes a new one."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        if self._system is not None:
            self._system.close()
        super().close()

    def is_root_missing(self, path: str, error: FileNotFoundError) -> bool:
        """Whether the inbox itself is missing."""
        del error
        return not path

    def put(self, file: Path, path: str) -> None:
        """Upload a file under a hidden name, then rename it."""
        draft = self._aside(path, "draft")
        self.system.put_file(str(file), draft)
        self.system.mv(draft, self.address.below(path))

    def create(self, path: str, data: bytes) -> None:
        """Write a file under a hidden name; rename it only if its name is free."""
        draft, target = self._aside(path, token_hex(8)), self.address.below(path)
        self.system.pipe_file(draft, data)
        try:
            self.system.rename_new(draft, target)
        except FileExistsError:
            self.system.rm_file(draft)
            raise

    def rewrite(self, path: str, data: bytes) -> None:
        """Write a file under a hidden name, then rename it."""
        draft = self._aside(path, token_hex(8))
        self.system.pipe_file(draft, data)
        self.system.mv(draft, self.address.below(path))

    def remove(self, path: str, version: str) -> bool:
        """Rename a file, and only then check which version it was."""
        aside, target = self._aside(path, version), self.address.below(path)
        if not self.system.exists(aside):  # from a night that was cut off here
            try:
                self.system.mv(target, aside)
            except FileNotFoundError:
                return True
        if StoredFile.of(self.system.info(aside)).version == version:
            self.system.rm_file(aside)
            return True
        folder, _, name = target.rpartition("/")  # by now it may have been uploaded again
        paths = (f"{folder}/{each}" for each in numbered_names(name))
        self.system.mv(aside, next(path for path in paths if not self.system.exists(path)))
        return False

    def _aside(self, path: str, what: str) -> str:
        """Return a hidden path beside another one, always the same one."""
        folder, _, name = self.address.below(path).rpartition("/")
        mark = hashlib.sha256(f"{name}\n{what}".encode()).hexdigest()[:12]
        return f"{folder}/.importer-{mark}"
