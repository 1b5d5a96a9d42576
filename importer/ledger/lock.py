"""The lock of a ledger in a file: one run at a time; a second one is told who holds it.

A remote inbox has a lock of the same kind, for all nights that share the ledger. On a server, where
many may send, `importer.ledger.lease` does both.

The operating system holds the lock: it ends with the process. Even without the lock, the states in
the tables prevent sending twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from importer.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from importer.ledger.database import Database


@dataclass(frozen=True, slots=True)
class Lockable:
    """An object that can be locked: the ledger, or a remote inbox.

    Attributes:
        name: the name that a person reads.
        suffix: the suffix of the names of its files beside the ledger.
        fix: what to do if it is locked.
    """

    name: str
    suffix: str
    fix: str


def lockable(database: Database, inbox: str = "") -> Lockable:
    """Return the ledger, or the remote inbox at an address."""
    if not inbox:
        fix = "Wait until it has ended, or set ledger_wait_s to wait automatically."
        return Lockable(f"The ledger {database.name}", "", fix)
    digest = hashlib.sha256(inbox.encode()).hexdigest()[:6]
    return Lockable(f"The inbox {inbox}", f"-inbox-{digest}", "Wait until it has ended.")


def _in_use_error(what: Lockable, by: str) -> LedgerError:
    return LedgerError(f"{what.name} is in use by {by}.", what.fix)


# ---- a file -----------------------------------------------------------------------------------


def file_lock(ledger: Path, suffix: str = "", wait_s: float = 0.0) -> FileLock:
    """Return the lock of a SQLite ledger; it raises Timeout if another process has it."""
    beside = ledger.with_name(f"{ledger.name}{suffix}-lock")
    return FileLock(beside, timeout=max(wait_s, 0.0), mode=0o600)


@contextmanager
def lock_file(
    ledger: Path, what: Lockable, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    """Lock a SQLite ledger, or an inbox, while the context lasts.

    Args:
        ledger: the file of the ledger; the lock's files are beside it, named after it.
        what: the thing to lock.
        command: what this process does, for those who wait.
        wait_s: how long to wait for another process, seconds.
        since: UTC now, for those who wait.

    Raises:
        LedgerError: another process has locked it; names that process.
    """
    info = ledger.with_name(f"{ledger.name}{what.suffix}-holder")
    lock = file_lock(ledger, what.suffix, wait_s)
    try:
        lock.acquire()
    except Timeout:
        raise _in_use_error(what, _read_info(info)) from None
    except OSError as error:
        raise LedgerError(
            f"{what.name} cannot be written to: {error.strerror}.",
            "Give the importer write access to the ledger's whole folder.",
        ) from error
    try:
        _write_info(info, command, since)
        yield
    finally:
        with suppress(OSError):
            info.unlink(missing_ok=True)
        lock.release()


def _write_info(info: Path, command: str, since: datetime) -> None:
    """Write who holds the lock, in one step; it is only information and need not be durable."""
    facts = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{since:%Y-%m-%d %H:%M:%S} UTC",
    }
    draft = info.with_name(f"{info.name}.{os.getpid()}")
    try:
        with closing(os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600), "w")) as file:
            json.dump(facts, file)
        draft.replace(info)
    except OSError:  # the lock holds without it
        with suppress(OSError):
            draft.unlink(missing_ok=True)


def _read_info(info: Path) -> str:
    try:
        facts = json.loads(info.read_text(encoding="utf-8"))
        return (
            f"{facts['command']!r} (process {facts['pid']} on {facts['host']}, since "
            f"{facts['since']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
