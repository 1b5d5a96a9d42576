"""HTML reports, each in one file: of a plan with its charts, tasks, rows and groups; of a night."""

from __future__ import annotations

import json
import os.path
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from importer.atomic_file import replace_file
from importer.languages import (
    language,
    moment,
    number,
    translate,
    translate_count,
    translate_filled,
    translate_word,
)
from importer.loader.sheet import column_letters
from importer.report.formatting import elapsed, file_format, html_size, plain, size
from importer.report.night_report import ENDING_MEANING, FileEnding, rows_in_words
from importer.report.outcomes import OUTCOME_MEANING
from importer.report.rejected_rows import changes, rejected_tables
from schemas.codes import Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Counts, Json
    from importer.report.night_report import FileReport, NightReport
    from importer.report.tasks import Task
    from importer.report.view import FileView, GroupView, PlanView


BARS: Final = 8
"""Number of bars of a chart; the others are summed up in one line."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar of a chart: label, count, length in percent, and the anchor that it links to."""

    label: str
    count: int
    percent: float
    anchor: str = ""
    kind: str = ""


@dataclass(frozen=True, slots=True)
class BarPart:
    """A part of the bar of all rows that were read."""

    label: str
    count: int
    kind: str


def bar_parts(counts: Counts) -> list[BarPart]:
    """Return the parts of the bar, without the empty ones."""
    found = (
        BarPart(translate("ready"), counts.ready, "good"),
        BarPart(translate("to fix"), counts.rejected, "fix"),
        BarPart(translate("repeated, skipped"), counts.duplicates, "rest"),
        BarPart(translate("imported before, skipped"), counts.already_imported, "done"),
    )
    return [part for part in found if part.count]


def causes(tasks: Sequence[tuple[str, str, Task]]) -> list[Bar]:
    """Return the most frequent causes as bars, those that keep rows out first.

    Args:
        tasks: kind, anchor and task; the anchor is empty if the page does not show the task.
    """
    order = sorted(tasks, key=lambda each: (each[0] != "fix", -each[2].count))
    largest = max((task.count for *_, task in order), default=1)
    bars = [
        Bar(task.do, task.count, 100 * task.count / largest, anchor, kind)
        for kind, anchor, task in order[:BARS]
    ]
    others = [task.count for *_, task in order[BARS:]]
    label = translate_count(len(others), "and {n} more cause", "and {n} more causes")
    return bars + _rest(others, label)


def group_bars(groups: Sequence[GroupView], linked: int) -> list[Bar]:
    """Return the largest groups as bars; the page shows the first `linked` groups of the plan."""
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
    others = [groups[position].rows for position in order[BARS:]]
    label = translate_count(len(others), "and {n} more group", "and {n} more groups")
    return bars + _rest(others, label)


def _rest(counts: Sequence[int], label: str) -> list[Bar]:
    """Sum up the other bars in a line without a bar, because its bar would dwarf the others."""
    return [Bar(label, sum(counts), 0.0, "", "rest")] if counts else []


_NUMBERS: Final = re.compile(r"\[\n\s+((?:-?\d+,\n\s+)*-?\d+)\n\s+\]")
DAYS: Final = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
"""Days of `openHours`; 0 and 7 are both Sunday."""

_KNOWN_KEYS: Final = {
    "title", "description", "timezone", "duration", "openHours", "videoConferencing",
    "videoConferencingProvider", "location",
}  # fmt: skip


def facts(group: GroupView) -> list[tuple[str, str]]:
    """Return everything that a group's templates say, as labels and texts, the usual keys first."""
    meeting = group.meeting_configuration
    known = [
        (translate("Meets"), "; ".join(_person(person) for person in group.meeting_participants)),
        (translate("Length"), _minutes(meeting.get("duration"))),
        (translate("Offered times"), _hours(meeting.get("openHours"))),
        (translate("Time zone"), _text(meeting.get("timezone"))),
        (translate("Where"), _where(meeting)),
        (translate("Text"), _text(meeting.get("description"))),
    ]
    others = [
        (_label(key), _text(value)) for key, value in meeting.items() if key not in _KNOWN_KEYS
    ]
    return [(label, text) for label, text in [*known, *others] if text]


def heading(group: GroupView) -> str:
    """Return the meeting's title, else the template's name."""
    return _text(group.meeting_configuration.get("title")) or group.meeting or group.campaign


def pretty(value: Json) -> str:
    """Return indented JSON with lists of numbers on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return _NUMBERS.sub(lambda found: f"[{' '.join(found[1].split())}]", text)


def contact(body: Mapping[str, Json]) -> list[tuple[str, str]]:
    """Return the person in the request body of an example, as labels and texts."""
    name = " ".join(_text(body.get(key)) for key in ("firstName", "lastName"))
    found = [
        (translate("To"), name.strip()),
        (translate("Phone"), _text(body.get("phoneNumber"))),
        (translate("E-mail"), _text(body.get("emailAddress"))),
    ]
    return [(label, text) for label, text in found if text]


def _text(value: Json) -> str:
    """Return any value as one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return translate("yes") if value else translate("no")
    if isinstance(value, str | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False)


