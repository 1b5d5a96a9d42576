"""Which of the countries that share a calling code a national number belongs to, if any."""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl

from importer.phones import reference
from importer.phones.metadata import Rules, UnreadablePattern, length, lost_in_bulk, rules, sharing
from importer.phones.reference import AT, UNKNOWN_CALLING_CODE, VERDICT, without_number
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator


_LONGEST: Final = 17
"""So many digits has a national number at most, to phonenumbers."""


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


_FEW: Final = 100
"""So many numbers of a country phonenumbers reads sooner than we compile its rules."""
_PUNCTUATION: Final = list(" ()[]./-+")
_MOST_CHARACTERS: Final = 250
_LEAST_DIGITS: Final = 3
_SHORTEST: Final = 2
"""Limits of phonenumbers: characters of a text, digits of it, digits of a national number."""

_NUMBER: Final = pl.col("number")


def judge(numbers: pl.DataFrame, *, few: int = _FEW) -> pl.DataFrame:
    """The verdict of phonenumbers on each number, many at a time.

    Args:
        numbers: `text` and `country` as `exact.judge_one` takes them.
        few: leave to phonenumbers what occurs less often than this.

    Returns:
        The columns of `VERDICT`, in the same order.
    """
    found, left = decided(numbers, few=few)
    if left.height:
        found.append(left.select(AT).hstack(reference.judge(left)))
    if not found:
        return pl.DataFrame(schema=VERDICT)
    return pl.concat(found).sort(AT).drop(AT)


def decided(numbers: pl.DataFrame, *, few: int = _FEW) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """The verdicts that the rules give, and the numbers that are left to phonenumbers.

    Returns:
        Frames of `#at` (position) and the columns of `VERDICT`; a frame of `#at`, `text`,
        `country`.
    """
    positions = numbers.select("text", "country").with_row_index(AT)
    if numbers.height < few:
        return [], positions
    found = list(_decided(positions, few))
    if sum(frame.height for frame in found) == numbers.height:
        return found, positions.clear()
    left = pl.Series([True]).new_from_index(0, numbers.height)
    for frame in found:
        left = left.scatter(frame[AT], values=False)
    return found, positions.filter(left)


def _decided(positions: pl.DataFrame, few: int) -> Iterator[pl.DataFrame]:
    """The verdicts that the rules give, calling code by calling code."""
    rows = _digits(positions)
    national: dict[int, list[pl.DataFrame]] = {}
    abroad = [rows.filter("plus").select(AT, "country", "number", "plus")]
    for (country,), group in (
        rows.filter(~pl.col("plus")).partition_by("country", as_dict=True).items()
    ):
        if country not in phonenumbers.SUPPORTED_REGIONS:
            yield _faulty(group, Code.PHONE_COUNTRY_NEEDED)
        elif group.height >= few:
            with suppress(UnreadablePattern):
                here = rules(country)
                dialled, others = _dialled_abroad(group, here)
                abroad.append(dialled)
                national.setdefault(here.calling_code, []).extend(_from_home(others, here))
    strangers, coded = _calling_codes(pl.concat(abroad))
    again, unknown = _without_plus(strangers, few)
    more_unknown, more_coded = _calling_codes(again)
    yield from _unknown(pl.concat([unknown, more_unknown]))
    coded = pl.concat([coded, more_coded])
    for (code,), group in coded.partition_by("code", as_dict=True).items():
        if group.height >= few:
            with suppress(UnreadablePattern):
                national.setdefault(code, []).append(_from_abroad(group, sharing(code)[0]))
    for code, groups in national.items():
        with suppress(UnreadablePattern):
            yield from told_apart(pl.concat(groups), sharing(code))


def _digits(positions: pl.DataFrame) -> pl.DataFrame:
    """The rows within phonenumbers' limits: `number`, its digits; `plus`; `bare`, nothing but."""
    text, bare = pl.col("text"), length(pl.col("text")) == length(_NUMBER)
    rows = positions.with_columns(
        text.str.replace_many(_PUNCTUATION, [""] * len(_PUNCTUATION)).alias("number"),
        text.str.contains("+", literal=True).alias("plus"),
    )
    return rows.filter(
        (length(_NUMBER) >= _LEAST_DIGITS) & (length(text) <= _MOST_CHARACTERS)
    ).select(AT, "country", "number", "plus", bare.alias("bare"))


