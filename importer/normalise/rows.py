"""Clean the cells of one file, and report every cell that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.normalise.countries import calling_codes, read_countries
from importer.normalise.emails import DETAIL, EMAIL, find_typos, read_emails
from importer.normalise.names import (
    FIRST,
    FULL,
    LAST,
    decode_names,
    find_name_faults,
    split_names,
    unquote_names,
)
from importer.normalise.text import (
    BLANK,
    blank_missing,
    is_repetitive,
    read_booleans,
    spell_out,
    tidy,
)
from importer.phones import drop_remarks, read_phones
from importer.problems import at
from schemas.codes import Code
from schemas.columns import BY_NAME, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from importer.model import Table
    from importer.settings import Settings


_PHONE: Final = "phone_number"
_COUNTRY: Final = "country"
_CANDIDATE: Final = "candidate_id"
_BRACES: Final = r"\{\{|\}\}"
_SENT_AS_WRITTEN: Final = (_CANDIDATE, EMAIL, "campaign", "external_campaign")
_LONGEST_LOCAL: Final = 8  # digits of a number without its area code
_NOTHING: Final = r"(?i)^\s*(?:n/?a|#n/a|none|null|nil|-+|x)?\s*$"
_BOOLEANS: Final = ("send_during_business_hours", "skip_duplication_check")
_LINES: Final = frozenset(BY_NAME) - {_PHONE}  # a line break separates two phones
_SPACELESS: Final = frozenset({_PHONE, _COUNTRY, *_BOOLEANS})


_NAMES: Final = (FIRST, LAST, FULL)
_CONTACTS: Final = (_PHONE, EMAIL)
_STEERING: Final = (*("campaign", "external_campaign", "meeting_template", "participant_template"),)
"""Columns in which "none" does not count as empty, because a default would replace it."""


_LOST: Final = "\N{REPLACEMENT CHARACTER}"
"""In a row whose encoding is in doubt, a cell with it is not a separate fault."""

_NO_ERROR: Final = (
    (pl.col("code") == Code.CELL_ERROR.value)
    & (pl.col("value").str.strip_chars() == "#N/A")
    & pl.col("column").is_in([*_CONTACTS, LAST, _COUNTRY, _CANDIDATE])
).fill_null(value=False)
"""`#N/A` in a cell that may be empty: a look-up found nothing, so the cell counts as empty."""


def normalise(table: Table, position: int, settings: Settings) -> Table:
    """Clean and read every cell of a file.

    Args:
        table: the file as read.
        position: the position of the file among the files of the run.
        settings: `default_country` and `max_cell_chars`.

    Returns:
        The table with its `clean` cells, and with problems of single cells added to its own.
        A cell that cannot be read is null in `clean`; its problem shows the raw text.
    """
    cells = _Cells.of(table, position)
    odd = cells.tidy()
    cells.report_long(settings.max_cell_chars)
    given = cells.clean.get(_COUNTRY)
    _read_countries(cells)
    _read_phones(cells, given, settings.default_country)
    _read_emails(cells)
    _read_booleans(cells)
    _read_names(cells)
    _report_changes(cells, odd)
    own = table.problems.filter(~_NO_ERROR).with_columns(
        pl.lit(position, dtype=pl.UInt16).alias(SOURCE)
    )
    lost = pl.col("value").str.contains(_LOST, literal=True)
    doubtful = own.filter(pl.col("code") == Code.ENCODING_DOUBTFUL.value)[ROW]
    found = [
        frame.filter(~(lost & pl.col(ROW).is_in(doubtful.implode()))) for frame in cells.problems
    ]
    return replace(table, clean=cells.frame(), problems=pl.concat([own, *found]))


@dataclass(slots=True, eq=False)
class _Cells:
    """The cells of one file under canonical and placeholder names, while they are read.

    Attributes:
        where: `#source` and `#row` of each row.
        raw: the raw text; the canonical columns that the file has, then the extra ones.
        text: the same columns without stray characters.
        clean: the same columns, with the values that were read so far.
        words: repetitive columns that needed no tidying -> their distinct cells.
        problems: problem frames, in the order of reading.
    """

    where: pl.DataFrame
    raw: pl.DataFrame
    text: dict[str, pl.Series] = field(default_factory=dict)
    clean: dict[str, pl.Series] = field(default_factory=dict)
    words: dict[str, pl.Series] = field(default_factory=dict)
    problems: list[pl.DataFrame] = field(default_factory=list)

    @classmethod
    def of(cls, table: Table, position: int) -> _Cells:
        """Take the cells of a file; if two headers mean one column, the first counts."""
        headers: dict[str, str] = {}
        for header, column in (*table.mapping.items(), *table.extra.items()):
            headers.setdefault(column, header)
        names = [name for name in BY_NAME if name in headers]
        names += sorted(headers.keys() - BY_NAME.keys())
        rows = table.frame.get_column(ROW).cast(pl.UInt32)
        source = pl.Series(SOURCE, [position], dtype=pl.UInt16).new_from_index(0, rows.len())
        return cls(
            pl.DataFrame([source, rows]),
            pl.DataFrame(
                {
                    name: _first_filled(table, headers[name], table.fallbacks.get(name, ()))
                    for name in names
                }
            ),
        )

    def tidy(self) -> dict[str, pl.Series]:
        """Repair names, remove stray characters, and empty cells that say "not available".

        Returns:
            For each column the positions of the cells that may have changed.
        """
        for column in self.raw:
            if is_repetitive(column):
                words = column.unique()
                text, _ = _tidy_columns(words.to_frame())
                if text[column.name].equals(words, null_equal=True):
                    self.words[column.name] = words
        text, odd = _tidy_columns(self.raw.drop(self.words))
        self.text = {name: text.get(name, self.raw[name]) for name in self.raw.columns}
        self.clean = dict(self.text)
        return odd

    def frame(self) -> pl.DataFrame:
        """Return all rows, with every canonical column and then the extra ones."""
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, self.where.height)
        return self.where.with_columns(
            *(self.clean.get(name, nothing).alias(name) for name in BY_NAME),
            *(column for name, column in self.clean.items() if name not in BY_NAME),
        )

    def report(
        self, column: str, code: Code, rows: pl.Series, detail: pl.Series | None = None
    ) -> None:
        """Add a problem to some rows.

        Args:
            column: the column at fault.
            code: what is wrong.
            rows: positions, or for each row whether it is wrong.
            detail: text for each row of the file, not only for the wrong ones.
        """
        if rows.dtype == pl.Boolean:
            rows = rows.arg_true()
        if not rows.len():
            return
        frame = self.where[rows].with_columns(self.raw[column].gather(rows).alias("value"))
        if detail is None:
            self.problems.append(at(frame, code, column=column, value=pl.col("value")))
            return
        frame = frame.with_columns(detail.gather(rows).alias("detail"))
        self.problems.append(
            at(frame, code, column=column, value=pl.col("value"), detail=pl.col("detail"))
        )

    def report_change(self, column: str, rows: pl.Series) -> None:
        """Add `value-changed` at the positions `rows`, except for cells that became null."""
        frame = self.where[rows].with_columns(
            self.raw[column].gather(rows).alias("value"),
            self.clean[column].gather(rows).alias("now"),
        )
        frame = frame.filter(pl.col("now").is_not_null())
        if not frame.height:
            return
        shown = spell_out(pl.col("value")), spell_out(pl.col("now"))
        detail = pl.format("`{}` -> `{}`", *shown)
        self.problems.append(
            at(frame, Code.VALUE_CHANGED, column=column, value=pl.col("value"), detail=detail)
        )

    def report_long(self, limit: int) -> None:
        """Add `value-too-long` for every cell of more than `limit` characters."""
        for column in self.raw.columns:
            cells = self.raw[column]
            longest = cells.str.len_bytes().max()
            if not isinstance(longest, int) or longest <= limit:
                continue
            rows = (cells.str.len_chars() > limit).arg_true()
            frame = self.where[rows].with_columns(cells.gather(rows).alias("value"))
            count = pl.col("value").str.len_chars()
            self.problems.append(
                at(
                    frame,
                    Code.VALUE_TOO_LONG,
                    column=column,
                    value=spell_out(pl.col("value")),
                    detail=pl.format(f"{{}} characters, more than max_cell_chars ({limit})", count),
                )
            )


def _tidy_columns(raw: pl.DataFrame) -> tuple[dict[str, pl.Series], dict[str, pl.Series]]:
    """Return the tidy columns, and for each column the positions of cells that may have changed."""
    names = [name for name in _NAMES if name in raw.columns]
    decoded = raw.with_columns(decode_names(raw[name]) for name in names)
    tidied, odd = tidy(decoded, _LINES)
    tidied = tidied.with_columns(unquote_names(tidied[name]) for name in names)
    for name in names:
        changed = (raw[name] != tidied[name]).fill_null(value=False).arg_true()
        odd[name] = pl.concat([odd.get(name, changed.clear()), changed]).unique().sort()
    text = {
        name: tidied[name]
        if name in _STEERING
        else blank_missing(tidied[name], contact=name in _CONTACTS)
        for name in tidied.columns
    }
    return text, odd


def _first_filled(table: Table, header: str, fallbacks: Sequence[str]) -> pl.Series:
    """Return the cells of a header; fill empty ones from the first fallback that has a value."""
    cells = _with_area_code(table, header)
    for name in fallbacks:
        other = _with_area_code(table, name)
        empty = cells.str.contains(_NOTHING).fill_null(value=True)
        useful = ~other.str.contains(_NOTHING).fill_null(value=True)
        cells = other.zip_with(empty & useful, cells)
    return cells


def _with_area_code(table: Table, header: str) -> pl.Series:
    """Return a header's cells, after the area codes if another column has those.

    A number that begins with + or 0, or is long, already has its area code.
    """
    area = table.prefixes.get(header)
    if area is None:
        return table.frame.get_column(header)
    pair = {"number": table.frame.get_column(header), "code": table.frame.get_column(area)}
    number, code = pl.col("number"), pl.col("code")
    few = number.str.count_matches(r"\d").is_between(1, _LONGEST_LOCAL)
    local = few & ~number.str.contains(r"^\s*[+0]") & code.str.contains(r"\d")
    joined = pl.when(local).then(pl.concat_str(code, pl.lit(" "), number)).otherwise(number)
    return pl.DataFrame(pair).select(joined.alias(header)).to_series()


def _read_countries(cells: _Cells) -> None:
    """Read the rows' own countries."""
    if _COUNTRY not in cells.text:
        return
    given = cells.text[_COUNTRY]
    cells.clean[_COUNTRY] = read_countries(given)
    unknown = cells.clean[_COUNTRY].is_null() & given.is_not_null()
    cells.report(_COUNTRY, Code.COUNTRY_UNKNOWN, unknown)


