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
from importer.report.export import OURS

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.desk import Desk


@pytest.fixture
def near(near: Desk) -> Desk:
    """After a run of the mixed list."""
    assert near("run", "mixed.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    return near


def newest(desk: Desk) -> str:
    """The id of the newest run."""
    return str(json.loads(desk("results", "--format", "json").out)["run"])


def test_runs_are_listed(near: Desk) -> None:
    """With id, file and counts, on standard output, as wide as they need where nobody looks."""
    said = near("runs")
    assert said.code == Exit.OK
    assert newest(near) in said.out
    assert "mixed.csv" in said.out


def test_the_newest_run_is_shown(near: Desk) -> None:
    """A table of rows without any name, phone or e-mail."""
    said = near("results")
    assert said.code == Exit.OK
    assert said.out.count("created") == 2
    assert "+1202555" not in said.out
    assert "Ada" not in said.out


def test_csv_is_the_file_with_what_became_of_it(near: Desk) -> None:
    """The user's own columns in their order, ours after them, and every row."""
    said = near("results", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(said.out.lstrip("\ufeff"))))
    assert list(rows[0])[:3] == ["first_name", "phone_number", "Job Title"]
    assert tuple(list(rows[0])[-7:]) == OURS
    assert [row["import_status"] for row in rows] == ["created", "created", *["rejected"] * 2]


def test_the_csv_is_the_next_input(near: Desk, sandbox: Sandbox) -> None:
    """What is done is skipped; what was fixed goes."""
    text = near("results", "--format", "csv").out.replace("call me", "+12025550107")
    near.write("next.csv", text)
    said = near("run", "next.csv", "--yes", "--on-problems", "skip")
    assert said.code == Exit.REJECTED, said.err
    assert sorted(entry["firstName"] for entry in sandbox.journal) == ["Ada", "Bob", "Cy"]


def test_who_was_imported_before_is_shown_with_their_conversation(near: Desk) -> None:
    """The results of a later run lead to what an earlier one created."""
    first = list(csv.DictReader(io.StringIO(near("results", "--format", "csv").out)))
    text = near("results", "--format", "csv").out.replace("call me", "+12025550107")
    near.write("next.csv", text)
    assert near("run", "next.csv", "--yes", "--on-problems", "skip").code == Exit.REJECTED
    rows = list(csv.DictReader(io.StringIO(near("results", "--format", "csv").out)))
    assert [row["import_status"] for row in rows].count("already-imported") == 2
    assert [row["conversation_id"] for row in rows[:2]] == [
        row["conversation_id"] for row in first[:2]
    ]
    assert all(row["conversation_id"] for row in rows[:2])


def test_json_adds_up(near: Desk) -> None:
    """Every row has one outcome, and the totals count them."""
    report = json.loads(near("results", "--format", "json").out)
    assert report["totals"]["read"] == len(report["outcomes"]) == 4
    assert report["totals"]["created"] == 2
    assert report["totals"]["rejected"] == 2
    assert [line["row"] for line in report["outcomes"]] == [2, 3, 4, 5]


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_results_go_into_a_file(near: Desk, form: str) -> None:
    """--output writes the same, and nothing to standard output."""
    said = near("results", newest(near), "--format", form, "--output", f"out.{form}")
    assert (said.code, said.out) == (Exit.OK, "")
    path = near.folder / f"out.{form}"
    if form == "parquet":
        assert pl.read_parquet(path)["import_status"].to_list()[0] == "created"
    else:
        assert path.read_bytes() == near("results", "--format", form).out.encode()


def test_the_ledger_is_enough(near: Desk) -> None:
    """With the file gone, what became of its rows is still told, and why their cells are not."""
    (near.folder / "mixed.csv").unlink()
    said = near("results", "--format", "csv")
    assert said.code == Exit.OK
    assert said.out.count("created") == 2
    assert "mixed.csv" in said.err


def test_a_run_may_be_named_by_its_beginning(near: Desk) -> None:
    """As much of the id as tells it from others."""
    run = newest(near)
    assert near("results", run[:12]).code == Exit.OK
    assert near("results", "1999").code == Exit.USAGE


def test_conversations_are_looked_up(near: Desk) -> None:
    """`refresh` asks for the statuses of both, and says how many it knows."""
    said = near("refresh")
    assert said.code == Exit.OK, said.err
    assert "2" in said.err


def test_old_text_can_be_removed(near: Desk) -> None:
    """What is younger stays, and nobody is contacted again for it."""
    said = near("purge", "--older-than", "0d", "--yes")
    assert said.code == Exit.OK, said.err
    assert "Removed the masked text of 2 submissions and the file names of 1 run." in said.err
    assert "Nothing to send" in near("run", "good.csv").err


