"""Signing in: by a one-time link, or by a proxy or a provider that identifies people."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Final, Self

from starlette.exceptions import HTTPException

from importer.settings.secrets import Secrets
from importer.web.request_checks import own_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from importer.settings.page_settings import PageSettings


SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
CALLBACK: Final = "/sign-in/callback"
"""To which the company's provider sends people back."""
SIGNED_OUT: Final = "/sign-in/ended"
METRICS: Final = "/metrics"
LONGEST: Final = 200
"""Most characters of a name, an address or a group."""


@dataclass(frozen=True, slots=True)
class StaffIdentity:
    """A person, as identified by the link, the proxy or the provider.

    Attributes:
        name: the user name.
        email: empty if unknown.
        groups: the groups of the person.
    """

    name: str
    email: str = ""
    groups: frozenset[str] = frozenset()


class SignInFailed(Exception):
    """Nobody was signed in; the text says why, for a log, without personal data."""


class ProviderAway(SignInFailed):
    """The provider cannot be reached, or does not answer as one."""


class SignInLinks:
    """One-time links: anybody who can read the terminal may sign in, once for each link.

    Args:
        on_new: called with each link's path, to print it.
    """

    def __init__(self, on_new: Callable[[str], None]) -> None:
        self._on_new = on_new
        self._lock = Lock()
        self._wanted = b""

    def renew(self) -> None:
        """Make a link and print it; the one before is no longer valid."""
        token = secrets.token_urlsafe(16)
        with self._lock:
            self._wanted = _hash(token)
        self._on_new(f"{SIGN_IN}?token={token}")

    def use(self, token: str) -> bool:
        """Whether a token is the one of the link; it is used up, and a new link is printed."""
        with self._lock:
            if not self._wanted or not hmac.compare_digest(_hash(token), self._wanted):
                return False
            self._wanted = b""
        self.renew()
        return True


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def is_scraper(request: Request) -> bool:
    """Whether a request for the metrics carries the token IMPORTER_METRICS_TOKEN."""
    if (request.method, request.url.path) != ("GET", METRICS):
        return False
    token = Secrets.read().importer_metrics_token
    given = request.headers.get("authorization", "").encode()
    return token is not None and hmac.compare_digest(
        given, f"Bearer {token.get_secret_value()}".encode()
    )


def read_proxy(request: Request, settings: PageSettings) -> StaffIdentity:
    """Identify a person by the headers of the proxy in front of the page.

    Raises:
        HTTPException: the request does not come from a trusted proxy, or names nobody.
    """
    if not _is_trusted(request, settings):
        raise HTTPException(
            403, "This page can be opened only through your company's sign-in. Use its address."
        )
    name = _one(request, settings.user_header) or _one(request, settings.email_header)
    if not name:
        raise HTTPException(
            403, "Your company's sign-in did not say who you are. Ask who looks after it."
        )
    email = _one(request, settings.email_header)
    if "@" in name and not email:  # it could be the address of somebody else
        raise HTTPException(
            403,
            "Your company's sign-in gives an e-mail address as your user name. Ask the person who "
            "looks after this page to set `email_header`.",
        )
    given = ",".join(request.headers.getlist(settings.groups_header))
    groups = frozenset(each.strip()[:LONGEST] for each in given.split(",") if each.strip())
    return StaffIdentity(name, email, groups)


def _is_trusted(request: Request, settings: PageSettings) -> bool:
    """Whether a request arrives from a trusted proxy, by the address of its connection."""
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return any(
        (mapped or address) in ipaddress.ip_network(each) for each in settings.trusted_proxies
    )


def _one(request: Request, header: str) -> str:
    """Return the value of a header; refuse several, because the proxy sent only one of them."""
    found = request.headers.getlist(header)
    if len(found) > 1:
        raise HTTPException(403, "Your sign-in contains two users. Sign in again.")
    return found[0].strip()[:LONGEST] if found else ""


LIFETIME_S: Final = 600
"""Seconds that a person has for signing in at the provider."""

_COOKIE: Final = re.compile(r"([\w-]{43})\.(\d{10,12})\.([\w-]{0,700})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """The state of a sign-in, which must be unchanged when the person comes back from the provider.

    Attributes:
        cookie: the value of the cookie, from which the rest follows.
        back: our path that the person wanted.
    """

    cookie: str = field(repr=False)
    back: str

    @classmethod
    def begin(cls, back: str, now_s: float) -> Self:
        """Begin a sign-in that leads back to one of our paths, or else to the start page."""
        back = own_path(back)
        place = base64.urlsafe_b64encode(back.encode()).decode().rstrip("=")
        return cls(f"{secrets.token_urlsafe(32)}.{int(now_s)}.{place}", back)

    @classmethod
    def read(cls, cookie: str, now_s: float) -> Self | None:
        """Return the sign-in of a cookie; None if it is too old or not ours."""
        parts = _COOKIE.fullmatch(cookie)
        if parts is None or not 0 <= now_s - int(parts[2]) + 1 <= LIFETIME_S:
            return None
        try:
            back = base64.urlsafe_b64decode(parts[3] + "=" * (-len(parts[3]) % 4)).decode("ascii")
        except (binascii.Error, ValueError):
            return None
        return cls(cookie, own_path(back))

    @property
    def state(self) -> str:
        """The value that goes to the provider and back; it ties the answer to the cookie."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """The value that must be in the ID token; it ties the token to the cookie."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """The secret of PKCE: without it, the provider's code is worth nothing."""
        return self._derive("verifier")

    def is_answered_by(self, state: str) -> bool:
        """Whether an answer of the provider belongs to this sign-in."""
        return hmac.compare_digest(state.encode("utf-8", "surrogateescape"), self.state.encode())

    def _derive(self, purpose: str) -> str:
        """Return a value that tells nothing about the cookie or the other values."""
        digest = hmac.new(self.cookie.encode(), purpose.encode(), sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
