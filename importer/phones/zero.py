"""The zero in front of a number at home, which spreadsheet programs drop from what they count.

Not every number has one, not even where most do: the formats in which phonenumbers writes a
country's numbers at home say which.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata

from importer.phones.patterns import regex

if TYPE_CHECKING:
    from phonenumbers.phonemetadata import NumberFormat

_GROUP: Final = re.compile(r"\\[0-9]")
_SAID: Final = re.compile(r"\\[0-9]|[0-9]")


@dataclass(frozen=True, slots=True)
class HomeFormat:
    """A way in which national numbers are written at home.

    Attributes:
        leading: how the numbers begin, as a pattern; empty where that does not matter.
        pattern: what the whole numbers look like.
        zero: whether nobody leaves out the zero that stands in front of the digits.
    """

    leading: str
    pattern: str
    zero: bool


@cache
def home_formats(calling_code: int) -> tuple[HomeFormat, ...]:
    """The formats of a calling code's numbers; the first that fits a number is its own."""
    region = phonenumbers.region_code_for_country_code(calling_code)
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if metadata is None:
        return ()
    return tuple(
        HomeFormat(
            leading=form.leading_digits_pattern[-1] if form.leading_digits_pattern else "",
            pattern=form.pattern or "",
            zero=_has_zero(form),
        )
        for form in metadata.number_format
    )


def _has_zero(form: NumberFormat) -> bool:
    """Whether the format only puts a zero in front of the digits, and puts it always."""
    rule = form.national_prefix_formatting_rule
    if not rule or form.national_prefix_optional_when_formatting:
        return False
    written = _GROUP.sub(lambda _: rule, form.format or "", count=1)
    groups = re.compile(form.pattern or "").groups
    return _SAID.findall(written) == ["0", *(rf"\{group + 1}" for group in range(groups))]


def lost(number: str, calling_code: int) -> bool:
    """Whether a national number of bare digits has a zero in front when it is written at home."""
    for form in home_formats(calling_code):
        if re.match(form.leading, number) and re.fullmatch(form.pattern, number):
            return form.zero
    return False


def lost_in_bulk(number: pl.Expr, calling_code: int) -> pl.Expr:
    """The same for many numbers.

    Raises:
        Unreadable: a pattern is beyond Polars.
    """
    found = pl.lit(value=False)
    for form in reversed(home_formats(calling_code)):
        leads = number.str.contains(regex(form.leading, whole=False))
        fits = leads & number.str.contains(regex(form.pattern, whole=True))
        found = pl.when(fits).then(form.zero).otherwise(found)
    return found
