"""The endpoints of the mock API: JSON answers, or `{"error": ...}`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from importer.sandbox.validation import UNKNOWN_CAMPAIGN, body_error

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from importer.model import Json
    from importer.sandbox.store import Conversations, Journal


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
    """The organization that sent a request.

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
    """The requested page size.

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
    """A JSON response."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def encode_token(position: int) -> str:
    """A position in the list as an opaque token."""
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode()


def decode_token(token: str) -> int:
    """The position in a token.

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


class Endpoints:
    """The API's calls under `/v1`, and the sandbox's own under `/sandbox`.

    Args:
        conversations: those of earlier runs; new ones are added.
        journal: receives each conversation before it is answered; None keeps no file.
        duplicate_check: answer 409 for a second conversation with a person in a campaign.
        counts: content of `GET /sandbox`.
    """

    def __init__(
        self,
        conversations: Conversations,
        journal: Journal | None,
        *,
        duplicate_check: bool,
        counts: Callable[[], Mapping[str, Json]],
    ) -> None:
        self._conversations = conversations
        self._journal = journal
        self._duplicate_check = duplicate_check
        self._counts = counts

    def app(self) -> Starlette:
        """Build the ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/scheduling/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.list_conversations, methods=["GET"]),
                Route("/v1/conversations/{id}", self.get_conversation, methods=["GET"]),
                Route("/v1/campaigns/{id}", self.get_campaign, methods=["GET"]),
                Route("/sandbox", self.get_counts, methods=["GET"]),
                Route("/sandbox/conversations/{id}", self.set_status, methods=["PATCH"]),
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
        campaign = body.get("campaignId") or body.get("externalCampaignId")
        if str(campaign).startswith(UNKNOWN_CAMPAIGN):
            raise HttpError(404, "campaign not found")
        checked = self._duplicate_check and not body.get("skipDuplicationCheck")
        if checked and self._conversations.find_duplicate(organization, body):
            raise HttpError(409, "conversation already exists")
        entry = self._conversations.accept(organization, path, body)
        if self._journal is not None:
            await self._journal.append(entry)
        return json_response(self._conversations.view(entry), 201)

    async def list_conversations(self, request: Request) -> Response:
        """A page of the organization's conversations, newest first."""
        organization, limit = authenticate(request), read_limit(request)
        token = request.query_params.get("nextToken")
        before = None if token is None else decode_token(token)
        page, start = self._conversations.page(organization, before, limit)
        data: list[Json] = [self._conversations.view(entry) for entry in page]
        return json_response({"data": data, "nextToken": encode_token(start) if start else None})

    async def get_conversation(self, request: Request) -> Response:
        """One conversation of the organization."""
        entry = self._conversations.get(authenticate(request), request.path_params["id"])
        if entry is None:
            raise HttpError(404, "conversation not found")
        return json_response(self._conversations.view(entry))

    async def get_campaign(self, request: Request) -> Response:
        """A campaign; words in its id set status and channel: draft, archived, email, whatsapp."""
        organization, name = authenticate(request), request.path_params["id"]
        if name.startswith(UNKNOWN_CAMPAIGN):
            raise HttpError(404, "campaign not found")
        return json_response(
            {
                "id": name,
                "organizationId": organization,
                "campaignTitle": f"Sandbox campaign {name}",
                "campaignType": "SCHEDULING",
                "campaignStatus": _word_in(name, ("DRAFT", "ARCHIVED"), "LIVE"),
                "channel": _word_in(name, ("EMAIL", "WHATSAPP"), "SMS"),
                "closingMethod": "MANUAL",
                "calendarMeetingTemplateId": None,
            }
        )

    async def get_counts(self, _request: Request) -> Response:
        """Counts of requests, conversations and answers."""
        return json_response(self._counts())

    async def set_status(self, request: Request) -> Response:
        """Set the status of a conversation by hand."""
        body = await read_json(request)
        status = body.get("status") if isinstance(body, dict) else None
        if status not in STATUSES:
            raise HttpError(400, f"status must be one of {', '.join(STATUSES)}")
        if not self._conversations.set_status(request.path_params["id"], str(status)):
            raise HttpError(404, "conversation not found")
        return Response(status_code=204)


def _error_response(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HttpError):  # Starlette's signature allows any exception
        raise error
    return json_response({"error": error.error}, error.status)


def _word_in(name: str, words: tuple[str, ...], other: str) -> str:
    """The first of the words that a name contains, else the other."""
    return next((word for word in words if word.lower() in name.lower()), other)
