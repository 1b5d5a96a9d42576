"""Each fault does on the socket what its line in the table says."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from importer.sandbox.faults import _AFTER, _ONLY_AFTER

if TYPE_CHECKING:
    import httpx

    from importer.sandbox.server import Sandbox

Make = Callable[..., dict[str, Any]]
CREATE = "/v1/scheduling/conversations"
RESET = b"<reset>"


def sent(sandbox: Sandbox, content: bytes, path: str = CREATE, method: str = "POST") -> bytes:
    """Return everything received on a connection until its end; `RESET` stands for a reset."""
    where = urlsplit(sandbox.base_url)
    head = (
        f"{method} {path} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nx-organization-id: acme\r\n"
        f"connection: close\r\ncontent-length: {len(content)}\r\n\r\n"
    )
    received = b""
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=10) as connection:
        connection.sendall(head.encode() + content)
        try:
            while chunk := connection.recv(65_536):
                received += chunk
        except ConnectionResetError:
            received += RESET
    return received


def answered(sandbox: Sandbox, faults: str, body: dict[str, Any]) -> bytes:
    """Return what a creation is answered with while some faults are on."""
    sandbox.set_faults(faults)
    return sent(sandbox, json.dumps(body).encode())


ANSWERS = (
    # fault, how what comes back begins, how it ends
    ("reset", b"<reset>", b"<reset>"),
    ("close", b"", b""),
    ("stall:0", b"", b""),
    ("late:0", b"", b""),
    ("half-header", b"HTTP/1.1 201 Created\r\ncontent-ty", b"content-ty"),
    ("half-body", b"HTTP/1.1 201 Created\r\n", b'{"id":"co'),
    ("wrong-length", b"HTTP/1.1 201 Created\r\n", b"}"),
    ("garbage", b"\x15\x03\x01", b"\r\n\r\n"),
    ("not-json", b"HTTP/1.1 201 Created\r\n", b'{"id": conv_'),
    ("html", b"HTTP/1.1 200 OK\r\n", b"</p>"),
    ("empty", b"HTTP/1.1 201 Created\r\n", b"\r\n\r\n"),
    ("no-id", b"HTTP/1.1 201 Created\r\n", b"}"),
    ("slow:0", b"HTTP/1.1 201 Created\r\n", b"}"),
    ("redirect", b"HTTP/1.1 307 Temporary Redirect\r\n", b"\r\n\r\n"),
    ("huge:2", b"HTTP/1.1 500 Internal Server Error\r\n", b"    "),
    ("500", b"HTTP/1.1 500 Internal Server Error\r\n", b'request"}'),
    ("503", b"HTTP/1.1 503 Service Unavailable\r\n", b'request"}'),
)


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: str(answer[0]))
@pytest.mark.parametrize("side", ["", "-before", "-after"])
def test_a_fault_answers_as_its_name_says(
    sandbox: Sandbox, body: Make, answer: tuple[str, bytes, bytes], side: str
) -> None:
    """The bytes are the fault's, and the conversation exists on the side that was asked for."""
    name, start, end = answer
    word, _, number = name.partition(":")
    if side == "-before" and (word in _ONLY_AFTER or word == "half-body"):
        return  # an answer of this kind needs a conversation; the refusal is tested elsewhere
    received = answered(sandbox, f"{word}{side}:1:{number or 1}", body())
    assert received.startswith(start)
    assert received.endswith(end)
    accepted = side == "-after" if side else _AFTER.get(word, False)
    assert len(sandbox.journal) == accepted
    assert sandbox.requests == 1


def test_every_fault_is_tried_here() -> None:
    """A new fault needs a line above, or a test of its own below."""
    tried = {name.partition(":")[0] for name, _, _ in ANSWERS}
    assert set(_AFTER) - tried == {"unread", "loop", "lag"}


def test_unread_resets_before_the_body_is_there(sandbox: Sandbox) -> None:
    """The connection is cut while the client still owes most of its body."""
    sandbox.set_faults("unread:1")
    where = urlsplit(sandbox.base_url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=10) as connection:
        connection.sendall(
            f"POST {CREATE} HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n".encode()
        )
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    assert sandbox.journal == []


