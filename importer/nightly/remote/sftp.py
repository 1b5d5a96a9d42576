"""SFTP by fsspec, with known hosts only and the keys that SSH itself would use.

Host keys come from known_hosts alone, never from the server's first word; user, port, host name
and key file from the address, else from ~/.ssh/config; keys from there, ~/.ssh/id_* or an agent.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # it would print every fault

_SYSTEM: Final = Path("/etc/ssh/ssh_known_hosts")


class CarefulSftp(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A connection, made when the object is created.

    Args:
        host: as the address has it.
        user: None for SSH's own.
        port: None for SSH's own.
        timeout_s: of every step, seconds.
    """

    cachable = False  # a connection that was ended is not to come back

    def __init__(self, host: str, user: str | None, port: int | None, timeout_s: float) -> None:
        self._user, self._port, self._timeout_s = user, port, timeout_s
        super().__init__(host, host_key_policy="reject")

    def _connect(self) -> None:
        own = _own_settings(self.host)
        self.client = paramiko.SSHClient()
        for known in (_SYSTEM, *map(Path, own.get("userknownhostsfile", "").split())):
            if known.expanduser().is_file():
                self.client.load_system_host_keys(str(known.expanduser()))
        self.client.load_system_host_keys()
        self.client.set_missing_host_key_policy(self.host_key_policy)
        try:
            self.client.connect(
                own.get("hostname", self.host),
                port=self._port or int(own.get("port", 22)),
                username=self._user or own.get("user"),
                key_filename=own.get("identityfile"),
                timeout=self._timeout_s,
                banner_timeout=self._timeout_s,
                auth_timeout=self._timeout_s,
                channel_timeout=self._timeout_s,
            )
            self.ftp = self.client.open_sftp()
            self.ftp.get_channel().settimeout(self._timeout_s)
        except BaseException:
            self.client.close()
            raise

    def mv(self, old: str, new: str) -> None:
        """Rename a file, over what is there, even if the server knows only the plain rename."""
        try:
            self.ftp.posix_rename(old, new)
        except OSError as exc:
            if "unsupported" not in str(exc).lower():
                raise
            if self.exists(new):
                self.ftp.remove(new)
            self.ftp.rename(old, new)

    def rename_new(self, old: str, new: str) -> None:
        """Rename a file; raises FileExistsError if something has the new name."""
        try:
            self.ftp.rename(old, new)
        except OSError as exc:
            if self.exists(new):
                raise FileExistsError(new) from exc
            raise

    def close(self) -> None:
        """Close the connection."""
        self.client.close()


def _own_settings(host: str) -> dict[str, Any]:
    """The host's options in ~/.ssh/config."""
    file = Path("~/.ssh/config").expanduser()
    if not file.is_file():
        return {}
    return dict(paramiko.SSHConfig.from_path(str(file)).lookup(host))
