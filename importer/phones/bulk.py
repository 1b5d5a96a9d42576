"""Numbers by the million: the rules of each country over all of its numbers at once.

Whatever the rules cannot decide with certainty, and countries that hardly occur, are left to
`exact`. The two agree on every column; the comparison is `make parity`.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Final

import phonenumbers
import polars as pl

from importer.phones import exact
from importer.phones.exact import UNKNOWN_CALLING_CODE, VERDICT
from importer.phones.rules import Rules, Unreadable, length, rules, sharing
from importer.phones.zero import lost_in_bulk
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT: Final = "#at"
_FEW: Final = 200
"""So many numbers of a country phonenumbers reads sooner than we compile its rules."""
_PUNCTUATION: Final = list(" ()[]./-+")
_MOST_CHARACTERS: Final = 250
_LEAST_DIGITS: Final = 3
_SHORTEST: Final = 2
_LONGEST: Final = 17
"""Limits of phonenumbers: characters of a text, digits of it, digits of a national number."""

_NUMBER: Final = pl.col("number")
_NOTHING: Final = {name: pl.lit(None, dtype=dtype).alias(name) for name, dtype in VERDICT.items()}


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
        found.append(left.select(_AT).hstack(exact.judge(left)))
    if not found:
        return pl.DataFrame(schema=VERDICT)
    return pl.concat(found).sort(_AT).drop(_AT)


def decided(numbers: pl.DataFrame, *, few: int = _FEW) -> tuple[list[pl.DataFrame], pl.DataFrame]:
    """The verdicts that the rules give, and the numbers that are left to phonenumbers.

    Returns:
        Frames of `#at` (position) and the columns of `VERDICT`; a frame of `#at`, `text`,
        `country`.
    """
    positions = numbers.select("text", "country").with_row_index(_AT)
    if numbers.height < few:
        return [], positions
    found = list(_decided(positions, few))
    if sum(frame.height for frame in found) == numbers.height:
        return found, positions.clear()
    known = pl.concat([frame.select(_AT) for frame in found]) if found else positions.clear()
    return found, positions.join(known, on=_AT, how="anti")


def _decided(positions: pl.DataFrame, few: int) -> Iterator[pl.DataFrame]:
    """The verdicts that the rules give, calling code by calling code."""
    rows = _digits(positions)
    national: dict[int, list[pl.DataFrame]] = {}
    abroad = [rows.filter("plus").select(_AT, "country", "number", "plus")]
    for (country,), group in (
        rows.filter(~pl.col("plus")).partition_by("country", as_dict=True).items()
    ):
        if country not in phonenumbers.SUPPORTED_REGIONS:
            yield _faulty(group, Code.PHONE_COUNTRY_NEEDED)
        elif group.height >= few:
            with suppress(Unreadable):
                here = rules(country)
                dialled, others = _dialled_abroad(group, here)
                abroad.append(dialled)
                national.setdefault(here.calling_code, []).extend(_from_home(others, here))
    strangers, coded = _calling_codes(pl.concat(abroad))
    yield from _strangers(strangers)
    for (code,), group in coded.partition_by("code", as_dict=True).items():
        if group.height >= few:
            with suppress(Unreadable):
                national.setdefault(code, []).append(_from_abroad(group, sharing(code)[0]))
    for code, groups in national.items():
        with suppress(Unreadable):
            yield from _told_apart(pl.concat(groups), sharing(code))


def _digits(positions: pl.DataFrame) -> pl.DataFrame:
    """The rows within phonenumbers' limits: `number`, its digits; `plus`; `bare`, nothing but."""
    text, bare = pl.col("text"), length(pl.col("text")) == length(_NUMBER)
    rows = positions.with_columns(
        text.str.replace_many(_PUNCTUATION, [""] * len(_PUNCTUATION)).alias("number"),
        text.str.contains("+", literal=True).alias("plus"),
    )
    return rows.filter(
        (length(_NUMBER) >= _LEAST_DIGITS) & (length(text) <= _MOST_CHARACTERS)
    ).select(_AT, "country", "number", "plus", bare.alias("bare"))


