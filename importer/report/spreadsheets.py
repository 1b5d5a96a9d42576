"""Spreadsheets that go back to the user: rejected rows to fix, and the results of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import RowStatus
from importer.problems import with_words
from importer.report.files import replacing
from schemas.codes import Severity
from schemas.columns import ROW, SOURCE, returned

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.model import Plan, Table

# Excel and its kin take a cell that begins so for a formula, whatever the quotation marks say.
_FORMULA: Final = r"^[=+\-@\t\r\n＝＋－＠]"
_E164: Final = r"^\+[1-9][0-9]{1,14}$"


def write_rejected(plan: Plan, path: Path) -> None:
    """Writes the rejected rows as they came, with `_row` and `_problems` after them, as CSV.

    The file has a byte-order mark and the delimiter of the first text file (a comma for
    workbooks), so that Excel opens it rightly. Rows of several files go into one: columns of the
    same header share a column, the others follow in order, and `_file` says where a row is from.
    A cell that a spreadsheet program would take for a formula gets an apostrophe before it.
    """
    rejected = plan.rows.filter(pl.col("status") == RowStatus.REJECTED.value)
    reasons = _reasons(plan)
    parts = []
    for position, table in enumerate(plan.tables):
        here = rejected.filter(pl.col(SOURCE) == position).select(ROW)
        originals = _originals(table).join(here, on=ROW, how="semi", maintain_order="left")
        why = reasons.filter(pl.col(SOURCE) == position).select(ROW, "_problems")
        parts.append(
            originals.join(why, on=ROW, how="left", maintain_order="left").with_columns(
                pl.lit(table.source.name).alias("_file")
            )
        )
    whole = pl.concat(parts, how="diagonal") if parts else pl.DataFrame()
    ours = (["_file"] if len(parts) > 1 else []) + ["_row", "_problems"]
    if whole.width:
        whole = whole.with_columns(pl.col(ROW).cast(pl.String).alias("_row"))
        originals_first = [name for name in whole.columns if name not in {ROW, "_file", *ours}]
        whole = whole.select(*originals_first, *ours)
    write_csv(whole, path, delimiter_of(plan.tables))


def delimiter_of(tables: Sequence[Table]) -> str:
    """The delimiter of the first text file; a comma where there is none."""
    return next((table.source.delimiter for table in tables if table.source.delimiter), ",")


def write_csv(frame: pl.DataFrame, path: Path, delimiter: str = ",") -> None:
    """Writes text columns as a CSV that Excel opens rightly and takes no formula from."""
    safe = frame.select(_without_formula(name) for name in frame.columns)
    names = pl.Series(frame.columns, dtype=pl.String)
    headers = names.to_frame("h").select(_without_formula("h")).to_series().to_list()
    with replacing(path) as out:
        safe.rename(dict(zip(frame.columns, headers, strict=True))).write_csv(
            out.buffer, include_bom=True, separator=delimiter, line_terminator="\r\n"
        )


def _without_formula(name: str) -> pl.Expr:
    """The column with an apostrophe before whatever could be a formula."""
    cell = pl.col(name)
    risky = cell.str.contains(_FORMULA) & ~cell.str.contains(_E164)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def _originals(table: Table) -> pl.DataFrame:
    """The cells as they came, without the columns that an earlier file of ours added."""
    return table.frame.drop(returned(table.frame.columns))


def _reasons(plan: Plan) -> pl.DataFrame:
    """`#source`, `#row` and `_problems`: what is wrong with a row and how to fix it, in a line."""
    wrong = plan.problems.filter(
        pl.col(ROW).is_not_null() & (pl.col("severity") != Severity.INFO.value)
    )
    place = (
        pl.when(pl.col("header").is_not_null()).then(pl.col("header") + ": ").otherwise(pl.lit(""))
    )
    return (
        with_words(wrong, plan.tables)
        .sort(SOURCE, ROW, "severity", maintain_order=True)  # "error" stands before "warning"
        .group_by(SOURCE, ROW, maintain_order=True)
        .agg(pl.concat_str(place, "message", pl.lit(" "), "fix").str.join(" | ").alias("_problems"))
    )
