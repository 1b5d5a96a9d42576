"""After normalising every row is there, every cell is readable or null, changes are told."""

from __future__ import annotations

import dataclasses

import polars as pl
import pytest

from importer.normalise import normalise
from importer.problems import in_words
from importer.problems import one as one_problem
from schemas.codes import Code
from schemas.columns import BY_NAME, ROW, SOURCE
from tests.support.tables import SETTINGS, Row, problem_places, table


def one(**cells: str | None) -> tuple[dict[str, str | None], list[tuple[str, str, str]]]:
    """Return one row's cells after normalising, and column, code and detail of its problems."""
    result = normalise(table([cells]), 0, SETTINGS)
    found = result.problems.select("column", "code", "detail").rows()
    return result.clean.row(0, named=True), found


def test_the_frame_has_every_column_and_every_row() -> None:
    """Canonical columns in their order, then the extra ones by name, whatever the file has."""
    rows: list[Row] = [{"zoo": " z ", "email": "nobody", "ähm": "a"}, {"zoo": None}]
    result = normalise(table(rows, first_row=7), 3, SETTINGS)
    assert result.clean.columns == [SOURCE, ROW, *BY_NAME, "zoo", "ähm"]
    assert result.clean.schema[SOURCE] == pl.UInt16
    assert result.clean.schema[ROW] == pl.UInt32
    assert set(result.clean.drop(SOURCE, ROW).dtypes) == {pl.String()}
    assert result.clean[ROW].to_list() == [7, 8]
    assert result.clean[SOURCE].to_list() == [3, 3]
    assert result.problems[SOURCE].to_list() == [3]


def test_a_file_without_rows_or_columns_is_no_trouble() -> None:
    """What could not be read has an empty frame."""
    for empty in (table([]), table([], columns=["phone_number", "email", "country", "full_name"])):
        result = normalise(empty, 0, SETTINGS)
        assert result.clean.height == result.problems.height == 0
        assert result.clean.columns == [SOURCE, ROW, *BY_NAME]


def test_a_header_that_looks_like_a_pattern_is_a_header() -> None:
    """Headers are taken by name, not as regular expressions."""
    given = table([{"^.*$": "x\u200b", "email": "ada@example.com"}])
    given = dataclasses.replace(given, extra={"^.*$": "pattern"})
    result = normalise(given, 0, SETTINGS)
    cells = result.clean.row(0, named=True)
    assert (cells["pattern"], cells["email"]) == ("x", "ada@example.com")
    assert problem_places(result.problems) == [(2, "pattern", "value-changed")]


def test_reading_is_no_change() -> None:
    """Phones, countries, booleans, domains and blanks at the ends change without a word."""
    cells, found = one(
        phone_number=" +61 491 570 006 ",
        country="Australien",
        email=" Ada@Example.COM\t",
        first_name=" Ada ",
        send_during_business_hours="ja",
        job=" Nurse ",
    )
    assert found == []
    assert cells["phone_number"] == "+61491570006"
    assert cells["country"] == "AU"
    assert cells["email"] == "Ada@example.com"
    assert cells["first_name"] == "Ada"
    assert cells["send_during_business_hours"] == "true"
    assert cells["job"] == "Nurse"


@pytest.mark.parametrize(
    ("column", "cell", "detail"),
    [
        ("first_name", "A\u200bda", "`A<U+200B>da` -> `Ada`"),
        ("last_name", "Jose\u0301", "`Jose\u0301` -> `José`"),
        ("last_name", "Love  lace", "`Love  lace` -> `Love lace`"),
        ("campaign", "camp\u00a042", "`camp<U+00A0>42` -> `camp 42`"),
        ("candidate_id", "\u00a0A-1", "`<U+00A0>A-1` -> `A-1`"),
        ("job", "Chef\x00", "`Chef<U+0000>` -> `Chef`"),
        ("email", "mailto:ada@example.com", "`mailto:ada@example.com` -> `ada@example.com`"),
        ("email", "ada @example.com", "`ada @example.com` -> `ada@example.com`"),
        (
            "phone_number",
            "\u202a+61491570006\u202c",
            "`<U+202A>+61491570006<U+202C>` -> `+61491570006`",
        ),
        ("country", "G\u200bB", "`G<U+200B>B` -> `GB`"),
        ("skip_duplication_check", "n\u00ado", "`n<U+00AD>o` -> `false`"),
    ],
)
def test_every_other_change_is_told(column: str, cell: str, detail: str) -> None:
    """Invisible characters, blanks in the middle, accents, what surrounds an address."""
    _, found = one(**{column: cell})
    assert (column, Code.VALUE_CHANGED.value, detail) in found


