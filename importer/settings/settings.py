"""Every setting: its name, type, default and description; `FLAGS` and `_USERS` name it as well."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from importer.settings.page_settings import PageSettings, WebhookSettings
from importer.settings.secrets import Credentials, credentials
from importer.settings.values import (
    MODEL,
    Allowance,
    ApiPath,
    BaseUrl,
    Bytes,
    Columns,
    ConversationFields,
    Country,
    Encoding,
    ExternalId,
    HeaderName,
    HeaderValue,
    Id,
    LedgerUrl,
    ProxyUrl,
    Seconds,
    Severities,
    TemplateName,
    ValueHelp,
    Wait,
    is_loopback,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json


_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_PERCENT: Final = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*%")


def _share(value: object) -> object:
    """Return `50%` as 0.5, and anything else unchanged."""
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else float(found[1]) / 100


def _time(value: str) -> str:
    """Accept a time of day."""
    if not re.fullmatch(_CLOCK, value.strip()):
        raise ValueError('must be a time of day such as "06:00"')
    return value.strip()


def _hours(value: str) -> str:
    """Accept hours of the day; they go past midnight if the second time is the earlier one."""
    start, _, end = value.replace(" ", "").partition("-")
    if not (re.fullmatch(_CLOCK, start) and re.fullmatch(_CLOCK, end)) or start == end:
        raise ValueError('must be hours such as "08:00-20:00"')
    return f"{start}-{end}"


def _zone(value: str) -> str:
    """Accept a time zone of the IANA database."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError("must be a time zone such as Europe/London") from exc
    return value


