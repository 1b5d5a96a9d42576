"""Open a ledger: from its URL to a database with the current schema."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
from contextlib import ExitStack, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from sqlalchemy import (
    Column,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    create_engine,
    func,
    insert,
    inspect,
    make_url,
    select,
    text,
)
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from importer.atomic_file import sync_folder
from importer.errors import LedgerError
from importer.ledger.copies import (
    copy_before_upgrade,
    read_last_write,
    require_file,
    require_newest,
)
from importer.ledger.database import (
    BUSY_MS,
    SERVER_OPTIONS,
    UPGRADE_LOCK,
    Database,
    ping_idle_connections,
    prepare_sqlite,
)
from importer.ledger.lock import lock_file, lockable
from importer.ledger.server_settings import require_safe_server
from importer.ledger.tables import identity, metadata

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from sqlalchemy import URL, Connection, Engine


VERSION_TABLE: Final = "ledger_version"
VERSIONS: Final = (
    *("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010"),
    *("0011", "0012", "0013", "0014", "0015", "0016"),
)
"""Every version of the schema, oldest first. Each has one file under migrations/versions."""

_version_table: Final = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)
"""The same table that Alembic makes."""

on_upgrade: Final[ContextVar[Callable[[int, int], None] | None]] = ContextVar(
    "on_upgrade", default=None
)
"""Called while an upgrade copies rows, with the number of copied rows and of all rows."""

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_UPGRADE_SPACE_FACTOR: Final = 4
"""An upgrade needs this many times the size of the ledger: for backup, new tables and `-wal`."""
_MB: Final = 1_000_000
_OLD_SENDER_LOCK: Final = 0x6C65646765720001
"""The lock that versions before 0015 held while they sent: "ledger" in ASCII, and a number."""


def upgrade(database: Database, now: datetime) -> None:
    """Upgrade a database to the newest version, with a backup of the file before any change.

    Args:
        database: open for writing; may be empty.
        now: the time in UTC, for the name of the backup.

    Raises:
        LedgerError: it is not a ledger, or is newer than this program.
    """
    version = database.read(lambda connection: _read_version(connection, database))
    database.enable_wal()  # only after the file is known to be a ledger
    if version == VERSIONS[-1]:
        return

    def change(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": UPGRADE_LOCK})
        version = _read_version(connection, database)  # again, now that nobody else can change it
        if version == VERSIONS[-1]:
            return
        if version is None:
            make_tables(connection)
            return
        if database.path is None:
            _refuse_old_senders(connection, database)
        else:
            copy_before_upgrade(database.path, VERSIONS[-1], now)
        migrate(connection)

    with ExitStack() as stack:
        if version is not None and database.path is not None:
            what = lockable(database)
            held = lock_file(database.path, what, "importer upgrade", BUSY_MS / 1000, now)
            stack.enter_context(held)
            _require_disk_space(database.path)
        database.write("upgrade", change, skip_foreign_keys=True)


def _require_disk_space(ledger: Path) -> None:
    """Raise LedgerError if the disk has too little room for an upgrade and its backup."""
    files = (ledger, ledger.with_name(f"{ledger.name}-wal"))
    size = sum(each.stat().st_size for each in files if each.exists())
    needed, free = _UPGRADE_SPACE_FACTOR * size, shutil.disk_usage(ledger.parent).free
    if free < needed:
        raise LedgerError(
            f"The ledger {ledger} needs an upgrade, but its disk is too full: "
            f"{needed // _MB + 1} MB are needed, {free // _MB} MB are free.",
            "Make room on that disk, then run the command again; nothing was changed.",
        )


def _refuse_old_senders(connection: Connection, database: Database) -> None:
    """Raise LedgerError if a process of an older version may send from a server's ledger."""
    free = text("SELECT pg_try_advisory_xact_lock(:lock)")
    if not connection.scalar(free, {"lock": _OLD_SENDER_LOCK}):
        raise LedgerError(
            f"The ledger {database.name} cannot be upgraded: an older version of importer is "
            "sending from it.",
            "Wait until it has ended, or stop it with Ctrl-C; then run the command again.",
        )
    if not inspect(connection).has_table("senders"):
        return
    live = text(
        "SELECT command, pid, host FROM senders WHERE ended_at IS NULL AND over_at IS NULL"
        " AND until > clock_timestamp() ORDER BY id LIMIT 1"
    )
    sender = connection.execute(live).first()
    if sender is not None:
        raise LedgerError(
            f"The ledger {database.name} cannot be upgraded: {sender.command} (process "
            f"{sender.pid} on {sender.host}) runs an older version and may send.",
            "Stop the older version on every machine, then run `importer upgrade`.",
        )


