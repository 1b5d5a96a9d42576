"""The places that settings come from, each read into valid values and a line for each mistake.

The model of the settings is passed in, so that nothing here knows what settings there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from importer.errors import SettingsError
from importer.settings.secrets import PREFIX, strangers, variables
from importer.settings.settings import Place, Settings
from importer.yaml_files import Document, Mistake, found_in, near, parse, read_yaml, spelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence


_NO_SECRETS: Final = (
    "a secret never stands in a file of settings; "
    "set POPP_API_KEY, POPP_ORGANIZATION_ID or IMPORTER_HMAC_KEY in the environment"
)
_SECRETS: Final = frozenset(
    {
        "api_key",
        "popp_api_key",
        "x_api_key",
        "organization_id",
        "organisation_id",
        "popp_organization_id",
        "x_organization_id",
        "hmac_key",
        "importer_hmac_key",
    }
)
_MAIN_ONLY: Final = (
    "belongs into the main settings: whoever can write to an inbox could send the key, the list "
    "of whom was contacted, or the morning's message elsewhere"
)
_MUST_BE_MAPPING: Final = "must be a mapping (`key: value`)"


@dataclass(frozen=True, slots=True)
class Layer:
    """What one place says: valid values, and a line for each mistake."""

    values: Mapping[str, object]
    wrong: list[str]


def from_file(
    document: Document | None, model: type[BaseModel], main_only: frozenset[str] = frozenset()
) -> Layer:
    """The settings of importer.yaml; types are taken strictly, so `campaign: 42` is a mistake.

    Args:
        document: as it stands, or None where there is none.
        model: what settings there are.
        main_only: settings that this file may not set.
    """
    if document is None:
        return Layer({}, [])
    value = document.value if document.value is not None else {}
    if not isinstance(value, dict):
        return Layer({}, [document.describe(Mistake((), _MUST_BE_MAPPING))])
    said = {key: item for key, item in value.items() if item is not None}
    values: Mapping[str, object] = {}
    mistakes = [Mistake((key,), _NO_SECRETS, at_key=True) for key in said if _secret(key)]
    mistakes += [Mistake((key,), _MAIN_ONLY, at_key=True) for key in said if key in main_only]
    known = {key: said[key] for key in said if not _secret(key) and key not in main_only}
    try:
        values = _given(model.model_validate_json(json.dumps(known), strict=True))
    except ValidationError as exc:
        mistakes += found_in(exc, model.model_fields)
    try:
        document.refuse(mistakes, SettingsError)
    except SettingsError as exc:
        return Layer({}, exc.message.splitlines())
    return Layer(values, [])


def from_text(
    said: Mapping[str, object],
    model: type[BaseModel],
    name: Callable[[str], str],
    compound: frozenset[str],
) -> Layer:
    """The settings of environment or flags, where numbers and switches come as text.

    Args:
        said: setting -> text or value; None counts as not said.
        model: what settings there are.
        name: what the user calls a setting here, such as `--rate-per-s`.
        compound: the settings that are lists or mappings; their text is read as YAML.
    """
    wrong: list[str] = []
    given: dict[str, object] = {}
    for key, value in said.items():
        if isinstance(value, str) and key in compound:
            try:
                given[key] = parse(value, SettingsError, name(key)).value
            except SettingsError as exc:
                wrong.append(exc.message)
        elif value is not None:
            given[key] = value
    try:
        return Layer(_given(model.model_validate(given)), wrong)
    except ValidationError as exc:
        for mistake in found_in(exc, model.model_fields):
            key, rest = (str(mistake.path[0]), mistake.path[1:]) if mistake.path else ("", ())
            inner = f"{spelled(rest)}: " if rest else ""
            wrong.append(f"{name(key)}: {inner}{mistake.message}")
        return Layer({}, wrong)


def _given(settings: BaseModel) -> Mapping[str, object]:
    """What was said, without the defaults."""
    return {key: getattr(settings, key) for key in settings.model_fields_set}


def _secret(key: str) -> bool:
    """Whether a key would hold a secret."""
    return key.casefold().replace("-", "_") in _SECRETS


def misspelled_variables(keys: Iterable[str]) -> list[str]:
    """A line for each `IMPORTER_*` variable that is no setting but looks like one."""
    names = list(keys)
    variables = [variable(name) for name in names]
    close = {stranger: near(stranger, variables, 0.85) for stranger in strangers(names)}
    return [
        f"{stranger}: there is no such setting; did you mean `{meant}`?"
        for stranger, meant in close.items()
        if meant
    ]


def variable(key: str) -> str:
    """The environment variable of a setting."""
    return f"{PREFIX}{key}".upper() if key else "the environment"


def flag(key: str) -> str:
    """The command line's flag of a setting."""
    return f"--{key.replace('_', '-')}" if key else "the flags"


