"""A ledger's database: transactions, and one place that turns its exceptions into sentences."""

from __future__ import annotations

import json
import re
import sqlite3
import time
from collections import defaultdict
from contextlib import contextmanager, nullcontext, suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import LargeBinary, case, event, func, literal, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InvalidatePoolError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random

from importer.errors import LedgerAway, LedgerError
from importer.ledger.column_types import pack_hash
from importer.ledger.copies import CountedWrites
from importer.ledger.tables import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from sqlalchemy import ColumnElement, Connection, Engine, Executable, Row, Select, Table
    from sqlalchemy.engine.interfaces import DBAPIConnection
    from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection


_BUSY = ("is busy", "Another process is writing to it; try again when it has ended.")
_DISK_FULL = ("cannot be written: the disk is full", "Make room, then run `importer resume`.")
_READONLY = ("cannot be written", "Give yourself write access to the file and its folder.")
_DAMAGED = (
    "is damaged",
    "Restore a backup; never start with an empty ledger, or people are contacted twice.",
)
_DISK_ERROR = (
    "cannot be read or written: its disk reports an error",
    (
        "Make room on the disk, or repair it. If the file is lost, restore a backup; never start "
        "with an empty ledger, or people are contacted twice."
    ),
)
_NOT_SQLITE = (
    "is not a ledger: the file is not a SQLite database",
    "Correct `ledger:` in importer.yaml, or restore the file from a backup.",
)
_CANNOT_OPEN = ("cannot be opened", "Check that the path exists and that you can write there.")
_UNREACHABLE = (
    "cannot be reached",
    "Check the URL under `ledger:`, and that the database server is running.",
)
_REPLICA = (
    "accepts no writes: it is on a read-only replica, or its server was set to read-only",
    "Name the primary server under `ledger:`. If this is it, see whether its disk is full.",
)
_CANCELLED = (
    "cancelled a statement: it took longer than the server's statement_timeout, or somebody did it",
    (
        "Set the timeout to 0 for the ledger's user (ALTER ROLE ... SET statement_timeout = 0), "
        "and try again."
    ),
)
_NO_RIGHT = (
    "does not give its user a right that importer needs",
    (
        "Let the user own the database (ALTER DATABASE ... OWNER TO ...), or give it CREATE on its "
        "schema and TEMPORARY on the database."
    ),
)
_UNEXPECTED = ("reported an unexpected error", "This is a fault of importer; please report it.")

_EXPLANATIONS: Final[tuple[tuple[str, tuple[str, str]], ...]] = (
    ("file is not a database", _NOT_SQLITE),
    ("malformed", _DAMAGED),
    ("ioerr_shmsize", _DISK_FULL),  # SQLite's words if there is no room for shared memory
    ("disk i/o error", _DISK_ERROR),
    ("database or disk is full", _DISK_FULL),
    ("no space left", _DISK_FULL),
    ("locked", _BUSY),
    ("busy", _BUSY),
    ("readonly", _READONLY),
    ("read-only", _READONLY),
    ("unable to open", _CANNOT_OPEN),
)
"""Words of SQLite in lower case -> our words. The first match counts."""

_BY_STATE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {"25006": _REPLICA, "42501": _NO_RIGHT, "57014": _CANCELLED}
)
"""SQLSTATE -> our words: its texts are in the language of the server."""


_CONNECTION_FAULTS: Final[tuple[tuple[re.Pattern[str], tuple[str, str]], ...]] = (
    (
        re.compile("no password supplied"),
        (
            "wants a password, and none was given",
            "Put it into PGPASSWORD or ~/.pgpass, or into the URL under `ledger:`.",
        ),
    ),
    (
        re.compile("password authentication failed"),
        ("refuses the user or the password", "Correct them in the URL, PGPASSWORD or ~/.pgpass."),
    ),
    (
        re.compile('database ".*" does not exist'),
        ("is in a database that does not exist", "Correct its name in the URL under `ledger:`."),
    ),
    (
        re.compile('role ".*" does not exist'),
        ("is asked for by a user who does not exist", "Correct the URL under `ledger:`."),
    ),
    (
        re.compile("pg_hba.conf"),
        (
            "refuses connections from this machine",
            "Let the server's administrator allow it in pg_hba.conf.",
        ),
    ),
    (
        re.compile("connection refused"),
        (
            "cannot be reached: nothing listens at that host and port",
            "Check that the server runs, and correct the URL under `ledger:`.",
        ),
    ),
    (
        re.compile("resolve host|translate host"),
        ("is on a host whose name is not known", "Correct the URL under `ledger:`."),
    ),
)
"""The driver's words in lower case for why there is no connection -> our words."""


