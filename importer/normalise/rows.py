"""The cells of one file under their column names, and problems at some of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from importer.model import Normalised
from importer.normalise.booleans import booleans
from importer.normalise.countries import calling_codes, countries
from importer.normalise.emails import DETAIL, EMAIL, addresses
from importer.normalise.names import FIRST, LAST, split_names
from importer.normalise.text import BLANK, tidy, visible
from importer.phones import to_e164
from importer.problems import at, empty
from schemas.codes import Code
from schemas.columns import BY_NAME, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Table
    from importer.settings import Settings


_VALUE: Final = "value"
_NOW: Final = "now"
_DETAIL: Final = "detail"


@dataclass(frozen=True, slots=True, eq=False)
class RawCells:
    """Every cell as it came, under canonical columns and placeholder names.

    Attributes:
        where: `#source` and `#row` of each row.
        raw: text; the canonical columns that the file has, then the extra ones by name.
    """

    where: pl.DataFrame
    raw: pl.DataFrame

    @classmethod
    def of(cls, table: Table, position: int) -> RawCells:
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
            shown = RawCells(self.where[rows], self.raw[rows].select(visible(pl.col(column))))
            lengths = cells.gather(rows).str.len_chars().cast(pl.String)
            detail = lengths + f" characters, more than the {limit} of max_cell_chars"
            everyone = pl.Series([True]).new_from_index(0, rows.len())
            found.append(shown.wrong(column, Code.VALUE_TOO_LONG, everyone, detail))
        return found


_PHONE: Final = "phone_number"
_COUNTRY: Final = "country"
_FULL: Final = "full_name"
_BOOLEANS: Final = ("send_during_business_hours", "skip_duplication_check")
_LINES: Final = frozenset(BY_NAME) - {_PHONE}  # a line break parts two phones
_SPACELESS: Final = frozenset({_PHONE, _COUNTRY, *_BOOLEANS})

Columns: TypeAlias = "dict[str, pl.Series]"
Read: TypeAlias = "tuple[Columns, list[pl.DataFrame]]"


def normalise(table: Table, position: int, settings: Settings) -> Normalised:
    """Tidy and read every cell of a file.

    Args:
        table: the file as it was read.
        position: the file's place among those of the run.
        settings: `default_country` and `max_cell_chars`.

    Returns:
        All rows, and the problems of single cells. What cannot be read is null in the frame and
        stands as it came in its problem. The problems of `table` itself are not repeated.
    """
    cells = RawCells.of(table, position)
    tidied, odd = tidy(cells.raw, _LINES)
    text = {name: tidied[name] for name in tidied.columns}
    country, found = _countries(cells, text)
    now = text | country
    problems = [*cells.too_long(settings.max_cell_chars), *found]
    for columns, found in (
        _phones(cells, now, text.get(_COUNTRY), settings.default_country),
        _emails(cells, text),
        _booleans(cells, text),
        _names(cells, text),
    ):
        now |= columns
        problems += found
    problems += _changes(cells, odd, text, now)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, tidied.height)
    frame = cells.where.with_columns(
        *(now.get(name, nothing).alias(name) for name in BY_NAME),
        *(column for name, column in now.items() if name not in BY_NAME),
    )
    return Normalised(frame, pl.concat([empty(), *problems]))


def _countries(cells: RawCells, text: Mapping[str, pl.Series]) -> Read:
    """The rows' own countries."""
    if _COUNTRY not in text:
        return {}, []
    codes = countries(text[_COUNTRY])
    unknown = codes.is_null() & text[_COUNTRY].is_not_null()
    return {_COUNTRY: codes}, [cells.wrong(_COUNTRY, Code.COUNTRY_UNKNOWN, unknown)]


def _phones(
    cells: RawCells, now: Mapping[str, pl.Series], said: pl.Series | None, default: str | None
) -> Read:
    """Phones in the row's country, else the default one; never in a guess at an unknown country.

    Args:
        cells: as they came.
        now: tidy phones, and countries as codes.
        said: tidy countries as the rows say them.
        default: ISO alpha-2, or None.
    """
    if _PHONE not in now:
        return {}, []
    rows = now[_PHONE].len()
    place = pl.Series(_COUNTRY, [default], dtype=pl.String).new_from_index(0, rows)
    unclear = pl.Series([False]).new_from_index(0, rows)
    if said is not None:
        unclear = said.is_not_null() & now[_COUNTRY].is_null()
        place = now[_COUNTRY].zip_with(said.is_not_null(), place)
    read = to_e164(now[_PHONE], place)
    code = read["code"]
    found = []
    for fault in code.drop_nulls().unique(maintain_order=True):
        wrong = (code == fault).fill_null(value=False)
        if fault == Code.PHONE_COUNTRY_NEEDED.value:
            wrong &= ~unclear  # the unknown country is the fault, and is named already
        found.append(cells.wrong(_PHONE, Code(fault), wrong, read["detail"]))
    fixed_line = (~read["mobile"]).fill_null(value=False)
    found.append(cells.wrong(_PHONE, Code.PHONE_NOT_MOBILE, fixed_line))
    if said is not None:
        found.append(_abroad(cells, now[_COUNTRY], read["region"]))
    return {_PHONE: read["e164"]}, found


