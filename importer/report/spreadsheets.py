"""The rejected rows as a spreadsheet to fix: as they came, with what is wrong beside them."""

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
    from typing import BinaryIO

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

    Raises:
        ImporterError: the file cannot be written.
    """
    rejected = plan.rows.filter(pl.col("status") == RowStatus.REJECTED.value)
    parts = []
    for position, table in enumerate(plan.tables):
        here = rejected.filter(pl.col(SOURCE) == position).select(ROW)
        rows = originals(table).join(here, on=ROW, how="semi", maintain_order="left")
        parts.append(rows.with_columns(pl.lit(position, pl.UInt16).alias(SOURCE)))
    whole = pl.concat(parts, how="diagonal").join(
        _reasons(plan), on=[SOURCE, ROW], how="left", maintain_order="left"
    )
    whole = whole.with_columns(pl.col(ROW).cast(pl.String).alias("_row"))
    ours = ["_row", "_problems"]
    if len(plan.tables) > 1:
        ours = ["_file", *ours]
        whole = whole.with_columns(file_names([t.source.name for t in plan.tables]))
    theirs = [name for name in whole.columns if name not in {ROW, SOURCE, *ours}]
    with replacing(path) as out:
        write_csv(whole.select(*theirs, *ours), out.buffer, delimiter_of(plan.tables))


def delimiter_of(tables: Sequence[Table | None]) -> str:
    """The delimiter of the first text file; a comma where there is none."""
    known = (table.source.delimiter for table in tables if table is not None)
    return next((delimiter for delimiter in known if delimiter), ",")


def originals(table: Table) -> pl.DataFrame:
    """`#row` and the cells as they came, without what an earlier file of ours added."""
    return table.frame.drop(returned(table.frame.columns))


def file_names(names: Sequence[str]) -> pl.Expr:
    """The column `_file`, from `#source`."""
    position = pl.col(SOURCE).cast(pl.UInt32)
    return position.replace_strict(
        list(range(len(names))), list(names), return_dtype=pl.String
    ).alias("_file")


def write_csv(frame: pl.DataFrame, out: BinaryIO, delimiter: str = ",") -> None:
    """Writes text columns as a CSV that Excel opens rightly and takes no formula from."""
    safe = frame.select(_without_formula(name) for name in frame.columns)
    names = pl.DataFrame({"header": pl.Series(frame.columns, dtype=pl.String)})
    headers = names.select(_without_formula("header")).to_series().to_list()
    safe.rename(dict(zip(frame.columns, headers, strict=True))).write_csv(
        out, include_bom=True, separator=delimiter, line_terminator="\r\n"
    )


def _without_formula(name: str) -> pl.Expr:
    """The column with an apostrophe before whatever could be a formula; E.164 stays."""
    cell = pl.col(name)
    risky = cell.str.contains(_FORMULA) & ~cell.str.contains(_E164)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def _reasons(plan: Plan) -> pl.DataFrame:
    """`#source`, `#row` and `_problems`: what is wrong with a row and how to fix it, in a line."""
    wrong = plan.problems.filter(
        pl.col(ROW).is_not_null() & (pl.col("severity") != Severity.INFO.value)
    )
    place = pl.concat_str(pl.col("header"), pl.lit(": ")).fill_null("")
    said = pl.concat_str(place, "message", pl.lit(" "), "fix")
    return (
        with_words(wrong, plan.tables)
        .sort(SOURCE, ROW, "severity", maintain_order=True)  # "error" stands before "warning"
        .group_by(SOURCE, ROW, maintain_order=True)
        .agg(said.str.join(" | ").alias("_problems"))
    )
