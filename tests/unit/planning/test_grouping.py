"""Rows whose templates read the same are one group; a bad group holds back its own rows only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer import problems
from importer.errors import TemplateError
from importer.problems import SCHEMA
from importer.settings import Settings
from schemas.codes import Code
from schemas.columns import GROUP, ROW
from tests.support import rows as made
from tests.support.rows import ADA, GRACE, MEETING, PARTICIPANTS, Grouped, frame, write_templates

if TYPE_CHECKING:
    from pathlib import Path

OPEN = """\
title: "{job_title} {first_name}"
timezone: "{tz}"
duration: 45
openHours: [{start: 09:00}]
videoConferencing: false
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with the meeting template of Ada's row, and the usual participants."""
    return write_templates(tmp_path, {"onsite-45": MEETING})


def grouped(folder: Path, rows: pl.DataFrame, **result: object) -> Grouped:
    """Return these rows grouped with the templates of a folder."""
    return made.group_rows(folder, rows, Settings.model_validate(result))


def placed(found: Grouped) -> list[tuple[int, int]]:
    """Return row and group of each ready row."""
    return found.frame.select(ROW, GROUP).rows()


def faults(found: Grouped) -> list[tuple[int | None, str | None, str, str, str]]:
    """Return row, column, code, value and detail of each problem."""
    return found.problems.select(ROW, "column", "code", "value", "detail").rows()


def test_rows_that_share_everything_are_one_group(folder: Path) -> None:
    """The candidate's own columns do not part them, and extras that no template takes neither."""
    rows = frame({**ADA, "notes": "x", "candidate_id": "1"}, {**GRACE, "notes": "y"})
    found = grouped(folder, rows)
    assert placed(found) == [(2, 0), (3, 0)]
    (one,) = found.groups
    assert (one.campaign, one.external_campaign, one.rows) == ("camp-42", "", 2)
    assert (one.meeting, one.participants) == ("onsite-45", "manager")
    assert one.bindings == {"job_title": "Engineer"}
    assert one.meeting_configuration["title"] == "Interview for Engineer"
    assert one.meeting_participants[0]["email"] == "max@example.org"
    assert faults(found) == []
    assert found.problems.schema == SCHEMA


@pytest.mark.parametrize(
    "change",
    [
        {"campaign": "camp-43"},
        {"campaign": None, "external_campaign": "camp-42"},
        {"external_campaign": "REQ-1"},
        {"job_title": "Chef"},
        {"meeting_template": "other"},
        {"participant_template": "panel"},
    ],
)
def test_campaign_templates_and_shared_values_part_groups(
    folder: Path, change: dict[str, str | None]
) -> None:
    """Groups are numbered in the order of their first row."""
    write_templates(folder, {"other": MEETING}, {"panel": PARTICIPANTS})
    rows = frame({**GRACE, **change}, ADA, {**ADA, **change})
    found = grouped(folder, rows)
    assert placed(found) == [(2, 0), (3, 1), (4, 0)]
    assert [each.rows for each in found.groups] == [2, 1]


def test_the_candidates_own_placeholders_stay_open(tmp_path: Path) -> None:
    """They are filled in when the body is rendered; they make no group."""
    folder = write_templates(tmp_path, {"onsite-45": OPEN})
    found = grouped(folder, frame({**ADA, "tz": "UTC"}, {**GRACE, "tz": "UTC"}))
    (one,) = found.groups
    assert one.meeting_configuration["title"] == "Engineer {first_name}"
    assert one.bindings == {"job_title": "Engineer", "tz": "UTC"}


