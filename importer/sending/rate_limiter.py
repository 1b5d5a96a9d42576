"""The rate that all workers share: even, on hold if the API asks for it, slower after a 429.

A permit is the right to send one request now. Permits follow the generic cell rate algorithm: each
is due one interval after the one before. If a permit is late although a worker waited for it (a
slow timer, a busy machine), the next ones come sooner: at most at four times the rate, and never
more in any one second than the rate allows. Idle time does not save up permits.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


SLACK_S: Final = 0.005
"""The rate is kept over a second and this much more, because requests arrive unevenly."""

CATCH_UP_S: Final = 0.25
"""How late a permit may be without delaying the next ones, if a worker waited for it."""

RECOVERY_S: Final = 60.0
"""How long the rate takes to grow from zero to what it was before it was halved."""

_FLOOR: Final = 1 / 64
"""Halving stops at this part of the full rate."""

_OBSERVED: Final = 32
"""The observed rate, which is halved, is measured over at most this many permits."""

_ENOUGH: Final = 8
"""The observed rate is measured over at least this many permits."""

_INSTANT_S: Final = 1e-9
"""Shorter waits are not worth a sleep."""


class Limiter(Protocol):
    """A rate limiter, as those who make requests use it; see `RateLimiter`.

    Attributes:
        needs_free_slot: whether only a worker with a free slot may take a permit, because it must
            be used at its time.
    """

    needs_free_slot: bool

    @property
    def rate(self) -> float:
        """The present number of permits a second."""
        ...

    def time(self) -> float:
        """Return the seconds on the clock of the permits."""
        ...

    async def acquire(self, *, early: bool = False) -> float:
        """Wait until one request may be sent; return the time of the permit."""
        ...

    async def confirm(self, permitted_at: float) -> float:
        """Return the time of the permit that counts right before a request is sent."""
        ...

    def hold(self, seconds: float) -> None:
        """Give no permit for this many seconds."""
        ...

    def slow_down(self, permitted_at: float) -> None:
        """Halve the rate after a 429."""
        ...

    def note_success(self) -> None:
        """Note a request that succeeded."""
        ...

    def apply_quota(self, remaining: int | None, reset_s: float | None, longest_s: float) -> None:
        """Spread the requests that the server still accepts, as `spread_quota` says."""
        ...

    def eta_s(self, count: int) -> float:
        """Return the seconds until `count` more permits are given."""
        ...


def spread_quota(
    remaining: int | None, reset_s: float | None, longest_s: float
) -> tuple[float, float] | None:
    """Return how far apart to send what a server still accepts, and for how long.

    Args:
        remaining: requests that the server still accepts.
        reset_s: seconds until its window ends.
        longest_s: a longer window is cut to this.

    Returns:
        Seconds between two requests, infinite if none is left, and seconds until the window ends.
        None if the server does not say both.
    """
    if remaining is None or reset_s is None or not reset_s > 0:
        return None
    window_s = min(reset_s, longest_s)
    return (window_s / remaining if remaining > 0 else math.inf), window_s


class RateLimiter:
    """Gives at most `rate_per_s` permits a second, first come, first served.

    Args:
        rate_per_s: permits a second; infinity for no limit.
        now: seconds on a clock that never goes back.
        sleep: waits for a number of seconds of the same clock.
    """

    needs_free_slot = False

    def __init__(
        self,
        rate_per_s: float,
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        if not rate_per_s > 0:
            raise ValueError(f"a rate must be more than 0, not {rate_per_s}")
        self._full = rate_per_s
        self._rate = rate_per_s
        self._now = now
        self._sleep = sleep
        self._turn = asyncio.Lock()  # first come, first served; a cancelled waiter releases it
        self._due = -math.inf
        self._spaced = -math.inf
        self._second: deque[float] = deque(
            maxlen=math.ceil(rate_per_s) if math.isfinite(rate_per_s) else 1
        )
        self._held_until = -math.inf
        self._quota_interval_s = 0.0
        self._quota_until = -math.inf
        self._halved_at = -math.inf
        self._grown_at = -math.inf
        self._growth_per_s2 = 0.0
        self._permitted: deque[float] = deque(maxlen=_OBSERVED)

    @property
    def rate(self) -> float:
        """The present number of permits a second."""
        return self._rate

    def time(self) -> float:
        """Return the seconds on the clock of the permits."""
        return self._now()

    async def acquire(self, *, early: bool = False) -> float:
        """Wait until one request may be sent; a cancelled wait uses no permit.

        Args:
            early: has no effect here: a permit may be used later than at its time.

        Returns:
            The time of the permit, for `slow_down`.
        """
        del early
        asked = self._now()
        async with self._turn:
            while (wait_s := self._next() - self._now()) > _INSTANT_S:
                await self._sleep(wait_s)
            now = self._now()
            interval_s = self._interval_s(now)
            since = now - CATCH_UP_S if asked <= self._due else asked - SLACK_S
            self._due = max(self._due, self._held_until, since) + interval_s
            self._spaced = now + interval_s / 4
            self._permitted.append(now)
            self._second.append(now)
            return now

    async def confirm(self, permitted_at: float) -> float:
        """Wait until no hold is on; for a worker that has its permit but has not sent yet.

        Args:
            permitted_at: time of the permit.

        Returns:
            The time of the permit that counts.
        """
        while (wait_s := self._held_until - self._now()) > _INSTANT_S:
            await self._sleep(wait_s)
        return permitted_at

    def hold(self, seconds: float) -> None:
        """Give no permit for this many seconds; a shorter hold does not end a longer one."""
        if seconds > 0:
            self._held_until = max(self._held_until, self._now() + seconds)
            self._grown_at = max(self._grown_at, self._held_until)
            self._permitted.clear()

    def slow_down(self, permitted_at: float = math.inf) -> None:
        """Halve the rate; requests permitted before the last halving do not halve it again.

        Args:
            permitted_at: time of the permit of the request that got the 429.
        """
        if permitted_at <= self._halved_at:
            return
        basis = min(self._rate, self._observed_rate())
        self._growth_per_s2 = max(self._growth_per_s2, basis / RECOVERY_S)
        self._rate = max(basis / 2, self._growth_per_s2 * RECOVERY_S * _FLOOR)
        self._halved_at = self._now()
        self._grown_at = max(self._halved_at, self._held_until)
        self._permitted.clear()

    def note_success(self) -> None:
        """Note a request that succeeded: the rate grows with the time since the last one."""
        now = self._now()
        if self._rate < self._full and now > self._grown_at:
            grown = self._rate + self._growth_per_s2 * (now - self._grown_at)
            self._rate = min(self._full, grown)
            self._grown_at = now

    def apply_quota(self, remaining: int | None, reset_s: float | None, longest_s: float) -> None:
        """Spread the requests that the server still accepts, as `spread_quota` says."""
        quota = spread_quota(remaining, reset_s, longest_s)
        if quota is None:
            return
        interval_s, window_s = quota
        if interval_s == math.inf:
            self.hold(window_s)
            return
        self._quota_interval_s = interval_s
        self._quota_until = self._now() + window_s

    def eta_s(self, count: int) -> float:
        """Return the seconds until `count` more permits are given."""
        if count <= 0:
            return 0.0
        now = self._now()
        return max(self._next() - now, 0.0) + (count - 1) * self._interval_s(now)

    def _next(self) -> float:
        return max(self._due, self._spaced, self._held_until, self._one_second_on())

    def _one_second_on(self) -> float:
        """Return the earliest time that keeps every one-second window within the rate.

        If the rate is not a whole number, it is rounded up and the window is longer.
        """
        if not math.isfinite(self._rate):
            return -math.inf
        count = math.ceil(self._rate)
        if len(self._second) < count:
            return -math.inf
        return self._second[-count] + count / self._rate * (1 + SLACK_S)

    def _interval_s(self, now: float) -> float:
        own = (1 + SLACK_S) / self._rate
        return max(own, self._quota_interval_s) if now < self._quota_until else own

    def _observed_rate(self) -> float:
        """Return the permits per second since the last hold; the set rate if there were too few."""
        if len(self._permitted) < _ENOUGH or self._permitted[-1] <= self._permitted[0]:
            return self._rate if math.isfinite(self._rate) else 1.0
        return (len(self._permitted) - 1) / (self._permitted[-1] - self._permitted[0])
