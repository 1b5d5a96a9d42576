"""What the user chose: flags over environment over importer.yaml over defaults.

`load_settings` reads them; `Settings` says what there is, with every default. Secrets come from
the environment or a secrets directory alone, and are read when they are asked for.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    model_validator,
)

from importer.documents import Document, Mistake, parse, read_yaml, spelled
from importer.environment import PREFIX, Secrets, strangers, variables
from importer.errors import CredentialsError, SettingsError
from importer.mistakes import found_in, near
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
    TemplateName,
    Wait,
)
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from importer.model import Json

FILE_NAME: Final = "importer.yaml"


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are to the API.

    Attributes:
        api_key: sent as `x-api-key`.
        organization_id: sent as `x-organization-id`; part of every submission key.
    """

    api_key: SecretStr
    organization_id: str = field(repr=False)


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
    ledger: LedgerUrl = Field("sqlite:///importer.db", repr=False)
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
    max_rows: int = Field(2_000_000, ge=1)
    max_columns: int = Field(1_000, ge=1)
    max_cell_chars: int = Field(10_000, ge=1)
    max_expanded_bytes: Bytes = 2_000_000_000

    # what is let through
    severity: dict[Code, Severity] = {}
    on_problems: Literal["block", "skip"] = "block"
    skip_duplication_check: bool = False
    round: str = Field("", max_length=200)
    conversation: Literal["auto-schedule", "campaign"] = "auto-schedule"

    # how fast, how often
    rate_per_s: float = Field(5.0, gt=0, le=10_000, allow_inf_nan=False)
    concurrency: int = Field(4, ge=1, le=1_000)
    connect_timeout_s: Seconds = 5.0
    read_timeout_s: Seconds = 30.0
    write_timeout_s: Seconds = 10.0
    attempts: int = Field(5, ge=1, le=100)
    attempts_total_s: Seconds = 300.0
    wait_base_s: Seconds = 0.5
    max_wait_s: Seconds = 60.0

    # how the API speaks
    create_path: ApiPath = "/scheduling/conversations"
    campaign_path: ApiPath = "/conversations"
    list_path: ApiPath = "/conversations"
    id_paths: tuple[Id, ...] = Field(
        ("id", "data.id", "conversation.id", "conversationId"), min_length=1
    )
    duplicate_statuses: tuple[Annotated[int, Field(ge=200, le=499)], ...] = (409,)
    duplicate_texts: tuple[Id, ...] = ("already exists", "duplicate")

    # guards
    canary: int = Field(0, ge=0)
    max_failures: Allowance = None
    max_failures_in_a_row: int = Field(10, ge=1)
    contact_window_days: int = Field(0, ge=0, le=36_500)
    allow_recent: bool = False

    # doubt, and the ledger
    reconcile: bool = True
    settle_s: Wait = 30.0
    max_pages: int = Field(1_000, ge=1)
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
            CredentialsError: one of them is missing.
        """
        secrets = Secrets.read()
        key, organization = secrets.popp_api_key, secrets.popp_organization_id
        if key is None or organization is None:
            missing = ["POPP_API_KEY"] * (key is None)
            missing += ["POPP_ORGANIZATION_ID"] * (organization is None)
            raise CredentialsError(
                f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set.",
                f"Type `{'; '.join(f'export {name}=...' for name in missing)}`, or put a file of "
                "that name into the folder that IMPORTER_SECRETS_DIR names.",
            )
        return Credentials(api_key=key, organization_id=organization.get_secret_value())


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
        _from_file(document),
        _from_text(variables(Settings.model_fields), _variable),
        _from_text(flags, _flag),
    )
    wrong = [*layers[0].wrong, *_misspelled_variables(), *layers[1].wrong, *layers[2].wrong]
    if wrong:
        raise SettingsError("\n".join(wrong))
    values = _placed(
        {"ledger": "sqlite:///importer.db", "templates": Path("templates")}, place.folder
    )
    for layer, base in zip(layers, (place.folder, here, here), strict=True):
        for one, other in (("campaign", "external_campaign"), ("external_campaign", "campaign")):
            if one in layer.values:
                values.pop(other, None)
        values.update(_placed(layer.values, base))
    return Settings.model_validate(values, context=place)


@dataclass(frozen=True, slots=True)
class _Layer:
    """What one place says: valid values, and a line for each mistake."""

    values: Mapping[str, object]
    wrong: list[str]


def _from_file(document: Document | None) -> _Layer:
    """The settings of importer.yaml; types are taken strictly, so `campaign: 42` is a mistake."""
    if document is None:
        return _Layer({}, [])
    value = document.value if document.value is not None else {}
    if not isinstance(value, dict):
        return _Layer({}, [document.describe(Mistake((), "must be a mapping (`key: value`)"))])
    said = {key: item for key, item in value.items() if item is not None}
    values: Mapping[str, object] = {}
    mistakes = [Mistake((key,), _NO_SECRETS, at_key=True) for key in said if _secret(key)]
    known = {key: item for key, item in said.items() if not _secret(key)}
    try:
        values = _given(Settings.model_validate_json(json.dumps(known), strict=True))
    except ValidationError as exc:
        mistakes += found_in(exc, Settings.model_fields)
    try:
        document.refuse(mistakes, SettingsError)
    except SettingsError as exc:
        return _Layer({}, exc.message.splitlines())
    return _Layer(values, [])


def _from_text(said: Mapping[str, object], name: Callable[[str], str]) -> _Layer:
    """The settings of environment or flags, where numbers and switches come as text."""
    wrong: list[str] = []
    given: dict[str, object] = {}
    for key, value in said.items():
        if isinstance(value, str) and key in _COMPOUND:
            try:
                given[key] = parse(value, SettingsError, name(key)).value
            except SettingsError as exc:
                wrong.append(exc.message)
        elif value is not None:
            given[key] = value
    try:
        return _Layer(_given(Settings.model_validate(given)), wrong)
    except ValidationError as exc:
        for mistake in found_in(exc, Settings.model_fields):
            key, rest = (str(mistake.path[0]), mistake.path[1:]) if mistake.path else ("", ())
            inner = f"{spelled(rest)}: " if rest else ""
            wrong.append(f"{name(key)}: {inner}{mistake.message}")
        return _Layer({}, wrong)


def _given(settings: Settings) -> Mapping[str, object]:
    """What was said, without the defaults."""
    return {key: getattr(settings, key) for key in settings.model_fields_set}


def _secret(key: str) -> bool:
    """Whether a key would hold a secret."""
    return key.casefold().replace("-", "_") in _SECRETS


def _misspelled_variables() -> list[str]:
    """A line for each `IMPORTER_*` variable that is no setting but looks like one."""
    names = {f"{PREFIX}{key}".upper() for key in Settings.model_fields}
    close = {stranger: near(stranger, names, 0.85) for stranger in strangers(names=())}
    return [
        f"{stranger}: there is no such setting; did you mean `{meant}`?"
        for stranger, meant in close.items()
        if meant and stranger not in names
    ]


def _variable(key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{key}".upper() if key else "the environment"


def _flag(key: str) -> str:
    """The command line's flag of a setting."""
    return f"--{key.replace('_', '-')}" if key else "the flags"


def _placed(values: Mapping[str, object], base: Path) -> dict[str, object]:
    """The same values, with paths taken from `base`."""
    placed = dict(values)
    for key in ("templates", "hmac_key_file"):
        if isinstance(path := placed.get(key), Path):
            placed[key] = base / path.expanduser()
    if isinstance(url := placed.get("ledger"), str):
        scheme, _, rest = url.partition(":///")
        if scheme.startswith("sqlite") and rest and not rest.startswith((":", "/", "file:")):
            placed["ledger"] = f"{scheme}:///{base / rest}"
    return placed


_NO_SECRETS: Final = (
    "a secret never stands in a file of settings; "
    "set POPP_API_KEY, POPP_ORGANIZATION_ID or IMPORTER_HMAC_KEY in the environment"
)
_SECRETS: Final = frozenset(
    {"api_key", "popp_api_key", "x_api_key", "organization_id", "popp_organization_id", "hmac_key"}
    | {"importer_hmac_key", "organisation_id", "x_organization_id"}
)
_COMPOUND: Final = frozenset(
    {"columns", "severity", "id_paths", "duplicate_statuses", "duplicate_texts"}
)
