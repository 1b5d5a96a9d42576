"""Build a plan from checked rows: groups, counts that add up, and a hash of what is sent."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections import Counter
from importlib.metadata import version
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import polars as pl

from importer.model import Counts, Plan, RowStatus
from importer.planning.placeholders import texts
from importer.problems import concat, with_severities
from importer.settings.yaml_files import closest_name, format_path
from schemas.codes import Code, Severity
from schemas.columns import GROUP, ROW, SOURCE
from schemas.templates import is_example

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from importer.model import CheckedRows, Group, Json, Table
    from importer.planning.grouping import Grouping
    from importer.settings import Settings


SHOWN: Final = 60
"""Groups that a report shows an example of; a list can have as many groups as rows."""

KNOWN: Final = {SOURCE: pl.UInt16, ROW: pl.UInt32, "key": pl.String}
"""Columns and types of `Plan.known`."""

_AT_ONCE: Final = 1_000_000


class _Part(NamedTuple):
    """The ready rows, the status of every row, the problems, and `Plan.known`."""

    frame: pl.DataFrame
    rows: pl.DataFrame
    problems: pl.DataFrame
    known: pl.DataFrame


class PlanBuilder:
    """Collects checked rows part by part, and makes a plan of them.

    Args:
        grouping: makes the groups.
        settings: severities, and what enters the hash.
        whole: keep all ready rows, so that the plan can be sent; else only one row of each of the
            first `SHOWN` groups.
        exclude_known: excludes from the plan of a part what earlier runs dealt with.
    """

    def __init__(
        self,
        grouping: Grouping,
        settings: Settings,
        *,
        whole: bool,
        exclude_known: Callable[[Plan], Plan] | None = None,
    ) -> None:
        self._grouping = grouping
        self._settings = settings
        self._whole = whole
        self._exclude_known = exclude_known
        self._parts: list[_Part] = []
        self._placed: list[pl.DataFrame] = []
        self._sizes: Counter[int] = Counter()
        self._shown: set[int] = set()

    def add(self, checked: CheckedRows) -> pl.DataFrame:
        """Add the next rows; a row without a group is rejected.

        Returns:
            The status of each row: `#source`, `#row`, `status`.
        """
        grouped = self._grouping.take(checked.frame)
        found = concat([grouped.problems, self._grouping.check(checked.rejected)])
        self._placed.append(grouped.frame.select(SOURCE, ROW, GROUP))
        some_left_out = grouped.frame.height < checked.frame.height
        part = _Part(
            grouped.frame,
            _reject_ungrouped(checked.rows, grouped.frame) if some_left_out else checked.rows,
            concat([checked.problems, with_severities(found, self._settings.severity)]),
            pl.DataFrame(schema=KNOWN),
        )
        if self._exclude_known is not None:
            plan = self._plan((), self._grouping.groups_so_far, part, hashed="")
            less = self._exclude_known(plan)
            part = _Part(less.frame, less.rows, less.problems, less.known)
        self._sizes.update(dict(part.frame.group_by(GROUP).len().iter_rows()))
        kept = part.frame if self._whole else self._examples(part.frame)
        self._parts.append(part._replace(frame=kept))
        return part.rows

    def plan(self, tables: Sequence[Table]) -> Plan:
        """Return the plan of all rows that were added.

        Args:
            tables: the files, in the order of the run.

        Raises:
            TemplateError: a template that rows use is wrong for every row.
        """
        groups = self._grouping.groups(self._sizes)
        hashed = hash_plan(tables, groups, pl.concat(self._placed), self._settings)
        frames, rows, problems, known = zip(*self._parts, strict=True)
        found = _name_missing_columns(concat(problems), tables)
        part = _Part(pl.concat(frames), pl.concat(rows), found, pl.concat(known))
        return self._plan(tables, groups, part, hashed)

    def _plan(
        self, tables: Sequence[Table], groups: tuple[Group, ...], part: _Part, hashed: str
    ) -> Plan:
        return Plan(
            tables=tuple(tables),
            groups=groups,
            frame=part.frame,
            rows=part.rows,
            problems=part.problems,
            counts=count_rows(part.rows, part.problems),
            hash=hashed,
            known=part.known,
            whole=self._whole,
        )

    def _examples(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Return the first row of each group to show, unless an earlier part had it."""
        new = pl.col(GROUP) < SHOWN, ~pl.col(GROUP).is_in(sorted(self._shown))
        first = frame.filter(*new).unique(GROUP, keep="first", maintain_order=True)
        self._shown.update(first[GROUP])
        return first


