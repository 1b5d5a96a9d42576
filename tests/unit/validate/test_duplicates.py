"""People who are in the files twice are found in any number of rows, and the first is named."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import polars as pl
import pytest

from importer.validate.duplicates import DuplicateFinder
from schemas.codes import Code, Severity
from tests.support.tables import SETTINGS, Row, check_tables, problem_places, statuses, table

COLUMNS = (
    *("first_name", "last_name", "phone_number", "email", "candidate_id"),
    *("campaign", "external_campaign"),
)
TYPES = {"#source": pl.UInt16(), "#row": pl.UInt32()} | dict.fromkeys(COLUMNS, pl.String())
ADA, BEN = "+61491570006", "+61491570156"
MAIL = "ada@example.com"


def rows_of(*rows: Row) -> pl.DataFrame:
    """Return rows 2 and on of one file; each is in campaign `c` unless it says otherwise."""
    padded = [
        {**dict.fromkeys(COLUMNS), "campaign": "c", **row, "#source": 0, "#row": number}
        for number, row in enumerate(rows, 2)
    ]
    return pl.DataFrame(padded, schema=TYPES)


def find(frame: pl.DataFrame, **settings: Any) -> list[tuple[int, str, str, str]]:
    """Return row, column, code and detail of each problem."""
    found = DuplicateFinder(["a.csv", "b.csv"], SETTINGS.model_copy(update=settings)).find(frame)
    return sorted(found.select("#row", "column", "code", "detail").rows())


def person(first: str = "Ada", last: str | None = "Lovelace", **cells: str | None) -> Row:
    """Return a row of Ada's unless it says otherwise."""
    return {"first_name": first, "last_name": last, **cells}


def test_different_people_have_no_problem() -> None:
    """Empty lists, and people who share nothing."""
    people = (
        person(phone_number=ADA, email=MAIL, candidate_id="1"),
        person("Ben", phone_number=BEN, email="ben@example.com", candidate_id="2"),
        person("Cy", email="cy@example.com"),
    )
    assert find(rows_of()) == []
    assert find(rows_of(*people)) == []


def test_rows_without_campaign_or_contact_repeat_nothing() -> None:
    """There is nothing to compare."""
    nameless = person(campaign=None, phone_number=ADA)
    assert find(rows_of(person(), person(), nameless, nameless)) == []


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"phone_number": ADA}, {"phone_number": ADA}, ("phone_number", "duplicate-in-file")),
        ({"email": MAIL}, {"email": "Ada@Example.com"}, ("email", "duplicate-in-file")),
        (
            {"phone_number": ADA, "email": MAIL},
            {"email": MAIL},
            ("email", "duplicate-in-file"),
        ),
        ({"email": MAIL}, {"phone_number": ADA, "email": MAIL}, ("email", "email-of-another")),
        (
            {"phone_number": ADA, "email": MAIL},
            {"phone_number": BEN, "email": MAIL},
            ("email", "email-of-another"),
        ),
        (
            {"phone_number": ADA, "email": "a.da+jobs@gmail.com"},
            {"phone_number": BEN, "email": "ada@googlemail.com"},
            ("email", "email-of-another"),
        ),
        ({"email": MAIL}, {"first_name": "Ben", "email": MAIL}, ("email", "email-of-another")),
        (
            {"phone_number": ADA},
            {"first_name": "Ben", "phone_number": ADA},
            ("phone_number", "phone-of-another-name"),
        ),
        (
            {"phone_number": ADA, "candidate_id": "1"},
            {"phone_number": BEN, "candidate_id": "1"},
            ("candidate_id", "candidate-id-of-another"),
        ),
        (
            {"phone_number": ADA, "candidate_id": "1"},
            {"first_name": "Ben", "phone_number": BEN, "candidate_id": "1", "campaign": "d"},
            ("candidate_id", "candidate-id-of-another"),
        ),
    ],
)
def test_the_second_row_of_a_pair(first: Row, second: Row, expected: tuple[str, str]) -> None:
    """What it is depends on what the two share and on their names."""
    column, code = expected
    assert find(rows_of({**person(), **first}, {**person(), **second})) == [
        (3, column, code, "row 2")
    ]


