"""The charts of a page: shares of the rows, problems by cause, rows by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.report.meetings import heading
from importer.report.wording import counted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.model import Counts
    from importer.report.lists import GroupView
    from importer.report.tasks import Task

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
