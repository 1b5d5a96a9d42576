"""What Pandera finds, as problems."""

from __future__ import annotations

from typing import TYPE_CHECKING

import polars as pl
from pandera.errors import SchemaErrors

from importer.problems import at, empty
from schemas.candidates import CANDIDATE, STRUCTURE
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Collection

    import pandera.polars as pa


def refuse_foreign(frame: pl.DataFrame) -> None:
    """Make sure that a frame has the columns, types and row numbers of STRUCTURE.

    Raises:
        AssertionError: it has not, which is a fault of the program.
    """
    cases = _cases(STRUCTURE, frame)
    if cases is not None:
        raise AssertionError(f"rows that are no candidate table: {_named(cases)}")


def failures(frame: pl.DataFrame, but: Collection[Code]) -> pl.DataFrame:
    """A problem for each cell that fails CANDIDATE.

    Args:
        frame: rows in the form of STRUCTURE, with EXCUSED.
        but: codes that are allowed here.

    Raises:
        AssertionError: a check did not run, which is a fault of the program.
    """
    cases = _cases(CANDIDATE, frame.select(*CANDIDATE.columns))
    if cases is None:
        return empty()
    if cases["index"].null_count():
        raise AssertionError(f"checks that did not run: {_named(cases)}")
    found = []
    for (column, check), rows in cases.group_by("column", "check", maintain_order=True):
        code = Code(check)
        if code not in but:
            found.append(at(frame[rows["index"]], code, column=str(column)))
    return pl.concat(found) if found else empty()


def _cases(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame | None:
    """Pandera's failure cases, or None where all is well."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as exc:
        cases: pl.DataFrame = exc.failure_cases
        return cases
    return None


def _named(cases: pl.DataFrame) -> str:
    """Columns and checks of failure cases, without any value."""
    absent = pl.col("check") == "column_in_dataframe"  # the failure case is a column's name then
    column = pl.when(absent).then("failure_case").otherwise("column").alias("column")
    pairs = cases.select(column, "check").unique(maintain_order=True)
    return ", ".join(f"{column} ({check})" for column, check in pairs.iter_rows())
