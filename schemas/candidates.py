"""The Pandera schemas of checked rows: the table's structure, and the rules for each cell.

The name and error of every check of CANDIDATE is a `Code`. Checks that need other columns read
them from the frame: a frame-wide check would carry whole rows of personal data into its failures.
Validate a DataFrame, with `lazy=True`. Neither schema changes or drops anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pandera.polars as pa
import polars as pl

from schemas.codes import Code
from schemas.columns import COLUMNS, ROW, SOURCE

if TYPE_CHECKING:
    from pandera.api.polars.types import PolarsData

EXCUSED: Final = "#excused"
"""Frame column (bool): the phone or e-mail was rejected already, so it is not missing, too."""

_E164: Final = r"^\+[1-9]\d{1,14}$"
_ADDRESS: Final = r"^[^@\s]+@[^@\s]+$"
_ALPHA_2: Final = r"^[A-Z]{2}$"
_BOOLEAN: Final = r"^(?:true|false)$"


def _check(code: Code, good: pl.Expr) -> pa.Check:
    """Return a check of one column that may read others; null passes."""

    def look(data: PolarsData) -> pl.LazyFrame:
        return data.lazyframe.select(good)

    return pa.Check(look, name=code.value, error=code.value)


def _text(*checks: pa.Check) -> pa.Column:
    """Return a text column that may be empty."""
    return pa.Column(pl.String, checks=list(checks), nullable=True)


def _once(data: PolarsData) -> bool:
    """Whether each row of a file appears only once."""
    place = pl.col(SOURCE).cast(pl.UInt64) * 2**32 + pl.col(ROW)
    places = data.lazyframe.select(place.alias("place")).collect().to_series()
    in_order = (places.slice(1) > places.head(-1)).all() if places.len() else True
    return in_order or places.n_unique() == places.len()


STRUCTURE: Final = pa.DataFrameSchema(
    {
        SOURCE: pa.Column(pl.UInt16),
        ROW: pa.Column(pl.UInt32, checks=pa.Check(_once, name="once", error="once")),
        **{column.name: _text() for column in COLUMNS},
    },
    name="structure",
)
"""Every row has its own file and row number, and every canonical column is there, as text.

A failure here is a bug of the program, not a fault of the data.
"""

CANDIDATE: Final = pa.DataFrameSchema(
    {
        "phone_number": _text(
            _check(
                Code.CONTACT_MISSING,
                pl.any_horizontal(pl.col("phone_number", "email").is_not_null(), pl.col(EXCUSED)),
            ),
            _check(Code.PHONE_INVALID, pl.col("phone_number").str.contains(_E164)),
        ),
        "email": _text(_check(Code.EMAIL_INVALID, pl.col("email").str.contains(_ADDRESS))),
        "first_name": _text(_check(Code.FIRST_NAME_MISSING, pl.col("first_name").is_not_null())),
        "country": _text(_check(Code.COUNTRY_UNKNOWN, pl.col("country").str.contains(_ALPHA_2))),
        "campaign": _text(
            _check(
                Code.CAMPAIGN_MISSING,
                pl.any_horizontal(pl.col("campaign", "external_campaign").is_not_null()),
            )
        ),
        "external_campaign": _text(),
        "send_during_business_hours": _text(
            _check(
                Code.BOOLEAN_INVALID, pl.col("send_during_business_hours").str.contains(_BOOLEAN)
            )
        ),
        EXCUSED: pa.Column(pl.Boolean),
        "skip_duplication_check": _text(
            _check(Code.BOOLEAN_INVALID, pl.col("skip_duplication_check").str.contains(_BOOLEAN)),
            _check(Code.SKIP_CHECK_NOT_ALLOWED, pl.col("skip_duplication_check") != "true"),
        ),
    },
    name="candidate",
)
"""A candidate has a name, a contact and a campaign, and every cell is in its normal form.

`skip-check-not-allowed` fails for every row that asks to skip the check. The caller drops that
problem if a setting allows it.
"""
