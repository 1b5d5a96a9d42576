"""Views of plans and runs: what a report of any format shows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.languages import ENGLISH, number, translate, translate_count, use_language
from importer.model import RowStatus
from importer.planning.identity import Identity
from importer.planning.payload import submissions
from importer.planning.plan import SHOWN, find_example_values
from importer.problems import merge_missing_columns, with_words
from importer.report.formatting import GivenFlags, duration
from importer.report.outcomes import OUTCOME_MEANING, count_progress
from importer.report.tasks import tasks
from schemas.codes import Code, Severity
from schemas.columns import GROUP, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from importer.model import Counts, Group, Json, Plan, RunReport, Table
    from importer.report.tasks import Task
    from importer.settings import Settings


@dataclass(frozen=True, slots=True)
class FileView:
    """A file: how it was read, and the counts of its rows.

    Attributes:
        read: rows read, `rejected` and `ready` included.
        columns: header -> canonical column, in file order.
        extra: header -> placeholder name.
        ignored: headers that are not used.
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
    """A group with its templates, filled in, and the request body of one of its rows.

    Attributes:
        campaign: campaignId, else externalCampaignId.
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
    """The number of problems of one code in one column."""

    code: str
    column: str | None
    severity: str
    count: int


def file_views(plan: Plan) -> tuple[FileView, ...]:
    """Return a view of each file, with its rows counted by status."""
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


def group_view(group: Group, example: tuple[str, Mapping[str, Json]] | None) -> GroupView:
    """Return the view of a group; `example` is a row in words and its request body."""
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


def problem_counts(problems: pl.DataFrame) -> tuple[ProblemCount, ...]:
    """Count problems by code, column and severity."""
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


PREVIEW: Final = Identity(hmac_key=b"preview", organization="preview")
"""Makes the keys of examples when there is no ledger, and so no real key."""


def examples(
    plan: Plan, settings: Settings, identity: Identity = PREVIEW, *, most: int = SHOWN
) -> dict[int, tuple[str, Mapping[str, Json]]]:
    """Return the first row of each group, in words, with its request body, by group position.

    Args:
        plan: what a run would send.
        settings: shape the bodies.
        identity: makes the external ids.
        most: number of groups, from the first.
    """
    first = plan.frame.filter(pl.col(GROUP) < most).unique(GROUP, keep="first", maintain_order=True)
    plan = dataclasses.replace(plan, groups=plan.groups[:most])
    several = len(plan.tables) > 1
    found = {}
    groups = first[GROUP].to_list()
    for group, each in zip(groups, submissions(plan, identity, settings, first), strict=True):
        if several:
            name = plan.tables[each.source].source.name
            place = translate("row {row} of {file}", row=each.row, file=name)
        else:
            place = translate("row {row}", row=each.row)
        found[group] = (place, each.body)
    return found


def headline(counts: Counts, doubtful: int = 0) -> str:
    """Sum up a plan: `312 of 340 rows are ready to send; 28 need fixing.`.

    Args:
        counts: the counts of the plan.
        doubtful: rows that an earlier run may have sent.
    """
    if not counts.read:
        return translate("There are no rows to import.")
    ready = _ready(counts)
    fixing = translate_count(counts.rejected, "{n} needs fixing", "{n} need fixing")
    looking = translate_count(
        doubtful,
        "{n} may have been sent before and must be looked up",
        "{n} may have been sent before and must be looked up",
    )
    if counts.rejected and doubtful:
        return translate(
            "{ready}; {fixing} and {looking}.", ready=ready, fixing=fixing, looking=looking
        )
    if counts.rejected or doubtful:
        return f"{ready}; {fixing if counts.rejected else looking}."
    return translate("{ready}; nothing needs fixing.", ready=ready)


def _ready(counts: Counts) -> str:
    read = number(counts.read)
    if not counts.ready:
        return (
            translate("The only row is not ready")
            if counts.read == 1
            else translate("None of {read} rows is ready", read=read)
        )
    if counts.read == 1:
        return translate("The only row is ready to send")
    if counts.ready == counts.read:
        return translate("All {read} rows are ready to send", read=read)
    return translate_count(
        counts.ready,
        "{n} of {read} rows is ready to send",
        "{n} of {read} rows are ready to send",
        read=read,
    )


def asides(counts: Counts, unusable: int, send_s: float) -> Iterator[str]:
    """Yield what else a plan does, in sentences.

    Args:
        counts: the counts of the plan.
        unusable: number of files that cannot be used at all.
        send_s: seconds that sending the ready rows takes.
    """
    if unusable:
        yield translate_count(
            unusable, "{n} file could not be used.", "{n} files could not be used."
        )
    if counts.duplicates:
        yield translate_count(
            counts.duplicates,
            "{n} row repeats the person of an earlier row: skipped.",
            "{n} rows repeat the person of an earlier row: skipped.",
        )
    if counts.already_imported:
        yield translate_count(
            counts.already_imported,
            "{n} row was imported by an earlier run: skipped.",
            "{n} rows were imported by an earlier run: skipped.",
        )
    if counts.ready:
        yield translate("Sending takes {duration}.", duration=duration(send_s))


BATCH: Final = 20_000
"""Number of problems that are put into words at a time."""


# ---- a plan ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class PlanView:
    """A plan, for reports.

    Attributes:
        plan: the plan itself, for reports that render its frames in bulk.
        files: the files in the order given.
        groups: the groups in order of their first row.
        tasks: errors first.
        problem_counts: errors first, then the most frequent ones.
        send_s: seconds that sending the ready rows takes at the settings' rate.
        blocked: whether a run would send nothing, because a row is rejected (`on_problems: block`).
        given: flags that a proposed command needs to find the same settings.
        created_at: UTC, or None if the report does not show it.
        example_values: a sentence for each example value that is left in a template.
        contacts_people: whether the API is a real one, so such values hold the run back.
    """

    plan: Plan = field(repr=False)
    files: tuple[FileView, ...]
    groups: tuple[GroupView, ...] = field(repr=False)
    tasks: tuple[Task, ...] = field(repr=False)
    problem_counts: tuple[ProblemCount, ...]
    send_s: float
    blocked: bool
    given: GivenFlags = field(default_factory=GivenFlags)
    created_at: datetime | None = None
    example_values: tuple[str, ...] = ()
    contacts_people: bool = False

    @property
    def hash(self) -> str:
        """The hash of the plan, hex."""
        return self.plan.hash

    @property
    def counts(self) -> Counts:
        """The counts of the plan's rows."""
        return self.plan.counts

    def tasks_of(self, severity: Severity) -> tuple[Task, ...]:
        """Return the tasks of one severity."""
        return tuple(task for task in self.tasks if task.severity is severity)

    def worded_problems(self, size: int = BATCH) -> Iterator[pl.DataFrame]:
        """Yield all problems in English, in order, `size` at a time, with the JSON's columns."""
        problems = merge_missing_columns(self.plan.problems)
        for start in range(0, problems.height, size):
            with use_language(ENGLISH):  # for machines
                worded = with_words(problems.slice(start, size), self.plan.tables)
            yield worded.select(
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
        """The effect of a run, in one sentence."""
        code = pl.col("code") == Code.POSSIBLY_SENT.value
        return headline(self.counts, self.plan.problems.filter(code).height)

    @property
    def asides(self) -> tuple[str, ...]:
        """The other outcomes for rows, in sentences."""
        unusable = {
            where.file
            for task in self.tasks_of(Severity.ERROR)
            for where in task.where
            if not task.total
        }
        return tuple(asides(self.counts, len(unusable), self.send_s))


def plan_view(
    plan: Plan,
    settings: Settings,
    *,
    identity: Identity = PREVIEW,
    created_at: datetime | None = None,
) -> PlanView:
    """Return the view of a plan.

    Args:
        plan: what a run would send.
        settings: rate and policy.
        identity: makes the external ids of the examples.
        created_at: UTC.
    """
    bodies = examples(plan, settings, identity)
    return PlanView(
        plan=plan,
        files=file_views(plan),
        groups=tuple(
            group_view(group, bodies.get(position)) for position, group in enumerate(plan.groups)
        ),
        tasks=tasks(plan.problems, plan.tables),
        problem_counts=problem_counts(merge_missing_columns(plan.problems)),
        send_s=plan.counts.ready / settings.rate_per_s,
        blocked=settings.on_problems == "block" and plan.counts.rejected > 0,
        given=GivenFlags.of(settings),
        created_at=created_at,
        example_values=tuple(find_example_values(plan)),
        contacts_people=settings.contacts_people,
    )


# ---- a run -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RunView:
    """A run, for reports.

    Attributes:
        report: what the run did.
        files: names, in the order of the run.
        outcomes: a line for each row that is shown (`importer.report.outcomes.OUTCOMES`).
        totals: number of rows for each status of `importer.report.outcomes.OUTCOME_MEANING`.
        progress: number of conversations for each word of `PROGRESS_MEANING`, and for others.
        said: what a command needs after it to find the same settings.
        rehearsal: whether it sent to the sandbox, so that nobody was contacted.
    """

    report: RunReport
    files: tuple[str, ...]
    outcomes: pl.DataFrame = field(repr=False)
    totals: Mapping[str, int]
    progress: Mapping[str, int] = field(default_factory=dict)
    given: GivenFlags = field(default_factory=GivenFlags)
    rehearsal: bool = False

    def with_status(self, *statuses: str) -> pl.DataFrame:
        """Return the lines with one of these statuses, in order of file and row."""
        return self.outcomes.filter(pl.col("status").is_in(statuses))


def run_view(
    report: RunReport,
    outcomes: pl.DataFrame,
    files: Sequence[str],
    settings: Settings | None = None,
    progress: Iterable[tuple[str | None, str | None, int]] = (),
) -> RunView:
    """Return the view of a run.

    Args:
        report: what the run did.
        outcomes: the lines to show, with the columns of `OUTCOMES`.
        files: names of the run's files, in its order.
        settings: the settings of the command, for the commands that the report proposes.
        progress: remote status, state of the meeting, and how many conversations have both.
    """
    counts, totals = report.counts, dict.fromkeys(OUTCOME_MEANING, 0)
    totals |= {state.value: count for state, count in report.states.items()}
    totals["planned"] += counts.ready - sum(report.states.values())  # without a submission
    totals["rejected"] += counts.rejected
    totals["duplicate-in-file"] += counts.duplicates
    totals["already-imported"] += counts.already_imported
    return RunView(
        report,
        tuple(files),
        outcomes,
        totals,
        count_progress(progress),
        GivenFlags() if settings is None else GivenFlags.of(settings),
        rehearsal=settings is not None and settings.rehearsal,
    )
