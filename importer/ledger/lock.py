"""Who holds the ledger: one run at a time, and whoever comes second learns who was first.

On a file the operating system keeps the lock, on a server the session does: a process that dies
keeps neither. The states in the tables guard against sending twice even without it.
"""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from importer.errors import LedgerError
from importer.ledger.faults import gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from importer.ledger.database import Database

_LOCK: Final = {"lock": 0x6C65646765720001}
"""Among PostgreSQL's advisory locks: "ledger" in ASCII, and a number."""


@contextmanager
def hold(database: Database, command: str, wait_s: float, *, since: datetime) -> Iterator[None]:
    """Keeps every other process from holding the same ledger.

    Args:
        database: open for writing.
        command: what the holder does, for whoever waits.
        wait_s: how long to wait for another holder, seconds.
        since: UTC now, for whoever waits.

    Raises:
        LedgerError: another process holds it; names that process.
    """
    if database.path is None:
        held = _hold_server(database, command, wait_s, since)
    else:
        held = _hold_file(database.path, command, wait_s, since)
    with held:
        yield


def _refused(name: str, holder: str) -> LedgerError:
    return LedgerError(
        f"The ledger {name} is in use by {holder}.",
        "Wait until it has ended, or set ledger_wait_s to wait by itself.",
    )


# ---- a file -----------------------------------------------------------------------------------


@contextmanager
def _hold_file(path: Path, command: str, wait_s: float, since: datetime) -> Iterator[None]:
    card = path.with_name(path.name + "-holder")
    lock = FileLock(path.with_name(path.name + "-lock"), timeout=max(wait_s, 0.0), mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise _refused(str(path), _read(card)) from None
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
    database: Database, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    with gate(database.name), database.engine.connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        name = f"{command} since {since:%H:%M:%S} UTC (process {os.getpid()})"
        connection.execute(
            text("SELECT set_config('application_name', :name, false)"), {"name": name}
        )
        if not _taken(connection, wait_s):
            raise _refused(database.name, _holder(connection))
        try:
            yield
        finally:
            # Not back to the pool: the session's end is what frees the lock for certain.
            connection.invalidate()


def _taken(connection: Connection, wait_s: float) -> bool:
    if wait_s <= 0:
        return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), _LOCK))
    connection.execute(
        text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{wait_s * 1000:.0f}ms"}
    )
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), _LOCK)
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        return False
    return True


def _holder(connection: Connection) -> str:
    found = connection.scalar(
        text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND l.classid::bigint = (CAST(:lock AS bigint) >> 32)"
            " AND l.objid::bigint = (CAST(:lock AS bigint) & 4294967295)"
        ),
        _LOCK,
    )
    return str(found) if found else "another process"
