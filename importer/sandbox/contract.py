"""The contract of the API: the rules for request bodies, and their OpenAPI 3.1 description."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json


ROUND_ROBIN: Final = re.compile(r"round.?robin", re.IGNORECASE)
ROUND_ROBIN_SIZE: Final = range(2, 11)
CLOCK: Final = re.compile(r"([01]?\d|2[0-3]):[0-5]\d", re.ASCII)
_PARTICIPANT_FLAGS: Final = ("isOrganizer", "isCalendarConnected", "autoCollectAvailability")

_MINUTES: Final = (
    # The public pages give the limits but not the exact key names, so look for the word.
    ("duration", 1, 1440, 1),
    ("buffer", 0, 120, 5),
    ("reminder", 1, None, 1),
    ("notice", 0, None, 1),
    ("daysahead", 1, None, 1),
)


def participants_error(participants: Json, method: str) -> str:
    """Return why the API would refuse these meetingParticipants; empty if it would accept them.

    Args:
        participants: value of the key.
        method: availabilityMethod of the configuration, or empty.
    """
    where = "meetingParticipants"
    if not isinstance(participants, list) or not participants:
        return f"{where} must be an array with at least one participant"
    for position, participant in enumerate(participants):
        if not isinstance(participant, dict):
            return f"{where}[{position}] must be an object"
        error = _participant_error(participant)
        if error:
            return f"{where}[{position}].{error}"
    if sum(one.get("autoCollectAvailability") is True for one in participants) > 1:
        return f"{where}: autoCollectAvailability is for one participant at most"
    organizers = sum(one.get("isOrganizer") is True for one in participants)
    if ROUND_ROBIN.search(method):
        error = "a round robin takes 2 to 10" if len(participants) not in ROUND_ROBIN_SIZE else ""
    elif method.upper() == "COLLECTIVE":
        error = "a COLLECTIVE meeting takes exactly one isOrganizer" if organizers != 1 else ""
    else:  # other methods may have rules that are not public
        error = "at least one must be isOrganizer" if not (organizers or method) else ""
    return f"{where}: {error}" if error else ""


def _participant_error(participant: Mapping[str, Json]) -> str:
    """Return why one participant is invalid; the text begins with the key."""
    for key in _PARTICIPANT_FLAGS:
        if key in participant and not isinstance(participant[key], bool):
            return f"{key} must be true or false"
    for key in ("name", "email"):
        value = participant.get(key, "-")
        if not isinstance(value, str) or not value.strip():
            return f"{key} must be a text that is not empty"
    email = participant.get("email")
    if isinstance(email, str) and "@" not in email:
        return "email must be an e-mail address"
    connected = participant.get("isCalendarConnected") is True
    collected = participant.get("autoCollectAvailability") is True
    if connected and collected:
        return "autoCollectAvailability needs isCalendarConnected false"
    availability = participant.get("availability")
    slots = availability.get("timeSlots") if isinstance(availability, dict) else None
    if not (connected or collected or (isinstance(slots, list) and slots)):
        return "availability is required without a connected calendar or autoCollectAvailability"
    return ""


def configuration_error(configuration: Mapping[str, Json]) -> str:
    """Return why the API would refuse this meetingConfiguration; empty if it would accept it."""
    error = (
        _words_error(configuration)
        or _hours_error(configuration.get("openHours"))
        or _place_error(configuration)
        or _numbers_error(configuration)
    )
    if not error and not isinstance(configuration.get("availabilityOutreachSettings", {}), dict):
        error = "availabilityOutreachSettings must be an object"
    return f"meetingConfiguration.{error}" if error else ""


def _words_error(configuration: Mapping[str, Json]) -> str:
    for key in ("title", "timezone"):
        value = configuration.get(key)
        if not isinstance(value, str) or not value.strip():
            return f"{key} is required"
    if not is_timezone(str(configuration["timezone"])):
        return "timezone must be an IANA name, such as Europe/London"
    for key in ("description", "location", "availabilityMethod", "videoConferencingProvider"):
        if not isinstance(configuration.get(key, ""), str):
            return f"{key} must be a text"
    return ""


def _hours_error(hours: Json) -> str:
    if not isinstance(hours, list) or not hours:
        return "openHours must be an array with at least one item"
    for position, item in enumerate(hours):
        if not isinstance(item, dict):
            return f"openHours[{position}] must be an object"
        for key in ("start", "end"):
            if key in item and not CLOCK.fullmatch(str(item[key])):
                return f"openHours[{position}].{key} must be a time, such as 09:00"
        if not is_timezone(str(item.get("timezone", "UTC"))):
            return f"openHours[{position}].timezone must be an IANA name, such as Europe/London"
    return ""


def _place_error(configuration: Mapping[str, Json]) -> str:
    video = configuration.get("videoConferencing")
    if not isinstance(video, bool):
        return "videoConferencing must be true or false"
    if video and configuration.get("location"):
        return "location cannot be combined with videoConferencing"
    if video and not configuration.get("videoConferencingProvider"):
        return "videoConferencingProvider is required with videoConferencing"
    return ""


def _numbers_error(configuration: Mapping[str, Json]) -> str:
    for word, least, most, step in _MINUTES:
        keys = [key for key in configuration if word in key.lower()]
        if word == "duration" and not keys:
            return "duration is required"
        for key in keys:
            value = configuration[key]
            if isinstance(value, dict):  # such as buffer: {before, after}; its keys are not public
                continue
            if not isinstance(value, int) or isinstance(value, bool):
                return f"{key} must be a whole number"
            if value < least or (most is not None and value > most) or value % step:
                limits = f"from {least}" if most is None else f"from {least} to {most}"
                return f"{key} must be {limits}{f' in steps of {step}' if step > 1 else ''}"
    return ""


@lru_cache(maxsize=1024)
def is_timezone(name: str) -> bool:
    """Whether a name is in the IANA time zone database."""
    try:
        ZoneInfo(name)
    except (
        KeyError,
        ValueError,
        OSError,
    ):  # not found, a path outside the database, or a directory
        return False
    return True


E164: Final = re.compile(r"\+[1-9]\d{1,14}", re.ASCII)
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
COUNTRY: Final = re.compile(r"[A-Z]{2}")
UNKNOWN_CAMPAIGN: Final = "missing-"
"""Campaign ids with this prefix do not exist in the sandbox: POST and GET answer 404."""

_TEXTS: Final = (
    "firstName",
    "phoneNumber",
    "emailAddress",
    "countryCode",
    "lastName",
    "campaignId",
    "externalCampaignId",
    "externalId",
)
_FLAGS: Final = ("skipDuplicationCheck", "shouldSendDuringBusinessHours")
_MEETING: Final = ("meetingParticipants", "meetingConfiguration")
_PLAIN: Final = ("applicationSource", "openingMessage", "closePreviousConversations")


def body_error(body: Json, *, scheduling: bool) -> str:
    """Return why the API would answer 400 to this body, by key; empty if it would accept it.

    Args:
        body: parsed request body.
        scheduling: whether the call is `/scheduling/conversations`, which requires participants and
            configuration; `/conversations` takes neither.
    """
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    known = (*_TEXTS, *_FLAGS, *(_MEETING if scheduling else _PLAIN))
    for key in body:
        if key not in known:
            return f"{key} is not a key of this call"
    return _candidate_error(body) or (_meeting_error(body) if scheduling else "")


def _candidate_error(body: Mapping[str, Json]) -> str:
    for key in _TEXTS:
        if key in body and not _is_text(body[key]):
            return f"{key} must be a text that is not empty"
    for key in _FLAGS:
        if key in body and not isinstance(body[key], bool):
            return f"{key} must be true or false"
    if "firstName" not in body:
        return "firstName is required"
    if "campaignId" not in body and "externalCampaignId" not in body:
        return "campaignId or externalCampaignId is required"
    return _contact_error(body)


def _contact_error(body: Mapping[str, Json]) -> str:
    phone, email, country = (
        body.get(key) for key in ("phoneNumber", "emailAddress", "countryCode")
    )
    if phone is None and email is None:
        return "phoneNumber or emailAddress is required"
    if isinstance(phone, str) and not E164.fullmatch(phone):
        return "phoneNumber must be in E.164 format, such as +442079460018"
    if isinstance(email, str) and not EMAIL.fullmatch(email):
        return "emailAddress must be an e-mail address"
    if isinstance(country, str) and not COUNTRY.fullmatch(country):
        return "countryCode must be an ISO 3166-1 alpha-2 code, such as GB"
    return ""


def _meeting_error(body: Mapping[str, Json]) -> str:
    for key in _MEETING:
        if key not in body:
            return f"{key} is required"
    configuration = body["meetingConfiguration"]
    if not isinstance(configuration, dict):
        return "meetingConfiguration must be an object"
    return configuration_error(configuration) or participants_error(
        body["meetingParticipants"], str(configuration.get("availabilityMethod", ""))
    )


def _is_text(value: Json) -> bool:
    return isinstance(value, str) and bool(value.strip())


# ---- the description, published at /openapi.json -------------------------------------------------


_Schema = dict[str, "Json"]

STATUSES: Final = (
    "CREATED",
    "QUEUED",
    "ONGOING",
    "COMPLETED_SCREENING_PASSED",
    "COMPLETED_SCREENING_FAILED",
    "CLOSED",
    "OPTED_OUT",
    "DELIVERY_FAILED",
)
"""Statuses of a conversation."""


def describe(server: str) -> _Schema:
    """Return the description of an honest sandbox, without faults and personalities.

    Args:
        server: URL without a path, such as `http://127.0.0.1:8765`.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "importer sandbox",
            "version": "1",
            "description": "A local mock of the API. It contacts nobody.",
        },
        "servers": [{"url": server}],
        "security": [{"key": [], "organization": []}],
        "paths": {
            "/v1/scheduling/conversations": {"post": _create("Scheduling", "SchedulingBody")},
            "/v1/conversations": {
                "post": _create("Plain", "PlainBody"),
                "get": _call(
                    "listConversations",
                    {"200": _json("A page, newest first.", "ConversationPage")},
                    errors=("400", "401"),
                    parameters=[
                        _query("nextToken", {"type": "string", "minLength": 1}),
                        _query("limit", {"type": "integer", "minimum": 1, "maximum": 200}),
                    ],
                ),
            },
            "/v1/conversations/{id}": _get_one("Conversation"),
            "/v1/campaigns": {
                "get": _call(
                    "listCampaigns",
                    {"200": _json("Campaigns of the conversations.", "CampaignPage")},
                    errors=("401",),
                )
            },
            "/v1/campaigns/{id}": _get_one("Campaign"),
            "/sandbox": {
                "get": _call("getCounts", {"200": _json("Counts.", "Counts")}, security=False)
            },
            "/sandbox/conversations/{id}": {
                "parameters": [_ID],
                "patch": _call(
                    "setStatus",
                    {"204": {"description": "The status is set.", "headers": _HEADERS}},
                    errors=("400", "404", "413"),
                    body="StatusBody",
                    security=False,
                ),
            },
            "/openapi.json": {
                "get": _call(
                    "getDescription",
                    {"200": _json("This description.", "Description")},
                    security=False,
                )
            },
        },
        "components": {
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
                "organization": {"type": "apiKey", "in": "header", "name": "x-organization-id"},
            },
            "schemas": _schemas(),
        },
    }


