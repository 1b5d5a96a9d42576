"""Make requests to the API over httpx. One place translates its exceptions.

A request that may have reached the server must never count as not sent. So it turns every
exception into `MaybeSent`, except for the few that come before a connection exists.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
import ssl
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import quote
from urllib.request import getproxies, proxy_bypass
from uuid import uuid4

import httpx

from importer.errors import CredentialsError, SettingsError
from importer.model import MaybeSent, NotSent
from importer.sending.responses import (
    Creation,
    Page,
    RawResponse,
    ResponseTooLarge,
    parse_creation,
    parse_page,
    parse_single,
    unpack,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from importer.model import Json, Response, Submission
    from importer.settings import Credentials, Settings


ANSWER_BYTES: Final = 64 * 1024
"""How much of the answer to a creation is read; a longer answer cannot be trusted."""

PAGE_BYTES: Final = 16 * 1024 * 1024
"""How much of one page of the list is read."""

KEPT_FROM_PER_S: Final = 100.0
"""From this rate on, connections are reused.

Below it, each request has its own connection. So surplus data from a server or proxy is never taken
for the answer to the next request, and no request is sent on a connection that the other side is
about to close. At a few requests a second, this costs nothing.
"""

IDLE_S: Final = 2.0
"""How long an unused connection is kept.

Servers keep theirs longer, so they do not close one just as a request is sent on it. That would
make the submission doubtful.
"""

REACHED_NOBODY: Final[frozenset[type[Exception]]] = frozenset(
    {
        httpx.ConnectError,  # refused, no route, DNS, TLS
        httpx.ConnectTimeout,
        httpx.PoolTimeout,  # all our connections were in use
        httpx.ProxyError,  # raised only while a tunnel is being opened
        httpx.UnsupportedProtocol,  # raised before anything is opened
    }
)
"""What httpx raises before a request can leave."""

MAY_HAVE_ARRIVED: Final[frozenset[type[Exception]]] = frozenset(
    {
        httpx.ReadTimeout,
        httpx.WriteTimeout,
        httpx.ReadError,
        httpx.WriteError,
        httpx.CloseError,
        httpx.LocalProtocolError,  # also raised after the headers have left
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
        httpx.HTTPStatusError,
        httpx.InvalidURL,  # also raised for an answer's Location header
        httpx.CookieConflict,
        httpx.StreamConsumed,
        httpx.StreamClosed,
        httpx.ResponseNotRead,
        httpx.RequestNotRead,
        # the base classes, for exceptions that a later httpx may add
        httpx.HTTPError,
        httpx.RequestError,
        httpx.TransportError,
        httpx.TimeoutException,
        httpx.NetworkError,
        httpx.ProtocolError,
        httpx.StreamError,
    }
)
"""What httpx raises when a request may have been accepted."""


def map_exception(exc: Exception, server: str = "") -> NotSent | MaybeSent:
    """Return what a failed exchange means: not sent only if that is certain.

    The text of the result is the exception's class.

    Args:
        exc: what httpx raised.
        server: host and port, for a sentence about its certificate.
    """
    if isinstance(exc, LeaseOver):
        return exc
    if type(exc) in REACHED_NOBODY:
        return NotSent(type(exc).__name__, _tls_failure(exc, server))
    return MaybeSent(type(exc).__name__)


def _tls_failure(exc: BaseException, server: str) -> str:
    """Return what is wrong with a server's certificate; empty if that is not the cause."""
    cause: BaseException | None = exc
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"The certificate of {server} is not trusted: {cause.verify_message}. If your company "
            "inspects its traffic, or the API has certificates of its own, set `ca_file` to them."
        )
    if cause is not None:
        return f"{server} does not speak TLS with us ({cause.reason or 'no reason given'})."
    return ""


class LeaseOver(NotSent):
    """The lease of this sender was over before the first byte left; another one may send it."""

    def __init__(self) -> None:
        super().__init__("LeaseOver")


class LeaseOverMidway(Exception):
    """The lease of this sender was over when a part of the request had left."""


class _LeaseCheck:
    """Asks right before bytes leave whether they still may; httpcore calls it at every step.

    Args:
        key: the key of the submission.
        may_leave: whether its request may leave now.
    """

    def __init__(self, key: str, may_leave: Callable[[str], bool]) -> None:
        self._key = key
        self._may_leave = may_leave

    async def __call__(self, step: str, info: Mapping[str, object]) -> None:
        """Raise if the step sends bytes that must not leave any more."""
        del info
        if step.endswith("send_request_headers.started") and not self._may_leave(self._key):
            raise LeaseOver
        if step.endswith("send_request_body.started") and not self._may_leave(self._key):
            raise LeaseOverMidway


