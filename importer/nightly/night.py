"""Which arrivals are whole: nobody has changed them for long enough."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from importer.errors import ConfigurationError, Exit, ImporterError
from importer.ledger import Ledger
from importer.loader.files import readable_name
from importer.masking import scrub, scrub_name
from importer.nightly.clock import deadline
from importer.nightly.context import Work
from importer.nightly.event_log import logging_to
from importer.nightly.import_file import take
from importer.nightly.inbox import Inbox
from importer.nightly.remote.remote_errors import RemoteFault
from importer.report.night_report import FileEnding, FileReport, NightReport, worst

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from importer.ledger.nights import Night
    from importer.nightly.clock import Clock, Stop
    from importer.nightly.inbox import Arrival, Print
    from importer.nightly.inbox_settings import InboxSettings
    from importer.settings import Settings


@dataclass
class Watch:
    """Finds out which arrivals are whole: unchanged for long enough, by the clock or by looking.

    Attributes:
        quiet_s: how long a file must not have changed.
    """

    quiet_s: float
    _seen: dict[Path, tuple[Print, float]] = field(default_factory=dict)

    def left_s(self, arrival: Arrival, wall_s: float, elapsed_s: float) -> float:
        """Seconds until an arrival counts as whole if it does not change; 0 where it does now.

        Args:
            arrival: as it is now.
            wall_s: seconds since 1970. Where the clock stands before the file's own time, only
                looking counts, so that a clock that jumps holds nothing back for ever.
            elapsed_s: of a clock that never jumps.
        """
        known, since = self._seen.get(arrival.path, (None, elapsed_s))
        if known != arrival.print:
            since = elapsed_s
            self._seen[arrival.path] = (arrival.print, since)
        quiet = max(elapsed_s - since, wall_s - arrival.changed_s)
        return max(0.0, self.quiet_s - quiet)


_NIGHTS: Final = 400
_LEAST_S: Final = 1.0
_WELL: Final = frozenset({Exit.OK, Exit.REJECTED})


def play(
    places: InboxSettings, clock: Clock, stop: Stop, inbox: Inbox | None = None
) -> NightReport:
    """Plays one night in an inbox, and says what it did.

    Args:
        places: the inbox and its settings.
        clock: the time.
        stop: whether to end early.
        inbox: where files come from; the folder of the places by default.

    Raises:
        ConfigurationError: another night works there, or the main settings, the inbox or the
            main ledger cannot be used.
    """
    inbox = Inbox(places.root) if inbox is None else inbox
    started = clock.now()
    night = f"night-{started:%Y%m%d-%H%M%S}-{token_hex(2)}"  # two inboxes may share a ledger
    with ExitStack() as stack:
        stack.enter_context(inbox.at_work(started))
        begun = inbox.begin(places.ledger(), started)
        settings = places.load()  # by now the inbox's own are there, wherever it lies
        log = stack.enter_context(logging_to(settings.log_file, clock, night))
        with Ledger.open(settings.ledger) as ledger:
            ledger.nights.begin(night, started, _kept(inbox))
            try:
                inbox.remember(ledger, night)
            except ImporterError as refused:  # the mark stays that of an earlier night
                begun.append(refused)
        log.info("night.started")
        ends = deadline(settings, started)
        work = Work(inbox, places, clock, stop, log, night, ends)
        course = _Course(work, settings, Watch(settings.quiet_s), clock.elapsed_s())
        try:
            settings.credentials()
        except ImporterError as missing:  # said before a file comes that needs them
            begun.append(missing)
        for fault in begun:
            course.note(fault)
        course.run()
        report = _report(course, started)
        for url in course.ledgers():
            with suppress(ImporterError), Ledger.open(url) as ledger:
                if url != settings.ledger:
                    ledger.nights.begin(night, started, _kept(inbox))
                ledger.nights.end(night, report.exit_code, report.ended)
        log.info(
            "night.ended",
            exit_code=int(report.exit_code),
            files=len(report.files),
            doubtful_open=report.doubtful_open,
            **{f"rows_{name.replace('-', '_')}": count for name, count in report.rows.items()},
        )
    return report


def _kept(inbox: Inbox) -> str | None:
    """What the ledger keeps of where an inbox is; nothing where no database can hold its name."""
    return inbox.name if readable_name(inbox.name) == inbox.name else None


@dataclass
class _Course:
    """The files of a night, in the order in which they are taken."""

    work: Work
    settings: Settings
    watch: Watch
    began_s: float
    reports: dict[int, FileReport] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fault: Exit = Exit.OK
    _taken: int = 0
    _positions: dict[Path, int] = field(default_factory=dict)

    def run(self) -> None:
        """Takes files until nothing can be done any more, or the inbox cannot be used."""
        work = self.work
        try:
            self.notes += map(scrub_name, work.inbox.passed_over())
            while not work.stop.asked():
                for folder, path in work.in_order(work.inbox.working()):
                    self._take(folder, path)
                wait_s = self._claim()
                with suppress(RemoteFault):  # once more at the end, and said then
                    work.inbox.carry_back()
                if wait_s is None or work.stop.asked():
                    break
                left_s = (work.ends - work.clock.now()).total_seconds()
                if wait_s >= left_s:
                    break
                work.log.info("night.waits", wait_s=round(max(wait_s, _LEAST_S), 1))
                work.clock.wait(max(wait_s, _LEAST_S), work.stop)
            work.inbox.carry_back()
        except ImporterError as error:
            self.note(error)

    def ledgers(self) -> list[str]:
        """The main ledger, and those that subfolders have of their own."""
        found = {self.settings.ledger}
        for folder in {report.folder for report in self.reports.values()}:
            with suppress(ImporterError):  # what is wrong with its settings was said of its files
                found.add(self.work.places.load(folder).ledger)
        return sorted(found)

    def note(self, error: ImporterError) -> None:
        """Takes note of something that is not one file's fault."""
        said = scrub(str(error))
        if said not in self.notes:
            self.notes.append(said)
        self.fault = worst(self.fault, error.exit_code)
        self.work.log.error("inbox.fault", exit_code=int(error.exit_code))

    def _arrivals(self) -> list[Arrival]:
        """What has arrived; nothing where a remote inbox is away, which stops no claimed file."""
        try:
            return self.work.inbox.arrivals()
        except RemoteFault as fault:
            self.note(fault)
            return []

    def _claim(self) -> float | None:
        """Claims and takes every whole arrival; seconds until there is more to do, or None."""
        work, waits = self.work, []
        for arrival in self._arrivals():
            if work.stop.asked():
                return None
            left_s = self._left_s(arrival)
            if left_s is None:
                continue
            if left_s > 0:
                waits.append(left_s)
                continue
            try:
                path = work.inbox.claim(arrival)
            except RemoteFault as fault:
                self._not_fetched(arrival, fault)
                continue
            except ConfigurationError as error:  # of this folder: what lies in others goes on
                self.note(error)
                continue
            if path is not None:
                self._take(arrival.folder, path)
        return min([*waits, *self._openings_s()], default=None)

    def _openings_s(self) -> Iterator[float]:
        """Seconds until each file that waits for it may be sent."""
        work, now = self.work, self.work.clock.now()
        waiting = {
            each.folder for each in self.reports.values() if each.ending is FileEnding.WAITING
        }
        for folder in () if work.refused else waiting:
            with suppress(ImporterError):  # what is wrong with its settings was said of the file
                opening_s = (work.sends_from(work.places.load(folder), now) - now).total_seconds()
                if opening_s > 0:
                    yield opening_s

    def _left_s(self, arrival: Arrival) -> float | None:
        """Seconds until an arrival may be taken; None where this night does not wait for it."""
        clock, settings = self.work.clock, self.settings
        if settings.done_marker and not arrival.marked:
            return None
        elapsed_s = clock.elapsed_s()
        left_s = self.watch.left_s(arrival, clock.now().timestamp(), elapsed_s)
        if settings.done_marker:
            return 0.0
        patient = elapsed_s - self.began_s + left_s <= max(settings.patience_s, settings.quiet_s)
        return left_s if patient else None

    def _not_fetched(self, arrival: Arrival, fault: RemoteFault) -> None:
        """Reports a claimed file that a remote inbox does not give us now."""
        name, place = scrub_name(arrival.path.name), self.work.below(arrival.path)
        self.reports[self._taken] = FileReport(
            arrival.folder,
            name,
            "",
            FileEnding.WAITING,
            scrub(str(fault)),
            fault.exit_code,
            place=place,
        )
        self._taken += 1
        self.work.log.warning("file.not-fetched", folder=arrival.folder)

    def _take(self, folder: str, path: Path) -> None:
        """Takes a claimed file; what is said of it replaces what was said earlier in the night."""
        if path not in self._positions:
            self._positions[path], self._taken = self._taken, self._taken + 1
        position = self._positions[path]
        self.reports[position] = report = take(self.work, folder, path, position)
        if report.ending is not FileEnding.WAITING:
            del self._positions[path]  # another file may come to lie there