def test_a_row_that_cannot_fill_a_placeholder_is_that_rows_problem(tmp_path: Path) -> None:
    """The candidate's own columns count too; the others go on."""
    folder = write_templates(tmp_path, {"onsite-45": OPEN})
    rows = frame(
        {**ADA, "tz": "UTC"},
        {**ADA, "tz": None, "job_title": None},
        {**ADA, "tz": "UTC", "first_name": None},
    )
    found = grouped(folder, rows)
    assert placed(found) == [(2, 0)]
    assert faults(found) == [
        (3, "job_title", Code.PLACEHOLDER_MISSING, "", "`{job_title}`"),
        (3, "tz", Code.PLACEHOLDER_MISSING, "", "`{tz}`"),
        (4, "first_name", Code.PLACEHOLDER_MISSING, "", "`{first_name}`"),
    ]


def test_a_placeholder_without_a_column_is_every_rows_problem(tmp_path: Path) -> None:
    """The column that was most likely meant is named."""
    text = MEETING.replace("{job_title}", "{job_titel} {shoe_size}")
    folder = write_templates(tmp_path, {"onsite-45": text})
    found = grouped(folder, frame(ADA, GRACE))
    assert found.groups == ()
    assert found.frame.height == 0
    meant = "`{job_titel}` (perhaps `{job_title}` is meant)"
    assert faults(found) == [
        (2, "job_titel", Code.PLACEHOLDER_MISSING, "", meant),
        (2, "shoe_size", Code.PLACEHOLDER_MISSING, "", "`{shoe_size}`"),
        (3, "job_titel", Code.PLACEHOLDER_MISSING, "", meant),
        (3, "shoe_size", Code.PLACEHOLDER_MISSING, "", "`{shoe_size}`"),
    ]


def test_a_value_that_breaks_an_inferred_rule_is_a_warning(tmp_path: Path) -> None:
    """Column and value are named, once for each row of the group, and the rows go on."""
    folder = write_templates(tmp_path, {"onsite-45": OPEN})
    rows = frame(
        {**ADA, "tz": "Mars"}, {**ADA, "tz": "UTC"}, {**GRACE, "tz": "Mars"}, {**GRACE, "tz": "UTC"}
    )
    found = grouped(folder, rows)
    assert [row for row, _ in placed(found)] == [2, 3, 4, 5]
    detail = "meeting template onsite-45: timezone must be an IANA time zone such as Europe/London"
    assert faults(found) == [
        (2, "tz", Code.TEMPLATE_UNUSUAL, "Mars", detail),
        (4, "tz", Code.TEMPLATE_UNUSUAL, "Mars", detail),
    ]


def test_a_pair_that_does_not_fit_rejects_its_rows_alone(folder: Path) -> None:
    """A COLLECTIVE meeting with two organizers is wrong; the same people elsewhere are not."""
    collective = MEETING + "availabilityMethod: COLLECTIVE\n"
    write_templates(folder, {"all": collective}, {"two": PARTICIPANTS * 2})
    rows = frame(
        {**ADA, "meeting_template": "all", "participant_template": "two"},
        {**ADA, "participant_template": "two"},
        {**GRACE, "meeting_template": "all"},
    )
    found = grouped(folder, rows)
    assert placed(found) == [(3, 0), (4, 1)]
    detail = "two with all: a COLLECTIVE meeting takes exactly one organizer"
    assert faults(found) == [(2, None, Code.TEMPLATE_INVALID, "", detail)]


@pytest.mark.parametrize("value", ["{first_name}", "{{MEETING_URL}}", "a } b", "{"])
def test_braces_in_a_value_are_refused(folder: Path, value: str) -> None:
    """A spreadsheet fills templates; it writes none, neither ours nor the API's."""
    found = grouped(folder, frame({**ADA, "job_title": value}, GRACE))
    assert placed(found) == [(3, 0)]
    detail = "a value that fills a placeholder cannot contain `{` or `}`"
    assert faults(found) == [(2, "job_title", Code.TEMPLATE_INVALID, value, detail)]


