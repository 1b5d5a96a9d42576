"""Write the rows of a new run and its submissions, in bulk and in its transaction.

What may have been sent stays as it is, which the condition of the insert decides row by row.
"""

from __future__ import annotations

from contextlib import closing, contextmanager, nullcontext
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import (
    Column,
    MetaData,
    Table,
    and_,
    func,
    insert,
    literal_column,
    null,
    or_,
    select,
    text,
    true,
)
from sqlalchemy.exc import DBAPIError

from importer.errors import LedgerError
from importer.ledger.column_types import number_of_run, pack, pack_hashes, shorten_mask
from importer.ledger.database import dialect_insert
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
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

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

_REBUILT: Final = ("submissions_by_email", "submissions_by_candidate")
"""Indexes that are rebuilt after many rows: a third of the time of updating them row by row."""


_Fixed: TypeAlias = "Mapping[str, ColumnElement[Any]]"
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
        planned: _Fixed = {
            "run": literal_column(str(number_of_run(run))),
            "state": literal_column(str(STATES.number(State.PLANNED))),
            "code": literal_column("''"),
            "message": literal_column("''"),
            "attempts": literal_column("0"),
        }
        taking = _taking_over(connection, planned, retry_rejected=retry_rejected)
        prepare = _prepare_insert if connection.dialect.name == "sqlite" else _prepare_copy
        self._add_rows = prepare(connection, insert(run_rows), {"run": planned["run"]}, _ROW)
        self._take_over = prepare(connection, taking, planned, _SUBMISSION)
        self._ready = self._written = 0
        self._campaigns = dict[str, int]()

    def write(self, rows: Iterable[PlannedRow]) -> None:
        """Write all rows, in chunks."""
        rest = iter(rows)
        chunk = list(islice(rest, _CHUNK))
        with self._suspend_indexes() if len(chunk) == _CHUNK else nullcontext():
            while chunk:
                self._write(chunk)
                chunk = list(islice(rest, _CHUNK))
        if self._written < self._ready:
            self._connection.execute(_noting_elsewhere(self._run))

    def _write(self, chunk: list[PlannedRow]) -> None:
        column = _columns(chunk)
        number = {word.value: STATUSES.number(word) for word in RowStatus}
        statuses = map(number.__getitem__, column["status"])
        keys, codes = pack_hashes(column["key"]), column["codes"]
        rows = zip(column["source"], column["row"], statuses, keys, codes, strict=True)
        self._add_rows(list(rows))
        ready = [each for each in chunk if each.status == RowStatus.READY]
        if ready:
            self._ready += len(ready)
            parts = _split_repeated(self._submissions(ready))
            self._written += sum(map(self._take_over, parts))

    def _submissions(self, ready: list[PlannedRow]) -> list[tuple[Any, ...]]:
        """Return the values of ready rows as the driver takes them, in the order of their keys.

        In that order neighbours in the index of keys are written on the same page.
        """
        column = _columns(ready)
        if None in column["key"]:
            row = column["row"][column["key"].index(None)]
            raise LedgerError(f"Row {row} is ready but has no key.")
        self._add_campaigns(column["campaign"])
        packed = {
            **{name: pack_hashes(column[name]) for name in _HASHED},
            "campaign": map(self._campaigns.__getitem__, column["campaign"]),
            "external_id": map(pack, column["external_id"]),
            "masked": map(shorten_mask, column["masked"]),
            "name": (None if each is None else pack(each) for each in column["name"]),
        }
        values = ({**column, **packed}[name] for name in _SUBMISSION)
        return sorted(zip(*values, strict=True), key=itemgetter(0))

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
    def _suspend_indexes(self) -> Iterator[None]:
        """Leave out the indexes of e-mails and candidate ids while a SQLite ledger grows much."""
        connection = self._connection
        if connection.dialect.name != "sqlite":
            yield
            return
        # Keys are written in random order, so their index should fit into memory.
        connection.exec_driver_sql("PRAGMA cache_size = -196608")  # KiB, only if needed
        last = connection.scalar(select(func.max(submissions.c.id)).select_from(submissions))
        if (last or 0) > _CHUNK:  # what is there already would be sorted again
            yield
            return
        indexes = [each for each in submissions.indexes if each.name in _REBUILT]
        for index in indexes:
            index.drop(connection)
        yield
        for index in indexes:
            index.create(connection)


def _split_repeated(rows: list[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield lists of rows, none of which has a key twice; rows with one key stay in order.

    A server refuses a statement that would write a row twice.
    """
    while rows:
        first = dict[Any, tuple[Any, ...]]()
        rest = [row for row in rows if first.setdefault(row[0], row) is not row]
        yield list(first.values())
        rows = rest


_HASHED: Final = ("key", "person", "body_hash", "email", "candidate")


def _columns(rows: list[PlannedRow]) -> dict[str, Sequence[Any]]:
    """Return rows as columns."""
    return dict(zip(PlannedRow._fields, zip(*rows, strict=True), strict=True))


_WriteRows: TypeAlias = "Callable[[list[tuple[Any, ...]]], int]"
"""Writes rows, given as the driver takes them; returns how many were added or changed."""


def _prepare_insert(
    connection: Connection, statement: Insert, fixed: _Fixed, columns: tuple[str, ...]
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
    return lambda rows: connection.exec_driver_sql(sql, rows).rowcount


def _prepare_copy(
    connection: Connection, statement: Insert, fixed: _Fixed, columns: tuple[str, ...]
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

    def add(rows: list[tuple[Any, ...]]) -> int:
        connection.execute(text(f"TRUNCATE {copied.name}"))
        try:
            with closing(connection.connection.cursor()) as cursor, cursor.copy(sql) as copy:
                for row in rows:
                    copy.write_row(row)
        except connection.dialect.loaded_dbapi.Error as error:
            raise DBAPIError(sql, None, error) from None  # its context may show a row
        return connection.execute(insertion).rowcount

    return add


def _noting_elsewhere(run: str) -> Insert:
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


def _taking_over(connection: Connection, planned: _Fixed, *, retry_rejected: bool) -> Insert:
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
