"""One night: import every file that has arrived in an inbox, and report.

lock -> start -> [resume what was claimed -> claim complete uploads -> wait] -> report
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from math import inf
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Final, TextIO
from zoneinfo import ZoneInfo

import structlog

from importer.deliver import report_of, resume
from importer.errors import ConfigurationError, Exit, ImporterError, UsageError
from importer.loader.files import readable_name
from importer.masking import scrub, scrub_name
from importer.nightly.clock import night_end, sending_end
from importer.nightly.context import NightContext, rows_of_run
from importer.nightly.import_file import COMMAND, TimeLimit, import_file
from importer.nightly.remote.backends import RemoteFault
from importer.report.formatting import GivenFlags, quantity
from importer.report.night_report import FileEnding, FileReport, NightReport, worst
from importer.sending.reconcile import ABSENT
from importer.sending.run_options import RunOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.ledger.nights import Night
    from importer.model import RunReport
    from importer.nightly.clock import Clock, StopSignal
    from importer.nightly.context import Log
    from importer.nightly.inbox import Arrival, FileStat, Inbox, InboxSettings
    from importer.settings import Settings


_MAX_NIGHTS: Final = 400
"""How many earlier nights are searched for the last one that ended well."""
_MIN_WAIT_S: Final = 1.0
_WELL: Final = frozenset({Exit.OK, Exit.REJECTED})


@dataclass
class UploadWatch:
    """Watches uploads: one is complete when it has not changed for long enough.

    Attributes:
        quiet_s: how long a file must not have changed.
    """

    quiet_s: float
    _seen: dict[Path, tuple[FileStat, float]] = field(default_factory=dict)

    def remaining_s(self, arrival: Arrival, wall_s: float, elapsed_s: float) -> float:
        """Return the seconds until the upload counts as complete; 0 if it already does.

        Args:
            arrival: the arrival as it is now.
            wall_s: seconds since 1970. If the file is from the future, only the time for which it
                was watched counts, so that a clock that jumps never delays a file forever.
            elapsed_s: the seconds of a clock that never jumps.
        """
        known, since = self._seen.get(arrival.path, (None, elapsed_s))
        if known != arrival.file_stat:
            since = elapsed_s
            self._seen[arrival.path] = (arrival.file_stat, since)
        quiet = max(elapsed_s - since, wall_s - arrival.changed_s)
        return max(0.0, self.quiet_s - quiet)


def keep_silent(sentence: str) -> None:
    """Ignore a message."""


def run_night(
    inbox: Inbox,
    inbox_settings: InboxSettings,
    clock: Clock,
    stop: StopSignal,
    tell: Callable[[str], object] = keep_silent,
    *,
    least: int = 0,
) -> NightReport:
    """Import what has arrived in an inbox, and report.

    Args:
        inbox: where files come from; its ledgers are left open.
        inbox_settings: the settings of its subfolders.
        clock: the time.
        stop: whether to end early.
        tell: called before each wait with a sentence that says until when the night waits, and why.
        least: level of `logging` from which events go to standard error; a file gets all.

    Raises:
        ConfigurationError: another night works there, or the main settings, the inbox or its
            ledger cannot be used.
    """
    started = clock.now()
    night = f"night-{started:%Y%m%d-%H%M%S}-{token_hex(2)}"  # two inboxes may share a ledger
    with ExitStack() as stack:
        stack.enter_context(inbox.lock(started))
        faults = inbox.start(started)
        settings = inbox_settings.load()  # the settings of a remote inbox were fetched by now
        log = stack.enter_context(open_event_log(settings.log_file, clock, night, least))
        inbox.ledgers.main.nights.begin(night, started, _recordable_name(inbox))
        try:
            inbox.note_night(night)
        except ImporterError as refused:  # the marker keeps naming an earlier night
            faults.append(refused)
        log.info("night.started")
        ends = night_end(settings, started)
        context = NightContext(inbox, inbox_settings, clock, stop, log, night, ends)
        watch = UploadWatch(settings.quiet_s)
        run = _NightRun(context, settings, watch, clock.elapsed_s(), tell)
        try:
            settings.credentials()
        except ImporterError as missing:  # reported even if no file needs them
            faults.append(missing)
        for fault in faults:
            run.note(fault)
        run.import_files()
        run.resume_absent()
        report = _make_report(run, started)
        _record_end(inbox, report)
        log.info(
            "night.ended",
            exit_code=int(report.exit_code),
            files=len(report.files),
            doubtful_open=report.doubtful_open,
            **{f"rows_{name.replace('-', '_')}": count for name, count in report.rows.items()},
        )
    return report


def _recordable_name(inbox: Inbox) -> str | None:
    """Return the inbox's name for the ledger; None if a database cannot store it."""
    return inbox.name if readable_name(inbox.name) == inbox.name else None


