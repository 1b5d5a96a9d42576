"""Reading requests and writing answers, as the API does: JSON, or `{"error": ...}`."""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from importer.model import Json

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
