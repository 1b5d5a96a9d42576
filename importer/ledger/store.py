"""The ledger: what can be asked of it, and every change, each in one transaction."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import update

from importer.errors import LedgerError
from importer.ledger import afterwards, attempting, doubts, history, lock, planning
from importer.ledger.opening import open_readonly, open_writable
from importer.ledger.reader import Reader
from importer.ledger.records import Purged
from importer.ledger.tables import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from sqlalchemy import Connection

    from importer.ledger.database import Database
    from importer.ledger.records import Doubtful, NewRun, Settlement
    from importer.model import Outcome, PlannedRow

_ID_TRIES: Final = 16


def _utc_now() -> datetime:
    return datetime.now(UTC)


def _id_end() -> str:
    return secrets.token_hex(2)


class Ledger(Reader):
    """What was meant, what was tried, and what became of it; safe to use from several threads.

    Use `Ledger.open` or `Ledger.open_existing`. Every method is one transaction and raises
    LedgerError where the database fails; a change is durable when its method returns.

    Args:
        database: open.
        now: the clock; timezone-aware.
        id_end: random end of a run's id.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = _utc_now,
        id_end: Callable[[], str] = _id_end,
    ) -> None:
        super().__init__(database)
        self._now = now
        self._id_end = id_end

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        now: Callable[[], datetime] = _utc_now,
        id_end: Callable[[], str] = _id_end,
        on_commit: Callable[[str], None] | None = None,
    ) -> Self:
        """Opens the ledger for writing; makes it, or upgrades it with a backup, where needed.

        Args:
            url: of SQLAlchemy; SQLite or PostgreSQL.
            create: False raises LedgerError where there is no SQLite file yet.
            now: the clock.
            id_end: random end of a run's id.
            on_commit: called with the name of each write as soon as it is durable, before
                anybody hears of it; a crash test stops the process there.

        Raises:
            LedgerError: it cannot be opened; in words, with what to do.
        """
        return cls(
            open_writable(url, create=create, now=now, on_commit=on_commit), now=now, id_end=id_end
        )

    @classmethod
    def open_existing(cls, url: str) -> Self | None:
        """Opens the ledger for looking at, or gives None where there is none; writes nothing."""
        database = open_readonly(url)
        return None if database is None else cls(database)

    def close(self) -> None:
        """Lets go of the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def hold(
        self, command: str, wait_s: float = 0.0, *, inbox: str = ""
    ) -> AbstractContextManager[None]:
        """Keeps every other process from holding this ledger while the context lasts.

        Args:
            command: what the holder does, for whoever comes second.
            wait_s: how long to wait for another holder, seconds.
            inbox: address of a remote inbox, which is held instead, by whoever shares the ledger.

        Raises:
            LedgerError: on entering: another process holds it; names that process.
        """
        return lock.hold(self._database, command, wait_s, since=self._now(), inbox=inbox)

    def part_from_original(self) -> None:
        """Gives a copy an id of its own: from now on the two know different people."""
        new = update(identity).values(id=secrets.token_hex(16))
        self._database.write("identity", lambda connection: connection.execute(new))
        self.__dict__.pop("id", None)

    # ---- before anything is sent -------------------------------------------------------------

    def begin(self, new: NewRun, rows: Iterable[PlannedRow]) -> str:
        """Writes a new run with its rows and submissions, and gives its id.

        A ready row whose submission is created, duplicate, sending or doubtful, or rejected with
        the same body (unless the run retries those), leaves it untouched: it is not among
        `sendable`.
        """

        def write(connection: Connection) -> str:
            now = self._now()
            run = self._free_id(connection, now)
            planning.begin(connection, run, new, rows, now=now, who=_who())
            return run

        return self._database.write("begin", write)

    def _free_id(self, connection: Connection, now: datetime) -> str:
        for _ in range(_ID_TRIES):
            run = f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{self._id_end()}"
            if not history.exists(connection, run):
                return run
        raise LedgerError("Too many runs began in this second.", "Try again.")

    # ---- while sending -----------------------------------------------------------------------

    def intend(self, run: str, keys: Sequence[str]) -> tuple[bool, ...]:
        """Makes the intent to send durable; says for each key whether its request may leave."""
        return self.record(run, keys, ())[0]

    def settle(self, run: str, settlements: Sequence[Settlement]) -> tuple[bool, ...]:
        """Writes how attempts ended; says for each whether it could be."""
        return self.record(run, (), settlements)[1]

    def record(
        self, run: str, keys: Sequence[str], settlements: Sequence[Settlement]
    ) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
        """Writes ends of attempts, and then intents of others, in one transaction."""

        def write(connection: Connection) -> tuple[tuple[bool, ...], tuple[bool, ...]]:
            now = self._now()
            settled = attempting.settle(connection, run, settlements, now=now)
            return attempting.intend(connection, run, keys, now=now), settled

        return self._database.write("record", write)

    def recover(self, run: str | None = None) -> int:
        """Turns attempts that a crash left open into doubtful ones; None for those of all runs.

        Only a process that holds the ledger may ask for it.
        """
        return self._database.write(
            "recover", lambda c: attempting.recover(c, run, now=self._now())
        )

    # ---- doubt -------------------------------------------------------------------------------

    def reconciled(self, outcomes: Iterable[Outcome]) -> int:
        """Writes what the API's list says of doubtful submissions, and of how many it did.

        `created` (with its conversation), `planned` (proved absent: may be sent again) or still
        `doubtful` with a newer reason; what is no longer doubtful stays as it is.
        """
        given = list(outcomes)
        return self._database.write(
            "reconciled", lambda c: doubts.reconciled(c, given, now=self._now())
        )

    def resolve(
        self,
        run: str,
        row: int,
        *,
        sent: bool,
        by: str,
        conversation_id: str | None = None,
        source: str | None = None,
    ) -> Doubtful:
        """Settles a doubtful row on a person's word, and gives it as it was.

        Args:
            run: id of a run that the row stands in.
            row: spreadsheet row.
            sent: True: it arrived, and never goes again; False: it did not, and may go again.
            by: who decided.
            conversation_id: what it became, where known.
            source: name of the file, where several files of the run have such a row.

        Raises:
            UsageError: there is no such row, or several, or it is not doubtful.
        """
        return self._database.write(
            "resolve",
            lambda c: doubts.resolve(
                c,
                run,
                row,
                source=source,
                sent=sent,
                conversation_id=conversation_id,
                by=by,
                now=self._now(),
            ),
        )

    # ---- afterwards --------------------------------------------------------------------------

    def refreshed(self, statuses: Mapping[str, str]) -> int:
        """Writes the statuses of conversations (id -> status); says how many it knew."""
        return self._database.write(
            "refreshed", lambda c: afterwards.refreshed(c, statuses, now=self._now())
        )

    def purge(self, before: datetime) -> Purged:
        """Removes what only people read from all that was settled before a time.

        Nobody can be contacted twice for it: keys, people's hashes, states and times stay.
        Backups of the file that are as old are deleted, and the file is rewritten.
        """
        purged = self._database.write("purge", lambda c: afterwards.purge(c, before))
        self._database.compact()
        path = self._database.path
        return Purged(purged, () if path is None else afterwards.drop_backups(path, before))

    # ---- runs --------------------------------------------------------------------------------

    def reopen(self, run: str) -> None:
        """Writes that a run goes on in this process."""
        self._database.write("reopen", lambda c: history.reopen(c, run, _who()))

    def finish(self, run: str, stopped: str = "") -> None:
        """Writes that a run ended, and why where that was before its work was done."""
        self._database.write("finish", lambda c: history.finish(c, run, stopped, now=self._now()))


def _who() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()