def _read_phones(cells: _Cells, given: pl.Series | None, default: str | None) -> None:
    """Read each phone in its row's country; in the default country only if the row names none.

    Args:
        cells: with their countries read.
        given: the countries as written in the rows.
        default: ISO alpha-2, or None.
    """
    if _PHONE not in cells.text:
        return
    rows = cells.where.height
    country = pl.Series(_COUNTRY, [default], dtype=pl.String).new_from_index(0, rows)
    unclear = pl.Series([False]).new_from_index(0, rows)
    if given is not None:
        unclear = given.is_not_null() & cells.clean[_COUNTRY].is_null()
        country = cells.clean[_COUNTRY].zip_with(given.is_not_null(), country)
    cells.text[_PHONE] = drop_remarks(cells.text[_PHONE])
    read = read_phones(cells.text[_PHONE], country)
    code = read["code"]
    for fault in code.drop_nulls().unique(maintain_order=True):
        wrong = (code == fault).fill_null(value=False)
        if fault == Code.PHONE_COUNTRY_NEEDED.value:
            wrong &= ~unclear  # the unknown country is the cause, and is reported already
        cells.report(_PHONE, Code(fault), wrong, read["detail"])
    cells.report(_PHONE, Code.PHONE_NOT_MOBILE, (~read["mobile"]).fill_null(value=False))
    cells.clean[_PHONE] = read["e164"]
    if given is not None:
        _compare_countries(cells, read["region"])
        _narrow_countries(cells, given, read["region"])


