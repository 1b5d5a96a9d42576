"""What stops a run on a server, shared by its senders: failures, the canary, and who said stop."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql

from importer.ledger.database import IDLE_TIMEOUT
from importer.ledger.records import FailureCounts
from importer.ledger.senders import LIVE
from importer.ledger.tables import OPEN, among, run_guards, senders, submissions
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy import Connection

    from importer.ledger.database import Database
    from importer.ledger.records import Settlement


_G: Final = run_guards.c
_GUARDS: Final = select(run_guards).where(_G.run == bindparam("b_run"))
_COUNTED: Final = ("failed", "in_a_row", "unreached_in_a_row", "doubtful", "reached", "last")


class Canary(StrEnum):
    """The state of a run's canary: its first few submissions, sent by one sender alone."""

    OPEN = "open"
    UNDER_WAY = "under way"
    PASSED = "passed"


class RunGuards:
    """The guards of one run, for one of its senders.

    Args:
        database: the database of a server's ledger.
        run: id of the run.

    Attributes:
        counts: the counts when this sender last wrote an end.
        stopped: why another sender stopped the run, and the exit code; None if none did.

    Raises:
        LedgerError: from every method, if the database fails.
    """

    def __init__(self, database: Database, run: str) -> None:
        self._database = database
        self._run = run
        self.counts = FailureCounts()
        self.stopped: tuple[str, int] | None = None

    def join(self, sender: int, *, goes_on: bool = False) -> None:
        """Take part in the run; restart the guards if no other sender takes part.

        Args:
            sender: id of the lease.
            goes_on: whether the run goes on, so that the guards stay as they are.
        """
        doubtful = _count_doubtful(self._run)
        initial = {**_initial_values(), "doubtful": doubtful}
        make = postgresql.insert(run_guards).values(run=self._run, **initial)
        others = select(senders.c.id).where(
            LIVE, senders.c.run == self._run, senders.c.id != sender
        )
        mine = update(senders).where(senders.c.id == sender).values(run=self._run)

        def write(connection: Connection) -> None:
            connection.execute(select(IDLE_TIMEOUT))
            connection.execute(make.on_conflict_do_nothing())
            self.read(connection, for_update=True)  # two that join come one after the other
            alone = not goes_on and connection.execute(others).first() is None
            counts = initial if alone else {"doubtful": doubtful}
            connection.execute(update(run_guards).where(_G.run == self._run).values(counts))
            connection.execute(mine)
            self.read(connection)

        self._database.write("guards", write)

    def restart(self) -> None:
        """Restart the guards of a run that a person lets go on."""
        again = update(run_guards).where(_G.run == self._run)
        values = {**_initial_values(), "doubtful": _count_doubtful(self._run)}
        self._database.write_autocommit("guards", again.values(values))

    def leave(self, sender: int) -> None:
        """Take part no longer.

        Args:
            sender: id of the lease.
        """
        mine = update(senders).where(senders.c.id == sender).values(run=None)
        self._database.write_autocommit("guards", mine)

    def read(self, connection: Connection, *, for_update: bool = False) -> None:
        """Read what the senders have counted, and whether one of them has stopped the run."""
        wanted = _GUARDS.with_for_update() if for_update else _GUARDS
        self._note(connection.execute(wanted, {"b_run": self._run}).one())

    def count(self, connection: Connection, ends: Sequence[Settlement]) -> None:
        """Count ends in the transaction that writes them.

        Most of them change nothing, so that nobody has to wait for the row: they count as if they
        had come before what other senders are counting at this moment.
        """
        for wanted in (_GUARDS, _GUARDS.with_for_update()):
            row = connection.execute(wanted, {"b_run": self._run}).one_or_none()
            if row is None:
                return
            self._note(row)
            before = self.counts
            for end in ends:
                self.counts = self.counts.after(end.state, end.status, end.message)
            if self.counts == before:
                return
        mine = update(run_guards).where(_G.run == self._run)
        connection.execute(mine.values(_values(self.counts)))

    def stop(self, reason: str, exit_code: int) -> None:
        """Stop the run for every sender; the first reason stays.

        Args:
            reason: a sentence for a person.
            exit_code: the exit code of each sender's process.
        """
        first = update(run_guards).where(_G.run == self._run, _G.stopped == "")
        values = first.values(stopped=reason, exit_code=exit_code)
        self._database.write_autocommit("stopped", values)

    def take_canary(self, sender: int) -> Canary:
        """Take the canary if no other sender of the run has it.

        A sender whose canary was cut short may be at work on another run.

        Returns:
            OPEN if it is this sender's now, else where it is.
        """
        others = select(senders.c.id).where(
            LIVE, senders.c.run == self._run, senders.c.id != sender
        )
        free = or_(
            _G.canary == Canary.OPEN.value,
            (_G.canary == Canary.UNDER_WAY.value) & _G.canary_by.not_in(others),
        )
        take = update(run_guards).where(_G.run == self._run, free)
        take = take.values(canary=Canary.UNDER_WAY.value, canary_by=sender)

        def write(connection: Connection) -> Canary:
            connection.execute(select(IDLE_TIMEOUT))
            if connection.execute(take).rowcount:
                return Canary.OPEN
            self.read(connection)
            whole = select(_G.canary).where(_G.run == self._run)
            return Canary(connection.execute(whole).scalar_one())

        return self._database.write("canary", write)

    def pass_canary(self) -> None:
        """Let the other senders begin."""
        passed = update(run_guards).where(_G.run == self._run).values(canary=Canary.PASSED.value)
        self._database.write_autocommit("canary", passed)

    def _note(self, row: Any) -> None:
        self.counts = FailureCounts(*(getattr(row, name) for name in _COUNTED))
        self.stopped = (row.stopped, row.exit_code) if row.stopped else None


def _initial_values() -> dict[str, Any]:
    """Return the guards of a run that nobody has begun to send."""
    return {
        **_values(FailureCounts()),
        "canary": Canary.OPEN.value,
        "canary_by": 0,
        "stopped": "",
        "exit_code": 0,
    }


def _values(counts: FailureCounts) -> dict[str, Any]:
    return {name: getattr(counts, name) for name in _COUNTED}


def _count_doubtful(run: str) -> Any:
    s = submissions.c
    doubtful = (among(s.state, OPEN), s.state == State.DOUBTFUL.value, s.run == run)
    return select(func.count()).select_from(submissions).where(*doubtful).scalar_subquery()
