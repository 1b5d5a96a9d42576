"""Which of the countries that share a calling code a national number belongs to, if any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.phones.verdicts import AT, without_number
from importer.phones.zero import lost_in_bulk
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.phones.rules import Rules

_LONGEST: Final = 17
"""So many digits has a national number at most, to phonenumbers."""

_NUMBER: Final = pl.col("number")


def told_apart(rows: pl.DataFrame, sharing_code: tuple[Rules, ...]) -> Iterator[pl.DataFrame]:
    """The verdicts on national numbers of a calling code."""
    main = sharing_code[0]
    too_long = rows["number"].str.len_bytes() > _LONGEST
    if too_long.any():
        yield without_number(rows.filter(too_long), pl.lit(Code.PHONE_TOO_LONG.value), pl.lit(""))
        rows = rows.filter(~too_long)
    for region in sharing_code[:-1]:
        if not rows.height:
            return
        if region.leading is None:
            typed = region.typed(rows)
            rows = typed.filter(~pl.col("valid")).select(rows.columns)
            typed = typed.filter("valid")
        else:
            leads = region.leading.matches(rows["number"])
            if not leads.any():
                continue
            typed = region.typed(rows.filter(leads))
            rows = rows.filter(~leads)
        if typed.height:
            yield from _verdicts(typed, region, main)
    if not rows.height:
        return
    last = sharing_code[-1]
    typed = last.typed(rows)
    if last.leading is not None and len(sharing_code) > 1:
        typed = typed.with_columns(pl.col("valid") & last.leading.begins(_NUMBER))
    yield from _verdicts(typed, last, main)


def _verdicts(typed: pl.DataFrame, region: Rules, main: Rules) -> Iterator[pl.DataFrame]:
    """The verdicts on national numbers that belong to a country or, not valid, to none."""
    bare = typed["bare"]
    if not bare.all():
        yield _verdict(typed.filter(~bare), region, main, pl.lit(value=False))
    if bare.any():
        lost = lost_in_bulk(_NUMBER, region.calling_code)
        yield _verdict(typed.filter(bare), region, main, lost)


def _verdict(typed: pl.DataFrame, region: Rules, main: Rules, lost: pl.Expr) -> pl.DataFrame:
    """The same, given which valid numbers have lost their zero."""
    valid, e164 = pl.col("valid"), pl.lit(f"+{region.calling_code}") + _NUMBER
    too_short, too_long = main.is_too_short(_NUMBER), main.is_too_long(_NUMBER)
    under = pl.lit(f" under +{main.calling_code}")
    return typed.select(
        AT,
        pl.when(valid).then(e164).alias("e164"),
        pl.when(valid & lost)
        .then(pl.lit(Code.PHONE_ZERO_LOST.value))
        .when(valid)
        .then(None)
        .when(too_short)
        .then(pl.lit(Code.PHONE_TOO_SHORT.value))
        .when(too_long)
        .then(pl.lit(Code.PHONE_TOO_LONG.value))
        .otherwise(pl.lit(Code.PHONE_INVALID.value))
        .alias("code"),
        pl.when(valid | too_short | too_long).then(pl.lit("")).otherwise(under).alias("detail"),
        pl.when(valid).then(pl.lit(region.region)).alias("region"),
        pl.when(valid).then("mobile").alias("mobile"),
    )
