"""Import one claimed file: check it, send it or hold it, and move it with its pages.

find its history -> prepare -> hold or send -> write pages -> move to done/, held/ or failed/
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from importer.deliver import deliver, reconcile, refresh, report_of, resume
from importer.errors import ConfigurationError, Exit, ImporterError, UsageError
from importer.languages import ENGLISH, use_language
from importer.loader import open_read
from importer.masking import scrub, scrub_name
from importer.nightly.anomalies import (
    FileFacts,
    check_rejected_share,
    describe_file,
    find_anomalies,
)
from importer.nightly.clock import local_date, sending_end
from importer.nightly.context import ClaimedFile, NightContext, rows_of_plan, rows_of_run
from importer.nightly.file_history import find_history
from importer.nightly.inbox import DONE, FAILED, HELD, is_regular, sha256_of, stat_file
from importer.nightly.ownership import LocalFolder
from importer.planning.history import open_history
from importer.prepare import prepare
from importer.problems import file_errors, in_words
from importer.report import html, view
from importer.report.exit_codes import exit_without_sending
from importer.report.night_report import FileEnding, FileReport, worst
from importer.report.rejected_rows import write_rejected
from importer.report.results import read_result_rows, reread_files, save_results, view_results
from importer.sending.circuit_breaker import OutageDetector
from importer.sending.run_options import RunOptions, SilentObserver

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.model import Counts, Outcome, Plan, RunReport
    from importer.nightly.file_history import FileHistory
    from importer.settings import Settings


Page = tuple[str, "Path"]
_ENDING_FOLDERS: Final = {
    FileEnding.DONE: DONE,
    FileEnding.SEEN: DONE,
    FileEnding.HELD: HELD,
    FileEnding.FAILED: FAILED,
}
COMMAND: Final = "importer nightly"
"""The command that a locked ledger names while a night uses it."""

_NOT_BELIEVED: Final = frozenset(
    {"no-id", "refused-with-2xx", "another-conversation", "conversation-of-another"}
)
"""Codes of responses that a retry does not improve: a person has to look."""
_NO_ACCESS: Final = frozenset({"http-401", "http-403"})


def import_file(context: NightContext, folder: str, path: Path, position: int) -> FileReport:
    """Import a claimed file as far as possible now; a fault of the file never raises.

    Args:
        context: the context of the night.
        folder: subfolder that it came from.
        path: where it is since it was claimed.
        position: the position of the file in the night.
    """
    place = str(path.relative_to(context.inbox.folders.root))
    report = FileReport(folder, scrub_name(path.name), "", FileEnding.WAITING, place=place)
    try:
        return _import(context, folder, path, position)
    except FileNotFoundError:
        reason = "It was moved or deleted while it was read."
        report = replace(report, ending=FileEnding.GONE, reason=reason)
    except ImporterError as error:  # of settings, templates, ledger or folders, not of the file
        report = replace(report, reason=scrub(str(error)), exit_code=error.exit_code)
    except OSError as error:
        reason = f"It cannot be read: {error.strerror}."
        report = replace(report, reason=reason, exit_code=Exit.SETUP)
    except asyncio.CancelledError:
        reason = (
            "The API did not answer within grace_s; the next night looks up what was under way."
        )
        report = replace(report, reason=reason, exit_code=Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - no file may stop the others
        report = _set_aside(context, report, path, error)
    context.log.warning(
        "file.left", folder=folder, ending=report.ending.value, exit_code=int(report.exit_code)
    )
    return report


def _set_aside(
    context: NightContext, report: FileReport, path: Path, error: Exception
) -> FileReport:
    """Move a file that met an internal error to `failed/`, so that no later night repeats it."""
    kind = type(error).__name__
    context.log.error("file.broken", folder=report.folder, cause=kind)
    reason = f"Something went wrong inside importer ({kind}); please report it."
    report = replace(report, ending=FileEnding.FAILED, reason=reason, exit_code=Exit.SETUP)
    folders = context.inbox.folders
    try:
        moved = folders.move(path, folders.make_folder(FAILED, report.folder), path.name)
    except ConfigurationError:
        return report
    return report if moved is None else replace(report, place=context.relative(moved))


def _import(context: NightContext, folder: str, path: Path, position: int) -> FileReport:
    if not is_regular(path):
        raise FileNotFoundError(path)
    settings = context.settings.load(folder)
    inbox, ledgers = context.inbox, context.inbox.ledgers
    if folder:
        place = LocalFolder(inbox.folders.root / folder, f"{inbox.name}/{folder}")
        ledger = ledgers.claim(place, inbox.name, settings.ledger, context.clock.now())
    else:
        ledger = ledgers.get(settings.ledger)
    before, sha256 = stat_file(path), sha256_of(path)
    history = find_history(ledger, sha256, folder, settings)
    file = ClaimedFile(context, folder, path, position, settings, ledger, sha256, history)
    if history.imported and not history.only_move:
        return _conclude(file, FileEnding.SEEN, history.imported, Exit.OK)
    file.record(FileEnding.WAITING, run=history.run, facts=FileFacts(released=history.released))
    file.log.info("file.claimed", size=before[2], run=history.run)
    plan = prepare([str(path)], settings)
    if stat_file(path) != before:
        inbox.unclaim(path, folder)
        reason = "It changed while it was read, so it waits until it is stable."
        return file.report(FileEnding.GONE, reason, Exit.OK)
    return _hold_or_send(file, plan)


def _hold_or_send(file: ClaimedFile, plan: Plan) -> FileReport:
    """Hold a file that cannot or should not be sent; send any other."""
    settings, history = file.settings, file.history
    with open_history(settings, file.ledger) as earlier:
        known = earlier.exclude_known(plan, settings)
    facts = describe_file(plan, known)
    file.log.info("file.checked", **_log_counts(known.counts))
    if file_errors(plan).height:
        with use_language(ENGLISH):  # for the ledger; reports translate it
            problem = next(in_words(file_errors(plan), plan.tables))
        reason = f"{problem.message} {problem.fix}"
        return _conclude(file, FileEnding.FAILED, reason, Exit.INPUT, plan=known)
    if history.only_move:
        report = report_of(file.ledger, file.ledger.runs.find(history.run))
        return _conclude_run(file, plan, report, facts)
    reasons = _reasons_to_hold(history, facts, settings)
    if reasons:
        return _conclude(file, FileEnding.HELD, reasons, Exit.HELD, plan=known)
    if history.run is None and not known.counts.ready and _look_up_earlier(file):
        with open_history(settings, file.ledger) as earlier:
            known = earlier.exclude_known(plan, settings)
        facts = describe_file(plan, known)
    if history.run is None and not known.counts.ready:
        code = exit_without_sending(known)
        reason = "It contains nobody new."
        return _conclude(file, FileEnding.DONE, reason, code, plan=known, facts=facts)
    return _send(file, plan if history.run else known, facts)


def _reasons_to_hold(history: FileHistory, facts: FileFacts, settings: Settings) -> str:
    """Say why a person should look first; empty if somebody did, or if sending has begun."""
    if history.released:
        return ""
    if history.run is not None:
        return history.held
    anomalies = find_anomalies(facts, history.last, settings)
    return " ".join([*check_rejected_share(facts, settings), *anomalies])


def _log_counts(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "ready": counts.ready,
        "rejected": counts.rejected,
        "repeated": counts.duplicates,
        "already_imported": counts.already_imported,
    }


# ---- sending -------------------------------------------------------------------------------------


def _send(file: ClaimedFile, plan: Plan, facts: FileFacts) -> FileReport:
    """Send a file that may be sent now, or report when it may."""
    context, settings, now = file.context, file.settings, file.context.clock.now()
    rows, place = rows_of_plan(plan.counts), context.relative(file.path)
    if context.stop.requested() or context.refused or now >= context.ends:
        reason = "Nothing more is sent tonight."
        return file.report(FileEnding.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    opens = context.earliest_sending(settings, now)
    if opens > now:
        reason = f"It was checked; sending goes on at {opens:%H:%M} UTC."
        return file.report(FileEnding.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    until_s = (min(context.ends, sending_end(settings, now)) - now).total_seconds()
    options = RunOptions(COMMAND, settings.credentials(), ledger=file.ledger)
    _refresh_statuses(file, options)
    observer = _FileObserver(file, until_s)
    report = _deliver_or_resume(file, plan, options, observer)
    file.log.info(
        "run.ended",
        run=report.run,
        exit_code=report.exit_code,
        **{state.value: count for state, count in report.states.items()},
    )
    outage = observer.is_outage(report, troubled=file.path in context.troubled)
    # The look-up of doubtful rows may have been cut short; the next night looks again.
    in_doubt = report.exit_code == Exit.DOUBTFUL and not report.stopped
    told_to_stop = context.stop.requested() and (outage or in_doubt)
    if report.exit_code == Exit.INTERRUPTED or told_to_stop:
        stopped = context.stop.requested()
        reason = "The night was told to stop." if stopped else "The night reached its deadline."
        return _leave(file, report, reason, Exit.INTERRUPTED)
    if outage:
        context.refused = bool(observer.codes & _NO_ACCESS)
        context.pause(file.path, settings.outage_wait_s)
        reason = report.stopped or observer.list_unreadable or "The API did not take every row."
        file.log.warning("api.outage", run=report.run, wait_s=settings.outage_wait_s)
        return _leave(file, report, reason, Exit.SETUP)
    doubts_stopped_it = report.exit_code == Exit.DOUBTFUL and report.stopped
    if report.exit_code == Exit.HELD or doubts_stopped_it:
        return _conclude(
            file, FileEnding.HELD, report.stopped, Exit.HELD, plan=plan, report=report, facts=facts
        )
    return _conclude_run(file, plan, report, facts)


def _look_up_earlier(file: ClaimedFile) -> bool:
    """Look up doubts of earlier runs, once a night for each ledger; send nothing.

    Returns:
        Whether that settled anything.
    """
    context, settings = file.context, file.settings
    known = settings.ledger in context.looked_up or not file.ledger.doubts.list()
    if known or not settings.reconcile or not context.may_send(settings):
        return False
    context.looked_up.add(settings.ledger)
    try:
        options = RunOptions(COMMAND, settings.credentials(), ledger=file.ledger)
    except ConfigurationError:  # the night reports it
        return False
    limit = TimeLimit(context, settings.refresh_before_s)
    found = reconcile(None, settings, options, limit).findings
    file.log.info("doubts.looked-up", settled=found.settled, reason=scrub(found.reason))
    return found.settled > 0


def _refresh_statuses(file: ClaimedFile, options: RunOptions) -> None:
    """Read the statuses of conversations, once a night for each ledger, to learn recent opt-outs.

    If the list cannot be read in time, sending continues without them, and the log says so.
    """
    context, settings = file.context, file.settings
    if not settings.refresh_before or settings.ledger in context.refreshed:
        return
    context.refreshed.add(settings.ledger)
    if not file.ledger.conversations.ids():
        return
    found = refresh(None, settings, options, TimeLimit(context, settings.refresh_before_s))
    if found.reason:
        file.log.warning("refresh.incomplete", reason=scrub(found.reason))
    else:
        file.log.info("refresh.done", conversations=found.asked)


@dataclass
class TimeLimit(SilentObserver):
    """Stops what it observes after some seconds, or when the night stops.

    Attributes:
        context: the context of the night.
        seconds: the limit.
    """

    context: NightContext
    seconds: float

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """Start the time limit."""
        self.context.stop.watch(stop, self.seconds)


@dataclass
class _FileObserver(SilentObserver):
    """Logs the start of a file's run, stops it in time, and detects an outage.

    Attributes:
        file: the file that is sent.
        until_s: seconds until sending must stop.
        codes: the codes of the outcomes so far.
        list_unreadable: why the API's list could not be read; empty if it could.
    """

    file: ClaimedFile
    until_s: float
    codes: set[str] = field(default_factory=set)
    detector: OutageDetector = field(default_factory=OutageDetector)
    list_unreadable: str = ""

    def on_start(self, run: str, count: int, seconds: float) -> None:
        """Note which run sends the file."""
        del seconds
        facts = FileFacts(released=self.file.history.released)
        self.file.record(FileEnding.WAITING, run=run, facts=facts)
        self.file.log.info("run.started", run=run, submissions=count)

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """Stop the run when the night ends."""
        self.file.context.stop.watch(stop, self.until_s)

    def on_outcome(self, outcome: Outcome) -> None:
        """Note how a row ended."""
        self.codes.add(outcome.code)
        self.detector.note(outcome)

    def on_list_unreadable(self, reason: str) -> None:
        """Note why doubts stay open."""
        self.list_unreadable = reason

    def is_outage(self, report: RunReport, *, troubled: bool) -> bool:
        """Whether the service failed, so that the file is worth another attempt.

        Args:
            report: the report of the run.
            troubled: whether the file met an outage before. If so, doubts that remain because the
                list could not be read count as an outage, too.
        """
        if report.exit_code == Exit.SETUP:
            return True
        if report.exit_code == Exit.DOUBTFUL:
            lost = bool(report.stopped) and not self.codes & _NOT_BELIEVED
            return (bool(self.list_unreadable) or lost) and (self.detector.outage or troubled)
        return bool(report.stopped) and self.detector.outage


def _deliver_or_resume(
    file: ClaimedFile, plan: Plan, options: RunOptions, observer: SilentObserver
) -> RunReport:
    """Resume the file's run, or start one."""
    settings, run = file.settings, file.history.run
    if run is None:
        return deliver(plan, settings, options, observer)
    file.ledger.nights.note_path(run, file.sha256, str(file.path))
    try:
        return resume(run, settings, options, observer)
    except UsageError:  # templates or settings have changed: look up its doubts, start a new run
        reconcile(run, settings, options, observer)
        return deliver(plan, settings, options, observer)


