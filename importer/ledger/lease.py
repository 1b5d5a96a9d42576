"""A sender's lease on a server's ledger: the right to send, as long as the sender renews it.

Two clocks decide whether a lease has expired. The database's clock decides who may claim
submissions and write intents. The machine's boot clock, which also counts while the machine sleeps,
is checked right before a request is sent. So a process that was suspended does not send what others
now treat as doubtful.
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
"""The duration of a lease, in seconds; each renewal starts it again."""

_RENEWALS: Final = 4
"""The number of renewals in the duration of a lease."""

_MARGIN_PART: Final = 6
"""Nothing is sent in the last part of a lease, which is its duration divided by this."""

_RETRY_S: Final = 0.25
"""The seconds between two tries to take a turn or to reach the server."""

_LAST_TRIES: Final = 8


class ServerClock:
    """The database's time of day. Between two readings, the machine's boot clock continues it.

    The ledger compares times from several machines, and a machine's own time of day may be wrong by
    hours.
    """

    def __init__(self, database: Database) -> None:
        self._at, self._then_s = datetime.now(UTC), boot_time_s()
        self.set(database.read(database_time))

    def set(self, now: datetime) -> None:
        """Set the clock to a time that was just read from the database."""
        self._at, self._then_s = now.astimezone(UTC), boot_time_s()

    def now(self) -> datetime:
        """Return the time, UTC."""
        at, then_s = self._at, self._then_s
        return at + timedelta(seconds=boot_time_s() - then_s)


class Lease:
    """The lease of this process. If it expires, a new lease with another id replaces it.

    Args:
        database: the database of a server's ledger.
        command: the command of this process, shown to other people.
        lease_s: the duration of a lease, in seconds.
        clock: the clock to set at each renewal; None if there is none.

    Attributes:
        facts: the facts of this process.
        lasts: the duration of a lease.
        margin: the last part of a lease, in which nothing is sent.
        intents: key of a submission -> id of the lease under which its current intent was written.
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
        """The id of the current lease, used as a fencing token."""
        return self._held[0]

    def begin(self) -> None:
        """Take the lease, and renew it until `end`."""
        self._register()
        self._renewer.start()

    def end(self) -> None:
        """Give the lease back; after this, the process sends nothing more."""
        self._over.set()
        self._renewer.join()
        for _ in range(_LAST_TRIES):
            with suppress(LedgerError):
                self._database.write("sender", lambda c: note_ended(c, self._ids, "it ended"))
                return
            time.sleep(_RETRY_S)
        # The server cannot be reached. A sweep on this machine, or the parent process, will find
        # that the process has ended.

    def may_leave(self, key: str) -> bool:
        """Return whether a submission's request may still be sent; call it right before sending.

        Args:
            key: the key of the submission, whose intent is durable.
        """
        lease, ends_s = self._held
        return (
            self.intents.get(key) == lease and boot_time_s() < ends_s - self.margin.total_seconds()
        )

    def sweep(self) -> int:
        """End the expired leases; return how many submissions became doubtful."""
        return sweep(self._database, self.facts, self.lasts)

    # ---- turns -------------------------------------------------------------------------------

    @contextmanager
    def turn(
        self, work: str, wait_s: float, inbox: str = ""
    ) -> Iterator[Callable[[Connection], None]]:
        """Do work that only one sender may do at a time, such as planning.

        Args:
            work: the name of the work.
            wait_s: how long to wait for another sender, in seconds.
            inbox: the inbox that the error names; if it is empty, the error names the ledger.

        Yields:
            A fence. Call it in a transaction: it locks the turn until the transaction ends. It
            raises LedgerError if the turn is no longer ours.

        Raises:
            TurnTaken: another sender has the turn; the message names it. Raised on entry only.
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
            self.sweep()  # takes the turn from a process that died on this machine
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
        """Try to take a turn; return None if it is ours now, otherwise the name of its holder."""
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
        """Take a new lease, which keeps the run of the last one."""
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
            .returning(senders.c.id, now, COMMIT_DURABLY)  # so that no id is used twice
        )
        before_s = boot_time_s()
        [row] = self._database.write_autocommit("sender", new)
        self._ids.append(row[0])
        self._held = (row[0], before_s + self.lasts.total_seconds())
        self._set_clock(row[1])

    def _renew(self) -> None:
        """Renew the lease; if it has expired, take a new one."""
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
            except LedgerError:  # until the server is back, the boot clock decides
                wait_s = min(_RETRY_S, wait_s)

    def _set_clock(self, now: datetime) -> None:
        if self._clock is not None:
            self._clock.set(now)
