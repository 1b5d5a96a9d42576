"""An API on a real socket that behaves as a test says: what it accepts, shows and lists."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Body = dict[str, Any]
Reply = tuple[int, bytes, dict[str, str]]
"""Status, body and headers."""

CUT: Final[Reply] = (0, b"", {})
"""An answer that never comes: the connection is lost."""


def answer(status: int, content: object = None, **headers: str) -> Reply:
    """Return an answer of JSON; of nothing if there is no content."""
    body = b"" if content is None else json.dumps(content).encode()
    return status, body, {name.replace("_", "-"): value for name, value in headers.items()}


@dataclass
class OddApi:
    """What the API does; tests replace the functions.

    Attributes:
        on_create: (api, body) -> answer; it calls `accept` if the person is contacted.
        show: (api, conversation) -> how an answer or the list shows it.
        on_list: (api) -> answer to a request for the list.
        on_campaign: (api, campaign id) -> answer.
        conversations: what was accepted, in order.
        bodies: of every POST.
        asked: number of requests for the list.
        headers: of every request.
    """

    on_create: Callable[[OddApi, Body], Reply]
    show: Callable[[OddApi, Body], Body] = lambda _, conversation: conversation
    on_list: Callable[[OddApi], Reply] = lambda api: api.whole_list()
    on_campaign: Callable[[OddApi, str], Reply] = lambda _, __: answer(404, {"error": "no path"})
    conversations: list[Body] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    asked: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    url: str = ""
    ahead: timedelta = timedelta()
    shows_date: bool = True

    def accept(self, body: Body) -> Body:
        """Contact the person, and give the new conversation."""
        conversation = {
            "id": f"c-{len(self.conversations) + 1}",
            "externalId": body.get("externalId"),
            "campaignId": body.get("campaignId"),
            "organizationId": "org-1",
            "participantPhoneNumber": body.get("phoneNumber"),
            "participantEmailAddress": body.get("emailAddress"),
            "createdAt": (datetime.now(UTC) + self.ahead).isoformat(),
            "status": "CREATED",
        }
        self.conversations.append(conversation)
        return self.show(self, conversation)

    def whole_list(self, **also: object) -> Reply:
        """Return all that was accepted, on one page."""
        data = [self.show(self, each) for each in self.conversations]
        return answer(200, {"data": data, "nextToken": None, **also})

    @property
    def contacted(self) -> list[str]:
        """Everybody it contacted, as often as it did."""
        return [each["participantPhoneNumber"] for each in self.conversations]

    def reply(self, method: str, path: str, body: Body) -> Reply:
        """Return the answer to a request."""
        if method == "POST":
            self.bodies.append(body)
            return self.on_create(self, body)
        if path.startswith("/campaigns/"):
            return self.on_campaign(self, path.removeprefix("/campaigns/"))
        self.asked += 1
        return self.on_list(self)


def accepts(api: OddApi, body: Body) -> Reply:
    """Return an API as it should be."""
    return answer(201, api.accept(body))


@contextmanager
def serve_odd_api(api: OddApi) -> Iterator[OddApi]:
    """Serve it on loopback while the context lasts."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            length = int(self.headers.get("content-length", 0))
            body = json.loads(self.rfile.read(length) or b"{}")
            with lock:
                api.headers.append({k.lower(): v for k, v in self.headers.items()})
                status, content, headers = api.reply(
                    self.command, self.path.partition("?")[0], body
                )
            self.close_connection = True
            if status == 0:
                return
            self.send_response_only(status)
            if api.shows_date:
                now = datetime.now(UTC) + api.ahead
                self.send_header("Date", now.strftime("%a, %d %b %Y %H:%M:%S GMT"))
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Connection", "close")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    api.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
