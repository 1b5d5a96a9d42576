"""What the ledger knows of a file: whether it was imported, its unfinished run, a release."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from importer.report.night_report import FileEnding

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from importer.ledger.nights import NightFile
    from importer.ledger.records import Run
    from importer.nightly.anomalies import FileFacts
    from importer.settings import Settings

_CONTACT_SETTINGS: Final = ("campaign", "external_campaign", "round", "conversation")
"""Settings that make the same list another import, which contacts people again."""


@dataclass(frozen=True, slots=True)
class FileHistory:
    """The ledger's knowledge of a file's content before the file is read.

    Attributes:
        imported: when and under which name it was imported, in a sentence; empty if it was not.
        only_move: this very file was imported, but the night was cut off before it moved the file.
        run: the run to resume, or to report on if `only_move`; None if there is none.
        held: why a guard stopped its run; empty if none did, or if it was released.
        released: whether a person released it.
        last: facts of the folder's last imported files, newest first.
    """

    imported: str = ""
    only_move: bool = False
    run: str | None = None
    held: str = ""
    released: bool = False
    last: tuple[FileFacts, ...] = field(default=())


def find_history(ledger: Ledger, sha256: str, folder: str, settings: Settings) -> FileHistory:
    """Return what the ledger knows of a file's content.

    Args:
        ledger: the ledger of the folder.
        sha256: the SHA-256 of the file's bytes.
        folder: subfolder of the inbox.
        settings: of the folder; the same list for another campaign or round is another import.
    """
    newest = ledger.nights.last(sha256)
    waiting = newest is not None and newest.ending == FileEnding.WAITING
    released = newest is not None and (
        newest.ending == FileEnding.RELEASED or (waiting and bool(newest.facts.get("released")))
    )
    last = tuple(
        cast("FileFacts", each.facts)
        for each in ledger.nights.of_folder(folder, [FileEnding.DONE], settings.guard_files)
        if each.facts
    )
    names = dict.fromkeys([*ledger.nights.runs_of(sha256), *_noted_run(newest)])
    runs = [run for run in map(ledger.runs.find, names) if _contacts_same_people(run, settings)]
    for run in runs:
        if not _is_complete(ledger, run) or (waiting and ledger.doubts.list(run.id)):
            held = newest.reason if newest is not None and newest.ending == FileEnding.HELD else ""
            return FileHistory(run=run.id, held=held, released=released, last=last)
    if runs:
        run = runs[0]
        only_move = newest is not None and (waiting or released) and newest.run == run.id
        done = ledger.nights.last(sha256, [FileEnding.DONE], run.id)
        sentence = f"The same content was imported {_when(done, run)}."
        return FileHistory(sentence, only_move, run.id, released=released, last=last)
    return FileHistory(released=released, last=last)


def _noted_run(newest: NightFile | None) -> list[str]:
    """Return the run that a night noted; a run has only the hashes of an archive's members."""
    return [newest.run] if newest is not None and newest.run is not None else []


def _contacts_same_people(run: Run, settings: Settings) -> bool:
    shaping = settings.shaping()
    return all(run.settings.get(name) == shaping.get(name) for name in _CONTACT_SETTINGS)


def _is_complete(ledger: Ledger, run: Run) -> bool:
    return (
        run.finished is not None
        and not run.stopped
        and not ledger.submissions.count_sendable(run.id)
    )


def _when(done: NightFile | None, run: Run) -> str:
    """Say when a content was imported, by the night's record or else by the run's."""
    if done is not None:
        return f"on {done.at:%Y-%m-%d %H:%M} UTC as {done.name}"
    names = ", ".join(source.name for source in run.sources)
    return f"on {run.started:%Y-%m-%d %H:%M} UTC as {names}"
