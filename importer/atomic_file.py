"""Files that are written completely or not at all: reports, results, keys and markers.

Each is written under another name in the same folder, flushed to disk, and then renamed.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, TextIO

from importer.errors import ImporterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""The errors of file systems without hard links."""


@contextmanager
def replace_file(path: Path) -> Iterator[TextIO]:
    """Write a new UTF-8 file that replaces `path` when the body ends.

    The new file is in the same folder and on disk before it replaces the old one, so that nobody
    sees half a file. If the body raises, the old file stays. An existing file keeps its mode, a
    link keeps its target, and a device or pipe such as `/dev/stdout` is written to directly.
    Bytes go to the `buffer` of the file.

    Raises:
        UsageError: the folder does not exist or cannot be written to, or `path` is a folder.
        ImporterError: writing failed, for example because the disk is full.
    """
    target = path.resolve()
    if target.is_dir():
        raise _is_folder(path)
    if target.exists() and not target.is_file():
        try:
            with target.open("w", encoding="utf-8", newline="") as out:
                yield out
        except OSError as exc:
            raise _unwritable(path, exc) from exc
        return
    try:
        with _named_draft(target, path) as (draft, handle):
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as out:
                yield out
                out.flush()
                os.fsync(out.fileno())
            if target.exists():
                shutil.copymode(target, draft)
            draft.replace(target)
    except OSError as exc:
        raise _unwritable(path, exc) from exc


def refuse_unwritable(*paths: Path | None) -> None:
    """Check before long work that `replace_file` will be able to write.

    Args:
        paths: the paths of files to be written later; None is skipped.

    Raises:
        UsageError: as `replace_file` does; nothing is left behind.
    """
    for path in paths:
        if path is None:
            continue
        target = path.resolve()
        if target.is_dir():
            raise _is_folder(path)
        if not target.exists() or target.is_file():
            with _named_draft(target, path) as (_, handle):
                os.close(handle)


def _is_folder(path: Path) -> UsageError:
    return UsageError(f"{path} is a folder.", "Give the name of a file in it.")


@contextmanager
def _draft_of(target: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Create an empty draft beside the target, open for writing; remove it at the end."""
    draft = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.part")
    handle = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        yield draft, handle
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def _named_draft(target: Path, named: Path) -> Iterator[tuple[Path, int]]:
    """Create the draft of a file that a person named, or say why that is impossible."""
    with ExitStack() as stack:
        try:
            draft = stack.enter_context(_draft_of(target, 0o666))
        except FileNotFoundError as exc:
            raise UsageError(
                f"{named} cannot be written: there is no folder {target.parent}.",
                "Create it first.",
            ) from exc
        except OSError as exc:
            raise UsageError(
                f"{named} cannot be written: {exc.strerror}.",
                "Choose a folder that you can write to.",
            ) from exc
        yield draft


def _unwritable(path: Path, exc: OSError) -> ImporterError:
    return ImporterError(f"{path} cannot be written: {exc.strerror or exc}.")


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
        path: the path of the file; its folder exists.
        data: the whole content of the file.
        replace: False leaves an existing file as it is.
        mode: the permissions of the file.
        fsync: puts an open file or folder on disk.
        link: gives a file a second name, unless something has that name.

    Returns:
        Whether it was written.

    Raises:
        OSError: it cannot be written; what was there before is unchanged.
    """
    with _draft_of(path, 0o600) as (draft, handle):
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
    return True


def sync_folder(folder: Path, *, fsync: Callable[[int], None] = os.fsync) -> None:
    """Flush the names in a folder to disk; without this a new file may be lost.

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
