"""Act out faults on the wire: send what a broken server, proxy or network sends."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from importer.sandbox.faults import Fault, Target

TRANSPORT: Final = "importer.sandbox.transport"
_LOG: Final = logging.getLogger(__name__)
_JSON: Final = [(b"content-type", b"application/json")]
_HTML: Final = [(b"content-type", b"text/html; charset=utf-8")]
_PAGE: Final = b"<!doctype html><title>Please wait</title><p>The service is being updated.</p>"
_ACCEPTED: Final = range(200, 300)
_STALL_S: Final = 100.0
_SLOW_S: Final = 1.0
_LATE_S: Final = 1.0
_LAG_S: Final = 5.0
_HUGE_MB: Final = 10.0
_CHUNK: Final = 65_536


class TransportProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol with the connection's transport in the ASGI scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Pass the transport to every request of this connection."""
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Scope, receive: Receive, send: Send) -> None:
            await app({**scope, TRANSPORT: transport}, receive, send)

        self.app = with_transport


@dataclass(slots=True)
class BufferedResponse:
    """A response of the app that has not been sent yet."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def take(self, message: Message) -> None:
        """Store one ASGI message of the response."""
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    def without_length(self) -> list[tuple[bytes, bytes]]:
        """Return the headers except Content-Length."""
        return [header for header in self.headers if header[0] != b"content-length"]


def inject_faults(app: ASGIApp, draw: Callable[[Target], Fault | None]) -> ASGIApp:
    """Wrap an app so that requests meet the faults that are drawn.

    Args:
        app: gives the correct answers.
        draw: returns the fault for the next request of a kind, or None.
    """

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        target = _target(scope)
        fault = None if target is None else draw(target)
        if fault is None:
            await app(scope, receive, send)
            return
        response = BufferedResponse()
        if fault.after:
            taken = await _delay(fault, receive) if fault.name == "late" else receive
            await app(scope, taken, response.take)
            if response.status not in _ACCEPTED:
                await _send(send, response.status, response.headers, response.body)
                return
        elif fault.name != "unread":
            await _read(receive)
        await _apply(fault, response, scope[TRANSPORT], receive, send)

    return respond


def _target(scope: Scope) -> Target | None:
    """Return the kind of a request; None for calls that never fail, such as the sandbox's own."""
    if scope["type"] != "http" or not scope["path"].startswith("/v1/"):
        return None
    if scope["method"] == "POST":
        return "create"
    return "list" if scope["path"] == "/v1/conversations" else "get"


async def _delay(fault: Fault, receive: Receive) -> Receive:
    """Hold back a request for some time, even if the client hangs up."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await asyncio.sleep(_LATE_S if fault.number is None else fault.number)

    async def receive_late() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    return receive_late


async def _read(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


async def _apply(
    fault: Fault,
    response: BufferedResponse,
    transport: asyncio.Transport,
    receive: Receive,
    send: Send,
) -> None:
    if fault.name in _ANSWERS:
        status, headers, body = _ANSWERS[fault.name](fault, response)
        await _send(send, status, headers, body)
    elif fault.name.isdigit():
        headers = list(_JSON)
        if fault.number is not None:
            headers.append((b"retry-after", f"{fault.number:g}".encode()))
        error = json.dumps({"error": f"a {fault.name} on request"}).encode()
        await _send(send, int(fault.name), headers, error)
    elif fault.name == "slow":
        await asyncio.sleep(_SLOW_S if fault.number is None else fault.number)
        await _send(send, response.status, response.headers, response.body)
    else:
        await _break(fault, response, transport, receive)


async def _break(
    fault: Fault, response: BufferedResponse, transport: asyncio.Transport, receive: Receive
) -> None:
    """End the connection, after silence or after bytes that are not a whole answer."""
    if fault.name == "stall":
        seconds = _STALL_S if fault.number is None else fault.number
        try:
            async with asyncio.timeout(seconds):
                await _wait_for_disconnect(receive)
        except TimeoutError:
            pass
        except asyncio.CancelledError:  # the sandbox ends: stay silent, without uvicorn's 500
            transport.close()
            raise
    elif fault.name in _BYTES:
        transport.write(_BYTES[fault.name](response))
    if fault.name in {"reset", "unread"}:
        connection = transport.get_extra_info("socket")
        # On, zero seconds: closing sends RST and drops unsent data.
        linger = struct.pack("ii", 1, 0)
        with suppress(OSError):  # the client has closed it meanwhile
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        transport.abort()
    else:
        transport.close()
    await _wait_for_disconnect(receive)


async def _wait_for_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    """Send a whole answer, with Content-Length if the headers lack it."""
    if not any(name == b"content-length" for name, _ in headers):
        headers = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for start in range(0, len(body), _CHUNK):
        chunk = body[start : start + _CHUNK]
        await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


# ---- answers that are whole HTTP, but wrong -------------------------------------

_Whole = tuple[int, list[tuple[bytes, bytes]], bytes]


def _no_id(_fault: Fault, response: BufferedResponse) -> _Whole:
    content = json.loads(response.body)
    del content["id"]
    return response.status, response.without_length(), json.dumps(content).encode()


def _loop(_fault: Fault, response: BufferedResponse) -> _Whole:
    """Return a page whose next page is always the same."""
    content = json.loads(response.body)
    content["nextToken"] = "djE6MQ=="  # the token of position 1, no secret
    return response.status, response.without_length(), json.dumps(content).encode()


def _lag(fault: Fault, response: BufferedResponse) -> _Whole:
    """Return a page without the newest conversations."""
    lag_s = _LAG_S if fault.number is None else fault.number
    latest = datetime.now(UTC).timestamp() - lag_s
    content = json.loads(response.body)
    content["data"] = [
        conversation
        for conversation in content["data"]
        if datetime.fromisoformat(conversation["createdAt"]).timestamp() <= latest
    ]
    return response.status, response.without_length(), json.dumps(content).encode()


def _huge(fault: Fault, _response: BufferedResponse) -> _Whole:
    megabytes = _HUGE_MB if fault.number is None else fault.number
    return 500, _HTML, _PAGE.ljust(int(megabytes * 1_000_000))


_ANSWERS: Final[dict[str, Callable[[Fault, BufferedResponse], _Whole]]] = {
    "no-id": _no_id,
    "loop": _loop,
    "lag": _lag,
    "huge": _huge,
    "html": lambda _fault, _response: (200, _HTML, _PAGE),
    "not-json": lambda _fault, response: (response.status or 201, _JSON, b'{"id": conv_'),
    "empty": lambda _fault, response: (response.status or 201, _JSON, b""),
    "redirect": lambda _fault, _response: (
        307,
        [(b"location", b"http://127.0.0.1:9/v1/elsewhere")],
        b"",
    ),
}

# ---- bytes that are not a whole answer ----------------------------------------------------------


def _head(length: int) -> bytes:
    """Return the header of a 201 with a Content-Length."""
    lines = f"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {length}"
    return lines.encode() + b"\r\n\r\n"


_BYTES: Final[dict[str, Callable[[BufferedResponse], bytes]]] = {
    "half-header": lambda _response: b"HTTP/1.1 201 Created\r\ncontent-ty",
    "half-body": lambda response: _head(len(response.body) + 2) + response.body[:9],
    "wrong-length": lambda response: _head(9) + (response.body or b'{"error": "nothing"}'),
    "garbage": lambda _response: b"\x15\x03\x01\x00\x02\x02\x16 this is not HTTP\r\n\r\n",
}
