"""An inbox on this machine: what has arrived, what is claimed, and where files go."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol, Self

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.ledger.connection import ledger_is_there, shown_name
from importer.ledger.lock import Lockable, lock_file
from importer.loader.files import readable_name
from importer.nightly.ownership import (
    LocalFolder,
    check_owner,
    claim_folder,
    claim_subfolder,
    note_night,
    refuse_new_ledger,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from importer.errors import ImporterError
    from importer.nightly.ownership import MarkedPlace


SETTINGS: Final = "importer.yaml"
DONE_SUFFIX: Final = ".done"
PAGE_SUFFIXES: Final = (".check.html", ".rejected.csv", ".results.csv")
"""Ends of the names of the pages that a night writes beside a file."""
WORKING, DONE, HELD, FAILED, NIGHTS = "working", "done", "held", "failed", "nights"
RESERVED: Final = frozenset({WORKING, DONE, HELD, FAILED, NIGHTS})
"""Folders of the importer in an inbox; every other folder is a subfolder with files to import."""
_UNFINISHED: Final = (".part", ".filepart", ".partial", ".tmp", ".crdownload", ".swp")
_HIDDEN: Final = (".", "~$")
_MAX_NAME_BYTES: Final = 200
_MAX_SUFFIX_CHARS: Final = 20

Fingerprint = tuple[int | str, ...]
"""What changes when a file does, such as its size and the time of its last change."""


def is_importable(name: str) -> bool:
    """Whether a file of this name can be imported: not hidden, unfinished or one of ours."""
    lower = name.lower()
    return not (
        lower.startswith(_HIDDEN)
        or lower.endswith((*_UNFINISHED, DONE_SUFFIX, "~"))
        or name == SETTINGS
    )


def safe_name(name: str) -> str:
    """The name that a claimed file gets: valid text, short enough for its pages' suffixes."""
    text = readable_name(name).replace("\N{REPLACEMENT CHARACTER}", "_")
    path = PurePath(text)
    stem, suffix = path.stem, path.suffix[:_MAX_SUFFIX_CHARS]
    while len(f"{stem}{suffix}".encode()) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{suffix}"


def numbered_names(name: str) -> Iterator[str]:
    """`list.csv`, `list-2.csv`, `list-3.csv` and so on, to find one that is free."""
    yield name
    path, number = PurePath(name), 1
    while True:
        number += 1
        yield f"{path.stem}-{number}{path.suffix}"


def free_path(folder: Path, name: str) -> Path:
    """The first numbered path in a folder that does not exist."""
    return next(path for each in numbered_names(name) if not os.path.lexists(path := folder / each))


def fingerprint_of(path: Path) -> Fingerprint:
    """The fingerprint of a file as it is now; raises OSError."""
    return _fingerprint(path.lstat())


