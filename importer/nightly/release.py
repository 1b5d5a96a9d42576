"""A person lets go of a held file: the next night begins with it, and no guard stops it."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from importer.errors import UsageError
from importer.ledger import Ledger
from importer.ledger.nights import NightFile
from importer.nightly.inbox import FAILED, HELD, WORKING, WRITTEN, Inbox, alone, digest
from importer.nightly.ownership import Folder, looked
from importer.report.night_report import FileEnding

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from importer.nightly.inbox_settings import InboxSettings
    from importer.settings import Settings


def inbox_of(file: Path) -> tuple[Path, str]:
    """The inbox and the subfolder of a file that lies in `held/` or `failed/`.

    Raises:
        UsageError: it does not lie there.
    """
    if not file.is_file():
        raise UsageError(f"There is no file {file}.", "Name a file in held/ of the inbox.")
    path = file.resolve()
    for place, folder in ((path.parent, ""), (path.parent.parent, path.parent.name)):
        if place.name in {HELD, FAILED}:
            return place.parent, folder
    raise UsageError(f"{file} is not held.", "Name a file in held/ or failed/ of the inbox.")


def release(file: Path, places: InboxSettings, now: datetime) -> Path:
    """Puts a held file in front of the next night; where it lies then.

    Raises:
        UsageError: it is not held, or what it is called by is a page of ours.
        ConfigurationError: a night works in the inbox, or it cannot be written to, or it or the
            subfolder belongs to another ledger.
    """
    root, folder = inbox_of(file)
    if file.name.endswith(WRITTEN):
        raise UsageError(f"{file} is what was written about a file.", "Name the file itself.")
    settings, inbox = places.load(folder), Inbox(root)
    with alone(root, now):
        for place, ledger in ((root, places.ledger()), (root / folder, settings.ledger)):
            with Ledger.open(ledger) as opened:
                looked(Folder(place), opened)
        record(settings, folder, file.name, digest(file), now)
        moved = inbox.move(file, root / WORKING / folder, file.name)
        if moved is None:
            raise UsageError(f"{file} is gone.")
        for suffix in WRITTEN:  # they are written again when the file is through
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        return moved


def record(settings: Settings, folder: str, name: str, sha256: str, now: datetime) -> None:
    """Writes into the ledger that a person looked at a content and let it go."""
    with Ledger.open(settings.ledger) as ledger:
        before = ledger.nights.last(sha256)
        ledger.nights.write(
            NightFile(
                night=f"release-{now:%Y%m%d-%H%M%S}-{token_hex(2)}",
                position=0,
                folder=folder,
                name=name,
                sha256=sha256,
                at=now,
                ending=FileEnding.RELEASED.value,
                run=None if before is None else before.run,
            )
        )
