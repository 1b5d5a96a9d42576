"""`importer init` and `importer columns`: start a project, and map the headers of a file."""

from __future__ import annotations

import csv
import shlex
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from rich.console import Console, Group
from rich.text import Text

from importer.cli.options import read_settings, settings_flags
from importer.errors import Exit, UsageError
from importer.loader import expand, load
from importer.problems import errors, in_words
from importer.report.atomic_file import replace_file
from importer.report.terminal import plain_table, section
from importer.settings import FILE_NAME
from importer.settings.flags import FLAGS
from importer.settings.save import with_columns
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rich.console import RenderableType

    from importer.model import Table


def columns_table() -> RenderableType:
    """Return every canonical column with its meaning, an example and its English aliases."""
    table = plain_table("column", "what it says", "example", "also understood")
    for column in COLUMNS:
        table.add_row(
            Text(column.name, style="bold"),
            Text(column.about),
            Text(column.example),
            Text(", ".join(column.aliases), style="dim"),
        )
    return table


def write_empty_csv(out: TextIO) -> None:
    """Write a CSV with nothing but the header, to fill in."""
    csv.writer(out).writerow(column.name for column in COLUMNS)


def mapping_table(table: Table) -> RenderableType:
    """Return how each header of a file is read, and the headers that are left over."""
    lines = plain_table("header", "is read as", "in templates")
    for header, column in table.mapping.items():
        lines.add_row(Text(header), Text(column, style="bold"), Text(f"{{{column}}}", style="dim"))
    for header, name in table.extra.items():
        lines.add_row(Text(header), Text("a column of your own"), Text(f"{{{name}}}", style="dim"))
    for header in table.ignored:
        lines.add_row(Text(header), Text("left out", style="dim"), Text())
    return Group(*section(table.source.name), lines)


@click.command(short_help="Write settings, templates and a spreadsheet to start from.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Write settings, templates and a spreadsheet to start from into FOLDER (default: here).

    Existing files are never overwritten.
    """
    starter = files("importer.cli") / "starter"
    there = [folder / path for path, _ in _list_files(starter) if (folder / path).exists()]
    if there:
        raise UsageError(
            f"Nothing was written: {', '.join(map(str, there))} already exists.",
            "Choose another folder: `importer init FOLDER`.",
        )
    for path, content in _list_files(starter):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read_bytes())
        click.echo(f"wrote {target}", err=True)
    go = "" if folder == Path() else f"`cd {shlex.quote(str(folder))}`, "
    click.echo(f"Next: {go}edit the templates, then `importer check candidates.csv`.", err=True)


def _list_files(folder: Traversable, prefix: Path = Path()) -> list[tuple[Path, Traversable]]:
    """List every file below a folder of the package with its relative path, in a stable order."""
    found: list[tuple[Path, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found.extend(_list_files(entry, prefix / entry.name))
        else:
            found.append((prefix / entry.name, entry))
    return found


@click.command(short_help="List the known columns, or show how the headers of FILE are read.")
@click.argument("names", nargs=-1, metavar="[FILE...]")
@click.option("--csv", "as_csv", is_flag=True, help="Write an empty spreadsheet to fill in.")
@click.option(
    "--save", is_flag=True, help="Write how the headers of FILE are read into importer.yaml."
)
@settings_flags(*FLAGS["columns"])
def columns(
    names: tuple[str, ...], *, as_csv: bool, save: bool, config: Path | None, **flags: object
) -> int:
    """List the known columns and their aliases, or show how the headers of FILE are read.

    Any other header is a column of your own: templates can use it under the name shown. Map
    headers yourself under `columns:` in importer.yaml.
    """
    if as_csv:
        write_empty_csv(sys.stdout)
        return Exit.OK
    console = Console()
    if not names:
        console.print(columns_table())
        return Exit.OK
    settings = read_settings(config, flags)
    tables = [load(name, settings) for name in expand(names)]
    for table in tables:
        console.print(mapping_table(table))
        for problem in in_words(table.problems, [table]):
            click.echo(f"{problem.message} {problem.fix}", err=True)
    if save:
        file = settings.file or Path(FILE_NAME)
        known = {header: column for table in tables for header, column in table.mapping.items()}
        text = with_columns(file, known)
        with replace_file(file) as out:
            out.write(text)
        click.echo(f"wrote {file}", err=True)
    bad = any(errors(table.problems).height and not table.frame.height for table in tables)
    return Exit.INPUT if bad else Exit.OK
