"""Templates are sent verbatim, and each rule of the API is checked where it can be known."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from importer.errors import TemplateError
from importer.planning.template_files import Pair, Template, TemplateKind, Templates
from tests.support.rows import MEETING, PARTICIPANTS, write_templates

if TYPE_CHECKING:
    from pathlib import Path

BARE = """\
title: Interview
timezone: Europe/London
openHours: [{start: 09:00}]
videoConferencing: false
"""
PERSON = "email: max@example.org, isOrganizer: true, isCalendarConnected: true"


def meeting(folder: Path, text: str) -> Template:
    """Return a meeting template of this text."""
    return Templates(write_templates(folder / "templates", {"m": text})).meeting("m")


def participants(folder: Path, text: str) -> Template:
    """Return a participant template of this text."""
    return Templates(write_templates(folder / "templates", {}, {"p": text})).participants("p")


def refused(folder: Path, text: str, kind: TemplateKind = TemplateKind.MEETING) -> str:
    """Return the message that a template is refused with, else what is unusual in it."""
    try:
        read = meeting(folder, text) if kind is TemplateKind.MEETING else participants(folder, text)
    except TemplateError as caught:
        return caught.message
    return "\n".join(read.unusual)


@pytest.mark.parametrize(
    "change",
    [
        "meetingDuration: 45\n",
        "duration: 45\nbuffer: {before: 5, after: 10}\n",
        "durationMinutes: '45'\n",
        "duration: 45\nlocation: {street: High Street}\n",
        "duration: 45\nopenHours: [{days: Mon, start: 9, end: 17}]\n",
    ],
)
def test_what_is_only_inferred_never_blocks(tmp_path: Path, change: str) -> None:
    """Names and shapes that the public reference does not state are warnings, sent as they are."""
    text = "\n".join(line for line in BARE.splitlines() if line.split(":")[0] not in change)
    people = f"- {{{PERSON}}}"
    templates = Templates(write_templates(tmp_path, {"m": f"{text}\n{change}"}, {"p": people}))
    assert Pair(templates.meeting("m"), templates.participants("p")).find_broken_rule({}) is None


def test_what_is_stated_blocks(tmp_path: Path) -> None:
    """The message is an error, and not a warning."""
    with pytest.raises(TemplateError, match="videoConferencing: is required"):
        meeting(tmp_path, BARE.replace("videoConferencing: false\n", "") + "duration: 45\n")


def test_a_template_is_read_verbatim(tmp_path: Path) -> None:
    """Keys, their order and the types of values are the file's; no default is added."""
    text = """\
videoConferencing: true
unknownKey: {z: 1.50, a: [~, NO, 0x10, "5"]}
videoConferencingProvider: Google Meet
title: "{job_title} {{MEETING_URL}}"
durationMinutes: 30
timezone: UTC
openHours: [{days: [MON], start: 09:30, end: "17:00", timezone: Europe/Berlin}]
"""
    assert json.dumps(meeting(tmp_path, text).value) == (
        '{"videoConferencing": true, "unknownKey": {"z": 1.5, "a": [null, "NO", 16, "5"]}, '
        '"videoConferencingProvider": "Google Meet", "title": "{job_title} {{MEETING_URL}}", '
        '"durationMinutes": 30, "timezone": "UTC", "openHours": [{"days": ["MON"], '
        '"start": "09:30", "end": "17:00", "timezone": "Europe/Berlin"}]}'
    )


