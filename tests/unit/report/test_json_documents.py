"""The published JSON, key by key."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import polars as pl

from importer import problems
from importer.report import export as report_json
from importer.report import view
from importer.report.results import write_run_json
from importer.settings import Settings
from schemas.codes import Code

if TYPE_CHECKING:
    from importer.model import Plan
    from tests.unit.report.conftest import MakePlan, MakeTable


def written(plan: Plan) -> str:
    """Return the JSON of a plan."""
    out = io.StringIO()
    report_json.write_plan_json(view.plan_view(plan, Settings()), out)
    return out.getvalue()


def test_the_structure_is_the_published_one(recruiter_plan: Plan) -> None:
    """The same keys in the same order, on every level."""
    found = json.loads(written(recruiter_plan))
    assert list(found) == [
        "schema_version", "plan", "sources", "totals", "groups", "problem_counts", "problems",
    ]  # fmt: skip
    assert found["schema_version"] == 1
    assert list(found["sources"][0]) == [
        "name", "sha256", "encoding", "delimiter", "sheet", "rows",
        "columns", "extra_columns", "ignored_columns",
    ]  # fmt: skip
    assert found["totals"] == {
        "read": 6, "ready": 2, "rejected": 3, "duplicates": 1, "already_imported": 0, "warnings": 2,
    }  # fmt: skip
    assert list(found["totals"]) == [
        "read", "ready", "rejected", "duplicates", "already_imported", "warnings",
    ]  # fmt: skip
    assert found["groups"] == [
        {"campaign": "camp-42", "meeting": "onsite-45", "participants": "hiring-manager", "rows": 2}
    ]
    assert list(found["problem_counts"][0]) == ["code", "column", "severity", "count"]
    assert found["problems"][0] == {
        "source": "recruiter.csv",
        "row": 3,
        "column": "phone_number",
        "header": "Mobile",
        "code": "phone-too-short",
        "severity": "error",
        "value": "0207 94",
        "message": "The phone number has too few digits.",
        "fix": "Add the missing digits.",
    }
    assert list(found["problems"][0]) == [
        "source", "row", "column", "header", "code", "severity", "value", "message", "fix",
    ]  # fmt: skip


def test_sources_say_how_they_were_understood(recruiter_plan: Plan) -> None:
    """Unchanged headers, on both sides of the mapping."""
    (source,) = json.loads(written(recruiter_plan))["sources"]
    assert source["columns"]["Mobile"] == "phone_number"
    assert source["extra_columns"] == ["Job Title"]
    assert (source["encoding"], source["delimiter"], source["sheet"]) == ("utf-8", ";", None)


def test_a_problem_of_a_file_has_nulls(make_plan: MakePlan, make_table: MakeTable) -> None:
    """Row, column and header are there and null."""
    plan = make_plan(
        [make_table("a.csv", [], [], {})], [problems.one(Code.FILE_EMPTY, detail="no bytes")]
    )
    (problem,) = json.loads(written(plan))["problems"]
    assert (problem["row"], problem["column"], problem["header"]) == (None, None, None)
    assert problem["message"] == "The file has no bytes."


def test_without_problems_it_is_still_whole(make_plan: MakePlan, make_table: MakeTable) -> None:
    """An empty list is an empty list."""
    plan = make_plan([make_table("a.csv", ["Name"], [["Ada"]], {"Name": "first_name"})])
    assert json.loads(written(plan))["problems"] == []


def test_any_text_survives(make_plan: MakePlan, make_table: MakeTable) -> None:
    """Quotes, line breaks, braces, control characters and every script come back as they were."""
    nasty = 'a"b\\c\n\r\t\x00\x1b}],\u2028é漢🙂{detail}'
    table = make_table('x"}.csv', ['H"}\n'], [[nasty]], {'H"}\n': "phone_number"})
    found = problems.one(
        Code.PHONE_SCIENTIFIC, row=2, column="phone_number", value=nasty, detail=nasty
    )
    (problem,) = json.loads(written(make_plan([table], [found])))["problems"]
    assert problem["value"] == nasty
    assert problem["source"] == 'x"}.csv'
    assert problem["header"] == 'H"}\n'
    assert nasty in problem["message"]


def test_nothing_is_cut(make_plan: MakePlan, make_table: MakeTable) -> None:
    """More problems than a batch holds are all there, in order."""
    count = view.BATCH * 2 + 1
    table = make_table("a.csv", ["Tel"], [["x"]] * count, {"Tel": "phone_number"})
    found = problems.at(
        table.frame.with_columns(pl.lit(0).alias("#source")),
        Code.PHONE_INVALID,
        column="phone_number",
        value=pl.lit("x"),
    )
    listed = json.loads(written(make_plan([table], [found])))["problems"]
    assert [each["row"] for each in listed] == list(range(2, count + 2))


def test_results_list_the_outcomes_the_same_way(run_view: view.RunView) -> None:
    """Every row once; totals add up; times are ISO 8601 in UTC."""
    out = io.StringIO()
    write_run_json(run_view, [run_view.outcomes], out)
    found = json.loads(out.getvalue())
    assert list(found) == ["schema_version", "run", "totals", "progress", "outcomes"]
    assert list(found["outcomes"][0]) == [
        "source", "row", "status", "conversation_id", "code", "message", "attempted_at",
        "progress", "progress_at", "meeting_at",
    ]  # fmt: skip
    assert found["outcomes"][0]["attempted_at"] == "2026-11-22T15:30:00Z"
    assert found["outcomes"][1]["attempted_at"] is None
    totals = found["totals"]
    assert totals.pop("read") == sum(totals.values()) == len(found["outcomes"]) == 6
