"""SFTP by fsspec, with known hosts only and the keys that SSH itself would use.

Host keys come only from known_hosts; a key that the server shows at first contact is not trusted.
User, port, host name and key file come from the address or else from ~/.ssh/config. Keys come from
there, from ~/.ssh/id_* or from an agent.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Final

import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # otherwise it prints every error

_SYSTEM: Final = Path("/etc/ssh/ssh_known_hosts")


class CarefulSftp(SFTPFileSystem):  # type: ignore[misc]  # fsspec has no types
    """A connection, made when the object is created.

    Args:
        host: as in the address.
        user: None for the one in SSH's settings.
        port: None for the one in SSH's settings.
        timeout_s: seconds for each step.
    """

    cachable = False  # fsspec must not reuse a closed connection

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
        except BaseException:  # raised again; also at Ctrl-C no connection stays open
            self.client.close()
            raise

    def mv(self, old: str, new: str) -> None:
        """Rename a file, replacing what is there, even if the server has only the plain rename."""
        try:
            self.ftp.posix_rename(old, new)
        except OSError as exc:
            if "unsupported" not in str(exc).lower():
                raise
            if self.exists(new):
                self.ftp.remove(new)
            self.ftp.rename(old, new)

    def rename_new(self, old: str, new: str) -> None:
        """Rename a file; raise FileExistsError if something has the new name."""
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
    """Read the host's options in ~/.ssh/config."""
    file = Path("~/.ssh/config").expanduser()
    if not file.is_file():
        return {}
    return dict(paramiko.SSHConfig.from_path(str(file)).lookup(host))
