"""Phones in the spellings of people, one table per rule; every number is made up or an example."""

from __future__ import annotations

import polars as pl
import pytest

from importer.phones import drop_remarks, read_phones
from importer.phones.reference import VERDICT, validate_one
from schemas.codes import Code

LONDON = "+442079460018"
WASHINGTON = "+12025550104"
AUSTRALIAN_MOBILE = "+61491570006"


def read(number: str | None, country: str | None = None) -> dict[str, object]:
    """Return the verdict on one cell."""
    return read_phones(
        pl.Series([number], dtype=pl.String), pl.Series([country], dtype=pl.String)
    ).row(0, named=True)


@pytest.mark.parametrize(
    ("number", "country", "e164"),
    [
        ("+44 20 7946 0018", None, LONDON),
        ("+44 20 7946 0018", "US", LONDON),
        ("020 7946 0018", "GB", LONDON),
        ("(020) 7946-0018", "GB", LONDON),
        ("020.7946.0018", "GB", LONDON),
        ("(+44) 20 7946 0018", None, LONDON),
        ("+44 (0)20 7946 0018", None, LONDON),
        ("+44 (0) 20 7946 0018", None, LONDON),
        ("+1 (0)202 555 0104", None, WASHINGTON),
        ("++44 20 7946 0018", None, LONDON),
        ("0044 20 7946 0018", "GB", LONDON),
        ("0044 20 7946 0018", None, LONDON),
        ("0044 20 7946 0018", "US", LONDON),
        ("0044 (0)20 7946 0018", "US", LONDON),
        ("011 44 20 7946 0018", "US", LONDON),
        ("+0044 20 7946 0018", "GB", LONDON),
        ("442079460018", "GB", LONDON),
        ("442079460018.0", "GB", LONDON),
        ("2025550104", "US", WASHINGTON),
        ("1 (202) 555-0104", "US", WASHINGTON),
        ("tel:+44-20-7946-0018", None, LONDON),
        ("Tel.: 020 7946 0018", "GB", LONDON),
        ("Mobile phone: 0491 570 006", "AU", AUSTRALIAN_MOBILE),
        ("0491 570 006 (mobile)", "AU", AUSTRALIAN_MOBILE),
        ("p:+61491570006", None, AUSTRALIAN_MOBILE),
        ("Tel. No. 020 7946 0018", "GB", LONDON),
        ("No.: 020 7946 0018", "GB", LONDON),
        ("📱 0491 570 006", "AU", AUSTRALIAN_MOBILE),
        ("☎️ +61 491 570 006", None, AUSTRALIAN_MOBILE),
        ("whatsapp:+61491570006", None, AUSTRALIAN_MOBILE),
        ("０２０ ７９４６ ００１８", "GB", LONDON),
        ("＋４４（２０）７９４６－００１８", None, LONDON),
        ("٠٢٠ ٧٩٤٦ ٠٠١٨", "GB", LONDON),
        ("०२० ७९४६ ००१८", "GB", LONDON),
        ("\u202a+44 20 7946 0018\u202c", None, LONDON),
        ("\ufeff020\u200b7946\u200d0018\u2060", "GB", LONDON),
        ("'020 7946 0018", "GB", LONDON),
        ("’020 7946 0018", "GB", LONDON),
        ('="02079460018"', "GB", LONDON),
        ('"02079460018"', "GB", LONDON),
        ("020\u00a07946\u202f0018", "GB", LONDON),
        ("020\u20137946\u20110018", "GB", LONDON),
        ("  020 7946 0018\t", "GB", LONDON),
        ("020 7946 0018;", "GB", LONDON),
        ("020/7946 0018", "GB", LONDON),
        ("0044/20/79460018", "GB", LONDON),
        ("020 7946 0018 / +44 20 79460018", "GB", LONDON),
        ("020 7946 0018; 0044 20 79460018", "GB", LONDON),
        ("home: 020 7946 0018, mobile: 020 7946 0018", "GB", LONDON),
        ("+44 20 7946 0018 ::: 020 7946 0018", "GB", LONDON),
    ],
)
def test_reads_what_people_write(number: str, country: str | None, e164: str) -> None:
    """Every usual spelling of a valid number gives its E.164 and no complaint."""
    found = read(number, country)
    assert (found["e164"], found["code"], found["detail"]) == (e164, None, "")