def _label(key: str) -> str:
    """Return `bufferMinutes` as `Buffer minutes`."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key).replace("_", " ")
    return words[:1].upper() + words[1:].lower()


def _minutes(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return translate_count(value, "{n} minute", "{n} minutes")
    return _text(value)


def _where(meeting: Mapping[str, Json]) -> str:
    if meeting.get("videoConferencing") is True:
        provider = _text(meeting.get("videoConferencingProvider"))
        by_video = translate("By video")
        return f"{by_video} ({provider})" if provider else by_video
    return _text(meeting.get("location"))


def _person(person: Mapping[str, Json]) -> str:
    """Return name, address and role of a participant."""
    name, email = _text(person.get("name")), _text(person.get("email"))
    nameless = translate("somebody without a name")
    label = f"{name} ({email})" if name and email else name or email or nameless
    organizes = person.get("isOrganizer") is True
    return translate("{person}, organizer", person=label) if organizes else label


def _hours(value: Json) -> str:
    """Return opening hours in words: `Mon-Fri 09:00-17:00`."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        return _text(value)
    return "; ".join(_opening(item) if isinstance(item, Mapping) else _text(item) for item in value)


def _opening(item: Mapping[str, Json]) -> str:
    start, end, days = _text(item.get("start")), _text(item.get("end")), item.get("days")
    if not (start and end) or not isinstance(days, Sequence) or isinstance(days, str):
        return _text(item)
    if not all(isinstance(day, int) and 0 <= day < len(DAYS) for day in days):
        return _text(item)
    numbers = [day for day in days if isinstance(day, int)]
    span = list(range(numbers[0], numbers[-1] + 1)) if numbers else []
    if len(numbers) > 2 and numbers == span:  # noqa: PLR2004
        first, last = (translate_word(DAYS[numbers[place]]) for place in (0, -1))
        named = f"{first}\u2013{last}"
    else:
        named = ", ".join(translate_word(DAYS[day]) for day in numbers)
    zone = _text(item.get("timezone"))
    return f"{named} {start}\u2013{end}" + (f" {zone}" if zone else "")


# Limits that keep the page under 5 MB, even if cells are long.
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


def write_page(view: PlanView, path: Path) -> None:
    """Write the page, UTF-8; it stays under 5 MB and says what it leaves out.

    Raises:
        ImporterError: the file cannot be written.
    """
    with replace_file(path) as out:
        for part in environment().get_template("plan.html.j2").generate(**_page(view)):
            out.write(part)


@cache
def environment() -> Environment:
    """Return the template environment: it escapes everything, and unknown names are errors.

    It is made once, because it keeps the compiled templates: a night writes many pages.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        number=number, plain=plain, size=size, message=_message, places=_places, moment=moment
    )
    environment.globals.update(
        _=_in_language, counted=_counted, word=translate_word, language=language
    )
    return environment


def _in_language(text: str, /, **values: object) -> Markup:
    """Return a text in the reader's language, escaped; values that are markup stay so."""
    return Markup(escape(translate(text))).format(**values)  # noqa: S704 (escaped)


def _counted(count: int, one: str, many: str) -> Markup:
    """Return the text for one or for many, escaped."""
    return escape(translate_count(count, one, many))


def _message(text: str) -> Markup:
    """Return a message, escaped, with its backticks turned into code elements."""
    return Markup(_QUOTED.sub(r"<code>\1</code>", str(escape(plain(text, 400)))))  # noqa: S704 (escaped)