def require_current(database: Database) -> bool:
    """Return whether a database that is open for reading holds a ledger.

    Raises:
        LedgerError: the ledger is older or newer than this program, or it is not a ledger.
    """
    version = database.read(lambda connection: _read_version(connection, database))
    if version is not None and version != VERSIONS[-1]:
        raise LedgerError(
            f"The ledger {database.name} was made by an older version of importer.",
            "Back it up with pg_dump, then run `importer upgrade`."
            if database.path is None
            else "Run `importer upgrade`, which first makes a backup beside it.",
        )
    return version is not None


def _read_version(connection: Connection, database: Database) -> str | None:
    """Return the version of the schema, or None for an empty database."""
    names = set(inspect(connection).get_table_names())
    if VERSION_TABLE not in names:
        ours = names & set(metadata.tables)
        if ours or (names and database.path is not None):
            raise LedgerError(
                f"The database {database.name} holds something other than a ledger.",
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


def make_tables(connection: Connection) -> None:
    """Make a new ledger in an empty database; the result is the same as after all migrations."""
    metadata.create_all(connection)
    connection.execute(insert(identity).values(id=secrets.token_hex(16)))
    _version_table.create(connection)
    connection.execute(insert(_version_table).values(version_num=VERSIONS[-1]))


def migrate(connection: Connection, version: str = VERSIONS[-1]) -> None:
    """Run the missing migrations up to a version, in the connection's transaction."""
    # Imported here, so that a command does not wait for Alembic if its ledger is up to date.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    config.attributes["progress"] = on_upgrade.get()
    command.upgrade(config, version)


PRIVATE: Final = 0o600
_FIX_URL: Final = "Set `ledger:` to sqlite:///importer.db or postgresql://host/name."


def open_writable(
    url: str,
    *,
    create: bool,
    new: bool,
    now: Callable[[], datetime],
    on_commit: Callable[[str], None] | None,
) -> Database:
    """Open the database at a URL; make or upgrade it if needed.

    Raises:
        LedgerError: it cannot be opened, is not a ledger, or is not the newest copy of the ledger.
    """
    parsed = _parse_url(url)
    path = _find_file(parsed)
    if path is None:
        database = Database(
            _create_server_engine(parsed), _hide_password(parsed), None, on_commit=on_commit
        )
    else:
        require_file(path, new=new)
        _ensure_private_file(path, create=create)
        engine = create_engine(parsed, hide_parameters=True)
        prepare_sqlite(engine)
        database = Database(engine, str(path), path, on_commit=on_commit)
    try:
        if path is None:
            require_safe_server(database, writable=True, new=new)
        upgrade(database, now())
        if path is not None:
            wanted = select(identity.c.id, func.coalesce(identity.c.writes, 0))
            # Read the file first: a write by another process then only makes the database newer.
            last = read_last_write(path)
            require_newest(path, last, *database.read(lambda c: c.execute(wanted).one()))
    except BaseException:  # also on Ctrl-C: no other code can close it
        database.close()
        raise
    return database


def ledger_exists(url: str) -> bool:
    """Return whether the file of a SQLite ledger exists; True for a ledger on a server.

    Raises:
        LedgerError: the URL cannot be used.
    """
    path = _find_file(_parse_url(url))
    return path is None or path.exists()


def display_name(url: str) -> str:
    """Return the name to show for the ledger at a URL: its file, or its URL without the password.

    Raises:
        LedgerError: the URL cannot be used.
    """
    parsed = _parse_url(url)
    return str(_find_file(parsed) or _hide_password(parsed))


def open_readonly(url: str) -> Database | None:
    """Open the database at a URL without writing anything; None if there is no ledger yet.

    Raises:
        LedgerError: it cannot be read, is not a ledger, or is of another version.
    """
    parsed = _parse_url(url)
    path = _find_file(parsed)
    if path is None:
        server = _create_server_engine(parsed).execution_options(postgresql_readonly=True)
        database = Database(server, _hide_password(parsed), None, readonly=True)
    else:
        if not path.exists():
            return None
        engine = create_engine(
            "sqlite://",
            creator=lambda: _connect_readonly(path),
            poolclass=NullPool,
            hide_parameters=True,
        )
        prepare_sqlite(engine)
        database = Database(engine, str(path), path, readonly=True)
    try:
        if path is None:
            require_safe_server(database, writable=False)
        if require_current(database):
            return database
    except BaseException:  # also on Ctrl-C: no other code can close it
        database.close()
        raise
    database.close()
    return None


def _connect_readonly(path: Path) -> sqlite3.Connection:
    """Connect to a file without leaving other files behind.

    Even a reader makes `-wal` and `-shm` files beside a file in WAL mode. If the `-wal` file is
    missing or empty, the file is complete by itself and is read without making these files.
    `Database.read` notices if a writer changes it meanwhile.
    """
    wal = path.with_name(path.name + "-wal")
    try:
        complete = wal.stat().st_size == 0
    except FileNotFoundError:
        complete = True
    mode = "mode=ro&immutable=1" if complete else "mode=ro"
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}", uri=True, check_same_thread=False
    )