def sha256_of(path: Path) -> str:
    """Hex sha256 of a file; raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock_inbox(root: Path, now: datetime) -> Iterator[None]:
    """Lock an inbox, so that no second night works in it meanwhile.

    Raises:
        ConfigurationError: there is no such folder.
        LedgerError: another night works there, or the inbox cannot be written to.
    """
    if root.is_file():
        raise ConfigurationError(f"{root} is a file; an inbox is a folder.", "Name the folder.")
    if not root.is_dir():
        raise ConfigurationError(f"There is no folder {root}.", "Create it, or correct its name.")
    inbox = Lockable(f"The inbox {root}", "", 0, "Wait until it has ended.")
    with lock_file(root / ".nightly", inbox, "importer nightly", 0.0, now):
        yield


class OpenLedgers:
    """The ledgers of a night, each opened once, when it is first needed.

    Args:
        main_url: of the inbox's ledger.
        new: accept a ledger that is not the one that was here before, as `--new-ledger` says.
    """

    def __init__(self, main_url: str, *, new: bool = False) -> None:
        self.main_url = main_url
        self._new = new
        self._open: dict[str, Ledger] = {}

    @property
    def main(self) -> Ledger:
        """The inbox's ledger; raises LedgerError."""
        return self.get(self.main_url)

    def get(self, url: str) -> Ledger:
        """The ledger at a URL, created if it does not exist; raises LedgerError."""
        if url not in self._open:
            self._open[url] = Ledger.open(url, new=self._new)
        return self._open[url]

    def refuse_stranger(self, *places: MarkedPlace) -> None:
        """Raise ConfigurationError if a place belongs to a ledger and ours does not exist yet.

        Asked first, so that no new ledger is made only to be refused.
        """
        if self.main_url in self._open or ledger_is_there(self.main_url):
            return
        for place in places:
            check_owner(place, None)

    def claim(self, place: LocalFolder, inbox: str, url: str, now: datetime) -> Ledger:
        """Open the ledger of a subfolder, and claim the subfolder for it.

        Args:
            place: the subfolder.
            inbox: name of the inbox.
            url: of the subfolder's ledger.
            now: UTC.

        Raises:
            ConfigurationError: it belongs to another ledger, or a new one would not know whom the
                main one reached; then no new one is made.
            LedgerError: a ledger cannot be opened.
        """
        if not ledger_is_there(url) and not place.is_marked():
            refuse_new_ledger(place, inbox, shown_name(url), self.main)
        own = self.get(url)
        claim_subfolder(place, inbox, own, self.main, now)
        return own

    def all(self) -> list[Ledger]:
        """Those that were used."""
        return list(self._open.values())

    def close(self) -> None:
        """Close all of them; one that is asked for afterwards is opened again."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    """A file in an inbox that nobody has claimed.

    Attributes:
        folder: subfolder of the inbox; empty for the inbox itself.
        path: where it is, or where it will be once it is fetched.
        fingerprint: of it.
        changed_s: seconds since 1970 of its last change, by a clock that uploaders cannot set;
            infinite if there is none.
        has_done_marker: FILE.done is beside it.
    """

    folder: str
    path: Path
    fingerprint: Fingerprint
    changed_s: float
    has_done_marker: bool


@dataclass(frozen=True)
class InboxFolders:
    """The folders of an inbox on this machine, or the staging folders of a remote one.

    Args:
        root: an existing folder.
    """

    root: Path

    def list_arrivals(self) -> list[Arrival]:
        """Files that have arrived, in order of subfolder and name, without unfinished ones.

        Raises:
            ConfigurationError: the inbox cannot be read.
        """
        try:
            found = [*self._arrivals_in("", self.root)]
            for folder in self.list_subfolders():
                found += self._arrivals_in(folder.name, folder)
        except OSError as exc:
            raise _refusal(self.root, "read", exc) from exc
        return found

    def list_subfolders(self) -> list[Path]:
        """Its subfolders in order of name, without those that are skipped."""
        return [path for path in self._possible_subfolders() if not _reason_to_skip(path)]

    def explain_skipped(self) -> list[str]:
        """A sentence for each subfolder or claimed file that no night looks at."""
        reasons = {path.name: _reason_to_skip(path) for path in self._possible_subfolders()}
        found = [
            f"{readable_name(name)} {why}, so no night looks into it; "
            "make it a folder with a plain name."
            for name, why in reasons.items()
            if why
        ]
        working = self.root / WORKING
        if working.is_dir():
            links = (path for path in sorted(working.rglob("*")) if path.is_symlink())
            found += [
                f"{readable_name(self.relative(path))} is a link, so no night reads it; remove it, "
                "and upload the file itself."
                for path in links
            ]
        return found

    def list_claimed(self) -> list[tuple[str, Path]]:
        """Subfolder and path of every claimed file, in order; links are not followed."""
        root = self.root / WORKING
        if root.is_symlink() or not root.is_dir():
            return []
        found = [("", path) for path in sorted(root.iterdir()) if is_regular(path)]
        folders = (path for path in root.iterdir() if path.is_dir() and not path.is_symlink())
        for folder in sorted(folders):
            files = (path for path in sorted(folder.iterdir()) if is_regular(path))
            found += [(folder.name, path) for path in files]
        return found

    def make_folder(self, ending: str, folder: str, date: str = "") -> Path:
        """Create the folder for files that ended in some way; return it.

        Raises:
            ConfigurationError: the system refuses.
        """
        place = self.root / ending / date / folder
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as exc:
            raise _refusal(place, "created", exc) from exc
        return place

    def move(self, path: Path, into: Path, name: str) -> Path | None:
        """Move a file by an atomic rename, under a free name; None if it is gone.

        Raises:
            ConfigurationError: the system refuses.
        """
        try:
            into.mkdir(parents=True, exist_ok=True)
            target = free_path(into, name)
            path.rename(target)
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _refusal(path, f"moved to {into}", exc) from exc
        return target

    def relative(self, path: Path) -> str:
        """A path as reports and the ledger name it: relative to the inbox."""
        return path.relative_to(self.root).as_posix()

    def _possible_subfolders(self) -> list[Path]:
        return [
            path
            for path in sorted(self.root.iterdir())
            if path.is_dir() and path.name not in RESERVED and not path.name.startswith(".")
        ]

    def _arrivals_in(self, folder: str, place: Path) -> Iterator[Arrival]:
        for path in sorted(place.iterdir()):
            if not is_importable(path.name):
                continue
            try:
                facts = path.lstat()
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):  # neither folders nor links to files elsewhere
                changed_s = max(facts.st_mtime, facts.st_ctime)
                marked = _has_done_marker(path)
                yield Arrival(folder, path, _fingerprint(facts), changed_s, marked)


class Inbox(Protocol):
    """Where a night's files come from, and where their results go."""

    @property
    def folders(self) -> InboxFolders:
        """The inbox on this machine, or the staging folders of a remote one."""
        ...

    @property
    def ledgers(self) -> OpenLedgers:
        """The main ledger, and those of subfolders."""
        ...

    @property
    def name(self) -> str:
        """Folder or address, for a person."""
        ...

    @property
    def is_remote(self) -> bool:
        """Whether it is on another machine."""
        ...

    def lock(self, now: datetime) -> AbstractContextManager[None]:
        """Lock it, so that no second night works in it meanwhile.

        Raises:
            ImporterError: on entering: another night works there, or it cannot be written to.
        """
        ...

    def start(self, now: datetime) -> list[ImporterError]:
        """Do what comes before the first file; return what did not work.

        Raises:
            ConfigurationError: it belongs to another ledger, or cannot be marked as this one's.
        """
        ...

    def note_night(self, night: str) -> None:
        """Note in the ownership marker which night works here: older copies of the ledger lack it.

        Raises:
            ConfigurationError: the marker cannot be written.
        """
        ...

    def list_arrivals(self) -> list[Arrival]:
        """Files that have arrived and are not claimed, in order of subfolder and name.

        Raises:
            ConfigurationError: the inbox cannot be read.
        """
        ...

    def claim(self, arrival: Arrival) -> Path | None:
        """Claim a file and bring it into `working/`; None if it is gone or somebody else's.

        Raises:
            ConfigurationError: it cannot be brought now.
        """
        ...

    def unclaim(self, path: Path, folder: str) -> None:
        """Leave a claimed file to a later night."""
        ...

    def free_path(self, folder: Path, name: str) -> Path:
        """A path that is free here and, as far as it can be reached, in a remote inbox."""
        ...

    def upload_results(self) -> None:
        """Upload what was made of files to a remote inbox; raises RemoteFault."""
        ...