class Client:
    """Makes requests to the API: one per call, never repeated, never sent elsewhere.

    It uses httpx's transport directly. The client above it follows redirects, keeps cookies, and
    reads proxies and passwords from the environment. Candidates' data must go only where `base_url`
    says, and through a proxy only if the settings name one. `ca_file`, or else
    `SSL_CERT_FILE` in the environment, names certificates to trust.

    Args:
        settings: base URL, paths, timeouts, id paths, rate, headers, proxy, certificates.
        credentials: sent with every request.
        transport: replaces the network, for tests.
        now: returns the time of day, with a zone.
        may_leave: is asked with a submission's key right before its request leaves; None to let
            every request leave.

    Raises:
        CredentialsError: a secret cannot be put into a header.
        SettingsError: `ca_file` cannot be read.
    """

    def __init__(
        self,
        settings: Settings,
        credentials: Credentials,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        may_leave: Callable[[str], bool] | None = None,
    ) -> None:
        for noisy in ("httpx", "httpcore"):  # on DEBUG they log headers, including the key
            logging.getLogger(noisy).setLevel(logging.WARNING)
        plain = settings.conversation == "campaign"
        path = settings.campaign_path if plain else settings.create_path
        self._create_url = httpx.URL(settings.base_url + path)
        self._list_url = httpx.URL(settings.base_url + settings.list_path)
        self._campaigns_url = httpx.URL(settings.base_url + settings.campaigns_path)
        self._id_paths = settings.id_paths
        self._organization = credentials.organization_id
        self._now = now
        self._may_leave = may_leave
        ours = _headers(credentials, kept=settings.rate_per_s >= KEPT_FROM_PER_S)
        self._headers = httpx.Headers({**settings.extra_headers, **ours})
        timeouts = {
            "connect": settings.connect_timeout_s,
            "read": settings.read_timeout_s,
            "write": settings.write_timeout_s,
            "pool": settings.connect_timeout_s,
        }
        self._extensions = {"timeout": timeouts}
        # A server that sends a byte now and then restarts all other timeouts.
        self._longest_s = sum(timeouts.values()) + settings.read_timeout_s
        self._open = _opener(settings) if transport is None else lambda: transport
        self._lines: list[httpx.AsyncBaseTransport] = []
        self._idle: list[httpx.AsyncBaseTransport] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for line in self._lines:
            await line.aclose()

    async def create(self, submission: Submission, request_id: str) -> Response:
        """Send one request to create the conversation.

        Args:
            submission: what to send.
            request_id: our own id of this attempt, for the API's logs; not its externalId.

        Raises:
            NotSent: no request reached the server.
            MaybeSent: it may have been accepted.
        """
        asked = Creation(submission.body, self._organization, self._now(), self._id_paths)
        check = None if self._may_leave is None else _LeaseCheck(submission.key, self._may_leave)
        raw = await self._exchange("POST", self._create_url, submission.body, request_id, check)
        return parse_creation(raw, asked)

    async def conversations(self, token: str | None = None) -> Page:
        """Get one page of the list of conversations, from the start or from a token.

        Raises:
            NotSent, MaybeSent: no page came; asking again is harmless.
        """
        url = self._list_url
        if token is not None:
            url = url.copy_merge_params({"nextToken": token})
        return parse_page(await self._exchange("GET", url))

    async def conversation(self, conversation_id: str) -> Page:
        """Get one conversation, as a page that has only this one.

        Raises:
            NotSent, MaybeSent: no answer came; asking again is harmless.
        """
        url = httpx.URL(f"{self._list_url}/{quote(conversation_id, safe='')}")
        return parse_single(await self._exchange("GET", url), "conversation")

    async def campaigns(self, token: str | None = None) -> Page:
        """Get one page of the list of campaigns, from the start or from a token.

        Raises:
            NotSent, MaybeSent: no page came; asking again is harmless.
        """
        url = self._campaigns_url
        if token is not None:
            url = url.copy_merge_params({"nextToken": token})
        return parse_page(await self._exchange("GET", url))

    async def campaign(self, campaign_id: str) -> Page:
        """Get one campaign, as a page that has only this one.

        Raises:
            NotSent, MaybeSent: no answer came; asking again is harmless.
        """
        url = httpx.URL(f"{self._campaigns_url}/{quote(campaign_id, safe='')}")
        return parse_single(await self._exchange("GET", url), "campaign")

    async def _exchange(
        self,
        method: str,
        url: httpx.URL,
        body: Mapping[str, Json] | None = None,
        request_id: str = "",
        check: _LeaseCheck | None = None,
    ) -> RawResponse:
        """Make one request and read its whole answer; map every foreign exception."""
        try:
            request = httpx.Request(
                method,
                url,
                headers=[*self._headers.multi_items(), ("x-request-id", request_id or new_id())],
                content=None if body is None else _json(body),
                extensions=self._extensions
                if check is None
                else {**self._extensions, "trace": check},
            )
        except Exception as exc:  # nothing has been sent, so the cause does not matter
            raise NotSent(type(exc).__name__) from exc
        try:
            async with asyncio.timeout(self._longest_s):
                with self._line() as line:
                    response = await line.handle_async_request(request)
                    try:
                        limit = PAGE_BYTES if body is None else ANSWER_BYTES
                        content = await _content(response, limit)
                    finally:
                        await response.aclose()
        except Exception as exc:  # an unknown one counts as maybe sent
            raise map_exception(exc, url.netloc.decode("ascii")) from exc
        headers = dict(response.headers)  # a look-up in httpx's own goes through all of them
        return RawResponse(response.status_code, headers, content, self._now())

    @contextmanager
    def _line(self) -> Iterator[httpx.AsyncBaseTransport]:
        """Lend a transport with one connection to one request.

        A single pool would search all of its connections several times for each request.
        """
        if not self._idle:
            self._idle.append(self._open())
            self._lines.append(self._idle[-1])
        line = self._idle.pop()
        try:
            yield line
        finally:
            self._idle.append(line)


