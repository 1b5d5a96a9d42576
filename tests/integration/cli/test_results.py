"""`importer runs`, `results`, `refresh` and `purge`: what the ledger remembers."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer.errors import Exit
from importer.report.results import OURS

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace


@pytest.fixture
def sandbox_workspace(sandbox_workspace: Workspace) -> Workspace:
    """Return the workspace after a run of the mixed list."""
    assert (
        sandbox_workspace("run", "mixed.csv", "--yes", "--on-problems", "skip").code
        == Exit.REJECTED
    )
    return sandbox_workspace


def newest(workspace: Workspace) -> str:
    """Return the id of the newest run."""
    return str(json.loads(workspace("results", "--format", "json").out)["run"])


def test_runs_are_listed(sandbox_workspace: Workspace) -> None:
    """With id, file and counts, on standard output, as wide as they need where nobody looks."""
    result = sandbox_workspace("runs")
    assert result.code == Exit.OK
    assert newest(sandbox_workspace) in result.out
    assert "mixed.csv" in result.out


def test_the_newest_run_is_shown(sandbox_workspace: Workspace) -> None:
    """A table of rows without any name, phone or e-mail."""
    result = sandbox_workspace("results")
    assert result.code == Exit.OK
    assert result.out.count("created") == 2
    assert "+1202555" not in result.out
    assert "Ada" not in result.out


def test_csv_is_the_file_with_what_became_of_it(sandbox_workspace: Workspace) -> None:
    """The user's own columns in their order, ours after them, and every row."""
    result = sandbox_workspace("results", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.out.lstrip("\ufeff"))))
    assert list(rows[0])[:3] == ["first_name", "phone_number", "Job Title"]
    assert tuple(list(rows[0])[-7:]) == OURS
    assert [row["import_status"] for row in rows] == ["created", "created", *["rejected"] * 2]


