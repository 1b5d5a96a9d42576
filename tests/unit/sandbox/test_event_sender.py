"""The sandbox announces what happens, signed, and again until it is answered."""

from __future__ import annotations

import base64
import hmac
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from importer.errors import UsageError
from importer.sandbox.event_sender import EventSender
from importer.sandbox.personalities import Behaviour
from importer.sandbox.store import Conversations
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.sandbox.store import JournalEntry

SECRET = b"a secret that nobody guesses"


class Endpoint:
    """Who receives the events: what came, and what is answered."""

    def __init__(self) -> None:
        self.came: list[tuple[str, bytes]] = []
        self.answers: list[int] = []
        self.url = ""

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events, in the order in which they came."""
        return [json.loads(body) for _, body in self.came]

    @property
    def names(self) -> list[str]:
        """Their names."""
        return [each["event"] for each in self.events]


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    """Yield a server on a real socket; it answers 200 when its other answers are used up."""
    found = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.came.append((self.headers["x-signature"], body))
            self.send_response(found.answers.pop(0) if found.answers else 200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/webhooks"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield found
        server.shutdown()
        thread.join()


@contextmanager
def sending(
    endpoint: Endpoint, behave: str = "", retries_s: tuple[float, ...] = (0.0, 0.0)
) -> Iterator[tuple[EventSender, Conversations, JournalEntry]]:
    """Yield a sender with one conversation, which was not announced."""
    conversations = Conversations([], now=lambda: 1_000.0)
    entry = conversations.accept("acme", "/conversations", {"externalId": "A-1", "firstName": "A"})
    with EventSender(endpoint.url, SECRET, Behaviour(behave), conversations, retries_s) as sender:
        yield sender, conversations, entry


def test_events_are_signed_and_say_whose_they_are(endpoint: Endpoint) -> None:
    """Byte by byte, with the conversation, its status and our id."""
    with sending(endpoint) as (sender, conversations, entry):
        sender.announce_new(entry)
        conversations.set_status(entry["id"], "OPTED_OUT")
        sender.announce_status(entry)
        wait_until(lambda: len(endpoint.came) == 2)
    for given, body in endpoint.came:
        assert given == hmac.digest(SECRET, body, "sha256").hex()
    assert endpoint.names == ["CONVERSATION_QUEUED", "CONVERSATION_OPTED_OUT"]
    data = endpoint.events[1]["data"]
    assert (data["recordId"], data["externalId"]) == (entry["id"], "A-1")
    assert data["conversationStatus"] == "OPTED_OUT"
    assert len({each["eventId"] for each in endpoint.events}) == 2


def test_an_event_is_sent_until_it_is_answered(endpoint: Endpoint) -> None:
    """The same event; in the end it is given up."""
    endpoint.answers = [503, 500, 200, 500, 500, 500]
    with sending(endpoint) as (sender, conversations, entry):
        for ended in ("delivered", "given up"):
            conversations.set_status(entry["id"], "CLOSED")
            sender.announce_status(entry)
            wait_until(lambda ended=ended: sender.counts()[ended] == 1)  # type: ignore[misc]
        assert sender.counts() == {"delivered": 1, "retried": 4, "given up": 1}
    assert len(endpoint.came) == 6
    assert len({body for _, body in endpoint.came}) == 2


def test_a_meeting_is_announced(endpoint: Endpoint) -> None:
    """With the booking, its conversation and its time."""
    begins = datetime(2026, 12, 1, 10, tzinfo=UTC)
    with sending(endpoint) as (sender, _, entry):
        for each in (begins, begins, None):
            sender.announce_meeting(entry, each)
        wait_until(lambda: len(endpoint.came) == 3)
    assert [name.removeprefix("CALENDAR_MEETING_") for name in endpoint.names] == [
        "SCHEDULED",
        "RESCHEDULED",
        "CANCELLED",
    ]
    data = endpoint.events[0]["data"]
    assert (data["conversationId"], data["externalConversationId"]) == (entry["id"], "A-1")
    assert data["meetingDetails"]["startDateTime"] == begins.isoformat()
    assert len({each["data"]["recordId"] for each in endpoint.events}) == 1


def test_odd_senders(endpoint: Endpoint) -> None:
    """base64-signatures, repeated-events, late-events: as their sentences say."""
    with sending(endpoint, "base64-signatures,repeated-events,late-events:0.2") as (
        sender,
        conversations,
        entry,
    ):
        for status in ("ONGOING", "CLOSED"):
            conversations.set_status(entry["id"], status)
            sender.announce_status(entry)
        wait_until(lambda: len(endpoint.came) == 4)
    assert sorted(endpoint.names) == sorted(
        ["CONVERSATION_MAX_NUDGES_REACHED"] * 2 + ["CONVERSATION_STARTED"] * 2
    )
    assert len({each["eventId"] for each in endpoint.events}) == 2
    given, body = endpoint.came[0]
    assert base64.b64decode(given) == hmac.digest(SECRET, body, "sha256")


@pytest.mark.parametrize(
    "url", ["https://127.0.0.1/x", "http://example.com/x", "http://10.0.0.1/x", "x", "http://[/"]
)
def test_events_stay_on_this_machine(url: str) -> None:
    """A rehearsal concerns nobody elsewhere."""
    with pytest.raises(UsageError, match="on this machine"):
        EventSender(url, SECRET, Behaviour(), Conversations([], now=lambda: 0.0))
