"""What ends a run before its work is done, and what is under way then."""

from __future__ import annotations

import asyncio
import math

import pytest

from importer.errors import Exit
from importer.ledger.writer import NOT_LEFT
from importer.model import Outcome, Response, State
from importer.sending.circuit_breaker import Ending, FailureLimits, OutageDetector
from tests.support import builders
from tests.support.scripted_api import (
    CREATED,
    LOST,
    REFUSED,
    Happened,
    ScriptedApi,
    make_submissions,
    send_all,
)
from tests.support.virtual_time import clock, run


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_stops_everything_but_what_is_under_way(status: int) -> None:
    """The one that met it is unsent, those under way are recorded, nothing else begins."""
    scripted = ScriptedApi({"key-1": [Response(status, error="bad key")]}, takes_s=1)
    ending = run(send_all(scripted, make_submissions(50), concurrency=3))
    assert ending.exit_code is Exit.SETUP
    assert str(ending) == (
        f"The API refuses our credentials (HTTP {status}): bad key. "
        "Check POPP_API_KEY and POPP_ORGANIZATION_ID."
    )
    assert sorted(scripted.keys("request")) == ["key-0", "key-1", "key-2"]
    messages = {each.key: each.state for each in scripted.outcomes}
    assert messages == {"key-0": State.CREATED, "key-1": State.UNSENT, "key-2": State.CREATED}
    others = {state for key, state in scripted.states().items() if key not in messages}
    assert others <= {State.PLANNED}


def test_a_refusal_calls_off_what_is_only_intended() -> None:
    """An intent whose request has not left is taken back; it was no attempt at anybody."""
    scripted = ScriptedApi({"key-0": [Response(401)]}, takes_s=1, writes_s=0.4)
    run(send_all(scripted, make_submissions(9), rate=0.9, concurrency=3))
    assert scripted.keys("request") == ["key-0"]
    assert scripted.keys("intend") == ["key-0", "key-1"]
    assert scripted.states() == {"key-0": State.UNSENT, "key-1": State.PLANNED}
    (called_off,) = [each for each in scripted.settled if each.key == "key-1"]
    assert (called_off.code, called_off.status, called_off.duration_s) == (NOT_LEFT, None, 0.0)
    assert [each.key for each in scripted.outcomes] == ["key-0"]


def stopping(
    scripted: ScriptedApi, at_s: float, count: int = 50, **how: float
) -> tuple[Ending, float]:
    """Send with a stop after some seconds; the ending, and when it was all over."""

    async def main() -> tuple[Ending, float]:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(at_s, stop.set)
        rate, concurrency = how.get("rate", math.inf), int(how.get("concurrency", 1))
        ending = await send_all(
            scripted, make_submissions(count), rate=rate, concurrency=concurrency, stop=stop
        )
        return ending, clock()

    return run(main())


def test_a_stop_lets_what_is_under_way_finish() -> None:
    """It is answered, recorded and told; nothing else begins."""
    scripted = ScriptedApi(takes_s=10)
    ending, over = stopping(scripted, at_s=13, concurrency=2)
    assert ending.exit_code is Exit.INTERRUPTED
    assert over == 20
    assert len(scripted.keys("request")) == 4
    assert [each.state for each in scripted.outcomes] == [State.CREATED] * 4


def test_a_stop_ends_every_wait_at_once() -> None:
    """For a permit, for the end of a hold, for the next attempt."""
    scripted = ScriptedApi({"key-1": [Response(429, retry_after_s=60)]})
    _, over = stopping(scripted, at_s=5, rate=10, concurrency=4)
    assert over == 5
    assert scripted.states()["key-1"] is State.PLANNED
    assert "key-1" not in {each.key for each in scripted.outcomes}


def test_an_attempt_that_is_called_off_has_no_status() -> None:
    """Not even that of the attempt before it."""
    scripted = ScriptedApi(
        {"key-0": [Response(429, retry_after_s=1)], "key-1": [CREATED]}, takes_s=10
    )
    stopping(scripted, at_s=15, count=2, rate=1, concurrency=1)
    again = [each for each in scripted.settled if each.key == "key-0"]
    assert [(each.code, each.status) for each in again] == [("http-429", 429), (NOT_LEFT, None)]


def test_a_stop_before_the_beginning_draws_nothing() -> None:
    """Not even a body is rendered."""
    drawn = make_submissions(3)

    async def main() -> Ending:
        stop = asyncio.Event()
        stop.set()
        return await send_all(ScriptedApi(), drawn, stop=stop)

    assert run(main()).exit_code is Exit.INTERRUPTED
    assert len(list(drawn)) == 3


