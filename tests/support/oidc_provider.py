"""An OpenID Connect provider on loopback, which can be told to lie.

It makes its keys and signs its tokens without the library that the page verifies them with.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, urlencode, urlsplit

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

if TYPE_CHECKING:
    from collections.abc import Iterator

CLIENT: Final = "importer"
SECRET: Final = "made-up-client-secret"


@cache
def key_of(name: str) -> rsa.RSAPrivateKey:
    """Return the key that has a name; made once, because that takes a while."""
    assert name
    return rsa.generate_private_key(65537, 2048)


def encoded(content: bytes) -> str:
    """Return base64 for addresses, without padding."""
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def public_of(name: str) -> dict[str, str]:
    """Return the public half of a key, as a JWK."""
    numbers = key_of(name).public_key().public_numbers()
    n, e = (encoded(each.to_bytes(-(-each.bit_length() // 8))) for each in (numbers.n, numbers.e))
    return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": name, "n": n, "e": e}


@dataclass
class Provider:
    """A provider, the person it signs in, and what it does wrong.

    Attributes:
        url: where it listens; the issuer.
        person: the claims about the person who signs in.
        claims: what is otherwise in the next ID token; None leaves a claim out.
        header: what is otherwise in its header.
        kid: the key that signs.
        published: the keys that it publishes.
        signs: `RS256`; `none`; or `HS256`, with the public key as secret.
        token: what it gives instead of the ID token; `""` for none.
        metadata: what is otherwise in the discovery document.
        statuses: path -> status of its answer, instead of the true one.
        forgets_codes: whether a code can be used only once, as it must be.
        asked: the parameters of each request for a sign-in.
        exchanged: the parameters of each request for tokens.
    """

    url: str = ""
    person: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, Any] = field(default_factory=dict)
    header: dict[str, Any] = field(default_factory=dict)
    kid: str = "first"
    published: list[str] = field(default_factory=lambda: ["first"])
    signs: str = "RS256"
    token: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    forgets_codes: bool = True
    asked: list[dict[str, str]] = field(default_factory=list)
    exchanged: list[dict[str, str]] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)

    def discovery(self) -> dict[str, Any]:
        """Return what it says of itself."""
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/keys",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def authorize(self, given: dict[str, str]) -> str:
        """Sign the person in, and return where they go then."""
        self.asked.append(given)
        code = secrets.token_urlsafe(12)
        self.codes[code] = given
        answer = urlencode({"code": code, "state": given["state"]})
        return f"{given['redirect_uri']}?{answer}"

    def exchange(self, given: dict[str, str], authorization: str) -> dict[str, Any] | None:
        """Return the tokens for a code; None if something about it is wrong."""
        self.exchanged.append(given)
        asked = self.codes.get(given.get("code", ""))
        basic = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or authorization != f"Basic {basic}":
            return None
        challenge = encoded(hashlib.sha256(given.get("code_verifier", "").encode()).digest())
        if asked["code_challenge"] != challenge or asked["code_challenge_method"] != "S256":
            return None
        if asked["redirect_uri"] != given.get("redirect_uri"):
            return None
        if self.forgets_codes:
            del self.codes[given["code"]]
        tokens = {"access_token": "made-up", "token_type": "Bearer", "expires_in": 60}
        token = self.id_token(asked["nonce"]) if self.token is None else self.token
        return {**tokens, "id_token": token} if token else tokens

    def id_token(self, nonce: str) -> str:
        """Return a signed statement of who the person is."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": nonce,
            "sub": "7",
            **self.person,
            **self.claims,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        header = {"alg": self.signs, "kid": self.kid, **self.header}
        signed = ".".join(encoded(json.dumps(each).encode()) for each in (header, claims))
        signature = b""
        if self.signs == "RS256":
            signature = key_of(self.kid).sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        elif self.signs == "HS256":
            public = json.dumps(public_of(self.kid)).encode()
            signature = hmac.digest(public, signed.encode(), "sha256")
        return f"{signed}.{encoded(signature)}"


class _Handler(BaseHTTPRequestHandler):
    """Answers for a provider."""

    provider: Provider

    def do_GET(self) -> None:
        """Serve discovery, keys, and the page on which a person signs in."""
        parts = urlsplit(self.path)
        if parts.path == "/.well-known/openid-configuration":
            self._answer(self.provider.discovery())
        elif parts.path == "/keys":
            self._answer({"keys": [public_of(name) for name in self.provider.published]})
        elif parts.path == "/authorize":
            given = {name: values[0] for name, values in parse_qs(parts.query).items()}
            self.send_response(302)
            self.send_header("Location", self.provider.authorize(given))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_error(404)

    def do_POST(self) -> None:
        """Serve tokens."""
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        given = {name: values[0] for name, values in parse_qs(body).items()}
        tokens = self.provider.exchange(given, self.headers.get("Authorization", ""))
        self._answer({"error": "invalid_grant"} if tokens is None else tokens, 400 * (not tokens))

    def _answer(self, content: dict[str, Any], status: int = 0) -> None:
        body = json.dumps(content).encode()
        self.send_response(self.provider.statuses.get(self.path, status or 200))
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Print nothing."""


@contextmanager
def serve_provider() -> Iterator[Provider]:
    """Yield a provider on a port of its own."""
    provider = Provider(person={"preferred_username": "ada", "groups": ["staff", "recruiting"]})
    handler = type("Handler", (_Handler,), {"provider": provider})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        provider.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
