"""Copies of a SQLite ledger: how they are made, and how the newest is recognised.

A ledger that was lost, emptied or replaced by an older copy does not know who was contacted. The
last-write file beside it names the ledger and counts its important writes, among them every group
of intents to send; a ledger that has another name, or fewer writes, is not used. While a run
writes, the file also says that the ledger's `-wal` file is needed, and how many writes the ledger's
own file has without it: SQLite would apply a `-wal` to any copy, which would damage the ledger.
"""

from __future__ import annotations

import os
import re
import sqlite3
import stat
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from importer.atomic_file import sync_folder, write_durably
from importer.errors import LedgerError

if TYPE_CHECKING:
    from pathlib import Path


_UPGRADE_COPY: Final = re.compile(r"-before-\d+-(\d{8}T\d{6})Z$")
_PRIVATE: Final = 0o600
_COMPANION_SUFFIXES: Final = ("-wal", "-shm", "-journal", "-lock", "-holder", ".last", ".key")


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
    except BaseException:  # Ctrl-C, too: a part of a copy must not look like one
        target.unlink(missing_ok=True)
        raise


def is_companion_file(ledger: Path, target: Path) -> bool:
    """Whether a path belongs to a file that a ledger keeps, or may keep, beside it."""
    there = target.parent.resolve() == ledger.parent.resolve()
    return there and target.name in {f"{ledger.name}{end}" for end in _COMPANION_SUFFIXES}


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
            "Make room on its disk, and give yourself write access to the folder.",
        ) from error


def list_old_copies(ledger: Path, before: datetime) -> list[Path]:
    """List the copies that upgrades made before a time; they hold what `purge` removes."""
    return [
        copy
        for copy in sorted(ledger.parent.glob(f"{ledger.name}-before-*"))
        if (made := _UPGRADE_COPY.search(copy.name))
        and datetime.strptime(made[1], "%Y%m%dT%H%M%S").replace(tzinfo=UTC) < before
    ]


