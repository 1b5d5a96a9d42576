"""Validate many phone numbers at once, by the rules in phonenumbers' metadata.

phonenumbers reads about 30,000 numbers a second. These expressions read a million in a second and
give the same verdicts (`make parity`). Numbers that they cannot validate are left to phonenumbers.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl

from importer.phones import reference
from importer.phones.metadata import (
    Rules,
    UnreadablePattern,
    are_written_with_zero,
    length,
    rules,
    rules_sharing,
)
from importer.phones.reference import AT, UNKNOWN_CALLING_CODE, VERDICT, fault_verdicts
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator


_LONGEST: Final = 17
"""Most digits that phonenumbers accepts in a national number."""


def validate_national(
    rows: pl.DataFrame, sharing_code: tuple[Rules, ...]
) -> Iterator[pl.DataFrame]:
    """Validate national numbers of one calling code; its countries are tried in turn."""
    main = sharing_code[0]
    too_long = rows["number"].str.len_bytes() > _LONGEST
    if too_long.any():
        yield fault_verdicts(rows.filter(too_long), pl.lit(Code.PHONE_TOO_LONG.value), pl.lit(""))
        rows = rows.filter(~too_long)
    for region in sharing_code[:-1]:
        if not rows.height:
            return
        if region.leading is None:
            typed = region.add_types(rows)
            rows = typed.filter(~pl.col("valid")).select(rows.columns)
            typed = typed.filter("valid")
        else:
            leads = region.leading.matches(rows["number"])
            if not leads.any():
                continue
            typed = region.add_types(rows.filter(leads))
            rows = rows.filter(~leads)
        if typed.height:
            yield from _verdicts(typed, region, main)
    if not rows.height:
        return
    last = sharing_code[-1]
    typed = last.add_types(rows)
    if last.leading is not None and len(sharing_code) > 1:
        typed = typed.with_columns(pl.col("valid") & last.leading.begins(_NUMBER))
    yield from _verdicts(typed, last, main)


def _verdicts(typed: pl.DataFrame, region: Rules, main: Rules) -> Iterator[pl.DataFrame]:
    """Validate numbers of one country, valid or not."""
    bare = typed["bare"]
    if not bare.all():
        yield _verdict(typed.filter(~bare), region, main, pl.lit(value=False))
    if bare.any():
        lost = are_written_with_zero(_NUMBER, region.calling_code)
        yield _verdict(typed.filter(bare), region, main, lost)


def _verdict(typed: pl.DataFrame, region: Rules, main: Rules, lost: pl.Expr) -> pl.DataFrame:
    """Validate numbers; `lost` says which valid numbers have lost their leading zero."""
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


_FEW: Final = 100
"""For fewer numbers of a country than this, phonenumbers is faster than compiling the rules."""
_PUNCTUATION: Final = list(" ()[]./-+")
_MOST_CHARACTERS: Final = 250
_LEAST_DIGITS: Final = 3
_SHORTEST: Final = 2
"""Limits of phonenumbers: characters and digits of a text, digits of a national number."""

_NUMBER: Final = pl.col("number")


def validate(numbers: pl.DataFrame, *, few: int = _FEW) -> pl.DataFrame:
    """Validate many numbers at once, as phonenumbers does.

    Args:
        numbers: `text` and `country` as `reference.validate_one` takes them.
        few: countries with fewer numbers than this are left to phonenumbers.

    Returns:
        The columns of `VERDICT`, in the same order.
    """
    found, left = decide(numbers, few=few)
    if left.height:
        found.append(left.select(AT).hstack(reference.validate(left)))
    if not found:
        return pl.DataFrame(schema=VERDICT)
    return pl.concat(found).sort(AT).drop(AT)


def decide(numbers: pl.DataFrame, *, few: int = _FEW) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """Validate the numbers that the rules can validate, and return the others.

    Returns:
        Frames of `#at` (position) and the columns of `VERDICT`; a frame of `#at`, `text`,
        `country`.
    """
    positions = numbers.select("text", "country").with_row_index(AT)
    if numbers.height < few:
        return [], positions
    found = list(_decide_in_bulk(positions, few))
    if sum(frame.height for frame in found) == numbers.height:
        return found, positions.clear()
    left = pl.Series([True]).new_from_index(0, numbers.height)
    for frame in found:
        left = left.scatter(frame[AT], values=False)
    return found, positions.filter(left)


def _decide_in_bulk(positions: pl.DataFrame, few: int) -> Iterator[pl.DataFrame]:
    """Validate numbers, one calling code at a time."""
    rows = _extract_digits(positions)
    national: dict[int, list[pl.DataFrame]] = {}
    abroad = [rows.filter("plus").select(AT, "country", "number", "plus")]
    for (country,), group in (
        rows.filter(~pl.col("plus")).partition_by("country", as_dict=True).items()
    ):
        if country not in phonenumbers.SUPPORTED_REGIONS:
            yield _fault(group, Code.PHONE_COUNTRY_NEEDED)
        elif group.height >= few:
            with suppress(UnreadablePattern):
                here = rules(country)
                dialled, others = _split_dialled_abroad(group, here)
                abroad.append(dialled)
                national.setdefault(here.calling_code, []).extend(_from_home(others, here))
    strangers, coded = _split_calling_codes(pl.concat(abroad))
    again, unknown = _retry_without_plus(strangers, few)
    more_unknown, more_coded = _split_calling_codes(again)
    yield from _unknown(pl.concat([unknown, more_unknown]))
    coded = pl.concat([coded, more_coded])
    for (code,), group in coded.partition_by("code", as_dict=True).items():
        if group.height >= few:
            with suppress(UnreadablePattern):
                national.setdefault(code, []).append(_from_abroad(group, rules_sharing(code)[0]))
    for code, groups in national.items():
        with suppress(UnreadablePattern):
            yield from validate_national(pl.concat(groups), rules_sharing(code))


def _extract_digits(positions: pl.DataFrame) -> pl.DataFrame:
    """Return the rows within phonenumbers' limits, with `number` (digits), `plus` and `bare`."""
    text, bare = pl.col("text"), length(pl.col("text")) == length(_NUMBER)
    rows = positions.with_columns(
        text.str.replace_many(_PUNCTUATION, [""] * len(_PUNCTUATION)).alias("number"),
        text.str.contains("+", literal=True).alias("plus"),
    )
    return rows.filter(
        (length(_NUMBER) >= _LEAST_DIGITS) & (length(text) <= _MOST_CHARACTERS)
    ).select(AT, "country", "number", "plus", bare.alias("bare"))


