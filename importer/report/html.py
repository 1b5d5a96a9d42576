"""A plan as one self-contained page: it works offline, on paper, and without a mouse."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from importer.report.cells import changes, rejected_tables
from importer.report.files import replacing
from importer.report.meetings import contact, facts, heading, pretty
from importer.report.wording import counted, number, plain, read_as, size
from schemas.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.model import Json
    from importer.report.lists import GroupView
    from importer.report.tasks import Task
    from importer.report.view import PlanView

_TASKS: Final = 60
_GROUPS: Final = 60
_FILES: Final = 60
_BARS: Final = 8
_HEADERS: Final = 100
_TEXT: Final = 6_000
_QUOTED: Final = re.compile(r"`([^`]+)`")


@dataclass(frozen=True, slots=True)
class Bar:
    """A line of a chart: what, how many, how long of a hundred, and where it leads."""

    label: str
    count: int
    percent: float
    anchor: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Share:
    """A part of the rows that were read."""

    label: str
    count: int
    kind: str


def write(view: PlanView, path: Path) -> None:
    """Writes the page, UTF-8; it stays under 5 MB and says what it leaves out.

    Raises:
        ImporterError: the file cannot be written.
    """
    with replacing(path) as out:
        for part in _environment().get_template("plan.html.j2").generate(**_page(view)):
            out.write(part)


def _environment() -> Environment:
    """Escapes everything, and fails on a name that does not exist."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, counted=counted, plain=plain, size=size, pretty=_pretty, said=_said
    )
    return environment


def _said(text: str) -> Markup:
    """A message with what it quotes in backticks as code; everything in it is escaped first."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(plain(text, 400)))))  # noqa: S704 (escaped)


def _pretty(value: Json) -> str:
    text = pretty(value)
    return (
        text
        if len(text) <= _TEXT
        else f"{text[:_TEXT]}\n… and {len(text) - _TEXT:,} characters more"
    )


def _page(view: PlanView) -> dict[str, object]:
    """Everything that the template names."""
    tables = rejected_tables(view.plan)
    tidied, tidied_total = changes(view.plan)
    sections = [
        (kind, title, _tasks(view, severity), max(0, len(view.of(severity)) - _TASKS))
        for kind, title, severity in (
            ("fix", "To fix", Severity.ERROR),
            ("check", "To check", Severity.WARNING),
        )
    ]
    notes = [task for task in view.of(Severity.INFO) if not task.total]
    return {
        "view": view,
        "counts": view.counts,
        "names": ", ".join(plain(file.name) for file in view.files[:3])
        + (f" and {len(view.files) - 3} more" if len(view.files) > 3 else ""),  # noqa: PLR2004
        "several": len(view.files) > 1,
        "positions": {file.name: position for position, file in enumerate(view.files)},
        "shares": _shares(view),
        "sections": [section for section in sections if section[2]],
        "notes": notes,
        "causes": _causes(view),
        "group_bars": _group_bars(view.groups),
        "tables": tables,
        "shown": {(table.position, row.row) for table in tables for row in table.rows},
        "rows_shown": sum(len(table.rows) for table in tables),
        "tidied": tidied,
        "tidied_total": tidied_total,
        "groups": [
            {"view": group, "heading": heading(group), "facts": facts(group),
             "contact": contact(group.example) if group.example else []}
            for group in view.groups[:_GROUPS]
        ],
        "braces": any("{{" in pretty(group.meeting_configuration) for group in view.groups),
        "groups_left": max(0, len(view.groups) - _GROUPS),
        "files": [
            (file, read_as(file.encoding, file.delimiter, file.sheet, file.header_row),
             list(file.columns.items())[:_HEADERS], list(file.extra)[:_HEADERS],
             list(file.ignored)[:_HEADERS])
            for file in view.files[:_FILES]
        ],
        "files_left": max(0, len(view.files) - _FILES),
    }  # fmt: skip


def _shares(view: PlanView) -> list[Share]:
    """The rows that were read, by what becomes of them; what there is none of is left out."""
    counts = view.counts
    found = (
        Share("ready", counts.ready, "good"),
        Share("to fix", counts.rejected, "fix"),
        Share("repeated, left out", counts.duplicates, "rest"),
        Share("done before, left out", counts.already_imported, "done"),
    )
    return [share for share in found if share.count]


def _tasks(view: PlanView, severity: Severity) -> list[tuple[str, Task]]:
    """The tasks of a severity with the anchors that the chart leads to."""
    found = [
        (f"task-{position}", task)
        for position, task in enumerate(view.tasks)
        if task.severity is severity
    ]
    return found[:_TASKS]


def _causes(view: PlanView) -> list[Bar]:
    """The most frequent causes, errors and warnings, as bars."""
    wanted = [
        (kind, anchor, task)
        for kind, severity in (("fix", Severity.ERROR), ("check", Severity.WARNING))
        for anchor, task in _tasks(view, severity)
    ]
    wanted.sort(key=lambda each: -each[2].count)
    largest = max((task.count for *_, task in wanted), default=1)
    bars = [
        Bar(task.do, task.count, 100 * task.count / largest, anchor, kind)
        for kind, anchor, task in wanted[:_BARS]
    ]
    rest = sum(task.count for *_, task in wanted[_BARS:])
    if rest:
        more = counted(len(wanted) - _BARS, "more cause")
        bars.append(Bar(f"and {more}", rest, 0.0, "", "rest"))
    return bars


def _group_bars(groups: Sequence[GroupView]) -> list[Bar]:
    """The groups with the most rows."""
    order = sorted(range(len(groups)), key=lambda position: -groups[position].rows)
    largest = max((group.rows for group in groups), default=1)
    bars = [
        Bar(
            f"{groups[position].campaign}: {heading(groups[position])}",
            groups[position].rows,
            100 * groups[position].rows / largest,
            f"group-{position}" if position < _GROUPS else "",
            "good",
        )
        for position in order[:_BARS]
    ]
    rest = sum(groups[position].rows for position in order[_BARS:])
    if rest:
        more = counted(len(groups) - _BARS, "more group")
        bars.append(Bar(f"and {more}", rest, 0.0, "", "rest"))
    return bars
