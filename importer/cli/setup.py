"""`importer init` and `importer columns`: how to begin, and what a spreadsheet may say."""

from __future__ import annotations

import csv
import sys
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console

from importer.cli.options import READING, settings_flags, settings_of
from importer.errors import UsageError
from importer.loader import load
from importer.report import columns as columns_report
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@click.command(short_help="Write settings, templates and a spreadsheet to start from.")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=Path())
def init(folder: Path) -> None:
    """Write settings, templates and a spreadsheet to start from into FOLDER (default: here).

    A file that is there already is never overwritten.
    """
    starter = files("importer.cli") / "starter"
    there = [path for path, _ in _below(starter) if (folder / path).exists()]
    if there:
        raise UsageError(
            f"{', '.join(str(folder / path) for path in there)} is there already.",
            "Choose another folder, or move it away.",
        )
    for path, content in _below(starter):
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.read_bytes())
        click.echo(f"wrote {target}", err=True)
    click.echo("Next: edit the templates, then `importer check candidates.csv`.", err=True)


def _below(folder: Traversable, prefix: Path = Path()) -> list[tuple[Path, Traversable]]:
    """Every file below a folder of the package, with its relative path, in a stable order."""
    found: list[tuple[Path, Traversable]] = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir():
            found.extend(_below(entry, prefix / entry.name))
        else:
            found.append((prefix / entry.name, entry))
    return found
