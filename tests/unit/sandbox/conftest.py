"""What the sandbox's tests share: a body that breaks no rule, and a client that speaks plainly."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

HEADERS: Final = {"x-api-key": "rehearsal", "x-organization-id": "acme"}
BODY: Final[dict[str, Any]] = {
    "firstName": "Ada",
    "phoneNumber": "+442079460018",
    "campaignId": "camp-1",
    "externalId": "A-1",
    "meetingParticipants": [
        {
            "name": "Sam",
            "email": "sam@example.com",
            "isOrganizer": True,
            "isCalendarConnected": True,
        }
    ],
    "meetingConfiguration": {
        "title": "Interview",
        "timezone": "Europe/London",
        "duration": 45,
        "openHours": [{"days": [1, 2], "start": "09:00", "end": "17:00"}],
        "videoConferencing": False,
        "location": "1 High Street, Leeds",
    },
}


@pytest.fixture
def body() -> Callable[..., dict[str, Any]]:
    """Return a function that makes valid bodies, with some keys changed; None leaves one out."""

    def make(**changes: Any) -> dict[str, Any]:
        made = copy.deepcopy(BODY) | changes
        return {key: value for key, value in made.items() if value is not None}

    return make


@pytest.fixture
def client() -> Callable[..., httpx.Client]:
    """Return a function that makes clients of a sandbox; each test closes its own."""

    def make(base_url: str, **options: Any) -> httpx.Client:
        return httpx.Client(base_url=base_url, headers=HEADERS, timeout=10, **options)

    return make
