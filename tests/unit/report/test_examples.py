"""One row of each group, as it will be sent."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from importer.report.view import examples
from importer.settings import Settings
from schemas.columns import GROUP

if TYPE_CHECKING:
    from importer.model import Table
    from tests.unit.report.conftest import MakePlan


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
