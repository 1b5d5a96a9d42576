"""`importer columns` and `explain`: map headers, and look up what something means."""

from __future__ import annotations

import csv
import difflib
import sys
from importlib.resources import files
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Final, Literal, TextIO, Union, get_args, get_origin

import click
from click.shell_completion import get_completion_class
from rich.console import Group
from rich.markdown import Markdown
from rich.padding import Padding
from rich.text import Text

from importer.atomic_file import replace_file
from importer.cli.init_command import editor_schemas, mapping_to_save, problem_line
from importer.cli.options import Output, json_format, read_settings, settings_flags
from importer.errors import EXIT_MEANING, RUN_AGAIN, Exit, UsageError
from importer.languages import translate, translate_filled
from importer.loader import expand, load
from importer.loader.headers import reason_for
from importer.masking import mask, scrub
from importer.model import STATE_ADVICE, STATE_MEANING, State
from importer.problems import errors, in_words
from importer.report.export import ending_json, read_schemas, write_json
from importer.report.terminal import plain_table, section
from importer.settings import FILE_NAME, Settings
from importer.settings.settings import FLAGS, NightlySettings, commands_of
from importer.settings.sources import with_columns
from importer.settings.values import FATAL, ValueHelp, descriptions
from schemas.codes import WORDS, Code, Severity
from schemas.columns import BY_NAME, COLUMNS

if TYPE_CHECKING:
    from rich.console import RenderableType

    from importer.model import Json, Table


def columns_table() -> RenderableType:
    """Return every canonical column with its meaning, an example and its English aliases."""
    table = plain_table("column", "what it says", "example", "also understood")
    for column in COLUMNS:
        table.add_row(
            Text(column.name, style="bold"),
            Text(translate(column.about)),
            Text(column.example),
            Text(", ".join(column.aliases), style="dim"),
        )
    return table


def write_empty_csv(out: TextIO) -> None:
    """Write a CSV with nothing but the header, to fill in."""
    csv.writer(out).writerow(column.name for column in COLUMNS)


def mapping_table(table: Table, settings: Settings) -> RenderableType:
    """Return how each header of a file is read and why, with a few of its values, masked."""
    lines = plain_table("header", "is read as", "why", "values", "in templates")
    second = {name: column for column, names in table.fallbacks.items() for name in names}
    for header, column in table.mapping.items():
        area = table.prefixes.get(header)
        read_as = Text(column, style="bold").append(
            translate(", after “{area}”", area=area) if area else "", "not bold"
        )
        lines.add_row(
            Text(header),
            read_as,
            Text(translate_filled(reason_for(header, settings.columns)), style="dim"),
            Text(_samples(table, header, personal=BY_NAME[column].personal)),
            Text(f"{{{column}}}", style="dim"),
        )
    for header, name in table.extra.items():
        stands_in = second.get(header)
        read_as = Text(
            translate("{column}, if empty above", column=stands_in)
            if stands_in
            else translate("a column of your own")
        )
        why = translate_filled(reason_for(header, settings.columns)) if stands_in else ""
        values = _samples(table, header, personal=stands_in is not None)
        lines.add_row(
            Text(header), read_as, Text(why, style="dim"), Text(values), Text(f"{{{name}}}", "dim")
        )
    for header in table.ignored:
        lines.add_row(
            Text(header), Text(translate("left out"), style="dim"), Text(), Text(), Text()
        )
    return Group(*section(table.source.name), lines)


_SAMPLES = 3
_SAMPLE_CHARS = 24


def _samples(table: Table, header: str, *, personal: bool) -> str:
    """Return the first few different values of a column, masked as a terminal should show them."""
    if header not in table.frame.columns:
        return ""
    cells = table.frame.get_column(header).drop_nulls().unique(maintain_order=True)
    hide = mask if personal else scrub
    shown = [hide(" ".join(cell.split()))[:_SAMPLE_CHARS] for cell in cells.head(_SAMPLES)]
    return ", ".join(dict.fromkeys(shown)) or translate("empty")


