"""Writing a file so that it is either whole or not there."""

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
def replacing(path: Path) -> Iterator[TextIO]:
    """A new UTF-8 file to write into, which takes the place of `path` at the end.

    It lies in the same folder and is on disk before it takes the place, so that nobody ever sees
    half a file. When the body raises, the new file goes and what was there before stays. An
    existing file keeps its mode; a link keeps pointing where it did; a device or a pipe, such as
    `/dev/stdout`, is written to as it is. Bytes go to the `buffer` of the file.

    Raises:
        UsageError: the folder does not exist or cannot be written to, or `path` is a folder.
        ImporterError: the disk is full, or whatever else the system says while writing.
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
    """Raises where `replacing` would not even begin, so that it can be asked before a long work.

    Args:
        paths: of files to be written later; None is none.

    Raises:
        UsageError: as `replacing` does; nothing is left behind.
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
    """What the new file is called until it takes the place of the old one."""
    return target.with_name(f".{target.name[:100]}.{os.getpid()}.part")


def _opened(temporary: Path, named: Path) -> TextIO:
    """An empty file of our own in the folder of the target."""
    try:
        return temporary.open("w", encoding="utf-8", newline="")
    except FileNotFoundError as exc:
        raise UsageError(
            f"{named} cannot be written: there is no folder {temporary.parent}.", "Make it first."
        ) from exc
    except OSError as exc:
        raise UsageError(
            f"{named} cannot be written: {exc.strerror}.", "Choose a folder that you may write to."
        ) from exc


def _unwritable(path: Path, exc: OSError) -> ImporterError:
    """What the system said, with the name of the file."""
    return ImporterError(f"{path} cannot be written: {exc.strerror or exc}.")
