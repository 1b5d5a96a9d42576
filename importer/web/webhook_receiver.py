"""The receiver of the API's events: checks the signature, stores, answers, and applies later."""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import logging
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from anyio import to_thread

from importer.errors import (
    ConfigurationError,
    ImporterError,
    LedgerError,
    SettingsError,
    describe_fault,
)
from importer.ledger import Ledger
from importer.planning.history import open_history
from importer.sending.events import apply_events, read_event
from importer.settings.page_settings import WEBHOOK_SECRET
from importer.web.http_server import HttpServer, ignored_after, in_thread, listen, url_of

try:
    from starlette.applications import Starlette
    from starlette.requests import ClientDisconnect, Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    from importer.web.request_checks import USUAL_PACE, Pace, PacedBody
except ImportError as exc:
    message = f"Receiving events needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[web]'") from exc

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from starlette.types import ASGIApp, Receive, Scope, Send

    from importer.planning.identity import Identity
    from importer.settings import Settings


PATH: Final = "/webhooks"
"""Where the API sends its events."""

MAX_BODY_BYTES: Final = 256_000
"""The longest event that is read."""

_LOG: Final = logging.getLogger(__name__)
_SIGNATURE: Final = "x-signature"
_SCHEME: Final = "sha256="
_SOON_S: Final = 2.0
"""Seconds until another attempt to apply events whose row is just being sent."""
_SELDOM_S: Final = 60.0
"""Seconds until another attempt to apply events whose conversation is not known yet."""


def is_signed(body: bytes, signature: str, key: bytes, encoding: str) -> bool:
    """Whether a signature is the HMAC-SHA256 of a body; compares in constant time.

    Args:
        body: the body as it came, byte by byte.
        signature: the value of the header.
        key: the key of the signature.
        encoding: `hex` or `base64`.
    """
    text = signature.strip().removeprefix(_SCHEME)
    try:
        given = bytes.fromhex(text) if encoding == "hex" else _decode_base64(text)
    except (ValueError, binascii.Error):
        given = b""
    return hmac.compare_digest(given, hmac.digest(key, body, "sha256"))


def _decode_base64(text: str) -> bytes:
    """Decode base64 of either alphabet, with or without padding."""
    usual = text.translate(str.maketrans("-_", "+/")).rstrip("=")
    return base64.b64decode(usual + "=" * (-len(usual) % 4), validate=True)


