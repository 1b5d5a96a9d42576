"""Runs: their files and rows, how they ended, and the state of each row now.

Whether a run can be resumed is decided by `prepare_again` in `importer/deliver.py`.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
from datetime import UTC
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, func, insert, or_, select, update

from importer.errors import LedgerError, UsageError
from importer.ledger.column_types import number_of_run
from importer.ledger.plan_writer import PlanWriter
from importer.ledger.records import RowOutcome, Run, SourceFile
from importer.ledger.run_outcomes import frame_outcomes, read_outcomes, select_outcomes
from importer.ledger.submissions import OF_FILE, RECORD, read_record
from importer.ledger.tables import (
    OPEN,
    SENDABLE,
    among,
    as_seen,
    rows_elsewhere,
    run_rows,
    run_sources,
    runs,
    submissions,
)
from importer.masking import mask_file_name
from importer.model import Counts, PlannedRow, RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    import polars as pl
    from sqlalchemy import Connection, Row, Select

    from importer.ledger.database import Database
    from importer.ledger.records import NewRun


PAGE: Final = 10_000
"""Rows of a run that are read at a time."""

_SETTLED: Final = (State.CREATED, State.DUPLICATE, State.REJECTED)
_ID_TRIES: Final = 16
_NEWEST: Final = (runs.c.started_at.desc(), runs.c.id.desc())


def random_suffix() -> str:
    """Return the random end of a run's id."""
    return secrets.token_hex(2)


