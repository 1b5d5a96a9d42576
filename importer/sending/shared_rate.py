"""The rate that the senders of several machines share: the limiter of a ledger on a server."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from importer.errors import LedgerAway
from importer.ledger.rates import LATE_S, RESERVED
from importer.ledger.senders import boot_time_s
from importer.sending.rate_limiter import RateLimiter, spread_quota

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from importer.ledger import Ledger
    from importer.ledger.rates import LedgerRates
    from importer.sending.rate_limiter import Limiter
    from importer.settings import Settings


_Found = TypeVar("_Found")

_LEAST_LEAD_S: Final = 0.1
_MOST_LEAD_S: Final = 0.5
"""A permit is handed out at least and at most this long before its time, so that an intent can be
made; a shorter time would lose permits, a longer one would leave more doubt if the process dies."""

_WAKING_S: Final = 0.02
"""This long before the time of a permit its request wakes up, and asks whether a hold is on."""

_DEVIATIONS: Final = 4.0
"""A permit is handed out this many deviations, and the average, of the time that intents took.

So few are late, whose permits would be lost; TCP chooses its timeouts in this way (RFC 6298).
"""

_FIRST_S: Final = 0.05
"""The average time that intents take, and its deviation, before any was made."""

_PUT_OFF: Final = 2.0
_MOST_AHEAD_S: Final = 0.1
"""If nobody waits, a permit is put off by this many average times of an intent, and by this at
most: the permits of other senders are put off with it."""

_SMOOTHING: Final = 0.2
"""The weight of the newest intent in the average of their times, and in a deviation that grows."""

_FORGETTING: Final = 0.02
"""The weight of the newest intent in a deviation that shrinks: slow intents come now and then."""

_AWAY_S: Final = 0.5
"""The wait before a database that is away is asked again."""

_CLOSING_S: Final = 10.0
"""How long the end waits until everything is noted."""


@asynccontextmanager
async def open_limiter(ledger: Ledger, settings: Settings) -> AsyncIterator[Limiter]:
    """Open the limiter of this process, or of all senders if the ledger is on a server."""
    rates = ledger.rates(settings.rate_per_s)
    if rates is None:
        yield RateLimiter(settings.rate_per_s)
        return
    shared = SharedRate(rates, settings.rate_per_s)
    try:
        yield shared
    finally:
        await shared.aclose()


class SharedRate:
    """Gives the permits of a server's ledger, one by one, to the workers of one process.

    Args:
        rates: the rates in the ledger.
        rate_per_s: permits a second of all senders together.
    """

    needs_free_slot = True

    def __init__(self, rates: LedgerRates, rate_per_s: float) -> None:
        self._rates = rates
        self._full = rate_per_s
        self._rate = rate_per_s
        self._intent_s = self._deviation_s = _FIRST_S
        self._handed_out: dict[float, float] = {}
        self._notes = set[asyncio.Task[None]]()

    @property
    def rate(self) -> float:
        """The present number of permits a second."""
        return self._rate

    @property
    def lead_s(self) -> float:
        """How long before its time a permit is handed out, so that an intent can be made."""
        wanted_s = self._intent_s + _DEVIATIONS * self._deviation_s + _WAKING_S
        return min(max(wanted_s, _LEAST_LEAD_S), _MOST_LEAD_S)

    def time(self) -> float:
        """Return the seconds on the clock of the permits."""
        return boot_time_s()

    async def acquire(self, *, early: bool = False) -> float:
        """Wait until one request may be sent; a cancelled wait may use a permit.

        Args:
            early: return just before; `confirm` waits for the rest.

        Returns:
            The time of the permit.
        """
        while True:
            ahead_s = min(_PUT_OFF * self._intent_s, _MOST_AHEAD_S) if early else 0.0
            permit = await self._ask(partial(self._rates.reserve, ahead_s))
            self._rate = permit.rate
            at = boot_time_s() + permit.wait_s
            await asyncio.sleep(at - (self.lead_s if early else _WAKING_S) - boot_time_s())
            if early:
                self._handed_out[at] = boot_time_s()
            if boot_time_s() <= at + LATE_S:
                return at if early else await self.confirm(at)

    async def confirm(self, permitted_at: float) -> float:
        """Wait until the time of a permit; take another one if it is late or on hold.

        Args:
            permitted_at: time of a permit.

        Returns:
            The time of the permit that counts, which is now.
        """
        handed_out = self._handed_out.pop(permitted_at, None)
        if handed_out is not None:
            self._learn(boot_time_s() - handed_out)
        while True:
            await asyncio.sleep(permitted_at - _WAKING_S - boot_time_s())
            held_s = await self._ask(self._rates.held_s)
            if held_s <= 0:
                await asyncio.sleep(permitted_at - boot_time_s())
                if boot_time_s() <= permitted_at + LATE_S:
                    return permitted_at
            permit = await self._ask(self._rates.reserve)
            permitted_at = boot_time_s() + permit.wait_s

    def _learn(self, took_s: float) -> None:
        """Learn how long the last intent took, from its permit on."""
        apart_s = took_s - self._intent_s
        self._intent_s += _SMOOTHING * apart_s
        growth_s = abs(apart_s) - self._deviation_s
        self._deviation_s += (_SMOOTHING if growth_s > 0 else _FORGETTING) * growth_s

    def hold(self, seconds: float) -> None:
        """Let the senders of all machines wait for this many seconds."""
        if seconds > 0:
            self._note(lambda: self._rates.hold(seconds))

    def slow_down(self, permitted_at: float = 0.0) -> None:
        """Halve the rate of all; requests permitted before the last halving do not halve it again.

        Args:
            permitted_at: time of the permit of the request that got the 429.
        """
        age_s = boot_time_s() - permitted_at if permitted_at else 0.0
        self._note(lambda: self._rates.hold(0.0, age_s))

    def note_success(self) -> None:
        """Do nothing: the rate grows with the time that has passed."""

    def apply_quota(self, remaining: int | None, reset_s: float | None, longest_s: float) -> None:
        """Spread the requests that the server still accepts, as `spread_quota` says."""
        quota = spread_quota(remaining, reset_s, longest_s)
        if quota is None:
            return
        interval_s, window_s = quota
        if interval_s == math.inf:
            self.hold(window_s)
        elif interval_s > 1 / (self._full * RESERVED):
            self._note(lambda: self._rates.spread(interval_s, window_s))

    def eta_s(self, count: int) -> float:
        """Return the seconds that `count` permits take at the present rate."""
        return max(count - 1, 0) / (self._rate * RESERVED)

    async def aclose(self) -> None:
        """Wait until everything is noted; give up if the database stays away.

        Only waits and slower rates are lost then, and the API asks for them again.
        """
        if self._notes:
            noted, late = await asyncio.wait(self._notes, timeout=_CLOSING_S)
            for each in late:
                each.cancel()
            for each in noted:
                each.result()

    def _note(self, write: Callable[[], None]) -> None:
        async def note() -> None:
            await self._ask(write)

        task = asyncio.get_running_loop().create_task(note())
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _ask(self, ask: Callable[[], _Found]) -> _Found:
        """Ask the database; if it is away, wait until it is back."""
        while True:
            try:
                return await asyncio.to_thread(ask)
            except LedgerAway:
                await asyncio.sleep(_AWAY_S)
