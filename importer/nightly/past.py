"""What the ledger knows of a file's content, and of the last files of its folder."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from importer.ledger import Ledger
from importer.pipeline import report_of
from importer.report.night import Ending

if TYPE_CHECKING:
    from importer.ledger.nights import NightFile
    from importer.ledger.records import Run
    from importer.model import RunReport
    from importer.nightly.unlike import Facts
    from importer.settings import Settings

_WHOM: Final = ("campaign", "external_campaign", "round", "conversation")
"""The settings that make the same list another import."""


@dataclass(frozen=True, slots=True)
class Past:
    """What is known of a content before it is looked at.

    Attributes:
        imported: when and as what it was imported, in a sentence; empty where it was not.
        ours: that import is this very file's: a night was cut off before it could move it.
        run: to go on with, or to report on where `ours`; None for none.
        held: why its run was stopped by a guard; empty where it was not, or was released.
        released: a person looked at it and let it go.
        last: facts of the folder's last imported files, newest first.
    """

    imported: str = ""
    ours: bool = False
    run: str | None = None
    held: str = ""
    released: bool = False
    last: tuple[Facts, ...] = field(default=())

    def report(self, settings: Settings) -> RunReport:
        """What its run did."""
        with Ledger.open(settings.ledger, create=False) as ledger:
            return report_of(ledger, ledger.run(self.run))


def past_of(ledger: Ledger, sha256: str, folder: str, settings: Settings) -> Past:
    """What the ledger knows of a content.

    Args:
        ledger: of the folder.
        sha256: of the file.
        folder: subfolder of the inbox.
        settings: of the folder; the same list for another campaign or round is not the same.
    """
    newest = ledger.nights.last(sha256)
    waiting = newest is not None and newest.ending == Ending.WAITING
    released = newest is not None and (
        newest.ending == Ending.RELEASED or (waiting and bool(newest.facts.get("released")))
    )
    last = tuple(
        cast("Facts", each.facts)
        for each in ledger.nights.of_folder(folder, [Ending.DONE], settings.guard_files)
        if each.facts
    )
    names = dict.fromkeys([*ledger.nights.runs_of(sha256), *_own(newest)])
    runs = [run for run in map(ledger.run, names) if _same_people(run, settings)]
    for run in runs:
        if not _through(ledger, run) or (waiting and ledger.doubtful(run.id)):
            held = newest.reason if newest is not None and newest.ending == Ending.HELD else ""
            return Past(run=run.id, held=held, released=released, last=last)
    if runs:
        run = runs[0]
        ours = newest is not None and (waiting or released) and newest.run == run.id
        done = ledger.nights.last(sha256, [Ending.DONE], run.id)
        said = f"The same content was imported {_when(done, run)}."
        return Past(said, ours, run.id, released=released, last=last)
    return Past(released=released, last=last)


def _own(newest: NightFile | None) -> list[str]:
    """The run that a night noted for a content: an archive's members have other hashes."""
    return [newest.run] if newest is not None and newest.run is not None else []


def _same_people(run: Run, settings: Settings) -> bool:
    shaping = settings.shaping()
    return all(run.settings.get(name) == shaping.get(name) for name in _WHOM)


def _through(ledger: Ledger, run: Run) -> bool:
    return run.finished is not None and not run.stopped and not ledger.sendable(run.id)


def _when(done: NightFile | None, run: Run) -> str:
    """When a content was imported: as the night wrote it down, else as its run did."""
    if done is not None:
        return f"on {done.at:%Y-%m-%d %H:%M} UTC as {done.name}"
    names = ", ".join(source.name for source in run.sources)
    return f"on {run.started:%Y-%m-%d %H:%M} UTC as {names}"
