"""Checked and grouped rows become a plan: counts that add up, and a hash that says what it is."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from importlib.metadata import version
from typing import TYPE_CHECKING

import polars as pl

from importer.model import Counts, Plan, RowStatus
from importer.problems import joined, with_severities
from schemas.codes import Severity
from schemas.columns import GROUP, ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.grouping import Grouped
    from importer.model import Checked, Group, Json, Table
    from importer.settings import Settings


def assemble(
    tables: Sequence[Table], checked: Checked, grouped: Grouped, settings: Settings
) -> Plan:
    """Puts the parts together; a row that no group took is a rejected one."""
    rows = checked.rows
    if grouped.frame.height < checked.frame.height:
        rows = rows.join(
            grouped.frame.select(SOURCE, ROW, pl.lit(value=True).alias("grouped")),
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
    problems = joined(
        [checked.problems, with_severities(grouped.problems, settings.severity)],
    )
    return Plan(
        tables=tuple(tables),
        groups=grouped.groups,
        frame=grouped.frame,
        rows=rows,
        problems=problems,
        counts=counts(rows, problems),
        hash=plan_hash(tables, grouped.groups, grouped.frame, settings),
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
        statuses: `#source`, `#row` and the `status` that each of these rows has instead of ready.
        problems: why, as a problem frame.
    """
    if not statuses.height and not problems.height:
        return plan
    rows = (
        plan.rows.join(
            statuses.rename({"status": "now"}), on=[SOURCE, ROW], how="left", maintain_order="left"
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
                ]
            )
        )
    for text in (_steps(ready[SOURCE]), _steps(ready[ROW]), ready[GROUP].cast(pl.String)):
        digest.update(text.str.join(",").item().encode())
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
