"""The road of submissions, on time that leaps: order, bounds, stops, guards and failures."""

from __future__ import annotations

import asyncio
import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import LedgerError
from importer.model import MaybeSent, NotSent, Outcome, Response, State
from importer.sending.retry import Policy
from tests.support import made
from tests.support.leaping import run
from tests.support.road import CREATED, LOST, REFUSED, Happened, ScriptedEnds, clock_end, go, some

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.model import Submission
    from importer.sending.circuit_breaker import Ending


def test_each_goes_the_whole_road_in_order() -> None:
    """Intent, request, answer, record; then it is told."""
    road = ScriptedEnds()
    ending = run(go(road, some(2)))
    assert not ending
    for key in ("key-0", "key-1"):
        steps = [what for _, what, whose in road.events if whose == key]
        assert steps == ["intend", "request", "answer", "settle"]
    assert road.outcomes == [
        Outcome(f"key-{n}", State.CREATED, attempts=1, status=201, conversation_id="c-1")
        for n in range(2)
    ]


def test_what_is_written_is_how_the_attempt_ended() -> None:
    """Status, id, reason and how long it took."""
    road = ScriptedEnds({"key-0": [Response(400, error="no such campaign")]}, takes_s=1.5)
    run(go(road, some(1)))
    (settled,) = road.settled
    assert settled.state is State.REJECTED
    assert (settled.status, settled.code, settled.duration_s) == (400, "http-400", 1.5)
    assert settled.message == "The API refused the row (HTTP 400): no such campaign."


@pytest.mark.parametrize(
    ("happened", "state"),
    [
        (CREATED, State.CREATED),
        (Response(409, "c-9"), State.DUPLICATE),
        (Response(409), State.REJECTED),
        (Response(422), State.REJECTED),
        (Response(500), State.DOUBTFUL),
        (LOST, State.DOUBTFUL),
    ],
)
def test_a_settled_end_is_never_repeated(happened: Happened, state: State) -> None:
    """Above all a doubtful one."""
    road = ScriptedEnds({"key-0": [happened, CREATED]})
    run(go(road, some(1)))
    assert road.keys("request") == ["key-0"]
    assert [each.state for each in road.outcomes] == [state]


def test_what_surely_reached_nobody_goes_again_after_a_wait() -> None:
    """Planned again in the ledger before it waits, a new intent before it goes."""
    road = ScriptedEnds({"key-0": [REFUSED, Response(429, retry_after_s=7), CREATED]})
    run(go(road, some(1), rate=1000))
    assert [each.state for each in road.settled] == [State.PLANNED, State.PLANNED, State.CREATED]
    assert road.times("settle") == pytest.approx([0, 0.5, 7.5], abs=0.01)
    assert road.times("intend") == pytest.approx([0, 0.5, 7.5], abs=0.01)
    (outcome,) = road.outcomes
    assert (outcome.state, outcome.attempts, outcome.status) == (State.CREATED, 3, 201)


def test_the_status_of_an_attempt_is_its_own() -> None:
    """An attempt without an answer does not keep that of the one before."""
    road = ScriptedEnds({"key-0": [Response(429), LOST]})
    run(go(road, some(1)))
    assert [each.status for each in road.settled] == [429, None]
    assert road.outcomes[0].status is None


def test_attempts_are_bounded_and_then_it_is_unsent() -> None:
    """It proved that nothing was sent."""
    road = ScriptedEnds({"key-0": [REFUSED]})
    run(go(road, some(1), policy=Policy(attempts=3)))
    assert len(road.keys("request")) == 3
    (outcome,) = road.outcomes
    assert (outcome.state, outcome.attempts, outcome.code) == (State.UNSENT, 3, "ConnectError")
    assert road.states() == {"key-0": State.UNSENT}


def test_total_time_is_bounded() -> None:
    """The clock of a submission begins with its first attempt, not in the queue before it."""
    road = ScriptedEnds({"key-0": [REFUSED], "key-1": [REFUSED]})
    policy = Policy(attempts=1000, total_s=100, wait_base_s=40, max_wait_s=40)
    run(go(road, some(2), policy=policy))
    assert len(road.keys("request")) == 6
    assert {each.state for each in road.outcomes} == {State.UNSENT}