def explain_error(name: str, error: SQLAlchemyError | sqlite3.Error) -> LedgerError:
    """Return the error that a database's exception means, without the values of the statement.

    Args:
        name: what a person calls the ledger: its file, or its URL without the password.
        error: the error that SQLAlchemy or the SQLite driver raised.
    """
    original = getattr(error, "orig", None) or error
    if _is_transient(original):
        words = str(original).casefold()
        what, fix = next(
            (each for mark, each in _CONNECTION_FAULTS if mark.search(words)), _UNREACHABLE
        )
        return LedgerAway(f"The ledger {name} {what}.", fix)
    said = f"{original} {getattr(original, 'sqlite_errorname', '')}".casefold()
    by_words = next((words for mark, words in _EXPLANATIONS if mark in said), _UNEXPECTED)
    what, fix = _BY_STATE.get(str(getattr(original, "sqlstate", "")), by_words)
    if what is _UNEXPECTED[0]:
        what = f"{what} ({type(original).__name__})"
    return LedgerError(f"The ledger {name} {what}.", fix)


_TRANSIENT_STATES: Final = ("08", "25P03", "40", "53", "55P03", "57P")
"""SQLSTATEs that pass: connection, a transaction left idle, deadlock, resources, lock, shutdown."""


def _is_transient(original: BaseException) -> bool:
    """Whether a server failed in a way that passes; the transaction may have been written."""
    if isinstance(original, sqlite3.Error) or type(original).__module__.startswith("sqlalchemy"):
        return False
    state = getattr(original, "sqlstate", None)
    if state is None:  # the driver's own: the connection is lost or out of step, or there was none
        kinds = {"OperationalError", "InterfaceError", "InternalError"}
        return type(original).__name__ in kinds
    return str(state).startswith(_TRANSIENT_STATES)


@contextmanager
def translate_errors(name: str) -> Iterator[None]:
    """Turn every exception of the database into a LedgerError."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise explain_error(name, error) from error


_Found = TypeVar("_Found")
_FileStamp = tuple[int, int, int] | None

WRITES: Final = "importer_writes"
"""The execution option of a transaction that takes the write lock at once."""

IDLE_TIMEOUT: Final = func.set_config(
    "idle_in_transaction_session_timeout", "5000", literal(value=True)
)
"""Selected in a transaction on a server: a process that is frozen within it loses its locks, ms."""

COMMIT_DURABLY: Final = case(
    (
        func.current_setting("synchronous_commit") == "off",
        func.set_config("synchronous_commit", "on", literal(value=True)),
    )
)
"""Selected in a transaction: its commit waits for the disk, also if the default is off by now."""

UPGRADE_LOCK: Final = 0x696D706F72746572
"""The number of the PostgreSQL advisory lock of an upgrade: "importer" in ASCII."""

SERVER_OPTIONS: Final[Mapping[str, int | str | None]] = MappingProxyType(
    {
        "client_encoding": "utf8",
        # PgBouncer gives each transaction another session, which knows no prepared statement.
        "prepare_threshold": None,
        "connect_timeout": 10,  # seconds
        "tcp_user_timeout": 30_000,  # milliseconds
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
    }
)
"""Options of every connection to a server; one that falls silent is noticed in half a minute."""

_READ_TRIES: Final = 5
_USED_AT: Final = "used_at"
BUSY_MS: Final = 10_000
"""How long a SQLite connection waits for another one, milliseconds."""

CACHE_KIB: Final = 65_536
"""How many pages of a file a SQLite connection keeps, in KiB."""

_ONE_MORE: Final = update(identity).values(writes=func.coalesce(identity.c.writes, 0) + 1)
_COUNT_WRITE: Final = _ONE_MORE.returning(identity.c.id, identity.c.writes)
_COUNT_ON_SERVER: Final = _ONE_MORE.returning(identity.c.id, identity.c.writes, COMMIT_DURABLY)
"""What is counted must outlive a crash, also if a server's default was changed meanwhile."""