def test_placeholders_are_collected_from_everywhere(tmp_path: Path) -> None:
    """Texts in lists and mappings count, the API's own tokens and keys do not."""
    text = BARE + (
        "duration: 45\ndescription: '{a} {{B}}'\n"
        "availabilityOutreachSettings: {texts: ['{c}', {'{key}': '{d_1}'}]}\n"
    )
    assert meeting(tmp_path, text).placeholders == {"a", "c", "d_1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("", "m.yaml:1:1: duration: is required"),
        ("duration: 0", "m.yaml:5:11: duration: must be at least 1"),
        ("duration: 1441", "duration: must be at most 1440"),
        ("durationInMinutes: 1441", "durationInMinutes: must be at most 1440"),
        ("duration: '45'", "duration: must be a whole number"),
        ("duration: 45.5", "duration: must be a whole number"),
        ("duration: true", "duration: must be a whole number"),
        ("duration: '{minutes}'", "duration: must be a whole number"),
        ("duration: {minutes}", 'duration: a placeholder needs quotes: "{minutes}"'),
        ("duration: 1\ndurationMinutes: 1", "6:1: durationMinutes: `duration` says this"),
        ("duration: 1\nbuffer: 7", "6:9: buffer: must be a multiple of 5"),
        ("duration: 1\nbufferMinutes: 125", "bufferMinutes: must be at most 120"),
        ("duration: 1\nbuffer: -5", "buffer: must be at least 0"),
        ("duration: 1\nreminder: 0", "reminder: must be at least 1"),
        ("duration: 1\nminimumNotice: -1", "minimumNotice: must be at least 0"),
        ("duration: 1\ndaysAhead: 0", "daysAhead: must be at least 1"),
        ("duration: 1\navailabilityMethod: 1", "availabilityMethod: must be text"),
        ("duration: 1\navailabilityOutreachSettings: x", "must be a mapping (`key: value`)"),
        ("duration: 1\ntitle: x", "6:1: title: the key is in row 1 already"),
        ("duration: 1\ndescription: '{Job Title}'", "`{Job Title}` is no placeholder; "),
        ("duration: 1\ndescription: '{a.b}'", "write `{a_b}`"),
        ("duration: 1\ndescription: '{a[0]}'", "write `{a_0}`"),
        ("duration: 1\ndescription: '{a:>9}'", "`{a:>9}` is no placeholder"),
        ("duration: 1\ndescription: {{X}}", "a key must be plain text; put `{...}`"),
        ("duration: 1\ndescription: {a}", 'description: a placeholder needs quotes: "{a}"'),
    ],
)
def test_a_broken_rule_of_a_meeting_is_told_with_its_place(
    tmp_path: Path, change: str, message: str
) -> None:
    """What is wrong whatever the row stops the run when the template is read."""
    assert message in refused(tmp_path, BARE + change)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Interview", "", "title: is required"),
        ("title: Interview", "title: ' '", "title: must not be empty"),
        ("title: Interview", "title: 42", "m.yaml:1:8: title: must be text; put it in quotes"),
        ("Europe/London", "Europe/Londn", "m.yaml:2:11: timezone: must be an IANA time zone"),
        ("Europe/London", "Europe", "timezone: must be an IANA"),
        ("Europe/London", "../etc/passwd", "timezone: must be an IANA"),
        ("[{start: 09:00}]", "[]", "openHours: must have 1 or more items"),
        ("[{start: 09:00}]", "09:00", "openHours: must be a list"),
        ("[{start: 09:00}]", "[09:00]", "openHours[0]: must be a mapping"),
        ("{start: 09:00}", "{timezone: CEST5}", "openHours[0].timezone: must be an IANA"),
        ("videoConferencing: false", "", "videoConferencing: is required"),
        ("videoConferencing: false", "videoConferencing: no", "must be true or false"),
        ("videoConferencing: false", "videoConferencing: '{v}'", "must be true or false"),
        (
            "videoConferencing: false",
            "videoConferencing: true",
            "m.yaml:4:20: videoConferencing: needs a videoConferencingProvider when it is true",
        ),
        (
            "videoConferencing: false",
            "videoConferencing: true\nvideoConferencingProvider: Zoom\nlocation: Leeds",
            "m.yaml:6:11: location: cannot be combined with videoConferencing: true",
        ),
    ],
)
def test_a_required_key_of_a_meeting_has_its_rule(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    """Title, time zone, hours and the place of the meeting are checked strictly."""
    assert message in refused(tmp_path, BARE.replace(old, new) + "duration: 45\n")


@pytest.mark.parametrize(
    "change",
    [
        "duration: 1440\nbuffer: 120\nreminder: 1\nminimumNotice: 0\ndaysAhead: 1",
        "durationMinutes: 1\nbufferMinutes: 0",
        "duration: 45\nlocation: Leeds\nvideoConferencingProvider: ~\nbuffer: ~",
        "duration: 45\navailabilityMethod: COLLECTIVE\navailabilityOutreachSettings: {x: ~}",
        "duration: 45\ndescription: '{{CANDIDATE_FIRST_NAME}} { x } {} {a, b}'",
    ],
)
def test_what_the_rules_allow_is_allowed(tmp_path: Path, change: str) -> None:
    """The ends of each range, optional keys without a value, braces that mean nothing."""
    assert refused(tmp_path, BARE + change) == ""


def test_an_open_placeholder_passes_rules_on_form(tmp_path: Path) -> None:
    """Whether it is a time zone is known when it is filled in."""
    text = BARE.replace("Europe/London", "'{tz}'") + "duration: 45\n"
    assert meeting(tmp_path, text).placeholders == {"tz"}


def test_all_mistakes_of_a_template_are_told_at_once(tmp_path: Path) -> None:
    """One line each, in the order of the file, under a path that is the same everywhere."""
    text = "title: 1\ntimezone: X\ntimezone: Y\nopenHours: []\nduration: 0\n"
    assert refused(tmp_path, text).splitlines() == [
        "templates/meetings/m.yaml:1:1: videoConferencing: is required",
        "templates/meetings/m.yaml:1:8: title: must be text; put it in quotes",
        "templates/meetings/m.yaml:2:11: timezone: must be an IANA time zone such as Europe/London",
        "templates/meetings/m.yaml:3:1: timezone: the key is in row 2 already",
        "templates/meetings/m.yaml:4:12: openHours: must have 1 or more items",
        "templates/meetings/m.yaml:5:11: duration: must be at least 1",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "p.yaml:1:1: must be a list (`- item`)"),
        ("[]", "p.yaml:1:1: must have 1 or more items"),
        ("name: Max", "must be a list"),
        ("- Max", "p.yaml:1:3: [0]: must be a mapping"),
        ("- {name: Max}", "p.yaml:1:3: [0]: needs one way to give availability"),
        ("- {isCalendarConnected: false}", "[0]: needs one way to give availability"),
        ("- {availability: {timeSlots: []}}", "[0]: needs one way to give availability"),
        ("- {availability: {timeSlots: [x]}}", "[0].availability.timeSlots[0]: must be a mapping"),
        ("- {isCalendarConnected: 'true'}", "[0].isCalendarConnected: must be true or false"),
        ("- {isCalendarConnected: true, email: max}", "[0].email: must be an e-mail address"),
        ("- {isCalendarConnected: true, name: ''}", "[0].name: must not be empty"),
        (
            "- {isCalendarConnected: true, autoCollectAvailability: true}",
            "[0].autoCollectAvailability: needs isCalendarConnected: false",
        ),
        (
            "- {autoCollectAvailability: true}\n- {autoCollectAvailability: true}",
            "p.yaml:2:29: [1].autoCollectAvailability: can be true for one participant only",
        ),
        ("- {isCalendarConnected: true, email: {a}}", 'a placeholder needs quotes: "{a}"'),
    ],
)
def test_a_broken_rule_of_participants_is_told_with_its_place(
    tmp_path: Path, text: str, message: str
) -> None:
    """Each participant has one of three ways to give availability, and only one is asked for it."""
    assert message in refused(tmp_path, text, TemplateKind.PARTICIPANTS)


