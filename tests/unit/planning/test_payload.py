"""A body has the API's keys, the row's values, the template word for word, and nothing else."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from importer import problems
from importer.model import Counts, Group, Json, Plan, PlannedRow, RowStatus
from importer.planning.external_ids import external_id, external_ids
from importer.planning.identity import Identity
from importer.planning.payload import (
    Renderer,
    RowsByKey,
    hash_keys,
    payload_lines,
    planned_rows,
    submissions,
)
from importer.planning.plan import KNOWN
from importer.settings import Settings
from schemas.columns import COLUMNS, ROW, SOURCE
from schemas.columns import KEY as KEY_COLUMN
from tests.support.rows import (
    ADA,
    GRACE,
    MEETING,
    as_checked_rows,
    frame,
    group_rows,
    write_templates,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

IDENTITY = Identity(b"k" * 32, "org-1")
CELLS: dict[str, str | None] = {**{column.name: None for column in COLUMNS}, **ADA}
CONFIGURATION: dict[str, Json] = {
    "title": "Engineer {first_name} {{MEETING_URL}}",
    "zebra": [1, 2.5, True, None, "{last_name}"],
    "duration": 45,
}
PEOPLE: tuple[dict[str, Json], ...] = ({"email": "max@example.org", "isOrganizer": True},)


def a_group(**result: object) -> Group:
    """Return a group of the usual campaign and templates, with some fields changed."""
    usual: dict[str, object] = {
        "campaign": "camp-42",
        "external_campaign": "",
        "meeting": "onsite-45",
        "participants": "manager",
        "bindings": {},
        "meeting_configuration": CONFIGURATION,
        "meeting_participants": PEOPLE,
        "rows": 1,
    }
    return Group(**{**usual, **result})  # type: ignore[arg-type] # the fields above have their types


def body(
    cells: Mapping[str, str | None] | None = None, of: Group | None = None, **result: object
) -> dict[str, Json]:
    """Return the body of Ada's row with some cells and settings changed."""
    settings = Settings.model_validate(result)
    return Renderer(of or a_group(), settings).body({**CELLS, **(cells or {})}, "ext-1")


def test_a_body_is_exactly_this() -> None:
    """Keys, their order and the types of values are fixed."""
    assert json.dumps(body()) == json.dumps(
        {
            "phoneNumber": "+442079460018",
            "emailAddress": "ada@example.com",
            "countryCode": "GB",
            "firstName": "Ada",
            "lastName": "Lovelace",
            "campaignId": "camp-42",
            "externalId": "ext-1",
            "meetingParticipants": [{"email": "max@example.org", "isOrganizer": True}],
            "meetingConfiguration": {
                "title": "Engineer Ada {{MEETING_URL}}",
                "zebra": [1, 2.5, True, None, "Lovelace"],
                "duration": 45,
            },
        }
    )


def test_what_a_row_does_not_say_is_left_out() -> None:
    """Never null, never empty text."""
    cells = {"phone_number": None, "country": None, "last_name": None}
    plain = a_group(meeting_configuration={"title": "x"})
    assert list(body(cells, plain)) == [
        "emailAddress",
        "firstName",
        "campaignId",
        "externalId",
        "meetingParticipants",
        "meetingConfiguration",
    ]


def test_a_campaign_goes_by_its_own_key() -> None:
    """The two ids have two keys, and both are sent where both are said."""
    external = body(of=a_group(campaign="", external_campaign="REQ-1"))
    assert "campaignId" not in external
    assert external["externalCampaignId"] == "REQ-1"
    both = body(of=a_group(external_campaign="REQ-1"))
    assert (both["campaignId"], both["externalCampaignId"]) == ("camp-42", "REQ-1")


@pytest.mark.parametrize(
    ("cell", "setting", "sent"),
    [("true", True, True), ("true", False, None), ("false", True, None), (None, True, None)],
)
def test_the_duplicate_check_is_skipped_only_when_asked_twice(
    cell: str | None, *, setting: bool, sent: bool | None
) -> None:
    """The setting allows it, the column asks for it; else the key is not there at all."""
    found = body({"skip_duplication_check": cell}, skip_duplication_check=setting)
    assert found.get("skipDuplicationCheck") is sent
    assert ("skipDuplicationCheck" in found) == (sent is not None)


