"""The columns that there are, and how the headers of a file were understood."""

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

from importer.cli.options import settings_flags, settings_of
from importer.errors import Exit, UsageError
from importer.loader import expand, load
from importer.problems import errors, in_words
from importer.report.atomic_file import replacing
from importer.report.terminal import listing, section
from importer.settings import FILE_NAME
from importer.settings.flags import FLAGS
from importer.settings.save import with_columns
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from rich.console import RenderableType

    from importer.model import Table


def columns_table() -> RenderableType:
    """Every canonical column with what it is for, an example and its English aliases."""
    table = listing("column", "what it says", "example", "also understood")
    for column in COLUMNS:
        table.add_row(
            Text(column.name, style="bold"),
            Text(column.about),
            Text(column.example),
            Text(", ".join(column.aliases), style="dim"),
        )
    return table


def write_empty(out: TextIO) -> None:
    """Writes a spreadsheet with the header alone, as CSV, to fill in."""
    csv.writer(out).writerow(column.name for column in COLUMNS)


def understood(table: Table) -> RenderableType:
    """How each header of a file was understood, and what is left over."""
    lines = listing("header", "is taken as", "in templates")
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

    A file that is there already is never overwritten.
    """
    starter = files("importer.cli") / "starter"
    there = [folder / path for path, _ in _below(starter) if (folder / path).exists()]
    if there:
        raise UsageError(
            f"Nothing was written, for there is already {', '.join(map(str, there))}.",
            "Choose another folder: `importer init FOLDER`.",
        )
    for path, content in _below(starter):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read_bytes())
        click.echo(f"wrote {target}", err=True)
    go = "" if folder == Path() else f"`cd {shlex.quote(str(folder))}`, "
    click.echo(f"Next: {go}edit the templates, then `importer check candidates.csv`.", err=True)


def _below(folder: Traversable, prefix: Path = Path()) -> list[tuple[Path, Traversable]]:
    """Every file below a folder of the package, with its relative path, in a stable order."""
    found: list[tuple[Path, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found.extend(_below(entry, prefix / entry.name))
        else:
            found.append((prefix / entry.name, entry))
    return found


@click.command(short_help="Show the columns, or how the headers of FILE are read.")
@click.argument("names", nargs=-1, metavar="[FILE...]")
@click.option("--csv", "as_csv", is_flag=True, help="Write an empty spreadsheet to fill in.")
@click.option(
    "--save", is_flag=True, help="Write how the headers of FILE are read into importer.yaml."
)
@settings_flags(*FLAGS["columns"])
def columns(
    names: tuple[str, ...], *, as_csv: bool, save: bool, config: Path | None, **flags: object
) -> int:
    """Show the canonical columns and their aliases, or how the headers of FILE are understood.

    A header that is not understood is a column of your own: templates can use it by the name
    shown. Name headers yourself under `columns:` in importer.yaml.
    """
    if as_csv:
        write_empty(sys.stdout)
        return Exit.OK
    console = Console()
    if not names:
        console.print(columns_table())
        return Exit.OK
    settings = settings_of(config, flags)
    tables = [load(name, settings) for name in expand(names)]
    for table in tables:
        console.print(understood(table))
        for problem in in_words(table.problems, [table]):
            click.echo(f"{problem.message} {problem.fix}", err=True)
    if save:
        file = settings.file or Path(FILE_NAME)
        known = {header: column for table in tables for header, column in table.mapping.items()}
        text = with_columns(file, known)
        with replacing(file) as out:
            out.write(text)
        click.echo(f"wrote {file}", err=True)
    bad = any(errors(table.problems).height and not table.frame.height for table in tables)
    return Exit.INPUT if bad else Exit.OK
