"""The processes that send on a server's ledger: who they are, and which have certainly ended.

A sender holds a lease and renews it. Once the lease expires, nobody waits for the sender. But the
process may only be suspended, and may continue later. So its unanswered submissions become
doubtful. They are sent again only once we know that the process has ended.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, or_, select, update

from importer.errors import UsageError
from importer.ledger.database import IDLE_TIMEOUT
from importer.ledger.tables import OPEN, among, attempts, rates, senders, submissions, turns
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from importer.ledger.database import Database


LOST_LEASE: Final = "lost-lease"
"""The code of a submission whose sender lost its lease before an answer came."""

WITHOUT_LEASE: Final = 0
"""The sender id of an intent that was written under the lock of the whole ledger."""

_FIRST_PID_SPACE: Final = "pid:[4026531836]"
"""The initial process-id namespace of Linux; a container has a different one."""

_DEAD_STATES: Final = frozenset("ZX")
"""States of a process that no longer runs: zombie and dead."""

_BOOT_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def boot_time_s() -> float:
    """Return the seconds since boot, including the time that the machine slept."""
    return time.clock_gettime(_BOOT_CLOCK)


@dataclass(frozen=True, slots=True)
class ProcessFacts:
    """The facts that identify a process uniquely across machines.

    Attributes:
        host: the host name, for people.
        machine: the machine id of the operating system; empty if it has none.
        boot_id: changes at every boot; empty if unknown.
        pid_space: the process-id namespace; empty if unknown.
        pid: the process id, unique in this namespace.
        born: the start time of the process, in clock ticks since boot; 0 if unknown.
    """

    host: str
    machine: str
    boot_id: str
    pid_space: str
    pid: int
    born: int

    @classmethod
    def of_this_process(cls) -> ProcessFacts:
        """Return the facts of the running process."""
        host, machine, boot_id, pid_space = _read_machine_facts()
        pid = os.getpid()
        _, born = _read_state(pid)
        return cls(host, machine, boot_id, pid_space, pid, born)


@cache
def _read_machine_facts() -> tuple[str, str, str, str]:
    def read(path: str) -> str:
        try:
            return Path(path).read_text(encoding="ascii").strip()
        except (OSError, ValueError):
            return ""

    try:
        pid_space = os.readlink("/proc/self/ns/pid")  # noqa: PTH115 - not a path
    except OSError:
        pid_space = ""
    boot_id = read("/proc/sys/kernel/random/boot_id")
    return socket.gethostname(), read("/etc/machine-id"), boot_id, pid_space


def birth_of(pid: int) -> int:
    """Return the start time of a process, as in `ProcessFacts.born`; 0 if it cannot be read."""
    return _read_state(pid)[1]


def _read_state(pid: int) -> tuple[str, int]:
    """Return the state and start time of a process; empty and 0 if they cannot be read."""
    try:
        words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        fields = words.rpartition(")")[2].split()
        return fields[0], int(fields[19])
    except (OSError, ValueError, IndexError):
        return "", 0


def has_ended(sender: ProcessFacts, seen_at: datetime, here: ProcessFacts, now: datetime) -> bool:
    """Return whether this machine can tell for certain that a process has ended.

    Args:
        sender: the process.
        seen_at: when it last renewed its lease, on the database's clock.
        here: the facts of this process.
        now: the current time on the database's clock.
    """
    if sender.boot_id and (sender.boot_id, sender.pid_space) == (here.boot_id, here.pid_space):
        return bool(sender.born) and _is_gone(sender)
    # The boot ids differ: has this machine restarted since? Never assume it for a container,
    # because several containers can have the same host name and machine id.
    same = bool(here.machine) and (sender.host, sender.machine) == (here.host, here.machine)
    outside = sender.pid_space == here.pid_space == _FIRST_PID_SPACE
    restarted = bool(sender.boot_id and here.boot_id) and sender.boot_id != here.boot_id
    return same and outside and restarted and seen_at < now - timedelta(seconds=boot_time_s())


def _is_gone(sender: ProcessFacts) -> bool:
    try:
        os.kill(sender.pid, 0)
    except ProcessLookupError:
        return True
    except OSError:  # it exists, but belongs to another user
        pass
    state, born = _read_state(sender.pid)
    return bool(state) and (born != sender.born or state in _DEAD_STATES)


# ---- in the database --------------------------------------------------------------------------

_S: Final = senders.c

LIVE: Final[ColumnElement[bool]] = and_(
    _S.ended_at.is_(None), _S.over_at.is_(None), _S.until > func.clock_timestamp()
)
"""The condition that a sender still holds its lease."""

_PROCESS_COLUMNS: Final = (_S.host, _S.machine, _S.boot_id, _S.pid_space, _S.pid, _S.born)


def database_time(connection: Connection) -> datetime:
    """Return the time on the database's clock, the only clock that all machines share."""
    found: datetime = connection.execute(select(func.clock_timestamp())).scalar_one()
    return found


