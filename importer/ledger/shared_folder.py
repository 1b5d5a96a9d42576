"""Find out whether a ledger's file is in a folder that other computers have, too.

A ledger in a file protects people on one computer. A program that copies folders gives each
computer a ledger of its own, and brings them together minutes later. On a network drive, SQLite's
`-wal` file works for one computer at a time (https://sqlite.org/wal.html). In both cases a second
computer does not know in time who was contacted.

Folders are recognised by the names that the programs give them, and by the marks that they leave.
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
"""The names of folders, and what copies them."""

_MARKS: Final = (
    (".dropbox", "Dropbox"),
    (".dropbox.cache", "Dropbox"),
    (".nextcloudsync.log", "Nextcloud"),
    (".owncloudsync.log", "ownCloud"),
    (".stfolder", "Syncthing"),
    (".tmp.driveupload", "Google Drive"),
)
"""What programs leave in the folders that they copy."""

_NETWORK: Final = frozenset(
    {
        *("afs", "beegfs", "ceph", "cifs", "davfs", "glusterfs", "gpfs", "lustre", "ncpfs"),
        *("nfs", "nfs4", "smb3", "smbfs"),
        *("fuse.ceph", "fuse.davfs2", "fuse.gcsfuse", "fuse.glusterfs", "fuse.rclone"),
        *("fuse.s3fs", "fuse.sshfs", "fuse.blobfuse", "fuse.blobfuse2"),
    }
)
"""Linux's names of file systems that are on another computer."""

_MOUNTS: Final = Path("/proc/self/mounts")


@dataclass(frozen=True, slots=True)
class SharedFolder:
    """A folder that other computers have, too.

    Attributes:
        path: the folder.
        program: what copies it to other computers; empty if it is on a network drive.
        file_system: the kind of that drive, such as `nfs4`; empty if a program copies it.
    """

    path: Path
    program: str = ""
    file_system: str = ""


def find_shared_folder(file: Path, mounts: Path = _MOUNTS) -> SharedFolder | None:
    """Return the folder of a file that other computers have, too; None if nothing shows one.

    Args:
        file: need not exist.
        mounts: the kernel's list of mounted file systems; without it, only names and marks count.
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
    """Return the kind of the file system that a folder is on; empty if it is not known."""
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
    """Undo the kernel's octal escapes of spaces and the like."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), place)
