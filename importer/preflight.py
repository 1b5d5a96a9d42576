"""Check a plan before it is sent: refuse unreadable files, example values, and another plan."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from importer.errors import FileUnreadable, Held, UsageError
from importer.planning.plan import find_example_values
from importer.problems import file_errors
from schemas.columns import SOURCE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Plan
    from importer.settings import Settings


def refuse_unreadable(plan: Plan) -> None:
    """Raise FileUnreadable if a file cannot be used: then no other file is sent either."""
    names = {plan.tables[position].source.name for position in file_errors(plan)[SOURCE]}
    if names:
        raise FileUnreadable(
            f"{', '.join(sorted(names))} cannot be used, so nothing is sent.",
            "Correct the file as the summary says, or leave it out of the command.",
        )


def refuse_example_values(plan: Plan, settings: Settings) -> None:
    """Raise Held if a template has example values and the API contacts people."""
    examples = find_example_values(plan) if settings.contacts_people else []
    if examples:
        raise Held(
            f"Nothing is sent: {' '.join(examples)} Such examples reach nobody.",
            f"Enter your own in {settings.templates}, or in the columns that fill the templates.",
        )


def require_expected_plan(wanted: str, plan: Plan) -> None:
    """Raise Held unless the plan is the expected one.

    Args:
        wanted: the plan's hash, or the path of the JSON that `check --format json` printed.
        plan: the plan as prepared now.

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
