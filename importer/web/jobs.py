"""The jobs of the page: one thread checks and sends lists, one at a time.

A list's state in the ledger is the job. If the server is killed, the next one continues: a check is
repeated, and a run is resumed, which sends nothing twice.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from filelock import Timeout

from importer.deliver import deliver, reconcile, resume
from importer.errors import Exit, ImporterError, LedgerError, describe_fault
from importer.ledger.lock import file_lock
from importer.ledger.records import ListState
from importer.model import State
from importer.nightly.clock import StopSignal
from importer.nightly.remote.backends import RemoteFault
from importer.sending.campaigns import CampaignList, list_campaigns
from importer.sending.client import Client
from importer.sending.run_options import RunOptions, SilentObserver
from importer.settings.values import is_loopback
from importer.web.hours import count_zones, find_end, find_start

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.ledger import Ledger
    from importer.ledger.records import UploadedList
    from importer.model import Outcome, RunReport
    from importer.settings import Credentials, Settings
    from importer.web.hours import Zones
    from importer.web.workbench import Workbench


_LOG: Final = logging.getLogger(__name__)
_IDLE_S: Final = 60.0
_STANDBY_S: Final = 2.0
_AGAIN: Final = timedelta(seconds=30)
_TIDY_S: Final = 3600.0
_LOOK_UP_S: Final = 600.0
COMMAND: Final = "importer serve"
ASLEEP: Final = "It is too early or too late for some of the people; it goes on by itself."
_LEFT: Final = (State.PLANNED, State.UNSENT)


@dataclass(slots=True)
class Progress:
    """The progress of a run, for people who watch it.

    Attributes:
        run: the id of the run; empty until it has one.
        stage: what else takes time, in words.
        newest: the last outcomes, newest last.
        done: how many submissions have ended since it began or was resumed.
        count: how many it had to send.
        began: UTC.
    """

    run: str = ""
    stage: str = ""
    newest: list[Outcome] = field(default_factory=list)
    done: int = 0
    count: int = 0
    began: datetime = field(default_factory=lambda: datetime.now(UTC))


def _utc_now() -> datetime:
    return datetime.now(UTC)


class _Watcher(SilentObserver):
    """Notes the progress of a run, and stops it on request or in the evening.

    Args:
        progress: the progress, which is kept up to date.
        on_run: called with the id of the run.
        signal: stops the run.
        until_s: seconds after which it stops anyway.
    """

    def __init__(
        self,
        progress: Progress,
        on_run: Callable[[str], None],
        signal: StopSignal,
        until_s: float,
    ) -> None:
        self._progress = progress
        self._on_run = on_run
        self._signal = signal
        self._until_s = until_s

    def on_stop_event(self, stop: asyncio.Event) -> None:
        self._signal.watch(stop, self._until_s)

    def on_start(self, run: str, count: int, seconds: float) -> None:
        del seconds
        self._progress.run, self._progress.stage = run, ""
        self._progress.count = self._progress.done + count
        self._on_run(run)

    def on_stage(self, sentence: str) -> None:
        self._progress.stage = sentence

    def on_list_unreadable(self, reason: str) -> None:
        self._progress.stage = reason

    def on_outcome(self, outcome: Outcome) -> None:
        self._progress.done += 1
        self._progress.newest = [*self._progress.newest, outcome][-10:]


def _why_it_waits(error: ImporterError) -> str:
    """Return why a job is tried again, for the page; the address of a store is for the log."""
    if isinstance(error, RemoteFault):
        _LOG.error("%s", error)
        return "The place where lists are kept cannot be reached now. It goes on by itself."
    return str(error)


class Jobs:
    """Works on the lists of a ledger until it is closed.

    Args:
        workbench: the workbench, which has the lists.
        settings: the settings of the server.
        credentials: the credentials of the API.
        ledger: open for writing.
        now: the clock; it decides whether people may be contacted.
    """

    def __init__(
        self,
        workbench: Workbench,
        settings: Settings,
        credentials: Credentials,
        ledger: Ledger,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._workbench = workbench
        self._settings = settings
        self._credentials = credentials
        self._ledger = ledger
        self._now = now
        self._wake = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._current: tuple[str, StopSignal] | None = None
        self._reaches_nobody = settings.rehearsal or is_loopback(
            urlsplit(settings.base_url).hostname or ""
        )
        self.progress: dict[str, Progress] = {}
        self.is_looking_up = False

    def start(self) -> None:
        """Begin to work, first on the jobs that an earlier server left."""
        self._thread.start()

    def close(self) -> None:
        """End the work: requests under way finish, and the next server continues."""
        self._ends = True
        self._wake.set()
        if self._current is not None:
            self._current[1].request()
        self._thread.join()

    def wake(self) -> None:
        """Look for work now."""
        self._wake.set()

    def look_up(self) -> None:
        """Look up doubtful rows in the API's list when nothing else is being done."""
        self.is_looking_up = True
        self._wake.set()

    def halt(self, list_id: str) -> None:
        """Stop the run of a list, whose wish says why; requests under way finish."""
        current = self._current
        if current is not None and current[0] == list_id:
            current[1].request()

    # ---- the thread --------------------------------------------------------------------------

    def _work(self) -> None:
        """Work as soon as no other server works on these lists."""
        self._workbench.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = file_lock(self._workbench.folder / "jobs")
        while not self._ends:
            try:
                with lock:
                    self._work_alone()
            except Timeout:
                self._wake.clear()
                self._wake.wait(_STANDBY_S)

    def _work_alone(self) -> None:
        tidy_at = self._now()
        while not self._ends:
            self._wake.clear()
            try:
                if self._now() >= tidy_at:
                    tidy_at = self._now() + timedelta(seconds=_TIDY_S)
                    self._workbench.delete_old()
                known = self._ledger.lists.next_job()
                if known is not None:
                    self._do(known)
                    continue
                if self.is_looking_up:
                    self._look_up()
                    continue
                wait_s = self._idle_s()
            except ImporterError as error:
                told = error if isinstance(error, LedgerError) else describe_fault(error)
                _LOG.error("the jobs cannot go on; they try again: %s", told)
                wait_s = _AGAIN.total_seconds()
            self._wake.wait(wait_s)

    def _look_up(self) -> None:
        signal = StopSignal(self._settings.grace_s)
        self._current = ("", signal)
        if self._ends:
            signal.request()
        watcher = _Watcher(Progress(), lambda _: None, signal, _LOOK_UP_S)
        options = RunOptions(COMMAND, self._credentials, ledger=self._ledger)
        try:
            reconcile(None, self._settings, options, watcher)
        finally:
            self._current, self.is_looking_up = None, False

    def _idle_s(self) -> float:
        start = self._ledger.lists.next_start()
        if start is None:
            return _IDLE_S
        return min(max((start - self._now()).total_seconds(), 0.05), _IDLE_S)

    def _do(self, known: UploadedList) -> None:
        if known.state is ListState.CHECKING:
            self._check(known)
        else:
            self._send(known)

    def _check(self, known: UploadedList) -> None:
        lists = self._ledger.lists
        try:
            self._workbench.ensure_key()
            found = self._workbench.check(known)
        except (LedgerError, RemoteFault) as error:
            self._wait(known, _why_it_waits(error))
            return
        except ImporterError as error:
            lists.change(
                known.id,
                {ListState.CHECKING},
                known.version,
                state=ListState.FAILED.value,
                message=str(error),
            )
            return
        except Exception as error:  # noqa: BLE001 (one list must not stop the others)
            _LOG.error("a list cannot be checked: %s", describe_fault(error))
            lists.change(
                known.id,
                {ListState.CHECKING},
                known.version,
                state=ListState.FAILED.value,
                message="This list cannot be checked, for a reason that nobody foresaw.",
            )
            return
        lists.change(
            known.id,
            {ListState.CHECKING},
            known.version,
            state=ListState.OPEN.value,
            counts=found.counts,
            plan_hash=found.plan_hash,
            message="",
        )

    def _wait(self, known: UploadedList, message: str) -> None:
        """Try again in a while; meanwhile the page says why it waits."""
        again = self._now() + _AGAIN
        if known.state is ListState.CHECKING:
            self._ledger.lists.change(known.id, {known.state}, message=message)
            self._wake.wait(_AGAIN.total_seconds())
            return
        self._ledger.lists.change(
            known.id,
            {ListState.QUEUED, ListState.SENDING},
            state=ListState.QUEUED.value,
            start_at=again,
            message=message,
        )

    # ---- sending -----------------------------------------------------------------------------

    def _send(self, known: UploadedList) -> None:
        if known.wish:
            self._obey(known)
            return
        later = self._opens(known)
        if later is not None:
            self._ledger.lists.change(
                known.id,
                {ListState.QUEUED, ListState.SENDING},
                state=ListState.QUEUED.value,
                start_at=later,
                message=ASLEEP,
            )
            return
        begun = self._ledger.lists.change(
            known.id,
            {ListState.QUEUED, ListState.SENDING},
            known.version,
            state=ListState.SENDING.value,
            start_at=None,
            message="",
        )
        if begun is None:  # somebody stopped it at this moment
            return
        signal = StopSignal(self._settings.grace_s)
        progress = self.progress[known.id] = Progress(run=known.run or "")
        self._current = (known.id, signal)
        seen = self._ledger.lists.find(known.id)
        if self._ends or (seen is not None and seen.wish):
            signal.request()
        watcher = _Watcher(
            progress, lambda run: self._note_run(known.id, run), signal, self._closes_s(known)
        )
        try:
            report = self._run(begun, watcher)
        except (LedgerError, RemoteFault) as error:
            self._wait(begun, _why_it_waits(error))
        except ImporterError as error:
            self._end(known.id, ListState.STOPPED, str(error))
        except asyncio.CancelledError:  # requests under way took too long to end
            self._conclude(known.id, None)
        except Exception as error:  # noqa: BLE001 (one list must not stop the others)
            _LOG.error("a list cannot be sent: %s", describe_fault(error))
            self._end(known.id, ListState.STOPPED, "It stopped for a reason that nobody foresaw.")
        else:
            self._conclude(known.id, report)
        finally:
            self._current = None

    def _run(self, known: UploadedList, watcher: _Watcher) -> RunReport:
        """Start the run of a list, or resume it."""
        settings = self._workbench.settings_for(known)
        options = RunOptions(COMMAND, self._credentials, ledger=self._ledger)
        run = known.run or self._find_run(known)
        if run is not None:
            self._note_run(known.id, run)
            return resume(run, settings, options, watcher)
        plan = self._workbench.plan(known, fresh=True)
        if plan.hash != known.plan_hash:
            raise ImporterError(
                "The list, the meeting or a setting changed after somebody said that it goes.",
                "Look at it again, and start it again.",
            )
        return deliver(plan, settings, options, watcher)

    def _find_run(self, known: UploadedList) -> str | None:
        """Find the run that a killed server started for this list but did not note."""
        if known.choices.get("retry"):
            return None  # a new run is wanted, and repeating it is harmless
        folder = str(self._workbench.folder_of(known.id))
        for run in self._ledger.runs.list(limit=20):
            paths = [source.path or "" for source in run.sources]
            if run.plan_hash == known.plan_hash and any(path.startswith(folder) for path in paths):
                return run.id
        return None

    def _note_run(self, list_id: str, run: str) -> None:
        self._ledger.lists.change(list_id, set(ListState), run=run)

    def _zones(self, known: UploadedList) -> Zones:
        """Return the zones of people whose hours count; none in a rehearsal."""
        if self._reaches_nobody or known.choices.get("any_hour"):
            return {}
        people = self._workbench.people_anew(known)
        return {} if people is None else count_zones(people)

    def _opens(self, known: UploadedList) -> datetime | None:
        """Return when people may be contacted again; None if they may be contacted now."""
        zones, now = self._zones(known), self._now()
        if not zones:
            return None
        start = find_start(zones, now, self._settings)
        if start is None:
            return now + timedelta(hours=1)
        return start if start > now else None

    def _closes_s(self, known: UploadedList) -> float:
        """Return the seconds until the first people may no longer be contacted."""
        zones, now = self._zones(known), self._now()
        if not zones:
            return timedelta(days=365).total_seconds()
        return (find_end(zones, now, self._settings) - now).total_seconds()

    def _conclude(self, list_id: str, report: RunReport | None) -> None:
        """Write how a run ended; None if it was cut short."""
        known = self._ledger.lists.find(list_id)
        if known is None:
            return
        left = report is None or any(report.states.get(state) for state in _LEFT)
        if known.wish and left:
            self._obey(known)
        elif self._ends and left:
            return  # the next server continues
        elif report is not None and not left:
            self._end(list_id, ListState.DONE, report.stopped)
        elif report is None or report.exit_code == Exit.INTERRUPTED:
            self._ledger.lists.change(
                list_id, {ListState.SENDING}, state=ListState.QUEUED.value, message=ASLEEP
            )
        else:
            self._end(list_id, ListState.STOPPED, report.stopped)

    def _obey(self, known: UploadedList) -> None:
        state = ListState.PAUSED if known.wish == "pause" else ListState.STOPPED
        self._end(known.id, state, "")

    def _end(self, list_id: str, state: ListState, message: str) -> None:
        """Write how sending ended; a list without a run was never begun, and is open again."""
        known = self._ledger.lists.find(list_id)
        if known is None:
            return
        if known.run is None:
            state = ListState.OPEN
        choices = known.choices
        if state is ListState.DONE:
            # It was wanted once: later corrections must not send the refused rows again.
            choices = {name: value for name, value in choices.items() if name != "retry"}
        self._ledger.lists.change(
            list_id,
            {ListState.QUEUED, ListState.SENDING},
            state=state.value,
            wish="",
            start_at=None,
            message=message,
            choices=choices,
        )


