"""What can be asked of a ledger: every question one transaction, nothing written."""

from __future__ import annotations

import os
import secrets
import socket
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from sqlalchemy import select, update

from importer.errors import LedgerError
from importer.ledger import doubts, lock, retention, runs, submissions
from importer.ledger.claims import Claims
from importer.ledger.connection import open_readonly, open_writable
from importer.ledger.nights import Nights
from importer.ledger.records import Purged
from importer.ledger.tables import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from types import TracebackType

    from sqlalchemy import Connection

    from importer.ledger.database import Database
    from importer.ledger.records import (
        Contact,
        Doubtful,
        NewRun,
        RowOutcome,
        Run,
        Settlement,
        Standing,
    )
    from importer.model import Counts, Outcome, PlannedRow, State


class Reader:
    """The questions; `Ledger` adds the changes.

    Every method raises LedgerError where the database fails. An attempt of which nobody has seen
    the end reads as doubtful everywhere.

    Args:
        database: open.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def name(self) -> str:
        """Where it is, for a person: its file, or its URL without the password."""
        return self._database.name

    @cached_property
    def id(self) -> str:
        """Its own, 32 hex characters, made with it; every copy of it has the same."""
        found = self._database.read(lambda c: c.scalar(select(identity.c.id)))
        if found is None:
            raise LedgerError(f"The ledger {self.name} has lost its id.", "Restore a backup.")
        return str(found)

    def is_copy_of(self, other: Reader) -> bool:
        """Whether one of the two files was copied from the other."""
        mine, theirs = self._database.path, other._database.path
        if mine is None or theirs is None or self.id != other.id:
            return False
        return not mine.samefile(theirs)

    @property
    def nights(self) -> Nights:
        """What is known of the nightly imports."""
        return Nights(self._database)

    @property
    def claims(self) -> Claims:
        """Which files of remote inboxes were claimed."""
        return Claims(self._database)

    # ---- keys and people ---------------------------------------------------------------------

    def is_empty(self) -> bool:
        """Whether nothing was ever planned."""
        return self._database.read(submissions.is_empty)

    def standing(self, keys: Iterable[str]) -> dict[str, Standing]:
        """Where the submissions of these keys stand; unknown keys are left out."""
        given = list(keys)
        return self._database.read(lambda c: submissions.standing(c, given))

    def contacted(self, persons: Iterable[str], since: datetime) -> dict[str, Contact]:
        """Who of these people (keyed hashes) was contacted since then, by any run or campaign."""
        given = list(persons)
        return self._database.read(lambda c: submissions.contacted(c, given, since))

    def opted_out(self, persons: Iterable[str]) -> dict[str, Contact]:
        """Who of these people (keyed hashes) opted out, and when the ledger learnt it."""
        given = list(persons)
        return self._database.read(lambda c: submissions.opted_out(c, given))

    def contacted_by_others(self, run: str, since: datetime) -> list[str]:
        """The keys that a run still has to send to people whom other runs contacted since then."""
        return self._database.read(lambda c: submissions.contacted_by_others(c, run, since))

    def opted_out_since(self, run: str) -> list[str]:
        """The keys that a run still has to send to people who have opted out meanwhile."""
        return self._database.read(lambda c: submissions.opted_out_since(c, run))

    def sendable(self, run: str) -> list[str]:
        """The keys that a run still has to send, in order of file and row."""
        return self._database.read(lambda c: submissions.sendable(c, run))

    def doubtful(self, run: str | None = None) -> tuple[Doubtful, ...]:
        """Every submission that may have been accepted, in order of run, file and row."""
        return self._database.read(lambda c: doubts.doubtful(c, run))

    def conversations(self, run: str | None = None, limit: int | None = None) -> tuple[str, ...]:
        """Ids of conversations that the ledger knows, of a run or of all, newest first."""
        return self._database.read(lambda c: retention.conversations(c, run, limit))

    # ---- runs --------------------------------------------------------------------------------

    def runs(self, limit: int | None = None) -> tuple[Run, ...]:
        """The runs, newest first."""
        return self._database.read(lambda c: runs.listed(c, limit))

    def run(self, name: str | None = None) -> Run:
        """The run of an id or of the beginning of one; the newest where none is given.

        Raises:
            UsageError: there is none, or several.
        """
        return self._database.read(lambda c: runs.find(c, name))

    def outcomes(self, run: str) -> Iterator[RowOutcome]:
        """Every row of a run, in order of file and row, with what became of it until now."""
        after: tuple[int, int] | None = None
        while page := self._page(run, after):
            yield from page
            after = page[-1].source, page[-1].row

    def _page(self, run: str, after: tuple[int, int] | None) -> tuple[RowOutcome, ...]:
        return self._database.read(lambda c: runs.outcomes(c, run, after))

    def counts(self, run: str) -> dict[State, int]:
        """How many of a run's ready rows stand in each state now."""
        return self._database.read(lambda c: runs.counts(c, run))

    def row_counts(self, run: str) -> Counts:
        """How many rows a run read, and what was decided about them."""
        return self._database.read(lambda c: runs.row_counts(c, run))


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
            runs.begin(connection, run, new, rows, now=now, who=_who())
            return run

        return self._database.write("begin", write)

    def _free_id(self, connection: Connection, now: datetime) -> str:
        for _ in range(_ID_TRIES):
            run = f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{self._id_end()}"
            if not runs.exists(connection, run):
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
            settled = submissions.settle(connection, run, settlements, now=now)
            return submissions.intend(connection, run, keys, now=now), settled

        return self._database.write("record", write)

    def recover(self, run: str | None = None) -> int:
        """Turns attempts that a crash left open into doubtful ones; None for those of all runs.

        Only a process that holds the ledger may ask for it.
        """
        return self._database.write(
            "recover", lambda c: submissions.recover(c, run, now=self._now())
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
            "refreshed", lambda c: retention.refreshed(c, statuses, now=self._now())
        )

    def purge(self, before: datetime) -> Purged:
        """Removes what only people read from all that was settled before a time.

        Nobody can be contacted twice for it: keys, people's hashes, states and times stay.
        Backups of the file that are as old are deleted, and the file is rewritten.
        """
        purged = self._database.write("purge", lambda c: retention.purge(c, before))
        self._database.compact()
        path = self._database.path
        return Purged(purged, () if path is None else retention.drop_backups(path, before))

    # ---- runs --------------------------------------------------------------------------------

    def reopen(self, run: str) -> None:
        """Writes that a run goes on in this process."""
        self._database.write("reopen", lambda c: runs.reopen(c, run, _who()))

    def finish(self, run: str, stopped: str = "") -> None:
        """Writes that a run ended, and why where that was before its work was done."""
        self._database.write("finish", lambda c: runs.finish(c, run, stopped, now=self._now()))


def _who() -> tuple[str, int]:
    return socket.gethostname(), os.getpid()


@contextmanager
def held(
    url: str,
    command: str,
    wait_s: float = 0.0,
    *,
    create: bool = False,
    on_commit: Callable[[str], None] | None = None,
) -> Iterator[Ledger]:
    """Opens the ledger and holds it; what a crash left open in it is doubtful from now on.

    Args:
        url: of SQLAlchemy.
        command: what we do, for whoever comes second.
        wait_s: how long to wait for another holder, seconds.
        create: make it where there is none yet.
        on_commit: as for `Ledger.open`.

    Raises:
        LedgerError: there is none, it cannot be opened, or another process holds it.
    """
    with (
        Ledger.open(url, create=create, on_commit=on_commit) as ledger,
        ledger.hold(command, wait_s),
    ):
        ledger.recover()
        yield ledger
