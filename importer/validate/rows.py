"""Which rows are ready, which are rejected and why, which repeat an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import Checked, RowStatus
from importer.problems import empty, errors, joined, with_severities
from importer.validate.repeats import WHO, duplicates, shared_emails
from importer.validate.schema import failures, refuse_foreign
from schemas.candidates import EXCUSED
from schemas.codes import Code
from schemas.columns import BY_NAME, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.model import Normalised, Table
    from importer.settings import Settings

_CONTACT: Final = ("phone_number", "email")
_MEANT: Final = {
    Code.CONTACT_MISSING: _CONTACT,
    Code.FIRST_NAME_MISSING: ("first_name", "full_name"),
    Code.CAMPAIGN_MISSING: ("campaign", "external_campaign"),
}
"""The columns that can prevent a problem, the usual one first."""


def validate(parts: Sequence[Normalised], tables: Sequence[Table], settings: Settings) -> Checked:
    """Check the rows of all files of a run.

    An error keeps its row out; an error of a whole file (without a row, or at its header) keeps
    all of its rows out. Of rows that repeat a person and a campaign the first good one stays.

    Args:
        parts: the normalised files.
        tables: the same files as they were read, in the same order.
        settings: severities, defaults for campaign and templates, `skip_duplication_check`.

    Returns:
        The ready rows, with the defaults filled in; every problem, those of `tables` included;
        and the status of every row.
    """
    frame = _filled(_together(parts), settings)
    refuse_foreign(frame)
    names = [table.source.name for table in tables]
    cells = with_severities(
        _one_frame([*_of_files(tables), *(part.problems for part in parts)]),
        settings.severity,
    )
    refused = errors(cells)
    excused = _named(frame, refused.filter(pl.col("column").is_in(_CONTACT)))
    failed = failures(
        frame.with_columns(excused.alias(EXCUSED)),
        but={Code.SKIP_CHECK_NOT_ALLOWED} if settings.skip_duplication_check else set(),
    )
    rows = with_severities(_at_their_columns(failed, refused, tables), settings.severity)
    rejected = (
        _named(frame, refused)
        | _named(frame, errors(rows))
        | frame[SOURCE].is_in(_whole_files(refused, tables))
    )
    people = frame.select(*WHO)
    people = people.filter(~rejected) if rejected.any() else people
    repeated = with_severities(duplicates(people, names), settings.severity)
    repeats = _named(frame, repeated)
    first = people.filter(~_named(people, repeated)) if repeated.height else people
    shared = with_severities(shared_emails(first, names), settings.severity)
    rejected |= _named(frame, errors(repeated)) | _named(frame, errors(shared))
    status = (
        pl.when(pl.lit(rejected))
        .then(pl.lit(RowStatus.REJECTED.value))
        .when(pl.lit(repeats))
        .then(pl.lit(RowStatus.DUPLICATE.value))
        .otherwise(pl.lit(RowStatus.READY.value))
    )
    out = rejected | repeats
    return Checked(
        frame=frame.filter(~out) if out.any() else frame,
        problems=joined([cells, rows, repeated, shared]),
        rows=frame.select(SOURCE, ROW, status.alias("status")),
    )


def _together(parts: Sequence[Normalised]) -> pl.DataFrame:
    """The rows of all files, with every extra column that one of them has."""
    if len(parts) == 1:
        return parts[0].frame
    nobody = pl.DataFrame(
        schema={SOURCE: pl.UInt16, ROW: pl.UInt32} | dict.fromkeys(BY_NAME, pl.String)
    )
    return pl.concat([nobody, *(part.frame for part in parts)], how="diagonal")


def _filled(frame: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """The rows with the settings' campaign and templates where they name none themselves."""
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


def _of_files(tables: Sequence[Table]) -> list[pl.DataFrame]:
    """The problems that were found when the files were read, each with its file's position."""
    return [
        table.problems.with_columns(pl.lit(position, dtype=pl.UInt16).alias(SOURCE))
        for position, table in enumerate(tables)
    ]


def _one_frame(found: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All problems in one frame, in the order in which they were found."""
    some = [frame for frame in found if frame.height]
    return pl.concat(some) if some else empty()


def _named(frame: pl.DataFrame, problems: pl.DataFrame) -> pl.Series:
    """For each row whether one of the problems is at it."""
    if not problems.height:
        return pl.Series([False]).new_from_index(0, frame.height)
    key = pl.col(SOURCE).cast(pl.UInt64) * 2**32 + pl.col(ROW)
    at = problems.select(key).to_series().drop_nulls().unique()
    return frame.select(key).to_series().is_in(at.implode())


def _whole_files(refused: pl.DataFrame, tables: Sequence[Table]) -> list[int]:
    """The files with an error that is not at one of their rows."""
    headers = {position: table.source.header_row for position, table in enumerate(tables)}
    header = pl.col(SOURCE).replace_strict(headers, default=0, return_dtype=pl.UInt32)
    whole = refused.filter(pl.col(ROW).is_null() | (pl.col(ROW) <= header))
    return whole[SOURCE].unique().sort().to_list()


def _at_their_columns(
    failed: pl.DataFrame, refused: pl.DataFrame, tables: Sequence[Table]
) -> pl.DataFrame:
    """The failures, each at a column that the file has.

    What every row of a file lacks because the column is missing has been said once, of the file.
    """
    if not failed.height:
        return failed
    lacking = set(refused.filter(pl.col("code") == Code.COLUMN_MISSING.value)[SOURCE])
    for code, columns in _MEANT.items():
        this = pl.col("code") == code.value
        for position, table in enumerate(tables):
            there = [name for name in columns if name in table.mapping.values()]
            here = this & (pl.col(SOURCE) == position)
            if not there and position in lacking and code is not Code.CAMPAIGN_MISSING:
                failed = failed.filter(~here)
            elif there and there[0] != columns[0]:
                failed = failed.with_columns(
                    pl.when(here).then(pl.lit(there[0])).otherwise("column").alias("column")
                )
    return failed
