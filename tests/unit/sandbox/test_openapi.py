"""The sandbox publishes a description of exactly what it serves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from openapi_core.exceptions import OpenAPIError

from importer.sandbox.contract import describe
from importer.sandbox.server import start_sandbox
from tests.support.openapi import Description

if TYPE_CHECKING:
    import httpx

    from importer.sandbox.server import Sandbox

Make = Callable[..., dict[str, Any]]
CREATE = "/v1/scheduling/conversations"


@pytest.fixture
def api(client: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    """Yield a client of a sandbox, whose paths begin at the root."""
    with start_sandbox() as sandbox, client(sandbox.base_url.removesuffix("/v1")) as api:
        yield api


def test_every_answer_is_as_described(api: httpx.Client, body: Make) -> None:
    """Every described status of every call was answered once, and no other."""
    content = api.get("/openapi.json").json()
    description = Description(content)
    plain = body(meetingParticipants=None, meetingConfiguration=None, campaignId="camp-9")
    created = api.post(CREATE, json=body()).json()["id"]
    nobody, huge = {"x-api-key": ""}, b" " * 1_000_001
    one, own = f"/v1/conversations/{created}", f"/sandbox/conversations/{created}"
    answers = [
        api.get("/openapi.json"),
        api.get("/sandbox"),
        api.get("/v1/conversations"),
        api.get("/v1/conversations", params={"limit": 1}),
        api.get("/v1/conversations", params={"limit": 0}),
        api.get("/v1/conversations", headers=nobody),
        api.get(one),
        api.get(one, headers=nobody),
        api.get("/v1/conversations/none"),
        api.get("/v1/campaigns"),
        api.get("/v1/campaigns", headers=nobody),
        api.get("/v1/campaigns/draft-1"),
        api.get("/v1/campaigns/missing-1"),
        api.get("/v1/campaigns/camp-1", headers=nobody),
        api.patch(own, json={"status": "CLOSED"}),
        api.patch(own, json={"status": "GONE"}),
        api.patch("/sandbox/conversations/none", json={"status": "CLOSED"}),
        api.patch(own, content=huge),
    ]
    for path, right in ((CREATE, body(emailAddress="b@example.org")), ("/v1/conversations", plain)):
        answers += [
            api.post(path, json={**right, "phoneNumber": "+442079460019"}),
            api.post(path, json={**right, "phoneNumber": "+442079460019"}),
            api.post(path, json={**right, "campaignId": "missing-1"}),
            api.post(path, json={**right, "firstName": ""}),
            api.post(path, json=right, headers=nobody),
            api.post(path, content=huge),
        ]
    for answer in answers:
        description.check(answer)
    described = {
        (path, method, status)
        for path, calls in content["paths"].items()
        for method, call in calls.items()
        if method != "parameters"
        for status in call["responses"]
    }
    assert {operation(answer, created) for answer in answers} == described


def operation(answer: httpx.Response, created: str) -> tuple[str, str, str]:
    """Return path template, method and status of an answer."""
    path = answer.request.url.path
    for value in (created, "none", "draft-1", "missing-1", "camp-1"):
        path = path.replace(f"/{value}", "/{id}")
    return path, answer.request.method.lower(), str(answer.status_code)


def test_every_route_is_described() -> None:
    """And nothing else."""
    with start_sandbox() as sandbox:
        routes = served(sandbox)
    paths: Any = describe("http://x")["paths"]
    described = {
        (path, method.upper())
        for path, calls in paths.items()
        for method in calls
        if method != "parameters"
    }
    assert described == routes


def served(sandbox: Sandbox) -> set[tuple[str, str]]:
    """Return path and method of each route."""
    routes: list[Any] = sandbox.routes
    return {
        (route.path, method) for route in routes for method in route.methods if method != "HEAD"
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"firstName": None},
        {"phoneNumber": None},
        {"phoneNumber": "020 7946 0018"},
        {"emailAddress": "ada"},
        {"campaignId": None},
        {"meetingParticipants": []},
        {"meetingConfiguration": None},
        {"phone_number": "+442079460018"},
    ],
)
def test_the_description_refuses_what_the_sandbox_refuses(
    api: httpx.Client, body: Make, changes: dict[str, Any]
) -> None:
    """The same bodies are wrong to both."""
    wrong = body(**changes)
    assert api.post(CREATE, json=wrong).status_code == 400
    with pytest.raises(OpenAPIError):
        Description(describe("http://127.0.0.1")).check_body("/scheduling/conversations", wrong)