@pytest.mark.parametrize("kind", ["auto-schedule", "campaign"])
def test_fields_take_values_from_rows(folder: Path, kind: str) -> None:
    """An extra column makes groups; a row without the value is held back, not sent in braces."""
    rows = frame(
        ADA,
        {**GRACE, "last_name": "Hopper", "job_title": "Admiral"},
        {**GRACE, "last_name": None},
        {**GRACE, "last_name": "H", "job_title": "{first_name}"},
    )
    message = {"message": "{job_title} {last_name} {{LINK}}", "source": 1}
    found = grouped(folder, rows, conversation=kind, conversation_fields=message)
    assert placed(found) == [(2, 0), (3, 1)]
    assert [group.conversation_fields for group in found.groups] == [
        {"message": "Engineer {last_name} {{LINK}}", "source": 1},
        {"message": "Admiral {last_name} {{LINK}}", "source": 1},
    ]
    assert [(row, column, code) for row, column, code, *_ in faults(found)] == [
        (4, "last_name", Code.PLACEHOLDER_MISSING),
        (5, "job_title", Code.TEMPLATE_INVALID),
    ]


def test_fields_name_columns_that_there_are(folder: Path) -> None:
    """A misspelt one keeps its rows back, and the right one is proposed."""
    found = grouped(folder, frame(ADA), conversation_fields={"message": "Hi {first_nme}"})
    (fault,) = faults(found)
    detail = "`{first_nme}` (in conversation_fields) (perhaps `{first_name}` is meant)"
    assert fault == (2, "first_nme", Code.PLACEHOLDER_MISSING, "", detail)


def test_braces_that_no_template_takes_do_not_matter(folder: Path) -> None:
    """A note may say what it likes."""
    assert placed(grouped(folder, frame({**ADA, "notes": "{x}"}))) == [(2, 0)]


def test_a_row_that_names_an_unknown_template_is_that_rows_problem(folder: Path) -> None:
    """Both templates of a row are looked at."""
    rows = frame(
        {**ADA, "meeting_template": "onsite 45", "participant_template": "../manager"}, GRACE
    )
    found = grouped(folder, rows)
    assert placed(found) == [(3, 0)]
    sandbox_workspace = "perhaps `onsite-45` is meant"
    manager = "perhaps `manager` is meant"
    assert faults(found) == [
        (2, "meeting_template", Code.TEMPLATE_UNKNOWN, "onsite 45", sandbox_workspace),
        (2, "participant_template", Code.TEMPLATE_UNKNOWN, "../manager", manager),
    ]


def test_a_row_that_names_no_template_is_that_rows_problem(folder: Path) -> None:
    """The settings' own are filled in before; here they name none."""
    rows = frame({**ADA, "meeting_template": None, "participant_template": None}, GRACE)
    found = grouped(folder, rows)
    assert placed(found) == [(3, 0)]
    assert faults(found) == [
        (2, "meeting_template", Code.TEMPLATE_MISSING, "", "meeting template"),
        (2, "participant_template", Code.TEMPLATE_MISSING, "", "participant template"),
    ]


def test_many_unknown_names_are_all_told(folder: Path) -> None:
    """Only the first few get a suggestion of their own."""
    rows = frame(*({**ADA, "meeting_template": f"zz-{n}"} for n in range(500)))
    found = grouped(folder, rows)
    assert found.problems.height == 500
    assert set(found.problems["detail"]) == {"there are `onsite-45`"}


def test_settings_that_name_an_unknown_template_stop_the_run(folder: Path) -> None:
    """All of them are told, by the keys of importer.yaml."""
    with pytest.raises(TemplateError) as caught:
        grouped(folder, frame(ADA), meeting="onsite-4", participants="managers")
    meeting, participants = caught.value.message.splitlines()
    assert meeting == (
        "`meeting` (importer.yaml or --meeting): there is no meeting template `onsite-4`: "
        "perhaps `onsite-45` is meant."
    )
    assert participants.startswith("`participants` (importer.yaml or --participants): there is no")


