"""Small tables as the loader gives them, for the tests of checking."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

import polars as pl

from importer import problems
from importer.model import CheckedRows, Source, Table
from importer.normalise import normalise
from importer.problems import concat
from importer.settings import Settings
from importer.validate import DuplicateFinder, check_rows, exclude_repeats
from schemas.columns import BY_NAME, ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


Row: TypeAlias = "Mapping[str, str | None]"

SETTINGS = Settings(campaign="camp-42", default_country="GB")


def table(
    rows: Sequence[Row],
    *,
    columns: Sequence[str] = (),
    name: str = "list.csv",
    found: pl.DataFrame | None = None,
    first_row: int = 2,
) -> Table:
    """Return a file whose headers are the columns' own names; any other header is an extra column.

    Args:
        rows: column -> cell; the first one is spreadsheet row `first_row`.
        columns: the headers; those of the first row by default.
        name: of the file.
        found: problems of the file.
        first_row: where the data begins; the header stands above it.
    """
    headers = list(columns or (rows[0] if rows else ()))
    cells = [
        pl.Series(header, [row.get(header) for row in rows], dtype=pl.String) for header in headers
    ]
    numbers = pl.Series(ROW, range(first_row, first_row + len(rows)), dtype=pl.UInt32)
    return Table(
        source=Source(name=name, sha256="0" * 64, path=None, size=1, header_row=first_row - 1),
        frame=pl.DataFrame([numbers, *cells]),
        mapping={header: header for header in headers if header in BY_NAME},
        extra={header: header for header in headers if header not in BY_NAME},
        ignored=(),
        problems=problems.empty() if found is None else found,
    )


def check_tables(*tables: Table, settings: Settings = SETTINGS) -> CheckedRows:
    """Return the tables after normalising and validating, in the order of the run."""
    finder = DuplicateFinder([each.source.name for each in tables], settings)
    parts = [
        exclude_repeats(check_rows(normalise(each, position, settings), settings), finder, settings)
        for position, each in enumerate(tables)
    ]
    return CheckedRows(
        frame=pl.concat([part.frame for part in parts], how="diagonal"),
        problems=concat([part.problems for part in parts]),
        rows=pl.concat([part.rows for part in parts]),
    )


def problem_places(frame: pl.DataFrame) -> list[tuple[int | None, str | None, str]]:
    """Return row, column and code of each problem."""
    return frame.select("#row", "column", "code").rows()


def statuses(result: CheckedRows) -> list[str]:
    """Return the status of each row."""
    return result.rows["status"].to_list()
