"""Whatever is wrong gets one clear message, its exit code, no traceback, and no ledger."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest

from importer.errors import Exit
from importer.sandbox.server import SandboxOptions, start_sandbox
from tests.integration.cli.conftest import SETTINGS
from tests.support.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.workspace import CommandResult, Workspace

CHECK: Final = ("check", "list.csv")
RUN: Final = ("run", "list.csv", "--yes")
LIST: Final = b"first_name,phone_number,Job Title\nAda,+12025550104,Chef\n"


class Bad(NamedTuple):
    """One thing that is wrong, and what is said of it."""

    files: Mapping[str, bytes | None]
    exit: Exit
    says: str
    command: tuple[str, ...] = CHECK
    run_exit: Exit | None = None


FILES: Final = {
    "an empty file": Bad({"list.csv": b""}, Exit.INPUT, "The file has no content."),
    "blank lines": Bad({"list.csv": b"\n\n \n"}, Exit.INPUT, "The file has"),
    "a header without rows": Bad(
        {"list.csv": b"first_name,phone_number\n"}, Exit.INPUT, "a header and no rows below it"
    ),
    "no column for a phone": Bad(
        {"list.csv": b"first_name,shoe size\nAda,38\n"},
        Exit.INPUT,
        "The file has no column for phone_number or email (it has: first_name, shoe size).",
    ),
    "no column for a name": Bad(
        {"list.csv": b"phone_number\n+12025550104\n"},
        Exit.INPUT,
        "The file has no column for first_name or full_name",
    ),
    "no header at all": Bad({"list.csv": b"hello\n"}, Exit.INPUT, "No header row was found"),
    "noise": Bad({"list.csv": bytes(range(256)) * 9}, Exit.INPUT, "The file cannot be read"),
    "half a workbook": Bad({"list.csv": b"PK\x03\x04 and so on"}, Exit.INPUT, "damaged"),
    "a picture": Bad({"list.csv": b"\x89PNG\r\n\x1a\n" + bytes(99)}, Exit.INPUT, "cannot be read"),
    "a file that is not there": Bad({"list.csv": None}, Exit.INPUT, "The file does not exist."),
    "a quotation mark left open": Bad(
        {"list.csv": LIST + b'"Bob,+12025550105,Chef\nCy,+12025550106,Chef\n'},
        Exit.REJECTED,
        "A quotation mark is opened here but never closed.",
        run_exit=Exit.HELD,
    ),
    "an unknown template in a row": Bad(
        {"list.csv": b"first_name,phone_number,meeting_template\nAda,+12025550104,onsite-99\n"},
        Exit.REJECTED,
        "There is no template with this name: perhaps `onsite-45` is meant.",
        run_exit=Exit.HELD,
    ),
    "a value that a template needs": Bad(
        {"list.csv": b"first_name,phone_number,Job Title\nAda,+12025550104,\n"},
        Exit.REJECTED,
        "The row has no value for `{job_title}`, which the template needs.",
        run_exit=Exit.HELD,
    ),
    "a column that a template needs": Bad(
        {"list.csv": b"first_name,phone_number\nAda,+12025550104\n"},
        Exit.REJECTED,
        "The file has no column for “Job Title”, which a template needs",
        run_exit=Exit.HELD,
    ),
}
"""Told by the summary, for other files may be good."""

WHOLE: Final = {
    "a folder without spreadsheets": Bad(
        {"lists/notes.md": b"x"},
        Exit.USAGE,
        "There is no spreadsheet in lists.",
        ("check", "lists"),
    ),
    "a pattern that matches nothing": Bad(
        {}, Exit.USAGE, "There is no spreadsheet in *.xlsx.", ("check", "*.xlsx")
    ),
    "broken YAML": Bad(
        {"importer.yaml": b'campaign: "camp\n'},
        Exit.SETUP,
        "importer.yaml:1:11: the quotation mark",
    ),
    "a wrong key": Bad(
        {"importer.yaml": b"base_urll: x\n"},
        Exit.SETUP,
        "importer.yaml:1:1: base_urll: there is no such key; did you mean `base_url`?",
    ),
    "a wrong value": Bad(
        {"importer.yaml": b"rate_per_s: fast\n"},
        Exit.SETUP,
        "importer.yaml:1:13: rate_per_s: must be a number",
    ),
    "a secret in the settings": Bad(
        {"importer.yaml": b"api_key: abc123\n"}, Exit.SETUP, "secrets do not belong in a settings"
    ),
    "settings that are not there": Bad(
        {}, Exit.SETUP, "other.yaml: there is no such file.", (*CHECK, "--config", "other.yaml")
    ),
    "an unknown template in the settings": Bad(
        {},
        Exit.INPUT,
        "there is no meeting template `onsite-99`",
        (*CHECK, "--meeting", "onsite-99"),
    ),
    "a broken template": Bad(
        {"templates/meetings/onsite-45.yaml": b"title: [\n"}, Exit.INPUT, "onsite-45.yaml:"
    ),
    "a template that breaks a rule": Bad(
        {"templates/participants/team.yaml": b"- {name: Sam}\n"}, Exit.INPUT, "team.yaml:1:"
    ),
    "a wrong format": Bad({}, Exit.USAGE, "'xml' is not one of", (*CHECK, "--format", "xml")),
    "a flag that is none": Bad({}, Exit.USAGE, "No such option", (*CHECK, "--nope")),
    "a rate of nothing": Bad(
        {}, Exit.SETUP, "--rate-per-s: must be greater than 0", (*RUN, "--rate-per-s", "0")
    ),
    "a rate that is no number": Bad(
        {}, Exit.USAGE, "'fast' is not a valid float", (*RUN, "--rate-per-s", "fast")
    ),
    "a key over open HTTP": Bad(
        {},
        Exit.SETUP,
        "--base-url: must begin with https://",
        (*RUN, "--base-url", "http://api.example.com/v1"),
    ),
    "a limit of nothing": Bad({}, Exit.USAGE, "'--limit': 0", (*RUN, "--limit", "0")),
    "a report without a folder": Bad(
        {}, Exit.USAGE, "there is no folder", (*CHECK, "--report", "nowhere/report.html")
    ),
    "a report that is a folder": Bad(
        {}, Exit.USAGE, "is a directory", (*CHECK, "--report", "templates")
    ),
    "results without a folder": Bad(
        {}, Exit.USAGE, "there is no folder", (*RUN, "--results", "nowhere/results.csv")
    ),
    "a plan that is none": Bad(
        {}, Exit.USAGE, "64 digits of a plan's hash", (*RUN, "--expect-plan", "abc")
    ),
    "a ledger that is no database": Bad(
        {"notes.db": b"no database, really" * 99},
        Exit.SETUP,
        "notes.db is not a ledger",
        (*RUN, "--ledger", "sqlite:///notes.db"),
    ),
    "a ledger of another kind": Bad(
        {}, Exit.SETUP, "A ledger cannot be kept in 'mysql'.", (*RUN, "--ledger", "mysql://x/y")
    ),
    "a ledger without a folder": Bad(
        {},
        Exit.SETUP,
        "does not exist",
        (*RUN, "--ledger", "sqlite:///nowhere/importer.db", "--base-url", "http://127.0.0.1:9/v1"),
    ),
    "no ledger yet": Bad({}, Exit.SETUP, "There is no ledger yet", ("runs",)),
    "nothing to resume": Bad({}, Exit.SETUP, "There is no ledger", ("resume",)),
    "nothing to reconcile": Bad({}, Exit.SETUP, "There is no ledger", ("reconcile",)),
    "nothing to settle": Bad(
        {}, Exit.SETUP, "There is no ledger", ("resolve", "x", "2", "--not-sent")
    ),
    "settled with a placeholder": Bad(
        {}, Exit.USAGE, "is not the id of a conversation", ("resolve", "x", "2", "--sent", "ID")
    ),
    "settled neither way": Bad(
        {}, Exit.USAGE, "--sent CONVERSATION_ID or --not-sent", ("resolve", "x", "2")
    ),
    "an age that is none": Bad(
        {}, Exit.USAGE, "--older-than takes days", ("purge", "--older-than", "soon")
    ),
}
"""Told in one sentence after `Error:`."""


def prepared(workspace: Workspace, bad: Bad) -> None:
    """Put the good list and settings into the workspace, and then what is wrong."""
    workspace.write("list.csv", LIST)
    workspace.write("importer.yaml", SETTINGS)
    for name, content in bad.files.items():
        if content is None:
            (workspace.folder / name).unlink()
        else:
            workspace.write(name, content)


def clear(result: CommandResult) -> bool:
    """Whether a person can read it: no traceback, no class of ours, nothing of Python's."""
    signs = ("Traceback", "importer.", "went wrong inside", "Errno", "<class", "None")
    text = (result.err + result.out).replace("importer.yaml", "").replace("importer.db", "")
    return not any(sign in text for sign in signs)


