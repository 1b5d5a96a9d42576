"""How a run begins: its rows and submissions, a million of them in seconds."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, insert, or_
from sqlalchemy.dialects import postgresql, sqlite

from importer.errors import LedgerError
from importer.ledger.states import SENDABLE
from importer.ledger.tables import run_rows, run_sources, runs, submissions
from importer.model import RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Executable

    from importer.ledger.records import NewRun, PlannedRow

_CHUNK: Final = 20_000

_FRESH: Final = {
    "state": State.PLANNED.value,
    "conversation_id": None,
    "status": None,
    "code": "",
    "message": "",
    "attempts": 0,
    "sent_at": None,
    "settled_at": None,
}
"""What a submission is when it has just been planned."""

_TAKEN: Final = ("run", "source", "row", "campaign", "external_id", "person", "masked", "body_hash")
"""What a submission takes from the row that plans it."""


def begin(
    connection: Connection,
    run: str,
    new: NewRun,
    rows: Iterable[PlannedRow],
    *,
    now: datetime,
    who: tuple[str, int],
) -> None:
    """Writes a run with its files, rows and submissions.

    A ready row makes its submission, or takes over one that an earlier run left planned, unsent,
    or rejected with another body. Any other stays as it is and with the run that it belongs to.

    Args:
        connection: in a transaction.
        run: an id that is free.
        new: the run.
        rows: every row that was read, once.
        now: UTC.
        who: host and process.
    """
    connection.execute(
        insert(runs),
        {
            "id": run,
            "started_at": now,
            "finished_at": None,
            "plan_hash": new.plan_hash,
            "settings": dict(new.settings),
            "stopped": "",
            "host": who[0],
            "pid": who[1],
        },
    )
    if new.sources:
        connection.execute(
            insert(run_sources),
            [
                {
                    "run": run,
                    "position": position,
                    "name": source.name,
                    "path": source.path,
                    "sha256": source.sha256,
                    "size": source.size,
                }
                for position, source in enumerate(new.sources)
            ],
        )
    plan = _take_over(connection)
    rest = iter(rows)
    while chunk := list(islice(rest, _CHUNK)):
        connection.execute(insert(run_rows), [_row(run, row) for row in chunk])
        if ready := [_submission(run, row, now) for row in chunk if row.status == RowStatus.READY]:
            connection.execute(plan, ready)


def _row(run: str, row: PlannedRow) -> dict[str, Any]:
    return {
        "run": run,
        "source": row.source,
        "row": row.row,
        "status": row.status,
        "key": row.key,
        "codes": row.codes,
    }


def _submission(run: str, row: PlannedRow, now: datetime) -> dict[str, Any]:
    if row.key is None:
        raise LedgerError(f"Row {row.row} is ready and has no key.")
    return {
        "key": row.key,
        "run": run,
        "source": row.source,
        "row": row.row,
        "campaign": row.campaign,
        "external_id": row.external_id,
        "person": row.person,
        "masked": row.masked,
        "body_hash": row.body_hash,
        "planned_at": now,
        **_FRESH,
    }


def _take_over(connection: Connection) -> Executable:
    """Inserts a submission, or lets the run take it over where that can contact nobody twice."""
    new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = new(submissions)
    given = statement.excluded
    old = submissions.c
    return statement.on_conflict_do_update(
        index_elements=[old.key],
        set_={name: given[name] for name in (*_TAKEN, "planned_at", *_FRESH)},
        where=and_(
            old.run != given.run,  # of two rows of one run the first stays
            or_(
                *(old.state == state.value for state in sorted(SENDABLE)),
                and_(old.state == State.REJECTED.value, old.body_hash != given.body_hash),
            ),
        ),
    )
