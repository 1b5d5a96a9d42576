"""The decision table, line by line and as laws."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.model import Action, Decision, MaybeSent, NotSent, Response
from importer.sending.retry import TABLE, Policy, backoff_s, decide, pause_s
from importer.settings import Settings

P = Policy()


def ruled(
    happened: Response | NotSent | MaybeSent, attempt: int = 1, elapsed_s: float = 0.0
) -> Decision:
    """Return the decision without chance: every jitter is the longest."""
    return decide(happened, attempt, elapsed_s, P, lambda: 1.0)


@pytest.mark.parametrize("status", [200, 201, 202, 204, 207, 299])
def test_a_2xx_with_an_id_is_created(status: int) -> None:
    """Any 2xx counts; without an id only if the settings say so."""
    assert ruled(Response(status, conversation_id="c-1")) == Decision(Action.CREATED)
    doubtful = ruled(Response(status))
    assert (doubtful.action, doubtful.code) == (Action.DOUBTFUL, "no-id")
    assert "`created_without_id: true`" in doubtful.message
    relaxed = Policy(created_without_id=True)
    assert decide(Response(status), 1, 0, relaxed, lambda: 1) == Decision(Action.CREATED)
    refused = Response(status, refusal="errors")
    assert decide(refused, 1, 0, relaxed, lambda: 1).action is Action.DOUBTFUL


def test_an_unreadable_2xx_is_doubtful() -> None:
    """A page of a proxy is no acceptance."""
    decision = ruled(Response(200, readable=False))
    assert (decision.action, decision.code) == (Action.DOUBTFUL, "http-200")


def test_a_2xx_that_says_no_or_shows_another_is_doubtful() -> None:
    """An id does not help; a message says what the answer shows."""
    refused = ruled(Response(200, "c-1", error="archived", refusal="error"))
    assert (refused.action, refused.code) == (Action.DOUBTFUL, "refused-with-2xx")
    assert refused.message.endswith("yet its answer says no (HTTP 200, error): archived.")
    other = ruled(Response(200, "c-1", contradiction="phone, e-mail"))
    assert (other.action, other.code) == (Action.DOUBTFUL, "another-conversation")
    assert "(HTTP 200, phone, e-mail)" in other.message


def test_an_existing_conversation_of_this_person_is_a_duplicate() -> None:
    """Only with its id."""
    assert ruled(Response(200, "c-1", existing=True)).action is Action.DUPLICATE
    assert ruled(Response(200, existing=True)).action is Action.DOUBTFUL


def test_409_needs_evidence_to_be_a_duplicate() -> None:
    """The conversation's id, or a whole phrase; else the row is rejected."""
    proved = ruled(Response(409, "c-1", error="exists"))
    assert proved.action is Action.DUPLICATE
    assert proved.message == "This person already has this conversation (HTTP 409): exists."
    assert ruled(Response(409, words="conversation already exists")).action is Action.DUPLICATE
    assert ruled(Response(409, error="retry later", words="retry later")).action is Action.REJECTED
    assert ruled(Response(409, "c-1", contradiction="phone")).action is Action.REJECTED


@pytest.mark.parametrize("status", [400, 404, 422])
def test_duplicate_texts_count_in_any_4xx(status: int) -> None:
    """Nobody knows yet which status a duplicate answers; a part of a phrase is not enough."""
    policy = Policy(duplicate_texts=("Conversation already EXISTS",))
    for words, verb in (
        ("the conversation already exists.", Action.DUPLICATE),
        ("preconversation already existsing", Action.REJECTED),
        ("duplicate participant", Action.REJECTED),
    ):
        assert decide(Response(status, words=words), 1, 0, policy, lambda: 1).action is verb


@pytest.mark.parametrize(
    "words",
    [
        "campaign not found",
        "the campaign is not active",
        "campaign has been archived",
        "campaign does not exist",
        "no such campaign",
        "could not find the campaign",
        "campaign status is draft",
        "campaign archived",
        "wrong type of campaign",
    ],
)
def test_what_is_wrong_with_a_campaign_stops_it(words: str) -> None:
    """Each of its rows would be refused."""
    assert ruled(Response(422, words=words)).action is Action.STOP_CAMPAIGN