def new_id() -> str:
    """Return a random id for one request."""
    return uuid4().hex


def _opener(settings: Settings) -> Callable[[], httpx.AsyncBaseTransport]:
    """Return a function that makes network transports with shared TLS settings."""
    limits = httpx.Limits(max_connections=1, keepalive_expiry=IDLE_S)
    url = _proxy_url(settings)
    proxy = None if url is None else httpx.Proxy(url)
    verify = _tls_context(settings, proxied=proxy is not None)
    return lambda: httpx.AsyncHTTPTransport(
        verify=verify, trust_env=False, limits=limits, retries=0, proxy=proxy
    )


def _tls_context(settings: Settings, *, proxied: bool) -> ssl.SSLContext:
    """Return the certificates to trust; none if the requests are not encrypted (40 ms saved)."""
    if settings.ca_file is None:
        if httpx.URL(settings.base_url).scheme == "http" and not proxied:
            return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        return httpx.create_ssl_context()
    try:
        return ssl.create_default_context(cafile=str(settings.ca_file))
    except (OSError, ssl.SSLError) as exc:
        raise SettingsError(
            f"{settings.ca_file}: the certificates (ca_file) cannot be read.",
            "Name a file of certificates in PEM format.",
        ) from exc


def _proxy_url(settings: Settings) -> str | None:
    """Return the proxy for the API; the environment's only if the settings say so."""
    if settings.proxy != "environment":
        return settings.proxy
    url = httpx.URL(settings.base_url)
    found = getproxies()
    return None if proxy_bypass(url.host) else found.get(url.scheme, found.get("all"))


def _headers(credentials: Credentials, *, kept: bool) -> dict[str, str]:
    """Return the headers of every request."""
    secrets = {
        "x-api-key": ("POPP_API_KEY", credentials.api_key.get_secret_value()),
        "x-organization-id": ("POPP_ORGANIZATION_ID", credentials.organization_id),
    }
    for name, value in secrets.values():
        if not re.fullmatch(r"[\x21-\x7e]+", value):
            raise CredentialsError(
                f"{name} is empty or holds a blank, a line break or a letter beyond ASCII.",
                "Copy it again, without quotation marks.",
            )
    return {
        **{header: value for header, (_, value) in secrets.items()},
        "accept": "application/json",
        "connection": "keep-alive" if kept else "close",
        "accept-encoding": "identity",  # answers are small; packing them saves nothing
        "content-type": "application/json",
        "user-agent": f"importer/{version('importer')}",
    }


def _json(body: Mapping[str, Json]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


async def _content(response: httpx.Response, limit: int) -> bytes | None:
    """Return the unpacked body; None if it cannot be unpacked.

    Raises:
        ResponseTooLarge: it is longer than `limit`, packed or unpacked.
    """
    raw = bytearray()
    async for chunk in response.aiter_raw():
        raw += chunk
        if len(raw) > limit:
            raise ResponseTooLarge
    coding = response.headers.get("content-encoding", "").strip().lower()
    return unpack(bytes(raw), coding, limit)
