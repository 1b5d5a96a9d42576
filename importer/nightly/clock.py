"""What ends a night early: a signal, with some grace for what is under way, or the time of day."""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, time, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.settings import Settings


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
        return monotonic()

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


LONGEST: Final = timedelta(hours=12)
"""How long a night lasts where the settings name no deadline."""

_NEVER: Final = timedelta(days=3_650)


def deadline(settings: Settings, started: datetime) -> datetime:
    """When a night that started then ends, UTC."""
    if settings.deadline is None:
        return started + LONGEST
    return _next(settings.deadline, ZoneInfo(settings.timezone), started)


def opens(settings: Settings, now: datetime) -> datetime:
    """From when on people may be written to: now, or the next opening, UTC."""
    if settings.send_between is None or _open(settings, now):
        return now
    return _next(settings.send_between.split("-")[0], ZoneInfo(settings.timezone), now)


def closes(settings: Settings, now: datetime) -> datetime:
    """Until when people may be written to, if they may now, UTC."""
    if settings.send_between is None:
        return now + _NEVER
    return _next(settings.send_between.split("-")[1], ZoneInfo(settings.timezone), now)


def date_of(settings: Settings, now: datetime) -> str:
    """What the folder of a day is called."""
    return f"{now.astimezone(ZoneInfo(settings.timezone)):%Y-%m-%d}"


def _open(settings: Settings, now: datetime) -> bool:
    start, end = (settings.send_between or "").split("-")
    clock = f"{now.astimezone(ZoneInfo(settings.timezone)):%H:%M}"
    return start <= clock < end if start < end else clock >= start or clock < end


def _next(clock: str, zone: ZoneInfo, after: datetime) -> datetime:
    """The next moment, later than `after`, when a clock in the zone shows this time."""
    here = after.astimezone(zone)
    for days in range(3):
        day = here.date() + timedelta(days=days)
        then = datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)
        if then > after:
            return then
    raise AssertionError("every clock shows every time within two days")
