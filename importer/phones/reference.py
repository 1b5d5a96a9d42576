"""Validate phone numbers one by one with phonenumbers, the authority for `bulk`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple, TypeAlias

import phonenumbers
import polars as pl
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberType, ValidationResult

from importer.phones.metadata import is_written_with_zero
from schemas.codes import Code

VERDICT: Final = {
    "e164": pl.String,
    "code": pl.String,
    "detail": pl.String,
    "region": pl.String,
    "mobile": pl.Boolean,
}
"""Columns and types of a verdict on a number."""

AT: Final = "#at"
"""Column with the position of a number, to restore the order."""

Validator: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From `text` and `country` to the columns of VERDICT, in the same order."""

UNKNOWN_CALLING_CODE: Final = ": no country has its calling code"
"""The detail of a number without a known calling code."""


def fault_verdicts(rows: pl.DataFrame, code: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Return verdicts with a fault and no number: `AT` and the columns of VERDICT, in order."""
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


class Verdict(NamedTuple):
    """phonenumbers' verdict on one number; the fields are the columns of `read_phones`."""

    e164: str | None = None
    code: str | None = None
    detail: str = ""
    region: str | None = None
    mobile: bool | None = None


def validate_one(text: str, country: str | None) -> Verdict:
    """Validate one number with phonenumbers.

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
        # phonenumbers also raises this for an international prefix without a calling code.
        if country in phonenumbers.SUPPORTED_REGIONS:
            return Verdict(code=Code.PHONE_INVALID.value, detail=UNKNOWN_CALLING_CODE)
        return Verdict(code=Code.PHONE_COUNTRY_NEEDED.value)
    if not phonenumbers.is_valid_number(number):
        return _explain(number)
    return Verdict(
        e164=phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164),
        code=Code.PHONE_ZERO_LOST.value if _has_lost_zero(text, number) else None,
        region=phonenumbers.region_code_for_number(number),
        mobile=phonenumbers.number_type(number) in _RECEIVES_TEXT,
    )


def _explain(number: PhoneNumber) -> Verdict:
    """Return the fault of a number that was parsed but is not valid."""
    reason = phonenumbers.is_possible_number_with_reason(number)
    if reason in _IMPOSSIBLE:
        return Verdict(code=_IMPOSSIBLE[reason].value)
    return Verdict(code=Code.PHONE_INVALID.value, detail=f" under +{number.country_code}")


def _has_lost_zero(text: str, number: PhoneNumber) -> bool:
    """Whether bare digits are the number as written at home, except for the leading 0.

    A spreadsheet program drops the zero if it takes a phone for a quantity. If the cell has
    anything but digits, a person wrote it.
    """
    return (
        text.isdecimal()
        and text == phonenumbers.national_significant_number(number)
        and is_written_with_zero(text, number.country_code or 0)
    )


def validate(numbers: pl.DataFrame) -> pl.DataFrame:
    """Validate numbers with phonenumbers, one by one, each spelling once.

    Args:
        numbers: `text` and `country` as `validate_one` takes them.

    Returns:
        The columns of `VERDICT`, in the same order.
    """
    known: dict[tuple[str, str | None], Verdict] = {}
    for pair in numbers.select("text", "country").iter_rows():
        if pair not in known:
            known[pair] = validate_one(*pair)
    rows = [known[pair] for pair in numbers.select("text", "country").iter_rows()]
    return pl.DataFrame(rows, schema=VERDICT, orient="row")
