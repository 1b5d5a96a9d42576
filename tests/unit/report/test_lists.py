"""The lists of a plan: files, groups, counts of problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer import problems
from importer.model import Group
from importer.report.view import file_views, group_view, problem_counts
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from tests.unit.report.conftest import MakePlan, MakeTable


def test_rows_are_counted_file_by_file(make_plan: MakePlan, make_table: MakeTable) -> None:
    """A file without rows has zeros; the sum is the plan's."""
    cells: list[list[str | None]] = [["Ada"], [None], ["Ada"]]
    tables = [
        make_table("a.csv", ["Name"], cells, {"Name": "first_name"}),
        make_table("empty.csv", [], [], {}),
        make_table("b.xlsx", ["Name"], cells[:1], {"Name": "first_name"}, sheet="People"),
    ]
    plan = make_plan(
        tables,
        [
            problems.one(Code.FIRST_NAME_MISSING, row=3, column="first_name"),
            problems.one(Code.DUPLICATE_IN_FILE, row=4, detail="row 2"),
        ],
    )
    found = file_views(plan)
    assert [(file.read, file.ready, file.rejected) for file in found] == [
        (3, 1, 1),
        (0, 0, 0),
        (1, 1, 0),
    ]
    assert sum(file.read for file in found) == plan.counts.read
    assert (found[2].sheet, found[2].delimiter) == ("People", "")


def test_an_external_campaign_stands_in() -> None:
    """A group is known by whichever of the two it has."""
    group = Group("", "REQ-1", "onsite-45", "panel", {}, {"title": "x"}, (), 3)
    seen = group_view(group, None)
    assert (seen.campaign, seen.rows, seen.example) == ("REQ-1", 3, None)


def test_severities_of_the_user_count() -> None:
    """The same code at two severities is two counts."""
    warned = problems.one(Code.PHONE_NOT_MOBILE, row=2, column="phone_number")
    raised = problems.with_severities(warned, {Code.PHONE_NOT_MOBILE: Severity.ERROR})
    found = problem_counts(problems.joined([warned, raised, raised]))
    assert [(each.severity, each.count) for each in found] == [("error", 2), ("warning", 1)]
