"""The runs: which there were, what became of their rows, and how they ended."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import ColumnElement, and_, func, insert, null, or_, select, true, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite

from importer.errors import LedgerError, UsageError
from importer.ledger.records import RowOutcome, Run, SourceFile
from importer.ledger.tables import (
    SENDABLE,
    Moment,
    among,
    as_seen,
    run_rows,
    run_sources,
    runs,
    submissions,
)
from importer.model import Counts, RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import Connection, Insert, Row

    from importer.ledger.records import NewRun
    from importer.model import PlannedRow


PAGE: Final = 10_000
"""How many rows of a run are read at once."""

_NEWEST: Final = (runs.c.started_at.desc(), runs.c.id.desc())


def exists(connection: Connection, run: str) -> bool:
    """Whether there is a run of this id."""
    return connection.scalar(select(runs.c.id).where(runs.c.id == run)) is not None


def listed(connection: Connection, limit: int | None) -> tuple[Run, ...]:
    """The runs, newest first."""
    found = connection.execute(select(runs).order_by(*_NEWEST).limit(limit)).all()
    return tuple(_run(connection, row) for row in found)


def find(connection: Connection, name: str | None) -> Run:
    """The run of an id, of the beginning of one, or the newest where none is given.

    Raises:
        UsageError: there is none, or several.
    """
    wanted = select(runs).order_by(*_NEWEST)
    if name is not None:
        wanted = wanted.where(runs.c.id.startswith(name, autoescape=True))
    found = connection.execute(wanted.limit(1 if name is None else 3)).all()
    exact = [row for row in found if row.id == name]
    if name is None and not found:
        raise UsageError("There is no run in the ledger yet.")
    if not found:
        raise UsageError(f"There is no run {name!r}.", "`importer runs` lists them.")
    if len(found) > 1 and not exact:
        raise UsageError(
            f"Several runs begin with {name!r}: {', '.join(row.id for row in found)}.",
            "Give more of the id.",
        )
    return _run(connection, (exact or found)[0])


def _run(connection: Connection, row: Row[Any]) -> Run:
    s = run_sources.c
    sources = connection.execute(
        select(s.name, s.path, s.sha256, s.size).where(s.run == row.id).order_by(s.position)
    )
    return Run(
        id=row.id,
        started=row.started_at,
        finished=row.finished_at,
        plan_hash=row.plan_hash,
        sources=tuple(SourceFile(*source) for source in sources),
        settings=row.settings,
        stopped=row.stopped,
        host=row.host,
        pid=row.pid,
    )


def finish(connection: Connection, run: str, stopped: str, *, now: datetime) -> None:
    """Writes that a run ended, and why where that was before its work was done."""
    connection.execute(
        update(runs).where(runs.c.id == run).values(finished_at=now, stopped=stopped)
    )


def reopen(connection: Connection, run: str, who: tuple[str, int]) -> None:
    """Writes that a run goes on, and in which process."""
    connection.execute(
        update(runs)
        .where(runs.c.id == run)
        .values(finished_at=None, stopped="", host=who[0], pid=who[1])
    )


def outcomes(
    connection: Connection, run: str, after: tuple[int, int] | None
) -> tuple[RowOutcome, ...]:
    """The next rows of a run in order of file and row, `PAGE` at most, with what became of them."""
    r, s = run_rows.c, submissions.c
    beyond: list[ColumnElement[bool]] = []
    if after is not None:
        beyond = [tuple_(r.source, r.row) > tuple_(*after)]
    found = connection.execute(
        select(
            r.source, r.row, r.status, r.codes, r.key, s.state, s.conversation_id,
            s.status.label("http_status"), s.code, s.message, s.sent_at, s.attempts,
            s.remote_status, s.remote_at, s.decided_by,
        )
        .join_from(run_rows, submissions, r.key == s.key, isouter=True)
        .where(r.run == run, *beyond)
        .order_by(r.source, r.row)
        .limit(PAGE)
    )  # fmt: skip
    return tuple(
        RowOutcome(
            source=source,
            row=row,
            status=RowStatus(status),
            codes=codes,
            key=key,
            state=None if state is None else as_seen(State(state)),
            conversation_id=conversation_id,
            http_status=http_status,
            code=code or "",
            message=message or "",
            attempted_at=attempted_at,
            attempts=attempts or 0,
            remote_status=remote_status,
            remote_at=remote_at,
            decided_by=decided_by,
        )
        for (
            source, row, status, codes, key, state, conversation_id,
            http_status, code, message, attempted_at, attempts, remote_status, remote_at,
            decided_by,
        ) in found
    )  # fmt: skip


def counts(connection: Connection, run: str) -> dict[State, int]:
    """How many of a run's ready rows stand in each state now; a state without any is left out."""
    found = connection.execute(
        select(submissions.c.state, func.count())
        .join_from(run_rows, submissions, run_rows.c.key == submissions.c.key)
        .where(run_rows.c.run == run, run_rows.c.status == RowStatus.READY.value)
        .group_by(submissions.c.state)
    )
    numbers: dict[State, int] = {}
    for state, number in found:
        seen = as_seen(State(state))
        numbers[seen] = numbers.get(seen, 0) + number
    return numbers


def row_counts(connection: Connection, run: str) -> Counts:
    """How many rows a run read, and what was decided about them; warnings are not kept."""
    found = connection.execute(
        select(run_rows.c.status, func.count())
        .where(run_rows.c.run == run)
        .group_by(run_rows.c.status)
    )
    by_status = {RowStatus(status): number for status, number in found}
    return Counts(
        read=sum(by_status.values()),
        ready=by_status.get(RowStatus.READY, 0),
        rejected=by_status.get(RowStatus.REJECTED, 0),
        duplicates=by_status.get(RowStatus.DUPLICATE, 0),
        already_imported=by_status.get(RowStatus.ALREADY_IMPORTED, 0),
    )


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