@pytest.mark.parametrize("bad", FILES.values(), ids=FILES.keys())
def test_a_bad_file(workspace: Workspace, bad: Bad) -> None:
    """Check and run tell the same; run sends nothing, and neither writes anything."""
    prepared(workspace, bad)
    before = workspace.files()
    checked, ran = workspace(*CHECK), workspace(*RUN)
    assert checked.code == bad.exit, checked.err
    assert ran.code == (bad.run_exit or bad.exit)
    for result in (checked, ran):
        assert bad.says in result.err + result.out
        assert clear(result), result.err + result.out
    assert ran.out == ""
    assert ran.err.count("Error: ") == 1
    assert workspace.files() == before


@pytest.mark.parametrize("bad", WHOLE.values(), ids=WHOLE.keys())
def test_what_stops_a_command(workspace: Workspace, bad: Bad) -> None:
    """One message after `Error:`, and every file as it was."""
    prepared(workspace, bad)
    before = workspace.files()
    result = workspace(*bad.command)
    assert result.code == bad.exit, result.err
    assert bad.says in result.error, result.err
    assert result.err.count("Error: ") == 1
    assert clear(result), result.err
    assert result.out == ""
    assert workspace.files() == before


@pytest.mark.parametrize(
    ("gone", "says"),
    [
        (["POPP_API_KEY"], "POPP_API_KEY is not set."),
        (["POPP_API_KEY", "POPP_ORGANIZATION_ID"], "POPP_ORGANIZATION_ID are not set."),
    ],
)
def test_no_key(workspace: Workspace, gone: list[str], says: str) -> None:
    """What to export is said, and no ledger is made."""
    prepared(workspace, Bad({}, Exit.SETUP, says))
    before = workspace.files()
    for command in (RUN, ("resume",), ("reconcile",), ("refresh",)):
        result = workspace.without(*gone)(*command)
        assert result.code == Exit.SETUP
        assert says in result.error
        assert "export " in result.error
    assert workspace.files() == before


