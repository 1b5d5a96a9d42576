"""Behaviours of a server towards a request: clear answers, and ends that are not."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Final

from importer.model import Action
from tests.support.sockets import Peer

Behaviour = Callable[[Peer], Awaitable[None]]

CREATED: Final = b'{"id": "c-1", "status": "CREATED"}'


def created(number: int) -> bytes:
    """Return the answer with a conversation of its own for each request."""
    return b'{"id": "c-%d", "status": "CREATED"}' % number


def says(status: str, body: bytes = b"", *headers: str) -> Behaviour:
    """Return a server that reads the request and sends this answer."""

    async def behaviour(peer: Peer) -> None:
        await peer.request()
        await peer.answer(status, body, *headers)

    return behaviour


def sends(*pieces: bytes) -> Behaviour:
    """Return a server that reads the request, sends these bytes and hangs up."""

    async def behaviour(peer: Peer) -> None:
        await peer.request()
        for piece in pieces:
            await peer.send(piece)

    return behaviour


async def resets_before_reading(peer: Peer) -> None:
    """Accept the connection and throw it away."""
    peer.reset()


async def resets_amid_reading(peer: Peer) -> None:
    """Throw the connection away with half of the request unread."""
    await peer.reader.readexactly(20)
    peer.reset()


async def resets_after_reading(peer: Peer) -> None:
    """Take the whole request and throw the connection away."""
    await peer.request()
    peer.reset()


async def resets_amid_answering(peer: Peer) -> None:
    """Throw the connection away when half of the answer is out."""
    await peer.request()
    await peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n" + CREATED[:10])
    peer.reset()


async def says_nothing(peer: Peer) -> None:
    """Read the request and stay silent."""
    await peer.request()
    await peer.until_gone()


async def dribbles(peer: Peer) -> None:
    """Send a byte at a time, faster than any read timeout, without an end."""
    await peer.request()
    await peer.send(b"HTTP/1.1 201 Created\r\nContent-Length: 100000\r\n\r\n")
    while True:
        await peer.send(b" ")
        await asyncio.sleep(0.02)


DOUBTFUL: Final[dict[str, Behaviour]] = {
    "hangs up without a word": sends(b""),
    "resets amid answering": resets_amid_answering,
    "resets after reading": resets_after_reading,
    "half a status line": sends(b"HTTP/1.1 20"),
    "half a header": sends(b"HTTP/1.1 201 Created\r\nContent-Le"),
    "no body": sends(b"HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n"),
    "half a body": sends(b"HTTP/1.1 201 Created\r\nContent-Length: 34\r\n\r\n", CREATED[:20]),
    "half a body of a 400": sends(b'HTTP/1.1 400 No\r\nContent-Length: 34\r\n\r\n{"error'),
    "a length too short": sends(b"HTTP/1.1 201 Created\r\nContent-Length: 20\r\n\r\n" + CREATED),
    "two lengths": sends(
        b"HTTP/1.1 201 Created\r\nContent-Length: 34\r\nContent-Length: 3\r\n\r\n" + CREATED
    ),
    "a length that is none": sends(b"HTTP/1.1 201 Created\r\nContent-Length: x\r\n\r\n" + CREATED),
    "half a chunk": sends(b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n{"),
    "a chunk that is none": sends(
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + CREATED
    ),
    "no last chunk": sends(
        b"HTTP/1.1 201 Created\r\nTransfer-Encoding: chunked\r\n\r\n22\r\n" + CREATED + b"\r\n"
    ),
    "garbage": sends(bytes(range(256)) * 8),
    "another protocol": sends(b"220 mail.example.com ESMTP\r\n"),
    "an endless header": sends(b"HTTP/1.1 201 Created\r\nX: " + b"x" * 300_000),
    "HTML instead of JSON": says("200 OK", b"<html>Please log in</html>"),
    "JSON that is no object": says("200 OK", b'["c-1"]'),
    "half a JSON": says("201 Created", b'{"id": "c-1", '),
    "JSON nested too deep": says("201 Created", b"[" * 60_000),
    "bytes that are no text": says("201 Created", b'{"id": "\xff\xfe"}'),
    "gzip that is none": says("201 Created", CREATED, "Content-Encoding: gzip"),
    "an encoding unknown to us": says("201 Created", CREATED, "Content-Encoding: br"),
    "a 200 without an id": says("200 OK", b'{"ok": true}'),
    "an empty object": says("200 OK", b"{}"),
    "a 204": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "an empty 200": says("200 OK"),
    "a 503 with a time": says("503 No", b"", "Retry-After: 3"),
    "an id beside an error": says("200 OK", b'{"id": "c-1", "error": "no"}'),
    "an error in a 200": says("200 OK", b'{"error": "try later"}'),
    "only an early hint": sends(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"),
    "another protocol, politely": sends(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"
    ),
    "silence": says_nothing,
    "a 500": says("500 Internal Server Error", b'{"error": "oops"}'),
    "a 502 of HTML": says("502 Bad Gateway", b"<html><h1>502</h1></html>"),
    "a 503 without a time": says("503 Service Unavailable"),
    "a 504": says("504 Gateway Timeout"),
    "a 408": says("408 Request Timeout"),
    "a redirect": says("302 Found", b"", "Location: /elsewhere"),
    "a redirect that keeps the method": says("307 Temporary Redirect", b"", "Location: /elsewhere"),
    "a redirect forever": says("308 Permanent Redirect", b"", "Location: /v2"),
    "a redirect to nowhere": says("302 Found", b"", "Location: http://[::1"),
}
"""Ends of a request that are not a clear answer."""

CLEAR: Final[dict[str, tuple[Behaviour, Action]]] = {
    "a 201": (says("201 Created", CREATED), Action.CREATED),
    "a 201 after a hint": (
        sends(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 201 Created\r\n\r\n" + CREATED),
        Action.CREATED,
    ),
    "a packed 200": (
        says("200 OK", gzip.compress(CREATED), "Content-Encoding: gzip"),
        Action.CREATED,
    ),
    "a 400": (says("400 Bad Request", b'{"error": "no campaign"}'), Action.REJECTED),
    "a 404 of HTML": (says("404 Not Found", b"<html>"), Action.STOP_CAMPAIGN),
    "a 409 without proof": (says("409 Conflict", b'{"error": "exists"}'), Action.REJECTED),
    "a 409": (says("409 Conflict", b'{"conversationId": "c-1"}'), Action.DUPLICATE),
    "a 422 in words": (
        says("422 No", b'{"error": "Conversation Already Exists."}'),
        Action.DUPLICATE,
    ),
    "a 401": (says("401 Unauthorized"), Action.STOP),
    "a 403": (says("403 Forbidden"), Action.STOP),
    "a 429": (says("429 Too Many Requests", b"", "Retry-After: 3"), Action.AGAIN),
}
"""Clear answers, and the first decision on each."""


async def answers_on(peer: Peer) -> None:
    """Answer every request of a connection."""
    while True:
        await peer.request()
        await peer.answer("201 Created", created(len(peer.seen.requests)))


async def answers_twice(peer: Peer) -> None:
    """Answer the first request of a connection twice; the second answer is stale."""
    number = len(peer.seen.requests)
    await peer.request()
    one = b'{"id": "c-%d"}' % number
    head = b"HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n"
    await peer.send(head % len(one) + one + head % 14 + b'{"id": "stale"}')
    await peer.until_gone()
