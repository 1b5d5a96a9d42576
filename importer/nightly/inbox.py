"""An inbox on this machine: what has arrived, what is claimed, where files go, its settings.

When an upload counts as complete is decided by `UploadWatch` in `importer/nightly/night.py`.
"""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Protocol, Self

from importer.errors import ConfigurationError, SettingsError
from importer.ledger import Ledger
from importer.ledger.connection import display_name, ledger_exists
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
from importer.planning.identity import key_file
from importer.settings import InboxFile, Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from importer.errors import ImporterError
    from importer.nightly.ownership import MarkedPlace


SETTINGS: Final = "importer.yaml"
DONE_SUFFIX: Final = ".done"
PAGE_SUFFIXES: Final = (".check.html", ".rejected.csv", ".results.csv")
"""Suffixes of the pages that a night writes beside a file."""
WORKING, DONE, HELD, FAILED, NIGHTS = "working", "done", "held", "failed", "nights"
RESERVED: Final = frozenset({WORKING, DONE, HELD, FAILED, NIGHTS})
"""The importer's own folders in an inbox; any other folder has files to import."""
_UNFINISHED: Final = (".part", ".filepart", ".partial", ".tmp", ".crdownload", ".swp")
_HIDDEN: Final = (".", "~$")
_MAX_NAME_BYTES: Final = 200
_MAX_SUFFIX_CHARS: Final = 20

FileStat = tuple[int | str, ...]
"""What changes when a file does, such as its size and the time of its last change."""


def is_importable(name: str) -> bool:
    """Whether a file of this name can be imported: it is not hidden, unfinished or ours."""
    lower = name.lower()
    return not (
        lower.startswith(_HIDDEN)
        or lower.endswith((*_UNFINISHED, DONE_SUFFIX, "~"))
        or name == SETTINGS
    )


def safe_name(name: str) -> str:
    """Return the name for a claimed file: valid text, with room for the suffixes of its pages."""
    text = readable_name(name).replace("\N{REPLACEMENT CHARACTER}", "_")
    path = PurePath(text)
    stem, suffix = path.stem, path.suffix[:_MAX_SUFFIX_CHARS]
    while len(f"{stem}{suffix}".encode()) > _MAX_NAME_BYTES:
        stem = stem[:-1]
    return f"{stem}{suffix}"


def numbered_names(name: str) -> Iterator[str]:
    """Yield `list.csv`, `list-2.csv`, `list-3.csv` and so on, to find a free one."""
    yield name
    path, number = PurePath(name), 1
    while True:
        number += 1
        yield f"{path.stem}-{number}{path.suffix}"


def free_path(folder: Path, name: str, suffixes: Iterable[str] = ()) -> Path:
    """Return the first numbered path in a folder that is free.

    Args:
        folder: the folder that it is in.
        name: the name that is wanted.
        suffixes: the suffixes of pages beside it; their places must be free, too.
    """
    ends = ("", *suffixes)
    return next(
        folder / each
        for each in numbered_names(name)
        if not any(os.path.lexists(folder / f"{each}{end}") for end in ends)
    )


def stat_file(path: Path) -> FileStat:
    """Return what changes if a file changes, now; raise OSError."""
    return _file_stat(path.lstat())


