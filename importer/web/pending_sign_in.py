"""A sign-in that a person has begun at the company's provider, and that has not come back yet.

Everything about it follows from one short-lived cookie: a random secret, when it was made, and the
page that the person wanted. Nothing is kept on the server, so strangers cannot fill it, and a page
that was restarted meanwhile still knows the sign-in.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final, Self

from importer.web.request_checks import own_path

LIFETIME_S: Final = 600
"""Seconds that a person has for signing in at the provider."""

_COOKIE: Final = re.compile(r"([\w-]{43})\.(\d{10,12})\.([\w-]{0,700})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """What must be the same when a person comes back from the provider.

    Attributes:
        cookie: the value of the cookie, from which the rest follows.
        back: the path of ours that the person wanted.
    """

    cookie: str = field(repr=False)
    back: str

    @classmethod
    def begin(cls, back: str, now_s: float) -> Self:
        """Begin a sign-in that leads back to a path, or to the start page if it is not ours."""
        back = own_path(back)
        place = base64.urlsafe_b64encode(back.encode()).decode().rstrip("=")
        return cls(f"{secrets.token_urlsafe(32)}.{int(now_s)}.{place}", back)

    @classmethod
    def read(cls, cookie: str, now_s: float) -> Self | None:
        """Return the sign-in of a cookie; None if it is too old or not one of ours."""
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
        """Goes through the browser to the provider and back; ties the answer to the cookie."""
        return self._derive("state")

    @property
    def nonce(self) -> str:
        """Must be in the ID token; ties it to the cookie."""
        return self._derive("nonce")

    @property
    def verifier(self) -> str:
        """The secret of PKCE: without it, the provider's code is worth nothing."""
        return self._derive("verifier")

    def is_answered_by(self, state: str) -> bool:
        """Whether an answer of the provider belongs to this sign-in."""
        return hmac.compare_digest(state.encode("utf-8", "surrogateescape"), self.state.encode())

    def _derive(self, purpose: str) -> str:
        """A value that tells nothing about the cookie or the other values."""
        digest = hmac.new(self.cookie.encode(), purpose.encode(), sha256).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")
