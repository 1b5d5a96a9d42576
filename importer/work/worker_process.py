"""A worker process: takes jobs from the queue until it is told to end, or the database is away.

It takes one list or night at a time, and ticks beside it. Its parent is
`importer.work.worker_pool`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from procrastinate import PsycopgConnector
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Status
from procrastinate.worker import Worker

from importer.errors import (
    ConfigurationError,
    Exit,
    ImporterError,
    LedgerAway,
    TurnTaken,
    describe_fault,
)
from importer.ledger import Ledger
from importer.sending.tracing import open_traces, traced
from importer.work.job_runner import JobRunner
from importer.work.queue import (
    COMMAND,
    CONTROL,
    NIGHT_COMMAND,
    SEND,
    STALLED_S,
    TICK,
    JobQueue,
    make_app,
    pool_options,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from procrastinate import App, JobContext

    from importer.settings import Credentials, Settings


_LOG: Final = logging.getLogger(__name__)

_HEARTBEAT_S: Final = 5.0
_ORPHAN_S: Final = 1.0
_KEPT_HOURS: Final = 72
"""How long failed jobs are kept, so that a person sees that there were some."""

_CONNECTIONS: Final = 6


def run_worker(
    settings: Settings, credentials: Credentials, queues: Sequence[str], parent: int
) -> Exit:
    """Take jobs until SIGTERM or SIGINT, or until the parent is gone.

    Args:
        settings: the settings of this machine.
        credentials: the credentials of the API.
        queues: the queues to take jobs from, besides ticks.
        parent: process id of the parent.

    Returns:
        OK if it was told to end; SETUP if the database went away.

    Raises:
        ConfigurationError: the ledger or its queue cannot be used.
    """
    # A page leaves its lists to workers that can send, and knows them by their command.
    command = COMMAND if SEND in queues else NIGHT_COMMAND
    with (
        Ledger.open(settings.ledger, create=False) as ledger,
        JobQueue.open(settings) as queue,
        ledger.lock(command, lease_s=settings.lease_s),
    ):
        runner = JobRunner(settings, credentials, ledger, queue)
        process = _WorkerProcess(runner, settings, queues)
        try:
            return asyncio.run(process.run(parent))
        finally:
            runner.close()


def _log_stray(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log an exception that nobody has waited for, such as a job's that the database lost."""
    del loop
    error = context.get("exception")
    if error is not None and not isinstance(error, ConnectorException):
        _LOG.warning("beside the jobs: %s", describe_fault(error))


class _StoppableWorker(Worker):
    """A worker that tells its process when it stops, also if the database is away."""

    def __init__(self, app: App, on_stop: Callable[[], None], **options: Any) -> None:
        super().__init__(app, install_signal_handlers=False, **options)
        self._on_stop = on_stop

    async def work(self) -> None:
        """Take jobs until it is stopped."""
        await super().run()  # type: ignore[no-untyped-call] # the library's own

    def stop(self) -> None:
        self.stop_taking()
        self._on_stop()

    def stop_taking(self) -> None:
        """Take no more jobs; the one under way ends first."""
        super().stop()  # type: ignore[no-untyped-call] # the library's own


class _WorkerProcess:
    """The workers of one process: one for ticks, and one for lists and nights."""

    def __init__(self, runner: JobRunner, settings: Settings, queues: Sequence[str]) -> None:
        self._runner = runner
        self._settings = settings
        self._queues = queues
        self._workers: list[_StoppableWorker] = []
        self._told_to_end = False
        self._ended = threading.Event()
        connector = PsycopgConnector(**pool_options(settings.ledger, _CONNECTIONS))
        self._app = make_app(connector)
        self._app.task(name="send", queue="send")(self._wrap_job(runner.send))
        self._app.task(name="send_uploaded", queue="send")(self._wrap_job(runner.send_uploaded))
        self._app.task(name="look_up", queue="send")(self._wrap_job(runner.look_up))
        self._app.task(name="night", queue="night")(self._wrap_job(runner.night))
        tick = self._app.task(name=TICK, queue=CONTROL, queueing_lock=TICK, pass_context=True)
        self._app.periodic(cron="* * * * *")(tick(self._tick))

    async def run(self, parent: int) -> Exit:
        """Run until it is told to end."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_stray)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end)
        threading.Thread(target=self._watch_parent, args=(parent, loop), daemon=True).start()
        async with self._app.open_async():
            self._workers = [self._make_worker([CONTROL]), self._make_worker(list(self._queues))]
            if self._told_to_end:
                self._stop_all()
            ended = await asyncio.gather(
                *(each.work() for each in self._workers), return_exceptions=True
            )
        self._ended.set()
        for each in ended:
            if isinstance(each, BaseException) and not isinstance(each, ConnectorException):
                _LOG.warning("a worker failed: %s", describe_fault(each))
        return Exit.OK if self._told_to_end else Exit.SETUP

    def _make_worker(self, queues: Sequence[str]) -> _StoppableWorker:
        return _StoppableWorker(
            self._app,
            self._stop_all,
            queues=queues,
            concurrency=1,
            fetch_job_polling_interval=self._settings.queue_poll_s,
            listen_notify=self._settings.queue_listen,
            delete_jobs="successful",
            update_heartbeat_interval=_HEARTBEAT_S,
            stalled_worker_timeout=STALLED_S,
        )

    def _watch_parent(self, parent: int, loop: asyncio.AbstractEventLoop) -> None:
        """End when the parent is gone: nobody else would restart this process."""
        while os.getppid() == parent:
            if self._ended.wait(_ORPHAN_S):
                return
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._told_to_end = True
        self._stop_all()

    def _stop_all(self) -> None:
        """Stop every worker; the job under way ends soon."""
        self._runner.stop()
        for each in self._workers:
            each.stop_taking()

    def _wrap_job(self, job: Callable[..., None]) -> Callable[..., None]:
        """Return a job with a span, which logs what stops it without anything of a person."""

        def run(**ids: Any) -> None:
            try:
                with open_traces(), traced("job", job=job.__name__, **ids):
                    job(**ids)
            except LedgerAway:
                _LOG.warning("the database is away; what is under way is kept until it is back")
                raise
            except asyncio.CancelledError:
                _LOG.warning("requests under way took too long to end; they are doubtful")
            except TurnTaken:
                _LOG.info("another process does this job")
            except ImporterError as error:
                told = error if isinstance(error, ConfigurationError) else describe_fault(error)
                _LOG.warning("a job ended: %s", told)
            except Exception as error:  # logged whatever it is, and raised again
                _LOG.error("a job failed: %s", describe_fault(error))
                raise

        return run

    async def _tick(self, context: JobContext, timestamp: int) -> None:
        """Fail stalled jobs, and let the ledger say what is missing."""
        manager = context.app.job_manager
        for job in await manager.get_stalled_jobs(seconds_since_heartbeat=STALLED_S):
            with suppress(ConnectorException):  # another worker was faster
                await manager.finish_job(job, Status.FAILED, delete_job=False)
        if timestamp and timestamp % 3_600 == 0:
            await manager.delete_old_jobs(
                _KEPT_HOURS, include_failed=True, include_cancelled=True, include_aborted=True
            )
        await asyncio.to_thread(self._wrap_job(self._runner.tick))
