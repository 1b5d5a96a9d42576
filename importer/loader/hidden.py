"""What a spreadsheet program does not show is left out, and what it merges is spread."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

import polars as pl

from importer.loader.parts import column_letters, ranges
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.loader.parts import Merged, Parts


@dataclass(frozen=True, slots=True)
class Gone:
    """What was left out.

    Attributes:
        detail: the rows and columns for people; empty where nothing was.
        headers: of the columns.
    """

    detail: str = ""
    headers: tuple[str, ...] = ()


def without(frame: pl.DataFrame, names: Sequence[str], parts: Parts) -> tuple[pl.DataFrame, Gone]:
    """The cells that are shown, and what is not.

    Args:
        frame: `#row` and `0`, `1`, ... below the header, without blank rows.
        names: the cells of the header row, those of hidden columns too.
        parts: of the sheet.
    """
    rows = sorted(parts.hidden_rows.intersection(frame[ROW])) if parts.hidden_rows else []
    columns = [
        place
        for place in sorted(parts.hidden_columns)
        if place < len(names)
        and (names[place].strip() or frame[str(place)].null_count() < frame.height)
    ]
    said = []
    if rows:
        said.append(f"{'row' if len(rows) == 1 else 'rows'} {ranges(rows)}")
        frame = frame.filter(~pl.col(ROW).is_in(rows))
    if columns:
        shown = ", ".join(_named(place, names[place]) for place in columns)
        said.append(f"{'column' if len(columns) == 1 else 'columns'} {shown}")
        empty = pl.lit(None, dtype=pl.String)
        frame = frame.with_columns(empty.alias(str(place)) for place in columns)
    headers = tuple(names[place] for place in columns if names[place].strip())
    return frame, Gone(" and ".join(said), headers)


def _named(place: int, name: str) -> str:
    return f"{column_letters(place)} (“{name}”)" if name.strip() else column_letters(place)


def spread(frame: pl.DataFrame, merged: Sequence[Merged]) -> tuple[pl.DataFrame, str]:
    """Merged cells read as their one value in each of their rows, and a sentence that says so.

    Only empty cells of the block's first column are filled, in rows that are not blank.
    """
    rows = frame[ROW].to_list()
    columns: dict[int, dict[int, str]] = {}
    filled = []
    for block in merged:
        first = bisect_left(rows, block.top)
        last = bisect_right(rows, block.bottom)
        name = str(block.left)
        if name not in frame.columns or first >= last - 1 or rows[first] != block.top:
            continue
        cells = frame[name][first:last]
        if cells[0] is None or cells.null_count() < cells.len() - 1:
            continue
        columns.setdefault(block.left, {}).update(dict.fromkeys(rows[first + 1 : last], cells[0]))
        letters = column_letters(block.left)
        filled.append(f"{letters}{block.top}:{letters}{block.bottom}")
    frame = _with(frame, columns)
    if not filled:
        return frame, ""
    shown = ", ".join(filled[:5]) + (" and more" if len(filled) > 5 else "")  # noqa: PLR2004
    return frame, f"Merged cells were read as their value in each of their rows: {shown}."


def shown(frame: pl.DataFrame, parts: Parts) -> pl.DataFrame:
    """The cells as the spreadsheet program shows them: errors by name, padded numbers whole."""
    columns: dict[int, dict[int, str]] = {}
    for (row, place), error in parts.errors.items():
        columns.setdefault(place, {})[row] = error
    for (row, place), digits in parts.padded.items():
        if str(place) in frame.columns and row <= frame.height:
            value = frame[str(place)][row - 1]
            if value is not None and value.isdigit() and len(value) < digits:
                columns.setdefault(place, {})[row] = value.zfill(digits)
    return _with(frame, columns)


def _with(frame: pl.DataFrame, columns: Mapping[int, Mapping[int, str]]) -> pl.DataFrame:
    """The same cells with some values instead of what stands there: column -> row -> value."""
    for place, values in columns.items():
        name = str(place)
        if name not in frame.columns:
            continue
        now = pl.DataFrame(
            {ROW: list(values), "now": list(values.values())},
            schema={ROW: pl.UInt32, "now": pl.String},
        )
        frame = (
            frame.join(now, on=ROW, how="left", maintain_order="left")
            .with_columns(pl.coalesce("now", name).alias(name))
            .drop("now")
        )
    return frame
