"""Settings as flags: names, types and help texts come from the model of the settings."""

from __future__ import annotations

from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, get_origin

import click

from importer.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

_F = TypeVar("_F", bound="Callable[..., Any]")


def settings_flags(*names: str) -> Callable[[_F], _F]:
    """Add --config and a flag for each named setting; they arrive as keyword arguments."""

    def decorate(command: _F) -> _F:
        for name in reversed(names):
            command = _flag(name)(command)
        return click.option(
            "--config",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Settings file; by default importer.yaml in this folder, if there is one.",
        )(command)

    return decorate


def json_format(command: _F) -> _F:
    """Add --format text|json, as the argument `form`."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(["text", "json"]),
        default="text",
        show_default=True,
        help="json: print the result as JSON on standard output.",
    )(command)


def read_settings(config: Path | None, flags: dict[str, object]) -> Settings:
    """Load the settings from file, environment and the given flags."""
    return load_settings(
        config, {name: value for name, value in flags.items() if value is not None}
    )


def _flag(name: str) -> Callable[[_F], _F]:
    field = Settings.model_fields[name]
    kind = _kind(field.annotation)
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        return click.option(flag, name, is_flag=True, default=None, help=field.description)
    return click.option(flag, name, type=kind, default=None, help=field.description)


def _kind(annotation: object) -> Any:
    """Return the click type of a setting: its own type without None; text for a union."""
    if get_origin(annotation) is Literal:
        return click.Choice([str(choice) for choice in get_args(annotation)])
    if isinstance(annotation, UnionType):
        kinds = [kind for kind in get_args(annotation) if kind is not NoneType]
        return _kind(kinds[0]) if len(kinds) == 1 else str
    if annotation in {int, float, bool, str}:
        return annotation
    return str
