"""Small private files that are on disk, whole, or not there at all: keys and marks."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""The errors of file systems without hard links."""


def write_durably(
    path: Path,
    data: bytes,
    *,
    replace: bool = True,
    mode: int = 0o600,
    fsync: Callable[[int], None] = os.fsync,
    link: Callable[[Path, Path], None] = os.link,
) -> bool:
    """Write a file in one step; it is on disk when this returns.

    Args:
        path: where; its folder exists.
        data: its whole content.
        replace: False leaves an existing file as it is.
        mode: its permissions.
        fsync: puts an open file or folder on disk.
        link: gives a file a second name, unless something has that name.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            fsync(file.fileno())
        if replace:
            draft.replace(path)
        elif not _link(draft, path, link):
            return False
        sync_folder(path.parent, fsync=fsync)
    finally:
        draft.unlink(missing_ok=True)
    return True


def sync_folder(folder: Path, *, fsync: Callable[[int], None] = os.fsync) -> None:
    """Put the names in a folder on disk: a new file may be lost without it.

    Raises:
        OSError: the folder cannot be opened or synced.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        fsync(opened)
    finally:
        os.close(opened)


def _link(draft: Path, path: Path, link: Callable[[Path, Path], None]) -> bool:
    """Give a file its name unless something has that name already."""
    try:
        link(draft, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(path):
            return False
        draft.rename(path)
    return True
