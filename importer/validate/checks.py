"""What Pandera finds, as problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl
from pandera.errors import SchemaErrors

from importer.model import Checked, RowStatus
from importer.problems import COLUMN, at, empty, errors, joined, with_severities
from importer.validate.duplicates import who
from schemas.candidates import CANDIDATE, EXCUSED, STRUCTURE
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import pandera.polars as pa

    from importer.model import Normalised, Table
    from importer.settings import Settings
    from importer.validate.duplicates import Repeats


def refuse_foreign(frame: pl.DataFrame) -> None:
    """Make sure that a frame has the columns, types and row numbers of STRUCTURE.

    Raises:
        AssertionError: it has not, which is a fault of the program.
    """
    cases = _cases(STRUCTURE, frame)
    if cases is not None:
        raise AssertionError(f"rows that are no candidate table: {_faults_of(cases)}")


def failures(frame: pl.DataFrame, but: Collection[Code]) -> pl.DataFrame:
    """A problem for each cell that fails CANDIDATE.

    Args:
        frame: rows in the form of STRUCTURE, with EXCUSED.
        but: codes that are allowed here.

    Raises:
        AssertionError: a check did not run, which is a fault of the program.
    """
    cases = _cases(CANDIDATE, frame.select(*CANDIDATE.columns))
    if cases is None:
        return empty()
    if cases["index"].null_count():
        raise AssertionError(f"checks that did not run: {_faults_of(cases)}")
    found = []
    for (column, check), rows in cases.group_by("column", "check", maintain_order=True):
        code = Code(check)
        if code not in but:
            found.append(at(frame[rows["index"]], code, column=str(column)))
    return pl.concat(found) if found else empty()


def _cases(schema: pa.DataFrameSchema, frame: pl.DataFrame) -> pl.DataFrame | None:
    """Pandera's failure cases, or None where all is well."""
    try:
        schema.validate(frame, lazy=True)
    except SchemaErrors as exc:
        cases: pl.DataFrame = exc.failure_cases
        return cases
    return None


def _faults_of(cases: pl.DataFrame) -> str:
    """Columns and checks of failure cases, without any value."""
    absent = pl.col("check") == "column_in_dataframe"  # the failure case is a column's name then
    column = pl.when(absent).then("failure_case").otherwise("column").alias("column")
    pairs = cases.select(column, "check").unique(maintain_order=True)
    return ", ".join(f"{column} ({check})" for column, check in pairs.iter_rows())


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
