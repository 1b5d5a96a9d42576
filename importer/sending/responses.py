"""Parse an HTTP answer: bytes and headers -> Response or Page; pure, and safe for any bytes."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from importer.masking import hide_person, scrub
from importer.model import Response
from importer.sending.echo import compare_echo, objects_in, printable, text_at

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from importer.model import Json


ERROR_CHARS: Final = 1_000
"""How much of the API's own words is kept."""

CLOCK_SKEW_S: Final = 86_400.0
"""How far the API's clock may be from ours if its answers show no time."""

_DATE_SLACK_S: Final = 10.0  # `Date` is in whole seconds, and may be of a gateway's clock
_HIDDEN: Final = "•••"
_OF_THE_PERSON: Final = ("firstName", "lastName", "emailAddress")
_FIELD_NAMES: Final = ("field", "path", "loc", "property", "pointer", "param", "name")
_WORDS: Final = (
    *("error", "title", "code", "message", "msg", "detail", "details", "description", "reason"),
    *("errors", "issues", "violations", "fieldErrors", "invalid-params", "invalidParams"),
)
_ERRORS: Final = (
    *("error", "errors", "failed", "failure", "failures", "exception", "fault", "rejected"),
    *("refused", "denied", "declined", "invalid", "aborted", "errorMessage", "error_message"),
)
"""Fields that mean a refusal unless they are empty, zero or false."""
_VERDICTS: Final = (
    *("success", "succeeded", "successful", "isSuccess", "is_success", "ok", "valid", "isValid"),
    *("accepted", "created", "sent"),
)
"""Fields that mean a refusal if they are `false`."""
_NO: Final = frozenset({"false", "no", "0"})
_NOTHING: Final = frozenset({"false", "none", "null", "0", "ok", "no error", "success"})
"""Words that mean there is no error."""
_OUTCOMES: Final = (
    *("status", "result", "outcome", "state", "code", "type", "message", "reason"),
    *("statusText", "status_text", "resultCode", "result_code", "errorCode", "error_code"),
)
"""Fields whose whole value may be one of `_REFUSALS`."""
_REFUSALS: Final = frozenset(
    {
        *("error", "errors", "err", "fail", "failed", "failure", "fault", "exception", "rejected"),
        *("refused", "denied", "declined", "invalid", "aborted", "forbidden", "unauthorized"),
        *("unauthorised", "blocked", "not created", "not sent", "not accepted", "not found", "ko"),
        *("bad request", "internal error", "server error", "internal server error", "unsuccessful"),
        *("validation error", "validation failed", "nok", "false", "unprocessable entity"),
        *("request failed", "request rejected", "operation failed", "creation failed"),
    }
)
_PUNCTUATION: Final = re.compile(r"[\W_]+")
_ABOUT_THE_REQUEST: Final = ("status", "outcome", "state", "meta", "response", "payload", "body")
"""Objects of an answer that may hold a refusal, although they are not the conversation."""
_MORE: Final = (
    *("hasMore", "has_more", "hasNext", "has_next", "hasNextPage", "more", "moreAvailable"),
    *("truncated", "isTruncated", "is_truncated", "partial", "isPartial", "incomplete"),
    *("next", "nextPage", "next_page", "nextCursor", "next_cursor", "nextLink", "next_token"),
)
_PAGINATION: Final = ("pagination", "paging", "page", "meta", "links", "_links", "pageInfo")
_TOTALS: Final = ("total", "totalCount", "total_count", "totalItems")
_REQUEST_IDS: Final = (
    *("x-request-id", "x-amzn-requestid", "x-amz-request-id", "x-amz-apigw-id", "request-id"),
    *("x-correlation-id", "correlation-id", "x-trace-id", "x-amzn-trace-id", "traceparent"),
    *("x-cloud-trace-context", "cf-ray", "x-vercel-id", "x-azure-ref"),
)
_QUOTED: Final = re.compile(
    r"'[^']{0,200}'(?!\w)|\"[^\"]{0,200}\"|\u2018[^\u2019]{0,200}\u2019"
    r"|\u201c[^\u201d]{0,200}\u201d|\u00ab[^\u00bb]{0,200}\u00bb|`[^`]{0,200}`"
)
_EPOCH_S: Final = 1e9  # a reset later than this is a point in time, not a number of seconds
_EPOCH_MS: Final = 1e12
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LEADING: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)(?![0-9])")
_FIELDS: Final = re.compile(r"\b(remaining|reset|r|t)\s*=\s*([0-9]{1,18})")
_DEEPEST: Final = 6
_MOST_ERRORS: Final = 50


