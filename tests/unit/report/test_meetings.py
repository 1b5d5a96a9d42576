"""Templates in words that need no training."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from importer.report.html import contact, facts, heading, pretty
from importer.report.view import GroupView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json


def group(meeting: Mapping[str, Json], *people: Mapping[str, Json]) -> GroupView:
    """A group with these templates."""
    return GroupView("camp-1", "onsite", "panel", 1, {}, meeting, people)


def test_a_meeting_in_words() -> None:
    """Who, how long, when, where; what we have no word for keeps its own name."""
    told = facts(
        group(
            {
                "title": "Interview",
                "duration": 45,
                "openHours": [{"days": [1, 2, 3, 4, 5], "start": "09:00", "end": "17:00"}],
                "timezone": "Europe/London",
                "videoConferencing": True,
                "videoConferencingProvider": "Google Meet",
                "bufferMinutes": 15,
                "nested": {"a": [1, True, None]},
            },
            {"name": "Grace", "email": "grace@example.com", "isOrganizer": True},
            {"email": "bo@example.com"},
        )
    )
    assert told == [
        ("Meets", "Grace (grace@example.com), organizer; bo@example.com"),
        ("Length", "45 minutes"),
        ("Offered times", "Mon–Fri 09:00–17:00"),
        ("Time zone", "Europe/London"),
        ("Where", "By video (Google Meet)"),
        ("Buffer minutes", "15"),
        ("Nested", '{"a": [1, true, null]}'),
    ]


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ([{"days": [0, 6], "start": "9", "end": "12"}], "Sun, Sat 9–12"),
        ([{"days": [6, 7], "start": "9", "end": "12"}], "Sat, Sun 9–12"),
        ([{"days": [1, 3, 5], "start": "9", "end": "12"}], "Mon, Wed, Fri 9–12"),
        (
            [{"days": [1], "start": "9", "end": "12", "timezone": "Europe/Rome"}],
            "Mon 9–12 Europe/Rome",
        ),
        ([{"days": ["MONDAY"], "start": "9", "end": "12"}], None),
        ([{"days": [9], "start": "9", "end": "12"}], None),
        ([{"from": "9"}], None),
        (["always"], "always"),
        ("always", "always"),
    ],
)
def test_hours_are_said_or_shown_as_they_are(hours: Json, said: str | None) -> None:
    """The item's form is not known for sure: what we cannot read is not guessed at."""
    told = dict(facts(group({"openHours": hours})))["Offered times"]
    assert told == (said if said is not None else json.dumps(list(hours)[0]))  # type: ignore[arg-type] # noqa: RUF015


def test_a_group_without_a_title_has_a_name() -> None:
    """The template's, else the campaign's."""
    assert heading(group({"title": "Interview"})) == "Interview"
    assert heading(group({})) == "onsite"
    assert heading(GroupView("camp-1", "", "", 1, {}, {}, ())) == "camp-1"


def test_whom_an_example_is_for() -> None:
    """What there is, in order."""
    body = {"firstName": "Ada", "phoneNumber": "+442079460018", "campaignId": "c"}
    assert contact(body) == [("To", "Ada"), ("Phone", "+442079460018")]


def test_json_for_reading_is_still_json() -> None:
    """Lists of numbers are in one line; text that looks like one is left alone."""
    value: Json = {"days": [1, 2, 3], "text": "[\n 1\n]", "none": [], "mixed": [1, "a"]}
    assert json.loads(pretty(value)) == value
    assert '"days": [1, 2, 3]' in pretty(value)
