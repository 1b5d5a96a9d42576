"""The schema's version: what a database has, what we need, and the way from one to the other."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from alembic import command
from alembic.config import Config
from sqlalchemy import inspect, text

from importer.errors import LedgerError
from importer.ledger.tables import metadata

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy import Connection

    from importer.ledger.database import Database

VERSION_TABLE: Final = "ledger_version"
VERSIONS: Final = ("0001", "0002", "0003", "0004", "0005")
"""Every version of the schema, oldest first; one file under migrations/versions each."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADE_LOCK: Final = 0x696D706F72746572
"""Among PostgreSQL's advisory locks: "importer" in ASCII."""


def upgrade(database: Database, now: datetime) -> None:
    """Brings a database to the newest version, with a backup of the file before any change.

    Args:
        database: open for writing; may be empty.
        now: UTC; names the backup.

    Raises:
        LedgerError: it is not ours, or newer than this program.
    """
    version = database.read(lambda connection: _version(connection, database))
    database.log_ahead()  # only now that the file is known to be ours
    if version == VERSIONS[-1]:
        return

    def change(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _UPGRADE_LOCK})
        version = _version(connection, database)  # again, now that nobody else can change it
        if version == VERSIONS[-1]:
            return
        if version is not None and database.path is not None:
            _back_up(database.path, f"{VERSIONS[-1]}-{now:%Y%m%dT%H%M%SZ}")
        _migrate(connection)

    database.write("upgrade", change)


def require_current(database: Database) -> bool:
    """Whether a database that may only be read has a ledger in it.

    Raises:
        LedgerError: it has one that is older or newer than this program, or is not ours.
    """
    version = database.read(lambda connection: _version(connection, database))
    if version is not None and version != VERSIONS[-1]:
        raise LedgerError(
            f"The ledger {database.name} was made by an older version of importer.",
            "`importer run` and `importer resume` upgrade it, with a backup beside it.",
        )
    return version is not None


def _version(connection: Connection, database: Database) -> str | None:
    """The version of the schema, or None for an empty database."""
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        ours = names & set(metadata.tables)
        if ours or (names and database.path is not None):
            raise LedgerError(
                f"The database {database.name} holds something else than a ledger.",
                "Correct `ledger:` in importer.yaml.",
            )
        return None
    version = connection.scalar(text(f"SELECT version_num FROM {VERSION_TABLE}"))  # noqa: S608 - a constant
    if version is not None and version not in VERSIONS:
        raise LedgerError(
            f"The ledger {database.name} was made by a newer version of importer.",
            "Update importer; nothing was changed.",
        )
    return None if version is None else str(version)


def _migrate(connection: Connection) -> None:
    """Runs the migrations that are missing, in the connection's transaction."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, VERSIONS[-1])


def _back_up(path: Path, mark: str) -> None:
    """Copies a SQLite file to `<file>-before-<mark>`, private and on disk when this returns."""
    target = path.with_name(f"{path.name}-before-{mark}")
    try:
        os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        source, copy = sqlite3.connect(path), sqlite3.connect(target)
        try:
            source.backup(copy)
        finally:
            copy.close()
            source.close()
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(
            f"The ledger {path} needs an upgrade, and no backup of it can be made at {target}.",
            "Make room and give yourself write access to the folder.",
        ) from error