def _record_end(inbox: Inbox, report: NightReport) -> None:
    """Record how the night ended in every ledger that it used."""
    for ledger in inbox.ledgers.all():
        with suppress(ImporterError):  # the report says what is wrong with it
            if ledger is not inbox.ledgers.main:
                ledger.nights.begin(report.id, report.started, _recordable_name(inbox))
            ledger.nights.end(report.id, report.exit_code, report.ended)


@dataclass
class _NightRun:
    """The files of a night, in the order in which they are imported."""

    context: NightContext
    settings: Settings
    watch: UploadWatch
    started_s: float
    tell: Callable[[str], object]
    reports: dict[int, FileReport] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fault: Exit = Exit.OK
    _count: int = 0
    _positions: dict[Path, int] = field(default_factory=dict)

    def import_files(self) -> None:
        """Import files until nothing more can be done, or the inbox cannot be used."""
        context, inbox = self.context, self.context.inbox
        try:
            self.notes += map(scrub_name, inbox.folders.explain_skipped())
            while not context.stop.requested():
                for folder, path in context.sort(inbox.folders.list_claimed()):
                    self._import(folder, path)
                wait_s = self._import_arrivals()
                with suppress(RemoteFault):  # tried again at the end, and reported then
                    inbox.upload_results()
                if wait_s is None or context.stop.requested():
                    break
                if wait_s >= (context.ends - context.clock.now()).total_seconds():
                    break
                self._wait(max(wait_s, _MIN_WAIT_S))
            inbox.upload_results()
        except ImporterError as error:
            self.note(error)

    def _wait(self, seconds: float) -> None:
        """Wait until there is more to do, and say until when and why."""
        context, settings = self.context, self.settings
        until = context.clock.now() + timedelta(seconds=seconds)
        context.log.info("night.waits", wait_s=round(seconds, 1))
        hours = min(self._opening_waits_s(), default=inf)
        if seconds < hours:
            why = "a file may still be uploaded (quiet_s)"
        elif context.paused_until_s > context.clock.elapsed_s():
            why = "the API had an outage (outage_wait_s)"
        else:
            why = f"people are contacted only from {settings.send_between} (send_between)"
        local = until.astimezone(ZoneInfo(settings.timezone))
        self.tell(
            f"Waiting until {local:%H:%M:%S} ({settings.timezone}): {why}. Ctrl-C ends the night, "
            "and the next one continues."
        )
        context.clock.wait(seconds, context.stop)

    def resume_absent(self) -> None:
        """Send rows of concluded files that were proved not to have been sent, if that is safe.

        It is safe if nothing else of their run is open; `resume` checks that the file and the
        settings have not changed. If it is not safe, a person is told the command.
        """
        for ledger in self.context.inbox.ledgers.all():
            try:
                for run, count in ledger.doubts.count_absent(ABSENT).items():
                    self._resume_or_tell(ledger, run, count)
            except ImporterError as error:
                self.note(error)

    def _resume_or_tell(self, ledger: Ledger, run: str, count: int) -> None:
        context = self.context
        files = [
            ledger.nights.last(source.sha256, run=run) for source in ledger.runs.find(run).sources
        ]
        if any(each is not None and each.ending == FileEnding.WAITING for each in files):
            return  # the next night begins with it
        rows = quantity(count, "row")
        done = files[0] if len(files) == 1 else None
        if done is not None and done.ending == FileEnding.DONE:
            settings = context.settings.load(done.folder)
            alone = ledger.submissions.count_sendable(run) == count
            if alone and ledger is context.inbox.ledgers.get(settings.ledger):
                report = self._resume(ledger, run, settings)
                if report is not None:
                    self.notes.append(
                        f"{rows} of run {run}, proved not to have been sent before, were sent now."
                    )
                    self.fault = worst(self.fault, Exit(report.exit_code))
                    return
        self.notes.append(
            f"Run {run} has {rows} proved not to have been sent; send with `importer resume {run}`."
        )
        self.fault = worst(self.fault, Exit.SETUP)

    def _resume(self, ledger: Ledger, run: str, settings: Settings) -> RunReport | None:
        """Resume a run; None if that is not possible tonight."""
        context, now = self.context, self.context.clock.now()
        if not context.may_send(settings):
            return None
        until_s = (min(context.ends, sending_end(settings, now)) - now).total_seconds()
        try:
            options = RunOptions(COMMAND, settings.credentials(), ledger=ledger)
            report = resume(run, settings, options, TimeLimit(context, until_s))
        except (UsageError, ConfigurationError):
            return None
        context.log.info("run.resumed", run=run, exit_code=report.exit_code)
        return report

    def note(self, error: ImporterError) -> None:
        """Note an error that is not a single file's fault."""
        message = scrub(str(error))
        if message not in self.notes:
            self.notes.append(message)
        self.fault = worst(self.fault, error.exit_code)
        self.context.log.error("inbox.fault", exit_code=int(error.exit_code))

    def _list_arrivals(self) -> list[Arrival]:
        """List arrivals; none if a remote inbox does not answer."""
        try:
            return self.context.inbox.list_arrivals()
        except RemoteFault as fault:
            self.note(fault)
            return []

    def _import_arrivals(self) -> float | None:
        """Import every complete upload; return seconds until there is more to do, or None."""
        context, waits = self.context, []
        for arrival in self._list_arrivals():
            if context.stop.requested():
                return None
            remaining_s = self._remaining_s(arrival)
            if remaining_s is None:
                continue
            if remaining_s > 0:
                waits.append(remaining_s)
                continue
            try:
                path = context.inbox.claim(arrival)
            except RemoteFault as fault:
                self._report_not_fetched(arrival, fault)
                continue
            except ConfigurationError as error:  # of this folder; the others are imported
                self.note(error)
                continue
            if path is not None:
                self._import(arrival.folder, path)
        return min([*waits, *self._opening_waits_s()], default=None)

    def _opening_waits_s(self) -> Iterator[float]:
        """Yield the seconds until each file that waits for sending hours may be sent."""
        context, now = self.context, self.context.clock.now()
        if context.refused:
            return
        waiting = {
            each.folder for each in self.reports.values() if each.ending is FileEnding.WAITING
        }
        for folder in waiting:
            with suppress(ImporterError):  # the file's report says what is wrong
                opens = context.earliest_sending(context.settings.load(folder), now)
                if opens > now:
                    yield (opens - now).total_seconds()

    def _remaining_s(self, arrival: Arrival) -> float | None:
        """Return seconds until an arrival can be claimed; None if this night does not wait."""
        clock, settings = self.context.clock, self.settings
        if settings.done_marker and not arrival.has_done_marker:
            return None
        elapsed_s = clock.elapsed_s()
        remaining_s = self.watch.remaining_s(arrival, clock.now().timestamp(), elapsed_s)
        if settings.done_marker:
            return 0.0
        patience_s = max(settings.patience_s, settings.quiet_s)
        return remaining_s if elapsed_s - self.started_s + remaining_s <= patience_s else None

    def _report_not_fetched(self, arrival: Arrival, fault: RemoteFault) -> None:
        """Report a claimed file that cannot be fetched from a remote inbox now."""
        self.reports[self._count] = FileReport(
            arrival.folder,
            scrub_name(arrival.path.name),
            "",
            FileEnding.WAITING,
            scrub(str(fault)),
            fault.exit_code,
            place=self.context.relative(arrival.path),
        )
        self._count += 1
        self.context.log.warning("file.not-fetched", folder=arrival.folder)

    def _import(self, folder: str, path: Path) -> None:
        """Import a claimed file; its report replaces its earlier one of this night."""
        if path not in self._positions:
            self._positions[path], self._count = self._count, self._count + 1
        position = self._positions[path]
        self.reports[position] = report = import_file(self.context, folder, path, position)
        if report.ending is not FileEnding.WAITING:
            del self._positions[path]  # another file may get this path


