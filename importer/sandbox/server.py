"""The sandbox as one ASGI application (endpoints, faults, quota, counts), and its server."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import random
import socket
import threading
import time
import uuid
from array import array
from collections import Counter
from dataclasses import dataclass, replace
from email.utils import formatdate
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError, UsageError
from importer.sandbox.event_sender import EventSender
from importer.sandbox.faults import parse_faults
from importer.sandbox.personalities import Behaviour
from importer.sandbox.store import Conversations, Journal, read_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from importer.model import Json
    from importer.sandbox.faults import Fault, Target
    from importer.sandbox.store import JournalEntry


try:
    import uvicorn
    from starlette.requests import ClientDisconnect

    from importer.sandbox.app import Endpoints
    from importer.sandbox.wire import TransportProtocol, inject_faults
except ImportError as exc:
    message = f"The sandbox needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc

Webhook = tuple[str, bytes]
"""URL of a receiver of events, and the secret under which they are signed."""

WINDOW_S: Final = 1.0


class Quota:
    """A request quota in windows of one second; the first request opens a window.

    Args:
        per_s: requests per window.
        now: monotonic seconds.
    """

    def __init__(self, per_s: int, now: Callable[[], float]) -> None:
        self._per_s = per_s
        self._now = now
        self._ends_s = -math.inf
        self._taken = 0

    def take(self) -> int:
        """Count one request; return how many remain, or -1 if the quota is exhausted."""
        now_s = self._now()
        if now_s >= self._ends_s:
            self._ends_s, self._taken = now_s + WINDOW_S, 0
        if self._taken >= self._per_s:
            return -1
        self._taken += 1
        return self._per_s - self._taken

    def headers(self, remaining: int) -> list[tuple[bytes, bytes]]:
        """Return the `x-ratelimit-*` headers: limit, remaining, seconds to the next window."""
        reset_s = math.ceil(max(self._ends_s - self._now(), 0.0))
        numbers = (("limit", self._per_s), ("remaining", max(remaining, 0)), ("reset", reset_s))
        return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in numbers]


def enforce_quota(app: ASGIApp, quota_of: Callable[[], Quota | None]) -> ASGIApp:
    """Wrap an app in a quota; excess requests get a 429 with Retry-After.

    Args:
        app: answers requests within the quota.
        quota_of: returns the current quota, or None for no quota.
    """

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        quota = quota_of()
        if quota is None:
            await app(scope, receive, send)
            return
        remaining = quota.take()
        headers = quota.headers(remaining)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        if remaining >= 0:
            await app(scope, receive, with_headers)
            return
        error = json.dumps({"error": "too many requests"}).encode()
        start = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(error)).encode()),
            (b"retry-after", b"1"),
        ]
        await with_headers({"type": "http.response.start", "status": 429, "headers": start})
        await send({"type": "http.response.body", "body": error})

    return behind


_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The options of a sandbox.

    Attributes:
        port: the port on 127.0.0.1; 0 takes a free one.
        journal: file of accepted conversations; it is read at the start.
        faults: what fails and how often, such as `422:0.5`.
        behave: names of personalities, separated by commas.
        duplicate_check: refuse a second conversation with a person in a campaign.
        seed: makes the faults repeatable.
        webhook: the receiver of events; None if there is none.
    """

    port: int = 0
    journal: Path | None = None
    faults: str = ""
    behave: str = ""
    duplicate_check: bool = True
    seed: int = 0
    webhook: Webhook | None = None