@pytest.mark.parametrize(
    ("number", "country", "code"),
    [
        ("020 7946 0018 x123", "GB", Code.PHONE_EXTENSION),
        ("020 7946 0018 ext. 12", "GB", Code.PHONE_EXTENSION),
        ("020 7946 0018, Ext 12", "GB", Code.PHONE_EXTENSION),
        ("020 7946 0018 #12", "GB", Code.PHONE_EXTENSION),
        ("020 7946 0018,12", "GB", Code.PHONE_EXTENSION),
        ("tel:+44-20-7946-0018;ext=12", None, Code.PHONE_EXTENSION),
        ("030 123456 Durchwahl 12", "DE", Code.PHONE_EXTENSION),
        ("01 99 00 12 34 poste 12", "FR", Code.PHONE_EXTENSION),
        ("020 7946 0018 / 020 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018/0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("+44 20 7946 0018 ::: +44 20 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("030 123456/57", "DE", Code.PHONE_TWO_NUMBERS),
        ("030/123456/57", "DE", Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018 or 020 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("030 1234567 oder 0176 12345678", "DE", Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018; 020 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018, 020 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018\r\n020 7946 0019", "GB", Code.PHONE_TWO_NUMBERS),
        ("home: 020 7946 0018, mobile: 0491 570 006", "GB", Code.PHONE_TWO_NUMBERS),
        ("+44 20 7946 0018 +44 20 7946 0019", None, Code.PHONE_TWO_NUMBERS),
        ("020 7946 0018 / 020 7946 0019", None, Code.PHONE_TWO_NUMBERS),
        ("4.47912E+11", "GB", Code.PHONE_SCIENTIFIC),
        ("4,47912E+11", "GB", Code.PHONE_SCIENTIFIC),
        ("4.47912e11", None, Code.PHONE_SCIENTIFIC),
        ("020 7946 0018", None, Code.PHONE_COUNTRY_NEEDED),
        ("442079460018", None, Code.PHONE_COUNTRY_NEEDED),
        ("020 7946 0018", "AQ", Code.PHONE_COUNTRY_NEEDED),
        ("020 794", "GB", Code.PHONE_TOO_SHORT),
        ("555 0104", "US", Code.PHONE_TOO_SHORT),
        ("+44 20", None, Code.PHONE_TOO_SHORT),
        ("1", "GB", Code.PHONE_TOO_SHORT),
        ("020 7946 0018 99", "GB", Code.PHONE_TOO_LONG),
        ("+44 20 7946 0018 9999", None, Code.PHONE_TOO_LONG),
        ("0 " * 120 + "1", "GB", Code.PHONE_TOO_LONG),
        ("0 " * 140 + "1", "GB", Code.PHONE_TOO_LONG),
        ("+44 7700 900123", None, Code.PHONE_INVALID),
        ("+999 123 456 789", None, Code.PHONE_INVALID),
        ("+020 7946 0018", "GB", Code.PHONE_INVALID),
        ("1-800-FLOWERS", "US", Code.PHONE_INVALID),
        ("Fax 020 7946 0018", "GB", Code.PHONE_INVALID),
        ("020 7946 0018 no", "GB", Code.PHONE_INVALID),
        ("NO 020 7946 0018", "GB", Code.PHONE_INVALID),
        ("020 7946 0018 call after six", "GB", Code.PHONE_INVALID),
        ("0xx11 2345 6789", "BR", Code.PHONE_INVALID),
        ("n/a", "GB", Code.PHONE_INVALID),
        ("-", "GB", Code.PHONE_INVALID),
        ("#####", "GB", Code.PHONE_INVALID),
        ("030 1234****", "DE", Code.PHONE_INVALID),
        ("030 1234...", "DE", Code.PHONE_INVALID),
        ("030 12345?", "DE", Code.PHONE_INVALID),
        ("966501234567+", "SA", Code.PHONE_INVALID),
    ],
)
def test_names_the_fault(number: str, country: str | None, code: Code) -> None:
    """Every usual fault has its code, and then there is no number to contact by mistake."""
    found = read(number, country)
    assert (found["code"], found["e164"]) == (code.value, None)
    assert (found["region"], found["mobile"]) == (None, None)


@pytest.mark.parametrize(
    ("number", "country", "detail"),
    [
        ("+999 123 456 789", None, ": no country has its calling code"),
        ("0207 946 00", "GB", " under +44"),
        ("call me", "GB", ": it contains letters"),
        ("030 12345?", "DE", ": it contains characters that no phone number has"),
        ("4.47912E+11", "GB", "scientific notation"),
    ],
)
def test_detail_completes_the_message(number: str, country: str | None, detail: str) -> None:
    """The detail says more where the code alone does not, and repeats no digit of the number."""
    assert read(number, country)["detail"] == detail


@pytest.mark.parametrize(
    ("number", "country", "lost"),
    [
        ("2079460018", "GB", True),
        ("2079460018.0", "GB", True),
        ("491570006", "AU", True),
        ("02079460018", "GB", False),
        ("20 7946 0018", "GB", False),  # a program leaves no spaces: a person wrote this
        ("442079460018", "GB", False),
        ("+442079460018", "GB", False),
        ("1300975707", "AU", False),  # written without a zero at home, too
        ("2025550104", "US", False),
        ("0612345678", "IT", False),
    ],
)
def test_says_when_a_zero_was_lost(number: str, country: str, *, lost: bool) -> None:
    """Bare digits that miss only the zero in front are read, with a warning."""
    found = read(number, country)
    assert found["e164"] is not None
    assert found["code"] == (Code.PHONE_ZERO_LOST.value if lost else None)


@pytest.mark.parametrize(
    ("number", "region", "mobile"),
    [
        (LONDON, "GB", False),
        (WASHINGTON, "US", True),  # nobody can tell there
        (AUSTRALIAN_MOBILE, "AU", True),
        ("+33199001234", "FR", False),
        ("+80012345678", "001", False),
        ("+447781123456", "GG", True),  # shares +44 with Great Britain
    ],
)
def test_says_whose_number_it_is(number: str, region: str, *, mobile: bool) -> None:
    """A number comes with its country and whether it may receive a text."""
    found = read(number)
    assert (found["e164"], found["region"], found["mobile"]) == (number, region, mobile)


@pytest.mark.parametrize("empty", [None, "", "  ", "\u200b", "'", '=""'])
def test_empty_cells_have_no_verdict(empty: str | None) -> None:
    """An empty cell is no fault of the phone column."""
    assert read(empty, "GB") == dict.fromkeys(VERDICT) | {"detail": ""}


def test_keeps_order_and_length() -> None:
    """Every cell has its verdict at its own place, whatever road it took."""
    numbers = ["n/a", "020 7946 0018", None, "020 7946 0018 / 020 7946 0019", "'" + LONDON, "1"]
    found = read_phones(pl.Series(numbers * 3), pl.Series(["GB"] * 18))
    assert found.schema == pl.Schema(VERDICT)
    assert found.rows() == [tuple(read(number, "GB").values()) for number in numbers] * 3


def test_nothing_in_nothing_out() -> None:
    """No cells give an empty frame of the same shape."""
    found = read_phones(pl.Series([], dtype=pl.String), pl.Series([], dtype=pl.String))
    assert found.schema == pl.Schema(VERDICT)
    assert found.height == 0


def test_reads_a_column_without_any_value() -> None:
    """A column that is wholly empty may have no type."""
    found = read_phones(pl.Series([None, None]), pl.Series([None, None]))
    assert found["code"].to_list() == [None, None]


def test_one_number_at_a_time_is_the_authority() -> None:
    """What phonenumbers says of a plain number is the verdict."""
    verdict = validate_one("020 7946 0018", "GB")
    assert (verdict.e164, verdict.code, verdict.region) == (LONDON, None, "GB")


@pytest.mark.parametrize(
    ("cell", "left"),
    [
        ("+61 491 570 006 ext.", "+61 491 570 006"),
        ("020 7946 0018 x", "020 7946 0018"),
        ("(202) 555-0104#", "(202) 555-0104"),
        ("020 7946 0018 (after 6pm)", "020 7946 0018"),
        ("020 7946 0018 (evenings only)", "020 7946 0018"),
        ("030 1234567 (ab 18 Uhr)", "030 1234567"),
        ("Mobile: +61 491 570 006 Home: 020 7946 0018", "+61 491 570 006"),
        ("Home: 020 7946 0018, Mobile: 0491 570 006", "0491 570 006"),
        ("Handy: 0171 3920000\nBüro: 030 23125 000", "Handy: 0171 3920000\nBüro: 030 23125 000"),
        ("020 7946 0018 x136", "020 7946 0018 x136"),
        ("020 7946 0018 (mum)", "020 7946 0018 (mum)"),
        ("020 7946 0018 - mum", "020 7946 0018 - mum"),
        ("020 7946 0018 (do not call)", "020 7946 0018 (do not call)"),
        ("Home: 020 7946 0018 Work: 020 7946 0019", "Home: 020 7946 0018 Work: 020 7946 0019"),
        ("Mobile: 1234567 Mobile: 2345678", "Mobile: 1234567 Mobile: 2345678"),
        ("1-800-FLOWERS", "1-800-FLOWERS"),
        (None, None),
    ],
)
def test_remarks_that_say_nothing_of_the_number_go(cell: str | None, left: str | None) -> None:
    """When to call, an extension without digits, the other labelled numbers; whose it is stays."""
    assert drop_remarks(pl.Series([cell], dtype=pl.String)).to_list() == [left]
