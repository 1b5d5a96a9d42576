"""Which rows are ready, and every reason why the others are not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
import pytest

from importer import problems
from importer.normalise import normalise
from importer.validate.checks import check_structure, find_failures
from schemas.candidates import EXCUSED, candidate
from schemas.codes import Code, Severity
from schemas.columns import ROW, SOURCE
from tests.support.tables import SETTINGS, Row, check_tables, problem_places, statuses, table

if TYPE_CHECKING:
    from importer.settings import Settings

ADA: Row = {"first_name": "Ada", "phone_number": "+61491570006", "email": "ada@example.com"}
BOB: Row = {"first_name": "Bob", "phone_number": "+61491570156", "email": "bob@example.com"}
COLUMNS = (
    "first_name",
    "phone_number",
    "email",
    "campaign",
    "external_campaign",
    "country",
    "skip_duplication_check",
)


def check(*rows: Row, settings: Settings = SETTINGS) -> tuple[list[str], list[tuple[str, str]]]:
    """Return statuses, and column and code of each problem."""
    result = check_tables(table(rows, columns=COLUMNS), settings=settings)
    return statuses(result), [(str(at), code) for _, at, code in problem_places(result.problems)]


def changed(**values: object) -> Settings:
    """Return the tests' settings with some other values."""
    return SETTINGS.model_copy(update=values)


def test_good_rows_are_ready() -> None:
    """Nothing is said of them."""
    assert check(ADA, BOB) == (["ready", "ready"], [])


def test_a_phone_or_an_email_is_enough() -> None:
    """Either reaches the candidate."""
    assert check({**ADA, "phone_number": None}, {**BOB, "email": None})[0] == ["ready", "ready"]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({**ADA, "first_name": " "}, [("first_name", "first-name-missing")]),
        ({"first_name": "Ada"}, [("phone_number", "contact-missing")]),
        ({**ADA, "phone_number": "12"}, [("phone_number", "phone-too-short")]),
        ({"first_name": "Ada", "phone_number": "12"}, [("phone_number", "phone-too-short")]),
        ({"first_name": "Ada", "email": "12"}, [("email", "email-invalid")]),
        ({**ADA, "country": "Atlantis"}, [("country", "country-unknown")]),
        (
            {**ADA, "skip_duplication_check": "perhaps"},
            [("skip_duplication_check", "boolean-invalid")],
        ),
        (
            {**ADA, "skip_duplication_check": "yes"},
            [("skip_duplication_check", "skip-check-not-allowed")],
        ),
        (
            {"email": "ada", "phone_number": "+44 12", "country": "Atlantis"},
            [
                ("country", "country-unknown"),
                ("phone_number", "phone-too-short"),
                ("email", "email-invalid"),
                ("first_name", "first-name-missing"),
            ],
        ),
    ],
)
def test_every_fault_of_a_row_is_told_at_once(row: Row, expected: list[tuple[str, str]]) -> None:
    """A row with an error is rejected; the phone's own fault is told instead of a missing one."""
    status, found = check(row)
    assert status == ["rejected"]
    assert sorted(found) == sorted(expected)


def test_a_phone_that_cannot_be_read_is_not_missing() -> None:
    """The unknown country is the one problem; without a phone there are two."""
    row = {"first_name": "Ada", "phone_number": "491 570 006", "country": "Atlantis"}
    assert check(row) == (["rejected"], [("country", "country-unknown")])
    for cell in (None, "N/A"):
        codes = [code for _, code in check({**row, "phone_number": cell})[1]]
        assert sorted(codes) == ["contact-missing", "country-unknown"]


def test_campaign_missing() -> None:
    """A row needs a campaign of either kind, or the setting."""
    nobody = changed(campaign=None)
    rows = [ADA, {**BOB, "external_campaign": "REQ-1"}]
    assert check(*rows, settings=nobody) == (
        ["rejected", "ready"],
        [("campaign", "campaign-missing")],
    )
    assert check(*rows)[0] == ["ready", "ready"]


def test_skipping_the_check_needs_the_setting_too() -> None:
    """With both it is let through, as `true`."""
    rows = [{**ADA, "skip_duplication_check": "yes"}, {**BOB, "skip_duplication_check": "no"}]
    assert check(*rows, settings=changed(skip_duplication_check=True)) == (["ready", "ready"], [])
    assert check(*rows)[0] == ["rejected", "ready"]


