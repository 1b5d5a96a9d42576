"""What a reader is told of a plan or a run, worked out once: every form renders only this."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.model import Counts, RowStatus
from importer.problems import with_words
from importer.report.tasks import Task, tasks
from importer.report.wording import counted, duration, number
from schemas.codes import Severity
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from importer.model import Group, Json, Plan, Table
    from importer.settings import Settings

BATCH: Final = 20_000
"""Problems that are put into words at a time."""


# ---- a plan ------------------------------------------------------------------------------------


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


@dataclass(frozen=True, slots=True, eq=False)
class PlanView:
    """A plan for readers.

    Attributes:
        plan: the plan itself, for what is rendered from frames in bulk.
        files: in the order given.
        groups: in order of their first row.
        tasks: errors first.
        problem_counts: errors first, then the most frequent.
        send_s: seconds that sending the ready rows takes at the settings' rate.
        blocked: a run sends nothing while a row is rejected (`on_problems: block`).
        made: UTC, when the plan was looked at, or None where nobody needs to know.
    """

    plan: Plan = field(repr=False)
    files: tuple[FileView, ...]
    groups: tuple[GroupView, ...] = field(repr=False)
    tasks: tuple[Task, ...] = field(repr=False)
    problem_counts: tuple[ProblemCount, ...]
    send_s: float
    blocked: bool
    made: datetime | None = None

    @property
    def hash(self) -> str:
        """Of the plan, hex."""
        return self.plan.hash

    @property
    def counts(self) -> Counts:
        """Of the plan's rows."""
        return self.plan.counts

    def of(self, severity: Severity) -> tuple[Task, ...]:
        """The tasks of one severity."""
        return tuple(task for task in self.tasks if task.severity is severity)

    def worded_problems(self, size: int = BATCH) -> Iterator[pl.DataFrame]:
        """Every problem in words, in order, `size` at a time, in the columns of the JSON."""
        problems = self.plan.problems
        for start in range(0, problems.height, size):
            yield with_words(problems.slice(start, size), self.plan.tables).select(
                "source",
                pl.col(ROW).alias("row"),
                "column",
                "header",
                "code",
                "severity",
                "value",
                "message",
                "fix",
            )

    @property
    def headline(self) -> str:
        """What would happen: `312 of 340 rows are ready for 4 groups; 28 need fixing`."""
        counts = self.counts
        if not counts.read:
            return "No rows were found."
        return f"{self._ready()}; {self._rejected()}."

    def _ready(self) -> str:
        counts = self.counts
        if not counts.ready:
            return (
                f"None of {counted(counts.read, 'row')} is ready"
                if counts.read > 1
                else ("The only row is not ready")
            )
        verb = "is" if counts.ready == 1 else "are"
        groups = counted(len(self.groups), "group")
        if counts.ready == counts.read:
            rows = "The only row" if counts.read == 1 else f"All {number(counts.read)} rows"
            return f"{rows} {verb} ready for {groups}"
        return f"{number(counts.ready)} of {counted(counts.read, 'row')} {verb} ready for {groups}"

    def _rejected(self) -> str:
        rejected = self.counts.rejected
        if not rejected:
            return "nothing needs fixing"
        return f"{number(rejected)} {'needs' if rejected == 1 else 'need'} fixing"

    @property
    def asides(self) -> tuple[str, ...]:
        """What else happens to rows, in sentences."""
        counts = self.counts
        said = []
        if counts.duplicates:
            verb = "repeats" if counts.duplicates == 1 else "repeat"
            said.append(
                f"{counted(counts.duplicates, 'row')} {verb} a person of an earlier row"
                " and will be left out."
            )
        if counts.already_imported:
            verb = "was" if counts.already_imported == 1 else "were"
            said.append(
                f"{counted(counts.already_imported, 'row')} {verb} dealt with by an earlier run"
                " and will be left out."
            )
        if counts.ready:
            said.append(f"Sending takes {duration(self.send_s)}.")
        return tuple(said)


def of_plan(
    plan: Plan,
    settings: Settings,
    *,
    examples: Mapping[int, tuple[str, Mapping[str, Json]]] = MappingProxyType({}),
    made: datetime | None = None,
) -> PlanView:
    """The view of a plan.

    Args:
        plan: what a run would send.
        settings: rate and policy.
        examples: position of a group -> which row (in words) and its request body.
        made: UTC.
    """
    return PlanView(
        plan=plan,
        files=_files(plan),
        groups=tuple(
            _group(group, examples.get(position)) for position, group in enumerate(plan.groups)
        ),
        tasks=tasks(plan.problems, plan.tables),
        problem_counts=_problem_counts(plan.problems),
        send_s=plan.counts.ready / settings.rate_per_s,
        blocked=settings.on_problems == "block" and plan.counts.rejected > 0,
        made=made,
    )


def _files(plan: Plan) -> tuple[FileView, ...]:
    """One for each table, with the rows counted by status."""
    status = plan.rows.group_by(SOURCE, "status").len()
    counted_rows = {(source, state): count for source, state, count in status.iter_rows()}
    return tuple(_file(table, position, counted_rows) for position, table in enumerate(plan.tables))


def _file(table: Table, position: int, rows: Mapping[tuple[int, str], int]) -> FileView:
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


def _group(group: Group, example: tuple[str, Mapping[str, Json]] | None) -> GroupView:
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


def _problem_counts(problems: pl.DataFrame) -> tuple[ProblemCount, ...]:
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
