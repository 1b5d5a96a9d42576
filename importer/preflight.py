"""Check a plan before it is sent, and choose the exit codes of plans and runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from importer.errors import Exit, FileUnreadable, Held, UsageError
from importer.masking import find_file
from importer.model import State
from importer.planning.plan import find_made_up
from importer.problems import errors
from schemas.codes import Code
from schemas.columns import ROW, SOURCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.ledger.records import Run
    from importer.model import Plan
    from importer.sending.circuit_breaker import Ending
    from importer.settings import Settings


def unusable(plan: Plan) -> pl.DataFrame:
    """The errors that keep a whole file out: those without a row, and those at its header."""
    headers = [table.source.header_row for table in plan.tables]
    header = pl.col(SOURCE).replace_strict(
        range(len(headers)), headers, default=0, return_dtype=pl.UInt32
    )
    whole = pl.col(ROW).is_null() | (pl.col(ROW) <= header)
    return errors(plan.problems).filter(whole)


def refuse_unreadable(plan: Plan) -> None:
    """Raise FileUnreadable if a file cannot be used: then no other file is sent either."""
    names = {plan.tables[position].source.name for position in unusable(plan)[SOURCE]}
    if names:
        raise FileUnreadable(
            f"{', '.join(sorted(names))} cannot be used, so nothing is sent.",
            "Correct the file as the summary says, or leave it out of the command.",
        )


def refuse_made_up(plan: Plan, settings: Settings) -> None:
    """Raise Held if a template has example values and the API contacts people."""
    made_up = find_made_up(plan) if settings.contacts_people else []
    if made_up:
        raise Held(
            f"Nothing is sent: {' '.join(made_up)} Such examples reach nobody.",
            f"Enter your own in {settings.templates}, or in the columns that fill the templates.",
        )


def expect(wanted: str, plan: Plan) -> None:
    """Raise Held unless the plan is the expected one.

    Args:
        wanted: its hash, or the path of the JSON that `check --format json` printed.
        plan: as prepared now.

    Raises:
        Held: it is another one; the text says what changed, if that is known.
        UsageError: `wanted` is neither.
    """
    path = Path(wanted)
    known = _report(path) if path.is_file() else None
    expected = str(known["plan"]) if known is not None else wanted.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", expected):
        raise UsageError(
            "--expect-plan takes the 64 digits of a plan's hash, or the JSON of a check.",
            "`importer check FILE --format json` prints it.",
        )
    if expected == plan.hash:
        return
    changes = (
        "; ".join(_changes(known, plan)) if known is not None else "give the check's JSON to see"
    )
    raise Held(
        f"The plan is not the expected one, so nothing is sent. What changed: {changes}.",
        "Look at the summary above, and expect its plan if it is right.",
    )


def _report(path: Path) -> Mapping[str, Any]:
    try:
        report = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as exc:
        raise UsageError(f"{path} is not the JSON of a check.") from exc
    if not isinstance(report, dict) or not {"plan", "sources", "totals", "groups"} <= set(report):
        raise UsageError(f"{path} is not the JSON of a check.")
    return report


def _changes(known: Mapping[str, Any], plan: Plan) -> list[str]:
    """Say what differs between a check's report and a plan."""
    found: list[str] = []
    before = [(each["name"], each["sha256"], each["columns"]) for each in known["sources"]]
    after = [(table.source.name, table.source.sha256, dict(table.mapping)) for table in plan.tables]
    if len(before) != len(after):
        found.append(f"{len(before)} files then, {len(after)} now")
    for (name, sha256, columns), (_, sha256_now, columns_now) in zip(before, after, strict=False):
        if sha256 != sha256_now:
            found.append(f"the content of {name}")
        elif columns != columns_now:
            found.append(f"the columns of {name}")
    ready = known["totals"]["ready"] + known["totals"]["already_imported"]
    ready_now = plan.counts.ready + plan.counts.already_imported
    if ready != ready_now:
        found.append(f"{ready} rows were good, {ready_now} are now")
    named = {(each["campaign"], each["meeting"], each["participants"]) for each in known["groups"]}
    named_now = {
        (each.campaign or each.external_campaign, each.meeting, each.participants)
        for each in plan.groups
    }
    if named != named_now:
        found.append("the campaigns or templates that rows go to")
    return found or ["a template's text, a setting that shapes bodies, or the importer's version"]


def exit_of_plan(plan: Plan) -> Exit:
    """The exit code of a check: 3 if a file cannot be used, 1 if rows are rejected, else 0."""
    if unusable(plan).height:
        return Exit.INPUT
    return Exit.REJECTED if plan.counts.rejected else Exit.OK


def exit_without_sending(plan: Plan) -> Exit:
    """The exit code of a run with nothing to send: as for a check, but 5 if a row is doubtful."""
    code = exit_of_plan(plan)
    doubtful = plan.problems.filter(pl.col("code") == Code.POSSIBLY_SENT.value).height
    return Exit.DOUBTFUL if doubtful and code is not Exit.INPUT else code


def exit_of_run(rejected: int, states: Mapping[State, int], ending: Ending) -> Exit:
    """The exit code of a run: why it stopped, else doubtful, rejected, not sent, or 0.

    Args:
        rejected: rows that were rejected before anything was sent.
        states: how many submissions are in each state.
        ending: of the sending.
    """
    if ending.exit_code is not Exit.OK:
        return ending.exit_code
    if states.get(State.DOUBTFUL, 0) or states.get(State.SENDING, 0):
        return Exit.DOUBTFUL
    if rejected or states.get(State.REJECTED, 0):
        return Exit.REJECTED
    left = states.get(State.UNSENT, 0) or (not ending and states.get(State.PLANNED, 0))
    return Exit.SETUP if left else Exit.OK


def prepare_again(run: Run, prepared: Callable[[Sequence[str]], Plan]) -> Plan:
    """Prepare the plan of an earlier run again from its files.

    Raises:
        UsageError: a file is gone, or a file, a template or a setting has changed.
    """
    files = []
    for source in run.sources:
        if not source.name:
            raise UsageError(
                f"The names of the files of run {run.id} were purged.",
                "Run the file again: rows that are done are skipped.",
            )
        if source.path is None:
            raise UsageError(
                f"Run {run.id} read {source.name} from standard input, which cannot be read again.",
                "Save it as a file and run it; rows already sent are skipped.",
            )
        path = find_file(source.path, source.sha256)
        if not Path(path).is_file():
            raise UsageError(
                f"Run {run.id} needs {path}, which is gone.",
                "Put the file back, or run another copy of it; rows already sent are skipped.",
            )
        files.append(path)
    plan = prepared(files)
    for source, path, table in zip(run.sources, files, plan.tables, strict=True):
        if source.sha256 != table.source.sha256:
            raise UsageError(
                f"{path} is not the file that run {run.id} read; its content changed.",
                "Put the old file back, or run the new one; rows already sent are skipped.",
            )
    if plan.hash != run.plan_hash:
        raise UsageError(
            f"Templates, settings or the importer changed since run {run.id}, so its rows would "
            "be sent differently from what was approved.",
            "Put them back, or run the file again; rows already sent are skipped.",
        )
    return plan
