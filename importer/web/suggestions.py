"""Suggestions: what a wrong cell probably means. A person takes one with a click, or none."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache, cached_property, lru_cache
from typing import TYPE_CHECKING, Final
from zoneinfo import available_timezones

import phonenumbers
import polars as pl
from babel.core import get_global

from importer.normalise.countries import CODES, read_countries
from importer.normalise.emails import correct_typo
from importer.phones.reference import validate_one
from schemas.codes import Code
from schemas.columns import fold_campaign

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from importer.model import Plan


MOST: Final = 3
"""Suggestions for a cell."""

_LONGEST: Final = 80
"""Characters of a cell; comparing longer ones takes long, and they mean something else."""

_COUNTRIES: Final = 8
_LIKE: Final = 0.8
_PHONES: Final = frozenset({Code.PHONE_COUNTRY_NEEDED, Code.PHONE_INVALID, Code.PHONE_TOO_SHORT})
_NOT_DIALLED: Final = re.compile(r"[^\d+ ().\-/]")
_SEVERAL: Final = re.compile(r"\s*(?:[;,|\n]|/(?=\s*[+0(])|\bor\b|\boder\b)\s*")
_PREFIX: Final = re.compile(r"^(?:00|\+)?\s*")


class Suggestions:
    """The probable meanings of a list's wrong cells.

    Args:
        plan: the plan of the list.
        names: the names of the meetings, and of the people to meet.
        default_country: the country of phone numbers without one; None if unknown.
    """

    def __init__(
        self,
        plan: Plan,
        names: tuple[Sequence[str], Sequence[str]],
        default_country: str | None = None,
    ) -> None:
        self._plan = plan
        self._meetings, self._participants = names
        self._default = default_country

    def find(self, code: Code, column: str, value: str, detail: str) -> tuple[str, ...]:
        """Return what a cell with a problem probably means, the likeliest first.

        Args:
            code: the code of the problem.
            column: the column of the cell, canonical or as a template names it.
            value: the value of the cell as it is now.
            detail: the detail of the problem.
        """
        find = self._finders.get(code)
        if find is None or not 0 < len(value.strip()) <= _LONGEST:
            return ()
        found = dict.fromkeys(each for each in find(column, value.strip(), detail) if each)
        return tuple(each for each in found if each != value.strip())[:MOST]

    @cached_property
    def countries(self) -> list[str]:
        """The countries of this list's people, the most frequent first."""
        frame = self._plan.frame
        counted = frame["country"].drop_nulls().value_counts(sort=True)["country"].to_list()
        starts = frame.select("phone_number", start=pl.col("phone_number").str.slice(0, 4))
        starts = starts.drop_nulls().group_by("start").agg(pl.len(), pl.first("phone_number"))
        numbers = starts.sort("len", "start", descending=[True, False])["phone_number"].to_list()
        phones = [phonenumbers.region_code_for_number(phonenumbers.parse(n)) for n in numbers]
        places = get_global("zone_territories")
        zones = [each.meeting_configuration.get("timezone") for each in self._plan.groups]
        lands = [places.get(each) for each in zones if isinstance(each, str)]
        found = dict.fromkeys(each for each in (self._default, *counted, *phones, *lands) if each)
        return [each for each in found if each in CODES][:_COUNTRIES]

    @property
    def _finders(self) -> Mapping[Code, Callable[[str, str, str], Iterator[str]]]:
        return {
            **dict.fromkeys(_PHONES, self._phone),
            Code.PHONE_TWO_NUMBERS: self._one_phone,
            Code.EMAIL_TYPO: self._email,
            Code.EMAIL_INVALID: self._email_marks,
            Code.COUNTRY_UNKNOWN: self._country,
            Code.CAMPAIGN_SPELLING: self._campaign,
            Code.TEMPLATE_UNKNOWN: self._template,
            Code.TEMPLATE_INVALID: self._zone,
        }

    def _phone(self, column: str, value: str, detail: str) -> Iterator[str]:
        """Yield the number with the country codes with which it is valid."""
        del detail
        if column != "phone_number" or _NOT_DIALLED.search(value):
            return
        digits = _PREFIX.sub("", value)
        with_prefix = validate_one(f"+{digits}", None).e164 if not digits.startswith("0") else None
        for number in (with_prefix, *(validate_one(value, land).e164 for land in self.countries)):
            if number is not None:
                yield spaced(number)

    def _one_phone(self, column: str, value: str, detail: str) -> Iterator[str]:
        """Yield each of several numbers in one cell."""
        del column, detail
        for part in _SEVERAL.split(value):
            lands = [None] if part.startswith("+") else [self._default, *self.countries]
            found = (
                validate_one(part, land).e164 for land in lands if not _NOT_DIALLED.search(part)
            )
            number = next((each for each in found if each), None)
            if number is not None:
                yield spaced(number)

    def _email(self, column: str, value: str, detail: str) -> Iterator[str]:
        del column, detail
        yield correct_typo(value)

    def _email_marks(self, column: str, value: str, detail: str) -> Iterator[str]:
        """Yield the address without a slip of the keyboard."""
        del column, detail
        repaired = re.sub(r"\s+", "", value).replace(",", ".").replace(";", ".")
        repaired = re.sub(r"@{2,}", "@", re.sub(r"\.{2,}", ".", repaired)).strip(".<>\"'")
        repaired = re.sub(r"\((?:at|ät)\)|\[(?:at|ät)\]", "@", repaired, flags=re.IGNORECASE)
        if re.fullmatch(r"[^@]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}", repaired):
            yield repaired

    def _country(self, column: str, value: str, detail: str) -> Iterator[str]:
        del column, detail
        yield from _like_countries(value.casefold())

    def _campaign(self, column: str, value: str, detail: str) -> Iterator[str]:
        """Yield the spelling that came first, which the message names."""
        del column
        if detail and fold_campaign(detail) == fold_campaign(value):
            yield detail

    def _template(self, column: str, value: str, detail: str) -> Iterator[str]:
        del detail
        names = self._meetings if column == "meeting_template" else self._participants
        yield from _close(value, names)

    def _zone(self, column: str, value: str, detail: str) -> Iterator[str]:
        """Yield a time zone, by the name of its city."""
        del column
        if "time zone" in detail:
            cities = _cities()
            folded = value.replace(" ", "_").rpartition("/")[2].casefold()
            for close in get_close_matches(folded, cities, n=1, cutoff=_LIKE):
                yield cities[close]


