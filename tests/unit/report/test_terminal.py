"""What a terminal shows of a plan: everything that helps, nothing that is private."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from importer import problems
from importer.report import terminal, view
from importer.settings import Settings
from schemas.codes import Code, Severity

if TYPE_CHECKING:
    from importer.model import Plan, Table
    from tests.unit.report.conftest import MakePlan, MakeTable


def shown(plan: Plan, *, width: int = 100, show_values: bool = False, **settings: str) -> str:
    """Return what is printed where no terminal is."""
    out = io.StringIO()
    seen = view.plan_view(plan, Settings.model_validate(settings))
    terminal.print_plan(Console(file=out, width=width), seen, show_values=show_values)
    return out.getvalue()


def test_the_summary_of_a_messy_file(recruiter_plan: Plan) -> None:
    """Headline, tasks with rows, groups, files, next steps, plan: the whole text."""
    text = shown(recruiter_plan)
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    assert lines[0] == "2 of 6 rows are ready to send; 3 need fixing."
    assert "Correct the phone number in 1 row: 5" in lines
    assert "row 5  Mobile “c•••” This is not a valid phone number." in lines
    assert "Remove repeats of the same person in 1 row: 6" in lines
    assert "camp-42    onsite-45   hiring-manager        1      2" in lines
    assert "recruiter.csv      6       2        3   utf-8, semicolon" in lines
    assert "importer run recruiter.csv --on-problems skip" in lines
    assert lines[-1] == "Plan 3fa9c1000000"


def test_headings_are_in_the_order_of_work(recruiter_plan: Plan) -> None:
    """First what keeps rows out, last what to do."""
    text = shown(recruiter_plan)
    places = [
        text.index(f"\n{heading}\n")
        for heading in (
            "To fix", "To check", "For your information", "Groups", "Files", "What next",
        )
    ]  # fmt: skip
    assert places == sorted(places)


PERSONAL = ("0207 94", "call me", "@curie", "+442079460021", "020 7946 0018", "+442079460018")


def test_personal_values_are_masked(recruiter_plan: Plan) -> None:
    """Neither the cell nor the message tells a phone or an e-mail."""
    text = shown(recruiter_plan)
    assert not [value for value in PERSONAL if value in text]


def test_show_values_shows_them(recruiter_plan: Plan) -> None:
    """A person who asks for the values gets them; so the test above can fail."""
    text = shown(recruiter_plan, show_values=True)
    assert [value for value in PERSONAL if value in text] == list(PERSONAL[:4])


@pytest.mark.parametrize("code", list(Code))
def test_no_code_leaks_a_name_or_a_phone(
    make_plan: MakePlan, make_table: MakeTable, code: Code
) -> None:
    """Whatever its message quotes: the value, or phones and e-mails in the detail."""
    headers = {"Mobile": "phone_number", "Name": "full_name"}
    table = make_table("a.csv", list(headers), [["x", "y"]], headers)
    result = "`Zoë Quux` -> `Zoë Quux` +442079460018 zoe@example.com"
    found = problems.with_severities(
        problems.one(code, row=2, column="full_name", value="Zoë Quux", detail=result),
        {code: Severity.WARNING},
    )
    text = shown(make_plan([table], [found]))
    for secret in ("Quux", "79460018", "zoe@"):
        assert secret not in text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_no_line_is_wider_than_the_terminal(recruiter_plan: Plan, width: int) -> None:
    """Narrow terminals wrap words; nothing is cut, and commands stay on one line."""
    text = shown(recruiter_plan, width=width)
    lines = [line for line in text.splitlines() if not line.startswith("    importer ")]
    assert max(map(len, lines)) <= width
    assert "3 need fixing." in " ".join(text.split())


def test_colour_is_for_terminals_alone(recruiter_plan: Plan) -> None:
    """Elsewhere there is no escape sequence; on a terminal there are some."""
    assert "\x1b" not in shown(recruiter_plan)
    out = io.StringIO()
    console = Console(file=out, force_terminal=True, width=100, color_system="standard")
    terminal.print_plan(console, view.plan_view(recruiter_plan, Settings()))
    assert "\x1b[" in out.getvalue()


def test_values_cannot_command_the_terminal(make_plan: MakePlan, make_table: MakeTable) -> None:
    """Not from a cell, a header, a file name or a detail; and markup is only text."""
    evil = "\x1b[2J[bold]x[/bold]"
    table = make_table(f"{evil}.csv", [evil], [["x"]], {}, extra={evil: "job"})
    found = problems.one(Code.PLACEHOLDER_MISSING, row=2, column="job", value=evil, detail=evil)
    text = shown(make_plan([table], [found]), width=200)
    assert "\x1b" not in text
    assert "[bold]x[/bold]" in text


def test_several_files_are_named_where_they_matter(
    make_plan: MakePlan, make_table: MakeTable
) -> None:
    """A task of one file names it in its title, one of several lists them."""
    mapping = {"Tel": "phone_number"}
    files = [make_table(name, ["Tel"], [["x"]] * 3, mapping) for name in ("a.csv", "b.csv")]
    found = [
        problems.one(Code.PHONE_INVALID, row=2, column="phone_number", source=0),
        problems.one(Code.PHONE_INVALID, row=3, column="phone_number", source=1),
        problems.one(Code.CONTACT_MISSING, row=4, source=1),
    ]
    text = shown(make_plan(files, found))
    assert "Correct the phone number in 2 rows\n    a.csv: 2\n    b.csv: 3\n" in text
    assert "Fill in a phone or an e-mail in 1 row of b.csv: 4" in text


def test_a_clean_file_says_what_to_run(make_plan: MakePlan, recruiter: Table) -> None:
    """No tasks, no headings for them, and the command to go on with."""
    text = shown(make_plan([recruiter]))
    assert "To fix" not in text
    lines = [line.strip() for line in text.splitlines()]
    at = lines.index("- Send the 6 ready rows:")
    assert lines[at + 1] == "importer run recruiter.csv"


def test_an_unreadable_file_is_the_first_task(make_plan: MakePlan, make_table: MakeTable) -> None:
    """With what is wrong with it, and nothing to send."""
    table = make_table("x.png", [], [], {})
    found = problems.one(Code.FILE_UNREADABLE, detail="it is a picture")
    text = shown(make_plan([table], [found]))
    assert "There are no rows to import." in text
    assert "Save the file again: x.png" in text
    assert "The file cannot be read: it is a picture." in text
    assert "There is nothing to send." in text


def test_names_with_spaces_can_be_pasted(make_plan: MakePlan, make_table: MakeTable) -> None:
    """The commands quote what a shell would take apart."""
    table = make_table("my list.csv", ["Name"], [["Ada"]], {"Name": "first_name"})
    assert "importer run 'my list.csv'" in shown(make_plan([table]))


def test_groups_of_the_same_templates_are_one_line(make_plan: MakePlan, recruiter: Table) -> None:
    """With how many groups and rows they are; a long list ends with the number of the others."""
    plan = make_plan([recruiter], groups=3)
    text = shown(plan)
    assert "camp-42    onsite-45   hiring-manager        1      2" in text
    assert "camp-44" in text
