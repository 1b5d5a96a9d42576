"""The types of settings: pydantic checks and tidies each value."""

from __future__ import annotations

import ast
import inspect
import ipaddress
import re
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import phonenumbers
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from importer.settings.yaml_files import closest_name
from schemas.codes import Code, Severity
from schemas.columns import BY_NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


MODEL: Final = ConfigDict(
    frozen=True,
    extra="forbid",
    hide_input_in_errors=True,
    defer_build=True,  # until it is used: every command imports the settings
)
"""How pydantic treats the models of settings."""


@dataclass(frozen=True, slots=True)
class ValueHelp:
    """The form of a setting, for `importer explain`.

    Attributes:
        words: say which values are allowed.
        example: a value as it is written in importer.yaml.
    """

    words: str
    example: str


_UNITS: Final = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9}
_SIZE: Final = re.compile(r"(\d{1,12})\s*([KMG]?B?)", re.IGNORECASE)
_SHARE: Final = re.compile(r"(\d{1,3}(?:\.\d{1,4})?)\s*%")
_ALSO_CALLED: Final = {"UK": "GB", "EL": "GR"}


def _bytes(value: object) -> object:
    """Return `200 MB` as a number, and anything else unchanged."""
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return value
    unit = found.group(2).upper()
    return int(found.group(1)) * _UNITS[unit if unit in _UNITS else f"{unit}B"]


def _country(value: str) -> str:
    """Accept an ISO 3166-1 alpha-2 code that phones can be read with."""
    code = value.strip().upper()
    code = _ALSO_CALLED.get(code, code)
    if code not in phonenumbers.SUPPORTED_REGIONS:
        raise ValueError("must be an ISO country code of two letters, such as GB or DE")
    return code


def _base_url(value: str) -> str:
    """Accept an address that secrets may be sent to: https, or http on this machine."""
    try:
        parts = urlsplit(value.strip())
        host, _ = parts.hostname or "", parts.port
    except ValueError as exc:
        raise ValueError("must be a web address such as https://api.joinpopp.com/v1") from exc
    if parts.scheme not in {"https", "http"} or not host:
        raise ValueError("must be a web address such as https://api.joinpopp.com/v1")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("must not contain a user name, a query (`?`) or a fragment (`#`)")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("must begin with https:// (http is allowed only on this machine)")
    return value.strip().rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a host name means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _api_path(value: str) -> str:
    """Accept a path below the base URL."""
    if not re.fullmatch(r"(/[\w.~-]+)+", value):
        raise ValueError("must be a path such as /conversations")
    return value


def _ledger(value: str) -> str:
    """Accept what looks like a SQLAlchemy URL; opening the ledger checks the rest."""
    if not re.match(r"[a-z0-9+]+://", value):
        raise ValueError("must be a database URL such as sqlite:///importer.db")
    return value


def _allowance(value: int | str | None) -> int | str | None:
    """Accept a count of failures, or a share such as `5%`; a count may come as text."""
    if isinstance(value, str) and value.strip().isdecimal():
        value = int(value)
    share = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if isinstance(value, str) and (share is None or float(share.group(1)) > 100):  # noqa: PLR2004
        raise ValueError("must be a count such as 20 or a share such as 5%")
    if isinstance(value, int) and value < 0:
        raise ValueError("must be at least 0")
    return value


def _encoding(value: str) -> str:
    """Accept a text encoding that Python has."""
    try:
        "".encode(value)
    except LookupError as exc:
        raise ValueError("must be a text encoding such as utf-8 or cp1252") from exc
    return value


def _template_name(value: str) -> str:
    """Accept the name of a template, never a path."""
    if not value.strip() or re.search(r"[/\\\0]", value) or ".." in value:
        raise ValueError("must be the name of a template, without folder or file extension")
    return value.strip()


def _named(value: str) -> str:
    """Accept text that is not blank."""
    if not value.strip():
        raise ValueError("must not be empty; remove the key instead")
    return value.strip()


