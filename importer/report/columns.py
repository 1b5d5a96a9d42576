"""The columns that there are, and how the headers of a file were understood."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, TextIO

from rich.console import Group
from rich.text import Text

from importer.report.layout import listing, section
from schemas.columns import COLUMNS

if TYPE_CHECKING:
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
