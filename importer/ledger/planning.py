"""How a run begins: its rows and submissions, a million of them in seconds."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from sqlalchemy import and_, insert, null, or_, true
from sqlalchemy.dialects import postgresql, sqlite

from importer.errors import LedgerError
from importer.ledger.states import SENDABLE
from importer.ledger.tables import Moment, among, run_rows, run_sources, runs, submissions
from importer.model import RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Insert

    from importer.ledger.records import NewRun
    from importer.model import PlannedRow

_CHUNK: Final = 20_000

_ROW: Final = ("run", "source", "row", "status", "key", "codes")
_SUBMISSION: Final = (
    "key", "run", "source", "row", "campaign", "external_id", "person", "masked", "body_hash",
    "state", "code", "message", "attempts", "planned_at",
)  # fmt: skip
"""What is written of a submission that has just been planned, in the order of the table."""

_FORGOTTEN: Final = ("conversation_id", "status", "sent_at", "settled_at")
"""What a submission loses when another run takes it over."""


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
    or rejected: with another body, unless the run retries those. Any other stays as it is and with
    the run that it belongs to.

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
    if connection.dialect.name == "sqlite":
        # The index over the keys is written to all over: it should fit into memory.
        connection.exec_driver_sql("PRAGMA cache_size = -196608")  # KiB, where there is need
    _Bulk(connection, run, now, retry_rejected=new.retry_rejected).write(rows)


class _Bulk:
    """Rows and submissions in bulk: tuples for the driver, a third of the time of `execute`.

    Args:
        connection: in the run's transaction.
        run: its id.
        now: UTC.
        retry_rejected: as in `NewRun`.
    """

    def __init__(
        self, connection: Connection, run: str, now: datetime, *, retry_rejected: bool
    ) -> None:
        self._connection = connection
        self._run = run
        bind = Moment().bind_processor(connection.dialect)
        self._now = now if bind is None else bind(now)
        self._row_sql = _sql(insert(run_rows), _ROW, connection)
        self._submission_sql = _sql(
            _take_over(connection, retry_rejected=retry_rejected), _SUBMISSION, connection
        )

    def write(self, rows: Iterable[PlannedRow]) -> None:
        """Writes all of them, in chunks."""
        run = self._run
        rest = iter(rows)
        while chunk := list(islice(rest, _CHUNK)):
            self._connection.exec_driver_sql(
                self._row_sql,
                [(run, each.source, each.row, each.status, each.key, each.codes) for each in chunk],
            )
            ready = [self._submission(each) for each in chunk if each.status == RowStatus.READY]
            if ready:
                self._connection.exec_driver_sql(self._submission_sql, ready)

    def _submission(self, row: PlannedRow) -> tuple[object, ...]:
        if row.key is None:
            raise LedgerError(f"Row {row.row} is ready and has no key.")
        return (
            row.key, self._run, row.source, row.row, row.campaign, row.external_id, row.person,
            row.masked, row.body_hash, State.PLANNED.value, "", "", 0, self._now,
        )  # fmt: skip


def _sql(statement: Insert, columns: tuple[str, ...], connection: Connection) -> str:
    """The text of an insert for the driver, which takes the values of these columns in order."""
    compiled = statement.compile(dialect=connection.dialect, column_keys=list(columns))
    if tuple(compiled.positiontup or ()) != columns:
        raise LedgerError("The ledger's insert takes other values than it is given.")
    return str(compiled)


def _take_over(connection: Connection, *, retry_rejected: bool) -> Insert:
    """Inserts a submission, or lets the run take it over where that can contact nobody twice."""
    new = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = new(submissions)
    given, old = statement.excluded, submissions.c
    changed = true() if retry_rejected else old.body_hash != given.body_hash
    taken = {name: given[name] for name in _SUBMISSION if name != "key"}
    return statement.on_conflict_do_update(
        index_elements=[old.key],
        set_={**taken, **dict.fromkeys(_FORGOTTEN, null())},
        where=and_(
            old.run != given.run,  # of two rows of one run the first stays
            or_(
                among(old.state, SENDABLE),
                and_(among(old.state, {State.REJECTED}), changed),
            ),
        ),
    )
