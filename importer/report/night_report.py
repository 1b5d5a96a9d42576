"""What a night did, as every form of its report shows it: no phone, no e-mail, no name."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from importer.atomic_file import replace_file
from importer.errors import EXIT_MEANING, Exit
from importer.languages import (
    ENGLISH,
    day,
    number,
    translate,
    translate_count,
    translate_filled,
    translate_word,
    use_language,
)
from importer.masking import scrub_name
from importer.report.formatting import GivenFlags, elapsed, plain, release_command
from importer.report.outcomes import OUTCOME_MEANING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from pathlib import Path


class FileEnding(StrEnum):
    """The result of a file in a night."""

    DONE = "done"
    SEEN = "seen"
    HELD = "held"
    FAILED = "failed"
    WAITING = "waiting"
    GONE = "gone"
    RELEASED = "released"


ENDING_MEANING: Final = {
    FileEnding.DONE: "imported",
    FileEnding.SEEN: "its content was imported before",
    FileEnding.HELD: "held until a person looks; `importer release FILE` lets it go",
    FileEnding.FAILED: "cannot be imported as it is",
    FileEnding.WAITING: "left for the next night, which begins with it",
    FileEnding.GONE: "taken away or changed before it could be read",
}
"""In the order of reports."""

WORST: Final = (
    Exit.OK,
    Exit.REJECTED,
    Exit.HELD,
    Exit.INPUT,
    Exit.DOUBTFUL,
    Exit.INTERRUPTED,
    Exit.USAGE,
    Exit.SETUP,
)
"""The exit codes, from the best to the worst."""

_FOR_SOMEBODY: Final = frozenset({Exit.SETUP, Exit.INPUT, Exit.USAGE, Exit.HELD})
"""Exit codes of files that wait until somebody acts."""


@dataclass(frozen=True, slots=True)
class FileReport:
    """The result of one file.

    Attributes:
        folder: subfolder of the inbox; empty for the inbox itself.
        name: the name of the file, as it arrived.
        file_id: the beginning of its sha256, as in the log.
        ending: how the file ended.
        reason: why, in a sentence; empty for a file that was imported as it should be.
        exit_code: what it contributes to the night's.
        run: the run that imported it, or None.
        rows: word of `importer.report.outcomes.OUTCOME_MEANING` -> how many rows ended so.
        problems: code -> how many problems.
        place: where the file is now, relative to the inbox.
        pages: label and place of what was written about it, relative to the inbox.
        send_s: seconds that sending took.
    """

    folder: str
    name: str
    file_id: str
    ending: FileEnding
    reason: str = ""
    exit_code: Exit = Exit.OK
    run: str | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    problems: Mapping[str, int] = field(default_factory=dict)
    place: str = ""
    pages: tuple[tuple[str, str], ...] = ()
    send_s: float = 0.0


REHEARSED: Final = "This was a rehearsal: nobody was contacted."


@dataclass(frozen=True, slots=True)
class NightReport:
    """The result of a night.

    Attributes:
        id: the id of the night, such as `night-20261122-020000`.
        inbox: the folder.
        started: UTC.
        ended: UTC; a clock that jumped may have it before `started`.
        took_s: seconds between the two, by a clock that never jumps.
        files: the files in the order in which they were taken.
        notes: what else somebody should know, in sentences.
        rehearsal: whether it sent to the sandbox, so that nobody was contacted.
        exit_code: the worst of the night.
        doubtful_open: submissions that may have been accepted, of all nights and runs.
        rate_per_s: most requests a second, as the settings have it.
        last_success: UTC; when a night last ended well, this one included; None if no night did.
        given: flags for the commands that are proposed.
    """

    id: str
    inbox: str
    started: datetime
    ended: datetime
    took_s: float
    files: tuple[FileReport, ...]
    notes: tuple[str, ...]
    exit_code: Exit
    doubtful_open: int
    rate_per_s: float
    last_success: datetime | None = None
    given: GivenFlags = field(default_factory=GivenFlags)
    rehearsal: bool = False

    @property
    def rows(self) -> Counter[str]:
        """The number of rows of all files for each word."""
        return sum((Counter(file.rows) for file in self.files), Counter())

    @property
    def problems(self) -> Counter[str]:
        """The number of problems of each code in all files."""
        return sum((Counter(file.problems) for file in self.files), Counter())

    @property
    def endings(self) -> Counter[FileEnding]:
        """The number of files for each ending."""
        return Counter(file.ending for file in self.files)

    @property
    def headline(self) -> str:
        """The night in one sentence, and in a second one whether it was a rehearsal."""
        return f"{self.summary} {translate(REHEARSED) if self.rehearsal else ''}".rstrip()

    @property
    def summary(self) -> str:
        """The night in one sentence."""
        if not self.files:
            well = self.exit_code is Exit.OK
            return translate("No file came.") if well else translate("Nothing was imported.")
        said = translate_count(
            self.rows["created"],
            "{n} conversation started from {files}",
            "{n} conversations started from {files}",
            files=translate_count(len(self.files), "{n} file", "{n} files"),
        )
        worries = [
            f"{number(count)} {translate_word(ending.value)}"
            for ending in (FileEnding.HELD, FileEnding.FAILED, FileEnding.WAITING)
            if (count := self.endings[ending])
        ]
        return f"{said}; {', '.join(worries)}." if worries else f"{said}."

    @property
    def todo(self) -> tuple[str, ...]:
        """The tasks for a person, in sentences."""
        found = []
        for file in self.files:
            place = scrub_name(file.place)
            if file.ending is FileEnding.HELD:
                whole = place == file.place  # what is scrubbed out of a name no command can say
                release = "importer release"
                if whole:
                    flags = self.given.text_for("release")
                    release = release_command(self.inbox, place, flags)
                found.append(
                    translate(
                        "Look at {file}, then release it with `{command}`, or remove it.",
                        file=place,
                        command=release,
                    )
                )
            elif file.ending is FileEnding.FAILED:
                found.append(translate("Correct {file} and upload it again.", file=place))
            elif file.ending is FileEnding.DONE and file.rows.get("rejected"):
                found.append(
                    translate_count(
                        file.rows["rejected"],
                        "{n} row was rejected in {file}; it is in a file beside it.",
                        "{n} rows were rejected in {file}; they are in a file beside it.",
                        file=place,
                    )
                )
            elif file.ending is FileEnding.WAITING and file.exit_code in _FOR_SOMEBODY:
                reason = translate_filled(file.reason)
                found.append(
                    translate(
                        "{file} is waiting until you act: {reason}", file=place, reason=reason
                    )
                )
        if self.doubtful_open:
            found.append(
                translate_count(
                    self.doubtful_open,
                    "{n} submission may have been accepted: `{command}`, then `importer resolve`.",
                    "{n} submissions may have been accepted: `{command}`, then `importer resolve`.",
                    command=f"importer reconcile{self.given.text_for('reconcile')}",
                )
            )
        told = " ".join(file.reason for file in self.files)
        return (*found, *(translate_filled(note) for note in self.notes if note not in told))

    @property
    def meaning(self) -> str:
        """The meaning of the exit code."""
        return translate(EXIT_MEANING[self.exit_code])


def worst(*codes: Exit) -> Exit:
    """Return the worst of some exit codes; `OK` if there are none."""
    return max(codes, key=WORST.index, default=Exit.OK)


_WIDTH: Final = 79
_COMMAND: Final = re.compile(r"`[^`]+`")
_GAP: Final = "\0"


def night_text(night: NightReport, faults: Sequence[str] = ()) -> str:
    """Return the text of the nightly mail and of the terminal: 79 columns, a few lines a file.

    Args:
        night: what it did.
        faults: what could not be written or sent about it, in sentences.
    """
    took = elapsed(night.took_s)
    lines = [night.summary, *([translate(REHEARSED)] if night.rehearsal else [])]
    when = f"{night.started:%Y-%m-%d %H:%M} UTC"
    lines += [translate("Night of {when}, {took}.", when=when, took=took), ""]
    for file in night.files:
        lines += _file_lines(file)
    if night.todo:
        lines += [translate("To do:"), *_points(night.todo), ""]
    if faults:
        lines += [
            translate("Also failed:"),
            *_points([translate_filled(each) for each in faults]),
            "",
        ]
    code = translate(
        "Exit code {code}: {meaning}", code=night.exit_code.value, meaning=night.meaning
    )
    lines.append(f"{code}.")
    return "".join(f"{line}\n" for each in lines for line in _wrapped(each))


def _points(sentences: Sequence[str]) -> list[str]:
    return [f"- {plain(each, 500)}" for each in sentences]


def _wrapped(line: str) -> list[str]:
    """Wrap a line; break no word, path or command between backticks."""
    indent = "  " if line.startswith((" ", "- ")) else ""
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _GAP), line)
    lines = wrap(
        whole, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [each.replace(_GAP, " ") for each in lines] or [""]


def mail_subject(night: NightReport) -> str:
    """Return the subject of the nightly mail."""
    subject = translate(
        "Import of {day}: {headline} ({state})",
        day=day(night.started),
        headline=night.headline,
        state=night.meaning,
    )
    return plain(subject, 200)


def webhook_post(night: NightReport) -> dict[str, Any]:
    """Return the JSON that Slack, Mattermost and others accept at a webhook."""
    return {"text": f"*{night.headline}*\n```\n{night_text(night)}```"}


def night_json(night: NightReport, faults: Sequence[str] = ()) -> dict[str, Any]:
    """Return the night as JSON, version 1, in English; `faults` as for `night_text`."""
    with use_language(ENGLISH):
        headline, todo = night.headline, list(night.todo)
    return {
        "schema_version": 1,
        "night": night.id,
        "inbox": night.inbox,
        "started": f"{night.started:%Y-%m-%dT%H:%M:%SZ}",
        "ended": f"{night.ended:%Y-%m-%dT%H:%M:%SZ}",
        "exit_code": night.exit_code.value,
        "headline": headline,
        "rows": dict(sorted(night.rows.items())),
        "problems": dict(sorted(night.problems.items())),
        "doubtful_open": night.doubtful_open,
        "todo": todo,
        "faults": list(faults),
        "files": [_file_json(file) for file in night.files],
    }


def rows_in_words(file: FileReport) -> str:
    """Return `312 created, 4 rejected`, in the order of reports; empty if nothing was read."""
    return ", ".join(
        f"{number(file.rows[word])} {translate_word(word).replace('-', ' ')}"
        for word in OUTCOME_MEANING
        if file.rows.get(word)
    )


def _file_lines(file: FileReport) -> list[str]:
    name = f"{file.folder}/{file.name}" if file.folder else file.name
    lines = [f"{plain(name, 200)}: {translate(ENDING_MEANING[file.ending])}"]
    rows = rows_in_words(file)
    run = translate("run {run}", run=file.run) if file.run else ""
    details = (rows, plain(translate_filled(file.reason), 500), run)
    lines += [f"  {detail}" for detail in details if detail]
    if file.place:
        lines.append("  " + translate("now in {place}", place=plain(scrub_name(file.place), 200)))
    return [*lines, ""]


def _file_json(file: FileReport) -> dict[str, Any]:
    return {
        "folder": file.folder,
        "name": file.name,
        "file": file.file_id,
        "ending": file.ending.value,
        "reason": file.reason,
        "exit_code": file.exit_code.value,
        "run": file.run,
        "rows": dict(file.rows),
        "problems": dict(file.problems),
        "place": file.place,
        "pages": [{"label": label, "place": place} for label, place in file.pages],
    }


def write_metrics(night: NightReport, path: Path) -> None:
    """Write the metrics for Prometheus's textfile collector; raises ImporterError if it fails."""
    with replace_file(path) as out:
        out.write(render_metrics(night))
    path.chmod(0o644)  # the collector is another user, and nothing in it is private


