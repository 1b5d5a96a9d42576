"""The mark of an inbox: which ledger knows who was contacted from it. What it says and means.

Two ledgers know nothing of each other, so a list that is sent again would reach people twice if it
met another ledger than the first time. The first night of an inbox puts a mark there, and every
night after it goes on only with the ledger that the mark names.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, date
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Protocol

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.loader.files import readable_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path


NAME: Final = ".importer-ledger"
LONGEST: Final = 4096
"""Bytes of a mark; whatever is longer is none."""

_SHORT: Final = 8
_WORDS: Final = """\
# importer put this here. Who was contacted from this folder stands in one ledger, and only with
# that ledger may files be imported from it: set `ledger:` in importer.yaml to it. If it is lost for
# good, nobody knows who was contacted; removing this file lets another ledger take over.
"""
_LINES: Final = re.compile(
    r"ledger: ([0-9a-f]{32})\s+since: (\d{4}-\d\d-\d\d)(?:\s+night: ([\w-]{1,80}))?\s*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark says.

    Attributes:
        ledger: id of the ledger that the folder belongs to.
        since: UTC.
        night: id of the last one that worked there; empty before the first, and in a subfolder.
    """

    ledger: str
    since: date
    night: str = ""


def text_of(mark: Mark) -> bytes:
    """The mark as a file."""
    night = f"night: {mark.night}\n" if mark.night else ""
    return f"{_WORDS}ledger: {mark.ledger}\nsince: {mark.since:%Y-%m-%d}\n{night}".encode()


def mark_of(raw: bytes) -> Mark | None:
    """What a file says; None where it is no whole mark."""
    try:
        lines = raw.decode("ascii").splitlines()
        found = _LINES.fullmatch("\n".join(line for line in lines if not line.startswith("#")))
        if found is None:
            return None
        return Mark(found[1], date.fromisoformat(found[2]), found[3] or "")
    except ValueError:
        return None


def short(ledger: str) -> str:
    """As much of a ledger's id as a person needs to tell two apart."""
    return ledger[:_SHORT]


def belongs(mark: Mark | None) -> str:
    """What a mark that was judged says, as part of a sentence."""
    if mark is None:
        return "it belongs to no ledger yet, and the first night marks it"
    return f"it belongs to this ledger, {short(mark.ledger)}, since {mark.since:%Y-%m-%d}"


def judged(
    raw: bytes | None, ledger: str, called: str, place: str, knows: Callable[[str], bool]
) -> Mark | None:
    """Whether files of a folder may be imported with a ledger.

    Args:
        raw: what lies there as its mark; None for nothing.
        ledger: id; empty for one that is not there yet.
        called: the ledger for a person.
        place: the folder for a person.
        knows: whether that ledger was there in a night.

    Returns:
        The mark; None where the folder belongs to nobody yet.

    Raises:
        ConfigurationError: it belongs to another ledger, or nobody can tell to which, or the ledger
            is a copy from before the last night.
    """
    if raw is None:
        return None
    mark = mark_of(raw)
    if mark is None:
        raise ConfigurationError(
            f"Nobody can tell which ledger {place} belongs to: its mark {place}/{NAME} is damaged.",
            "Restore it from a backup. If `ledger:` names the ledger that was always used here, "
            "remove it: the next night writes it anew.",
        )
    if mark.ledger != ledger:
        other = f"which is ledger {short(ledger)}" if ledger else "which is not there yet"
        raise ConfigurationError(
            f"{place} belongs to ledger {short(mark.ledger)} since {mark.since:%Y-%m-%d}, "
            f"and not to {called}, {other}.",
            "Name that ledger in `ledger:` (IMPORTER_LEDGER and --ledger go before it); `importer "
            "doctor` shows a ledger's id. If it is lost for good: no other one knows who was "
            "contacted from here, and would contact them again where a list comes again; "
            f"removing {place}/{NAME} lets this one take over.",
        )
    if mark.night and not knows(mark.night):
        raise ConfigurationError(
            f"{called} is an older copy: it knows nothing of {mark.night}, which worked on {place} "
            "with this ledger, nor of whom it contacted.",
            "Let only the newest copy work, wherever it lies. If there is no other one: whoever "
            "was contacted since would be contacted again where a list comes again; removing "
            f"{place}/{NAME} lets this copy go on.",
        )
    return mark


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


class MainFolder(Protocol):
    """An inbox, as far as its ownership goes: where it lies here, and what it is called."""

    @property
    def root(self) -> Path:
        """Its folder on this machine."""
        ...

    @property
    def name(self) -> str:
        """What a person calls it."""
        ...


def folder_belongs(inbox: MainFolder, folder: str, ledger: str, main: str, now: datetime) -> None:
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
    if sent is not None and own.id != main.id and own.submissions.is_empty():
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
        return self.shown or readable_name(str(self.path))

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
