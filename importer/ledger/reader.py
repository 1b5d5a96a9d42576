"""What can be asked of a ledger: every question one transaction, nothing written."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from sqlalchemy import select

from importer.errors import LedgerError
from importer.ledger import afterwards, doubts, history, looking
from importer.ledger.claims import Claims
from importer.ledger.nights import Nights
from importer.ledger.tables import identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from importer.ledger.database import Database
    from importer.ledger.records import Contact, Doubtful, RowOutcome, Run, Standing
    from importer.model import Counts, State


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
        return self._database.read(looking.is_empty)

    def standing(self, keys: Iterable[str]) -> dict[str, Standing]:
        """Where the submissions of these keys stand; unknown keys are left out."""
        given = list(keys)
        return self._database.read(lambda c: looking.standing(c, given))

    def contacted(self, persons: Iterable[str], since: datetime) -> dict[str, Contact]:
        """Who of these people (keyed hashes) was contacted since then, by any run or campaign."""
        given = list(persons)
        return self._database.read(lambda c: looking.contacted(c, given, since))

    def opted_out(self, persons: Iterable[str]) -> dict[str, Contact]:
        """Who of these people (keyed hashes) opted out, and when the ledger learnt it."""
        given = list(persons)
        return self._database.read(lambda c: looking.opted_out(c, given))

    def contacted_by_others(self, run: str, since: datetime) -> list[str]:
        """The keys that a run still has to send to people whom other runs contacted since then."""
        return self._database.read(lambda c: looking.contacted_by_others(c, run, since))

    def opted_out_since(self, run: str) -> list[str]:
        """The keys that a run still has to send to people who have opted out meanwhile."""
        return self._database.read(lambda c: looking.opted_out_since(c, run))

    def sendable(self, run: str) -> list[str]:
        """The keys that a run still has to send, in order of file and row."""
        return self._database.read(lambda c: looking.sendable(c, run))

    def doubtful(self, run: str | None = None) -> tuple[Doubtful, ...]:
        """Every submission that may have been accepted, in order of run, file and row."""
        return self._database.read(lambda c: doubts.doubtful(c, run))

    def conversations(self, run: str | None = None, limit: int | None = None) -> tuple[str, ...]:
        """Ids of conversations that the ledger knows, of a run or of all, newest first."""
        return self._database.read(lambda c: afterwards.conversations(c, run, limit))

    # ---- runs --------------------------------------------------------------------------------

    def runs(self, limit: int | None = None) -> tuple[Run, ...]:
        """The runs, newest first."""
        return self._database.read(lambda c: history.listed(c, limit))

    def run(self, name: str | None = None) -> Run:
        """The run of an id or of the beginning of one; the newest where none is given.

        Raises:
            UsageError: there is none, or several.
        """
        return self._database.read(lambda c: history.find(c, name))

    def outcomes(self, run: str) -> Iterator[RowOutcome]:
        """Every row of a run, in order of file and row, with what became of it until now."""
        after: tuple[int, int] | None = None
        while page := self._page(run, after):
            yield from page
            after = page[-1].source, page[-1].row

    def _page(self, run: str, after: tuple[int, int] | None) -> tuple[RowOutcome, ...]:
        return self._database.read(lambda c: history.outcomes(c, run, after))

    def counts(self, run: str) -> dict[State, int]:
        """How many of a run's ready rows stand in each state now."""
        return self._database.read(lambda c: history.counts(c, run))

    def row_counts(self, run: str) -> Counts:
        """How many rows a run read, and what was decided about them."""
        return self._database.read(lambda c: history.row_counts(c, run))
