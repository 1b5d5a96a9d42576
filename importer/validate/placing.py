"""Problems of rows at the cells of the file that they came from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.problems import COLUMN, empty, errors
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.model import Table

_MEANT: Final = {
    Code.CONTACT_MISSING: ("phone_number", "email"),
    Code.FIRST_NAME_MISSING: ("first_name", "full_name"),
    Code.CAMPAIGN_MISSING: ("campaign", "external_campaign"),
}
"""The columns that can prevent a problem, the usual one first."""
_RAW: Final = "raw"


def one_frame(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All problems in one frame, in the order in which they were found."""
    some = [frame for frame in found if frame.height]
    return pl.concat(some) if some else empty()


def of_file(table: Table, position: int) -> pl.DataFrame:
    """The problems that were found when a file was read, with its position."""
    return table.problems.with_columns(pl.lit(position, dtype=pl.UInt16).alias(SOURCE))


def one_cause(found: pl.DataFrame) -> pl.DataFrame:
    """The same problems, but of a cell with a spreadsheet error (`#REF!`) only that it has one."""
    broken = errors(found).filter(pl.col("code") == Code.CELL_ERROR.value)
    if not broken.height:
        return found
    place = [SOURCE, ROW, "column"]
    others = found.join(broken.select(place), on=place, how="anti", maintain_order="left")
    return one_frame([broken, others])


def whole_file(refused: pl.DataFrame, table: Table) -> bool:
    """Whether an error of a file is not at one of its rows but at the header, or at none."""
    row = refused[ROW]
    return row.null_count() > 0 or bool((row <= table.source.header_row).any())


def at_their_columns(failed: pl.DataFrame, refused: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The failures of whole rows, each at a column that the file has.

    What every row of a file lacks because the column is missing has been said once, of the file.

    Args:
        failed: what the schema found.
        refused: errors that were found before, those of the file among them.
        table: the file.
    """
    if not failed.height:
        return failed
    lacking = Code.COLUMN_MISSING.value in refused["code"]
    for code, columns in _MEANT.items():
        this = pl.col("code") == code.value
        there = [name for name in columns if name in table.mapping.values()]
        if not there and lacking and code is not Code.CAMPAIGN_MISSING:
            failed = failed.filter(~this)
        elif there and there[0] != columns[0]:
            failed = failed.with_columns(
                pl.when(this)
                .then(pl.lit(there[0], dtype=COLUMN))
                .otherwise("column")
                .alias("column")
            )
    return failed


def as_they_came(found: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The same problems with the cell of the file as their value, not what it was read as."""
    parts = []
    for (column,), part in found.group_by("column", maintain_order=True):
        header = next((name for name, its in table.mapping.items() if its == column), None)
        if header is None:
            parts.append(part)
            continue
        raw = table.frame.get_column(header).fill_null("").alias(_RAW)
        cells = pl.DataFrame([table.frame.get_column(ROW), raw])
        parts.append(
            part.join(cells, on=ROW, how="left", maintain_order="left").select(
                pl.col(_RAW).alias("value") if name == "value" else name for name in part.columns
            )
        )
    return one_frame(parts)
