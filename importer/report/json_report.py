"""The published JSON of `check` and `results`, version 1: streamed and complete."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, TextIO

import polars as pl

from importer.report.outcomes import MOMENT
from importer.report.view import BATCH
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from importer.model import Json
    from importer.report.view import FileView, PlanView, RunView


SCHEMA_VERSION: Final = 1


def write_plan_json(view: PlanView, out: TextIO) -> None:
    """Write a plan as the JSON of `check`, UTF-8 text.

    Problems are written in batches, so that a million of them need little memory.
    """
    counts = view.counts
    _write(
        out,
        {
            "schema_version": SCHEMA_VERSION,
            "plan": view.hash,
            "sources": [_source(file) for file in view.files],
            "totals": {
                "read": counts.read,
                "ready": counts.ready,
                "rejected": counts.rejected,
                "duplicates": counts.duplicates,
                "already_imported": counts.already_imported,
                "warnings": counts.warnings,
            },
            "groups": [
                {
                    "campaign": group.campaign,
                    "meeting": group.meeting,
                    "participants": group.participants,
                    "rows": group.rows,
                }
                for group in view.groups
            ],
            "problem_counts": [
                {
                    "code": each.code,
                    "column": each.column,
                    "severity": each.severity,
                    "count": each.count,
                }
                for each in view.problem_counts
            ],
        },
        "problems",
        view.worded_problems(),
    )


def write_run_json(view: RunView, out: TextIO) -> None:
    """Write the result of every row of a run: `run`, `totals`, `outcomes`.

    An outcome has `source`, `row`, `status`, `conversation_id`, `code`, `message` and
    `attempted_at` (ISO 8601, UTC; null if no request was made).
    """
    rows = view.outcomes
    batches = (
        rows.slice(start, BATCH).select(
            "source",
            pl.col(ROW).alias("row"),
            "status",
            "conversation_id",
            "code",
            "message",
            pl.col("attempted_at").dt.strftime(MOMENT),
        )
        for start in range(0, rows.height, BATCH)
    )
    totals = {status.replace("-", "_"): count for status, count in view.totals.items()}
    _write(
        out,
        {
            "schema_version": SCHEMA_VERSION,
            "run": view.report.run,
            "totals": {"read": rows.height, **totals},
        },
        "outcomes",
        batches,
    )


def _source(file: FileView) -> dict[str, Json]:
    return {
        "name": file.name,
        "sha256": file.sha256,
        "encoding": file.encoding,
        "delimiter": file.delimiter,
        "sheet": file.sheet,
        "rows": file.read,
        "columns": dict(file.columns),
        "extra_columns": list(file.extra),
        "ignored_columns": list(file.ignored),
    }


def _write(
    out: TextIO, head: Mapping[str, Json], name: str, batches: Iterable[pl.DataFrame]
) -> None:
    """Write an object whose last key, `name`, lists the rows of all frames, one line each."""
    opening = json.dumps(head, ensure_ascii=False, indent=2)
    out.write(f'{opening[: opening.rindex("}")].rstrip()},\n  "{name}": [')
    first = True
    for frame in batches:
        if not frame.height:
            continue
        lines = frame.write_ndjson().rstrip("\n")
        out.write("\n    " if first else ",\n    ")
        out.write(lines.replace("\n", ",\n    "))
        first = False
    out.write("]\n}\n" if first else "\n  ]\n}\n")
