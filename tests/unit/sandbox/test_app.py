"""The endpoints answer as the API's public pages say, over a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

from importer.sandbox.server import SandboxOptions, start_sandbox

if TYPE_CHECKING:
    import httpx

    from importer.sandbox.server import Sandbox

Make = Callable[..., dict[str, Any]]
CREATE = "/scheduling/conversations"
CALLS = (
    ("POST", CREATE),
    ("POST", "/conversations"),
    ("GET", "/conversations"),
    ("GET", "/conversations/x"),
    ("GET", "/campaigns/x"),
)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Yield a sandbox without faults."""
    with start_sandbox() as sandbox:
        yield sandbox


@pytest.fixture
def api(sandbox: Sandbox, client: Callable[..., httpx.Client]) -> Iterator[httpx.Client]:
    """Yield a client of that sandbox."""
    with client(sandbox.base_url) as api:
        yield api


def test_a_conversation_is_created_and_shown(api: httpx.Client, body: Make) -> None:
    """201 with the conversation, which is then in the list and at its id."""
    created = api.post(CREATE, json=body())
    assert created.status_code == 201
    conversation = created.json()
    assert conversation["externalId"] == "A-1"
    assert conversation["participantPhoneNumber"] == "+442079460018"
    assert conversation["status"] in {"CREATED", "QUEUED"}
    listed = api.get("/conversations").json()
    assert [one["id"] for one in listed["data"]] == [conversation["id"]]
    assert listed["nextToken"] is None
    assert api.get(f"/conversations/{conversation['id']}").json()["id"] == conversation["id"]


def test_the_plain_call_creates_too(sandbox: Sandbox, api: httpx.Client, body: Make) -> None:
    """`POST /conversations` takes the candidate alone, and the journal says which call it was."""
    plain = body(meetingParticipants=None, meetingConfiguration=None)
    assert api.post("/conversations", json=plain).status_code == 201
    assert [entry["path"] for entry in sandbox.journal] == ["/conversations"]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("x-api-key", "", "x-api-key is missing"),
        ("x-organization-id", "", "x-organization-id is missing"),
        ("x-api-key", "invalid", "not valid"),
    ],
)
def test_credentials_are_asked_for_everywhere(
    api: httpx.Client, name: str, value: str, error: str
) -> None:
    """401 with a reason, for each call and each header."""
    for method, path in CALLS:
        answer = api.request(method, path, headers={name: value})
        assert answer.status_code == 401
        assert error in answer.json()["error"]


def test_a_refused_body_creates_nothing(sandbox: Sandbox, api: httpx.Client, body: Make) -> None:
    """A 400 names the key; a body that is not JSON is a 400 too."""
    refused = api.post(CREATE, json=body(phoneNumber="07700 900123"))
    assert refused.status_code == 400
    assert "phoneNumber" in refused.json()["error"]
    for content in (b"{", b"\xff", b"[" * 100_000, b""):
        assert api.post(CREATE, content=content).status_code == 400
    assert api.post(CREATE, content=b" " * 1_000_001).status_code == 413
    assert sandbox.journal == []


def test_the_same_person_is_a_duplicate(sandbox: Sandbox, api: httpx.Client, body: Make) -> None:
    """409, unless it is another campaign, another organization, or the check is skipped."""
    assert api.post(CREATE, json=body()).status_code == 201
    repeated = api.post(CREATE, json=body(externalId="A-2"))
    assert (repeated.status_code, repeated.json()) == (
        409,
        {"error": "conversation already exists"},
    )
    assert api.post(CREATE, json=body(campaignId="camp-2")).status_code == 201
    other = api.post(CREATE, json=body(), headers={"x-organization-id": "other"})
    assert other.status_code == 201
    assert api.post(CREATE, json=body(skipDuplicationCheck=True)).status_code == 201
    assert len(sandbox.journal) == 4


def test_without_duplicate_check_everything_is_accepted(
    client: Callable[..., httpx.Client], body: Make
) -> None:
    """Nothing hides a mistake of the importer's."""
    with (
        start_sandbox(SandboxOptions(duplicate_check=False)) as sandbox,
        client(sandbox.base_url) as api,
    ):
        assert [api.post(CREATE, json=body()).status_code for _ in range(3)] == [201] * 3
        assert len(sandbox.journal) == 3