def test_defaults_are_filled_in_where_a_row_says_nothing() -> None:
    """A row that names either campaign gets no other."""
    settings = changed(campaign="camp-1", meeting="onsite", participants="panel")
    rows: list[Row] = [
        ADA,
        {**BOB, "external_campaign": "REQ-1", "meeting_template": "video"},
    ]
    given = table(rows, columns=(*COLUMNS, "meeting_template"))
    frame = check_tables(given, settings=settings).frame
    assert frame.select(
        "campaign", "external_campaign", "meeting_template", "participant_template"
    ).rows() == [("camp-1", None, "onsite", "panel"), (None, "REQ-1", "video", "panel")]
    external = changed(campaign=None, external_campaign="REQ-9")
    frame = check_tables(
        table([ADA, {**BOB, "campaign": "c"}], columns=COLUMNS), settings=external
    ).frame
    assert frame.select("campaign", "external_campaign").rows() == [(None, "REQ-9"), ("c", None)]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({"phone_number": "+442079460018"}, {"phone_number": "020 7946 0018"}, True),
        ({"phone_number": "+442079460018"}, {"phone_number": "0044 (0)20-79460018"}, True),
        ({"email": "ada@example.com"}, {"email": "Ada@Example.com "}, True),
        (
            {"phone_number": "+61491570006", "email": "a@example.com"},
            {"phone_number": "+61491570006", "email": "b@example.com"},
            True,
        ),
        (
            {"phone_number": "+61491570006", "campaign": "a"},
            {"phone_number": "+61491570006", "campaign": "b"},
            False,
        ),
        (
            {"phone_number": "+61491570006", "campaign": "a"},
            {"phone_number": "+61491570006", "external_campaign": "a"},
            False,
        ),
        ({"phone_number": "+61491570006"}, {"phone_number": "+61491570156"}, False),
    ],
)
def test_duplicates_in_the_file(first: Row, second: Row, *, same: bool) -> None:
    """The same phone, else e-mail, and campaign, however they are written."""
    result = check_tables(
        table([{"first_name": "A", **first}, {"first_name": "A", **second}], columns=COLUMNS)
    )
    assert statuses(result) == ["ready", "duplicate" if same else "ready"]
    messages = result.problems.filter(code=Code.DUPLICATE_IN_FILE.value)
    assert messages["detail"].to_list() == (["row 2"] if same else [])
    assert result.frame.height == 2 - same


def test_problems_show_the_cell_as_it_came() -> None:
    """Not what it was read as, whichever stage found the problem."""
    rows = [
        ADA,
        {**ADA, "phone_number": " 0061 491 570 006", "email": "other@example.com"},
        {**BOB, "email": "ADA@Example.com "},
        {"first_name": "Cy", "email": "cy@example.com", "skip_duplication_check": " Ja"},
    ]
    found = check_tables(table(rows, columns=COLUMNS)).problems
    assert found.select("code", "value").rows() == [
        ("duplicate-in-file", " 0061 491 570 006"),
        ("email-of-another", "ADA@Example.com "),
        ("skip-check-not-allowed", " Ja"),
    ]


def test_a_rejected_row_makes_no_duplicate() -> None:
    """Of three rows of one person the first good one stays, and the third repeats that one."""
    rows = [{**ADA, "first_name": None}, ADA, ADA]
    result = check_tables(table(rows, columns=COLUMNS))
    assert statuses(result) == ["rejected", "ready", "duplicate"]
    assert result.problems.filter(code="duplicate-in-file")["detail"].to_list() == ["row 3"]
    assert result.frame[ROW].to_list() == [3]


def test_duplicates_across_files_name_the_file() -> None:
    """The first file in the order given stays; rows of the same number do not mix."""
    first, second = table([BOB, ADA], name="a.csv"), table([ADA, ADA], name="b.csv")
    result = check_tables(first, second)
    assert statuses(result) == ["ready", "ready", "duplicate", "duplicate"]
    assert result.problems.select(SOURCE, ROW, "detail").rows() == [
        (1, 2, "row 3 of a.csv"),
        (1, 3, "row 3 of a.csv"),
    ]


