"""The rejected rows come back as they came, and open rightly in Excel."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer import problems
from importer.ledger.records import SourceFile
from importer.report.export import (
    OURS,
    OriginalFiles,
    reread_files,
    results_frame,
    save_results,
    write_csv,
    write_rejected,
    write_results,
)
from schemas.codes import Code
from schemas.columns import returned

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Plan, Table
    from importer.report.view import RunView
    from tests.unit.report.conftest import MakePlan, MakeTable


def read(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV, by another reader than the one we write with."""
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def test_rejected_rows_come_back_as_they_came(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Original headers, order and delimiter, then our two columns; ready rows are not there."""
    path = tmp_path / "fix.csv"
    write_rejected(recruiter_plan, path)
    raw = path.read_bytes()
    assert raw.startswith(
        b"\xef\xbb\xbfFirst name;Surname;Mobile;E-mail;Job Title;_row;_problems\r\n"
    )
    rows = read(path, ";")
    assert [row["_row"] for row in rows] == ["3", "4", "5"]
    assert rows[0]["First name"] == "Jürgen"
    assert rows[0]["Mobile"] == "0207 94"
    assert rows[1]["Surname"] == "O'Brien"
    assert rows[2]["Job Title"] == "Packer; nights"


def test_every_problem_of_a_row_is_beside_it(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Header, message and fix of each, errors first."""
    path = tmp_path / "fix.csv"
    write_rejected(recruiter_plan, path)
    assert read(path, ";")[2]["_problems"] == (
        "Mobile: This is not a valid phone number. Correct the number. | "
        "E-mail: This is not an e-mail address: there is nothing before the @. "
        "Correct the address."
    )


def test_errors_stand_before_warnings(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Whatever order they were found in; what is only for information is left out."""
    found = [
        problems.one(Code.NAME_SPLIT, row=2, column="full_name", detail="first name Ada"),
        problems.one(Code.VALUE_CHANGED, row=2, column="full_name", detail="`a` -> `b`"),
        problems.one(Code.CONTACT_MISSING, row=2),
    ]
    table = make_table("a.csv", ["Name"], [["Ada L"]], {"Name": "full_name"})
    write_rejected(make_plan([table], found), tmp_path / "fix.csv")
    said = read(tmp_path / "fix.csv")[0]["_problems"]
    assert said.startswith("The candidate has neither a phone number nor an e-mail address.")
    assert " | Name: The full name was split" in said
    assert "tidied" not in said


@pytest.mark.parametrize(
    "cell",
    [
        "=1+1",
        "+44 20 7946 0018",
        "-1",
        "@SUM(A1)",
        "\tx",
        "\rx",
        "\nx",
        "＝1",
        "+1-1",
        "+44;x",
        "+0123",
    ],
)
def test_no_cell_is_a_formula(cell: str) -> None:
    """Whatever a spreadsheet program could calculate gets an apostrophe."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"a": [cell]}), out)
    text = out.getvalue().decode("utf-8-sig")
    ((written,),) = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert written == f"'{cell}"


@pytest.mark.parametrize("cell", ["+442079460018", "Ada", "a=b", "'+44", " =1", "07 -1"])
def test_harmless_cells_stay_as_they_are(cell: str) -> None:
    """Strict E.164 is exempt: it is what phones should look like."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"a": [cell]}), out)
    text = out.getvalue().decode("utf-8-sig")
    assert list(csv.reader(io.StringIO(text, newline="")))[1:] == [[cell]]


def test_headers_are_no_formulas_either() -> None:
    """A header is a cell like the others."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"=cmd()": ["x"]}), out)
    assert out.getvalue().decode("utf-8-sig").startswith("'=cmd()\r\n")


def test_line_breaks_and_quotes_survive(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """A cell of several lines is one cell afterwards."""
    cell = 'two\r\nlines, a "quote" and a, comma'
    table = make_table("a.csv", ["Note"], [[cell]], {}, extra={"Note": "note"})
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, tmp_path / "fix.csv")
    assert read(tmp_path / "fix.csv")[0]["Note"] == cell


def test_several_files_become_one(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Same header, same column; the others follow; `_file` tells them apart."""
    first = make_table(
        "a.csv", ["Tel", "Name"], [["1", "Ada"]], {"Tel": "phone_number"}, delimiter="\t"
    )
    second = make_table("b.csv", ["Name", "Note"], [["Bo", "x"]], {}, delimiter=";")
    found = [problems.one(Code.CONTACT_MISSING, row=2, source=source) for source in (0, 1)]
    write_rejected(make_plan([first, second], found), tmp_path / "fix.csv")
    rows = read(tmp_path / "fix.csv", "\t")
    assert list(rows[0]) == ["Tel", "Name", "Note", "_file", "_row", "_problems"]
    assert [(row["Tel"], row["Name"], row["Note"], row["_file"]) for row in rows] == [
        ("1", "Ada", "", "a.csv"),
        ("", "Bo", "x", "b.csv"),
    ]


def test_a_workbook_s_rows_are_separated_by_commas(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """There is no delimiter to keep."""
    table = make_table("a.xlsx", ["Name"], [["Ada"]], {"Name": "first_name"}, sheet="S")
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, tmp_path / "fix.csv")
    assert list(read(tmp_path / "fix.csv")[0]) == ["Name", "_row", "_problems"]


def test_nothing_rejected_is_a_file_with_headers(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """A program that waits for the file finds it; so it is with a file that was not read."""
    table = make_table("a.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    write_rejected(make_plan([table]), tmp_path / "fix.csv")
    assert (tmp_path / "fix.csv").read_text("utf-8-sig") == "Name,_row,_problems\n"
    broken = [problems.one(Code.FILE_UNREADABLE, detail="it is a picture")]
    write_rejected(make_plan([make_table("b.png", [], [], {})], broken), tmp_path / "none.csv")
    assert (tmp_path / "none.csv").read_text("utf-8-sig") == "_row,_problems\n"


def test_a_file_given_back_does_not_grow(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Our columns of last time are replaced, not repeated; a user's own stay."""
    headers = ["Name", "reason", "_row", "_problems"]
    table = make_table("fix.csv", headers, [["Ada", "mine", "14", "old"]], {"Name": "first_name"})
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, tmp_path / "again.csv")
    (row,) = read(tmp_path / "again.csv")
    assert list(row) == headers
    assert (row["reason"], row["_row"]) == ("mine", "2")
    assert "neither a phone" in row["_problems"]


def test_our_columns_are_recognised_and_a_user_s_are_not() -> None:
    """`reason` is ours only beside `import_status`, and not where ours is `import_reason`."""
    assert returned(["Name", "_row", "reason"]) == {"_row"}
    assert returned(["import_status", "reason"]) == {"import_status", "reason"}
    assert returned(["import_status", "reason", "import_reason"]) == {
        "import_status",
        "import_reason",
    }


def test_the_original_columns_come_first(
    run_view: RunView, recruiter: Table, tmp_path: Path
) -> None:
    """As CSV: headers, order and delimiter of the file, then ours, a line for every row."""
    path = tmp_path / "results.csv"
    save_results(run_view, OriginalFiles((recruiter,)), path)
    text = path.read_bytes().decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text, newline=""), delimiter=";"))
    assert list(rows[0]) == ["First name", "Surname", "Mobile", "E-mail", "Job Title", *OURS]
    assert [row["import_status"] for row in rows] == [
        "created", "rejected", "doubtful", "unsent", "duplicate-in-file", "planned",
    ]  # fmt: skip
    assert rows[0]["conversation_id"] == "conv-1"
    assert rows[0]["attempted_at"] == "2026-11-22T15:30:00Z"
    assert rows[3]["First name"] == "'=HYPERLINK(1)"
    assert (rows[0]["reason"], rows[1]["reason"]) == ("", "Complete the phone number.")


