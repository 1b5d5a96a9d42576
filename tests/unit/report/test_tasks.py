"""Problems become tasks, one for each cause."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer import problems
from importer.report.tasks import EXAMPLES, INSTRUCTIONS, ROWS_NAMED, tasks
from schemas.codes import Code, Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from importer.model import Plan, Table
    from tests.unit.report.conftest import MakeTable


def test_every_code_says_what_to_do() -> None:
    """The table of tasks and the list of codes agree."""
    assert set(INSTRUCTIONS) == set(Code)


@pytest.mark.parametrize("code", list(Code))
def test_what_to_do_reads_as_the_beginning_of_a_sentence(code: Code) -> None:
    """A capital, no full stop, and nothing to fill in but the label."""
    result = INSTRUCTIONS[code].replace("{label}", "x")
    assert result[0].isupper()
    assert result[-1] not in ".:"
    assert "{" not in result


def test_tasks_are_in_the_order_of_work(recruiter_plan: Plan) -> None:
    """Errors first; within a severity the most rows first."""
    found = tasks(recruiter_plan.problems, recruiter_plan.tables)
    ranks = [list(Severity).index(task.severity) for task in found]
    assert ranks == sorted(ranks)
    assert [task.title for task in found][:2] == [
        "Correct the e-mail address in 1 row",
        "Fill in the first name in 1 row",
    ]
    assert found[-1].code is Code.VALUE_CHANGED


def test_a_task_names_rows_file_by_file(make_table: MakeTable) -> None:
    """Counts are of rows, once each, however many problems a row has."""
    mapping = {"Tel": "phone_number"}
    files = [make_table(name, ["Tel"], [["x"]] * 9, mapping) for name in ("a.csv", "b.csv")]
    found = problems.concat(
        problems.one(Code.PHONE_INVALID, row=row, column="phone_number", value="x", source=source)
        for source, row in [(0, 2), (0, 3), (0, 3), (1, 7)]
    )
    (task,) = tasks(found, files)
    assert task.title == "Correct the phone number in 3 rows"
    assert [(each.file, each.rows, each.total) for each in task.where] == [
        ("a.csv", (2, 3), 2),
        ("b.csv", (7,), 1),
    ]
    assert (task.count, task.total, len(task.examples)) == (4, 3, 4)


def test_a_fault_of_a_whole_file_names_the_file(recruiter: Table) -> None:
    """There are no rows to name; several files are counted."""
    one = problems.one(Code.FILE_UNREADABLE, detail="it is a picture")
    (task,) = tasks(one, [recruiter])
    assert (task.title, task.total) == ("Save the file again: recruiter.csv", 0)
    both = problems.concat([one, problems.one(Code.FILE_UNREADABLE, detail="x", source=1)])
    (task,) = tasks(both, [recruiter, recruiter])
    assert task.title == "Save the file again in 2 files"


def test_the_label_is_the_header_where_the_files_agree(make_table: MakeTable) -> None:
    """Else it is the column's own name, in words."""
    first = make_table("a.csv", ["Job"], [["x"]], {}, extra={"Job": "job_title"})
    second = make_table("b.csv", ["Role"], [["x"]], {}, extra={"Role": "job_title"})
    found = problems.concat(
        problems.one(Code.PLACEHOLDER_MISSING, row=2, column="job_title", source=source)
        for source in (0, 1)
    )
    assert tasks(found.filter(pl.col(SOURCE) == 0), [first])[0].do == "Fill in “Job”"
    assert tasks(found, [first, second])[0].do == "Fill in “job title”"


def test_huge_tasks_are_bounded_and_still_count_everything(recruiter: Table) -> None:
    """Rows and examples are cut, totals are not."""
    rows = pl.DataFrame({ROW: pl.int_range(2, 5002, eager=True).cast(pl.UInt32)})
    found = problems.at(
        rows.with_columns(pl.lit(0).alias(SOURCE)),
        Code.PHONE_INVALID,
        column="phone_number",
        value=pl.lit("x"),
    )
    (task,) = tasks(found, [recruiter])
    assert task.title == "Correct the phone number in 5,000 rows"
    assert len(task.where[0].rows) == ROWS_NAMED
    assert len(task.examples) == EXAMPLES


def test_a_message_is_a_task_s_own_only_where_it_is_everybody_s(recruiter: Table) -> None:
    """A detail that differs is never shown as if it were for all rows."""
    short = problems.one(Code.PHONE_TOO_SHORT, row=2, column="phone_number", value="1")
    (task,) = tasks(short, [recruiter])
    assert task.message == "The phone number has too few digits."
    same = [
        problems.one(Code.DUPLICATE_IN_FILE, row=row, detail="row 2")
        for row in range(3, 3 + EXAMPLES)
    ]
    (task,) = tasks(problems.concat(same), [recruiter])
    assert task.message == "This person is already in row 2, with the same campaign."
    other = problems.one(Code.DUPLICATE_IN_FILE, row=90, detail="row 80")
    (task,) = tasks(problems.concat([*same, other]), [recruiter])
    assert task.message == ""


def test_no_problems_are_no_tasks(recruiter: Table) -> None:
    """An empty frame is a good answer."""
    assert tasks(problems.empty(), [recruiter]) == ()