def _server(value: str) -> str:
    """Accept a mail server: `host` or `host:port`."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
        raise ValueError("must be a mail server such as smtp.example.com:587")
    return value


def _address(value: str) -> str:
    """Accept what looks like an e-mail address; the mail server decides."""
    if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value):
        raise ValueError("must be an e-mail address such as importer@example.com")
    return value


def _round(value: str) -> str:
    """Accept the name of a round; it may be empty, but not blank."""
    if value and not value.strip():
        raise ValueError("must not be blank; name the round, or leave it out")
    return value


Fraction = Annotated[
    float,
    BeforeValidator(_share),
    Field(ge=0, le=100, allow_inf_nan=False),
    ValueHelp("a share such as 20% or 0.2", "20%"),
]
TimeOfDay = Annotated[
    str, AfterValidator(_time), ValueHelp("a time of day in quotation marks", '"06:00"')
]
Hours = Annotated[
    str, AfterValidator(_hours), ValueHelp("from-to, in quotation marks", '"08:00-20:00"')
]
Zone = Annotated[str, AfterValidator(_zone), ValueHelp("an IANA time zone", "Europe/London")]
Server = Annotated[
    str, AfterValidator(_server), ValueHelp("host, or host:port", "smtp.example.com:587")
]
Address = Annotated[
    str, AfterValidator(_address), ValueHelp("an e-mail address", "importer@example.com")
]


class NightlySettings(BaseModel):
    """Settings of nightly imports: when files are taken, which are held, who is notified."""

    model_config = MODEL

    # when a file is taken, and when its rows are sent
    quiet_s: Wait = 60.0
    """Take a file only if it has not changed for this many seconds."""
    patience_s: Wait = 900.0
    """Wait at most this many seconds for uploads in progress; the next night takes the rest."""
    done_marker: bool = False
    """Take a file only if there is a file FILE.done beside it."""
    desk: Path = Path("desk")
    """Local staging folder for the files of a remote inbox."""
    remote_timeout_s: Seconds = 30.0
    """Seconds to wait for each answer of a remote inbox."""
    remote_file_s: Wait = 1800.0
    """Seconds within which a file must be downloaded from a remote inbox."""
    timezone: Zone = "UTC"
    """Time zone of send_between, deadline and the dated folders, such as Europe/London."""
    send_between: Hours | None = None
    """Contact people only in these hours, such as 08:00-20:00; at any hour by default."""
    deadline: TimeOfDay | None = None
    """Time of day at which the night ends, such as 06:00; by default 12 hours after its start."""
    refresh_before: bool = True
    """Read the statuses of conversations before a night sends, so that recent opt-outs count."""
    refresh_before_s: Wait = 120.0
    """Spend at most this many seconds on refresh_before, then send with what is known."""
    outage_wait_s: Wait = 600.0
    """Seconds to wait during an outage of the API before the night tries again."""
    grace_s: Wait = 30.0
    """Seconds that requests under way get to finish after SIGTERM or Ctrl-C."""

    folders: Annotated[
        dict[str, dict[str, Any]],
        ValueHelp("names of subfolders, each with its settings", "{acme: {campaign: camp-7}}"),
    ] = {}
    """Settings for subfolders of an inbox, such as {acme: {campaign: camp-7}}."""

    # which files are held until a person looks at them
    max_rejected_share: Fraction = 0.2
    """Hold a file if more than this share of its rows is rejected, such as 20%."""
    guard_files: int = Field(default=7, ge=0, le=1_000)
    """Compare a new file with this many earlier files of its folder; 0 turns the comparison off."""
    guard_after: int = Field(default=3, ge=1, le=1_000)
    """Compare new files only after the folder has imported this many files."""
    guard_rows: Fraction | None = 0.5
    """Hold a file if its number of rows differs from the usual one by more than this share."""
    guard_rejected: Fraction | None = 0.1
    """Hold a file if its share of rejected rows exceeds the usual one by more than this."""
    guard_known: Fraction | None = 0.5
    """Hold a file if its share of people already known exceeds the usual one by more than this."""
    guard_countries: Fraction | None = 0.2
    """Hold a file if more than this share of its rows is from countries new to its folder."""
    guard_columns: bool = True
    """Hold a file if it does not have the columns of the previous file."""

    # who is notified
    notify: Literal["always", "files", "problems"] = "files"
    """Nights after which a message is sent: all, those that had files, or those with problems."""
    mail_to: Annotated[
        tuple[Address, ...], ValueHelp("a list of e-mail addresses", "[ops@example.com]")
    ] = ()
    """E-mail addresses that get the nightly message, such as [ops@example.com]."""
    mail_from: Address = "importer@localhost.localdomain"
    """Sender of the nightly e-mail."""
    smtp: Server = "localhost:25"
    """Mail server as host:port; set its password as IMPORTER_SMTP_PASSWORD in the environment."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """Encryption of the connection to the mail server."""
    smtp_user: str | None = None
    """User name for the mail server; no login by default."""
    log_file: Path | None = None
    """Append the night's events to this file, as JSON lines; standard error by default."""
    metrics_file: Path | None = None
    """Write metrics for Prometheus's textfile collector to this file, such as importer.prom."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The origin of settings.

    Attributes:
        folder: the folder of importer.yaml; the current folder if there is none.
        file: the importer.yaml that was read, or None.
        config: the file that the caller named, or None.
        flags: what the command line said, under the settings' names.
        unused_ledger: the ledger of real conversations, if this is a rehearsal.
    """

    folder: Path
    file: Path | None = None
    config: Path | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    unused_ledger: str = ""


