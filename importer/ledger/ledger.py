"""The ledger of an installation: open, lock, bind, copy, purge. Its parts have the queries."""

from __future__ import annotations

import secrets
import sqlite3
import threading
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Self

from filelock import Timeout
from sqlalchemy import func, select, update

from importer.errors import LedgerError, UsageError
from importer.ledger import nights, page_people, webhook_events
from importer.ledger.connection import open_readonly, open_writable
from importer.ledger.copies import (
    copy_ledger,
    is_companion_file,
    last_write_file,
    list_old_copies,
    read_last_write,
    require_newest,
    save_last_write,
)
from importer.ledger.doubts import Doubts, KnownConversations
from importer.ledger.lease import LEASE_S, Lease, ServerClock
from importer.ledger.lock import file_lock, lock_file, lockable
from importer.ledger.nights import Claims, Nights
from importer.ledger.page_people import AuditTrail, PageSessions
from importer.ledger.rates import LedgerRates
from importer.ledger.rechecks import Rechecks
from importer.ledger.records import Purged
from importer.ledger.run_guards import RunGuards
from importer.ledger.runs import Runs, random_suffix
from importer.ledger.senders import Senders
from importer.ledger.server_settings import find_risk
from importer.ledger.shares import RunShare
from importer.ledger.submissions import Submissions
from importer.ledger.tables import OPEN, among, identity, run_sources, runs, submissions
from importer.ledger.uploaded_lists import UploadedLists
from importer.ledger.webhook_events import WebhookEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from datetime import timedelta
    from pathlib import Path
    from types import TracebackType

    from sqlalchemy import ColumnElement, Connection

    from importer.ledger.database import Database


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ledger:
    """An open ledger; safe to use from several threads.

    Use `Ledger.open` or `Ledger.open_existing`. Every method of the ledger and of its parts is one
    transaction and raises LedgerError if the database fails; a change is durable when its method
    returns. Readers see an attempt without an end as doubtful.

    Args:
        database: open.
        now: the clock; timezone-aware.
        suffix: makes the random end of a run's id.

    Attributes:
        submissions: found by key and by person, and changed while sending.
        runs: the runs with their rows.
        rechecks: open rows that must not be sent any more.
        doubts: submissions that may have been accepted.
        conversations: ids and statuses, and when the API's list showed them.
        nights: the nightly imports.
        claims: files of remote inboxes that were claimed.
        sessions: people who are signed in to the page.
        senders: processes that send, on a server.
        audit: what people did on the page.
        lists: uploaded on the recruiter's page.
        events: the events that the API sent.
    """

    def __init__(
        self,
        database: Database,
        *,
        now: Callable[[], datetime] = _utc_now,
        suffix: Callable[[], str] = random_suffix,
    ) -> None:
        self._database = database
        self._now = now
        self._clock: ServerClock | None = None
        self._lease: Lease | None = None
        self._holders = 0
        self._lease_lock = threading.Lock()
        self.submissions = Submissions(database, now)
        self.runs = Runs(database, now, suffix)
        self.rechecks = Rechecks(database)
        self.doubts = Doubts(database, now)
        self.conversations = KnownConversations(database, now)
        self.nights = Nights(database)
        self.claims = Claims(database)
        self.sessions = PageSessions(database)
        self.senders = Senders(database)
        self.audit = AuditTrail(database)
        self.lists = UploadedLists(database, now)
        self.events = WebhookEvents(database, now)

    @classmethod
    def open(
        cls,
        url: str,
        *,
        create: bool = True,
        new: bool = False,
        now: Callable[[], datetime] = _utc_now,
        suffix: Callable[[], str] = random_suffix,
        on_commit: Callable[[str], None] | None = None,
    ) -> Self:
        """Open the ledger for writing; make it, or upgrade it with a backup, if needed.

        Args:
            url: the SQLAlchemy URL; SQLite or PostgreSQL.
            create: False raises LedgerError if there is no SQLite file yet.
            new: accept another ledger than the one that was here before, or an older copy.
            now: the clock.
            suffix: makes the random end of a run's id.
            on_commit: called with the name of each write as soon as it is durable; a crash test
                stops the process there.

        Raises:
            LedgerError: it cannot be opened, or is not the newest copy; says what to do.
        """
        database = open_writable(url, create=create, new=new, now=now, on_commit=on_commit)
        if database.path is not None or now is not _utc_now:
            return cls(database, now=now, suffix=suffix)
        clock = ServerClock(database)
        ledger = cls(database, now=clock.now, suffix=suffix)
        ledger._clock = clock
        return ledger

    @classmethod
    def open_existing(cls, url: str) -> Self | None:
        """Open the ledger for reading, None if there is none; nothing is written."""
        database = open_readonly(url)
        return None if database is None else cls(database)

    def close(self) -> None:
        """Close the database; the file alone is a complete copy from then on."""
        path = self._database.path
        if path is not None and self._database.checkpoint():
            _note_complete(path)
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

    def now(self) -> datetime:
        """Return the time, UTC; on a server, by its clock, which all machines share."""
        return self._now()

    def lock(
        self, command: str, wait_s: float = 0.0, *, inbox: str = "", lease_s: float = LEASE_S
    ) -> AbstractContextManager[None]:
        """Hold the ledger, as one who may send from it, while the context lasts.

        A file has one holder; every other process is locked out. On a server there may be many:
        each has a lease, and claims what it sends.

        Args:
            command: what this process does, for those who wait.
            wait_s: how long to wait for another process, seconds.
            inbox: address of a remote inbox, which has one holder among all that share the ledger.
            lease_s: how long others wait for a process that is silent, on a server.

        Raises:
            LedgerError: on entering: another process holds it; names that process.
        """
        what = lockable(self._database, inbox)
        path = self._database.path
        if path is None:
            return self._hold_lease(command, wait_s, lease_s, inbox)
        return lock_file(path, what, command, wait_s, self._now())

    @contextmanager
    def _hold_lease(
        self, command: str, wait_s: float, lease_s: float, inbox: str
    ) -> Iterator[None]:
        """Hold a lease; the threads of one process share it."""
        with self._lease_lock:
            if self._lease is None:
                lease = Lease(self._database, command, lease_s, self._clock)
                lease.begin()
                self._lease = lease
            self._holders += 1
            lease = self._lease
        try:
            with lease.turn(inbox, wait_s, inbox) if inbox else nullcontext():
                yield
        finally:
            with self._lease_lock:
                self._holders -= 1
                if not self._holders:
                    self._lease = None
                    lease.end()

    @property
    def lease(self) -> Lease | None:
        """The lease of this process on a server; None for a file, or if nothing holds it."""
        return self._lease

    def recover(self) -> int:
        """Make doubtful what senders left open that have stopped; return how many.

        In a file these are all open attempts, so the caller must hold its lock.
        """
        return self.submissions.recover() if self._lease is None else self._lease.sweep()

    @contextmanager
    def turn(self, name: str, wait_s: float = 0.0) -> Iterator[Callable[[Connection], None]]:
        """Do what one sender at a time may do; the holder of a file is alone anyway.

        Args:
            name: the name of the work.
            wait_s: how long to wait for another sender, seconds.

        Yields:
            A fence, for `Runs.begin`.

        Raises:
            TurnTaken: on entering: another sender has the turn; names that one.
        """
        if self._lease is None:
            yield _no_fence
            return
        with self._lease.turn(name, wait_s) as fence:
            yield fence

    def share(
        self, run: str, window: timedelta | None = None, since: datetime | None = None
    ) -> RunShare | None:
        """Return what this process sends of a run on a server; None for a file: all of it.

        Args:
            run: the id of the run.
            window: how long people are held back after another run contacted them; None for none.
            since: as for `RunShare`.
        """
        if self._lease is None:
            return None
        return RunShare(self._database, self._lease, run, window, since)

    def restart_guards(self, run: str) -> None:
        """Restart the guards of a run on a server, which a person lets go on."""
        RunGuards(self._database, run).restart()

    def rates(self, full: float) -> LedgerRates | None:
        """Return the rate of all senders on a server; None for a file, which has one sender.

        Args:
            full: permits a second, as the settings say.
        """
        return None if self._lease is None else LedgerRates(self._database, full)

    # ---- what it is, and whose ---------------------------------------------------------------

    @property
    def name(self) -> str:
        """The ledger's place for a person: its file, or its URL without the password."""
        return self._database.name

    @cached_property
    def id(self) -> str:
        """Its id, 32 hex characters; every copy of it has the same."""
        found = self._database.read(lambda c: c.scalar(select(identity.c.id)))
        if found is None:
            raise LedgerError(f"The ledger {self.name} has lost its id.", "Restore a backup.")
        return str(found)

    def is_copy_of(self, other: Ledger) -> bool:
        """Whether one of two files is a copy of the other."""
        mine, theirs = self._database.path, other._database.path
        if mine is None or theirs is None or self.id != other.id:
            return False
        return not mine.samefile(theirs)

    def assign_new_id(self) -> None:
        """Give a copy an id of its own: from now on the two are different ledgers."""
        new = update(identity).values(id=secrets.token_hex(16))
        self._database.write("identity", lambda c: c.execute(new), counted=True)
        self.__dict__.pop("id", None)

    def remember_writes(self, beside: Path, *, new: bool) -> None:
        """Check that a ledger on a server is the newest copy, and note its writes from now on.

        A SQLite ledger has its last-write file beside it, and is checked when it is opened. Each
        machine notes what it wrote itself: a dump from before that was restored is refused there.

        Args:
            beside: file to put the last-write file beside.
            new: accept an older copy.

        Raises:
            LedgerError: an older dump was restored.
        """
        if self._database.path is not None:
            return
        file = beside.with_name(f"{beside.name}-{self.id[:8]}")
        if new:
            last_write_file(file).unlink(missing_ok=True)
        last = read_last_write(file)
        written = select(func.coalesce(identity.c.writes, 0))
        writes = self._database.read(lambda c: c.execute(written).scalar_one())
        require_newest(file, last, self.id, writes, self.name)
        self._database.note_writes(file)

    def find_risk(self) -> str | None:
        """Return how the ledger's server could lose it, as a sentence; None for a file."""
        return None if self._database.path is not None else find_risk(self._database)

    def bind(self, api: str, organization: str, folded: str) -> None:
        """Bind the ledger to an API and an organization, if it is not bound to them yet.

        Args:
            api: scheme, host and path of its base URL.
            organization: keyed hash of the organization's id.
            folded: keyed hash of the id without case and surrounding blanks.

        Raises:
            LedgerError: it is bound to another API or organization.
        """
        if not self.check_binding(api, organization, folded):
            values = {"api": api, "organization": organization, "organization_folded": folded}
            change = update(identity).values(values)
            self._database.write("bind", lambda c: c.execute(change), counted=True)

    def check_binding(self, api: str, organization: str, folded: str) -> bool:
        """Check that the ledger is bound to this API and organization; False if to none yet.

        Args and errors: as for `bind`.
        """
        wanted = select(identity.c.api, identity.c.organization, identity.c.organization_folded)
        bound = self._database.read(lambda c: c.execute(wanted).one())
        if bound.api is None:
            return False
        if bound.api != api:
            raise LedgerError(
                f"The ledger {self.name} belongs to the API at {bound.api}, not to {api}: it does "
                "not know who was contacted there.",
                "Correct base_url, or give each API a ledger of its own with `ledger:`. A "
                "rehearsal needs its own, such as --ledger sqlite:///rehearsal.db.",
            )
        if bound.organization != organization:
            nearly = (
                "It is spelled with other capitals or blanks than before; to the API that may be "
                "the same organization, and everybody would be contacted again. "
                if bound.organization_folded == folded
                else ""
            )
            raise LedgerError(
                f"The ledger {self.name} belongs to another organization than "
                "POPP_ORGANIZATION_ID says.",
                f"{nearly}Correct POPP_ORGANIZATION_ID, or give each organization a ledger of its "
                "own with `ledger:`.",
            )
        return True

    @property
    def organization(self) -> str | None:
        """Keyed hash of the id of its organization; None before its first run."""
        found = self._database.read(lambda c: c.scalar(select(identity.c.organization)))
        return None if found is None else str(found)

    @property
    def key_id(self) -> str | None:
        """Id of the ledger's HMAC key; None before its first run."""
        found = self._database.read(lambda c: c.scalar(select(identity.c.key_fingerprint)))
        return None if found is None else str(found)

    def note_key(self, key_id: str) -> None:
        """Store the id of the HMAC key, before the key's file is made."""
        change = update(identity).values(key_fingerprint=key_id)
        self._database.write("key", lambda c: c.execute(change))

    # ---- keeping -----------------------------------------------------------------------------

    def backup(self, target: Path) -> None:
        """Make a complete copy at any moment, as one file of mode 0600.

        Raises:
            UsageError: the target exists, cannot be written or has a name of the ledger's own
                files, or the ledger is on a server.
        """
        path = self._database.path
        if path is None:
            raise UsageError(
                "This ledger is on a PostgreSQL server.", "Back it up with pg_dump instead."
            )
        if is_companion_file(path, target):
            raise UsageError(
                f"{target} is a name that the ledger itself uses.", "Give the backup another name."
            )
        try:
            copy_ledger(path, target)
        except FileExistsError as error:
            raise UsageError(
                f"{target} exists already.", "Name a new file; a backup never overwrites one."
            ) from error
        except OSError as error:
            raise UsageError(
                f"{target} cannot be written: {error.strerror}.", "Choose a file in another folder."
            ) from error
        except sqlite3.Error as error:
            raise LedgerError(
                f"The ledger {self.name} cannot be copied to {target}.",
                "Make room there, and check that the ledger can be read.",
            ) from error

    def purge(self, before: datetime) -> Purged:
        """Remove the texts that only people read from everything settled before a time.

        Removed are masked texts, messages, external ids and request ids, the names and paths of
        files of runs without doubtful rows, names in the audit trail, and events that were applied.
        Kept is what prevents a second contact: keys, keyed hashes, states, times, conversations.
        Doubtful submissions stay complete.
        Backups made by upgrades before that time are deleted, and a SQLite file is rewritten.

        Args:
            before: UTC.
        """
        text = (
            update(submissions)
            .where(*_old_text(before))
            .values(masked="", message="", external_id="")
        )
        names = update(run_sources).where(*_old_names(before)).values(name="", path=None)

        def write(connection: Connection) -> tuple[int, int]:
            runs = _count_runs(connection, before)
            purged = connection.execute(text).rowcount
            connection.execute(names)
            nights.forget_claims(connection, before)
            nights.forget_nights(connection, before)
            page_people.forget_people(connection, before)
            webhook_events.forget_events(connection, before)
            return purged, runs

        purged, runs = self._database.write("purge", write)
        self._database.compact()
        copies = self._old_copies(before)
        for copy in copies:
            copy.unlink()
        return Purged(purged, runs, tuple(copy.name for copy in copies))

    def find_purgeable(self, before: datetime) -> Purged:
        """Find what `purge` would remove; change nothing."""
        text = select(func.count()).select_from(submissions).where(*_old_text(before))
        found = self._database.read(lambda c: (c.scalar(text) or 0, _count_runs(c, before)))
        return Purged(*found, tuple(copy.name for copy in self._old_copies(before)))

    def _old_copies(self, before: datetime) -> list[Path]:
        path = self._database.path
        return [] if path is None else list_old_copies(path, before)


