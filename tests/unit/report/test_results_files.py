"""Results of a run: the columns of its files, then ours."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer.errors import ImporterError, LedgerError
from importer.ledger.records import SourceFile
from importer.loader import open_read
from importer.loader.chunks import WholeFile
from importer.model import State
from importer.report.results import (
    OURS,
    OriginalFiles,
    reread_files,
    results_frames,
    save_results,
    write_results,
)
from importer.settings import Settings
from schemas.columns import find_result_headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from importer.ledger.records import RowOutcome
    from importer.loader import Pieces
    from importer.model import RunReport, Table
    from importer.report.view import RunView
    from tests.unit.report.conftest import MakeTable, MakeView


def original(*tables: Table | None) -> OriginalFiles:
    """Return the files of a run, open."""
    return OriginalFiles(tuple(None if each is None else WholeFile(each) for each in tables))


def results_of(view: RunView, *tables: Table | None) -> pl.DataFrame:
    """Return the rows of a run with its results."""
    return pl.concat(results_frames(view.files, [view.outcomes], original(*tables)))


def test_the_original_columns_come_first(
    run_view: RunView, recruiter: Table, tmp_path: Path
) -> None:
    """The CSV has headers, order and delimiter of the file, then ours, and a line for each row."""
    path = tmp_path / "results.csv"
    save_results(run_view, [run_view.outcomes], original(recruiter), path)
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
    """The name of the file and the row number replace the columns of the list."""
    frame = results_of(run_view, None)
    assert frame.columns == ["_file", "_row", *OURS]
    assert frame.row(0)[:3] == ("recruiter.csv", "2", "created")


def test_one_of_two_files_may_be_missing(run_view: RunView, recruiter: Table) -> None:
    """The results still have its rows."""
    both = dataclasses.replace(run_view, files=("recruiter.csv", "gone.csv"))
    more = run_view.outcomes.head(1).with_columns(pl.lit(1, pl.UInt16).alias("#source"))
    both = dataclasses.replace(both, outcomes=pl.concat([run_view.outcomes, more]))
    frame = results_of(both, recruiter, None)
    assert frame["_file"].to_list() == ["recruiter.csv"] * 6 + ["gone.csv"]
    assert frame["Surname"].to_list()[-2:] == ["García", None]


def test_a_user_s_own_reason_stays(run_view: RunView, make_table: MakeTable) -> None:
    """Our column gets another name, which a later run still recognises."""
    table = make_table("recruiter.csv", ["reason"], [[f"r{n}"] for n in range(6)], {})
    frame = results_of(run_view, table)
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
    frame = results_of(run_view, table)
    assert frame.columns == headers
    assert frame["import_status"][0] == "created"


def test_parquet_has_the_same_columns_and_a_real_time(
    run_view: RunView, recruiter: Table, tmp_path: Path
) -> None:
    """Times are times, for programs that read the file."""
    path = tmp_path / "results.parquet"
    save_results(run_view, [run_view.outcomes], original(recruiter), path, "parquet")
    frame = pl.read_parquet(path)
    assert frame.columns == [*recruiter.frame.columns[1:], *OURS]
    assert frame.schema["attempted_at"] == pl.Datetime("us", "UTC")


def test_json_goes_to_a_text_stream(run_view: RunView) -> None:
    """JSON has no columns of the list, so it needs no original files."""
    out = io.StringIO()
    write_results(run_view, [run_view.outcomes], original(None), out, "json")
    assert json.loads(out.getvalue())["run"] == "20261122-153000-3f2a"


def test_only_an_unchanged_file_counts(recruiter: Table) -> None:
    """A sentence says which file has changed, and which was standard input."""
    same = SourceFile("recruiter.csv", "/x/recruiter.csv", recruiter.source.sha256, 1)
    changed = SourceFile("other.csv", "/x/other.csv", "0" * 64, 1)
    piped = SourceFile("-", None, recruiter.source.sha256, 1)
    asked: list[str] = []

    same_file = WholeFile(recruiter)

    def open_file(name: str) -> Pieces:
        asked.append(name)
        return same_file

    found = reread_files([same, changed, piped], open_file)
    assert found.opened == (same_file, None, None)
    assert [note.split(",")[0] for note in found.missing] == [
        "other.csv is gone or has changed",
        "A list came from standard input",
    ]
    assert asked == ["/x/recruiter.csv", "/x/other.csv"]


SIZE = 2_000
HEADER = "Name,reason\n"
ROWS = "".join(f"Cy{n},because {n}\n" for n in range(500))


@pytest.fixture
def many(
    make_view: MakeView, run_report: RunReport, row_outcome: Callable[..., RowOutcome]
) -> RunView:
    """Return the view of a run with 500 rows."""
    rows = [row_outcome(n, State.CREATED, conversation_id=f"c-{n}") for n in range(2, 502)]
    return make_view(run_report, rows, ["list.csv"])


@pytest.mark.parametrize("each", [7, 120, 500])
def test_pieces_give_what_the_whole_gives(tmp_path: Path, many: RunView, each: int) -> None:
    """The result does not depend on where the file and the rows of the ledger are cut."""
    file = tmp_path / "list.csv"
    file.write_text(HEADER + ROWS)
    opened = open_read(str(file), Settings(), SIZE)
    assert len(list(opened.tables())) > 2
    lines = list(many.outcomes.iter_slices(each))
    frame = pl.concat(results_frames(many.files, lines, OriginalFiles((opened,))))
    whole = open_read(str(file), Settings())
    assert frame.equals(
        pl.concat(results_frames(many.files, [many.outcomes], OriginalFiles((whole,))))
    )
    assert frame["reason"].to_list() == [f"because {n}" for n in range(500)]
    assert frame["conversation_id"].to_list() == [f"c-{n}" for n in range(2, 502)]


def test_a_file_that_cannot_be_cut_is_read_whole(tmp_path: Path) -> None:
    """It is read at once, and its hash is known as well."""
    file = tmp_path / "list.csv"
    file.write_text(HEADER + ROWS + "a,b,c\n")
    opened = open_read(str(file), Settings(), SIZE)
    assert [each().frame.height for each in opened.tables()] == [501]
    assert opened.source().sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.mark.parametrize("change", [lambda text: text.replace("Cy4", "Di4"), lambda _: HEADER])
def test_a_file_that_changes_meanwhile_writes_nothing(
    tmp_path: Path, many: RunView, change: Callable[[str], str]
) -> None:
    """A results file never holds cells of another list."""
    file, path = tmp_path / "list.csv", tmp_path / "results.csv"
    file.write_text(HEADER + ROWS)
    files = OriginalFiles((open_read(str(file), Settings(), SIZE),))
    file.write_text(change(HEADER + ROWS))
    with pytest.raises(ImporterError, match=r"list\.csv was changed while it was read"):
        save_results(many, [many.outcomes], files, path)
    assert not path.exists()


def test_an_error_of_the_ledger_stays_one(
    run_view: RunView, recruiter: Table, tmp_path: Path
) -> None:
    """Polars does not turn it into an error of its own either."""

    def lines() -> Iterator[pl.DataFrame]:
        yield run_view.outcomes
        raise LedgerError("The ledger is being changed.")

    for form in ("csv", "json", "parquet"):
        path = tmp_path / "results"
        with pytest.raises(LedgerError, match="being changed"):
            save_results(run_view, lines(), original(recruiter), path, form)
        assert not path.exists()
