"""The rules of one country's numbers: phonenumbers' metadata over whole columns.

They are compiled from whatever metadata is installed, when a country first occurs. A rule that
Polars might read otherwise than phonenumbers raises `Unreadable`: the country's numbers are then
left to phonenumbers itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Final

import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata

from importer.phones.patterns import Shapes, Start, Unreadable, length, regex

_REFERENCES: Final = re.compile(r"\\([0-9])")
_PECULIAR: Final = (
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)
"""Types that phonenumbers looks for before fixed lines and mobiles."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How the numbers of one country are written and told apart.

    Attributes:
        region: ISO alpha-2, or "001" for numbers of no country.
        calling_code: such as 44.
        abroad: what is dialled before a calling code, or None.
        trunk: what is dialled before a national number, or None.
        transform: what takes the place of `trunk` when its last group took part, or None.
        general: what every national number looks like, whatever its length.
        lengths: how many digits a national number has, in order.
        local_lengths: how many it has without the area code.
        leading: how the numbers begin where several countries share the calling code, or None.
    """

    region: str
    calling_code: int
    abroad: Start | None
    trunk: Start | None
    transform: str | None
    general: str | None
    lengths: tuple[int, ...]
    local_lengths: tuple[int, ...]
    leading: Start | None

    def is_general(self, number: pl.Expr) -> pl.Expr:
        """Whether the digits match the general pattern, whatever their length."""
        return pl.lit(value=False) if self.general is None else number.str.contains(self.general)

    def is_too_long(self, number: pl.Expr) -> pl.Expr:
        """Whether there are more digits than any number of the country has."""
        digits = length(number)
        return (digits > self.lengths[-1]) & ~digits.is_in(self.local_lengths)

    def is_possible(self, number: pl.Expr) -> pl.Expr:
        """Whether some number of the country, with its area code, has as many digits."""
        digits = length(number)
        return digits.is_in(self.lengths) & ~digits.is_in(self.local_lengths)

    def is_too_short(self, number: pl.Expr) -> pl.Expr:
        """Whether there are fewer digits than any number has, or its area code is missing."""
        digits = length(number)
        return (digits < self.lengths[0]) | digits.is_in(self.local_lengths)

    def without_trunk(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The same rows, their `number` without the trunk prefix if that leaves it as good."""
        return self._stripped(rows, pl.lit(value=True))

    def national(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The same rows, their `number` the national number in digits that are dialled at home."""
        rest = pl.col("#rest")
        return self._stripped(rows, self.is_possible(rest) | self.is_too_long(rest))

    def _stripped(self, rows: pl.DataFrame, accepted: pl.Expr) -> pl.DataFrame:
        """The rows with what follows the trunk prefix, where that is as good and accepted."""
        if self.trunk is None:
            return rows
        number, rest = pl.col("number"), pl.col("#rest")
        as_good = self.is_general(rest) | ~self.is_general(number)
        number = pl.when(rest.is_not_null() & as_good & accepted).then(rest).otherwise(number)
        after = self._after(self.trunk, pl.col("number")).alias("#rest")
        return rows.with_columns(after).select(
            pl.exclude("number", "#rest"), number.alias("number")
        )

    def _after(self, trunk: Start, number: pl.Expr) -> pl.Expr:
        """What follows the trunk prefix, with what takes its place; null where there is none."""
        if self.transform is None:
            return trunk.rest(number)
        last = number.str.extract(trunk.pattern, trunk.groups)
        changed = number.str.replace(trunk.pattern, self.transform)
        return pl.when(last.is_not_null()).then(changed).otherwise(trunk.rest(number))

    def typed(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The same rows with `valid`, whether their `number` is one of the country, and `mobile`.

        That is whether a valid number may receive a text, as far as anybody can tell.

        Raises:
            Unreadable: what the country's numbers look like is beyond Polars.
        """
        number, types = pl.col("number"), _types(self.region, self.calling_code)
        every, peculiar, fixed, mobile = map(pl.col, ("#every", "#peculiar", "#fixed", "#mobile"))
        return rows.with_columns(
            types.every.fit(number).alias("#every"),
            types.peculiar.fit(number).alias("#peculiar"),
            types.fixed.fit(number).alias("#fixed"),
            types.mobile.fit(number).alias("#mobile"),
        ).select(
            *rows.columns,
            valid=every & (peculiar | fixed | mobile),
            mobile=mobile & ~peculiar,
        )


@dataclass(frozen=True, slots=True)
class _Types:
    """What a country's numbers look like.

    Attributes:
        every: all of them.
        peculiar: those of the types that phonenumbers looks for first.
        fixed: fixed lines.
        mobile: mobiles, or fixed lines where the two look alike.
    """

    every: Shapes
    peculiar: Shapes
    fixed: Shapes
    mobile: Shapes


@cache
def _types(region: str, calling_code: int) -> _Types:
    """The same of a country, compiled when first a number may be one of its own."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if metadata is None:
        raise Unreadable(region)
    fixed = Shapes.of([metadata.fixed_line])
    alike = metadata.same_mobile_and_fixed_line_pattern
    return _Types(
        every=Shapes.of([metadata.general_desc]),
        peculiar=Shapes.of(getattr(metadata, name) for name in _PECULIAR),
        fixed=fixed,
        mobile=fixed if alike else Shapes.of([metadata.mobile]),
    )


@cache
def rules(region: str, calling_code: int = 0) -> Rules:
    """The rules of a country; the calling code matters for "001" alone.

    Raises:
        Unreadable: some rule is beyond Polars, or the installed metadata has none.
    """
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if (
        metadata is None
        or metadata.general_desc is None
        or not metadata.general_desc.possible_length
    ):
        raise Unreadable(region)
    trunk, transform = metadata.national_prefix_for_parsing, metadata.national_prefix_transform_rule
    if transform and not re.compile(trunk or "").groups:
        raise Unreadable(region)
    general = metadata.general_desc.national_number_pattern
    return Rules(
        region=region,
        calling_code=metadata.country_code or calling_code,
        abroad=Start.of(metadata.international_prefix),
        trunk=Start.of(trunk),
        transform=_REFERENCES.sub(r"${\1}", transform) if transform else None,
        general=regex(general, whole=True) if general else None,
        lengths=tuple(sorted(metadata.general_desc.possible_length)),
        local_lengths=tuple(metadata.general_desc.possible_length_local_only),
        leading=Start.of(metadata.leading_digits),
    )


@cache
def sharing(calling_code: int) -> tuple[Rules, ...]:
    """The rules of the countries with a calling code, the main one first.

    Raises:
        Unreadable: those of one of them are.
    """
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[calling_code]
    return tuple(rules(region, calling_code) for region in regions)