def _narrow_countries(cells: _Cells, given: pl.Series, region: pl.Series) -> None:
    """Take the phone's own country if the row gives only a calling code that countries share.

    `1` means the United States, unless the number is Canadian.
    """
    rows = (~given.str.contains(r"\pL")).fill_null(value=False).arg_true()
    if not rows.len():
        return
    codes = calling_codes()
    country, region = cells.clean[_COUNTRY].gather(rows), region.gather(rows)
    ours, theirs = (
        side.replace_strict(codes, default=None, return_dtype=pl.UInt16)
        for side in (country, region)
    )
    narrower = (ours == theirs).fill_null(value=False)
    cells.clean[_COUNTRY] = (
        cells.clean[_COUNTRY].clone().scatter(rows, region.zip_with(narrower, country))
    )


def _compare_countries(cells: _Cells, region: pl.Series) -> None:
    """Warn if a phone's calling code does not belong to the country in its row."""
    country = cells.clean[_COUNTRY]
    rows = (country != region).fill_null(value=False).arg_true()
    if not rows.len():
        return
    codes = calling_codes()
    ours, theirs = (
        side.gather(rows).replace_strict(codes, default=None, return_dtype=pl.UInt16)
        for side in (country, region)
    )
    rows = rows.filter((ours != theirs).fill_null(value=False))
    detail = pl.select(pl.format("phone {}, row {}", pl.lit(region), pl.lit(country))).to_series()
    cells.report(_COUNTRY, Code.COUNTRY_DIFFERS, rows, detail)


def _read_emails(cells: _Cells) -> None:
    """Read the addresses."""
    if EMAIL not in cells.text:
        return
    read = read_emails(cells.text[EMAIL])
    cells.report(EMAIL, Code.EMAIL_INVALID, read[DETAIL].is_not_null(), read[DETAIL])
    cells.clean[EMAIL] = read[EMAIL]
    typos = find_typos(read[EMAIL])
    cells.report(EMAIL, Code.EMAIL_TYPO, typos.is_not_null(), typos)