def test_shared_emails_are_left_for_a_decision() -> None:
    """One e-mail under two phones is an error; the first row is named, and it is sent."""
    other = {**BOB, "email": "ADA@example.com"}
    without = {**ADA, "phone_number": None}
    again = {**ADA, "campaign": "another"}
    result = check_tables(table([ADA, other, without, again], columns=COLUMNS))
    assert statuses(result) == ["ready", "rejected", "duplicate", "ready"]
    assert result.problems.select(ROW, "column", "code", "detail").rows() == [
        (3, "email", "email-of-another", "row 2"),
        (4, "email", "duplicate-in-file", "row 2"),
    ]


def test_severities_are_settings() -> None:
    """A warning made an error keeps its row out, an error made a warning lets it through."""
    london = {**ADA, "phone_number": "+442079460018"}
    strict = changed(severity={Code.PHONE_NOT_MOBILE: Severity.ERROR})
    assert check(london) == (["ready"], [("phone_number", "phone-not-mobile")])
    assert check(london, settings=strict)[0] == ["rejected"]
    wrong = {**ADA, "phone_number": "call me"}
    mild = changed(severity={Code.PHONE_INVALID: Severity.WARNING})
    assert check(wrong)[0] == ["rejected"]
    assert check(wrong, settings=mild) == (["ready"], [("phone_number", "phone-invalid")])


def test_a_phone_that_is_no_error_does_not_excuse_a_missing_contact() -> None:
    """Nobody can be reached over a number that was let pass but not read."""
    mild = changed(severity={Code.PHONE_INVALID: Severity.WARNING})
    row = {"first_name": "Ada", "phone_number": "call me"}
    status, found = check(row, settings=mild)
    assert status == ["rejected"]
    assert ("phone_number", "contact-missing") in found


def test_duplicates_can_be_errors() -> None:
    """Then the row is rejected, so that a run is held back by it."""
    strict = changed(severity={Code.DUPLICATE_IN_FILE: Severity.ERROR})
    assert check(ADA, ADA, settings=strict)[0] == ["ready", "rejected"]
    shared = changed(severity={Code.EMAIL_SHARED: Severity.ERROR})
    assert check(ADA, {**BOB, "email": "ada@example.com"}, settings=shared)[0] == [
        "ready",
        "rejected",
    ]


@pytest.mark.parametrize("row", [None, 1])
def test_an_error_of_the_file_keeps_all_of_its_rows_out(row: int | None) -> None:
    """Without a row, or at the header; the other file is not touched."""
    found = problems.one(Code.COLUMN_DUPLICATE, row=row, column="phone_number", detail="x")
    result = check_tables(table([BOB]), table([ADA], name="b.csv", found=found))
    assert statuses(result) == ["ready", "rejected"]
    assert result.problems.select(SOURCE, ROW, "code").rows() == [(1, row, "column-duplicate")]


def test_an_error_of_the_reader_keeps_its_row_out() -> None:
    """A ragged row is rejected, its neighbour is not."""
    found = problems.one(Code.ROW_RAGGED, row=3, detail="9 cells")
    assert statuses(check_tables(table([ADA, BOB], found=found))) == ["ready", "rejected"]


def test_a_spreadsheet_error_is_the_one_problem_of_its_cell() -> None:
    """`#REF!` is no address, but that is not what to repair; made mild, both are told."""
    broken = problems.one(Code.CELL_ERROR, row=2, column="email", value="#REF!", detail="#REF!")
    given = table([{**ADA, "phone_number": "12", "email": "#REF!"}, BOB], found=broken)
    assert problem_places(check_tables(given).problems) == [
        (2, "email", "cell-error"),
        (2, "phone_number", "phone-too-short"),
    ]
    mild = changed(severity={Code.CELL_ERROR: Severity.WARNING})
    assert (2, "email", "email-invalid") in problem_places(
        check_tables(given, settings=mild).problems
    )


def test_a_missing_column_is_told_once_and_not_at_every_row() -> None:
    """The rows are rejected with it; what else is wrong with them is still told."""
    found = problems.one(Code.COLUMN_MISSING, row=1, detail="first_name or full_name")
    rows: list[Row] = [{"email": "ada@example.com"}, {"email": "bob"}]
    result = check_tables(table(rows, found=found))
    assert statuses(result) == ["rejected", "rejected"]
    assert problem_places(result.problems) == [
        (1, None, "column-missing"),
        (3, "email", "email-invalid"),
    ]
    mild = changed(severity={Code.COLUMN_MISSING: Severity.WARNING})
    result = check_tables(table(rows, found=found), settings=mild)
    assert (2, "first_name", "first-name-missing") in problem_places(result.problems)


