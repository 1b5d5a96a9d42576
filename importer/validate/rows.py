"""Which rows are ready, which are rejected and why, which repeat an earlier one.

`sift` looks at the rows of one part by themselves, so that parts can be sifted side by side;
`settle` then sees them in order, and finds those that repeat an earlier row.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import Checked, RowStatus
from importer.problems import errors, joined, with_severities
from importer.validate.placing import (
    as_they_came,
    at_their_columns,
    of_file,
    one_cause,
    one_frame,
    whole_file,
)
from importer.validate.repeats import who
from importer.validate.schema import failures, refuse_foreign
from schemas.candidates import EXCUSED
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from importer.model import Normalised, Table
    from importer.settings import Settings
    from importer.validate.repeats import Repeats

_CONTACT: Final = ("phone_number", "email")


@dataclass(frozen=True, slots=True, eq=False)
class Sifted:
    """Rows of one file that were looked at one by one.

    Attributes:
        table: the rows as they were read.
        frame: the same rows, tidy, with the settings' defaults filled in.
        problems: a problem frame.
        rejected: for each row whether an error keeps it out.
    """

    table: Table = field(repr=False)
    frame: pl.DataFrame = field(repr=False)
    problems: pl.DataFrame = field(repr=False)
    rejected: pl.Series = field(repr=False)


def sift(part: Normalised, table: Table, position: int, settings: Settings) -> Sifted:
    """Check rows of one file, each by itself.

    An error keeps its row out; an error of the whole file (without a row, or at its header) keeps
    all of its rows out.

    Args:
        part: the rows, normalised.
        table: the same rows as they were read.
        position: of the file in the run.
        settings: severities, defaults for campaign and templates, `skip_duplication_check`.
    """
    frame = _filled(part.frame, settings)
    refuse_foreign(frame)
    told = one_frame([of_file(table, position), part.problems])
    cells = one_cause(with_severities(told, settings.severity))
    refused = errors(cells)
    excused = _named(frame, refused.filter(pl.col("column").is_in(_CONTACT)))
    failed = failures(
        frame.with_columns(excused.alias(EXCUSED)),
        but={Code.SKIP_CHECK_NOT_ALLOWED} if settings.skip_duplication_check else set(),
    )
    rows = with_severities(
        as_they_came(at_their_columns(failed, refused, table), table), settings.severity
    )
    rejected = _named(frame, refused) | _named(frame, errors(rows))
    if whole_file(refused, table):
        rejected = pl.Series([True]).new_from_index(0, frame.height)
    return Sifted(table, frame, one_frame([cells, rows]), rejected)


def settle(sifted: Sifted, repeats: Repeats, settings: Settings) -> Checked:
    """Decide over rows, given those that came before: the first good one of a person stays.

    Args:
        sifted: the next rows, in the order of the run.
        repeats: what came before; it learns these rows.
        settings: severities.
    """
    frame, rejected = sifted.frame, sifted.rejected
    people = who(_without(frame, rejected))
    repeated = _told(repeats.duplicates(people), sifted, settings)
    again = _named(people, repeated)
    shared = _told(repeats.shared_emails(_without(people, again)), sifted, settings)
    is_repeat = _named(frame, repeated)
    rejected = rejected | _named(frame, errors(repeated)) | _named(frame, errors(shared))
    status = (
        pl.when(pl.lit(rejected))
        .then(pl.lit(RowStatus.REJECTED.value))
        .when(pl.lit(is_repeat))
        .then(pl.lit(RowStatus.DUPLICATE.value))
        .otherwise(pl.lit(RowStatus.READY.value))
    )
    return Checked(
        frame=_without(frame, rejected | is_repeat),
        problems=joined([sifted.problems, repeated, shared]),
        rows=frame.select(SOURCE, ROW, status.alias("status")),
    )


def _told(found: pl.DataFrame, sifted: Sifted, settings: Settings) -> pl.DataFrame:
    """Problems between rows with the cells as they came, and the user's severities."""
    return with_severities(as_they_came(found, sifted.table), settings.severity)


def _without(frame: pl.DataFrame, out: pl.Series) -> pl.DataFrame:
    """The other rows; the frame itself where none is out."""
    return frame.filter(~out) if out.any() else frame


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
    """For each row of one file whether one of the problems is at it."""
    if not problems.height:
        return pl.Series([False]).new_from_index(0, frame.height)
    return frame[ROW].is_in(problems[ROW].drop_nulls().unique().implode())
