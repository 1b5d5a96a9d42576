"""The published JSON of the commands, version 1; their schemas are in `schemas/` beside this file.

`check` and `results` list every row, so they are streamed. The others are one small object each.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Final, TextIO

import polars as pl

from importer.errors import EXIT_MEANING, Exit
from importer.masking import scrub, scrub_name
from importer.model import State
from importer.report.outcomes import MOMENT, progress_totals
from importer.report.view import BATCH
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

    from importer.errors import ImporterError
    from importer.ledger.records import Run, SubmissionRecord
    from importer.model import Json
    from importer.report.terminal_history import PastNight
    from importer.report.view import FileView, PlanView, RunView
    from importer.sending.sender import ReconcileReport, RefreshReport


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

    An outcome has `source`, `row`, `status`, `conversation_id`, `code`, `message`, `attempted_at`,
    `progress`, `progress_at` and `meeting_at`. Times are ISO 8601, UTC; null if there is none.
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
            "progress",
            pl.col("progress_at", "meeting_at").dt.strftime(MOMENT),
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
            "progress": progress_totals(rows),
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


# ---- small objects -------------------------------------------------------------------------------


def read_schemas() -> dict[str, str]:
    """Return the published JSON schemas: name of the command -> text."""
    folder = files("importer.report") / "schemas"
    return {
        each.name.removesuffix(".json"): each.read_text("utf-8")
        for each in sorted(folder.iterdir(), key=lambda each: each.name)
        if each.name.endswith(".json")
    }


def write_json(document: Mapping[str, Json], out: TextIO) -> None:
    """Write one object with its version first, UTF-8 text."""
    json.dump({"schema_version": SCHEMA_VERSION, **document}, out, ensure_ascii=False, indent=2)
    out.write("\n")


def ending_json(code: Exit) -> dict[str, Json]:
    """Return the exit code of a command and what it means."""
    return {"exit_code": code.value, "exit_meaning": EXIT_MEANING[code]}


def error_json(code: Exit, message: str, fix: str = "") -> dict[str, Json]:
    """Return the JSON of a command that ended with an error, whatever the command."""
    return {**ending_json(code), "error": {"message": message, "fix": fix}}


def unsent_json(view: PlanView, ending: str, code: Exit) -> dict[str, Json]:
    """Return the JSON of a `run` that sent nothing.

    Args:
        view: of its plan.
        ending: why: `dry-run`, `nothing-to-send` or `not-confirmed`.
        code: how the process ends.
    """
    counts = view.counts
    totals = dict.fromkeys(("created", "duplicate", "rejected", "doubtful", "unsent"), 0)
    return {
        **ending_json(code),
        "ending": ending,
        "run": None,
        "plan": view.hash,
        "totals": {
            "read": counts.read,
            **totals,
            "rejected": counts.rejected,
            "planned": counts.ready,
            "duplicate_in_file": counts.duplicates,
            "already_imported": counts.already_imported,
        },
    }


def run_json(
    view: RunView,
    doubtful: Sequence[SubmissionRecord],
    results: str | None = None,
    error: ImporterError | None = None,
) -> dict[str, Json]:
    """Return the JSON of a `run` or `resume` that sent, without anything of a person.

    Args:
        view: of the run.
        doubtful: its doubtful rows.
        results: the results file that was written.
        error: why the results file could not be written.
    """
    report = view.report
    totals = {status.replace("-", "_"): count for status, count in view.totals.items()}
    code = Exit(report.exit_code) if error is None else error.exit_code
    document: dict[str, Json] = {
        **ending_json(code),
        "ending": "sent",
        "run": report.run,
        "plan": report.plan_hash,
        "started": _moment(report.started),
        "finished": _moment(report.finished),
        "stopped": scrub(report.stopped),
        "totals": {"read": view.outcomes.height, **totals},
        "open_elsewhere": report.open_elsewhere,
        "doubtful": [_doubtful(each) for each in doubtful],
        "results": results,
    }
    if error is not None:
        document["error"] = {"message": error.message, "fix": error.fix}
    return document


def reconcile_json(settled: ReconcileReport, run: str | None, code: Exit) -> dict[str, Json]:
    """Return the JSON of `reconcile`; `run` is the one that was asked for, None for all."""
    states = [each.state for each in settled.findings.outcomes]
    return {
        **ending_json(code),
        "run": run,
        "found": states.count(State.CREATED),
        "absent": states.count(State.PLANNED),
        "duplicates": states.count(State.DUPLICATE),
        "reason": scrub(settled.findings.reason),
        "doubtful": [_doubtful(each) for each in settled.doubtful],
    }


def refresh_json(refreshed: RefreshReport, run: str | None, code: Exit) -> dict[str, Json]:
    """Return the JSON of `refresh`; `run` is the one that was asked for, None for all."""
    return {
        **ending_json(code),
        "run": run,
        "asked": refreshed.asked,
        "read": sum(refreshed.known.values()),
        "statuses": dict(sorted(refreshed.known.items())),
        "reason": scrub(refreshed.reason),
    }


def runs_json(
    runs: Iterable[Run],
    states: Mapping[str, Mapping[State, int]],
    nights: Iterable[PastNight],
    doubtful: int,
) -> dict[str, Json]:
    """Return the JSON of `runs`.

    Args:
        runs: newest first.
        states: id of a run -> number of its rows in each state.
        nights: newest first.
        doubtful: number of doubtful submissions of all runs.
    """
    return {
        "doubtful_open": doubtful,
        "runs": [_run(run, states.get(run.id, {})) for run in runs],
        "nights": [_night(past) for past in nights],
    }


def _run(run: Run, states: Mapping[State, int]) -> dict[str, Json]:
    found = {state.value: states.get(state, 0) for state in State if state is not State.SENDING}
    found["doubtful"] += states.get(State.SENDING, 0)  # found at start-up, it reads as doubtful
    return {
        "run": run.id,
        "started": _moment(run.started),
        "finished": None if run.finished is None else _moment(run.finished),
        "stopped": scrub(run.stopped),
        "plan": run.plan_hash,
        "files": [{"name": each.name, "sha256": each.sha256} for each in run.sources],
        "states": found,
    }


def _night(past: PastNight) -> dict[str, Json]:
    night = past.night
    return {
        "night": night.id,
        "inbox": night.inbox,
        "started": _moment(night.started),
        "ended": None if night.ended is None else _moment(night.ended),
        "exit_code": night.exit_code,
        "files": [
            {
                "folder": file.folder,
                "name": scrub_name(file.name),
                "sha256": file.sha256,
                "ending": file.ending,
                "now": past.now.get(file.sha256, file).ending,
                "run": file.run,
                "reason": scrub(file.reason),
            }
            for file in past.files
        ],
    }


def _doubtful(each: SubmissionRecord) -> dict[str, Json]:
    """Return where a doubtful row is and why, without anything of the person."""
    return {
        "run": each.run,
        "source": each.source_name,
        "row": each.row,
        "campaign": each.campaign,
        "request_id": each.request_id or None,
        "sent_at": _moment(each.requested_at),
        "code": each.code,
        "message": scrub(each.message),
    }


def _moment(at: datetime) -> str:
    return f"{at:{MOMENT}}"
