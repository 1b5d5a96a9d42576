"""The company's OpenID Connect provider, which signs people in and identifies them.

The authorization code flow with PKCE. Only this module talks to the provider; it sends the code,
our client id and our secret, and nothing about candidates.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import httpx

from importer.errors import ConfigurationError, CredentialsError
from importer.settings.secrets import FOR_HEADERS, Secrets
from importer.settings.values import is_loopback
from importer.web.sign_in import LONGEST, ProviderAway, SignInFailed, StaffIdentity

try:
    from authlib.oauth2.auth import ClientAuth
    from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
    from authlib.oauth2.rfc7636 import create_s256_code_challenge
    from authlib.oidc.core import CodeIDToken
    from authlib.oidc.discovery import get_well_known_url
    from joserfc import jwt
    from joserfc.errors import InvalidKeyIdError, JoseError
    from joserfc.jwk import KeySet
    from joserfc.jws import JWSRegistry
except ImportError as exc:
    message = f"`auth: oidc` needs a package that is not installed ({exc.name})."
    raise ConfigurationError(message, "Install the extra: pip install '.[oidc]'") from exc

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import KeySetSerialization

    from importer.settings.page_settings import PageSettings
    from importer.web.sign_in import PendingSignIn


SIGNATURES: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Signatures that only the provider can make; never `none`, never one by a shared secret."""

