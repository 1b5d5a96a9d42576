"""Write the rows of a new run and its submissions, in bulk and in its transaction.

What may have been sent stays as it is, which the condition of the insert decides row by row.
"""

from __future__ import annotations

from contextlib import closing, contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import polars as pl
from sqlalchemy import (
    Column,
    MetaData,
    Table,
    and_,
    delete,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from importer.errors import LedgerError
from importer.ledger.column_types import (
    number_of_run,
    pack_hash_column,
    pack_text_column,
    shorten_masks,
)
from importer.ledger.database import CACHE_KIB, dialect_insert
from importer.ledger.tables import (
    SENDABLE,
    STATES,
    STATUSES,
    among,
    campaigns,
    rows_elsewhere,
    run_rows,
    submissions,
)
from importer.model import PlannedRow, RowStatus, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy import ColumnElement, Connection, Insert


_CHUNK: Final = 20_000

_ROW: Final = ("source", "row", "status", "key", "codes")
_SUBMISSION: Final = (
    *("key", "source", "row", "campaign", "external_id", "person", "masked", "body_hash"),
    *("email", "candidate", "name"),
)
"""The columns that differ between the newly planned submissions of a run."""

_CLEARED: Final = (
    *("conversation_id", "status", "sent_at", "settled_at", "listed_s", "sender"),
    *("remote_status", "remote_at"),
    *("meeting_state", "meeting_at", "meeting_known_at", "meeting_id"),
)
"""The columns that are emptied when another run takes a submission over."""

_HASHED: Final = ("key", "person", "body_hash", "email", "candidate")
_SCHEMA: Final = pl.Schema(
    dict.fromkeys(PlannedRow._fields, pl.String()) | {"source": pl.UInt16(), "row": pl.UInt32()}
)
_IS_READY: Final = pl.col("status") == RowStatus.READY.value

_FixedColumns: TypeAlias = "Mapping[str, ColumnElement[Any]]"
"""Columns that have one value in all rows of an insert."""


class PlanWriter:
    """Writes the rows and submissions of a run as tuples for the driver.

    Args:
        connection: a connection in the run's transaction.
        run: the id of the run.
        retry_rejected: as in `NewRun`.
    """

    def __init__(self, connection: Connection, run: str, *, retry_rejected: bool) -> None:
        self._connection = connection
        self._run = run
        planned: _FixedColumns = {
            "run": literal_column(str(number_of_run(run))),
            "state": literal_column(str(STATES.number(State.PLANNED))),
            "code": literal_column("''"),
            "message": literal_column("''"),
            "attempts": literal_column("0"),
        }
        insertion = _build_take_over(connection, planned, retry_rejected=retry_rejected)
        self._is_file = connection.dialect.name == "sqlite"
        prepare = _prepare_insert if self._is_file else _prepare_copy
        self._add_rows = prepare(connection, insert(run_rows), {"run": planned["run"]}, _ROW)
        self._take_over = prepare(connection, insertion, planned, _SUBMISSION)
        if self._is_file:
            self._add = prepare(connection, insert(submissions), planned, _SUBMISSION)
        self._ready = self._written = 0
        self._campaigns = dict[str, int]()

    def write(self, rows: Iterable[PlannedRow | pl.DataFrame]) -> None:
        """Write all rows; a frame has many of them, with the fields of `PlannedRow` as columns."""
        parts = _to_frames(rows)
        first = next(parts, None)
        if first is None:
            return
        if self._is_file and first.height >= _CHUNK and self._count_known() <= _CHUNK:
            self._write_without_indexes(first, parts)
        else:
            with self._large_cache(first.height):
                while first is not None:
                    self._take_over_all(self._write_rows(first))
                    first = next(parts, None)
        if self._written < self._ready:
            self._connection.execute(_build_elsewhere_insert(self._run))

    def _count_known(self) -> int:
        """Return how many submissions the ledger has, at most."""
        last = select(func.max(submissions.c.id)).select_from(submissions)
        return self._connection.scalar(last) or 0

    def _write_without_indexes(
        self, part: pl.DataFrame | None, parts: Iterator[pl.DataFrame]
    ) -> None:
        """Write many rows to a file that has few submissions, without its indexes meanwhile.

        Then rows stay in their order on the file's pages, and all indexes together take a third
        of the time that they take row by row.
        """
        known = pl.Series(
            self._connection.scalars(select(submissions.c.key)).all(), dtype=pl.String
        )
        is_known = pl.col("key").is_in(known.implode())
        later = []
        with self._without_indexes():
            while part is not None:
                ready = self._write_rows(part)
                if known.len():
                    later.append(ready.filter(is_known))
                    ready = ready.filter(~is_known)
                self._written += self._add(self._values(ready))
                part = next(parts, None)
        for ready in later:
            self._take_over_all(ready)

    def _write_rows(self, part: pl.DataFrame) -> pl.DataFrame:
        """Write what was decided about rows; return those that are ready."""
        numbers = {word.value: STATUSES.number(word) for word in RowStatus}
        self._add_rows(
            zip(
                part["source"].to_list(),
                part["row"].to_list(),
                part["status"].replace_strict(numbers, return_dtype=pl.Int8).to_list(),
                pack_hash_column(part["key"]),
                part["codes"].to_list(),
                strict=True,
            )
        )
        ready = part.filter(_IS_READY)
        without_key = ready.filter(pl.col("key").is_null())
        if without_key.height:
            raise LedgerError(f"Row {without_key['row'][0]} is ready but has no key.")
        self._ready += ready.height
        return ready

    def _take_over_all(self, ready: pl.DataFrame) -> None:
        """Write the submissions of ready rows, or take them over.

        They come in the order of their keys, because neighbours in the index of keys are written on
        the same page. Of several rows with one key each is written by a statement of its own: a
        server refuses one that would write a row twice.
        """
        ready = ready.sort("key", maintain_order=True)
        while ready.height:
            is_first = ready["key"].is_first_distinct()
            self._written += self._take_over(self._values(ready.filter(is_first)))
            ready = ready.filter(~is_first)

    def _values(self, ready: pl.DataFrame) -> Iterator[tuple[Any, ...]]:
        """Return the values of ready rows as the driver takes them."""
        names = ready["campaign"].unique()
        self._add_campaigns(names)
        numbers = [self._campaigns[name] for name in names]
        campaign = ready["campaign"].replace_strict(names, numbers, return_dtype=pl.Int64)
        packed = {
            **{name: pack_hash_column(ready[name]) for name in _HASHED},
            "campaign": campaign.to_list(),
            "external_id": pack_text_column(ready["external_id"]),
            "masked": shorten_masks(ready["masked"]).to_list(),
            "name": pack_text_column(ready["name"]),
        }
        columns = (
            packed[name] if name in packed else ready[name].to_list() for name in _SUBMISSION
        )
        return zip(*columns, strict=True)

    def _add_campaigns(self, names: Iterable[str]) -> None:
        """Write the campaigns that are new, and remember their numbers."""
        new = sorted(set(names) - self._campaigns.keys())
        if new:
            add = dialect_insert(self._connection)(campaigns).on_conflict_do_nothing()
            self._connection.execute(add, [{"name": each} for each in new])
            c = campaigns.c
            found = self._connection.execute(select(c.name, c.id).where(c.name.in_(new)))
            self._campaigns.update((name, number) for name, number in found)

    @contextmanager
    def _large_cache(self, rows: int) -> Iterator[None]:
        """Let SQLite keep many pages: keys are written in random order all over their index."""
        if not self._is_file or rows < _CHUNK:
            yield
            return
        self._connection.exec_driver_sql(f"PRAGMA cache_size = -{3 * CACHE_KIB}")
        yield
        self._connection.exec_driver_sql(f"PRAGMA cache_size = -{CACHE_KIB}")

    @contextmanager
    def _without_indexes(self) -> Iterator[None]:
        """Leave out the indexes of submissions, and the check of a state that is always `planned`.

        If a key was written twice, its first row stays.
        """
        connection, indexes = self._connection, sorted(submissions.indexes, key=str)
        for index in indexes:
            index.drop(connection)
        connection.exec_driver_sql("PRAGMA ignore_check_constraints = ON")
        try:
            yield
        finally:
            connection.exec_driver_sql("PRAGMA ignore_check_constraints = OFF")
        for index in indexes:
            try:
                index.create(connection)
            except IntegrityError:
                s = submissions.c
                first = select(func.min(s.id)).group_by(s.key)
                again = delete(submissions).where(s.id.not_in(first))
                self._written -= connection.execute(again).rowcount
                index.create(connection)


def _to_frames(rows: Iterable[PlannedRow | pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Yield rows as frames of many."""
    rest = iter(rows)
    while chunk := list(islice(rest, 1)):
        if isinstance(chunk[0], pl.DataFrame):
            yield chunk[0]
        else:
            chunk += islice(rest, _CHUNK - 1)
            yield pl.DataFrame(chunk, schema=_SCHEMA, orient="row")


_WriteRows: TypeAlias = "Callable[[Iterable[tuple[Any, ...]]], int]"
"""Writes rows, given as the driver takes them; returns how many were added or changed."""


def _prepare_insert(
    connection: Connection, statement: Insert, fixed: _FixedColumns, columns: tuple[str, ...]
) -> _WriteRows:
    """Return a function that inserts rows one by one, as is best in SQLite.

    Args:
        connection: a connection in the run's transaction.
        statement: the insert, without values.
        fixed: the columns that have one value in all rows.
        columns: the other columns, in the order of the values.
    """
    compiled = (
        statement.values(fixed)
        .inline()
        .compile(dialect=connection.dialect, column_keys=[*fixed, *columns])
    )
    if tuple(compiled.positiontup or ()) != columns:
        raise LedgerError("The ledger's insert expects other columns than it is given.")
    sql = str(compiled)

    def add(rows: Iterable[tuple[Any, ...]]) -> int:
        with closing(connection.connection.cursor()) as cursor:  # SQLAlchemy would copy the rows
            cursor.executemany(sql, rows)  # type: ignore[arg-type]  # SQLite takes any iterable
            return cursor.rowcount

    return add


def _prepare_copy(
    connection: Connection, statement: Insert, fixed: _FixedColumns, columns: tuple[str, ...]
) -> _WriteRows:
    """Return a function that copies rows into a temporary table, and inserts them at once.

    A statement for each row takes the server ten times as long. The table lives as long as the
    transaction, so PgBouncer may share connections between transactions.

    Args: as for `_prepare_insert`.
    """
    target = statement.table
    copied = Table(
        f"copied_{target.name}",
        MetaData(),
        *(Column(name, target.c[name].type) for name in columns),
        prefixes=["TEMPORARY"],
        postgresql_on_commit="DROP",
    )
    copied.create(connection)
    names = ", ".join(map(connection.dialect.identifier_preparer.quote, columns))
    sql = f"COPY {copied.name} ({names}) FROM STDIN"
    of_all = select(*fixed.values(), *(copied.c[name] for name in columns))
    insertion = statement.from_select([*fixed, *columns], of_all)

    def add(rows: Iterable[tuple[Any, ...]]) -> int:
        connection.execute(text(f"TRUNCATE {copied.name}"))
        try:
            with closing(connection.connection.cursor()) as cursor, cursor.copy(sql) as copy:
                for row in rows:
                    copy.write_row(row)
        except connection.dialect.loaded_dbapi.Error as error:
            raise DBAPIError(sql, None, error) from None  # its context may show a row
        return connection.execute(insertion).rowcount

    return add


def _build_elsewhere_insert(run: str) -> Insert:
    """Return the statement that notes a run's ready rows whose submission is not their own."""
    r, s = run_rows.c, submissions.c
    found = (
        select(r.run, r.source, r.row, r.key)
        .join_from(run_rows, submissions, r.key == s.key)
        .where(
            r.run == run,
            r.status == RowStatus.READY.value,
            or_(s.run != r.run, s.source != r.source, s.row != r.row),
        )
    )
    return insert(rows_elsewhere).from_select(["run", "source", "row", "key"], found)


def _build_take_over(
    connection: Connection, planned: _FixedColumns, *, retry_rejected: bool
) -> Insert:
    """Return the statement that inserts a submission, or lets the run take it over.

    The run takes over only what cannot contact a person twice.

    Args:
        connection: says which dialect.
        planned: the columns that all submissions of the run have in common.
        retry_rejected: as in `NewRun`.
    """
    statement = dialect_insert(connection)(submissions)
    given, old = statement.excluded, submissions.c
    changed = true() if retry_rejected else old.body_hash != given.body_hash
    taken = {name: given[name] for name in (*planned, *_SUBMISSION) if name != "key"}
    return statement.on_conflict_do_update(
        index_elements=[old.key],
        set_={**taken, **dict.fromkeys(_CLEARED, null())},
        where=and_(
            old.run != given.run,  # of two rows of one run, the first stays
            or_(
                among(old.state, SENDABLE),
                and_(among(old.state, {State.REJECTED}), changed),
            ),
        ),
    )
