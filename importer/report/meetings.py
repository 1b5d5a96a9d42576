"""A group for somebody who never saw a template: what the meeting is, who comes, when and where."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importer.model import Json
    from importer.report.lists import GroupView

_NUMBERS: Final = re.compile(r"\[\n\s+((?:-?\d+,\n\s+)*-?\d+)\n\s+\]")
_DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # 0 and 7 are both Sunday
_TOLD: Final = {
    "title", "description", "timezone", "duration", "openHours", "videoConferencing",
    "videoConferencingProvider", "location",
}  # fmt: skip


def facts(group: GroupView) -> list[tuple[str, str]]:
    """Label and text of everything that a group's templates say, the usual things first."""
    meeting = group.meeting_configuration
    told = [
        ("Meets", "; ".join(_person(person) for person in group.meeting_participants)),
        ("Length", _minutes(meeting.get("duration"))),
        ("Offered times", _hours(meeting.get("openHours"))),
        ("Time zone", _text(meeting.get("timezone"))),
        ("Where", _where(meeting)),
        ("Text", _text(meeting.get("description"))),
    ]
    others = [(_label(key), _text(value)) for key, value in meeting.items() if key not in _TOLD]
    return [(label, text) for label, text in [*told, *others] if text]


def heading(group: GroupView) -> str:
    """The meeting's title, else the template's name."""
    return _text(group.meeting_configuration.get("title")) or group.meeting or group.campaign


def pretty(value: Json) -> str:
    """JSON as a person reads it, lists of numbers in one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def contact(body: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Whom an example's body is for."""
    name = " ".join(_text(body.get(key)) for key in ("firstName", "lastName"))
    found = [
        ("To", name.strip()),
        ("Phone", _text(body.get("phoneNumber"))),
        ("E-mail", _text(body.get("emailAddress"))),
    ]
    return [(label, text) for label, text in found if text]


def _text(value: Json) -> str:
    """Any value in a line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _label(key: str) -> str:
    """`bufferMinutes` as `Buffer minutes`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).replace("_", " ")
    return words[:1].upper() + words[1:].lower()


def _minutes(value: Json) -> str:
    return f"{value} minutes" if isinstance(value, int) and value != 1 else _text(value)


def _where(meeting: Mapping[str, Json]) -> str:
    if meeting.get("videoConferencing") is True:
        provider = _text(meeting.get("videoConferencingProvider"))
        return f"By video ({provider})" if provider else "By video"
    return _text(meeting.get("location"))


def _person(person: Mapping[str, Json]) -> str:
    """Name, address and part of a participant."""
    name, email = _text(person.get("name")), _text(person.get("email"))
    said = f"{name} ({email})" if name and email else name or email or "somebody without a name"
    return f"{said}, organizer" if person.get("isOrganizer") is True else said


def _hours(value: Json) -> str:
    """Opening hours: `Mon-Fri 09:00-17:00`."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _text(value)
    return "; ".join(_opening(item) if isinstance(item, Mapping) else _text(item) for item in value)


def _opening(item: Mapping[str, Json]) -> str:
    start, end, days = _text(item.get("start")), _text(item.get("end")), item.get("days")
    if not (start and end) or not isinstance(days, Sequence) or isinstance(days, str):
        return _text(item)
    if not all(isinstance(day, int) and 0 <= day < len(_DAYS) for day in days):
        return _text(item)
    numbers = [day for day in days if isinstance(day, int)]
    span = list(range(numbers[0], numbers[-1] + 1)) if numbers else []
    if len(numbers) > 2 and numbers == span:  # noqa: PLR2004
        named = f"{_DAYS[numbers[0]]}\u2013{_DAYS[numbers[-1]]}"
    else:
        named = ", ".join(_DAYS[day] for day in numbers)
    zone = _text(item.get("timezone"))
    return f"{named} {start}\u2013{end}" + (f" {zone}" if zone else "")
