"""The decision table, line by line and as laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import Decision, MaybeSent, NotSent, Response, Verb
from importer.sending.retry import TABLE, Policy, backoff_s, decide, pause_s
from importer.settings import Settings

P = Policy()


def ruled(
    happened: Response | NotSent | MaybeSent, attempt: int = 1, elapsed_s: float = 0.0
) -> Decision:
    """The decision without chance: every jitter is the longest."""
    return decide(happened, attempt, elapsed_s, P, lambda: 1.0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_a_2xx_is_created_even_without_an_id(status: int) -> None:
    """Any 2xx counts, and it is never sent again."""
    assert ruled(Response(status)) == Decision(Verb.CREATED)
    assert ruled(Response(status, conversation_id="c-1")) == Decision(Verb.CREATED)


def test_an_unreadable_2xx_is_doubtful() -> None:
    """A page of a proxy is no acceptance."""
    decision = ruled(Response(200, readable=False))
    assert (decision.verb, decision.code) == (Verb.DOUBTFUL, "http-200")


def test_a_2xx_that_contradicts_itself_is_doubtful() -> None:
    """An error without a conversation is no clear answer; with one, the conversation counts."""
    assert ruled(Response(200, error="campaign is archived")).verb is Verb.DOUBTFUL
    assert ruled(Response(200, "c-1", error="sent late")).verb is Verb.CREATED


def test_409_is_duplicate() -> None:
    """The API says that this person already has this conversation."""
    decision = ruled(Response(409, error="exists"))
    assert decision.verb is Verb.DUPLICATE
    assert decision.message == "This person already has this conversation (HTTP 409): exists."


@pytest.mark.parametrize("status", [400, 404, 422])
@pytest.mark.parametrize("text", ["Conversation ALREADY Exists", "duplicate participant"])
def test_duplicate_texts_count_in_any_4xx_and_any_case(status: int, text: str) -> None:
    """Nobody knows yet which status a duplicate answers."""
    assert ruled(Response(status, error=text)).verb is Verb.DUPLICATE


@pytest.mark.parametrize(
    ("status", "verb"),
    [(401, Verb.STOP), (408, Verb.DOUBTFUL), (429, Verb.AGAIN), (500, Verb.DOUBTFUL)],
)
def test_duplicate_texts_do_not_count_elsewhere(status: int, verb: Verb) -> None:
    """A text must not turn an unclear end, or a refusal of all of us, into a clear answer."""
    assert ruled(Response(status, error="duplicate")).verb is verb


def test_the_settings_say_what_means_duplicate() -> None:
    """A wrong guess of ours costs the user one line of configuration."""
    policy = Policy.of(
        Settings(duplicate_statuses=(403, 208), duplicate_texts=("vorhanden",), attempts=7)
    )
    assert policy.attempts == 7
    assert decide(Response(403), 1, 0, policy, lambda: 1).verb is Verb.DUPLICATE
    assert decide(Response(208), 1, 0, policy, lambda: 1).verb is Verb.DUPLICATE
    assert decide(Response(400, error="Vorhanden!"), 1, 0, policy, lambda: 1).verb is Verb.DUPLICATE
    assert decide(Response(409), 1, 0, policy, lambda: 1).verb is Verb.REJECTED


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refusal_of_our_credentials_stops_the_run(status: int) -> None:
    """Every further request would be refused as well."""
    decision = ruled(Response(status, error="bad key"))
    assert decision.verb is Verb.STOP
    assert decision.message == f"The API refuses our credentials (HTTP {status}): bad key."


@pytest.mark.parametrize("status", [400, 402, 404, 405, 410, 413, 415, 421, 422, 451])
def test_other_4xx_are_rejected(status: int) -> None:
    """A definite no: nobody was contacted."""
    assert ruled(Response(status)).verb is Verb.REJECTED


@pytest.mark.parametrize("status", [408, 425, 499])
def test_a_4xx_that_does_not_say_whether_it_was_taken_is_doubtful(status: int) -> None:
    """These come from whatever stands between us and the API."""
    assert ruled(Response(status)).verb is Verb.DOUBTFUL


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_doubtful(status: int) -> None:
    """It is never followed, and no clear answer."""
    assert ruled(Response(status)).verb is Verb.DOUBTFUL


@pytest.mark.parametrize("status", [101, 199, 500, 501, 502, 503, 504, 520, 599, 600, 999])
def test_whatever_else_is_doubtful(status: int) -> None:
    """5xx may have been accepted; a status that is none says nothing."""
    assert ruled(Response(status)).verb is Verb.DOUBTFUL


def test_429_waits_as_told_with_everybody() -> None:
    """Retry-After counts as it stands, up to the bound."""
    assert ruled(Response(429, retry_after_s=9e9)) == Decision(
        Verb.AGAIN,
        60.0,
        hold=True,
        code="http-429",
        message="The API asks to go slower (HTTP 429).",
    )
    assert ruled(Response(429, retry_after_s=7)).wait_s == 7
    assert ruled(Response(429, retry_after_s=math.inf)).wait_s == 60


@pytest.mark.parametrize("told", [None, math.nan, -5.0, -math.inf, 0.0])
def test_429_without_a_usable_time_backs_off(told: float | None) -> None:
    """Neither forever nor at once."""
    assert ruled(Response(429, retry_after_s=told), attempt=3).wait_s == 2.0


def test_429_without_retry_after_waits_for_the_end_of_the_window() -> None:
    """Where nothing is left, the reset says how long."""
    assert ruled(Response(429, remaining=0, reset_s=12)).wait_s == 12
    assert ruled(Response(429, remaining=3, reset_s=12)).wait_s == 0.5
    assert ruled(Response(429, remaining=0, reset_s=math.nan)).wait_s == 0.5


def test_503_is_tried_again_only_where_it_names_a_time() -> None:
    """With Retry-After it was turned away; without, it may have been accepted."""
    again = ruled(Response(503, retry_after_s=5))
    assert (again.verb, again.wait_s, again.hold) == (Verb.AGAIN, 5, True)
    assert ruled(Response(503)).verb is Verb.DOUBTFUL
    assert ruled(Response(503, retry_after_s=math.nan)).verb is Verb.DOUBTFUL


def test_no_connection_is_tried_again_alone() -> None:
    """It says nothing about the limiter."""
    assert ruled(NotSent("ConnectError"), attempt=2) == Decision(
        Verb.AGAIN, 1.0, code="ConnectError", message="No connection to the API (ConnectError)."
    )


def test_no_clear_answer_is_doubtful_whatever_the_attempt() -> None:
    """It is never sent again."""
    for attempt in range(1, 9):
        decision = ruled(MaybeSent("ReadTimeout"), attempt)
        assert (decision.verb, decision.code, decision.wait_s) == (
            Verb.DOUBTFUL,
            "ReadTimeout",
            0.0,
        )


@pytest.mark.parametrize(
    "happened", [NotSent("ConnectError"), Response(429), Response(503, retry_after_s=1)]
)
def test_attempts_are_bounded(happened: Response | NotSent) -> None:
    """The last one ends as unsent, which is proved, with the reason."""
    assert ruled(happened, attempt=4).verb is Verb.AGAIN
    last = ruled(happened, attempt=5)
    assert last.verb is Verb.UNSENT
    assert last.message.endswith("Gave up after 5 attempts.")


def test_total_time_is_bounded() -> None:
    """No attempt begins after it."""
    assert ruled(Response(429, retry_after_s=60), elapsed_s=240).verb is Verb.AGAIN
    over = ruled(Response(429, retry_after_s=60), elapsed_s=240.1)
    assert (over.verb, over.code) == (Verb.UNSENT, "http-429")


def test_who_gives_up_after_a_429_still_holds_the_others() -> None:
    """The API asked everybody to wait."""
    last = ruled(Response(429, retry_after_s=9), attempt=5)
    assert (last.verb, last.hold, last.wait_s) == (Verb.UNSENT, True, 9)


@given(
    attempt=st.integers(1, 10_000),
    chance=st.floats(0, 1, exclude_max=True),
    asked=st.none() | st.floats(),
    reset=st.none() | st.floats(),
)
def test_every_wait_is_a_bounded_number(
    attempt: int, chance: float, asked: float | None, reset: float | None
) -> None:
    """Whatever a server says and however often it is tried."""
    response = Response(429, retry_after_s=asked, remaining=0, reset_s=reset)
    assert 0 <= pause_s(response, attempt, P, lambda: chance) <= P.max_wait_s
    assert (
        0
        <= backoff_s(attempt, P, lambda: chance)
        <= min(P.max_wait_s, 0.5 * 2.0 ** min(attempt - 1, 20))
    )


@given(
    status=st.integers(100, 999),
    readable=st.booleans(),
    error=st.text(max_size=20),
    conversation_id=st.none() | st.just("c-1"),
    retry_after_s=st.none() | st.floats(),
    attempt=st.integers(1, 8),
)
def test_only_what_surely_reached_nobody_goes_again(
    *,
    status: int,
    readable: bool,
    error: str,
    conversation_id: str | None,
    retry_after_s: float | None,
    attempt: int,
) -> None:
    """429 and a 503 that names a time; whatever else an answer holds."""
    response = Response(status, conversation_id, error, retry_after_s, readable)
    if ruled(response, attempt).verb in {Verb.AGAIN, Verb.UNSENT}:
        assert status == 429 or (status == 503 and retry_after_s is not None)


def test_every_line_of_the_table_is_needed() -> None:
    """Each is the first to fit for some answer, and the last fits all."""
    answers = [
        Response(status, error=error, readable=readable, retry_after_s=after)
        for status in range(100, 600)
        for error in ("", "duplicate")
        for readable in (True, False)
        for after in (None, 1.0)
    ]
    decided_by = {next(rule.when for rule in TABLE if rule.fits(each, P)) for each in answers}
    assert decided_by == {rule.when for rule in TABLE}
    assert all(TABLE[-1].fits(each, P) for each in answers)
