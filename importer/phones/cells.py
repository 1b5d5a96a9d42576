"""Cells as people fill them in become E.164 or a code: spelling first, then the number's country.

A cell is tidied and sorted by `spelling`; the numbers in it are judged, and those that are not
valid as they stand once more in a spelling that people mean by it.
"""

from __future__ import annotations

from functools import partial
from typing import Final

import polars as pl

from importer.phones import bulk, spelling
from importer.phones.several import several
from importer.phones.spelling import LETTERS, STRANGE, Kind
from importer.phones.verdicts import AT, VERDICT, Judge, without_number
from schemas.codes import Code

_FAULTS: Final = {
    Kind.SCIENTIFIC: (Code.PHONE_SCIENTIFIC, "scientific notation"),
    Kind.EXTENSION: (Code.PHONE_EXTENSION, ""),
    Kind.LETTERS: (Code.PHONE_INVALID, LETTERS),
    Kind.STRANGE: (Code.PHONE_INVALID, STRANGE),
}
_DOUBLE_ZERO: Final = r"^[ (\[]*00([^0-9]*[1-9])"
_TRUNK_ZERO: Final = r"\( *0 *\)"
_ABROAD_WITH_TRUNK_ZERO: Final = rf"^[ (\[]*(?:\+|00).*[0-9].*{_TRUNK_ZERO}"
_LONG_ON_BOTH_SIDES: Final = r"(?:[0-9][^0-9/]*){6}/(?:.*/)?[^0-9/]*(?:[0-9][^0-9/]*){6}"


def to_e164(numbers: pl.Series, countries: pl.Series, *, judge: Judge = bulk.judge) -> pl.DataFrame:
    """Read phones in any usual spelling.

    Args:
        numbers: the cells, as text.
        countries: ISO alpha-2 of the country in which each is read, or null.
        judge: who decides on single numbers; `exact.judge` gives the same, slowly.

    Returns:
        One line per cell, in the same order: `e164` (text; null where there is no usable number),
        `code` (a value of `Code`; null where nothing is wrong), `detail` (text that completes the
        code's message, else empty), `region` (ISO alpha-2 of the number, "001" for numbers of no
        country, null where there is no number), `mobile` (whether it may receive a text; null
        where there is no number). An empty cell has nulls and an empty detail.
    """
    cells = pl.DataFrame(
        {"text": numbers.cast(pl.String), "country": countries.cast(pl.String)}
    ).with_row_index(AT)
    plain = spelling.plain(cells["text"])
    if plain.all():
        return _in_order(_numbers(cells, judge))
    rough = cells.filter(~plain).with_columns(pl.col("text").fill_null(""))
    rough = rough.with_columns(spelling.tidy(rough["text"]))
    number = spelling.is_number(rough["text"])
    rest = rough.filter(~number).with_columns(spelling.kind(pl.col("text")).alias("kind"))
    more = pl.col("kind") == Kind.SEVERAL.value
    read = partial(to_e164, judge=judge)
    found = [
        *_numbers(pl.concat([cells.filter(plain), rough.filter(number)]), judge),
        *several(rest.filter(more), spelling.parts(pl.col("text")), read, slashed=False),
        _faults(rest.filter(~more)),
    ]
    return _in_order(found)


def _in_order(found: list[pl.DataFrame]) -> pl.DataFrame:
    """All verdicts, each at the place of its cell."""
    whole = pl.concat(found)
    if not whole[AT].is_sorted():
        whole = whole.sort(AT)
    return whole.drop(AT)


def _faults(cells: pl.DataFrame) -> pl.DataFrame:
    """The verdicts on cells that hold no number, by their kind."""
    kinds = [kind.value for kind in _FAULTS]
    codes = [code.value for code, _ in _FAULTS.values()]
    details = [detail for _, detail in _FAULTS.values()]
    kind = pl.col("kind")
    return without_number(
        cells,
        code=kind.replace_strict(kinds, codes, default=None, return_dtype=pl.String),
        detail=kind.replace_strict(kinds, details, default="", return_dtype=pl.String),
    )


def _numbers(cells: pl.DataFrame, judge: Judge) -> list[pl.DataFrame]:
    """The verdicts on cells of one number each, or two with a slash between them."""
    slashed = cells["text"].str.contains("/", literal=True)
    if not slashed.any():
        return [part.select(AT, *VERDICT) for part in _respelled(_judged(cells, judge), judge)]
    one, two = _area_codes_apart(cells.filter(slashed), judge)
    whole = pl.concat(_respelled(_judged(pl.concat([cells.filter(~slashed), one]), judge), judge))
    hopeless = whole["e164"].is_null() & whole["text"].str.contains(_LONG_ON_BOTH_SIDES)
    two = pl.concat([two, whole.filter(hopeless).select(two.columns)])
    read = partial(to_e164, judge=judge)
    return [
        whole.filter(~hopeless).select(AT, *VERDICT),
        *several(two, spelling.sides(pl.col("text")), read, slashed=True),
    ]


def _area_codes_apart(cells: pl.DataFrame, judge: Judge) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cells in which slashes only part area codes from the rest, and the others.

    There, what stands before the first or the last slash is a valid number by itself.
    """
    text = pl.col("text")
    first = cells.select(AT, "country", text.str.extract("^([^/]*)/"))
    last = cells.filter(text.str.count_matches("/", literal=True) > 1)
    before = pl.concat([first, last.select(AT, "country", text.str.extract("^(.*)/"))])
    starts = before.select("text", "country").unique()
    valid = starts.filter(judge(starts)["e164"].is_not_null())
    two = before.join(valid, on=["text", "country"], how="semi", nulls_equal=True)
    return cells.join(two, on=AT, how="anti"), cells.join(two, on=AT, how="semi")


def _judged(cells: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """The cells with the verdicts beside them."""
    return cells.select(AT, "text", "country").hstack(judge(cells.select("text", "country")))


def _respelled(found: pl.DataFrame, judge: Judge) -> list[pl.DataFrame]:
    """The same, with faulty numbers judged again in another spelling where they have one.

    Two zeros in front are a plus in every country that does not read them otherwise. A zero in
    brackets after the calling code is left out where it is wrong.
    """
    faulty = found["e164"].is_null()
    if not faulty.any():
        return [found]
    done, wrong = [found.filter(~faulty)], found.filter(faulty)
    zeros = wrong["text"].str.contains(_DOUBLE_ZERO)
    if zeros.any():
        plus = pl.col("text").str.replace(_DOUBLE_ZERO, "+${1}")
        wrong = pl.concat(
            [wrong.filter(~zeros), _judged(wrong.filter(zeros).with_columns(plus), judge)]
        )
    bracketed = wrong["text"].str.contains(_ABROAD_WITH_TRUNK_ZERO) & wrong["e164"].is_null()
    if bracketed.any():
        bare = wrong.filter(bracketed).with_columns(pl.col("text").str.replace(_TRUNK_ZERO, ""))
        better = _judged(bare, judge)
        valid = better["e164"].is_not_null()
        wrong = pl.concat(
            [wrong.filter(~bracketed), wrong.filter(bracketed).filter(~valid), better.filter(valid)]
        )
    return [*done, wrong]