def test_the_length_is_wrong_and_the_body_half(sandbox: Sandbox, body: Make) -> None:
    """What Content-Length says is less, or more, than what comes."""
    for fault, says_less in (("wrong-length", True), ("half-body", False)):
        made = body(campaignId=fault)
        head, _, content = answered(sandbox, f"{fault}:1", made).partition(b"\r\n\r\n")
        promised = int(head.rpartition(b"content-length: ")[2])
        assert (promised < len(content)) is says_less
        assert promised != len(content)


def test_an_answer_without_id_is_right_otherwise(sandbox: Sandbox, body: Make) -> None:
    """Only the id is missing."""
    _, _, content = answered(sandbox, "no-id:1", body()).partition(b"\r\n\r\n")
    answer = json.loads(content)
    assert "id" not in answer
    assert answer["externalId"] == "A-1"


def test_retry_after_is_sent_where_a_number_is_given(sandbox: Sandbox, body: Make) -> None:
    """`429:1:7` asks for seven seconds, `429:1` for none."""
    assert b"retry-after: 7\r\n" in answered(sandbox, "429:1:7", body())
    assert b"retry-after" not in answered(sandbox, "429:1", body())


def test_a_huge_answer_is_as_long_as_asked(sandbox: Sandbox, body: Make) -> None:
    """Megabytes come over the wire."""
    assert len(answered(sandbox, "huge:1:3", body())) > 3_000_000


def test_what_would_be_refused_is_refused_in_spite_of_a_fault(sandbox: Sandbox, body: Make) -> None:
    """A fault after acceptance needs an acceptance: a wrong body is still a plain 400."""
    received = answered(sandbox, "reset-after:1", body(firstName=None))
    assert received.startswith(b"HTTP/1.1 400 Bad Request")
    assert b"firstName is required" in received


def test_a_stalled_client_may_leave(sandbox: Sandbox, body: Make) -> None:
    """The sandbox notices that the client gave up, and ends without waiting 100 s."""
    sandbox.set_faults("stall:1")
    content = json.dumps(body()).encode()
    head = f"POST {CREATE} HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\nx-organization-id: acme\r\n"
    where = urlsplit(sandbox.base_url)
    with socket.create_connection((str(where.hostname), where.port or 0), timeout=0.2) as silent:
        silent.sendall(f"{head}content-length: {len(content)}\r\n\r\n".encode() + content)
        with pytest.raises(TimeoutError):
            silent.recv(1)
    sandbox.set_faults("")
    assert sent(sandbox, b"", "/v1/conversations", "GET").startswith(b"HTTP/1.1 200 OK")


def test_lists_have_faults_of_their_own(
    sandbox: Sandbox, body: Make, client: Callable[..., httpx.Client]
) -> None:
    """Creating works while listing does not."""
    sandbox.set_faults("list-500:1")
    with client(sandbox.base_url) as api:
        created = api.post("/scheduling/conversations", json=body())
        assert created.status_code == 201
        assert api.get("/conversations").status_code == 500
        assert api.get(f"/conversations/{created.json()['id']}").status_code == 200
        sandbox.set_faults("get-502:1")
        assert api.get("/conversations").status_code == 200
        assert api.get(f"/conversations/{created.json()['id']}").status_code == 502


def test_a_list_that_loops_names_the_same_page_for_ever(
    sandbox: Sandbox, client: Callable[..., httpx.Client]
) -> None:
    """The token repeats, and it can be asked for."""
    sandbox.set_faults("list-loop:1")
    with client(sandbox.base_url) as api:
        first = api.get("/conversations").json()["nextToken"]
        again = api.get("/conversations", params={"nextToken": first})
        assert again.json()["nextToken"] == first


def test_a_list_that_lags_does_not_know_the_newest(
    sandbox: Sandbox, body: Make, client: Callable[..., httpx.Client]
) -> None:
    """What was accepted just now is not in it; without lag it is."""
    with client(sandbox.base_url) as api:
        api.post("/scheduling/conversations", json=body())
        sandbox.set_faults("list-lag:1:3600")
        assert api.get("/conversations").json()["data"] == []
        sandbox.set_faults("list-lag:1:0")
        assert len(api.get("/conversations").json()["data"]) == 1