_PLACEHOLDER: Final = re.compile(r"[^\W\d_A-Z][^\WA-Z]*")
"""Lower case, with `_` between words."""


def _column(value: str) -> str:
    """Accept a canonical column, `ignore`, or the column's name in templates."""
    if value in BY_NAME or value == "ignore":
        return value
    word = value.casefold().replace("_", " ").strip()
    named = (each.name for each in BY_NAME.values() if word in map(str.casefold, each.aliases))
    meant = next(named, "") or closest_name(value, BY_NAME, 0.8)
    if meant:
        raise ValueError(f"must be the name of a column; did you mean `{meant}`?")
    if not _PLACEHOLDER.fullmatch(value):
        raise ValueError(
            "must be the name of a column (`importer columns` lists them), or the name that a "
            "template has for it, such as hiring_manager_email"
        )
    return value


def _severities(value: dict[Code, Severity]) -> dict[Code, Severity]:
    """Accept severities that can be honoured: after some faults nothing is left to send."""
    wrong = sorted(code for code, each in value.items() if code in FATAL and each != Severity.ERROR)
    if wrong:
        raise ValueError(f"{', '.join(wrong)} must stay an error: such a row cannot be sent")
    return value


FATAL: Final = frozenset(
    {
        Code.FILE_MISSING,
        Code.FILE_UNREADABLE,
        Code.FILE_EMPTY,
        Code.FILE_TOO_LARGE,
        Code.HEADER_NOT_FOUND,
        Code.QUOTE_UNCLOSED,
        Code.FIRST_NAME_MISSING,
        Code.CONTACT_MISSING,
        Code.CAMPAIGN_MISSING,
        Code.SKIP_CHECK_NOT_ALLOWED,
        Code.TEMPLATE_MISSING,
        Code.TEMPLATE_UNKNOWN,
        Code.TEMPLATE_INVALID,
        Code.PLACEHOLDER_MISSING,
        Code.OPTED_OUT,
    }
)
"""Codes that always stay errors."""

_OWN_HEADERS: Final = frozenset(
    {
        *("x-api-key", "x-organization-id", "x-request-id", "host", "content-type"),
        *("content-length", "transfer-encoding", "connection", "accept-encoding"),
    }
)