@pytest.mark.parametrize(
    "text",
    [
        "- {isCalendarConnected: true}",
        "- {autoCollectAvailability: true, isCalendarConnected: false}",
        "- {availability: {timeSlots: [{start: x}]}}",
        "- {isCalendarConnected: true, email: '{hiring_manager_email}'}",
    ],
)
def test_each_way_to_give_availability_is_enough(tmp_path: Path, text: str) -> None:
    """A connected calendar, time slots, or being asked."""
    assert refused(tmp_path, text, TemplateKind.PARTICIPANTS) == ""


def test_a_key_that_no_rule_knows_is_a_warning(tmp_path: Path) -> None:
    """It is sent unchanged; the nearest known key is suggested."""
    text = BARE + "duration: 45\nbuffr: 5\ncolour: red\nopenHours: [{day: 1}]\n"
    text = text.replace("openHours: [{start: 09:00}]\n", "")
    template = meeting(tmp_path, text)
    assert template.unknown_keys == (
        "templates/meetings/m.yaml:5:1: buffr: perhaps `buffer` is meant",
        "templates/meetings/m.yaml:6:1: colour: sent as it is",
        "templates/meetings/m.yaml:7:14: openHours[0].day: perhaps `days` is meant",
    )
    text = f"- {{{PERSON}, isOrganiser: true, availability: {{slots: 1}}}}"
    assert [line.split(": ", 1)[1] for line in participants(tmp_path, text).unknown_keys] == [
        "[0].isOrganiser: perhaps `isOrganizer` is meant",
        "[0].availability.slots: perhaps `timeSlots` is meant",
    ]


