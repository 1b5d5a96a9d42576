"""What senders on one server share: their rate, their guards, and the canary."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select

from importer.errors import Exit, LedgerAway
from importer.ledger.rates import LATE_S, RESERVED, LedgerRates, ReservedPermit
from importer.ledger.records import Settlement
from importer.ledger.run_guards import Canary
from importer.ledger.senders import boot_time_s
from importer.ledger.tables import run_guards
from importer.model import State
from importer.sending.circuit_breaker import CircuitBreaker, FailureLimits
from importer.sending.shared_rate import SharedRate
from tests.unit.ledger.test_leases import claim, lose_lease, plan, sender, share_of

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from importer.ledger.shares import RunShare


@pytest.fixture
def rates(server_ledger: Ledger) -> LedgerRates:
    """Return the rates of a ledger: ten permits a second."""
    return LedgerRates(server_ledger._database, 10)


def test_permits_follow_each_other(rates: LedgerRates) -> None:
    """Each is due an interval after the one before, a little under the rate."""
    start = time.monotonic()
    due = [rates.reserve().wait_s + time.monotonic() - start for _ in range(20)]
    assert due == sorted(due)
    assert due[-1] - due[0] == pytest.approx(19 / (10 * RESERVED), abs=0.5)


def test_any_second_is_within_the_rate(rates: LedgerRates) -> None:
    """A second and the lateness of a permit hold fewer intervals than the rate has permits."""
    interval_s = 1 / (rates._full * RESERVED)
    assert int((1 + LATE_S) / interval_s) + 1 <= rates._full


def test_a_hold_is_for_all(rates: LedgerRates) -> None:
    """The next permit of any sender is due after it."""
    rates.reserve()
    rates.hold(30)
    assert rates.held_s() == pytest.approx(30, abs=5)
    assert rates.reserve().wait_s > 20


def test_a_429_halves_the_rate_once_for_the_requests_before_it(rates: LedgerRates) -> None:
    """Several requests under way get a 429; the ones permitted after it halve it again."""
    assert rates.reserve().rate == pytest.approx(10)
    for _ in range(4):
        rates.hold(0, permit_age_s=60)
    assert rates.reserve().rate == pytest.approx(5, abs=1)
    rates.hold(0, permit_age_s=0)
    assert rates.reserve().rate == pytest.approx(2.5, abs=1)


def test_a_quota_is_spread(rates: LedgerRates) -> None:
    """Ten requests that must last for a hundred seconds leave ten seconds apart."""
    rates.reserve()
    rates.spread(10, 100)
    first, second = rates.reserve(), rates.reserve()
    assert second.wait_s - first.wait_s == pytest.approx(10, abs=2)


def test_a_permit_is_as_far_away_as_its_sender_needs(rates: LedgerRates) -> None:
    """The next one follows it, as always."""
    assert rates.reserve(60).wait_s > 50
    assert rates.reserve().wait_s > 50


def test_a_late_permit_is_not_used(rates: LedgerRates) -> None:
    """Its sender takes another one, which is due later."""

    async def late() -> tuple[float, float]:
        shared = SharedRate(rates, 10)
        first = await shared.acquire(early=True)
        await asyncio.sleep(first + LATE_S + 0.05 - shared.time())
        return first, await shared.confirm(first)

    first, second = asyncio.run(late())
    assert second > first + LATE_S


class NotedRates:
    """Rates that note when somebody asks whether a hold is on."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    def reserve(self, ahead_s: float = 0.0) -> ReservedPermit:
        """Give a permit a quarter of a second away."""
        del ahead_s
        return ReservedPermit(0.25, 10)

    def held_s(self) -> float:
        """Say that none is on."""
        self.asked_s.append(boot_time_s())
        return 0.0


def test_a_hold_is_looked_for_right_before_the_request() -> None:
    """An intent is made early, and a hold that begins meanwhile must count."""
    rates = NotedRates()

    async def take() -> tuple[float, float]:
        shared = SharedRate(rates, 10)  # type: ignore[arg-type]  # a stand-in
        permit = await shared.acquire(early=True)
        assert not rates.asked_s
        return permit, await shared.confirm(permit)

    permit, used = asyncio.run(take())
    assert used >= permit
    assert rates.asked_s[0] > permit - 0.05


def test_permits_are_handed_out_as_early_as_slow_intents_need() -> None:
    """One slow intent among fast ones is remembered for a while."""
    shared = SharedRate(NotedRates(), 10)  # type: ignore[arg-type]  # a stand-in
    leads = [shared.lead_s]
    for took_s in (*[0.01] * 60, 0.3, *[0.01] * 10, *[2.0] * 60):
        shared._learn(took_s)
        leads.append(shared.lead_s)
    fast, slow, after, slowest = leads[60], leads[61], leads[71], leads[-1]
    assert fast < after < slow
    assert after > 0.2
    assert slowest == max(leads) == 0.5


