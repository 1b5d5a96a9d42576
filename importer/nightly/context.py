"""The state of a night, and a claimed file in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypedDict, Unpack, cast

import structlog

from importer.ledger.nights import NightFile
from importer.masking import scrub_name
from importer.model import State
from importer.nightly.clock import sending_start
from importer.report.night_report import FileEnding, FileReport

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from importer.errors import Exit
    from importer.ledger import Ledger
    from importer.model import Counts, RunReport
    from importer.nightly.anomalies import FileFacts
    from importer.nightly.clock import Clock, StopSignal
    from importer.nightly.file_history import FileHistory
    from importer.nightly.inbox import Inbox, InboxSettings
    from importer.settings import Settings


Log = structlog.typing.FilteringBoundLogger
_FILE_ID_CHARS: Final = 12


class FileDetails(TypedDict, total=False):
    """The optional parts of a file's report; see `FileReport`."""

    run: str | None
    rows: Mapping[str, int]
    problems: Mapping[str, int]
    place: str
    pages: tuple[tuple[str, str], ...]
    send_s: float


@dataclass
class NightContext:
    """The state that all files of a night share.

    Attributes:
        inbox: where files come from and go.
        settings: the settings of each subfolder.
        clock: the time.
        stop: whether the night was told to stop.
        log: the log of the night.
        night: the id of the night.
        ends: UTC; its deadline.
        paused_until_s: no request is made before then, on the clock that never jumps.
        troubled: claimed files that met an outage tonight. They are sent after the others, so that
            a file that only looks like an outage delays no other file.
        refused: whether the API refuses our credentials; if so, nothing more is sent tonight.
        refreshed: URLs of the ledgers whose conversations were read tonight.
        looked_up: URLs of the ledgers whose doubts were looked up for a list without new people.
    """

    inbox: Inbox
    settings: InboxSettings
    clock: Clock
    stop: StopSignal
    log: Log
    night: str
    ends: datetime
    paused_until_s: float = 0.0
    refused: bool = False
    troubled: set[Path] = field(default_factory=set)
    refreshed: set[str] = field(default_factory=set)
    looked_up: set[str] = field(default_factory=set)

    def earliest_sending(self, settings: Settings, now: datetime) -> datetime:
        """Return the earliest time, now or later, when files with these settings may be sent."""
        pause_s = max(0.0, self.paused_until_s - self.clock.elapsed_s())
        return sending_start(settings, now + timedelta(seconds=pause_s))

    def may_send(self, settings: Settings) -> bool:
        """Whether files with these settings may be sent now."""
        now = self.clock.now()
        over = self.stop.requested() or self.refused or now >= self.ends
        return not over and self.earliest_sending(settings, now) <= now

    def sort(self, claimed: Iterable[tuple[str, Path]]) -> list[tuple[str, Path]]:
        """Sort claimed files into the order in which they are imported."""
        return sorted(claimed, key=lambda each: each[1] in self.troubled)

    def pause(self, path: Path, seconds: float) -> None:
        """Note that the API did not take a file's rows: nothing is sent for some seconds."""
        self.troubled.add(path)
        self.paused_until_s = self.clock.elapsed_s() + seconds

    def relative(self, path: Path) -> str:
        """Return a path as the night's reports name it: relative to the inbox."""
        return self.inbox.folders.relative(path)


@dataclass(frozen=True)
class ClaimedFile:
    """A claimed file, its settings and its ledger.

    Attributes:
        context: the context of the night.
        folder: subfolder that it came from.
        path: where it is, in `working/`.
        position: the position of the file in the night.
        settings: the settings of its subfolder.
        ledger: the ledger of its subfolder, open.
        sha256: the SHA-256 of its bytes.
        history: what the ledger knew of this content.
    """

    context: NightContext
    folder: str
    path: Path
    position: int
    settings: Settings
    ledger: Ledger
    sha256: str
    history: FileHistory

    @property
    def log(self) -> Log:
        """The night's log, with the file's id on every event."""
        return self.context.log.bind(file=self.sha256[:_FILE_ID_CHARS], folder=self.folder)

    def record(
        self,
        ending: FileEnding,
        *,
        reason: str = "",
        run: str | None,
        facts: FileFacts,
        name: str | None = None,
    ) -> None:
        """Record in the ledger how the file stands; `name` if it has a new one."""
        self.ledger.nights.write(
            NightFile(
                night=self.context.night,
                position=self.position,
                folder=self.folder,
                name=self.path.name if name is None else name,
                sha256=self.sha256,
                at=self.context.clock.now(),
                ending=ending.value,
                run=run,
                reason=reason,
                facts=cast("Mapping[str, object]", facts),
            )
        )

    def report(
        self, ending: FileEnding, reason: str, exit_code: Exit, **more: Unpack[FileDetails]
    ) -> FileReport:
        """Make the file's report; a reason never quotes a phone or an e-mail."""
        name, file_id = scrub_name(self.path.name), self.sha256[:_FILE_ID_CHARS]
        return FileReport(self.folder, name, file_id, ending, scrub_name(reason), exit_code, **more)


def rows_of_plan(counts: Counts) -> dict[str, int]:
    """Count the rows for each word of the reports, before anything is sent."""
    return {
        "planned": counts.ready,
        "rejected": counts.rejected,
        "duplicate-in-file": counts.duplicates,
        "already-imported": counts.already_imported,
    }


def rows_of_run(report: RunReport) -> dict[str, int]:
    """Count the rows for each word of the reports, after a run."""
    states = {state.value: count for state, count in report.states.items()}
    rejected = report.states.get(State.REJECTED, 0) + report.counts.rejected
    return {**rows_of_plan(report.counts), "planned": 0, **states, "rejected": rejected}