@pytest.mark.parametrize(
    ("cell", "setting", "sent"),
    [
        ("true", None, True),
        ("false", None, False),
        ("false", True, False),
        (None, True, True),
        (None, False, False),
        (None, None, None),
    ],
)
def test_business_hours_are_said_by_the_row_else_by_the_settings(
    cell: str | None, *, setting: bool | None, sent: bool | None
) -> None:
    """Where neither says anything, the API decides."""
    found = body({"send_during_business_hours": cell}, send_during_business_hours=setting)
    assert found.get("shouldSendDuringBusinessHours") is sent
    assert ("shouldSendDuringBusinessHours" in found) == (sent is not None)


def test_a_campaign_conversation_has_no_meeting() -> None:
    """The campaign has its own meeting template."""
    found = body(conversation="campaign")
    assert "meetingParticipants" not in found
    assert "meetingConfiguration" not in found


def test_parts_without_placeholders_are_shared_between_bodies() -> None:
    """A million bodies do not hold a million copies; what a row fills in is its own."""
    renderer = Renderer(a_group(), Settings())
    one, other = renderer.body(CELLS, "1"), renderer.body({**CELLS, "first_name": "Grace"}, "2")
    assert one["meetingParticipants"] is other["meetingParticipants"]
    assert one["meetingConfiguration"] != other["meetingConfiguration"]
    assert CONFIGURATION["title"] == "Engineer {first_name} {{MEETING_URL}}"


KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("pattern", "candidate_id", "expected"),
    [
        ("{candidate_id}-{key}", "A-1", "A-1-0123456789abcdef"),
        ("{candidate_id}-{key}", None, "imp-0123456789abcdef"),
        ("ats/{candidate_id}/{key}", "A-1", "ats/A-1/0123456789abcdef"),
        ("ats-{key}", "A-1", "ats-0123456789abcdef"),
        ("{candidate_id}-{key}", "ada@example.com", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "+442079460018", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "LOVELACE-7", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "x020 7946 0018", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "7946001", "7946001-0123456789abcdef"),
        ("{candidate_id}-{key}", "al_1815", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "cand-countess", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "7-\u00c1d\u00e1", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "A-LI-1", "imp-0123456789abcdef"),
        ("{candidate_id}-{key}", "ALIEN-1", "ALIEN-1-0123456789abcdef"),
    ],
)
def test_an_external_id_is_unique_and_tells_nothing(
    pattern: str, candidate_id: str | None, expected: str
) -> None:
    """It has a piece of the key, and no candidate id that tells whose it is."""
    row = {
        "candidate_id": candidate_id,
        "first_name": "Ada",
        "last_name": "Lovelace Li",
        "full_name": "Countess",
        "email": "al.1815@example.com",
        "phone_number": "+442079460018",
    }
    assert external_id(pattern, row, KEY) == expected


def test_fields_of_the_conversation_are_sent_along() -> None:
    """With the candidate's own columns filled in; they can replace no key of ours."""
    fields = {"applicationSource": "ATS", "openingMessage": "Hi {first_name}, reply STOP to stop"}
    body = Renderer(a_group(conversation_fields=fields), Settings()).body(CELLS, "1")
    assert body["applicationSource"] == "ATS"
    assert body["openingMessage"] == f"Hi {CELLS['first_name']}, reply STOP to stop"


@pytest.mark.parametrize(
    "wrong",
    [
        {"phoneNumber": "+1"},
        {"closePreviousConversations": True},
        {"message": "Hi {First Name}"},
        {"nested": [{"message": "Hi {Name}"}]},
    ],
)
def test_fields_that_no_request_may_carry_are_refused(wrong: dict[str, Json]) -> None:
    """They can replace no key of ours, and what looks like a placeholder must be one."""
    with pytest.raises(ValidationError):
        Settings(conversation_fields=wrong)
    assert Settings(conversation_fields={"x": "{{FIRST_NAME}} {a, b}"}).conversation_fields


@pytest.mark.parametrize("wrong", ["{candidate_id}", "x", "{key}{round}", "{key}" * 30])
def test_an_external_id_without_the_key_is_refused(wrong: str) -> None:
    """Two conversations of one person would have the same."""
    with pytest.raises(ValidationError):
        Settings(external_id=wrong)


SCALARS = st.none() | st.booleans() | st.integers() | st.text("ab {}", max_size=6)
TREES = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=6),
    max_size=5,
)


@given(TREES)
def test_a_template_without_placeholders_is_sent_verbatim(configuration: dict[str, Json]) -> None:
    """Same keys, same order, same types, whatever it says."""
    found = body(of=a_group(meeting_configuration=configuration))
    assert json.dumps(found["meetingConfiguration"]) == json.dumps(configuration)