def test_a_key_that_is_refused(workspace: Workspace) -> None:
    """401 stops the run after one answer: exit code 4, and everybody is still to be sent."""
    rows = b"".join(b"P%d,+120255501%02d,Chef\n" % (row, row) for row in range(30))
    workspace.write("list.csv", b"first_name,phone_number,Job Title\n" + rows)
    with start_sandbox(SandboxOptions(faults="401:1")) as sandbox:
        flags = ("--base-url", sandbox.base_url, "--rate-per-s", "50", "--concurrency", "1")
        result = workspace(*RUN, *flags)
        assert result.code == Exit.SETUP
        assert "401" in result.err
        assert sandbox.requests <= 2
        assert clear(result), result.err
        sandbox.set_faults("")
        assert workspace("resume", *flags).code == Exit.OK
        assert len(sandbox.journal) == 30


def test_an_api_that_is_not_there(workspace: Workspace) -> None:
    """A few rows: all unsent, exit code 4; many: it stops long before the last, with the same."""
    workspace.write("list.csv", LIST)
    many = b"".join(b"P%d,+120255501%02d,Chef\n" % (row, row) for row in range(60))
    workspace.write("many.csv", b"first_name,phone_number,Job Title\n" + many)
    with closed_port() as address:
        flags = ("--yes", "--base-url", f"{address}/v1", "--rate-per-s", "500", "--attempts", "1")
        few = workspace("run", "list.csv", *flags)
        lots = workspace("run", "many.csv", *flags)
    for result in (few, lots):
        assert result.code == Exit.SETUP, result.err
        assert "No connection to the API" in result.err
        assert "resume" in result.err
        assert clear(result), result.err
    assert "The API cannot be reached." in lots.err
    assert "planned" in lots.err


@pytest.mark.skipif(sys.platform == "win32", reason="folders are kept otherwise there")
def test_nothing_half_written_is_left(workspace: Workspace) -> None:
    """A report that cannot be written leaves no part of it, and none of the others."""
    prepared(workspace, Bad({}, Exit.USAGE, ""))
    before = workspace.files()
    result = workspace(*CHECK, "--rejected", "fix.csv", "--report", "nowhere/report.html")
    assert result.code == Exit.USAGE
    assert workspace.files() == before
