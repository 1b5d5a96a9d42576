"""Find out whether a ledger's file is in a folder that is shared with other computers.

A ledger in a file works for one computer only. A program that syncs folders gives each computer its
own copy of the ledger, and merges the copies minutes later. On a network drive, SQLite's `-wal`
file works for one computer at a time (https://sqlite.org/wal.html). In both cases, a second
computer learns too late who was contacted.

A synced folder is recognised by its name, or by files that the sync program creates in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_NAMES: Final = (
    (re.compile(r"onedrive( - .+|-.+)?", re.IGNORECASE), "OneDrive"),
    (re.compile(r"dropbox( \(.+\)|-.+)?", re.IGNORECASE), "Dropbox"),
    (re.compile(r"(google ?drive|my drive|googledrive-.+)", re.IGNORECASE), "Google Drive"),
    (re.compile(r"(icloud ?drive|com~apple~clouddocs)", re.IGNORECASE), "iCloud"),
    (re.compile(r"nextcloud|owncloud", re.IGNORECASE), "Nextcloud"),
    (re.compile(r"box sync|box-box", re.IGNORECASE), "Box"),
    (re.compile(r"pcloud ?drive", re.IGNORECASE), "pCloud"),
)
"""Patterns of folder names, each with the program that syncs the folder."""

_MARKS: Final = (
    (".dropbox", "Dropbox"),
    (".dropbox.cache", "Dropbox"),
    (".nextcloudsync.log", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
    (".stfolder", "Syncthing"),
    (".tmp.driveupload", "Google Drive"),
)
"""Files and folders that a sync program creates, each with the name of the program."""

_NETWORK: Final = frozenset(
    {
        *("afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone"),
        *("fuse.s3fs", "fuse.sshfs", "fuse.blobfuse", "fuse.blobfuse2"),
    }
)
"""Linux's names for network file systems."""

_MOUNTS: Final = Path("/proc/self/mounts")


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder that is shared with other computers.

    Attributes:
        path: the folder.
        program: the program that syncs it; empty if it is on a network drive.
        file_system: the type of the network file system, such as `nfs4`; empty if a program syncs
            the folder.
    """

    path: Path
    program: str = ""
    file_system: str = ""


def find_shared_folder(file: Path, mounts: Path = _MOUNTS) -> SharedFolder | None:
    """Return the shared folder that contains a file; None if there is no sign of one.

    Args:
        file: the file, which need not exist.
        mounts: the kernel's list of mounted file systems; if it cannot be read, only names and
            marks count.
    """
    folder = file.resolve().parent
    for each in (folder, *folder.parents):
        for pattern, program in _NAMES:
            if pattern.fullmatch(each.name):
                return SharedFolder(each, program)
        for mark, program in _MARKS:
            if (each / mark).exists() and each != Path.home():
                return SharedFolder(each, program)
    kind = _file_system(folder, mounts)
    return SharedFolder(folder, file_system=kind) if kind in _NETWORK else None


def _file_system(folder: Path, mounts: Path) -> str:
    """Return the type of the file system that contains a folder; empty if unknown."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    kinds = dict[Path, str]()
    for line in lines:
        _, _, rest = line.partition(" ")
        place, _, rest = rest.partition(" ")
        kinds[Path(_unescape(place))] = rest.partition(" ")[0]  # a later mount hides an earlier one
    return next((kinds[each] for each in (folder, *folder.parents) if each in kinds), "")


def _unescape(place: str) -> str:
    """Decode the kernel's octal escapes, such as the one for a space."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)
