"""Put lists and nights into the queue from the command line, and wait until workers are done."""

from __future__ import annotations

import getpass
import signal
import sys
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from importer.cli.options import tell
from importer.deliver import report_of
from importer.errors import Exit, LedgerAway
from importer.languages import translate, translate_filled
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import WORKING
from importer.model import State
from importer.report import export, view
from importer.report.outcomes import outcome_frame
from importer.report.progress import progress
from importer.sending.circuit_breaker import Ending
from importer.work.queue import COMMAND, NIGHT_COMMAND, JobQueue
from importer.work.queued_lists import QueuedLists

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import Console

    from importer.ledger.records import UploadedList
    from importer.model import Plan, RunReport
    from importer.settings import Credentials, Settings


_LOOK_S: Final = 0.3
_WORKERS_S: Final = 5.0
"""How often to look whether a worker is alive, seconds."""
_UNDER_WAY: Final = frozenset({State.PLANNED, State.SENDING})


def put_in_queue(
    plan: Plan, files: Sequence[str], settings: Settings, credentials: Credentials
) -> str:
    """Put a list into the queue, and let a worker look; return the id of the run."""
    with (
        Ledger.open(settings.ledger) as ledger,
        JobQueue.open(settings) as queue,
        closing(QueuedLists(settings, ledger)) as lists,
    ):
        run = lists.put_in(plan, files, credentials, getpass.getuser())
        queue.wake_worker()
    return run


def put_night_in_queue(inbox: str, settings: Settings, flags: Mapping[str, object]) -> str:
    """Put a night of an inbox into the queue; return the id of its list."""
    with (
        Ledger.open(settings.ledger) as ledger,
        JobQueue.open(settings) as queue,
        closing(QueuedLists(settings, ledger)) as lists,
    ):
        list_id = lists.put_in_night(inbox, flags, getpass.getuser())
        queue.wake_worker()
    return list_id


def show_queued(run_id: str, settings: Settings, form: str) -> int:
    """Print the id of a run that was put into the queue."""
    tell(translate("The list is in the queue. `importer jobs` shows how far it is."))
    if form == "text":
        click.echo(run_id)
        return Exit.OK
    with Ledger.open(settings.ledger, create=False) as ledger:
        run = ledger.runs.find(run_id)
        report = replace(report_of(ledger, run), exit_code=Exit.OK)
        names = [each.name for each in run.sources]
        shown = view.run_view(report, outcome_frame((), names), names, settings)
    export.write_json(export.run_json(shown, (), None, None), sys.stdout)
    return Exit.OK


def wait_for_run(run_id: str, settings: Settings, console: Console) -> RunReport:
    """Wait until workers have sent a list, and show how far they are; return its report.

    After Ctrl-C the workers go on.
    """
    began = time.monotonic()
    with (
        Ledger.open(settings.ledger, create=False) as ledger,
        progress(console) as shown,
        _interruptible(),
    ):
        total = ledger.submissions.count_sendable(run_id)
        shown.on_start(run_id, total, total / settings.rate_per_s)
        message = ""
        workers = _WorkerWatch(ledger, COMMAND)
        while True:
            try:
                if workers.have_gone():
                    shown.on_stage(translate("No worker is alive: start `importer work`."))
                known = ledger.lists.find_by_run(run_id)
                states = ledger.runs.states(run_id, live=True)
            except LedgerAway:
                time.sleep(_LOOK_S)
                continue
            shown.note({state: n for state, n in states.items() if state not in _UNDER_WAY})
            if known is None or known.state not in WORKING:
                break
            if known.message and known.message != message:
                shown.on_stage(known.message)
            message = known.message
            time.sleep(_LOOK_S)
        return _report(ledger, run_id, known, time.monotonic() - began)


class _WorkerWatch:
    """Looks from time to time whether a worker is alive.

    Args:
        ledger: open.
        commands: the commands of the workers that count.
    """

    def __init__(self, ledger: Ledger, *commands: str) -> None:
        self._ledger = ledger
        self._commands = commands
        self._looked_s = time.monotonic()
        self._were_alive = True

    def have_gone(self) -> bool:
        """Whether no worker is alive, and that is new."""
        if time.monotonic() - self._looked_s < _WORKERS_S:
            return False
        self._looked_s, were_alive = time.monotonic(), self._were_alive
        self._were_alive = any(map(self._ledger.senders.count_live, self._commands))
        return were_alive and not self._were_alive


def _report(ledger: Ledger, run_id: str, known: UploadedList | None, took_s: float) -> RunReport:
    """Return the report of a run that workers have sent."""
    run = ledger.runs.find(run_id)
    paused = known is not None and known.state in {ListState.PAUSED, ListState.STOPPED}
    ending = Ending(run.stopped)
    if paused and known is not None:
        reason = known.message or translate("`importer jobs --resume` lets it go on.")
        ending = Ending(reason, Exit(known.counts.get("exit_code", Exit.HELD)))
    return replace(report_of(ledger, run, ending), took_s=took_s)


def wait_for_night(list_id: str, settings: Settings) -> int:
    """Wait until a worker has run a night; return the night's exit code."""
    with Ledger.open(settings.ledger, create=False) as ledger, _interruptible():
        workers = _WorkerWatch(ledger, COMMAND, NIGHT_COMMAND)
        while (known := _find(ledger, list_id)) is None or known.state in WORKING:
            with suppress(LedgerAway):
                if workers.have_gone():
                    tell(translate("No worker is alive: start `importer work`."))
            time.sleep(_LOOK_S)
    if known.message:
        tell(translate_filled(known.message))
    return int(known.counts.get("exit_code", Exit.OK))


def _find(ledger: Ledger, list_id: str) -> UploadedList | None:
    try:
        return ledger.lists.find(list_id)
    except LedgerAway:
        return None


@contextmanager
def _interruptible() -> Iterator[None]:
    """Say after Ctrl-C that the workers go on."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        tell(translate("The workers go on; `importer jobs` shows how far they are."))
        raise