def _abroad(cells: RawCells, country: pl.Series, region: pl.Series) -> pl.DataFrame:
    """A warning where the phone's calling code is not that of the row's own country."""
    rows = (country != region).fill_null(value=False).arg_true()
    if not rows.len():
        return cells.wrong(_COUNTRY, Code.COUNTRY_DIFFERS, rows)
    codes = calling_codes()
    ours, theirs = (
        side.gather(rows).replace_strict(codes, default=None, return_dtype=pl.UInt16)
        for side in (country, region)
    )
    rows = rows.filter((ours != theirs).fill_null(value=False))
    detail = pl.select(
        pl.concat_str(pl.lit("phone "), pl.lit(region), pl.lit(", row "), pl.lit(country))
    ).to_series()
    return cells.wrong(_COUNTRY, Code.COUNTRY_DIFFERS, rows, detail)


def _emails(cells: RawCells, text: Mapping[str, pl.Series]) -> Read:
    """Addresses, and why the others are none."""
    if EMAIL not in text:
        return {}, []
    read = addresses(text[EMAIL])
    refused = cells.wrong(EMAIL, Code.EMAIL_INVALID, read[DETAIL].is_not_null(), read[DETAIL])
    return {EMAIL: read[EMAIL]}, [refused]


def _booleans(cells: RawCells, text: Mapping[str, pl.Series]) -> Read:
    """`true` and `false`."""
    columns = {name: booleans(text[name]) for name in _BOOLEANS if name in text}
    return columns, [
        cells.wrong(name, Code.BOOLEAN_INVALID, read.is_null() & text[name].is_not_null())
        for name, read in columns.items()
    ]


def _names(cells: RawCells, text: Mapping[str, pl.Series]) -> Read:
    """First and last names out of full names, where there is no first name."""
    if _FULL not in text:
        return {}, []
    full = text[_FULL]
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, full.len())
    first, last = text.get(FIRST, nothing), text.get(LAST, nothing)
    rows = (first.is_null() & full.is_not_null()).arg_true()
    if not rows.len():
        return {}, []
    names = split_names(full.gather(rows), last.gather(rows))
    first = first.clone().scatter(rows, names[FIRST])
    last = last.clone().scatter(rows, names[LAST])
    split = rows.filter(names[FIRST].is_not_null())
    detail = pl.select(
        pl.concat_str(
            pl.lit("first name "),
            pl.lit(first),
            pl.when(pl.lit(last).is_null())
            .then(pl.lit(", no last name"))
            .otherwise(pl.lit(", last name ") + pl.lit(last)),
        )
    ).to_series()
    return (
        {FIRST: first.alias(FIRST), LAST: last.alias(LAST)},
        [cells.wrong(_FULL, Code.NAME_SPLIT, split, detail)],
    )


def _changes(
    cells: RawCells,
    odd: Mapping[str, pl.Series],
    text: Mapping[str, pl.Series],
    now: Mapping[str, pl.Series],
) -> list[pl.DataFrame]:
    """`value-changed` wherever a cell became something else than its reading.

    Args:
        cells: as they came.
        odd: per column, positions of the cells that tidying changed.
        text: the tidy cells.
        now: the cells as they have become.
    """
    found = []
    for column, rows in odd.items():
        if column == EMAIL:
            continue
        before, after = cells.raw[column].gather(rows), text[column].gather(rows)
        if column in _SPACELESS:
            before, after = (side.str.replace_all(BLANK, "") for side in (before, after))
        else:
            before = before.str.strip_chars(" \t\r\n")
        found.append(cells.changed(column, rows.filter(before != after), now[column]))
    if EMAIL in text:
        before, after = cells.raw[EMAIL], now[EMAIL]
        rows = (before != after).fill_null(value=False).arg_true()
        before = before.gather(rows).str.strip_chars(" \t\r\n").str.to_lowercase()
        rows = rows.filter(before != after.gather(rows).str.to_lowercase())
        found.append(cells.changed(EMAIL, rows, after))
    return found
