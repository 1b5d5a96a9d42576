"""Sending submissions, on time that leaps: order, bounds, stops, guards and failures."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.errors import Exit, LedgerError
from importer.ledger import Ledger
from importer.ledger.records import NewRun
from importer.ledger.writer import NOT_LEFT, LedgerWriter
from importer.model import MaybeSent, NotSent, Outcome, PlannedRow, Response, State
from importer.sending.circuit_breaker import CircuitBreaker, FailureLimits
from importer.sending.retry import Policy
from tests.support import builders
from tests.support.scripted_api import (
    CREATED,
    LOST,
    REFUSED,
    Happened,
    ScriptedApi,
    last_event_s,
    make_submissions,
    send_all,
)
from tests.support.virtual_time import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from importer.model import Submission
    from importer.sending.circuit_breaker import Ending


def test_each_goes_the_whole_road_in_order() -> None:
    """Intent, request, answer, record; then it is told."""
    scripted = ScriptedApi()
    ending = run(send_all(scripted, make_submissions(2)))
    assert not ending
    for key in ("key-0", "key-1"):
        steps = [what for _, what, whose in scripted.events if whose == key]
        assert steps == ["intend", "request", "answer", "settle"]
    assert scripted.outcomes == [
        Outcome(f"key-{n}", State.CREATED, attempts=1, status=201, conversation_id="c-1")
        for n in range(2)
    ]


def test_what_is_written_is_how_the_attempt_ended() -> None:
    """Status, id, reason and how long it took."""
    scripted = ScriptedApi({"key-0": [Response(400, error="no such campaign")]}, takes_s=1.5)
    run(send_all(scripted, make_submissions(1)))
    (settled,) = scripted.settled
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
    scripted = ScriptedApi({"key-0": [happened, CREATED]})
    run(send_all(scripted, make_submissions(1)))
    assert scripted.keys("request") == ["key-0"]
    assert [each.state for each in scripted.outcomes] == [state]


def test_what_surely_reached_nobody_goes_again_after_a_wait() -> None:
    """Planned again in the ledger before it waits, a new intent before it goes."""
    scripted = ScriptedApi({"key-0": [REFUSED, Response(429, retry_after_s=7), CREATED]})
    run(send_all(scripted, make_submissions(1), rate=1000))
    assert [each.state for each in scripted.settled] == [
        State.PLANNED,
        State.PLANNED,
        State.CREATED,
    ]
    assert scripted.times("settle") == pytest.approx([0, 0.5, 7.5], abs=0.01)
    assert scripted.times("intend") == pytest.approx([0, 0.5, 7.5], abs=0.01)
    (outcome,) = scripted.outcomes
    assert (outcome.state, outcome.attempts, outcome.status) == (State.CREATED, 3, 201)


def test_the_status_of_an_attempt_is_its_own() -> None:
    """An attempt without an answer does not keep that of the one before."""
    scripted = ScriptedApi({"key-0": [Response(429), LOST]})
    run(send_all(scripted, make_submissions(1)))
    assert [each.status for each in scripted.settled] == [429, None]
    assert scripted.outcomes[0].status is None


def test_attempts_are_bounded_and_then_it_is_unsent() -> None:
    """It proved that nothing was sent."""
    scripted = ScriptedApi({"key-0": [REFUSED]})
    run(send_all(scripted, make_submissions(1), policy=Policy(attempts=3)))
    assert len(scripted.keys("request")) == 3
    (outcome,) = scripted.outcomes
    assert (outcome.state, outcome.attempts, outcome.code) == (State.UNSENT, 3, "ConnectError")
    assert scripted.states() == {"key-0": State.UNSENT}


def test_total_time_is_bounded() -> None:
    """The clock of a submission begins with its first attempt, not in the queue before it."""
    scripted = ScriptedApi({"key-0": [REFUSED], "key-1": [REFUSED]})
    policy = Policy(attempts=1000, total_s=100, wait_base_s=40, max_wait_s=40)
    run(send_all(scripted, make_submissions(2), policy=policy))
    assert len(scripted.keys("request")) == 6
    assert {each.state for each in scripted.outcomes} == {State.UNSENT}


def test_every_attempt_takes_a_permit() -> None:
    """Also those that go again: never two within an interval."""
    scripted = ScriptedApi({f"key-{n}": [REFUSED, REFUSED, CREATED] for n in range(5)})
    run(
        send_all(
            scripted, make_submissions(5), rate=2, concurrency=4, policy=Policy(wait_base_s=0.01)
        )
    )
    times = scripted.times("request")
    assert len(times) == 15
    assert min(b - a for a, b in pairwise(times)) > 0.49


def test_retry_after_holds_everybody() -> None:
    """Nobody asks anything until it is over, and then more slowly."""
    scripted = ScriptedApi({"key-3": [Response(429, retry_after_s=30), CREATED]})
    run(send_all(scripted, make_submissions(40), rate=10, concurrency=4))
    times = scripted.times("request")
    assert len(times) == 41
    assert not [t for t in times if 0.5 < t < 30.2]
    after = [t for t in times if t > 30]
    assert after[1] - after[0] == pytest.approx(0.2, abs=0.02)
    assert {each.state for each in scripted.outcomes} == {State.CREATED}


def test_a_hold_also_holds_who_has_a_permit_in_hand() -> None:
    """It waits for a free lane, and gets one just because of the 429."""
    scripted = ScriptedApi({"key-0": [Response(429, retry_after_s=30), CREATED]}, takes_s=5)
    run(send_all(scripted, make_submissions(3), rate=10, concurrency=1))
    assert scripted.times("intend")[1] < 5
    assert min(at for at in scripted.times("request") if at > 0) == pytest.approx(35)
    assert {each.state for each in scripted.outcomes} == {State.CREATED}


def test_a_servers_quota_is_respected() -> None:
    """Two left for ten seconds: five between them."""
    scripted = ScriptedApi({"key-0": [Response(201, "c", remaining=2, reset_s=10.0)]})
    run(send_all(scripted, make_submissions(3), rate=10))
    assert scripted.times("request") == pytest.approx([0, 0.1, 5.1], abs=0.02)


def test_no_more_than_concurrency_are_under_way() -> None:
    """And as many, when there is work."""
    scripted = ScriptedApi(takes_s=1)
    run(send_all(scripted, make_submissions(20), concurrency=5))
    assert scripted.most_in_flight == 5
    assert last_event_s(scripted) == pytest.approx(4)


def test_a_slow_ledger_does_not_slow_the_rate() -> None:
    """Intents are written while others are under way; 98 % of the rate is used."""
    scripted = ScriptedApi(takes_s=0.1, writes_s=0.03)
    run(send_all(scripted, make_submissions(1000), rate=50, concurrency=8))
    assert last_event_s(scripted) < 1000 / 50 / 0.98 + 0.2
    assert scripted.most_in_flight <= 8


def test_without_a_rate_no_lane_stands_empty() -> None:
    """The ledger takes five times as long as the API, and costs nothing."""
    scripted = ScriptedApi(takes_s=0.01, writes_s=0.05)
    run(send_all(scripted, make_submissions(1000), concurrency=4))
    assert scripted.most_in_flight == 4
    assert last_event_s(scripted) < 1000 * 0.01 / 4 * 1.3


def test_a_slow_api_gets_no_burst() -> None:
    """Who waits for a free lane holds at most one permit in hand."""
    scripted = ScriptedApi(takes_s=2)
    run(send_all(scripted, make_submissions(40), rate=5, concurrency=4))
    times = scripted.times("request")
    assert max(sum(start <= t < start + 1 for t in times) for start in times) <= 5


def test_submissions_are_drawn_as_they_are_sent() -> None:
    """Never many more in hand than are under way, however long the list."""
    scripted = ScriptedApi(takes_s=1)
    ahead = []

    def drawing() -> Iterator[Submission]:
        for number in range(200):
            ahead.append(number - len(scripted.outcomes))
            yield builders.submission(number)

    run(send_all(scripted, drawing(), concurrency=4, rate=10))
    assert len(scripted.outcomes) == 200
    assert max(ahead) <= 6


def boom_at(key: str) -> Callable[[str], None]:
    """Return a function that fails for one submission."""

    def boom(here: str) -> None:
        if here == key:
            raise LedgerError("The disk is full.")

    return boom


def test_a_ledger_that_refuses_an_intent_stops_everything_safely() -> None:
    """The refused one is not sent; what is under way is recorded; then the error is raised."""
    scripted = ScriptedApi(takes_s=1, before_intent=boom_at("key-4"))
    with pytest.raises(LedgerError, match="disk is full"):
        run(send_all(scripted, make_submissions(50), rate=10, concurrency=30))
    sent = [f"key-{n}" for n in range(4)]
    assert scripted.keys("request") == sent
    assert scripted.states() == dict.fromkeys(sent, State.CREATED)
    assert len(scripted.outcomes) == 4


def test_an_end_that_cannot_be_recorded_is_not_told() -> None:
    """What the ledger does not know is never reported; the others are."""
    scripted = ScriptedApi(takes_s=1, before_settling=boom_at("key-1"))
    with pytest.raises(LedgerError):
        run(send_all(scripted, make_submissions(50), concurrency=3))
    assert {each.key for each in scripted.outcomes} == set(scripted.keys("request")) - {"key-1"}
    assert len(scripted.keys("request")) == 3


def test_a_submission_that_cannot_be_made_stops_everything_safely() -> None:
    """A fault in rendering is raised when what is under way has ended."""

    def drawing() -> Iterator[Submission]:
        yield from make_submissions(9)
        raise ZeroDivisionError

    scripted = ScriptedApi(takes_s=1)
    with pytest.raises(ZeroDivisionError):
        run(send_all(scripted, drawing(), rate=10, concurrency=2))
    assert len(scripted.outcomes) == len(scripted.keys("request")) > 0


def test_a_cancelled_run_leaves_what_is_under_way_open() -> None:
    """Its intent stands without an end, so that it is doubtful; nothing is made up about it."""
    scripted = ScriptedApi(takes_s=100)

    async def main() -> None:
        task = asyncio.create_task(send_all(scripted, make_submissions(9), concurrency=2))
        await asyncio.sleep(50)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert scripted.keys("request") == ["key-0", "key-1"]
    assert set(scripted.keys("request")) <= set(scripted.keys("intend"))
    assert scripted.settled == []


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
    scripted = ScriptedApi(
        {f"key-{n}": list(script) for n, script in enumerate(scripts)}, takes_s, writes_s
    )

    async def main() -> Ending:
        stop = asyncio.Event()
        if stop_at is not None:
            asyncio.get_running_loop().call_later(stop_at, stop.set)
        return await send_all(
            scripted, make_submissions(len(scripts)), rate=rate, concurrency=concurrency, stop=stop
        )

    ending = run(main())
    messages = {each.key: each.state for each in scripted.outcomes}
    assert len(messages) == len(scripted.outcomes)
    assert scripted.most_in_flight <= concurrency
    for number, script in enumerate(scripts):
        key = f"key-{number}"
        steps = " ".join(what for _, what, k in scripted.events if k == key)
        whole = steps.replace("intend request answer settle", "attempt")
        assert set(whole.split()) <= {"attempt", "intend", "settle"}
        requests = whole.split().count("attempt")
        assert whole.replace("intend settle", "").split() == ["attempt"] * requests
        asked = [script[min(n, len(script) - 1)] for n in range(requests)]
        assert all(reached_nobody(each) for each in asked[:-1])
        stands = scripted.states().get(key, State.PLANNED)
        assert messages.get(key, State.PLANNED) is stands
        assert stands is not State.PLANNED or ending


def test_a_refused_campaign_is_left_and_the_others_go_on() -> None:
    """One request for it; its rows are unsent and no failures, and the ending says so."""
    refused = Response(404, error="Campaign not found", words="campaign not found")
    scripted = ScriptedApi({f"key-{n}": [refused] for n in range(0, 30, 2)}, takes_s=1)
    breaker = CircuitBreaker(FailureLimits(max_failures_in_a_row=2))
    mixed = (
        replace(builders.submission(n), campaign="camp-0" if n % 2 == 0 else "camp-1")
        for n in range(30)
    )
    ending = run(send_all(scripted, mixed, rate=10, breaker=breaker))
    assert not ending
    assert scripted.keys("request").count("key-0") == 1
    assert [key for key in scripted.keys("request") if int(key[4:]) % 2 == 0] == ["key-0"]
    states = [scripted.states()[f"key-{n}"] for n in range(30)]
    assert states == [State.UNSENT, State.CREATED] * 15
    messages = breaker.closed.ending()
    assert messages.exit_code is Exit.SETUP
    assert "Campaign camp-0: The API does not accept this campaign" in messages.reason
    assert "Check the campaign's id, and `base_url` with its path." in messages.reason
    assert "(15)" in messages.reason


def test_a_conversation_of_another_is_doubtful_and_counts() -> None:
    """Only the ledger knows every conversation; it is stronger than the answer."""
    scripted = ScriptedApi(of_another=frozenset({"key-0", "key-1"}))
    ending = run(
        send_all(scripted, make_submissions(9), limits=FailureLimits(max_failures_in_a_row=2))
    )
    first = scripted.outcomes[:2]
    assert [each.state for each in first] == [State.DOUBTFUL] * 2
    assert {each.code for each in first} == {"conversation-of-another"}
    assert {each.conversation_id for each in first} == {None}
    assert len(scripted.keys("request")) <= 3
    assert ending.exit_code is Exit.HELD


def test_as_many_doubts_as_allowed_stop_the_run() -> None:
    """Those that there were before count as well; the run ends because of doubt."""
    scripted = ScriptedApi({f"key-{n}": [LOST] for n in range(0, 30, 2)})
    limits = FailureLimits(max_failures_in_a_row=10, max_doubtful=5)
    ending = run(
        send_all(scripted, make_submissions(30), breaker=CircuitBreaker(limits, doubtful=2))
    )
    assert ending.exit_code is Exit.DOUBTFUL
    assert str(ending).startswith("5 submissions are doubtful (max_doubtful: 5)")
    assert [each.state for each in scripted.outcomes].count(State.DOUBTFUL) == 3


@pytest.mark.parametrize(
    "gone", [Response(429, retry_after_s=7_200), Response(201, "c-1", remaining=0, reset_s=7_200)]
)
def test_a_quota_that_is_gone_ends_the_run(gone: Response) -> None:
    """Nothing crawls until it is back."""
    scripted = ScriptedApi({"key-0": [gone]})
    ending = run(send_all(scripted, make_submissions(9), rate=10))
    assert ending.exit_code is Exit.SETUP
    assert "quota is used up" in str(ending)
    assert "importer resume" in str(ending)
    assert scripted.keys("request") == ["key-0"]
    assert last_event_s(scripted) < 1


def test_each_attempt_has_an_id_of_its_own() -> None:
    """Kept if the answer carries none; forgotten if nothing left."""
    named = Response(201, "c-1", request_id="api-7")
    scripted = ScriptedApi({"key-0": [REFUSED, Response(429), named], "key-1": [LOST]})
    run(send_all(scripted, make_submissions(2)))
    assert len(set(scripted.request_ids)) == len(scripted.request_ids) == 4
    asked = dict(zip(scripted.request_ids, scripted.keys("request"), strict=True))
    ours = [each for each, key in asked.items() if key == "key-0"]
    assert [s.request_id for s in scripted.settled if s.key == "key-0"] == ["", ours[1], "api-7"]
    (lost,) = (s.request_id for s in scripted.settled if s.key == "key-1")
    assert asked[lost] == "key-1"


@pytest.mark.parametrize(("skew_s", "messages"), [(59.0, 0), (-61.0, 1), (None, 0)])
def test_a_skewed_clock_is_told_once(skew_s: float | None, messages: int) -> None:
    """More than a minute, however often it is met."""
    scripted = ScriptedApi({f"key-{n}": [Response(201, f"c-{n}", skew_s=skew_s)] for n in range(5)})
    run(send_all(scripted, make_submissions(5)))
    assert len(scripted.stages) == messages


def test_an_intent_is_taken_back_if_its_sender_is_cancelled(tmp_path: Path) -> None:
    """Also if it is durable, and the cancellation comes before the sender is told."""
    senders: list[asyncio.Task[None]] = []

    class Late(LedgerWriter):
        """Cancels the sender just when its intent is durable."""

        def _tell(self, done: Any) -> None:
            super()._tell(done)
            while senders:
                senders.pop().cancel()

    async def main(ledger: Ledger, run_id: str) -> None:
        async with Late(ledger, run_id) as journal:
            sender = asyncio.create_task(journal.intend(builders.submission(0)))
            senders.append(sender)
            with pytest.raises(asyncio.CancelledError):
                await sender

    row = PlannedRow(0, 2, "ready", key="key-0", campaign="camp-42", external_id="ext-0")
    with Ledger.open(f"sqlite:///{tmp_path / 'importer.db'}") as ledger:
        run_id = ledger.runs.begin(NewRun("a" * 64, ()), [row])
        asyncio.run(main(ledger, run_id))
        known = ledger.submissions.records(["key-0"])["key-0"]
        assert (known.state, known.code) == (State.PLANNED, NOT_LEFT)
        assert ledger.submissions.sendable(run_id) == ["key-0"]
        assert ledger.doubts.list() == ()


def test_an_intent_is_taken_back_if_the_run_stops_before_it_leaves() -> None:
    """A stop while it waits for a lane: the ledger knows that nothing left."""
    scripted = ScriptedApi(takes_s=10)

    async def main() -> Ending:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(1, stop.set)
        return await send_all(scripted, make_submissions(5), stop=stop)

    run(main())
    assert scripted.keys("request") == ["key-0"]
    taken_back = {each.key: each for each in scripted.settled if each.code == NOT_LEFT}
    assert set(taken_back) == set(scripted.keys("intend")) - {"key-0"} != set()
    assert {each.state for each in taken_back.values()} == {State.PLANNED}