def find_ended(connection: Connection, here: ProcessFacts, lease: timedelta) -> list[int]:
    """Return the ids of senders that have certainly ended but are not yet marked as ended.

    Args:
        connection: a connection in a transaction.
        here: the facts of this process.
        lease: how long a lease lasts.
    """
    now = database_time(connection)
    open_ones = select(_S.id, _S.until, *_PROCESS_COLUMNS).where(_S.ended_at.is_(None))
    return [
        row.id
        for row in connection.execute(open_ones)
        if has_ended(ProcessFacts(*row[2:]), row.until - lease, here, now)
    ]


def note_ended(connection: Connection, ids: Collection[int], how: str) -> None:
    """Mark senders as ended.

    For their unanswered doubtful submissions, the wait for the API's list starts again now.

    Args:
        connection: a connection in a transaction.
        ids: the ids of the senders.
        how: a sentence about how they ended.
    """
    if not ids:
        return
    now = func.clock_timestamp()
    known = update(senders).where(_S.id.in_(ids), _S.ended_at.is_(None))
    connection.execute(known.values(ended_at=now, ended_how=how))
    s = submissions.c
    connection.execute(
        update(submissions)
        .where(
            among(s.state, OPEN),
            s.state == State.DOUBTFUL.value,
            s.sender.in_(ids),
            select(1).where(*unended_attempt()).exists(),
        )
        .values(settled_at=now)
    )


def unended_attempt() -> tuple[ColumnElement[bool], ...]:
    """Return the condition that the end of a submission's last attempt is not recorded."""
    s, a = submissions.c, attempts.c
    return (
        a.submission == s.id,
        a.run == s.run,
        a.number == s.attempts,
        a.duration_s.is_(None),
        a.code == "",
    )


def sweep(database: Database, here: ProcessFacts, lease: timedelta) -> int:
    """End the expired leases, and mark the unanswered submissions of their senders as doubtful.

    This is safe at any time, on any machine. If a suspended sender continues, its lease has ended,
    so it can only add evidence.

    Args:
        database: the database of a server's ledger.
        here: the facts of this process.
        lease: how long a lease lasts.

    Returns:
        The number of submissions that became doubtful.
    """
    s = submissions.c
    sending = (among(s.state, OPEN), s.state == State.SENDING.value)

    def write(connection: Connection) -> int:
        connection.execute(select(IDLE_TIMEOUT))
        note_ended(connection, find_ended(connection, here, lease), "its process was gone")
        past = or_(_S.ended_at.is_not(None), _S.until <= func.clock_timestamp())
        over = select(_S.id).where(_S.over_at.is_(None), past).order_by(_S.id)
        ids = list(connection.scalars(over.with_for_update(skip_locked=True)))
        if ids:
            ended = update(senders).where(_S.id.in_(ids))
            connection.execute(ended.values(over_at=func.clock_timestamp()))
        left = select(s.sender).where(*sending).distinct()
        open_ids = [each for each in connection.scalars(left) if each is not None]
        done = select(_S.id).where(_S.id.in_(open_ids), _S.over_at.is_not(None))
        lost = [*connection.scalars(done), WITHOUT_LEASE]
        return connection.execute(
            update(submissions)
            .where(*sending, s.sender.in_(lost))
            .values(
                state=State.DOUBTFUL.value,
                code=LOST_LEASE,
                message="Its sender stopped before an answer came.",
                settled_at=func.clock_timestamp(),
            )
        ).rowcount

    return database.write("swept", write)


def describe_sender(row: Any) -> str:
    """Return a sender's name for people, such as `importer run (process 12 on host-1)`."""
    return f"{row.command} (process {row.pid} on {row.host})"


# ---- for people ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SenderRecord:
    """A sender, as recorded in the ledger.

    Attributes:
        number: the id of its lease.
        name: its name for people, such as `importer run (process 12 on host-1)`.
        run: the id of the run that it is sending; None if it sends none.
        started_at: UTC; when it took its lease.
        until: UTC; when its lease expires.
        is_live: whether it still holds its lease.
        turns: the work that it currently does alone, such as `plan`.
        doubtful: how many doubtful submissions it left unanswered.
    """

    number: int
    name: str
    run: str | None
    started_at: datetime
    until: datetime
    is_live: bool
    turns: tuple[str, ...]
    doubtful: int