_TIMEOUT_S: Final = 10.0
_IN_ALL_S: Final = 20.0
"""Seconds for one request, even if the provider keeps sending data."""
_MOST_BYTES: Final = 1_000_000
_FRESH_S: Final = 3_600.0
"""Seconds after which the provider is asked again for its addresses and keys."""
_LEEWAY_S: Final = 60
"""Seconds by which the provider's clock may differ from ours."""
_ENDPOINTS: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class IdentityProvider:
    """Asks the provider to identify a person.

    Args:
        settings: name the provider, and which claims to read.
        callback: our address to which the provider sends people back.

    Raises:
        CredentialsError: the secret IMPORTER_OIDC_CLIENT_SECRET is missing or cannot be sent.
    """

    def __init__(self, settings: PageSettings, callback: str) -> None:
        secret = Secrets.read().importer_oidc_client_secret
        if secret is None or not FOR_HEADERS.fullmatch(secret.get_secret_value()):
            wrong = "is not set" if secret is None else "has a character that cannot be sent"
            raise CredentialsError(
                f"IMPORTER_OIDC_CLIENT_SECRET {wrong}.",
                "Set it to the client secret that your provider gave you for this page.",
            )
        self._secret = secret
        self._settings = settings
        self._callback = callback
        self._issuer = settings.oidc_issuer or ""
        self._metadata: dict[str, Any] = {}
        self._keys: KeySetSerialization = {"keys": []}
        self._asked_s = 0.0
        self._used: dict[str, float] = {}

    async def address_of(self, pending: PendingSignIn) -> str:
        """Return the address at which a person signs in.

        Raises:
            ProviderAway: the provider cannot be reached, or does not answer as one.
        """
        metadata = await self._discover()
        address: str = prepare_grant_uri(
            metadata["authorization_endpoint"],
            client_id=self._settings.oidc_client_id,
            response_type="code",
            redirect_uri=self._callback,
            scope=" ".join(dict.fromkeys(("openid", *self._settings.oidc_scopes))),
            state=pending.state,
            nonce=pending.nonce,
            code_challenge=create_s256_code_challenge(pending.verifier),
            code_challenge_method="S256",
        )
        return address

    async def identify(self, code: str, pending: PendingSignIn) -> StaffIdentity:
        """Identify a person who came back with a code; each sign-in counts once.

        Raises:
            SignInFailed: the code or the ID token is not valid, or names nobody.
            ProviderAway: the provider cannot be reached, or does not answer as one.
        """
        now_s = time.monotonic()
        self._used = {state: until for state, until in self._used.items() if until > now_s}
        if pending.state in self._used:
            raise SignInFailed("this sign-in was used already")
        metadata = await self._discover()
        claims = await self._verify(await self._exchange(code, pending, metadata), pending)
        if pending.state in self._used:  # two requests at once
            raise SignInFailed("this sign-in was used already")
        self._used[pending.state] = now_s + _FRESH_S
        return read_claims(claims, self._settings)

    # ---- what the provider says of itself ----------------------------------------------------

    async def _discover(self) -> dict[str, Any]:
        """Return the discovery document, at most an hour old."""
        if self._metadata and time.monotonic() - self._asked_s < _FRESH_S:
            return self._metadata
        status, found = await self._ask("GET", get_well_known_url(self._issuer, external=True))
        if status != httpx.codes.OK:
            raise ProviderAway(f"the discovery document: HTTP {status}")
        if str(found.get("issuer")).rstrip("/") != self._issuer.rstrip("/"):
            raise ProviderAway("the discovery document is of another issuer")
        for name in _ENDPOINTS:
            if not self._is_safe(found.get(name)):
                raise ProviderAway(f"the discovery document: {name} is no https address")
        keys = await self._load_keys(found["jwks_uri"])
        self._metadata, self._keys, self._asked_s = found, keys, time.monotonic()
        return found

    async def _load_keys(self, address: str) -> KeySetSerialization:
        status, found = await self._ask("GET", address)
        if status != httpx.codes.OK or not isinstance(found.get("keys"), list):
            raise ProviderAway(f"the provider's keys: HTTP {status}")
        return {"keys": found["keys"]}

    def _is_safe(self, address: object) -> bool:
        """Whether an address is https; http is allowed if it and the issuer are on this machine."""
        try:
            parts = urlsplit(address) if isinstance(address, str) else None
            host = "" if parts is None else parts.hostname or ""
        except ValueError:
            return False
        if parts is None or not host:
            return False
        return parts.scheme == "https" or (
            parts.scheme == "http"
            and is_loopback(host)
            and is_loopback(urlsplit(self._issuer).hostname or "")
        )

    # ---- the code and the token --------------------------------------------------------------

    async def _exchange(
        self, code: str, pending: PendingSignIn, metadata: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Exchange the code for tokens."""
        known = metadata.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        method = "client_secret_basic" if "client_secret_basic" in known else "client_secret_post"
        auth = ClientAuth(
            client_id=self._settings.oidc_client_id,
            client_secret=self._secret.get_secret_value(),
            auth_method=method,
        )
        address, headers, body = auth.prepare(
            "POST",
            metadata["token_endpoint"],
            {"Content-Type": "application/x-www-form-urlencoded"},
            prepare_token_request(
                "authorization_code",
                code=code,
                redirect_uri=self._callback,
                code_verifier=pending.verifier,
            ),
        )
        status, found = await self._ask("POST", address, headers, body)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise ProviderAway(f"the token endpoint: HTTP {status}")
        if status != httpx.codes.OK:
            raise SignInFailed(f"the provider refused the code: HTTP {status}")
        return found

    async def _verify(self, tokens: Mapping[str, Any], pending: PendingSignIn) -> dict[str, Any]:
        """Return the claims of the ID token, if it is signed, for us, in time, and asked for."""
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise SignInFailed("there is no ID token")
        offered = self._metadata.get("id_token_signing_alg_values_supported")
        offered = offered if isinstance(offered, list) else ["RS256"]
        accepted = sorted(SIGNATURES & {each for each in offered if isinstance(each, str)})
        if not accepted:
            raise ProviderAway("the provider offers no signature that is accepted here")
        registry = JWSRegistry(algorithms=accepted, strict_check_header=False)
        try:
            try:
                decoded = jwt.decode(token, KeySet.import_key_set(self._keys), registry=registry)
            except InvalidKeyIdError:  # the provider may have new keys
                self._keys = await self._load_keys(self._metadata["jwks_uri"])
                decoded = jwt.decode(token, KeySet.import_key_set(self._keys), registry=registry)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                {
                    "iss": {"essential": True, "value": self._metadata["issuer"]},
                    "aud": {"essential": True, "value": self._settings.oidc_client_id},
                },
                {
                    "nonce": pending.nonce,
                    "client_id": self._settings.oidc_client_id,
                    "access_token": tokens.get("access_token"),
                },
            )
            claims.validate(leeway=_LEEWAY_S)
        except JoseError as exc:
            claim = getattr(exc, "claim", None)
            of = f" ({claim})" if isinstance(claim, str) and claim.isidentifier() else ""
            raise SignInFailed(f"the ID token is not valid: {type(exc).__name__}{of}") from None
        except (TypeError, ValueError, KeyError, AttributeError) as exc:
            raise SignInFailed(f"the ID token cannot be read: {type(exc).__name__}") from None
        return dict(claims)

    async def _ask(
        self, method: str, address: str, headers: Mapping[str, str] | None = None, body: str = ""
    ) -> tuple[int, dict[str, Any]]:
        """Return status and JSON of an answer of the provider."""
        content = bytearray()
        try:
            async with (
                asyncio.timeout(_IN_ALL_S),
                httpx.AsyncClient(
                    timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False
                ) as http,
                http.stream(
                    method,
                    address,
                    headers={"Accept": "application/json", **(headers or {})},
                    content=body.encode() or None,
                ) as answer,
            ):
                async for part in answer.aiter_bytes():
                    content += part
                    if len(content) > _MOST_BYTES:
                        raise ProviderAway("the provider's answer is too long")
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as exc:
            raise ProviderAway(type(exc).__name__) from None
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            if answer.status_code == httpx.codes.OK:
                raise ProviderAway("the provider's answer is not a JSON object")
            found = {}
        return answer.status_code, found


def read_claims(claims: Mapping[str, Any], settings: PageSettings) -> StaffIdentity:
    """Identify a person by the claims of a verified ID token.

    An e-mail address counts only if the provider says that it was verified, or if the settings do.

    Raises:
        SignInFailed: the claims name nobody, or somebody by an address that does not count.
    """
    name = _text(_claim(claims, settings.oidc_name_claim))
    if not name:
        raise SignInFailed(f"the ID token has no claim {settings.oidc_name_claim}")
    of_email = settings.oidc_email_claim
    is_verified = of_email == "email" and claims.get("email_verified") in (True, "true")
    counts = is_verified or settings.oidc_unverified_email
    email = _text(_claim(claims, of_email)) if counts else ""
    if "@" in name and not email:  # it could be the address of somebody else
        raise SignInFailed("the user name is an e-mail address that is not verified")
    found = _claim(claims, settings.oidc_groups_claim)
    groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return StaffIdentity(name, email, frozenset(filter(None, map(_text, groups))))


def _claim(claims: Mapping[str, Any], name: str) -> object:
    """Return a claim by its name, or by the path to it, such as `realm_access.roles`."""
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _text(value: object) -> str:
    """Return a text that is short enough to be shown; empty if it is none."""
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        return ""
    return value.strip()