def _no_fence(connection: Connection) -> None:
    """Check nothing: the lock of the file lasts as long as its process."""
    del connection


def _old_text(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for submissions settled before a time that have readable text."""
    s = submissions.c
    began = select(runs.c.id).where(runs.c.started_at < before)
    at = func.coalesce(s.settled_at, s.sent_at)
    return (
        (at < before) | (at.is_(None) & s.run.in_(began)),
        ~among(s.state, OPEN),
        (s.masked != "") | (s.message != "") | (s.external_id != ""),
    )


def _old_names(before: datetime) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for files of runs that ended before a time without a doubtful row."""
    old = select(runs.c.id).where(func.coalesce(runs.c.finished_at, runs.c.started_at) < before)
    doubted = select(submissions.c.run).where(among(submissions.c.state, OPEN))
    return run_sources.c.run.in_(old), run_sources.c.run.not_in(doubted)


def _count_runs(connection: Connection, before: datetime) -> int:
    """Count the runs that would lose the names of their files."""
    named = run_sources.c.name != ""
    wanted = select(func.count(run_sources.c.run.distinct())).where(*_old_names(before), named)
    return connection.scalar(wanted) or 0


def _note_complete(path: Path) -> None:
    """Note that the file alone is complete, unless another process is about to write to it."""
    with suppress(LedgerError, Timeout, OSError):
        last = read_last_write(path)
        if last is not None and not last.closed:
            with file_lock(path):
                save_last_write(path, replace(last, closed=True))


@contextmanager
def open_and_lock(
    url: str,
    command: str,
    wait_s: float = 0.0,
    *,
    create: bool = False,
    new: bool = False,
    on_commit: Callable[[str], None] | None = None,
    lease_s: float = LEASE_S,
) -> Iterator[Ledger]:
    """Open and lock the ledger; attempts that a crash left open in it become doubtful.

    Args:
        url: the SQLAlchemy URL.
        command: what this process does, for those who wait.
        wait_s: how long to wait for another process, seconds.
        create: make it if there is none yet.
        new: as for `Ledger.open`.
        on_commit: as for `Ledger.open`.
        lease_s: as for `Ledger.lock`.

    Raises:
        LedgerError: there is none, it cannot be opened, or another process has locked it.
    """
    with (
        Ledger.open(url, create=create, new=new, on_commit=on_commit) as ledger,
        ledger.lock(command, wait_s, lease_s=lease_s),
    ):
        ledger.recover()
        yield ledger