def test_every_attempt_takes_a_permit() -> None:
    """Also those that go again: never two within an interval."""
    road = ScriptedEnds({f"key-{n}": [REFUSED, REFUSED, CREATED] for n in range(5)})
    run(go(road, some(5), rate=2, concurrency=4, policy=Policy(wait_base_s=0.01)))
    times = road.times("request")
    assert len(times) == 15
    assert min(b - a for a, b in pairwise(times)) > 0.49


def test_retry_after_holds_everybody() -> None:
    """Nobody asks anything until it is over, and then more slowly."""
    road = ScriptedEnds({"key-3": [Response(429, retry_after_s=30), CREATED]})
    run(go(road, some(40), rate=10, concurrency=4))
    times = road.times("request")
    assert len(times) == 41
    assert not [t for t in times if 0.5 < t < 30.2]
    after = [t for t in times if t > 30]
    assert after[1] - after[0] == pytest.approx(0.2, abs=0.02)
    assert {each.state for each in road.outcomes} == {State.CREATED}


def test_a_hold_also_holds_who_has_a_permit_in_hand() -> None:
    """It waits for a free lane, and gets one just because of the 429."""
    road = ScriptedEnds({"key-0": [Response(429, retry_after_s=30), CREATED]}, takes_s=5)
    run(go(road, some(3), rate=10, concurrency=1))
    assert road.times("intend")[1] < 5
    assert min(at for at in road.times("request") if at > 0) == pytest.approx(35)
    assert {each.state for each in road.outcomes} == {State.CREATED}


def test_a_servers_quota_is_respected() -> None:
    """Two left for ten seconds: five between them."""
    road = ScriptedEnds({"key-0": [Response(201, "c", remaining=2, reset_s=10.0)]})
    run(go(road, some(3), rate=10))
    assert road.times("request") == pytest.approx([0, 0.1, 5.1], abs=0.02)


def test_no_more_than_concurrency_are_under_way() -> None:
    """And as many, when there is work."""
    road = ScriptedEnds(takes_s=1)
    run(go(road, some(20), concurrency=5))
    assert road.most_in_flight == 5
    assert clock_end(road) == pytest.approx(4)


def test_a_slow_ledger_does_not_slow_the_rate() -> None:
    """Intents are written while others are under way; 98 % of the rate is used."""
    road = ScriptedEnds(takes_s=0.1, writes_s=0.03)
    run(go(road, some(1000), rate=50, concurrency=8))
    assert clock_end(road) < 1000 / 50 / 0.98 + 0.2
    assert road.most_in_flight <= 8


def test_without_a_rate_no_lane_stands_empty() -> None:
    """The ledger takes five times as long as the API, and costs nothing."""
    road = ScriptedEnds(takes_s=0.01, writes_s=0.05)
    run(go(road, some(1000), concurrency=4))
    assert road.most_in_flight == 4
    assert clock_end(road) < 1000 * 0.01 / 4 * 1.3


def test_a_slow_api_gets_no_burst() -> None:
    """Who waits for a free lane holds at most one permit in hand."""
    road = ScriptedEnds(takes_s=2)
    run(go(road, some(40), rate=5, concurrency=4))
    times = road.times("request")
    assert max(sum(start <= t < start + 1 for t in times) for start in times) <= 5


def test_submissions_are_drawn_as_they_are_sent() -> None:
    """Never many more in hand than are under way, however long the list."""
    road = ScriptedEnds(takes_s=1)
    ahead = []

    def drawing() -> Iterator[Submission]:
        for number in range(200):
            ahead.append(number - len(road.outcomes))
            yield made.submission(number)

    run(go(road, drawing(), concurrency=4, rate=10))
    assert len(road.outcomes) == 200
    assert max(ahead) <= 6


def boom_at(key: str) -> Callable[[str], None]:
    """Fails for one submission."""

    def boom(here: str) -> None:
        if here == key:
            raise LedgerError("The disk is full.")

    return boom