def placed(values: Mapping[str, object], base: Path) -> dict[str, object]:
    """The same values, with paths taken from `base`."""
    found = dict(values)
    for key in ("templates", "desk", "hmac_key_file", "log_file", "metrics_file"):
        if isinstance(path := found.get(key), Path):
            found[key] = base / path.expanduser()
    if isinstance(url := found.get("ledger"), str):
        scheme, _, rest = url.partition(":///")
        if scheme.startswith("sqlite") and rest and not rest.startswith((":", "/", "file:")):
            found["ledger"] = f"{scheme}:///{base / rest}"
    return found


FILE_NAME: Final = "importer.yaml"

IN_AN_INBOX: Final = frozenset(
    (
        *("base_url", "hmac_key_file", "desk", "log_file", "metrics_file"),
        *("notify", "mail_to", "mail_from", "smtp", "smtp_security", "smtp_user"),
    )
)
"""What no file in an inbox may set: where secrets and messages go, and what is the night's own."""


def load_settings(
    config: Path | None,
    flags: Mapping[str, object],
    over: Sequence[Path] = (),
    main_only: frozenset[str] = IN_AN_INBOX,
) -> Settings:
    """Read the settings.

    A relative path is taken from the folder of importer.yaml when it stands there or is a default,
    and from the current folder when environment or command line give it.

    Args:
        config: the settings file; None takes `importer.yaml` of the current folder where there
            is one.
        flags: what the command line says, under the settings' names; None counts as not said.
        over: further files, each over the ones before it; what they do not say stays.
        main_only: settings that these further files may not set.

    Raises:
        SettingsError: something is unknown or wrong; its text has a line for each.
    """
    here = Path.cwd()
    file = config if config is not None else Path(FILE_NAME)
    document = read_yaml(file, SettingsError) if config is not None or file.is_file() else None
    given = {name: value for name, value in flags.items() if value is not None}
    place = Place(here, None, given)
    if document is not None:
        place = Place((here / file).parent, here / file, given)
    files = [from_file(document, Settings)]
    files += [from_file(read_yaml(each, SettingsError), Settings, main_only) for each in over]
    said = (
        from_text(variables(Settings.model_fields), Settings, variable, _COMPOUND),
        from_text(flags, Settings, flag, _COMPOUND),
    )
    layers = (*files, *said)
    bases = (place.folder, *((here / each).parent for each in over), here, here)
    wrong = [
        *(mistake for layer in files for mistake in layer.wrong),
        *misspelled_variables(Settings.model_fields),
        *(mistake for layer in said for mistake in layer.wrong),
    ]
    if wrong:
        raise SettingsError("\n".join(wrong))
    values = placed(
        {
            "ledger": "sqlite:///importer.db",
            "templates": Path("templates"),
            "desk": Path("desk"),
        },
        place.folder,
    )
    for layer, base in zip(layers, bases, strict=True):
        for one, other in (("campaign", "external_campaign"), ("external_campaign", "campaign")):
            if one in layer.values:
                values.pop(other, None)
        values.update(placed(layer.values, base))
    return Settings.model_validate(values, context=place)


_COMPOUND: Final = frozenset(
    {"columns", "severity", "id_paths", "duplicate_statuses", "duplicate_texts", "mail_to"}
)