def sha256_of(path: Path) -> str:
    """Return the hex sha256 of a file; raise OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def lock_inbox(root: Path, now: datetime) -> Iterator[None]:
    """Lock an inbox, so that no second night works in it at the same time.

    Raises:
        ConfigurationError: there is no such folder.
        LedgerError: another night works there, or the inbox cannot be written to.
    """
    if root.is_file():
        raise ConfigurationError(f"{root} is a file; an inbox is a folder.", "Name the folder.")
    if not root.is_dir():
        raise ConfigurationError(f"There is no folder {root}.", "Create it, or correct its name.")
    inbox = Lockable(f"The inbox {root}", "", "Wait until it has ended.")
    with lock_file(root / ".nightly", inbox, "importer nightly", 0.0, now):
        yield


class OpenLedgers:
    """The ledgers of a night, each opened once, when it is first needed.

    Args:
        main_url: the URL of the inbox's ledger.
        new: accept a new ledger in place of the one used here before, as `--new-ledger` does.
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
        """Return the ledger at a URL, created if it does not exist; raise LedgerError."""
        if url not in self._open:
            self._open[url] = Ledger.open(url, new=self._new)
        return self._open[url]

    def refuse_stranger(self, *places: MarkedPlace) -> None:
        """Raise ConfigurationError if a place belongs to a ledger and ours does not exist yet.

        Call this first, so that no new ledger is created and then refused.
        """
        if self.main_url in self._open or ledger_exists(self.main_url):
            return
        for place in places:
            check_owner(place, None)

    def claim(self, place: LocalFolder, inbox: str, url: str, now: datetime) -> Ledger:
        """Open the ledger of a subfolder, and claim the subfolder for it.

        Args:
            place: the subfolder.
            inbox: name of the inbox.
            url: the URL of the subfolder's ledger.
            now: UTC.

        Raises:
            ConfigurationError: the subfolder belongs to another ledger; or its ledger does not
                exist, and a new one would not know the people in the main one.
            LedgerError: a ledger cannot be opened.
        """
        if not ledger_exists(url) and not place.is_marked():
            refuse_new_ledger(place, inbox, display_name(url), self.main)
        own = self.get(url)
        claim_subfolder(place, inbox, own, self.main, now)
        return own

    def all(self) -> list[Ledger]:
        """Return the ledgers that were used."""
        return list(self._open.values())

    def close(self) -> None:
        """Close all of them; a later `get` opens one again."""
        while self._open:
            self._open.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Arrival:
    """An unclaimed file in an inbox.

    Attributes:
        folder: subfolder of the inbox; empty for the inbox itself.
        path: where it is, or where it will be after it is fetched.
        file_stat: the fingerprint of the file.
        changed_s: when it last changed, in seconds since 1970, by a clock that uploaders cannot
            set; infinite if there is no clock of that kind.
        has_done_marker: whether FILE.done is beside it.
    """

    folder: str
    path: Path
    file_stat: FileStat
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
        """Return the files that have arrived, by subfolder and name, without unfinished ones.

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
        """Return its subfolders by name, without those that are skipped."""
        return [path for path in self._possible_subfolders() if not _reason_to_skip(path)]

    def explain_skipped(self) -> list[str]:
        """Return a sentence for each subfolder or claimed file that nights skip."""
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
        """Return the subfolder and path of every claimed file, in order; skip links."""
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
        """Create and return the folder for files with this ending.

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
        """Return a path as reports and the ledger name it: relative to the inbox."""
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
            if stat.S_ISREG(facts.st_mode):  # no folders, no links to files elsewhere
                changed_s = max(facts.st_mtime, facts.st_ctime)
                marked = _has_done_marker(path)
                yield Arrival(folder, path, _file_stat(facts), changed_s, marked)


class Inbox(Protocol):
    """The source of a night's files, and the place for their results."""

    @property
    def folders(self) -> InboxFolders:
        """The inbox on this machine, or the staging folders of a remote one."""
        ...

    @property
    def ledgers(self) -> OpenLedgers:
        """The main ledger, and the ledgers of subfolders."""
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
        """Lock it, so that no second night works in it at the same time.

        Raises:
            ImporterError: another night works there, or it cannot be written to.
        """
        ...

    def start(self, now: datetime) -> list[ImporterError]:
        """Prepare the inbox before the first file; return what did not work.

        Raises:
            ConfigurationError: it belongs to another ledger, or cannot be marked as this one's.
        """
        ...

    def note_night(self, night: str) -> None:
        """Note the night in the ownership marker, so that older ledger copies are refused.

        Raises:
            ConfigurationError: the marker cannot be written.
        """
        ...

    def list_arrivals(self) -> list[Arrival]:
        """Return files that have arrived and are not claimed, by subfolder and name.

        Raises:
            ConfigurationError: the inbox cannot be read.
        """
        ...

    def claim(self, arrival: Arrival) -> Path | None:
        """Claim a file and move it into `working/`; None if it is gone or claimed by others.

        Raises:
            ConfigurationError: it cannot be moved or fetched now.
        """
        ...

    def unclaim(self, path: Path, folder: str) -> None:
        """Give a claimed file back, for a later night."""
        ...

    def free_path(self, folder: Path, name: str) -> Path:
        """Return a path that is free here and, if it can be reached, in the remote inbox."""
        ...

    def upload_results(self) -> None:
        """Upload files and their pages to a remote inbox; raise RemoteFault."""
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
        """False."""
        return False

    def lock(self, now: datetime) -> AbstractContextManager[None]:
        """Lock the folder, so that no second night works in it at the same time."""
        return lock_inbox(self.folders.root, now)

    def start(self, now: datetime) -> list[ImporterError]:
        """Check which ledger it belongs to; claim it for ours if it belongs to none."""
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
        """Return the files in the folder and its subfolders."""
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
        """Return a free path in the folder for a file and its pages."""
        return free_path(folder, name, PAGE_SUFFIXES)

    def upload_results(self) -> None:
        """Do nothing: the results are in place already."""