class Runs:
    """Read and write runs. Each method is one transaction and raises LedgerError on failure.

    Args:
        database: open.
        now: the clock; timezone-aware.
        suffix: makes the random end of a run's id.
    """

    def __init__(
        self, database: Database, now: Callable[[], datetime], suffix: Callable[[], str]
    ) -> None:
        self._database = database
        self._now = now
        self._suffix = suffix

    # ---- reading -----------------------------------------------------------------------------

    def list(self, limit: int | None = None) -> tuple[Run, ...]:
        """Return the runs, newest first."""
        wanted = select(runs).order_by(*_NEWEST).limit(limit)
        return self._database.read(lambda c: tuple(_run(c, row) for row in c.execute(wanted).all()))

    def find(self, name: str | None = None) -> Run:
        """Return the run whose id is or begins with `name`; the newest run if None.

        Raises:
            UsageError: no run fits, or several do.
        """
        ids = select(runs.c.id).order_by(*_NEWEST).limit(1 if name is None else None)

        def query(connection: Connection) -> Run:
            fitting = (each for each in connection.scalars(ids) if each.startswith(name or ""))
            found = [name] if name and number_of_run(name) else list(islice(fitting, 3))
            if len(found) > 1:
                raise UsageError(
                    f"Several runs begin with {name!r}: {', '.join(found)}.",
                    "Give more of the id.",
                )
            row = connection.execute(select(runs).where(runs.c.id == found[0])) if found else None
            run = None if row is None else row.first()
            if run is None and name is None:
                raise UsageError("There is no run in the ledger yet.", "`importer run` starts one.")
            if run is None:
                raise UsageError(f"There is no run {name!r}.", "`importer runs` lists them.")
            return _run(connection, run)

        return self._database.read(query)

    def rows(self, run: str) -> Iterator[RowOutcome]:
        """Yield every row of a run in its present state, by file and row."""
        r = run_rows.c
        rows = _OUTCOMES.where(r.run == run).order_by(r.source, r.row)
        for page in self._database.stream(rows, PAGE):
            yield from map(_row_outcome, page)

    def outcomes(self, run: str) -> Iterator[pl.DataFrame]:
        """Yield what a report shows of each row of a run, by file and row, many at a time.

        Each frame has the fields of `OutcomeRow`, as they were when the first was read.
        """
        return read_outcomes(self._database, run)

    def first_outcomes(self, run: str, limit: int) -> pl.DataFrame:
        """Return what a report shows of the first rows of a run, as `outcomes` does."""
        wanted = select_outcomes(run).limit(limit)
        return frame_outcomes(self._database.read(lambda c: c.execute(wanted).all()))

    def count_progress(self, run: str) -> tuple[tuple[str | None, str | None, int], ...]:
        """Count the conversations of a run's rows by remote status and by state of the meeting."""
        s, e, r = submissions.c, rows_elsewhere.c, run_rows.c
        found = (s.remote_status, s.meeting_state)
        known = or_(s.remote_status.is_not(None), s.meeting_state.is_not(None))
        counted = select(*found, func.count()).where(known).group_by(*found)
        elsewhere = counted.join_from(rows_elsewhere, submissions, e.key == s.key)
        imported = counted.join_from(run_rows, submissions, r.key == s.key)
        parts = (
            counted.where(s.run == run),
            elsewhere.where(e.run == run),
            imported.where(r.run == run, r.status == RowStatus.ALREADY_IMPORTED.value),
        )
        rows = self._database.read(lambda c: [row for part in parts for row in c.execute(part)])
        return tuple((status, meeting, count) for status, meeting, count in rows)

    def not_sent(self, run: str, limit: int) -> tuple[RowOutcome, ...]:
        """Return the first rows of a run that were rejected or given up, by file and row.

        With them come the first rows that another run took over and left doubtful.
        """
        r, s, e = run_rows.c, submissions.c, rows_elsewhere.c
        ended = among(s.state, {State.REJECTED, State.UNSENT})
        elsewhere = (
            select(e.source, e.row)
            .join_from(rows_elsewhere, submissions, e.key == s.key)
            .where(e.run == run)
        )
        places = [
            select(r.source, r.row).where(r.run == run, r.status == RowStatus.REJECTED.value),
            select(s.source, s.row).where(s.run == run, ended),
            elsewhere.where(ended),
        ]
        doubtful = elsewhere.where(among(s.state, OPEN))

        def find(connection: Connection, place: Select[Any]) -> list[tuple[int, int]]:
            first = place.order_by(*place.selected_columns).limit(limit)
            return [(source, row) for source, row in connection.execute(first)]

        def read(connection: Connection) -> tuple[RowOutcome, ...]:
            found = {each for place in places for each in find(connection, place)}
            first = sorted(found)[:limit] + find(connection, doubtful)
            if not first:
                return ()
            here = or_(*(and_(r.source == source, r.row == row) for source, row in first))
            wanted = _OUTCOMES.where(r.run == run, here)
            rows = connection.execute(wanted.order_by(r.source, r.row))
            return tuple(map(_row_outcome, rows))

        return self._database.read(read)

    def states(self, run: str, *, live: bool = False) -> dict[State, int]:
        """Count a run's ready rows by their present state; empty states are left out.

        Args:
            run: the id of the run.
            live: whether the run is going on, so an attempt without an end is no doubt yet.
        """
        s, e = submissions.c, rows_elsewhere.c
        own = select(s.state, func.count()).where(s.run == run).group_by(s.state)
        elsewhere = (
            select(s.state, func.count())
            .join_from(rows_elsewhere, submissions, e.key == s.key)
            .where(e.run == run)
            .group_by(s.state)
        )
        numbers: dict[State, int] = {}
        for state, number in self._database.read(
            lambda c: [*c.execute(own), *c.execute(elsewhere)]
        ):
            seen = State(state) if live else as_seen(State(state))
            numbers[seen] = numbers.get(seen, 0) + number
        return numbers

    def find_taken_over(self, run: str) -> dict[str, int]:
        """Count the ready rows that other runs have taken over and not sent yet, by run."""
        s, e = submissions.c, rows_elsewhere.c
        wanted = (
            select(s.run, func.count())
            .join_from(rows_elsewhere, submissions, e.key == s.key)
            .where(e.run == run, s.run != run, among(s.state, {*SENDABLE, State.SENDING}))
            .group_by(s.run)
            .order_by(s.run)
        )
        return dict(self._database.read(lambda c: [tuple(row) for row in c.execute(wanted)]))

    def open_elsewhere(self, run: str) -> dict[State, int]:
        """Count a run's already imported rows that are doubtful, unsent or planned, by state.

        They belong to another run, which did not finish them.
        """
        wanted = (
            select(submissions.c.state, func.count())
            .join_from(run_rows, submissions, run_rows.c.key == submissions.c.key)
            .where(
                run_rows.c.run == run,
                run_rows.c.status == RowStatus.ALREADY_IMPORTED.value,
                submissions.c.state.not_in([state.value for state in _SETTLED]),
            )
            .group_by(submissions.c.state)
        )
        found = self._database.read(lambda c: c.execute(wanted).all())
        return {State(state): number for state, number in found}

    def counts(self, run: str) -> Counts:
        """Count the rows that a run read, by decision; warnings are not stored."""
        wanted = (
            select(run_rows.c.status, func.count())
            .where(run_rows.c.run == run)
            .group_by(run_rows.c.status)
        )
        found = self._database.read(lambda c: c.execute(wanted).all())
        by_status = {RowStatus(status): number for status, number in found}
        return Counts(
            read=sum(by_status.values()),
            ready=by_status.get(RowStatus.READY, 0),
            rejected=by_status.get(RowStatus.REJECTED, 0),
            duplicates=by_status.get(RowStatus.DUPLICATE, 0),
            already_imported=by_status.get(RowStatus.ALREADY_IMPORTED, 0),
        )

    # ---- beginning and ending ----------------------------------------------------------------

    def begin(
        self,
        new: NewRun,
        rows: Iterable[PlannedRow | pl.DataFrame],
        fence: Callable[[Connection], None] | None = None,
        then: Callable[[Connection, str], None] | None = None,
    ) -> str:
        """Write a new run with its files, rows and submissions, and return its id.

        A ready row makes its submission, or takes over one that an earlier run left planned,
        unsent, or rejected with another body (with any body if the run retries rejected rows).
        Any other submission stays with its own run; this run cannot send it.

        Args:
            new: the run.
            rows: every row that was read, once; a frame has many, with the same fields as columns.
            fence: makes sure that no other sender plans meanwhile; raises LedgerError if one may.
            then: writes more in the same transaction, with the id of the run.
        """

        def write(connection: Connection) -> str:
            if fence is not None:
                fence(connection)
            now = self._now()
            run = self._free_id(connection, now)
            connection.execute(
                insert(runs),
                {
                    "id": run,
                    "started_at": now,
                    "finished_at": None,
                    "plan_hash": new.plan_hash,
                    "settings": dict(new.settings),
                    "stopped": "",
                    **_process(),
                },
            )
            if new.sources:
                connection.execute(
                    insert(run_sources),
                    [
                        {
                            "run": run,
                            "position": position,
                            "name": name,
                            "path": source.path and mask_file_name(source.path),
                            "sha256": source.sha256,
                            "size": source.size,
                        }
                        for position, (name, source) in enumerate(
                            zip(_names(new.sources), new.sources, strict=True)
                        )
                    ],
                )
            PlanWriter(connection, run, retry_rejected=new.retry_rejected).write(rows)
            if then is not None:
                then(connection, run)
            return run

        run = self._database.write("begin", write, counted=True, skip_foreign_keys=True)
        self._database.analyze(run_rows, submissions)
        return run

    def _free_id(self, connection: Connection, now: datetime) -> str:
        for _ in range(_ID_TRIES):
            run = f"{now.astimezone(UTC):%Y%m%d-%H%M%S}-{self._suffix()}"
            if number_of_run(run) is None:
                raise LedgerError(f"{run!r} cannot be the id of a run.")
            if connection.scalar(select(runs.c.id).where(runs.c.id == run)) is None:
                return run
        raise LedgerError("Too many runs started in this second.", "Try again.")

    def reopen(self, run: str) -> None:
        """Write that a run continues in this process."""
        again = (
            update(runs).where(runs.c.id == run).values(finished_at=None, stopped="", **_process())
        )
        self._database.write("reopen", lambda c: c.execute(again), counted=True)

    def finish(self, run: str, stopped: str = "") -> None:
        """Write that a run ended.

        Args:
            run: the id of the run.
            stopped: why it ended before its work was done; empty if it did not.
        """
        ended = (
            update(runs).where(runs.c.id == run).values(finished_at=self._now(), stopped=stopped)
        )
        self._database.write("finish", lambda c: c.execute(ended), counted=True)


