"""What happened to an attempt -> what to do; pure, and the whole table.

The API has no idempotency key and every accepted request reaches a person, so only what certainly
reached nobody is tried again: an answer of 429 (or 503 that names a time), or no connection at
all. What is a clear answer is taken at its word. Everything else is doubtful, and only the API's
list of conversations can settle it.

`TABLE` is read from the top; the first rule that fits decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from importer.model import Decision, NotSent, Response, Verb

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.model import MaybeSent
    from importer.settings import Settings


@dataclass(frozen=True, slots=True)
class Policy:
    """How often and how long to try, and how this API says "duplicate".

    Attributes:
        attempts: requests for one submission in one run.
        total_s: seconds from the first attempt after which none is begun.
        wait_base_s: upper bound of the first wait; it doubles with each attempt.
        max_wait_s: upper bound of every wait, also of what `Retry-After` asks for.
        duplicate_statuses: they mean that this person already has this conversation.
        duplicate_texts: the same, found in the error of a 4xx; case does not matter.
    """

    attempts: int = 5
    total_s: float = 300.0
    wait_base_s: float = 0.5
    max_wait_s: float = 60.0
    duplicate_statuses: frozenset[int] = frozenset({409})
    duplicate_texts: tuple[str, ...] = ("already exists", "duplicate")

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """The policy that the settings describe."""
        return cls(
            attempts=settings.attempts,
            total_s=settings.attempts_total_s,
            wait_base_s=settings.wait_base_s,
            max_wait_s=settings.max_wait_s,
            duplicate_statuses=frozenset(settings.duplicate_statuses),
            duplicate_texts=tuple(settings.duplicate_texts),
        )


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        when: what happened, in words.
        fits: whether an answer is of this kind.
        verb: what to do.
        says: the reason for a person, before the API's own words.
        hold: everybody waits and the rate halves.
    """

    when: str
    fits: Callable[[Response, Policy], bool]
    verb: Verb
    says: str = ""
    hold: bool = False


_UNCLEAR_4XX: Final = frozenset({408, 425, 499})
"""A timeout on the way, too early, a closed line: whether the request was taken is not said."""


def _says_duplicate(response: Response, policy: Policy) -> bool:
    """Whether a 4xx says in words that the conversation exists already."""
    said = response.error.casefold()
    return _is_4xx(response) and any(text.casefold() in said for text in policy.duplicate_texts)


def _is_4xx(response: Response) -> bool:
    return 400 <= response.status <= 499  # noqa: PLR2004


def _is_2xx(response: Response) -> bool:
    return 200 <= response.status <= 299  # noqa: PLR2004


def _contradicts_itself(response: Response) -> bool:
    """Whether a 2xx carries an error and no conversation."""
    return bool(response.error) and response.conversation_id is None


TABLE: Final[tuple[Rule, ...]] = (
    Rule(
        "2xx that is not JSON, or carries an error and no id",
        lambda response, _: (
            _is_2xx(response) and (not response.readable or _contradicts_itself(response))
        ),
        Verb.DOUBTFUL,
        "The API accepted, but its answer cannot be read",
    ),
    Rule(
        "a status of duplicate_statuses (409)",
        lambda response, policy: response.status in policy.duplicate_statuses,
        Verb.DUPLICATE,
        "This person already has this conversation",
    ),
    Rule(
        "401, 403, 407",
        lambda response, _: response.status in {401, 403, 407},
        Verb.STOP,
        "The API refuses our credentials",
    ),
    Rule(
        "429",
        lambda response, _: response.status == HTTPStatus.TOO_MANY_REQUESTS,
        Verb.AGAIN,
        "The API asks to go slower",
        hold=True,
    ),
    Rule(
        "503 with Retry-After",
        lambda response, _: (
            response.status == HTTPStatus.SERVICE_UNAVAILABLE
            and _seconds(response.retry_after_s) is not None
        ),
        Verb.AGAIN,
        "The API asks to come back later",
        hold=True,
    ),
    Rule("2xx (even without an id)", lambda response, _: _is_2xx(response), Verb.CREATED),
    Rule(
        "408, 425, 499",
        lambda response, _: response.status in _UNCLEAR_4XX,
        Verb.DOUBTFUL,
        "Whether the API took the request is not said",
    ),
    Rule(
        "4xx with a text of duplicate_texts",
        _says_duplicate,
        Verb.DUPLICATE,
        "This person already has this conversation",
    ),
    Rule(
        "other 4xx", lambda response, _: _is_4xx(response), Verb.REJECTED, "The API refused the row"
    ),
    Rule(
        "3xx (never followed)",
        lambda response, _: 300 <= response.status <= 399,  # noqa: PLR2004
        Verb.DOUBTFUL,
        "The API points elsewhere; nothing is followed",
    ),
    Rule(
        "other 5xx, and whatever else a status may be",
        lambda _, __: True,
        Verb.DOUBTFUL,
        "The API failed while it had the request",
    ),
)


