"""Submissions of which nobody knows whether they arrived: listed, and settled on evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import bindparam, select, update

from importer.errors import UsageError
from importer.ledger.records import Doubtful
from importer.ledger.tables import OPEN, among, run_rows, run_sources, submissions
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Connection

    from importer.model import Outcome

RECONCILIATION: Final = "reconciliation"
"""Who decided, where the API's list of conversations did."""

RESOLVED: Final = "resolved"
"""The code of a submission that a person settled."""


def doubtful(connection: Connection, run: str | None) -> tuple[Doubtful, ...]:
    """Every submission that may have been accepted, in order of run, file and row.

    Args:
        connection: in a transaction.
        run: None for those of every run.
    """
    return _listed(connection, [] if run is None else [submissions.c.run == run])


def _listed(connection: Connection, narrower: list[ColumnElement[bool]]) -> tuple[Doubtful, ...]:
    s = submissions.c
    found = connection.execute(
        select(
            s.key, s.run, s.source, run_sources.c.name, s.row, s.external_id, s.campaign, s.person,
            s.masked, s.sent_at, s.settled_at, s.attempts, s.code, s.message,
        )
        .join_from(
            submissions,
            run_sources,
            (run_sources.c.run == s.run) & (run_sources.c.position == s.source),
            isouter=True,
        )
        .where(among(s.state, OPEN), *narrower)
        .order_by(s.run, s.source, s.row)
    )  # fmt: skip
    return tuple(
        Doubtful(
            key=row.key,
            run=row.run,
            source=row.source,
            source_name=row.name or "",
            row=row.row,
            external_id=row.external_id,
            campaign=row.campaign,
            person=row.person,
            masked=row.masked,
            sent_at=row.sent_at,
            ended_at=row.settled_at,
            attempts=row.attempts,
            code=row.code,
            message=row.message,
        )
        for row in found
    )


def reconciled(connection: Connection, outcomes: Iterable[Outcome], *, now: datetime) -> int:
    """Writes what became of doubtful submissions, and says of how many.

    `created` is written with its conversation, `planned` (proved absent) lets the submission go
    again, `doubtful` keeps it with a newer reason. What is no longer doubtful stays as it is.

    Args:
        connection: in a writing transaction.
        outcomes: the states above; any other is not written.
        now: UTC.
    """
    written = 0
    for outcome in outcomes:
        values = _verdict(outcome, now)
        if values is None:
            continue
        written += connection.execute(
            update(submissions)
            .where(
                submissions.c.key == bindparam("b_key"),
                submissions.c.state == State.DOUBTFUL.value,
            )
            .values(**values),
            {"b_key": outcome.key},
        ).rowcount
    return written


def _verdict(outcome: Outcome, now: datetime) -> dict[str, Any] | None:
    values: dict[str, Any] = {
        "state": outcome.state.value,
        "code": outcome.code,
        "message": outcome.message,
    }
    if outcome.state is State.DOUBTFUL:
        return values
    values |= {"decided_by": RECONCILIATION, "decided_at": now}
    if outcome.state is State.CREATED:
        return values | {"conversation_id": outcome.conversation_id, "settled_at": now}
    if outcome.state is State.PLANNED:
        return values | {"settled_at": None}
    return None


def resolve(
    connection: Connection,
    run: str,
    row: int,
    *,
    source: str | None,
    sent: bool,
    conversation_id: str | None,
    by: str,
    now: datetime,
) -> Doubtful:
    """Settles a doubtful submission on a person's word, and gives it as it was.

    Args:
        connection: in a writing transaction.
        run: one that the row stands in.
        row: spreadsheet row.
        source: name of the file; needed where several files of the run have such a row.
        sent: True: it arrived, and never goes again; False: it did not, and may go again.
        conversation_id: of the conversation that it became, where known.
        by: who decided.
        now: UTC.

    Raises:
        UsageError: there is no such row, or several, or it is not doubtful.
    """
    key = _key(connection, run, row, source)
    found = _listed(connection, [submissions.c.key == key])
    if not found:
        state = connection.scalar(select(submissions.c.state).where(submissions.c.key == key))
        raise UsageError(
            f"Row {row} of run {run} is not doubtful: it is {state or 'not a submission'}.",
            "`importer results` shows how each row stands.",
        )
    values = {
        "state": State.CREATED.value if sent else State.PLANNED.value,
        "conversation_id": conversation_id if sent else None,
        "code": RESOLVED,
        "message": "Settled by a person: " + ("it was sent." if sent else "it was not sent."),
        "settled_at": now if sent else None,
        "decided_by": by,
        "decided_at": now,
    }
    connection.execute(
        update(submissions)
        .where(submissions.c.key == key, among(submissions.c.state, OPEN))
        .values(**values)
    )
    return found[0]


def _key(connection: Connection, run: str, row: int, source: str | None) -> str | None:
    """The key of a row of a run."""
    found = connection.execute(
        select(run_rows.c.key, run_sources.c.name)
        .join_from(
            run_rows,
            run_sources,
            (run_sources.c.run == run_rows.c.run) & (run_sources.c.position == run_rows.c.source),
        )
        .where(run_rows.c.run == run, run_rows.c.row == row)
    ).all()
    named = [each for each in found if source is None or each.name == source]
    if not named:
        raise UsageError(f"Run {run} has no row {row}.", "`importer results` lists its rows.")
    if len(named) > 1:
        names = ", ".join(each.name for each in named)
        raise UsageError(f"Row {row} stands in several files: {names}.", "Name the file.")
    return named[0].key if named[0].key is None else str(named[0].key)