class Settings(NightlySettings, PageSettings, WebhookSettings, BaseModel):
    """Every setting with its default; frozen. `load_settings` makes the paths absolute."""

    model_config = MODEL

    # where things are
    rehearsal: bool = False
    """Rehearse: send to the sandbox on this machine, with rehearsal.db as ledger."""
    base_url: BaseUrl = "https://api.joinpopp.com/v1"
    """Address of the API; must be https, except on this machine."""
    ledger: LedgerUrl = Field(default="sqlite:///importer.db", repr=False)
    """Database URL of the ledger, which records who was contacted and with what result."""
    templates: Path = Path("templates")
    """Folder that holds meetings/*.yaml and participants/*.yaml."""
    hmac_key_file: Path | None = None
    """File with the key for the ledger's hashes of people; beside the ledger by default."""

    # defaults for rows
    default_country: Country | None = None
    """Country of phones in rows that name no country, such as GB."""
    campaign: Id | None = None
    """Campaign for rows that name none."""
    external_campaign: Id | None = None
    """Campaign for rows that name none, by its id in your own system."""
    meeting: TemplateName | None = None
    """Meeting template for rows that name none."""
    participants: TemplateName | None = None
    """Participant template for rows that name none."""
    send_during_business_hours: bool | None = None
    """Hold the first message until business hours, for rows that do not say."""

    # how files are read
    columns: Columns = {}
    """Columns of headers, such as {Handy privat: phone_number}; overrules the automatic reading.

    `ignore` leaves a header out. Any other name is the header's name in templates, such as
    {Hiring mgr mail: hiring_manager_email}.
    """
    encoding: Encoding | None = None
    """Encoding of text files, such as utf-8; detected by default."""
    fallback_encoding: Encoding = "cp1252"
    """Encoding of text that is not Unicode; `cp1252` is taken only if the words look like it."""
    sheet: str | None = None
    """Name of the sheet to read; by default the visible sheet that holds the candidates."""
    max_bytes: Bytes = 200_000_000
    """Largest file, in bytes; units such as 200 MB are allowed."""
    max_rows: int = Field(default=2_000_000, ge=1)
    """Most rows that a file may have."""
    max_columns: int = Field(default=1_000, ge=1)
    """Most columns that a file may have."""
    max_cell_chars: int = Field(default=10_000, ge=1)
    """Longest cell, in characters."""
    max_expanded_bytes: Bytes = 2_000_000_000
    """Largest unpacked size of an archive or workbook, in bytes."""

    # what may be sent
    severity: Severities = {}
    """Change how serious a code is, such as {phone-not-mobile: error}."""
    on_problems: Literal["block", "skip"] = "block"
    """If rows are rejected, send nothing (block) or send the others (skip)."""
    skip_duplication_check: bool = False
    """Allow the column skip_duplication_check, which can close a running conversation."""
    allow_shared_contact: bool = False
    """Send to people who share an e-mail or candidate id with someone else in their campaign."""
    round: Annotated[str, AfterValidator(_round)] = Field(default="", max_length=200)
    """Name of a new round, to contact the same people in the same campaign again."""
    conversation: Literal["auto-schedule", "campaign"] = "auto-schedule"
    """Which call creates conversations; campaign if the campaign has its own meeting template."""
    conversation_fields: ConversationFields = Field(default_factory=dict)
    """More keys for the request body, such as applicationSource; may use placeholders."""
    external_id: ExternalId = "{candidate_id}-{key}"
    """Pattern of each conversation's externalId; {key} makes it unique."""

    # speed and retries
    rate_per_s: float = Field(default=5.0, gt=0, le=10_000, allow_inf_nan=False)
    """Most requests per second; they are spread evenly."""
    concurrency: int = Field(default=4, ge=1, le=1_000)
    """Most requests at the same time."""
    connect_timeout_s: Seconds = 5.0
    """Seconds to wait for a connection."""
    read_timeout_s: Seconds = 30.0
    """Seconds to wait for an answer; after that the submission is doubtful."""
    write_timeout_s: Seconds = 10.0
    """Seconds to wait while a request is written."""
    attempts: int = Field(default=5, ge=1, le=100)
    """Most attempts for one row in one run."""
    attempts_total_s: Seconds = 300.0
    """Seconds after its first attempt at which a row is given up for this run."""
    wait_base_s: Seconds = 0.5
    """Longest first wait between attempts, in seconds; it doubles with each attempt."""
    max_wait_s: Seconds = 60.0
    """Longest wait between attempts, in seconds, even if the API asks for more."""

    # the API
    create_path: ApiPath = "/scheduling/conversations"
    """Path that creates a conversation (conversation: auto-schedule)."""
    campaign_path: ApiPath = "/conversations"
    """Path that creates a conversation (conversation: campaign)."""
    list_path: ApiPath = "/conversations"
    """Path that lists the conversations."""
    id_paths: tuple[Id, ...] = Field(
        default=("id", "data.id", "conversation.id", "conversationId"), min_length=1
    )
    """Keys under which an answer may have the conversation's id."""
    created_without_id: bool = False
    """Count a 2xx without a conversation id as created; otherwise it is doubtful."""
    duplicate_statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (409,)
    """HTTP statuses that mean that the conversation exists already, if the answer shows its id."""
    duplicate_texts: tuple[Id, ...] = (
        "conversation already exists",
        "conversation exists already",
        "already has a conversation",
        "already has an active conversation",
        "already has an ongoing conversation",
        "duplicate conversation",
    )
    """Phrases in the error of a 4xx that mean that the conversation exists already."""
    retry_503: bool = False
    """Retry after a 503 with Retry-After; safe only if the API never accepts such a request."""
    campaigns_path: ApiPath = "/campaigns"
    """Path that shows a campaign, before /ID."""
    preflight: Literal["auto", "required", "off"] = "auto"
    """Look up each campaign before sending; required: send nothing unless the API answers."""
    extra_headers: Annotated[
        dict[HeaderName, HeaderValue], ValueHelp("header names, with values", "{x-team: hiring}")
    ] = Field(default={}, repr=False)
    """More HTTP headers for every request to the API, such as {x-team: hiring}."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """Proxy for the API: its URL, or environment to use HTTPS_PROXY."""
    ca_file: Path | None = None
    """PEM file with the certificates to trust instead of the system's."""

    # guards
    canary: int = Field(default=0, ge=0)
    """Send this many submissions first, and continue only if all were created; 0 turns this off."""
    max_failures: Allowance = None
    """Stop the run after more failures than this, such as 20 or 5%; no limit by default."""
    max_doubtful: int = Field(default=10, ge=1)
    """Stop sending as soon as this many submissions of a run are doubtful, and look them up."""
    max_resends: int = Field(default=1, ge=0)
    """How often a doubtful submission is sent again after proof that it did not arrive."""
    max_failures_in_a_row: int = Field(default=10, ge=1)
    """Stop the run after this many failures in a row."""
    contact_window_days: int = Field(default=0, ge=0, le=36_500)
    """Hold back people contacted within this many days, in any campaign; 0 turns this off."""
    allow_recent: bool = False
    """Send also to people that contact_window_days would hold back."""
    retry_rejected: bool = False
    """Send rows again that the API rejected before, even if they have not changed."""

    # doubtful submissions, and the ledger
    reconcile: bool = True
    """Look up doubtful submissions automatically, after sending and before resuming."""
    settle_s: Wait = 30.0
    """Seconds until a doubtful request that the API's list does not show counts as absent."""
    max_pages: int = Field(default=20_000, ge=1)
    """Most pages of the list of conversations to read."""
    max_list_s: Wait = 3_600.0
    """Seconds to spend on reading the list of conversations; a part of it proves nothing."""
    new_ledger: bool = False
    """Start a new ledger although the old one is missing; can only be given as a flag."""
    ledger_in_shared_folder: bool = False
    """Only this computer uses the ledger, although other computers have its folder, too."""
    ledger_wait_s: Wait = 0.0
    """Seconds to wait if another importer is using the ledger."""
    lease_s: float = Field(default=30.0, ge=1.0, le=3_600.0)
    """Seconds without a sign of life after which others take over from an importer (PostgreSQL)."""
    senders_per_org: int | None = Field(default=None, ge=1, le=1_000)
    """Most workers that send at the same time; by default as many as rate_per_s can keep busy."""
    queue_listen: bool = True
    """Let the database wake workers at once; false if PgBouncer is between them."""
    queue_poll_s: float = Field(default=1.0, ge=0.1, le=60.0)
    """Seconds between two looks of a worker at the queue."""

    _origin: Origin = PrivateAttr(default_factory=lambda: Origin(Path.cwd()))

    @model_validator(mode="after")
    def _one_campaign(self) -> Self:
        if self.campaign is not None and self.external_campaign is not None:
            raise ValueError("campaign and external_campaign exclude each other; keep one")
        return self

    @model_validator(mode="after")
    def _rehearsal_stays_here(self) -> Self:
        if self.rehearsal and not is_loopback(urlsplit(self.base_url).hostname or ""):
            raise ValueError(
                "rehearsal contacts nobody, but base_url is a real API; keep one of the two"
            )
        return self

    @property
    def folder(self) -> Path:
        """The folder of importer.yaml; the current folder if there is none."""
        return self._origin.folder

    @property
    def file(self) -> Path | None:
        """The importer.yaml that was read, or None."""
        return self._origin.file

    @property
    def config(self) -> Path | None:
        """The file that the caller named; None if it was found, or there is none."""
        return self._origin.config

    @property
    def flags(self) -> Mapping[str, object]:
        """The values of the command line, under the settings' names."""
        return self._origin.flags

    @property
    def ledger_file(self) -> Path | None:
        """The file of a SQLite ledger, absolute; None for any other."""
        return self._file_of(self.ledger)

    @property
    def unused_ledger_file(self) -> Path | None:
        """The file of the ledger of real conversations, which a rehearsal must not touch."""
        return self._file_of(self._origin.unused_ledger)

    @property
    def contacts_people(self) -> bool:
        """Whether the API is on another machine, so that real people are contacted."""
        return not is_loopback(urlsplit(self.base_url).hostname or "")

    def _file_of(self, ledger: str) -> Path | None:
        scheme, _, rest = ledger.partition(":///")
        if not scheme.startswith("sqlite") or not rest or rest.startswith(":memory:"):
            return None
        return self.folder / rest.partition("?")[0]

    def failures_allowed(self, total: int) -> int | None:
        """Return how many of `total` submissions may fail before the run stops; None: any."""
        if isinstance(self.max_failures, str):
            share = float(self.max_failures.strip().removesuffix("%")) / 100
            return math.floor(total * share + 1e-9)
        return self.max_failures

    def shaping(self) -> Mapping[str, Json]:
        """Return the settings that change bodies or rows; they are part of the plan hash."""
        values = self.model_dump(mode="json", include=set(_SHAPING))
        if not self.conversation_fields:
            del values["conversation_fields"]  # keeps the hashes of runs older than this setting
        return dict(sorted(values.items()))

    def credentials(self) -> Credentials:
        """Return the API key and the organization, from the environment or the secrets directory.

        A rehearsal has made-up ones, so that it needs none and never shows the real ones.

        Raises:
            CredentialsError: one of them is missing or malformed.
        """
        if self.rehearsal:
            return Credentials(api_key=SecretStr("rehearsal"), organization_id="rehearsal")
        return credentials()