@dataclass(frozen=True, slots=True)
class SendersOverview:
    """The senders on a ledger.

    Attributes:
        senders: the senders that hold a lease or may only be suspended; oldest first.
        rate: the current rate of all senders together, requests per second; None before the first
            request.
        held_until: UTC; nobody sends before this time, because the API asked us to wait; None if
            there is no such wait.
    """

    senders: tuple[SenderRecord, ...]
    rate: float | None = None
    held_until: datetime | None = None


class Senders:
    """Read who sends. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: an open database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def overview(self) -> SendersOverview:
        """Return the senders and their rate; without senders if the ledger is a file."""
        if self._database.path is not None:
            return SendersOverview(())
        wanted = select(rates.c.rate, rates.c.held_until)

        def read(connection: Connection) -> SendersOverview:
            found = tuple(_records(connection, _S.ended_at.is_(None)))
            rate = connection.execute(wanted).first()
            if rate is None:
                return SendersOverview(found)
            held = rate.held_until
            on_hold = held is not None and held > database_time(connection)
            return SendersOverview(found, rate.rate, held if on_hold else None)

        return self._database.read(read)

    def server_time(self) -> datetime:
        """Return the time on the database's clock, UTC."""
        return self._database.read(database_time)

    def count_sending(self, run: str | None = None) -> int:
        """Count the senders that are sending a run; by default, any run."""
        busy = select(func.count()).select_from(senders).where(LIVE, _S.run.is_not(None))
        if run is not None:
            busy = busy.where(_S.run == run)
        return self._database.read(lambda c: c.scalar(busy) or 0)

    def note_exit(self, pid: int, born: int) -> None:
        """Record that a child process of this process has exited.

        Args:
            pid: its process id.
            born: its start time, as in `ProcessFacts.born`.
        """
        here = ProcessFacts.of_this_process()
        same = (_S.boot_id == here.boot_id, _S.pid_space == here.pid_space)
        mine = select(_S.id).where(*same, _S.pid == pid, _S.born == born, _S.ended_at.is_(None))

        def write(connection: Connection) -> None:
            connection.execute(select(IDLE_TIMEOUT))
            note_ended(connection, list(connection.scalars(mine)), "its parent saw it exit")

        self._database.write("sender", write)

    def count_live(self, command: str) -> int:
        """Count the senders with this command that hold a lease; 0 if the ledger is a file."""
        if self._database.path is not None:
            return 0
        live = select(func.count()).select_from(senders).where(LIVE, _S.command == command)
        return self._database.read(lambda c: c.scalar(live) or 0)

    def find(self, number: int) -> SenderRecord:
        """Return a sender that may still send.

        Raises:
            UsageError: no sender with this number may still send.
        """
        unended = (_S.id == number, _S.ended_at.is_(None))
        found = (
            ()
            if self._database.path
            else self._database.read(lambda c: tuple(_records(c, *unended)))
        )
        if not found:
            raise UsageError(
                f"There is no sender {number} that may still send.", "`importer jobs` lists them."
            )
        return found[0]

    def note_ended(self, number: int, by: str) -> None:
        """Mark a sender as ended because a person confirmed it.

        Args:
            number: the number of the sender.
            by: who confirmed it.
        """
        ended = f"{by} said so"
        self._database.write("sender", lambda c: note_ended(c, [number], ended))


def _records(connection: Connection, *narrower: ColumnElement[bool]) -> Iterator[SenderRecord]:
    """Yield matching senders, oldest first; skip ended leases that left nothing doubtful."""
    s = submissions.c
    left = (
        select(func.count())
        .select_from(submissions)
        .where(among(s.state, OPEN), s.state == State.DOUBTFUL.value, s.sender == _S.id)
        .where(select(1).where(*unended_attempt()).exists())
        .scalar_subquery()
    )
    wanted = select(senders, LIVE.label("is_live"), left.label("doubtful"))
    mine = dict[int, list[str]]()
    for name, sender in connection.execute(select(turns.c.name, turns.c.sender)):
        mine.setdefault(sender, []).append(name)
    for row in connection.execute(wanted.where(*narrower).order_by(_S.id)):
        if row.is_live or row.doubtful or row.over_at is None:
            yield SenderRecord(
                number=row.id,
                name=describe_sender(row),
                run=row.run,
                started_at=row.started_at,
                until=row.until,
                is_live=row.is_live,
                turns=tuple(sorted(mine.get(row.id, ()))) if row.is_live else (),
                doubtful=row.doubtful,
            )
