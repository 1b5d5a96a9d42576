"""The rules of phonenumbers' metadata as Polars expressions.

Polars and Python agree on the few regex signs in these patterns. A pattern with any other sign
raises `UnreadablePattern`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl
from phonenumbers import PhoneMetadata

if TYPE_CHECKING:
    from collections.abc import Iterable

    from phonenumbers.phonemetadata import NumberFormat, PhoneNumberDesc


_READ_ALIKE: Final = re.compile(
    r"(?:\(\?:|\[(?:[0-9-]|\\d)+\]|\\d|[0-9()|$]|(?:[?*+]|\{[0-9]+(?:,[0-9]*)?\})(?![?*+{]))*"
)
_LITERALS: Final = re.compile(r"[0-9]+(?:\|[0-9]+)*")


class UnreadablePattern(ValueError):
    """Raised for a rule that Polars cannot read, or may read differently."""


@cache
def regex(pattern: str, *, whole: bool) -> str:
    r"""Return the pattern for Polars, anchored to the whole text or its beginning; `\d` is 0-9.

    Raises:
        UnreadablePattern: Python and Polars might read it differently.
    """
    if _READ_ALIKE.fullmatch(pattern) is None:
        raise UnreadablePattern(pattern)
    anchored = f"(?-u)^(?:{pattern}){'$' if whole else ''}"
    try:
        pl.Series([""]).str.contains(anchored)
    except pl.exceptions.ComputeError as fault:
        raise UnreadablePattern(pattern) from fault
    return anchored


def length(number: pl.Expr) -> pl.Expr:
    """Return the number of digits."""
    return number.str.len_bytes()


@dataclass(frozen=True, slots=True)
class Shapes:
    """Patterns of numbers, each for some lengths; without patterns no number fits."""

    patterns: tuple[tuple[tuple[int, ...], str], ...]

    @classmethod
    def of(cls, descriptions: Iterable[PhoneNumberDesc | None]) -> Shapes:
        """Take the shapes from phonenumbers' descriptions; without lengths, any length fits."""
        together: dict[tuple[int, ...], list[str]] = {}
        for description in descriptions:
            if description is not None and description.national_number_pattern:
                lengths = tuple(description.possible_length)
                together.setdefault(lengths, []).append(description.national_number_pattern)
        return cls(
            tuple(
                (lengths, regex("|".join(f"(?:{pattern})" for pattern in patterns), whole=True))
                for lengths, patterns in together.items()
            )
        )

    def fit(self, number: pl.Expr) -> pl.Expr:
        """Whether the digits are a number of one of these shapes."""
        found = pl.lit(value=False)
        for lengths, pattern in self.patterns:
            match = number.str.contains(pattern)
            if lengths:
                match = match & length(number).is_in(list(lengths))
            found = found | match
        return found


