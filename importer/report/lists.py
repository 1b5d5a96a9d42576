"""The lists of a plan that readers are shown: its files, its groups, its counts of problems."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.model import RowStatus
from schemas.codes import Severity
from schemas.columns import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

    from importer.model import Group, Json, Plan, Table


@dataclass(frozen=True, slots=True)
class FileView:
    """A file, how it was understood, and what became of its rows.

    Attributes:
        read: rows read; `rejected` and `ready` are among them.
        columns: header -> canonical column, in file order.
        extra: header -> placeholder name.
        ignored: headers that were left out.
        notes: sentences.
    """

    name: str
    sha256: str
    size: int
    encoding: str
    delimiter: str
    sheet: str | None
    header_row: int
    read: int
    ready: int
    rejected: int
    columns: Mapping[str, str]
    extra: Mapping[str, str]
    ignored: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GroupView:
    """A group with its templates as they were filled in, and the body of one of its rows.

    Attributes:
        campaign: campaignId, or externalCampaignId where there is no other.
        example: the request body of `example_row`, or None.
        example_row: file and spreadsheet row of the example, in words.
    """

    campaign: str
    meeting: str
    participants: str
    rows: int
    bindings: Mapping[str, str] = field(repr=False)
    meeting_configuration: Mapping[str, Json] = field(repr=False)
    meeting_participants: tuple[Mapping[str, Json], ...] = field(repr=False)
    example: Mapping[str, Json] | None = field(repr=False, default=None)
    example_row: str = ""


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How many problems of one code a column has."""

    code: str
    column: str | None
    severity: str
    count: int


def files_of(plan: Plan) -> tuple[FileView, ...]:
    """One for each table, with the rows counted by status."""
    status = plan.rows.group_by(SOURCE, "status").len()
    counted_rows = {(source, state): count for source, state, count in status.iter_rows()}
    return tuple(_file(table, position, counted_rows) for position, table in enumerate(plan.tables))


def _file(table: Table, position: int, rows: Mapping[tuple[int, str], int]) -> FileView:
    """One of them."""
    source = table.source
    return FileView(
        name=source.name,
        sha256=source.sha256,
        size=source.size,
        encoding=source.encoding,
        delimiter=source.delimiter,
        sheet=source.sheet,
        header_row=source.header_row,
        read=sum(rows.get((position, status), 0) for status in RowStatus),
        ready=rows.get((position, RowStatus.READY), 0),
        rejected=rows.get((position, RowStatus.REJECTED), 0),
        columns=table.mapping,
        extra=table.extra,
        ignored=table.ignored,
        notes=table.notes,
    )


def group_of(group: Group, example: tuple[str, Mapping[str, Json]] | None) -> GroupView:
    """The view of a group; the example is a row in words and its body."""
    return GroupView(
        campaign=group.campaign or group.external_campaign,
        meeting=group.meeting,
        participants=group.participants,
        rows=group.rows,
        bindings=group.bindings,
        meeting_configuration=group.meeting_configuration,
        meeting_participants=group.meeting_participants,
        example=example[1] if example else None,
        example_row=example[0] if example else "",
    )


def problem_counts_of(problems: pl.DataFrame) -> tuple[ProblemCount, ...]:
    """Counts by code, column and severity."""
    ranks = {severity.value: rank for rank, severity in enumerate(Severity)}
    found = [
        ProblemCount(code, column, severity, count)
        for code, column, severity, count in problems.group_by("code", "column", "severity")
        .len()
        .iter_rows()
    ]
    return tuple(
        sorted(
            found,
            key=lambda each: (ranks[each.severity], -each.count, each.code, each.column or ""),
        )
    )