@click.command(short_help="List the known columns, or show how the headers of FILE are read.")
@click.argument("names", nargs=-1, metavar="[FILE...]")
@click.option("--csv", "as_csv", is_flag=True, help="Write an empty spreadsheet to fill in.")
@click.option(
    "--save", is_flag=True, help="Write how the headers of FILE are read into importer.yaml."
)
@json_format
@settings_flags(*FLAGS["columns"])
def columns(
    names: tuple[str, ...],
    *,
    as_csv: bool,
    save: bool,
    form: str,
    config: Path | None,
    **flags: object,
) -> int:
    """List the known columns and their aliases, or show how the headers of FILE are read.

    Any other header is a column of your own: templates can use it under the name shown. Map
    headers yourself under `columns:` in importer.yaml.
    """
    if as_csv:
        write_empty_csv(sys.stdout)
        return Exit.OK
    settings = read_settings(config, flags) if names else Settings()
    tables = [load(name, settings) for name in expand(names)] if names else []
    if form == "text":
        console = Output()
        mappings = [mapping_table(table, settings) for table in tables]
        console.print(*([] if names else [columns_table()]), *mappings, sep="\n")
    for table in tables:
        for problem in in_words(table.problems, [table]):
            click.echo(problem_line(problem), err=True)
    if save and names:
        file = settings.file or Path(FILE_NAME)
        text = with_columns(file, mapping_to_save(tables))
        with replace_file(file) as out:
            out.write(text)
        click.echo(translate("wrote {file}", file=file), err=True)
    bad = any(errors(table.problems).height and not table.frame.height for table in tables)
    code = Exit.INPUT if bad else Exit.OK
    if form == "json":
        known_columns: list[Json] = [
            {
                "name": each.name,
                "about": each.about,
                "example": each.example,
                "sent_as": each.api_key,
                "aliases": list(each.aliases),
            }
            for each in COLUMNS
        ]
        of_files: list[Json] = [_mapping_json(each) for each in tables]
        document = {**ending_json(code), "columns": known_columns, "files": of_files}
        write_json(document, sys.stdout)
    return code


def _mapping_json(table: Table) -> dict[str, Json]:
    """Return how the headers of a file are read, and what is wrong with them."""
    return {
        "name": table.source.name,
        "columns": dict(table.mapping),
        "extra_columns": dict(table.extra),
        "ignored_columns": list(table.ignored),
        "problems": [
            {
                "code": each.code.value,
                "severity": each.severity.value,
                "message": each.message,
                "fix": each.fix,
            }
            for each in in_words(table.problems, [table])
        ],
    }


CONSEQUENCE = {
    Severity.ERROR: "An error: the row is not sent.",
    Severity.WARNING: "A warning: the row is sent.",
    Severity.INFO: "For information: the row is sent.",
}
"""Severity -> what follows for a row."""


@click.command(
    short_help="Explain a code, setting, column, state, exit code or document.",
    context_settings={"ignore_unknown_options": True},  # `--rate-per-s` is a topic
)
@click.argument("topic", required=False, metavar="[TOPIC]")
@click.option(
    "--schema",
    metavar="NAME",
    help="Print a JSON schema: of the JSON of a command (run), of settings, or of templates.",
)
def explain(topic: str | None, *, schema: str | None) -> None:
    """Explain TOPIC: a code of a problem, a setting, a column, a state, an exit code, a document.

    Without TOPIC, list what can be explained.
    """
    if schema is not None:
        click.echo(_find_schema(schema), nl=False)
        return
    console = Output()
    if topic is None:
        console.print(_overview())
        return
    wanted = topic.strip().lower().removeprefix("--")
    found = next((each for each in (wanted, wanted.replace("-", "_")) if each in _topics()), None)
    if found is None:
        raise UsageError(f"There is nothing called {topic} to explain.", _did_you_mean(wanted))
    console.print(_explanation(found))


def _find_schema(name: str) -> str:
    """Return a published JSON schema."""
    known = read_schemas() | editor_schemas()
    if name not in known:
        raise UsageError(
            f"There is no JSON schema called {name}.", f"There are {', '.join(known)}."
        )
    return known[name]