@pytest.mark.parametrize(
    "words",
    [
        "the meeting template of the campaign has no location",
        "phone number not found",
        "campaign requires a phone number",
        "the participant is not active",
    ],
)
def test_what_is_wrong_with_a_row_does_not(words: str) -> None:
    """Although a campaign is named."""
    assert ruled(Response(422, words=words)).action is Action.REJECTED
    assert ruled(Response(404, words=words)).action is Action.REJECTED


def test_a_404_that_says_nothing_is_not_about_the_row() -> None:
    """Neither the path nor the campaign is of the row."""
    for words in ("", "not found", "error: no such path", "cannot post /scheduling"):
        verb = ruled(Response(404, words=words)).action
        assert verb is (Action.REJECTED if "scheduling" in words else Action.STOP_CAMPAIGN)


@pytest.mark.parametrize(
    ("status", "verb"),
    [(401, Action.STOP), (408, Action.DOUBTFUL), (429, Action.AGAIN), (500, Action.DOUBTFUL)],
)
def test_duplicate_texts_do_not_count_elsewhere(status: int, verb: Action) -> None:
    """A text must not turn an unclear end, or a refusal of all of us, into a clear answer."""
    assert ruled(Response(status, words="conversation already exists")).action is verb


def test_the_settings_say_what_means_duplicate() -> None:
    """A wrong guess of ours costs the user one line of configuration."""
    policy = Policy.of(
        Settings(duplicate_statuses=(403, 208), duplicate_texts=("vorhanden",), attempts=7)
    )
    assert policy.attempts == 7
    assert decide(Response(403, "c-1"), 1, 0, policy, lambda: 1).action is Action.DUPLICATE
    assert decide(Response(208, "c-1"), 1, 0, policy, lambda: 1).action is Action.DUPLICATE
    assert (
        decide(Response(400, words="vorhanden!"), 1, 0, policy, lambda: 1).action
        is Action.DUPLICATE
    )
    assert decide(Response(409), 1, 0, policy, lambda: 1).action is Action.REJECTED


@pytest.mark.parametrize("status", [401, 403, 407])
def test_a_refusal_of_our_credentials_stops_the_run(status: int) -> None:
    """Every further request would be refused as well."""
    decision = ruled(Response(status, error="bad key"))
    assert decision.action is Action.STOP
    assert decision.message == f"The API refuses our credentials (HTTP {status}): bad key."


@pytest.mark.parametrize("status", [400, 402, 405, 409, 410, 413, 415, 421, 422, 451])
def test_other_4xx_are_rejected(status: int) -> None:
    """A definite no: nobody was contacted."""
    assert ruled(Response(status)).action is Action.REJECTED


@pytest.mark.parametrize("status", [408, 425, 499])
def test_a_4xx_that_does_not_say_whether_it_was_taken_is_doubtful(status: int) -> None:
    """These come from whatever stands between us and the API."""
    assert ruled(Response(status)).action is Action.DOUBTFUL


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308, 399])
def test_a_redirect_is_doubtful(status: int) -> None:
    """It is never followed, and no clear answer."""
    assert ruled(Response(status)).action is Action.DOUBTFUL


@pytest.mark.parametrize("status", [101, 199, 500, 501, 502, 503, 504, 520, 599, 600, 999])
def test_whatever_else_is_doubtful(status: int) -> None:
    """5xx may have been accepted; a status that is none says nothing."""
    assert ruled(Response(status)).action is Action.DOUBTFUL


def test_429_waits_as_told_with_everybody() -> None:
    """Retry-After counts unchanged, up to the bound."""
    assert ruled(Response(429, retry_after_s=300)) == Decision(
        Action.AGAIN,
        60.0,
        hold=True,
        code="http-429",
        message="The API asks to go slower (HTTP 429).",
    )
    assert ruled(Response(429, retry_after_s=7)).wait_s == 7


@pytest.mark.parametrize("asked", [301.0, 9e9, math.inf])
def test_a_quota_that_comes_back_too_late_stops_the_run(asked: float) -> None:
    """Nothing was sent, so nothing is lost; crawling would help nobody."""
    for response in (
        Response(429, retry_after_s=asked),
        Response(429, remaining=0, reset_s=asked),
    ):
        decision = ruled(response)
        assert (decision.action, decision.code) == (Action.STOP, "quota")
        assert "importer resume" in decision.fix


