"""Atomic writing: a file is either complete or not there."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from importer.errors import ImporterError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    temporary = _temporary(target)
    try:
        with _opened(temporary, path) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        if target.exists():
            shutil.copymode(target, temporary)
        temporary.replace(target)
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        temporary.unlink(missing_ok=True)


def refuse_unwritable(*paths: Path | None) -> None:
    """Check before long work that `replace_file` will be able to write.

    Args:
        paths: of files to be written later; None is skipped.

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
            temporary = _temporary(target)
            _opened(temporary, path).close()
            temporary.unlink()


def _is_folder(path: Path) -> UsageError:
    return UsageError(f"{path} is a folder.", "Give the name of a file in it.")


def _temporary(target: Path) -> Path:
    """Return the name of the new file until it replaces the old one."""
    return target.with_name(f".{target.name[:100]}.{os.getpid()}.part")


def _opened(temporary: Path, named: Path) -> TextIO:
    """Open an empty file in the folder of the target."""
    try:
        return temporary.open("w", encoding="utf-8", newline="")
    except FileNotFoundError as exc:
        raise UsageError(
            f"{named} cannot be written: there is no folder {temporary.parent}.",
            "Create it first.",
        ) from exc
    except OSError as exc:
        raise UsageError(
            f"{named} cannot be written: {exc.strerror}.",
            "Choose a folder that you can write to.",
        ) from exc


def _unwritable(path: Path, exc: OSError) -> ImporterError:
    return ImporterError(f"{path} cannot be written: {exc.strerror or exc}.")