class Sandbox:
    """One sandbox: its conversations, counts and faults.

    Attributes:
        base_url: value for the `base_url` setting; known once the sandbox listens.
        conversations: accepted conversations, beginning with the journal's.
        arrivals: `time.monotonic` seconds of every request to `/v1`, in order.
        statuses: number of answers by status; 0 counts requests without a whole answer.
        routes: the served paths.
        events: sends events to the webhook; None if there is none.
    """

    def __init__(self, options: SandboxOptions) -> None:
        wall_s, started_s = time.time(), time.monotonic()
        self.base_url = ""
        self.arrivals = array("d")
        self.statuses: Counter[int] = Counter()
        self._faults = parse_faults(options.faults)
        self._quota = self._new_quota()
        self._random = random.Random(options.seed)  # noqa: S311 - repeatable, not secret
        self.conversations = Conversations(
            [] if options.journal is None else read_journal(options.journal),
            now=lambda: wall_s + time.monotonic() - started_s,
            status_changes=self._faults.status_changes,
            seed=options.seed,
        )
        self._journal = None if options.journal is None else Journal(options.journal)
        self._behaviour = Behaviour(options.behave)
        self.events = (
            EventSender(*options.webhook, self._behaviour, self.conversations)
            if options.webhook
            else None
        )
        endpoints = Endpoints(
            self.conversations,
            self._journal,
            self._behaviour,
            duplicate_check=options.duplicate_check,
            counts=self.counts,
            events=self.events,
        )
        app = endpoints.app()
        self.routes = app.routes
        broken = inject_faults(app, self._draw)
        self.app: ASGIApp = self._counting(enforce_quota(broken, lambda: self._quota))

    @property
    def journal(self) -> list[JournalEntry]:
        """Return every accepted conversation, oldest first, as in the journal file."""
        return list(self.conversations.entries)

    @property
    def requests(self) -> int:
        """Number of requests to `/v1`, including refused and broken ones."""
        return len(self.arrivals)

    def set_faults(self, specification: str) -> None:
        """Replace the faults from the next request on; status changes stay.

        Raises:
            UsageError: the specification is invalid.
        """
        self._faults = replace(
            parse_faults(specification), status_changes=self._faults.status_changes
        )
        self._quota = self._new_quota()

    def counts(self) -> Mapping[str, Json]:
        """Count the requests, the conversations, and the answers by status."""
        counts: dict[str, Json] = {
            "requests": self.requests,
            "conversations": len(self.conversations.entries),
            "answers": {str(status): count for status, count in sorted(self.statuses.items())},
        }
        return counts if self.events is None else {**counts, "events": self.events.counts()}

    def close(self) -> None:
        """Close the journal."""
        if self._journal is not None:
            self._journal.close()

    def _new_quota(self) -> Quota | None:
        limit_per_s = self._faults.limit_per_s
        return Quota(limit_per_s, time.monotonic) if limit_per_s else None

    def _draw(self, target: Target) -> Fault | None:
        return self._faults.draw(target, self._random.random)

    def _add_headers(self, message: Message) -> Message:
        """Add Date and a request id to the start of a response."""
        if message["type"] != "http.response.start":
            return message
        date = formatdate(time.time() + self._behaviour.clock_offset_s, usegmt=True)
        ours = [(b"date", date.encode()), (b"x-request-id", f"req_{uuid.uuid4().hex}".encode())]
        return {**message, "headers": [*message["headers"], *ours]}

    def _counting(self, app: ASGIApp) -> ASGIApp:
        """Count every request to the API on arrival, and its answer."""

        async def count(scope: Scope, receive: Receive, send: Send) -> None:
            async def send_own(message: Message) -> None:
                await send(self._add_headers(message))

            if not scope["path"].startswith("/v1/"):
                await app(scope, receive, send_own)
                return
            self.arrivals.append(time.monotonic())
            answered = 0

            async def sent(message: Message) -> None:
                nonlocal answered
                answered = message.get("status", answered)
                await send_own(message)

            try:
                await app(scope, receive, sent)
            except ClientDisconnect:
                pass  # the client hung up during the request
            except Exception:  # logged whatever it is, for example a full disk, and raised again
                _LOG.exception("the sandbox could not answer")
                raise
            finally:
                self.statuses[answered] += 1

        return count


HOST: Final = "127.0.0.1"
"""The only address the sandbox listens on, so rehearsals stay on this machine."""

READY_S: Final = 20.0


class _Server(uvicorn.Server):
    """uvicorn with a callback for when it accepts connections."""

    def __init__(self, sandbox: Sandbox, on_ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                sandbox.app,
                http=TransportProtocol,
                ws="none",
                lifespan="off",
                loop="asyncio",
                log_config=None,
                log_level=logging.CRITICAL,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,  # the sandbox sends its own, which a personality may change
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, then call back."""
        await super().startup(sockets)
        self._on_ready()


def serve(options: SandboxOptions, on_ready: Callable[[str], None]) -> None:
    """Serve the sandbox until the process receives SIGINT or SIGTERM.

    Args:
        options: how it is run.
        on_ready: called with the base URL once the sandbox accepts connections.

    Raises:
        UsageError: the port is taken, or the faults, the personalities or the webhook are invalid.
        ConfigurationError: the journal cannot be read or written.
    """
    with _listening(options) as (sandbox, listener):
        server = _Server(sandbox, lambda: on_ready(sandbox.base_url))
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


@contextlib.contextmanager
def start_sandbox(options: SandboxOptions | None = None) -> Iterator[Sandbox]:
    """Run a sandbox in a thread of this process until the context ends.

    Errors: as for `serve`.
    """
    with _listening(options or SandboxOptions()) as (sandbox, listener):
        ready = threading.Event()
        server = _Server(sandbox, ready.set)
        thread = threading.Thread(
            target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True
        )
        thread.start()
        try:
            if not ready.wait(READY_S):
                raise ConfigurationError("The sandbox did not start.")
            yield sandbox
        finally:
            server.should_exit = True
            thread.join(READY_S)


@contextlib.contextmanager
def _listening(options: SandboxOptions) -> Iterator[tuple[Sandbox, socket.socket]]:
    """Make a sandbox and the socket that it listens on; close both at the end."""
    sandbox = Sandbox(options)
    with (
        contextlib.closing(sandbox),
        sandbox.events or contextlib.nullcontext(),
        _listen(options.port) as listener,
    ):
        sandbox.base_url = _url(listener)
        yield sandbox, listener


def _listen(port: int) -> socket.socket:
    """Open a socket that listens on loopback.

    Raises:
        UsageError: the port is taken or not allowed.
    """
    # asyncio turns Nagle's algorithm off only if the protocol is given; it costs 40 ms per answer.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as exc:
        listener.close()
        message = f"Port {port} on {HOST} is not available ({exc.strerror})."
        raise UsageError(message, "Give another --port, or 0 for a free one.") from exc
    listener.listen(2048)
    return listener


def _url(listener: socket.socket) -> str:
    return f"http://{HOST}:{listener.getsockname()[1]}/v1"