@pytest.mark.parametrize("messages", [None, math.nan, -5.0, -math.inf, 0.0])
def test_429_without_a_usable_time_backs_off(messages: float | None) -> None:
    """Neither forever nor at once."""
    assert ruled(Response(429, retry_after_s=messages), attempt=3).wait_s == 2.0


def test_429_without_retry_after_waits_for_the_end_of_the_window() -> None:
    """Where nothing is left, the reset says how long."""
    assert ruled(Response(429, remaining=0, reset_s=12)).wait_s == 12
    assert ruled(Response(429, remaining=3, reset_s=12)).wait_s == 0.5
    assert ruled(Response(429, remaining=0, reset_s=math.nan)).wait_s == 0.5


def test_503_is_tried_again_only_if_settings_say_so() -> None:
    """It may have been accepted; everybody waits anyway."""
    doubtful = ruled(Response(503, retry_after_s=5))
    assert (doubtful.action, doubtful.wait_s, doubtful.hold) == (Action.DOUBTFUL, 5, True)
    assert "`retry_503: true`" in doubtful.message
    again = decide(Response(503, retry_after_s=5), 1, 0, Policy(retry_503=True), lambda: 1)
    assert (again.action, again.wait_s, again.hold) == (Action.AGAIN, 5, True)
    assert ruled(Response(503)).action is Action.DOUBTFUL
    assert ruled(Response(503, retry_after_s=math.nan)).action is Action.DOUBTFUL


def test_no_connection_is_tried_again_alone() -> None:
    """It says nothing about the limiter."""
    assert ruled(NotSent("ConnectError"), attempt=2) == Decision(
        Action.AGAIN, 1.0, code="ConnectError", message="No connection to the API (ConnectError)."
    )


def test_no_clear_answer_is_doubtful_whatever_the_attempt() -> None:
    """It is never sent again."""
    for attempt in range(1, 9):
        decision = ruled(MaybeSent("ReadTimeout"), attempt)
        assert (decision.action, decision.code, decision.wait_s) == (
            Action.DOUBTFUL,
            "ReadTimeout",
            0.0,
        )


@pytest.mark.parametrize(
    "happened", [NotSent("ConnectError"), Response(429), Response(429, retry_after_s=1)]
)
def test_attempts_are_bounded(happened: Response | NotSent) -> None:
    """The last one ends as unsent, which is proved, with the reason."""
    assert ruled(happened, attempt=4).action is Action.AGAIN
    last = ruled(happened, attempt=5)
    assert last.action is Action.UNSENT
    assert last.message.endswith("Gave up after 5 attempts.")


def test_total_time_is_bounded() -> None:
    """No attempt begins after it."""
    assert ruled(Response(429, retry_after_s=60), elapsed_s=240).action is Action.AGAIN
    over = ruled(Response(429, retry_after_s=60), elapsed_s=240.1)
    assert (over.action, over.code) == (Action.UNSENT, "http-429")


def test_who_gives_up_after_a_429_still_holds_the_others() -> None:
    """The API asked everybody to wait."""
    last = ruled(Response(429, retry_after_s=9), attempt=5)
    assert (last.action, last.hold, last.wait_s) == (Action.UNSENT, True, 9)


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
    """429, whatever else an answer holds."""
    response = Response(status, conversation_id, error, retry_after_s, readable)
    if ruled(response, attempt).action in {Action.AGAIN, Action.UNSENT}:
        assert status == 429


def test_every_line_of_the_table_is_needed() -> None:
    """Each is the first to fit for some answer, and the last fits all."""
    answers = [
        Response(
            status,
            conversation_id=shown,
            words=words,
            readable=readable,
            retry_after_s=after,
            refusal=refusal,
            contradiction=contradiction,
            existing=existing,
        )
        for status in (102, 200, 302, 400, 401, 404, 408, 409, 422, 429, 500, 503)
        for shown in (None, "c-1")
        for words in ("", "conversation already exists", "campaign not found")
        for readable in (True, False)
        for after in (None, 1.0, 9e9)
        for refusal in ("", "errors")
        for contradiction in ("", "phone")
        for existing in (True, False)
    ]
    policies = (P, Policy(created_without_id=True, retry_503=True))
    decided_by = {
        next(rule.when for rule in TABLE if rule.fits(each, policy))
        for each in answers
        for policy in policies
    }
    assert decided_by == {rule.when for rule in TABLE}
    assert all(TABLE[-1].fits(each, P) for each in answers)