def _name_missing_columns(problems: pl.DataFrame, tables: Sequence[Table]) -> pl.DataFrame:
    """Give placeholders that no column of the file can fill the words of the file."""
    missing = pl.col("code") == Code.PLACEHOLDER_MISSING.value
    pairs = problems.filter(missing).select(SOURCE, pl.col("column").cast(pl.String)).unique()
    for source, column in pairs.sort(SOURCE, "column").iter_rows():
        table = tables[source]
        headers = {name: header for header, name in (*table.extra.items(), *table.mapping.items())}
        if column is None or column in headers:
            continue
        meant = headers.get(closest_name(column, headers))
        detail = f"“{column.replace('_', ' ').title()}”, which a template needs"
        detail += f" (perhaps “{meant}” is meant)" if meant else ""
        here = missing & (pl.col(SOURCE) == source) & (pl.col("column") == column)
        problems = problems.with_columns(
            pl.when(here)
            .then(pl.lit(Code.COLUMN_MISSING.value).cast(problems.schema["code"]))
            .otherwise("code")
            .alias("code"),
            pl.when(here).then(pl.lit(detail)).otherwise("detail").alias("detail"),
        )
    return problems


def _reject_ungrouped(rows: pl.DataFrame, grouped: pl.DataFrame) -> pl.DataFrame:
    """Return the status of each row; ready rows without a group become rejected."""
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


def count_rows(rows: pl.DataFrame, problems: pl.DataFrame) -> Counts:
    """Count the rows of each status, and the warnings."""
    by_status = dict(rows.group_by("status").len().iter_rows())
    return Counts(
        read=rows.height,
        ready=by_status.get(RowStatus.READY.value, 0),
        rejected=by_status.get(RowStatus.REJECTED.value, 0),
        duplicates=by_status.get(RowStatus.DUPLICATE.value, 0),
        already_imported=by_status.get(RowStatus.ALREADY_IMPORTED.value, 0),
        warnings=int((problems["severity"] == Severity.WARNING.value).sum()),
    )


def exclude_rows(plan: Plan, statuses: pl.DataFrame, problems: pl.DataFrame) -> Plan:
    """Return the plan without some of its ready rows; its hash stays the same.

    Args:
        plan: the plan.
        statuses: `#source`, `#row`, the new `status` of each of these rows, and the `key` of the
            submission that the ledger has for it, or null.
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
    all_problems = concat([plan.problems, problems])
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
        counts=count_rows(rows, all_problems),
        known=pl.concat([plan.known, statuses.filter(pl.col("key").is_not_null()).select(*KNOWN)]),
    )


def drop_cells(plan: Plan) -> Plan:
    """Return the plan without the cells of its files; it can be sent, but not shown any more.

    A million rows have 200 MB of them.
    """
    tables = (dataclasses.replace(each, frame=each.frame.clear()) for each in plan.tables)
    return dataclasses.replace(plan, tables=tuple(tables))


def hash_plan(
    tables: Sequence[Table], groups: Sequence[Group], ready: pl.DataFrame, settings: Settings
) -> str:
    """Hash everything that decides what is sent, except the paths of the files, as hex."""
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
    """Return numbers as text, run-length encoded by their steps: rows in order are one run."""
    runs = numbers.cast(pl.Int64).diff().rle().struct.unnest()
    first = numbers.head(1).cast(pl.String).rename("step")
    steps = runs.select(pl.concat_str("len", pl.lit("x"), "value", ignore_nulls=True).alias("step"))
    return pl.concat([first, steps.to_series()])


def _canonical(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()


_EXAMPLES_NAMED: Final = 5


def find_example_values(plan: Plan) -> list[str]:
    """Return a sentence for each value of an example that is left in a template.

    Args:
        plan: with its templates filled in; at most `_EXAMPLES_NAMED` values are named.
    """
    found: dict[str, None] = {}
    kept: set[str] = set()
    for group in plan.groups:
        parts = (
            ("participant template", group.participants, group.meeting_participants),
            ("meeting template", group.meeting, group.meeting_configuration),
        )
        for kind, name, value in parts:
            for path, text in texts(cast("Json", value)):
                if text in kept:
                    continue
                if not is_example(text):
                    kept.add(text)
                    continue
                place = format_path(path)
                found[f"`{place}` of the {kind} {name} is {text}."] = None
        if len(found) >= _EXAMPLES_NAMED:
            break
    return list(found)[:_EXAMPLES_NAMED]
