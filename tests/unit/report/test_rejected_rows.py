"""Rejected rows with the message at the cell, and automatic changes, as many as fit a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl

from importer import problems
from importer.report.rejected_rows import CHANGES, ROWS, Change, changes, rejected_tables
from schemas.codes import WORDS, Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from importer.model import Plan
    from tests.unit.report.conftest import MakePlan, MakeTable


def test_messages_stand_at_their_cells(recruiter_plan: Plan) -> None:
    """Only rejected rows, every one of their cells, and each message once."""
    (table,) = rejected_tables(recruiter_plan)
    assert table.headers == ("First name", "Surname", "Mobile", "E-mail", "Job Title")
    assert [row.row for row in table.rows] == [3, 4, 5]
    first = table.rows[0]
    assert [cell.value for cell in first.cells[:3]] == ["Jürgen", "Müller", "0207 94"]
    (note,) = first.cells[2].notes
    assert (note.message, note.error) == ("The phone number has too few digits.", True)
    assert note.fix == WORDS[Code.PHONE_TOO_SHORT].fix
    assert not first.cells[0].notes
    assert (table.total, table.hidden) == (3, 0)


def test_a_message_about_the_row_stands_at_the_row(
    make_plan: MakePlan, make_table: MakeTable
) -> None:
    """So does one about a column that the file does not have."""
    table = make_table("a.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    found = [
        problems.one(Code.CONTACT_MISSING, row=2),
        problems.one(Code.CAMPAIGN_MISSING, row=2, column="campaign"),
        problems.one(Code.NAME_SPLIT, row=2, column="first_name", detail="x"),
    ]
    ((row,),) = [each.rows for each in rejected_tables(make_plan([table], found))]
    assert [note.message for note in row.notes] == [
        "The candidate has neither a phone number nor an e-mail address.",
        "The row names no campaign.",
    ]
    (note,) = row.cells[0].notes
    assert (note.message, note.error) == ("The full name was split: x.", False)


def test_rows_are_bounded_over_all_files(make_plan: MakePlan, make_table: MakeTable) -> None:
    """The first ones are shown; the totals are of all."""
    tables = [
        make_table(name, ["Tel"], [["x"]] * 400, {"Tel": "phone_number"})
        for name in ("a.csv", "b.csv")
    ]
    found = [
        problems.at(
            table.frame.with_columns(pl.lit(position).alias(SOURCE)),
            Code.PHONE_INVALID,
            column="phone_number",
            value=pl.lit("x"),
        )
        for position, table in enumerate(tables)
    ]
    shown = rejected_tables(make_plan(tables, found))
    assert [len(table.rows) for table in shown] == [400, ROWS - 400]
    assert [table.total for table in shown] == [400, 400]


def test_wide_tables_show_what_matters(make_plan: MakePlan, make_table: MakeTable) -> None:
    """Columns that we know and those with a problem; how many are hidden is said."""
    headers = [f"h{number}" for number in range(200)]
    table = make_table(
        "a.csv",
        headers,
        [["x"] * 200],
        {"h199": "phone_number", "h150": "first_name"},
        extra={"h120": "job"},
    )
    found = [
        problems.one(Code.PHONE_INVALID, row=2, column="phone_number"),
        problems.one(Code.PLACEHOLDER_MISSING, row=2, column="job"),
    ]
    (shown,) = rejected_tables(make_plan([table], found))
    assert shown.headers == ("h120", "h150", "h199")
    assert shown.hidden == 197


def test_huge_cells_are_cut_and_do_not_make_a_huge_page(
    make_plan: MakePlan, make_table: MakeTable
) -> None:
    """Sixty columns of long text in 500 rows stay within the budget."""
    headers = [f"h{number}" for number in range(60)]
    table = make_table("a.csv", headers, [["y" * 5000] * 60] * 500, {})
    rows = table.frame.select(ROW).with_columns(pl.lit(0).alias(SOURCE))
    (shown,) = rejected_tables(make_plan([table], [problems.at(rows, Code.CONTACT_MISSING)]))
    assert 0 < len(shown.rows) < 500
    assert shown.total == 500
    text = sum(len(cell.value) for row in shown.rows for cell in row.cells)
    assert text < 1_300_000


def test_changes_say_before_and_after(recruiter_plan: Plan) -> None:
    """As normalising spelled them."""
    found, total = changes(recruiter_plan)
    assert total == 1
    assert found == (Change("recruiter.csv", 6, "Mobile", "020 7946 0018", "+442079460018"),)


def test_changes_are_bounded_and_counted(make_plan: MakePlan, make_table: MakeTable) -> None:
    """A split name is a change too."""
    table = make_table("a.csv", ["Name"], [["Ada L"]] * 700, {"Name": "full_name"})
    rows = table.frame.with_columns(pl.lit(0).alias(SOURCE))
    split = problems.at(
        rows, Code.NAME_SPLIT, column="full_name", value=pl.lit("Ada L"), detail=pl.lit("Ada, L")
    )
    found, total = changes(make_plan([table], [split]))
    assert (len(found), total) == (CHANGES, 700)
    assert (found[0].before, found[0].after) == ("Ada L", "Ada, L")


def test_arrows_in_a_value_do_not_confuse(make_plan: MakePlan, make_table: MakeTable) -> None:
    """The last arrow is ours."""
    table = make_table("a.csv", ["Name"], [["x"]], {"Name": "first_name"})
    one = problems.one(
        Code.VALUE_CHANGED, row=2, column="first_name", value="v", detail="`a` -> `b` -> `c`"
    )
    ((change,), _) = changes(make_plan([table], [one]))
    assert (change.before, change.after) == ("a` -> `b", "c")
