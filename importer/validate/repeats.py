"""Who stands in the files twice: the same person and campaign, or one e-mail under two phones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.problems import at, empty
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

WHO: Final = (SOURCE, ROW, "phone_number", "email", "campaign", "external_campaign")
"""The columns that are looked at."""

_AT: Final = "#at"
_PERSON: Final = "#person"
_CAMPAIGN: Final = "#campaign"
_EMAIL: Final = "#email"
_FIRST: Final = "first_"


def duplicates(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """A `duplicate-in-file` for each row that repeats a person and a campaign.

    A person is a phone, else an e-mail, whatever the case of its letters.

    Args:
        frame: the columns WHO of good rows, in the order in which the first one counts.
        names: of the files, by position.
    """
    who = frame.select(
        pl.coalesce(pl.col("phone_number"), pl.col("email").str.to_lowercase()).alias(_PERSON),
        pl.coalesce(
            pl.lit("id ") + pl.col("campaign"), pl.lit("external ") + pl.col("external_campaign")
        ).alias(_CAMPAIGN),
    )
    later = _later(frame, who)
    value = pl.coalesce(pl.col("phone_number"), pl.col("email"))
    found = []
    for column, rows in (
        ("phone_number", later.filter(pl.col("phone_number").is_not_null())),
        ("email", later.filter(pl.col("phone_number").is_null())),
    ):
        if rows.height:
            code = Code.DUPLICATE_IN_FILE
            found.append(at(rows, code, column=column, value=value, detail=_place(names)))
    return pl.concat(found) if found else empty()


def shared_emails(frame: pl.DataFrame, names: Sequence[str]) -> pl.DataFrame:
    """An `email-shared` for each row whose e-mail stands earlier under another phone, or none."""
    who = frame.select(pl.col("email").str.to_lowercase().alias(_EMAIL))
    later = _later(frame, who)
    others = later.filter(pl.col("phone_number").ne_missing(pl.col(f"{_FIRST}phone_number")))
    return at(others, Code.EMAIL_SHARED, column="email", detail=_place(names))


def _later(frame: pl.DataFrame, who: pl.DataFrame) -> pl.DataFrame:
    """The rows that repeat an earlier one, with that row's `first_#source`, `first_#row`...

    One hash per row settles a list without repeats at once; only rows that share a hash are
    compared by value.
    """
    hashes = who.hash_rows()
    known = who.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
    if hashes.n_unique() == hashes.len():
        suspects = hashes.clear().cast(pl.UInt32)
    else:
        suspects = (hashes.is_duplicated() & known).arg_true()
    keys = [_AT, SOURCE, ROW, "phone_number"]
    rows = (
        frame.select(SOURCE, ROW, "phone_number", "email")[suspects]
        .with_columns(suspects.alias(_AT), *who[suspects].get_columns())
        .with_columns(pl.col(keys).first().over(who.columns).name.prefix(_FIRST))
    )
    return rows.filter(pl.col(_AT) != pl.col(f"{_FIRST}{_AT}"))


def _place(names: Sequence[str]) -> pl.Expr:
    """`row 14`, or `row 14 of other.csv` where the first row stands in another file."""
    source = pl.col(f"{_FIRST}{SOURCE}")
    files = dict(enumerate(names))
    named = source.replace_strict(files, default="", return_dtype=pl.String)
    row = pl.lit("row ") + pl.col(f"{_FIRST}{ROW}").cast(pl.String)
    return pl.when(source == pl.col(SOURCE)).then(row).otherwise(row + pl.lit(" of ") + named)