def _report(course: _Course, started: datetime) -> NightReport:
    """The night as a whole, with what is still open in the ledgers."""
    work, settings, notes = course.work, course.settings, course.notes
    files = tuple(report for _, report in sorted(course.reports.items()))
    code = worst(course.fault, *(report.exit_code for report in files))
    doubtful = 0
    before: list[Night] = []
    for url in course.ledgers():
        try:
            with Ledger.open(url) as ledger:
                doubtful += len(ledger.doubts.list())
                before += ledger.nights.list(_NIGHTS)
        except ImporterError as error:
            notes.append(scrub(str(error)))
            code = worst(code, error.exit_code)
    if work.stop.asked():
        code = worst(code, Exit.INTERRUPTED)
    ended = work.clock.now()
    return NightReport(
        id=work.night,
        inbox=work.inbox.name,
        started=started,
        ended=ended,
        took_s=work.clock.elapsed_s() - course.began_s,
        files=files,
        notes=tuple(notes),
        exit_code=code,
        doubtful_open=doubtful,
        rate_per_s=settings.rate_per_s,
        last_success=ended if code in _WELL else _last_success(before),
    )


def _last_success(nights: Sequence[Night]) -> datetime | None:
    well = (each.ended for each in nights if each.exit_code in _WELL and each.ended is not None)
    return max(well, default=None)
