"""The parent of a machine's workers: starts them, restarts them, and notes how they ended.

A worker ends when the database restarts, and it may be killed. Its parent sees that within a second
and notes it in the ledger, so that no person has to do that with `importer jobs --ended`.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.errors import Exit, LedgerAway, LedgerError
from importer.languages import translate_count
from importer.ledger import Ledger
from importer.ledger.connection import display_name
from importer.ledger.senders import birth_of
from importer.planning.history import require_key
from importer.work.queue import JobQueue, require_queue

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from importer.settings import Settings


_LOG: Final = logging.getLogger(__name__)

_POLL_S: Final = 0.1
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 30.0
_HEALTHY_S: Final = 60.0
"""A worker that lived this long is restarted at once; else the wait doubles, seconds."""

_NOTE_RETRY_S: Final = 1.0


def require_workable(settings: Settings) -> None:
    """Check what workers need.

    Raises:
        ConfigurationError: the ledger is a file, is missing, is of another version, or has another
            key; or the queue is not set up.
        CredentialsError: they are missing.
    """
    require_queue(settings)
    settings.credentials()
    ledger = Ledger.open_existing(settings.ledger)
    if ledger is None:
        name = display_name(settings.ledger)
        raise LedgerError(f"There is no ledger {name} yet.", "Run `importer upgrade` once.")
    with ledger:
        require_key(ledger, settings)
    with JobQueue.open(settings) as queue:
        queue.require_set_up()


@dataclass
class _Slot:
    """The place of one worker: its process, or when the next one starts.

    Attributes:
        process: the process; None while none runs.
        born: when the process began, as the ledger knows it.
        started_s: when it was started, on the monotonic clock.
        starts_s: when the next one starts.
        wait_s: how long the next wait lasts.
        is_told: whether it was told to end.
    """

    process: subprocess.Popen[bytes] | None = None
    born: int = 0
    started_s: float = 0.0
    starts_s: float = 0.0
    wait_s: float = _FIRST_WAIT_S
    is_told: bool = False


@dataclass
class WorkerPool:
    """The workers of this machine.

    Attributes:
        settings: say where the ledger is.
        command: the command line of a worker.
        count: how many workers.
        say: shows a sentence.
    """

    settings: Settings
    command: Sequence[str]
    count: int
    say: Callable[[str], object]
    _ended: list[tuple[int, int]] = field(default_factory=list)
    _note_after_s: float = 0.0
    _stopping: bool = False

    def run(self) -> Exit:
        """Run until SIGTERM or SIGINT; then let the workers finish what is under way.

        Raises:
            ConfigurationError: the ledger or the queue cannot be used, as after an upgrade.
        """
        require_workable(self.settings)
        before = {
            number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)
        }
        slots = [_Slot() for _ in range(self.count)]
        self.say(
            translate_count(
                self.count, "{n} worker waits for lists.", "{n} workers wait for lists."
            )
        )
        try:
            while not self._is_over(slots):
                for slot in slots:
                    self._supervise(slot)
                self._note_ends()
                time.sleep(_POLL_S)
        finally:
            self._end_all(slots)
            for number, handler in before.items():
                signal.signal(number, handler)
        return Exit.OK

    def _is_over(self, slots: Sequence[_Slot]) -> bool:
        return self._stopping and all(slot.process is None for slot in slots)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stopping = True

    def _supervise(self, slot: _Slot) -> None:
        """Start the worker of a slot if it is due, and note if it has ended."""
        now = time.monotonic()
        if slot.process is None:
            if not self._stopping and now >= slot.starts_s:
                slot.process = subprocess.Popen(list(self.command))  # noqa: S603 - our own command
                slot.born, slot.started_s = birth_of(slot.process.pid), now
            return
        if self._stopping and not slot.is_told:
            slot.is_told = True
            slot.process.terminate()
        code = slot.process.poll()
        if code is None:
            return
        self._ended.append((slot.process.pid, slot.born))
        slot.process = None
        if self._stopping:
            return
        if now - slot.started_s > _HEALTHY_S:
            slot.wait_s = _FIRST_WAIT_S
        _LOG.warning("a worker ended (exit code %d); another one starts soon", code)
        slot.starts_s = now + slot.wait_s
        slot.wait_s = min(slot.wait_s * 2, _LONGEST_WAIT_S)
        self._require_workable()

    def _require_workable(self) -> None:
        """Raise ConfigurationError if no worker can start, as after an upgrade of the ledger."""
        try:
            require_workable(self.settings)
        except LedgerAway:
            return  # it is tried again

    def _note_ends(self) -> None:
        """Note in the ledger which processes have ended, and let another worker take over."""
        if not self._ended or time.monotonic() < self._note_after_s:
            return
        try:
            with (
                Ledger.open(self.settings.ledger, create=False) as ledger,
                JobQueue.open(self.settings) as queue,
            ):
                while self._ended:
                    ledger.senders.note_exit(*self._ended[0])
                    self._ended.pop(0)
                queue.wake_worker()
        except LedgerAway:
            self._note_after_s = time.monotonic() + _NOTE_RETRY_S

    def _end_all(self, slots: Sequence[_Slot]) -> None:
        """End every worker that still runs."""
        running = [slot.process for slot in slots if slot.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            process.wait()
