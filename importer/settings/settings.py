"""Every setting: its name, type, default and description."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    model_validator,
)

from importer.settings.secrets import Credentials, credentials
from importer.settings.values import (
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
    Wait,
    is_loopback,
)

if TYPE_CHECKING:
    from importer.model import Json


_CLOCK: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]"
_PERCENT: Final = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,4})?)\s*%")


def _share(value: object) -> object:
    """`50%` as 0.5; anything else as it is."""
    found = _PERCENT.fullmatch(value.strip()) if isinstance(value, str) else None
    return value if found is None else float(found[1]) / 100


def _time(value: str) -> str:
    """A time of day."""
    if not re.fullmatch(_CLOCK, value.strip()):
        raise ValueError('must be a time of day such as "06:00"')
    return value.strip()


def _hours(value: str) -> str:
    """From one time of day to another, over midnight where the second is the earlier one."""
    start, _, end = value.replace(" ", "").partition("-")
    if not (re.fullmatch(_CLOCK, start) and re.fullmatch(_CLOCK, end)) or start == end:
        raise ValueError('must be hours such as "08:00-20:00"')
    return f"{start}-{end}"


def _zone(value: str) -> str:
    """A time zone of the IANA database."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError) as exc:
        raise ValueError("must be a time zone such as Europe/London") from exc
    return value