def _get_one(schema: str) -> _Schema:
    found: _Schema = {"200": _json(f"The {schema.lower()}.", schema)}
    return {"parameters": [_ID], "get": _call(f"get{schema}", found, errors=("401", "404"))}


def _create(name: str, body: str) -> _Schema:
    return _call(
        f"create{name}Conversation",
        {"201": _json("The conversation.", "Conversation")},
        errors=("400", "401", "404", "409", "413"),
        body=body,
    )


def _call(
    name: str,
    responses: _Schema,
    *,
    errors: tuple[str, ...] = (),
    body: str = "",
    parameters: list[Json] | None = None,
    security: bool = True,
) -> _Schema:
    described: _Schema = {
        "operationId": name,
        "responses": {**responses, **{status: _json("A refusal.", "Error") for status in errors}},
    }
    if not security:
        described["security"] = []
    if body:
        content: Json = {"application/json": {"schema": _ref(body)}}
        described["requestBody"] = {"required": True, "content": content}
    if parameters:
        described["parameters"] = parameters
    return described


def _json(description: str, schema: str) -> _Schema:
    return {
        "description": description,
        "headers": _HEADERS,
        "content": {"application/json": {"schema": _ref(schema)}},
    }


def _ref(schema: str) -> _Schema:
    return {"$ref": f"#/components/schemas/{schema}"}


