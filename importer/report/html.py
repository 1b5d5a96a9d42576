"""The charts of a page: shares of the rows, problems by cause, rows by group."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from importer.report.atomic_file import replacing
from importer.report.formatting import counted, number, plain, read_as, size, weight
from importer.report.rejected_rows import changes, rejected_tables
from schemas.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Counts, Json
    from importer.report.tasks import Task
    from importer.report.view import FileView, GroupView, PlanView


BARS: Final = 8
"""Bars of a chart; what is left is one number below them."""


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


def shares(counts: Counts) -> list[Share]:
    """The rows that were read, by what becomes of them; what there is none of is left out."""
    found = (
        Share("ready", counts.ready, "good"),
        Share("to fix", counts.rejected, "fix"),
        Share("repeated, left out", counts.duplicates, "rest"),
        Share("done before, left out", counts.already_imported, "done"),
    )
    return [share for share in found if share.count]


def causes(tasks: Sequence[tuple[str, str, Task]]) -> list[Bar]:
    """The most frequent causes as bars.

    Args:
        tasks: kind, anchor and task of each; an anchor is empty where the task is not shown.
    """
    order = sorted(tasks, key=lambda each: -each[2].count)
    largest = max((task.count for *_, task in order), default=1)
    bars = [
        Bar(task.do, task.count, 100 * task.count / largest, anchor, kind)
        for kind, anchor, task in order[:BARS]
    ]
    return bars + _rest([task.count for *_, task in order[BARS:]], "more cause")


def group_bars(groups: Sequence[GroupView], linked: int) -> list[Bar]:
    """The groups with the most rows as bars; the first `linked` groups of the plan are shown."""
    order = sorted(range(len(groups)), key=lambda position: -groups[position].rows)
    largest = max((group.rows for group in groups), default=0) or 1  # all may be known already
    bars = [
        Bar(
            f"{groups[position].campaign}: {heading(groups[position])}",
            groups[position].rows,
            100 * groups[position].rows / largest,
            f"group-{position}" if position < linked else "",
            "good",
        )
        for position in order[:BARS]
    ]
    return bars + _rest([groups[position].rows for position in order[BARS:]], "more group")


def _rest(counts: Sequence[int], noun: str) -> list[Bar]:
    """What is left, as one line without a bar: it would dwarf the others."""
    return (
        [Bar(f"and {counted(len(counts), noun)}", sum(counts), 0.0, "", "rest")] if counts else []
    )


_NUMBERS: Final = re.compile(r"\[\n\s+((?:-?\d+,\n\s+)*-?\d+)\n\s+\]")
_DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")  # 0 and 7 are both Sunday
_TOLD: Final = {
    "title", "description", "timezone", "duration", "openHours", "videoConferencing",
    "videoConferencingProvider", "location",
}  # fmt: skip


def facts(group: GroupView) -> list[tuple[str, str]]:
    """Label and text of everything that a group's templates say, the usual things first."""
    meeting = group.meeting_configuration
    told = [
        ("Meets", "; ".join(_person(person) for person in group.meeting_participants)),
        ("Length", _minutes(meeting.get("duration"))),
        ("Offered times", _hours(meeting.get("openHours"))),
        ("Time zone", _text(meeting.get("timezone"))),
        ("Where", _where(meeting)),
        ("Text", _text(meeting.get("description"))),
    ]
    others = [(_label(key), _text(value)) for key, value in meeting.items() if key not in _TOLD]
    return [(label, text) for label, text in [*told, *others] if text]


def heading(group: GroupView) -> str:
    """The meeting's title, else the template's name."""
    return _text(group.meeting_configuration.get("title")) or group.meeting or group.campaign


def pretty(value: Json) -> str:
    """JSON as a person reads it, lists of numbers in one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def contact(body: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Whom an example's body is for."""
    name = " ".join(_text(body.get(key)) for key in ("firstName", "lastName"))
    found = [
        ("To", name.strip()),
        ("Phone", _text(body.get("phoneNumber"))),
        ("E-mail", _text(body.get("emailAddress"))),
    ]
    return [(label, text) for label, text in found if text]


def _text(value: Json) -> str:
    """Any value in a line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _label(key: str) -> str:
    """`bufferMinutes` as `Buffer minutes`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).replace("_", " ")
    return words[:1].upper() + words[1:].lower()


def _minutes(value: Json) -> str:
    return f"{value} minutes" if isinstance(value, int) and value != 1 else _text(value)


def _where(meeting: Mapping[str, Json]) -> str:
    if meeting.get("videoConferencing") is True:
        provider = _text(meeting.get("videoConferencingProvider"))
        return f"By video ({provider})" if provider else "By video"
    return _text(meeting.get("location"))


def _person(person: Mapping[str, Json]) -> str:
    """Name, address and part of a participant."""
    name, email = _text(person.get("name")), _text(person.get("email"))
    said = f"{name} ({email})" if name and email else name or email or "somebody without a name"
    return f"{said}, organizer" if person.get("isOrganizer") is True else said


def _hours(value: Json) -> str:
    """Opening hours: `Mon-Fri 09:00-17:00`."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _text(value)
    return "; ".join(_opening(item) if isinstance(item, Mapping) else _text(item) for item in value)


def _opening(item: Mapping[str, Json]) -> str:
    start, end, days = _text(item.get("start")), _text(item.get("end")), item.get("days")
    if not (start and end) or not isinstance(days, Sequence) or isinstance(days, str):
        return _text(item)
    if not all(isinstance(day, int) and 0 <= day < len(_DAYS) for day in days):
        return _text(item)
    numbers = [day for day in days if isinstance(day, int)]
    span = list(range(numbers[0], numbers[-1] + 1)) if numbers else []
    if len(numbers) > 2 and numbers == span:  # noqa: PLR2004
        named = f"{_DAYS[numbers[0]]}\u2013{_DAYS[numbers[-1]]}"
    else:
        named = ", ".join(_DAYS[day] for day in numbers)
    zone = _text(item.get("timezone"))
    return f"{named} {start}\u2013{end}" + (f" {zone}" if zone else "")


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