_LAST_WRITE_COMMENT: Final = """\
# importer put this here. It tells whether the ledger beside it is the newest copy: an older one
# does not know who was contacted since, and would contact them again.
"""
_LAST_WRITE_FORMAT: Final = re.compile(
    r"ledger: ([0-9a-f]{32})\nwrites: (\d{1,18})\nclosed: (yes|no)(?:\nalone: (\d{1,18}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class LastWrite:
    """The state of a ledger after its last write.

    Attributes:
        ledger: the id of the ledger.
        writes: how many important writes there were in its life.
        closed: whether the ledger's file alone is complete; otherwise its `-wal` file is needed.
        alone: how many of the writes its file has at least without the `-wal` file.
    """

    ledger: str
    writes: int
    closed: bool
    alone: int = 0


def last_write_file(ledger: Path) -> Path:
    """Return the path of a ledger's last-write file."""
    return ledger.with_name(f"{ledger.name}.last")


def read_last_write(ledger: Path) -> LastWrite | None:
    """Read the last-write file; return None if there is none.

    Raises:
        LedgerError: it is damaged or cannot be read.
    """
    path = last_write_file(ledger)
    if not os.path.lexists(path):
        return None
    try:
        if not path.is_file():  # opening a pipe would block
            raise _damaged_error(path)
        lines = path.read_text("ascii").splitlines()
    except (OSError, ValueError) as error:
        raise _damaged_error(path) from error
    text = "\n".join(line for line in lines if not line.startswith("#"))
    found = _LAST_WRITE_FORMAT.fullmatch(text)
    if found is None:
        raise _damaged_error(path)
    return LastWrite(found[1], int(found[2]), found[3] == "yes", int(found[4] or 0))


def save_last_write(ledger: Path, last: LastWrite, *, unsynced: bool = False) -> None:
    """Write the last-write file; if that fails, an older copy may later be taken for the newest.

    Args:
        ledger: the file of the ledger.
        last: what to write, after the ledger itself is durable.
        unsynced: overwrite the file in place, without fsync. That costs next to nothing, and the
            count survives the death of the process. A power failure may bring an earlier count
            back. Then an older copy may be accepted, but the newest ledger is never refused.
    """
    closed = "yes" if last.closed else "no"
    # The count has a fixed width: a file that is overwritten in place is never half of each.
    text = f"ledger: {last.ledger}\nwrites: {last.writes:018}\nclosed: {closed}\n"
    text += f"alone: {last.alone:018}\n"
    path, data = last_write_file(ledger), f"{_LAST_WRITE_COMMENT}{text}".encode()
    with suppress(OSError):  # the ledger itself has been written
        if not (unsynced and _overwrite(path, data)):
            write_durably(path, data)


def _overwrite(path: Path, data: bytes) -> bool:
    """Overwrite a file of exactly this size; return whether there was one."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        facts = os.fstat(file)
        fits = stat.S_ISREG(facts.st_mode) and facts.st_size == len(data)
        return fits and os.pwrite(file, data, 0) == len(data)
    finally:
        os.close(file)


class CountedWrites:
    """Notes a process's counted writes in the last-write file of a ledger.

    Args:
        ledger: its file; for one on a server, the file to put the last-write file beside.
    """

    def __init__(self, ledger: Path) -> None:
        self._ledger = ledger
        self._last: LastWrite | None = None
        self._wal = b""

    def note(self, ledger_id: str, writes: int, *, unsynced: bool) -> None:
        """Note a write that is durable.

        Args:
            ledger_id: the ledger's id.
            writes: how many there were with this one.
            unsynced: as for `save_last_write`.
        """
        before, wal = self._last, _read_wal_header(self._ledger)
        alone = 0
        if before is None:
            with suppress(LedgerError):
                before = read_last_write(self._ledger)
            if before is not None:
                alone = before.writes if before.closed else before.alone
        elif wal == self._wal:
            alone = before.alone
        else:  # SQLite restarts the `-wal` only when all of it is in the ledger's file
            alone = before.writes
        if before is not None and before.ledger != ledger_id:
            alone = 0
        self._last = LastWrite(ledger_id, writes, closed=False, alone=alone)
        self._wal = wal
        save_last_write(self._ledger, self._last, unsynced=unsynced)


def _wal_file(ledger: Path) -> Path:
    return ledger.with_name(f"{ledger.name}-wal")


def _read_wal_header(ledger: Path) -> bytes:
    """Read the header of the `-wal` file, which differs each time SQLite starts it again."""
    try:
        with _wal_file(ledger).open("rb") as file:
            return file.read(_WAL_HEADER)
    except OSError:
        return b""


_WAL_HEADER: Final = 32  # bytes


def require_file(ledger: Path, *, new: bool = False) -> None:
    """Check, before a SQLite ledger is opened, that its files are all there and belong together.

    It is not opened for writing before that: SQLite would apply the `-wal` file to any copy.

    Args:
        ledger: the file of the ledger.
        new: accept another ledger than the one that was here before, or an older copy; the
            last-write file is removed.

    Raises:
        LedgerError: the ledger or its `-wal` file was lost, or one of them is an older copy.
    """
    try:
        last = read_last_write(ledger)
    except LedgerError:
        if not new:
            raise
        last = None
    if last is not None:
        _require_matching_wal(ledger, last)
    if new:
        last_write_file(ledger).unlink(missing_ok=True)
    elif last is not None:
        _require_complete(ledger, last)


def _require_matching_wal(ledger: Path, last: LastWrite) -> None:
    """Raise if the `-wal` file belongs to a newer copy than the ledger, or to another ledger."""
    if not last.alone or not _has_wal(ledger):
        return
    alone = _read_identity(ledger, "mode=ro&immutable=1")
    if alone is not None and (alone[0] != last.ledger or alone[1] < last.alone):
        raise LedgerError(
            f"The ledger {ledger} does not belong to the file {ledger.name}-wal beside it: it is "
            "an older copy, or another ledger.",
            f"Put the newest {ledger.name} back beside {ledger.name}-wal. If it is lost for good, "
            f"remove {ledger.name}-wal and {ledger.name}-shm, and use `importer run --new-ledger`. "
            "People whose list is imported again may then be contacted again.",
        )


def _require_complete(ledger: Path, last: LastWrite) -> None:
    """Raise if a file is gone, or the files together are older than the last write."""
    if not ledger.exists() or not ledger.stat().st_size:
        raise LedgerError(
            f"The ledger {ledger} is missing: it was here, and it knows who was contacted.",
            f"Put it back, or restore a backup. {_advise_if_lost(ledger)}",
        )
    if not last.closed and not _wal_file(ledger).exists():
        raise LedgerError(
            f"The ledger {ledger} is incomplete: {ledger.name}-wal is missing, which holds the "
            "last writes of an interrupted run.",
            f"Put that file back beside it. {_advise_if_lost(ledger)}",
        )
    both = _read_identity(ledger, "mode=ro") if _has_wal(ledger) else None
    if both is not None:
        require_newest(ledger, last, *both)


def _has_wal(ledger: Path) -> bool:
    wal = _wal_file(ledger)
    return wal.exists() and wal.stat().st_size > 0


def _read_identity(ledger: Path, mode: str) -> tuple[str, int] | None:
    """Return the id and the count of writes of a ledger; None if they cannot be read."""
    query = "SELECT id, coalesce(writes, 0) FROM ledger_identity"
    with suppress(sqlite3.Error):
        connection = sqlite3.connect(f"file:{quote(str(ledger.absolute()))}?{mode}", uri=True)
        try:
            # A kill may leave the file shorter than it says; without this it could not be read.
            connection.execute("PRAGMA writable_schema = ON")
            found = connection.execute(query).fetchone()
            return None if found is None else (str(found[0]), int(found[1]))
        finally:
            connection.close()
    return None


def require_newest(
    ledger: Path, last: LastWrite | None, ledger_id: str, writes: int, name: str | None = None
) -> None:
    """Check that a ledger is the one that was last written to here.

    Args:
        ledger: its file; for one on a server, the file that has its last-write file beside it.
        last: what the last-write file said before the ledger was asked; None if there is none.
        ledger_id: the id of the ledger.
        writes: how many important writes there were in its life.
        name: what a person calls it; its file by default.

    Raises:
        LedgerError: it is another ledger, or an older copy.
    """
    if last is None:
        return
    name = name or str(ledger)
    if last.ledger != ledger_id:
        raise LedgerError(
            f"The ledger {name} is not the one that was here before, and does not know who was "
            "contacted.",
            f"Put the earlier ledger back. {_advise_if_lost(ledger)}",
        )
    if writes < last.writes:
        raise LedgerError(
            f"The ledger {name} is an older copy: it lacks the last "
            f"{last.writes - writes} changes, and does not know who was contacted since.",
            f"Put the newest copy back. {_advise_if_lost(ledger)}",
        )


def _advise_if_lost(ledger: Path) -> str:
    return (
        "If it is lost for good, use `importer run --new-ledger` or remove "
        f"{last_write_file(ledger)}. People whose list is imported again may then be contacted "
        "again."
    )


def _damaged_error(path: Path) -> LedgerError:
    return LedgerError(
        f"{path} is damaged, so it is not certain that the ledger is the newest copy.",
        "If you are sure that it is the newest, remove that file.",
    )
