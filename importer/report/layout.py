"""The few shapes that terminal reports are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import RenderableType


def indented(what: RenderableType, by: int = 2) -> RenderableType:
    """The same, moved to the right; no spaces are added after it."""
    return Padding(what, (0, 0, 0, by), expand=False)


def section(heading: str, style: str = "bold") -> tuple[RenderableType, RenderableType]:
    """An empty line and a heading."""
    return Text(), Text(heading, style=style)


def steps(given: Iterable[tuple[str, str]]) -> Iterator[RenderableType]:
    """What to do, each as a sentence and, where there is one, the command on a line of its own."""
    for sentence, command in given:
        grid = Table.grid(padding=(0, 1))
        said = Text(sentence)
        if command:
            said.append("\n").append(command, style="cyan")
        grid.add_row(Text("-"), said)
        yield indented(grid)


def pasted(command: str) -> Iterator[RenderableType]:
    """A command on one line of its own, which only the terminal folds; nothing where it is empty.

    It has to be printed without cropping.
    """
    if command:
        line = Text("    ", no_wrap=True, overflow="ignore")
        yield line.append(command, style="cyan")


def listing(*headers: str, numbers: frozenset[str] = frozenset()) -> Table:
    """A table with nothing but a line under its header; the columns of `numbers` end flush."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for header in headers:
        table.add_column(header, justify="right" if header in numbers else "left", overflow="fold")
    return table