def ends(share: RunShare, state: State, count: int = 1, status: int | None = 422) -> None:
    """Let attempts of a share end in a state."""
    for key in claim(share, count):
        share.record([key], ())
        share.record((), [Settlement(key, state, status, code="x", counts=True)])


class AwayRates:
    """Rates in a database that does not come back."""

    def __init__(self) -> None:
        self.asked = threading.Event()

    def hold(self, seconds: float) -> None:
        """Be away."""
        del seconds
        self.asked.set()
        raise LedgerAway("The ledger cannot be reached.")


def test_a_database_that_stays_away_keeps_no_process_from_ending(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hold that cannot be noted is given up in the end."""
    monkeypatch.setattr("importer.sending.shared_rate._CLOSING_S", 0.05)
    rates = AwayRates()

    async def close() -> None:
        shared = SharedRate(rates, 10)  # type: ignore[arg-type]  # a stand-in
        shared.hold(30)
        assert await asyncio.to_thread(rates.asked.wait, 20)
        await asyncio.wait_for(shared.aclose(), 20)

    asyncio.run(close())


def test_failures_of_all_senders_count_together(server_url: str) -> None:
    """Two on one machine and two on another are four in a row."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        mine, theirs = share_of(one, run), share_of(two, run)
        mine.join()
        ends(mine, State.REJECTED, 2)
        theirs.join()
        ends(theirs, State.REJECTED, 2)
        breaker = CircuitBreaker(FailureLimits(max_failures_in_a_row=4), guards=theirs.guards)
        assert breaker.catch_up().exit_code is Exit.HELD
        ends(theirs, State.CREATED, 1, 201)
        assert not breaker.catch_up()
        assert theirs.guards.counts.failed == 4


def test_one_sender_stops_all(server_url: str) -> None:
    """Another one is told as soon as it has written something; the next run begins again."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        mine, theirs = share_of(one, run), share_of(two, run)
        for share in (mine, theirs):
            share.join()
        mine.guards.stop("The API refuses our credentials.", Exit.SETUP)
        ends(theirs, State.CREATED, 1, 201)
        breaker = CircuitBreaker(FailureLimits(), guards=theirs.guards)
        assert breaker.catch_up().exit_code is Exit.SETUP
        for share in (mine, theirs):
            share.hand_back()
        again = share_of(two, run)
        again.join()
        assert again.guards.stopped is None


def test_the_canary_is_sent_by_one(server_url: str) -> None:
    """The others wait until it has passed; if its sender is lost, another one sends it."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        mine, theirs = share_of(one, run), share_of(two, run)
        mine.join()
        assert mine.take_canary() is Canary.OPEN
        mine.claim(1)
        theirs.join()
        assert theirs.take_canary() is Canary.UNDER_WAY
        lose_lease(one)
        assert theirs.take_canary() is Canary.OPEN
        theirs.guards.pass_canary()
        assert theirs.take_canary() is Canary.PASSED


def test_a_canary_that_was_cut_short_is_sent_by_the_next_sender(server_url: str) -> None:
    """Its sender may be the next one, or be at work on another list."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        mine, theirs = share_of(one, run), share_of(two, run)
        mine.join()
        assert mine.take_canary() is mine.take_canary() is Canary.OPEN
        theirs.join()
        assert theirs.take_canary() is Canary.UNDER_WAY
        mine.hand_back()
        assert theirs.take_canary() is Canary.OPEN


def test_answers_that_change_no_guard_do_not_wait_for_its_row(server_url: str) -> None:
    """Another sender counts failures at the moment, and may be slow."""
    with sender(server_url) as one, sender(server_url) as two:
        run = plan(one)
        mine, theirs = share_of(one, run), share_of(two, run)
        mine.join()
        theirs.join()
        ends(mine, State.CREATED, 1, 201)
        held = select(run_guards).with_for_update()
        with two._database.engine.connect() as slow, slow.begin():
            slow.execute(held)
            ends(mine, State.CREATED, 2, 201)
        ends(theirs, State.REJECTED)
        ends(mine, State.CREATED, 1, 201)
        assert (mine.guards.counts.failed, mine.guards.counts.in_a_row) == (1, 0)


def test_what_is_no_end_does_not_count(server_url: str) -> None:
    """An attempt that is made again is no failure."""
    with sender(server_url) as one:
        run = plan(one)
        mine = share_of(one, run)
        mine.join()
        [key] = claim(mine, 1)
        mine.record([key], ())
        end = Settlement(key, State.UNSENT, None, code="ConnectError", counts=True)
        mine.record((), [replace(end, counts=False)])
        assert mine.guards.counts.failed == 0
