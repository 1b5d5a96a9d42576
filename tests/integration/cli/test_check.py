"""`importer check` says what would be sent, writes what it is told to, and changes nothing."""

from __future__ import annotations

import csv
import json
from datetime import date
from zipfile import ZipFile

import openpyxl

from importer.errors import Exit
from tests.corpus.workbooks import BinarySheet, binary_workbook, inline, real, row
from tests.integration.cli.conftest import GOOD, MIXED
from tests.support.workspace import Workspace


def test_a_good_list_ends_with_0(workspace: Workspace) -> None:
    """The summary is what was asked for: it goes to standard output."""
    result = workspace("check", "good.csv")
    assert (result.code, result.err) == (Exit.OK, "")
    assert "All 2 rows are ready" in result.out
    assert workspace("check", "good.csv", "-q").out == ""


def test_json_leaves_the_summary_to_standard_error(workspace: Workspace) -> None:
    """Standard output is for the JSON alone."""
    result = workspace("check", "good.csv", "--format", "json")
    assert "All 2 rows are ready" in result.err
    assert json.loads(result.out)["totals"]["ready"] == 2


def test_what_was_written_is_said_and_not_proposed_again(workspace: Workspace) -> None:
    """The next step begins with the file of rejected rows, and keeps the flags."""
    written = ("--report", "r.html", "--rejected", "r.csv")
    result = workspace("check", "mixed.csv", *written, "--campaign", "c-9")
    assert "Report: r.html" in result.out
    assert "Rejected: r.csv" in result.out
    assert "--report" not in result.out
    assert "importer check r.csv --campaign c-9\n" in result.out
    assert "importer run mixed.csv --campaign c-9 --on-problems skip\n" in result.out


def test_a_command_is_never_broken(workspace: Workspace) -> None:
    """However narrow the terminal is: it folds a long line, and can copy it whole."""
    name = "a list with a name that is far too long for any terminal.csv"
    workspace.write(name, (workspace.folder / "mixed.csv").read_bytes())
    narrow = Workspace(workspace.folder, {**workspace.env, "COLUMNS": "40"})
    (line,) = (line for line in narrow("check", name).out.splitlines() if "--report" in line)
    assert line.strip() == f"importer check '{name}' --report report.html"


def test_a_list_with_faults_ends_with_1(workspace: Workspace) -> None:
    """Each row that needs fixing is named, and the good ones are ready."""
    result = workspace("check", "mixed.csv")
    assert result.code == Exit.REJECTED
    assert "2 of 4 rows are ready" in result.out
    assert "row 4" in result.out
    assert "row 5" in result.out


def test_nothing_is_written_but_what_was_asked_for(workspace: Workspace) -> None:
    """No ledger, no key, no cache: the folder is what it was."""
    before = workspace.files()
    workspace("check", "mixed.csv", "--format", "json")
    assert workspace.files() == before
    workspace(
        *("check", "mixed.csv", "--report", "r.html", "--rejected", "r.csv"),
        *("--payloads", "p.jsonl"),
    )
    assert set(workspace.files()) - set(before) == {"r.html", "r.csv", "p.jsonl"}


def test_json_is_the_published_one(workspace: Workspace) -> None:
    """Standard output is nothing but JSON with the keys of version 1, in their order."""
    result = workspace("check", "mixed.csv", "--format", "json")
    report = json.loads(result.out)
    assert result.code == Exit.REJECTED
    assert list(report) == [
        *("schema_version", "plan", "sources", "totals", "groups", "problem_counts", "problems"),
    ]
    assert list(report["sources"][0]) == [
        *("name", "sha256", "encoding", "delimiter", "sheet", "rows", "columns"),
        *("extra_columns", "ignored_columns"),
    ]
    assert report["totals"] == {
        "read": 4,
        "ready": 2,
        "rejected": 2,
        "duplicates": 0,
        "already_imported": 0,
        "warnings": 0,
    }
    assert [list(problem) for problem in report["problems"]] == [
        [
            *("source", "row", "column", "header", "code", "severity", "value", "message"),
            "fix",
        ],
    ] * len(report["problems"])
    assert [(problem["row"], problem["code"]) for problem in report["problems"]] == [
        (4, "phone-invalid"),
        (5, "first-name-missing"),
    ]


def test_values_are_masked_unless_asked_for(workspace: Workspace) -> None:
    """A phone stands on no terminal by itself."""
    workspace.write("bad.csv", "first_name,phone_number\nAda,+1 202 155 0104\n")
    assert "202 155 0104" not in workspace("check", "bad.csv").out
    assert "+1 202 155 0104" in workspace("check", "bad.csv", "--show-values").out


