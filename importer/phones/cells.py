"""Cells as people fill them in become E.164 or a code: spelling first, then the number's country.

A cell is tidied and sorted by `spelling`; the numbers in it are judged, and those that are not
valid as they stand once more in a spelling that people mean by it. Judging is passed in:
`exact.judge` or, equal and faster, `bulk.judge`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import polars as pl

from importer.phones import bulk, spelling
from importer.phones.exact import VERDICT
from importer.phones.spelling import Kind
from schemas.codes import Code

Judge: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From `text` and `country` to the columns of VERDICT, in the same order."""

_AT: Final = "#at"
_LETTERS: Final = ": it contains letters"
_STRANGE: Final = ": it contains characters that no phone number has"
_FAULTS: Final = {
    Kind.SCIENTIFIC: (Code.PHONE_SCIENTIFIC, "scientific notation"),
    Kind.EXTENSION: (Code.PHONE_EXTENSION, ""),
    Kind.LETTERS: (Code.PHONE_INVALID, _LETTERS),
    Kind.STRANGE: (Code.PHONE_INVALID, _STRANGE),
}
_DOUBLE_ZERO: Final = r"^[ (\[]*00([^0-9]*[1-9])"
_TRUNK_ZERO: Final = r"\( *0 *\)"
_ABROAD_WITH_TRUNK_ZERO: Final = rf"^[ (\[]*(?:\+|00).*[0-9].*{_TRUNK_ZERO}"
_LONG: Final = r"(?:[0-9][^0-9]*){6}"
_SHORT: Final = r"^[^0-9\p{L}]*[0-9]{1,5}[^0-9\p{L}]*$"
_LONG_ON_BOTH_SIDES: Final = r"(?:[0-9][^0-9/]*){6}/(?:.*/)?[^0-9/]*(?:[0-9][^0-9/]*){6}"


def to_e164(numbers: pl.Series, countries: pl.Series, *, judge: Judge = bulk.judge) -> pl.DataFrame:
    """Read phones in any usual spelling.

    Args:
        numbers: the cells, as text.
        countries: ISO alpha-2 of the country in which each is read, or null.
        judge: who decides on single numbers.

    Returns:
        One line per cell, in the same order: `e164` (text; null where there is no usable number),
        `code` (a value of `Code`; null where nothing is wrong), `detail` (text that completes the
        code's message, else empty), `region` (ISO alpha-2 of the number, "001" for numbers of no
        country, null where there is no number), `mobile` (whether it may receive a text; null
        where there is no number). An empty cell has nulls and an empty detail.
    """
    cells = pl.DataFrame(
        {"text": numbers.cast(pl.String), "country": countries.cast(pl.String)}
    ).with_row_index(_AT)
    plain = spelling.plain(cells["text"])
    if plain.all():
        return _numbers(cells, judge).drop(_AT)
    rough = cells.filter(~plain)
    rough = rough.with_columns(spelling.tidy(rough["text"].fill_null("")))
    kinds = rough.select(spelling.kind(pl.col("text"))).to_series()
    number, several = kinds == Kind.NUMBER.value, kinds == Kind.SEVERAL.value
    found = [
        _numbers(pl.concat([cells.filter(plain), rough.filter(number)]), judge),
        _several(rough.filter(several), spelling.parts(pl.col("text")), judge),
        _faults(rough.with_columns(kinds.alias("kind")).filter(~number & ~several)),
    ]
    return pl.concat(found).sort(_AT).drop(_AT)


def _faults(cells: pl.DataFrame) -> pl.DataFrame:
    """The verdicts on cells that hold no number, by their kind."""
    kinds = [kind.value for kind in _FAULTS]
    codes = [code.value for code, _ in _FAULTS.values()]
    details = [detail for _, detail in _FAULTS.values()]
    kind = pl.col("kind")
    return _verdicts(
        cells,
        code=kind.replace_strict(kinds, codes, default=None, return_dtype=pl.String),
        detail=kind.replace_strict(kinds, details, default="", return_dtype=pl.String),
    )


