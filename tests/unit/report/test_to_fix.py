"""Rejected rows come back as they came, in files that a person fixes and gives back."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import openpyxl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer import problems
from importer.errors import UsageError
from importer.loader import load
from importer.report.formatting import rejected_paths
from importer.report.rejected_rows import write_rejected
from importer.settings import Settings
from schemas.codes import WORDS, Code
from tests.unit.report.conftest import make_plan as plan_of
from tests.unit.report.conftest import table as table_of

if TYPE_CHECKING:
    from importer.model import Plan
    from tests.unit.report.conftest import MakePlan, MakeTable


def read(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """Return the rows of a CSV, by another reader than the one we write with."""
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def test_rejected_rows_come_back_as_they_came(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Original headers, order and delimiter, then our two columns; ready rows are not there."""
    path = tmp_path / "fix.csv"
    write_rejected(recruiter_plan, [path])
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
    write_rejected(recruiter_plan, [path])
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
    write_rejected(make_plan([table], found), [tmp_path / "fix.csv"])
    result = read(tmp_path / "fix.csv")[0]["_problems"]
    assert result.startswith("The candidate has neither a phone number nor an e-mail address.")
    assert " | Name: The full name was split" in result
    assert "tidied" not in result


def test_line_breaks_and_quotes_survive(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """A cell of several lines is one cell afterwards."""
    cell = 'two\r\nlines, a "quote" and a, comma'
    table = make_table("a.csv", ["Note"], [[cell]], {}, extra={"Note": "note"})
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, [tmp_path / "fix.csv"])
    assert read(tmp_path / "fix.csv")[0]["Note"] == cell


def test_a_workbook_s_rows_are_separated_by_commas(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """There is no delimiter to keep."""
    table = make_table("a.xlsx", ["Name"], [["Ada"]], {"Name": "first_name"}, sheet="S")
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, [tmp_path / "fix.csv"])
    assert list(read(tmp_path / "fix.csv")[0]) == ["Name", "_row", "_problems"]


