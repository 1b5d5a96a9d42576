"""`importer columns` says what a spreadsheet may say, and how one was understood."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from schemas.columns import COLUMNS

if TYPE_CHECKING:
    from tests.support.desk import Desk


def test_every_column_is_shown(desk: Desk) -> None:
    """With its name and an example, on standard output."""
    said = desk("columns")
    assert said.code == Exit.OK
    assert said.err == ""
    for column in COLUMNS:
        assert column.name in said.out
        assert column.example in said.out


def test_an_empty_spreadsheet_is_understood_whole(desk: Desk) -> None:
    """What --csv writes has each column once, and maps to it."""
    header = desk("columns", "--csv").out
    assert header.strip().split(",") == [column.name for column in COLUMNS]
    desk.write("new.csv", header)
    said = desk("columns", "new.csv")
    assert "of your own" not in said.out
    assert "no rows below it" in said.err


def test_headers_of_a_file_are_explained(desk: Desk) -> None:
    """Column, placeholder of an extra header, and the near miss."""
    desk.write("list.csv", "Vorname,Mobile No.,Job Title,campain\nAda,+12025550104,Chef,c\n")
    said = desk("columns", "list.csv")
    assert said.code == Exit.OK
    lines = {line.split("  ")[0].strip(): line for line in said.out.splitlines()}
    assert "first_name" in lines["Vorname"]
    assert "phone_number" in lines["Mobile No."]
    assert "{job_title}" in lines["Job Title"]
    assert "`campaign`" in said.err


def test_the_settings_name_what_is_not_known(desk: Desk) -> None:
    """`columns:` goes before what is understood by itself."""
    desk.write("list.csv", "Name,Tel (priv)\nAda,+12025550104\n")
    desk.write("importer.yaml", 'columns: {"Tel (priv)": phone_number}\n')
    said = desk("columns", "list.csv")
    line = next(line for line in said.out.splitlines() if line.startswith("Tel (priv)"))
    assert "phone_number" in line


def test_the_settings_can_ignore_a_header(desk: Desk) -> None:
    """A header that is understood wrongly becomes a column of the user's own."""
    desk.write("list.csv", "First name,Mobile,Phone\nAda,+12025550104,+12025550104\n")
    desk.write("importer.yaml", "columns: {Mobile: ignore}\n")
    said = desk("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in said.out.splitlines()}
    assert "a column of your own" in lines["Mobile"]
    assert "phone_number" in lines["Phone"]


def test_a_second_phone_is_shown_as_such(desk: Desk) -> None:
    """It is used in rows in which the first is empty."""
    desk.write("list.csv", "First name,Phone,Mobile\nAda,+12025550104,\n")
    said = desk("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in said.out.splitlines()}
    assert "phone_number, if empty above" in lines["Phone"]


@pytest.mark.parametrize("content", [None, b"", b"\x00\x01\x02" * 50])
def test_a_file_without_headers_ends_with_3(desk: Desk, content: bytes | None) -> None:
    """Whether it is missing, empty or no spreadsheet."""
    if content is not None:
        desk.write("list.csv", content)
    said = desk("columns", "list.csv")
    assert said.code == Exit.INPUT
    assert said.err.strip()


def test_each_column_says_why_and_shows_values(desk: Desk) -> None:
    """Settings, names, words or neighbours decide; phones, e-mails and names are masked."""
    desk.write(
        "list.csv",
        "Vorname,Person : Phones: Mobile,Login,Role\n"
        "Ada,+12025550104,ada@example.com,Chef\nGrace,+12025550105,grace@example.com,Chef\n",
    )
    desk.write("importer.yaml", "columns: {Login: email}\n")
    said = desk("columns", "list.csv")
    lines = {line.split("  ")[0].strip(): line for line in said.out.splitlines()}
    assert "a known name" in lines["Vorname"]
    assert "A•••" in lines["Vorname"]
    assert "your settings" in lines["Login"]
    assert "its words" in said.out
    assert "Chef" in lines["Role"]
    assert not {"Ada", "+12025550104", "ada@example.com"} & set(said.out.split())


def test_a_header_gets_the_name_that_a_template_uses(desk: Desk) -> None:
    """A list that calls the hiring manager otherwise needs one line of settings, and no rename."""
    desk.write(
        "templates/participants/team.yaml",
        "- {name: Sam, email: '{hiring_manager_email}', isOrganizer: true, "
        "isCalendarConnected: true}\n",
    )
    desk.write(
        "list.csv",
        "First name,Mobile,Hiring mgr mail,Job Title\nAda,+12025550104,sam@example.com,Chef\n",
    )
    assert "Hiring Manager Email" in desk("check", "list.csv").out
    text = (desk.folder / "importer.yaml").read_text()
    desk.write("importer.yaml", text + "columns: {Hiring mgr mail: hiring_manager_email}\n")
    said = desk("check", "list.csv", "--payloads", "bodies.jsonl")
    assert said.code == 0, said
    assert '"email":"sam@example.com"' in (desk.folder / "bodies.jsonl").read_text()


def test_saving_changes_nothing_that_is_read(desk: Desk) -> None:
    """Of two columns of phones the second is still tried row by row."""
    desk.write(
        "list.csv",
        "Vorname;Telefon privat;Handy;Job Title\n"
        "Ada;;+12025550104;Chef\nBob;+12025550105;N/A;Chef\n",
    )
    before = desk("check", "list.csv", "--payloads", "before.jsonl")
    assert desk("columns", "list.csv", "--save").code == 0
    after = desk("check", "list.csv", "--payloads", "after.jsonl")
    assert before.code == after.code == 0
    bodies = [(desk.folder / f"{name}.jsonl").read_text() for name in ("before", "after")]
    assert bodies[0] == bodies[1]
    assert "+12025550105" in bodies[1]