@pytest.mark.parametrize(
    "second",
    [
        {"phone_number": ADA, "campaign": "d"},
        {"phone_number": ADA, "campaign": None, "external_campaign": "c"},
        {"phone_number": ADA, "email": MAIL, "candidate_id": "1", "campaign": "d"},
        {"phone_number": BEN, "candidate_id": "1", "campaign": "d"},
    ],
)
def test_the_same_person_may_be_in_another_campaign(second: Row) -> None:
    """With the same contact, or with the same id and name."""
    first = person(phone_number=ADA, email=MAIL, candidate_id="1")
    assert find(rows_of(first, {**person(), **second})) == []


def test_a_mailbox_with_another_phone_in_another_campaign_is_a_warning() -> None:
    """Two conversations are meant, but perhaps one of the phones is wrong."""
    first = person(phone_number=ADA, email=MAIL)
    second = person(phone_number=BEN, email=MAIL, campaign="d")
    assert find(rows_of(first, second)) == [(3, "email", "email-shared", "row 2")]
    given = [{**row, "campaign": row.get("campaign", "c")} for row in (first, second)]
    assert statuses(check_tables(table(given, columns=COLUMNS[:6]))) == ["ready", "ready"]


def test_all_repeats_name_the_first() -> None:
    """Not the one before them."""
    ada, mail = person(phone_number=ADA), person(email=MAIL)
    assert find(rows_of(ada, ada, ada, mail, mail)) == [
        (3, "phone_number", "duplicate-in-file", "row 2"),
        (4, "phone_number", "duplicate-in-file", "row 2"),
        (6, "email", "duplicate-in-file", "row 5"),
    ]


def test_a_row_that_is_held_back_holds_back_no_other() -> None:
    """Row 3 is not sent, so row 4 with the phone of row 3 is nobody's repeat."""
    rows = rows_of(
        person(phone_number=ADA, email=MAIL),
        person(phone_number=BEN, email=MAIL),
        person(phone_number=BEN, email="other@example.com"),
    )
    assert find(rows) == [(3, "email", "email-of-another", "row 2")]
    assert find(rows, allow_shared_contact=True) == [
        (3, "email", "email-of-another", "row 2"),
        (4, "phone_number", "duplicate-in-file", "row 3"),
    ]


def test_what_a_repeat_adds_is_known_too() -> None:
    """The e-mail of a skipped repeat is the same person's."""
    rows = rows_of(
        person(phone_number=ADA),
        person(phone_number=ADA, email=MAIL),
        person(phone_number=BEN, email=MAIL),
    )
    assert [code for _, _, code, _ in find(rows)] == ["duplicate-in-file", "email-of-another"]


@pytest.mark.parametrize("names", [["a.csv", "b.csv"], ["a.csv", "a.csv"]])
def test_another_file_is_named(names: list[str]) -> None:
    """Even if two files have the same name."""
    frame = rows_of(person(phone_number=ADA), person(phone_number=ADA))
    frame = frame.with_columns(pl.Series("#source", [0, 1], dtype=pl.UInt16))
    assert DuplicateFinder(names, SETTINGS).find(frame)["detail"].to_list() == ["row 2 of a.csv"]


def test_many_repeats_among_many_rows() -> None:
    """Every row but the first of each person, whatever the number."""
    rows = 20_000
    empty = pl.repeat(None, rows, dtype=pl.String, eager=True)
    frame = pl.DataFrame(
        {
            "#source": pl.zeros(rows, pl.UInt16, eager=True),
            "#row": pl.int_range(2, rows + 2, dtype=pl.UInt32, eager=True),
        }
        | dict.fromkeys(COLUMNS, empty)
        | {
            "phone_number": [f"+{row % 7_000}" for row in range(rows)],
            "campaign": pl.repeat("c", rows, eager=True),
        }
    )
    found = DuplicateFinder(["a.csv"], SETTINGS).find(frame)
    assert found.height == rows - 7_000
    assert found.filter(pl.col("#row") == 14_002)["detail"].to_list() == ["row 2"]