def test_the_csv_is_the_next_input(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """What is done is skipped; what was fixed goes."""
    text = sandbox_workspace("results", "--format", "csv").out.replace("call me", "+12025550107")
    sandbox_workspace.write("next.csv", text)
    result = sandbox_workspace("run", "next.csv", "--yes", "--on-problems", "skip")
    assert result.code == Exit.REJECTED, result.err
    assert sorted(entry["firstName"] for entry in sandbox.journal) == ["Ada", "Bob", "Cy"]


def test_who_was_imported_before_is_shown_with_their_conversation(
    sandbox_workspace: Workspace,
) -> None:
    """The results of a later run lead to what an earlier one created."""
    first = list(csv.DictReader(io.StringIO(sandbox_workspace("results", "--format", "csv").out)))
    text = sandbox_workspace("results", "--format", "csv").out.replace("call me", "+12025550107")
    sandbox_workspace.write("next.csv", text)
    assert (
        sandbox_workspace("run", "next.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    )
    rows = list(csv.DictReader(io.StringIO(sandbox_workspace("results", "--format", "csv").out)))
    assert [row["import_status"] for row in rows].count("already-imported") == 2
    assert [row["conversation_id"] for row in rows[:2]] == [
        row["conversation_id"] for row in first[:2]
    ]
    assert all(row["conversation_id"] for row in rows[:2])


def test_json_adds_up(sandbox_workspace: Workspace) -> None:
    """Every row has one outcome, and the totals count them."""
    report = json.loads(sandbox_workspace("results", "--format", "json").out)
    assert report["totals"]["read"] == len(report["outcomes"]) == 4
    assert report["totals"]["created"] == 2
    assert report["totals"]["rejected"] == 2
    assert [line["row"] for line in report["outcomes"]] == [2, 3, 4, 5]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_results_go_into_a_file(sandbox_workspace: Workspace, form: str) -> None:
    """--output writes the same, and nothing to standard output."""
    result = sandbox_workspace(
        "results", newest(sandbox_workspace), "--format", form, "--output", f"out.{form}"
    )
    assert (result.code, result.out) == (Exit.OK, "")
    path = sandbox_workspace.folder / f"out.{form}"
    if form == "parquet":
        assert pl.read_parquet(path)["import_status"].to_list()[0] == "created"
    else:
        assert path.read_bytes() == sandbox_workspace("results", "--format", form).out.encode()


def test_the_ledger_is_enough(sandbox_workspace: Workspace) -> None:
    """With the file gone, what happened to its rows is still told, and why their cells are not."""
    (sandbox_workspace.folder / "mixed.csv").unlink()
    result = sandbox_workspace("results", "--format", "csv")
    assert result.code == Exit.OK
    assert result.out.count("created") == 2
    assert "mixed.csv" in result.err


def test_a_run_may_be_named_by_its_beginning(sandbox_workspace: Workspace) -> None:
    """As much of the id as tells it from others."""
    run = newest(sandbox_workspace)
    assert sandbox_workspace("results", run[:12]).code == Exit.OK
    assert sandbox_workspace("results", "1999").code == Exit.USAGE


def test_conversations_are_looked_up(sandbox_workspace: Workspace) -> None:
    """`refresh` asks for the statuses of both, and says how many it knows."""
    result = sandbox_workspace("refresh")
    assert result.code == Exit.OK, result.err
    assert "2" in result.err


def test_old_text_can_be_removed(sandbox_workspace: Workspace) -> None:
    """What is younger stays, and nobody is contacted again for it."""
    result = sandbox_workspace("purge", "--older-than", "0d", "--yes")
    assert result.code == Exit.OK, result.err
    assert "Removed the masked text of 2 submissions and the file names of 1 run." in result.err
    assert "Nothing to send" in sandbox_workspace("run", "good.csv").err


def test_purging_everything_must_be_meant(sandbox_workspace: Workspace) -> None:
    """0d is refused without --yes, with or without a terminal."""
    result = sandbox_workspace("purge", "--older-than", "0d")
    assert result.code == Exit.USAGE
    assert "--yes" in result.error
    assert "mixed.csv" in sandbox_workspace("runs").out


def test_a_dry_purge_removes_nothing(sandbox_workspace: Workspace) -> None:
    """It says how much it would be, on standard output, since that was asked for."""
    before = sandbox_workspace.files()
    result = sandbox_workspace("purge", "--older-than", "0", "--dry-run")
    assert result.code == Exit.OK
    assert result.out == (
        "Would remove the masked text of 2 submissions and the file names of 1 run.\n"
    )
    assert sandbox_workspace.files() == before
    assert (
        sandbox_workspace("purge", "--older-than", "9d", "--dry-run").err
        == "There is nothing to remove.\n"
    )


def test_a_purged_run_says_so(sandbox_workspace: Workspace) -> None:
    """By `runs`, by its results, and when somebody means to resume it."""
    sandbox_workspace("purge", "--older-than", "0d", "--yes")
    assert "(purged)" in sandbox_workspace("runs").out
    result = sandbox_workspace("results", "--format", "csv")
    assert result.out.count("created") == 2
    assert "were purged" in result.err
    assert "standard input" not in result.err
    resumed = sandbox_workspace("resume")
    assert resumed.code == Exit.USAGE
    assert "were purged" in resumed.error


def test_a_file_that_is_called_by_a_person(sandbox_workspace: Workspace) -> None:
    """The ledger keeps its name masked, and the run can be resumed anyway."""
    name = "dee@example.com +12025550108.csv"
    sandbox_workspace.write(name, "first_name,phone_number,Job Title\nDee,+12025550108,Chef\n")
    assert sandbox_workspace("run", name, "--yes").code == Exit.OK
    result = sandbox_workspace("runs").out
    assert "+1 •••• 0108" in result
    assert "12025550108" not in result
    assert sandbox_workspace("resume").code == Exit.OK


@pytest.mark.parametrize(
    "words",
    [
        ("results", "--format", "csv"),
        ("results", "--format", "json"),
        ("results", "--format", "parquet"),
    ],
)
def test_a_closed_pipe_ends_silently(sandbox_workspace: Workspace, words: tuple[str, ...]) -> None:
    """`importer results --format csv | head -1`: no error, and no traceback at the end."""
    people = "".join(f"Ann,zq{number}@example.org,camp-9,team\n" for number in range(5_000))
    sandbox_workspace.write("many.csv", f"First name,E-mail,Campaign,Participants\n{people}")
    sandbox_workspace("run", "many.csv", "--yes", "--limit", "1")
    with sandbox_workspace.process(*words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.buffer.read(10)  # type: ignore[attr-defined]
        process.stdout.close()
        assert process.wait(60) == Exit.OK
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "words", [("runs",), ("results",), ("check", "good.csv"), ("columns",), ("explain", "settings")]
)
def test_a_table_without_a_reader_is_no_fault(
    sandbox_workspace: Workspace, words: tuple[str, ...]
) -> None:
    """`importer runs | true`: exit code 1 would mean that rows were rejected."""
    sandbox_workspace("run", "good.csv", "--yes")
    ours, theirs = os.pipe()
    os.close(ours)
    with sandbox_workspace.process(*words, stdout=theirs) as process:
        os.close(theirs)
        assert process.wait(60) == Exit.OK
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_file_called_after_a_person(sandbox_workspace: Workspace) -> None:
    """Its name is nowhere in the ledger, nor shown from it; resume and results find the file."""
    rows = "first_name,phone_number,Job Title\nDee,+12025550107,Chef\nEve,+12025550108,Chef\n"
    sandbox_workspace.write("lists/CV Ada Lovelace.csv", rows)
    sandbox_workspace.write("lists/CV Alan Lee.csv", rows.replace("Dee", "Dan"))
    file = "lists/CV Ada Lovelace.csv"
    assert sandbox_workspace("run", file, "--yes", "--limit", "1").code == Exit.OK
    sandbox_workspace("backup", "copy.db")
    for name in ("importer.db", "copy.db"):
        assert b"ovelace" not in sandbox_workspace.files()[name]
    assert sandbox_workspace("resume").code == Exit.OK
    assert "CV A••• L•••.csv" in sandbox_workspace("runs").out
    result = sandbox_workspace("results", "--format", "csv")
    assert result.err == ""
    found = csv.DictReader(io.StringIO(result.out.lstrip("\ufeff")))
    assert [row["first_name"] for row in found] == ["Dee", "Eve"]
    result = sandbox_workspace("results", "--format", "csv", "--output", file)
    assert result.code == Exit.USAGE
    (sandbox_workspace.folder / file).unlink()
    (sandbox_workspace.folder / "lists" / "CV Alan Lee.csv").unlink()
    result = sandbox_workspace("results", "--format", "csv")
    assert "lists/CV A••• L•••.csv is gone or has changed" in result.err