@dataclass(frozen=True, slots=True)
class RawResponse:
    """An HTTP answer that was read to its end.

    Attributes:
        status: HTTP status.
        headers: the headers by lower-case name.
        body: decoded from its transfer and content encoding; None if that is impossible.
        at: when it arrived, by our clock.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Creation:
    """The request to create a conversation, which its answer is compared with.

    Attributes:
        body: the body of the request.
        organization: the organization's id in the request.
        sent_at: when it left, by our clock.
        id_paths: where the conversation's id may be in the answer, the likeliest first.
    """

    body: Mapping[str, Json] = field(repr=False)
    organization: str = field(repr=False)
    sent_at: datetime
    id_paths: Sequence[str]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list of conversations, or a single conversation or campaign.

    Attributes:
        response: the answer; its `readable` says whether it is a page at all.
        conversations: the conversations as the API shows them; personal data.
        next_token: for the next page; None on the last.
        incomplete: why more pages may follow although there is no token; empty if this is the last
            page.
        total: how many conversations the API says there are; None if it does not say.
    """

    response: Response
    conversations: tuple[Mapping[str, Json], ...] = field(default=(), repr=False)
    next_token: str | None = None
    incomplete: str = ""
    total: int | None = None


class ResponseTooLarge(Exception):
    """An answer is longer than the limit."""


def is_2xx(status: int) -> bool:
    """Whether a status means success."""
    return 200 <= status <= 299  # noqa: PLR2004


def is_4xx(status: int) -> bool:
    """Whether a status blames the request."""
    return 400 <= status <= 499  # noqa: PLR2004


def is_redirect(status: int) -> bool:
    """Whether a status is a redirect."""
    return 300 <= status <= 399  # noqa: PLR2004


def unpack(raw: bytes, coding: str, limit: int) -> bytes | None:
    """Remove a body's content encoding; None if it is unknown or broken.

    Raises:
        ResponseTooLarge: it is longer than `limit`, packed or unpacked.
    """
    body = raw
    if coding in {"gzip", "x-gzip", "deflate"}:
        try:
            body = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32).decompress(raw, limit + 1)
        except zlib.error:
            return None
    elif coding not in {"", "identity"}:
        return None
    if len(body) > limit:
        raise ResponseTooLarge
    return body


def parse_creation(raw: RawResponse, asked: Creation) -> Response:
    """Parse the answer to a request to create a conversation."""
    content = _object(raw)
    readable = bool(content) or raw.body in {b"", b"{}"}
    response = _response(raw, content, readable=readable, body=asked.body)
    accepted = is_2xx(raw.status)
    # In an error, a bare `id` may be anything, such as the id of the request.
    paths = asked.id_paths if accepted else [path for path in asked.id_paths if path != "id"]
    skew = timedelta(seconds=response.skew_s or 0.0)
    slack = _DATE_SLACK_S if response.skew_s is not None else CLOCK_SKEW_S
    echo = compare_echo(
        content, asked.body, asked.organization, asked.sent_at + skew - timedelta(seconds=slack)
    )
    return replace(
        response,
        conversation_id=next(filter(_is_id, (text_at(content, path) for path in paths)), None),
        request_id=_impersonal_id(response.request_id, asked.body),
        words="" if accepted else _neutral(content, asked.body),
        contradiction=echo.contradiction,
        existing=echo.existing,
    )


def parse_page(raw: RawResponse) -> Page:
    """Parse a page of the list; it must be `{"data": [...], "nextToken": ...}` to be readable."""
    content = _object(raw)
    items, token = content.get("data"), content.get("nextToken")
    whole = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    if not isinstance(items, list) or not whole or not isinstance(token, str | None):
        return Page(_response(raw, content, readable=False))
    totals = [
        value
        for each in _pagination(content)
        for name in _TOTALS
        if isinstance(value := each.get(name), int) and not isinstance(value, bool)
    ]
    return Page(
        _response(raw, content, readable=True),
        tuple(items),
        token or None,
        "" if token else _incomplete(raw.status, content),
        max(totals, default=None),
    )


def parse_single(raw: RawResponse, container: str) -> Page:
    """Parse the answer about one conversation or campaign, as a page that has only this one.

    Args:
        raw: the answer.
        container: the key, besides `data`, that it may be under.
    """
    content = _object(raw)
    inner = content.get("data", content.get(container))
    one = inner if isinstance(inner, dict) else content
    # Its `status` says how the conversation or campaign is, not how the request ended.
    response = replace(_response(raw, content, readable=bool(one)), refusal="")
    return Page(response, (one,) if one and is_2xx(response.status) else ())


def personal_values(body: Mapping[str, Json]) -> list[str]:
    """Return the values of a request that must be removed from errors that repeat them.

    These are all values from the row; campaign ids and short words of templates may stay.
    """
    keep = {"campaignId", "externalCampaignId", "countryCode"}
    own = [value for key, value in body.items() if isinstance(value, str) and key not in keep]
    nested = [
        text
        for key, value in body.items()
        if not isinstance(value, str)
        for text in _texts(value)
        if " " in text or "@" in text
    ]
    return own + nested


