"""What a reader is told of a plan or a run, worked out once: every form renders only this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.problems import with_words
from importer.report.commands import Said
from importer.report.examples import PREVIEW, examples
from importer.report.lists import files_of, group_of, problem_counts_of
from importer.report.outcomes import outcomes, totals
from importer.report.tasks import tasks
from importer.report.verdict import asides, headline
from schemas.codes import Severity
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    from importer.identity import Identity
    from importer.ledger.records import RowOutcome
    from importer.model import Counts, Plan, RunReport
    from importer.report.lists import FileView, GroupView, ProblemCount
    from importer.report.tasks import Task
    from importer.settings import Settings

BATCH: Final = 20_000
"""Problems that are put into words at a time."""


# ---- a plan ------------------------------------------------------------------------------------


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
        said: what a command needs after it to find the same settings.
        made: UTC, when the plan was looked at, or None where nobody needs to know.
    """

    plan: Plan = field(repr=False)
    files: tuple[FileView, ...]
    groups: tuple[GroupView, ...] = field(repr=False)
    tasks: tuple[Task, ...] = field(repr=False)
    problem_counts: tuple[ProblemCount, ...]
    send_s: float
    blocked: bool
    said: Said = field(default_factory=Said)
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
        """What would happen, in one sentence."""
        return headline(self.counts, len(self.groups))

    @property
    def asides(self) -> tuple[str, ...]:
        """What else happens to rows, in sentences."""
        unusable = {
            where.file for task in self.of(Severity.ERROR) for where in task.where if not task.total
        }
        return tuple(asides(self.counts, len(unusable), self.send_s))


def of_plan(
    plan: Plan,
    settings: Settings,
    *,
    identity: Identity = PREVIEW,
    made: datetime | None = None,
) -> PlanView:
    """The view of a plan.

    Args:
        plan: what a run would send.
        settings: rate and policy.
        identity: makes the external ids of examples.
        made: UTC.
    """
    bodies = examples(plan, settings, identity)
    return PlanView(
        plan=plan,
        files=files_of(plan),
        groups=tuple(
            group_of(group, bodies.get(position)) for position, group in enumerate(plan.groups)
        ),
        tasks=tasks(plan.problems, plan.tables),
        problem_counts=problem_counts_of(plan.problems),
        send_s=plan.counts.ready / settings.rate_per_s,
        blocked=settings.on_problems == "block" and plan.counts.rejected > 0,
        said=Said.of(settings),
        made=made,
    )


# ---- a run -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class RunView:
    """A run for readers.

    Attributes:
        report: what the run did.
        files: names, in the order of the run.
        outcomes: one line per row read (`importer.report.outcomes.OUTCOMES`).
        totals: how many rows ended with each word of `importer.report.outcomes.MEANING`.
        said: what a command needs after it to find the same settings.
    """

    report: RunReport
    files: tuple[str, ...]
    outcomes: pl.DataFrame = field(repr=False)
    totals: Mapping[str, int]
    said: Said = field(default_factory=Said)

    def with_status(self, *statuses: str) -> pl.DataFrame:
        """The lines that ended with one of these words, in order of file and row."""
        return self.outcomes.filter(pl.col("status").is_in(statuses))


def of_run(
    report: RunReport,
    rows: Iterable[RowOutcome],
    files: Sequence[str],
    settings: Settings | None = None,
) -> RunView:
    """The view of a run.

    Args:
        report: what the run did.
        rows: what became of each row, from the ledger.
        files: names of the run's files, in its order.
        settings: of whoever reads it, who may go on with the same.
    """
    frame = outcomes(rows, files)
    said = Said() if settings is None else Said.of(settings)
    return RunView(report, tuple(files), frame, totals(frame), said)