def test_rejected_rows_can_be_fixed_and_given_back(workspace: Workspace) -> None:
    """The file has the rows that need fixing; fixed, it is an import of its own."""
    workspace("check", "mixed.csv", "--rejected", "fix.csv")
    text = (workspace.folder / "fix.csv").read_text("utf-8-sig")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["first_name"] for row in rows] == ["Cy", ""]
    again = workspace("check", "fix.csv", "--format", "json")
    assert json.loads(again.out)["totals"]["rejected"] == 2
    workspace.write("fix.csv", text.replace("call me", "+12025550107"))
    assert json.loads(workspace("check", "fix.csv", "--format", "json").out)["totals"]["ready"] == 1


def test_rejected_rows_of_several_files_are_several_files(workspace: Workspace) -> None:
    """Each is readable by itself, and both are named."""
    workspace.write("a.csv", "first_name;mobile;note\nJürgen;12;=1+1\n".encode("cp1252"))
    workspace.write("b.csv", "Vorname,Handy\nJørgen,13\n".encode("cp1252"))
    result = workspace("check", "a.csv", "b.csv", "--rejected", "fix.csv", "--encoding", "cp1252")
    assert "Rejected: fix-a.csv, fix-b.csv" in result.out
    again = workspace("check", "fix-b.csv", "--encoding", "cp1252", "--rejected", "x.csv")
    assert again.code == Exit.REJECTED
    assert "Jørgen" in (workspace.folder / "x.csv").read_text("utf-8-sig")


def test_a_corrected_workbook_keeps_everything(workspace: Workspace) -> None:
    """Hidden columns stay hidden, zeros and dates stay, and only the correction changes."""
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Liste 1"
    sheet.append(["first_name", "mobile", "secret", "ID", "Start", "note", "job_title"])
    sheet.append(["Ada", "12", "s", 42, date(2026, 3, 1), "x", "Chef"])
    sheet["D2"].number_format = "00000"
    sheet["F2"].value, sheet["F2"].data_type = "=SUM(1)", "s"
    sheet.column_dimensions["C"].hidden = True
    book.save(workspace.folder / "list.xlsx")
    assert workspace("check", "list.xlsx", "--rejected", "fix.xlsx").code == Exit.REJECTED
    book = openpyxl.load_workbook(workspace.folder / "fix.xlsx")
    sheet = book.active
    assert [cell.value for cell in sheet[2]][:6] == [
        *("Ada", "12", "s", "00042"),
        *("2026-03-01", "=SUM(1)"),
    ]
    sheet["B2"].value = "+12025550107"
    sheet["F2"].data_type = "s"  # openpyxl takes it for a formula; spreadsheet programs do not
    book.save(workspace.folder / "fixed.xlsx")
    again = workspace("check", "fixed.xlsx", "--format", "json", "--rejected", "left.csv")
    found = json.loads(again.out)
    assert found["totals"]["ready"] == 1
    assert found["sources"][0]["sheet"] == "Liste 1"
    assert found["sources"][0]["ignored_columns"] == ["secret", "_row", "_problems"]


def test_a_binary_workbook_in_a_folder_is_read(workspace: Workspace) -> None:
    """As its program shows it: the sign of a number's format counts, and a hidden row does not."""
    header = inline(0, "Phone") + inline(1, "First name") + inline(2, "Job Title")
    ada = real(0, 12025550104, style=1) + inline(1, "Ada") + inline(2, "Chef")
    bob = inline(0, "+12025550107") + inline(1, "Bob")
    rows = row(1, header) + row(2, ada) + row(3, bob, hidden=True)
    book = binary_workbook([BinarySheet("March", rows)], codes=('"+"0',))
    (workspace.folder / "lists").mkdir()
    (workspace.folder / "lists" / "list.xlsb").write_bytes(book)
    result = workspace("check", "lists", "--format", "json")
    found = json.loads(result.out)
    assert result.code == Exit.OK
    assert (found["totals"]["read"], found["totals"]["ready"]) == (1, 1)
    assert found["sources"][0]["sheet"] == "March"
    assert "row 3 in sheet “March”" in found["problems"][0]["message"]


def test_a_damaged_binary_workbook_is_refused(workspace: Workspace) -> None:
    """It is named, and the message says what to save it as."""
    with ZipFile(workspace.folder / "list.xlsb", "w") as book:
        book.writestr("xl/workbook.bin", b"\x99")
    result = workspace("check", "list.xlsb")
    assert result.code == Exit.INPUT
    assert "list.xlsb" in result.out + result.err
    assert "a part of the workbook is damaged" in result.out + result.err
    assert "XLSX" in result.out + result.err


NO_TITLE = "first_name,phone_number,Job Titel\nAda,+12025550104,Chef\nBob,call me,Chef\n"


