"""The limiter, on a clock that leaps: smooth, bounded, shared, held, slowed and grown back."""

from __future__ import annotations

import asyncio
import bisect
import math
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.sending.rate_limiter import RateLimiter
from tests.support.virtual_time import clock, run

if TYPE_CHECKING:
    from collections.abc import Sequence


async def departures(limiter: RateLimiter, until_s: float, workers: int = 4) -> list[float]:
    """Return when permits are given to that many workers that always want one."""
    left: list[float] = []

    async def work() -> None:
        while clock() < until_s:
            await limiter.acquire()
            left.append(clock())

    await asyncio.gather(*(work() for _ in range(workers)))
    return left


def fullest_second(left: Sequence[float]) -> int:
    """Return the most departures in any second (its end not included)."""
    ordered = sorted(left)
    return max(bisect.bisect_left(ordered, t + 1 - 1e-9) - i for i, t in enumerate(ordered))


@pytest.mark.parametrize("rate", [0.4, 1, 1.5, 2, 2.5, 5, 50, 300])
def test_the_rate_is_used_and_never_exceeded(rate: float) -> None:
    """At least 98 % of it over a minute, and in no second more than it."""

    async def minute() -> list[float]:
        return await departures(RateLimiter(rate, now=clock), 60)

    left = [t for t in run(minute()) if t < 60]
    assert fullest_second(left) <= math.ceil(rate)
    assert len(left) >= math.floor(0.98 * 60 * rate)


@settings(max_examples=30, deadline=None)
@given(
    rate=st.sampled_from([0.5, 3, 20, 50, 200]),
    workers=st.integers(1, 40),
    latest_s=st.sampled_from([0.0, 0.001, 0.05, 1.5]),
    seed=st.integers(0, 2**32),
)
def test_late_timers_and_stalls_never_make_a_burst(
    rate: float, workers: int, latest_s: float, seed: int
) -> None:
    """However late the machine is, no second sees more than the rate."""
    chance = random.Random(seed)

    async def some_seconds() -> list[float]:
        return await departures(RateLimiter(rate, now=clock), 20, workers)

    left = run(some_seconds(), late_s=lambda: chance.random() ** 4 * latest_s)
    assert fullest_second(left) <= math.ceil(rate)


def test_ordinary_lateness_costs_nothing() -> None:
    """Timers that are up to 2 ms late still use 98 % of 50 a second."""
    chance = random.Random(1)

    async def minute() -> list[float]:
        return await departures(RateLimiter(50, now=clock), 60)

    left = run(minute(), late_s=lambda: chance.random() * 0.002)
    assert len([t for t in left if t < 60]) >= 0.98 * 3_000


def test_a_busy_machine_costs_little() -> None:
    """Timers that are up to 10 ms late, half an interval, still use 98 % of 50 a second."""
    chance = random.Random(2)

    async def minute() -> list[float]:
        return await departures(RateLimiter(50, now=clock), 60)

    left = run(minute(), late_s=lambda: chance.random() * 0.01)
    assert len([t for t in left if t < 60]) >= 0.98 * 60 * 50
    assert fullest_second(left) <= 50


def test_the_first_permit_comes_at_once_and_a_rest_saves_nothing_up() -> None:
    """After an idle hour the second request waits as it always does."""

    async def main() -> list[float]:
        limiter = RateLimiter(5, now=clock)
        await limiter.acquire()
        first = clock()
        await asyncio.sleep(3600)
        at = clock()
        await limiter.acquire()
        await limiter.acquire()
        return [first, clock() - at]

    first, second = run(main())
    assert first == 0
    assert second == pytest.approx(0.202, abs=0.011)


def test_permits_are_given_in_the_order_of_asking() -> None:
    """Nobody is overtaken."""

    async def main() -> list[int]:
        limiter, served = RateLimiter(10, now=clock), list[int]()

        async def ask(number: int) -> None:
            await limiter.acquire()
            served.append(number)

        await asyncio.gather(*(ask(number) for number in range(20)))
        return served

    assert run(main()) == list(range(20))


def test_a_cancelled_wait_uses_nothing_up() -> None:
    """The others move up, whichever worker leaves the queue."""

    async def main() -> float:
        limiter = RateLimiter(1, now=clock)
        await limiter.acquire()
        queue = [asyncio.create_task(limiter.acquire()) for _ in range(10)]
        await asyncio.sleep(0.5)
        for task in queue[:9]:
            task.cancel()
        await queue[9]
        return clock()

    assert run(main()) == pytest.approx(1.01, abs=0.011)


def test_a_hold_holds_everybody_also_who_waits_already() -> None:
    """And a shorter hold does not end a longer one."""

    async def main() -> list[float]:
        limiter = RateLimiter(10, now=clock)
        await limiter.acquire()
        waiting = asyncio.create_task(departures(limiter, 31))
        await asyncio.sleep(0.05)
        limiter.hold(30)
        limiter.hold(1)
        return await waiting

    left = run(main())
    assert min(left) == pytest.approx(30.05)
    assert fullest_second(left) <= 10


@pytest.mark.parametrize("seconds", [0, -3, -math.inf, math.nan])
def test_a_hold_of_no_length_is_none(seconds: float) -> None:
    """Nothing that is no time stops anybody."""

    async def main() -> float:
        limiter = RateLimiter(10, now=clock)
        limiter.hold(seconds)
        await limiter.acquire()
        return clock()

    assert run(main()) == 0


