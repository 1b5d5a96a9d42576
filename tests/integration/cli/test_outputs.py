"""No output may replace an input, settings, a template, the ledger, its key or another output."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.support.terminal import answer_at_terminal
from tests.support.workspace import FAST

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox
    from tests.support.workspace import Workspace

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
def test_check_overwrites_nothing(starter: Workspace, flag: str, taken: str) -> None:
    """By no path and no link; nothing is touched, and the message names both."""
    (starter.folder / "link.csv").symlink_to("candidates.csv")
    os.link(starter.folder / "candidates.csv", starter.folder / "hard.csv")
    before = starter.files()
    result = starter("check", "candidates.csv", flag, taken)
    assert result.code == Exit.USAGE
    assert f"{flag} {taken} would overwrite" in result.err
    assert starter.files() == before


def test_two_outputs_are_two_files(starter: Workspace) -> None:
    """One would replace the other."""
    result = starter("check", "candidates.csv", "--report", "a.out", "--rejected", "./a.out")
    assert result.code == Exit.USAGE
    assert "would overwrite what --report writes" in result.err
    assert "a.out" not in starter.files()


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_one_file_for_each_input_overwrites_nothing(starter: Workspace, suffix: str) -> None:
    """Their names are made by us, so they are looked at like those that a user gives."""
    for name in ("a.csv", f"fix-a.{suffix}"):
        starter.write(name, "First name,Mobile\nAda,12\n")
    before = starter.files()
    result = starter("check", "a.csv", f"fix-a.{suffix}", "--rejected", f"fix.{suffix}")
    assert result.code == Exit.USAGE
    assert f"--rejected fix-a.{suffix} would overwrite the input fix-a.{suffix}" in result.err
    assert starter.files() == before


def test_no_hint_leads_to_an_input(starter: Workspace) -> None:
    """A name to propose is one whose files are free, too."""
    for name in ("a.csv", "to-fix-a.csv"):
        starter.write(name, "First name,Mobile\nAda,12\n")
    result = starter("check", "a.csv", "to-fix-a.csv")
    assert "--rejected to-fix-2.csv" in result.out


def test_a_file_in_a_folder_is_an_input_too(starter: Workspace) -> None:
    """The folder was given, its files are read."""
    starter.write("lists/a.csv", "First name,Mobile\nAda,+44 20 7946 0018\n")
    result = starter("check", "lists", "--rejected", "lists/a.csv")
    assert result.code == Exit.USAGE
    assert "the input lists/a.csv" in result.err


def test_results_overwrite_no_list(starter: Workspace, sandbox: Sandbox) -> None:
    """Neither `run --results` nor `results --output` nor `resume --results`."""
    url = ("--base-url", sandbox.base_url)
    result = starter("run", "candidates.csv", "--yes", *url, *FAST, "--results", "candidates.csv")
    assert (result.code, sandbox.journal) == (Exit.USAGE, [])
    assert starter("run", "candidates.csv", "--yes", *url, *FAST).code == Exit.OK
    before = starter.files()
    for words in (
        ("results", "--format", "csv", "--output", "candidates.csv"),
        ("results", "--format", "json", "--output", "importer.db"),
        ("results", "--format", "json", "--output", "rehearsal.db"),
        ("resume", *url, "--results", "candidates.csv"),
    ):
        result = starter(*words)
        assert result.code == Exit.USAGE, words
        assert "would overwrite" in result.err
        assert starter.files() == before


def test_no_hint_proposes_an_input(starter: Workspace) -> None:
    """`check to-fix.csv` does not lead to `--rejected to-fix.csv`."""
    starter.write("to-fix.csv", "First name,Mobile\nAda,12\n")
    result = starter("check", "to-fix.csv")
    assert "--rejected to-fix-2.csv" in result.out
    assert "--rejected to-fix.csv" not in result.out


def test_no_hint_proposes_a_file_that_exists(starter: Workspace) -> None:
    """Somebody may be correcting rows in it; the name that was asked for is another's business."""
    starter.write("a.csv", "First name,Mobile\nAda,12\n")
    starter.write("to-fix.csv", "a person's work")
    assert "--rejected to-fix-2.csv" in starter("check", "a.csv").out


@pytest.mark.parametrize("answer", ["n", "y"])
def test_a_person_is_asked_before_their_work_is_replaced(starter: Workspace, answer: str) -> None:
    """At a terminal; a script that writes the same file every day goes on as before."""
    starter.write("a.csv", "First name,Mobile\nAda,12\n")
    starter.write("to-fix.csv", "a person's work")
    words = ("check", "a.csv", "--rejected", "to-fix.csv")
    code, result = answer_at_terminal(starter, f"{answer}\n", *words)
    assert "Replace to-fix.csv, with whatever was corrected there?" in result
    kept = (starter.folder / "to-fix.csv").read_text() == "a person's work"
    assert (code, kept) == ((Exit.HELD, True) if answer == "n" else (Exit.REJECTED, False))
    assert starter(*words).code == Exit.REJECTED
