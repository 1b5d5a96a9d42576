"""The settings of the recruiter's page: where it listens, who may use it, and in which role."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from importer.errors import SettingsError
from importer.settings.secrets import Secrets
from importer.settings.values import MODEL, ValueHelp, is_loopback

if TYPE_CHECKING:
    from pydantic import SecretStr


class Role(StrEnum):
    """A role: what a person may do on the page."""

    UPLOADER = "uploader"
    SENDER = "sender"
    APPROVER = "approver"
    OPERATOR = "operator"
    AUDITOR = "auditor"


ROLE_MEANING: Final[dict[Role, str]] = {
    Role.UPLOADER: "upload lists, correct them, and see the results of their own lists",
    Role.SENDER: "start the conversations of their own lists",
    Role.APPROVER: "see the lists of others that wait for approval, and approve or decline them",
    Role.OPERATOR: "see every list, run and night, settle doubts, release held files",
    Role.AUDITOR: "read the audit trail",
}

_PORT: Final = re.compile(r"[0-9]{1,5}")
_HEADER: Final = re.compile(r"[A-Za-z0-9-]{1,64}")
_HIGHEST_PORT: Final = 65_535


def _listen(value: object) -> object:
    """Return a port as text: YAML reads it as a number."""
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _host_and_port(value: str) -> str:
    """Return `host:port`, with loopback if only the port is given."""
    host, colon, port = value.strip().rpartition(":")
    host = host if colon else "127.0.0.1"
    if not _PORT.fullmatch(port) or int(port) > _HIGHEST_PORT or not host:
        raise ValueError("must be a port such as 8766, or an address such as 127.0.0.1:8766")
    if host != "localhost":
        try:
            ipaddress.ip_address(host.strip("[]"))
        except ValueError as exc:
            raise ValueError("must begin with an IP address such as 127.0.0.1") from exc
    return f"{host}:{port}"


def _page_url(value: str) -> str:
    """Accept an address for the page: https, or http on this machine; without a path."""
    parts = _split_address(value, "https://importer.example.com")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must have no path: the page needs a host name of its own")
    return f"{parts.scheme}://{parts.netloc.lower()}"


def _issuer(value: str) -> str:
    """Accept an OpenID Connect provider: https, or http on this machine."""
    parts = _split_address(value, "https://login.example.com")
    if parts.query or parts.fragment:
        raise ValueError("must have no `?` and no `#`")
    return value.strip()


def _split_address(value: str, example: str) -> SplitResult:
    """Split a web address that is safe: https, or http on this machine."""
    try:
        parts = urlsplit(value.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ValueError(f"must be a web address such as {example}") from exc
    if parts.scheme not in {"https", "http"} or not host or parts.username is not None:
        raise ValueError(f"must be a web address such as {example}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https:// (http is allowed only on this machine)")
    return parts


def _network(value: str) -> str:
    """Accept an IP address, or a network such as 10.0.0.0/8."""
    try:
        return str(ipaddress.ip_network(value.strip()))
    except ValueError as exc:
        raise ValueError("must be an IP address or a network such as 10.1.2.0/24") from exc


def _header(value: str) -> str:
    """Accept the name of a header that a proxy sets."""
    if not _HEADER.fullmatch(value):
        raise ValueError("must be the name of a header, such as X-Forwarded-User")
    return value


def _member(value: str) -> str:
    """Accept a user name, an e-mail address, `group:NAME`, or `*` for every signed-in person."""
    if not value.strip() or value.strip() == "group:":
        raise ValueError("must be a user name, an e-mail address, group:NAME, or *")
    return value.strip()


Listen = Annotated[
    str,
    BeforeValidator(_listen),
    AfterValidator(_host_and_port),
    ValueHelp("a port, or address:port", "8766"),
]
PageUrl = Annotated[
    str, AfterValidator(_page_url), ValueHelp("a web address", "https://importer.example.com")
]
Network = Annotated[
    str, AfterValidator(_network), ValueHelp("an IP address or network", "10.1.2.3")
]
ProxyHeader = Annotated[
    str, AfterValidator(_header), ValueHelp("the name of a header", "X-Forwarded-User")
]
Issuer = Annotated[
    str, AfterValidator(_issuer), ValueHelp("a web address", "https://login.example.com")
]
Claim = Annotated[str, Field(min_length=1, max_length=200)]
Minutes = Annotated[float, Field(gt=0, le=44_640, allow_inf_nan=False)]
Members = Annotated[
    dict[Role, tuple[Annotated[str, AfterValidator(_member)], ...]],
    ValueHelp(
        "roles, each with user names, e-mail addresses, group:NAME, or * for everybody",
        '{uploader: ["group:recruiting"]}',
    ),
]


def is_address(value: object) -> bool:
    """Whether a value is the address of an object store, not a folder."""
    return isinstance(value, str) and "://" in value


def _folder_or_address(value: object) -> object:
    """Return a folder as a path, and an address as text."""
    return Path(value) if isinstance(value, str) and not is_address(value) else value


Uploads = Annotated[
    Path | str,
    BeforeValidator(_folder_or_address),
    ValueHelp("a folder, or the address of an object store", "s3://bucket/uploads"),
]


class PageSettings(BaseModel):
    """Settings of `importer serve`: where it listens, and who may do what."""

    model_config = MODEL

    listen: Listen = "127.0.0.1:8766"
    """Port, or address:port, on which `serve` or `webhooks` listens; this machine by default."""
    page_url: PageUrl | None = None
    """Address at which people open the page, such as https://importer.example.com."""
    auth: Literal["link", "proxy-header", "oidc"] = "link"
    """How people sign in: a link in the terminal, a proxy in front, or OpenID Connect (`oidc`)."""
    trusted_proxies: Annotated[
        tuple[Network, ...], ValueHelp("a list of IP addresses or networks", "[10.1.2.3]")
    ] = ()
    """Addresses of the trusted proxies; nothing else may connect to the page."""
    user_header: ProxyHeader = "X-Forwarded-User"
    """Header in which the proxy names the user."""
    email_header: ProxyHeader = "X-Forwarded-Email"
    """Header in which the proxy gives the user's e-mail address."""
    groups_header: ProxyHeader = "X-Forwarded-Groups"
    """Header in which the proxy lists the user's groups, separated by commas."""
    oidc_issuer: Issuer | None = None
    """Address of the provider, as in its discovery document; https, except on this machine."""
    oidc_client_id: str = ""
    """Client id that the provider gave this page; the secret is IMPORTER_OIDC_CLIENT_SECRET."""
    oidc_scopes: Annotated[
        tuple[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$")], ...],
        ValueHelp("a list of scopes", "[profile, email, groups]"),
    ] = ("profile", "email")
    """Scopes that the page requests from the provider, in addition to `openid`."""
    oidc_name_claim: Claim = "preferred_username"
    """Claim with the user name; it must be unique, and people must not choose it themselves."""
    oidc_email_claim: Claim = "email"
    """Claim with the user's e-mail address."""
    oidc_unverified_email: bool = False
    """Trust unverified e-mail addresses; safe only if people cannot choose their own."""
    oidc_groups_claim: Claim = "groups"
    """Claim with the user's groups, or the path to it, such as realm_access.roles."""
    roles: Members = {}
    """Who has which role on the page: {uploader: ["group:recruiting"]}; nobody by default."""
    session_idle_minutes: Minutes = 60.0
    """Minutes without a click after which a person must sign in again."""
    session_minutes: Minutes = 720.0
    """Minutes after which a person must sign in again in any case."""

    uploads: Uploads = Path("uploads")
    """Folder, or address of an object store such as s3://bucket/folder, for uploaded lists."""
    keep_uploads_days: Annotated[float, Field(gt=0, le=3_650, allow_inf_nan=False)] = 7.0
    """Days after which an uploaded list is deleted, counted from its last change."""
    approval: Literal["off", "required"] = "off"
    """Whether a second person must agree before a list of the page is sent."""

    @property
    def listen_host(self) -> str:
        """The address on which the page listens, without brackets."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port on which the page listens; 0 takes a free one."""
        return int(self.listen.rpartition(":")[2])

    def roles_of(self, name: str, email: str, groups: frozenset[str]) -> frozenset[Role]:
        """Return the roles of a person; none by default.

        Args:
            name: the user name; empty if unknown.
            email: empty if unknown.
            groups: names of the person's groups.
        """
        is_known = {f"group:{group}" for group in groups} | {"*"}
        if "@" not in name and not name.startswith("group:"):  # a person could choose such a name
            is_known.add(name)
        mail = email.casefold()
        return frozenset(
            role
            for role, members in self.roles.items()
            if any(
                each in is_known or ("@" in each and each.casefold() == mail) for each in members
            )
        )


WEBHOOK_SECRET = "POPP_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_MIN_BYTES = 16


class WebhookSettings(BaseModel):
    """Settings of the receiver of events, in `importer serve` and `importer webhooks`."""

    model_config = MODEL

    webhook_signature: Literal["hex", "base64"] = "hex"
    """How the API writes the signature of an event in the header x-signature."""
    webhook_key_form: Literal["text", "hex", "base64"] = "text"
    """How POPP_WEBHOOK_SECRET is written: as plain text, or as bytes in hex or base64."""

    def webhook_key(self) -> bytes | None:
        """Return the key that signs events; None if there is no secret.

        Raises:
            SettingsError: the secret is not in the form of `webhook_key_form`, or can be guessed.
        """
        secret = Secrets.read().popp_webhook_secret
        if secret is None:
            return None
        key = self._decode(secret)
        if len(key) < _MIN_BYTES:
            raise SettingsError(
                f"{WEBHOOK_SECRET} is shorter than {_MIN_BYTES} bytes, so it can be guessed.",
                "Make a longer secret where the webhook is set up, and set it here, too.",
            )
        return key

    def _decode(self, secret: SecretStr) -> bytes:
        text = secret.get_secret_value()
        try:
            if self.webhook_key_form == "hex":
                return bytes.fromhex(text)
            if self.webhook_key_form == "base64":
                return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise SettingsError(
                f"{WEBHOOK_SECRET} is not {self.webhook_key_form}, as `webhook_key_form` says.",
                "Copy the secret again, or set `webhook_key_form: text`.",
            ) from None
        return text.encode()
