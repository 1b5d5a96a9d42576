"""A night at work, and a claimed file on its way through it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypedDict, Unpack, cast

from importer.ledger import Ledger
from importer.ledger.nights import NightFile
from importer.masking import scrub_name
from importer.model import State
from importer.nightly.clock import opens
from importer.report.night_report import FileEnding, FileReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from importer.errors import Exit
    from importer.model import Counts, RunReport
    from importer.nightly.anomalies import Facts, Past
    from importer.nightly.clock import Clock, Stop
    from importer.nightly.event_log import Log
    from importer.nightly.inbox import Inbox
    from importer.nightly.inbox_settings import InboxSettings
    from importer.settings import Settings


_ID: Final = 12


class FileDetails(TypedDict, total=False):
    """What a file's report may say besides; see `FileReport`."""

    run: str | None
    rows: Mapping[str, int]
    problems: Mapping[str, int]
    place: str
    pages: tuple[tuple[str, str], ...]
    send_s: float


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
        paused_until_s: the API takes nothing before then, as far as we know, on the clock that
            never jumps.
        troubled: claimed files that met an outage in this night. They go after the others, so
            that a file which only looks like an outage stops nobody else.
        refused: the API refuses us; nothing more is sent in this night.
    """

    inbox: Inbox
    places: InboxSettings
    clock: Clock
    stop: Stop
    log: Log
    night: str
    ends: datetime
    paused_until_s: float = 0.0
    refused: bool = False
    troubled: set[Path] = field(default_factory=set)

    def sends_from(self, settings: Settings, now: datetime) -> datetime:
        """From when on files with these settings may be sent, UTC; not before now."""
        pause_s = max(0.0, self.paused_until_s - self.clock.elapsed_s())
        return opens(settings, now + timedelta(seconds=pause_s))

    def in_order(self, claimed: Iterable[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Claimed files in the order in which they are taken."""
        return sorted(claimed, key=lambda each: each[1] in self.troubled)

    def pause(self, path: Path, seconds: float) -> None:
        """Takes note that the API took nothing of a file: nothing is sent for so long."""
        self.troubled.add(path)
        self.paused_until_s = self.clock.elapsed_s() + seconds

    def below(self, path: Path) -> str:
        """A path as the night's reports name it: relative to the inbox."""
        return path.relative_to(self.inbox.root).as_posix()


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

    def record(
        self,
        ending: FileEnding,
        *,
        reason: str = "",
        run: str | None,
        facts: Facts,
        name: str | None = None,
    ) -> None:
        """Writes into the ledger what became of it, and its name where that is a new one."""
        with Ledger.open(self.settings.ledger) as ledger:
            ledger.nights.write(
                NightFile(
                    night=self.work.night,
                    position=self.position,
                    folder=self.folder,
                    name=self.path.name if name is None else name,
                    sha256=self.sha256,
                    at=self.work.clock.now(),
                    ending=ending.value,
                    run=run,
                    reason=reason,
                    facts=cast("Mapping[str, object]", facts),
                )
            )

    def said(
        self, ending: FileEnding, reason: str, exit_code: Exit, **more: Unpack[FileDetails]
    ) -> FileReport:
        """The report of it; a reason never quotes a phone or an e-mail."""
        name, file_id = scrub_name(self.path.name), self.sha256[:_ID]
        return FileReport(self.folder, name, file_id, ending, scrub_name(reason), exit_code, **more)


def rows_of_plan(counts: Counts) -> dict[str, int]:
    """How many rows ended with each word of the reports, before anything is sent."""
    return {
        "planned": counts.ready,
        "rejected": counts.rejected,
        "duplicate-in-file": counts.duplicates,
        "already-imported": counts.already_imported,
    }


def rows_of_run(report: RunReport) -> dict[str, int]:
    """How many rows ended with each word of the reports, after a run."""
    states = {state.value: count for state, count in report.states.items()}
    rejected = report.states.get(State.REJECTED, 0) + report.counts.rejected
    return {**rows_of_plan(report.counts), "planned": 0, **states, "rejected": rejected}