def _query(name: str, schema: _Schema) -> _Schema:
    return {"name": name, "in": "query", "schema": schema}


def _nullable(schema: _Schema) -> _Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _object(properties: _Schema, *, optional: tuple[str, ...] = ()) -> _Schema:
    required: list[Json] = [key for key in properties if key not in optional]
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_HEADERS: Final[_Schema] = {"x-request-id": {"required": True, "schema": {"type": "string"}}}
_ID: Final[_Schema] = {
    "name": "id",
    "in": "path",
    "required": True,
    "schema": {"type": "string", "minLength": 1},
}
_TEXT: Final[_Schema] = {"type": "string", "pattern": r"\S"}
_OPTIONAL_TEXT: Final[_Schema] = {"type": ["string", "null"]}
_FLAG: Final[_Schema] = {"type": "boolean"}
_TIME: Final[_Schema] = {"type": "string", "format": "date-time"}
_COUNT: Final[_Schema] = {"type": "integer", "minimum": 0}
_CANDIDATE: Final[_Schema] = {
    "firstName": _TEXT,
    "lastName": _TEXT,
    "phoneNumber": {"type": "string", "pattern": r"^\+[1-9][0-9]{1,14}$"},
    "emailAddress": {"type": "string", "pattern": r"^[^@\s]+@[^@\s]+\.[^@\s]+$"},
    "countryCode": {"type": "string", "pattern": "^[A-Z]{2}$"},
    "campaignId": _TEXT,
    "externalCampaignId": _TEXT,
    "externalId": _TEXT,
    "skipDuplicationCheck": _FLAG,
    "shouldSendDuringBusinessHours": _FLAG,
}