_SHAPING: Final = (
    "default_country",
    "campaign",
    "external_campaign",
    "meeting",
    "participants",
    "send_during_business_hours",
    "severity",
    "skip_duplication_check",
    "round",
    "conversation",
    "conversation_fields",
    "external_id",
)


_READING: Final = (
    "rehearsal",
    "ledger",
    "templates",
    "default_country",
    "campaign",
    "external_campaign",
    "meeting",
    "participants",
    "round",
    "encoding",
    "sheet",
)
_KNOWN: Final = ("contact_window_days", "allow_recent", "allow_shared_contact", "retry_rejected")
_SENDING: Final = (
    "base_url",
    "rate_per_s",
    "concurrency",
    "canary",
    *("max_failures", "max_failures_in_a_row", "max_doubtful", "max_resends"),
    *_KNOWN,
    "preflight",
    "attempts",
    "settle_s",
)
_HOURS: Final = ("quiet_s", "timezone", "send_between", "deadline", "grace_s")

FLAGS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "columns": ("encoding", "sheet"),
        "check": (*_READING, *_KNOWN),
        "run": (*_READING, "new_ledger", "on_problems", *_SENDING),
        "resume": (*_READING, *_SENDING),
        "reconcile": ("rehearsal", "ledger", "base_url", "rate_per_s", "settle_s", "max_resends"),
        "refresh": ("rehearsal", "ledger", "base_url", "rate_per_s"),
        "resolve": ("rehearsal", "ledger", "base_url"),
        "runs": ("rehearsal", "ledger"),
        "results": ("rehearsal", "ledger"),
        "purge": ("rehearsal", "ledger"),
        "backup": ("rehearsal", "ledger"),
        "work": ("rehearsal", "ledger", "base_url", "rate_per_s", "concurrency"),
        **dict.fromkeys(("jobs", "upgrade"), ("rehearsal", "ledger")),
        "serve": ("rehearsal", "ledger", "base_url", "listen", "page_url", "auth", "new_ledger"),
        "webhooks": ("rehearsal", "ledger", "listen", "webhook_signature", "webhook_key_form"),
        "nightly": (
            *("rehearsal", "ledger", "base_url", "rate_per_s", "concurrency"),
            *("max_doubtful", "max_resends", "preflight", "settle_s"),
            *(*_HOURS, "log_file", "metrics_file", "new_ledger"),
        ),
        "release": ("rehearsal", "ledger"),
        "doctor": ("rehearsal", "ledger", "base_url", "preflight"),
    }
)
"""Command -> names of settings, in the order of its help."""