def test_an_availability_method_that_we_do_not_know_is_a_warning(tmp_path: Path) -> None:
    """The API may know more methods than its public pages name."""
    (line,) = meeting(tmp_path, BARE + "duration: 45\navailabilityMethod: LOTTERY\n").unknown_keys
    assert line.endswith(
        "availabilityMethod: this method is not known, so the organizers are not checked"
    )


def pair(folder: Path, method: str, people: str) -> Pair:
    """Return a meeting of this availabilityMethod with these participants."""
    result = f"availabilityMethod: {method}\n" if method else ""
    folder = write_templates(folder, {"m": f"{BARE}duration: 45\n{result}"}, {"p": people})
    templates = Templates(folder)
    return Pair(templates.meeting("m"), templates.participants("p"))


@pytest.mark.parametrize(
    ("method", "organizers", "others", "broken"),
    [
        ("", 1, 0, ""),
        ("", 3, 1, ""),
        ("", 0, 1, "at least one participant must have isOrganizer: true"),
        ("COLLECTIVE", 1, 4, ""),
        ("collective", 0, 2, "a COLLECTIVE meeting takes exactly one organizer"),
        ("COLLECTIVE", 2, 0, "a COLLECTIVE meeting takes exactly one organizer"),
        ("ROUND_ROBIN", 0, 2, ""),
        ("round-robin", 0, 10, ""),
        ("RoundRobin", 1, 0, "a round-robin meeting takes 2 to 10 participants"),
        ("ROUND_ROBIN", 1, 10, "a round-robin meeting takes 2 to 10 participants"),
        ("LOTTERY", 0, 1, ""),
    ],
)
def test_organizers_are_counted_by_the_method_of_the_meeting(
    tmp_path: Path, method: str, organizers: int, others: int, broken: str
) -> None:
    """The rule needs both templates, so the pair is checked together."""
    people = "- {isCalendarConnected: true, isOrganizer: true}\n" * organizers
    people += "- {isCalendarConnected: true}\n" * others
    found = pair(tmp_path, method, people).find_broken_rule({})
    assert found == (("", f"p with m: {broken}") if broken else None)


