"""Decide what to do after an attempt. `TABLE` has all the rules; the first one that fits decides.

The API has no idempotency key, and every accepted request reaches a person. So a request is sent
again only if it certainly reached nobody: the answer was 429, or there was no connection. A
successful answer is believed only if it shows the conversation that was asked for. Everything else
is doubtful, and only the API's list of conversations can settle it. The functions here are pure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from importer.model import Action, Decision, NotSent, Response
from importer.sending.responses import is_2xx, is_4xx, is_redirect

if TYPE_CHECKING:
    from collections.abc import Callable

    from importer.model import MaybeSent
    from importer.settings import Settings


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of attempts, and which of this API's answers to believe.

    Attributes:
        attempts: requests for one submission in one run.
        total_s: seconds after the first attempt during which another may begin. If the API asks to
            wait longer, the run ends.
        wait_base_s: upper bound of the first wait; it doubles with each attempt.
        max_wait_s: upper bound of every wait, including those that `Retry-After` asks for.
        duplicate_statuses: statuses that mean that the conversation exists, if the answer shows
            its id.
        duplicate_texts: whole phrases in the error of a 4xx with that meaning.
        created_without_id: whether a successful answer need not name the conversation.
        retry_503: whether a 503 with `Retry-After` means that the request was not accepted.
    """

    attempts: int = 5
    total_s: float = 300.0
    wait_base_s: float = 0.5
    max_wait_s: float = 60.0
    duplicate_statuses: frozenset[int] = frozenset({409})
    duplicate_texts: tuple[str, ...] = ("conversation already exists",)
    created_without_id: bool = False
    retry_503: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Policy:
        """Return the policy that the settings describe."""
        return cls(
            attempts=settings.attempts,
            total_s=settings.attempts_total_s,
            wait_base_s=settings.wait_base_s,
            max_wait_s=settings.max_wait_s,
            duplicate_statuses=frozenset(settings.duplicate_statuses),
            duplicate_texts=tuple(settings.duplicate_texts),
            created_without_id=settings.created_without_id,
            retry_503=settings.retry_503,
        )

    @property
    def longest_pause_s(self) -> float:
        """Return the longest wait for a quota; a longer one ends the run."""
        return max(self.total_s, self.max_wait_s)


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table.

    Attributes:
        when: what happened, in words.
        fits: returns whether an answer is of this kind.
        action: what to do.
        says: the reason, for a person; the API's own words follow it.
        hold: whether all workers wait and the rate is halved.
        code: the code of the reason, for machines; the HTTP status if empty.
        fix: what a person can do about it.
    """

    when: str
    fits: Callable[[Response, Policy], bool]
    action: Action
    says: str = ""
    hold: bool = False
    code: str = ""
    fix: str = ""


_UNCLEAR_4XX: Final = frozenset({408, 425, 499})
"""Request timeout, too early, connection closed: the request may have been accepted."""

_NOT_OF_THE_ROW: Final = _UNCLEAR_4XX | {401, 403, 407, 429}
"""Statuses that never concern a row, even if the text names one."""

_ABOUT_CAMPAIGN: Final = frozenset({400, 403, 404, 409, 410, 412, 422, 423})
_CAMPAIGN_REFUSED: Final = re.compile(
    r"\bcampaign(?: (?:id|status|type))?\b[^.;]{0,40}?\b"
    r"(?:not (?:be )?(?:found|active|live|running|published|started|enabled|exist|supported)"
    r"|(?:does not|doesn't|doesnt|no longer) exists?|unknown|inactive|archived|draft|paused"
    r"|stopped|ended|closed|deleted|disabled|wrong type|not of type|not a scheduling)\b"
    r"|\b(?:no such|unknown|inactive|archived|draft|no active|no live|wrong type of"
    r"|wrong|(?:cannot|can't|could not|couldn't) find(?: the| a| this)?"
    r"|not a scheduling|not an? (?:active|live)) campaign\b"
)
"""An error about the campaign itself, in words without the row's and the template's values."""

UNCONFIRMED_DUPLICATE: Final = "unconfirmed-duplicate"
"""The code of a conflict without proof; it is a duplicate if the API's list shows it."""

_NOTHING_SAID: Final = re.compile(
    r"\b(?:error|http|404|not found|no such|cannot|post|path|route|resource|endpoint|url"
    r"|the|requested|does not exist|was|page)\b|[^a-z]"
)