def decide(
    happened: Response | NotSent | MaybeSent,
    attempt: int,
    elapsed_s: float,
    policy: Policy,
    random: Callable[[], float],
) -> Decision:
    """What to do now that an attempt has ended.

    Args:
        happened: the answer, or why there is none.
        attempt: which it was for this submission in this run, from 1.
        elapsed_s: seconds since the first of them began.
        policy: the bounds.
        random: a number of [0, 1), for jitter.
    """
    if isinstance(happened, NotSent):
        wait_s = backoff_s(attempt, policy, random)
        cause = str(happened)
        again = Decision(
            Verb.AGAIN, wait_s, code=cause, message=f"No connection to the API ({cause})."
        )
        return _bounded(again, attempt, elapsed_s, policy)
    if not isinstance(happened, Response):
        cause = str(happened)
        return Decision(
            Verb.DOUBTFUL,
            code=cause,
            message=f"The request left and no clear answer came ({cause}).",
        )
    rule = next(rule for rule in TABLE if rule.fits(happened, policy))
    decision = Decision(
        rule.verb,
        pause_s(happened, attempt, policy, random) if rule.verb is Verb.AGAIN else 0.0,
        hold=rule.hold,
        code="" if rule.verb is Verb.CREATED else f"http-{happened.status}",
        message=_message(rule, happened),
    )
    return _bounded(decision, attempt, elapsed_s, policy)


def backoff_s(attempt: int, policy: Policy, random: Callable[[], float]) -> float:
    """Seconds to wait after attempt number `attempt`: exponential, full jitter, bounded."""
    bound = min(policy.max_wait_s, policy.wait_base_s * 2.0 ** min(attempt - 1, 64))
    return random() * bound


def pause_s(response: Response, attempt: int, policy: Policy, random: Callable[[], float]) -> float:
    """Seconds that an answer asks to wait, bounded; where it names none, the backoff."""
    asked = _seconds(response.retry_after_s)
    if asked is None and response.remaining == 0:
        asked = _seconds(response.reset_s)
    return min(asked, policy.max_wait_s) if asked else backoff_s(attempt, policy, random)


def _seconds(value: float | None) -> float | None:
    """A number of seconds, at least 0; None for none and for what is no number."""
    return None if value is None or math.isnan(value) else max(value, 0.0)


def _bounded(decision: Decision, attempt: int, elapsed_s: float, policy: Policy) -> Decision:
    """The same decision, or to give up where its next attempt would break a bound."""
    if decision.verb is not Verb.AGAIN:
        return decision
    if attempt >= policy.attempts:
        given_up = f"Gave up after {attempt} {'attempt' if attempt == 1 else 'attempts'}."
    elif elapsed_s + decision.wait_s > policy.total_s:
        given_up = f"Gave up after {elapsed_s:.0f} s."
    else:
        return decision
    return Decision(
        Verb.UNSENT,
        decision.wait_s if decision.hold else 0.0,
        hold=decision.hold,
        code=decision.code,
        message=f"{decision.message} {given_up}",
    )


def _message(rule: Rule, response: Response) -> str:
    """The reason for a person, with the API's own words where there are any."""
    if not rule.says:
        return ""
    words = f": {response.error}" if response.error else ""
    return f"{rule.says} (HTTP {response.status}){words}".rstrip(".") + "."
