"""The jobs of the page: one thread checks and sends lists, one at a time.

A list's state in the ledger is the job. If the server is killed, the next one continues: a check is
repeated, and a run is resumed, which sends nothing twice. On a server's ledger, workers send the
lists as long as one is alive; the thread checks them, and wakes a worker.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from filelock import Timeout

from importer.errors import ImporterError, LedgerError, TurnTaken, describe_fault
from importer.ledger.lock import file_lock
from importer.ledger.records import ListState
from importer.ledger.uploaded_lists import QUEUE, WORKING
from importer.nightly.clock import StopSignal
from importer.sending.campaigns import CampaignList, list_campaigns
from importer.sending.client import Client
from importer.work.page_lists import RETRY_AFTER, Progress
from importer.work.queue import JobQueue, count_workers

if TYPE_CHECKING:
    from importer.ledger.records import UploadedList
    from importer.settings import Credentials, Settings
    from importer.work.page_lists import PageLists


_LOG: Final = logging.getLogger(__name__)
_IDLE_S: Final = 60.0
_STANDBY_S: Final = 2.0
_LOOK_AT_WORKERS_S: Final = 5.0
"""How often to look whether workers are alive, if there is a queue, seconds."""

_TIDY_S: Final = 3600.0
_LOOK_UP_S: Final = 600.0
COMMAND: Final = "importer serve"


class Jobs:
    """Works on the lists of a ledger until it is closed.

    Args:
        lists: the steps of the lists, with the settings of the server.

    Attributes:
        is_looking_up: whether somebody asked to look doubtful rows up.
        workers: how many workers can send lists; None if there is no queue.
    """

    def __init__(self, lists: PageLists) -> None:
        self._lists = lists
        self._workbench = lists.workbench
        self._settings = lists.settings
        self._ledger = lists.ledger
        self._now = lists.now
        self._wake = threading.Event()
        self._ends = False
        self._thread = threading.Thread(target=self._work, name="jobs", daemon=True)
        self._current: tuple[str, StopSignal] | None = None
        self._announced: set[tuple[str, int, str]] = set()
        self.is_looking_up = False
        self.workers: int | None = None

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
        """Stop the run of a list that a person paused or stopped; requests under way finish."""
        current = self._current
        if current is not None and current[0] == list_id:
            current[1].request()

    def progress_of(self, known: UploadedList) -> Progress | None:
        """Return the progress of a list that this page or a worker sends; None if none does."""
        return self._lists.progress.get(known.id) or Progress.read(known)

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
                self._look_at_workers()
                known = self._ledger.lists.next_job(sends=not self.workers)
                if known is not None:
                    self._do(known)
                    continue
                if self.workers:
                    self._wake_worker()
                if self.is_looking_up:
                    self._look_up()
                    continue
                wait_s = self._idle_s()
            except TurnTaken:  # a worker sends this list; its lease may still last
                wait_s = _STANDBY_S
            # The thread must live on. A look-up that does not end in time is cancelled.
            except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001
                told = error if isinstance(error, LedgerError) else describe_fault(error)
                _LOG.error("the jobs cannot go on; they try again: %s", told)
                wait_s = RETRY_AFTER.total_seconds()
            self._wake.wait(wait_s)

    def _look_at_workers(self) -> None:
        """Count the workers; while one is alive, this page sends no list."""
        before, self.workers = self.workers, count_workers(self._settings, self._ledger)
        if self.workers == 0 and before != 0:
            _LOG.warning("no worker is alive; the page sends its lists itself")
        if self.workers:
            self._lists.progress.clear()

    def _wake_worker(self) -> None:
        """Let a worker look at the lists that are due, once each time that one becomes due."""
        due = {
            (each.id, each.version if each.state is ListState.QUEUED else 0, each.wish)
            for each in self._ledger.lists.list(states=WORKING, limit=10_000)
            if each.owner != QUEUE and self._lists.is_due(each)
        }
        if due - self._announced:
            with JobQueue.open(self._settings) as queue:
                queue.wake_worker()
        self._announced = due

    def _look_up(self) -> None:
        signal = StopSignal(self._settings.grace_s)
        self._current = ("", signal)
        if self._ends:
            signal.request()
        try:
            self._lists.look_up(signal, _LOOK_UP_S)
        finally:
            self._current, self.is_looking_up = None, False

    def _idle_s(self) -> float:
        longest_s = _IDLE_S if self.workers is None else _LOOK_AT_WORKERS_S
        start = self._ledger.lists.next_start()
        if start is None or (self.workers and start <= self._now()):
            return longest_s
        return min(max((start - self._now()).total_seconds(), 0.05), longest_s)

    def _do(self, known: UploadedList) -> None:
        if known.state is ListState.CHECKING:
            if not self._lists.check(known):
                self._wake.wait(RETRY_AFTER.total_seconds())
        elif self.workers:
            self._lists.apply_wish(known)
        else:
            self._send(known)

    def _send(self, known: UploadedList) -> None:
        signal = StopSignal(self._settings.grace_s)
        self._current = (known.id, signal)
        if self._ends:
            signal.request()
        try:
            self._lists.send(known.id, signal, goes_on=lambda: self._ends)
        finally:
            self._current = None


_PATIENCE_S: Final = 1.0
"""How long a page waits for the first answer; it never waits for a newer one."""

_LONGEST_S: Final = 5.0
_FRESH_S: Final = 300.0
_RETRY_S: Final = 60.0


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
                self._due = time.monotonic() + _RETRY_S
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
