"""Keys and marks are on disk before anything is built on them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from importer.atomic_file import write_durably

if TYPE_CHECKING:
    from pathlib import Path


class Disk:
    """Notes what is put on it, and what the folder held by then."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen: list[tuple[str, bytes | list[str]]] = []

    def sync(self, number: int) -> None:
        """Take the place of `os.fsync`."""
        if stat.S_ISDIR(os.fstat(number).st_mode):
            assert os.fstat(number).st_ino == self.folder.stat().st_ino
            self.seen.append(("folder", sorted(path.name for path in self.folder.iterdir())))
        else:
            self.seen.append(("file", os.pread(number, 100, 0)))


@pytest.mark.parametrize("replace", [True, False])
def test_the_file_and_then_its_name_are_synced(tmp_path: Path, *, replace: bool) -> None:
    """The content before it gets its name, and the name before the caller goes on."""
    disk = Disk(tmp_path)
    assert write_durably(tmp_path / "key", b"secret", replace=replace, fsync=disk.sync)
    assert disk.seen[0] == ("file", b"secret")
    kind, names = disk.seen[1]
    assert kind == "folder"
    assert "key" in names
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600


def test_what_is_there_stays_unless_it_is_replaced(tmp_path: Path) -> None:
    """A second key would be another one."""
    write_durably(tmp_path / "key", b"first", replace=False)
    assert not write_durably(tmp_path / "key", b"second", replace=False)
    assert (tmp_path / "key").read_bytes() == b"first"
    assert write_durably(tmp_path / "key", b"third")
    assert (tmp_path / "key").read_bytes() == b"third"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """The disk is full while it is written."""
    (tmp_path / "key").write_bytes(b"first")

    def full(number: int) -> None:
        raise OSError(28, "No space left on device", number)

    with pytest.raises(OSError, match="No space"):
        write_durably(tmp_path / "key", b"second", fsync=full)
    assert (tmp_path / "key").read_bytes() == b"first"
    assert len(list(tmp_path.iterdir())) == 1
