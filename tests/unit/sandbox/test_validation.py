"""The sandbox refuses what the API's public pages say is refused, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from importer.sandbox.contract import body_error

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[..., dict[str, Any]]


def test_a_right_body_is_accepted(body: Make) -> None:
    """Nothing is wrong with the body that the other tests change."""
    assert body_error(body(), scheduling=True) == ""


@pytest.mark.parametrize("method", ["COLLECTIVE", "ROUND_ROBIN", "MAX_FAIRNESS"])
def test_methods_that_are_known_or_not_are_accepted(body: Make, method: str) -> None:
    """Two participants with one organizer fit each method, an unknown one too."""
    made = body()
    made["meetingConfiguration"]["availabilityMethod"] = method
    made["meetingParticipants"].append({"email": "b@example.com", "autoCollectAvailability": True})
    assert body_error(made, scheduling=True) == ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"firstName": None}, "firstName"),
        ({"firstName": "  "}, "firstName"),
        ({"firstName": 7}, "firstName"),
        ({"phoneNumber": None}, "phoneNumber or emailAddress"),
        ({"phoneNumber": "020 7946 0018"}, "E.164"),
        ({"phoneNumber": "+0442079460018"}, "E.164"),
        ({"phoneNumber": "+44207946001812345"}, "E.164"),
        ({"phoneNumber": "+44207946001٨"}, "E.164"),
        ({"emailAddress": "ada"}, "emailAddress"),
        ({"emailAddress": "a b@example.com"}, "emailAddress"),
        ({"countryCode": "gb"}, "countryCode"),
        ({"countryCode": "GBR"}, "countryCode"),
        ({"campaignId": None}, "campaignId or externalCampaignId"),
        ({"lastName": ["Lovelace"]}, "lastName"),
        ({"skipDuplicationCheck": "no"}, "skipDuplicationCheck"),
        ({"shouldSendDuringBusinessHours": 1}, "shouldSendDuringBusinessHours"),
        ({"meetingParticipants": None}, "meetingParticipants"),
        ({"meetingParticipants": []}, "meetingParticipants"),
        ({"meetingConfiguration": None}, "meetingConfiguration"),
        ({"meetingConfiguration": "onsite-45"}, "meetingConfiguration"),
        ({"phone_number": "+442079460018"}, "phone_number"),
    ],
)
def test_a_wrong_body_is_refused_by_the_name_of_its_key(
    body: Make, changes: dict[str, Any], word: str
) -> None:
    """The refusal names the key."""
    assert word in body_error(body(**changes), scheduling=True)


@pytest.mark.parametrize("made", [[], "text", None, 7])
def test_a_body_must_be_an_object(made: Any) -> None:
    """JSON that is no object is refused."""
    assert "object" in body_error(made, scheduling=True)


def test_the_plain_call_takes_no_meeting(body: Make) -> None:
    """`/conversations` has neither participants nor configuration, and does without them."""
    assert "meetingParticipants" in body_error(body(), scheduling=False)
    plain = body(meetingParticipants=None, meetingConfiguration=None)
    assert body_error(plain, scheduling=False) == ""


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"title": ""}, "title"),
        ({"timezone": "Leeds"}, "timezone"),
        ({"timezone": "../../etc/passwd"}, "timezone"),
        ({"openHours": []}, "openHours"),
        ({"openHours": ["always"]}, "openHours[0]"),
        ({"openHours": [{"start": "9 am"}]}, "openHours[0].start"),
        ({"openHours": [{"timezone": "Leeds"}]}, "openHours[0].timezone"),
        ({"duration": None}, "duration"),
        ({"duration": 0}, "duration"),
        ({"duration": 1441}, "duration"),
        ({"duration": "45"}, "duration"),
        ({"duration": True}, "duration"),
        ({"bufferMinutes": 7}, "bufferMinutes"),
        ({"bufferMinutes": 125}, "bufferMinutes"),
        ({"reminderMinutes": 0}, "reminderMinutes"),
        ({"minimumNotice": -1}, "minimumNotice"),
        ({"daysAhead": 0}, "daysAhead"),
        ({"videoConferencing": None}, "videoConferencing"),
        ({"videoConferencing": True}, "location"),
        ({"videoConferencing": True, "location": None}, "videoConferencingProvider"),
        ({"description": 1}, "description"),
        ({"availabilityOutreachSettings": []}, "availabilityOutreachSettings"),
    ],
)
def test_a_wrong_configuration_is_refused(body: Make, changes: dict[str, Any], word: str) -> None:
    """The refusal names the key within the configuration."""
    made = body()
    configuration = made["meetingConfiguration"] | changes
    made["meetingConfiguration"] = {k: v for k, v in configuration.items() if v is not None}
    fault = body_error(made, scheduling=True)
    assert fault.startswith("meetingConfiguration.")
    assert word in fault


SAM = {"email": "sam@example.com", "isOrganizer": True, "isCalendarConnected": True}
KIM = {"email": "kim@example.com", "autoCollectAvailability": True}


@pytest.mark.parametrize(
    ("participants", "method", "word"),
    [
        ([{**SAM, "isOrganizer": False}], None, "isOrganizer"),
        ([SAM, SAM], "COLLECTIVE", "exactly one"),
        ([SAM], "ROUND_ROBIN", "2 to 10"),
        ([SAM] * 11, "round-robin", "2 to 10"),
        ([SAM, KIM, KIM], None, "autoCollectAvailability"),
        ([{**SAM, "autoCollectAvailability": True}], None, "isCalendarConnected"),
        ([{"email": "a@example.com", "isOrganizer": True}], None, "availability"),
        ([{**SAM, "isCalendarConnected": False, "availability": {"timeSlots": []}}], None, "avail"),
        ([{**SAM, "isOrganizer": "yes"}], None, "isOrganizer"),
        ([{**SAM, "email": "sam"}], None, "email"),
        ([{**SAM, "name": ""}], None, "name"),
        (["sam@example.com"], None, "[0]"),
        ({"email": "sam@example.com"}, None, "array"),
    ],
)
def test_wrong_participants_are_refused(
    body: Make, participants: Any, method: str | None, word: str
) -> None:
    """The refusal says which rule the participants break."""
    made = body(meetingParticipants=participants)
    if method is not None:
        made["meetingConfiguration"]["availabilityMethod"] = method
    fault = body_error(made, scheduling=True)
    assert fault.startswith("meetingParticipants")
    assert word in fault


def test_time_slots_are_a_way_to_give_availability(body: Make) -> None:
    """A participant without calendar may name slots."""
    slots = {"timeSlots": [{"start": "2027-01-04T09:00", "end": "2027-01-04T10:00"}]}
    sam = {**SAM, "isCalendarConnected": False, "availability": slots}
    assert body_error(body(meetingParticipants=[sam]), scheduling=True) == ""
