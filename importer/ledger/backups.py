"""Copies of a SQLite ledger: made at any moment, complete, private, and deleted in time."""

from __future__ import annotations

import os
import re
import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from importer.errors import LedgerError
from importer.ledger.durable_file import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

_AUTOMATIC: Final = re.compile(r"-before-\d+-(\d{8}T\d{6})Z$")
_PRIVATE: Final = 0o600


def copy_ledger(ledger: Path, target: Path) -> None:
    """Copy a ledger, also while it is written to; the copy is one file of mode 0600.

    Raises:
        FileExistsError: there is something at the target already.
        OSError: the target cannot be written.
        sqlite3.Error: the ledger cannot be read, or the disk is full.
    """
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE))
    try:
        # Read-only: the last connection that may write would move the `-wal` of a dead process.
        source = sqlite3.connect(f"file:{quote(str(ledger.absolute()))}?mode=ro", uri=True)
        copy = sqlite3.connect(target)
        try:
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # no second file beside it
        finally:
            copy.close()
            source.close()
        sync_folder(target.parent)
    except BaseException:
        target.unlink(missing_ok=True)
        raise


def copy_before_upgrade(ledger: Path, version: str, now: datetime) -> None:
    """Copy a ledger to `<file>-before-<version>-<time>`.

    Raises:
        LedgerError: the copy cannot be made.
    """
    target = ledger.with_name(f"{ledger.name}-before-{version}-{now:%Y%m%dT%H%M%SZ}")
    try:
        copy_ledger(ledger, target)
    except (OSError, sqlite3.Error) as error:
        raise LedgerError(
            f"The ledger {ledger} needs an upgrade, but no backup can be made at {target}.",
            "Make room and give yourself write access to the folder.",
        ) from error


def drop_old_copies(ledger: Path, before: datetime) -> tuple[str, ...]:
    """Delete the copies that upgrades made before a time; they hold what `purge` removes.

    Returns:
        Their names.
    """
    dropped = []
    for copy in sorted(ledger.parent.glob(f"{ledger.name}-before-*")):
        made = _AUTOMATIC.search(copy.name)
        if made and datetime.strptime(made[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) < before:
            copy.unlink()
            dropped.append(copy.name)
    return tuple(dropped)
