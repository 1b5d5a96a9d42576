"""A disk of its own that is soon full: really mounted, where this process may do so."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Path]:
    """Yield a small file system, mounted at a folder; skip the test if that is forbidden."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ("mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", str(folder))
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount to make a small disk with")
    if done.returncode:
        pytest.skip(f"a small disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(("umount", "--lazy", str(folder)), check=True)


def fill_disk(folder: Path, free: int = 0) -> Path:
    """Fill a folder's disk up to some free bytes; return the file to remove for room."""
    filler = folder / ".filler"
    page = bytes(4096)
    with filler.open("wb", buffering=0) as out:
        try:
            while out.write(page) == len(page):
                pass
        except OSError:
            out.truncate(max(0, out.tell() - free) // 4096 * 4096)
    return filler
