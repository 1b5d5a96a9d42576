"""The endpoints of the mock API: JSON answers, or `{"error": ...}`."""

from __future__ import annotations

import base64
import binascii
import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from importer.sandbox.contract import STATUSES, UNKNOWN_CAMPAIGN, body_error, describe
from importer.sandbox.personalities import OLDER_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from importer.model import Json
    from importer.sandbox.event_sender import EventSender
    from importer.sandbox.personalities import Behaviour
    from importer.sandbox.store import Conversations, Journal, JournalEntry


INVALID: Final = "invalid"
"""The one API key that the sandbox refuses, to rehearse a 401."""

MAX_BODY_BYTES: Final = 1_000_000
PAGE: Final = 50
MAX_PAGE: Final = 200


class HttpError(Exception):
    """An error response: an HTTP status and the text for `error`."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


def authenticate(request: Request) -> str:
    """Return the organization that sent a request.

    Raises:
        HttpError: 401 if a header is missing or the key is `INVALID`.
    """
    key = request.headers.get("x-api-key", "")
    organization = request.headers.get("x-organization-id", "")
    for name, value in (("x-api-key", key), ("x-organization-id", organization)):
        if not value.strip():
            raise HttpError(401, f"the header {name} is missing")
    if key == INVALID:
        raise HttpError(401, "the API key is not valid")
    return organization


async def read_json(request: Request) -> Json:
    """Read the body of a request.

    Raises:
        HttpError: 400 if it is not JSON, 413 if it is too long.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise HttpError(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        body: Json = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise HttpError(400, "the body is not JSON") from exc
    return body


def read_limit(request: Request) -> int:
    """Return the requested page size.

    Raises:
        HttpError: 400 if it is not a number from 1 to `MAX_PAGE`.
    """
    limit = request.query_params.get("limit", str(PAGE))
    try:
        number = int(limit)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_PAGE:
        raise HttpError(400, f"limit must be from 1 to {MAX_PAGE}")
    return number


def json_response(content: Mapping[str, Json], status: int = 200) -> Response:
    """Make a JSON response."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def encode_token(position: int) -> str:
    """Encode a position in the list as an opaque token."""
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode()


def decode_token(token: str) -> int:
    """Return the position in a token.

    Raises:
        HttpError: 400 if the token is not valid.
    """
    try:
        version, _, position = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if version == "v1" and int(position) > 0:
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise HttpError(400, "nextToken is not valid")


class Endpoints:
    """The API's calls under `/v1`, and the sandbox's own under `/sandbox`.

    Args:
        conversations: the conversations of earlier runs; new ones are added.
        journal: receives each conversation before it is answered; None keeps no file.
        behaviour: the personalities.
        duplicate_check: answer 409 for a second conversation with a person in a campaign.
        counts: content of `GET /sandbox`.
        events: announces what happens to a webhook; None if there is none.
    """

    def __init__(
        self,
        conversations: Conversations,
        journal: Journal | None,
        behaviour: Behaviour,
        *,
        duplicate_check: bool,
        counts: Callable[[], Mapping[str, Json]],
        events: EventSender | None = None,
    ) -> None:
        self._conversations = conversations
        self._journal = journal
        self._behaviour = behaviour
        self._duplicate_check = duplicate_check
        self._counts = counts
        self._events = events
        self._lists = 0
        self._lists_before: dict[str, int] = {}  # conversation id -> list requests before it

    def app(self) -> Starlette:
        """Build the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/scheduling/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.list_conversations, methods=["GET"]),
                Route("/v1/conversations/{id}", self.get_conversation, methods=["GET"]),
                Route("/v1/campaigns", self.list_campaigns, methods=["GET"]),
                Route("/v1/campaigns/{id}", self.get_campaign, methods=["GET"]),
                Route("/openapi.json", self.get_description, methods=["GET"]),
                Route("/sandbox", self.get_counts, methods=["GET"]),
                Route("/sandbox/conversations/{id}", self.change, methods=["PATCH"]),
            ],
            exception_handlers={
                HttpError: _error_response,
                404: lambda _request, _exc: json_response({"error": "no such path"}, 404),
                405: lambda _request, _exc: json_response({"error": "method not allowed"}, 405),
            },
        )

    async def create(self, request: Request) -> Response:
        """Create a conversation and write it to the journal before answering."""
        organization = authenticate(request)
        body = await read_json(request)
        path = request.url.path.removeprefix("/v1")
        error = body_error(body, scheduling=path.startswith("/scheduling"))
        if error or not isinstance(body, dict):
            raise HttpError(400, error)
        self._check_campaign(organization, body)
        refusal = self._behaviour.refuse(body)
        if refusal is not None:
            return _response(*refusal)
        existing = self._find_existing(organization, body)
        if existing is not None and "existing-as-200" in self._behaviour:
            return json_response(self._show(existing))
        if existing is not None:
            raise HttpError(409, "conversation already exists")
        entry = self._conversations.accept(organization, path, body)
        self._lists_before[entry["id"]] = self._lists
        if self._journal is not None:
            await self._journal.append(entry)
        if self._events is not None:
            self._events.announce_new(entry)
        first = self._conversations.first(organization)["id"]
        return _response(*self._behaviour.answer(body, self._show(entry), first))

    async def list_conversations(self, request: Request) -> Response:
        """Return a page of the organization's conversations, newest first."""
        organization, limit = authenticate(request), read_limit(request)
        token = request.query_params.get("nextToken")
        before = None if token is None else decode_token(token)
        self._lists += token is None
        limit = self._behaviour.page_size(limit)
        page, start = self._conversations.page(organization, before, limit)
        data: list[Json] = [self._show(entry) for entry in page if self._is_listed(entry)]
        next_token = encode_token(start) if start else None
        status, content = self._behaviour.list_answer(data, next_token)
        return json_response(content, status)

    async def get_conversation(self, request: Request) -> Response:
        """Return one conversation of the organization."""
        entry = self._conversations.get(authenticate(request), request.path_params["id"])
        if entry is None:
            raise HttpError(404, "conversation not found")
        return json_response(self._show(entry))

    async def list_campaigns(self, request: Request) -> Response:
        """Return the campaigns of the organization's conversations."""
        organization = authenticate(request)
        names = self._conversations.campaigns(organization)
        found = [self._campaign(organization, name) for name in names]
        data: list[Json] = [campaign for campaign in found if campaign is not None]
        return json_response({"data": data, "nextToken": None})

    async def get_campaign(self, request: Request) -> Response:
        """Return a campaign; words such as draft or email in its id set its status and channel."""
        campaign = self._campaign(authenticate(request), request.path_params["id"])
        if campaign is None:
            raise HttpError(404, "campaign not found")
        return json_response(campaign)

    async def get_description(self, request: Request) -> Response:
        """Return the OpenAPI description of this sandbox."""
        return json_response(describe(str(request.base_url).rstrip("/")))

    def _campaign(self, organization: str, name: str) -> dict[str, Json] | None:
        if name.startswith(UNKNOWN_CAMPAIGN):
            return None
        honest: dict[str, Json] = {
            "id": name,
            "organizationId": organization,
            "campaignTitle": f"Sandbox campaign {name}",
            "campaignType": "SCHEDULING",
            "campaignStatus": _word_in(name, ("DRAFT", "ARCHIVED"), "LIVE"),
            "channel": _word_in(name, ("EMAIL", "WHATSAPP"), "SMS"),
            "closingMethod": "CALENDAR_MEETING_INTEGRATION",
            "calendarMeetingTemplateId": "sandbox-template",
        }
        return self._behaviour.campaign(name, honest)

    def _check_campaign(self, organization: str, body: Mapping[str, Json]) -> None:
        """Refuse a body whose campaign does not exist, is not live, or cannot reach the person.

        Raises:
            HttpError: 404 or 400.
        """
        name = str(body.get("campaignId") or body.get("externalCampaignId"))
        campaign = self._campaign(organization, name)
        if campaign is None:
            raise HttpError(404, "campaign not found")
        status, channel = campaign["campaignStatus"], campaign["channel"]
        if status != "LIVE":
            raise HttpError(400, f"campaign is not live (campaignStatus {status})")
        needs_phone = channel != "EMAIL" and not campaign["emailChannelFallbackEnabled"]
        if needs_phone and "phoneNumber" not in body:
            raise HttpError(400, f"phoneNumber is required for channel {channel}")

    def _find_existing(self, organization: str, body: Mapping[str, Json]) -> JournalEntry | None:
        """Return the conversation that makes a body a duplicate, or None."""
        if "strict-external-id" in self._behaviour:
            used = self._conversations.find_external_id(organization, body.get("externalId"))
            if used is not None:
                return used
        if body.get("skipDuplicationCheck"):
            return None
        found = self._conversations.find_duplicate(organization, body)
        if found is None or self._duplicate_check:
            return found
        old = self._conversations.age_s(found) > OLDER_S and "existing-as-200" in self._behaviour
        return found if old else None

    def _is_listed(self, entry: JournalEntry) -> bool:
        return self._behaviour.lists(
            entry,
            age_s=self._conversations.age_s(entry),
            requests=self._lists - self._lists_before.get(entry["id"], -math.inf),
        )

    def _show(self, entry: JournalEntry) -> dict[str, Json]:
        return self._behaviour.show(self._conversations.view(entry))

    async def get_counts(self, _request: Request) -> Response:
        """Return the counts of requests, conversations and responses."""
        return json_response(self._counts())

    async def change(self, request: Request) -> Response:
        """Set the status or the meeting of a conversation; a null meeting is cancelled."""
        body = await read_json(request)
        content = body if isinstance(body, dict) else {}
        status, begins = content.get("status"), _read_meeting(content)
        if status not in STATUSES and not ("meeting" in content and "status" not in content):
            raise HttpError(400, f"status must be one of {', '.join(STATUSES)}")
        entry = self._conversations.find(request.path_params["id"])
        if entry is None:
            raise HttpError(404, "conversation not found")
        if "status" in content:
            self._conversations.set_status(entry["id"], str(status))
            if self._events is not None:
                self._events.announce_status(entry)
        if "meeting" in content and self._events is not None:
            self._events.announce_meeting(entry, begins)
        return Response(status_code=204)


def _read_meeting(content: Mapping[str, Json]) -> datetime | None:
    """Return when a meeting begins; None if there is none.

    Raises:
        HttpError: 400 if it is not a time with a zone.
    """
    text = content.get("meeting")
    if text is None:
        return None
    try:
        begins = datetime.fromisoformat(str(text))
    except ValueError:
        begins = None
    if begins is None or begins.tzinfo is None:
        raise HttpError(400, "meeting must be a time such as 2026-12-01T10:00:00Z, or null")
    return begins


def _response(status: int, content: bytes, headers: Mapping[str, str]) -> Response:
    media_type = "application/json" if content else None
    return Response(content, status, headers=dict(headers), media_type=media_type)


def _error_response(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HttpError):  # Starlette's signature allows any exception
        raise error
    return json_response({"error": error.error}, error.status)


def _word_in(name: str, words: tuple[str, ...], other: str) -> str:
    """Return the first of the words that a name contains, or else `other`."""
    return next((word for word in words if word.lower() in name.lower()), other)