def _page(view: PlanView) -> dict[str, object]:
    """Return the variables of the template."""
    tables = rejected_tables(view.plan)
    tidied, tidied_total = changes(view.plan)
    fix, check = _tasks(view, Severity.ERROR), _tasks(view, Severity.WARNING)
    sections = [
        (kind, title, found[:_TASKS], max(0, len(found) - _TASKS))
        for kind, title, found in (
            ("fix", translate("To fix"), fix),
            ("check", translate("To check"), check),
        )
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
    bare = bare_names([file.name for file in view.files])
    groups = _fitting((_group(group, bare) for group in view.groups[:_GROUPS]), _GROUPS_BUDGET)
    files = _fitting((_file(file, bare) for file in view.files[:_FILES]), _FILES_BUDGET)
    names = ", ".join(plain(bare[file.name], 60) for file in view.files[:_NAMED])
    more = len(view.files) - _NAMED
    return {
        "view": view,
        "counts": view.counts,
        "names": translate("{shown} and {n} more", shown=names, n=more) if more > 0 else names,
        "several": len(view.files) > 1,
        "positions": {file.name: position for position, file in enumerate(view.files)},
        "bare": bare,
        "cell_of": {
            (table.source.name, header): column_letters(place)
            for table in view.plan.tables
            for header, place in table.places.items()
        },
        "shares": bar_parts(view.counts),
        "sections": sections,
        "notes": [task for task in view.tasks_of(Severity.INFO) if not task.total][:_TASKS],
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


def bare_names(names: Sequence[str]) -> dict[str, str]:
    """Return the names of files without their folders, unless two would then be called alike."""
    bare = {name: re.split(r"[/\\]", name)[-1] or name for name in names}
    alike = Counter(bare.values())
    return {name: short if alike[short] == 1 else name for name, short in bare.items()}


_Part = dict[str, Any]


def _fitting(parts: Iterator[_Part], budget: int) -> list[_Part]:
    """Return the first parts that fit into `budget` bytes of the page."""
    found = []
    for part in parts:
        budget -= html_size(json.dumps(part, default=str, ensure_ascii=False))
        if budget < 0:
            break
        found.append(part)
    return found


def _group(group: GroupView, bare: Mapping[str, str]) -> _Part:
    """Return a group in words, and its templates as JSON."""
    example_row = group.example_row
    for file, short in bare.items():
        if example_row.endswith(f" {file}"):
            example_row = f"{example_row.removesuffix(file)}{short}"
            break
    parts = (group.meeting_participants, group.meeting_configuration)
    names = (
        (translate("Campaign"), group.campaign),
        (translate("Meeting"), group.meeting),
        (translate("People"), group.participants),
    )
    return {
        "heading": plain(heading(group), 120),
        "rows": group.rows,
        "names": [(label, plain(name)) for label, name in names],
        "facts": [(label, plain(text, 600)) for label, text in facts(group)][:_FACTS],
        "templates": "\n".join(_cut(pretty(part)) for part in parts if part),
        "example_row": plain(example_row),
        "contact": contact(group.example) if group.example is not None else [],
        "example": _cut(pretty(group.example)) if group.example is not None else "",
    }


def _file(file: FileView, bare: Mapping[str, str]) -> _Part:
    """Return a file and how it was read."""
    columns = [
        (plain(header, 60), translate_word(column.replace("_", " ")))
        for header, column in file.columns.items()
    ]
    return {
        "name": plain(bare[file.name], 200),
        "read": file.read,
        "ready": file.ready,
        "rejected": file.rejected,
        "size": file.size,
        "how": plain(file_format(file.encoding, file.delimiter, file.sheet, file.header_row)),
        "columns": columns[:_HEADERS],
        "extra": [plain(header, 60) for header in file.extra][:_HEADERS],
        "ignored": [plain(header, 60) for header in file.ignored][:_HEADERS],
        "notes": [plain(translate_filled(note), 400) for note in file.notes][:_HEADERS],
        "sha256": file.sha256,
    }


def _cut(text: str) -> str:
    """Cut a long text, and say how much is left out."""
    if len(text) <= _TEXT:
        return text
    left = translate("… and {n} more characters", n=number(len(text) - _TEXT))
    return f"{text[:_TEXT]}\n{left}"


def _places(task: Task) -> tuple[list[tuple[str, int, tuple[int, ...], int]], int]:
    """Return name, position, first rows and row count of the first files, and how many are left.

    At most `_ROWS` rows of a task are named in all.
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
    """Return the tasks of a severity with the anchors that the chart links to."""
    return [
        (f"task-{position}", task)
        for position, task in enumerate(view.tasks)
        if task.severity is severity
    ]


# ---- a night ------------------------------------------------------------------------------------


_NIGHT_KINDS: Final = {
    FileEnding.FAILED: "task fix",
    FileEnding.HELD: "task check",
    FileEnding.WAITING: "task check",
}
"""How a file looks on the page: those that need a person stand out."""

_NIGHT_PARTS: Final = {
    "created": "good",
    "rejected": "fix",
    "doubtful": "check",
    "unsent": "check",
    "planned": "rest",
}
"""Word of `outcomes.OUTCOME_MEANING` -> colour of its part; the others are settled."""


@dataclass(frozen=True, slots=True)
class NightBarPart:
    """A part of the night's rows."""

    kind: str
    count: int
    label: str


def _night_bar_parts(night: NightReport) -> list[NightBarPart]:
    rows = night.rows
    return [
        NightBarPart(
            _NIGHT_PARTS.get(word, "done"), rows[word], translate_word(word).replace("-", " ")
        )
        for word in OUTCOME_MEANING
        if rows[word]
    ]


def write_night(night: NightReport, path: Path, root: Path) -> None:
    """Write the page of a night: it works offline and links what was written about each file.

    Args:
        night: what it did.
        path: the path of the page.
        root: the inbox; the places in `night` are relative to it.

    Raises:
        ImporterError: the file cannot be written.
    """
    way = PurePosixPath(os.path.relpath(root, path.parent))

    def links(file: FileReport) -> list[tuple[str, str]]:
        found = [("the file", file.place), *file.pages] if file.place else list(file.pages)
        return [(translate_word(label), quote(str(way / place))) for label, place in found]

    took = elapsed(night.took_s)
    with replace_file(path) as out:
        for part in (
            environment()
            .get_template("night.html.j2")
            .generate(
                night=night,
                endings={ending: translate(text) for ending, text in ENDING_MEANING.items()},
                filled=translate_filled,
                started=moment(night.started),
                kinds=_NIGHT_KINDS,
                shares=_night_bar_parts(night),
                rows=rows_in_words,
                links=links,
                took=took,
            )
        ):
            out.write(part)
