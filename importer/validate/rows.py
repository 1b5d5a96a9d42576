"""Which rows are ready, which are rejected and why, which repeat an earlier one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import Checked, RowStatus
from importer.problems import errors, joined, with_severities
from importer.validate.placing import (
    as_they_came,
    at_their_columns,
    of_files,
    one_cause,
    one_frame,
    whole_files,
)
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
    told = one_frame([*of_files(tables), *(part.problems for part in parts)])
    cells = one_cause(with_severities(told, settings.severity))
    refused = errors(cells)
    excused = _named(frame, refused.filter(pl.col("column").is_in(_CONTACT)))
    failed = failures(
        frame.with_columns(excused.alias(EXCUSED)),
        but={Code.SKIP_CHECK_NOT_ALLOWED} if settings.skip_duplication_check else set(),
    )
    rows = with_severities(
        as_they_came(at_their_columns(failed, refused, tables), tables), settings.severity
    )
    rejected = (
        _named(frame, refused)
        | _named(frame, errors(rows))
        | frame[SOURCE].is_in(whole_files(refused, tables))
    )
    repeated, shared = _repeats(_without(frame.select(*WHO), rejected), tables, settings)
    repeats = _named(frame, repeated)
    rejected |= _named(frame, errors(repeated)) | _named(frame, errors(shared))
    status = (
        pl.when(pl.lit(rejected))
        .then(pl.lit(RowStatus.REJECTED.value))
        .when(pl.lit(repeats))
        .then(pl.lit(RowStatus.DUPLICATE.value))
        .otherwise(pl.lit(RowStatus.READY.value))
    )
    return Checked(
        frame=_without(frame, rejected | repeats),
        problems=joined([cells, rows, repeated, shared]),
        rows=frame.select(SOURCE, ROW, status.alias("status")),
    )


def _repeats(
    people: pl.DataFrame, tables: Sequence[Table], settings: Settings
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Duplicates among the good rows, and e-mails that the rest of them share."""
    names = [table.source.name for table in tables]
    repeated = duplicates(people, names)
    shared = shared_emails(_without(people, _named(people, repeated)), names)
    return (
        with_severities(as_they_came(repeated, tables), settings.severity),
        with_severities(as_they_came(shared, tables), settings.severity),
    )


def _without(frame: pl.DataFrame, out: pl.Series) -> pl.DataFrame:
    """The other rows; the frame itself where none is out."""
    return frame.filter(~out) if out.any() else frame


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


def _named(frame: pl.DataFrame, problems: pl.DataFrame) -> pl.Series:
    """For each row whether one of the problems is at it."""
    if not problems.height:
        return pl.Series([False]).new_from_index(0, frame.height)
    key = pl.col(SOURCE).cast(pl.UInt64) * 2**32 + pl.col(ROW)
    at = problems.select(key).to_series().drop_nulls().unique()
    return frame.select(key).to_series().is_in(at.implode())