@dataclass(frozen=True)
class LocalInbox:
    """An inbox that is a folder of this machine."""

    folders: InboxFolders
    ledgers: OpenLedgers

    @property
    def name(self) -> str:
        """Its path."""
        return str(self.folders.root)

    @property
    def is_remote(self) -> bool:
        """Never."""
        return False

    def lock(self, now: datetime) -> AbstractContextManager[None]:
        """Lock the folder, so that no second night works in it meanwhile."""
        return lock_inbox(self.folders.root, now)

    def start(self, now: datetime) -> list[ImporterError]:
        """Check to which ledger it belongs; claim it for ours if it belongs to none."""
        root = self.folders.root
        place = LocalFolder(root)
        self.ledgers.refuse_stranger(place if place.is_marked() else LocalFolder(root.parent))
        ledger = self.ledgers.main
        if not place.is_marked():  # it may be a subfolder of an inbox that is marked
            check_owner(LocalFolder(root.parent), ledger)
        claim_folder(place, ledger, now)
        return []

    def note_night(self, night: str) -> None:
        """Note the night in the folder's marker."""
        note_night(LocalFolder(self.folders.root), self.ledgers.main, night)

    def list_arrivals(self) -> list[Arrival]:
        """The files in the folder and its subfolders."""
        return self.folders.list_arrivals()

    def claim(self, arrival: Arrival) -> Path | None:
        """Move a file into `working/`, where only nights work."""
        into = self.folders.root / WORKING / arrival.folder
        claimed = self.folders.move(arrival.path, into, safe_name(arrival.path.name))
        if claimed is not None and arrival.has_done_marker:
            _done_marker(arrival.path).unlink(missing_ok=True)
        if claimed is not None and not is_regular(claimed):  # swapped since it was listed
            return None
        return claimed

    def unclaim(self, path: Path, folder: str) -> None:
        """Move a file back to where it came from."""
        self.folders.move(path, self.folders.root / folder, path.name)

    def free_path(self, folder: Path, name: str) -> Path:
        """A path in the folder that does not exist."""
        return free_path(folder, name)

    def upload_results(self) -> None:
        """Nothing to do: results are where they belong."""


def is_regular(path: Path) -> bool:
    """Whether a path is a file itself: no link, folder, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _reason_to_skip(path: Path) -> str:
    """Why a folder is no subfolder of an inbox; a link may lead to where the ledger is."""
    if path.is_symlink():
        return "is a link"
    return "has a name that is not UTF-8" if readable_name(path.name) != path.name else ""


def _fingerprint(facts: os.stat_result) -> Fingerprint:
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns


def _has_done_marker(path: Path) -> bool:
    try:
        return _done_marker(path).exists()
    except OSError:  # the name is too long for a marker to exist
        return False


def _done_marker(path: Path) -> Path:
    return path.with_name(path.name + DONE_SUFFIX)


def _refusal(path: Path, what: str, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{readable_name(str(path))} cannot be {what}: {exc.strerror or exc}.",
        "Give the importer write access to the whole inbox, on one file system.",
    )