def _is_duplicate(response: Response, policy: Policy) -> bool:
    """Whether an answer proves that the conversation exists already."""
    if response.contradiction or response.refusal:
        return False
    claims = response.status in policy.duplicate_statuses
    if claims and response.conversation_id is not None:
        return True
    if not claims and (not is_4xx(response.status) or response.status in _NOT_OF_THE_ROW):
        return False
    return any(
        re.search(rf"(?<!\w){re.escape(phrase.casefold())}(?!\w)", response.words)
        for phrase in policy.duplicate_texts
    )


def _refuses_campaign(response: Response, _: Policy) -> bool:
    """Whether an answer refuses the campaign, and so would refuse all of its rows."""
    if response.status not in _ABOUT_CAMPAIGN:
        return False
    if _CAMPAIGN_REFUSED.search(response.words):
        return True
    silent = not _NOTHING_SAID.sub("", response.words)
    return response.status == HTTPStatus.NOT_FOUND and silent


def _asked_s(response: Response) -> float | None:
    """Return the seconds that an answer asks to wait, without bound; None if it names none."""
    asked = _seconds(response.retry_after_s)
    if asked is None and response.remaining == 0:
        asked = _seconds(response.reset_s)
    return asked


TABLE: Final[tuple[Rule, ...]] = (
    Rule(
        "2xx that is not JSON",
        lambda response, _: is_2xx(response.status) and not response.readable,
        Action.DOUBTFUL,
        "The API accepted, but its answer cannot be read",
    ),
    Rule(
        "2xx that says no (`error`, `success: false`, `status: error`)",
        lambda response, _: is_2xx(response.status) and bool(response.refusal),
        Action.DOUBTFUL,
        "The API answers with success, yet its answer says no",
        code="refused-with-2xx",
    ),
    Rule(
        "2xx that shows another conversation than the one asked for",
        lambda response, _: is_2xx(response.status) and bool(response.contradiction),
        Action.DOUBTFUL,
        "The API answers with another conversation",
        code="another-conversation",
    ),
    Rule(
        "2xx with a conversation of this person that is older than the request",
        lambda response, _: (
            is_2xx(response.status) and response.existing and response.conversation_id is not None
        ),
        Action.DUPLICATE,
        "This person already has this conversation",
    ),
    Rule(
        "a status of duplicate_statuses (409) with the conversation's id, or a 4xx with a phrase "
        "of duplicate_texts",
        _is_duplicate,
        Action.DUPLICATE,
        "This person already has this conversation",
    ),
    Rule(
        "2xx with an id",
        lambda response, _: is_2xx(response.status) and response.conversation_id is not None,
        Action.CREATED,
    ),
    Rule(
        "2xx without an id, with created_without_id",
        lambda response, policy: is_2xx(response.status) and policy.created_without_id,
        Action.CREATED,
    ),
    Rule(
        "2xx without an id",
        lambda response, _: is_2xx(response.status),
        Action.DOUBTFUL,
        "The API answers with success, but without the id of a conversation; if the id is in "
        "another place, say so in `id_paths`, and if there is none, set `created_without_id: true`",
        code="no-id",
    ),
    Rule(
        "4xx about the campaign (not found, not live, archived, of another type)",
        _refuses_campaign,
        Action.STOP_CAMPAIGN,
        "The API does not accept this campaign",
        code="campaign-refused",
        fix="Check the campaign's id, and `base_url` with its path.",
    ),
    Rule(
        "401, 403, 407",
        lambda response, _: response.status in {401, 403, 407},
        Action.STOP,
        "The API refuses our credentials",
        fix="Check POPP_API_KEY and POPP_ORGANIZATION_ID.",
    ),
    Rule(
        "429 that names a time beyond attempts_total_s",
        lambda response, policy: (
            response.status == HTTPStatus.TOO_MANY_REQUESTS
            and (_asked_s(response) or 0.0) > policy.longest_pause_s
        ),
        Action.STOP,
        "The API's quota is used up",
        code="quota",
        fix="Run `importer resume` after it resets, or raise attempts_total_s to wait for it.",
    ),
    Rule(
        "429",
        lambda response, _: response.status == HTTPStatus.TOO_MANY_REQUESTS,
        Action.AGAIN,
        "The API asks to go slower",
        hold=True,
    ),
    Rule(
        "503 with Retry-After, with retry_503",
        lambda response, policy: policy.retry_503 and _comes_back(response),
        Action.AGAIN,
        "The API asks to try again later",
        hold=True,
    ),
    Rule(
        "503 with Retry-After",
        lambda response, _: _comes_back(response),
        Action.DOUBTFUL,
        "The API asks to try again later, and may have accepted the request; if it never does, "
        "set `retry_503: true`",
        hold=True,
    ),
    Rule(
        "408, 425, 499",
        lambda response, _: response.status in _UNCLEAR_4XX,
        Action.DOUBTFUL,
        "The API does not say whether it took the request",
    ),
    Rule(
        "another status of duplicate_statuses",
        lambda response, policy: (
            is_4xx(response.status) and response.status in policy.duplicate_statuses
        ),
        Action.REJECTED,
        "The API says that there is a conflict, but shows no conversation of this person",
        code=UNCONFIRMED_DUPLICATE,
    ),
    Rule(
        "other 4xx",
        lambda response, _: is_4xx(response.status),
        Action.REJECTED,
        "The API refused the row",
    ),
    Rule(
        "3xx (never followed)",
        lambda response, _: is_redirect(response.status),
        Action.DOUBTFUL,
        "The API points elsewhere; redirects are not followed",
    ),
    Rule(
        "other 5xx, and any other status",
        lambda _, __: True,
        Action.DOUBTFUL,
        "The API failed while it had the request",
    ),
)


