"""A sender's lease on a server's ledger: the right to send, for as long as it is renewed.

A lease ends on two clocks. The database's clock decides who may claim and intend. The clock of the
sender's machine, which counts while the machine sleeps, is asked right before a request leaves: a
process that was frozen must not send what others count as doubtful by then.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.dialects import postgresql

from importer.errors import LedgerError, TurnTaken
from importer.ledger.database import COMMIT_DURABLY, IDLE_TIMEOUT
from importer.ledger.senders import (
    LIVE,
    ProcessFacts,
    boot_time_s,
    database_time,
    describe_sender,
    note_ended,
    sweep,
)
from importer.ledger.tables import senders, turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Connection

    from importer.ledger.database import Database


LEASE_S: Final = 30.0
"""How long a lease lasts if it is not renewed, seconds."""

_RENEWALS: Final = 4
"""A lease is renewed this often before it would end."""

_MARGIN_PART: Final = 6
"""Nothing is sent in the last part of a lease: one divided by this."""

_RETRY_S: Final = 0.25
"""How long to wait until a turn, or a server that is away, is asked again."""

_LAST_TRIES: Final = 8


class ServerClock:
    """The database's time of day, read from the clock of this machine's uptime in between.

    A machine's own time of day may be wrong by hours; times of several machines are compared.
    """

    def __init__(self, database: Database) -> None:
        self._at, self._then_s = datetime.now(UTC), boot_time_s()
        self.set(database.read(database_time))

    def set(self, now: datetime) -> None:
        """Set it to a time that was just read from the database."""
        self._at, self._then_s = now.astimezone(UTC), boot_time_s()

    def now(self) -> datetime:
        """Return the time, UTC."""
        at, then_s = self._at, self._then_s
        return at + timedelta(seconds=boot_time_s() - then_s)


class Lease:
    """The lease of this process. A lease that was lost is followed by a new one, with another id.

    Args:
        database: the database of a server's ledger.
        command: what this process does, for others.
        lease_s: how long a lease lasts.
        clock: the clock that is set at each renewal.

    Attributes:
        facts: the facts of this process.
        lasts: how long a lease lasts.
        margin: the last part of a lease, in which nothing is sent.
        intents: key of a submission -> id of the lease under which its present intent was made.
    """

    def __init__(
        self, database: Database, command: str, lease_s: float, clock: ServerClock | None = None
    ) -> None:
        self._database = database
        self._command = command
        self._clock = clock
        self.facts = ProcessFacts.of_this_process()
        self.lasts = timedelta(seconds=lease_s)
        self.margin = self.lasts / _MARGIN_PART
        self.intents: dict[str, int] = {}
        self._ids: list[int] = []
        self._held = (0, 0.0)  # id and end; one value, because two threads use it
        self._over = threading.Event()
        self._renewer = threading.Thread(target=self._renew_until_over, name="lease", daemon=True)

    @property
    def id(self) -> int:
        """Id of the present lease: the fencing token."""
        return self._held[0]

    def begin(self) -> None:
        """Take the lease, and renew it until `end`."""
        self._register()
        self._renewer.start()

    def end(self) -> None:
        """Give the lease back: this process sends nothing more under it."""
        self._over.set()
        self._renewer.join()
        for _ in range(_LAST_TRIES):
            with suppress(LedgerError):
                self._database.write("sender", lambda c: note_ended(c, self._ids, "it ended"))
                return
            time.sleep(_RETRY_S)
        # The server is away. This machine, or the parent, will find the process gone.

    def may_leave(self, key: str) -> bool:
        """Whether the request of a submission may still leave: asked right before its first byte.

        Args:
            key: the key of the submission, whose intent is durable.
        """
        lease, ends_s = self._held
        return (
            self.intents.get(key) == lease and boot_time_s() < ends_s - self.margin.total_seconds()
        )

    def sweep(self) -> int:
        """End the leases that are over; return how many submissions became doubtful."""
        return sweep(self._database, self.facts, self.lasts)

    # ---- turns -------------------------------------------------------------------------------

    @contextmanager
    def turn(
        self, work: str, wait_s: float, inbox: str = ""
    ) -> Iterator[Callable[[Connection], None]]:
        """Do what one sender at a time may do, such as planning.

        Args:
            work: the name of the work.
            wait_s: how long to wait for another sender, seconds.
            inbox: the inbox that cannot be used meanwhile; by default it is the ledger.

        Yields:
            A fence. In a transaction it makes sure that the turn is still ours until the end of
            that transaction, and raises LedgerError if it is not.

        Raises:
            TurnTaken: on entering: another sender has the turn; names that one.
        """
        holder = token_hex(16)
        until_s = time.monotonic() + wait_s
        swept = False
        while (process := self._try_turn(work, holder)) is not None:
            if swept and time.monotonic() >= until_s:
                name = self._database.name
                raise TurnTaken(
                    f"The inbox {inbox} is in use by {process}."
                    if inbox
                    else f"The ledger {name} is in use by {process}.",
                    "Wait until it has ended, or set ledger_wait_s to wait automatically.",
                )
            if swept:
                time.sleep(_RETRY_S)
            self.sweep()  # a process that has died on this machine has no turn any more
            swept = True
        mine = (turns.c.name == work, turns.c.holder == holder)

        def fence(connection: Connection) -> None:
            held = select(turns.c.name).join(senders, senders.c.id == turns.c.sender)
            held = held.where(*mine, LIVE).with_for_update(of=turns)
            connection.execute(select(IDLE_TIMEOUT))
            if connection.execute(held).first() is None:
                name = self._database.name
                raise LedgerError(
                    f"This process has lost its lease on the ledger {name}: it was suspended, "
                    "or could not reach the database for too long.",
                    "Nothing was written. Start the command again.",
                )

        try:
            yield fence
        finally:
            with suppress(LedgerError):  # the turn ends with the lease at the latest
                done = delete(turns).where(*mine)
                self._database.write_autocommit("turn", done)

    def _try_turn(self, work: str, holder: str) -> str | None:
        """Take a turn; return who has it if it is another's."""
        live = select(senders.c.id).where(LIVE)
        mine = {"sender": self.id, "holder": holder, "taken_at": func.clock_timestamp()}
        take = (
            postgresql.insert(turns)
            .values(name=work, **mine)
            .on_conflict_do_update(
                index_elements=[turns.c.name], set_=mine, where=turns.c.sender.not_in(live)
            )
            .returning(turns.c.name)
        )
        whose = select(senders).join(turns, turns.c.sender == senders.c.id)

        if self._database.write_autocommit("turn", take):
            return None
        other = self._database.read(lambda c: c.execute(whose.where(turns.c.name == work)).first())
        return "another process" if other is None else describe_sender(other)

    # ---- renewing ----------------------------------------------------------------------------

    def _register(self) -> None:
        """Take a new lease; others see that it goes on with the run of the last one."""
        facts = self.facts
        now = func.clock_timestamp()
        last = senders.alias("last").c
        run = select(last.run).where(last.id == self.id).scalar_subquery()
        new = (
            insert(senders)
            .values(
                command=self._command,
                host=facts.host,
                machine=facts.machine,
                boot_id=facts.boot_id,
                pid_space=facts.pid_space,
                pid=facts.pid,
                born=facts.born,
                started_at=now,
                until=now + self.lasts,
                ended_how="",
                run=run,
            )
            .returning(senders.c.id, now, COMMIT_DURABLY)  # an id must never be given twice
        )
        before_s = boot_time_s()
        [row] = self._database.write_autocommit("sender", new)
        self._ids.append(row[0])
        self._held = (row[0], before_s + self.lasts.total_seconds())
        self._set_clock(row[1])

    def _renew(self) -> None:
        """Renew the lease; take a new one if it is over."""
        now = func.clock_timestamp()
        longer = (
            update(senders)
            .where(senders.c.id == self.id, LIVE)
            .values(until=now + self.lasts)
            .returning(now)
        )
        before_s = boot_time_s()
        rows = self._database.write_autocommit("lease", longer)
        if not rows:
            self._register()
            return
        self._held = (self.id, before_s + self.lasts.total_seconds())
        self._set_clock(rows[0][0])

    def _renew_until_over(self) -> None:
        wait_s = self.lasts.total_seconds() / _RENEWALS
        while not self._over.wait(wait_s):
            wait_s = self.lasts.total_seconds() / _RENEWALS
            try:
                self._renew()
            except LedgerError:  # until the server is back, the clock decides what may leave
                wait_s = min(_RETRY_S, wait_s)

    def _set_clock(self, now: datetime) -> None:
        if self._clock is not None:
            self._clock.set(now)
