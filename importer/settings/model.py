"""Every setting that there is, with its default and what it is for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from importer.settings.environment import Credentials, credentials
from importer.settings.nightly import NightlySettings
from importer.settings.values import (
    Allowance,
    ApiPath,
    BaseUrl,
    Bytes,
    Columns,
    Country,
    Encoding,
    Id,
    LedgerUrl,
    Seconds,
    Severities,
    TemplateName,
    Wait,
)

if TYPE_CHECKING:
    from importer.model import Json


@dataclass(frozen=True, slots=True)
class Place:
    """Where the settings were found, and what the command line said."""

    folder: Path
    file: Path | None
    flags: Mapping[str, object] = field(default_factory=dict)


class Settings(NightlySettings, BaseModel):
    """Every setting with its default; frozen. Paths are absolute once loaded."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    # where things are
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
    round: str = Field(default="", max_length=200)
    """Name of a new round, to write to the same people in the same campaign again."""
    conversation: Literal["auto-schedule", "campaign"] = "auto-schedule"
    """auto-schedule, or campaign for campaigns with a meeting template of their own."""

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
    duplicate_statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (409,)
    """Statuses that mean: this person has this conversation already."""
    duplicate_texts: tuple[Id, ...] = ("already exists", "duplicate")
    """Words in the error of a 4xx that mean the same."""

    # guards
    canary: int = Field(default=0, ge=0)
    """Send so many first, and go on only if all of them were created; 0 for none."""
    max_failures: Allowance = None
    """Stop after more failures than this: a number, or a share such as 5%."""
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
    ledger_wait_s: Wait = 0.0
    """Seconds to wait for a ledger that somebody else holds."""

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)
    _flags: Mapping[str, object] = PrivateAttr(default_factory=dict)

    def model_post_init(self, context: Any, /) -> None:
        """Remember where importer.yaml lies, as `load_settings` tells it in the context."""
        if isinstance(context, Place):
            self._folder, self._file = context.folder, context.file
            self._flags = context.flags

    @model_validator(mode="after")
    def _one_campaign(self) -> Self:
        if self.campaign is not None and self.external_campaign is not None:
            raise ValueError("campaign and external_campaign exclude each other; keep one")
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
        scheme, _, rest = self.ledger.partition(":///")
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
        return dict(sorted(said.items()))

    def credentials(self) -> Credentials:
        """The API key and the organization, from the environment or the secrets directory.

        Raises:
            CredentialsError: one of them is missing, or cannot be one.
        """
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
)