def _comes_back(response: Response) -> bool:
    """Whether a 503 says when to try again."""
    unavailable = response.status == HTTPStatus.SERVICE_UNAVAILABLE
    return unavailable and _seconds(response.retry_after_s) is not None


def decide(
    happened: Response | NotSent | MaybeSent,
    attempt: int,
    elapsed_s: float,
    policy: Policy,
    random: Callable[[], float],
) -> Decision:
    """Decide what to do after an attempt.

    Args:
        happened: the answer, or why there is none.
        attempt: the number of the attempt for this submission in this run, from 1.
        elapsed_s: seconds since the first attempt began.
        policy: the bounds.
        random: returns a number from 0 up to 1, for jitter.
    """
    if isinstance(happened, NotSent):
        wait_s = backoff_s(attempt, policy, random)
        cause = str(happened)
        again = Decision(
            Action.AGAIN,
            wait_s,
            code=cause,
            message=f"No connection to the API ({cause}). {happened.detail}".strip(),
        )
        return _bounded(again, attempt, elapsed_s, policy)
    if not isinstance(happened, Response):
        cause = str(happened)
        return Decision(
            Action.DOUBTFUL,
            code=cause,
            message=f"The request left and no clear answer came ({cause}).",
        )
    rule = next(rule for rule in TABLE if rule.fits(happened, policy))
    waits = rule.action is Action.AGAIN or rule.hold
    code = rule.code or f"http-{happened.status}"
    decision = Decision(
        rule.action,
        pause_s(happened, attempt, policy, random) if waits else 0.0,
        hold=rule.hold,
        code="" if rule.action is Action.CREATED else code,
        message=_message(rule, happened),
        fix=rule.fix,
    )
    return _bounded(decision, attempt, elapsed_s, policy)


def backoff_s(attempt: int, policy: Policy, random: Callable[[], float]) -> float:
    """Return seconds to wait after attempt number `attempt`: exponential, full jitter, bounded."""
    bound = min(policy.max_wait_s, policy.wait_base_s * 2.0 ** min(attempt - 1, 64))
    return random() * bound


def pause_s(response: Response, attempt: int, policy: Policy, random: Callable[[], float]) -> float:
    """Return the seconds that an answer asks to wait, bounded; the backoff if it names none."""
    asked = _asked_s(response)
    return min(asked, policy.max_wait_s) if asked else backoff_s(attempt, policy, random)


def _seconds(value: float | None) -> float | None:
    """Return a number of seconds, at least 0; None for None and NaN."""
    return None if value is None or math.isnan(value) else max(value, 0.0)


def _bounded(decision: Decision, attempt: int, elapsed_s: float, policy: Policy) -> Decision:
    """Return the decision, or give up if its next attempt would break a bound."""
    if decision.action is not Action.AGAIN:
        return decision
    if attempt >= policy.attempts:
        given_up = f"Gave up after {attempt} {'attempt' if attempt == 1 else 'attempts'}."
    elif elapsed_s + decision.wait_s > policy.total_s:
        given_up = f"Gave up after {elapsed_s:.0f} s."
    else:
        return decision
    return Decision(
        Action.UNSENT,
        decision.wait_s if decision.hold else 0.0,
        hold=decision.hold,
        code=decision.code,
        message=f"{decision.message} {given_up}",
    )


def _message(rule: Rule, response: Response) -> str:
    """Return the reason for a person, with what the answer shows and the API's own words."""
    if not rule.says:
        return ""
    shown = response.refusal or response.contradiction if is_2xx(response.status) else ""
    status = f"HTTP {response.status}, {shown}" if shown else f"HTTP {response.status}"
    words = f": {response.error}" if response.error else ""
    return f"{rule.says} ({status}){words}".rstrip(".") + "."
