"""Who holds the ledger: one run at a time, and whoever comes second learns who was first.

A remote inbox is held in the same way, by one night at a time among all that share the ledger.

On a file the operating system keeps the lock, on a server the session does: a process that dies
keeps neither. The states in the tables guard against sending twice even without it.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from importer.errors import LedgerError
from importer.ledger.database import gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from importer.ledger.database import Database

_LOCK: Final = 0x6C65646765720001
"""Among PostgreSQL's advisory locks: "ledger" in ASCII, and a number."""
_INBOXES: Final = 0x696E626F78000000
"""The same for inboxes: "inbox" in ASCII, and three bytes of the address's hash."""


@dataclass(frozen=True, slots=True)
class _Held:
    """What is held: its name, the mark of its files beside the ledger, its lock on a server."""

    name: str
    mark: str
    lock: int
    fix: str


def _held(database: Database, inbox: str) -> _Held:
    if not inbox:
        fix = "Wait until it has ended, or set ledger_wait_s to wait by itself."
        return _Held(f"The ledger {database.name}", "", _LOCK, fix)
    print_ = hashlib.sha256(inbox.encode()).hexdigest()[:6]
    lock = _INBOXES + int(print_, 16)
    return _Held(f"The inbox {inbox}", f"-inbox-{print_}", lock, "Wait until it has ended.")


@contextmanager
def hold(
    database: Database, command: str, wait_s: float, *, since: datetime, inbox: str = ""
) -> Iterator[None]:
    """Keeps every other process from holding the same ledger, or the same inbox.

    Args:
        database: open for writing.
        command: what the holder does, for whoever waits.
        wait_s: how long to wait for another holder, seconds.
        since: UTC now, for whoever waits.
        inbox: address of a remote inbox, which is held instead of the ledger.

    Raises:
        LedgerError: another process holds it; names that process.
    """
    what = _held(database, inbox)
    if database.path is None:
        held = _hold_server(database, what, command, wait_s, since)
    else:
        held = _hold_file(database.path, what, command, wait_s, since)
    with held:
        yield


def _refused(what: _Held, holder: str) -> LedgerError:
    return LedgerError(f"{what.name} is in use by {holder}.", what.fix)


# ---- a file -----------------------------------------------------------------------------------


@contextmanager
def _hold_file(
    path: Path, what: _Held, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    card = path.with_name(f"{path.name}{what.mark}-holder")
    beside = path.with_name(f"{path.name}{what.mark}-lock")
    lock = FileLock(beside, timeout=max(wait_s, 0.0), mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise _refused(what, _read(card)) from None
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be locked: {error.strerror}.",
            "Give yourself write access to its folder.",
        ) from error
    try:
        _write(card, command, since)
        yield
    finally:
        with suppress(OSError):
            card.unlink(missing_ok=True)
        lock.release()


def _write(card: Path, command: str, since: datetime) -> None:
    """Leaves a card that says who holds the ledger; it is there at once and whole, or not."""
    facts = {
        "command": command,
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "since": f"{since:%Y-%m-%d %H:%M:%S} UTC",
    }
    draft = card.with_name(f"{card.name}.{os.getpid()}")
    with suppress(OSError):  # a courtesy to others: the lock is held without it
        with closing(os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600), "w")) as file:
            json.dump(facts, file)
        draft.replace(card)


def _read(card: Path) -> str:
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
        return (
            f"{facts['command']!r} since {facts['since']}"
            f" (process {facts['pid']} on {facts['host']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


# ---- a server ---------------------------------------------------------------------------------


@contextmanager
def _hold_server(
    database: Database, what: _Held, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    with gate(database.name), database.engine.connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        name = f"{command} since {since:%H:%M:%S} UTC (process {os.getpid()})"
        connection.execute(
            text("SELECT set_config('application_name', :name, false)"), {"name": name}
        )
        if not _taken(connection, what.lock, wait_s):
            raise _refused(what, _holder(connection, what.lock))
        try:
            yield
        finally:
            # Not back to the pool: the session's end is what frees the lock for certain.
            connection.invalidate()


def _taken(connection: Connection, lock: int, wait_s: float) -> bool:
    if wait_s <= 0:
        return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": lock}))
    connection.execute(
        text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{wait_s * 1000:.0f}ms"}
    )
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": lock})
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        return False
    return True


def _holder(connection: Connection, lock: int) -> str:
    found = connection.scalar(
        text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND l.classid::bigint = (CAST(:lock AS bigint) >> 32)"
            " AND l.objid::bigint = (CAST(:lock AS bigint) & 4294967295)"
        ),
        {"lock": lock},
    )
    return str(found) if found else "another process"
