"""A file is either whole or not there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from importer.atomic_file import replace_file
from importer.errors import Exit, ImporterError, UsageError


def test_the_file_takes_its_place_at_the_end(tmp_path: Path) -> None:
    """Until then the old one is there, and afterwards nothing else is."""
    path = tmp_path / "out.txt"
    path.write_text("old")
    path.chmod(0o640)
    with replace_file(path) as out:
        out.write("new Ä\n")
        out.flush()
        assert path.read_text() == "old"
    assert path.read_bytes() == "new Ä\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_what_was_there(tmp_path: Path) -> None:
    """Nothing half-written stays, neither under the name nor beside it."""
    path = tmp_path / "out.txt"
    path.write_text("old")

    def half_a_file() -> None:
        with replace_file(path) as out:
            out.write("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half_a_file()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    """The message says which folder, and the exit code says wrong usage."""
    missing = tmp_path / "nowhere"
    with pytest.raises(UsageError, match="nowhere") as caught, replace_file(missing / "out.txt"):
        pass
    assert caught.value.exit_code is Exit.USAGE
    assert not missing.exists()


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    """Writing over a folder is refused before anything is written."""
    with pytest.raises(UsageError, match="is a folder"), replace_file(tmp_path):
        pass


def test_a_link_keeps_pointing_where_it_did(tmp_path: Path) -> None:
    """The file behind the link is replaced, not the link."""
    real = tmp_path / "real.txt"
    real.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(real)
    with replace_file(link) as out:
        out.write("new")
    assert link.is_symlink()
    assert real.read_text() == "new"


def test_a_device_is_written_to_and_stays_a_device() -> None:
    """Nobody replaces /dev/null."""
    with replace_file(Path("/dev/null")) as out:
        out.write("gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_an_error_with_a_name(tmp_path: Path) -> None:
    """What the system says is passed on, as a message for a person."""
    path = tmp_path / "full.txt"
    path.symlink_to("/dev/full")
    with pytest.raises(ImporterError, match="No space left"), replace_file(path) as out:
        out.write("x" * 100_000)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    """The message says what the system said."""
    tmp_path.chmod(0o500)
    try:
        with (
            pytest.raises(UsageError, match="Permission denied"),
            replace_file(tmp_path / "out.txt"),
        ):
            pass
    finally:
        tmp_path.chmod(0o700)
