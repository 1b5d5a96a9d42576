"""Check the settings of a PostgreSQL server that keep a ledger safe.

A database or a role can have its own defaults (`ALTER DATABASE ... SET`, `ALTER ROLE ... SET`).
Some values are unsafe but cause no error: the server may lose commits, or a sender may not see what
others have just written. So the settings are checked each time a ledger is opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import column, func, select, table

from importer.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection, Row

    from importer.ledger.database import Database


_UTF8: Final = frozenset({"UTF8", "SQL_ASCII"})
"""Database encodings that can hold any text; SQL_ASCII stores the bytes unchanged."""


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A setting that must have a safe value.

    Attributes:
        setting: its name, and the name of its column in `_LOOK`.
        is_met: returns whether a value is safe.
        wanted: the value to set.
        otherwise: a sentence about the harm that an unsafe value does.
    """

    setting: str
    is_met: Callable[[str], bool]
    wanted: str
    otherwise: str


_REQUIREMENTS: Final = (
    _Requirement(
        "synchronous_commit",
        lambda value: value != "off",
        "on",
        "After a crash it may have forgotten who was just contacted.",
    ),
    _Requirement(
        "default_transaction_isolation",
        lambda value: value == "read committed",
        "read committed",
        "Senders would not see what others have just written.",
    ),
    _Requirement(
        "datestyle",
        lambda value: value.upper().startswith("ISO"),
        "ISO",
        "Times in it cannot be read.",
    ),
    _Requirement(
        "standard_conforming_strings",
        lambda value: value == "on",
        "on",
        "Texts in it would be changed.",
    ),
)

_TABLES: Final = table(
    "pg_tables", column("schemaname"), column("tablename"), schema="pg_catalog"
).c
_SHOWN: Final = (
    *("server_encoding", "search_path", "default_transaction_read_only"),
    *(each.setting for each in _REQUIREMENTS),
)
_LOOK: Final = select(
    func.pg_is_in_recovery().label("is_replica"),
    func.current_user().label("role"),
    func.current_database().label("database"),
    func.current_schema().label("schema"),
    *(func.current_setting(name).label(name) for name in _SHOWN),
    *(
        select(func.min(_TABLES.schemaname))
        .where(_TABLES.tablename == "ledger_version", is_there)
        .scalar_subquery()
        .label(label)
        for label, is_there in (
            ("own", _TABLES.schemaname == func.current_schema()),
            ("other", _TABLES.schemaname.is_distinct_from(func.current_schema())),
        )
    ),
)
"""The settings, and the schemas that have a ledger.

`own` is the current schema if it has one; `other` is another schema that has one. Null if none.
"""


def require_safe_server(database: Database, *, writable: bool, new: bool = False) -> None:
    """Check that a server can keep a ledger safely.

    Args:
        database: an open database on a server.
        writable: whether the ledger will be written to.
        new: whether to allow a second ledger in this database.

    Raises:
        LedgerError: a setting is unsafe, or the ledger cannot be used; the message says what to do.
    """
    found, quote = database.read(_look)
    if writable and found.is_replica:
        raise LedgerError(
            f"The ledger {database.name} is on a read-only replica.",
            "Name the primary server under `ledger:`, or promote this one.",
        )
    if writable and found.default_transaction_read_only == "on":
        raise LedgerError(
            f"The ledger {database.name} accepts no writes: default_transaction_read_only is on. "
            "Some providers set it if the disk is full.",
            "Ask the administrator of the server to make room or to turn it off.",
        )
    if found.server_encoding not in _UTF8:
        raise LedgerError(
            f"The ledger {database.name} is in a database with the encoding "
            f"{found.server_encoding}, which cannot hold every name.",
            "Make a database with ENCODING 'UTF8', and name it under `ledger:`.",
        )
    change = f"ALTER ROLE {quote(found.role)} IN DATABASE {quote(found.database)} SET"
    for each in _REQUIREMENTS:
        value = getattr(found, each.setting)
        if not each.is_met(value):
            raise LedgerError(
                f"The server of the ledger {database.name} has {each.setting} = '{value}'. "
                f"{each.otherwise}",
                f"Run `{change} {each.setting} = '{each.wanted}'` there, and try again.",
            )
    if found.schema is None:
        raise LedgerError(
            f"The ledger {database.name} has no place: search_path ({found.search_path}) names no "
            "schema that exists.",
            f"Make the schema, or run `{change} search_path = public` there.",
        )
    if writable and not new and found.own is None and found.other is not None:
        raise LedgerError(
            f"The ledger {database.name} is in the schema {found.other}, but search_path leads "
            f"to the schema {found.schema}, which has none.",
            f"Run `{change} search_path = {quote(found.other)}` there. For a second ledger in "
            "this database, say --new-ledger: it does not know who was contacted.",
        )


def _look(connection: Connection) -> tuple[Row[Any], Callable[[str], str]]:
    """Return the row of `_LOOK`, and a function that quotes SQL identifiers."""
    return connection.execute(_LOOK).one(), connection.dialect.identifier_preparer.quote


def find_risk(database: Database) -> str | None:
    """Return a sentence if a power cut could damage a ledger on a server; None if it cannot."""
    names = ("fsync", "full_page_writes")
    wanted = select(*(func.current_setting(name) for name in names))
    values = database.read(lambda connection: connection.execute(wanted).one())
    off = [name for name, value in zip(names, values, strict=True) if value == "off"]
    if not off:
        return None
    return (
        f"Its server has {' and '.join(off)} off, so a power cut can damage it or make it forget "
        "who was contacted; turn it on."
    )
