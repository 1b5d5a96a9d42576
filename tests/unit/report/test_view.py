"""One view for every form: counts, files, groups, tasks and problems in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer import problems
from importer.report import view
from importer.settings import Settings
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from importer.model import Plan, Table
    from tests.unit.report.conftest import MakePlan, MakeTable


def test_the_view_repeats_the_plan(recruiter_plan: Plan) -> None:
    """Nothing is counted a second way."""
    seen = view.plan_view(recruiter_plan, Settings())
    assert seen.headline == "2 of 6 rows are ready for 1 group; 3 need fixing."
    assert seen.hash == recruiter_plan.hash
    (file,) = seen.files
    assert (file.read, file.ready, file.rejected) == (6, 2, 3)
    assert list(file.columns) == ["First name", "Surname", "Mobile", "E-mail"]
    assert [group.rows for group in seen.groups] == [2]
    assert sum(each.count for each in seen.problem_counts) == recruiter_plan.problems.height


def test_a_run_is_blocked_by_rejected_rows_unless_they_may_be_skipped(
    recruiter_plan: Plan, make_plan: MakePlan, recruiter: Table
) -> None:
    """The policy is the settings', the fact is the plan's."""
    assert view.plan_view(recruiter_plan, Settings()).blocked
    assert not view.plan_view(recruiter_plan, Settings(on_problems="skip")).blocked
    assert not view.plan_view(make_plan([recruiter]), Settings()).blocked


def test_the_time_to_send_follows_the_rate(make_plan: MakePlan, recruiter: Table) -> None:
    """Six rows at two a second take three seconds."""
    assert view.plan_view(make_plan([recruiter]), Settings(rate_per_s=2)).send_s == pytest.approx(3)


@pytest.mark.parametrize("batch", [1, 3, 1000])
def test_problems_in_bulk_say_what_problems_one_by_one_say(
    recruiter_plan: Plan, batch: int
) -> None:
    """The batches put together are every problem, in order, in the same words."""
    seen = view.plan_view(recruiter_plan, Settings())
    found = pl.concat(seen.worded_problems(batch))
    expected = [
        (
            each.source, each.row, each.column, each.header, each.code.value,
            each.severity.value, each.value, each.message, each.fix,
        )
        for each in problems.in_words(recruiter_plan.problems, recruiter_plan.tables)
    ]  # fmt: skip
    assert found.rows() == expected


def test_counts_of_problems_are_errors_first(recruiter_plan: Plan) -> None:
    """Severity, then frequency, then name: the same input gives the same order."""
    counted = view.plan_view(recruiter_plan, Settings()).problem_counts
    assert [each.severity for each in counted] == ["error"] * 5 + ["warning"] * 2 + ["info"]
    assert counted[0].code == "email-invalid"
    assert counted[5].column is None


def test_a_file_that_cannot_be_used_is_said(make_plan: MakePlan, make_table: MakeTable) -> None:
    """Even where another file is fine."""
    good = make_table("good.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    bad = make_table("bad.csv", [], [], {})
    found = problems.one(Code.FILE_UNREADABLE, detail="it is a picture", source=1)
    seen = view.plan_view(make_plan([good, bad], [found]), Settings())
    assert seen.asides[0] == "1 file could not be used."
    assert [task.where[0].file for task in seen.tasks_of(Severity.ERROR)] == ["bad.csv"]


def test_a_group_names_its_campaign(recruiter_plan: Plan) -> None:
    """And carries its example where one was given."""
    (group,) = view.plan_view(recruiter_plan, Settings()).groups
    assert group.campaign == "camp-42"
    assert group.example_row == "row 2"
    assert group.example is not None
    assert group.example["firstName"] == "Ada2"


def test_personal_values_are_not_in_the_repr(recruiter_plan: Plan) -> None:
    """A view that ends in a log tells nobody's phone."""
    assert "0207" not in repr(view.plan_view(recruiter_plan, Settings()))
