"""Settings as flags: names, types and help texts come from the model of the settings."""

from __future__ import annotations

import glob
import os
import re
from contextlib import contextmanager
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar, get_args, get_origin

import click
from rich.console import Console

from importer.atomic_file import refuse_unwritable
from importer.errors import ConfigurationError, UsageError
from importer.languages import translate, translate_filled, translate_word
from importer.settings import Settings, load_settings
from importer.settings.values import descriptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

OUT_FILE: Final = click.Path(dir_okay=False, path_type=Path)
"""The type of a flag that names a file to write."""

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
    """Return `quiet`, `verbose`, or an empty text."""
    context = click.get_current_context(silent=True)
    return "" if context is None else str(context.meta.get(_LOUDNESS, ""))


def is_quiet() -> bool:
    """Whether the command has the flag -q."""
    return _loudness() == "quiet"


def is_verbose() -> bool:
    """Whether the command has the flag -v."""
    return _loudness() == "verbose"


class Output(Console):
    """Standard output; if its reader has closed it (`| head`), the command ends well."""

    def on_broken_pipe(self) -> None:
        """Say so to `main`; rich would end with 1, which means rejected rows."""
        raise BrokenPipeError


def messages() -> Console:
    """Return the console of standard error; silent with the flag -q."""
    return Console(stderr=True, quiet=is_quiet())


def show_upgrades() -> None:
    """Tell on standard error how far the upgrade of a large ledger is."""
    from importer.ledger.connection import on_upgrade  # noqa: PLC0415 - the caller has it already

    told = 0

    def tell_upgrade(done: int, total: int) -> None:
        nonlocal told
        if total >= _MANY_ROWS and (done * _TENTHS // total > told or not told):
            told = max(1, done * _TENTHS // total)
            tell(
                translate(
                    "Upgrading the ledger: {done} of {total} rows are copied.",
                    done=f"{done:,}",
                    total=f"{total:,}",
                )
            )

    on_upgrade.set(tell_upgrade)


_MANY_ROWS: Final = 100_000
_TENTHS: Final = 10


def tell(sentence: str) -> None:
    """Print a message on standard error, unless the flag -q is given.

    A message of several sentences is translated line by line.
    """
    if not is_quiet():
        lines = (translate_filled(line) for line in sentence.split("\n"))
        click.echo("\n".join(lines), err=True)


def confirm(question: str) -> bool:
    """Ask a question on standard error; Enter means no."""
    yes = translate_word("yes")
    while True:
        asked = f"{question} [{yes[0]}/N]"
        answer = click.prompt(asked, default="", show_default=False, err=True).strip().lower()
        if answer in {"y", "yes", yes, yes[0]}:
            return True
        if answer in {"", "n", "no", translate_word("no")}:
            return False
        click.echo(translate("Error: invalid input"), err=True)


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

    A file in the current folder, or one named with --config, is not mentioned.
    """
    settings = load_settings(
        config, {name: value for name, value in flags.items() if value is not None}
    )
    tell_settings(settings, config)
    return settings


def tell_settings(settings: Settings, config: Path | None) -> None:
    """Say which settings file was found, unless that is plain."""
    file = settings.file
    if is_verbose():
        api = f"{settings.base_url}{' (rehearsal)' if settings.rehearsal else ''}"
        tell(f"Settings: {file or 'no importer.yaml, defaults apply'}")
        tell(f"Ledger: {_PASSWORD.sub('***', settings.ledger)}\nAPI: {api}")
    elif file is None:
        if not any(name.startswith("IMPORTER_") for name in os.environ):
            tell("No importer.yaml was found here or above; defaults apply.")
    elif config is None and file.parent != Path.cwd():
        tell(f"Settings: {file}")


@contextmanager
def naming_settings(settings: Settings) -> Iterator[None]:
    """Add to an error about ledger or settings that there was no settings file."""
    try:
        yield
    except ConfigurationError as error:
        named = any(name.startswith("IMPORTER_") for name in os.environ)
        if settings.file is None and not named:
            error.fix = (
                f"{error.fix} Or is the settings file missing? There is no importer.yaml in "
                f"{Path.cwd()} or above it, so defaults apply; name yours with --config."
            ).strip()
        raise


class _SettingOption(click.Option):
    """The flag of a setting. Its help is the setting's description, which is read when shown."""

    @property
    def help(self) -> str | None:
        """The text for `--help`."""
        return self._help or descriptions(Settings)[str(self.name)]

    @help.setter  # noqa: A003 (click's name)
    def help(self, text: str | None) -> None:
        self._help = text


def _flag(name: str) -> Callable[[_F], _F]:
    field = Settings.model_fields[name]
    kind = _kind(field.annotation)
    flag = "--" + name.replace("_", "-")
    if kind is bool:
        return click.option(flag, name, cls=_SettingOption, is_flag=True, default=None)
    return click.option(flag, name, cls=_SettingOption, type=kind, default=None)


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


def check_outputs(
    outputs: Mapping[str, Path | Sequence[Path] | None],
    inputs: Iterable[str | Path],
    settings: Settings,
) -> None:
    """Check before long work that every output can be written and replaces nothing that matters.

    Args:
        outputs: flag, such as `--report`, -> the file or files to be written later; None is
            skipped.
        inputs: the files that are read; names that are no file, such as `-`, are skipped.
        settings: name the settings file, the templates, the ledger and its key.

    Raises:
        UsageError: an output is an input, a settings file, a template, the ledger or a file beside
            it, or another output, by any path or link; or as `replace_file` raises it.
            Nothing is touched.
    """
    taken = [(f"the input {_input_file(each)}", _input_file(each)) for each in inputs]
    taken += _files_of(settings)
    paths = [
        (flag, path)
        for flag, named in outputs.items()
        for path in ([named] if isinstance(named, Path) else named or ())
    ]
    for flag, path in paths:
        for what, other in taken:
            if _is_same_file(path, other):
                raise UsageError(
                    f"{flag} {path} would overwrite {what}.", "Choose another name for it."
                )
        taken.append((f"what {flag} writes", path))
    refuse_unwritable(*(path for _, path in paths))


def _input_file(name: str | Path) -> Path:
    """Return the file of an input; for a file in an archive (`lists.zip/a.csv`) the archive."""
    path = Path(name)
    return next((each for each in (path, *path.parents) if each.is_file()), path)


def _files_of(settings: Settings) -> Iterator[tuple[str, Path]]:
    """Yield what the settings name and no output may replace, with a name for each."""
    if settings.file is not None:
        yield "the settings", settings.file
    if settings.templates.is_dir():
        for path in settings.templates.rglob("*"):
            yield f"the template {path.name}", path
    if settings.hmac_key_file is not None:
        yield "the ledger's key", settings.hmac_key_file
    for ledger in (settings.ledger_file, settings.unused_ledger_file):
        if ledger is None:
            continue
        yield "the ledger", ledger
        for path in ledger.parent.glob(f"{glob.escape(ledger.name)}?*"):
            yield f"a file of the ledger, {path.name}", path
        yield "the ledger's key", ledger.with_name(f"{ledger.name}.key")


def _is_same_file(one: Path, other: Path) -> bool:
    """Whether two paths lead to one file, by links and other spellings too."""
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there
        return one.resolve() == other.resolve()
