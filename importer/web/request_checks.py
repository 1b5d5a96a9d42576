"""Checks of every request before its session is looked up: host, origin, token and pace."""

from __future__ import annotations

import asyncio
import hmac
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from importer.settings.values import is_loopback

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Message, Receive, Send

    from importer.settings.page_settings import PageSettings


CSRF_FIELD: Final = "csrf"
CSRF_HEADER: Final = "x-csrf"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
STATIC: Final = "/static/"

_OWN_PATH: Final = re.compile(r"/(?![/\\])[\x21-\x5b\x5d-\x7e]{0,499}")

_MOST_FORM_BYTES: Final = 256_000
_MOST_FIELDS: Final = 1_000
_FIRST_PART: Final = 8_192
"""Bytes at the start of a multipart form within which its token must be."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_SECURITY: Final = tuple(
    (name.encode(), value.encode())
    for name, value in (
        (
            "content-security-policy",
            _POLICY,
        ),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
        ("x-robots-tag", "noindex"),
    )
)
_SECURE: Final = (b"strict-transport-security", b"max-age=31536000")
_PRIVATE: Final = (b"cache-control", b"no-store")


@dataclass(frozen=True, slots=True)
class Origins:
    """The addresses under which the page may be opened.

    Attributes:
        urls: such as `http://127.0.0.1:8766`, without a path, in lower case.
        secure: whether people open the page over https.
    """

    urls: frozenset[str]
    secure: bool

    @classmethod
    def of(cls, settings: PageSettings, port: int) -> Origins:
        """Return the addresses of a page that listens on a port of `listen`."""
        urls = set()
        if is_loopback(settings.listen_host):
            urls = {f"http://{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]")}
        if settings.page_url is not None:
            urls.add(settings.page_url)
        secure = (settings.page_url or "").startswith("https:")
        return cls(frozenset(urls), secure)

    @property
    def hosts(self) -> frozenset[str]:
        """The values of the Host header that are ours."""
        return frozenset(urlsplit(url).netloc for url in self.urls)


def own_path(path: str) -> str:
    """Return a path if it leads to one of our pages, else the path of the start page."""
    return path if _OWN_PATH.fullmatch(path) else "/"


def check_host(request: Request, origins: Origins) -> None:
    """Raise HTTPException if a request names another host, which could be DNS rebinding."""
    named = request.headers.getlist("host")
    if len(named) != 1 or named[0].lower() not in origins.hosts:
        raise HTTPException(
            421, "This page is not available at this address. Use the address that you were given."
        )


def check_origin(request: Request, origins: Origins) -> None:
    """Raise HTTPException if another site's page requests a change."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin", "").lower()
    # Our own forms say `null`, because the page has `Referrer-Policy: no-referrer`.
    is_ours = origin in origins.urls or not origin or (origin == "null" and site is not None)
    if site not in {None, "same-origin", "none"} or not is_ours:
        raise HTTPException(
            403, "Another website tried to change something here. Nothing was changed."
        )


def check_token(given: str, wanted: str) -> None:
    """Raise HTTPException unless a request carries the token of its session."""
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise HTTPException(
            403,
            "This form is out of date, because you signed in again since it was opened. "
            "Nothing was changed. Go back, reload the page, and try again.",
        )


