"""Release a held file: the next night starts with it, and no guard holds it again."""

from __future__ import annotations

from dataclasses import dataclass
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
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.nightly.inbox import InboxSettings


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


@dataclass(frozen=True, slots=True)
class Released:
    """A file that was released.

    Attributes:
        path: where the next night starts with it.
        changed: names of its pages that a person has changed since the night wrote them; they
            stay where they are.
    """

    path: Path
    changed: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """A sentence about the changed pages; empty if there are none."""
        if not self.changed:
            return ""
        names = ", ".join(self.changed)
        stays = (
            f"{names} was changed since the night, so it stays there."
            if len(self.changed) == 1
            else f"{names} were changed since the night, so they stay there."
        )
        return f"{stays} To import a corrected list, put it into the inbox under another name."


def release_file(file: Path, inbox_settings: InboxSettings, now: datetime) -> Released:
    """Move a held file to where the next night starts.

    The pages about it are deleted, because the next night writes them again; those that a person
    has changed stay.

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
        sha256 = sha256_of(file)
        written = written_pages(ledger, sha256)
        record_release(ledger, folder, file.name, sha256, now)
        moved = folders.move(file, root / WORKING / folder, file.name)
        if moved is None:
            raise UsageError(
                f"{file} was moved or deleted while it was being released.",
                "If a night took it, there is nothing more to do.",
            )
        changed = []
        for suffix in PAGE_SUFFIXES:
            page = file.with_name(file.name + suffix)
            if not is_regular(page):
                continue
            if sha256_of(page) == written.get(suffix):
                page.unlink(missing_ok=True)
            else:
                changed.append(page.name)
        return Released(moved, tuple(changed))


def written_pages(ledger: Ledger, sha256: str) -> Mapping[str, str]:
    """Return the hashes of a file's pages as the last night wrote them, by suffix."""
    known = ledger.nights.last(sha256)
    pages = known.facts.get("pages") if known is not None else None
    return pages if isinstance(pages, dict) else {}


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
