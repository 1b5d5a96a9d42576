"""What ends a night early: a signal, with some grace for what is under way, or the time of day."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Clock(Protocol):
    """The time, as far as a night needs it; tests bring their own."""

    def now(self) -> datetime:
        """UTC."""
        ...

    def elapsed_s(self) -> float:
        """Seconds of a clock that never jumps."""
        ...

    def wait(self, seconds: float, stop: Stop) -> None:
        """Waits so long, or until the night is told to stop."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """UTC."""
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        """Seconds of a clock that never jumps."""
        return time.monotonic()

    def wait(self, seconds: float, stop: Stop) -> None:
        """Waits so long, or until the night is told to stop."""
        stop.wait(seconds)


class Stop:
    """Whether the night was told to stop, and how a run under way hears of it.

    Args:
        grace_s: how long requests under way may go on then; after it they are given up, and are
            doubtful for whoever goes on.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        self._asked = threading.Event()
        self._tell: Callable[[], object] = lambda: None

    def ask(self) -> None:
        """Tells the night to stop; may be called from anywhere, also more than once."""
        self._asked.set()
        self._tell()

    def asked(self) -> bool:
        """Whether it was told to."""
        return self._asked.is_set()

    def wait(self, seconds: float) -> None:
        """Waits so long, or until told to stop."""
        self._asked.wait(max(0.0, seconds))

    def watch(self, event: asyncio.Event, until_s: float) -> None:
        """Passes the word on to a run, from within its event loop.

        Args:
            event: stops the run.
            until_s: seconds from now after which the run stops in any case.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            event.set()
            if task is not None:
                loop.call_later(self._grace_s, task.cancel)

        def tell() -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(stop)

        self._tell = tell
        loop.call_later(max(0.0, until_s), event.set)
        if self.asked():
            stop()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Asks to stop at SIGTERM and SIGINT, for as long as the context lasts."""
        before = {number: signal.signal(number, lambda *_: self.ask()) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
