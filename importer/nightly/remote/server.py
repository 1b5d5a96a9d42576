"""The files of remote inboxes on SFTP servers, which rename at once and keep what was cut off."""

from __future__ import annotations

import hashlib
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from importer.nightly.remote.files import TRIES, Entry, ObjectFiles

if TYPE_CHECKING:
    from pathlib import Path


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
        if Entry.of(self.system.info(aside)).version == version:
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
