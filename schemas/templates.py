"""The rules for templates, which use the API's own key names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    RootModel,
    ValidationInfo,
    field_validator,
)
from pydantic.alias_generators import to_camel

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


Steps = tuple[int | str, ...]
"""Keys and list positions, from the top of a template to a part of it."""


class Part(BaseModel):
    """A mapping with the API's key names; unknown keys are allowed.

    Attributes:
        nested: the keys whose value is a part, or a list of parts.
    """

    model_config = ConfigDict(
        strict=True,
        extra="allow",
        frozen=True,
        alias_generator=to_camel,
        hide_input_in_errors=True,
    )

    nested: ClassVar[Mapping[str, type[Part]]] = {}

    @classmethod
    def keys(cls) -> frozenset[str]:
        """Return every known key, under each of its names."""
        return frozenset(key for names in cls.spellings() for key in names)

    @classmethod
    def spellings(cls) -> Iterator[Sequence[str]]:
        """Yield the names of each key, the usual one first."""
        for field in cls.model_fields.values():
            alias = field.validation_alias
            if isinstance(alias, AliasChoices):
                yield [str(choice) for choice in alias.choices]
            else:
                yield [str(alias)]


def unknown_keys(
    value: Mapping[str, Any], part: type[Part], path: Steps = ()
) -> Iterator[tuple[Steps, frozenset[str]]]:
    """Yield the path of each unknown key, with the keys that are known there."""
    known = part.keys()
    for key in value:
        if key not in known:
            yield (*path, key), known
    for key, inner in part.nested.items():
        for place, item in _parts(value.get(key)):
            yield from unknown_keys(item, inner, (*path, key, *place))


def repeated_keys(value: Mapping[str, Any], part: type[Part]) -> Iterator[tuple[str, str]]:
    """Yield keys that are another name of a key that is there too, with that key."""
    for names in part.spellings():
        used = [name for name in names if name in value]
        yield from ((name, used[0]) for name in used[1:])


def _parts(value: object) -> Iterable[tuple[Steps, dict[str, Any]]]:
    """Return the mappings in a list, with their positions; or the mapping itself."""
    items = [((n,), each) for n, each in enumerate(value)] if isinstance(value, list) else []
    return [(at, each) for at, each in (*items, ((), value)) if isinstance(each, dict)]


ROUND_ROBIN_SIZE: Final = range(2, 11)
_BRACES: Final = re.compile(r"\{[^{}]*\}")
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+")
_ROUND_ROBIN: Final = re.compile(r"round.?robin", re.IGNORECASE)


def has_placeholder(text: str) -> bool:
    """Whether a text has a placeholder, `{ours}` or the API's `{{own}}`."""
    return _BRACES.search(text) is not None


