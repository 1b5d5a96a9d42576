"""The bulk judge of phones agrees with phonenumbers; `make parity` compares them fully."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from importer.phones import bulk, read_phones, reference
from importer.phones.metadata import UnreadablePattern, is_written_with_zero, regex, rules_sharing
from importer.phones.reference import AT, VERDICT
from schemas.codes import Code
from tests.support.bench.parity import differences
from tests.support.bench.spellings import CALLING_CODES, REGIONS, examples, random_inputs

if TYPE_CHECKING:
    from tests.support.bench.spellings import Cell

EXAMPLES: Final = 10_000
AT_RANDOM: Final = 8_000
TELLING: Final = (  # every kind of rule: transforms, shared codes, no trunk, odd trunks, long ones
    "AG", "AR", "AU", "BR", "CO", "DE", "FI", "FR", "GB", "GG", "HU", "IN", "IT", "JP", "MX", "NF",
    "RU", "SM", "US",
)  # fmt: skip
E164: Final = r"^\+[1-9][0-9]{1,14}$"


@pytest.fixture(scope="module")
def cells() -> list[Cell]:
    """Return a seeded choice of examples in all spellings, and some nearly valid numbers."""
    every = list(examples(thorough=False, regions=TELLING))
    return Random(7).sample(every, EXAMPLES) + list(random_inputs(7, AT_RANDOM, TELLING))


def test_both_judges_agree(cells: list[Cell]) -> None:
    """No column differs, and no number is another than phonenumbers reads in the raw cell."""
    valid, found = differences(cells)
    assert found == []
    assert valid > len(cells) // 5  # the inputs are not all rubbish


def test_every_country_is_read_in_bulk_alike() -> None:
    """Even of countries that hardly occur, and then nothing is left to phonenumbers."""
    numbers = _numbers_of_every_country()
    found, left = bulk.decide(numbers, few=1)
    assert pl.concat(found).sort(AT).drop(AT).rows() == reference.validate(numbers).rows()
    assert left.height == 0


def _numbers_of_every_country() -> pl.DataFrame:
    """Tidy numbers, valid and not, each at home, with its calling code and abroad."""
    random, found = Random(11), list[tuple[str, str | None]]()
    for region in REGIONS:
        code = phonenumbers.country_code_for_region(region)
        for kind in phonenumbers.PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            national = phonenumbers.national_significant_number(number)
            wrong = national[:3] + "".join(random.choices("0123456789", k=len(national) - 3))
            for digits in (national, national[:-1], national + "1", wrong, "0" + national):
                found += [
                    (digits, region),
                    (f"{code}{digits}", region),
                    (f"00{code}{digits}", region),
                ]
                found += [(f"+{code}{digits}", None), (f"+0{digits}", region)]
    return pl.DataFrame(found, schema={"text": pl.String, "country": pl.String}, orient="row")


def test_the_comparison_notices_a_difference() -> None:
    """A judge that takes one digit for another is caught."""

    def careless(numbers: pl.DataFrame) -> pl.DataFrame:
        found = bulk.validate(numbers)
        return found.with_columns(pl.col("e164").str.replace("^[+]4420", "+4421"))

    cells: list[Cell] = [("020 7946 0018", "GB"), ("+1 202 555 0104", None)]
    assert differences(cells)[1] == []
    assert len(differences(cells, careless)[1]) == 1


def test_what_hardly_occurs_is_left_to_phonenumbers() -> None:
    """Rules are compiled only if enough numbers need them."""
    numbers = pl.DataFrame(
        {"text": ["020 7946 0018"] * 10 + ["0491570006"] * 3, "country": ["GB"] * 10 + ["AU"] * 3}
    )
    found, left = bulk.decide(numbers, few=5)
    assert sum(frame.height for frame in found) == 10
    assert left["country"].to_list() == ["AU"] * 3
    assert bulk.validate(numbers, few=5)["e164"].null_count() == 0


@pytest.mark.parametrize("code", CALLING_CODES)
def test_every_country_compiles_or_falls_back_by_rule(code: int) -> None:
    """The installed metadata compiles; if not, Polars cannot read a pattern."""
    try:
        found = rules_sharing(code)
    except UnreadablePattern as beyond:
        with pytest.raises(UnreadablePattern):
            regex(str(beyond), whole=True)
    else:
        assert tuple(each.region for each in found) == phonenumbers.region_codes_for_country_code(
            code
        )


@pytest.mark.parametrize(
    "pattern",
    ["(?!0)1", "(?=0)1", "(?<=0)1", r"(0)\1", "0++1", "0*?", "[^0]", r"\w", ".", "é", "(0"],
)
def test_patterns_that_polars_may_read_otherwise_are_refused(pattern: str) -> None:
    """Only what both engines read alike is compiled."""
    with pytest.raises(UnreadablePattern):
        regex(pattern, whole=True)


def test_whole_means_the_whole_number() -> None:
    """Alternatives are anchored together, and digits of other scripts are no digits."""
    numbers = pl.Series(["1", "12", "2", "21", "٣", "3"])
    assert numbers.str.contains(regex(r"1|2|\d", whole=True)).to_list() == [
        True, False, True, False, False, True,
    ]  # fmt: skip
    assert numbers.str.contains(regex("1|2", whole=False)).to_list() == [
        True, True, True, True, False, False,
    ]  # fmt: skip


def test_a_lost_zero_is_what_the_home_format_adds() -> None:
    """Where nobody leaves it out, a zero is lost if phonenumbers writes one in front at home."""
    optional = {"AR", "CN", "IN", "LT", "SY", "TR", "VN"}
    for region in sorted(set(REGIONS) - optional):
        for kind in phonenumbers.PhoneNumberType.values():
            number = phonenumbers.example_number_for_type(region, kind)
            if number is None:
                continue
            national = phonenumbers.national_significant_number(number)
            at_home = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
            added = phonenumbers.normalize_digits_only(at_home) == "0" + national
            assert is_written_with_zero(national, number.country_code or 0) == added, region


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(
                st.none(), st.text(), st.text("0123456789+()-./ ;,x\u00a0\u200e٣e", max_size=30)
            ),
            st.sampled_from([None, "GB", "DE", "US", "AR", "IT", "AQ", "xx"]),
        ),
        max_size=20,
    )
)
def test_any_cells_give_one_verdict_each(cells: list[tuple[str | None, str | None]]) -> None:
    """Whatever the cells hold: a number without a fault, a fault without a number, or nothing."""
    found = read_phones(
        pl.Series([text for text, _ in cells], dtype=pl.String),
        pl.Series([country for _, country in cells], dtype=pl.String),
    )
    assert found.height == len(cells)
    assert found.schema == pl.Schema(VERDICT)
    usable = found.filter(pl.col("e164").is_not_null())
    assert usable["e164"].str.contains(E164).all()
    assert usable["region"].null_count() == usable["mobile"].null_count() == 0
    assert set(usable["code"]) <= {None, Code.PHONE_ZERO_LOST.value}
    assert found.filter(pl.col("e164").is_null())["region"].count() == 0
    assert set(found["code"].drop_nulls()) <= set(Code)


@settings(deadline=None, max_examples=30)  # a country is compiled when it first occurs
@given(st.integers(0, 10_000))
def test_reading_a_number_again_changes_nothing(seed: int) -> None:
    """What was read is read as itself, in any country and in none."""
    cells = list(random_inputs(seed, 20))
    texts, countries = pl.Series([text for text, _ in cells]), pl.Series([c for _, c in cells])
    once = read_phones(texts, countries)
    for country in (None, "GB", "US"):
        again = read_phones(
            once["e164"], pl.repeat(country, once.height, dtype=pl.String, eager=True)
        )
        assert again["e164"].to_list() == once["e164"].to_list()
        assert set(again["code"]) == {None}
