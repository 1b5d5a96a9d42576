"""Charts show the largest first and never let the rest dwarf them."""

from __future__ import annotations

from importer.model import Counts
from importer.report.html import BARS, Share, causes, group_bars, shares
from importer.report.tasks import Task
from importer.report.view import GroupView
from schemas.codes import Code, Severity


def task(count: int) -> Task:
    """A task of so many problems."""
    return Task(
        Code.PHONE_INVALID, Severity.ERROR, None, "", "Correct", "", count, count, (), ()
    )  # fmt: skip


def group(rows: int) -> GroupView:
    """A group of so many rows."""
    return GroupView("camp-1", "onsite", "panel", rows, {}, {"title": f"Interview {rows}"}, ())


def test_shares_leave_out_what_there_is_none_of() -> None:
    """In the order of the bar."""
    assert shares(Counts(read=9, ready=5, rejected=3, already_imported=1)) == [
        Share("ready", 5, "good"),
        Share("to fix", 3, "fix"),
        Share("imported before, skipped", 1, "done"),
    ]
    assert shares(Counts()) == []


def test_causes_are_by_frequency_and_to_scale() -> None:
    """The largest is the whole width; a bar leads to its task where that is shown."""
    bars = causes([("fix", "task-0", task(5)), ("check", "", task(20))])
    assert [(bar.count, bar.percent, bar.kind, bar.anchor) for bar in bars] == [
        (20, 100.0, "check", ""),
        (5, 25.0, "fix", "task-0"),
    ]
    assert causes([]) == []


def test_what_is_left_is_a_number_and_no_bar() -> None:
    """All that is left is in it."""
    bars = causes([("fix", "", task(count)) for count in range(1, BARS + 4)])
    assert len(bars) == BARS + 1
    assert (bars[-1].label, bars[-1].count, bars[-1].percent) == ("and 3 more causes", 6, 0.0)


def test_groups_keep_their_places() -> None:
    """Sorted by rows, linked by their position in the plan, where they are shown."""
    bars = group_bars([group(2), group(8), group(4)], linked=2)
    assert [(bar.label, bar.percent, bar.anchor) for bar in bars] == [
        ("camp-1: Interview 8", 100.0, "group-1"),
        ("camp-1: Interview 4", 50.0, ""),
        ("camp-1: Interview 2", 25.0, "group-0"),
    ]
    many = group_bars([group(1)] * (BARS + 1), linked=0)
    assert many[-1].label == "and 1 more group"
