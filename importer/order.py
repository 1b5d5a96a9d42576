"""How a run is told to send, and whom it tells what happens."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

    from importer.model import Outcome
    from importer.settings import Credentials


@dataclass(frozen=True, slots=True)
class Order:
    """How a plan is to be delivered.

    Attributes:
        command: what the holder of the ledger is called, for whoever waits for it.
        credentials: of the API.
        limit: send at most so many and leave the others open; None for all.
        on_start: told the run's id, how many submissions it has to send, and the seconds that
            this will take; again where it comes to a second round.
        on_stage: told in a sentence what takes a while besides.
        on_unread: told why the API's list, which was to settle doubts, could not be read.
        on_outcome: told each outcome as soon as it is durable.
        on_commit: told the name of each write to the ledger as soon as it is durable, before
            anything follows from it; a crash test stops the process there.
        signals: these stop the run; what is under way finishes.
        watch: given the event that stops the run, inside its event loop, to set it for reasons of
            the caller's own.
    """

    command: str
    credentials: Credentials
    limit: int | None = None
    on_start: Callable[[str, int, float], None] = lambda _run, _count, _seconds: None
    on_stage: Callable[[str], None] = lambda _sentence: None
    on_unread: Callable[[str], None] = lambda _reason: None
    on_outcome: Callable[[Outcome], None] = lambda _outcome: None
    on_commit: Callable[[str], None] | None = None
    signals: tuple[signal.Signals, ...] = ()
    watch: Callable[[asyncio.Event], None] = lambda _stop: None

    def stop_event(self) -> asyncio.Event:
        """Set when one of the signals comes; to be asked for inside a running event loop."""
        stop = asyncio.Event()
        for number in self.signals:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self.watch(stop)
        return stop
