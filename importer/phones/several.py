"""Cells of several parts: one number written twice, two numbers, or a number and something else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import polars as pl

from importer.phones.spelling import LETTERS, STRANGE
from importer.phones.verdicts import AT, VERDICT, without_number
from schemas.codes import Code

Read: TypeAlias = Callable[[pl.Series, pl.Series], pl.DataFrame]
"""From cells and countries to the columns of VERDICT, in the same order."""

_LONG: Final = r"(?:[0-9][^0-9]*){6}"
_SHORT: Final = r"^[^0-9\p{L}]*[0-9]{1,5}[^0-9\p{L}]*$"
_LAST_DIGIT: Final = r"([0-9])[ ()\[\]./-]*$"
_DECIMAL: Final = r"[.,]0+ *$"


def several(
    cells: pl.DataFrame, parts: pl.Expr, read: Read, *, slashed: bool
) -> list[pl.DataFrame]:
    """The verdicts on cells of several parts: a number only if all parts are the same one.

    Args:
        cells: `AT`, `text` (tidy) and `country`.
        parts: the parts of a text, as a list.
        read: how a part by itself is read.
        slashed: slashes part the cells, and it is known that no area code stands before them.

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
        without_number(sure, pl.lit(Code.PHONE_TWO_NUMBERS.value), pl.lit("")),
        found.filter(same).select(AT, *VERDICT),
        without_number(
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
    """The value of the first piece of the same cell, for each piece."""
    begins = _begins(pieces)
    return pieces.filter(begins)[column].gather(begins.cum_sum() - 1)


def _per_cell(pieces: pl.DataFrame, **flags: pl.Expr) -> pl.DataFrame:
    """How many pieces of each cell there are, and for how many each flag is set."""
    flagged = pieces.select(AT, parts=pl.lit(value=True), **flags)
    return flagged.group_by(AT).agg(pl.exclude(AT).sum())
