"""What is known of a number, as columns: the same on every road."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Final, TypeAlias

import phonenumbers
import polars as pl
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult

from importer.phones.metadata import lost
from schemas.codes import Code

VERDICT: Final = {
    "e164": pl.String,
    "code": pl.String,
    "detail": pl.String,
    "region": pl.String,
    "mobile": pl.Boolean,
}
"""Columns and types of what is known of a number."""

AT: Final = "#at"
"""Column with the position of a number, which finds its way back by it."""

Judge: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From `text` and `country` to the columns of VERDICT, in the same order."""

UNKNOWN_CALLING_CODE: Final = ": no country has its calling code"
"""Completes the message of a number whose first digits belong to no country."""


def without_number(rows: pl.DataFrame, code: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Verdicts that only name a fault, in the frame's order: `AT` and the columns of VERDICT."""
    nothing = {name: pl.lit(None, dtype=dtype) for name, dtype in VERDICT.items()}
    return rows.select(AT, **(nothing | {"code": code, "detail": detail}))


_RECEIVES_TEXT: Final = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})

_UNREADABLE: Final = {
    NumberParseException.INVALID_COUNTRY_CODE: Code.PHONE_INVALID,
    NumberParseException.NOT_A_NUMBER: Code.PHONE_TOO_SHORT,  # fewer than three digits
    NumberParseException.TOO_SHORT_AFTER_IDD: Code.PHONE_TOO_SHORT,
    NumberParseException.TOO_SHORT_NSN: Code.PHONE_TOO_SHORT,
    NumberParseException.TOO_LONG: Code.PHONE_TOO_LONG,
}

_IMPOSSIBLE: Final = {
    ValidationResult.TOO_SHORT: Code.PHONE_TOO_SHORT,
    ValidationResult.IS_POSSIBLE_LOCAL_ONLY: Code.PHONE_TOO_SHORT,  # its area code is missing
    ValidationResult.TOO_LONG: Code.PHONE_TOO_LONG,
}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What phonenumbers says of one number; the fields are the columns of `to_e164`."""

    e164: str | None = None
    code: str | None = None
    detail: str = ""
    region: str | None = None
    mobile: bool | None = None


def judge_one(text: str, country: str | None) -> Verdict:
    """The verdict of phonenumbers on one number.

    Args:
        text: digits and punctuation (space `( ) [ ] . / -`), a `+` only in front of the digits.
        country: ISO alpha-2 of the number's default country, or None.
    """
    try:
        number = phonenumbers.parse(text, country)
    except NumberParseException as fault:
        if fault.error_type != NumberParseException.INVALID_COUNTRY_CODE:
            return Verdict(code=_UNREADABLE[fault.error_type].value)
        if "+" in text:
            return Verdict(code=Code.PHONE_INVALID.value, detail=UNKNOWN_CALLING_CODE)
        # Also for an idd prefix and then no calling code, which needs a country to be noticed.
        if country in phonenumbers.SUPPORTED_REGIONS:
            return Verdict(code=Code.PHONE_INVALID.value, detail=UNKNOWN_CALLING_CODE)
        return Verdict(code=Code.PHONE_COUNTRY_NEEDED.value)
    if not phonenumbers.is_valid_number(number):
        return _why_not(number)
    return Verdict(
        e164=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        code=Code.PHONE_ZERO_LOST.value if _lost_its_zero(text, number) else None,
        region=phonenumbers.region_code_for_number(number),
        mobile=phonenumbers.number_type(number) in _RECEIVES_TEXT,
    )


def _why_not(number: PhoneNumber) -> Verdict:
    """The fault of a number that was read and is not valid."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason in _IMPOSSIBLE:
        return Verdict(code=_IMPOSSIBLE[reason].value)
    return Verdict(code=Code.PHONE_INVALID.value, detail=f" under +{number.country_code}")


def _lost_its_zero(text: str, number: PhoneNumber) -> bool:
    """Whether bare digits are the number as it is written at home but for the 0 in front.

    A spreadsheet program drops the zero of what it takes for a quantity, so anything beside digits
    in the cell shows that a person wrote it so.
    """
    return (
        text.isdecimal()
        and text == phonenumbers.national_significant_number(number)
        and lost(text, number.country_code or 0)
    )


def judge(numbers: pl.DataFrame) -> pl.DataFrame:
    """The verdict of phonenumbers on each number, one by one; each spelling is read once.

    Args:
        numbers: `text` and `country` as `judge_one` takes them.

    Returns:
        The columns of `VERDICT`, in the same order.
    """
    known: dict[tuple[str, str | None], tuple[object, ...]] = {}
    for pair in numbers.select("text", "country").iter_rows():
        if pair not in known:
            known[pair] = astuple(judge_one(*pair))
    rows = [known[pair] for pair in numbers.select("text", "country").iter_rows()]
    return pl.DataFrame(rows, schema=VERDICT, orient="row")
