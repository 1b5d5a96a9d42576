"""A plan on a terminal: what will happen, what to fix, and what to do next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from importer.report.veil import veiled
from importer.report.wording import DELIMITERS, counted, listed, number, plain
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console, RenderableType

    from importer.model import Problem
    from importer.report.tasks import Task
    from importer.report.view import FileView, PlanView

_EXAMPLES = 3
_LISTED = 20


def print_plan(console: Console, view: PlanView, *, show_values: bool = False) -> None:
    """Prints `plan_text` with an empty line before and after it."""
    console.print(Text(), plan_text(view, show_values=show_values), Text(), sep="\n")


def plan_text(view: PlanView, *, show_values: bool = False) -> Group:
    """What a run would do, the tasks, the groups, the files, and what to do next.

    Args:
        view: of the plan.
        show_values: phones, e-mails and names as they stand; masked without it.
    """
    parts: list[RenderableType] = [
        Text(view.headline, style="bold"),
        *(Text(aside) for aside in view.asides),
    ]
    several = len(view.files) > 1
    for severity, heading, style in (
        (Severity.ERROR, "To fix", "bold red"),
        (Severity.WARNING, "To check (these rows go)", "bold yellow"),
        (Severity.INFO, "For your information", "bold"),
    ):
        found = view.of(severity)
        if not found:
            continue
        parts += [Text(), Text(heading, style=style)]
        for task in found[:_LISTED]:
            parts += _task(task, several=several, show_values=show_values)
        if len(found) > _LISTED:
            parts.append(_indented(Text(f"and {counted(len(found) - _LISTED, 'more cause')}.")))
    if view.groups:
        parts += [Text(), Text("Groups", style="bold"), _groups(view)]
    parts += [Text(), Text("Files", style="bold"), _files(view)]
    parts += [Text(), Text("What next", style="bold")]
    parts += [_bullet(step) for step in _next_steps(view)]
    parts += [Text(), Text(f"Plan {view.hash[:12]}", style="dim")]
    return Group(*parts)


def _indented(what: RenderableType, by: int = 2) -> RenderableType:
    return Padding(what, (0, 0, 0, by), expand=False)


def _bullet(sentence: str) -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(Text("-"), Text(sentence))
    return _indented(grid)


def _task(task: Task, *, several: bool, show_values: bool) -> Iterator[RenderableType]:
    """The task in a line, its rows, its first rows with what is wrong, and how to fix it."""
    title = Text(plain(task.title, 200), style="bold")
    if task.total and not several:
        title.append(f": {listed(task.where[0].rows, task.total)}", style="not bold")
    yield _indented(title)
    if task.total and several:
        for rows in task.where:
            yield _indented(Text(f"{plain(rows.file)}: {listed(rows.rows, rows.total)}"), 4)
    if task.severity is not Severity.INFO:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        for problem in task.examples[:_EXAMPLES]:
            grid.add_row(_place(problem, several=several), _said(problem, show_values=show_values))
        yield _indented(grid, 4)
    yield _indented(Text(task.fix, style="dim"), 4)


def _place(problem: Problem, *, several: bool) -> Text:
    row = f"row {problem.row}" if problem.row is not None else "file"
    return Text(f"{plain(problem.source, 30)} {row}" if several else row)


def _said(problem: Problem, *, show_values: bool) -> Text:
    """Header, value and message of a problem in one line."""
    text = Text()
    if problem.header:
        text.append(f"{plain(problem.header, 40)} ")
    if problem.value:
        text.append(f"“{plain(_value(problem, show_values=show_values), 60)}” ", style="bold")
    return text.append(plain(_message(problem, show_values=show_values), 400))


def _value(problem: Problem, *, show_values: bool) -> str:
    return problem.value if show_values or not problem.personal else veiled(problem.value)


def _message(problem: Problem, *, show_values: bool) -> str:
    """The message, without the value where it is masked."""
    if show_values or not problem.personal or not problem.value:
        return problem.message
    return problem.message.replace(problem.value, veiled(problem.value))


def _plain_table(*headers: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for header in headers:
        right = header in {"rows", "ready", "to fix"}
        table.add_column(header, justify="right" if right else "left", overflow="fold")
    return table


def _groups(view: PlanView) -> RenderableType:
    table = _plain_table("campaign", "meeting", "participants", "rows")
    for group in view.groups[:_LISTED]:
        table.add_row(
            Text(plain(group.campaign)),
            Text(plain(group.meeting)),
            Text(plain(group.participants)),
            Text(number(group.rows)),
        )
    if len(view.groups) > _LISTED:
        more = view.groups[_LISTED:]
        rest = sum(group.rows for group in more)
        table.add_row(Text(f"and {counted(len(more), 'more group')}"), "", "", number(rest))
    return _indented(table)


def _files(view: PlanView) -> RenderableType:
    table = _plain_table("file", "rows", "ready", "to fix", "read as")
    for file in view.files[:_LISTED]:
        table.add_row(
            Text(plain(file.name)),
            Text(number(file.read)),
            Text(number(file.ready)),
            Text(number(file.rejected)),
            Text(plain(read_as(file))),
        )
    if len(view.files) > _LISTED:
        table.add_row(Text(f"and {counted(len(view.files) - _LISTED, 'more file')}"))
    return _indented(table)


def read_as(file: FileView) -> str:
    """How a file was understood: `utf-8, semicolon` or `sheet Candidates`, and the header's row."""
    if file.sheet is not None:
        how = f"sheet {file.sheet}"
    else:
        delimiter = DELIMITERS.get(file.delimiter, file.delimiter)
        how = ", ".join(part for part in (file.encoding, delimiter) if part)
    return f"{how}, header in row {file.header_row}" if how and file.header_row != 1 else how


def _next_steps(view: PlanView) -> Iterator[str]:
    """What the person at the terminal can do now, as commands."""
    counts = view.counts
    names = [shlex.quote(plain(file.name)) for file in view.files]
    files = " ".join(names) if len(names) <= 3 else "FILE..."  # noqa: PLR2004
    if counts.rejected:
        yield (
            f"Fix the {counted(counts.rejected, 'row')} in the spreadsheet and check again;"
            f" `importer check {files} --rejected to-fix.csv` writes them into a file of their own."
        )
    elif not counts.ready:
        yield "Nothing would be sent."
    if counts.ready and not counts.rejected:
        yield f"`importer run {files}` sends {counted(counts.ready, 'message')}."
    elif counts.ready:
        skip = " --on-problems skip" if view.blocked else ""
        yield (
            f"`importer run {files}{skip}` sends the {counted(counts.ready, 'ready row')}"
            " and leaves the others out."
        )
    if any(task.code is Code.POSSIBLY_SENT for task in view.tasks):
        yield "`importer reconcile` finds out what became of the doubtful ones."
    if view.tasks:
        yield f"`importer check {files} --report report.html` shows everything in a page."