def _body(**more: Json) -> _Schema:
    return {
        "type": "object",
        "properties": {**_CANDIDATE, **more},
        "required": ["firstName", *(key for key in more if key.startswith("meeting"))],
        "additionalProperties": False,
        "allOf": [
            {"anyOf": [{"required": ["phoneNumber"]}, {"required": ["emailAddress"]}]},
            {"anyOf": [{"required": ["campaignId"]}, {"required": ["externalCampaignId"]}]},
        ],
    }


def _schemas() -> _Schema:
    return {
        "SchedulingBody": _body(
            meetingParticipants={
                "type": "array",
                "minItems": 1,
                "items": _ref("Participant"),
            },
            meetingConfiguration=_ref("Configuration"),
        ),
        "PlainBody": _body(
            applicationSource=True, openingMessage=True, closePreviousConversations=True
        ),
        "Participant": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "email": {"type": "string", "pattern": "@"},
                "isOrganizer": _FLAG,
                "isCalendarConnected": _FLAG,
                "autoCollectAvailability": _FLAG,
            },
        },
        "Configuration": {
            "type": "object",
            "properties": {
                "title": _TEXT,
                "timezone": _TEXT,
                "openHours": {"type": "array", "minItems": 1, "items": {"type": "object"}},
                "videoConferencing": _FLAG,
            },
            "required": ["title", "timezone", "openHours", "videoConferencing"],
        },
        "Conversation": _object(
            {
                "id": _TEXT,
                "organizationId": _TEXT,
                "campaignId": _OPTIONAL_TEXT,
                "externalCampaignId": _OPTIONAL_TEXT,
                "externalId": _OPTIONAL_TEXT,
                "participantPhoneNumber": _OPTIONAL_TEXT,
                "participantEmailAddress": _OPTIONAL_TEXT,
                "participantFirstName": _TEXT,
                "participantLastName": _OPTIONAL_TEXT,
                "status": {"enum": list(STATUSES)},
                "needsReview": _FLAG,
                "isHumanTakeover": _FLAG,
                "createdAt": _TIME,
                "updatedAt": _TIME,
            }
        ),
        "ConversationPage": _page("Conversation"),
        "Campaign": _object(
            {
                "id": _TEXT,
                "organizationId": _TEXT,
                "campaignTitle": _TEXT,
                "campaignType": {"const": "SCHEDULING"},
                "campaignStatus": {"enum": ["DRAFT", "LIVE", "ARCHIVED"]},
                "channel": {"enum": ["SMS", "WHATSAPP", "EMAIL"]},
                "closingMethod": {"const": "CALENDAR_MEETING_INTEGRATION"},
                "calendarMeetingTemplateId": _TEXT,
                "emailChannelFallbackEnabled": _FLAG,
            }
        ),
        "CampaignPage": _page("Campaign"),
        "Counts": _object(
            {
                "requests": _COUNT,
                "conversations": _COUNT,
                "answers": {"type": "object", "additionalProperties": _COUNT},
            }
        ),
        "StatusBody": {
            "type": "object",
            "properties": {"status": {"enum": list(STATUSES)}},
            "required": ["status"],
        },
        "Description": {"type": "object", "required": ["openapi", "info", "paths"]},
        "Error": _object({"error": _TEXT}),
    }


def _page(schema: str) -> _Schema:
    items: _Schema = {"type": "array", "items": _ref(schema)}
    return _object({"data": items, "nextToken": _nullable(_TEXT)})