def render_metrics(night: NightReport) -> str:
    """Render the night's metrics in Prometheus's text format."""
    from prometheus_client import CollectorRegistry, Gauge, generate_latest  # noqa: PLC0415 - rare

    registry = CollectorRegistry()

    def add(name: str, about: str, value: float) -> None:
        Gauge(f"importer_{name}", about, registry=registry).set(value)

    def add_labelled(name: str, about: str, label: str, values: Mapping[str, float]) -> None:
        gauge = Gauge(f"importer_{name}", about, [label], registry=registry)
        for word, value in values.items():
            gauge.labels(word).set(value)

    endings = [each for each in FileEnding if each != FileEnding.RELEASED]
    add_labelled(
        "night_rows",
        "Rows of the last night by outcome.",
        "outcome",
        {word: night.rows[word] for word in OUTCOME_MEANING},
    )
    add_labelled(
        "night_problems",
        "Problems of the last night by code.",
        "code",
        dict(sorted(night.problems.items())),
    )
    add_labelled(
        "night_files",
        "Files of the last night by ending.",
        "ending",
        {each.value: night.endings[each] for each in endings},
    )
    send_s = sum(file.send_s for file in night.files) or 1.0
    add("night_duration_seconds", "How long the last night took.", night.took_s)
    add("night_end_timestamp_seconds", "When the last night ended.", night.ended.timestamp())
    add("night_exit_code", "Exit code of the last night.", night.exit_code.value)
    add("doubtful_open", "Submissions that may have been accepted.", night.doubtful_open)
    add("rate_limit_per_second", "Most requests a second, as set.", night.rate_per_s)
    add(
        "night_rate_per_second",
        "Conversations a second while sending.",
        night.rows["created"] / send_s,
    )
    if night.last_success is not None:
        add(
            "last_success_timestamp_seconds",
            "When a night last ended with nothing to do but to correct rejected rows.",
            night.last_success.timestamp(),
        )
    return generate_latest(registry).decode()