class Database:
    """A ledger's database.

    Args:
        engine: made by `importer.ledger.connection`.
        name: what a person calls it: the file, or the URL without the password.
        path: the file of a SQLite ledger, None for a server.
        readonly: whether nothing may be written, not even a file beside it.
        on_commit: called with a write's name after it is durable.
    """

    def __init__(
        self,
        engine: Engine,
        name: str,
        path: Path | None,
        *,
        readonly: bool = False,
        on_commit: Callable[[str], None] | None = None,
    ) -> None:
        self.engine = engine
        self.name = name
        self.path = path
        self.readonly = readonly
        self._on_commit = on_commit
        self._counted = None if path is None else CountedWrites(path)
        self._count_write = _COUNT_ON_SERVER if path is None else _COUNT_WRITE
        self._writer = engine.execution_options(**{WRITES: True})

    def read(self, query: Callable[[Connection], _Found]) -> _Found:
        """Return the result of a query in one transaction.

        A read-only SQLite file is read without locks. If a writer changes it meanwhile, the result
        is discarded and the file is read again.
        """
        for _ in range(_READ_TRIES):
            before = self._read_stamp()
            try:
                with self.engine.connect() as connection, connection.begin():
                    found = query(connection)
            except SQLAlchemyError as error:
                if before == self._read_stamp():
                    raise explain_error(self.name, error) from error
            else:
                if before == self._read_stamp():
                    return found
        raise LedgerError(
            f"The ledger {self.name} is being changed while it is read.", "Try again in a moment."
        )

    def stream(self, wanted: Select[Any], size: int) -> Iterator[Sequence[Row[Any]]]:
        """Yield the rows of a query, `size` at a time, all in one transaction.

        Raises:
            LedgerError: while iterating: as for `read`; the rows cannot be read again.
        """
        with self.begin_read() as connection:
            rows = connection.execution_options(yield_per=size).execute(wanted)
            yield from rows.partitions()

    @contextmanager
    def begin_read(self) -> Iterator[Connection]:
        """Yield a connection for several queries in one transaction; on a file, all see one state.

        Raises:
            LedgerError: at the end: as for `read`; the rows cannot be read again.
        """
        before = self._read_stamp()
        try:
            with self.engine.connect() as connection, connection.begin():
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            if before == self._read_stamp():
                raise explain_error(self.name, error) from error
        if before != self._read_stamp():
            raise LedgerError(
                f"The ledger {self.name} was changed while it was read.", "Try again in a moment."
            )

    def write(
        self,
        what: str,
        query: Callable[[Connection], _Found],
        *,
        counted: bool = False,
        unsynced: bool = False,
        skip_foreign_keys: bool = False,
    ) -> _Found:
        """Run a query in one transaction, durable when this returns.

        Args:
            what: name of the write, for `on_commit`.
            query: takes the connection; if it raises, everything is undone.
            counted: note the write in the last-write file, so that older copies are noticed.
            unsynced: as for `save_last_write`.
            skip_foreign_keys: let SQLite check no foreign keys; for many rows that all refer to one
                row that the query has just written.
        """
        if self.readonly:
            raise LedgerError(f"The ledger {self.name} was opened for reading only.")
        with (
            translate_errors(self.name),
            self._writer.connect() as connection,
            self._without_foreign_keys(connection) if skip_foreign_keys else nullcontext(),
            connection.begin(),
        ):
            done = query(connection)
            number = connection.execute(self._count_write).one() if counted else None
        if number is not None and self._counted is not None:
            self._counted.note(number.id, number.writes, unsynced=unsynced)
        if self._on_commit is not None:
            self._on_commit(what)
        return done

    @contextmanager
    def _without_foreign_keys(self, connection: Connection) -> Iterator[None]:
        """Turn off foreign keys on a connection to SQLite, which must be outside a transaction."""
        if self.path is None:
            yield
            return
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA foreign_keys = OFF")
        try:
            yield
        finally:
            cursor.execute("PRAGMA foreign_keys = ON")
            cursor.close()

    def write_autocommit(
        self, what: str, statement: Executable, given: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Run one statement on a server in a transaction of its own; return its rows.

        The server ends that transaction by itself. So a process that is frozen holds no lock.

        Args:
            what: name of the write, for `on_commit`.
            statement: changes rows that all senders share.
            given: its values.
        """
        rows = self.execute_autocommit(statement, given)
        if self._on_commit is not None:
            self._on_commit(what)
        return rows

    def execute_autocommit(
        self, statement: Executable, given: Mapping[str, Any] | None = None
    ) -> Sequence[Any]:
        """Run one statement on a server, outside any transaction of ours; return its rows."""
        with translate_errors(self.name), self.engine.connect() as opened:
            connection = opened.execution_options(isolation_level="AUTOCOMMIT")
            done = connection.execute(statement, given or {})
            return done.all() if done.returns_rows else ()

    def analyze(self, *tables: Table) -> None:
        """Tell a server how many rows tables have; without that it may read them whole for one row.

        It would do so by itself a minute after they have grown.
        """
        if self.path is None:
            names = ", ".join(table.name for table in tables)
            with suppress(LedgerAway):
                self.write_autocommit("statistics", text(f"ANALYZE {names}"))

    def note_writes(self, beside: Path) -> None:
        """Note counted writes in a last-write file beside this file from now on."""
        if self._counted is None:
            self._counted = CountedWrites(beside)

    def enable_wal(self) -> None:
        """Put a SQLite file into WAL mode, in which readers never wait for the writer."""
        if self.path is None:
            return
        with translate_errors(self.name), self.engine.connect() as connection:
            # On the driver's connection: the mode cannot change within a transaction.
            cursor = connection.connection.cursor()
            # SQLite does not wait here: it fails at once if another connection changes the mode.
            for attempt in Retrying(
                retry=retry_if_exception(_is_busy),
                stop=stop_after_delay(BUSY_MS / 1000),
                wait=wait_random(0.01, 0.05),
                reraise=True,
            ):
                with attempt:
                    cursor.execute("PRAGMA journal_mode = WAL")
            cursor.close()

    def compact(self) -> None:
        """Rewrite a SQLite file without the traces of what was removed from it."""
        if self.path is None:
            return
        with translate_errors(self.name), self.engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            cursor.close()

    def checkpoint(self) -> bool:
        """Move everything from the `-wal` file into a SQLite file that is open for writing.

        Returns:
            Whether the file is complete without its `-wal`; False if another process uses it, too.
        """
        if self.path is None or self.readonly:
            return False
        with suppress(SQLAlchemyError, sqlite3.Error), self.engine.connect() as connection:
            cursor = connection.connection.cursor()
            cursor.execute("PRAGMA busy_timeout = 0")  # closing must not wait for readers
            busy = cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            cursor.execute(f"PRAGMA busy_timeout = {BUSY_MS}")
            cursor.close()
            return not busy
        return False

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def _read_stamp(self) -> _FileStamp:
        """Return facts that differ after any change to a file that is read without locks."""
        if not self.readonly or self.path is None:
            return None
        try:
            facts = self.path.stat()
        except OSError:
            return None
        return facts.st_ino, facts.st_size, facts.st_mtime_ns


def dialect_insert(connection: Connection) -> Callable[[Table], sqlite.Insert | postgresql.Insert]:
    """Return the insert that supports `ON CONFLICT`."""
    return postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert


def find_by_hash(
    connection: Connection, wanted: Select[Any], column: ColumnElement[Any], values: list[str]
) -> Iterator[Row[Any]]:
    """Yield the rows that have one of many hashes in an indexed column.

    The hashes travel as one parameter, which takes half the time of one for each; in their order
    neighbours in the index are found on the same page.
    """
    if connection.dialect.name != "sqlite":
        array = literal(values, postgresql.ARRAY(column.type))
        yield from connection.execute(wanted.where(column == func.any(array)))
        return
    by_size = defaultdict[int, list[bytes]](list)
    for value in map(pack_hash, values):
        by_size[len(value)].append(value)
    for size, found in by_size.items():
        whole = literal(b"".join(sorted(found)), LargeBinary)
        starts = json.dumps([*range(1, 1 + size * len(found), size)])
        listed = func.json_each(starts).table_valued("value", name="listed")
        each = select(func.substr(whole, listed.c.value, size, type_=LargeBinary))
        yield from connection.execute(wanted.where(column.in_(each)))


def _is_busy(error: BaseException) -> bool:
    return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)


_IDLE_S: Final = 1.0
"""A connection to a server that was unused for this long is tried before it is used."""


def ping_idle_connections(engine: Engine) -> None:
    """Replace connections to a server that were lost while nobody used them.

    A sender uses its connections many times a second. To try each one before each use, as the pool
    itself would, is a fifth of their round trips.
    """

    @event.listens_for(engine, "checkin")
    def on_checkin(driver: DBAPIConnection | None, record: ConnectionPoolEntry) -> None:
        del driver
        record.info[_USED_AT] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def on_checkout(
        driver: DBAPIConnection, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
    ) -> None:
        del proxy
        used_at = record.info.get(_USED_AT)
        if used_at is None or time.monotonic() - used_at < _IDLE_S:
            return
        try:
            engine.dialect.do_ping(driver)
        except engine.dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # the pool connects again


def prepare_sqlite(engine: Engine) -> None:
    """Make every connection of a SQLite engine durable, and let it wait for locks.

    The driver's own transactions are off. A write takes the lock at its BEGIN, so that nothing it
    reads can change before it writes.
    """

    @event.listens_for(engine, "connect")
    def on_connect(driver: sqlite3.Connection, record: ConnectionPoolEntry) -> None:
        del record
        driver.isolation_level = None
        for pragma in (
            f"busy_timeout = {BUSY_MS}",
            "foreign_keys = ON",
            "synchronous = FULL",
            "fullfsync = ON",  # on a Mac, or the disk may keep in its cache what counts as written
            "checkpoint_fullfsync = ON",
            f"cache_size = -{CACHE_KIB}",
            "temp_store = MEMORY",
        ):
            driver.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def on_begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get(WRITES, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
