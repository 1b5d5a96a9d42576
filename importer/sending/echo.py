"""Read leniently what the API says about a conversation: its phone, e-mail, times and campaign.

A value that cannot be read with certainty (a masked phone, a time without a zone) proves nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from importer.model import Json

ID_CHARS: Final = 200
"""The longest id, phone or address that is read."""

PHONES: Final = ("participantPhoneNumber", "phoneNumber", "phone")
EMAILS: Final = ("participantEmailAddress", "emailAddress", "email")
_CONTAINERS: Final = ("data", "conversation", "result")
_SEPARATORS: Final = re.compile(r"[\s().\-/\u00a0\u2010-\u2015\u200e\u200f\u202a-\u202e]")
_EASTMOST, _WESTMOST = timedelta(hours=14), timedelta(hours=12)
_EPOCH_S, _EPOCH_MS, _EPOCH_END = 1e9, 1e12, 1e14
_MIN_DIGITS, _MAX_DIGITS, _TAIL = 7, 15, 7


@dataclass(frozen=True, slots=True)
class Period:
    """The earliest and latest time of an event; they differ if the zone is unknown."""

    earliest: datetime
    latest: datetime

    def shift(self, seconds: float) -> Period:
        """Return the period by a clock that is `seconds` behind."""
        shift = timedelta(seconds=seconds)
        return Period(self.earliest - shift, self.latest - shift)


@dataclass(frozen=True, slots=True)
class Phone:
    """A phone as the API shows it.

    Attributes:
        number: the number in E.164 if it is written with `+` or `00`, or else only its digits.
        international: whether it is written with `+` or `00`, so that the number is certain.
    """

    number: str
    international: bool

    def could_be(self, e164: str) -> bool:
        """Whether this may be a number, given in E.164."""
        if self.international:
            return self.number == e164
        return self.number[-_TAIL:] == e164[-_TAIL:]


def printable(text: str) -> str:
    """Return text on one line, without control characters, escapes or half characters."""
    if not text.isprintable():
        text = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(text.split())


def text_at(value: Mapping[str, Json], path: str) -> str | None:
    """Return the text or whole number at a dotted path as printable text; None if there is none."""
    here: Json = value
    for step in path.split("."):
        here = here.get(step) if isinstance(here, dict) else None
    if isinstance(here, bool) or not isinstance(here, str | int):
        return None
    text = printable(str(here))
    return text if 0 < len(text) <= ID_CHARS else None


def first_text(value: Mapping[str, Json], names: tuple[str, ...]) -> str | None:
    """Return the first text under one of these keys; None if there is none."""
    return next(filter(None, (text_at(value, name) for name in names)), None)


def objects_in(answer: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    """Yield an answer, and the objects in it that may be the conversation."""
    yield answer
    for name in _CONTAINERS:
        inner = answer.get(name)
        if isinstance(inner, dict):
            yield inner


def read_phone(text: str | None) -> Phone | None:
    """Read a phone; None if it is masked, too short, or not a phone."""
    if text is None:
        return None
    bare = _SEPARATORS.sub("", text)
    international = bare.startswith(("+", "00"))
    digits = bare.removeprefix("+").removeprefix("00") if international else bare
    if not re.fullmatch(rf"[0-9]{{{_MIN_DIGITS},{_MAX_DIGITS}}}", digits, re.ASCII):
        return None
    return Phone(f"+{digits}" if international else digits, international)


def read_email(text: str | None) -> str | None:
    """Read an e-mail address, in lower case; None if it is masked or not an address."""
    if text is None or not re.fullmatch(r"[^\s@*\u2022]+@[^\s@*\u2022]+\.[^\s@*\u2022]+", text):
        return None
    return text.lower()


def read_time(text: str | None) -> Period | None:
    """Read an ISO 8601 time, or seconds or milliseconds since 1970; None for anything else.

    A time without a zone may be in any zone on earth.
    """
    if text is None:
        return None
    try:
        if text.isascii() and text.isdigit():
            number = float(text)
            if not _EPOCH_S <= number <= _EPOCH_END:
                return None
            when = datetime.fromtimestamp(number / 1000 if number >= _EPOCH_MS else number, UTC)
        else:
            when = datetime.fromisoformat(text)
        if when.tzinfo is not None:
            return Period(when.astimezone(UTC), when.astimezone(UTC))
        utc = when.replace(tzinfo=UTC)
        return Period(utc - _EASTMOST, utc + _WESTMOST)
    except (ValueError, OverflowError, OSError):
        return None


@dataclass(frozen=True, slots=True)
class Echo:
    """The part of an answer that shows the requested conversation.

    Attributes:
        contradiction: names of the fields, without values, that show another conversation than
            the one asked for; empty if there are none.
        existing: whether it is this person's and was created before the request left.
    """

    contradiction: str = ""
    existing: bool = False


def compare_echo(
    answer: Mapping[str, Json],
    body: Mapping[str, Json],
    organization: str,
    sent_at: datetime,
) -> Echo:
    """Compare a successful answer with its request.

    Args:
        answer: the JSON object of the answer.
        body: the body of the request.
        organization: id that the request was sent for.
        sent_at: the latest time, by the API's clock, at which the request had certainly not left.
    """
    contradicted: list[str] = []
    same_person = older = False
    for shown in objects_in(answer):
        created = read_time(text_at(shown, "createdAt"))
        older = older or (created is not None and created.latest < sent_at)
        same, others = _compare_person(shown, body)
        same_person = same_person or same
        contradicted += others
        contradicted += _differing(shown, body, organization)
    external = "externalId" in contradicted
    if older and same_person and external:
        contradicted.remove(
            "externalId"
        )  # it is this person's; another system asked for it earlier
        external = "externalId" in contradicted
    if older and not same_person and not contradicted:
        return Echo("createdAt")
    names = ", ".join(dict.fromkeys(contradicted))
    return Echo(names, existing=older and same_person and not names)


def _compare_person(shown: Mapping[str, Json], body: Mapping[str, Json]) -> tuple[bool, list[str]]:
    """Return whether a conversation is with a body's person, and which fields contradict that."""
    same, others = False, list[str]()
    phone, email = read_phone(first_text(shown, PHONES)), read_email(first_text(shown, EMAILS))
    own_phone, own_email = body.get("phoneNumber"), body.get("emailAddress")
    if phone is not None and isinstance(own_phone, str):
        if phone.could_be(own_phone):
            same = True
        else:
            others.append("phone")
    if email is not None and isinstance(own_email, str):
        if email == own_email.lower():
            same = True
        else:
            others.append("e-mail")
    return same, others


def _differing(shown: Mapping[str, Json], body: Mapping[str, Json], organization: str) -> list[str]:
    """Return the ids in which a conversation differs from the one that a body asks for."""
    wanted = {
        "externalId": body.get("externalId"),
        "campaignId": body.get("campaignId"),
        "externalCampaignId": body.get("externalCampaignId"),
        "organizationId": organization,
    }
    found = []
    for name, own in wanted.items():
        theirs = text_at(shown, name)
        if theirs is not None and isinstance(own, str) and not same_id(theirs, own):
            found.append(name)
    return found


def same_id(one: str, other: str) -> bool:
    """Whether two ids are equal, ignoring case and surrounding blanks."""
    return printable(one).casefold() == printable(other).casefold()
