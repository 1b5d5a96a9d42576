"""No output may replace an input, settings, a template, the ledger, its key or another output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.desk import FAST
from tests.support.terminal import at_a_terminal

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.desk import Desk

FLAGS = ("--report", "--rejected", "--payloads")


@pytest.mark.parametrize("flag", FLAGS)
@pytest.mark.parametrize(
    "taken",
    [
        "candidates.csv",
        "templates/../candidates.csv",
        "link.csv",
        "hard.csv",
        "importer.yaml",
        "templates/meetings/onsite-45.yaml",
        "importer.db",
        "importer.db.key",
        "rehearsal.db",
        "rehearsal.db.key",
    ],
)
def test_check_overwrites_nothing(starter: Desk, flag: str, taken: str) -> None:
    """By no path and no link; nothing is touched, and the message names both."""
    (starter.folder / "link.csv").symlink_to("candidates.csv")
    os.link(starter.folder / "candidates.csv", starter.folder / "hard.csv")
    before = starter.files()
    said = starter("check", "candidates.csv", flag, taken)
    assert said.code == Exit.USAGE
    assert f"{flag} {taken} would overwrite" in said.err
    assert starter.files() == before


def test_two_outputs_are_two_files(starter: Desk) -> None:
    """One would replace the other."""
    said = starter("check", "candidates.csv", "--report", "a.out", "--rejected", "./a.out")
    assert said.code == Exit.USAGE
    assert "would overwrite what --report writes" in said.err
    assert "a.out" not in starter.files()


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_one_file_for_each_input_overwrites_nothing(starter: Desk, suffix: str) -> None:
    """Their names are made by us, so they are looked at like those that a user gives."""
    for name in ("a.csv", f"fix-a.{suffix}"):
        starter.write(name, "First name,Mobile\nAda,12\n")
    before = starter.files()
    said = starter("check", "a.csv", f"fix-a.{suffix}", "--rejected", f"fix.{suffix}")
    assert said.code == Exit.USAGE
    assert f"--rejected fix-a.{suffix} would overwrite the input fix-a.{suffix}" in said.err
    assert starter.files() == before


def test_no_hint_leads_to_an_input(starter: Desk) -> None:
    """A name to propose is one whose files are free, too."""
    for name in ("a.csv", "to-fix-a.csv"):
        starter.write(name, "First name,Mobile\nAda,12\n")
    said = starter("check", "a.csv", "to-fix-a.csv")
    assert "--rejected to-fix-2.csv" in said.out


def test_a_file_in_a_folder_is_an_input_too(starter: Desk) -> None:
    """The folder was given, its files are read."""
    starter.write("lists/a.csv", "First name,Mobile\nAda,+44 20 7946 0018\n")
    said = starter("check", "lists", "--rejected", "lists/a.csv")
    assert said.code == Exit.USAGE
    assert "the input lists/a.csv" in said.err


def test_results_overwrite_no_list(starter: Desk, sandbox: Sandbox) -> None:
    """Neither `run --results` nor `results --output` nor `resume --results`."""
    url = ("--base-url", sandbox.base_url)
    said = starter("run", "candidates.csv", "--yes", *url, *FAST, "--results", "candidates.csv")
    assert (said.code, sandbox.journal) == (Exit.USAGE, [])
    assert starter("run", "candidates.csv", "--yes", *url, *FAST).code == Exit.OK
    before = starter.files()
    for words in (
        ("results", "--format", "csv", "--output", "candidates.csv"),
        ("results", "--format", "json", "--output", "importer.db"),
        ("results", "--format", "json", "--output", "rehearsal.db"),
        ("resume", *url, "--results", "candidates.csv"),
    ):
        said = starter(*words)
        assert said.code == Exit.USAGE, words
        assert "would overwrite" in said.err
        assert starter.files() == before


def test_no_hint_proposes_an_input(starter: Desk) -> None:
    """`check to-fix.csv` does not lead to `--rejected to-fix.csv`."""
    starter.write("to-fix.csv", "First name,Mobile\nAda,12\n")
    said = starter("check", "to-fix.csv")
    assert "--rejected to-fix-2.csv" in said.out
    assert "--rejected to-fix.csv" not in said.out


def test_no_hint_proposes_a_file_that_exists(starter: Desk) -> None:
    """Somebody may be correcting rows in it; the name that was asked for is another's business."""
    starter.write("a.csv", "First name,Mobile\nAda,12\n")
    starter.write("to-fix.csv", "a person's work")
    assert "--rejected to-fix-2.csv" in starter("check", "a.csv").out


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_is_asked_before_their_work_is_replaced(starter: Desk, answer: str) -> None:
    """At a terminal; a script that writes the same file every day goes on as before."""
    starter.write("a.csv", "First name,Mobile\nAda,12\n")
    starter.write("to-fix.csv", "a person's work")
    words = ("check", "a.csv", "--rejected", "to-fix.csv")
    code, said = at_a_terminal(starter, f"{answer}\n", *words)
    assert "Replace to-fix.csv, with whatever was corrected there?" in said
    kept = (starter.folder / "to-fix.csv").read_text() == "a person's work"
    assert (code, kept) == ((Exit.HELD, True) if answer == "n" else (Exit.REJECTED, False))
    assert starter(*words).code == Exit.REJECTED
