"""Check clean rows against the schemas, and turn failures into problems."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import CheckedRows, RowStatus
from importer.problems import COLUMN, at, concat, empty, errors, with_severities
from importer.validate.duplicates import NOT_SENT
from schemas.candidates import EXCUSED, are_candidates, candidate, is_structured, structure
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandera.polars as pa

    from importer.model import Table
    from importer.settings import Settings
    from importer.validate.duplicates import DuplicateFinder

REJECTED: Final = "#rejected"
"""Column of `Table.clean` (bool), added by `check_rows`: an error keeps the row out."""

_CONTACT: Final = ("phone_number", "email")
_COLUMNS_OF: Final = {
    Code.CONTACT_MISSING: _CONTACT,
    Code.FIRST_NAME_MISSING: ("first_name", "full_name"),
    Code.CAMPAIGN_MISSING: ("campaign", "external_campaign"),
}
"""The columns that can prevent a problem, the usual one first."""


def check_rows(table: Table, settings: Settings) -> Table:
    """Check the rows of one file, each by itself.

    An error keeps its row out; an error of the whole file (without a row, or at its header) keeps
    all of its rows out.

    Args:
        table: normalised.
        settings: severities, defaults for campaign and templates, `skip_duplication_check`.

    Returns:
        The table with all problems, and with the settings' defaults and the column `REJECTED` in
        its `clean` rows.
    """
    frame = _fill_defaults(table.clean, settings)
    check_structure(frame)
    cells = _keep_causes(with_severities(table.problems, settings.severity))
    refused = errors(cells)
    excused = _flag(frame, refused.filter(pl.col("column").is_in(_CONTACT)))
    excused |= _flag(frame, _with_unread_phone(refused, table))
    failed = find_failures(
        frame.with_columns(excused.alias(EXCUSED)),
        allowed={Code.SKIP_CHECK_NOT_ALLOWED} if settings.skip_duplication_check else set(),
    )
    rows = _show_cells(_place(failed, refused, table), table)
    rows = with_severities(rows, settings.severity)
    rejected = _flag(frame, refused) | _flag(frame, errors(rows))
    if _refuses_file(refused, table):
        rejected = pl.Series([True]).new_from_index(0, frame.height)
    return replace(
        table,
        clean=frame.with_columns(rejected.alias(REJECTED)),
        problems=_concat([cells, rows]),
    )


def exclude_repeats(table: Table, finder: DuplicateFinder, settings: Settings) -> CheckedRows:
    """Exclude rows that repeat a person; the first good row of a person stays.

    Args:
        table: checked rows, in the order of the run.
        finder: knows the rows before these, and adds these.
        settings: severities.
    """
    frame, rejected = table.clean.drop(REJECTED), table.clean[REJECTED]
    spellings = _show_cells(finder.find_campaign_spellings(_drop(frame, rejected)), table)
    spellings = with_severities(spellings, settings.severity)
    rejected |= _flag(frame, errors(spellings))
    found = _show_cells(finder.find(_drop(frame, rejected)), table)
    found = with_severities(found, finder.severities)
    left_out = pl.col("code").is_in([code.value for code in NOT_SENT])
    is_repeat = _flag(frame, found.filter(left_out))
    rejected = rejected | _flag(frame, errors(found))
    status = (
        pl.when(pl.lit(rejected))
        .then(pl.lit(RowStatus.REJECTED.value))
        .when(pl.lit(is_repeat))
        .then(pl.lit(RowStatus.DUPLICATE.value))
        .otherwise(pl.lit(RowStatus.READY.value))
    )
    return CheckedRows(
        frame=_drop(frame, rejected | is_repeat),
        problems=concat([table.problems, spellings, found]),
        rows=frame.select(SOURCE, ROW, status.alias("status")),
        rejected=frame.filter(rejected),
    )


# ---- schemas ---------------------------------------------------------------------------------


def check_structure(frame: pl.DataFrame) -> None:
    """Check that a frame has the columns, types and row numbers of `schemas.candidates`.

    Raises:
        AssertionError: it does not, which is a bug.
    """
    if is_structured(frame):
        return
    cases = _failure_cases(structure(), frame)
    if cases is not None:
        raise AssertionError(f"not a candidate table: {_describe(cases)}")


def find_failures(frame: pl.DataFrame, allowed: Collection[Code]) -> pl.DataFrame:
    """Find a problem for each cell that no candidate may have.

    Args:
        frame: rows for which `is_structured` is true, with EXCUSED.
        allowed: codes that do not count as failures.

    Raises:
        AssertionError: a check did not run, which is a bug.
    """
    if are_candidates(frame):
        return empty()
    schema = candidate()
    cases = _failure_cases(schema, frame.select(*schema.columns))
    if cases is None:
        return empty()
    if cases["index"].null_count():
        raise AssertionError(f"checks that did not run: {_describe(cases)}")
    found = []
    for (column, check), rows in cases.group_by("column", "check", maintain_order=True):
        code = Code(check)
        if code not in allowed:
            found.append(at(frame[rows["index"]], code, column=str(column)))
    return _concat(found)


def _failure_cases(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame | None:
    """Return Pandera's failure cases, or None if there are none."""
    from pandera.errors import SchemaErrors  # noqa: PLC0415 (slow, and good rows do not need it)

    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as exc:
        cases: pl.DataFrame = exc.failure_cases
        return cases
    return None