@pytest.mark.parametrize("cuts", [(), (1,), (2,), (1, 2, 3), (3, 5)])
def test_parts_find_what_the_whole_finds(cuts: tuple[int, ...]) -> None:
    """Wherever the rows are parted, the same problems are found."""
    frame = rows_of(
        person(phone_number=ADA, email=MAIL),
        person(phone_number=BEN, email=MAIL),
        person(phone_number=ADA),
        person(email=MAIL),
        person(phone_number=ADA, email=MAIL, campaign="d"),
        person("Ben", phone_number=BEN, candidate_id="7"),
        person("Cy", email="cy@example.com", candidate_id="7"),
    )
    finder = DuplicateFinder(["a.csv"], SETTINGS)
    edges = [0, *cuts, frame.height]
    found = pl.concat([finder.find(frame[start:end]) for start, end in pairwise(edges)])
    assert sorted(found.select("#row", "column", "code", "detail").rows()) == find(frame)
    assert found.height == 4


# ---- as rows of a list -----------------------------------------------------------------------


def check(*rows: Row, **settings: Any) -> tuple[list[str], list[tuple[int | None, str]]]:
    """Return statuses, and row and code of each problem."""
    changed = SETTINGS.model_copy(update=settings)
    result = check_tables(table(rows, columns=COLUMNS[:5]), settings=changed)
    return statuses(result), [(row, code) for row, _, code in problem_places(result.problems)]


def test_a_shared_contact_is_left_for_a_decision() -> None:
    """An error until the setting lets it go; then it is a warning."""
    ada = person(phone_number=ADA, email=MAIL)
    corrected = person(phone_number=BEN, email=MAIL)
    assert check(ada, corrected) == (["ready", "rejected"], [(3, "email-of-another")])
    assert check(ada, corrected, allow_shared_contact=True) == (
        ["ready", "ready"],
        [(3, "email-of-another")],
    )
    strict = {Code.EMAIL_OF_ANOTHER: Severity.ERROR}
    assert check(ada, corrected, allow_shared_contact=True, severity=strict)[0][1] == "rejected"


def test_one_phone_under_two_names_is_never_sent_twice() -> None:
    """Whatever the severity: the API knows people by phone."""
    ada = person(phone_number=ADA, email=MAIL)
    ben = person("Ben", phone_number=ADA, email="ben@example.com")
    assert check(ada, ben) == (["ready", "rejected"], [(3, "phone-of-another-name")])
    mild = {Code.PHONE_OF_ANOTHER_NAME: Severity.WARNING}
    assert check(ada, ben, severity=mild) == (
        ["ready", "duplicate"],
        [(3, "phone-of-another-name")],
    )


def test_two_people_with_nothing_but_one_address_are_never_both_sent() -> None:
    """Whatever is allowed: the API knows them by that address."""
    ada, ben = person(email=MAIL), person("Ben", email=MAIL)
    assert check(ada, ben) == (["ready", "rejected"], [(3, "email-of-another")])
    phone_of_another = [(3, "phone-of-another-name")]
    assert check(ada, ben, allow_shared_contact=True) == (["ready", "rejected"], phone_of_another)
    mild = {Code.EMAIL_OF_ANOTHER: Severity.WARNING}
    assert check(ada, ben, severity=mild) == (["ready", "rejected"], phone_of_another)
    with_phone = person("Cyd", phone_number=BEN, email=MAIL)
    three = check(with_phone, ada, ben, allow_shared_contact=True)
    assert three[0] == ["ready", "ready", "rejected"]
    assert (4, "phone-of-another-name") in three[1]


def test_a_campaign_in_two_spellings_is_one() -> None:
    """The first spelling counts, and that of the settings before all; others are held back."""
    rows = [
        person(phone_number=ADA, campaign="Leeds 1"),
        person(phone_number=ADA, campaign="LEEDS1"),
        person("Ben", phone_number=BEN, campaign="CAMP-42"),
        person("Cy", email="cy@example.com", campaign="leeds 2"),
    ]
    result = check_tables(table(rows, columns=COLUMNS[:6]))
    assert statuses(result) == ["ready", "rejected", "rejected", "ready"]
    assert result.problems.select("#row", "column", "code", "value", "detail").rows() == [
        (3, "campaign", "campaign-spelling", "LEEDS1", "Leeds 1"),
        (4, "campaign", "campaign-spelling", "CAMP-42", "camp-42"),
    ]