def test_blanks_in_a_phone_or_country_are_no_change() -> None:
    """Grouping digits with no-break spaces is formatting, as are two blanks in a country."""
    cells, found = one(phone_number="+61\u00a0491\u202f570 006", country="New\u00a0 Zealand")
    assert (cells["phone_number"], cells["country"]) == ("+61491570006", "NZ")
    assert [code for _, code, _ in found] == [Code.COUNTRY_DIFFERS.value]


def test_cells_of_nothing_but_invisible_characters_are_empty() -> None:
    """They are null without a word, as an empty cell is."""
    cells, found = one(first_name="\u200b", email="\u00a0", phone_number="\ufeff", job=" ")
    assert found == []
    assert not any(cells[name] for name in ("first_name", "email", "phone_number", "job"))


def test_extra_columns_keep_their_lines() -> None:
    """A note may have paragraphs; a canonical cell is one line."""
    cells, _ = one(first_name="Ada\nAugusta", note="One\r\n\r\ntwo  three")
    assert cells["first_name"] == "Ada Augusta"
    assert cells["note"] == "One\n\ntwo  three"


def test_a_phone_is_read_in_the_rows_country_else_the_default() -> None:
    """The same digits are British by default, Australian where the row says so."""
    assert one(phone_number="020 7946 0018")[0]["phone_number"] == "+442079460018"
    assert one(phone_number="0491 570 006", country="AU")[0]["phone_number"] == "+61491570006"
    nowhere = SETTINGS.model_copy(update={"default_country": None})
    result = normalise(table([{"phone_number": "020 7946 0018"}]), 0, nowhere)
    assert problem_places(result.problems) == [(2, "phone_number", "phone-country-needed")]


def test_an_unknown_country_is_not_replaced_by_the_default() -> None:
    """The phone stays unread, and the country is the one problem that is named."""
    cells, found = one(phone_number="020 7946 0018", country="Atlantis")
    assert cells["phone_number"] is None
    assert [(column, code) for column, code, _ in found] == [("country", "country-unknown")]
    abroad, _ = one(phone_number="+61491570006", country="Atlantis")
    assert abroad["phone_number"] == "+61491570006"


def test_an_unreadable_phone_is_null_and_told() -> None:
    """The problem shows the cell as it came."""
    given = table([{"phone_number": " call me ", "email": "ada@example.com"}])
    result = normalise(given, 0, SETTINGS)
    assert result.clean["phone_number"].to_list() == [None]
    assert result.problems["value"].to_list() == [" call me "]
    assert problem_places(result.problems) == [(2, "phone_number", "phone-invalid")]


def test_a_fixed_line_is_a_warning() -> None:
    """A London number may not get a text."""
    _, found = one(phone_number="+44 20 7946 0018")
    assert [code for _, code, _ in found] == ["phone-not-mobile"]


@pytest.mark.parametrize(
    ("phone", "country", "differs"),
    [
        ("+61491570006", "DE", True),
        ("+12025550104", "CA", False),
        ("+442079460018", "JE", False),
        ("+61491570006", "CX", False),
        ("+61491570006", "AU", False),
        ("+61491570006", None, False),
        ("+61491570006", "AQ", False),
        ("+80012345678", "DE", False),
    ],
)
def test_country_differs(phone: str, country: str | None, *, differs: bool) -> None:
    """Only another calling code is a difference; the default country is nobody's own."""
    _, found = one(phone_number=phone, country=country)
    messages = [detail for _, code, detail in found if code == "country-differs"]
    assert messages == (["phone AU, row DE"] if differs else [])


