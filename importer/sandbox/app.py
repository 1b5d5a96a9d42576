"""The stand-in's endpoints: as strict as the API's public documentation, and nothing faulty."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from importer.sandbox.exchange import (
    Refused,
    answer,
    json_of,
    limit_of,
    organization_of,
    position_of,
    token_of,
)
from importer.sandbox.rules import UNKNOWN_CAMPAIGN, refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from importer.model import Json
    from importer.sandbox.conversations import Conversations
    from importer.sandbox.journal import Journal

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
