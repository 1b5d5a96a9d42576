"""What must hold before a plan is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit, FileUnreadable, Held, UsageError
from importer.preflight import refuse_example_values, refuse_unreadable, require_expected_plan
from importer.problems import file_errors, one
from importer.report import view
from importer.report.exit_codes import exit_of_plan
from importer.report.export import write_plan_json
from schemas.codes import Code
from schemas.templates import is_example
from tests.support.project import GOOD, Project, make_project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from importer.model import Plan


@pytest.fixture
def project() -> Iterator[Project]:
    """Yield a folder to plan in."""
    with make_project() as project:
        yield project


@pytest.fixture
def plan(project: Project) -> Plan:
    """Return one good row."""
    return project.plan([GOOD])


def test_a_good_plan_may_go(plan: Plan) -> None:
    """It ends with 0, and nothing refuses it."""
    refuse_unreadable(plan)
    assert exit_of_plan(plan) is Exit.OK


@pytest.mark.parametrize(
    ("problem", "exit_code"),
    [
        (one(Code.FILE_EMPTY), Exit.INPUT),
        (one(Code.COLUMN_MISSING, row=1), Exit.INPUT),
        (one(Code.ENCODING_GUESSED), Exit.OK),
        (one(Code.COLUMN_UNKNOWN, row=1), Exit.OK),
    ],
)
def test_only_faults_of_a_whole_file_refuse_it(
    plan: Plan, problem: pl.DataFrame, exit_code: Exit
) -> None:
    """An error of no row, or at the header; a warning does not."""
    bad = replace(plan, problems=problem)
    assert exit_of_plan(bad) is exit_code
    assert bool(file_errors(bad).height) is (exit_code is Exit.INPUT)
    if exit_code is Exit.INPUT:
        with pytest.raises(FileUnreadable, match=r"list-0\.csv cannot be used"):
            refuse_unreadable(bad)
    else:
        refuse_unreadable(bad)


def test_rejected_rows_refuse_no_file(project: Project) -> None:
    """They end a check with 1."""
    plan = project.plan([GOOD, {**GOOD, "first_name": ""}])
    refuse_unreadable(plan)
    assert exit_of_plan(plan) is Exit.REJECTED


def test_a_plan_is_expected_by_its_hash(project: Project, plan: Plan) -> None:
    """In capitals or with blanks around it too; another is held back."""
    require_expected_plan(f" {plan.hash.upper()} ", plan)
    with pytest.raises(Held, match="give the check's JSON"):
        require_expected_plan("0" * 64, plan)
    with pytest.raises(UsageError, match="64 digits"):
        require_expected_plan("abc", plan)
    assert project.plan([GOOD]).hash == plan.hash


def report_of(plan: Plan, project: Project) -> Path:
    """Return the JSON of a check of this plan, as a file."""
    path = project.folder / "check.json"
    with path.open("w", encoding="utf-8") as out:
        write_plan_json(view.plan_view(plan, project.settings), out)
    return path


def test_what_changed_is_named(project: Project, plan: Plan) -> None:
    """Files, columns, rows, templates: as far as the report tells."""
    path = str(report_of(plan, project))
    require_expected_plan(path, plan)
    other = {**GOOD, "phone_number": "+1 202 555 0198", "campaign": "b"}
    with pytest.raises(Held) as held:
        require_expected_plan(path, project.plan([GOOD, other]))
    assert "the content of " in str(held.value)
    assert "1 rows were good, 2 are now" in str(held.value)
    assert "the campaigns or templates" in str(held.value)
    with pytest.raises(Held, match="1 files then, 2 now"):
        require_expected_plan(path, project.plan([GOOD], [other]))
    second = Project(project.folder, project.settings.model_copy(update={"round": "second"}))
    with pytest.raises(Held, match="a setting that shapes bodies"):
        require_expected_plan(path, second.plan([GOOD]))


@pytest.mark.parametrize("text", ["", "[]", '"x"', '{"plan": 1}', "{"])
def test_another_file_is_no_report(project: Project, plan: Plan, text: str) -> None:
    """Wrong usage, and no traceback."""
    path = project.folder / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not the JSON of a check"):
        require_expected_plan(str(path), plan)


def test_a_report_says_it_in_json(project: Project, plan: Plan) -> None:
    """The hash of the report is the plan's."""
    assert json.loads(report_of(plan, project).read_text())["plan"] == plan.hash


def test_examples_in_templates_never_go_live(project: Project) -> None:
    """The file, the key and the value are named; the sandbox may have them."""
    plan = project.plan([GOOD])
    live = project.settings.model_copy(update={"base_url": "https://api.joinpopp.com/v1"})
    with pytest.raises(Held) as held:
        refuse_example_values(plan, live)
    assert "`[0].email` of the participant template manager is max@" in held.value.message
    assert str(live.templates) in held.value.fix
    refuse_example_values(plan, live.model_copy(update={"base_url": "http://127.0.0.1:8765/v1"}))


@pytest.mark.parametrize(
    ("text", "example"),
    [
        ("recruiting@example.com", True),
        ("Write to A.B@mail.Example.org, please", True),
        ("https://example.net/room", True),
        ("x@desk.test", True),
        ("1 High Street, Leeds", True),
        ("11 High Street, Leeds", False),
        ("desk@myexample.com", False),
        ("desk@example.com.au", False),
        ("for example, come early", False),
        ("{{MEETING_URL}} {first_name}", False),
    ],
)
def test_an_example_is_a_reserved_domain(text: str, *, example: bool) -> None:
    """Or the location of the project that init writes; nothing that could be real."""
    assert is_example(text) is example
