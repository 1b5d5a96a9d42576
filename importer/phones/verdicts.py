"""What is known of a number, as columns: the same on every road."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import polars as pl

VERDICT: Final = {
    "e164": pl.String,
    "code": pl.String,
    "detail": pl.String,
    "region": pl.String,
    "mobile": pl.Boolean,
}
"""Columns and types of what is known of a number."""

AT: Final = "#at"
"""Column with the position of a number, which finds its way back by it."""

Judge: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""From `text` and `country` to the columns of VERDICT, in the same order."""

UNKNOWN_CALLING_CODE: Final = ": no country has its calling code"
"""Completes the message of a number whose first digits belong to no country."""


def without_number(rows: pl.DataFrame, code: pl.Expr, detail: pl.Expr) -> pl.DataFrame:
    """Verdicts that only name a fault, in the frame's order: `AT` and the columns of VERDICT."""
    nothing = {name: pl.lit(None, dtype=dtype) for name, dtype in VERDICT.items()}
    return rows.select(AT, **(nothing | {"code": code, "detail": detail}))