def test_pages_are_walked_to_the_end(api: httpx.Client, body: Make) -> None:
    """The nextToken leads through all of them, newest first."""
    for number in range(7):
        api.post(CREATE, json=body(phoneNumber=None, emailAddress=f"a{number}@example.org"))
    seen: list[str] = []
    query: dict[str, Any] = {"limit": 3}
    while True:
        page = api.get("/conversations", params=query).json()
        seen += [one["participantEmailAddress"] for one in page["data"]]
        if page["nextToken"] is None:
            break
        query["nextToken"] = page["nextToken"]
    assert seen == [f"a{number}@example.org" for number in reversed(range(7))]


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=201", "limit=many", "nextToken=x", "nextToken=djE6LTE=", "nextToken="],
)
def test_a_wrong_query_is_refused(api: httpx.Client, query: str) -> None:
    """400, not a page that looks like the first."""
    assert api.get(f"/conversations?{query}").status_code == 400


def test_what_is_not_there_is_404(api: httpx.Client, body: Make) -> None:
    """Unknown ids, paths and campaigns, and what belongs to another organization."""
    created = api.post(CREATE, json=body()).json()["id"]
    other = {"x-organization-id": "other"}
    answers = [
        api.get("/conversations/conv_none"),
        api.get(f"/conversations/{created}", headers=other),
        api.get("/campaigns/missing-1"),
        api.get("/nothing"),
        api.post(CREATE, json=body(campaignId="missing-1")),
    ]
    assert [(answer.status_code, "error" in answer.json()) for answer in answers] == [
        (404, True)
    ] * len(answers)
    assert api.put("/conversations").status_code == 405


@pytest.mark.parametrize(
    ("name", "status", "channel"),
    [("camp-1", "LIVE", "SMS"), ("draft-email", "DRAFT", "EMAIL"), ("Archived", "ARCHIVED", "SMS")],
)
def test_campaigns_are_what_their_names_say(
    api: httpx.Client, name: str, status: str, channel: str
) -> None:
    """A team rehearses a draft campaign by its name."""
    campaign = api.get(f"/campaigns/{name}").json()
    assert (campaign["campaignStatus"], campaign["channel"]) == (status, channel)


def test_a_status_is_set_on_demand(sandbox: Sandbox, api: httpx.Client, body: Make) -> None:
    """`PATCH /sandbox/conversations/{id}` sets the status of a conversation."""
    created = api.post(CREATE, json=body()).json()["id"]
    own = sandbox.base_url.removesuffix("/v1") + "/sandbox"
    path = f"{own}/conversations/{created}"
    assert api.patch(path, json={"status": "OPTED_OUT"}).status_code == 204
    assert api.get(f"/conversations/{created}").json()["status"] == "OPTED_OUT"
    assert api.patch(path, json={"status": "GONE"}).status_code == 400
    assert api.patch(f"{own}/conversations/x", json={"status": "CLOSED"}).status_code == 404
    assert api.patch(path, json={"meeting": "2026-12-01T10:00:00Z"}).status_code == 204
    assert api.patch(path, json={"meeting": None}).status_code == 204
    wrongs: list[object] = [{}, [], {"meeting": "soon"}, {"meeting": "2026-12-01T10:00:00"}]
    for wrong in wrongs:
        assert api.patch(path, json=wrong).status_code == 400


def test_everything_is_counted(sandbox: Sandbox, api: httpx.Client, body: Make) -> None:
    """Requests that were refused count too; asking for the counts does not."""
    api.post(CREATE, json=body())
    api.post(CREATE, json=body())
    api.post(CREATE, content=b"{")
    own = api.get(sandbox.base_url.removesuffix("/v1") + "/sandbox").json()
    assert own == {
        "requests": 3,
        "conversations": 1,
        "answers": {"201": 1, "400": 1, "409": 1},
    }
    assert sandbox.requests == 3
    assert list(sandbox.arrivals) == sorted(sandbox.arrivals)


def test_the_journal_has_the_body_and_the_time(
    sandbox: Sandbox, api: httpx.Client, body: Make
) -> None:
    """An entry holds the person, the time and the body."""
    sent = body(lastName="Lovelace")
    created = api.post(CREATE, json=sent).json()
    entry = sandbox.journal[0]
    assert (entry["id"], entry["externalId"]) == (created["id"], "A-1")
    assert entry["body"] == sent
    assert entry["receivedAt"] == created["createdAt"]
    assert json.loads(json.dumps(entry)) == entry