# ---- the end -------------------------------------------------------------------------------------


def _leave(file: ClaimedFile, report: RunReport, reason: str, exit_code: Exit) -> FileReport:
    """Leave a file where it is, for later in this night or for the next."""
    return file.report(
        FileEnding.WAITING,
        reason,
        exit_code,
        run=report.run,
        rows=rows_of_run(report),
        place=file.context.relative(file.path),
    )


def _conclude_run(file: ClaimedFile, plan: Plan, report: RunReport, facts: FileFacts) -> FileReport:
    """Conclude a file after its run is complete."""
    code = Exit(report.exit_code)
    return _conclude(file, FileEnding.DONE, "", code, plan=plan, report=report, facts=facts)


def _conclude(
    file: ClaimedFile,
    ending: FileEnding,
    reason: str,
    exit_code: Exit,
    *,
    plan: Plan | None = None,
    report: RunReport | None = None,
    facts: FileFacts | None = None,
) -> FileReport:
    """Write a file's pages, move it to the folder for its ending, and record that."""
    context, inbox = file.context, file.context.inbox
    run = None if report is None else report.run
    date = local_date(file.settings, context.clock.now())
    into = inbox.folders.make_folder(
        _ENDING_FOLDERS[ending], file.folder, date if _ENDING_FOLDERS[ending] == DONE else ""
    )
    target = inbox.free_path(into, file.path.name)
    pages, faults = _write_pages(file, plan, run, target)
    place = inbox.folders.move(file.path, into, target.name) or target
    if run is not None:
        file.ledger.nights.note_path(run, file.sha256, str(place))
    if faults and run is not None:
        faults.append(f"`importer results {run}` shows how its rows ended.")
    reason = " ".join([reason, *faults]).strip()
    name = place.name if ending is FileEnding.HELD else None  # `importer release` needs it
    noted = facts or FileFacts()
    with suppress(OSError):  # a person may have removed a page
        ends = {path.name.removeprefix(target.name): path for _, path in pages}
        noted["pages"] = {end: sha256_of(path) for end, path in ends.items()}
    file.record(ending, reason=reason, run=run, facts=noted, name=name)
    file.log.info("file.concluded", ending=ending.value, exit_code=int(exit_code), run=run)
    rows = rows_of_run(report) if report else rows_of_plan(plan.counts) if plan else {}
    return file.report(
        ending,
        reason,
        worst(exit_code, Exit.SETUP) if faults else exit_code,
        run=run or file.history.run,
        rows=rows,
        problems=_count_problems(plan),
        place=context.relative(place),
        pages=tuple((label, context.relative(path)) for label, path in pages),
        send_s=(report.took_s or 0.0) if report else 0.0,
    )


