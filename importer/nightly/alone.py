"""One night at a time in an inbox: the operating system keeps the lock, so no dead process does."""

from __future__ import annotations

import json
import os
import socket
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from importer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path


@contextmanager
def alone(root: Path, since: datetime) -> Iterator[None]:
    """Keeps every other night out of an inbox.

    Raises:
        ConfigurationError: another one works there, or the inbox cannot be written to.
    """
    if root.is_file():
        raise ConfigurationError(f"{root} is a file; an inbox is a folder.", "Name the folder.")
    if not root.is_dir():
        raise ConfigurationError(f"There is no folder {root}.", "Make it, or correct its name.")
    card = root / ".nightly-holder"
    lock = FileLock(root / ".nightly-lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"Another night works in {root}{_read(card)}.", "Wait until it has ended."
        ) from None
    except OSError as exc:
        raise ConfigurationError(
            f"The inbox {root} cannot be written to: {exc.strerror}.",
            "Give the importer write access to the whole inbox.",
        ) from exc
    try:
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{since:%H:%M} UTC"}
        with suppress(OSError):  # a courtesy to others: the lock is held without it
            card.write_text(json.dumps(facts), "utf-8")
        yield
    finally:
        with suppress(OSError):
            card.unlink(missing_ok=True)
        lock.release()


def _read(card: Path) -> str:
    try:
        facts = json.loads(card.read_text("utf-8"))
        return f" since {facts['since']} (process {facts['pid']} on {facts['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