def _read_booleans(cells: _Cells) -> None:
    """Read yes and no."""
    for name in _BOOLEANS:
        if name in cells.text:
            cells.clean[name] = read_booleans(cells.text[name])
            wrong = cells.clean[name].is_null() & cells.text[name].is_not_null()
            cells.report(name, Code.BOOLEAN_INVALID, wrong)


def _read_names(cells: _Cells) -> None:
    """Check names, and split full names in rows without a first name."""
    if FULL in cells.text:
        _split_full_names(cells)
    for column in (FIRST, LAST):
        words = cells.words.get(column)
        good = words is not None and not find_name_faults(words).count()
        if column in cells.text and not good:
            faults = find_name_faults(cells.text[column])
            _report_name_faults(cells, column, faults.is_not_null(), faults)
    for column in _SENT_AS_WRITTEN:
        words = cells.words.get(column)
        good = words is not None and not words.str.contains(_BRACES).any()
        if column in cells.text and not good:
            braces = cells.text[column].str.contains(_BRACES).fill_null(value=False)
            cells.report(column, Code.BRACES_IN_VALUE, braces)


def _report_name_faults(cells: _Cells, column: str, rows: pl.Series, faults: pl.Series) -> None:
    """Report faulty names; the API's own braces have a code of their own."""
    braces = cells.text[column].str.contains(_BRACES).fill_null(value=False)
    cells.report(column, Code.BRACES_IN_VALUE, rows & braces)
    cells.report(column, Code.NAME_INVALID, rows & ~braces, faults)


def _split_full_names(cells: _Cells) -> None:
    """Split full names in rows without a first name.

    A faulty full name is dropped. It is a problem only in a row without a first name.
    """
    full = cells.clean[FULL]
    faults = find_name_faults(full)
    if faults.count():
        needed = faults.is_not_null()
        if FIRST in cells.clean:
            needed &= cells.clean[FIRST].is_null()
        _report_name_faults(cells, FULL, needed, faults)
        cells.clean[FULL] = full.set(faults.is_not_null(), None)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, full.len())
    first, last = cells.clean.get(FIRST, nothing), cells.clean.get(LAST, nothing)
    rows = (first.is_null() & full.is_not_null()).arg_true()
    if not rows.len():
        return
    names = split_names(full.gather(rows), last.gather(rows))
    names = names.with_columns(
        blank_missing(unquote_names(names[name]), contact=False) for name in (FIRST, LAST)
    )
    first = first.clone().scatter(rows, names[FIRST])
    last = last.clone().scatter(rows, names[LAST])
    detail = pl.select(
        pl.concat_str(
            pl.lit("first name "),
            pl.lit(first),
            pl.when(pl.lit(last).is_null())
            .then(pl.lit(", no last name"))
            .otherwise(pl.lit(", last name ") + pl.lit(last)),
        )
    ).to_series()
    unclear = names[FIRST].is_not_null() & ~names["plain"] & faults.gather(rows).is_null()
    cells.report(FULL, Code.NAME_SPLIT, rows.filter(unclear), detail)
    cells.clean |= {FIRST: first.alias(FIRST), LAST: last.alias(LAST)}


def _report_changes(cells: _Cells, odd: Mapping[str, pl.Series]) -> None:
    """Report every cell whose value was changed, apart from spaces and the like.

    Args:
        cells: with all columns read.
        odd: column -> positions of the cells that tidying may have changed.
    """
    for column, rows in odd.items():
        if column in _CONTACTS:
            continue
        before, after = cells.raw[column].gather(rows), cells.text[column].gather(rows)
        if column in _SPACELESS:
            before, after = (side.str.replace_all(BLANK, "") for side in (before, after))
        else:
            before = before.str.strip_chars(" \t\r\n")
        cells.report_change(column, rows.filter(before != after))
    if _PHONE in cells.clean:
        before, after = cells.raw[_PHONE], cells.text[_PHONE]
        rows = (before != after).fill_null(value=False).arg_true()
        sides = before.gather(rows), after.gather(rows)
        before, after = (side.str.replace_all(BLANK, "") for side in sides)
        cells.report_change(_PHONE, rows.filter(before != after))
    if EMAIL in cells.clean:
        before, after = cells.raw[EMAIL], cells.clean[EMAIL]
        rows = (before != after).fill_null(value=False).arg_true()
        before = before.gather(rows).str.strip_chars(" \t\r\n").str.to_lowercase()
        cells.report_change(EMAIL, rows.filter(before != after.gather(rows).str.to_lowercase()))