def _count_problems(plan: Plan | None) -> dict[str, int]:
    if plan is None:
        return {}
    return dict(sorted(plan.problems.group_by("code").len().iter_rows()))


def _write_pages(
    file: ClaimedFile, plan: Plan | None, run: str | None, target: Path
) -> tuple[list[Page], list[str]]:
    """Write the pages about a file. Failures are returned as messages and never fail the import.

    Args:
        file: the file.
        plan: the plan of the file, without the people of earlier runs; None if there is none.
        run: the run that imported it, or None.
        target: where the file itself will be; the pages are written beside it.

    Returns:
        The label and path of each page, and a sentence for each that could not be written.
    """
    pages: list[Page] = []
    faults: list[str] = []

    def attempt(label: str, suffix: str, write: Callable[[Path], object]) -> None:
        path = target.with_name(target.name + suffix)
        try:
            write(path)
        except (ImporterError, OSError) as exc:
            faults.append(exc.message if isinstance(exc, ImporterError) else str(exc.strerror))
        except Exception as exc:  # noqa: BLE001 - people were contacted; no page changes that
            faults.append(f"{path.name} could not be made ({type(exc).__name__}).")
        else:
            pages.append((label, path))

    if plan is not None:
        shown = view.plan_view(plan, file.settings, created_at=file.context.clock.now())
        attempt("what was checked", ".check.html", lambda path: html.write_page(shown, path))
        if plan.counts.rejected:
            attempt(
                "rejected rows",
                ".rejected.csv",
                lambda path: write_rejected(plan, [path]),
            )
    if run is not None:
        attempt(
            "results",
            ".results.csv",
            lambda path: _write_results(file.ledger, run, file.settings, path),
        )
    return pages, faults


def _write_results(ledger: Ledger, run: str, settings: Settings, path: Path) -> None:
    found = ledger.runs.find(run)
    shown = view_results(ledger, found, report_of(ledger, found))
    files = reread_files(found.sources, partial(open_read, settings=settings))
    save_results(shown, read_result_rows(ledger, found), files, path)