def _make_report(run: _NightRun, started: datetime) -> NightReport:
    """Report the whole night, with what is still open in its ledgers."""
    context, notes = run.context, run.notes
    files = tuple(_update_report(context, report) for _, report in sorted(run.reports.items()))
    code = worst(run.fault, *(report.exit_code for report in files))
    doubtful = 0
    before: list[Night] = []
    for ledger in context.inbox.ledgers.all():
        try:
            doubtful += len(ledger.doubts.list())
            before += ledger.nights.list(_MAX_NIGHTS)
        except ImporterError as error:
            notes.append(scrub(str(error)))
            code = worst(code, error.exit_code)
    if context.stop.requested():
        code = worst(code, Exit.INTERRUPTED)
    ended = context.clock.now()
    return NightReport(
        id=context.night,
        inbox=context.inbox.name,
        started=started,
        ended=ended,
        took_s=context.clock.elapsed_s() - run.started_s,
        files=files,
        notes=tuple(notes),
        rehearsal=run.settings.rehearsal,
        exit_code=code,
        doubtful_open=doubtful,
        rate_per_s=run.settings.rate_per_s,
        last_success=ended if code in _WELL else _last_success(before),
        given=GivenFlags.of(run.settings),
    )


def _update_report(context: NightContext, file: FileReport) -> FileReport:
    """Update a file's report at the end of the night: a later run may have settled its doubts."""
    if file.exit_code is not Exit.DOUBTFUL:
        return file
    with suppress(ImporterError):  # the unchanged report is the cautious one
        ledger = context.inbox.ledgers.get(context.settings.load(file.folder).ledger)
        if file.run is not None:
            now = report_of(ledger, ledger.runs.find(file.run))
            if now.exit_code != Exit.DOUBTFUL:
                return replace(file, exit_code=Exit(now.exit_code), rows=rows_of_run(now))
        elif not ledger.doubts.list():
            code = Exit.REJECTED if file.rows.get("rejected") else Exit.OK
            return replace(file, exit_code=code)
    return file


