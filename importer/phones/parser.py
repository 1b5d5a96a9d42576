"""Read phones in any usual spelling, and cells with several numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

import polars as pl

from importer.phones import bulk, spelling
from importer.phones.reference import AT, VERDICT, Judge, fault_verdicts
from importer.phones.spelling import LETTERS, STRANGE, CellKind
from schemas.codes import Code

Read: TypeAlias = Callable[[pl.Series, pl.Series], pl.DataFrame]
"""From cells and countries to the columns of VERDICT, in the same order."""

_LONG: Final = r"(?:[0-9][^0-9]*){6}"
_SHORT: Final = r"^[^0-9\p{L}]*[0-9]{1,5}[^0-9\p{L}]*$"
_LAST_DIGIT: Final = r"([0-9])[ ()\[\]./-]*$"
_DECIMAL: Final = r"[.,]0+ *$"


def read_several(
    cells: pl.DataFrame, parts: pl.Expr, read: Read, *, slashed: bool
) -> list[pl.DataFrame]:
    """Read cells with several parts; they give a number only if all parts are the same number.

    Args:
        cells: `AT`, `text` (tidy) and `country`.
        parts: the parts of a text, as a list.
        read: reads single parts.
        slashed: slashes separate the parts, and no part is an area code.

    Returns:
        Frames of `AT` and the columns of `VERDICT`.
    """
    if cells.is_empty():
        return []
    pieces = (
        cells.select(AT, "country", parts.alias("part"))
        .explode("part")
        .filter(pl.col("part").str.contains(r"[^ \n]"))
    )
    part, e164 = pl.col("part"), pl.col("e164")
    two = pl.lit(slashed) | (pl.col("long") > 1)
    ends = part.str.extract(_LAST_DIGIT).alias("end")
    ended = pieces.with_columns(pl.when(~part.str.contains(_DECIMAL)).then(ends))
    glance = _per_cell(
        ended,
        long=part.str.contains(_LONG),
        others=(pl.col("end") != _first_of_cell(ended, "end")).fill_null(value=False),
    )
    sure = glance.filter(two & (pl.col("others") > 0))  # one number ends in one digit
    pieces = pieces.join(sure, on=AT, how="anti")
    pieces = pieces.hstack(read(pieces["part"], pieces["country"]))
    found = pieces.filter(_begins(pieces)).join(
        _per_cell(
            pieces,
            others=e164.is_null() | (e164 != _first_of_cell(pieces, "e164")).fill_null(value=True),
            valid=e164.is_not_null(),
            long=part.str.contains(_LONG),
            short=part.str.contains(_SHORT),
            letters=part.str.contains(r"\p{L}"),
        ),
        on=AT,
    )
    same, two = pl.col("others") == 0, two | (pl.col("valid") > 1)
    extended = e164.is_not_null() & (pl.col("short") == pl.col("parts") - 1)
    return [
        fault_verdicts(sure, pl.lit(Code.PHONE_TWO_NUMBERS.value), pl.lit("")),
        found.filter(same).select(AT, *VERDICT),
        fault_verdicts(
            found.filter(~same),
            pl.when(two)
            .then(pl.lit(Code.PHONE_TWO_NUMBERS.value))
            .when(extended)
            .then(pl.lit(Code.PHONE_EXTENSION.value))
            .otherwise(pl.lit(Code.PHONE_INVALID.value)),
            pl.when(two | extended)
            .then(pl.lit(""))
            .when(pl.col("letters") > 0)
            .then(pl.lit(LETTERS))
            .otherwise(pl.lit(STRANGE)),
        ),
    ]


def _begins(pieces: pl.DataFrame) -> pl.Series:
    """Whether each piece is the first of its cell."""
    return (pieces[AT] != pieces[AT].shift()).fill_null(value=True)


def _first_of_cell(pieces: pl.DataFrame, column: str) -> pl.Series:
    """Return for each piece the value of the first piece of its cell."""
    begins = _begins(pieces)
    return pieces.filter(begins)[column].gather(begins.cum_sum() - 1)


def _per_cell(pieces: pl.DataFrame, **flags: pl.Expr) -> pl.DataFrame:
    """Count the pieces of each cell, and those with each flag."""
    flagged = pieces.select(AT, parts=pl.lit(value=True), **flags)
    return flagged.group_by(AT).agg(pl.exclude(AT).sum())


_FAULTS: Final = {
    CellKind.SCIENTIFIC: (Code.PHONE_SCIENTIFIC, "scientific notation"),
    CellKind.EXTENSION: (Code.PHONE_EXTENSION, ""),
    CellKind.LETTERS: (Code.PHONE_INVALID, LETTERS),
    CellKind.STRANGE: (Code.PHONE_INVALID, STRANGE),
}
_DOUBLE_ZERO: Final = r"^[ (\[]*00([^0-9]*[1-9])"
_TRUNK_ZERO: Final = r"\( *0 *\)"
_ABROAD_WITH_TRUNK_ZERO: Final = rf"^[ (\[]*(?:\+|00).*[0-9].*{_TRUNK_ZERO}"
_LONG_ON_BOTH_SIDES: Final = r"(?:[0-9][^0-9/]*){6}/(?:.*/)?[^0-9/]*(?:[0-9][^0-9/]*){6}"


def read_phones(
    numbers: pl.Series, countries: pl.Series, *, judge: Judge = bulk.judge
) -> pl.DataFrame:
    """Read phones in any usual spelling.

    Args:
        numbers: the cells, as text.
        countries: ISO alpha-2 of the country in which each is read, or null.
        judge: judges single numbers; `reference.judge` gives the same verdicts, but slowly.

    Returns:
        One row per cell, in the same order: `e164` (text; null if there is no usable number),
        `code` (a value of `Code`; null if nothing is wrong), `detail` (text that completes the
        code's message, else empty), `region` (ISO alpha-2 of the number, "001" for numbers of no
        country, null without a number), `mobile` (whether it may receive a text; null without a
        number). An empty cell has nulls and an empty detail.
    """
    cells = pl.DataFrame(
        {"text": numbers.cast(pl.String), "country": countries.cast(pl.String)}
    ).with_row_index(AT)
    plain = spelling.is_plain(cells["text"])
    if plain.all():
        return _restore_order(_read_numbers(cells, judge))
    rough = cells.filter(~plain).with_columns(pl.col("text").fill_null(""))
    rough = rough.with_columns(spelling.tidy(rough["text"]))
    number = spelling.is_number(rough["text"])
    rest = rough.filter(~number).with_columns(spelling.classify(pl.col("text")).alias("kind"))
    more = pl.col("kind") == CellKind.SEVERAL.value
    read = partial(read_phones, judge=judge)
    found = [
        *_read_numbers(pl.concat([cells.filter(plain), rough.filter(number)]), judge),
        *read_several(rest.filter(more), spelling.split_parts(pl.col("text")), read, slashed=False),
        _faults(rest.filter(~more)),
    ]
    return _restore_order(found)


def _restore_order(found: list[pl.DataFrame]) -> pl.DataFrame:
    """Put all verdicts into the order of their cells."""
    whole = pl.concat(found)
    if not whole[AT].is_sorted():
        whole = whole.sort(AT)
    return whole.drop(AT)


def _faults(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the faults of cells without a number, by their kind."""
    kinds = [kind.value for kind in _FAULTS]
    codes = [code.value for code, _ in _FAULTS.values()]
    details = [detail for _, detail in _FAULTS.values()]
    kind = pl.col("kind")
    return fault_verdicts(
        cells,
        code=kind.replace_strict(kinds, codes, default=None, return_dtype=pl.String),
        detail=kind.replace_strict(kinds, details, default="", return_dtype=pl.String),
    )


