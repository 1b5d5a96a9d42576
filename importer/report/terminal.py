"""The summary of a plan on a terminal, and the parts that terminal reports share."""

from __future__ import annotations

import os
import shlex
from itertools import chain, count
from pathlib import Path, PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from rich import box
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from importer.languages import (
    number,
    translate,
    translate_count,
    translate_filled,
    translate_word,
)
from importer.masking import mask, scrub
from importer.report.formatting import (
    WORKBOOK,
    file_format,
    free_name,
    number_list,
    plain,
    rejected_paths,
)
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rich.console import Console, RenderableType

    from importer.model import Problem
    from importer.report.tasks import Task
    from importer.report.view import PlanView


def indent(what: RenderableType, by: int = 2) -> RenderableType:
    """Indent a renderable without padding it on the right."""
    return Padding(what, (0, 0, 0, by), expand=False)


def section(heading: str, style: str = "bold") -> tuple[RenderableType, RenderableType]:
    """Return an empty line and a heading."""
    return Text(), Text(heading, style=style)


def steps(given: Iterable[tuple[str, str]]) -> Iterator[RenderableType]:
    """Yield what to do: each a sentence and, if there is one, its command on a line of its own.

    Print it without cropping.
    """
    for sentence, command in given:
        grid = Table.grid(padding=(0, 1))
        grid.add_row(Text("-"), Text(sentence))
        yield indent(grid)
        yield from command_line(command)


def command_line(command: str) -> Iterator[RenderableType]:
    """Yield a command on one line that only the terminal folds; print it without cropping."""
    if command:
        line = Text("    ", no_wrap=True, overflow="ignore")
        yield line.append(command, style="cyan")


def plain_table(*headers: str, numbers: frozenset[str] = frozenset()) -> Table:
    """Return a table with a line under its header; the columns in `numbers` align right.

    Its headers are English; they are shown in the reader's language. The column `run` stays on one
    line, because its ids are copied into commands.
    """
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="dim", show_edge=False)
    for header in headers:
        side: Literal["left", "right"] = "right" if header in numbers else "left"
        table.add_column(
            translate_word(header), justify=side, overflow="fold", no_wrap=header == "run"
        )
    return table


_EXAMPLES: Final = 3
_LISTED: Final = 20
_FILES_NAMED: Final = 3
QUOTING: Final = frozenset({Code.VALUE_CHANGED, Code.NAME_SPLIT})
"""The message of these codes repeats the cell after its colon."""

HEADINGS: Final = (
    (Severity.ERROR, "To fix", "bold red"),
    (Severity.WARNING, "To check", "bold yellow"),
    (Severity.INFO, "For your information", "bold"),
)
"""Severity, heading and style of the tasks."""


def print_plan(
    console: Console,
    view: PlanView,
    *,
    show_values: bool = False,
    steps: bool = True,
    written: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> None:
    """Print `plan_text` with an empty line before and after it."""
    text = plan_text(view, show_values=show_values, next_steps=steps, written=written)
    console.print(Text(), text, Text(), sep="\n", crop=False)


def plan_text(
    view: PlanView,
    *,
    show_values: bool = False,
    next_steps: bool = True,
    written: Mapping[str, Sequence[Path]] = MappingProxyType({}),
) -> Group:
    """Return what a run would do, the tasks, the groups, the files, and what to do next.

    Args:
        view: the view of the plan.
        show_values: show phones, e-mails and names unmasked.
        next_steps: add what to do next. Print it without cropping.
        written: files that were made: `report`, `rejected`, `payloads`.
    """
    parts: list[RenderableType] = [
        Text(view.headline, style="bold"),
        *(Text(aside) for aside in view.asides),
    ]
    several = len(view.files) > 1
    for severity, heading, style in HEADINGS:
        found = view.tasks_of(severity)
        if not found:
            continue
        parts += section(translate(heading), style)
        for task in found[:_LISTED]:
            parts += _task(task, several=several, show_values=show_values)
        if len(found) > _LISTED:
            more = translate_count(
                len(found) - _LISTED, "and {n} more cause", "and {n} more causes"
            )
            parts.append(indent(Text(f"{more}.")))
    if view.example_values:
        parts += _example_values(view)
    if view.counts.ready:
        parts += section(translate("Groups"))
        about = translate(
            "A group is the rows with the same campaign, templates and values for them."
        )
        parts += [indent(Text(about, style="dim")), _groups(view)]
    parts += [*section(translate("Files")), _files(view)]
    if next_steps:
        if written:
            parts += section(translate("Written"))
            parts += [
                indent(Text(f"{translate_word(what).capitalize()}: {_named(paths)}"))
                for what, paths in written.items()
            ]
        parts += [*section(translate("What next")), *steps(_next_steps(view, written))]
    plan = translate("Plan {hash}", hash=view.hash[:12])
    parts += [Text(), Text(plan, style="dim")]
    return Group(*parts)


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths)) or translate("no file")


