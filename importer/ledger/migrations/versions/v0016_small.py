"""Store hashes as bytes, runs and states as numbers, and each campaign once.

A submission with its attempt takes a third of the room. Tables are copied in the ledger's one
transaction: until it is committed, the ledger stays what it was.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from alembic import context, op

from importer.errors import LedgerError
from importer.ledger.column_types import (
    number_of_run,
    pack,
    pack_hash,
    shorten_mask,
    to_microseconds,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

revision = "0016"
down_revision = "0015"

_AT_ONCE: Final = 5_000
_KEY_DIGITS: Final = 32
_OTHER_DIGITS: Final = 16
_FULL_DIGITS: Final = 64
_STATES: Final = ("planned", "created", "duplicate", "rejected", "unsent", "sending", "doubtful")
_STATUSES: Final = ("ready", "already-imported", "rejected", "duplicate")

_NUMBER: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_MOMENT: Final = sa.DateTime(timezone=True)
_INSTANT: Final = sa.DateTime(timezone=True).with_variant(sa.BigInteger, "sqlite")
_BYTES: Final = sa.LargeBinary
_METADATA: Final = sa.MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


def _run(*, primary_key: bool = True) -> sa.Column[Any]:
    runs = sa.ForeignKey("runs.id")
    return sa.Column("run", _NUMBER, runs, primary_key=primary_key, nullable=False)


def _place(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer, primary_key=True, autoincrement=False)


_TABLES: Final = (
    sa.Table(
        "runs",
        _METADATA,
        sa.Column("id", _NUMBER, primary_key=True, autoincrement=False),
        sa.Column("started_at", _MOMENT, nullable=False),
        sa.Column("finished_at", _MOMENT),
        sa.Column("plan_hash", sa.String(64), nullable=False),
        sa.Column("settings", sa.JSON, nullable=False),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("stopped", "host")),
        sa.Column("pid", sa.Integer, nullable=False),
    ),
    sa.Table(
        "run_sources",
        _METADATA,
        _run(),
        _place("position"),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("path", sa.Text),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    ),
    sa.Table(
        "run_guards",
        _METADATA,
        _run(),
        *(sa.Column(name, sa.Integer, nullable=False) for name in ("failed", "in_a_row")),
        sa.Column("unreached_in_a_row", sa.Integer, nullable=False),
        sa.Column("doubtful", sa.Integer, nullable=False),
        sa.Column("reached", sa.Boolean, nullable=False),
        sa.Column("last", sa.Text, nullable=False),
        sa.Column("canary", sa.String(20), nullable=False),
        sa.Column("canary_by", sa.BigInteger, nullable=False),
        sa.Column("stopped", sa.Text, nullable=False),
        sa.Column("exit_code", sa.Integer, nullable=False),
    ),
    sa.Table(
        "run_rows",
        _METADATA,
        _run(),
        _place("source"),
        _place("row"),
        sa.Column("status", sa.SmallInteger, nullable=False),
        sa.Column("key", _BYTES),
        sa.Column("codes", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    ),
    sa.Table(
        "campaigns",
        _METADATA,
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Index("campaigns_by_name", "name", unique=True),
    ),
    sa.Table(
        "submissions",
        _METADATA,
        sa.Column("id", _NUMBER, primary_key=True),
        sa.Column("key", _BYTES, nullable=False),
        _run(primary_key=False),
        sa.Column("source", sa.Integer, nullable=False),
        sa.Column("row", sa.Integer, nullable=False),
        sa.Column("campaign", sa.Integer, sa.ForeignKey("campaigns.id"), nullable=False),
        sa.Column("external_id", _BYTES, nullable=False),
        sa.Column("person", _BYTES, nullable=False),
        sa.Column("masked", sa.Text, nullable=False),
        sa.Column("body_hash", _BYTES, nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("conversation_id", _BYTES),
        sa.Column("status", sa.Integer),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("code", "message")),
        sa.Column("attempts", sa.Integer, nullable=False),
        *(sa.Column(name, _INSTANT) for name in ("sent_at", "settled_at")),
        sa.Column("remote_status", sa.Text),
        sa.Column("remote_at", _INSTANT),
        sa.Column("decided_by", sa.Text),
        sa.Column("decided_at", _INSTANT),
        *(sa.Column(name, _BYTES) for name in ("email", "candidate")),
        sa.Column("resends", sa.Integer),
        sa.Column("listed_s", sa.Float),
        sa.Column("meeting_state", sa.String(20)),
        *(sa.Column(name, _INSTANT) for name in ("meeting_at", "meeting_known_at")),
        sa.Column("meeting_id", sa.Text),
        sa.Column("name", _BYTES),
        sa.Column("sender", sa.BigInteger),
        sa.CheckConstraint("state IN (0, 1, 2, 3, 4, 5, 6)", name="state"),
    ),
    sa.Table(
        "rows_elsewhere",
        _METADATA,
        _run(),
        _place("source"),
        _place("row"),
        sa.Column("key", _BYTES, nullable=False),
        sqlite_with_rowid=False,
    ),
    sa.Table(
        "attempts",
        _METADATA,
        sa.Column(
            "submission",
            _NUMBER,
            sa.ForeignKey("submissions.id"),
            primary_key=True,
            autoincrement=False,
        ),
        _run(),
        _place("number"),
        sa.Column("started_at", _INSTANT, nullable=False),
        sa.Column("duration_s", sa.Float),
        sa.Column("status", sa.Integer),
        sa.Column("code", sa.Text, nullable=False),
        sa.Column("request_id", _BYTES),
        sa.Column("sender", sa.BigInteger),
        sqlite_with_rowid=False,
    ),
    sa.Table(
        "decisions",
        _METADATA,
        sa.Column("key", _BYTES, sa.ForeignKey("submissions.key"), primary_key=True),
        _place("number"),
        sa.Column("decided_at", _MOMENT),
        sa.Column("decided_by", sa.Text),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("conversation_id", _BYTES),
    ),
    sa.Table(
        "webhook_events",
        _METADATA,
        sa.Column("number", _NUMBER, primary_key=True),
        *(sa.Column(name, sa.Text, nullable=False) for name in ("id", "name")),
        sa.Column("received_at", _MOMENT, nullable=False),
        sa.Column("happened_at", _MOMENT),
        *(sa.Column(name, _BYTES) for name in ("conversation_id", "external_id")),
        sa.Column("facts", sa.JSON, nullable=False),
        sa.Column("outcome", sa.String(40)),
        sa.CheckConstraint(
            "typeof(conversation_id) <> 'text' AND typeof(external_id) <> 'text'",
            name="ids_are_bytes",
        ).ddl_if(dialect="sqlite"),
    ),
)
"""The new tables that are filled from old ones, each after those that it refers to."""

_INDEXES: Final = {
    "runs": (("runs_by_start", ("started_at",), None),),
    "submissions": (
        ("submissions_by_run", ("run", "state"), None),
        ("submissions_open", ("state",), "state IN (5, 6)"),
        ("submissions_reached", ("person",), "state <> 0"),
        (
            "submissions_opted_out",
            ("person",),
            "remote_status IS NOT NULL AND upper(remote_status) = 'OPTED_OUT'",
        ),
        ("submissions_by_code", ("code",), "code <> ''"),
        ("submissions_by_conversation", ("conversation_id",), "conversation_id IS NOT NULL"),
        ("submissions_created", ("campaign", "sent_at"), "state IN (1)"),
        ("submissions_by_external_id", ("external_id",), "state <> 0"),
        ("submissions_listed", ("listed_s",), "listed_s IS NOT NULL"),
        ("submissions_by_email", ("email",), "email IS NOT NULL"),
        ("submissions_by_candidate", ("candidate",), "candidate IS NOT NULL"),
    ),
    "webhook_events": (
        ("webhook_events_pending", ("number",), "outcome IS NULL"),
        ("webhook_events_stray", ("conversation_id",), "outcome = 'unknown-conversation'"),
    ),
}
_UNIQUE: Final = {
    "submissions": ("submissions_by_key", ("key",)),
    "webhook_events": ("webhook_events_by_id", ("id",)),
}

_NUMBERED: Final = {"submissions": "id", "campaigns": "id", "webhook_events": "number"}
"""Table -> the column that a server numbers; its next number must be new."""

_TRIGGER: Final = {
    "sqlite": """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions
        WHEN old.run <> new.run BEGIN
            INSERT OR IGNORE INTO rows_elsewhere (run, source, row, key)
            VALUES (old.run, old.source, old.row, old.key);
        END
        """,
    "postgresql": """
        CREATE TRIGGER submissions_taken AFTER UPDATE OF run ON submissions FOR EACH ROW
        WHEN (old.run <> new.run) EXECUTE FUNCTION note_taken_submission()
        """,
}


def upgrade() -> None:
    """Copy the tables one after the other, and report the progress."""
    connection = op.get_bind()
    server = connection.dialect.name == "postgresql"
    _move_away(connection, server=server)
    tell: Callable[[int, int], None] | None = context.config.attributes["progress"]
    rows = sa.func.count()
    total = sum(
        connection.scalar(sa.select(rows).select_from(sa.table(f"old_{name}"))) or 0
        for name in ("run_rows", "submissions", "attempts")
    )
    done = 0
    for table in _TABLES:
        unique = _UNIQUE.get(table.name)
        table.create(connection)
        if unique:
            op.create_index(unique[0], table.name, unique[1], unique=True)
        for copied in _copy(connection, table, server=server):
            if table.name in {"run_rows", "submissions", "attempts"}:
                done += copied
                if tell is not None:
                    tell(done, total)
        for index, columns, where in _INDEXES.get(table.name, ()):
            only = None if where is None else sa.text(where)
            op.create_index(
                index, table.name, list(columns), sqlite_where=only, postgresql_where=only
            )
    for table in reversed(_TABLES):
        op.drop_table(f"old_{table.name}")
    op.execute(_TRIGGER[connection.dialect.name])
    if server:
        op.create_check_constraint(
            "sending_has_sender", "submissions", "state <> 5 OR sender IS NOT NULL"
        )
        for name, number in _NUMBERED.items():
            column = sa.table(name, sa.column(number)).c[number]
            following = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
            sequence = sa.func.pg_get_serial_sequence(name, number)
            connection.execute(sa.select(sa.func.setval(sequence, following, sa.false())))


def _move_away(connection: sa.Connection, *, server: bool) -> None:
    """Rename the old tables, and free the names of their indexes and constraints."""
    op.execute("DROP TRIGGER submissions_taken" + (" ON submissions" if server else ""))
    found = sa.inspect(connection)
    for table in reversed(_TABLES):
        name = table.name
        for index in found.get_indexes(name):
            op.drop_index(str(index["name"]), name)
        if server:  # the indexes of primary keys share one space of names
            for foreign in found.get_foreign_keys(name):
                op.drop_constraint(str(foreign["name"]), name)
    for table in _TABLES:
        name = table.name
        if server:
            primary = found.get_pk_constraint(name)["name"]
            op.execute(f'ALTER TABLE {name} RENAME CONSTRAINT "{primary}" TO "old_{primary}"')
        op.rename_table(name, f"old_{name}")
        if server and name == "webhook_events":  # its sequence keeps its name otherwise
            op.execute(f"ALTER SEQUENCE {name}_number_seq RENAME TO old_{name}_number_seq")


# ---- values -----------------------------------------------------------------------------------


@cache
def _number_of_run(run: str) -> int:
    number = number_of_run(run)
    if number is None:
        raise LedgerError(
            f"The ledger has a run {run!r}, whose id is not one of importer's.",
            "It cannot be upgraded, and nothing was changed; please report it.",
        )
    return number


def _short(text: str, digits: int) -> bytes:
    return pack_hash(text[:digits] if len(text) == _FULL_DIGITS else text)


def _time(value: str | datetime) -> int | datetime:
    """Return a time as the new column takes it: SQLite had text, a server keeps its own type."""
    if isinstance(value, datetime):
        return value
    return to_microseconds(datetime.fromisoformat(value).replace(tzinfo=UTC))


def _short_facts(text: str) -> str:
    """Return the facts of an event with hashes of people that equal those of submissions."""
    facts = json.loads(text)
    for name in ("persons", "emails"):
        if name in facts:
            facts[name] = [
                each[:_OTHER_DIGITS] if len(each) == _FULL_DIGITS else each for each in facts[name]
            ]
    return json.dumps(facts)


_CONVERTERS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "run": _number_of_run,
    "key": lambda text: _short(text, _KEY_DIGITS),
    **dict.fromkeys(
        ("person", "body_hash", "email", "candidate"), lambda text: _short(text, _OTHER_DIGITS)
    ),
    "state": _STATES.index,
    **dict.fromkeys(("external_id", "conversation_id", "request_id"), pack),
    "masked": shorten_mask,
    **dict.fromkeys(
        ("sent_at", "settled_at", "remote_at", "meeting_at", "meeting_known_at"), _time
    ),
}
_OF_ONE_TABLE: Final[Mapping[str, Mapping[str, Callable[[Any], Any]]]] = {
    "runs": {"id": _number_of_run},
    "run_rows": {"status": _STATUSES.index},
    "submissions": {"name": pack, "decided_at": _time},
    "attempts": {"started_at": _time},
    "webhook_events": {"facts": _short_facts},
}


def _copy(connection: sa.Connection, table: sa.Table, *, server: bool) -> Iterator[int]:
    """Copy the rows of a table in parts; yield how many rows each had."""
    if table.name == "attempts":
        yield from _copy_attempts(connection, server=server)
        return
    names = [column.name for column in table.columns]
    numbers = dict[str, int]()
    convert = {**_CONVERTERS, **_OF_ONE_TABLE.get(table.name, {})}
    if table.name == "campaigns":
        names.remove("id")
    if table.name == "submissions":
        numbers = {name: number for number, name in connection.execute(sa.text(_CAMPAIGNS))}
        convert["campaign"] = lambda name: _campaign(connection, numbers, name)
        if server:
            names.remove("id")
    sql = _insert(table.name, names, table, server=server)
    turns = [convert.get(name) for name in names]
    for rows in _read(connection, table, names, server=server):
        connection.exec_driver_sql(sql, [_convert(row, turns) for row in rows])
        yield len(rows)


_CAMPAIGNS: Final = "SELECT id, name FROM campaigns"


def _campaign(connection: sa.Connection, numbers: dict[str, int], name: str) -> int:
    """Return the number of a campaign; a ledger of version 0006 or before may have listed none."""
    if name not in numbers:
        number = max(numbers.values(), default=0) + 1
        new = sa.text("INSERT INTO campaigns (id, name) VALUES (:id, :name)")
        connection.execute(new, {"id": number, "name": name})
        numbers[name] = number
    return numbers[name]


def _convert(row: Sequence[Any], turns: Sequence[Callable[[Any], Any] | None]) -> tuple[Any, ...]:
    return tuple(
        value if value is None or turn is None else turn(value)
        for value, turn in zip(row, turns, strict=True)
    )


def _read(
    connection: sa.Connection, table: sa.Table, names: Sequence[str], *, server: bool
) -> Iterator[list[Any]]:
    """Yield the rows of an old table, many at a time."""
    texts = {column.name for column in table.columns if isinstance(column.type, sa.JSON)}
    shown = [
        "rowid" if name == "id" and table.name == "submissions" else f'"{name}"' for name in names
    ]
    if server:
        shown = [f"{each}::text" if each[1:-1] in texts else each for each in shown]
    order = "ORDER BY run, source, row" if server and table.name == "submissions" else ""
    yield from _stream(connection, f"SELECT {', '.join(shown)} FROM old_{table.name} {order}")  # noqa: S608 - ours


def _stream(connection: sa.Connection, sql: str) -> Iterator[list[Any]]:
    found = connection.execute(sa.text(sql), execution_options={"yield_per": _AT_ONCE})
    rows = map(tuple, found)
    while chunk := list(islice(rows, _AT_ONCE)):
        yield chunk


def _insert(name: str, names: Sequence[str], table: sa.Table, *, server: bool) -> str:
    """Return the driver's SQL for a row."""
    columns = ", ".join(f'"{each}"' for each in names)
    marks = ["?"] * len(names)
    if server:
        is_json = [isinstance(table.c[each].type, sa.JSON) for each in names]
        marks = ["%s::json" if each else "%s" for each in is_json]
    return f"INSERT INTO {name} ({columns}) VALUES ({', '.join(marks)})"  # noqa: S608 - ours