def test_values_are_checked_when_they_are_filled_in(tmp_path: Path) -> None:
    """The placeholder at fault is named if there is a single one."""
    text = BARE.replace("Europe/London", "'{tz}'") + "duration: 45\n"
    people = "- {isOrganizer: true, isCalendarConnected: true, email: '{who}@{where}'}"
    templates = Templates(write_templates(tmp_path, {"m": text}, {"p": people}))
    both = Pair(templates.meeting("m"), templates.participants("p"))
    good = {"tz": "Europe/Paris", "who": "max", "where": "example.org"}
    assert both.placeholders == both.checked_placeholders() == {"tz", "who", "where"}
    assert both.find_broken_rule(good) is None
    assert both.find_broken_rule({**good, "tz": "Paris"}) is None
    assert both.find_unusual(good) is None
    assert both.find_unusual({**good, "tz": "Paris"}) == (
        "tz",
        "meeting template m: timezone must be an IANA time zone such as Europe/London",
    )
    assert both.find_unusual({**good, "where": "here"}) == (
        "",
        "participant template p: [0].email must be an e-mail address",
    )


def test_plain_words_have_no_form(tmp_path: Path) -> None:
    """Placeholders in titles, descriptions, names and places are not checked again per group."""
    people = "- {isOrganizer: true, isCalendarConnected: true, name: '{who}'}"
    templates = Templates(write_templates(tmp_path, {"m": MEETING}, {"p": people}))
    both = Pair(templates.meeting("m"), templates.participants("p"))
    assert both.placeholders == {"job_title", "who"}
    assert both.checked_placeholders() == frozenset()


def test_templates_are_found_by_name(tmp_path: Path) -> None:
    """Both endings are read; hidden files and other kinds of files are not there."""
    folder = write_templates(tmp_path, {"b": MEETING, "a b": MEETING, ".hidden": MEETING})
    (folder / "meetings" / "c.yml").write_text(MEETING)
    (folder / "meetings" / "notes.txt").write_text("x")
    templates = Templates(folder)
    assert templates.names(TemplateKind.MEETING) == ("a b", "b", "c")
    assert templates.names(TemplateKind.PARTICIPANTS) == ("manager",)
    assert templates.meeting("c").value == templates.meeting("b").value
    assert templates.meeting("c") is templates.meeting("c")


@pytest.mark.parametrize("name", ["../meetings/m", "/etc/passwd", "m.yaml", "..", "", "m/", "M"])
def test_a_name_is_never_a_path(tmp_path: Path, name: str) -> None:
    """Only files of the folder can be named, by their exact names."""
    templates = Templates(write_templates(tmp_path, {"m": MEETING}))
    with pytest.raises(TemplateError, match="There is no meeting template"):
        templates.meeting(name)


def test_an_unknown_name_gets_a_suggestion(tmp_path: Path) -> None:
    """The nearest name, else what there is."""
    folder = write_templates(tmp_path, {"onsite-45": MEETING, "video-30": MEETING})
    templates = Templates(folder)
    assert templates.like(TemplateKind.MEETING, "Onsite 45") == "perhaps `onsite-45` is meant"
    assert templates.like(TemplateKind.MEETING, "zzz") == "there are `onsite-45`, `video-30`"
    nothing = Templates(tmp_path / "none")
    assert nothing.names(TemplateKind.MEETING) == ()
    assert nothing.like(TemplateKind.MEETING, "x") == f"{tmp_path / 'none' / 'meetings'} holds none"


def test_one_name_in_two_files_is_refused(tmp_path: Path) -> None:
    """Which of the two would be sent should not depend on the order of a folder."""
    folder = write_templates(tmp_path, {"m": MEETING})
    (folder / "meetings" / "m.yml").write_text(MEETING)
    with pytest.raises(TemplateError, match="are the same meeting template; keep one"):
        Templates(folder).meeting("m")


def test_a_template_that_is_no_yaml_is_told_with_its_place(tmp_path: Path) -> None:
    """Syntax is told as for any file of ours."""
    assert refused(tmp_path, "title: [x\n").startswith("templates/meetings/m.yaml:1:8: the `[`")
    assert participants(tmp_path, PARTICIPANTS).unknown_keys == ()
