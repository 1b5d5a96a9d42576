"""Requests and answers compared with an OpenAPI description, by openapi-core."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from openapi_core import OpenAPI
from openapi_core.testing import MockRequest, MockResponse

if TYPE_CHECKING:
    import httpx

CREDENTIALS = {"x-api-key": "rehearsal", "x-organization-id": "acme"}


class Description:
    """An OpenAPI description that judges requests and answers.

    Args:
        content: the parsed `/openapi.json`; it is validated first.

    Every method raises an exception of openapi-core for the first difference.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._server = content["servers"][0]["url"]
        self._api = OpenAPI.from_dict(content)

    def check(self, answer: httpx.Response) -> None:
        """Compare an answer, and its request too if the sandbox accepted it."""
        sent = answer.request
        request = MockRequest(
            self._server,
            sent.method.lower(),
            sent.url.path,
            args=dict(sent.url.params),
            headers=dict(sent.headers),
            data=sent.content,
            content_type=sent.headers.get("content-type", ""),
        )
        response = MockResponse(
            answer.content,
            status_code=answer.status_code,
            headers=dict(answer.headers),
            content_type=answer.headers.get("content-type", ""),
        )
        if answer.is_success:
            self._api.validate_request(request)
        self._api.validate_response(request, response)

    def check_body(self, path: str, body: dict[str, Any]) -> None:
        """Compare the body of a POST, given the path below `/v1`."""
        request = MockRequest(
            self._server,
            "post",
            f"/v1{path}",
            headers=CREDENTIALS,
            data=json.dumps(body).encode(),
            content_type="application/json",
        )
        self._api.validate_request(request)