@dataclass(frozen=True, slots=True)
class Start:
    """A way in which digits may begin.

    Attributes:
        pattern: the pattern as a regular expression.
        groups: how many groups it captures.
        literals: the pattern as alternatives of digits, in order; empty if it has other signs.
    """

    pattern: str
    groups: int
    literals: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str | None) -> Start | None:
        """Take the beginning from a pattern of phonenumbers, if there is one."""
        if not pattern:
            return None
        literals = tuple(pattern.split("|")) if _LITERALS.fullmatch(pattern) else ()
        return cls(regex(pattern, whole=False), re.compile(pattern).groups, literals)

    def begins(self, number: pl.Expr) -> pl.Expr:
        """Whether the digits begin like this."""
        return number.str.contains(self.pattern)

    def matches(self, numbers: pl.Series) -> pl.Series:
        """Whether the digits begin like this, for a column of values."""
        return numbers.str.contains(self.pattern)

    def rest(self, number: pl.Expr) -> pl.Expr:
        """Return the digits after the beginning; null if the digits begin differently."""
        if not self.literals:
            return pl.when(self.begins(number)).then(number.str.replace(self.pattern, ""))
        found = pl.lit(None, dtype=pl.String)
        for literal in reversed(self.literals):
            rest = number.str.slice(len(literal))
            found = pl.when(number.str.starts_with(literal)).then(rest).otherwise(found)
        return found


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
"""Types that phonenumbers tries before fixed lines and mobiles."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules by which the numbers of one country are written and recognised.

    Attributes:
        region: ISO alpha-2, or "001" for numbers of no country.
        calling_code: such as 44.
        abroad: the international prefix, dialled before a calling code, or None.
        trunk: the trunk prefix, dialled before a national number, or None.
        transform: the replacement of `trunk` if its last group matched, or None.
        general: pattern of every national number, of any length.
        lengths: how many digits a national number has, in order.
        local_lengths: how many it has without the area code.
        leading: how the numbers begin if several countries share the calling code, or None.
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
        """Whether the digits match the general pattern; their length does not matter."""
        return pl.lit(value=False) if self.general is None else number.str.contains(self.general)

    def is_too_long(self, number: pl.Expr) -> pl.Expr:
        """Whether there are more digits than any number of the country has."""
        digits = length(number)
        return (digits > self.lengths[-1]) & ~digits.is_in(self.local_lengths)

    def is_possible(self, number: pl.Expr) -> pl.Expr:
        """Whether numbers of the country, with area code, can have this many digits."""
        digits = length(number)
        return digits.is_in(self.lengths) & ~digits.is_in(self.local_lengths)

    def is_too_short(self, number: pl.Expr) -> pl.Expr:
        """Whether a number is shorter than any valid one, or has only a local part.

        A local part is a number without its area code.
        """
        digits = length(number)
        return (digits < self.lengths[0]) | digits.is_in(self.local_lengths)

    def strip_trunk(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Remove the trunk prefix from `number` if the rest is as plausible."""
        return self._strip(rows, pl.lit(value=True))

    def make_national(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Replace `number`, as dialled at home, with the national number."""
        rest = pl.col("#rest")
        return self._strip(rows, self.is_possible(rest) | self.is_too_long(rest))

    def _strip(self, rows: pl.DataFrame, accepted: pl.Expr) -> pl.DataFrame:
        """Remove the trunk prefix from `number` if the rest is as plausible and accepted."""
        if self.trunk is None:
            return rows
        number, rest = pl.col("number"), pl.col("#rest")
        as_good = self.is_general(rest) | ~self.is_general(number)
        number = pl.when(rest.is_not_null() & as_good & accepted).then(rest).otherwise(number)
        after = self._rest_after(self.trunk, pl.col("number")).alias("#rest")
        return rows.with_columns(after).select(
            pl.exclude("number", "#rest"), number.alias("number")
        )

    def _rest_after(self, trunk: Start, number: pl.Expr) -> pl.Expr:
        """Return the digits after the trunk prefix, with its replacement; null without prefix."""
        if self.transform is None:
            return trunk.rest(number)
        last = number.str.extract(trunk.pattern, trunk.groups)
        changed = number.str.replace(trunk.pattern, self.transform)
        return pl.when(last.is_not_null()).then(changed).otherwise(trunk.rest(number))

    def add_types(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Add `valid` (`number` is one of the country) and `mobile` (it may receive a text).

        Raises:
            UnreadablePattern: a pattern of the country cannot be read.
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
    """The shapes of a country's numbers, by type.

    Attributes:
        every: a pattern of all numbers.
        peculiar: the types that phonenumbers tries first.
        fixed: fixed lines.
        mobile: mobiles; fixed lines too, if the two look alike.
    """

    every: Shapes
    peculiar: Shapes
    fixed: Shapes
    mobile: Shapes


@cache
def _types(region: str, calling_code: int) -> _Types:
    """Return the types of a country, compiled when they are first needed."""
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if metadata is None:
        raise UnreadablePattern(region)
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
    """Return the rules of a country; the calling code matters only for "001".

    Raises:
        UnreadablePattern: a rule cannot be read, or the installed metadata has none.
    """
    metadata = PhoneMetadata.metadata_for_region_or_calling_code(calling_code, region)
    if (
        metadata is None
        or metadata.general_desc is None
        or not metadata.general_desc.possible_length
    ):
        raise UnreadablePattern(region)
    trunk, transform = metadata.national_prefix_for_parsing, metadata.national_prefix_transform_rule
    if transform and not re.compile(trunk or "").groups:
        raise UnreadablePattern(region)
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
def rules_sharing(calling_code: int) -> tuple[Rules, ...]:
    """Return the rules of the countries that share a calling code, the main one first.

    Raises:
        UnreadablePattern: the rules of one of them cannot be read.
    """
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[calling_code]
    return tuple(rules(region, calling_code) for region in regions)


_GROUP: Final = re.compile(r"\\[0-9]")
_SAID: Final = re.compile(r"\\[0-9]|[0-9]")


@dataclass(frozen=True, slots=True)
class HomeFormat:
    """A way in which national numbers are written at home.

    Attributes:
        leading: how the numbers begin, as a pattern; empty if that does not matter.
        pattern: what the whole numbers look like.
        zero: whether the digits always follow a zero.
    """

    leading: str
    pattern: str
    zero: bool


@cache
def home_formats(calling_code: int) -> tuple[HomeFormat, ...]:
    """Return the formats of a calling code's numbers; the first that fits a number counts."""
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
    """Whether the format puts a zero in front of the digits, always, and nothing else."""
    rule = form.national_prefix_formatting_rule
    if not rule or form.national_prefix_optional_when_formatting:
        return False
    written = _GROUP.sub(lambda _: rule, form.format or "", count=1)
    groups = re.compile(form.pattern or "").groups
    return _SAID.findall(written) == ["0", *(rf"\{group + 1}" for group in range(groups))]


def is_written_with_zero(number: str, calling_code: int) -> bool:
    """Whether a national number of bare digits is written with a leading zero at home."""
    for form in home_formats(calling_code):
        if re.match(form.leading, number) and re.fullmatch(form.pattern, number):
            return form.zero
    return False


def are_written_with_zero(number: pl.Expr, calling_code: int) -> pl.Expr:
    """Return `is_written_with_zero` for many numbers.

    Raises:
        UnreadablePattern: a pattern cannot be read.
    """
    found = pl.lit(value=False)
    for form in reversed(home_formats(calling_code)):
        leads = number.str.contains(regex(form.leading, whole=False))
        fits = leads & number.str.contains(regex(form.pattern, whole=True))
        found = pl.when(fits).then(form.zero).otherwise(found)
    return found