def test_a_ledger_that_refuses_an_intent_stops_everything_safely() -> None:
    """The refused one is not sent; what is under way is recorded; then the error is raised."""
    road = ScriptedEnds(takes_s=1, before_intent=boom_at("key-4"))
    with pytest.raises(LedgerError, match="disk is full"):
        run(go(road, some(50), rate=10, concurrency=30))
    sent = [f"key-{n}" for n in range(4)]
    assert road.keys("request") == sent
    assert road.states() == dict.fromkeys(sent, State.CREATED)
    assert len(road.outcomes) == 4


def test_an_end_that_cannot_be_recorded_is_not_told() -> None:
    """What the ledger does not know is never reported; the others are."""
    road = ScriptedEnds(takes_s=1, before_settling=boom_at("key-1"))
    with pytest.raises(LedgerError):
        run(go(road, some(50), concurrency=3))
    assert {each.key for each in road.outcomes} == set(road.keys("request")) - {"key-1"}
    assert len(road.keys("request")) == 3


def test_a_submission_that_cannot_be_made_stops_everything_safely() -> None:
    """A fault in rendering is raised when what is under way has ended."""

    def drawing() -> Iterator[Submission]:
        yield from some(9)
        raise ZeroDivisionError

    road = ScriptedEnds(takes_s=1)
    with pytest.raises(ZeroDivisionError):
        run(go(road, drawing(), rate=10, concurrency=2))
    assert len(road.outcomes) == len(road.keys("request")) > 0


def test_a_cancelled_run_leaves_what_is_under_way_open() -> None:
    """Its intent stands without an end, so that it is doubtful; nothing is made up about it."""
    road = ScriptedEnds(takes_s=100)

    async def main() -> None:
        task = asyncio.create_task(go(road, some(9), concurrency=2))
        await asyncio.sleep(50)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert road.keys("request") == ["key-0", "key-1"]
    assert set(road.keys("request")) <= set(road.keys("intend"))
    assert road.settled == []


HAPPENINGS = st.sampled_from(
    [
        *(
            CREATED,
            CREATED,
            Response(409),
            Response(400),
            Response(500),
            Response(200, readable=False),
            LOST,
        ),
        *(REFUSED, Response(429), Response(429, retry_after_s=9), Response(503, retry_after_s=1)),
        Response(401),
    ]
)


def reached_nobody(happened: Happened) -> bool:
    """Whether it may be tried again."""
    return not isinstance(happened, MaybeSent) and (
        isinstance(happened, NotSent) or happened.status in {429, 503}
    )


@settings(max_examples=150, deadline=None)
@given(
    scripts=st.lists(st.lists(HAPPENINGS, min_size=1, max_size=7), max_size=25),
    concurrency=st.integers(1, 6),
    stop_at=st.none() | st.floats(0.01, 60),
    takes_s=st.sampled_from([0.0, 0.3]),
    writes_s=st.sampled_from([0.0, 0.2]),
    rate=st.sampled_from([math.inf, 7.0]),
)
def test_whatever_happens_nobody_is_asked_twice_and_nothing_is_lost(
    *,
    scripts: list[list[Happened]],
    concurrency: int,
    stop_at: float | None,
    takes_s: float,
    writes_s: float,
    rate: float,
) -> None:
    """Each request has its intent; none follows one that may have arrived; all is recorded."""
    road = ScriptedEnds(
        {f"key-{n}": list(script) for n, script in enumerate(scripts)}, takes_s, writes_s
    )

    async def main() -> Ending:
        stop = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stop.set)
        return await go(road, some(len(scripts)), rate=rate, concurrency=concurrency, stop=stop)

    ending = run(main())
    told = {each.key: each.state for each in road.outcomes}
    assert len(told) == len(road.outcomes)
    assert road.most_in_flight <= concurrency
    for number, script in enumerate(scripts):
        key = f"key-{number}"
        steps = " ".join(what for _, what, k in road.events if k == key)
        whole = steps.replace("intend request answer settle", "attempt")
        assert set(whole.split()) <= {"attempt", "intend", "settle"}
        requests = whole.split().count("attempt")
        assert whole.replace("intend settle", "").split() == ["attempt"] * requests
        asked = [script[min(n, len(script) - 1)] for n in range(requests)]
        assert all(reached_nobody(each) for each in asked[:-1])
        stands = road.states().get(key, State.PLANNED)
        assert told.get(key, State.PLANNED) is stands
        assert stands is not State.PLANNED or ending