def spaced(number: str) -> str:
    """Return an E.164 number as people write it: `+44 20 7946 0018`."""
    parsed = phonenumbers.parse(number)
    return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.INTERNATIONAL)


def _close(value: str, names: Sequence[str]) -> Iterator[str]:
    folded = {name.casefold(): name for name in names}
    for close in get_close_matches(value.casefold(), folded, n=MOST, cutoff=_LIKE):
        yield folded[close]


@cache
def _country_names() -> dict[str, str]:
    """Return the names of countries in lower case, in the page's languages -> the names."""
    from babel import Locale  # noqa: PLC0415 - slow, and only for a wrong country

    names = {
        str(name)
        for language in ("en", "de")
        for code, name in Locale(language).territories.items()
        if code in CODES
    }
    known = pl.Series(sorted(names))
    read = known.filter(read_countries(known).is_not_null())
    return {name.casefold(): name for name in read.to_list()}


@lru_cache(maxsize=1_000)
def _like_countries(value: str) -> tuple[str, ...]:
    names = _country_names()
    return tuple(names[each] for each in get_close_matches(value, names, n=MOST, cutoff=_LIKE))


@cache
def _cities() -> dict[str, str]:
    """Return cities in lower case -> the time zones that are named after them."""
    zones = sorted(zone for zone in available_timezones() if zone.count("/") == 1)
    zones = [zone for zone in zones if not zone.startswith(("Etc/", "SystemV/", "US/"))]
    return {zone.rpartition("/")[2].casefold(): zone for zone in reversed(zones)}