def a_plan(folder: Path, rows: pl.DataFrame) -> Plan:
    """Return the plan of checked rows with a template that takes the first name."""
    text = MEETING.replace("{job_title}", "{job_title} {first_name}")
    write_templates(folder, {"onsite-45": text})
    good = as_checked_rows(rows)
    found = group_rows(folder, rows, Settings())
    return Plan(
        (),
        found.groups,
        found.frame,
        good.rows,
        found.problems,
        Counts(),
        "",
        pl.DataFrame(schema=KNOWN),
    )


def test_submissions_come_one_by_one_in_order(tmp_path: Path) -> None:
    """Each carries its row, its person masked, its key and its body."""
    rows = frame(
        {**ADA, "candidate_id": "A-1"}, {**GRACE, "phone_number": None}, {**GRACE, "job_title": "x"}
    )
    plan = a_plan(tmp_path, rows)
    found = list(submissions(plan, IDENTITY, Settings()))
    keys = IDENTITY.keys(rows).to_list()
    assert [each.key for each in found] == keys
    assert [each.person for each in found] == IDENTITY.persons(rows).to_list()
    assert [each.row for each in found] == [2, 3, 4]
    assert [each.masked for each in found] == ["+44 •••• 0018", "g•••@e•••.org", "+1 •••• 0104"]
    assert [each.external_id for each in found] == [
        f"A-1-{keys[0][:16]}",
        *(f"imp-{key[:16]}" for key in keys[1:]),
    ]
    for each in found:
        assert each.body["externalId"] == each.external_id
        assert each.campaign == "camp-42"
    meeting = found[2].body["meetingConfiguration"]
    assert isinstance(meeting, dict)
    assert meeting["title"] == "Interview for x Grace"


def test_a_part_of_a_plan_gives_the_same_submissions(tmp_path: Path) -> None:
    """A canary, a limit or a resume takes rows out, and changes none that it leaves."""
    plan = a_plan(tmp_path, frame(ADA, GRACE, {**ADA, "phone_number": "+442079460019"}))
    whole = list(submissions(plan, IDENTITY, Settings()))
    assert list(submissions(plan, IDENTITY, Settings(), plan.frame.slice(1))) == whole[1:]
    only = {whole[2].key}
    assert list(submissions(plan, IDENTITY, Settings(), only=only)) == whole[2:]
    assert list(submissions(plan, IDENTITY, Settings(), plan.frame.clear())) == []


def test_rows_are_found_by_their_keys(tmp_path: Path) -> None:
    """In the order of the plan; a key that is not in it is left out."""
    numbers = range(20, 60)
    rows = [{**ADA, "phone_number": f"+4420794600{number}"} for number in numbers]
    frame_ = hash_keys(a_plan(tmp_path, frame(*rows)).frame, IDENTITY)
    keys = frame_[KEY_COLUMN].to_list()
    wanted = [keys[31], "0" * 64, keys[2], keys[17], "f" * 64]
    found = RowsByKey(frame_).find(wanted)
    assert found.equals(frame_[[2, 17, 31]])
    assert RowsByKey(frame_).find([]).equals(frame_.clear())
    assert RowsByKey(frame_.clear()).find(wanted).is_empty()


def test_rows_whose_keys_begin_alike_are_found() -> None:
    """Only a part of each key is kept in order."""
    rows = pl.DataFrame({KEY_COLUMN: [f"{7:016x}{number:016x}" for number in (2, 1, 3)]})
    assert RowsByKey(rows).find(rows[KEY_COLUMN].to_list()).equals(rows)
    assert RowsByKey(rows).find(rows[KEY_COLUMN][2:].to_list()).equals(rows[2:])


_TRICKY = (
    *(
        None,
        "",
        'Ada "A" \\ O\'Brien',
        "Łukasz\tX\n\r\x00\x1f\x7f\u2028",
        "{last_name}",
        "1",
        "true",
    ),
    *("false", "😀 </script>", "a/b"),
)


