"""What the ledger's tests put into it: made-up runs, rows and ends of attempts."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from importer.ledger import tables
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.model import Outcome, PlannedRow, State, Submission

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.ledger import Ledger

PLAN = "a" * 64
FILE = SourceFile("list.csv", "/somewhere/list.csv", "b" * 64, 1234)


@dataclass
class Clock:
    """A clock that stands still until a test moves it."""

    at: datetime = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
    ends: Iterator[int] = field(default_factory=lambda: count(1))

    def now(self) -> datetime:
        """Return the time it shows."""
        return self.at

    def pass_s(self, seconds: float) -> None:
        """Move it."""
        self.at += timedelta(seconds=seconds)

    def end(self) -> str:
        """Return the end of the next run's id."""
        return f"{next(self.ends):04x}"


def new_run() -> NewRun:
    """Return a run of one file."""
    return NewRun(PLAN, (FILE,), {"campaign": "camp-42", "conversation": "auto-schedule"})


def planned_row(
    key: str,
    row: int = 2,
    *,
    body: str = "1",
    person: str = "",
    campaign: str = "camp-42",
    email: str | None = None,
    candidate: str | None = None,
) -> PlannedRow:
    """Return a ready row; its key says which."""
    return PlannedRow(
        source=0,
        row=row,
        status="ready",
        key=key,
        campaign=campaign,
        external_id=f"A-{key}",
        person=person or f"person of {key}",
        masked="+44 •••• 0018",
        body_hash=body,
        email=email,
        candidate=candidate,
    )


def submission(key: str, row: int = 2) -> Submission:
    """Return what a worker carries for such a row."""
    return Submission(
        key=key,
        external_id=f"A-{key}",
        source=0,
        row=row,
        campaign="camp-42",
        person=f"person of {key}",
        masked="+44 •••• 0018",
        body={},
        body_hash="1",
    )


def settle_submission(ledger: Ledger, key: str, state: State, *, code: str = "") -> str:
    """Plan, send and settle one submission; return the run."""
    run = ledger.runs.begin(new_run(), [planned_row(key)])
    assert ledger.submissions.intend(run, [key]) == (True,)
    assert ledger.submissions.settle(run, [Settlement(key, state, code=code)]) == (state,)
    return run


def read_attempts(ledger: Ledger, key: str) -> list[dict[str, Any]]:
    """Return the attempts of a submission as they are in the table."""
    a, s = tables.attempts.c, tables.submissions.c
    wanted = select(s.key, *(column for column in a if column.name != "submission"))
    wanted = wanted.join_from(tables.attempts, tables.submissions, a.submission == s.id)
    wanted = wanted.where(s.key == key).order_by(a.number)
    with ledger._database.engine.connect() as connection:
        return [dict(row) for row in connection.execute(wanted).mappings()]


def read_submission(ledger: Ledger, key: str) -> dict[str, Any]:
    """Return a submission as it is in the table."""
    wanted = select(tables.submissions).where(tables.submissions.c.key == key)
    with ledger._database.engine.connect() as connection:
        return dict(connection.execute(wanted).mappings().one())


def absent_outcome(key: str) -> Outcome:
    """Return the outcome of a submission that was proved absent."""
    return Outcome(key, State.PLANNED, 0, code="absent", message="It is not in the list.")


def found_outcome(key: str, conversation_id: str = "conv-1") -> Outcome:
    """Return the outcome of a submission whose conversation was found."""
    return Outcome(key, State.CREATED, 0, conversation_id=conversation_id)