def _describe(cases: pl.DataFrame) -> str:
    """Name the columns and checks of failure cases, without any value."""
    absent = pl.col("check") == "column_in_dataframe"  # the failure case is a column's name then
    column = pl.when(absent).then("failure_case").otherwise("column").alias("column")
    pairs = cases.select(column, "check").unique(maintain_order=True)
    return ", ".join(f"{column} ({check})" for column, check in pairs.iter_rows())


# ---- problems --------------------------------------------------------------------------------


def _concat(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Join all problems in one frame, in the order in which they were found."""
    some = [frame for frame in found if frame.height]
    return pl.concat(some) if some else empty()


def _keep_causes(found: pl.DataFrame) -> pl.DataFrame:
    """Drop the other problems of a cell that has a spreadsheet error (`#REF!`)."""
    broken = errors(found).filter(pl.col("code") == Code.CELL_ERROR.value)
    if not broken.height:
        return found
    place = [SOURCE, ROW, "column"]
    others = found.join(broken.select(place), on=place, how="anti", maintain_order="left")
    return _concat([broken, others])


def _with_unread_phone(refused: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Return the unknown-country errors of rows whose phone was unreadable because of them."""
    header = next((name for name, its in table.mapping.items() if its == _CONTACT[0]), None)
    unknown = refused.filter(pl.col("code") == Code.COUNTRY_UNKNOWN.value)
    if header is None or not unknown.height:
        return unknown.clear()
    there = table.frame.filter(pl.Series(table.frame.get_column(header).str.contains(r"[1-9]")))
    return unknown.join(there.select(ROW), on=ROW, how="semi")


def _refuses_file(refused: pl.DataFrame, table: Table) -> bool:
    """Whether one of the errors is at the header or at no row at all."""
    row = refused[ROW]
    return row.null_count() > 0 or bool((row <= table.source.header_row).any())


def _place(failed: pl.DataFrame, refused: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Move failures of whole rows to a column that the file has.

    A column that the file lacks was reported once for the file, so its failures are dropped.

    Args:
        failed: what the schema found.
        refused: errors found before, including the file's own.
        table: the file.
    """
    if not failed.height:
        return failed
    lacking = Code.COLUMN_MISSING.value in refused["code"]
    for code, columns in _COLUMNS_OF.items():
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


def _show_cells(found: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Add the cells of the file to problems, as values."""
    parts = []
    for (column,), part in found.group_by("column", maintain_order=True):
        header = next((name for name, its in table.mapping.items() if its == column), None)
        if header is None:
            parts.append(part)
            continue
        raw = table.frame.get_column(header).fill_null("").alias("raw")
        cells = pl.DataFrame([table.frame.get_column(ROW), raw])
        parts.append(
            part.join(cells, on=ROW, how="left", maintain_order="left").select(
                pl.col("raw").alias("value") if name == "value" else name for name in part.columns
            )
        )
    return _concat(parts)


# ---- rows ------------------------------------------------------------------------------------


def _drop(frame: pl.DataFrame, out: pl.Series) -> pl.DataFrame:
    """Return the rows that are not out; the frame itself if none is out."""
    return frame.filter(~out) if out.any() else frame


def _fill_defaults(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """Fill in the settings' campaign and templates in rows that name none themselves."""
    nameless = pl.all_horizontal(pl.col("campaign", "external_campaign").is_null())
    defaults = {
        "campaign": (settings.campaign, nameless),
        "external_campaign": (settings.external_campaign, nameless),
        "meeting_template": (settings.meeting, pl.col("meeting_template").is_null()),
        "participant_template": (settings.participants, pl.col("participant_template").is_null()),
    }
    return frame.with_columns(
        pl.when(silent).then(pl.lit(value)).otherwise(pl.col(name)).alias(name)
        for name, (value, silent) in defaults.items()
        if value is not None
    )


def _flag(frame: pl.DataFrame, problems: pl.DataFrame) -> pl.Series:
    """Return for each row of one file whether it has one of the problems."""
    if not problems.height:
        return pl.Series([False]).new_from_index(0, frame.height)
    return frame[ROW].is_in(problems[ROW].drop_nulls().unique().implode())
