"""Waiting for what another process or thread does, without sleeping longer than it takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


_MOST_S: Final = 30.0
_LOOK_S: Final = 0.002


def wait_until(
    happened: Callable[[], bool], *processes: subprocess.Popen[str], most_s: float = _MOST_S
) -> None:
    """Wait until something happened; fail if that takes too long, or a process ended."""
    began = time.monotonic()
    while not happened():
        for process in processes:
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.communicate()}")
        assert time.monotonic() - began < most_s, "it does not happen"
        time.sleep(_LOOK_S)


def has_logged(log: Path, event: str) -> Callable[[], bool]:
    """Whether a log of JSON lines has an event."""
    return lambda: log.is_file() and f'"event": "{event}"' in log.read_text("utf-8")