def test_broken_templates_that_rows_use_stop_the_run_together(folder: Path) -> None:
    """Every mistake of every template is told at once; one that no row uses is not read."""
    write_templates(folder, {"bad": "title: 1\n", "unused": "]"}, {"worse": "[]"})
    rows = frame(
        {**ADA, "meeting_template": "bad"},
        {**ADA, "participant_template": "worse"},
        {**ADA, "meeting_template": "bad", "participant_template": "worse"},
    )
    with pytest.raises(TemplateError) as caught:
        grouped(folder, rows)
    messages = caught.value.message.splitlines()
    assert messages[-1].endswith("participants/worse.yaml:1:1: must have 1 or more items")
    assert sum("bad.yaml:1:8: title: must be text" in line for line in messages) == 1
    assert not any("unused" in line for line in messages)


def test_a_key_that_no_rule_knows_is_told_once(folder: Path) -> None:
    """It is a warning of the whole file, and the rows go on."""
    write_templates(folder, {"strange": MEETING + "colour: red\n"})
    found = grouped(folder, frame(*[{**ADA, "meeting_template": "strange"}] * 3))
    assert [row for row, _ in placed(found)] == [2, 3, 4]
    ((row, column, code, _, detail),) = faults(found)
    assert (row, column, code) == (None, None, Code.TEMPLATE_KEY_UNKNOWN)
    assert detail.endswith("/meetings/strange.yaml:7:1: colour: sent as it is")


def test_a_campaign_conversation_needs_no_templates(tmp_path: Path) -> None:
    """Rows are grouped by campaign alone, whatever templates they name."""
    rows = frame(
        {**ADA, "meeting_template": "none such"},
        {**GRACE, "meeting_template": None},
        {**GRACE, "campaign": None, "external_campaign": "REQ-1"},
    )
    found = grouped(tmp_path, rows, conversation="campaign", meeting="none such")
    assert placed(found) == [(2, 0), (3, 0), (4, 1)]
    first = found.groups[0]
    assert (first.meeting, first.participants, first.bindings) == ("", "", {})
    assert (first.meeting_configuration, first.meeting_participants) == ({}, ())
    assert faults(found) == []


@pytest.mark.parametrize("conversation", ["auto-schedule", "campaign"])
def test_no_rows_make_no_groups(folder: Path, conversation: str) -> None:
    """An empty file is no special case."""
    found = grouped(folder, frame(ADA).clear(), conversation=conversation)
    assert found.groups == ()
    assert found.frame.columns[-1] == GROUP
    assert found.frame.schema[GROUP] == pl.UInt32
    assert found.problems.equals(problems.empty())


CELLS = st.fixed_dictionaries(
    {
        "campaign": st.sampled_from(["c1", "c2"]),
        "job_title": st.sampled_from(["Chef", "Engineer", None, "{x}"]),
        "tz": st.sampled_from(["UTC", "Europe/Paris", "Mars", None]),
        "meeting_template": st.sampled_from(["open", "fixed", "nope", None]),
    }
)


@settings(deadline=None)
@given(st.lists(CELLS, max_size=12))
def test_each_row_is_ready_or_has_an_error(
    tmp_path_factory: pytest.TempPathFactory, cells: list[dict[str, str | None]]
) -> None:
    """No row is lost, none is both; groups are as large as they say, in order of first rows."""
    folder = tmp_path_factory.mktemp("templates")
    write_templates(folder, {"open": OPEN, "fixed": MEETING})
    rows = frame(ADA, *({**ADA, **each} for each in cells)).slice(1)
    found = grouped(folder, rows)
    ready, at_fault = set(found.frame[ROW]), set(problems.errors(found.problems)[ROW])
    assert ready | at_fault == set(rows[ROW])
    assert not ready & at_fault
    numbers = found.frame[GROUP].to_list()
    assert [numbers.count(n) for n in range(len(found.groups))] == [g.rows for g in found.groups]
    assert list(dict.fromkeys(numbers)) == list(range(len(found.groups)))
    assert found.frame.drop(GROUP).columns == rows.columns