def _names(sources: Iterable[SourceFile]) -> Iterator[str]:
    """Yield the masked names of a run's files; a repeated one gets a number."""
    seen: dict[str, int] = {}
    for source in sources:
        name = mask_file_name(source.name)
        seen[name] = number = seen.get(name, 0) + 1
        yield f"{name} ({number})" if number > 1 and name != source.name else name


def is_masked_name(name: str, masked: str) -> bool:
    """Whether a file's name in the ledger is a masked name, perhaps with a number."""
    return re.sub(r" \(\d+\)$", "", name) == masked


def _process() -> Mapping[str, str | int]:
    return {"host": socket.gethostname(), "pid": os.getpid()}


_OUTCOMES: Final = (
    select(run_rows.c.source, run_rows.c.row, run_rows.c.status, run_rows.c.codes, *RECORD)
    .join_from(run_rows, submissions, run_rows.c.key == submissions.c.key, isouter=True)
    .join(run_sources, OF_FILE, isouter=True)
)
"""The rows of runs, each as `_row_outcome` reads it; the caller narrows it."""

_STATUS: Final = {status.value: status for status in RowStatus}


def _row_outcome(row: Sequence[Any]) -> RowOutcome:
    submission = None if row[4] is None else read_record(row[4:])
    return RowOutcome(row[0], row[1], _STATUS[row[2]], row[3], submission)


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