def _documents() -> dict[str, str]:
    """Name of a document -> its text."""
    folder = files("importer") / "docs"
    return {
        each.name.removesuffix(".md"): each.read_text("utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".md")
    }


def _topics() -> list[str]:
    codes, states = [code.value for code in Code], [state.value for state in State]
    exits = [str(code.value) for code in Exit]
    return [*codes, *states, *exits, *Settings.model_fields, *BY_NAME, *_documents()]


def _did_you_mean(wanted: str) -> str:
    close = difflib.get_close_matches(wanted, _topics(), n=3, cutoff=0.6)
    if close:
        return translate("Did you mean {names}?", names=translate(" or ").join(close))
    return translate("`importer explain` lists what there is.")


def _explanation(topic: str) -> RenderableType:
    """Explain a topic; a word may be several things, such as a setting and a column."""
    parts: list[RenderableType] = []
    if topic in set(Code):
        parts.append(_of_code(Code(topic)))
    if topic in set(State):
        parts.append(_of_state(State(topic)))
    if topic.isdigit():
        code = Exit(int(topic))
        parts.append(
            _titled(
                translate("Exit code {code}", code=topic),
                translate(EXIT_MEANING[code]),
                translate("Run again? {answer}", answer=translate(RUN_AGAIN[code])),
            )
        )
    if topic in Settings.model_fields:
        parts.append(_of_setting(topic))
    if topic in BY_NAME:
        parts.append(_of_column(topic))
    if topic in _documents():
        parts.append(Markdown(_documents()[topic]))
    return Group(*parts)


def _titled(title: str, *lines: str) -> RenderableType:
    """Return a title with indented lines; long lines are indented as a whole."""
    return Group(
        Text(title, style="bold"), *(Padding(Text(line), (0, 0, 0, 2)) for line in lines), Text()
    )


def _of_code(code: Code) -> RenderableType:
    """Explain a code: its message, what to do, what follows for the row, and how to change that."""
    words = WORDS[code]
    message = translate(words.message).replace("{detail}", "…").replace("{header}", "…")
    other = Severity.WARNING if words.severity is Severity.ERROR else Severity.ERROR
    change = (
        translate("It always stays an error.")
        if code in FATAL
        else translate(
            "To change that, in importer.yaml: {setting}",
            setting=f"severity: {{{code.value}: {other.value}}}",
        )
    )
    consequence = translate(CONSEQUENCE[words.severity])
    return _titled(
        translate("Code {code}", code=code.value),
        message,
        translate(words.fix),
        consequence,
        change,
    )


def _of_state(state: State) -> RenderableType:
    meaning = translate(STATE_MEANING[state])
    title = translate("State {state}", state=state.value)
    return _titled(title, f"{meaning[:1].upper()}{meaning[1:]}.", translate(STATE_ADVICE[state]))


_ONLY_AS_FLAG: Final = frozenset({"new_ledger"})
_ONLY_IN_FILE: Final = frozenset({"folders"})


def _of_setting(name: str) -> RenderableType:
    """Explain a setting: what it does, its values, its places, and the commands that use it."""
    flag = f"--{name.replace('_', '-')}"
    with_flag = [command for command, names in FLAGS.items() if name in names]
    places = []
    if name not in _ONLY_AS_FLAG:
        places.append(f"importer.yaml: {example_line(name)}")
    if name not in _ONLY_AS_FLAG | _ONLY_IN_FILE:
        places.append(f"{translate('Environment:'):14} IMPORTER_{name.upper()}")
    if with_flag:
        commands = ", ".join(with_flag)
        places.append(
            f"{translate('Flag:'):14} "
            + translate("{flag} of {commands}", flag=flag, commands=commands)
        )
    return _titled(
        translate("Setting {name} (nightly imports)", name=name)
        if name in NightlySettings.model_fields
        else translate("Setting {name}", name=name),
        translate(descriptions(Settings).get(name, "")),
        "",
        f"{translate('Values:'):14} {_values(name)}",
        f"{translate('Default:'):14} {_default(name)}",
        *places,
        f"{translate('Used by:'):14} {', '.join(commands_of(name))}",
    )


def example_line(name: str) -> str:
    """Return a line of importer.yaml that sets a setting."""
    field = Settings.model_fields[name]
    default = field.get_default(call_default_factory=True)
    kind = _plain_type(field.annotation)
    known = help_of(name)
    if known is not None:
        value = known.example
    elif isinstance(default, bool) or kind is bool:
        value = str(not default).lower()
    elif choices := _choices(field.annotation):
        value = next(choice for choice in choices if choice != default)
    elif isinstance(default, tuple):
        value = f"[{', '.join(map(str, default))}]"
    else:
        value = str(default or _EXAMPLES.get(name, "list"))
    return f"{name}: {value}"


_EXAMPLES: Final = {
    "hmac_key_file": "importer.key",
    "sheet": "Candidates",
    "canary": "3",
    "contact_window_days": "30",
    "ledger_wait_s": "60",
    "senders_per_org": "2",
    "round": "second-interview",
    "ca_file": "company-ca.pem",
    "smtp_user": "importer",
    "log_file": "nightly.log",
    "metrics_file": "/var/lib/node_exporter/importer.prom",
}
"""Examples of settings without a default whose type has no example."""


def _default(name: str) -> str:
    default = Settings.model_fields[name].get_default(call_default_factory=True)
    if default is None or default in ("", {}, ()):
        return translate("none")
    if isinstance(default, tuple):
        return ", ".join(map(str, default))
    return str(default).lower() if isinstance(default, bool) else str(default)


def _values(name: str) -> str:
    """Return which values a setting can have, in words."""
    field = Settings.model_fields[name]
    known = help_of(name)
    kind = _plain_type(field.annotation)
    if known is not None:
        words = translate(known.words)
    elif choices := _choices(field.annotation):
        words = translate(" or ").join((", ".join(choices[:-1]), choices[-1]))
    else:
        words = next(
            (translate(each) for key, each in KINDS.items() if kind is key), translate("text")
        )
    if kind in {int, float} and known is None:
        words += "".join(
            f", {translate(text)} {getattr(each, key):,g}"
            for each in field.metadata
            for key, text in BOUNDS.items()
            if getattr(each, key, None) is not None
        )
    return words


KINDS: Final = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    Path: "a path",
    tuple: "a list",
}
_UNIONS: Final = (Union, UnionType)
BOUNDS: Final = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}