def test_what_is_missing_is_told_at_a_column_that_the_file_has() -> None:
    """With e-mails or full names only, the cell to fill in is there."""
    rows: list[Row] = [{"email": None, "full_name": None, "external_campaign": None}]
    result = check_tables(table(rows), settings=changed(campaign=None))
    assert problem_places(result.problems) == [
        (2, "email", "contact-missing"),
        (2, "full_name", "first-name-missing"),
        (2, "external_campaign", "campaign-missing"),
    ]


def test_problems_come_in_order_of_file_and_row() -> None:
    """Whatever stage found them."""
    bad: Row = {"first_name": None, "email": "ada", "phone_number": "12"}
    result = check_tables(table([bad, ADA, bad]), table([ADA, bad], name="b.csv"))
    places = result.problems.select(SOURCE, ROW).rows()
    assert places == sorted(places)
    assert len(places) == 10


def test_files_with_different_extra_columns_come_together() -> None:
    """A column that one file lacks is empty in its rows."""
    result = check_tables(table([{**ADA, "job": "Nurse"}]), table([{**BOB, "shift": "late"}]))
    assert result.frame.select("job", "shift").rows() == [("Nurse", None), (None, "late")]


def test_nothing_at_all_is_no_trouble() -> None:
    """Files without rows."""
    for result in (check_tables(table([])), check_tables(table([]), table([]))):
        assert result.frame.height == result.rows.height == result.problems.height == 0


# ---- schemas ---------------------------------------------------------------------------------

SECRET = "Ada-Personal-Name"


def frame() -> pl.DataFrame:
    """Return two rows in the form that is checked, with EXCUSED."""
    rows: list[Row] = [
        {"first_name": SECRET, "email": "ada@example.com", "campaign": "c"},
        {"first_name": None, "email": None, "campaign": "c"},
    ]
    tidy = normalise(table(rows), 0, SETTINGS).clean
    return tidy.with_columns(pl.lit(value=False).alias(EXCUSED))


def test_our_own_table_passes() -> None:
    """Also without rows."""
    check_structure(frame())
    check_structure(frame().clear())


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (frame().drop("email"), "email"),
        (frame().with_columns(pl.col(ROW).cast(pl.Int64)), ROW),
        (frame().with_columns(pl.lit(2, dtype=pl.UInt32).alias(ROW)), "once"),
        (frame().with_columns(pl.lit(1).alias("campaign")), "campaign"),
    ],
)
def test_a_foreign_table_is_a_fault_of_the_program(broken: pl.DataFrame, named: str) -> None:
    """It is named by column and check, and no cell is in the text."""
    with pytest.raises(AssertionError, match=named) as raised:
        check_structure(broken)
    assert SECRET not in str(raised.value)
    assert raised.value.__context__ is None


def test_failures_are_problems_at_their_rows() -> None:
    """One for each cell, in order of the checks; allowed codes are left out."""
    found = find_failures(frame(), allowed=())
    assert found.select(ROW, "column", "code", "severity").rows() == [
        (3, "phone_number", "contact-missing", "error"),
        (3, "first_name", "first-name-missing", "error"),
    ]
    assert (
        find_failures(frame(), allowed={Code.CONTACT_MISSING, Code.FIRST_NAME_MISSING}).height == 0
    )
    assert find_failures(frame().head(1), allowed=()).height == 0


def test_a_check_that_cannot_run_is_a_fault_of_the_program() -> None:
    """It must not look like a fault of the data, or like none."""
    broken = frame().with_columns(pl.lit(1).alias("campaign"))
    with pytest.raises(AssertionError) as raised:
        find_failures(broken, allowed=())
    assert SECRET not in str(raised.value)


def test_every_check_of_a_candidate_is_named_by_a_code() -> None:
    """Name and error are the same value of Code, which is what the failure cases carry."""
    checks = [check for column in candidate().columns.values() for check in column.checks]
    assert len(checks) >= 9
    for check in checks:
        assert check.name == check.error
        assert check.name in set(Code)
