"""`importer columns` says what a spreadsheet may say, and how one was understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from tests.support.workspace import Workspace


def test_every_column_is_shown(workspace: Workspace) -> None:
    """With its name and an example, on standard output."""
    result = workspace("columns")
    assert result.code == Exit.OK
    assert result.err == ""
    for column in COLUMNS:
        assert column.name in result.out
        assert column.example in result.out


def test_an_empty_spreadsheet_is_understood_whole(workspace: Workspace) -> None:
    """What --csv writes has each column once, and maps to it."""
    header = workspace("columns", "--csv").out
    assert header.strip().split(",") == [column.name for column in COLUMNS]
    workspace.write("new.csv", header)
    result = workspace("columns", "new.csv")
    assert "of your own" not in result.out
    assert "no rows below it" in result.err


def test_headers_of_a_file_are_explained(workspace: Workspace) -> None:
    """Column, placeholder of an extra header, and the near miss."""
    workspace.write("list.csv", "Vorname,Mobile No.,Job Title,campain\nAda,+12025550104,Chef,c\n")
    result = workspace("columns", "list.csv")
    assert result.code == Exit.OK
    lines = {line.split("  ")[0].strip(): line for line in result.out.splitlines()}
    assert "first_name" in lines["Vorname"]
    assert "phone_number" in lines["Mobile No."]
    assert "{job_title}" in lines["Job Title"]
    assert "`campaign`" in result.err


def test_the_settings_name_what_is_not_known(workspace: Workspace) -> None:
    """`columns:` is stronger than what is understood by itself."""
    workspace.write("list.csv", "Name,Tel (priv)\nAda,+12025550104\n")
    workspace.write("importer.yaml", 'columns: {"Tel (priv)": phone_number}\n')
    result = workspace("columns", "list.csv")
    line = next(line for line in result.out.splitlines() if line.startswith("Tel (priv)"))
    assert "phone_number" in line


def test_the_settings_can_ignore_a_header(workspace: Workspace) -> None:
    """A header that is understood wrongly becomes a column of the user's own."""
    workspace.write("list.csv", "First name,Mobile,Phone\nAda,+12025550104,+12025550104\n")
    workspace.write("importer.yaml", "columns: {Mobile: ignore}\n")
    result = workspace("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in result.out.splitlines()}
    assert "a column of your own" in lines["Mobile"]
    assert "phone_number" in lines["Phone"]


def test_a_second_phone_is_shown_as_such(workspace: Workspace) -> None:
    """It is used in rows in which the first is empty."""
    workspace.write("list.csv", "First name,Phone,Mobile\nAda,+12025550104,\n")
    result = workspace("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in result.out.splitlines()}
    assert "phone_number, if empty above" in lines["Phone"]


@pytest.mark.parametrize("content", [None, b"", b"\x00\x01\x02" * 50])
def test_a_file_without_headers_ends_with_3(workspace: Workspace, content: bytes | None) -> None:
    """Whether it is missing, empty or no spreadsheet."""
    if content is not None:
        workspace.write("list.csv", content)
    result = workspace("columns", "list.csv")
    assert result.code == Exit.INPUT
    assert result.err.strip()


def test_each_column_says_why_and_shows_values(workspace: Workspace) -> None:
    """Settings, names, words or neighbours decide; phones, e-mails and names are masked."""
    workspace.write(
        "list.csv",
        "Vorname,Person : Phones: Mobile,Login,Role\n"
        "Ada,+12025550104,ada@example.com,Chef\nGrace,+12025550105,grace@example.com,Chef\n",
    )
    workspace.write("importer.yaml", "columns: {Login: email}\n")
    result = workspace("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in result.out.splitlines()}
    assert "a known name" in lines["Vorname"]
    assert "A•••" in lines["Vorname"]
    assert "your settings" in lines["Login"]
    assert "its words" in result.out
    assert "Chef" in lines["Role"]
    assert not {"Ada", "+12025550104", "ada@example.com"} & set(result.out.split())


def test_a_header_gets_the_name_that_a_template_uses(workspace: Workspace) -> None:
    """A list that calls the hiring manager otherwise needs one line of settings, and no rename."""
    workspace.write(
        "templates/participants/team.yaml",
        "- {name: Sam, email: '{hiring_manager_email}', isOrganizer: true, "
        "isCalendarConnected: true}\n",
    )
    workspace.write(
        "list.csv",
        "First name,Mobile,Hiring mgr mail,Job Title\nAda,+12025550104,sam@example.com,Chef\n",
    )
    assert "Hiring Manager Email" in workspace("check", "list.csv").out
    text = (workspace.folder / "importer.yaml").read_text()
    workspace.write("importer.yaml", text + "columns: {Hiring mgr mail: hiring_manager_email}\n")
    result = workspace("check", "list.csv", "--payloads", "bodies.jsonl")
    assert result.code == 0, result
    assert '"email":"sam@example.com"' in (workspace.folder / "bodies.jsonl").read_text()


def test_saving_changes_nothing_that_is_read(workspace: Workspace) -> None:
    """Of two columns of phones the second is still tried row by row."""
    workspace.write(
        "list.csv",
        "Vorname;Telefon privat;Handy;Job Title\n"
        "Ada;;+12025550104;Chef\nBob;+12025550105;N/A;Chef\n",
    )
    before = workspace("check", "list.csv", "--payloads", "before.jsonl")
    assert workspace("columns", "list.csv", "--save").code == 0
    after = workspace("check", "list.csv", "--payloads", "after.jsonl")
    assert before.code == after.code == 0
    bodies = [(workspace.folder / f"{name}.jsonl").read_text() for name in ("before", "after")]
    assert bodies[0] == bodies[1]
    assert "+12025550105" in bodies[1]