def _texts(value: Json) -> Iterator[str]:
    """Yield every text in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _texts(each)


def _response(
    raw: RawResponse,
    content: Mapping[str, Any],
    *,
    readable: bool,
    body: Mapping[str, Json] = MappingProxyType({}),
) -> Response:
    """Parse what every kind of answer has in common.

    Args:
        raw: the answer.
        content: the JSON object of the response.
        readable: whether it has the expected shape.
        body: the body of the request; its values are removed from errors, and are no sign of one.
    """
    keys = ("error", "errors") if is_2xx(raw.status) else _WORDS
    remaining, reset_s = _quota(raw)
    date = _date(raw.headers.get("date", ""))
    return Response(
        status=raw.status,
        error=_tidy("; ".join(dict.fromkeys(_words(content, keys))), body),
        retry_after_s=_retry_after_s(raw),
        readable=readable,
        remaining=remaining,
        reset_s=reset_s,
        request_id=_request_id(raw.headers),
        refusal=_refusal(content, body) if is_2xx(raw.status) else "",
        skew_s=None if date is None else (date - raw.at).total_seconds(),
    )


def _object(raw: RawResponse) -> dict[str, Any]:
    """Return the JSON object in the body; an empty one if there is none."""
    try:
        value = json.loads(raw.body or b"null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _refusal(content: Mapping[str, Any], body: Mapping[str, Json]) -> str:
    """Return the part of a successful answer that is a refusal; empty if there is none.

    Only whole values count: the status DELIVERY_FAILED, or an opening message that contains
    "failed", belongs to a conversation that exists. A warning is not a refusal.

    Args:
        content: the answer.
        body: the body of the request; a field that repeats one of its texts is ignored.
    """
    about = (each for name in _ABOUT_THE_REQUEST if isinstance(each := content.get(name), dict))
    places = (*objects_in(content), *about)
    if not any(True for each in places for _ in _refusals(each, ())):
        return ""  # as in most answers; this saves tidying every text of the request
    repeated = {_plain_words(text) for text in personal_values(body)}
    return next((sign for each in places for sign in _refusals(each, repeated)), "")


def _refusals(content: Mapping[str, Any], repeated: Container[str]) -> Iterator[str]:
    yield from (name for name in _ERRORS if _says_something(content.get(name), repeated))
    for name in _VERDICTS:
        value = content.get(name)
        if value is not None and str(value).casefold() in _NO:
            yield f"{name}: false"
    for name in (*_OUTCOMES, "statusCode", "status_code"):
        value = content.get(name)
        if isinstance(value, str):
            words = _plain_words(value)
            number = int(words) if re.fullmatch("[0-9]{3}", words) else 0
            if (words in _REFUSALS and words not in repeated) or _is_failure(number):
                yield f"{name}: {words}"
        elif isinstance(value, int) and _is_failure(value):
            yield f"{name}: {value}"


def _says_something(value: object, repeated: Container[str]) -> bool:
    """Whether the value of an error field is an error."""
    if isinstance(value, str):
        words = _plain_words(value)
        return bool(words) and words not in _NOTHING and words not in repeated
    return bool(value)


def _plain_words(text: str) -> str:
    """Return a text in lower case, without punctuation."""
    return " ".join(_PUNCTUATION.sub(" ", text).casefold().split())


def _is_failure(status: int) -> bool:
    """Whether a number is the HTTP status of a failure."""
    return 400 <= status < 600  # noqa: PLR2004


def _pagination(content: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a page, and the objects in it that may have the token of the next page."""
    yield content
    for name in _PAGINATION:
        inner = content.get(name)
        if isinstance(inner, dict):
            yield inner


def _incomplete(status: int, content: Mapping[str, Any]) -> str:
    """Return why a page without a token might not be the last; empty if it is the last."""
    if status != 200:  # noqa: PLR2004
        return f"it comes with HTTP {status}"
    for each in _pagination(content):
        for name in _MORE:
            if each.get(name):
                return f"it says {name}"
    ends = "nextToken" in content or any(
        each.get(name, True) is False for each in _pagination(content) for name in _MORE[:6]
    )
    return "" if ends else "it does not say where it ends"


def _words(value: object, keys: Sequence[str] = _WORDS, depth: int = 0) -> list[str]:
    """Return the texts of an error, however it is nested, with the fields that they are about."""
    if isinstance(value, str):
        return [value] if value.strip() else []
    if depth > _DEEPEST:
        return []
    if isinstance(value, list):
        return [text for each in value[:_MOST_ERRORS] for text in _words(each, depth=depth + 1)]
    if not isinstance(value, dict):
        return []
    found = [text for key in keys for text in _words(value.get(key), depth=depth + 1)]
    if not found and depth:  # {"email": ["is not valid"]}
        return [
            f"{key}: {text}"
            for key, each in list(value.items())[:_MOST_ERRORS]
            for text in _words(each, depth=depth + 1)
        ]
    about = next(filter(None, (_field_name(value.get(key)) for key in _FIELD_NAMES)), "")
    return [f"{about}: {text}" for text in found] if about and depth else found