def test_a_missing_column_is_one_problem_of_the_file(workspace: Workspace) -> None:
    """In words of the file and with its own likely header; no row says it again."""
    workspace.write("list.csv", NO_TITLE)
    result = workspace("check", "list.csv", "--format", "json", "--rejected", "fix.csv")
    found = json.loads(result.out)
    assert found["totals"] | {"warnings": 0} == {
        **dict.fromkeys(("ready", "duplicates", "already_imported", "warnings"), 0),
        "read": 2,
        "rejected": 2,
    }
    (missing,) = [each for each in found["problems"] if each["code"] == "column-missing"]
    assert (missing["row"], missing["column"]) == (None, "job_title")
    assert "no column for “Job Title”" in missing["message"]
    assert "perhaps “Job Titel” is meant" in missing["message"]
    assert {"code": "column-missing", "column": "job_title", "severity": "error", "count": 1} in (
        found["problem_counts"]
    )
    assert "{job_title}" not in result.err
    rows = csv.DictReader((workspace.folder / "fix.csv").read_text("utf-8-sig").splitlines())
    assert all("no column for “Job Title”" in row["_problems"] for row in rows)


def test_two_files_lack_a_column_each_for_itself(workspace: Workspace) -> None:
    """That another file has it does not make it a matter of rows."""
    workspace.write("list.csv", NO_TITLE)
    result = workspace("check", "list.csv", "good.csv", "--format", "json")
    found = json.loads(result.out)["problems"]
    missing = [each for each in found if each["code"] == "column-missing"]
    assert [(each["source"], each["row"]) for each in missing] == [("list.csv", None)]
    assert not [each for each in found if each["code"] == "placeholder-missing"]


def test_all_problems_of_a_row_come_at_once(workspace: Workspace) -> None:
    """A row with a wrong phone is checked against its template, too."""
    workspace.write(
        "list.csv", "first_name,phone_number,Job Title\nAda,call me,\nBob,+12025550104,Chef\n"
    )
    found = json.loads(workspace("check", "list.csv", "--format", "json").out)["problems"]
    assert [(each["row"], each["code"]) for each in found if each["severity"] == "error"] == [
        (2, "phone-invalid"),
        (2, "placeholder-missing"),
    ]


def test_payloads_are_the_bodies_of_the_ready_rows(workspace: Workspace) -> None:
    """A line for each, with where it comes from, its key and its body."""
    workspace("check", "mixed.csv", "--payloads", "p.jsonl")
    lines = [json.loads(line) for line in (workspace.folder / "p.jsonl").read_text().splitlines()]
    assert [list(line) for line in lines] == [["source", "row", "key", "body"]] * 2
    assert [line["row"] for line in lines] == [2, 3]
    assert lines[0]["body"]["phoneNumber"] == "+12025550104"
    assert lines[0]["body"]["meetingConfiguration"]["title"] == "Interview for Chef"


def test_the_report_is_one_page(workspace: Workspace) -> None:
    """HTML that needs nothing else, and names the file."""
    workspace("check", "mixed.csv", "--report", "report.html")
    page = (workspace.folder / "report.html").read_text("utf-8")
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert "mixed.csv" in page
    assert "<script src" not in page


def test_several_files_are_one_import(workspace: Workspace) -> None:
    """A person in both is contacted for the first; a folder means its spreadsheets."""
    workspace.write("lists/a.csv", GOOD)
    workspace.write("lists/b.csv", GOOD)
    for files in (["lists/a.csv", "lists/b.csv"], ["lists"], ["lists/*.csv"]):
        report = json.loads(workspace("check", *files, "--format", "json").out)
        assert len(report["sources"]) == 2
        assert (report["totals"]["ready"], report["totals"]["duplicates"]) == (2, 2)


def test_one_bad_file_hides_no_other(workspace: Workspace) -> None:
    """The missing one is named, and the good one is checked anyway."""
    result = workspace("check", "missing.csv", "mixed.csv", "--format", "json")
    report = json.loads(result.out)
    assert result.code == Exit.INPUT
    assert report["totals"]["ready"] == 2
    assert {problem["code"] for problem in report["problems"]} >= {"file-missing", "phone-invalid"}


def test_a_list_may_come_through_a_pipe(workspace: Workspace) -> None:
    """`-` is standard input, and JSON leaves by standard output."""
    process = workspace.process("check", "-", "--format", "json")
    out, _ = process.communicate(MIXED, timeout=60)
    assert process.returncode == Exit.REJECTED
    assert json.loads(out)["totals"]["read"] == 4


def test_flags_go_over_the_settings(workspace: Workspace) -> None:
    """A campaign on the command line is the one of rows that name none."""
    result = workspace("check", "good.csv", "--campaign", "other", "--format", "json")
    assert [group["campaign"] for group in json.loads(result.out)["groups"]] == ["other"]


def test_the_environment_goes_over_the_file(workspace: Workspace) -> None:
    """`IMPORTER_CAMPAIGN` too is a setting."""
    other = Workspace(workspace.folder, {**workspace.env, "IMPORTER_CAMPAIGN": "other"})
    result = other("check", "good.csv", "--format", "json")
    assert [group["campaign"] for group in json.loads(result.out)["groups"]] == ["other"]