def test_a_429_halves_the_rate_once_for_all_that_left_before() -> None:
    """Four requests under way meet the same full window; that is one reason, not four."""

    async def main() -> list[float]:
        limiter, rates = RateLimiter(8, now=clock), list[float]()
        left = [await limiter.acquire() for _ in range(4)]
        for permitted_at in left:
            limiter.slow_down(permitted_at)
            rates.append(limiter.rate)
        limiter.slow_down(await limiter.acquire())
        return [*rates, limiter.rate]

    assert run(main()) == [4, 4, 4, 4, 2]


def test_the_rate_grows_back_evenly_with_time() -> None:
    """From half to full in half a minute of good answers, and no further."""

    async def main() -> list[float]:
        limiter, rates = RateLimiter(10, now=clock), list[float]()
        await limiter.acquire()
        limiter.slow_down()
        for _ in range(4):
            limiter.note_success()
            rates.append(limiter.rate)
            await asyncio.sleep(10)
        await asyncio.sleep(3600)
        limiter.note_success()
        return [*rates, limiter.rate]

    assert run(main()) == pytest.approx([5, 5 + 10 / 6, 5 + 20 / 6, 10, 10])


def test_a_hold_is_no_time_of_recovery() -> None:
    """What grows the rate is answers, not waiting."""

    async def main() -> float:
        limiter = RateLimiter(10, now=clock)
        limiter.slow_down(await limiter.acquire())
        limiter.hold(60)
        await limiter.acquire()
        limiter.note_success()
        return limiter.rate

    assert run(main()) == pytest.approx(5, abs=0.1)


def test_halving_has_a_floor() -> None:
    """An API that always says 429 is still asked now and then."""

    async def main() -> float:
        limiter = RateLimiter(64, now=clock)
        for _ in range(100):
            limiter.slow_down()
            await asyncio.sleep(1)
        return limiter.rate

    assert run(main()) == pytest.approx(1)


def test_a_rate_beyond_reach_is_halved_from_the_real_one() -> None:
    """10,000 a second in the settings and 20 in truth: half of 20 is what helps."""

    async def main() -> float:
        limiter = RateLimiter(10_000, now=clock)
        for _ in range(20):
            await limiter.acquire()
            await asyncio.sleep(0.05)
        limiter.slow_down()
        return limiter.rate

    assert run(main()) == pytest.approx(10)


def test_without_a_rate_nothing_waits_until_a_429() -> None:
    """Infinity is a rate too; after a 429 it becomes the real one, halved, and grows again."""

    async def main() -> list[float]:
        limiter = RateLimiter(math.inf, now=clock)
        for _ in range(1000):
            await limiter.acquire()
        at_once = clock()
        for _ in range(40):
            await limiter.acquire()
            await asyncio.sleep(0.1)
        limiter.slow_down()
        slow = limiter.rate
        await asyncio.sleep(60)
        limiter.note_success()
        return [at_once, slow, limiter.rate]

    assert run(main()) == pytest.approx([0, 5, 15])


def test_what_is_left_of_the_servers_window_is_spread_over_it() -> None:
    """Four requests for ten seconds: one each two and a half, and then the rate again."""

    async def main() -> list[float]:
        limiter = RateLimiter(10, now=clock)
        await limiter.acquire()
        limiter.apply_quota(4, 10.0, 60.0)
        return await departures(limiter, 11, workers=1)

    left = run(main())
    assert [round(t, 1) for t in left[:4]] == [0.1, 2.6, 5.1, 7.6]
    assert len([t for t in left if 10.2 <= t < 11]) >= 7


def test_a_window_that_is_used_up_is_waited_for_but_not_for_ever() -> None:
    """The reset is believed up to the longest wait."""

    async def main() -> list[float]:
        limiter = RateLimiter(10, now=clock)
        limiter.apply_quota(0, 5.0, 60.0)
        await limiter.acquire()
        first = clock()
        limiter.apply_quota(0, 1e9, 60.0)
        await limiter.acquire()
        return [first, clock() - first]

    assert run(main()) == pytest.approx([5, 60])


@pytest.mark.parametrize(
    ("remaining", "reset_s"), [(None, 5.0), (3, None), (0, 0.0), (0, -1.0), (0, math.nan)]
)
def test_half_a_quota_is_none(remaining: int | None, reset_s: float | None) -> None:
    """Nothing is made of headers that do not say enough."""

    async def main() -> float:
        limiter = RateLimiter(10, now=clock)
        limiter.apply_quota(remaining, reset_s, 60.0)
        await limiter.acquire()
        await limiter.acquire()
        return clock()

    assert run(main()) == pytest.approx(0.101, abs=0.011)


def test_eta_is_the_time_that_it_then_takes() -> None:
    """Of a run at the rate, and also while everybody is held."""

    async def main() -> list[float]:
        limiter = RateLimiter(50, now=clock)
        limiter.hold(7)
        result = [limiter.eta_s(1000), limiter.eta_s(0)]
        for _ in range(1000):
            await limiter.acquire()
        return [*result, clock()]

    eta_s, nothing_s, took_s = run(main())
    assert nothing_s == 0
    assert took_s == pytest.approx(eta_s, rel=0.001)
    assert took_s == pytest.approx(27, rel=0.05)


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_is_more_than_nothing(rate: float) -> None:
    """Anything else is a mistake of the caller."""
    with pytest.raises(ValueError, match="more than 0"):
        RateLimiter(rate)