def _read_numbers(cells: pl.DataFrame, judge: Judge) -> list[pl.DataFrame]:
    """Read cells with one number, or with two and a slash between them."""
    slashed = cells["text"].str.contains("/", literal=True)
    if not slashed.any():
        return [
            part.select(AT, *VERDICT)
            for part in _retry_respelled(_judge_cells(cells, judge), judge)
        ]
    one, two = _split_area_codes(cells.filter(slashed), judge)
    whole = pl.concat(
        _retry_respelled(_judge_cells(pl.concat([cells.filter(~slashed), one]), judge), judge)
    )
    hopeless = whole["e164"].is_null() & whole["text"].str.contains(_LONG_ON_BOTH_SIDES)
    two = pl.concat([two, whole.filter(hopeless).select(two.columns)])
    read = partial(read_phones, judge=judge)
    return [
        whole.filter(~hopeless).select(AT, *VERDICT),
        *read_several(two, spelling.split_sides(pl.col("text")), read, slashed=True),
    ]


def _split_area_codes(cells: pl.DataFrame, judge: Judge) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate cells in which slashes follow area codes from cells in which they divide numbers.

    In the latter, the part before the first or the last slash is a valid number.
    """
    text = pl.col("text")
    first = cells.select(AT, "country", text.str.extract("^([^/]*)/"))
    last = cells.filter(text.str.count_matches("/", literal=True) > 1)
    before = pl.concat([first, last.select(AT, "country", text.str.extract("^(.*)/"))])
    starts = before.select("text", "country").unique()
    valid = starts.filter(judge(starts)["e164"].is_not_null())
    two = before.join(valid, on=["text", "country"], how="semi", nulls_equal=True)
    return cells.join(two, on=AT, how="anti"), cells.join(two, on=AT, how="semi")


def _judge_cells(cells: pl.DataFrame, judge: Judge) -> pl.DataFrame:
    """Add the verdicts to the cells."""
    return cells.select(AT, "text", "country").hstack(judge(cells.select("text", "country")))


def _retry_respelled(found: pl.DataFrame, judge: Judge) -> list[pl.DataFrame]:
    """Judge faulty numbers again in another spelling, if they have one.

    Two leading zeros mean a plus, unless they mean something else in the country. A zero in
    brackets after the calling code is dropped if the number is invalid with it.
    """
    faulty = found["e164"].is_null()
    if not faulty.any():
        return [found]
    done, wrong = [found.filter(~faulty)], found.filter(faulty)
    zeros = wrong["text"].str.contains(_DOUBLE_ZERO)
    if zeros.any():
        plus = pl.col("text").str.replace(_DOUBLE_ZERO, "+${1}")
        wrong = pl.concat(
            [wrong.filter(~zeros), _judge_cells(wrong.filter(zeros).with_columns(plus), judge)]
        )
    bracketed = wrong["text"].str.contains(_ABROAD_WITH_TRUNK_ZERO) & wrong["e164"].is_null()
    if bracketed.any():
        bare = wrong.filter(bracketed).with_columns(pl.col("text").str.replace(_TRUNK_ZERO, ""))
        better = _judge_cells(bare, judge)
        valid = better["e164"].is_not_null()
        wrong = pl.concat(
            [wrong.filter(~bracketed), wrong.filter(bracketed).filter(~valid), better.filter(valid)]
        )
    return [*done, wrong]
