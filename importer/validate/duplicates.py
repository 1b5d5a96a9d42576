"""Find people who stand in the files twice.

The rows come part by part. Of earlier rows only numbers are kept: their places, and 64-bit hashes
to find them again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.problems import at, empty
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence


_LOWER: Final = "#email"  # in lower case
_AT: Final = "#at"
_HASH: Final = "#hash"
_CHECK: Final = "#check"  # a second hash: two people do not share both
_PHONE: Final = "#phone"
_KEPT: Final = {SOURCE: pl.UInt16, ROW: pl.UInt32} | dict.fromkeys(
    (_HASH, _CHECK, _PHONE), pl.UInt64
)
_FIRST: Final = "first_"


def who(frame: pl.DataFrame) -> pl.DataFrame:
    """Select what `Repeats` compares: place, phone, e-mail and campaigns of rows."""
    return frame.select(
        *(SOURCE, ROW, "phone_number", "email", "campaign", "external_campaign"),
        pl.col("email").str.to_lowercase().alias(_LOWER),
    )


class Repeats:
    """Finds repeats in rows that come part by part; the first row of a person counts.

    Args:
        names: of the files, in order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self._names = names
        self._people = _FirstRows()
        self._emails = _FirstRows()

    def find_duplicates(self, frame: pl.DataFrame) -> pl.DataFrame:
        """A `duplicate-in-file` for each row that repeats a person and a campaign.

        A person is a phone, else an e-mail in lower case.

        Args:
            frame: `who` of the next good rows, in the order in which the first counts.
        """
        person = frame.select(
            pl.coalesce("phone_number", _LOWER).alias("person"),
            pl.coalesce(
                pl.lit("id ") + pl.col("campaign"),
                pl.lit("external ") + pl.col("external_campaign"),
            ).alias("campaign"),
        )
        later = self._people.find_later(frame, person)
        value = pl.coalesce(pl.col("phone_number"), pl.col("email"))
        found = []
        for column, rows in (
            ("phone_number", later.filter(pl.col("phone_number").is_not_null())),
            ("email", later.filter(pl.col("phone_number").is_null())),
        ):
            if rows.height:
                code, place = Code.DUPLICATE_IN_FILE, self._place()
                found.append(at(rows, code, column=column, value=value, detail=place))
        return pl.concat(found) if found else empty()

    def find_shared_emails(self, frame: pl.DataFrame) -> pl.DataFrame:
        """An `email-shared` for each row whose e-mail stands earlier under another phone, or none.

        Args:
            frame: `who` of the same rows, without those that `find_duplicates` reported.
        """
        later = self._emails.find_later(frame, frame.select(_LOWER))
        others = later.filter(pl.col(_PHONE) != pl.col(f"{_FIRST}{_PHONE}"))
        return at(others, Code.EMAIL_SHARED, column="email", detail=self._place())

    def _place(self) -> pl.Expr:
        """`row 14`, or `row 14 of other.csv` if the first row is in another file."""
        source = pl.col(f"{_FIRST}{SOURCE}")
        files = dict(enumerate(self._names))
        named = source.replace_strict(files, default="", return_dtype=pl.String)
        row = pl.lit("row ") + pl.col(f"{_FIRST}{ROW}").cast(pl.String)
        return pl.when(source == pl.col(SOURCE)).then(row).otherwise(row + pl.lit(" of ") + named)


class _FirstRows:
    """The first row of each person so far."""

    def __init__(self) -> None:
        self._kept = pl.DataFrame(schema=_KEPT)

    def find_later(self, frame: pl.DataFrame, same: pl.DataFrame) -> pl.DataFrame:
        """Find the rows that repeat an earlier one, with its `first_#source`, `first_#row`...

        One hash per row shows at once that a list has no repeats; only rows that share it are
        compared further.

        Args:
            frame: `who` of the next rows.
            same: what repeats have in common; a row that lacks part of it repeats nobody.
        """
        known = same.select(pl.all_horizontal(pl.all().is_not_null())).to_series()
        new = pl.DataFrame(
            [
                frame[SOURCE],
                frame[ROW],
                same.hash_rows(seed=1).alias(_HASH),
                same.hash_rows(seed=2).alias(_CHECK),
                frame["phone_number"].hash(seed=3).alias(_PHONE),
            ]
        ).with_row_index(_AT)
        new = new if known.all() else new.filter(known)
        before = self._kept.join(new.select(_HASH), on=_HASH, how="semi", maintain_order="left")
        later = new.clear().select(_AT)
        if before.height or new[_HASH].n_unique() < new.height:
            both = pl.concat([before.with_columns(pl.lit(None, pl.UInt32).alias(_AT)), new.select(
                *_KEPT, _AT)])  # fmt: skip
            later = (
                both.filter(both[_HASH].is_duplicated())
                .with_columns(pl.col(_AT, *_KEPT).first().over(_HASH, _CHECK).name.prefix(_FIRST))
                .filter(pl.col(_AT).is_not_null(), pl.col(_AT).ne_missing(pl.col(f"{_FIRST}{_AT}")))
            )
            new = new.join(later.select(_AT), on=_AT, how="anti", maintain_order="left")
        self._kept = pl.concat([self._kept, new.select(*_KEPT)])
        if not later.height:
            return frame.clear().with_columns(
                *(pl.lit(None, dtype).alias(f"{_FIRST}{name}") for name, dtype in _KEPT.items()),
                pl.lit(None, pl.UInt64).alias(_PHONE),
            )
        return frame[later[_AT]].hstack(later.select(_PHONE, pl.col(f"^{_FIRST}.*$")))