def test_full_names_are_split_where_there_is_no_first_name() -> None:
    """With a warning that shows the two; a first name that is there stays."""
    cells, found = one(full_name="García Márquez, Gabriel", last_name=None)
    assert (cells["first_name"], cells["last_name"]) == ("Gabriel", "García Márquez")
    assert found == []
    cells, found = one(full_name="Gabriel José García Márquez")
    assert found == [
        ("full_name", "name-split", "first name Gabriel, last name José García Márquez"),
    ]
    cells, found = one(full_name="Ada Lovelace", first_name="Augusta", last_name="King")
    assert (cells["first_name"], cells["last_name"], found) == ("Augusta", "King", [])
    cells, found = one(full_name="Madonna")
    assert found == [("full_name", "name-split", "first name Madonna, no last name")]
    cells, found = one(full_name="Dr.")
    assert (cells["first_name"], found) == (None, [])


def test_unreadable_cells_are_null_and_told() -> None:
    """An e-mail, a country and a boolean that are none."""
    cells, found = one(email="ada", country="Atlantis", send_during_business_hours="perhaps")
    assert cells["email"] is cells["country"] is cells["send_during_business_hours"] is None
    assert {code for _, code, _ in found} == {
        "email-invalid",
        "country-unknown",
        "boolean-invalid",
    }


def test_long_cells_are_told_with_their_beginning() -> None:
    """Characters are counted, not bytes, in any column; the value shown is cut."""
    short = SETTINGS.model_copy(update={"max_cell_chars": 300})
    rows: list[Row] = [{"job": "ü" * 300}, {"job": "x" * 301}]
    result = normalise(table(rows), 0, short)
    assert problem_places(result.problems) == [(3, "job", "value-too-long")]
    [problem] = in_words(result.problems, [table(rows)])
    assert "301 characters" in problem.message
    assert problem.value == "x" * 200 + "…"
    assert result.clean["job"].to_list() == ["ü" * 300, "x" * 301]


def test_details_of_long_changes_are_cut() -> None:
    """Two copies of a long cell would drown a report."""
    _, [(_, code, detail)] = one(note="\u200b" + "x" * 5_000)
    assert code == "value-changed"
    assert len(detail) < 500


def test_what_was_dropped_from_a_phone_is_told() -> None:
    """The cell and the number, so that a person can see whether it is right."""
    cells, found = one(phone_number="Mobile: +61 491 570 006 Home: 020 7946 0018")
    assert cells["phone_number"] == "+61491570006"
    messages = "`Mobile: +61 491 570 006 Home: 020 7946 0018` -> `+61491570006`"
    assert found == [("phone_number", "value-changed", messages)]


def test_names_are_repaired_and_told() -> None:
    """What programs did to a name is undone; what cannot be undone is the row's problem."""
    cells, found = one(first_name="JosÃ©", last_name="'García'")
    assert (cells["first_name"], cells["last_name"]) == ("José", "García")
    assert found == [
        ("first_name", "value-changed", "`JosÃ©` -> `José`"),
        ("last_name", "value-changed", "`'García'` -> `García`"),
    ]
    _, found = one(first_name="ada@example.com", last_name="Garc\ufffda")
    assert [(column, code) for column, code, _ in found] == [
        ("first_name", "name-invalid"),
        ("last_name", "name-invalid"),
    ]


def test_a_faulty_full_name_matters_only_without_a_first_name() -> None:
    """Beside a first name it is not used."""
    cells, found = one(full_name="ada@example.com")
    assert [(column, code) for column, code, _ in found] == [("full_name", "name-invalid")]
    cells, found = one(full_name="https://example.com/ada", first_name="Ada")
    assert (cells["full_name"], cells["first_name"], found) == (None, "Ada", [])