def _dialled_abroad(group: pl.DataFrame, here: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those rows that begin with what is dialled for abroad, without it, and the others."""
    columns = (AT, "country", "number", "plus")
    begins = here.abroad.matches(group["number"]) if here.abroad is not None else None
    if here.abroad is None or begins is None or not begins.any():
        return group.clear().select(columns), group
    split = group.filter(begins).with_columns(here.abroad.rest(_NUMBER).alias("rest"))
    at_home = pl.col("rest").str.starts_with("0")  # no calling code begins so
    dialled = split.filter(~at_home).with_columns(pl.col("rest").alias("number")).select(columns)
    return dialled, pl.concat([group.filter(~begins), split.filter(at_home).drop("rest")])


def _from_home(group: pl.DataFrame, here: Rules) -> Iterator[pl.DataFrame]:
    """National numbers in what is dialled at home, some with the calling code but no plus."""
    calling_code, given = str(here.calling_code), pl.col("given")
    group = group.select(AT, "number", _NUMBER.alias("given"), "bare")
    coded = group.filter(_NUMBER.str.starts_with(calling_code))
    coded = here.without_trunk(coded.with_columns(_NUMBER.str.slice(len(calling_code))))
    coded = coded.filter(
        (~here.is_general(given) & here.is_general(_NUMBER)) | here.is_too_long(given)
    )
    if coded.height:
        yield _national(coded.with_columns(bare=False), sharing(here.calling_code)[0])
        group = group.join(coded, on=AT, how="anti")
    yield here.national(group).select(AT, "number", pl.col("bare") & (given == _NUMBER))


def _from_abroad(group: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """National numbers in digits that begin with the calling code."""
    return _national(
        group.select(AT, _NUMBER.str.slice(len(str(main.calling_code))), bare=False), main
    )


def _national(rows: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """National numbers in what follows a calling code; what is too short for any stays so."""
    rows = rows.select(AT, "number", "bare")
    too_short = rows["number"].str.len_bytes() < _SHORTEST
    if not too_short.any():
        return main.national(rows).select(AT, "number", "bare")
    found = main.national(rows.filter(~too_short)).select(AT, "number", "bare")
    return pl.concat([found, rows.filter(too_short)])


def _calling_codes(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows whose digits begin with no calling code, and the others with their `code`."""
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
    """Every beginning of three digits that has a calling code, and that code."""
    known = phonenumbers.COUNTRY_CODE_TO_REGION_CODE
    found = {
        str(digits): code
        for digits in range(100, 1000)
        for size in (3, 2, 1)  # the shortest counts
        if (code := int(str(digits)[:size])) in known
    }
    return list(found), list(found.values())


def _without_plus(rows: pl.DataFrame, few: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those rows that begin with what is dialled for abroad after all, without it, and the others.

    So reads phonenumbers what has a plus and then no calling code.
    """
    tried = pl.col("plus") & pl.col("country").is_in(list(phonenumbers.SUPPORTED_REGIONS))
    tried = tried.fill_null(value=False)
    again, others = [rows.clear()], [rows.filter(~tried)]
    for (country,), group in rows.filter(tried).partition_by("country", as_dict=True).items():
        if group.height >= few:
            with suppress(UnreadablePattern):
                dialled, rest = _dialled_abroad(group, rules(country))
                again.append(dialled)
                others.append(rest)
    return pl.concat(again), pl.concat(others)


def _unknown(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The verdicts on numbers for abroad that begin with no calling code."""
    too_short = length(_NUMBER) < _LEAST_DIGITS
    yield _faulty(rows.filter(too_short), Code.PHONE_TOO_SHORT)
    yield _faulty(rows.filter(~too_short), Code.PHONE_INVALID, UNKNOWN_CALLING_CODE)


def _faulty(rows: pl.DataFrame, code: Code, detail: str = "") -> pl.DataFrame:
    """The same verdict on all rows: a fault, and no number."""
    return without_number(rows, pl.lit(code.value), pl.lit(detail))
