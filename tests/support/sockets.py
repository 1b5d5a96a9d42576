"""A raw server on loopback: each test decides, byte by byte, what a connection receives."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator


@dataclass
class Seen:
    """What a server received.

    Attributes:
        url: where it listens, without a path.
        connections: how many were made.
        requests: every whole request, head and body.
        sent_bytes: number of answered bytes that the client took.
    """

    url: str = ""
    connections: int = 0
    requests: list[bytes] = field(default_factory=list)
    sent_bytes: int = 0


@dataclass
class Peer:
    """One connection, seen from the server."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    seen: Seen

    async def request(self) -> bytes:
        """Read a whole request."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        body = await self.reader.readexactly(int(length.group(1))) if length else b""
        self.seen.requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        """Write, and wait until the other side takes it."""
        self.writer.write(data)
        await self.writer.drain()
        self.seen.sent_bytes += len(data)

    async def answer(self, status: str, body: bytes, *headers: str) -> None:
        """Write a whole, correct answer."""
        lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
        await self.send("\r\n".join(lines).encode() + body)

    def reset(self) -> None:
        """End the connection with RST."""
        raw: Any = self.writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def until_gone(self) -> None:
        """Wait until the other side hangs up."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass


@asynccontextmanager
async def serve_raw(
    behaviour: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None
) -> AsyncIterator[Seen]:
    """Serve a behaviour on loopback; each connection is closed after it."""
    seen, open_ones = Seen(), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.connections += 1
        task = asyncio.current_task()
        assert task is not None
        open_ones.add(task)
        try:
            await behaviour(Peer(reader, writer, seen))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client hung up first, or the test is over
        finally:
            open_ones.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await writer.wait_closed()

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield seen
    finally:
        server.close()
        for task in tuple(open_ones):
            task.cancel()
        await asyncio.gather(*open_ones, return_exceptions=True)
        await server.wait_closed()


@contextlib.contextmanager
def silent_server() -> Iterator[str]:
    """Yield the address of a port that takes connections, and then says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        yield f"http://127.0.0.1:{silent.getsockname()[1]}"


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """Yield the address of a port that refuses connections, as long as the context is open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"
