"""Files that nights have put aside, for the people who look after the importer.

In inboxes on this machine they are found at once. Looking into an inbox elsewhere, and releasing
a file there, is done by a thread of its own: a store may take long to answer.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import ImporterError
from importer.nightly.clock import StopSignal, SystemClock
from importer.nightly.inbox import (
    FAILED,
    HELD,
    PAGE_SUFFIXES,
    InboxSettings,
    OpenLedgers,
    is_regular,
)
from importer.nightly.remote.address import Address, is_remote
from importer.nightly.remote.remote_inbox import release_remote_file
from importer.nightly.remote.storage import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from importer.ledger import Ledger
    from importer.settings import Settings


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file that a night put aside until a person looks at it.

    Attributes:
        id: 32 hex characters; identifies it in URLs without revealing its name.
        root: the inbox that it is in.
        path: where it is on this machine.
        folder: subfolder of the inbox; empty for the inbox itself.
        ending: `held` or `failed`.
    """

    id: str
    root: Path
    path: Path
    folder: str
    ending: str


def find_held_everywhere(ledger: Ledger) -> tuple[list[HeldFile], list[str]]:
    """Return the held files of every inbox on this machine, and the inboxes that are elsewhere."""
    inboxes = ledger.nights.inboxes()
    away = [inbox for inbox in inboxes if is_remote(inbox)]
    return [file for inbox in inboxes if inbox not in away for file in find_held(inbox)], away


def find_held(inbox: str | Path) -> list[HeldFile]:
    """Return the files in `held/` and `failed/` of an inbox on this machine, by path."""
    root, found = Path(inbox), []
    for ending in (HELD, FAILED):
        for path in sorted((*(root / ending).glob("*"), *(root / ending).glob("*/*"))):
            if path.name.endswith(PAGE_SUFFIXES) or not is_regular(path):
                continue
            folder = "" if path.parent.name == ending else path.parent.name
            named = hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:32]
            found.append(HeldFile(named, root, path, folder, ending))
    return found


# ---- inboxes elsewhere ---------------------------------------------------------------------------

_PATIENCE_S: Final = 1.5
"""Seconds that a page waits for a remote inbox before it shows that it is being read."""

_MOST_REASONS: Final = 200


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A held file in a remote inbox.

    Attributes:
        id: 32 hex characters; identifies it in URLs without revealing its name.
        path: where it is in the inbox, such as `held/acme/list.csv`.
        folder: subfolder of the inbox; empty for the inbox itself.
        ending: `held` or `failed`.
        why: the reason that the night recorded; empty if there is none.
        released: whether the next night starts with it.
    """

    id: str
    path: str
    folder: str
    ending: str
    why: str
    released: bool

    @property
    def name(self) -> str:
        """Its name, without its folder."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class RemoteInboxState:
    """The known state of the held files of an inbox elsewhere.

    Attributes:
        inbox: the address of the inbox.
        files: the files that were held at the last look.
        looked_at: UTC; None if nobody has looked yet.
        fault: why it could not be looked at; empty if it could.
        done: what was released last, in a sentence; empty if nothing was.
    """

    inbox: str
    files: tuple[RemoteFile, ...] = ()
    looked_at: datetime | None = None
    fault: str = ""
    done: str = ""

    @property
    def id(self) -> str:
        """The name of the inbox in an address, 32 hex characters."""
        return hashlib.sha256(self.inbox.encode()).hexdigest()[:32]

    @property
    def waiting(self) -> int:
        """The number of its files that wait for a person."""
        return sum(not each.released for each in self.files)


class RemoteInboxes:
    """Looks into inboxes elsewhere and releases their files, one after the other.

    Args:
        settings: the settings of the server.
        ledger: the ledger of the page, for the reasons that nights gave.
    """

    def __init__(self, settings: Settings, ledger: Ledger) -> None:
        self._settings = settings
        self._ledger = ledger
        self._lock = threading.Lock()
        self._known: dict[str, RemoteInboxState] = {}
        self._thread: threading.Thread | None = None

    @property
    def is_busy(self) -> bool:
        """Whether an inbox is being looked at, or a file released."""
        thread = self._thread
        return thread is not None and thread.is_alive()

    def of(self, inbox: str) -> RemoteInboxState:
        """Return what is known of an inbox."""
        return self._known.get(inbox, RemoteInboxState(inbox))

    def look(self, inbox: str) -> bool:
        """Begin to look into an inbox; False if something else is under way."""
        return self._begin(lambda: self._look(inbox))

    def release(self, inbox: str, file: RemoteFile, on_done: Callable[[], None]) -> bool:
        """Begin to release a file, and call `on_done` then; False if something is under way."""
        return self._begin(lambda: self._release(inbox, file, on_done))

    def _begin(self, work: Callable[[], None]) -> bool:
        with self._lock:
            if self.is_busy:
                return False
            thread = threading.Thread(target=work, name="inboxes", daemon=True)
            self._thread = thread
            thread.start()
        thread.join(_PATIENCE_S)
        return True

    def _look(self, inbox: str, done: str = "") -> None:
        now = datetime.now(UTC)
        try:
            found = RemoteInboxState(inbox, tuple(self._find(inbox)), now, done=done)
        except ImporterError as error:
            found = replace(self.of(inbox), looked_at=now, fault=str(error), done=done)
        self._known[inbox] = found

    def _find(self, inbox: str) -> Iterator[RemoteFile]:
        settings = self._settings
        store = Store(
            Address.parse(inbox),
            settings.remote_timeout_s,
            settings.remote_file_s,
            elapsed_s=time.monotonic,
            sleep=time.sleep,
            goes_on=lambda: True,
        )
        claimed = {each.path for each in self._ledger.claims.open(inbox)}
        with closing(store):
            for ending in (HELD, FAILED):
                entries = store.list_folder(ending)
                folders = ["", *(each.name for each in entries if each.folder)]
                for folder in folders:
                    place = f"{ending}/{folder}".rstrip("/")
                    for each in store.list_folder(place) if folder else entries:
                        if each.folder or each.name.endswith(PAGE_SUFFIXES):
                            continue
                        path = f"{place}/{each.name}"
                        named = hashlib.sha256(f"{inbox}/{path}".encode()).hexdigest()[:32]
                        why = self._why(folder, each.name)
                        yield RemoteFile(named, path, folder, ending, why, path in claimed)

    def _why(self, folder: str, name: str) -> str:
        known = self._ledger.nights.of_folder(folder, [HELD, FAILED], _MOST_REASONS)
        return next((each.reason for each in known if each.name == name), "")

    def _release(self, inbox: str, file: RemoteFile, on_done: Callable[[], None]) -> None:
        settings, stop = self._settings, StopSignal(self._settings.grace_s)
        inbox_settings = InboxSettings(Path(), settings.file, settings.flags)
        try:
            with OpenLedgers(settings.ledger) as ledgers:
                released = release_remote_file(
                    f"{inbox}/{file.path}", inbox_settings, ledgers, SystemClock(), stop
                )
        except ImporterError as error:
            self._known[inbox] = replace(self.of(inbox), fault=str(error), done="")
            return
        on_done()
        self._look(inbox, f"{file.name} is released. {released.note}".strip())
