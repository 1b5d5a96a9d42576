"""The queue of jobs, in the database of the ledger, kept by procrastinate.

A job only names a list; the ledger decides what there is to do. If the queue is emptied, the next
tick fills it from the ledger. A job may run twice. The queue never tries a job again: a stalled one
is marked as failed, and the tick asks the ledger.
"""

from __future__ import annotations

import logging
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final, Self

from sqlalchemy import make_url

from importer.errors import ConfigurationError, LedgerAway, LedgerError
from importer.ledger.database import SERVER_OPTIONS, UPGRADE_LOCK

if TYPE_CHECKING:
    from collections.abc import Iterator

    from procrastinate import App
    from procrastinate.connector import BaseConnector

    from importer.ledger import Ledger
    from importer.settings import Settings


CONTROL: Final = "control"
SEND: Final = "send"
NIGHT: Final = "night"
QUEUES: Final = (SEND, NIGHT)
"""The queues that a worker may be limited to; ticks come to every worker."""

TICK: Final = "tick"

COMMAND: Final = "importer work"
"""The command of a worker that can send lists, as its lease names it."""

NIGHT_COMMAND: Final = f"{COMMAND} --queues {NIGHT}"
"""The command of a worker that only runs nights."""

WORKERS: Final = 2
"""procrastinate's workers in a worker process: one for ticks, one for the rest."""

STALLED_S: Final = 30.0
"""A worker without a heartbeat for this long has stopped, seconds."""

_FETCH_FUNCTION: Final = "procrastinate_fetch_job_v2"
"""The function of the database that this version of procrastinate calls; the newest of them."""

_UNREACHABLE: Final = (
    "The queue in the ledger's database cannot be reached.",
    "Check the URL under `ledger:`, and that the database server is running.",
)


@dataclass(frozen=True, slots=True)
class QueueOverview:
    """The jobs and the workers of a queue.

    Attributes:
        waiting: name of a queue -> number of jobs that wait.
        under_way: name of a queue -> number of jobs under way.
        failed: number of jobs that failed in the last days.
        workers: number of worker processes that gave a sign of life lately.
        stalled: number of jobs whose worker has stopped.
    """

    waiting: dict[str, int]
    under_way: dict[str, int]
    failed: int
    workers: int
    stalled: int


def require_queue(settings: Settings) -> None:
    """Raise ConfigurationError unless the ledger is on PostgreSQL and procrastinate is here."""
    if settings.ledger_file is not None:
        if settings.rehearsal:
            raise ConfigurationError(
                "A queue needs a ledger on PostgreSQL; the ledger of a rehearsal is a file.",
                "Do without --queue and `work`, or set `rehearsal: false`.",
            )
        raise ConfigurationError(
            "A queue needs a ledger on PostgreSQL; this one is a file.",
            "Set `ledger:` to postgresql://host/name, or do without --queue and `work`.",
        )
    if not is_installed():
        raise ConfigurationError(
            "The queue needs a package that is not installed.",
            "Install it with `pip install '.[work]'`.",
        )


def is_installed() -> bool:
    """Whether procrastinate is installed: it is in the extra `work`."""
    return find_spec("procrastinate") is not None


def read_overview(settings: Settings) -> QueueOverview | None:
    """Return the jobs and workers of a ledger's queue; None if there is no queue.

    Raises:
        LedgerAway: the server does not answer.
    """
    if settings.ledger_file is not None or not is_installed():
        return None
    with JobQueue.open(settings) as queue:
        return queue.overview() if queue.is_set_up() else None


def count_workers(settings: Settings, ledger: Ledger) -> int | None:
    """Count the worker processes that can send lists; None if there is no queue here.

    Raises:
        LedgerAway: the server does not answer.
    """
    if settings.ledger_file is not None or not is_installed():
        return None
    alive = ledger.senders.count_live(COMMAND)
    if alive:
        return alive
    with JobQueue.open(settings) as queue:
        return 0 if queue.is_set_up() else None


def make_app(connector: BaseConnector) -> App:
    """Make procrastinate's app, and hide all but the critical messages of its log."""
    from procrastinate import App  # noqa: PLC0415 - an extra

    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    return App(connector=connector)


def pool_options(url: str, size: int) -> dict[str, Any]:
    """Return the options of a pool of connections to the database of a ledger.

    Args:
        url: the URL of the ledger.
        size: most connections.
    """
    plain = make_url(url).set(drivername="postgresql")
    return {
        "conninfo": plain.render_as_string(hide_password=False),
        "min_size": 1,
        "max_size": size,
        "kwargs": dict(SERVER_OPTIONS),
        "timeout": 10.0,
    }