def _header_name(value: str) -> str:
    """Accept the name of a header that the importer does not set itself."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", value):
        raise ValueError("is not a valid header name")
    if value.lower() in _OWN_HEADERS:
        raise ValueError("is set by the importer itself")
    return value


def _header_value(value: str) -> str:
    """Accept a value that a header can carry."""
    if not re.fullmatch(r"[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?", value):
        raise ValueError("must be ASCII text without line breaks or blanks at its ends")
    return value


def _proxy(value: str) -> str:
    """Accept the URL of a proxy, or `environment`."""
    if value == "environment" or re.fullmatch(r"https?://[^\s/]+/?", value):
        return value
    raise ValueError("must be a URL such as http://proxy.example.com:3128, or environment")


Bytes = Annotated[
    int,
    BeforeValidator(_bytes),
    Field(ge=1),
    ValueHelp("a number of bytes, or a size such as 200 MB", "500 MB"),
]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Wait = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
ApiPath = Annotated[
    str, AfterValidator(_api_path), ValueHelp("a path below base_url", "/conversations")
]
HeaderName = Annotated[str, AfterValidator(_header_name)]
HeaderValue = Annotated[str, AfterValidator(_header_value)]
ProxyUrl = Annotated[
    str,
    AfterValidator(_proxy),
    ValueHelp("a web address, or environment", "http://proxy.example.com:3128"),
]
Id = Annotated[str, AfterValidator(_named), ValueHelp("text", "camp-42")]
TemplateName = Annotated[
    str, AfterValidator(_template_name), ValueHelp("the name of a template", "onsite-45")
]
Encoding = Annotated[
    str, AfterValidator(_encoding), ValueHelp("the name of a text encoding", "utf-8")
]
BaseUrl = Annotated[
    str, AfterValidator(_base_url), ValueHelp("a web address", "https://api.joinpopp.com/v1")
]
LedgerUrl = Annotated[
    str,
    AfterValidator(_ledger),
    ValueHelp("a database URL of SQLite or PostgreSQL", "sqlite:///importer.db"),
]
Country = Annotated[
    str, AfterValidator(_country), ValueHelp("an ISO country code of two letters", "GB")
]
Columns = Annotated[
    dict[str, Annotated[str, AfterValidator(_column)]],
    ValueHelp("headers, each with a column or `ignore`", "{Handy privat: phone_number}"),
]
Severities = Annotated[
    dict[Code, Severity],
    AfterValidator(_severities),
    ValueHelp("codes, each with error, warning or info", "{phone-not-mobile: error}"),
]
Allowance = Annotated[
    int | str | None,
    AfterValidator(_allowance),
    ValueHelp("a number such as 20, or a share such as 5%", "5%"),
]


_OWN_KEYS: Final = frozenset(
    {
        "phoneNumber", "emailAddress", "countryCode", "firstName", "lastName", "campaignId",
        "externalCampaignId", "externalId", "skipDuplicationCheck", "closePreviousConversations",
        "shouldSendDuringBusinessHours", "meetingParticipants", "meetingConfiguration",
    }
)  # fmt: skip
"""Keys of the body that rows, templates or other settings decide."""

_BRACED: Final = re.compile(r"(?<!\{)\{([^\W_][^{}\"',;\n]{0,80})\}(?!\})")
_NAME: Final = re.compile(r"[^\W_]\w*")


def _fields(value: dict[str, Any]) -> dict[str, Any]:
    """Accept more keys for the body; their placeholders are names of columns."""
    taken = sorted(_OWN_KEYS.intersection(value))
    if taken:
        raise ValueError(f"cannot set `{taken[0]}`: rows, templates or other settings decide it")
    for text in _texts(value):
        for name in _BRACED.findall(text):
            if not _NAME.fullmatch(name) or name != name.lower():
                meant = re.sub(r"[\W_]+", "_", name.lower()).strip("_")
                raise ValueError(f"has `{{{name}}}`, which is no placeholder; write `{{{meant}}}`")
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _texts(each)


def _external_id(value: str) -> str:
    """Accept a pattern that gives every submission an id of its own."""
    if "{key}" not in value:
        raise ValueError("must contain `{key}`, so that no two conversations have the same id")
    rest = value.replace("{key}", "").replace("{candidate_id}", "")
    if "{" in rest or "}" in rest:
        raise ValueError("can contain only the placeholders `{candidate_id}` and `{key}`")
    return value


ConversationFields = Annotated[
    dict[str, Any],
    AfterValidator(_fields),
    ValueHelp("keys of the API, each with its value", "{applicationSource: job-board}"),
]
ExternalId = Annotated[
    str,
    Field(max_length=100),
    AfterValidator(_external_id),
    ValueHelp("text with {key} and perhaps {candidate_id}", '"popp-{candidate_id}-{key}"'),
]


@cache
def descriptions(model: type[BaseModel]) -> Mapping[str, str]:
    """Return setting -> the text below it in the source. Only help and documents need it.

    Pydantic could read these texts for every command, which takes a tenth of a small check.
    """
    found: dict[str, str] = {}
    for each in model.__mro__[: model.__mro__.index(BaseModel)]:
        (definition,) = ast.parse(inspect.getsource(each)).body
        assert isinstance(definition, ast.ClassDef)  # noqa: S101 (models are classes)
        for setting, text in pairwise(definition.body):
            match setting, text:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=str(words))),
                ):
                    found.setdefault(name, inspect.cleandoc(words))
    return found
