"""The jobs of a worker: a tick, a slice of a list, and a night.

    tick:   leases that are over end, and the queue gets what the ledger says is missing
    send:   one slice of a list, at most 30 s or 500 rows; or its doubts are looked up; or it ends
    send_uploaded: a list of the page, as the page itself would send it; 30 s if another list waits
    look_up: the doubts of a list that has ended
    night:  one night of an inbox

A job does what the ledger says is next, so it may run twice, late, or not at all.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, Final, TypeGuard

from importer.deliver import reconcile
from importer.errors import (
    STOPPED_BY_FAULT,
    Exit,
    ImporterError,
    LedgerAway,
    LedgerError,
    TurnTaken,
    advise_after_fault,
    describe_fault,
)
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import QUEUE, WORKING
from importer.nightly.clock import StopSignal
from importer.nightly.remote.backends import RemoteFault
from importer.sending.circuit_breaker import UNREACHABLE
from importer.sending.run_options import RunOptions
from importer.work.queue import COMMAND, NIGHT, SEND
from importer.work.queued_lists import QueuedLists, since_of
from importer.work.sliced_run import SlicedRun, SliceObserver
from importer.work.upload_store import STORE_UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.ledger import Ledger
    from importer.ledger.records import UploadedList
    from importer.settings import Credentials, Settings
    from importer.work.queue import JobQueue
    from importer.work.workbench import Workbench


_LOG: Final = logging.getLogger(__name__)

_SLICE_S: Final = 30.0
_SLICE_ROWS: Final = 500
"""A slice ends after this many seconds or rows."""

_LOOK_UP_S: Final = 3_600.0
_BUSY_RETRY_S: Final = 1.0
_RETRY_S: Final = 30.0
_CLAIMED_RETRY_S: Final = 2.0
"""How soon a list is looked at again if others have claimed all that is left, seconds."""

_CACHED_PLANS: Final = 2
"""Plans that a worker keeps in memory."""

_ROWS_PER_SENDER: Final = 100
"""A list gets another sender for each of these rows that are left."""

_SHORT_LIST_PRIORITY: Final = 50
_MAX_AGE_PRIORITY: Final = 40
"""Priorities: a list of one slice comes before every longer one; those gain one a minute."""

_LONGEST_OUTAGE: Final = timedelta(hours=12)
"""How long a list waits for an API that cannot be reached."""

_LOOK_UP_MINUTES: Final = frozenset(2**power for power in range(1, 11))
"""The minutes after which the doubts of a list that has ended are looked up."""


def priority_of(left: int, waited: timedelta) -> int:
    """Return the priority of a list: short lists first, and long ones by age and rows left.

    Args:
        left: rows left.
        waited: since it was put in.
    """
    if left <= _SLICE_ROWS:
        return _SHORT_LIST_PRIORITY - left.bit_length()
    return min(int(waited.total_seconds() // 60), _MAX_AGE_PRIORITY) - left.bit_length()


def most_senders(settings: Settings) -> int:
    """Return how many workers may send at the same time.

    By default as many as keep the rate if an answer takes a second, and one more.
    """
    if settings.senders_per_org is not None:
        return settings.senders_per_org
    return ceil(settings.rate_per_s / settings.concurrency) + 1


@dataclass
class JobRunner:
    """Does the jobs of one worker process.

    Attributes:
        settings: the settings of this machine.
        credentials: the credentials of the API.
        ledger: open for writing, locked by this process.
        queue: the queue.
    """

    settings: Settings
    credentials: Credentials
    ledger: Ledger
    queue: JobQueue
    _lists: QueuedLists = field(init=False)
    _workbench: Workbench | None = None
    _loaded: dict[tuple[str, str], SlicedRun] = field(default_factory=dict)
    _ends: threading.Event = field(default_factory=threading.Event)
    _signal: StopSignal | None = None
    _tidied_s: float = float("-inf")

    def __post_init__(self) -> None:
        self._lists = QueuedLists(self.settings, self.ledger)

    def stop(self) -> None:
        """End the present job soon: requests under way finish, and the rest is handed back."""
        self._ends.set()
        if self._signal is not None:
            self._signal.request()

    def close(self) -> None:
        """Close what is open."""
        self._lists.close()
        if self._workbench is not None:
            self._workbench.close()

    @contextmanager
    def _stoppable(self) -> Iterator[StopSignal]:
        """Yield a signal that ends the present job when this process must end."""
        signal = self._signal = StopSignal(self.settings.grace_s)
        if self._ends.is_set():
            signal.request()
        try:
            yield signal
        finally:
            self._signal = None

    # ---- tick --------------------------------------------------------------------------------

    def tick(self) -> None:
        """End leases that are over, and put into the queue what the ledger says is missing."""
        lists, now = self.ledger.lists, self.ledger.now()
        self.ledger.recover()
        for known in lists.list(states=WORKING, limit=10_000):
            if known.start_at is None or known.start_at <= now:
                self.enqueue(known)
        for known in lists.list(owner=QUEUE, states={ListState.DONE}, limit=1_000):
            if self._are_doubts_due(known):
                self.queue.defer("look_up", SEND, f"look_up:{known.id}", list_id=known.id)
        if time.monotonic() - self._tidied_s > timedelta(hours=1).total_seconds():
            self._tidied_s = time.monotonic()
            self._lists.delete_old()
            if isinstance(self.settings.uploads, str):
                self._open_workbench().drop_copies()

    def enqueue(self, known: UploadedList, in_s: float = 0) -> None:
        """Put the next jobs of a list into the queue, unless they are there.

        Args:
            known: the list.
            in_s: seconds to wait before they may begin.
        """
        if known.owner != QUEUE:
            self._enqueue_uploaded(known, in_s)
            return
        if known.run is None:
            self.queue.defer("night", NIGHT, f"night:{known.id}", list_id=known.id)
            return
        left = self.ledger.submissions.count_sendable(known.run, since_of(known))
        wanted = min(ceil(left / _ROWS_PER_SENDER), most_senders(self.settings))
        busy = self.ledger.senders.count_sending(known.run)
        priority = priority_of(left, self.ledger.now() - since_of(known))
        for slot in range(max(wanted - busy, 0 if busy else 1)):
            self._defer_slice(known.id, slot, priority, in_s)

    def _enqueue_uploaded(self, known: UploadedList, in_s: float) -> None:
        """Put the next job of a list of the page into the queue: one worker at a time sends it."""
        left = int(known.counts.get("ready", 0))
        if known.run is not None:
            if self.ledger.senders.count_sending(known.run):
                return
            left = self.ledger.submissions.count_sendable(known.run)
        priority = priority_of(left, self.ledger.now() - known.uploaded_at)
        name = f"uploaded:{known.id}"
        self.queue.defer(
            "send_uploaded", SEND, name, priority=priority, in_s=in_s, list_id=known.id
        )

    def _defer_slice(self, list_id: str, slot: int, priority: int, in_s: float) -> None:
        lock = f"send:{list_id}:{slot}"
        self.queue.defer(
            "send", SEND, lock, priority=priority, in_s=in_s, list_id=list_id, slot=slot
        )

    def _are_doubts_due(self, known: UploadedList) -> bool:
        """Whether to look up the doubts of a list that is done: after 2, 4, 8 ... 1,024 minutes."""
        minutes = int((self.ledger.now() - known.changed_at).total_seconds() // 60)
        if known.run is None or minutes not in _LOOK_UP_MINUTES:
            return False
        return bool(self.ledger.doubts.list(known.run))

    # ---- lists -------------------------------------------------------------------------------

    def send(self, list_id: str, slot: int) -> None:
        """Do what is next for a list, and put its next job into the queue.

        Args:
            list_id: the id of the list.
            slot: tells the jobs of one list apart.
        """
        known = self.ledger.lists.find(list_id)
        if self._ends.is_set() or not self._is_due(known):
            return
        if self.ledger.senders.count_sending() >= most_senders(self.settings):
            self._defer_slice(list_id, slot, _SHORT_LIST_PRIORITY, _BUSY_RETRY_S)
            return
        progressed = True
        try:
            progressed = self._advance(known)
        except LedgerAway:
            raise
        except RemoteFault as error:
            _LOG.warning("%s", error)
            self._postpone(known, STORE_UNREACHABLE, _RETRY_S)
        except ImporterError as error:
            self._stop_list(known, f"{error} (machine {socket.gethostname()})", error.exit_code)
        except asyncio.CancelledError:
            _LOG.warning("requests under way took too long to end; they are doubtful")
        except Exception as error:  # noqa: BLE001 - one list must not stop the others
            _LOG.error("a list cannot be sent: %s", describe_fault(error))
            reason = f"{STOPPED_BY_FAULT} {advise_after_fault()}"
            command = f"`importer jobs --resume {known.run}` lets it go on."
            self._stop_list(known, f"{reason} {command}", Exit.SETUP)
        after = self.ledger.lists.find(list_id)
        if self._is_due(after):
            self.enqueue(after, 0 if progressed else _CLAIMED_RETRY_S)

    def send_uploaded(self, list_id: str) -> None:
        """Send a list of the page, unless the page or another worker does.

        Args:
            list_id: the id of the list.
        """
        from importer.work.page_lists import PageLists  # noqa: PLC0415 - only for lists of a page

        known = self.ledger.lists.find(list_id)
        if self._ends.is_set() or known is None or known.owner == QUEUE:
            return
        if self.ledger.senders.count_sending() >= most_senders(self.settings):
            self._enqueue_uploaded(known, _BUSY_RETRY_S)
            return
        workbench = self._open_workbench()
        pages = PageLists(workbench, self.settings, self.credentials, self.ledger, COMMAND)
        note_progress = partial(pages.note_progress, list_id)
        with (
            self._stoppable() as signal,
            SliceObserver(
                self.ledger.lists, list_id, signal, _LOOK_UP_S, _SLICE_S, on_look=note_progress
            ) as observer,
        ):
            # It may take all day. A tick tries again if another process has the turn of this list.
            pages.send(
                list_id,
                signal,
                goes_on=lambda: self._ends.is_set() or observer.gave_way,
                on_start=observer.begin,
                has_other_files=True,
            )
            note_progress()
        after = self.ledger.lists.find(list_id)
        if after is not None and pages.is_due(after):
            self.enqueue(after)

    def _open_workbench(self) -> Workbench:
        """Return the workbench of this worker, which keeps one plan."""
        from importer.work.workbench import Workbench  # noqa: PLC0415 - only for lists of a page

        if self._workbench is None:
            self._workbench = Workbench(self.settings, self.credentials, self.ledger, 1)
        return self._workbench

    def _is_due(self, known: UploadedList | None) -> TypeGuard[UploadedList]:
        if known is None or known.run is None or known.state not in WORKING:
            return False
        return known.start_at is None or known.start_at <= self.ledger.now()

    def _advance(self, known: UploadedList) -> bool:
        """Send a slice; if nothing can be sent, look doubts up, or end the list.

        Returns:
            Whether anything was done.
        """
        work = self._load(known)
        run, settings = work.run.id, work.settings
        doubts = len(self.ledger.doubts.list(run))
        if work.count_left() and doubts < settings.max_doubtful:
            return self._send_slice(known, work)
        if self.ledger.senders.count_sending(run):
            return False  # others are sending it
        if doubts and settings.reconcile:
            with self._stoppable() as signal:
                with SliceObserver(self.ledger.lists, known.id, signal, _LOOK_UP_S) as observer:
                    found = work.look_up(self._options(), observer)
                if signal.requested():
                    return True
            if found.settled:
                self.ledger.restart_guards(run)
            doubts = len(self.ledger.doubts.list(run))
        if doubts >= settings.max_doubtful and work.count_left():
            self._stop_list(
                known,
                f"{doubts} submissions are doubtful (max_doubtful: {settings.max_doubtful}), so "
                "nothing more is sent.",
                Exit.DOUBTFUL,
            )
        elif not work.count_left():
            reason = work.closed.ending().reason
            self.ledger.runs.finish(run, reason)
            done = ListState.DONE.value
            self.ledger.lists.change(known.id, WORKING, state=done, message=reason)
        return True

    def _load(self, known: UploadedList) -> SlicedRun:
        """Return the run of a list, with its plan."""
        name = known.id, since_of(known).isoformat()
        found = self._loaded.pop(name, None)
        if found is None:
            run = self.ledger.runs.find(known.run)
            settings = self._lists.settings_for(known, run)
            plan = self._lists.plan_of(known, run, settings)
            found = SlicedRun.load(run, plan, settings, self._options(), since_of(known))
        self._loaded[name] = found
        while len(self._loaded) > _CACHED_PLANS:
            del self._loaded[next(iter(self._loaded))]
        return found

    def _send_slice(self, known: UploadedList, work: SlicedRun) -> bool:
        """Send a slice; return whether anything was sent."""
        sending = {"state": ListState.SENDING.value, "message": "", "start_at": None}
        if self._change(known, sending) is None:
            return True
        with (
            self._stoppable() as signal,
            SliceObserver(self.ledger.lists, known.id, signal, _SLICE_S) as observer,
        ):
            ending = work.send(self._options(_SLICE_ROWS), observer)
        if ending.exit_code is Exit.HELD:  # some may be duplicates that the API did not show
            with (
                self._stoppable() as signal,
                SliceObserver(self.ledger.lists, known.id, signal, _LOOK_UP_S) as look_up_observer,
            ):
                work.look_up(self._options(), look_up_observer)
        if ending.exit_code in {Exit.HELD, Exit.SETUP}:
            waited = self.ledger.now() - known.uploaded_at
            is_outage = observer.is_outage or ending.reason.startswith(UNREACHABLE)
            if is_outage and waited < _LONGEST_OUTAGE:
                self._postpone(known, ending.reason, work.settings.outage_wait_s)
            else:
                self._stop_list(known, ending.reason, ending.exit_code)
        elif not self.ledger.senders.count_sending(work.run.id):
            self._change(known, {"state": ListState.QUEUED.value})
        return observer.progressed

    def _change(self, known: UploadedList, values: Mapping[str, object]) -> UploadedList | None:
        return self.ledger.lists.change(known.id, WORKING, None, **values)

    def _postpone(self, known: UploadedList, message: str, seconds: float) -> None:
        """Let a list wait; afterwards what was given up is tried again."""
        again = self.ledger.now() + timedelta(seconds=seconds)
        choices = {**known.choices, "since": again.isoformat()}
        values = {"state": ListState.QUEUED.value, "start_at": again, "message": message}
        self._change(known, {**values, "choices": choices})
        if known.run is not None:
            self.ledger.restart_guards(known.run)

    def _stop_list(self, known: UploadedList, reason: str, code: Exit) -> None:
        """Stop a list until a person lets it go on.

        Args:
            known: the list.
            reason: a sentence for a person.
            code: the exit code of a command that waits for it.
        """
        if known.run is not None:
            self.ledger.runs.finish(known.run, reason)
        ended = {"state": ListState.STOPPED.value, "message": reason}
        self._change(known, {**ended, "counts": {"exit_code": int(code)}})

    def _options(self, limit: int | None = None) -> RunOptions:
        return RunOptions(COMMAND, self.credentials, limit, ledger=self.ledger)

    def look_up(self, list_id: str) -> None:
        """Look up the doubts of a list that is done; queue it again if some were proved absent."""
        known = self.ledger.lists.find(list_id)
        if (
            self._ends.is_set()
            or known is None
            or known.run is None
            or known.state is not ListState.DONE
        ):
            return
        run = self.ledger.runs.find(known.run)
        settings = self._lists.settings_for(known, run)
        with self._stoppable() as signal:
            observer = SliceObserver(self.ledger.lists, known.id, signal, _LOOK_UP_S)
            reconcile(run.id, settings, self._options(), observer)
        if self.ledger.submissions.count_sendable(run.id, since_of(known)):
            queued = ListState.QUEUED.value
            after = self.ledger.lists.change(known.id, {ListState.DONE}, state=queued)
            if after is not None:
                self.enqueue(after)

    # ---- nights ------------------------------------------------------------------------------

    def night(self, list_id: str) -> None:
        """Run a night that was put into the queue."""
        known = self.ledger.lists.find(list_id)
        if self._ends.is_set() or known is None or known.state not in WORKING:
            return
        try:
            with self.ledger.turn(f"night:{list_id}"):
                self._change(known, {"state": ListState.SENDING.value, "message": ""})
                code = self._run_night(known)
        except (LedgerAway, TurnTaken):  # a tick tries again, unless another worker does it
            raise
        except LedgerError as error:  # a night that is not from the queue is at work there
            self._change(known, {"state": ListState.QUEUED.value, "message": str(error)})
        except ImporterError as error:
            self._stop_list(known, str(error), error.exit_code)
        except Exception as error:  # noqa: BLE001 - or each tick would begin the night again
            _LOG.error("a night cannot be run: %s", describe_fault(error))
            reason = f"{STOPPED_BY_FAULT} {advise_after_fault()}"
            command = "Put the night in again with `importer nightly INBOX --queue`."
            self._stop_list(known, f"{reason} {command}", Exit.SETUP)
        else:
            state = ListState.QUEUED if self._ends.is_set() else ListState.DONE
            self._change(known, {"state": state.value, "counts": {"exit_code": int(code)}})

    def _run_night(self, known: UploadedList) -> Exit:
        """Run a night of an inbox, and send its message."""
        from importer.work.queued_night import run_queued_night  # noqa: PLC0415 - heavy, and rare

        flags = known.choices.get("flags")
        named = {**self.settings.flags, **(flags if isinstance(flags, dict) else {})}
        config = self.settings.config or self.settings.file
        with self._stoppable() as stop:
            return run_queued_night(str(known.choices["inbox"]), config, named, stop)
