"""Settings of a PostgreSQL server under which a ledger would not be kept safely.

A database or a role may have defaults of its own (`ALTER DATABASE ... SET`, `ALTER ROLE ... SET`).
Some of them break a promise without any error: the server forgets commits, or a sender does not see
what others have just written. So they are looked at each time a ledger is opened.
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
"""Encodings of a database that can hold every text; SQL_ASCII keeps what it is given."""


@dataclass(frozen=True, slots=True)
class _Requirement:
    """A setting that must have one of some values.

    Attributes:
        setting: its name, also the name of its column in `_LOOK`.
        is_met: whether a value is one of them.
        wanted: the value to set.
        otherwise: what would happen with another value; a sentence.
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
"""Besides settings: `own` is the schema of a ledger here, `other` one elsewhere, null for none."""


def require_safe_server(database: Database, *, writable: bool, new: bool = False) -> None:
    """Check the settings under which a server would keep a ledger.

    Args:
        database: on a server, open.
        writable: whether it will be written to.
        new: accept another ledger than the one that is in this database.

    Raises:
        LedgerError: one of them breaks a promise; gives the command that changes it.
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
    """Return the settings, and a function that quotes names for SQL."""
    return connection.execute(_LOOK).one(), connection.dialect.identifier_preparer.quote


def find_risk(database: Database) -> str | None:
    """Return what a power cut could do to a ledger on a server, as a sentence; None if nothing."""
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