_IMPORTS: Final = ("run", "resume", "serve", "nightly", "work")
_CHECKS: Final = ("check", *_IMPORTS)
_CALLS: Final = (*_IMPORTS, "reconcile", "refresh")

_USERS: Final[Mapping[tuple[str, ...], str]] = MappingProxyType(
    {
        ("columns", *_CHECKS): (
            "columns encoding fallback_encoding sheet max_bytes max_rows max_columns"
            " max_cell_chars max_expanded_bytes"
        ),
        _CHECKS: (
            "templates default_country campaign external_campaign meeting participants"
            " send_during_business_hours severity skip_duplication_check allow_shared_contact"
            " round conversation conversation_fields external_id contact_window_days"
            " allow_recent retry_rejected"
        ),
        ("run", "serve"): "on_problems new_ledger",
        ("serve",): " ".join(PageSettings.model_fields),
        ("serve", "webhooks", "doctor"): " ".join(WebhookSettings.model_fields),
        _IMPORTS: (
            "concurrency attempts attempts_total_s wait_base_s max_wait_s create_path"
            " campaign_path created_without_id duplicate_statuses duplicate_texts retry_503"
            " campaigns_path preflight canary max_failures max_doubtful max_failures_in_a_row"
            " reconcile"
        ),
        (*_IMPORTS, "reconcile"): "settle_s max_resends ledger_in_shared_folder",
        _CALLS: (
            "base_url rate_per_s connect_timeout_s read_timeout_s write_timeout_s list_path"
            " id_paths extra_headers proxy ca_file max_pages max_list_s"
        ),
        tuple(FLAGS): "rehearsal ledger hmac_key_file ledger_wait_s lease_s",
        ("nightly", "work", "doctor"): " ".join(NightlySettings.model_fields),
        ("work",): "senders_per_org queue_listen queue_poll_s",
        ("release",): "desk remote_timeout_s remote_file_s",
    }
)
"""Commands -> the settings that they use, beside the settings of their flags."""


def commands_of(name: str) -> list[str]:
    """Return the commands that use a setting, in the order of `FLAGS`."""
    users = {user for users, names in _USERS.items() if name in names.split() for user in users}
    return [command for command, flags in FLAGS.items() if command in users or name in flags]