def _field_name(value: object) -> str:
    """Return the field that an error is about, from a text or a list of steps."""
    if isinstance(value, list):
        return ".".join(str(each) for each in value if isinstance(each, str | int))
    return value if isinstance(value, str) else ""


def _tidy(text: str, body: Mapping[str, Json]) -> str:
    """Return an error text on one line, shortened, without values of the row or parts of them."""
    text = printable(text)[: ERROR_CHARS * 10]
    if not text:
        return ""  # as in most answers; this saves compiling an expression for the row's values
    first, last, email = (str(body.get(key) or "") for key in _OF_THE_PERSON)
    text = hide_person(scrub(_without(text, personal_values(body), _HIDDEN)), (first, last), email)
    return text if len(text) <= ERROR_CHARS else f"{text[: ERROR_CHARS - 1]}…"


def _without(text: str, values: Iterable[str], instead: str) -> str:
    """Replace values in a text wherever they are whole words."""
    for value in sorted({printable(each) for each in values} - {""}, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", instead, text, flags=re.IGNORECASE)
    return text


def _neutral(content: Mapping[str, Any], body: Mapping[str, Json]) -> str:
    """Return an error in the API's own words, without values of the request or quotations."""
    text = printable("; ".join(_words(content)))[: ERROR_CHARS * 10]
    if not text:
        return ""
    text = _without(text, _texts(dict(body)), " ")
    text = _QUOTED.sub(" ", text).replace("_", " ")
    return " ".join(text.casefold().split())


def _is_id(text: str | None) -> bool:
    """Whether a text may be an id; a sentence is not one."""
    return bool(text) and " " not in str(text)


def _impersonal_id(text: str, body: Mapping[str, Json]) -> str:
    """Return a request's id for the ledger; nothing if it is a sentence or names the person."""
    first, last, email, phone = (
        str(body.get(key) or "") for key in (*_OF_THE_PERSON, "phoneNumber")
    )
    digits = _NOT_DIGITS.sub("", phone)[-_PHONE_DIGITS:]
    names_them = bool(digits) and digits in _NOT_DIGITS.sub("", text)
    if not _is_id(text) or names_them or hide_person(text, (first, last), email) != text:
        return ""
    return text


_NOT_DIGITS: Final = re.compile(r"\D")
_PHONE_DIGITS: Final = 7  # at its end; they name the person without the country


def _request_id(headers: Mapping[str, str]) -> str:
    """Return the id under which the API's support can find the request."""
    found = (printable(headers.get(name, "")) for name in _REQUEST_IDS)
    return next((text[:128] for text in found if text), "")


def _retry_after_s(raw: RawResponse) -> float | None:
    """Return the seconds in `Retry-After`, a number or a date; None for anything else.

    A date is measured against the server's own `Date`, whose clock can differ from ours.
    """
    text = raw.headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    server_now = _date(raw.headers.get("date", "")) or raw.at
    return max((until - server_now).total_seconds(), 0.0)


@lru_cache(maxsize=8)  # many answers come within one second
def _date(text: str) -> datetime | None:
    """Parse an HTTP date; None for anything else."""
    if not text:
        return None
    try:
        when = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _quota(raw: RawResponse) -> tuple[int | None, float | None]:
    """Return the requests left in the server's window, and the seconds until it ends.

    These forms are read: `RateLimit: limit=9, remaining=2, reset=5`, `RateLimit: "name";r=2;t=5`,
    and the headers `[X-]RateLimit-Remaining` and `-Reset` (seconds, or seconds since 1970).
    """
    both = dict(_FIELDS.findall(raw.headers.get("ratelimit", "").lower()))
    remaining = _first_number(raw, "remaining", both.get("remaining") or both.get("r"))
    reset = _first_number(raw, "reset", both.get("reset") or both.get("t"))
    if reset is not None and reset > _EPOCH_S:
        reset = max((reset / 1000 if reset > _EPOCH_MS else reset) - raw.at.timestamp(), 0.0)
    return None if remaining is None else int(remaining), reset


def _first_number(raw: RawResponse, name: str, combined: str | None) -> float | None:
    """Return the number at the start of the first of these headers that has one."""
    headers = (f"{prefix}-{name}" for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"))
    for text in (combined, *map(raw.headers.get, headers)):
        found = _LEADING.match(text or "")
        if found:
            return float(found.group(1))
    return None