def _dialled_abroad(group: pl.DataFrame, here: Rules) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those rows that begin with what is dialled for abroad, without it, and the others."""
    columns = (_AT, "country", "number", "plus")
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
    group = group.select(_AT, "number", _NUMBER.alias("given"), "bare")
    coded = group.filter(_NUMBER.str.starts_with(calling_code))
    coded = here.without_trunk(coded.with_columns(_NUMBER.str.slice(len(calling_code))))
    coded = coded.filter(
        (~here.is_general(given) & here.is_general(_NUMBER)) | here.is_too_long(given)
    )
    if coded.height:
        yield _national(coded.with_columns(bare=False), sharing(here.calling_code)[0])
        group = group.join(coded, on=_AT, how="anti")
    yield here.national(group).select(_AT, "number", pl.col("bare") & (given == _NUMBER))


def _from_abroad(group: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """National numbers in digits that begin with the calling code."""
    return _national(
        group.select(_AT, _NUMBER.str.slice(len(str(main.calling_code))), bare=False), main
    )


def _national(rows: pl.DataFrame, main: Rules) -> pl.DataFrame:
    """National numbers in what follows a calling code; what is too short for any stays so."""
    rows = rows.select(_AT, "number", "bare")
    too_short = rows["number"].str.len_bytes() < _SHORTEST
    if not too_short.any():
        return main.national(rows).select(_AT, "number", "bare")
    found = main.national(rows.filter(~too_short)).select(_AT, "number", "bare")
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
    return rows.filter(~known), rows.filter(known)


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


def _strangers(rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """The verdicts on numbers for abroad that begin with no calling code.

    Where the digits after a plus begin with what is dialled for abroad, phonenumbers tries more.
    """
    tried = pl.col("plus") & pl.col("country").is_in(list(phonenumbers.SUPPORTED_REGIONS))
    sure = [rows.filter(~tried.fill_null(value=False))]
    for (country,), group in rows.filter(tried).partition_by("country", as_dict=True).items():
        with suppress(Unreadable):
            abroad = rules(country).abroad
            sure.append(group if abroad is None else group.filter(~abroad.begins(_NUMBER)))
    found = pl.concat(sure)
    too_short = length(_NUMBER) < _LEAST_DIGITS
    yield _faulty(found.filter(too_short), Code.PHONE_TOO_SHORT)
    yield _faulty(found.filter(~too_short), Code.PHONE_INVALID, UNKNOWN_CALLING_CODE)


def _told_apart(rows: pl.DataFrame, sharing_code: tuple[Rules, ...]) -> Iterator[pl.DataFrame]:
    """The verdicts on national numbers of a calling code."""
    main = sharing_code[0]
    too_long = rows["number"].str.len_bytes() > _LONGEST
    if too_long.any():
        yield _faulty(rows.filter(too_long), Code.PHONE_TOO_LONG)
        rows = rows.filter(~too_long)
    for region in sharing_code[:-1]:
        if region.leading is None:
            typed = region.typed(rows)
            rows = typed.filter(~pl.col("valid")).select(rows.columns)
            typed = typed.filter("valid")
        else:
            leads = region.leading.matches(rows["number"])
            typed = region.typed(rows.filter(leads))
            rows = rows.filter(~leads)
        if typed.height:
            yield from _verdicts(typed, region, main)
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
        _AT,
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


def _faulty(rows: pl.DataFrame, code: Code, detail: str = "") -> pl.DataFrame:
    """The same verdict on all rows: a fault, and no number."""
    fault = {"code": pl.lit(code.value).alias("code"), "detail": pl.lit(detail).alias("detail")}
    return rows.select(_AT, *(_NOTHING | fault).values())