def test_without_the_file_the_rows_are_named(run_view: RunView) -> None:
    """File and row stand in for the columns that are not there."""
    frame = results_frame(run_view, OriginalFiles((None,)))
    assert frame.columns == ["_file", "_row", *OURS]
    assert frame.row(0)[:3] == ("recruiter.csv", "2", "created")


def test_one_of_two_files_may_be_missing(run_view: RunView, recruiter: Table) -> None:
    """Its rows are there all the same."""
    both = dataclasses.replace(run_view, files=("recruiter.csv", "gone.csv"))
    more = run_view.outcomes.head(1).with_columns(pl.lit(1, pl.UInt16).alias("#source"))
    both = dataclasses.replace(both, outcomes=pl.concat([run_view.outcomes, more]))
    frame = results_frame(both, OriginalFiles((recruiter, None)))
    assert frame["_file"].to_list() == ["recruiter.csv"] * 6 + ["gone.csv"]
    assert frame["Surname"].to_list()[-2:] == ["García", None]


def test_a_user_s_own_reason_stays(run_view: RunView, make_table: MakeTable) -> None:
    """Ours steps aside, and the reader still knows which is whose."""
    table = make_table("recruiter.csv", ["reason"], [[f"r{n}"] for n in range(6)], {})
    frame = results_frame(run_view, OriginalFiles((table,)))
    assert frame.columns == [
        "reason", "import_status", "conversation_id", "import_reason", "attempted_at",
    ]  # fmt: skip
    assert frame["reason"].to_list()[0] == "r0"
    assert "reason" not in returned(frame.columns)
    assert "import_reason" in returned(frame.columns)


def test_results_given_back_do_not_grow(run_view: RunView, make_table: MakeTable) -> None:
    """A results file is the next run's input; its old answers are replaced."""
    headers = ["Name", *OURS]
    table = make_table("recruiter.csv", headers, [["Ada", "unsent", "", "x", ""]] * 6, {})
    frame = results_frame(run_view, OriginalFiles((table,)))
    assert frame.columns == headers
    assert frame["import_status"][0] == "created"


def test_parquet_has_the_same_columns_and_a_real_time(
    run_view: RunView, recruiter: Table, tmp_path: Path
) -> None:
    """For whoever reads it with a program."""
    path = tmp_path / "results.parquet"
    save_results(run_view, OriginalFiles((recruiter,)), path, "parquet")
    frame = pl.read_parquet(path)
    assert frame.columns == [*recruiter.frame.columns[1:], *OURS]
    assert frame.schema["attempted_at"] == pl.Datetime("us", "UTC")


def test_json_goes_to_a_text_stream(run_view: RunView) -> None:
    """As to standard output; it needs no originals."""
    out = io.StringIO()
    write_results(run_view, OriginalFiles((None,)), out, "json")
    assert json.loads(out.getvalue())["run"] == "20261122-153000-3f2a"


def test_only_an_unchanged_file_counts(recruiter: Table) -> None:
    """Gone, changed and standard input are each said."""
    same = SourceFile("recruiter.csv", "/x/recruiter.csv", recruiter.source.sha256, 1)
    changed = SourceFile("other.csv", "/x/other.csv", "0" * 64, 1)
    piped = SourceFile("-", None, recruiter.source.sha256, 1)
    asked: list[str] = []

    def load(name: str) -> Table:
        asked.append(name)
        return recruiter

    found = reread_files([same, changed, piped], load)
    assert found.tables == (recruiter, None, None)
    assert [note.split(",")[0] for note in found.missing] == [
        "other.csv is gone or has changed",
        "- came from standard input",
    ]
    assert asked == ["/x/recruiter.csv", "/x/other.csv"]
