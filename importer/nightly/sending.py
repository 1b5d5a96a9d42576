"""The sending of a file: begun or gone on with, and ended by the API, a guard or the time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from importer.aftermath import reconcile_run
from importer.errors import Exit, UsageError
from importer.guards import Weather
from importer.ledger import Ledger
from importer.nightly.case import rows_of_plan, rows_of_run
from importer.nightly.concluding import concluded, concluded_run
from importer.nightly.hours import closes
from importer.nightly.unlike import Facts
from importer.order import Order
from importer.pipeline import deliver, resume
from importer.report.night import Ending, FileReport

if TYPE_CHECKING:
    from importer.model import Outcome, Plan, RunReport
    from importer.nightly.case import Case

_REFUSALS: Final = frozenset({"http-401", "http-403"})


def sent(case: Case, plan: Plan, facts: Facts) -> FileReport:
    """Sends a file that may be sent, or says from when on it may."""
    work, settings, now = case.work, case.settings, case.work.clock.now()
    rows = rows_of_plan(plan.counts)
    place = work.below(case.path)
    if work.stop.asked() or work.refused or now >= work.ends:
        reason = "Nothing more is sent in this night."
        return case.said(Ending.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    when = work.sends_from(settings, now)
    if when > now:
        reason = f"It is checked; sending goes on at {when:%H:%M} UTC."
        return case.said(Ending.WAITING, reason, Exit.INTERRUPTED, rows=rows, place=place)
    until_s = (min(work.ends, closes(settings, now)) - now).total_seconds()
    heard = _Heard()

    def start(run: str, count: int, _seconds: float) -> None:
        case.record(Ending.WAITING, run=run, facts=Facts(released=case.past.released))
        case.log.info("run.started", run=run, submissions=count)

    order = Order(
        command="importer nightly",
        credentials=settings.credentials(),
        on_start=start,
        on_outcome=heard.outcome,
        on_unread=heard.unread,
        watch=lambda event: work.stop.watch(event, until_s),
    )
    report = _delivered(case, plan, order)
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
        reason = report.stopped or heard.unread_because or "The API did not take every row."
        case.log.warning("api.outage", run=report.run, wait_s=settings.outage_wait_s)
        return _left(case, report, reason, Exit.SETUP)
    if report.exit_code == Exit.HELD:
        return concluded(
            case, Ending.HELD, report.stopped, Exit.HELD, plan=plan, report=report, facts=facts
        )
    return concluded_run(case, plan, report, facts)


@dataclass
class _Heard:
    """What was heard of a run while it was sent."""

    codes: set[str] = field(default_factory=set)
    weather: Weather = field(default_factory=Weather)
    unread_because: str = ""

    def outcome(self, outcome: Outcome) -> None:
        """Takes note of a row's end."""
        self.codes.add(outcome.code)
        self.weather.note(outcome)

    def unread(self, reason: str) -> None:
        """Takes note that doubts could not be settled."""
        self.unread_because = reason

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
            return bool(self.unread_because) and (self.weather.outage or troubled)
        return bool(report.stopped) and self.weather.outage


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
        rows=rows_of_run(report),
        place=case.work.below(case.path),
    )
