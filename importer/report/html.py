"""A plan as one self-contained page: it works offline, on paper, and without a mouse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from importer.report.cells import changes, rejected_tables
from importer.report.charts import causes, group_bars, shares
from importer.report.files import replacing
from importer.report.meetings import contact, facts, heading, pretty
from importer.report.wording import counted, number, plain, read_as, size, weight
from schemas.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.report.lists import FileView, GroupView
    from importer.report.tasks import Task
    from importer.report.view import PlanView

# How much of everything is shown: all of it together stays under 5 MB, whatever is in the cells.
_TASKS: Final = 60
_ROWS: Final = 100
_GROUPS: Final = 60
_GROUPS_BUDGET: Final = 900_000
_FACTS: Final = 40
_TEXT: Final = 6_000
_FILES: Final = 60
_FILES_BUDGET: Final = 400_000
_HEADERS: Final = 200
_NAMED: Final = 3
_QUOTED: Final = re.compile(r"`([^`]+)`")


def write(view: PlanView, path: Path) -> None:
    """Writes the page, UTF-8; it stays under 5 MB and says what it leaves out.

    Raises:
        ImporterError: the file cannot be written.
    """
    with replacing(path) as out:
        for part in environment().get_template("plan.html.j2").generate(**_page(view)):
            out.write(part)


def environment() -> Environment:
    """Escapes everything, and fails on a name that does not exist."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, counted=counted, plain=plain, size=size, said=_said, places=_places
    )
    return environment


def _said(text: str) -> Markup:
    """A message with what it quotes in backticks as code; everything in it is escaped first."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(plain(text, 400)))))  # noqa: S704 (escaped)


def _page(view: PlanView) -> dict[str, object]:
    """Everything that the template names."""
    tables = rejected_tables(view.plan)
    tidied, tidied_total = changes(view.plan)
    fix, check = _tasks(view, Severity.ERROR), _tasks(view, Severity.WARNING)
    sections = [
        (kind, title, found[:_TASKS], max(0, len(found) - _TASKS))
        for kind, title, found in (("fix", "To fix", fix), ("check", "To check", check))
        if found
    ]
    shown = {anchor for *_, found, _ in sections for anchor, _ in found}
    bars = causes(
        [
            (kind, anchor if anchor in shown else "", task)
            for kind, found in (("fix", fix), ("check", check))
            for anchor, task in found
        ]
    )
    groups = _fitting((_group(group) for group in view.groups[:_GROUPS]), _GROUPS_BUDGET)
    files = _fitting((_file(file) for file in view.files[:_FILES]), _FILES_BUDGET)
    names = ", ".join(plain(file.name, 60) for file in view.files[:_NAMED])
    more = len(view.files) - _NAMED
    return {
        "view": view,
        "counts": view.counts,
        "names": f"{names} and {more} more" if more > 0 else names,
        "several": len(view.files) > 1,
        "positions": {file.name: position for position, file in enumerate(view.files)},
        "shares": shares(view.counts),
        "sections": sections,
        "notes": [task for task in view.of(Severity.INFO) if not task.total][:_TASKS],
        "causes": bars,
        "group_bars": group_bars(view.groups, len(groups)),
        "tables": tables,
        "shown": {(table.position, row.row) for table in tables for row in table.rows},
        "rows_shown": sum(len(table.rows) for table in tables),
        "tidied": tidied,
        "tidied_total": tidied_total,
        "groups": groups,
        "groups_left": len(view.groups) - len(groups),
        "braces": any("{{" in group["templates"] for group in groups),
        "files": files,
        "files_left": len(view.files) - len(files),
    }


_Part = dict[str, Any]


def _fitting(parts: Iterator[_Part], budget: int) -> list[_Part]:
    """The first parts that take no more than so many bytes of the page together."""
    found = []
    for part in parts:
        budget -= weight(json.dumps(part, default=str, ensure_ascii=False))
        if budget < 0:
            break
        found.append(part)
    return found


def _group(group: GroupView) -> _Part:
    """A group in words, and as it stands."""
    parts = (group.meeting_participants, group.meeting_configuration)
    names = (("Campaign", group.campaign), ("Meeting", group.meeting))
    return {
        "heading": plain(heading(group), 120),
        "rows": group.rows,
        "names": [(label, plain(name)) for label, name in (*names, ("People", group.participants))],
        "facts": [(label, plain(text, 600)) for label, text in facts(group)][:_FACTS],
        "templates": "\n".join(_cut(pretty(part)) for part in parts if part),
        "example_row": plain(group.example_row),
        "contact": contact(group.example) if group.example is not None else [],
        "example": _cut(pretty(group.example)) if group.example is not None else "",
    }


def _file(file: FileView) -> _Part:
    """A file and how it was understood."""
    columns = [(plain(h, 60), column.replace("_", " ")) for h, column in file.columns.items()]
    return {
        "name": plain(file.name, 200),
        "read": file.read,
        "ready": file.ready,
        "rejected": file.rejected,
        "size": file.size,
        "how": plain(read_as(file.encoding, file.delimiter, file.sheet, file.header_row)),
        "columns": columns[:_HEADERS],
        "extra": [plain(header, 60) for header in file.extra][:_HEADERS],
        "ignored": [plain(header, 60) for header in file.ignored][:_HEADERS],
        "notes": [plain(note, 400) for note in file.notes][:_HEADERS],
        "sha256": file.sha256,
    }


def _cut(text: str) -> str:
    """A long text, with how much of it is left out."""
    if len(text) <= _TEXT:
        return text
    return f"{text[:_TEXT]}\n… and {len(text) - _TEXT:,} more characters"


def _places(task: Task) -> tuple[list[tuple[str, int, tuple[int, ...], int]], int]:
    """File, its position, first rows and number of rows, for some files; how many files are left.

    No more than `_ROWS` rows of a task are named in all.
    """
    room = _ROWS
    found = []
    for where in task.where[:_FILES]:
        if room <= 0:
            break
        rows = where.rows[:room]
        room -= len(rows)
        found.append((where.file, where.position, rows, where.total))
    return found, len(task.where) - len(found)


def _tasks(view: PlanView, severity: Severity) -> list[tuple[str, Task]]:
    """The tasks of a severity with the anchors that the chart leads to."""
    return [
        (f"task-{position}", task)
        for position, task in enumerate(view.tasks)
        if task.severity is severity
    ]