def test_nothing_rejected_is_a_file_with_headers(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """A program that waits for the file finds it; so it is with a file that was not read."""
    table = make_table("a.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    write_rejected(make_plan([table]), [tmp_path / "fix.csv"])
    assert (tmp_path / "fix.csv").read_text("utf-8-sig") == "Name,_row,_problems\n"
    broken = [problems.one(Code.FILE_UNREADABLE, detail="it is a picture")]
    write_rejected(make_plan([make_table("b.png", [], [], {})], broken), [tmp_path / "none.csv"])
    assert (tmp_path / "none.csv").read_text("utf-8-sig") == "_row,_problems\n"


def test_a_file_given_back_does_not_grow(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Our columns of last time are replaced, not repeated; a user's own stay."""
    headers = ["Name", "reason", "_row", "_problems"]
    table = make_table("fix.csv", headers, [["Ada", "mine", "14", "old"]], {"Name": "first_name"})
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, [tmp_path / "again.csv"])
    (row,) = read(tmp_path / "again.csv")
    assert list(row) == headers
    assert (row["reason"], row["_row"]) == ("mine", "2")
    assert "neither a phone" in row["_problems"]


def test_several_files_stay_several(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Each has its own headers and delimiter; one without rejected rows is not written."""
    tables = [
        make_table("in/a.csv", ["Tel"], [["1"]], {"Tel": "phone_number"}, delimiter="\t"),
        make_table("b.csv.gz", ["Name", "Note"], [["Bo", "x"]], {}, delimiter=";"),
        make_table("c.csv", ["Name"], [["Cy"]], {}),
    ]
    found = [problems.one(Code.CONTACT_MISSING, row=2, source=source) for source in (0, 1)]
    plan = make_plan(tables, found)
    paths = rejected_paths(tmp_path / "fix.csv", [table.source.name for table in tables])
    assert [path.name for path in paths] == ["fix-a.csv", "fix-b.csv", "fix-c.csv"]
    assert write_rejected(plan, paths) == paths[:2]
    assert [row["Tel"] for row in read(paths[0], "\t")] == ["1"]
    assert [(row["Name"], row["Note"]) for row in read(paths[1], ";")] == [("Bo", "x")]
    assert not paths[2].exists()


def test_rows_of_an_earlier_check_do_not_stay(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """A file that has nothing to fix any more replaces its old one by the headers."""
    tables = [make_table(name, ["Name"], [["Ada"]], {}) for name in ("a.csv", "b.csv")]
    paths = rejected_paths(tmp_path / "fix.csv", ["a.csv", "b.csv"])
    paths[1].write_text("Name,_row,_problems\nold,2,x\n")
    found = [problems.one(Code.CONTACT_MISSING, row=2)]
    assert write_rejected(make_plan(tables, found), paths) == paths
    assert not read(paths[1])


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.csv"], ["fix.csv"]),
        (["x/a.csv", "y/A.xlsx"], ["fix-a.csv", "fix-A-2.csv"]),
        (["-", "stdin.csv"], ["fix-stdin.csv", "fix-stdin-2.csv"]),
        (["l.zip/a.csv", "l.zip/b.v2.csv"], ["fix-a.csv", "fix-b.v2.csv"]),
    ],
)
def test_each_input_has_a_name_of_its_own(names: list[str], expected: list[str]) -> None:
    """Also if the disk does not tell capitals apart."""
    assert [path.name for path in rejected_paths(Path("fix.csv"), names)] == expected


def test_a_device_takes_no_several_files() -> None:
    """They would run into each other."""
    with pytest.raises(UsageError, match="several files"):
        rejected_paths(Path("/dev/null"), ["a.csv", "b.csv"])


def test_a_workbook_has_comments_at_its_cells(recruiter_plan: Plan, tmp_path: Path) -> None:
    """Every cell is text, also those that are typed again; messages stand where they belong."""
    path = tmp_path / "fix.xlsx"
    write_rejected(recruiter_plan, [path])
    sheet = openpyxl.load_workbook(path).active
    headers = [cell.value for cell in sheet[1]]
    assert headers == [
        *("First name", "Surname", "Mobile", "E-mail", "Job Title"),
        *("_row", "_problems"),
    ]
    mobile = sheet.cell(2, 3)
    assert (mobile.value, mobile.data_type, mobile.number_format) == ("0207 94", "s", "@")
    fix = WORDS[Code.PHONE_TOO_SHORT].fix
    assert mobile.comment.text == f"The phone number has too few digits. {fix}"
    assert sheet.cell(2, 1).comment is None
    assert sheet.column_dimensions["C"].hidden is False


def test_what_no_workbook_can_hold_is_refused(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path
) -> None:
    """Nothing is cut off in silence, and nothing is left behind."""
    table = make_table("a.csv", ["Note"], [["x" * 40_000]], {})
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    with pytest.raises(UsageError, match="32,767 characters"):
        write_rejected(plan, [tmp_path / "fix.xlsx"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["History", "", "'a'", "a/b:c" * 10])
def test_any_name_of_a_sheet_becomes_one(
    make_plan: MakePlan, make_table: MakeTable, tmp_path: Path, name: str
) -> None:
    """ODS allows names that Excel refuses."""
    table = make_table("a.ods", ["Name"], [["Ada"]], {"Name": "first_name"}, sheet=name)
    plan = make_plan([table], [problems.one(Code.CONTACT_MISSING, row=2)])
    write_rejected(plan, [tmp_path / "fix.xlsx"])
    assert load(str(tmp_path / "fix.xlsx"), Settings()).frame["Name"].to_list() == ["Ada"]


_HEADERS = ("first_name", "=h", "'=h", "x", "Name", "Name (2)")
_TEXT = st.lists(
    st.sampled_from([*"a0 =+-@'\"\t\n\r,;|é＝\U0001f600", "_x0041_", "\r\n"]), max_size=5
).map("".join)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
@settings(deadline=None)
@given(cells=st.lists(st.tuples(*[_TEXT] * len(_HEADERS)), min_size=1, max_size=3))
def test_any_text_survives_the_way_back(suffix: str, cells: list[tuple[str, ...]]) -> None:
    """Formulas, quotation marks, line breaks, apostrophes: read again they are what they were."""
    rows = [[f"Ada{first}", *(cell or None for cell in rest)] for first, *rest in cells]
    table = table_of("a.csv", _HEADERS, rows, {"first_name": "first_name"}, delimiter=";")
    found = [problems.one(Code.CONTACT_MISSING, row=row) for row in table.frame["#row"]]
    with TemporaryDirectory() as folder:
        path = Path(folder, f"fix{suffix}")
        write_rejected(plan_of([table], found), [path])
        back = load(str(path), Settings())
    for header in _HEADERS:
        assert back.frame[header].to_list() == table.frame[header].to_list(), header
