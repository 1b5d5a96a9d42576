"""What the name of a file in an inbox tells, and under which name it is kept."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from filelock import FileLock, Timeout

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.loader.files import readable_name
from importer.nightly.ownership import Folder, belong, looked, remember

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from importer.errors import ImporterError


SETTINGS: Final = "importer.yaml"
MARKER: Final = ".done"
_UNFINISHED: Final = (".part", ".filepart", ".partial", ".tmp", ".crdownload", ".swp")
_HIDDEN: Final = (".", "~$")
WRITTEN: Final = (".check.html", ".rejected.csv", ".results.csv")
"""What a night writes beside a file."""

_LONGEST: Final = 200
_SUFFIX: Final = 20
"""Bytes of a name that is kept, and characters of its end."""


def may_be_taken(name: str) -> bool:
    """Whether a file of this name is for us, and not hidden, unfinished or of another kind."""
    lower = name.lower()
    return not (
        lower.startswith(_HIDDEN) or lower.endswith((*_UNFINISHED, MARKER, "~")) or name == SETTINGS
    )


def kept_name(name: str) -> str:
    """The name that a claimed file is kept under.

    It is text, whatever the bytes were, and leaves room for the names of the pages beside it.
    """
    text = readable_name(name).replace("\N{REPLACEMENT CHARACTER}", "_")
    path = PurePath(text)
    stem, suffix = path.stem, path.suffix[:_SUFFIX]
    while len(f"{stem}{suffix}".encode()) > _LONGEST:
        stem = stem[:-1]
    return f"{stem}{suffix}"


@contextmanager
def alone(root: Path, since: datetime) -> Iterator[None]:
    """Keeps every other night out of an inbox.

    Raises:
        ConfigurationError: another one works there, or the inbox cannot be written to.
    """
    if root.is_file():
        raise ConfigurationError(f"{root} is a file; an inbox is a folder.", "Name the folder.")
    if not root.is_dir():
        raise ConfigurationError(f"There is no folder {root}.", "Make it, or correct its name.")
    card = root / ".nightly-holder"
    lock = FileLock(root / ".nightly-lock", timeout=0, mode=0o600)
    try:
        lock.acquire()
    except Timeout:
        raise ConfigurationError(
            f"Another night works in {root}{_read(card)}.", "Wait until it has ended."
        ) from None
    except OSError as exc:
        raise ConfigurationError(
            f"The inbox {root} cannot be written to: {exc.strerror}.",
            "Give the importer write access to the whole inbox.",
        ) from exc
    try:
        facts = {"pid": os.getpid(), "host": socket.gethostname(), "since": f"{since:%H:%M} UTC"}
        with suppress(OSError):  # a courtesy to others: the lock is held without it
            card.write_text(json.dumps(facts), "utf-8")
        yield
    finally:
        with suppress(OSError):
            card.unlink(missing_ok=True)
        lock.release()


def _read(card: Path) -> str:
    try:
        facts = json.loads(card.read_text("utf-8"))
        return f" since {facts['since']} (process {facts['pid']} on {facts['host']})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


WORKING, DONE, HELD, FAILED, NIGHTS = "working", "done", "held", "failed", "nights"
OURS: Final = frozenset({WORKING, DONE, HELD, FAILED, NIGHTS})
Print = tuple[int | str, ...]
"""What changes when a file does, such as size and time of the last change."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file that lies in an inbox.

    Attributes:
        folder: subfolder of the inbox; empty for the inbox itself.
        path: where it lies.
        print: of it.
        changed_s: seconds since 1970 of its last change; a time which no program that uploads
            can set, or infinite where there is none.
        marked: its `.done` marker lies beside it.
    """

    folder: str
    path: Path
    print: Print
    changed_s: float
    marked: bool


@dataclass(frozen=True)
class Inbox:
    """An inbox with its folders.

    Args:
        root: an existing folder.
    """

    root: Path

    @property
    def name(self) -> str:
        """Where it is, for a person."""
        return str(self.root)

    @property
    def elsewhere(self) -> bool:
        """Whether its folder is only the desk of an inbox on another machine."""
        return False

    @contextmanager
    def at_work(self, now: datetime) -> Iterator[None]:
        """Keeps every other night out of it.

        Raises:
            ConfigurationError: another one works there, or it cannot be written to.
        """
        with alone(self.root, now):
            yield

    def begin(self, ledger: str, now: datetime) -> list[ImporterError]:
        """Does what comes before the first file, and gives what of it did not work.

        Args:
            ledger: URL of the main one.
            now: UTC.

        Raises:
            ConfigurationError: it belongs to another ledger, or cannot be marked as this one's.
        """
        with Ledger.open(ledger) as opened:
            if not Folder(self.root).marked():  # it may be a subfolder of one that is
                looked(Folder(self.root.parent), opened)
            belong(Folder(self.root), opened, now)
        return []

    def remember(self, ledger: Ledger, night: str) -> None:
        """Writes into its mark which night works here; an older copy of the ledger lacks it.

        Raises:
            ConfigurationError: it cannot be written to.
        """
        remember(Folder(self.root), ledger, night)

    def carry_back(self) -> None:
        """Gives what was made of files to where they came from; nothing where that is here."""

    def arrivals(self) -> list[Arrival]:
        """What has arrived, in order of subfolder and name; unfinished and hidden files are not.

        Raises:
            ConfigurationError: the inbox cannot be read.
        """
        try:
            found = [*self._in("", self.root)]
            for folder in self.folders():
                found += self._in(folder.name, folder)
        except OSError as exc:
            raise _refused(self.root, "read", exc) from exc
        return found

    def folders(self) -> list[Path]:
        """Its subfolders, in order of name, without those that are passed over."""
        return [path for path in self._may_be_folders() if not _not_looked_into(path)]

    def passed_over(self) -> list[str]:
        """What looks like a subfolder and nobody looks into, a sentence for each."""
        reasons = ((path.name, _not_looked_into(path)) for path in self._may_be_folders())
        return [
            f"{readable_name(name)} {why}, so no night looks into it; "
            "make it a folder with a plain name."
            for name, why in reasons
            if why
        ]

    def _may_be_folders(self) -> list[Path]:
        return [
            path
            for path in sorted(self.root.iterdir())
            if path.is_dir() and path.name not in OURS and not path.name.startswith(".")
        ]

    def working(self) -> list[tuple[str, Path]]:
        """Subfolder and path of every claimed file, in the same order."""
        root = self.root / WORKING
        if not root.is_dir():
            return []
        found = [("", path) for path in sorted(root.iterdir()) if path.is_file()]
        for folder in sorted(path for path in root.iterdir() if path.is_dir()):
            found += [(folder.name, path) for path in sorted(folder.iterdir()) if path.is_file()]
        return found

    def claim(self, arrival: Arrival) -> Path | None:
        """Moves an arrival to where only we work, at once or not at all; None where it is gone."""
        into = self.root / WORKING / arrival.folder
        claimed = self.move(arrival.path, into, kept_name(arrival.path.name))
        if claimed is not None and arrival.marked:
            _marker(arrival.path).unlink(missing_ok=True)
        return claimed

    def give_back(self, path: Path, folder: str) -> Path | None:
        """Moves a claimed file to where it came from."""
        return self.move(path, self.root / folder, path.name)

    def place(self, ending: str, folder: str, date: str = "") -> Path:
        """The folder for files that ended so; made where it is not there."""
        place = self.root / ending / date / folder
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise _refused(place, "made", exc) from exc
        return place

    def free(self, folder: Path, name: str) -> Path:
        """A path in one of its folders that nothing has."""
        return free(folder, name)

    def move(self, path: Path, into: Path, name: str) -> Path | None:
        """Moves a file by an atomic rename, under a name that is free; None where it is gone.

        Raises:
            ConfigurationError: the system does not let us.
        """
        try:
            into.mkdir(parents=True, exist_ok=True)
            target = free(into, name)
            path.rename(target)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _refused(path, f"moved to {into}", exc) from exc
        return target

    def _in(self, folder: str, place: Path) -> Iterator[Arrival]:
        for path in sorted(place.iterdir()):
            if not may_be_taken(path.name):
                continue
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):  # neither folders nor links to what lies elsewhere
                yield Arrival(
                    folder,
                    path,
                    _print(facts),
                    max(facts.st_mtime, facts.st_ctime),
                    _is_marked(path),
                )


def _not_looked_into(path: Path) -> str:
    """Why a folder is none of an inbox's, or nothing: a link may lead to where the ledger lies."""
    if path.is_symlink():
        return "is a link"
    return "has a name that is not UTF-8" if readable_name(path.name) != path.name else ""


def print_of(path: Path) -> Print:
    """The print of a file as it is now; raises OSError."""
    return _print(path.lstat())


def digest(path: Path) -> str:
    """Hex sha256 of a file; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def free(folder: Path, name: str) -> Path:
    """A path in the folder that nothing has: `list.csv`, else `list-2.csv` and so on."""
    number, path = 1, folder / name
    stem, suffix = path.stem, path.suffix
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _print(facts: os.stat_result) -> Print:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _is_marked(path: Path) -> bool:
    try:
        return _marker(path).exists()
    except OSError:  # with so long a name there can be no marker
        return False


def _marker(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def _refused(path: Path, what: str, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{readable_name(str(path))} cannot be {what}: {exc.strerror or exc}.",
        "Give the importer write access to the whole inbox, on one file system.",
    )