class WebhookReceiver:
    """An ASGI application that keeps the API's events, and a thread that applies them.

    Use it as a context manager: the thread works as long as the context lasts.

    Args:
        settings: name the ledger's key and say how signatures are written.
        key: the one that signs events.
        ledger: open for writing; another process may hold its lock.
        say: prints a line for the person at the terminal.
        pace: how slowly a body may arrive.
    """

    def __init__(
        self,
        settings: Settings,
        key: bytes,
        ledger: Ledger,
        say: Callable[[str], None],
        pace: Pace = USUAL_PACE,
    ) -> None:
        self._settings = settings
        self._key = key
        self._ledger = ledger
        self._say = say
        self._pace = pace
        self._said: set[str] = set()
        self._identity: Identity | None = None
        self._news = threading.Event()
        self._ended = False
        self._worker = threading.Thread(target=self._work, name="webhooks", daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended = True
        self._news.set()
        self._worker.join()

    # ---- receiving ---------------------------------------------------------------------------

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        body = PacedBody(receive, self._pace)
        request = Request(scope, body.receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            if not body.too_slow:
                return
            response = PlainTextResponse("The event came in too slowly.\n", 408)
        await response(scope, body.receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return PlainTextResponse("Events are sent with POST.\n", 405, {"allow": "POST"})
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                words = f"An event has at most {MAX_BODY_BYTES:,} bytes.\n"
                return PlainTextResponse(words, 413, {"connection": "close"})
        given = request.headers.getlist(_SIGNATURE)
        if len(given) != 1 or not self._is_signed(bytes(body), given[0]):
            self._tell_refused(bytes(body), given)
            return PlainTextResponse(f"The header {_SIGNATURE} is missing or wrong.\n", 401)
        try:
            await to_thread.run_sync(self._keep, bytes(body))
        except ImporterError as error:
            _LOG.error("an event cannot be kept: %s", describe_fault(error))
            self._tell("An event could not be written to the ledger; the API has to send it again.")
            return PlainTextResponse("Please send it again.\n", 503, {"retry-after": "30"})
        self._news.set()
        return Response()

    def _is_signed(self, body: bytes, signature: str) -> bool:
        return is_signed(body, signature, self._key, self._settings.webhook_signature)

    def _keep(self, body: bytes) -> None:
        """Write an event to the ledger; it is durable when this returns."""
        self._ledger.events.receive(read_event(body, datetime.now(UTC), self._hashes()))

    def _hashes(self) -> Identity | None:
        """Return the keyed hashes of the ledger's people; None before its first run."""
        if self._identity is None and self._ledger.key_id is not None:
            with open_history(self._settings, self._ledger) as history:
                self._identity = history.identity
        return self._identity

    def _tell_refused(self, body: bytes, given: list[str]) -> None:
        """Say why a signature was refused."""
        other = "base64" if self._settings.webhook_signature == "hex" else "hex"
        hint = f"Compare {WEBHOOK_SECRET} with the secret of the webhook at the API."
        if given and is_signed(body, given[0], self._key, other):
            hint = f"It is right in {other}: set `webhook_signature: {other}`."
        elif not given:
            hint = f"It has no header {_SIGNATURE}; perhaps a proxy drops it."
        self._tell(f"An event was refused because its signature is wrong. {hint}")

    def _tell(self, sentence: str) -> None:
        """Print a sentence, but only the first time."""
        if sentence not in self._said:
            self._said.add(sentence)
            self._say(sentence)

    # ---- working -----------------------------------------------------------------------------

    def _work(self) -> None:
        """Apply what was received, until the context ends."""
        again_s = 0.0  # for events received before this process started
        while not self._ended:
            self._news.wait(again_s)
            self._news.clear()
            again_s = self._apply()

    def _apply(self) -> float:
        """Apply the events that wait; return after how many seconds to look again."""
        try:
            identity = self._hashes()
            waiting = apply_events(self._ledger, identity.organization if identity else "").waiting
        except LedgerError as error:
            self._tell(f"Events wait in the ledger, because it fails. {error}")
            return _SOON_S
        except Exception as error:  # noqa: BLE001 - the thread must live on
            _LOG.error("events cannot be applied: %s", describe_fault(error))
            self._tell("Events wait in the ledger: something went wrong inside importer.")
            return _SELDOM_S
        return _SOON_S if waiting else _SELDOM_S


def make_receiver(
    settings: Settings, ledger: Ledger, say: Callable[[str], None], pace: Pace = USUAL_PACE
) -> WebhookReceiver | None:
    """Make the receiver of a server; None if there is no secret for it.

    Raises:
        SettingsError: the secret cannot be used.
    """
    key = settings.webhook_key()
    return None if key is None else WebhookReceiver(settings, key, ledger, say, pace)


def receive_beside(page: ASGIApp, receiver: WebhookReceiver) -> ASGIApp:
    """Return an application that gives events to the receiver, and everything else to the page.

    Events come without a session; their signature says who sent them.
    """

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        is_event = scope["type"] == "http" and scope["path"] == PATH
        await (receiver if is_event else page)(scope, receive, send)

    return answer


def receive_webhooks(
    settings: Settings, *, say: Callable[[str], None], signals: tuple[signal.Signals, ...]
) -> None:
    """Receive events until a signal comes, then finish the requests under way.

    Args:
        settings: name the ledger, and say where to listen.
        say: prints a line for the person at the terminal.
        signals: the signals that end it.

    Raises:
        SettingsError: there is no secret, or it cannot be used.
        UsageError: the port is taken.
        LedgerError: there is no ledger, or it cannot be opened.
    """
    with _opened(settings, say, USUAL_PACE) as (server, url), ignored_after(*signals):
        say(f"Events are received at {url}{PATH}.")
        server.run()
        say("The receiver has stopped.")


@contextlib.contextmanager
def start_receiver(
    settings: Settings,
    *,
    say: Callable[[str], None] = print,
    pace: Pace = USUAL_PACE,
) -> Iterator[str]:
    """Receive events in a thread of this process until the context ends; yield the URL for them.

    Arguments and errors: as for `receive_webhooks`.
    """
    with _opened(settings, say, pace) as (server, url), in_thread(server, "receiver"):
        yield f"{url}{PATH}"


@contextlib.contextmanager
def _opened(
    settings: Settings, say: Callable[[str], None], pace: Pace
) -> Iterator[tuple[HttpServer, str]]:
    """Open a server that receives events and nothing else; yield it and its address."""
    with Ledger.open(settings.ledger, create=False) as ledger:
        receiver = make_receiver(settings, ledger, say, pace)
        if receiver is None:
            raise SettingsError(
                f"{WEBHOOK_SECRET} is not set, so nobody could tell whose events they are.",
                f"Type `export {WEBHOOK_SECRET}=...` with the secret of the webhook at the API.",
            )
        with receiver, contextlib.closing(listen(settings)) as listener:
            app = Starlette(routes=[Route(PATH, receiver)])
            yield HttpServer(app, listener, settings.grace_s), url_of(listener)