def test_purging_everything_must_be_meant(near: Desk) -> None:
    """0d is refused without --yes, with or without a terminal."""
    said = near("purge", "--older-than", "0d")
    assert said.code == Exit.USAGE
    assert "--yes" in said.error
    assert "mixed.csv" in near("runs").out


def test_a_dry_purge_removes_nothing(near: Desk) -> None:
    """It says how much it would be, on standard output, since that was asked for."""
    before = near.files()
    said = near("purge", "--older-than", "0", "--dry-run")
    assert said.code == Exit.OK
    assert said.out == (
        "Would remove the masked text of 2 submissions and the file names of 1 run.\n"
    )
    assert near.files() == before
    assert near("purge", "--older-than", "9d", "--dry-run").err == "There is nothing to remove.\n"


def test_a_purged_run_says_so(near: Desk) -> None:
    """By `runs`, by its results, and when somebody means to resume it."""
    near("purge", "--older-than", "0d", "--yes")
    assert "(purged)" in near("runs").out
    said = near("results", "--format", "csv")
    assert said.out.count("created") == 2
    assert "were purged" in said.err
    assert "standard input" not in said.err
    resumed = near("resume")
    assert resumed.code == Exit.USAGE
    assert "were purged" in resumed.error


def test_a_file_that_is_called_by_a_person(near: Desk) -> None:
    """The ledger keeps its name masked, and the run can be resumed all the same."""
    name = "dee@example.com +12025550108.csv"
    near.write(name, "first_name,phone_number,Job Title\nDee,+12025550108,Chef\n")
    assert near("run", name, "--yes").code == Exit.OK
    said = near("runs").out
    assert "+1 •••• 0108" in said
    assert "12025550108" not in said
    assert near("resume").code == Exit.OK


@pytest.mark.parametrize(
    "words",
    [
        ("results", "--format", "csv"),
        ("results", "--format", "json"),
        ("results", "--format", "parquet"),
    ],
)
def test_a_closed_pipe_ends_silently(near: Desk, words: tuple[str, ...]) -> None:
    """`importer results --format csv | head -1`: no error, and no traceback at the end."""
    people = "".join(f"Ann,zq{number}@example.org,camp-9,team\n" for number in range(5_000))
    near.write("many.csv", f"First name,E-mail,Campaign,Participants\n{people}")
    near("run", "many.csv", "--yes", "--limit", "1")
    with near.process(*words) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.buffer.read(10)  # type: ignore[attr-defined]
        process.stdout.close()
        assert process.wait(60) == Exit.OK
        assert process.stderr.read() == ""


@pytest.mark.parametrize(
    "words", [("runs",), ("results",), ("check", "good.csv"), ("columns",), ("explain", "settings")]
)
def test_a_table_without_a_reader_is_no_fault(near: Desk, words: tuple[str, ...]) -> None:
    """`importer runs | true`: exit code 1 would mean that rows were rejected."""
    near("run", "good.csv", "--yes")
    ours, theirs = os.pipe()
    os.close(ours)
    with near.process(*words, stdout=theirs) as process:
        os.close(theirs)
        assert process.wait(60) == Exit.OK
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_file_called_after_a_person(near: Desk) -> None:
    """Its name is nowhere in the ledger, nor shown from it; resume and results find the file."""
    rows = "first_name,phone_number,Job Title\nDee,+12025550107,Chef\nEve,+12025550108,Chef\n"
    near.write("lists/CV Ada Lovelace.csv", rows)
    near.write("lists/CV Alan Lee.csv", rows.replace("Dee", "Dan"))
    file = "lists/CV Ada Lovelace.csv"
    assert near("run", file, "--yes", "--limit", "1").code == Exit.OK
    near("backup", "copy.db")
    for name in ("importer.db", "copy.db"):
        assert b"ovelace" not in near.files()[name]
    assert near("resume").code == Exit.OK
    assert "CV A••• L•••.csv" in near("runs").out
    said = near("results", "--format", "csv")
    assert said.err == ""
    found = csv.DictReader(io.StringIO(said.out.lstrip("\ufeff")))
    assert [row["first_name"] for row in found] == ["Dee", "Eve"]
    said = near("results", "--format", "csv", "--output", file)
    assert said.code == Exit.USAGE
    (near.folder / file).unlink()
    (near.folder / "lists" / "CV Alan Lee.csv").unlink()
    said = near("results", "--format", "csv")
    assert "lists/CV A••• L•••.csv is gone or has changed" in said.err
