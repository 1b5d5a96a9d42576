"""What must hold before a plan is sent."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit, FileUnreadable, Held, UsageError
from importer.preflight import expect, refuse_made_up, refuse_unreadable
from importer.problems import one, unusable
from importer.report import view
from importer.report.exit_codes import exit_of_plan
from importer.report.export import write_plan_json
from schemas.codes import Code
from schemas.templates import is_example
from tests.support.place import GOOD, Place, place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import polars as pl

    from importer.model import Plan


@pytest.fixture
def desk() -> Iterator[Place]:
    """A folder to plan in."""
    with place() as desk:
        yield desk


@pytest.fixture
def plan(desk: Place) -> Plan:
    """One good row."""
    return desk.plan([GOOD])


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
    assert bool(unusable(bad).height) is (exit_code is Exit.INPUT)
    if exit_code is Exit.INPUT:
        with pytest.raises(FileUnreadable, match=r"list-0\.csv cannot be used"):
            refuse_unreadable(bad)
    else:
        refuse_unreadable(bad)


def test_rejected_rows_refuse_no_file(desk: Place) -> None:
    """They end a check with 1."""
    plan = desk.plan([GOOD, {**GOOD, "first_name": ""}])
    refuse_unreadable(plan)
    assert exit_of_plan(plan) is Exit.REJECTED


def test_a_plan_is_expected_by_its_hash(desk: Place, plan: Plan) -> None:
    """In capitals or with blanks around it too; another is held back."""
    expect(f" {plan.hash.upper()} ", plan)
    with pytest.raises(Held, match="give the check's JSON"):
        expect("0" * 64, plan)
    with pytest.raises(UsageError, match="64 digits"):
        expect("abc", plan)
    assert desk.plan([GOOD]).hash == plan.hash


def report_of(plan: Plan, desk: Place) -> Path:
    """The JSON of a check of this plan, as a file."""
    path = desk.folder / "check.json"
    with path.open("w", encoding="utf-8") as out:
        write_plan_json(view.plan_view(plan, desk.settings), out)
    return path


def test_what_changed_is_named(desk: Place, plan: Plan) -> None:
    """Files, columns, rows, templates: as far as the report tells."""
    path = str(report_of(plan, desk))
    expect(path, plan)
    other = {**GOOD, "phone_number": "+1 202 555 0198", "campaign": "b"}
    with pytest.raises(Held) as held:
        expect(path, desk.plan([GOOD, other]))
    assert "the content of " in str(held.value)
    assert "1 rows were good, 2 are now" in str(held.value)
    assert "the campaigns or templates" in str(held.value)
    with pytest.raises(Held, match="1 files then, 2 now"):
        expect(path, desk.plan([GOOD], [other]))
    second = Place(desk.folder, desk.settings.model_copy(update={"round": "second"}))
    with pytest.raises(Held, match="a setting that shapes bodies"):
        expect(path, second.plan([GOOD]))


@pytest.mark.parametrize("text", ["", "[]", '"x"', '{"plan": 1}', "{"])
def test_another_file_is_no_report(desk: Place, plan: Plan, text: str) -> None:
    """Wrong usage, and no traceback."""
    path = desk.folder / "other.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not the JSON of a check"):
        expect(str(path), plan)


def test_a_report_says_it_in_json(desk: Place, plan: Plan) -> None:
    """The hash of the report is the plan's."""
    assert json.loads(report_of(plan, desk).read_text())["plan"] == plan.hash


def test_examples_in_templates_never_go_live(desk: Place) -> None:
    """The file, the key and the value are named; the sandbox may have them."""
    plan = desk.plan([GOOD])
    live = desk.settings.model_copy(update={"base_url": "https://api.joinpopp.com/v1"})
    with pytest.raises(Held) as held:
        refuse_made_up(plan, live)
    assert "`[0].email` of the participant template manager is max@" in held.value.message
    assert str(live.templates) in held.value.fix
    refuse_made_up(plan, live.model_copy(update={"base_url": "http://127.0.0.1:8765/v1"}))


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