def _server(value: str) -> str:
    """A mail server as `host` or `host:port`."""
    if not re.fullmatch(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?", value):
        raise ValueError("must be a mail server such as smtp.example.com:587")
    return value


def _address(value: str) -> str:
    """An e-mail address, roughly: the mail server has the last word."""
    if not re.fullmatch(r"[^@\s,;<>]+@[^@\s,;<>]+", value):
        raise ValueError("must be an e-mail address such as importer@example.com")
    return value


def _round(value: str) -> str:
    """The name of a round: none at all, or one that can be seen."""
    if value and not value.strip():
        raise ValueError("must not be blank; name the round, or leave it out")
    return value


Share = Annotated[float, BeforeValidator(_share), Field(ge=0, le=100, allow_inf_nan=False)]
TimeOfDay = Annotated[str, AfterValidator(_time)]
Hours = Annotated[str, AfterValidator(_hours)]
Zone = Annotated[str, AfterValidator(_zone)]
Server = Annotated[str, AfterValidator(_server)]
Address = Annotated[str, AfterValidator(_address)]


class NightlySettings(BaseModel):
    """When files are taken and sent at night, which are held, and who hears of it."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # when a file is taken, and when its rows are sent
    quiet_s: Wait = 60.0
    """Seconds for which a file must not have changed before it is taken."""
    patience_s: Wait = 900.0
    """Longest wait for files that are still being written, seconds; the next night takes them."""
    done_marker: bool = False
    """Take a file only once another one, called FILE.done, lies beside it."""
    desk: Path = Path("desk")
    """Folder of this machine in which a night works on the files of a remote inbox."""
    remote_timeout_s: Seconds = 30.0
    """Seconds to wait for a remote inbox in every step of the network."""
    remote_file_s: Wait = 1800.0
    """Longest time in which a file must have come from a remote inbox, seconds."""
    timezone: Zone = "UTC"
    """Time zone of send_between, of deadline, and of the dates that folders are called by."""
    send_between: Hours | None = None
    """Hours in which people are written to, such as 08:00-20:00; any by default."""
    deadline: TimeOfDay | None = None
    """Time of day when the night ends, such as 06:00; 12 hours after its start by default."""
    refresh_before: bool = True
    """Read the statuses of conversations before a night sends, so that recent opt-outs count."""
    refresh_before_s: Wait = 120.0
    """Longest time for that, seconds; sending goes on with what is known by then."""
    outage_wait_s: Wait = 600.0
    """Seconds after which the night tries again, when the API takes nothing."""
    grace_s: Wait = 30.0
    """Seconds in which requests under way may finish once the process is told to end."""

    folders: dict[str, dict[str, Any]] = {}
    """Subfolder of an inbox -> its own settings, such as {acme: {ledger: ..., campaign: ...}}."""

    # what is held until a person looks
    max_rejected_share: Share = 0.2
    """Hold a file with a larger share of rejected rows than this, such as 20%."""
    guard_files: int = Field(default=7, ge=0, le=1_000)
    """With how many of the folder's last files a new one is compared; 0 for no comparison."""
    guard_after: int = Field(default=3, ge=1, le=1_000)
    """How many files a folder must have imported before new ones are compared."""
    guard_rows: Share | None = 0.5
    """Hold a file whose rows are more or fewer than usual by a larger share than this."""
    guard_rejected: Share | None = 0.1
    """Hold a file whose share of rejected rows is larger than usual by more than this."""
    guard_known: Share | None = 0.5
    """The same for its share of rows that bring nobody new: imported already, or repeated."""
    guard_countries: Share | None = 0.2
    """Hold a file with a larger share of rows from countries that the last ones did not have."""
    guard_columns: bool = True
    """Hold a file that has columns that the last one did not have, or lacks some."""

    # who hears of it
    notify: Literal["always", "files", "problems"] = "files"
    """When to send a message: always, after a night with files, or with problems."""
    mail_to: tuple[Address, ...] = ()
    """Who gets the morning's message by e-mail: a list, such as [ops@example.com]."""
    mail_from: Address = "importer@localhost.localdomain"
    """Sender of the morning's e-mail."""
    smtp: Server = "localhost:25"
    """Mail server; its password is IMPORTER_SMTP_PASSWORD in the environment."""
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    """How the connection to the mail server is protected."""
    smtp_user: str | None = None
    """User at the mail server; none by default."""
    log_file: Path | None = None
    """File that the night's events are appended to, as JSON lines; standard error by default."""
    metrics_file: Path | None = None
    """File for Prometheus's textfile collector, such as /var/lib/node_exporter/importer.prom."""


class Settings(NightlySettings, BaseModel):
    """Every setting with its default; frozen. Paths are absolute once loaded."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # where things are
    rehearsal: bool = False
    """Rehearse: send to the sandbox on this machine, with rehearsal.db as ledger."""
    base_url: BaseUrl = "https://api.joinpopp.com/v1"
    """Where the API is; https, or http on this machine."""
    ledger: LedgerUrl = Field(default="sqlite:///importer.db", repr=False)
    """SQLAlchemy URL of the ledger: who was contacted, and what became of it."""
    templates: Path = Path("templates")
    """Folder with meetings/*.yaml and participants/*.yaml."""
    hmac_key_file: Path | None = None
    """File of the key under which the ledger knows people; beside the ledger by default."""

    # what rows that say nothing get
    default_country: Country | None = None
    """Country of phones that do not say theirs, such as GB."""
    campaign: Id | None = None
    """Campaign of rows that name none."""
    external_campaign: Id | None = None
    """The same by the campaign's id in your own system."""
    meeting: TemplateName | None = None
    """Meeting template of rows that name none."""
    participants: TemplateName | None = None
    """Participant template of rows that name none."""
    send_during_business_hours: bool | None = None
    """Whether the first message waits for business hours, for rows that do not say."""

    # how files are read
    columns: Columns = {}
    """Header -> column, for headers that the importer does not know by itself."""
    encoding: Encoding | None = None
    """Encoding of text files; found by itself by default."""
    fallback_encoding: Encoding = "cp1252"
    """Encoding that is taken, with a warning, for text that is no Unicode."""
    sheet: str | None = None
    """Sheet of workbooks; the first visible one by default."""
    max_bytes: Bytes = 200_000_000
    """Largest file, bytes."""
    max_rows: int = Field(default=2_000_000, ge=1)
    """Most rows of a file."""
    max_columns: int = Field(default=1_000, ge=1)
    """Most columns of a file."""
    max_cell_chars: int = Field(default=10_000, ge=1)
    """Longest cell, characters."""
    max_expanded_bytes: Bytes = 2_000_000_000
    """Largest content of an archive or workbook once unpacked, bytes."""

    # what is let through
    severity: Severities = {}
    """Code -> error, warning or info, over the table of codes."""
    on_problems: Literal["block", "skip"] = "block"
    """block: nothing is sent while a row is rejected; skip: the good rows go."""
    skip_duplication_check: bool = False
    """Allow the column of this name; it can close a running conversation."""
    allow_shared_contact: bool = False
    """Send to people who have the e-mail or candidate id of someone else in their campaign."""
    round: Annotated[str, AfterValidator(_round)] = Field(default="", max_length=200)
    """Name of a new round, to write to the same people in the same campaign again."""
    conversation: Literal["auto-schedule", "campaign"] = "auto-schedule"
    """auto-schedule, or campaign for campaigns with a meeting template of their own."""
    conversation_fields: ConversationFields = Field(default_factory=dict)
    """More keys of the request body, such as applicationSource; {first_name} is filled in."""
    external_id: ExternalId = "{candidate_id}-{key}"
    """How a conversation's externalId is made; {key} is a unique piece of the submission's key."""

    # how fast, how often
    rate_per_s: float = Field(default=5.0, gt=0, le=10_000, allow_inf_nan=False)
    """Most requests a second, evenly spread."""
    concurrency: int = Field(default=4, ge=1, le=1_000)
    """Most requests under way at once."""
    connect_timeout_s: Seconds = 5.0
    """Seconds to wait for a connection."""
    read_timeout_s: Seconds = 30.0
    """Seconds to wait for an answer."""
    write_timeout_s: Seconds = 10.0
    """Seconds to wait while sending."""
    attempts: int = Field(default=5, ge=1, le=100)
    """Most requests for one row in one run."""
    attempts_total_s: Seconds = 300.0
    """Seconds after which a row is not tried again in this run."""
    wait_base_s: Seconds = 0.5
    """Bound of the first wait between attempts, seconds; it doubles."""
    max_wait_s: Seconds = 60.0
    """Longest wait between attempts, also where the API asks for more, seconds."""

    # how the API speaks
    create_path: ApiPath = "/scheduling/conversations"
    """Path of the auto-schedule call."""
    campaign_path: ApiPath = "/conversations"
    """Path of the plain call (conversation: campaign)."""
    list_path: ApiPath = "/conversations"
    """Path of the list of conversations."""
    id_paths: tuple[Id, ...] = Field(
        default=("id", "data.id", "conversation.id", "conversationId"), min_length=1
    )
    """Where an answer may hold the conversation's id."""
    created_without_id: bool = False
    """Believe an answer of success that names no conversation; off, it is doubtful."""
    duplicate_statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (409,)
    """Statuses that mean, if the answer shows its id, that the conversation exists already."""
    duplicate_texts: tuple[Id, ...] = (
        "conversation already exists",
        "conversation exists already",
        "already has a conversation",
        "already has an active conversation",
        "already has an ongoing conversation",
        "duplicate conversation",
    )
    """Whole phrases in the error of a 4xx that mean the same, outside of quoted text."""
    retry_503: bool = False
    """Send again after a 503 with Retry-After: only if the API accepts nothing then."""
    campaigns_path: ApiPath = "/campaigns"
    """Path under which the API shows a campaign."""
    preflight: Literal["auto", "required", "off"] = "auto"
    """Ask for each campaign before sending; required: send nothing unless the API answers."""
    extra_headers: dict[HeaderName, HeaderValue] = Field(default={}, repr=False)
    """Headers that every request to the API carries besides ours."""
    proxy: ProxyUrl | None = Field(default=None, repr=False)
    """Proxy for the API: its URL, or `environment` for HTTPS_PROXY and its like."""
    ca_file: Path | None = None
    """PEM file of certificates to trust instead of the system's."""

    # guards
    canary: int = Field(default=0, ge=0)
    """Send so many first, and go on only if all of them were created; 0 for none."""
    max_failures: Allowance = None
    """Stop after more failures than this: a number, or a share such as 5%."""
    max_doubtful: int = Field(default=10, ge=1)
    """Stop sending and look them up as soon as this many submissions of a run are doubtful."""
    max_resends: int = Field(default=1, ge=0)
    """How often a submission is sent again after proof that it did not arrive."""
    max_failures_in_a_row: int = Field(default=10, ge=1)
    """Stop after so many failures without a success between them."""
    contact_window_days: int = Field(default=0, ge=0, le=36_500)
    """Hold back whom any run or campaign contacted within so many days."""
    allow_recent: bool = False
    """Send to those whom contact_window_days holds back."""
    retry_rejected: bool = False
    """Send again what the API refused before, though nothing in it has changed."""

    # doubt, and the ledger
    reconcile: bool = True
    """Look up doubtful submissions by itself, after sending and before resuming."""
    settle_s: Wait = 30.0
    """Seconds after a doubtful request before the API's list is believed not to hold it."""
    max_pages: int = Field(default=1_000, ge=1)
    """Most pages of the list of conversations that are read."""
    new_ledger: bool = False
    """Start a new ledger although an older one was here; a flag, for one run only."""
    ledger_wait_s: Wait = 0.0
    """Seconds to wait for a ledger that somebody else holds."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)
    _flags: Mapping[str, object] = PrivateAttr(default_factory=dict)
    _unused_ledger: str = PrivateAttr(default="")

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
        """Where importer.yaml lies; the current folder where there is none."""
        return self._folder

    @property
    def file(self) -> Path | None:
        """The importer.yaml that was read, or None."""
        return self._file

    @property
    def flags(self) -> Mapping[str, object]:
        """What the command line said, under the settings' names."""
        return self._flags

    @property
    def ledger_file(self) -> Path | None:
        """The file of a SQLite ledger, absolute; None for any other."""
        return self._file_of(self.ledger)

    @property
    def unused_ledger_file(self) -> Path | None:
        """The file of the ledger of real conversations, which a rehearsal must not touch."""
        return self._file_of(self._unused_ledger)

    def _file_of(self, ledger: str) -> Path | None:
        scheme, _, rest = ledger.partition(":///")
        if not scheme.startswith("sqlite") or not rest or rest.startswith(":memory:"):
            return None
        return self._folder / rest.partition("?")[0]

    def failures_allowed(self, total: int) -> int | None:
        """How many of `total` submissions may fail before a guard stops the run; None: any."""
        if isinstance(self.max_failures, str):
            share = float(self.max_failures.strip().removesuffix("%")) / 100
            return math.floor(total * share + 1e-9)
        return self.max_failures

    def shaping(self) -> Mapping[str, Json]:
        """The settings that shape bodies or decide over rows: they enter the plan hash."""
        said = self.model_dump(mode="json", include=set(_SHAPING))
        if not self.conversation_fields:
            del said["conversation_fields"]  # hashes of runs from before it was there still hold
        return dict(sorted(said.items()))

    def credentials(self) -> Credentials:
        """The API key and the organization, from the environment or the secrets directory.

        A rehearsal has made-up ones, so that it needs none and never shows the real ones.

        Raises:
            CredentialsError: one of them is missing, or cannot be one.
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
_KNOWN: Final = (
    "contact_window_days",
    "allow_recent",
    "allow_shared_contact",
    "retry_rejected",
)
_SENDING: Final = (
    "base_url",
    "rate_per_s",
    "concurrency",
    "canary",
    "max_failures",
    "max_failures_in_a_row",
    *_KNOWN,
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
        "reconcile": ("rehearsal", "ledger", "base_url", "rate_per_s", "settle_s"),
        "refresh": ("rehearsal", "ledger", "base_url", "rate_per_s"),
        "resolve": ("rehearsal", "ledger"),
        "runs": ("rehearsal", "ledger"),
        "results": ("rehearsal", "ledger"),
        "purge": ("rehearsal", "ledger"),
        "backup": ("rehearsal", "ledger"),
        "nightly": (
            *("rehearsal", "ledger", "base_url", "rate_per_s", "concurrency"),
            *(*_HOURS, "log_file", "metrics_file", "new_ledger"),
        ),
        "release": ("rehearsal", "ledger"),
        "doctor": ("rehearsal", "ledger", "base_url"),
    }
)
"""Command -> names of settings, in the order of its help."""