def _split_dialled_abroad(group: pl.DataFrame, here: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate the rows with the international prefix, and remove it from them."""
    columns = (AT, "country", "number", "plus")
    begins = here.abroad.matches(group["number"]) if here.abroad is not None else None
    if here.abroad is None or begins is None or not begins.any():
        return group.clear().select(columns), group
    split = group.filter(begins).with_columns(here.abroad.rest(_NUMBER).alias("rest"))
    at_home = pl.col("rest").str.starts_with("0")  # no calling code begins with 0
    dialled = split.filter(~at_home).with_columns(pl.col("rest").alias("number")).select(columns)
    return dialled, pl.concat([group.filter(~begins), split.filter(at_home).drop("rest")])


def _from_home(group: pl.DataFrame, here: Rules) -> Iterator[pl.DataFrame]:
    """Find national numbers in digits dialled at home; some have a calling code without plus."""
    calling_code, given = str(here.calling_code), pl.col("given")
    group = group.select(AT, "number", _NUMBER.alias("given"), "bare")
    coded = group.filter(_NUMBER.str.starts_with(calling_code))
    coded = here.strip_trunk(coded.with_columns(_NUMBER.str.slice(len(calling_code))))
    coded = coded.filter(
        (~here.is_general(given) & here.is_general(_NUMBER)) | here.is_too_long(given)
    )
    if coded.height:
        yield _national(coded.with_columns(bare=False), rules_sharing(here.calling_code)[0])
        group = group.join(coded, on=AT, how="anti")
    yield here.make_national(group).select(AT, "number", pl.col("bare") & (given == _NUMBER))


def _from_abroad(group: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """Find national numbers in digits that begin with a calling code."""
    return _national(
        group.select(AT, _NUMBER.str.slice(len(str(main.calling_code))), bare=False), main
    )


def _national(rows: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """Find national numbers in the digits after a calling code; keep those that are too short."""
    rows = rows.select(AT, "number", "bare")
    too_short = rows["number"].str.len_bytes() < _SHORTEST
    if not too_short.any():
        return main.make_national(rows).select(AT, "number", "bare")
    found = main.make_national(rows.filter(~too_short)).select(AT, "number", "bare")
    return pl.concat([found, rows.filter(too_short)])


def _split_calling_codes(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate the rows without a calling code from the others, which get their `code`."""
    prefixes, codes = _prefixes()
    rows = rows.with_columns(
        _NUMBER.str.slice(0, 3)
        .replace_strict(prefixes, codes, default=0, return_dtype=pl.Int64)
        .alias("code")
    )
    known = pl.col("code") > 0
    return rows.filter(~known).drop("code"), rows.filter(known)


@cache
def _prefixes() -> tuple[list[str], list[int]]:
    """Return every first three digits that begin with a calling code, and those codes."""
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    found = {
        str(digits): code
        for digits in range(100, 1000)
        for size in (3, 2, 1)  # the shortest counts
        if (code := int(str(digits)[:size])) in known
    }
    return list(found), list(found.values())


def _retry_without_plus(rows: pl.DataFrame, few: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate rows that have the international prefix after a plus, and remove the prefix.

    phonenumbers tries this if no calling code follows the plus.
    """
    tried = pl.col("plus") & pl.col("country").is_in(list(phonenumbers.SUPPORTED_REGIONS))
    tried = tried.fill_null(value=False)
    again, others = [rows.clear()], [rows.filter(~tried)]
    for (country,), group in rows.filter(tried).partition_by("country", as_dict=True).items():
        if group.height >= few:
            with suppress(UnreadablePattern):
                dialled, rest = _split_dialled_abroad(group, rules(country))
                again.append(dialled)
                others.append(rest)
    return pl.concat(again), pl.concat(others)


def _unknown(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Validate international numbers without a known calling code."""
    too_short = length(_NUMBER) < _LEAST_DIGITS
    yield _fault(rows.filter(too_short), Code.PHONE_TOO_SHORT)
    yield _fault(rows.filter(~too_short), Code.PHONE_INVALID, UNKNOWN_CALLING_CODE)


def _fault(rows: pl.DataFrame, code: Code, detail: str = "") -> pl.DataFrame:
    """Give all rows the same fault."""
    return fault_verdicts(rows, pl.lit(code.value), pl.lit(detail))
