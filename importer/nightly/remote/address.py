"""The address of a remote inbox, such as s3://bucket/inbox."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from importer.errors import UsageError

EXTRAS: Final = {"s3": "s3", "gs": "gs", "az": "az", "abfs": "az", "sftp": "sftp"}
"""Scheme of an address -> the extra of this package that supports it."""
_KNOWN: Final = "s3://, gs://, az:// and sftp://"


def is_remote(text: str) -> bool:
    """Whether a command's argument is an address, not a folder of this machine."""
    return "://" in text


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a remote inbox, or of a file in it; it holds no secret.

    Attributes:
        scheme: one of `EXTRAS`.
        host: bucket, container, or name of the server.
        path: below the host, without slashes at its ends; on a server, from its root.
        user: the user of an SFTP server; None for the user in SSH's settings.
        port: the port of an SFTP server; None for the port in SSH's settings.
    """

    scheme: str
    host: str
    path: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read an address.

        Raises:
            UsageError: it is not an address, or contains credentials or a token.
        """
        scheme, _, rest = text.partition("://")
        if scheme not in EXTRAS:
            raise UsageError(
                f"There are no inboxes at {scheme}:// addresses.", f"Give a folder, or {_KNOWN}."
            )
        login = rest.partition("/")[0].rpartition("@")[0]
        if ":" in login or (login and scheme != "sftp"):
            raise UsageError(
                "The address contains credentials, and every list of processes shows it.",
                "Remove them, and renew them. SFTP takes a key file or an agent; the others take "
                "what their own tools use: the environment, or a profile.",
            )
        if "?" in rest or "#" in rest:
            raise UsageError(
                "The address has a `?` or `#`, which usually means a token.",
                "Name only bucket and folder; credentials come from the environment.",
            )
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            port = parts.port
        except ValueError as exc:
            raise UsageError("The address has an invalid host or port.") from exc
        sftp = scheme == "sftp"
        host = (parts.hostname or "") if sftp else parts.netloc
        path = re.sub(r"/{2,}", "/", rest.partition("/")[2]).strip("/")
        if not host:
            raise UsageError(
                f"{scheme}:// names no bucket or server.", "Name the bucket or the server."
            )
        if {".", ".."} & set(path.split("/")):
            raise UsageError("The address has `.` or `..` in it.", "Name the folder itself.")
        return cls(scheme, host, path, parts.username if sftp else None, port if sftp else None)

    def __str__(self) -> str:
        """Return the address in its normal form."""
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{user}{host}{port}/{self.path}".rstrip("/")

    def below(self, path: str) -> str:
        """Return a path below this address as its file system names it."""
        if self.scheme == "sftp":
            return "/" + "/".join(filter(None, (self.path, path)))
        return "/".join(filter(None, (self.host, self.path, path)))

    @property
    def bucket(self) -> str:
        """Return the bucket as its file system names it, or the root of a server."""
        return Address(self.scheme, self.host, "").below("")

    @property
    def folder_name(self) -> str:
        """Return a name for a local folder that is unique to this address."""
        words = re.sub(r"[^A-Za-z0-9.-]+", "-", str(self)).strip("-.")[:60]
        return f"{words}-{hashlib.sha256(str(self).encode()).hexdigest()[:8]}"

    def split_at(self, *names: str) -> tuple[Address, str] | None:
        """Return the inbox and the path in it if this file is in one of these folders, or None."""
        parts = self.path.split("/")
        for at in (len(parts) - 2, len(parts) - 3):
            if at >= 0 and parts[at] in names:
                inbox = Address(self.scheme, self.host, "/".join(parts[:at]), self.user, self.port)
                return inbox, "/".join(parts[at:])
        return None