def is_regular(path: Path) -> bool:
    """Whether a path is a regular file, not a link, folder, pipe or device."""
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _reason_to_skip(path: Path) -> str:
    """Say why a folder is not a subfolder of the inbox: a link may lead to the ledger's folder."""
    if path.is_symlink():
        return "is a link"
    return "has a name that is not UTF-8" if readable_name(path.name) != path.name else ""


def _file_stat(facts: os.stat_result) -> FileStat:
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


@dataclass(frozen=True)
class InboxSettings:
    """Reads the settings for an inbox each time they are needed: files may change during a night.

    The main importer.yaml may set anything for a subfolder, under `folders:`. A settings file in
    the inbox comes from the people who upload lists, and may set only a few things.

    Attributes:
        root: the inbox, or the staging folder of a remote one.
        config: the main settings file, or None for importer.yaml of the current folder.
        flags: the flags of the command line; they take precedence.
        remote: whether the inbox is on another machine. If so, all its claims are in one ledger.
    """

    root: Path
    config: Path | None = None
    flags: Mapping[str, object] = field(default_factory=dict)
    remote: bool = False

    def main(self) -> Settings:
        """Return the main settings, without the inbox's own; raise SettingsError."""
        return load_settings(self.config, self.flags)

    def ledger(self) -> str:
        """Return the main ledger's URL, which no file in an inbox can set; raise SettingsError."""
        main = self.main()
        self._refuse_own_files(main)
        return main.ledger

    def load(self, folder: str = "") -> Settings:
        """Return the settings for files of a subfolder; of the inbox itself by default.

        Raises:
            SettingsError: something in one of the files is unknown or wrong, an inbox's file sets
                what only the main one may, or one of our files would be in the inbox.
        """
        main = self.main()
        wanted = dict.fromkeys((self.root / SETTINGS, self.root / folder / SETTINGS))
        files = [
            InboxFile(file, main.severity)
            for file in wanted
            if os.path.lexists(file) and not _is_same(file, main.file)
        ]
        for each in files:
            _refuse_irregular(each.path)
        found = main
        if files or folder in main.folders:
            found = load_settings(self.config, self.flags, files, folder)
        if self.remote and found.ledger != main.ledger:
            raise SettingsError(
                f"folders.{folder}.ledger: a remote inbox has one ledger for all its folders.",
                "Remove it, or make that folder an inbox of its own.",
            )
        self._refuse_own_files(found)
        return found

    def _refuse_own_files(self, settings: Settings) -> None:
        """Raise if one of our files, such as the ledger, is in the inbox and would be imported."""
        own = {
            "ledger": settings.ledger_file,
            "hmac_key_file": key_file(settings),
            "log_file": settings.log_file,
            "metrics_file": settings.metrics_file,
        }
        for key, file in own.items():
            if file is not None and file.resolve().is_relative_to(self.root.resolve()):
                raise SettingsError(
                    f"{key}: {file} is in the inbox, and a night would take it for a list.",
                    "Keep it in another folder.",
                )


def _refuse_irregular(file: Path) -> None:
    """Raise unless it is a regular file of the inbox: a link may lead anywhere."""
    if file.is_symlink() or not file.is_file():
        raise SettingsError(
            f"{file}: settings in an inbox must be a plain file, not a link or a folder.",
            "Replace it with the file itself.",
        )


def _is_same(file: Path, other: Path | None) -> bool:
    return other is not None and file.resolve() == other.resolve()
