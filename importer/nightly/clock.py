"""The night's clock, its deadline and sending hours, and the signal that stops it early."""

from __future__ import annotations

import asyncio
import signal
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, time, timedelta
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final, Protocol
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.settings import Settings


SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Clock(Protocol):
    """A clock, as a night uses it."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        ...

    def elapsed_s(self) -> float:
        """Return the seconds on a clock that never jumps."""
        ...

    def wait(self, seconds: float, stop: StopSignal) -> None:
        """Wait some seconds, or until the night is told to stop."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now(self) -> datetime:
        """Return the time, UTC."""
        return datetime.now(UTC)

    def elapsed_s(self) -> float:
        """Return the seconds on a clock that never jumps."""
        return monotonic()

    def wait(self, seconds: float, stop: StopSignal) -> None:
        """Wait some seconds, or until the night is told to stop."""
        stop.wait(seconds)


_LOOK_S: Final = 0.1
"""How often a night that waits looks whether it was told to stop, seconds."""


class StopSignal:
    """Stops a night, and the run that is sending.

    Args:
        grace_s: seconds in which requests under way may still finish; later ones are given up and
            become doubtful.
    """

    def __init__(self, grace_s: float) -> None:
        self._grace_s = grace_s
        # A plain flag: a signal handler that sets an Event would hang if the signal came while the
        # same thread held the Event's lock.
        self._requested = False
        self._notify: Callable[[], object] = lambda: None

    def request(self) -> None:
        """Tell the night to stop; may be called by a signal handler, from any thread, and again."""
        self._requested = True
        self._notify()

    def requested(self) -> bool:
        """Whether it was told to stop."""
        return self._requested

    def wait(self, seconds: float) -> None:
        """Wait some seconds, or until told to stop."""
        ends_s = monotonic() + seconds
        while not self._requested and (left_s := ends_s - monotonic()) > 0:
            sleep(min(left_s, _LOOK_S))

    def watch(self, event: asyncio.Event, until_s: float) -> None:
        """Stop a run, too, when the night must stop; call this in the run's event loop.

        Args:
            event: set to stop the run.
            until_s: seconds from now after which the run stops anyway.
        """
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def stop() -> None:
            event.set()
            if task is not None:
                loop.call_later(self._grace_s, task.cancel)

        def tell() -> None:
            with suppress(RuntimeError):  # the run has ended, so its loop is closed
                loop.call_soon_threadsafe(stop)

        self._notify = tell
        loop.call_later(max(0.0, until_s), event.set)
        if self.requested():
            stop()

    @contextmanager
    def on_signals(self) -> Iterator[None]:
        """Stop at SIGTERM and SIGINT while the context lasts."""
        before = {number: signal.signal(number, lambda *_: self.request()) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


MAX_NIGHT: Final = timedelta(hours=12)
"""How long a night lasts at most if `deadline` is not set."""

_NEVER: Final = timedelta(days=3_650)


def night_end(settings: Settings, started: datetime) -> datetime:
    """Return when a night that started at this time ends, in UTC."""
    if settings.deadline is None:
        return started + MAX_NIGHT
    return _next(settings.deadline, ZoneInfo(settings.timezone), started)


def sending_start(settings: Settings, now: datetime) -> datetime:
    """Return the earliest time, now or later, when people may be contacted, in UTC.

    A rehearsal contacts nobody, so it waits for no hour.
    """
    if settings.send_between is None or settings.rehearsal or _is_open(settings, now):
        return now
    return _next(settings.send_between.split("-")[0], ZoneInfo(settings.timezone), now)


def sending_end(settings: Settings, now: datetime) -> datetime:
    """Return when the present sending hours end, in UTC; a rehearsal has none."""
    if settings.send_between is None or settings.rehearsal:
        return now + _NEVER
    return _next(settings.send_between.split("-")[1], ZoneInfo(settings.timezone), now)


def local_date(settings: Settings, now: datetime) -> str:
    """Return the date in the settings' time zone; folders are named after it."""
    return f"{now.astimezone(ZoneInfo(settings.timezone)):%Y-%m-%d}"


def _is_open(settings: Settings, now: datetime) -> bool:
    start, end = (settings.send_between or "").split("-")
    clock = f"{now.astimezone(ZoneInfo(settings.timezone)):%H:%M}"
    return start <= clock < end if start < end else clock >= start or clock < end


def _next(clock: str, zone: ZoneInfo, after: datetime) -> datetime:
    """Return when a clock in the zone next shows this time of day after `after`, in UTC."""
    here = after.astimezone(zone)
    for days in range(3):
        day = here.date() + timedelta(days=days)
        then = datetime.combine(day, time.fromisoformat(clock), zone).astimezone(UTC)
        if then > after:
            return then
    raise AssertionError("every clock shows every time within two days")