_PATIENCE_S: Final = 1.0
"""How long a page waits for the first answer; it never waits for a newer one."""

_LONGEST_S: Final = 5.0
_FRESH_S: Final = 300.0
_AGAIN_S: Final = 60.0


class KnownCampaigns:
    """Asks the API for its campaigns in the background, and keeps the answer for a while.

    Args:
        settings: the settings of the server; with `preflight: off`, the API is not asked.
        credentials: the credentials of the API.
    """

    def __init__(self, settings: Settings, credentials: Credentials) -> None:
        self._settings = settings
        self._credentials = credentials
        self._lock = threading.Lock()
        self._found = CampaignList(unknown="no answer yet")
        self._due = time.monotonic()
        self._answered = threading.Event()

    def look(self) -> CampaignList:
        """Return what the API said last; if that is old, it is asked again in the background."""
        if self._settings.preflight == "off":
            return CampaignList()
        with self._lock:
            if time.monotonic() >= self._due:
                self._due = time.monotonic() + _AGAIN_S
                threading.Thread(target=self._ask, name="campaigns", daemon=True).start()
        self._answered.wait(_PATIENCE_S)
        return self._found

    def _ask(self) -> None:
        async def ask() -> CampaignList:
            async with Client(self._settings, self._credentials) as client:
                async with asyncio.timeout(_LONGEST_S):
                    return await list_campaigns(client, self._settings.conversation)

        found = CampaignList(unknown="no answer")
        try:
            found = asyncio.run(ask())
        except (ImporterError, TimeoutError) as error:
            found = CampaignList(unknown=type(error).__name__)
        finally:
            if not found.unknown:
                self._due = time.monotonic() + _FRESH_S
            if found.titles or not self._found.titles:
                self._found = found  # a later failure keeps the earlier answer
            self._answered.set()