def _verdicts(cells: pl.DataFrame, *, code: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Verdicts without a number."""
    nothing = {name: pl.lit(None, dtype=dtype) for name, dtype in VERDICT.items()}
    return cells.select(_AT, **(nothing | {"code": code, "detail": detail}))


def _numbers(cells: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """The verdicts on cells of one number each, or two with a slash between them."""
    found = _judged(cells, judge)
    found = _respelled(found, _DOUBLE_ZERO, "+${1}", judge, only_if_valid=False)
    found = _respelled(found, _TRUNK_ZERO, "", judge, only_if_valid=True)
    slashed = found["text"].str.contains("/", literal=True)
    if not slashed.any():
        return found.select(_AT, *VERDICT)
    two = _two_around_a_slash(found.filter(slashed), judge)
    return pl.concat(
        [
            found.join(two, on=_AT, how="anti").select(_AT, *VERDICT),
            _several(two, spelling.sides(pl.col("text")), judge, slashed=True),
        ]
    )


def _judged(cells: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """The cells with the verdicts beside them."""
    return cells.select(_AT, "text", "country").hstack(judge(cells.select("text", "country")))


def _respelled(
    found: pl.DataFrame, pattern: str, by: str, judge: Judge, *, only_if_valid: bool
) -> pl.DataFrame:
    """The same with the faulty numbers judged again in another spelling, where they have one."""
    applies = _ABROAD_WITH_TRUNK_ZERO if pattern == _TRUNK_ZERO else pattern
    again = found["e164"].is_null() & found["text"].str.contains(applies)
    if not again.any():
        return found
    other = _judged(
        found.filter(again).with_columns(pl.col("text").str.replace(pattern, by)), judge
    )
    if only_if_valid:
        other = other.filter(pl.col("e164").is_not_null())
    return pl.concat([found.join(other, on=_AT, how="anti"), other])


def _two_around_a_slash(found: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """Those of the cells in which a slash parts two numbers, not an area code from the rest.

    What stands before the first or last slash is a valid number by itself, or nothing is valid and
    both sides are long.
    """
    before = pl.concat(
        [
            found.select("text", "country", before=pl.col("text").str.extract(pattern))
            for pattern in ("^([^/]*)/", "^(.*)/")
        ]
    ).unique()
    prefixes = before.select(text="before", country="country").unique()
    valid = prefixes.filter(judge(prefixes)["e164"].is_not_null())
    whole = before.join(
        valid, left_on=["before", "country"], right_on=["text", "country"], nulls_equal=True
    ).select("text", "country")
    both = found.filter(
        pl.col("e164").is_null() & pl.col("text").str.contains(_LONG_ON_BOTH_SIDES)
    ).select("text", "country")
    return found.select(_AT, "text", "country").join(
        pl.concat([whole, both]).unique(), on=["text", "country"], how="semi", nulls_equal=True
    )


def _several(
    cells: pl.DataFrame, parts: pl.Expr, judge: Judge, *, slashed: bool = False
) -> pl.DataFrame:
    """The verdicts on cells of several parts: one number only if all parts are the same number."""
    if cells.is_empty():
        return _verdicts(cells, code=pl.lit(None, pl.String), detail=pl.lit(""))
    pieces = cells.select(_AT, "country", part=parts).explode("part")
    pieces = pieces.hstack(to_e164(pieces["part"], pieces["country"], judge=judge)).with_columns(
        valid=pl.col("e164").is_not_null(),
        long=pl.col("part").str.contains(_LONG),
        short=pl.col("part").str.contains(_SHORT),
        letters=pl.col("part").str.contains(r"\p{L}"),
    )
    summary = pieces.group_by(_AT, maintain_order=True).agg(
        *(pl.col(name).first() for name in VERDICT),
        same=pl.col("valid").all() & (pl.col("e164").n_unique() == 1),
        two=(pl.col("long").sum() > 1) | (pl.col("valid").sum() > 1) | pl.lit(slashed),
        extended=pl.col("valid").first() & (pl.col("short").sum() == pl.len() - 1),
        letters=pl.col("letters").any(),
    )
    faulty = summary.filter(~pl.col("same"))
    return pl.concat(
        [
            summary.filter("same").select(_AT, *VERDICT),
            _verdicts(
                faulty,
                code=pl.when("two")
                .then(pl.lit(Code.PHONE_TWO_NUMBERS.value))
                .when("extended")
                .then(pl.lit(Code.PHONE_EXTENSION.value))
                .otherwise(pl.lit(Code.PHONE_INVALID.value)),
                detail=pl.when(pl.col("two") | pl.col("extended"))
                .then(pl.lit(""))
                .when("letters")
                .then(pl.lit(_LETTERS))
                .otherwise(pl.lit(_STRANGE)),
            ),
        ]
    )