_OF_ATTEMPT: Final = (
    *("run", "number", "started_at", "duration_s", "status", "code", "request_id", "sender"),
)


def _copy_attempts(connection: sa.Connection, *, server: bool) -> Iterator[int]:
    """Copy the attempts; they refer to their submission by its number from now on."""
    convert = {**_CONVERTERS, **_OF_ONE_TABLE["attempts"]}
    turns = [convert.get(name) for name in _OF_ATTEMPT]
    columns = ", ".join(f"a.{name}" for name in _OF_ATTEMPT)
    into = f"INSERT INTO attempts ({', '.join(_OF_ATTEMPT)}, submission)"
    if server:
        sql = f"SELECT {columns}, a.key FROM old_attempts AS a"  # noqa: S608 - ours
        marks = "%s, %s, %s, %s::float8, %s::int, %s, %s::bytea, %s::bigint"
        add = f"{into} SELECT {marks}, id FROM submissions WHERE key = %s"  # noqa: S608 - ours
        turns.append(convert["key"])
    else:
        sql = (
            f"SELECT {columns}, s.rowid FROM old_submissions AS s"  # noqa: S608 - ours
            " JOIN old_attempts AS a ON a.key = s.key ORDER BY s.rowid"
        )
        add = f"{into} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        turns.append(None)
    for rows in _stream(connection, sql):
        connection.exec_driver_sql(add, [_convert(row, turns) for row in rows])
        yield len(rows)