class JobQueue:
    """Puts jobs into the queue, and looks at it. Methods raise LedgerAway if the server is away.

    Args:
        app: procrastinate's app with an open connection.
    """

    def __init__(self, app: App) -> None:
        self._app = app
        self._sync = app.connector.get_sync_connector()

    @classmethod
    @contextmanager
    def open(cls, settings: Settings) -> Iterator[Self]:
        """Open the queue of a ledger.

        Raises:
            ConfigurationError: the ledger is a file, or procrastinate is not installed.
            LedgerAway: the server does not answer.
        """
        require_queue(settings)
        from procrastinate import SyncPsycopgConnector  # noqa: PLC0415 - an extra

        connector = SyncPsycopgConnector(**pool_options(settings.ledger, 2))
        app = make_app(connector)
        with _translate_errors():
            app.open()
        try:
            yield cls(app)
        finally:
            app.close()

    # ---- the schema --------------------------------------------------------------------------

    def is_set_up(self) -> bool:
        """Whether the queue's tables are there, in the version that is installed here."""
        wanted = "SELECT to_regclass('procrastinate_jobs') IS NOT NULL AND EXISTS (SELECT 1"
        wanted += " FROM pg_proc WHERE proname = %(name)s) AS there"
        return bool(self._read(wanted, name=_FETCH_FUNCTION)[0]["there"])

    def require_set_up(self) -> None:
        """Raise LedgerError if the queue's tables are not there."""
        if not self.is_set_up():
            raise LedgerError(
                "The queue is not set up in the ledger's database.", "Run `importer upgrade` once."
            )

    def set_up(self) -> bool:
        """Make the queue's tables; return whether they were missing.

        Raises:
            LedgerError: there are tables of an older version.
        """
        if self.is_set_up():
            return False
        if self._read("SELECT to_regclass('procrastinate_jobs') IS NOT NULL AS there")[0]["there"]:
            raise LedgerError(
                "The queue's tables are of an older version of procrastinate.",
                "End all workers, drop the tables procrastinate_*, and run `importer upgrade` "
                "again: the ledger knows all that the queue knows.",
            )
        schema = self._app.schema_manager.get_schema().replace("%", "%%")
        lock = f"SELECT pg_advisory_xact_lock({UPGRADE_LOCK});\n"
        try:
            with _translate_errors():
                self._sync.execute_query(query=lock + schema)
        except LedgerError:
            if not self.is_set_up():  # else another process was faster
                raise
        return True

    # ---- jobs --------------------------------------------------------------------------------

    def defer(
        self, task: str, queue: str, lock: str, *, priority: int = 0, in_s: float = 0, **ids: Any
    ) -> bool:
        """Put a job into the queue unless one with its lock waits there; return whether it was put.

        Args:
            task: the name of the task.
            queue: the name of the queue.
            lock: at most one job with this name waits.
            priority: jobs with a higher one come first.
            in_s: seconds to wait before it may begin.
            ids: its arguments; ids only.
        """
        from procrastinate.exceptions import AlreadyEnqueued  # noqa: PLC0415 - an extra

        options: dict[str, Any] = {"queue": queue, "queueing_lock": lock, "priority": priority}
        if in_s:
            options["schedule_in"] = {"seconds": in_s}
        with _translate_errors():
            try:
                self._app.configure_task(task, **options).defer(**ids)
            except AlreadyEnqueued:
                return False
        return True

    def wake_worker(self) -> None:
        """Let a worker look at the ledger now."""
        self.defer(TICK, CONTROL, TICK, priority=1_000, timestamp=0)

    def overview(self) -> QueueOverview:
        """Return how many jobs and workers there are."""
        with _translate_errors():
            queues = list(self._app.job_manager.list_queues())
        seconds = {"seconds": STALLED_S}
        workers = self._read(
            "SELECT count(*) FILTER (WHERE last_heartbeat > now() - make_interval(secs =>"
            " %(seconds)s)) AS alive FROM procrastinate_workers",
            **seconds,
        )
        stalled = self._read(
            "SELECT count(*) AS jobs FROM procrastinate_jobs AS j LEFT JOIN procrastinate_workers"
            " AS w ON w.id = j.worker_id WHERE j.status = 'doing' AND (w.id IS NULL OR"
            " w.last_heartbeat <= now() - make_interval(secs => %(seconds)s))",
            **seconds,
        )
        return QueueOverview(
            waiting={each["name"]: each["todo"] for each in queues if each["todo"]},
            under_way={each["name"]: each["doing"] for each in queues if each["doing"]},
            failed=sum(each["failed"] for each in queues),
            workers=workers[0]["alive"] // WORKERS,
            stalled=stalled[0]["jobs"],
        )

    def _read(self, query: str, **arguments: Any) -> list[dict[str, Any]]:
        with _translate_errors():
            found: list[dict[str, Any]] = self._sync.execute_query_all(query=query, **arguments)
            return found


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Turn what procrastinate raises into errors of the ledger."""
    from procrastinate.exceptions import ConnectorException  # noqa: PLC0415 - an extra
    from psycopg import OperationalError  # noqa: PLC0415 - an extra
    from psycopg_pool import PoolTimeout  # noqa: PLC0415 - an extra

    try:
        yield
    except ConnectorException as error:
        if isinstance(error.__cause__, OperationalError | PoolTimeout):
            raise LedgerAway(*_UNREACHABLE) from error
        kind = type(error.__cause__ or error).__name__
        raise LedgerError(
            f"The queue reported an unexpected error ({kind}).",
            "This is a fault of importer; please report it.",
        ) from error
    except (OperationalError, PoolTimeout) as error:
        raise LedgerAway(*_UNREACHABLE) from error
