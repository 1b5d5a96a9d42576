"""Checked and grouped rows become a plan: counts that add up, and a hash that says what it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple

import polars as pl

from importer.model import Counts, Plan, RowStatus
from importer.problems import joined, with_severities
from schemas.codes import Severity
from schemas.columns import GROUP, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.model import CheckedRows, Group, Json, Table
    from importer.planning.grouping import Grouping
    from importer.settings import Settings


SHOWN: Final = 60
"""Groups of which a report shows a row: a list can have as many groups as rows."""

KNOWN: Final = {SOURCE: pl.UInt16, ROW: pl.UInt32, "key": pl.String}
"""Columns and types of `Plan.known`."""

_AT_ONCE: Final = 1_000_000


class _Taken(NamedTuple):
    """Ready rows, the result of every row, the problems, and `Plan.known`."""

    frame: pl.DataFrame
    rows: pl.DataFrame
    problems: pl.DataFrame
    known: pl.DataFrame


class Draft:
    """A plan in the making: takes checked rows part by part, and keeps what the plan needs.

    Args:
        grouping: makes the groups.
        settings: severities, and what enters the hash.
        whole: keep all ready rows, so that the plan can be sent; else the first rows of the first
            `SHOWN` groups, to show them.
        known: takes out of the plan of a part whom earlier runs dealt with.
    """

    def __init__(
        self,
        grouping: Grouping,
        settings: Settings,
        *,
        whole: bool,
        known: Callable[[Plan], Plan] | None = None,
    ) -> None:
        self._grouping = grouping
        self._settings = settings
        self._whole = whole
        self._known = known
        self._taken: list[_Taken] = []
        self._placed: list[pl.DataFrame] = []
        self._sizes: Counter[int] = Counter()
        self._shown: set[int] = set()

    def add(self, checked: CheckedRows) -> pl.DataFrame:
        """Takes the next rows; a row that no group took is a rejected one.

        Returns:
            the result of each of them: `#source`, `#row`, `status`.
        """
        grouped = self._grouping.take(checked.frame)
        self._placed.append(grouped.frame.select(SOURCE, ROW, GROUP))
        left_out = grouped.frame.height < checked.frame.height
        taken = _Taken(
            grouped.frame,
            _rejected(checked.rows, grouped.frame) if left_out else checked.rows,
            joined([checked.problems, with_severities(grouped.problems, self._settings.severity)]),
            pl.DataFrame(schema=KNOWN),
        )
        if self._known is not None:
            part = self._known(self._plan((), self._grouping.so_far, taken, hashed=""))
            taken = _Taken(part.frame, part.rows, part.problems, part.known)
        self._sizes.update(dict(taken.frame.group_by(GROUP).len().iter_rows()))
        kept = taken.frame if self._whole else self._first(taken.frame)
        self._taken.append(taken._replace(frame=kept))
        return taken.rows

    def plan(self, tables: Sequence[Table]) -> Plan:
        """The plan of all rows that were taken.

        Args:
            tables: the files, in the order of the run.

        Raises:
            TemplateError: a template that rows use is wrong whatever the row.
        """
        groups = self._grouping.groups(self._sizes)
        hashed = plan_hash(tables, groups, pl.concat(self._placed), self._settings)
        frames, rows, problems, known = zip(*self._taken, strict=True)
        taken = _Taken(pl.concat(frames), pl.concat(rows), joined(problems), pl.concat(known))
        return self._plan(tables, groups, taken, hashed)

    def _plan(
        self, tables: Sequence[Table], groups: tuple[Group, ...], taken: _Taken, hashed: str
    ) -> Plan:
        return Plan(
            tables=tuple(tables),
            groups=groups,
            frame=taken.frame,
            rows=taken.rows,
            problems=taken.problems,
            counts=counts(taken.rows, taken.problems),
            hash=hashed,
            known=taken.known,
            whole=self._whole,
        )

    def _first(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The first row of each group that is shown and has not come before."""
        new = pl.col(GROUP) < SHOWN, ~pl.col(GROUP).is_in(sorted(self._shown))
        first = frame.filter(*new).unique(GROUP, keep="first", maintain_order=True)
        self._shown.update(first[GROUP])
        return first


