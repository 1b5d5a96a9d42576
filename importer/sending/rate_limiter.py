"""The rate that everybody shares: smooth, held when the API says so, slower after a 429.

A permit is the right to send one request now. Departures follow the generic cell rate algorithm:
each is due one interval after the one before. One that was late although somebody was waiting for
it (a timer, a busy machine) is caught up, never faster than at four times the rate and never beyond
what any second may hold: a departure comes at least a second after the one that lies a second's
worth of departures before it. A rest saves nothing up.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


SLACK_S: Final = 0.005
"""How much longer than a second the second is that the rate is held to: requests jitter."""

CATCH_UP_S: Final = 0.25
"""How late a departure may be without delaying those after it, where somebody waited for it."""

RECOVERY_S: Final = 60.0
"""How long the rate takes to grow from nothing to what it was before it was halved."""

_FLOOR: Final = 1 / 64
"""The smallest part of the full rate that halving leads to."""

_OBSERVED: Final = 32
"""Over how many departures at most the real rate is measured, for halving it."""

_ENOUGH: Final = 8
"""Over how many at least."""

_INSTANT_S: Final = 1e-9
"""A wait too short for any clock."""


class RateLimiter:
    """Gives permits at no more than `rate_per_s`, in the order in which they were asked for.

    Args:
        rate_per_s: permits a second; infinity for no limit of our own.
        now: seconds on a clock that never goes back.
        sleep: waits for that many seconds of the same clock.
    """

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
        self._turn = asyncio.Lock()  # first come, first served; freed by cancellation too
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
        self._left: deque[float] = deque(maxlen=_OBSERVED)

    @property
    def rate(self) -> float:
        """Permits a second at present."""
        return self._rate

    async def acquire(self) -> float:
        """Wait until one request may be sent; a cancelled wait uses nothing up.

        Returns:
            When it was given, for `slow_down`.
        """
        asked = self._now()
        async with self._turn:
            while (wait_s := self._next() - self._now()) > _INSTANT_S:
                await self._sleep(wait_s)
            now = self._now()
            interval_s = self._interval_s(now)
            since = now - CATCH_UP_S if asked <= self._due else asked - SLACK_S
            self._due = max(self._due, self._held_until, since) + interval_s
            self._spaced = now + interval_s / 4
            self._left.append(now)
            self._second.append(now)
            return now

    async def wait_while_held(self) -> None:
        """Wait until everybody may go, if it has a permit but has not left."""
        while (wait_s := self._held_until - self._now()) > _INSTANT_S:
            await self._sleep(wait_s)

    def hold(self, seconds: float) -> None:
        """Give no permit for that long; a shorter hold does not end a longer one."""
        if seconds > 0:
            self._held_until = max(self._held_until, self._now() + seconds)
            self._grown_at = max(self._grown_at, self._held_until)
            self._left.clear()

    def slow_down(self, permitted_at: float = math.inf) -> None:
        """Halve the rate, once for all the requests that left before it was halved.

        Args:
            permitted_at: when the request that met the 429 was permitted.
        """
        if permitted_at <= self._halved_at:
            return
        basis = min(self._rate, self._observed_rate())
        self._growth_per_s2 = max(self._growth_per_s2, basis / RECOVERY_S)
        self._rate = max(basis / 2, self._growth_per_s2 * RECOVERY_S * _FLOOR)
        self._halved_at = self._now()
        self._grown_at = max(self._halved_at, self._held_until)
        self._left.clear()

    def note_success(self) -> None:
        """Take note of a request that went well: the rate grows with the time gone by."""
        now = self._now()
        if self._rate < self._full and now > self._grown_at:
            grown = self._rate + self._growth_per_s2 * (now - self._grown_at)
            self._rate = min(self._full, grown)
            self._grown_at = now

    def apply_quota(self, remaining: int | None, reset_s: float | None, longest_s: float) -> None:
        """Spread what the server says is left of its window over that window.

        Args:
            remaining: requests that it still takes.
            reset_s: seconds until it counts anew.
            longest_s: what it says is believed for no longer than this.
        """
        if remaining is None or reset_s is None or not reset_s > 0:
            return
        reset_s = min(reset_s, longest_s)
        if remaining <= 0:
            self.hold(reset_s)
            return
        self._quota_interval_s = reset_s / remaining
        self._quota_until = self._now() + reset_s

    def eta_s(self, count: int) -> float:
        """Seconds until `count` more permits are given at the present rate."""
        if count <= 0:
            return 0.0
        now = self._now()
        return max(self._next() - now, 0.0) + (count - 1) * self._interval_s(now)

    def _next(self) -> float:
        return max(self._due, self._spaced, self._held_until, self._after_a_second())

    def _after_a_second(self) -> float:
        """When the departure is a second old that lies as many back as a second may hold.

        Of a rate that is no whole number, the next higher one is held to a second and a bit.
        """
        if not math.isfinite(self._rate):
            return -math.inf
        back = math.ceil(self._rate)
        if len(self._second) < back:
            return -math.inf
        return self._second[-back] + back / self._rate * (1 + SLACK_S)

    def _interval_s(self, now: float) -> float:
        own = (1 + SLACK_S) / self._rate
        return max(own, self._quota_interval_s) if now < self._quota_until else own

    def _observed_rate(self) -> float:
        """Permits a second since the last hold; the set rate where too few are known."""
        if len(self._left) < _ENOUGH or self._left[-1] <= self._left[0]:
            return self._rate if math.isfinite(self._rate) else 1.0
        return (len(self._left) - 1) / (self._left[-1] - self._left[0])
