"""The rules of checked rows, and the Pandera schemas made of them: structure and cells.

The name and error of every check of a candidate is a `Code`. Rules that need other columns read
them from the frame: a frame-wide check would carry whole rows of personal data into its failures.
Validate a DataFrame, with `lazy=True`. Neither schema changes or drops anything.

Pandera says which cells fail. `is_structured` and `are_candidates` say by the same rules whether
any does, and do not need it: importing Pandera takes longer than checking a short list.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

from schemas.codes import Code
from schemas.columns import COLUMNS, ROW, SOURCE

if TYPE_CHECKING:
    import pandera.polars as pa
    from pandera.api.polars.types import PolarsData

EXCUSED: Final = "#excused"
"""Frame column (bool): the phone or e-mail was rejected already, so it is not missing, too."""

_E164: Final = r"^\+[1-9]\d{1,14}$"
_ADDRESS: Final = r"^[^@\s]+@[^@\s]+$"
_ALPHA_2: Final = r"^[A-Z]{2}$"
_BOOLEAN: Final = r"^(?:true|false)$"


_RULES: Final[dict[str, dict[Code, pl.Expr]]] = {
    "phone_number": {
        Code.CONTACT_MISSING: pl.any_horizontal(
            pl.col("phone_number", "email").is_not_null(), pl.col(EXCUSED)
        ),
        Code.PHONE_INVALID: pl.col("phone_number").str.contains(_E164),
    },
    "email": {Code.EMAIL_INVALID: pl.col("email").str.contains(_ADDRESS)},
    "first_name": {Code.FIRST_NAME_MISSING: pl.col("first_name").is_not_null()},
    "country": {Code.COUNTRY_UNKNOWN: pl.col("country").str.contains(_ALPHA_2)},
    "campaign": {
        Code.CAMPAIGN_MISSING: pl.any_horizontal(
            pl.col("campaign", "external_campaign").is_not_null()
        )
    },
    "external_campaign": {},
    "send_during_business_hours": {
        Code.BOOLEAN_INVALID: pl.col("send_during_business_hours").str.contains(_BOOLEAN)
    },
    EXCUSED: {},
    "skip_duplication_check": {
        Code.BOOLEAN_INVALID: pl.col("skip_duplication_check").str.contains(_BOOLEAN),
        Code.SKIP_CHECK_NOT_ALLOWED: pl.col("skip_duplication_check") != "true",
    },
}
"""Column -> what is wrong with a cell for which an expression is false; null passes.

`skip-check-not-allowed` fails for every row that asks to skip the check. The caller drops that
problem if a setting allows it.
"""

_TYPES: Final = {SOURCE: pl.UInt16, ROW: pl.UInt32} | {column.name: pl.String for column in COLUMNS}
_CELLS: Final = {name: pl.Boolean if name == EXCUSED else pl.String for name in _RULES}


def is_structured(frame: pl.DataFrame) -> bool:
    """Whether `structure` has nothing to say about a frame."""
    return (
        all(frame.schema.get(name) == dtype for name, dtype in _TYPES.items())
        and not any(frame[name].null_count() for name in (SOURCE, ROW))
        and _once(frame)
    )


def are_candidates(frame: pl.DataFrame) -> bool:
    """Whether `candidate` has nothing to say about the rows of a frame."""
    if any(frame.schema.get(name) != dtype for name, dtype in _CELLS.items()):
        return False
    rules = (rule for rules in _RULES.values() for rule in rules.values())
    every_one = frame.select(
        rule.all(ignore_nulls=True).alias(str(place)) for place, rule in enumerate(rules)
    )
    return not frame[EXCUSED].null_count() and all(every_one.row(0))


def _once(frame: pl.DataFrame) -> bool:
    """Whether each row of a file appears only once."""
    place = pl.col(SOURCE).cast(pl.UInt64) * 2**32 + pl.col(ROW)
    places = frame.select(place.alias("place")).to_series()
    in_order = (places.slice(1) > places.head(-1)).all() if places.len() else True
    return in_order or places.n_unique() == places.len()


@cache
def structure() -> pa.DataFrameSchema:
    """Return the schema of all rows: each has its own file and row number, and text in each column.

    A failure here is a bug of the program, not a fault of the data.
    """
    import pandera.polars as pa  # noqa: PLC0415 (slow, and good rows do not need it)

    def look(data: PolarsData) -> bool:
        return _once(data.lazyframe.collect())

    once = pa.Check(look, name="once", error="once")
    return pa.DataFrameSchema(
        {
            SOURCE: pa.Column(pl.UInt16),
            ROW: pa.Column(pl.UInt32, checks=once),
            **{column.name: pa.Column(pl.String, nullable=True) for column in COLUMNS},
        },
        name="structure",
    )


@cache
def candidate() -> pa.DataFrameSchema:
    """Return the schema of good rows: name, contact, campaign, each cell in its normal form."""
    import pandera.polars as pa  # noqa: PLC0415 (slow, and good rows do not need it)

    def check(code: Code, rule: pl.Expr) -> pa.Check:
        def look(data: PolarsData) -> pl.LazyFrame:
            return data.lazyframe.select(rule)

        return pa.Check(look, name=code.value, error=code.value)

    return pa.DataFrameSchema(
        {
            name: pa.Column(
                dtype,
                checks=[check(code, rule) for code, rule in _RULES[name].items()],
                nullable=name != EXCUSED,
            )
            for name, dtype in _CELLS.items()
        },
        name="candidate",
    )
