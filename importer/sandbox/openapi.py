"""The OpenAPI 3.1 description of what the sandbox serves, published at `/openapi.json`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from importer.model import Json

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
    """The description of an honest sandbox, without faults and personalities.

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
            "/v1/conversations/{id}": {
                "parameters": [_ID],
                "get": _call(
                    "getConversation",
                    {"200": _json("The conversation.", "Conversation")},
                    errors=("401", "404"),
                ),
            },
            "/v1/campaigns": {
                "get": _call(
                    "listCampaigns",
                    {"200": _json("Campaigns of the conversations.", "CampaignPage")},
                    errors=("401",),
                )
            },
            "/v1/campaigns/{id}": {
                "parameters": [_ID],
                "get": _call(
                    "getCampaign",
                    {"200": _json("The campaign.", "Campaign")},
                    errors=("401", "404"),
                ),
            },
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
