"""The steps of a list of the page: it is checked, and it is sent, by the page or by a worker.

A list's state in the ledger is the job. If the process is killed, another one continues: a check is
repeated, and a run is resumed, which sends nothing twice. On a server, who sends a list has its
turn, so that a page and workers never send one list at once.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from importer.deliver import deliver, reconcile, resume
from importer.errors import (
    STOPPED_BY_FAULT,
    Exit,
    ImporterError,
    LedgerError,
    advise_after_fault,
    describe_fault,
)
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import WORKING
from importer.model import State
from importer.nightly.remote.backends import RemoteFault
from importer.sending.run_options import RunOptions, SilentObserver
from importer.settings.values import is_loopback
from importer.work.hours import count_zones, find_end, find_start
from importer.work.upload_store import STORE_UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from importer.ledger import Ledger
    from importer.ledger.records import UploadedList
    from importer.model import Json, Outcome, RunReport
    from importer.nightly.clock import StopSignal
    from importer.settings import Credentials, Settings
    from importer.work.hours import Zones
    from importer.work.workbench import Workbench


_LOG: Final = logging.getLogger(__name__)
RETRY_AFTER: Final = timedelta(seconds=30)
"""How long a list waits before it is tried again."""

OUTSIDE_HOURS: Final = "It is too early or too late for some of the people; it goes on by itself."
_SENDABLE: Final = (State.PLANNED, State.UNSENT)
_RECENT: Final = 10


@dataclass(slots=True)
class Progress:
    """The progress of a list that is being sent, for people who watch it.

    Attributes:
        since: UTC; when it was started, or went on after a pause.
        stage: what else takes time, in words.
        newest: key and state of the last submissions that ended, newest last.
    """

    since: datetime
    stage: str = ""
    newest: list[tuple[str, State]] = field(default_factory=list)

    @classmethod
    def read(cls, known: UploadedList) -> Self | None:
        """Return the progress that the sender of a list has noted; None if it has noted none."""
        noted = known.counts.get("progress")
        if not isinstance(noted, dict):
            return None
        newest = [(key, State(state)) for key, state in noted["newest"]]
        return cls(datetime.fromisoformat(noted["since"]), noted["stage"], newest)

    def to_json(self) -> dict[str, Json]:
        """Return it as `read` takes it."""
        newest: list[Json] = [[key, state.value] for key, state in self.newest]
        return {"since": self.since.isoformat(), "stage": self.stage, "newest": newest}


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
        del count, seconds
        self._progress.stage = ""
        self._on_run(run)

    def on_stage(self, sentence: str) -> None:
        self._progress.stage = sentence

    def on_list_unreadable(self, reason: str) -> None:
        self._progress.stage = reason

    def on_outcome(self, outcome: Outcome) -> None:
        self._progress.newest = [*self._progress.newest, (outcome.key, outcome.state)][-_RECENT:]


def _explain_wait(error: ImporterError) -> str:
    """Return why a job is tried again, for the page; the address of a store is for the log."""
    if isinstance(error, RemoteFault):
        _LOG.error("%s", error)
        return STORE_UNREACHABLE
    return str(error)


@dataclass(eq=False)
class PageLists:
    """Checks and sends the lists of the page, one step at a time.

    Attributes:
        workbench: the workbench, which has the lists.
        settings: the settings of this machine.
        credentials: the credentials of the API.
        ledger: open for writing.
        command: what this process does, for others.
        now: the clock; it decides whether people may be contacted.
        progress: id of a list -> the progress of its run in this process.
    """

    workbench: Workbench
    settings: Settings
    credentials: Credentials
    ledger: Ledger
    command: str
    now: Callable[[], datetime] = _utc_now
    progress: dict[str, Progress] = field(default_factory=dict, init=False)
    _noted: dict[str, Json] = field(default_factory=dict, init=False)

    # ---- checking ----------------------------------------------------------------------------

    def check(self, known: UploadedList) -> bool:
        """Check a list; return False if it must be tried again in a while."""
        lists = self.ledger.lists
        try:
            self.workbench.ensure_key()
            found = self.workbench.check(known)
        except (LedgerError, RemoteFault) as error:
            lists.change(known.id, {known.state}, message=_explain_wait(error))
            return False
        except ImporterError as error:
            failure = str(error)
        except Exception as error:  # noqa: BLE001 (one list must not stop the others)
            _LOG.error("a list cannot be checked: %s", describe_fault(error))
            failure = "This list cannot be checked because of a fault in importer."
            failure = f"{failure} {advise_after_fault()}"
        else:
            lists.change(
                known.id,
                {ListState.CHECKING},
                known.version,
                state=ListState.OPEN.value,
                counts=found.counts,
                plan_hash=found.plan_hash,
                message="",
            )
            return True
        lists.change(
            known.id,
            {ListState.CHECKING},
            known.version,
            state=ListState.FAILED.value,
            message=failure,
        )
        return True

    def look_up(self, signal: StopSignal, longest_s: float) -> None:
        """Look up the doubtful rows of all runs in the API's list, for some seconds at most."""
        watcher = _Watcher(Progress(self.now()), lambda _: None, signal, longest_s)
        options = RunOptions(self.command, self.credentials, ledger=self.ledger)
        reconcile(None, self.settings, options, watcher)

    # ---- sending -----------------------------------------------------------------------------

    def note_progress(self, list_id: str) -> None:
        """Note in the ledger how far this process is with a list, for pages of other machines.

        Args:
            list_id: the id of the list; nothing is noted unless it has changed.
        """
        progress = self.progress.get(list_id)
        noted = None if progress is None else progress.to_json()
        if noted is not None and noted != self._noted:
            self.ledger.lists.note_progress(list_id, noted)
            self._noted = noted

    def send(
        self,
        list_id: str,
        signal: StopSignal,
        *,
        goes_on: Callable[[], bool],
        on_start: Callable[[], None] | None = None,
        has_other_files: bool = False,
    ) -> None:
        """Send a list, or pause or stop it if a person asked for that; do nothing if it is not due.

        Args:
            list_id: the id of the list.
            signal: ends it soon; requests under way finish first.
            goes_on: whether another process, or this one, continues after the signal, so that the
                list stays as it is.
            on_start: called when sending begins.
            has_other_files: whether this machine may not see the files of the page; the list waits
                for one that does.

        Raises:
            TurnTaken: another process sends this list.
            LedgerAway: the ledger cannot be reached.
        """
        with self._take_turn(list_id):
            known = self.ledger.lists.find(list_id)
            if known is None or not self.is_due(known):
                return
            if has_other_files and not known.wish and not self.workbench.has_file(list_id):
                _LOG.error("the files of the page are not in `uploads:` of this machine")
                self._wait(known, STORE_UNREACHABLE)
                return
            self._send(known, signal, goes_on, on_start)

    def is_due(self, known: UploadedList) -> bool:
        """Whether it is time to send a list."""
        due = known.start_at is None or known.start_at <= self.now()
        return known.state in WORKING and due

    @contextmanager
    def _take_turn(self, list_id: str) -> Iterator[None]:
        """Be the only one who sends a list; a ledger in a file has one page that works anyway."""
        if self.settings.ledger_file is not None:
            yield
            return
        wait_s, lease_s = self.settings.ledger_wait_s, self.settings.lease_s
        with (
            self.ledger.lock(self.command, wait_s, lease_s=lease_s),
            self.ledger.turn(f"list:{list_id}"),
        ):
            yield

    def _send(
        self,
        known: UploadedList,
        signal: StopSignal,
        goes_on: Callable[[], bool],
        on_start: Callable[[], None] | None,
    ) -> None:
        def note_start(run: str) -> None:
            if on_start is not None:
                on_start()
            self._note_run(known.id, run)

        try:
            before = Progress.read(known) if known.state is ListState.SENDING else None
            progress = before or Progress(self.ledger.now())
            begun = self._begin(known, progress)
            if begun is None:
                return
            self.progress[known.id] = progress
            seen = self.ledger.lists.find(known.id)
            if seen is not None and seen.wish:
                signal.request()
            watcher = _Watcher(progress, note_start, signal, self._seconds_until_closing(known))
            report = self._run(begun, watcher, None if before is None else before.since)
        except (LedgerError, RemoteFault) as error:
            self._wait(known, _explain_wait(error))
        except ImporterError as error:
            self._end(known.id, ListState.STOPPED, str(error))
        except asyncio.CancelledError:  # requests under way took too long to end
            self._conclude(known.id, None, goes_on)
        except Exception as error:  # noqa: BLE001 (one list must not stop the others)
            _LOG.error("a list cannot be sent: %s", describe_fault(error))
            reason = f"{STOPPED_BY_FAULT} {advise_after_fault()}"
            self._end(known.id, ListState.STOPPED, reason)
        else:
            self._conclude(known.id, report, goes_on)

    def _begin(self, known: UploadedList, progress: Progress) -> UploadedList | None:
        """Write that a list is being sent; return None if the hour or a wish forbids it."""
        if known.wish:
            self.apply_wish(known)
            return None
        later = self._find_opening(known)
        if later is None:
            return self.ledger.lists.change(  # None: somebody stopped it at this moment
                known.id,
                WORKING,
                known.version,
                state=ListState.SENDING.value,
                start_at=None,
                message="",
                counts={**known.counts, "progress": progress.to_json()},
            )
        queued = ListState.QUEUED.value
        self.ledger.lists.change(
            known.id, WORKING, state=queued, start_at=later, message=OUTSIDE_HOURS
        )
        return None

    def _wait(self, known: UploadedList, message: str) -> None:
        """Try again in a while; meanwhile the page says why it waits."""
        self.ledger.lists.change(
            known.id,
            WORKING,
            state=ListState.QUEUED.value,
            start_at=self.now() + RETRY_AFTER,
            message=message,
        )

    def _run(self, known: UploadedList, watcher: _Watcher, since: datetime | None) -> RunReport:
        """Start the run of a list, or resume it.

        Args:
            known: the list.
            watcher: the observer that is told what happens.
            since: as for `RunOptions`.
        """
        settings = self.workbench.settings_for(known)
        options = RunOptions(self.command, self.credentials, ledger=self.ledger, since=since)
        run = known.run or self._find_run(known)
        if run is not None:
            self._note_run(known.id, run)
            return resume(run, settings, options, watcher, self._copies(known, run))
        plan = self.workbench.plan(known, fresh=True)
        if plan.hash != known.plan_hash:
            _LOG.warning("this machine would send a list differently from what was approved")
            raise ImporterError(
                "The list, the meeting or a setting changed after somebody agreed to send it.",
                "Look at it again, and start it again.",
            )
        return deliver(plan, settings, options, watcher)

    def _find_run(self, known: UploadedList) -> str | None:
        """Find the run that a killed server started for this list but did not note."""
        if known.choices.get("retry"):
            return None  # a new run is wanted, and repeating it is harmless
        for run in self.ledger.runs.list(limit=20):
            if run.plan_hash == known.plan_hash and self.workbench.list_of(run) == known.id:
                return run.id
        return None

    def _copies(self, known: UploadedList, run: str) -> dict[str, str]:
        """Return this machine's copy of the file of a run; another machine may have begun it."""
        sources = self.workbench.sources_of(known, self.ledger.runs.find(run))
        return {source.sha256: str(source.path) for source in sources}

    def _note_run(self, list_id: str, run: str) -> None:
        self.ledger.lists.change(list_id, set(ListState), run=run)

    def _reaches_nobody(self) -> bool:
        """Whether nobody is contacted: in a rehearsal, or by a stand-in for the API here."""
        host = urlsplit(self.settings.base_url).hostname or ""
        return self.settings.rehearsal or is_loopback(host)

    def _zones(self, known: UploadedList) -> Zones:
        """Count the time zones of a list's people; empty if any hour will do."""
        if self._reaches_nobody() or known.choices.get("any_hour"):
            return {}
        people = self.workbench.ensure_people(known)
        return {} if people is None else count_zones(people)

    def _find_opening(self, known: UploadedList) -> datetime | None:
        """Return when people may be contacted again; None if they may be contacted now."""
        zones, now = self._zones(known), self.now()
        if not zones:
            return None
        start = find_start(zones, now, self.settings)
        if start is None:
            return now + timedelta(hours=1)
        return start if start > now else None

    def _seconds_until_closing(self, known: UploadedList) -> float:
        """Return the seconds until the first people may no longer be contacted."""
        zones, now = self._zones(known), self.now()
        if not zones:
            return timedelta(days=365).total_seconds()
        return (find_end(zones, now, self.settings) - now).total_seconds()

    def _conclude(
        self, list_id: str, report: RunReport | None, goes_on: Callable[[], bool]
    ) -> None:
        """Write how a run ended; None if it was cut short."""
        known = self.ledger.lists.find(list_id)
        if known is None:
            return
        left = report is None or any(report.states.get(state) for state in _SENDABLE)
        if known.wish and left:
            self.apply_wish(known)
        elif goes_on() and left:
            return  # the next one continues
        elif report is not None and not left:
            self._end(list_id, ListState.DONE, report.stopped)
        elif report is None or report.exit_code == Exit.INTERRUPTED:
            self.ledger.lists.change(
                list_id, {ListState.SENDING}, state=ListState.QUEUED.value, message=OUTSIDE_HOURS
            )
        else:
            self._end(list_id, ListState.STOPPED, report.stopped)

    def apply_wish(self, known: UploadedList) -> None:
        """Pause or stop a list that nobody sends just now, as a person asked."""
        state = ListState.PAUSED if known.wish == "pause" else ListState.STOPPED
        self._end(known.id, state, "", {known.state})

    def _end(
        self,
        list_id: str,
        state: ListState,
        message: str,
        states: Collection[ListState] = WORKING,
    ) -> None:
        """Write how sending ended; a list without a run was never begun, and is open again."""
        known = self.ledger.lists.find(list_id)
        if known is None:
            return
        if known.run is None:
            state = ListState.OPEN
        choices = known.choices
        if state is ListState.DONE:
            # It was wanted once: later corrections must not send the refused rows again.
            choices = {name: value for name, value in choices.items() if name != "retry"}
        self.ledger.lists.change(
            list_id,
            states,
            state=state.value,
            wish="",
            start_at=None,
            message=message,
            choices=choices,
        )