def test_a_stop_after_the_end_is_none() -> None:
    """All was done."""

    async def main() -> Ending:
        stop = asyncio.Event()
        ending = await send_all(ScriptedApi(), make_submissions(3), stop=stop)
        stop.set()
        return ending

    assert run(main()) == Ending()


# ---- guards ----------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [Response(400), Response(500), LOST])
def test_an_unbroken_row_of_failures_stops(failure: Happened) -> None:
    """Rejected, doubtful or unsent, it is the same."""
    scripted = ScriptedApi({f"key-{n}": [failure] for n in range(50)})
    ending = run(
        send_all(scripted, make_submissions(50), limits=FailureLimits(max_failures_in_a_row=4))
    )
    assert ending.exit_code is Exit.HELD
    assert str(ending).startswith("4 submissions in a row failed. The last: ")
    assert len(scripted.keys("request")) == 4


@pytest.mark.parametrize("between", [CREATED, Response(409, "c-9")])
def test_a_good_end_breaks_the_row(between: Happened) -> None:
    """A duplicate is no failure either."""
    scripted = ScriptedApi(
        {f"key-{n}": [between if n % 3 == 2 else Response(400)] for n in range(30)}
    )
    assert not run(
        send_all(scripted, make_submissions(30), limits=FailureLimits(max_failures_in_a_row=3))
    )
    assert len(scripted.outcomes) == 30


def test_more_failures_than_allowed_stop() -> None:
    """As many as allowed do not."""
    scripted = ScriptedApi({f"key-{n}": [Response(400)] for n in (1, 4, 9, 16, 25)})
    assert not run(send_all(scripted, make_submissions(30), limits=FailureLimits(max_failures=5)))
    scripted = ScriptedApi({f"key-{n}": [Response(400)] for n in (1, 4, 9, 16, 25)})
    ending = run(send_all(scripted, make_submissions(30), limits=FailureLimits(max_failures=3)))
    assert ending.exit_code is Exit.HELD
    assert str(ending).startswith("4 submissions failed; max_failures allows 3. The last: ")
    assert len(scripted.outcomes) == 17


def test_an_api_that_is_not_there_is_no_guard_but_a_fault_of_the_setup() -> None:
    """However few or many there were to send."""
    for count, sent in ((3, 3), (50, 4)):
        scripted = ScriptedApi({f"key-{n}": [REFUSED] for n in range(50)})
        ending = run(
            send_all(
                scripted, make_submissions(count), limits=FailureLimits(max_failures_in_a_row=4)
            )
        )
        assert ending.exit_code is Exit.SETUP
        assert str(ending).startswith("The API cannot be reached. The last: No connection")
        assert len(scripted.outcomes) == sent


def test_an_api_that_goes_away_is_held() -> None:
    """It was there, and a row of failures is a row of failures."""
    scripted = ScriptedApi(
        {f"key-{n}": [REFUSED if n % 2 else Response(500)] for n in range(2, 50)}
    )
    ending = run(
        send_all(scripted, make_submissions(50), limits=FailureLimits(max_failures_in_a_row=4))
    )
    assert ending.exit_code is Exit.HELD
    one_left = ScriptedApi({"key-1": [REFUSED]})
    assert not run(send_all(one_left, make_submissions(3)))


def test_the_guards_are_those_of_the_settings() -> None:
    """A share is of all that the run means to send."""
    chosen = builders.settings(max_failures="5%", max_failures_in_a_row=7)
    assert FailureLimits.of(chosen, 340) == FailureLimits(17, 7, 10)


@pytest.mark.parametrize(
    ("states", "outage"),
    [
        ([], False),
        ([State.CREATED, State.DOUBTFUL, State.UNSENT], True),
        ([State.REJECTED, State.CREATED, State.DOUBTFUL], True),
        ([State.CREATED, State.DOUBTFUL, State.REJECTED], False),
        ([State.REJECTED, State.DOUBTFUL], False),
        ([State.DOUBTFUL, State.DUPLICATE], False),
    ],
)
def test_an_outage_is_no_refusal(states: list[State], outage: bool) -> None:  # noqa: FBT001
    """Only failures since the last success count; one refused row shows that the service works."""
    detector = OutageDetector()
    for number, state in enumerate(states):
        detector.note(Outcome(f"key-{number}", state, attempts=1))
    assert detector.outage is outage