def help_of(name: str) -> ValueHelp | None:
    """Return the help in the type of a setting, if it has one."""
    field = Settings.model_fields[name]
    kinds = get_args(field.annotation) if get_origin(field.annotation) in _UNIONS else ()
    inner = [part for kind in kinds for part in get_args(kind)]
    return next((each for each in (*field.metadata, *inner) if isinstance(each, ValueHelp)), None)


def _plain_type(annotation: object) -> object:
    """Return a type without None, metadata and arguments."""
    if get_origin(annotation) in _UNIONS:
        annotation = next(kind for kind in get_args(annotation) if kind is not NoneType)
    origin = get_origin(annotation)
    if origin is Annotated:
        return _plain_type(get_args(annotation)[0])
    return origin or annotation


def _choices(annotation: object) -> list[str]:
    return list(get_args(annotation)) if get_origin(annotation) is Literal else []


def _of_column(name: str) -> RenderableType:
    column = BY_NAME[name]
    sent = [translate("Sent as {key}.", key=column.api_key)] if column.api_key else []
    return _titled(
        translate("Column {name}", name=name),
        translate(column.about),
        *sent,
        translate("Example: {example}", example=column.example),
        translate(
            "Also understood: {names}, and the like in other languages.",
            names=", ".join(column.aliases),
        ),
    )


def _overview() -> RenderableType:
    documents = ", ".join(_documents())
    return Group(
        _titled(translate("Documents"), documents),
        _titled(translate("Codes of problems"), ", ".join(code.value for code in Code)),
        _titled(translate("States of a submission"), ", ".join(state.value for state in State)),
        _titled(translate("Exit codes"), ", ".join(str(code.value) for code in Exit)),
        _titled(translate("JSON schemas (--schema)"), ", ".join(read_schemas() | editor_schemas())),
        _titled(translate("Settings"), ", ".join(Settings.model_fields)),
        _titled(translate("Columns"), ", ".join(BY_NAME)),
    )


@click.command(short_help="Print the script that makes a shell complete commands and flags.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script that makes SHELL complete commands and flags of importer.

    \b
    bash: importer completion bash > ~/.local/share/bash-completion/completions/importer
    zsh:  importer completion zsh > ~/.zfunc/_importer
    fish: importer completion fish > ~/.config/fish/completions/importer.fish

    For zsh, fpath must contain ~/.zfunc.
    """  # noqa: D301 - click wraps no line after a \b
    from importer.cli.main import cli  # noqa: PLC0415 - it imports this module for a command

    kind = get_completion_class(shell)
    if kind is None:  # click knows the three
        raise UsageError(f"There is no completion for {shell}.")
    click.echo(kind(cli, {}, "importer", "_IMPORTER_COMPLETE").source())
