"""A ledger in a file that other computers have, too, is recognised, and nobody is contacted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError
from importer.ledger.shared_folder import find_shared_folder
from importer.planning.history import refuse_shared_folder
from importer.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("folder", "program"),
    [
        ("OneDrive", "OneDrive"),
        ("OneDrive - Acme Staffing GmbH", "OneDrive"),
        ("Library/CloudStorage/OneDrive-Acme", "OneDrive"),
        ("Dropbox", "Dropbox"),
        ("Dropbox (Acme)", "Dropbox"),
        ("Library/CloudStorage/Dropbox-Acme", "Dropbox"),
        ("Google Drive/My Drive", "Google Drive"),
        ("Library/CloudStorage/GoogleDrive-ann@example.com/My Drive", "Google Drive"),
        ("Library/Mobile Documents/com~apple~CloudDocs", "iCloud"),
        ("iCloudDrive", "iCloud"),
        ("Nextcloud", "Nextcloud"),
        ("Library/CloudStorage/Box-Box", "Box"),
    ],
)
def test_a_folder_with_the_name_of_a_program(tmp_path: Path, folder: str, program: str) -> None:
    """Also from deep within it, and for a file that does not exist yet."""
    place = tmp_path / folder / "recruiting" / "november"
    place.mkdir(parents=True)
    found = find_shared_folder(place / "importer.db")
    assert found is not None
    assert (found.program, found.path) == (program, (tmp_path / folder).resolve())


@pytest.mark.parametrize(
    "mark", [".dropbox", ".stfolder", ".nextcloudsync.log", ".tmp.driveupload"]
)
def test_a_folder_with_the_mark_of_a_program(tmp_path: Path, mark: str) -> None:
    """It may have any name."""
    (tmp_path / "team" / "lists").mkdir(parents=True)
    assert find_shared_folder(tmp_path / "team" / "lists" / "importer.db") is None
    (tmp_path / "team" / mark).mkdir()
    assert find_shared_folder(tmp_path / "team" / "lists" / "importer.db") is not None


def test_a_link_into_such_a_folder(tmp_path: Path) -> None:
    """What counts is where the file is."""
    (tmp_path / "Dropbox").mkdir()
    (tmp_path / "work").symlink_to(tmp_path / "Dropbox")
    assert find_shared_folder(tmp_path / "work" / "importer.db") is not None


@pytest.mark.parametrize(
    "name", ["onedrive-export.csv.d", "my dropbox notes", "box", "drive", "mnt"]
)
def test_a_folder_that_only_sounds_like_one(tmp_path: Path, name: str) -> None:
    """The program's own names count, not every name with a part of one."""
    found = find_shared_folder(tmp_path / name / "importer.db")
    assert (found is not None) == name.startswith("onedrive-")


@pytest.mark.parametrize(
    ("kind", "is_shared"), [("nfs4", True), ("cifs", True), ("fuse.sshfs", True), ("ext4", False)]
)
def test_a_network_drive(tmp_path: Path, kind: str, *, is_shared: bool) -> None:
    """The nearest mount decides; the kernel writes a space in its name in octal."""
    share = tmp_path / "team share"
    share.mkdir()
    mounts = tmp_path / "mounts"
    place = str(share).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {place} {kind} rw 0 0\n")
    found = find_shared_folder(share / "importer.db", mounts)
    assert (found is not None and found.file_system == kind) is is_shared
    assert find_shared_folder(tmp_path / "importer.db", mounts) is None
    assert find_shared_folder(share / "importer.db", tmp_path / "missing") is None


def settings(folder: Path, **values: object) -> Settings:
    """Return settings with a ledger in a folder."""
    url = f"sqlite:///{folder / 'importer.db'}"
    return Settings.model_validate(
        {"base_url": "https://api.example.com/v1", "ledger": url, **values}
    )


def test_nobody_is_contacted_from_such_a_folder(tmp_path: Path) -> None:
    """Unless only this computer uses it, or the API is a sandbox."""
    folder = tmp_path / "OneDrive - Acme"
    with pytest.raises(LedgerError, match="OneDrive copies to other computers") as refused:
        refuse_shared_folder(settings(folder))
    assert "ledger_in_shared_folder: true" in str(refused.value.fix)
    refuse_shared_folder(settings(folder, ledger_in_shared_folder=True))
    refuse_shared_folder(settings(folder, base_url="http://127.0.0.1:8765/v1"))
    refuse_shared_folder(settings(tmp_path))
    refuse_shared_folder(settings(folder, ledger="postgresql://db.internal/importer"))