def _rejected(rows: pl.DataFrame, grouped: pl.DataFrame) -> pl.DataFrame:
    """The same rows, with those rejected that are ready and in no group."""
    return rows.join(
        grouped.select(SOURCE, ROW, pl.lit(value=True).alias("grouped")),
        on=[SOURCE, ROW],
        how="left",
        maintain_order="left",
    ).select(
        SOURCE,
        ROW,
        pl.when((pl.col("status") == RowStatus.READY.value) & pl.col("grouped").is_null())
        .then(pl.lit(RowStatus.REJECTED.value))
        .otherwise("status")
        .alias("status"),
    )


def counts(rows: pl.DataFrame, problems: pl.DataFrame) -> Counts:
    """How many rows have each status, and how many warnings there are."""
    by_status = dict(rows.group_by("status").len().iter_rows())
    return Counts(
        read=rows.height,
        ready=by_status.get(RowStatus.READY.value, 0),
        rejected=by_status.get(RowStatus.REJECTED.value, 0),
        duplicates=by_status.get(RowStatus.DUPLICATE.value, 0),
        already_imported=by_status.get(RowStatus.ALREADY_IMPORTED.value, 0),
        warnings=int((problems["severity"] == Severity.WARNING.value).sum()),
    )


def without(plan: Plan, statuses: pl.DataFrame, problems: pl.DataFrame) -> Plan:
    """The same plan with some of its ready rows taken out; its hash stays.

    Args:
        plan: the plan.
        statuses: `#source`, `#row`, the `status` that each of these rows has instead of ready, and
            the `key` of the submission that there is already, or null.
        problems: why, as a problem frame.
    """
    if not statuses.height and not problems.height:
        return plan
    rows = (
        plan.rows.join(
            statuses.select(SOURCE, ROW, pl.col("status").alias("now")),
            on=[SOURCE, ROW],
            how="left",
            maintain_order="left",
        )
        .with_columns(pl.coalesce("now", "status").alias("status"))
        .drop("now")
    )
    frame = plan.frame.join(statuses, on=[SOURCE, ROW], how="anti", maintain_order="left")
    all_problems = joined([plan.problems, problems])
    sizes = dict(frame.group_by(GROUP).len().iter_rows())
    return dataclasses.replace(
        plan,
        groups=tuple(
            dataclasses.replace(group, rows=sizes.get(number, 0))
            for number, group in enumerate(plan.groups)
        ),
        frame=frame,
        rows=rows,
        problems=all_problems,
        counts=counts(rows, all_problems),
        known=pl.concat([plan.known, statuses.filter(pl.col("key").is_not_null()).select(*KNOWN)]),
    )


def plan_hash(
    tables: Sequence[Table], groups: Sequence[Group], ready: pl.DataFrame, settings: Settings
) -> str:
    """Hex sha256 over all that decides what would be sent; where a file lies does not enter it."""
    digest = hashlib.sha256()
    digest.update(_canonical([version("importer"), settings.shaping()]))
    for table in tables:
        digest.update(_canonical([table.source.sha256, dict(table.mapping), dict(table.extra)]))
    for group in groups:
        digest.update(
            _canonical(
                [
                    group.campaign,
                    group.external_campaign,
                    group.meeting_configuration,
                    group.meeting_participants,
                    *([group.conversation_fields] if group.conversation_fields else []),
                ]
            )
        )
    for text in (_steps(ready[SOURCE]), _steps(ready[ROW]), ready[GROUP]):
        for start in range(0, text.len(), _AT_ONCE):
            digest.update(b"," if start else b"")
            part = text.slice(start, _AT_ONCE).cast(pl.String)
            digest.update(part.str.join(",").item().encode())
        digest.update(b";")
    return digest.hexdigest()


def _steps(numbers: pl.Series) -> pl.Series:
    """Numbers as the runs of equal steps between them, as text: rows in order are one run."""
    runs = numbers.cast(pl.Int64).diff().rle().struct.unnest()
    first = numbers.head(1).cast(pl.String).rename("step")
    steps = runs.select(pl.concat_str("len", pl.lit("x"), "value", ignore_nulls=True).alias("step"))
    return pl.concat([first, steps.to_series()])


def _canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
