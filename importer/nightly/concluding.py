"""The end of a file: what is to be said of it is written, and it is moved to where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from importer.ledger import Ledger
from importer.nightly.case import rows_of_plan, rows_of_run
from importer.nightly.hours import date_of
from importer.nightly.inbox import DONE, FAILED, HELD
from importer.nightly.writing import write_pages
from importer.report.night import Ending, FileReport, worst

if TYPE_CHECKING:
    from importer.model import Plan, RunReport
    from importer.nightly.case import Case
    from importer.nightly.unlike import Facts

_FOLDERS: Final = {Ending.DONE: DONE, Ending.SEEN: DONE, Ending.HELD: HELD, Ending.FAILED: FAILED}


def concluded_run(case: Case, plan: Plan, report: RunReport, facts: Facts) -> FileReport:
    """Ends a file whose run is through."""
    code = Exit(report.exit_code)
    return concluded(case, Ending.DONE, "", code, plan=plan, report=report, facts=facts)


def concluded(
    case: Case,
    ending: Ending,
    reason: str,
    exit_code: Exit,
    *,
    plan: Plan | None = None,
    report: RunReport | None = None,
    facts: Facts | None = None,
) -> FileReport:
    """Writes what is to be said of a file, and moves it to where it belongs."""
    work, settings, now = case.work, case.settings, case.work.clock.now()
    run = None if report is None else report.run
    date = date_of(settings, now) if _FOLDERS[ending] == DONE else ""
    into = work.inbox.place(_FOLDERS[ending], case.folder, date)
    target = work.inbox.free(into, case.path.name)
    pages, faults = write_pages(plan, run, target, settings, now)
    moved = work.inbox.move(case.path, into, target.name)
    place = target if moved is None else moved
    if run is not None:
        with Ledger.open(settings.ledger) as ledger:
            ledger.nights.moved(run, case.sha256, str(place))
    if faults and run is not None:
        faults.append(f"`importer results {run}` shows what became of its rows.")
    reason = " ".join([reason, *faults]).strip()
    name = place.name if ending is Ending.HELD else None  # `importer release` needs the very name
    case.record(ending, reason=reason, run=run, facts=facts or {}, name=name)
    case.log.info("file.concluded", ending=ending.value, exit_code=int(exit_code), run=run)
    rows = rows_of_run(report) if report else rows_of_plan(plan.counts) if plan else {}
    return case.said(
        ending,
        reason,
        worst(exit_code, Exit.SETUP) if faults else exit_code,
        run=run or case.past.run,
        rows=rows,
        problems=_problems(plan),
        place=work.below(place),
        pages=tuple((label, work.below(path)) for label, path in pages),
        send_s=(report.finished - report.started).total_seconds() if report else 0.0,
    )


def _problems(plan: Plan | None) -> dict[str, int]:
    if plan is None:
        return {}
    return dict(sorted(plan.problems.group_by("code").len().iter_rows()))
