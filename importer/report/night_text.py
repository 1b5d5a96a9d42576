"""A night in words: for standard output, an e-mail and a chat; and as JSON for programs."""

from __future__ import annotations

import re
from textwrap import wrap
from typing import TYPE_CHECKING, Any, Final

from importer.masks import scrub_name
from importer.report.night import ENDING_MEANING
from importer.report.outcomes import MEANING
from importer.report.wording import elapsed, number, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.report.night import FileReport, NightReport

_WIDTH: Final = 79
_COMMAND: Final = re.compile(r"`[^`]+`")
_GAP: Final = "\0"


def text_of(night: NightReport, faults: Sequence[str] = ()) -> str:
    """The night as plain text of 79 columns, a few lines for each file.

    Args:
        night: what it did.
        faults: what could not be written or sent about it, in sentences.
    """
    took = elapsed(night.took_s)
    lines = [night.headline, f"Night of {night.started:%Y-%m-%d %H:%M} UTC, {took}.", ""]
    for file in night.files:
        lines += _file_lines(file)
    if night.todo:
        lines += ["What somebody must do:", *_points(night.todo), ""]
    if faults:
        lines += ["What did not work besides:", *_points(faults), ""]
    lines.append(f"Exit code {night.exit_code.value}: {night.meaning}.")
    return "".join(f"{line}\n" for each in lines for line in _wrapped(each))


def _points(sentences: Sequence[str]) -> list[str]:
    return [f"- {plain(each, 500)}" for each in sentences]


def _wrapped(line: str) -> list[str]:
    """A line in as many as it needs; no word, path or command between backticks is broken."""
    indent = "  " if line.startswith((" ", "- ")) else ""
    whole = _COMMAND.sub(lambda found: found[0].replace(" ", _GAP), line)
    lines = wrap(
        whole, _WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return [each.replace(_GAP, " ") for each in lines] or [""]


def subject_of(night: NightReport) -> str:
    """The night in the line above an e-mail."""
    state = "all well" if night.exit_code == 0 else night.meaning
    return plain(f"Import of {night.started:%-d %B %Y}: {night.headline} ({state})", 200)


def slack_of(night: NightReport) -> dict[str, Any]:
    """The night as the JSON that Slack, Mattermost and others take at a webhook."""
    return {"text": f"*{night.headline}*\n```\n{text_of(night)}```"}


def json_of(night: NightReport, faults: Sequence[str] = ()) -> dict[str, Any]:
    """The night as JSON, version 1; `faults` as for `text_of`."""
    return {
        "schema_version": 1,
        "night": night.id,
        "inbox": night.inbox,
        "started": f"{night.started:%Y-%m-%dT%H:%M:%SZ}",
        "ended": f"{night.ended:%Y-%m-%dT%H:%M:%SZ}",
        "exit_code": night.exit_code.value,
        "headline": night.headline,
        "rows": dict(sorted(night.rows.items())),
        "problems": dict(sorted(night.problems.items())),
        "doubtful_open": night.doubtful_open,
        "todo": list(night.todo),
        "faults": list(faults),
        "files": [_file_json(file) for file in night.files],
    }


def rows_in_words(file: FileReport) -> str:
    """`312 created, 4 rejected`, in the order of reports; empty where nothing was read."""
    return ", ".join(
        f"{number(file.rows[word])} {word.replace('-', ' ')}"
        for word in MEANING
        if file.rows.get(word)
    )


def _file_lines(file: FileReport) -> list[str]:
    name = f"{file.folder}/{file.name}" if file.folder else file.name
    lines = [f"{plain(name, 200)}: {ENDING_MEANING[file.ending]}"]
    rows = rows_in_words(file)
    details = (rows, plain(file.reason, 500), f"run {file.run}" if file.run else "")
    lines += [f"  {detail}" for detail in details if detail]
    if file.place:
        lines.append(f"  lies in {plain(scrub_name(file.place), 200)}")
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
