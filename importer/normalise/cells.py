"""The cells of one file under their column names, and problems at some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.normalise.text import visible
from importer.problems import at, empty
from schemas.codes import Code
from schemas.columns import BY_NAME, ROW, SOURCE

if TYPE_CHECKING:
    from importer.model import Table

_VALUE: Final = "value"
_NOW: Final = "now"
_DETAIL: Final = "detail"


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """Every cell as it came, under canonical columns and placeholder names.

    Attributes:
        where: `#source` and `#row` of each row.
        raw: text; the canonical columns that the file has, then the extra ones by name.
    """

    where: pl.DataFrame
    raw: pl.DataFrame

    @classmethod
    def of(cls, table: Table, position: int) -> Cells:
        """The cells of a file; of two headers for one column the first counts."""
        headers: dict[str, str] = {}
        for header, column in (*table.mapping.items(), *table.extra.items()):
            headers.setdefault(column, header)
        names = [name for name in BY_NAME if name in headers]
        names += sorted(headers.keys() - BY_NAME.keys())
        rows = table.frame.get_column(ROW).cast(pl.UInt32)
        source = pl.Series(SOURCE, [position], dtype=pl.UInt16).new_from_index(0, rows.len())
        return cls(
            pl.DataFrame([source, rows]),
            pl.DataFrame({name: table.frame.get_column(headers[name]) for name in names}),
        )

    def wrong(
        self, column: str, code: Code, rows: pl.Series, detail: pl.Series | None = None
    ) -> pl.DataFrame:
        """A problem at each of some rows.

        Args:
            column: where in the row.
            code: what is wrong.
            rows: positions, or for each row whether it is wrong.
            detail: text for each row of the file, not only for the wrong ones.
        """
        if rows.dtype == pl.Boolean:
            rows = rows.arg_true()
        if not rows.len():
            return empty()
        frame = self.where[rows].with_columns(self.raw[column].gather(rows).alias(_VALUE))
        if detail is None:
            return at(frame, code, column=column, value=pl.col(_VALUE))
        frame = frame.with_columns(detail.gather(rows).alias(_DETAIL))
        return at(frame, code, column=column, value=pl.col(_VALUE), detail=pl.col(_DETAIL))

    def changed(self, column: str, rows: pl.Series, now: pl.Series) -> pl.DataFrame:
        """`value-changed` at some rows.

        Args:
            column: where in the row.
            rows: positions.
            now: the column as it has become; cells that have become null are no change.
        """
        frame = self.where[rows].with_columns(
            self.raw[column].gather(rows).alias(_VALUE), now.gather(rows).alias(_NOW)
        )
        frame = frame.filter(pl.col(_NOW).is_not_null())
        if not frame.height:
            return empty()
        detail = pl.concat_str(
            pl.lit("`"),
            visible(pl.col(_VALUE)),
            pl.lit("` -> `"),
            visible(pl.col(_NOW)),
            pl.lit("`"),
        )
        return at(frame, Code.VALUE_CHANGED, column=column, value=pl.col(_VALUE), detail=detail)

    def too_long(self, limit: int) -> list[pl.DataFrame]:
        """`value-too-long` at every cell of more than `limit` characters."""
        found = []
        for column in self.raw.columns:
            cells = self.raw[column]
            longest = cells.str.len_bytes().max()
            if not isinstance(longest, int) or longest <= limit:
                continue
            rows = (cells.str.len_chars() > limit).arg_true()
            shown = Cells(self.where[rows], self.raw[rows].select(visible(pl.col(column))))
            lengths = cells.gather(rows).str.len_chars().cast(pl.String)
            detail = lengths + f" characters, more than the {limit} of max_cell_chars"
            everyone = pl.Series([True]).new_from_index(0, rows.len())
            found.append(shown.wrong(column, Code.VALUE_TOO_LONG, everyone, detail))
        return found
