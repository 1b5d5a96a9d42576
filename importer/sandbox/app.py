"""Reading requests and writing answers, as the API does: JSON, or `{"error": ...}`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from importer.sandbox.validation import UNKNOWN_CAMPAIGN, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from importer.model import Json
    from importer.sandbox.store import Conversations, Journal


INVALID: Final = "invalid"
"""The one API key that is refused, so that a team can rehearse a 401."""

MAX_BODY_BYTES: Final = 1_000_000
PAGE: Final = 50
MAX_PAGE: Final = 200


class Refused(Exception):
    """A request that ends here, with a status and the API's word for why."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status
        self.error = error


def organization_of(request: Request) -> str:
    """Whose request it is.

    Raises:
        Refused: 401, where a header is missing or the key is the invalid one.
    """
    key = request.headers.get("x-api-key", "")
    organization = request.headers.get("x-organization-id", "")
    for name, value in (("x-api-key", key), ("x-organization-id", organization)):
        if not value.strip():
            raise Refused(401, f"the header {name} is missing")
    if key == INVALID:
        raise Refused(401, "the API key is not valid")
    return organization


async def json_of(request: Request) -> Json:
    """The body of a request.

    Raises:
        Refused: 400 or 413, where it is no JSON or too long.
    """
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY_BYTES:
            raise Refused(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
    try:
        body: Json = json.loads(data)
    except (ValueError, RecursionError) as exc:
        raise Refused(400, "the body is not JSON") from exc
    return body


def limit_of(request: Request) -> int:
    """How many conversations a page should have.

    Raises:
        Refused: 400, where the limit is no number that is allowed.
    """
    limit = request.query_params.get("limit", str(PAGE))
    try:
        number = int(limit)
    except ValueError:
        number = 0
    if not 1 <= number <= MAX_PAGE:
        raise Refused(400, f"limit must be from 1 to {MAX_PAGE}")
    return number


def answer(content: Mapping[str, Json], status: int = 200) -> Response:
    """An answer as JSON."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return Response(text, status, media_type="application/json")


def token_of(position: int) -> str:
    """A position in the list as a token that means nothing to the client."""
    return base64.urlsafe_b64encode(f"v1:{position}".encode()).decode()


def position_of(token: str) -> int:
    """The position that a token stands for.

    Raises:
        Refused: 400, where the token is not one of ours.
    """
    try:
        version, _, position = base64.urlsafe_b64decode(token.encode()).decode().partition(":")
        if version == "v1" and int(position) > 0:
            return int(position)
    except (binascii.Error, ValueError):
        pass
    raise Refused(400, "nextToken is not valid")


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
        journal: where each acceptance is written before it is answered.
        duplicate_check: 409 for a person who has a conversation in the campaign already.
        counts: what `GET /sandbox` answers.
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
        """The endpoints as an ASGI application."""
        return Starlette(
            routes=[
                Route("/v1/scheduling/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.create, methods=["POST"]),
                Route("/v1/conversations", self.listed, methods=["GET"]),
                Route("/v1/conversations/{id}", self.one, methods=["GET"]),
                Route("/v1/campaigns/{id}", self.campaign, methods=["GET"]),
                Route("/sandbox", self.counted, methods=["GET"]),
                Route("/sandbox/conversations/{id}", self.steered, methods=["PATCH"]),
            ],
            exception_handlers={
                Refused: _refused,
                404: lambda _request, _exc: answer({"error": "no such path"}, 404),
                405: lambda _request, _exc: answer({"error": "method not allowed"}, 405),
            },
        )

    async def create(self, request: Request) -> Response:
        """A conversation for the body, journalled before it is answered."""
        organization = organization_of(request)
        body = await json_of(request)
        path = request.url.path.removeprefix("/v1")
        fault = refusal(body, scheduling=path.startswith("/scheduling"))
        if fault or not isinstance(body, dict):
            raise Refused(400, fault)
        campaign = body.get("campaignId") or body.get("externalCampaignId")
        if str(campaign).startswith(UNKNOWN_CAMPAIGN):
            raise Refused(404, "campaign not found")
        checked = self._duplicate_check and not body.get("skipDuplicationCheck")
        if checked and self._conversations.same(organization, body):
            raise Refused(409, "conversation already exists")
        entry = self._conversations.accept(organization, path, body)
        if self._journal is not None:
            await self._journal.append(entry)
        return answer(self._conversations.view(entry), 201)

    async def listed(self, request: Request) -> Response:
        """A page of the organization's conversations, newest first."""
        organization, limit = organization_of(request), limit_of(request)
        token = request.query_params.get("nextToken")
        before = None if token is None else position_of(token)
        page, start = self._conversations.page(organization, before, limit)
        data: list[Json] = [self._conversations.view(entry) for entry in page]
        return answer({"data": data, "nextToken": token_of(start) if start else None})

    async def one(self, request: Request) -> Response:
        """One conversation of the organization."""
        entry = self._conversations.get(organization_of(request), request.path_params["id"])
        if entry is None:
            raise Refused(404, "conversation not found")
        return answer(self._conversations.view(entry))

    async def campaign(self, request: Request) -> Response:
        """A campaign; words in its id choose what it is like (`draft`, `archived`, `email`)."""
        organization, name = organization_of(request), request.path_params["id"]
        if name.startswith(UNKNOWN_CAMPAIGN):
            raise Refused(404, "campaign not found")
        return answer(
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

    async def counted(self, _request: Request) -> Response:
        """What the sandbox has counted."""
        return answer(self._counts())

    async def steered(self, request: Request) -> Response:
        """Sets the status of a conversation, to rehearse what becomes of it."""
        body = await json_of(request)
        status = body.get("status") if isinstance(body, dict) else None
        if status not in STATUSES:
            raise Refused(400, f"status must be one of {', '.join(STATUSES)}")
        if not self._conversations.set_status(request.path_params["id"], str(status)):
            raise Refused(404, "conversation not found")
        return Response(status_code=204)


def _refused(_request: Request, refused: Exception) -> Response:
    """A refusal as JSON."""
    if not isinstance(refused, Refused):  # registered for no other; the type says any exception
        raise refused
    return answer({"error": refused.error}, refused.status)


def _word_in(name: str, words: tuple[str, ...], other: str) -> str:
    """The first of the words that a name has in it."""
    return next((word for word in words if word.lower() in name.lower()), other)
