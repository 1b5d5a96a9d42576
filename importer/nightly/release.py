"""Release a held file: the next night starts with it, and no guard holds it again."""

from __future__ import annotations

from secrets import token_hex
from typing import TYPE_CHECKING

from importer.errors import UsageError
from importer.ledger.nights import NightFile
from importer.nightly.inbox import (
    FAILED,
    HELD,
    PAGE_SUFFIXES,
    WORKING,
    InboxFolders,
    OpenLedgers,
    is_regular,
    lock_inbox,
    sha256_of,
)
from importer.nightly.ownership import LocalFolder, check_owner
from importer.report.night_report import FileEnding

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.nightly.inbox_settings import InboxSettings


def find_inbox(file: Path) -> tuple[Path, str]:
    """Return the inbox and the subfolder of a file in `held/` or `failed/`.

    Raises:
        UsageError: it is not in one of them.
    """
    if not is_regular(file):
        raise UsageError(f"There is no file {file}.", "Name a file in held/ of the inbox.")
    path = file.resolve()
    for place, folder in ((path.parent, ""), (path.parent.parent, path.parent.name)):
        if place.name in {HELD, FAILED}:
            return place.parent, folder
    raise UsageError(f"{file} is not held.", "Name a file in held/ or failed/ of the inbox.")


def refuse_page(file: str) -> None:
    """Raise UsageError for a page that a night wrote beside a file."""
    if file.endswith(PAGE_SUFFIXES):
        raise UsageError(f"{file} is a report about a file.", "Name the file itself.")


def release_file(file: Path, inbox_settings: InboxSettings, now: datetime) -> Path:
    """Move a held file to where the next night starts; return its new path.

    Raises:
        UsageError: it is not held, or is one of our pages.
        ConfigurationError: a night works in the inbox, the inbox cannot be written to, or it or
            the subfolder belongs to another ledger.
    """
    root, folder = find_inbox(file)
    refuse_page(file.name)
    settings, folders = inbox_settings.load(folder), InboxFolders(root)
    with lock_inbox(root, now), OpenLedgers(inbox_settings.ledger()) as ledgers:
        ledgers.refuse_stranger(LocalFolder(root))
        ledger = ledgers.get(settings.ledger)
        check_owner(LocalFolder(root), ledgers.main)
        check_owner(LocalFolder(root / folder), ledger)
        record_release(ledger, folder, file.name, sha256_of(file), now)
        moved = folders.move(file, root / WORKING / folder, file.name)
        if moved is None:
            raise UsageError(
                f"{file} was moved or deleted while it was being released.",
                "If a night took it, there is nothing more to do.",
            )
        for suffix in PAGE_SUFFIXES:  # the next night writes them again
            file.with_name(file.name + suffix).unlink(missing_ok=True)
        return moved


def record_release(ledger: Ledger, folder: str, name: str, sha256: str, now: datetime) -> None:
    """Record that a person looked at a file and released its content."""
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