def _parse_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError) as error:
        # `from None`: the original error quotes the URL, and a URL may hold a password.
        del error
        raise LedgerError("The ledger's URL cannot be understood.", _FIX_URL) from None
    backend = parsed.get_backend_name()
    if backend == "sqlite":
        return parsed
    if backend in {"postgresql", "postgres"}:
        return parsed.set(drivername="postgresql+psycopg")
    raise LedgerError(f"A ledger cannot be kept in {backend!r}.", _FIX_URL)


def _find_file(url: URL) -> Path | None:
    """Return the file of a SQLite URL; None for a server."""
    if url.get_backend_name() != "sqlite":
        return None
    if not url.database or url.database == ":memory:" or url.database.startswith("file:"):
        raise LedgerError(
            "A ledger must be a file; in memory it would forget who was contacted.", _FIX_URL
        )
    path = Path(url.database)
    if path.is_dir():
        raise LedgerError(f"The ledger {path} is a folder.", "Set `ledger:` to a file in it.")
    if path.exists() and not path.is_file():  # opening a pipe would wait forever
        raise LedgerError(f"The ledger {path} is a pipe or a device, not a file.", _FIX_URL)
    if path.is_symlink() and not path.exists():
        raise LedgerError(
            f"The ledger {path} is a link to {path.readlink()}, which does not exist.",
            "Put the ledger back there, or remove the link to start a new one.",
        )
    if path.is_symlink():  # its lock, `-wal` and last-write file are beside the real file
        path = path.resolve()
    if not _is_sqlite(path):
        raise LedgerError(
            f"The ledger {path} is not a ledger: the file is not a SQLite database.",
            "Correct `ledger:` in importer.yaml, or restore the file from a backup.",
        )
    return path


_SQLITE_HEADER: Final = b"SQLite format 3\0"


def _is_sqlite(path: Path) -> bool:
    """Return whether a file begins like a SQLite database; True if it is missing or empty.

    A missing or empty file may become a database. SQLite itself treats a short file as an empty
    database and overwrites it.
    """
    with suppress(OSError), path.open("rb") as file:  # an unreadable file is refused later
        return file.read(len(_SQLITE_HEADER)) in {b"", _SQLITE_HEADER}
    return True


def _hide_password(url: URL) -> str:
    return url.render_as_string(hide_password=True)


def _create_server_engine(url: URL) -> Engine:
    try:
        # paramstyle: bulk rows go to the driver as tuples, as on SQLite
        engine = create_engine(
            url,
            hide_parameters=True,
            paramstyle="format",
            isolation_level="READ COMMITTED",  # also if the default of the role is changed later
            connect_args=dict(SERVER_OPTIONS),
        )
    except ImportError as error:
        raise LedgerError(
            "A ledger on PostgreSQL needs a driver that is not installed.",
            "Install it with `pip install '.[postgres]'`.",
        ) from error
    ping_idle_connections(engine)
    return engine


def _ensure_private_file(path: Path, *, create: bool) -> None:
    """Make a file that only its owner can ever read.

    SQLite gives the `-wal` and `-shm` files the mode of the file itself. An existing file is
    never opened here: closing it would drop the locks that SQLite holds in this process.
    """
    if path.exists():
        for each in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
            with suppress(OSError):
                if each.stat().st_mode & 0o077:
                    each.chmod(PRIVATE)
        return
    if not path.parent.is_dir():
        raise LedgerError(
            f"The ledger's folder {path.parent} does not exist.",
            "Create it, or correct `ledger:` in importer.yaml.",
        )
    if not create:
        raise LedgerError(f"There is no ledger {path} yet.", "The first `importer run` makes it.")
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, PRIVATE))
        sync_folder(path.parent)
    except FileExistsError:
        return  # another process has made it in the same way
    except OSError as error:
        raise LedgerError(
            f"The ledger {path} cannot be created: {error.strerror}.",
            "Give yourself write access to the folder, or correct `ledger:`.",
        ) from error
