"""One claimed file: checked, held or sent, and moved to where it belongs."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from importer.aftermath import reconcile_run
from importer.errors import ConfigurationError, Exit, ImporterError, UsageError
from importer.gates import exit_of_plan, unusable
from importer.guards import FAILURES
from importer.ledger import Ledger
from importer.ledger.nights import NightFile
from importer.masks import scrub
from importer.model import State
from importer.nightly.hours import closes, date_of, opens
from importer.nightly.inbox import DONE, FAILED, HELD, Inbox, digest, free, print_of
from importer.nightly.past import Past, past_of
from importer.nightly.unlike import facts_of, too_many_rejected, unlike
from importer.nightly.writing import write_pages
from importer.order import Order
from importer.people import looking
from importer.pipeline import deliver, prepare, resume
from importer.problems import in_words
from importer.report.night import Ending, FileReport, worst

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Counts, Outcome, Plan, RunReport
    from importer.nightly.log import Log
    from importer.nightly.places import Places
    from importer.nightly.stopping import Clock, Stop
    from importer.settings import Settings

_REFUSALS: Final = frozenset({"http-401", "http-403"})
_FOLDERS: Final = {Ending.DONE: DONE, Ending.SEEN: DONE, Ending.HELD: HELD, Ending.FAILED: FAILED}
_ID: Final = 12
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Work:
    """A night at work: what every file needs, and what one file teaches the next.

    Attributes:
        inbox: the folders.
        places: the settings of each subfolder.
        clock: the time.
        stop: whether the night was told to stop.
        log: of the night.
        night: its id.
        ends: UTC; its deadline.
        paused_until: UTC; the API takes nothing before then, as far as we know.
        refused: the API refuses us; nothing more is sent in this night.
    """

    inbox: Inbox
    places: Places
    clock: Clock
    stop: Stop
    log: Log
    night: str
    ends: datetime
    paused_until: datetime = _LONG_AGO
    refused: bool = False

    def sends_from(self, settings: Settings, now: datetime) -> datetime:
        """From when on files with these settings may be sent, UTC; not before now."""
        return opens(settings, max(now, self.paused_until))


@dataclass(frozen=True)
class Case:
    """A claimed file on its way through the night."""

    work: Work
    folder: str
    path: Path
    position: int
    settings: Settings
    sha256: str
    past: Past

    @property
    def log(self) -> Log:
        """The night's log, with the file's id on every event."""
        return self.work.log.bind(file=self.sha256[:_ID], folder=self.folder)

    def record(self, ending: Ending, *, reason: str = "", run: str | None, facts: Any) -> None:
        """Writes into the ledger what became of it."""
        with Ledger.open(self.settings.ledger) as ledger:
            ledger.nights.write(
                NightFile(
                    night=self.work.night,
                    position=self.position,
                    folder=self.folder,
                    name=self.path.name,
                    sha256=self.sha256,
                    at=self.work.clock.now(),
                    ending=ending.value,
                    run=run,
                    reason=reason,
                    facts=facts,
                )
            )

    def said(self, ending: Ending, reason: str, exit_code: Exit, **more: Any) -> FileReport:
        """The report of it; a reason never quotes a phone or an e-mail."""
        name, file_id = scrub(self.path.name), self.sha256[:_ID]
        return FileReport(self.folder, name, file_id, ending, scrub(reason), exit_code, **more)


def take(work: Work, folder: str, path: Path, position: int) -> FileReport:
    """Does with a claimed file whatever can be done now; never raises for one file's sake.

    Args:
        work: the night.
        folder: subfolder that it came from.
        path: where it lies, claimed.
        position: of the file in the night.
    """
    place = str(path.relative_to(work.inbox.root))
    report = FileReport(folder, scrub(path.name), "", Ending.WAITING, place=place)
    try:
        return _taken(work, folder, path, position)
    except FileNotFoundError:
        report = replace(report, ending=Ending.GONE, reason="It was taken away while it was read.")
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
    report = replace(report, ending=Ending.FAILED, reason=reason, exit_code=Exit.SETUP)
    try:
        moved = work.inbox.move(path, work.inbox.place(FAILED, report.folder), path.name)
    except ConfigurationError:
        return report
    return report if moved is None else replace(report, place=_below(work, moved))


def _taken(work: Work, folder: str, path: Path, position: int) -> FileReport:
    settings = work.places.settings(folder)
    before, sha256 = print_of(path), digest(path)
    with Ledger.open(settings.ledger) as ledger:
        past = past_of(ledger, sha256, folder, settings)
    case = Case(work, folder, path, position, settings, sha256, past)
    if past.imported and not past.ours:
        return _concluded(case, Ending.SEEN, past.imported, Exit.OK)
    case.record(Ending.WAITING, run=past.run, facts={"released": past.released})
    case.log.info("file.claimed", size=before[2], run=past.run)
    plan = prepare([str(path)], settings)
    if print_of(path) != before:
        work.inbox.give_back(path, folder)
        return case.said(Ending.GONE, "It changed while it was read, and waits again.", Exit.OK)
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
        return _concluded(case, Ending.FAILED, reason, Exit.INPUT, plan=known)
    if past.ours:  # the run was through, and only the moving was not
        return _concluded_run(case, plan, past.report(settings), facts)
    reasons = _reasons_to_hold(past, facts, settings)
    if reasons:
        return _concluded(case, Ending.HELD, reasons, Exit.HELD, plan=known)
    if past.run is None and not known.counts.ready:
        code = exit_of_plan(known)
        return _concluded(case, Ending.DONE, "Nobody new is in it.", code, plan=known, facts=facts)
    return _sent(case, plan if past.run else known, facts)


def _reasons_to_hold(past: Past, facts: Any, settings: Settings) -> str:
    """Why a person should look first; empty where one did, or where sending has begun."""
    if past.released:
        return ""
    if past.run is not None:
        return past.held
    return " ".join([*too_many_rejected(facts, settings), *unlike(facts, past.last, settings)])


def _sent(case: Case, plan: Plan, facts: Any) -> FileReport:
    """Sends a file that may be sent, or says from when on it may."""
    work, settings, now = case.work, case.settings, case.work.clock.now()
    rows = _rows_of_plan(plan.counts)
    place = _below(work, case.path)
    if work.stop.asked() or work.refused or now >= work.ends:
        reason = "Nothing more is sent in this night."
        return case.said(Ending.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    when = work.sends_from(settings, now)
    if when > now:
        reason = f"It is checked; sending goes on at {when:%H:%M} UTC."
        return case.said(Ending.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    until_s = (min(work.ends, closes(settings, now)) - now).total_seconds()
    codes: set[str] = set()
    failed: set[State] = set()

    def start(run: str, count: int, _seconds: float) -> None:
        case.record(Ending.WAITING, run=run, facts={"released": case.past.released})
        case.log.info("run.started", run=run, submissions=count)

    def heard(outcome: Outcome) -> None:
        codes.add(outcome.code)
        failed.update({outcome.state} & FAILURES)

    order = Order(
        command="importer nightly",
        credentials=settings.credentials(),
        on_start=start,
        on_outcome=heard,
        watch=lambda event: work.stop.watch(event, until_s),
    )
    report = _delivered(case, plan, order)
    case.log.info(
        "run.ended",
        run=report.run,
        exit_code=report.exit_code,
        **{state.value: count for state, count in report.states.items()},
    )
    if report.exit_code == Exit.INTERRUPTED:
        told = "The night was told to stop." if work.stop.asked() else "The time was over."
        return _left(case, report, told, Exit.INTERRUPTED)
    if report.exit_code == Exit.SETUP or (report.stopped and failed == {State.UNSENT}):
        work.refused = bool(codes & _REFUSALS)
        work.paused_until = work.clock.now() + timedelta(seconds=settings.outage_wait_s)
        reason = report.stopped or "The API did not take every row."
        return _left(case, report, reason, Exit.SETUP)
    if report.exit_code == Exit.HELD:
        return _concluded(
            case, Ending.HELD, report.stopped, Exit.HELD, plan=plan, report=report, facts=facts
        )
    return _concluded_run(case, plan, report, facts)


def _delivered(case: Case, plan: Plan, order: Order) -> RunReport:
    """Goes on with the run that the file has, or begins one."""
    settings, run = case.settings, case.past.run
    if run is None:
        return deliver(plan, settings, order)
    with Ledger.open(settings.ledger) as ledger:
        ledger.nights.moved(run, case.sha256, str(case.path))
    try:
        return resume(run, settings, order)
    except UsageError:  # templates or settings changed since: a new run, after what was doubtful
        reconcile_run(run, settings, order)
        return deliver(plan, settings, order)


def _left(case: Case, report: RunReport, reason: str, exit_code: Exit) -> FileReport:
    """A file that stays where it is, for later in this night or for the next."""
    return case.said(
        Ending.WAITING,
        reason,
        exit_code,
        run=report.run,
        rows=_rows_of_run(report),
        place=_below(case.work, case.path),
    )


def _concluded_run(case: Case, plan: Plan, report: RunReport, facts: Any) -> FileReport:
    code = Exit(report.exit_code)
    return _concluded(case, Ending.DONE, "", code, plan=plan, report=report, facts=facts)


def _concluded(
    case: Case,
    ending: Ending,
    reason: str,
    exit_code: Exit,
    *,
    plan: Plan | None = None,
    report: RunReport | None = None,
    facts: Any = None,
) -> FileReport:
    """Writes what is to be said of a file, and moves it to where it belongs."""
    work, settings, now = case.work, case.settings, case.work.clock.now()
    run = None if report is None else report.run
    date = date_of(settings, now) if _FOLDERS[ending] == DONE else ""
    into = work.inbox.place(_FOLDERS[ending], case.folder, date)
    target = free(into, case.path.name)
    pages, faults = write_pages(plan, run, target, settings, now)
    moved = work.inbox.move(case.path, into, target.name)
    place = target if moved is None else moved
    if run is not None:
        with Ledger.open(settings.ledger) as ledger:
            ledger.nights.moved(run, case.sha256, str(place))
    reason = " ".join([reason, *faults]).strip()
    case.record(ending, reason=reason, run=run, facts=facts or {})
    case.log.info("file.concluded", ending=ending.value, exit_code=int(exit_code), run=run)
    rows = _rows_of_run(report) if report else _rows_of_plan(plan.counts) if plan else {}
    return case.said(
        ending,
        reason,
        worst(exit_code, Exit.SETUP) if faults else exit_code,
        run=run or case.past.run,
        rows=rows,
        problems=_problems(plan),
        place=_below(work, place),
        pages=tuple((label, _below(work, path)) for label, path in pages),
        send_s=(report.finished - report.started).total_seconds() if report else 0.0,
    )


def _below(work: Work, path: Path) -> str:
    return path.relative_to(work.inbox.root).as_posix()


def _problems(plan: Plan | None) -> dict[str, int]:
    if plan is None:
        return {}
    return dict(sorted(plan.problems.group_by("code").len().iter_rows()))


def _numbers(counts: Counts) -> dict[str, int]:
    return {
        "read": counts.read,
        "ready": counts.ready,
        "rejected": counts.rejected,
        "repeated": counts.duplicates,
        "already_imported": counts.already_imported,
    }


def _rows_of_plan(counts: Counts) -> dict[str, int]:
    return {
        "planned": counts.ready,
        "rejected": counts.rejected,
        "duplicate-in-file": counts.duplicates,
        "already-imported": counts.already_imported,
    }


def _rows_of_run(report: RunReport) -> dict[str, int]:
    states = {state.value: count for state, count in report.states.items()}
    rejected = report.states.get(State.REJECTED, 0) + report.counts.rejected
    return {**_rows_of_plan(report.counts), "planned": 0, **states, "rejected": rejected}
