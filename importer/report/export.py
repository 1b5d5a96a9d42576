"""What other programs read: tables as spreadsheets, payloads as lines, and the JSON of commands.

The JSON is published, version 1; its schemas are in `schemas/` beside this file. `check` and
`results` list every row, so they are streamed. The others are one small object each.
"""

from __future__ import annotations

import json
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Final, TextIO

import polars as pl

from importer.atomic_file import replace_file
from importer.errors import EXIT_MEANING, Exit, UsageError
from importer.masking import scrub, scrub_name
from importer.model import State
from importer.report.outcomes import MOMENT
from schemas.columns import FORMULA, SOURCE, find_result_headers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from typing import BinaryIO

    from importer.errors import ImporterError
    from importer.ledger.records import Run, SubmissionRecord
    from importer.model import Json, Source, Table
    from importer.report.terminal_history import PastNight
    from importer.report.view import FileView, PlanView, RunView
    from importer.sending.sender import ReconcileReport, RefreshReport


_E164: Final = r"^\+[1-9][0-9]{1,14}$"


def delimiter_of(sources: Iterable[Source]) -> str:
    """Return the delimiter of the first text file; a comma if there is none."""
    return next((each.delimiter for each in sources if each.delimiter), ",")


def original_cells(table: Table) -> pl.DataFrame:
    """Return `#row` and the cells as read, without the columns of an earlier results file."""
    return table.frame.drop(find_result_headers(table.frame.columns))


def file_names(names: Sequence[str]) -> pl.Expr:
    """Return the column `_file`, made from `#source`."""
    position = pl.col(SOURCE).cast(pl.UInt32)
    return position.replace_strict(
        list(range(len(names))), list(names), return_dtype=pl.String
    ).alias("_file")


def write_csv(
    frame: pl.DataFrame, out: BinaryIO, delimiter: str = ",", *, begins: bool = True
) -> None:
    """Write text columns as a CSV that Excel opens correctly and without formulas.

    Args:
        frame: text; a null is an empty cell.
        out: the file.
        delimiter: between cells.
        begins: write the byte-order mark and the headers first.
    """
    safe = frame.select(_without_formula(name) for name in frame.columns)
    names = pl.DataFrame({"header": pl.Series(frame.columns, dtype=pl.String)})
    headers = names.select(_without_formula("header")).to_series().to_list()
    safe.rename(dict(zip(frame.columns, headers, strict=True))).write_csv(
        out,
        include_bom=begins,
        include_header=begins,
        separator=delimiter,
        line_terminator="\r\n",
    )


def _without_formula(name: str) -> pl.Expr:
    """Return the column with an apostrophe before possible formulas; E.164 phones stay."""
    cell = pl.col(name)
    risky = cell.str.contains(FORMULA) & ~cell.str.contains(_E164)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), cell)).otherwise(cell).alias(name)


def write_workbook(frames: Iterable[pl.DataFrame], out: BinaryIO) -> None:
    """Write text columns as a workbook of text cells, which holds no formulas.

    Args:
        frames: text of the same columns, at least one frame; a null is an empty cell.
        out: the file.

    Raises:
        UsageError: a workbook cannot hold this many rows or columns.
    """
    import xlsxwriter  # noqa: PLC0415 (optional; a CSV does not need it)

    rest = iter(frames)
    first = next(rest)
    book = xlsxwriter.Workbook(out, {"constant_memory": True})
    sheet = book.add_worksheet()
    text = book.add_format({"num_format": "@"})
    head = book.add_format({"num_format": "@", "bold": True})
    sheet.set_column(0, max(first.width - 1, 0), 18, text)
    sheet.freeze_panes(1, 0)
    rows = (row for frame in chain([first], rest) for row in frame.iter_rows())
    for number, line in enumerate(chain([first.columns], rows)):
        if number > MOST_ROWS or first.width > MOST_COLUMNS:
            raise UsageError(
                f"A workbook has at most {MOST_ROWS:,} rows and {MOST_COLUMNS:,} columns.",
                "Take the CSV file instead.",
            )
        for column, value in enumerate(line):
            if value is not None:
                style = text if number else head
                sheet.write_string(number, column, str(value)[:LONGEST_CELL], style)
    book.close()


MOST_ROWS: Final = 1_048_575
MOST_COLUMNS: Final = 16_384
LONGEST_CELL: Final = 32_767
"""What a workbook can hold: rows below the header, columns, characters of a cell."""


def write_payloads(lines: Iterable[pl.Series], path: Path) -> None:
    """Write lines of JSON for submissions, in row order.

    As long as there is no ledger, the keys and the external ids made from them are previews.

    Args:
        lines: many at once; none is kept in memory.
        path: UTF-8 file, written atomically.
    """
    with replace_file(path) as out:
        for some in lines:
            some.to_frame().write_csv(out.buffer, include_header=False, quote_style="never")


SCHEMA_VERSION: Final = 1


def write_plan_json(view: PlanView, out: TextIO) -> None:
    """Write a plan as the JSON of `check`, UTF-8 text.

    Problems are written in batches, so that a million of them need little memory.
    """
    counts = view.counts
    write_listing(
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


def write_listing(
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
    """Return the JSON of any command that ended with an error."""
    return {**ending_json(code), "error": {"message": message, "fix": fix}}


def unsent_json(view: PlanView, ending: str, code: Exit) -> dict[str, Json]:
    """Return the JSON of a `run` that sent nothing.

    Args:
        view: the view of its plan.
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
        view: the view of the run.
        doubtful: the doubtful rows of the run.
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
        "totals": {"read": sum(view.totals.values()), **totals},
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
