"""The few shapes that terminal reports are made of."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from importer.masking import mask, scrub
from importer.report.formatting import counted, listed, number, plain, read_as
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from rich.console import Console, RenderableType

    from importer.model import Problem
    from importer.report.tasks import Task
    from importer.report.view import PlanView


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


_EXAMPLES: Final = 3
_LISTED: Final = 20
_FILES_NAMED: Final = 3
_QUOTING: Final = frozenset({Code.VALUE_CHANGED, Code.NAME_SPLIT})
"""What these say after the colon is the cell again."""

_HEADINGS: Final = (
    (Severity.ERROR, "To fix", "bold red"),
    (Severity.WARNING, "To check", "bold yellow"),
    (Severity.INFO, "For your information", "bold"),
)


def print_plan(
    console: Console, view: PlanView, *, show_values: bool = False, steps: bool = True
) -> None:
    """Prints `plan_text` with an empty line before and after it."""
    text = plan_text(view, show_values=show_values, next_steps=steps)
    console.print(Text(), text, Text(), sep="\n")


def plan_text(view: PlanView, *, show_values: bool = False, next_steps: bool = True) -> Group:
    """What a run would do, the tasks, the groups, the files, and what to do next.

    Args:
        view: of the plan.
        show_values: phones, e-mails and names as they stand; masked without it.
        next_steps: say what to do next; nothing where it is being done.
    """
    parts: list[RenderableType] = [
        Text(view.headline, style="bold"),
        *(Text(aside) for aside in view.asides),
    ]
    several = len(view.files) > 1
    for severity, heading, style in _HEADINGS:
        found = view.of(severity)
        if not found:
            continue
        parts += section(heading, style)
        for task in found[:_LISTED]:
            parts += _task(task, several=several, show_values=show_values)
        if len(found) > _LISTED:
            parts.append(indented(Text(f"and {counted(len(found) - _LISTED, 'more cause')}.")))
    if view.groups:
        parts += [*section("Groups"), _groups(view)]
    parts += [*section("Files"), _files(view)]
    if next_steps:
        parts += [*section("What next"), *steps(_next_steps(view))]
    parts += [Text(), Text(f"Plan {view.hash[:12]}", style="dim")]
    return Group(*parts)


def _task(task: Task, *, several: bool, show_values: bool) -> Iterator[RenderableType]:
    """The task in a line, its rows, its first rows with what is wrong, and how to fix it."""
    scattered = len(task.where) > 1
    title = Text(plain(task.title, 200), style="bold")
    if task.total and not scattered:
        rows = listed(task.where[0].rows, task.total)
        file = f" of {plain(task.where[0].file, 40)}" if several else ""
        title.append(f"{file}: {rows}", style="not bold")
    yield indented(title)
    if task.total and scattered:
        for where in task.where[:_LISTED]:
            yield indented(Text(f"{plain(where.file)}: {listed(where.rows, where.total)}"), 4)
    if task.severity is not Severity.INFO or not task.total:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        for problem in task.examples[:_EXAMPLES]:
            place = _place(problem, scattered=scattered)
            grid.add_row(place, _said(problem, show_values=show_values))
        yield indented(grid, 4)
    if task.fix.rstrip(".") != task.do:
        yield indented(Text(task.fix, style="dim"), 4)


def _place(problem: Problem, *, scattered: bool) -> Text:
    """Where a problem is: its row, and its file where the task has several."""
    if problem.row is None:
        return Text(plain(problem.source, 40))
    row = f"row {problem.row}"
    return Text(f"{plain(problem.source, 30)} {row}" if scattered else row)


def _said(problem: Problem, *, show_values: bool) -> Text:
    """Header, value and message of a problem in one line; the value masked where personal."""
    text = Text()
    if problem.header:
        text.append(f"{plain(problem.header, 40)} ")
    if not problem.personal or show_values:
        value, message = problem.value, problem.message
    else:
        value, message = mask(problem.value), _masked_message(problem)
    if value:
        text.append(f"“{plain(value, 60)}” ", style="bold")
    return text.append(plain(message, 400))


def _masked_message(problem: Problem) -> str:
    """The message without the cell's text, whole or in parts."""
    if problem.row is None:  # it speaks of the file and its headers
        return problem.message
    if problem.code in _QUOTING:
        return f"{problem.message.partition(':')[0]}."
    message = problem.message
    if problem.value:
        message = message.replace(problem.value, mask(problem.value))
    return scrub(message)


def _groups(view: PlanView) -> RenderableType:
    """A line for each campaign and pair of templates, with how many groups have it."""
    merged: dict[tuple[str, str, str], tuple[int, int]] = {}
    for group in view.groups:
        names = (group.campaign, group.meeting, group.participants)
        groups, rows = merged.get(names, (0, 0))
        merged[names] = (groups + 1, rows + group.rows)
    numbers = ("groups", "rows")
    table = listing("campaign", "meeting", "participants", *numbers, numbers=frozenset(numbers))
    lines = list(merged.items())
    for names, counts in lines[:_LISTED]:
        table.add_row(*(Text(plain(name)) for name in names), *(number(count) for count in counts))
    if len(lines) > _LISTED:
        groups, rows = (
            sum(column) for column in zip(*(c for _, c in lines[_LISTED:]), strict=True)
        )
        table.add_row("and more", "", "", number(groups), number(rows))
    return indented(table)


def _files(view: PlanView) -> RenderableType:
    """A line for each file."""
    counts = ("rows", "ready", "to fix")
    table = listing("file", *counts, "read as", numbers=frozenset(counts))
    for file in view.files[:_LISTED]:
        table.add_row(
            Text(plain(file.name)),
            *(Text(number(count)) for count in (file.read, file.ready, file.rejected)),
            Text(plain(read_as(file.encoding, file.delimiter, file.sheet, file.header_row))),
        )
    if len(view.files) > _LISTED:
        table.add_row(Text(f"and {counted(len(view.files) - _LISTED, 'more file')}"))
    return indented(table)


def _next_steps(view: PlanView) -> Iterator[tuple[str, str]]:
    """What the person at the terminal can do now, as sentences and commands."""
    counts, again = view.counts, view.said.again
    names = [shlex.quote(plain(file.name, 200)) for file in view.files]
    files = " ".join(names) if len(names) <= _FILES_NAMED else "FILE..."
    if counts.rejected:
        rows = "row" if counts.rejected == 1 else f"{number(counts.rejected)} rows"
        yield (
            f"Fix the {rows} in the spreadsheet and check again, or in a file of their own:",
            f"importer check {files} --rejected to-fix.csv{again('check')}",
        )
    if view.tasks:
        page = f"importer check {files} --report report.html{again('check')}"
        yield "See everything in one page:", page
    if any(task.code is Code.POSSIBLY_SENT for task in view.tasks):
        yield (
            "Find out whether earlier messages have gone:",
            f"importer reconcile{again('reconcile')}",
        )
    if counts.ready:
        ready = "the ready row" if counts.ready == 1 else f"the {number(counts.ready)} ready rows"
        if view.blocked:
            skip = f"importer run {files}{again('run')} --on-problems skip"
            yield f"Or send {ready} now and leave the others out:", skip
        else:
            yield f"Send {ready}:", f"importer run {files}{again('run')}"
    elif not counts.rejected:
        yield "There is nothing to send.", ""