def _example_values(view: PlanView) -> Iterator[RenderableType]:
    """Yield the example values of the templates, and what they mean for a run."""
    if view.contacts_people:
        heading = translate("Examples are left, so nothing will be sent")
        yield from section(heading, "bold red")
    else:
        yield from section(translate("Before you go live"), "bold yellow")
    for sentence in view.example_values:
        yield indent(Text(plain(translate_filled(sentence), 200)))
    about = translate(
        "These are examples and reach nobody. Enter your own in the templates, or in the columns "
        "that fill them."
    )
    yield indent(Text(about, style="dim"), 4)


def _task(task: Task, *, several: bool, show_values: bool) -> Iterator[RenderableType]:
    """Yield a task: its title with its rows, its first problems, and how to fix them."""
    scattered = len(task.where) > 1
    title = Text(plain(task.title, 200), style="bold")
    if task.total and not scattered:
        rows = number_list(task.where[0].rows, task.total)
        file = plain(task.where[0].file, 40)
        of_file = translate(" of {file}", file=file) if several else ""
        title.append(f"{of_file}: {rows}", style="not bold")
    yield indent(title)
    if task.total and scattered:
        for where in task.where[:_LISTED]:
            yield indent(Text(f"{plain(where.file)}: {number_list(where.rows, where.total)}"), 4)
    if task.severity is not Severity.INFO or not task.total:
        grid = Table.grid(padding=(0, 2))
        grid.add_column(no_wrap=True, style="dim")
        for problem in task.examples[:_EXAMPLES]:
            place = _place(problem, scattered=scattered)
            grid.add_row(place, _describe(problem, show_values=show_values))
        yield indent(grid, 4)
    if task.fix.rstrip(".") != task.do:
        yield indent(Text(task.fix, style="dim"), 4)


def _place(problem: Problem, *, scattered: bool) -> Text:
    """Return where a problem is: its row, and its file if the task concerns several."""
    if problem.row is None:
        return Text(plain(problem.source, 40))
    row = translate("row {row}", row=problem.row)
    return Text(f"{plain(problem.source, 30)} {row}" if scattered else row)


def _describe(problem: Problem, *, show_values: bool) -> Text:
    """Return header, value and message of a problem in one line; personal values are masked."""
    text = Text()
    if problem.header:
        text.append(f"{plain(problem.header, 40)} ")
    if not problem.personal or show_values:
        value, message = problem.value, problem.message
    else:
        value, message = mask(problem.value), _masked_message(problem)
    if value:
        text.append(translate("“{name}”", name=plain(value, 60)), style="bold").append(" ")
    return text.append(plain(message, 400))


def _masked_message(problem: Problem) -> str:
    """Return the message with the text of the cell masked."""
    if problem.row is None:  # it is about the file and its headers
        return problem.message
    if problem.code in QUOTING:
        return f"{problem.message.partition(':')[0]}."
    message = problem.message
    if problem.value:
        message = message.replace(problem.value, mask(problem.value))
    return scrub(message)


def _groups(view: PlanView) -> RenderableType:
    """Return a line for each campaign and pair of templates, with its number of groups."""
    merged: dict[tuple[str, str, str], tuple[int, int]] = {}
    for group in view.groups:
        names = (group.campaign, group.meeting, group.participants)
        groups, rows = merged.get(names, (0, 0))
        merged[names] = (groups + 1, rows + group.rows)
    numbers = ("groups", "rows")
    table = plain_table("campaign", "meeting", "participants", *numbers, numbers=frozenset(numbers))
    lines = list(merged.items())
    for names, counts in lines[:_LISTED]:
        table.add_row(*(Text(plain(name)) for name in names), *(number(count) for count in counts))
    if len(lines) > _LISTED:
        groups, rows = (
            sum(column) for column in zip(*(c for _, c in lines[_LISTED:]), strict=True)
        )
        table.add_row(translate("and more"), "", "", number(groups), number(rows))
    return indent(table)


