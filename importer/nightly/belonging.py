"""Keeps an inbox to its ledger: looks at its mark, and makes it where there is none.

The mark lies in the inbox, under `mark.NAME`. A subfolder with a ledger of its own has its own.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Protocol

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.loader.names import spoken
from importer.nightly.mark import LONGEST, NAME, Mark, judged, text_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from importer.nightly.inbox import Inbox

_NO_LINKS: Final = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
"""How file systems that know no hard links say so."""


class Markable(Protocol):
    """A folder that can have a mark, wherever it lies."""

    @property
    def name(self) -> str:
        """Where it is, for a person."""
        ...

    def read(self) -> bytes | None:
        """Its mark, or whatever lies there as one; None where nothing does.

        Raises:
            ConfigurationError: nobody can tell.
        """
        ...

    def create(self, mark: bytes) -> None:
        """Puts its mark there, whole or not at all; one that is there already stays.

        Raises:
            ConfigurationError: it cannot be written to.
        """
        ...

    def rewrite(self, mark: bytes) -> None:
        """Puts another one in the place of its mark, whole or not at all.

        Raises:
            ConfigurationError: it cannot be written to.
        """
        ...


def looked(place: Markable, ledger: Ledger | None) -> Mark | None:
    """The mark of a folder that a ledger may work on, None where it has none; writes nothing.

    Args:
        place: the folder.
        ledger: that is to work on it; None for one that is not there yet.

    Raises:
        ConfigurationError: it belongs to another one, or nobody can tell.
    """
    if ledger is None:
        return judged(place.read(), "", "the one of `ledger:`", place.name, lambda _: False)
    return judged(place.read(), ledger.id, ledger.name, place.name, ledger.nights.knows)


@contextmanager
def looking_at(url: str) -> Iterator[Ledger | None]:
    """A ledger to look at, None where there is none yet; raises LedgerError."""
    ledger = Ledger.open_existing(url)
    try:
        yield ledger
    finally:
        if ledger is not None:
            ledger.close()


def belong(place: Markable, ledger: Ledger, now: datetime) -> None:
    """Sees to it that a folder belongs to a ledger; one that belonged to nobody does from now on.

    It is looked at once more after it was written: of two that come at once, one goes.

    Raises:
        ConfigurationError: it belongs to another one, or cannot be marked.
    """
    if looked(place, ledger) is not None:
        return
    place.create(text_of(Mark(ledger.id, now.astimezone(UTC).date())))
    if looked(place, ledger) is None:
        raise ConfigurationError(
            f"{place.name} does not keep {NAME}, which says which ledger it belongs to.",
            "Let nothing else take hidden files away from there.",
        )


def remember(place: Markable, ledger: Ledger, night: str) -> None:
    """Writes which night works on a folder, so that a copy of the ledger from before it cannot.

    Args:
        place: that belongs to the ledger.
        ledger: that has the night already.
        night: its id.

    Raises:
        ConfigurationError: it cannot be written to.
    """
    mark = looked(place, ledger)
    if mark is not None:
        place.rewrite(text_of(replace(mark, night=night)))


def folder_belongs(inbox: Inbox, folder: str, ledger: str, main: str, now: datetime) -> None:
    """Sees to it that files of a subfolder meet only its own ledger.

    Args:
        inbox: that it is in.
        folder: its name; empty for the inbox itself, which was looked at before.
        ledger: URL of the ledger that its settings name.
        main: URL of the main one.
        now: UTC.

    Raises:
        ConfigurationError: it belongs to another one, or cannot be marked.
    """
    place = Folder(inbox.root / folder, f"{inbox.name}/{folder}")
    if not folder or (ledger == main and not place.marked()):
        return
    with Ledger.open(ledger) as own, Ledger.open(main) as first:
        if own.is_copy_of(first):
            own.part_from_original()
        if not place.marked():
            _knows_enough(own, first, place.name, first.nights.last_run_of(folder, inbox.name))
        belong(place, own, now)


def _knows_enough(own: Ledger, main: Ledger, place: str, sent: datetime | None) -> None:
    """Raises where a subfolder changes from the main ledger to an empty one."""
    if sent is not None and own.id != main.id and own.is_empty():
        raise ConfigurationError(
            f"Files of {place} were imported with {main.name} until {sent:%Y-%m-%d}, and its new "
            f"ledger {own.name} does not know who was contacted.",
            "Take `ledger:` out of its importer.yaml, or begin the new ledger as a copy of that "
            "one, with a copy of its key.",
        )


@dataclass(frozen=True)
class Folder:
    """A folder of this machine as one that can have a mark.

    Attributes:
        path: where it lies.
        shown: what a person calls it; its path by default.
        link: gives a file a second name, at once and only where nothing has that name.
    """

    path: Path
    shown: str = ""
    link: Callable[[Path, Path], None] = os.link

    @property
    def name(self) -> str:
        """Where it is."""
        return self.shown or spoken(str(self.path))

    def read(self) -> bytes | None:
        """Its mark; what is no file there is a damaged one, and is not opened."""
        path = self.path / NAME
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return b""
            with path.open("rb") as file:
                return file.read(LONGEST)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise ConfigurationError(
                f"Nobody can tell which ledger {self.name} belongs to: its mark {NAME} cannot be "
                f"read: {exc.strerror or exc}.",
                "Let the importer read it.",
            ) from exc

    def marked(self) -> bool:
        """Whether anything lies there as its mark."""
        return os.path.lexists(self.path / NAME)

    def create(self, mark: bytes) -> None:
        """Writes it beside its place, and gives it its name once it is whole and on the disk."""
        self._write(mark, self._settle)

    def rewrite(self, mark: bytes) -> None:
        """The same, over the one that is there."""
        self._write(mark, lambda draft, path: draft.replace(path))

    def _write(self, mark: bytes, settle: Callable[[Path, Path], object]) -> None:
        path, draft = self.path / NAME, self.path / f"{NAME}-{token_hex(4)}"
        try:
            with draft.open("xb") as file:
                file.write(mark)
                file.flush()
                os.fsync(file.fileno())
            with suppress(FileExistsError):
                settle(draft, path)
            _on_disk(self.path)
        except OSError as exc:
            raise ConfigurationError(
                f"{self.name} cannot be marked as this ledger's: {exc.strerror or exc}.",
                "Give the importer write access to the whole inbox, and make room.",
            ) from exc
        finally:
            with suppress(OSError):
                draft.unlink(missing_ok=True)

    def _settle(self, draft: Path, path: Path) -> None:
        try:
            self.link(draft, path)
        except OSError as exc:
            if exc.errno not in _NO_LINKS:
                raise
            if not os.path.lexists(path):  # one night at a time is here to write it
                draft.rename(path)


def _on_disk(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
