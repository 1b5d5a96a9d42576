"""One view for every form: counts, files, groups, tasks and problems in words."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer import problems
from importer.model import Counts, Group
from importer.report import view
from importer.report.view import asides, examples, file_views, group_view, headline, problem_counts
from importer.settings import Settings
from schemas.codes import Code, Severity
from schemas.columns import GROUP

if TYPE_CHECKING:
    from importer.model import Plan, Table
    from tests.unit.report.conftest import MakePlan, MakeTable


def test_the_view_repeats_the_plan(recruiter_plan: Plan) -> None:
    """Nothing is counted a second way."""
    seen = view.plan_view(recruiter_plan, Settings())
    assert seen.headline == "2 of 6 rows are ready to send; 3 need fixing."
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


@pytest.mark.parametrize(
    ("counts", "doubtful", "result"),
    [
        (
            Counts(read=340, ready=312, rejected=28),
            0,
            "312 of 340 rows are ready to send; 28 need fixing.",
        ),
        (Counts(read=2, ready=1, rejected=1), 0, "1 of 2 rows is ready to send; 1 needs fixing."),
        (Counts(read=5, ready=5), 0, "All 5 rows are ready to send; nothing needs fixing."),
        (Counts(read=1, ready=1), 0, "The only row is ready to send; nothing needs fixing."),
        (Counts(read=1, rejected=1), 0, "The only row is not ready; 1 needs fixing."),
        (Counts(read=9, rejected=9), 0, "None of 9 rows is ready; 9 need fixing."),
        (Counts(), 0, "There are no rows to import."),
        (
            Counts(read=4, ready=2, already_imported=2),
            2,
            "2 of 4 rows are ready to send; 2 may have been sent before and must be looked up.",
        ),
        (
            Counts(read=4, ready=1, rejected=2, already_imported=1),
            1,
            (
                "1 of 4 rows is ready to send; 2 need fixing and 1 may have been sent before and "
                "must be looked up."
            ),
        ),
    ],
)
def test_the_headline_agrees_with_its_numbers(counts: Counts, doubtful: int, result: str) -> None:
    """Singular, plural, all, none; a doubtful row is never "nothing"."""
    assert headline(counts, doubtful) == result


def test_what_else_happens_is_said() -> None:
    """Files, repeats, earlier runs and the time it takes, each only if there is one."""
    assert list(asides(Counts(read=3, duplicates=1, already_imported=2), 1, 0.0)) == [
        "1 file could not be used.",
        "1 row repeats the person of an earlier row: skipped.",
        "2 rows were imported by an earlier run: skipped.",
    ]
    assert list(asides(Counts(read=600, ready=600), 0, 120.0)) == ["Sending takes about 2 minutes."]
    assert not list(asides(Counts(read=1, rejected=1), 0, 0.0))


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
    found = problem_counts(problems.concat([warned, raised, raised]))
    assert [(each.severity, each.count) for each in found] == [("error", 2), ("warning", 1)]


def test_each_group_has_its_first_row(make_plan: MakePlan, recruiter: Table) -> None:
    """In words, and its whole body."""
    plan = make_plan([recruiter], groups=2)
    found = examples(plan, Settings())
    assert {group: place for group, (place, _) in found.items()} == {0: "row 2", 1: "row 3"}
    _, body = found[1]
    assert body["firstName"] == "Ada3"
    assert body["campaignId"] == "camp-43"
    assert body["meetingConfiguration"] == plan.groups[1].meeting_configuration
    assert set(found) == set(plan.frame[GROUP].unique())


def test_several_files_are_named(make_plan: MakePlan, recruiter: Table) -> None:
    """A row alone would not be enough."""
    plan = make_plan([recruiter, recruiter])
    assert examples(plan, Settings())[0][0] == "row 2 of recruiter.csv"


def test_nothing_ready_is_no_example(make_plan: MakePlan, recruiter: Table) -> None:
    """An empty plan is no crash."""
    plan = make_plan([recruiter])
    plan = dataclasses.replace(plan, frame=plan.frame.clear(), groups=())
    assert examples(plan, Settings()) == {}


def test_a_list_of_many_groups_has_a_few_examples(make_plan: MakePlan, recruiter: Table) -> None:
    """The first ones."""
    plan = make_plan([recruiter], groups=6)
    assert list(examples(plan, Settings(), most=2)) == [0, 1]
