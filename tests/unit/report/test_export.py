"""Results, payloads and CSV for other programs, which open rightly in Excel."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer.ledger.records import SourceFile
from importer.report.export import (
    OURS,
    OriginalFiles,
    reread_files,
    results_frame,
    save_results,
    write_csv,
    write_results,
)
from schemas.columns import find_result_headers

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Table
    from importer.report.view import RunView
    from tests.unit.report.conftest import MakeTable


def read(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows of a CSV, by another reader than the one we write with."""
    text = path.read_bytes().decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


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
        "'=1",
        "'+442079460018",
    ],
)
def test_no_cell_is_a_formula(cell: str) -> None:
    """Whatever a spreadsheet program could calculate gets an apostrophe."""
    out = io.BytesIO()
    write_csv(pl.DataFrame({"a": [cell]}), out)
    text = out.getvalue().decode("utf-8-sig")
    ((written,),) = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert written == f"'{cell}"


@pytest.mark.parametrize("cell", ["+442079460018", "Ada", "a=b", "'a", " =1", "07 -1"])
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


def test_our_columns_are_recognised_and_a_user_s_are_not() -> None:
    """`reason` is ours only beside `import_status`, and not where ours is `import_reason`."""
    assert find_result_headers(["Name", "_row", "reason"]) == {"_row"}
    assert find_result_headers(["import_status", "reason"]) == {"import_status", "reason"}
    assert find_result_headers(["import_status", "reason", "import_reason"]) == {
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
    """Its rows are there anyway."""
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
        "reason", "import_status", "conversation_id", "import_reason", "attempted_at", "progress",
        "progress_at", "meeting_at",
    ]  # fmt: skip
    assert frame["reason"].to_list()[0] == "r0"
    assert "reason" not in find_result_headers(frame.columns)
    assert "import_reason" in find_result_headers(frame.columns)


def test_results_given_back_do_not_grow(run_view: RunView, make_table: MakeTable) -> None:
    """A results file is the next run's input; its old answers are replaced."""
    headers = ["Name", *OURS]
    table = make_table(
        "recruiter.csv", headers, [["Ada", "unsent", "", "x", "", "", "", ""]] * 6, {}
    )
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
