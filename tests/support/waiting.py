"""Waiting for what another process or thread does, without sleeping longer than it takes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable
    from pathlib import Path


_MOST_S: Final = 120.0  # a process may start slowly beside others
_SOON_S: Final = 0.002
_LATER_S: Final = 0.05


def wait_until(
    happened: Callable[[], bool], *processes: subprocess.Popen[Any], most_s: float = _MOST_S
) -> None:
    """Wait until something happened; fail if that takes too long, or a process ended."""
    began = time.monotonic()
    while not happened():
        for process in processes:
            if process.poll() is not None:
                raise AssertionError(f"it ended with {process.communicate()}")
        waited = time.monotonic() - began
        assert waited < most_s, "it does not happen"
        time.sleep(min(max(waited / 10, _SOON_S), _LATER_S))  # a look may cost what is waited for


def has_logged(log: Path, event: str) -> Callable[[], bool]:
    """Whether a log of JSON lines has an event."""
    return lambda: log.is_file() and f'"event": "{event}"' in log.read_text("utf-8")
