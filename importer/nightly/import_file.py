"""What is written beside a file once it is through: its check, its rejected rows, its results."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from importer.deliver import deliver, prepare, reconcile, report_of, resume
from importer.errors import ConfigurationError, Exit, ImporterError, UsageError
from importer.ledger import Ledger
from importer.loader import load
from importer.masking import scrub, scrub_name
from importer.nightly.anomalies import Facts, Past, facts_of, past_of, too_many_rejected, unlike
from importer.nightly.clock import closes, date_of
from importer.nightly.context import Case, Work, rows_of_plan, rows_of_run
from importer.nightly.inbox import DONE, FAILED, HELD, digest, print_of
from importer.nightly.ownership import folder_belongs
from importer.planning.history import looking
from importer.preflight import exit_without_sending, unusable
from importer.problems import in_words
from importer.report import export, html, view
from importer.report.export import reread_files, save_results
from importer.report.night_report import FileEnding, FileReport, worst
from importer.sending.circuit_breaker import OutageDetector
from importer.sending.run_options import RunOptions, SilentObserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from importer.model import Counts, Outcome, Plan, RunReport
    from importer.settings import Settings


Page = tuple[str, "Path"]


def write_pages(
    plan: Plan | None, run: str | None, target: Path, settings: Settings, made: datetime
) -> tuple[list[Page], list[str]]:
    """Writes what can be written, and says of the rest why not: an import never fails for it.

    Args:
        plan: of the file, without whom earlier runs dealt with; None where there is none.
        run: that imported it, or None.
        target: where the file itself will lie; the pages lie beside it.
        settings: of its subfolder.
        made: UTC.

    Returns:
        Label and path of each page, and a sentence for each that could not be written.
    """
    pages: list[Page] = []
    faults: list[str] = []

    def attempt(label: str, suffix: str, write: Callable[[Path], None]) -> None:
        path = target.with_name(target.name + suffix)
        try:
            write(path)
        except (ImporterError, OSError) as exc:
            faults.append(exc.message if isinstance(exc, ImporterError) else str(exc.strerror))
        except Exception as exc:  # noqa: BLE001 - people were written to; no page changes that
            faults.append(f"{path.name} could not be made ({type(exc).__name__}).")
        else:
            pages.append((label, path))

    if plan is not None:
        shown = view.plan_view(plan, settings, created_at=made)
        attempt("what was checked", ".check.html", lambda path: html.write_page(shown, path))
        if plan.counts.rejected:
            attempt(
                "rejected rows",
                ".rejected.csv",
                lambda path: export.write_rejected(plan, path),
            )
    if run is not None:
        attempt("results", ".results.csv", lambda path: _results(run, settings, path))
    return pages, faults


def _results(run: str, settings: Settings, path: Path) -> None:
    with Ledger.open(settings.ledger, create=False) as ledger:
        found = ledger.runs.find(run)
        names = [source.name for source in found.sources]
        shown = view.run_view(report_of(ledger, found), ledger.runs.rows(found.id), names)
    save_results(shown, reread_files(found.sources, partial(load, settings=settings)), path)


_FOLDERS: Final = {
    FileEnding.DONE: DONE,
    FileEnding.SEEN: DONE,
    FileEnding.HELD: HELD,
    FileEnding.FAILED: FAILED,
}


def concluded_run(case: Case, plan: Plan, report: RunReport, facts: Facts) -> FileReport:
    """Ends a file whose run is through."""
    code = Exit(report.exit_code)
    return concluded(case, FileEnding.DONE, "", code, plan=plan, report=report, facts=facts)


def concluded(
    case: Case,
    ending: FileEnding,
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
            ledger.nights.note_path(run, case.sha256, str(place))
    if faults and run is not None:
        faults.append(f"`importer results {run}` shows what became of its rows.")
    reason = " ".join([reason, *faults]).strip()
    name = (
        place.name if ending is FileEnding.HELD else None
    )  # `importer release` needs the very name
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


_UNBELIEVED: Final = frozenset(
    {"no-id", "refused-with-2xx", "another-conversation", "conversation-of-another"}
)
"""Codes of answers that waiting does not make better: a person has to look."""

_REFUSALS: Final = frozenset({"http-401", "http-403"})


def sent(case: Case, plan: Plan, facts: Facts) -> FileReport:
    """Sends a file that may be sent, or says from when on it may."""
    work, settings, now = case.work, case.settings, case.work.clock.now()
    rows = rows_of_plan(plan.counts)
    place = work.below(case.path)
    if work.stop.asked() or work.refused or now >= work.ends:
        reason = "Nothing more is sent in this night."
        return case.said(FileEnding.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    when = work.sends_from(settings, now)
    if when > now:
        reason = f"It is checked; sending goes on at {when:%H:%M} UTC."
        return case.said(FileEnding.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    until_s = (min(work.ends, closes(settings, now)) - now).total_seconds()
    options = RunOptions("importer nightly", settings.credentials())
    heard = _NightObserver(case, until_s)
    report = _delivered(case, plan, options, heard)
    case.log.info(
        "run.ended",
        run=report.run,
        exit_code=report.exit_code,
        **{state.value: count for state, count in report.states.items()},
    )
    outage = heard.outage(report, troubled=case.path in work.troubled)
    if report.exit_code == Exit.INTERRUPTED or (outage and work.stop.asked()):
        told = "The night was told to stop." if work.stop.asked() else "The time was over."
        return _left(case, report, told, Exit.INTERRUPTED)
    if outage:
        work.refused = bool(heard.codes & _REFUSALS)
        work.pause(case.path, settings.outage_wait_s)
        reason = report.stopped or heard.list_unreadable or "The API did not take every row."
        case.log.warning("api.outage", run=report.run, wait_s=settings.outage_wait_s)
        return _left(case, report, reason, Exit.SETUP)
    doubts_stopped_it = report.exit_code == Exit.DOUBTFUL and report.stopped
    if report.exit_code == Exit.HELD or doubts_stopped_it:
        return concluded(
            case, FileEnding.HELD, report.stopped, Exit.HELD, plan=plan, report=report, facts=facts
        )
    return concluded_run(case, plan, report, facts)


@dataclass
class _NightObserver(SilentObserver):
    """Logs the start of a file's run, stops it in time, and remembers what an outage looks like.

    Attributes:
        case: the file.
        until_s: seconds until sending must stop.
    """

    case: Case
    until_s: float
    codes: set[str] = field(default_factory=set)
    detector: OutageDetector = field(default_factory=OutageDetector)
    list_unreadable: str = ""

    def on_start(self, run: str, count: int, seconds: float) -> None:
        """Note which run sends the file."""
        del seconds
        facts = Facts(released=self.case.past.released)
        self.case.record(FileEnding.WAITING, run=run, facts=facts)
        self.case.log.info("run.started", run=run, submissions=count)

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """Stop the run when the night ends."""
        self.case.work.stop.watch(stop, self.until_s)

    def on_outcome(self, outcome: Outcome) -> None:
        """Note how a row ended."""
        self.codes.add(outcome.code)
        self.detector.note(outcome)

    def on_list_unreadable(self, reason: str) -> None:
        """Note why doubts stay open."""
        self.list_unreadable = reason

    def outage(self, report: RunReport, *, troubled: bool) -> bool:
        """Whether it is the service that failed, so that the file is worth another try.

        Args:
            report: of the run.
            troubled: the file met an outage before. Then doubts that are left, because the list
                could not be read, wait for the service too.
        """
        if report.exit_code == Exit.SETUP:
            return True
        if report.exit_code == Exit.DOUBTFUL:
            lost = bool(report.stopped) and not self.codes & _UNBELIEVED
            return (bool(self.list_unreadable) or lost) and (self.detector.outage or troubled)
        return bool(report.stopped) and self.detector.outage


def _delivered(case: Case, plan: Plan, options: RunOptions, observer: SilentObserver) -> RunReport:
    """Goes on with the run that the file has, or begins one."""
    settings, run = case.settings, case.past.run
    if run is None:
        return deliver(plan, settings, options, observer)
    with Ledger.open(settings.ledger) as ledger:
        ledger.nights.note_path(run, case.sha256, str(case.path))
    try:
        return resume(run, settings, options, observer)
    except UsageError:  # templates or settings changed since: a new run, after what was doubtful
        reconcile(run, settings, options, observer)
        return deliver(plan, settings, options, observer)


def _left(case: Case, report: RunReport, reason: str, exit_code: Exit) -> FileReport:
    """A file that stays where it is, for later in this night or for the next."""
    return case.said(
        FileEnding.WAITING,
        reason,
        exit_code,
        run=report.run,
        rows=rows_of_run(report),
        place=case.work.below(case.path),
    )


def take(work: Work, folder: str, path: Path, position: int) -> FileReport:
    """Does with a claimed file whatever can be done now; never raises for one file's sake.

    Args:
        work: the night.
        folder: subfolder that it came from.
        path: where it lies, claimed.
        position: of the file in the night.
    """
    place = str(path.relative_to(work.inbox.root))
    report = FileReport(folder, scrub_name(path.name), "", FileEnding.WAITING, place=place)
    try:
        return _taken(work, folder, path, position)
    except FileNotFoundError:
        report = replace(
            report, ending=FileEnding.GONE, reason="It was taken away while it was read."
        )
    except ImporterError as error:  # of settings, templates, ledger or folders: not the file's
        report = replace(report, reason=scrub(str(error)), exit_code=error.exit_code)
    except OSError as error:
        reason = f"It cannot be read: {error.strerror}."
        report = replace(report, reason=reason, exit_code=Exit.SETUP)
    except asyncio.CancelledError:
        reason = "The grace was over before the API answered; what was under way is looked up next."
        report = replace(report, reason=reason, exit_code=Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - one file, whatever is in it, never stops the others
        report = _broken(work, report, path, error)
    work.log.warning(
        "file.left", folder=folder, ending=report.ending.value, exit_code=int(report.exit_code)
    )
    return report


def _broken(work: Work, report: FileReport, path: Path, error: Exception) -> FileReport:
    """A file that showed a fault of ours goes out of the way: no night stumbles over it again."""
    kind = type(error).__name__
    work.log.error("file.broken", folder=report.folder, cause=kind)
    reason = f"Something went wrong inside importer ({kind}); please report it."
    report = replace(report, ending=FileEnding.FAILED, reason=reason, exit_code=Exit.SETUP)
    try:
        moved = work.inbox.move(path, work.inbox.place(FAILED, report.folder), path.name)
    except ConfigurationError:
        return report
    return report if moved is None else replace(report, place=work.below(moved))


def _taken(work: Work, folder: str, path: Path, position: int) -> FileReport:
    settings = work.places.load(folder)
    folder_belongs(work.inbox, folder, settings.ledger, work.places.ledger(), work.clock.now())
    before, sha256 = print_of(path), digest(path)
    with Ledger.open(settings.ledger) as ledger:
        past = past_of(ledger, sha256, folder, settings)
    case = Case(work, folder, path, position, settings, sha256, past)
    if past.imported and not past.ours:
        return concluded(case, FileEnding.SEEN, past.imported, Exit.OK)
    case.record(FileEnding.WAITING, run=past.run, facts=Facts(released=past.released))
    case.log.info("file.claimed", size=before[2], run=past.run)
    plan = prepare([str(path)], settings)
    if print_of(path) != before:
        work.inbox.give_back(path, folder)
        return case.said(FileEnding.GONE, "It changed while it was read, and waits again.", Exit.OK)
    return _checked(case, plan)


def _checked(case: Case, plan: Plan) -> FileReport:
    """Holds a file that cannot or should not be sent, and sends any other."""
    settings, past = case.settings, case.past
    with looking(settings) as look:
        known = look.applied_to(plan, settings)
    facts = facts_of(plan, known)
    case.log.info("file.checked", **_numbers(known.counts))
    if unusable(plan).height:
        problem = next(in_words(unusable(plan), plan.tables))
        reason = f"{problem.message} {problem.fix}"
        return concluded(case, FileEnding.FAILED, reason, Exit.INPUT, plan=known)
    if past.ours:  # the run was through, and only the moving was not
        return concluded_run(case, plan, past.report(settings), facts)
    reasons = _reasons_to_hold(past, facts, settings)
    if reasons:
        return concluded(case, FileEnding.HELD, reasons, Exit.HELD, plan=known)
    if past.run is None and not known.counts.ready:
        code = exit_without_sending(known)
        return concluded(
            case, FileEnding.DONE, "Nobody new is in it.", code, plan=known, facts=facts
        )
    return sent(case, plan if past.run else known, facts)


def _reasons_to_hold(past: Past, facts: Facts, settings: Settings) -> str:
    """Why a person should look first; empty where one did, or where sending has begun."""
    if past.released:
        return ""
    if past.run is not None:
        return past.held
    return " ".join([*too_many_rejected(facts, settings), *unlike(facts, past.last, settings)])


def _numbers(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "ready": counts.ready,
        "rejected": counts.rejected,
        "repeated": counts.duplicates,
        "already_imported": counts.already_imported,
    }
