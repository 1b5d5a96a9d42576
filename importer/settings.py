"""What the user chose: flags over environment over importer.yaml over defaults.

`load_settings` reads them; `Settings` says what there is, with every default. Secrets come from
the environment or a secrets directory alone, and are read when they are asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    model_validator,
)

from importer.documents import read_yaml
from importer.environment import Credentials, credentials, variables
from importer.errors import SettingsError
from importer.setting_layers import (
    flag,
    from_file,
    from_text,
    misspelled_variables,
    placed,
    variable,
)
from importer.setting_values import (
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
    from collections.abc import Mapping

    from importer.model import Json

__all__ = ["FILE_NAME", "Credentials", "Settings", "load_settings"]

FILE_NAME: Final = "importer.yaml"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the settings were found."""

    folder: Path
    file: Path | None


class Settings(BaseModel):
    """Every setting with its default; frozen. Paths are absolute once loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    # where things are
    base_url: BaseUrl = "https://api.joinpopp.com/v1"
    ledger: LedgerUrl = Field(default="sqlite:///importer.db", repr=False)
    templates: Path = Path("templates")
    hmac_key_file: Path | None = None

    # what rows that say nothing get
    default_country: Country | None = None
    campaign: Id | None = None
    external_campaign: Id | None = None
    meeting: TemplateName | None = None
    participants: TemplateName | None = None
    send_during_business_hours: bool | None = None

    # how files are read
    columns: Columns = {}
    encoding: Encoding | None = None
    fallback_encoding: Encoding = "cp1252"
    sheet: str | None = None
    max_bytes: Bytes = 200_000_000
    max_rows: int = Field(default=2_000_000, ge=1)
    max_columns: int = Field(default=1_000, ge=1)
    max_cell_chars: int = Field(default=10_000, ge=1)
    max_expanded_bytes: Bytes = 2_000_000_000

    # what is let through
    severity: Severities = {}
    on_problems: Literal["block", "skip"] = "block"
    skip_duplication_check: bool = False
    round: str = Field(default="", max_length=200)
    conversation: Literal["auto-schedule", "campaign"] = "auto-schedule"

    # how fast, how often
    rate_per_s: float = Field(default=5.0, gt=0, le=10_000, allow_inf_nan=False)
    concurrency: int = Field(default=4, ge=1, le=1_000)
    connect_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 30.0
    write_timeout_s: Seconds = 10.0
    attempts: int = Field(default=5, ge=1, le=100)
    attempts_total_s: Seconds = 300.0
    wait_base_s: Seconds = 0.5
    max_wait_s: Seconds = 60.0

    # how the API speaks
    create_path: ApiPath = "/scheduling/conversations"
    campaign_path: ApiPath = "/conversations"
    list_path: ApiPath = "/conversations"
    id_paths: tuple[Id, ...] = Field(
        default=("id", "data.id", "conversation.id", "conversationId"), min_length=1
    )
    duplicate_statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (409,)
    duplicate_texts: tuple[Id, ...] = ("already exists", "duplicate")

    # guards
    canary: int = Field(default=0, ge=0)
    max_failures: Allowance = None
    max_failures_in_a_row: int = Field(default=10, ge=1)
    contact_window_days: int = Field(default=0, ge=0, le=36_500)
    allow_recent: bool = False

    # doubt, and the ledger
    reconcile: bool = True
    settle_s: Wait = 30.0
    max_pages: int = Field(default=1_000, ge=1)
    ledger_wait_s: Wait = 0.0

    _folder: Path = PrivateAttr(default_factory=Path.cwd)
    _file: Path | None = PrivateAttr(default=None)

    def model_post_init(self, context: Any, /) -> None:
        """Remember where importer.yaml lies, as `load_settings` tells it in the context."""
        if isinstance(context, _Place):
            self._folder, self._file = context.folder, context.file

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


def load_settings(config: Path | None, flags: Mapping[str, object]) -> Settings:
    """Read the settings.

    A relative path is taken from the folder of importer.yaml when it stands there or is a default,
    and from the current folder when environment or command line give it.

    Args:
        config: the settings file; None takes `importer.yaml` of the current folder where there
            is one.
        flags: what the command line says, under the settings' names; None counts as not said.

    Raises:
        SettingsError: something is unknown or wrong; its text has a line for each.
    """
    here = Path.cwd()
    file = config if config is not None else Path(FILE_NAME)
    document = read_yaml(file, SettingsError) if config is not None or file.is_file() else None
    place = _Place(here, None) if document is None else _Place((here / file).parent, here / file)
    layers = (
        from_file(document, Settings),
        from_text(variables(Settings.model_fields), Settings, variable, _COMPOUND),
        from_text(flags, Settings, flag, _COMPOUND),
    )
    wrong = [
        *layers[0].wrong,
        *misspelled_variables(Settings.model_fields),
        *layers[1].wrong,
        *layers[2].wrong,
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))
    values = placed(
        {"ledger": "sqlite:///importer.db", "templates": Path("templates")}, place.folder
    )
    for layer, base in zip(layers, (place.folder, here, here), strict=True):
        for one, other in (("campaign", "external_campaign"), ("external_campaign", "campaign")):
            if one in layer.values:
                values.pop(other, None)
        values.update(placed(layer.values, base))
    return Settings.model_validate(values, context=place)


_COMPOUND: Final = frozenset(
    {"columns", "severity", "id_paths", "duplicate_statuses", "duplicate_texts"}
)
