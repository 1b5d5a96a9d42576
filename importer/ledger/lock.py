"""The lock of a ledger: one run at a time; a second one is told who holds it.

A remote inbox has a lock of the same kind, for all nights that share the ledger.

The operating system holds the lock of a file, and the session that of a server. Both are released
when the process ends. Even without the lock, the states in the tables prevent sending twice.
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
from sqlalchemy.exc import DBAPIError, OperationalError

from importer.errors import LedgerError
from importer.ledger.database import gate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from sqlalchemy import Connection

    from importer.ledger.database import Database

_LEDGER: Final = 0x6C65646765720001
"""Among PostgreSQL's advisory locks: "ledger" in ASCII, and a number."""
_INBOXES: Final = 0x696E626F78000000
"""The same for inboxes: "inbox" in ASCII, and three bytes of the address's hash."""


@dataclass(frozen=True, slots=True)
class Lockable:
    """What can be locked: the ledger, or a remote inbox.

    Attributes:
        name: for a person.
        suffix: of the names of its files beside the ledger.
        number: of its lock on a server.
        fix: what to do if it is locked.
    """

    name: str
    suffix: str
    number: int
    fix: str


def lockable(database: Database, inbox: str = "") -> Lockable:
    """The ledger, or the remote inbox at an address."""
    if not inbox:
        fix = "Wait until it has ended, or set ledger_wait_s to wait automatically."
        return Lockable(f"The ledger {database.name}", "", _LEDGER, fix)
    digest = hashlib.sha256(inbox.encode()).hexdigest()[:6]
    number = _INBOXES + int(digest, 16)
    return Lockable(f"The inbox {inbox}", f"-inbox-{digest}", number, "Wait until it has ended.")


def _in_use(what: Lockable, by: str) -> LedgerError:
    return LedgerError(f"{what.name} is in use by {by}.", what.fix)


# ---- a file -----------------------------------------------------------------------------------


def file_lock(ledger: Path, suffix: str = "", wait_s: float = 0.0) -> FileLock:
    """The lock beside a SQLite ledger; raises Timeout if another process has it."""
    beside = ledger.with_name(f"{ledger.name}{suffix}-lock")
    return FileLock(beside, timeout=max(wait_s, 0.0), mode=0o600)


@contextmanager
def lock_file(
    ledger: Path, what: Lockable, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    """Lock a SQLite ledger, or an inbox, while the context lasts.

    Args:
        ledger: its file; the lock's files are beside it, named after it.
        what: to lock.
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
        raise _in_use(what, _read_info(info)) from None
    except OSError as error:
        raise LedgerError(
            f"{what.name} cannot be written to: {error.strerror}.",
            "Give the importer write access to its whole folder.",
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
            f"{facts['command']!r} since {facts['since']}"
            f" (process {facts['pid']} on {facts['host']})"
        )
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


# ---- a server ---------------------------------------------------------------------------------


@contextmanager
def lock_server(
    database: Database, what: Lockable, command: str, wait_s: float, since: datetime
) -> Iterator[None]:
    """Lock a ledger on a PostgreSQL server, or an inbox, while the context lasts.

    Raises:
        LedgerError: another process has locked it; names that process.
    """
    with gate(database.name), database.engine.connect() as opened:
        connection = opened.execution_options(isolation_level="AUTOCOMMIT")
        name = f"{command} since {since:%H:%M:%S} UTC (process {os.getpid()})"
        connection.execute(
            text("SELECT set_config('application_name', :name, false)"), {"name": name}
        )
        if not _acquire(connection, what.number, wait_s):
            raise _in_use(what, _holder(connection, what.number))
        try:
            yield
        finally:
            # The server frees a lock some time after its session has ended. Whoever comes next
            # need not wait for that.
            with suppress(DBAPIError):
                connection.scalar(text("SELECT pg_advisory_unlock(:lock)"), {"lock": what.number})
            # Not back to the pool: only the end of the session certainly releases the lock.
            connection.invalidate()


def _acquire(connection: Connection, number: int, wait_s: float) -> bool:
    if wait_s <= 0:
        return bool(connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": number}))
    connection.execute(
        text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{wait_s * 1000:.0f}ms"}
    )
    try:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": number})
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != "55P03":  # lock_not_available
            raise
        return False
    return True


def _holder(connection: Connection, number: int) -> str:
    found = connection.scalar(
        text(
            "SELECT a.application_name FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1"
            " AND l.classid::bigint = (CAST(:lock AS bigint) >> 32)"
            " AND l.objid::bigint = (CAST(:lock AS bigint) & 4294967295)"
        ),
        {"lock": number},
    )
    return str(found) if found else "another process"