@pytest.mark.parametrize(
    "result",
    [
        {},
        {"skip_duplication_check": True, "send_during_business_hours": True},
        {"send_during_business_hours": False, "conversation": "campaign"},
        {
            "external_id": "x-{key}",
            "conversation_fields": {"q": 'Hi "{first_name}" {{X}} {email}\n', "n": [1.5, None, {}]},
        },
    ],
)
def test_lines_made_in_bulk_are_those_made_one_by_one(
    tmp_path: Path, result: dict[str, object]
) -> None:
    """Byte by byte, in groups of many rows and of few, with whatever a cell may hold."""
    settings = Settings.model_validate(result)
    chance = random.Random(3)
    own = ("last_name", "email", "country", "candidate_id", "full_name")
    yes_no = ("skip_duplication_check", "send_during_business_hours")
    rows = [
        {
            **ADA,
            **{name: chance.choice(_TRICKY) for name in own},
            **{name: chance.choice((None, "", "true", "false")) for name in yes_no},
            "first_name": "Ada" if number % 9 else f'"{number}\\',
            "phone_number": f"+4420794600{number:03}",
            "job_title": "Chef" if number % 20 else "Cook",
        }
        for number in range(300)
    ]
    plan = replace(
        a_plan(tmp_path, frame(*rows)),
        groups=tuple(
            replace(group, conversation_fields=settings.conversation_fields)
            for group in a_plan(tmp_path, frame(*rows)).groups
        ),
    )
    expected = [
        json.dumps(
            {"source": 'a "b".csv', "row": each.row, "key": each.key, "body": each.body},
            ensure_ascii=False,
            separators=(",", ":"),
        )
        for each in submissions(plan, IDENTITY, settings)
    ]
    found = [
        line for lines in payload_lines(plan, IDENTITY, settings, ['a "b".csv']) for line in lines
    ]
    assert found == expected
    assert len(found) == 300


def test_a_body_hash_changes_when_the_body_does(tmp_path: Path) -> None:
    """The API's refusal stands until something in the body is corrected."""
    rows = frame(ADA, ADA, {**ADA, "last_name": "Byron"}, {**ADA, "job_title": "Chef"})
    hashes = [each.body_hash for each in submissions(a_plan(tmp_path, rows), IDENTITY, Settings())]
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3


def test_the_ledger_gets_every_row_and_no_readable_person(tmp_path: Path) -> None:
    """Ready rows come with the keys of their submissions, the others with their problems' codes."""
    rows = frame(ADA, {**GRACE, "job_title": None})
    plan = a_plan(tmp_path, rows)
    status = pl.when(pl.col(ROW) == 2).then(pl.lit("ready")).otherwise(pl.lit("rejected"))
    plan = Plan(
        (), plan.groups, plan.frame, rows.select(SOURCE, ROW, status.alias("status")),
        plan.problems, Counts(), "", pl.DataFrame(schema=KNOWN),
    )  # fmt: skip
    frames = planned_rows(plan, IDENTITY, Settings())
    ready, rejected = (PlannedRow(**row) for part in frames for row in part.iter_rows(named=True))
    (sent,) = submissions(plan, IDENTITY, Settings())
    assert (ready.key, ready.person, ready.body_hash) == (sent.key, sent.person, sent.body_hash)
    assert (ready.external_id, ready.masked) == (sent.external_id, "+44 •••• 0018")
    assert (rejected.row, rejected.status) == (3, RowStatus.REJECTED)
    assert (rejected.codes, rejected.key) == ("placeholder-missing", None)
    assert problems.errors(plan.problems).height == 1
    for value in ("Ada", "Lovelace", "ada@example.com", "442079460018"):
        assert value not in repr(ready)


_TEXTS = st.sampled_from(
    [
        "ada",
        "Ada",
        "O'Brien",
        "Łukasz",
        "Al",
        "A",
        "van Dyk",
        "Kit",
        "\u212aim",
        "ed",
        "",
        " ",
        "x9",
    ]
)
_IDS = st.one_of(
    st.text("adAD019-_.@+ \u212aé/", max_size=9),
    st.sampled_from(["A-1001", "ada-1", "CAND-kit", "2079460018", "20 7946-0018", "a_d.a", "K-7"]),
)


@given(st.lists(st.tuples(_IDS, _TEXTS, _TEXTS, _TEXTS, st.booleans()), min_size=1, max_size=8))
def test_external_ids_in_bulk_are_those_of_each_row(rows: list[tuple[str, ...]]) -> None:
    """No name, mailbox or phone gets into the ledger because many rows were read at once."""
    table = frame(
        *(
            {
                **ADA,
                "candidate_id": own or None,
                "first_name": first or None,
                "last_name": last or None,
                "email": f"{box}@example.com" if box.strip() else None,
                "full_name": first if full else None,
            }
            for own, first, last, box, full in rows
        )
    ).with_columns(pl.Series(KEY_COLUMN, [f"{number:064x}" for number in range(len(rows))]))
    pattern = "{candidate_id}-{key}"
    assert external_ids(table, pattern).to_list() == [
        external_id(pattern, row, row[KEY_COLUMN]) for row in table.iter_rows(named=True)
    ]