@pytest.mark.parametrize(
    ("name", "warned"),
    [
        ("Lovelace, Ada", False),
        ("Ada Lovelace", False),
        ("LOVELACE Ada", False),
        ("Vincent van Gogh", False),
        ("Maria da Silva", False),
        ("Dr. Ada Lovelace", False),
        ("王 小明", False),
        ("Ada Maria Lovelace", True),
        ("Gabriel García Márquez", True),
        ("Madonna", True),
    ],
)
def test_only_a_guess_is_warned_of(name: str, *, warned: bool) -> None:
    """Three words may be two first names or two last names."""
    _, found = one(full_name=name)
    assert [code for _, code, _ in found] == (["name-split"] if warned else [])


def test_not_available_is_an_empty_cell() -> None:
    """In every column but those that choose what is sent."""
    cells, found = one(
        phone_number="N/A", email="none", last_name="-", candidate_id="n/a", job="keine Angabe",
        campaign="none",
    )  # fmt: skip
    assert found == []
    assert cells["campaign"] == "none"
    names = ("phone_number", "email", "last_name", "candidate_id", "job")
    assert not any(cells[name] for name in names)


def test_a_likely_slip_is_a_warning() -> None:
    """The address is taken as it is."""
    cells, found = one(email="ada@gmial.com")
    assert cells["email"] == "ada@gmial.com"
    assert found == [("email", "email-typo", "perhaps @gmail.com is meant")]


@pytest.mark.parametrize(
    ("country", "phone", "code"),
    [
        ("1", "202 555 0104", "US"),
        ("+1", "416 555 0134", "CA"),
        ("United States (+1)", "416 555 0134", "US"),
        ("0061", "491570006", "AU"),
        ("GB +44", "2079460018", "GB"),
    ],
)
def test_a_calling_code_is_the_country_of_its_phone(country: str, phone: str, code: str) -> None:
    """Alone it stands for the main country that has it, unless the number says otherwise."""
    cells, _ = one(country=country, phone_number=phone)
    assert cells["country"] == code
    assert cells["phone_number"] is not None


def test_a_lookup_that_found_nothing_is_an_empty_contact() -> None:
    """`#N/A` of a spreadsheet is no error in a cell that may be empty."""
    rows: list[Row] = [{"phone_number": "#N/A", "job": "#N/A"}]
    found = pl.concat(
        one_problem(Code.CELL_ERROR, row=2, column=column, value="#N/A", detail="#N/A")
        for column in ("phone_number", "job")
    )
    result = normalise(table(rows, found=found), 0, SETTINGS)
    assert problem_places(result.problems) == [(2, "job", "cell-error")]


def test_braces_of_the_api_are_nobodys_name() -> None:
    """The API would fill them in when it writes the message."""
    _cells, found = one(first_name="Ada {{link}}", last_name="{x}", candidate_id="A-{{id}}")
    assert [(column, code) for column, code, _ in found] == [
        ("first_name", "braces-in-value"),
        ("last_name", "name-invalid"),
        ("candidate_id", "braces-in-value"),
    ]
    _, found = one(email="{{x}}@example.com", campaign="{{x}}", external_campaign="a}}")
    assert {(column, code) for column, code, _ in found} >= {
        (column, "braces-in-value") for column in ("email", "campaign", "external_campaign")
    }
    _, found = one(full_name="{{first_name}} Lovelace")
    assert [(column, code) for column, code, _ in found] == [("full_name", "braces-in-value")]


@pytest.mark.parametrize(
    ("area", "number", "phone"),
    [
        ("202", "555-0104", "+12025550104"),
        ("(202)", "5550104", "+12025550104"),
        ("202", "+44 20 7946 0018", "+442079460018"),
        ("202", "(415) 555-0100", "+14155550100"),
        (None, "202 555 0104", "+12025550104"),
        ("202", None, None),
    ],
)
def test_an_area_code_is_joined_to_its_number(
    area: str | None, number: str | None, phone: str | None
) -> None:
    """A number that is whole stays as it is, and an area code alone is no phone."""
    given = table([{"area": area, "phone_number": number, "country": "US"}])
    given = dataclasses.replace(given, prefixes={"phone_number": "area"})
    assert normalise(given, 0, SETTINGS).clean["phone_number"].to_list() == [phone]
