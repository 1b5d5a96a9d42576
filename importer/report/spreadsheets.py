"""The rejected rows as a spreadsheet to fix: as they came, with what is wrong beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl
import polars.selectors as cs

from importer.model import RowStatus
from importer.problems import with_words
from importer.report.files import replacing
from schemas.codes import Severity
from schemas.columns import ROW, SOURCE, returned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from importer.model import Plan, Table

# Excel and its kin take a cell that begins so for a formula, whatever the quotation marks say.
_BEGINNINGS: Final = [*"=+-@\t\r\n＝＋－＠"]
_E164: Final = r"^\+[1-9][0-9]{1,14}$"
_AT_ONCE: Final = 100_000


def write_rejected(plan: Plan, path: Path) -> None:
    """Writes the rejected rows as they came, with `_row` and `_problems` after them, as CSV.

    The file has a byte-order mark and the delimiter of the first text file (a comma for
    workbooks), so that Excel opens it rightly. Rows of several files go into one: columns of the
    same header share a column, the others follow in order, and `_file` says where a row is from.
    A cell that a spreadsheet program would take for a formula gets an apostrophe before it.

    Raises:
        ImporterError: the file cannot be written.
    """
    several = len(plan.tables) > 1
    frames = [originals(table) for table in plan.tables]
    theirs = dict.fromkeys(name for frame in frames for name in frame.columns if name != ROW)
    ours = ["_file", "_row", "_problems"] if several else ["_row", "_problems"]
    empty = pl.DataFrame(schema=dict.fromkeys([*theirs, *ours], pl.String))
    with replacing(path) as out:
        delimiter = delimiter_of(plan.tables)
        write_csv(empty, out.buffer, delimiter)
        for frame in _rejected(plan, frames):
            write_csv(
                pl.concat([empty, frame.select(cs.by_name(empty.columns, require_all=False))],
                          how="diagonal"),
                out.buffer,
                delimiter,
                begins=False,
            )  # fmt: skip


def _rejected(plan: Plan, frames: Sequence[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rejected rows, some at a time, with `_file`, `_row` and `_problems`."""
    rejected = plan.rows.filter(pl.col("status") == RowStatus.REJECTED.value).select(SOURCE, ROW)
    problems = plan.problems.filter(pl.col("severity") != Severity.INFO.value)
    for position, (table, frame) in enumerate(zip(plan.tables, frames, strict=True)):
        here = rejected.filter(pl.col(SOURCE) == position)
        for rows in here.iter_slices(_AT_ONCE):
            near = pl.col(ROW).is_between(rows[ROW].min(), rows[ROW].max())
            cells, wrong = frame.filter(near), problems.filter(near & (pl.col(SOURCE) == position))
            yield (
                rows.join(cells, on=ROW, how="left", maintain_order="left")
                .join(
                    _reasons(wrong, plan.tables),
                    on=[SOURCE, ROW],
                    how="left",
                    maintain_order="left",
                )
                .with_columns(
                    pl.lit(table.source.name).alias("_file"),
                    pl.col(ROW).cast(pl.String).alias("_row"),
                )
            )


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


def write_csv(
    frame: pl.DataFrame, out: BinaryIO, delimiter: str = ",", *, begins: bool = True
) -> None:
    """Writes text columns as a CSV that Excel opens rightly and takes no formula from.

    Args:
        frame: text; a null is an empty cell.
        out: where to.
        delimiter: between cells.
        begins: the byte-order mark and the headers come first.
    """
    safe = frame.select(_without_formula(name) for name in frame.columns)
    names = pl.DataFrame({"header": pl.Series(frame.columns, dtype=pl.String)})
    headers = names.select(_without_formula("header")).to_series().to_list()
    safe.rename(dict(zip(frame.columns, headers, strict=True))).write_csv(
        out,
        include_bom=begins,
        include_header=begins,
        separator=delimiter,
        line_terminator="\r\n",
    )


def _without_formula(name: str) -> pl.Expr:
    """The column with an apostrophe before whatever could be a formula; E.164 stays."""
    cell = pl.col(name)
    risky = cell.str.head(1).is_in(_BEGINNINGS) & ~cell.str.contains(_E164)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def _reasons(wrong: pl.DataFrame, tables: Sequence[Table]) -> pl.DataFrame:
    """`#source`, `#row` and `_problems`: what is wrong with a row and how to fix it, in a line."""
    place = pl.concat_str(pl.col("header"), pl.lit(": ")).fill_null("")
    said = pl.concat_str(place, "message", pl.lit(" "), "fix").alias("_problems")
    return (
        with_words(wrong, tables)
        .sort(SOURCE, ROW, "severity", maintain_order=True)  # "error" stands before "warning"
        .select(SOURCE, ROW, said)
        .group_by(SOURCE, ROW, maintain_order=True)
        .agg("_problems")
        .with_columns(pl.col("_problems").list.join(" | "))
    )
