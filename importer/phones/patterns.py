"""Regular expressions of phonenumbers' metadata, for Polars.

Both read the few signs that the metadata uses alike; a pattern with any other is `Unreadable`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Iterable

    from phonenumbers.phonemetadata import PhoneNumberDesc

_READ_ALIKE: Final = re.compile(
    r"(?:\(\?:|\[(?:[0-9-]|\\d)+\]|\\d|[0-9()|$]|(?:[?*+]|\{[0-9]+(?:,[0-9]*)?\})(?![?*+{]))*"
)
_LITERALS: Final = re.compile(r"[0-9]+(?:\|[0-9]+)*")


class Unreadable(ValueError):
    """A rule that Polars cannot follow, or not surely as phonenumbers does."""


@cache
def regex(pattern: str, *, whole: bool) -> str:
    r"""The pattern for Polars, anchored: the whole text or its beginning. `\d` means 0-9.

    Raises:
        Unreadable: Python and Polars might not mean the same by it.
    """
    if _READ_ALIKE.fullmatch(pattern) is None:
        raise Unreadable(pattern)
    anchored = f"(?-u)^(?:{pattern}){'$' if whole else ''}"
    try:
        pl.Series([""]).str.contains(anchored)
    except pl.exceptions.ComputeError as fault:
        raise Unreadable(pattern) from fault
    return anchored


def length(number: pl.Expr) -> pl.Expr:
    """How many digits."""
    return number.str.len_bytes()


@dataclass(frozen=True, slots=True)
class Shapes:
    """Patterns of numbers, each for some lengths; none at all fits nothing."""

    patterns: tuple[tuple[tuple[int, ...], str], ...]

    @classmethod
    def of(cls, descriptions: Iterable[PhoneNumberDesc | None]) -> Shapes:
        """The shapes that phonenumbers describes; no lengths mean any."""
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
    """How digits may begin.

    Attributes:
        pattern: as a regular expression.
        groups: how many groups it captures.
        literals: the same as digits, of which the first that fits counts; none where it is no list.
    """

    pattern: str
    groups: int
    literals: tuple[str, ...]

    @classmethod
    def of(cls, pattern: str | None) -> Start | None:
        """The beginning that phonenumbers describes, if any."""
        if not pattern:
            return None
        literals = tuple(pattern.split("|")) if _LITERALS.fullmatch(pattern) else ()
        return cls(regex(pattern, whole=False), re.compile(pattern).groups, literals)

    def begins(self, number: pl.Expr) -> pl.Expr:
        """Whether the digits begin so."""
        return number.str.contains(self.pattern)

    def matches(self, numbers: pl.Series) -> pl.Series:
        """The same of a column that is there."""
        return numbers.str.contains(self.pattern)

    def rest(self, number: pl.Expr) -> pl.Expr:
        """What follows the beginning; null in digits that begin otherwise."""
        if not self.literals:
            return pl.when(self.begins(number)).then(number.str.replace(self.pattern, ""))
        found = pl.lit(None, dtype=pl.String)
        for literal in reversed(self.literals):
            rest = number.str.slice(len(literal))
            found = pl.when(number.str.starts_with(literal)).then(rest).otherwise(found)
        return found