def _files(view: PlanView) -> RenderableType:
    counts = ("rows", "ready", "to fix")
    table = plain_table("file", *counts, "read as", numbers=frozenset(counts))
    for file in view.files[:_LISTED]:
        table.add_row(
            Text(plain(file.name)),
            *(Text(number(count)) for count in (file.read, file.ready, file.rejected)),
            Text(plain(file_format(file.encoding, file.delimiter, file.sheet, file.header_row))),
        )
    if len(view.files) > _LISTED:
        more = translate_count(len(view.files) - _LISTED, "and {n} more file", "and {n} more files")
        table.add_row(Text(more))
    return indent(table)


def _free_to_fix(view: PlanView) -> str:
    """Return a free name for the rejected rows; it names a workbook if the input is one XLSX."""
    names = [file.name for file in view.files]
    is_workbook = len(names) == 1 and PurePath(names[0]).suffix.lower() in {".xlsx", ".xlsm"}
    suffix = WORKBOOK if is_workbook else ".csv"
    taken = {PurePath(name).name for name in names}
    return next(
        name
        for mark in chain([""], (f"-{n}" for n in count(2)))
        if not _is_in_use(rejected_paths(Path(name := f"to-fix{mark}{suffix}"), names), taken)
    )


def _is_in_use(paths: Sequence[Path], taken: Collection[str]) -> bool:
    """Whether one of these is an input, or a file in which somebody may be correcting rows."""
    return any(path.name in taken or os.path.lexists(path) for path in paths)


def _next_steps(view: PlanView, written: Mapping[str, Sequence[Path]]) -> Iterator[tuple[str, str]]:
    """Yield what the user can do now, as sentences and commands."""
    counts, flags = view.counts, view.given.text_for
    names = [shlex.quote(plain(file.name, 200)) for file in view.files]
    files = " ".join(names) if len(names) <= _FILES_NAMED else "FILE..."
    taken = [
        *(file.name for file in view.files),
        *(path.name for each in written.values() for path in each),
    ]
    if counts.rejected:
        apart = written.get("rejected")
        if not apart:
            yield (
                translate_count(
                    counts.rejected,
                    "Fix the row in the spreadsheet and check again, or in a file of its own:",
                    "Fix the {n} rows in the spreadsheet and check again, or in a file of their "
                    "own:",
                ),
                f"importer check {files} --rejected {_free_to_fix(view)}{flags('check')}",
            )
        else:
            named = [shlex.quote(plain(str(path), 200)) for path in apart]
            fixed = " ".join(named) if len(named) <= _FILES_NAMED else "FILE..."
            yield (
                translate_count(
                    counts.rejected,
                    "Fix the row in the spreadsheet and check again, or in what was written:",
                    "Fix the {n} rows in the spreadsheet and check again, or in what was written:",
                ),
                f"importer check {fixed}{flags('check')}",
            )
    if view.tasks and "report" not in written:
        page = f"importer check {files} --report {free_name('report.html', taken)}{flags('check')}"
        yield translate("See everything in one page:"), page
    if any(task.code is Code.POSSIBLY_SENT for task in view.tasks):
        yield (
            translate("Find out whether earlier messages were sent:"),
            f"importer reconcile{flags('reconcile')}",
        )
    if counts.ready:
        run = f"importer run {files}{flags('run')}"
        if view.blocked:
            sentence = translate_count(
                counts.ready,
                "Or send the ready row now and leave the others out:",
                "Or send the {n} ready rows now and leave the others out:",
            )
            yield sentence, f"{run} --on-problems skip"
        else:
            sentence = translate_count(
                counts.ready, "Send the ready row:", "Send the {n} ready rows:"
            )
            yield sentence, run
    elif not counts.rejected:
        yield translate("There is nothing to send."), ""