def _last_success(nights: Sequence[Night]) -> datetime | None:
    well = (each.ended for each in nights if each.exit_code in _WELL and each.ended is not None)
    return max(well, default=None)


# ---- the event log: JSON lines of ids, numbers and fixed words -----------------------------------


@contextmanager
def open_event_log(file: Path | None, clock: Clock, night: str, least: int = 0) -> Iterator[Log]:
    """Open a log that appends to a file, or writes to standard error if that is not possible.

    Args:
        file: created with its folder if needed; None for standard error.
        clock: the time of each event.
        night: id of the night, on every event.
        least: level from which events go to standard error.
    """
    out, fault = _open_output(file)
    try:
        log = _log(out, clock, least if out is sys.stderr else 0).bind(night=night)
        if fault:
            log.error("log.unwritable", cause=fault)
        yield log
    finally:
        if out is not sys.stderr:
            with suppress(OSError):  # what could not be written before cannot be written now
                out.close()


def _open_output(file: Path | None) -> tuple[TextIO, str]:
    if file is None:
        return sys.stderr, ""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return file.open("a", encoding="utf-8"), ""
    except OSError as exc:
        return sys.stderr, exc.strerror or type(exc).__name__


class _Lines:
    """Writes lines; if the disk is full, the import continues and events go to standard error."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def msg(self, message: str) -> None:
        """Write one event, to standard error if the file cannot be written."""
        try:
            self._write(message)
        except OSError as exc:
            if self._out is sys.stderr:
                return
            self._out = sys.stderr
            cause = exc.strerror or type(exc).__name__
            event = {**json.loads(message), "event": "log.unwritable", "cause": cause}
            self.msg(json.dumps(event))
            self.msg(message)

    def _write(self, message: str) -> None:
        self._out.write(message + "\n")
        self._out.flush()

    debug = info = warning = error = msg


def _log(out: TextIO, clock: Clock, least: int) -> Log:
    def stamped(_logger: object, _method: str, event: Any) -> Any:
        event["at"] = f"{clock.now():%Y-%m-%dT%H:%M:%S.%fZ}"
        return event

    log: Log = structlog.wrap_logger(
        _Lines(out),
        processors=[
            structlog.processors.add_log_level,
            stamped,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(least),
        cache_logger_on_first_use=False,
    )
    return log