def _said(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value


def _timezone(value: str) -> str:
    if not has_placeholder(value) and not is_timezone(value):
        raise ValueError("must be an IANA time zone such as Europe/London")
    return value


def _email(value: str) -> str:
    if not has_placeholder(value) and not _EMAIL.fullmatch(value.strip()):
        raise ValueError("must be an e-mail address")
    return value


@lru_cache(maxsize=1024)
def is_timezone(name: str) -> bool:
    """Whether a name is in the IANA time zone database."""
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # unknown, a path outside of it, a folder of it
        return False
    return True


SAMPLE_LOCATION: Final = "1 High Street, Leeds"
"""The made-up location of the project that `importer init` writes."""

_EXAMPLE: Final = re.compile(
    r"(?:(?<![\w-])example\.(?:com|net|org)|@[\w.-]+\.(?:example|invalid|test|localhost))"
    r"(?![\w-])(?!\.\w)",
    re.IGNORECASE,
)
"""A domain that is kept for examples (RFC 2606), so that nobody is reached there."""


def is_example(text: str) -> bool:
    """Whether a text of a template has an address of an example, at which nobody is reached."""
    return text.strip() == SAMPLE_LOCATION or _EXAMPLE.search(text) is not None


Text = Annotated[str, AfterValidator(_said)]
Timezone = Annotated[Text, AfterValidator(_timezone)]
Email = Annotated[Text, AfterValidator(_email)]


class OpenHours(Part):
    """When meetings can take place: one item of openHours. Only the time zone's rule is certain."""

    days: Any = None
    start: Any = None
    end: Any = None
    timezone: Timezone | None = None


class Meeting(Part):
    """A meeting template: the API's meetingConfiguration.

    The API's public pages state the rules for duration, buffer, reminder, notice and days ahead,
    but not the names of these keys. Each is accepted here under its likely names.
    """

    nested: ClassVar[Mapping[str, type[Part]]] = {"openHours": OpenHours}

    title: Text
    description: str | None = None
    open_hours: list[OpenHours] = Field(min_length=1)
    timezone: Timezone
    duration: int = Field(
        ge=1,
        le=1440,
        validation_alias=AliasChoices("duration", "durationMinutes", "durationInMinutes"),
    )
    video_conferencing_provider: Any = None
    video_conferencing: bool
    location: Any = None
    buffer: int | None = Field(
        default=None,
        ge=0,
        le=120,
        multiple_of=5,
        validation_alias=AliasChoices(
            "buffer", "bufferMinutes", "bufferInMinutes", "bufferTime", "bufferTimeMinutes"
        ),
    )
    reminder: int | None = Field(
        default=None,
        ge=1,
        validation_alias=AliasChoices("reminder", "reminderMinutes", "reminderInMinutes"),
    )
    minimum_notice: int | None = Field(
        default=None,
        ge=0,
        validation_alias=AliasChoices(
            "minimumNotice", "minimumNoticeMinutes", "minimumNoticeInMinutes"
        ),
    )
    days_ahead: int | None = Field(
        default=None,
        ge=1,
        validation_alias=AliasChoices("daysAhead", "maxDaysAhead", "daysInAdvance"),
    )
    availability_method: Text | None = None
    availability_outreach_settings: dict[str, Any] | None = None

    @field_validator("video_conferencing")
    @classmethod
    def _on_with_provider(cls, value: bool, info: ValidationInfo) -> bool:  # noqa: FBT001 (pydantic's signature)
        if value and info.data.get("video_conferencing_provider", "wrong") is None:
            raise ValueError("needs a videoConferencingProvider when it is true")
        return value

    @field_validator("location")
    @classmethod
    def _video_or_location(cls, value: object, info: ValidationInfo) -> object:
        if value is not None and info.data.get("video_conferencing") is True:
            raise ValueError("cannot be combined with videoConferencing: true")
        return value


class Availability(Part):
    """When a participant has time, given by hand; the keys of an item are not public."""

    time_slots: list[dict[str, Any]] | None = None


class Participant(Part):
    """A person that the candidate meets: one item of meetingParticipants."""

    nested: ClassVar[Mapping[str, type[Part]]] = {"availability": Availability}

    name: Text | None = None
    email: Email | None = None
    is_organizer: bool | None = None
    is_calendar_connected: bool | None = None
    auto_collect_availability: bool | None = None
    availability: Availability | None = None

    @field_validator("auto_collect_availability")
    @classmethod
    def _not_with_calendar(cls, value: bool | None, info: ValidationInfo) -> bool | None:  # noqa: FBT001 (pydantic's signature)
        if value and info.data.get("is_calendar_connected"):
            raise ValueError("needs isCalendarConnected: false")
        return value


class Participants(RootModel[list[Participant]]):
    """A participant template: the API's meetingParticipants."""

    model_config = ConfigDict(strict=True, frozen=True, hide_input_in_errors=True)
    root: Annotated[list[Participant], Field(min_length=1)]


_NO_WAY: Final = (
    "needs one way to give availability: "
    "isCalendarConnected: true, availability.timeSlots, or autoCollectAvailability: true"
)

Broken = tuple[Steps, str]
"""A broken rule: the path in the template, and what the rule demands."""

_STATED: Final = frozenset(
    {
        "openHours",
        "videoConferencing",
        "videoConferencingProvider",
        "location",
        "availabilityOutreachSettings",
    }
)
_STATED_OF_PARTICIPANTS: Final = frozenset(
    {"isOrganizer", "isCalendarConnected", "autoCollectAvailability", "availability"}
)


def is_stated(path: Steps) -> bool:
    """Whether the API's public reference states the rule at a path.

    Only a stated rule can make a template an error. All other keys are inferred, so a broken rule
    there is only a warning.
    """
    if not path or (path == (path[0],) and isinstance(path[0], int)):
        return True  # a list of mappings, or a mapping
    if isinstance(path[0], int):
        return path[1] in _STATED_OF_PARTICIPANTS
    return len(path) == 1 and path[0] in _STATED


def broken_participant_rules(participants: Sequence[Mapping[str, Any]]) -> list[Broken]:
    """Return the broken rules of a list of participants that do not depend on the meeting."""
    broken: list[Broken] = [
        ((place,), _NO_WAY) for place, each in enumerate(participants) if not _can_say_when(each)
    ]
    collecting = [n for n, each in enumerate(participants) if each.get("autoCollectAvailability")]
    broken += [
        ((place, "autoCollectAvailability"), "can be true for one participant only")
        for place in collecting[1:]
    ]
    return broken


def _can_say_when(participant: Mapping[str, Any]) -> bool:
    """Whether the participant has one of the three ways to give availability."""
    availability = participant.get("availability")
    slots = availability.get("timeSlots") if isinstance(availability, Mapping) else None
    ways = (participant.get("isCalendarConnected"), participant.get("autoCollectAvailability"))
    return any(ways) or bool(slots)


def _method_of(meeting: Mapping[str, Any]) -> str:
    return str(meeting.get("availabilityMethod") or "").strip()


def broken_pair_rule(meeting: Mapping[str, Any], participants: Sequence[Mapping[str, Any]]) -> str:
    """Return the broken rule on organizers of a meeting and its participants, or an empty text.

    An unknown availabilityMethod has no rule, because the API may have methods that we do not know.
    """
    method = _method_of(meeting)
    organizers = sum(bool(each.get("isOrganizer")) for each in participants)
    if _ROUND_ROBIN.search(method):
        fits = len(participants) in ROUND_ROBIN_SIZE
        return "" if fits else "a round-robin meeting takes 2 to 10 participants"
    if method.upper() == "COLLECTIVE":
        return "" if organizers == 1 else "a COLLECTIVE meeting takes exactly one organizer"
    if not method:
        return "" if organizers else "at least one participant must have isOrganizer: true"
    return ""


def is_method_known(meeting: Mapping[str, Any]) -> bool:
    """Whether the rules of the meeting's availabilityMethod are known."""
    method = _method_of(meeting)
    known = not method or method.upper() == "COLLECTIVE" or bool(_ROUND_ROBIN.search(method))
    return known or has_placeholder(method)
