"""Settings as flags: names, types and help texts come from the model of the settings."""

from __future__ import annotations

import os
import re
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

import click
from rich.console import Console

from importer.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Callable

_PASSWORD: Final = re.compile(r"(?<=:)[^:/@]+(?=@)")
_F = TypeVar("_F", bound="Callable[..., Any]")


def settings_flags(*names: str) -> Callable[[_F], _F]:
    """Add --config and a flag for each named setting; they arrive as keyword arguments."""

    def decorate(command: _F) -> _F:
        for name in reversed(names):
            command = _flag(name)(command)
        for switch in (_VERBOSE, _QUIET, _CONFIG):
            command = switch(command)
        return command

    return decorate


_LOUDNESS: Final = "importer.loudness"


def _note_loudness(
    context: click.Context,
    switch: click.Parameter,
    given: bool,  # noqa: FBT001 - click's signature
) -> None:
    if given:
        context.meta[_LOUDNESS] = switch.name


_CONFIG: Final = click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Settings file; by default the nearest importer.yaml in this folder or above it.",
)
_QUIET: Final = click.option(
    "-q",
    "--quiet",
    is_flag=True,
    expose_value=False,
    callback=_note_loudness,
    help="Show only what was asked for, questions, and what is wrong.",
)
_VERBOSE: Final = click.option(
    "-v",
    "--verbose",
    is_flag=True,
    expose_value=False,
    callback=_note_loudness,
    help="Also show which settings file, ledger and API are used.",
)


def _loudness() -> str:
    """`quiet`, `verbose`, or empty."""
    context = click.get_current_context(silent=True)
    return "" if context is None else str(context.meta.get(_LOUDNESS, ""))


def is_quiet() -> bool:
    """Whether the command has the flag -q."""
    return _loudness() == "quiet"


def messages() -> Console:
    """Return the console of standard error; silent with the flag -q."""
    return Console(stderr=True, quiet=is_quiet())


def tell(sentence: str) -> None:
    """Print a message on standard error, unless the flag -q is given."""
    if not is_quiet():
        click.echo(sentence, err=True)


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
    """Load the settings from file, environment and flags, and say which file was found.

    A file in the current folder or named with --config is no news.
    """
    settings = load_settings(
        config, {name: value for name, value in flags.items() if value is not None}
    )
    file = settings.file
    if _loudness() == "verbose":
        api = f"{settings.base_url}{' (rehearsal)' if settings.rehearsal else ''}"
        tell(f"Settings: {file or 'no importer.yaml, defaults apply'}")
        tell(f"Ledger: {_PASSWORD.sub('***', settings.ledger)}\nAPI: {api}")
    elif file is None:
        if not any(name.startswith("IMPORTER_") for name in os.environ):
            tell("No importer.yaml was found here or above; defaults apply.")
    elif config is None and file.parent != Path.cwd():
        tell(f"Settings: {file}")
    return settings


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
