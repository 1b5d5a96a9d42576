"""Parse an HTTP answer: bytes and headers -> Response or Page; pure, safe with any bytes."""

from __future__ import annotations

import json
import re
import zlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final

from importer.masking import scrub
from importer.model import Response

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from importer.model import Json


ERROR_CHARS: Final = 300
"""How much of the API's own words is kept."""

_ID_CHARS: Final = 200
_HIDDEN: Final = "•••"
_WORDS: Final = ("error", "message", "detail", "errors")
_EPOCH_S: Final = 1e9  # a reset later than this is a point in time, not a number of seconds
_EPOCH_MS: Final = 1e12
_NUMBER: Final = re.compile(r"[0-9]{1,18}(?:\.[0-9]{1,18})?")
_LEADING: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,18})?)(?![0-9])")
_FIELDS: Final = re.compile(r"\b(remaining|reset|r|t)\s*=\s*([0-9]{1,18})")


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer that was read to its end.

    Attributes:
        status: HTTP status.
        headers: by lower-case name.
        body: decoded from its transfer and content encoding; None where that is impossible.
        at: when it came, by our clock.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    at: datetime


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the list of conversations, or a single conversation.

    Attributes:
        response: the answer that it came in; its `readable` says that it is a page at all.
        conversations: as the API shows them; personal data.
        next_token: asks for the page after it; None on the last.
    """

    response: Response
    conversations: tuple[Mapping[str, Json], ...] = field(default=(), repr=False)
    next_token: str | None = None


class ResponseTooLarge(Exception):
    """An answer goes on beyond what is read of it."""


def unpacked(raw: bytes, coding: str, limit: int) -> bytes | None:
    """A body without its content encoding; None where that is unknown or broken.

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


def parse_creation(answer: Answer, id_paths: Sequence[str], hidden: Iterable[str] = ()) -> Response:
    """What the answer to a creation says.

    Args:
        answer: as it came.
        id_paths: where a conversation's id may stand, the likeliest first: `data.id`.
        hidden: values of the request that must not come back in its error text.
    """
    said = _object(answer)
    readable = bool(said) or answer.body in {b"", b"{}"}
    return _response(answer, said, readable=readable, id_paths=id_paths, hidden=hidden)


def parse_page(answer: Answer) -> Page:
    """What the answer to a listing says; readable only as `{"data": [...], "nextToken": ...}`."""
    said = _object(answer)
    items, token = said.get("data"), said.get("nextToken")
    whole = isinstance(items, list) and all(isinstance(item, dict) for item in items)
    if not isinstance(items, list) or not whole or not isinstance(token, str | None):
        return Page(_response(answer, said, readable=False))
    return Page(_response(answer, said, readable=True), tuple(items), token or None)


def parse_conversation(answer: Answer) -> Page:
    """What the answer about one conversation says: a page with it alone."""
    said = _object(answer)
    inner = said.get("data", said.get("conversation"))
    one = inner if isinstance(inner, dict) else said
    response = _response(answer, said, readable=bool(one))
    return Page(response, (one,) if one and _accepted(response.status) else ())


def text_at(value: Mapping[str, Json], path: str) -> str | None:
    """The text or whole number at a dotted path, as printable text; None where there is none."""
    here: Json = value
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    if isinstance(here, bool) or not isinstance(here, str | int):
        return None
    text = _printable(str(here))
    return text if 0 < len(text) <= _ID_CHARS else None


def _accepted(status: int) -> bool:
    return 200 <= status <= 299  # noqa: PLR2004


def _response(
    answer: Answer,
    said: Mapping[str, Any],
    *,
    readable: bool,
    id_paths: Sequence[str] = (),
    hidden: Iterable[str] = (),
) -> Response:
    accepted = _accepted(answer.status)
    # In an error a bare `id` may be anything, such as the request's.
    paths = id_paths if accepted else [path for path in id_paths if path != "id"]
    remaining, reset_s = _quota(answer)
    return Response(
        status=answer.status,
        conversation_id=next(filter(None, (text_at(said, path) for path in paths)), None),
        error=_tidy(_words(said, _WORDS[:1] if accepted else _WORDS), hidden),
        retry_after_s=_retry_after_s(answer),
        readable=readable,
        remaining=remaining,
        reset_s=reset_s,
    )


def _object(answer: Answer) -> dict[str, Any]:
    """The JSON object in the body; an empty one where there is no such thing."""
    try:
        value = json.loads(answer.body or b"null")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _words(value: object, keys: Sequence[str] = _WORDS) -> str:
    """The text of an error, however it is wrapped."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return next(filter(None, (_words(value.get(key)) for key in keys)), "")
    if isinstance(value, list):
        return "; ".join(filter(None, map(_words, value[:3])))
    return ""


def _tidy(text: str, hidden: Iterable[str]) -> str:
    """An error text without what it repeats of the person, on one line, cut."""
    text = _printable(text)[: ERROR_CHARS * 10]
    if not text:
        return ""  # as of most answers: no expression need be compiled for the person's values
    for value in sorted(filter(None, hidden), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", _HIDDEN, text, flags=re.IGNORECASE)
    text = scrub(text)
    return text if len(text) <= ERROR_CHARS else f"{text[: ERROR_CHARS - 1]}…"


def _printable(text: str) -> str:
    """Text on one line, without control characters, escapes or halves of characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _retry_after_s(answer: Answer) -> float | None:
    """Seconds from now that `Retry-After` names, as a number or a date; None for anything else.

    A date is measured against the server's own `Date`, whose clock may not be ours.
    """
    text = answer.headers.get("retry-after", "").strip()
    if _NUMBER.fullmatch(text):
        return float(text)
    until = _date(text)
    if until is None:
        return None
    server_now = _date(answer.headers.get("date", "")) or answer.at
    return max((until - server_now).total_seconds(), 0.0)


def _date(text: str) -> datetime | None:
    """An HTTP date; None for anything else."""
    try:
        when = parsedate_to_datetime(text.strip())
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return when.replace(tzinfo=UTC) if when.tzinfo is None else when


def _quota(answer: Answer) -> tuple[int | None, float | None]:
    """What is left of the server's window, and the seconds until it ends.

    Read are `RateLimit: limit=9, remaining=2, reset=5`, `RateLimit: "name";r=2;t=5`, and the
    headers `[X-]RateLimit-Remaining` and `-Reset` (seconds, or a point in time since 1970).
    """
    both = dict(_FIELDS.findall(answer.headers.get("ratelimit", "").lower()))
    remaining = _first_number(answer, "remaining", both.get("remaining") or both.get("r"))
    reset = _first_number(answer, "reset", both.get("reset") or both.get("t"))
    if reset is not None and reset > _EPOCH_S:
        reset = max((reset / 1000 if reset > _EPOCH_MS else reset) - answer.at.timestamp(), 0.0)
    return None if remaining is None else int(remaining), reset


def _first_number(answer: Answer, name: str, combined: str | None) -> float | None:
    """The number at the start of the first of these headers that has one."""
    headers = (f"{prefix}-{name}" for prefix in ("ratelimit", "x-ratelimit", "x-rate-limit"))
    for text in (combined, *map(answer.headers.get, headers)):
        found = _LEADING.match(text or "")
        if found:
            return float(found.group(1))
    return None