async def find_token(request: Request, receive: Receive) -> tuple[str, Receive]:
    """Return the token of a request that changes something, and a `receive` that replays the body.

    The token is the header X-CSRF, or the field `csrf` of a form; in a multipart form, which may
    carry a large file, it must be the first field.

    Raises:
        HTTPException: the form is too large, or has too many fields.
        ClientDisconnect: the form ends before its token.
    """
    in_header = request.headers.get(CSRF_HEADER)
    if in_header is not None:
        return in_header, receive
    kind, _, rest = request.headers.get("content-type", "").partition(";")
    kind = kind.strip().lower()
    if kind == "application/x-www-form-urlencoded":
        read = await _read(receive, _MOST_FORM_BYTES + 1, until=None)
        if len(read.body) > _MOST_FORM_BYTES:
            raise HTTPException(413, "This form holds more than it can. Nothing was changed.")
        try:
            fields = parse_qsl(read.body.decode("latin-1"), max_num_fields=_MOST_FIELDS)
        except ValueError:
            raise HTTPException(
                400, f"This form has more than {_MOST_FIELDS:,} fields. Nothing was changed."
            ) from None
        return next((value for name, value in fields if name == CSRF_FIELD), ""), read.again
    if kind == "multipart/form-data":
        boundary = re.search(r'boundary="?([^"\s;,]{1,200})"?', rest)
        if boundary is None:
            raise HTTPException(400, "This upload cannot be read. Try again with another browser.")
        mark = b"--" + boundary[1].encode("latin-1", "replace")
        read = await _read(receive, _FIRST_PART, until=b"\r\n" + mark)
        part = re.match(
            re.escape(mark)
            + rb'\r\nContent-Disposition: *form-data; *name="csrf"\r\n\r\n([\w.~-]{1,200})\r\n'
            + re.escape(mark),
            read.body,
            re.IGNORECASE,
        )
        return ("" if part is None else part[1].decode("ascii")), read.again
    return "", receive


@dataclass(frozen=True, slots=True)
class _Read:
    """The start of a body, and a `receive` that begins with it."""

    body: bytes
    again: Receive


async def _read(receive: Receive, most: int, until: bytes | None) -> _Read:
    """Read a body up to `most` bytes, or up to a mark."""
    body = b""
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request":
            raise ClientDisconnect
        body += message.get("body", b"")
        if not message.get("more_body") or len(body) >= most or (until and until in body):
            break

    async def again() -> Message:
        return messages.pop(0) if messages else await receive()

    return _Read(body, again)


@dataclass(frozen=True, slots=True)
class Pace:
    """The slowest pace at which a body may arrive, so that nobody can keep the page busy for hours.

    Attributes:
        grace_s: seconds that every body has.
        bytes_per_s: the slowest connection that is waited for beyond that.
    """

    grace_s: float = 30.0
    bytes_per_s: int = 10_000


USUAL_PACE: Final = Pace()


class PacedBody:
    """A request's body that ends like a lost connection if it arrives too slowly.

    Attributes:
        too_slow: whether it did.
    """

    def __init__(self, receive: Receive, pace: Pace) -> None:
        self._receive = receive
        self._pace = pace
        self._left_s = pace.grace_s
        self._done = False
        self.too_slow = False

    async def receive(self) -> Message:
        """Return the next part of the body."""
        if self._done:
            return await self._receive()
        if self.too_slow:
            return {"type": "http.disconnect"}
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._left_s):
                message = await self._receive()
        except TimeoutError:
            self.too_slow = True
            return {"type": "http.disconnect"}
        self._left_s += len(message.get("body", b"")) / self._pace.bytes_per_s
        self._left_s -= time.monotonic() - began_s
        self._done = not message.get("more_body", False)
        return message


class Answer:
    """Sends an answer with the headers that protect the page.

    Attributes:
        started: whether an answer has begun.
    """

    def __init__(self, send: Send, path: str, *, secure: bool) -> None:
        self._send = send
        self._headers = (*_SECURITY, _SECURE) if secure else _SECURITY
        self._static = path.startswith(STATIC)
        self.cookie = b""
        self.started = False

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start":
            self.started = True
            ours = [*self._headers]
            if not self._static or message["status"] >= 400:  # noqa: PLR2004 - an error
                ours.append(_PRIVATE)
            if self.cookie:
                ours.append((b"set-cookie", self.cookie))
            names = {name for name, _ in ours} - {b"set-cookie"}
            kept = [each for each in message["headers"] if each[0].lower() not in names]
            message = {**message, "headers": [*kept, *ours]}
        await self._send(message)
