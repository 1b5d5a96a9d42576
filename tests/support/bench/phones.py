"""Phone numbers for made-up people: valid to libphonenumber, reserved by regulators for fiction.

Ofcom's drama numbers, ARCEP's, the Bundesnetzagentur's, ACMA's, and 555-01xx of the North American
plan: about 73,000 numbers in all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def words(text: str) -> tuple[str, ...]:
    """Split a text into words, for lists that read better as text."""
    return tuple(text.split())


FIXED: Final[dict[str, tuple[str, ...]]] = {
    "GB": (
        "20 7946 0xxx",
        "113 496 0xxx",
        "114 496 0xxx",
        "116 496 0xxx",
        "117 496 0xxx",
        "118 496 0xxx",
        "121 496 0xxx",
        "131 496 0xxx",
        "141 496 0xxx",
        "151 496 0xxx",
        "161 496 0xxx",
        "191 498 0xxx",
        "28 9649 6xxx",
        "29 2018 0xxx",
    ),
    "FR": ("1 9900 xxxx", "2 6191 xxxx", "3 5301 xxxx", "4 6571 xxxx", "5 3649 xxxx"),
    "DE": ("30 23125 xxx", "69 90009 xxx", "40 66969 xxx", "221 4710 xxx", "89 99998 xxx"),
}
"""Country -> ranges of national numbers, without trunk prefix, `x` for any digit: landlines."""

_US_AREAS: Final = words(
    "201 202 206 212 213 214 216 303 305 312 313 314 319 402 404 407 410 412 414 415 502 503 504 "
    "505 512 515 602 612 614 615 617 619 701 702 704 713 801 804 901 913 917 919 971"
)
MOBILE: Final[dict[str, tuple[str, ...]]] = {
    "US": tuple(f"{area} 555 01xx" for area in _US_AREAS),
    "DE": ("171 39200 xx", "172 992 5904", "172 996 8532", "172 997 3185", "174 909 1317"),
    "AU": ("491 570 006", "491 570 110", *(f"491 570 {last}" for last in (156, 157, 158, 159))),
}
"""Country -> ranges of numbers that may be mobile."""

CALLING: Final = {"GB": "44", "FR": "33", "DE": "49", "US": "1", "AU": "61"}
TRUNK: Final = {"GB": "0", "FR": "0", "DE": "0", "US": "", "AU": "0"}


def numbers(ranges: Mapping[str, Sequence[str]]) -> pl.DataFrame:
    """Return all numbers of ranges: `country`, `calling`, `trunk`, `area`, `head`, `tail` (text).

    `area`, `head` and `tail` are the national number as people group it.
    """
    rows: list[tuple[str, ...]] = []
    for country, patterns in ranges.items():
        for pattern in patterns:
            area, head, tail = pattern.split(" ")
            free = (head + tail).count("x")
            for value in range(10**free):
                digits = f"{value:0{free}d}" if free else ""
                local = (head + tail).replace("x", "") + digits
                rows.append(
                    (
                        country,
                        CALLING[country],
                        TRUNK[country],
                        area,
                        local[: len(head)],
                        local[len(head) :],
                    )
                )
    names = ("country", "calling", "trunk", "area", "head", "tail")
    return pl.DataFrame(rows, schema=dict.fromkeys(names, pl.String), orient="row")


def numbers_of_all_countries() -> pl.DataFrame:
    """Return every number of every range."""
    return pl.concat([numbers(FIXED), numbers(MOBILE)])
