"""The places that settings come from, each read into valid values and a line for each mistake.

The model of the settings is passed in, so that nothing here knows what settings there are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ValidationError

from importer.documents import Document, Mistake, parse, spelled
from importer.errors import SettingsError
from importer.mistakes import found_in, near
from importer.settings.environment import PREFIX, strangers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

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
