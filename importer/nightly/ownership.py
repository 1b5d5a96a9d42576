"""The ownership marker of an inbox: it names the ledger that knows who was contacted from there.

Two ledgers know nothing of each other. If a list were uploaded again and imported with another
ledger, people would be contacted twice. So the first night puts a marker into the inbox, and later
nights work only with the ledger that it names.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass, replace
from datetime import UTC, date
from typing import TYPE_CHECKING, Final, Protocol

from importer.atomic_file import write_durably
from importer.errors import ConfigurationError
from importer.loader.files import readable_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from importer.ledger import Ledger


MARKER_NAME: Final = ".importer-ledger"
MAX_MARKER_BYTES: Final = 4096

_MODE: Final = 0o644  # not secret; `importer doctor` may run as another user
_SHORT: Final = 8
_WORDS: Final = """\
# The importer wrote this file. One ledger records who was contacted from this folder, and files may
# be imported only with that ledger: name it as `ledger:` in importer.yaml. If it is lost for good,
# nobody knows who was contacted. If you delete this file, another ledger takes over.
"""
_LINES: Final = re.compile(
    r"ledger: ([0-9a-f]{32})\s+since: (\d{4}-\d\d-\d\d)(?:\s+night: ([\w-]{1,80}))?\s*", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Marker:
    """The content of an ownership marker.

    Attributes:
        ledger: id of the ledger that the folder belongs to.
        since: UTC.
        night: id of the last night that worked there; empty before the first, and in a subfolder.
    """

    ledger: str
    since: date
    night: str = ""


def render_marker(marker: Marker) -> bytes:
    """Return the marker as the content of a file."""
    night = f"night: {marker.night}\n" if marker.night else ""
    return f"{_WORDS}ledger: {marker.ledger}\nsince: {marker.since:%Y-%m-%d}\n{night}".encode()


def parse_marker(raw: bytes) -> Marker | None:
    """Parse the content of a marker; None if it is damaged."""
    try:
        lines = raw.decode("ascii").splitlines()
        found = _LINES.fullmatch("\n".join(line for line in lines if not line.startswith("#")))
        if found is None:
            return None
        return Marker(found[1], date.fromisoformat(found[2]), found[3] or "")
    except ValueError:
        return None


def short_id(ledger: str) -> str:
    """Shorten a ledger's id to what a person needs to tell two apart."""
    return ledger[:_SHORT]


def describe_owner(marker: Marker | None) -> str:
    """Say what a checked marker means, as part of a sentence."""
    if marker is None:
        return "it belongs to no ledger yet; the first night marks it"
    return f"it belongs to this ledger, {short_id(marker.ledger)}, since {marker.since:%Y-%m-%d}"


def check_marker(
    raw: bytes | None, ledger: str, called: str, place: str, knows: Callable[[str], bool]
) -> Marker | None:
    """Check that files of a folder may be imported with this ledger.

    Args:
        raw: content of its marker; None if there is none.
        ledger: the id of the ledger; empty for a ledger that does not exist yet.
        called: what a person calls the ledger.
        place: what a person calls the folder.
        knows: returns whether the ledger has a night with this id.

    Returns:
        The marker; None if the folder belongs to no ledger yet.

    Raises:
        ConfigurationError: it belongs to another ledger, the marker is damaged, or the ledger is a
            copy from before the last night.
    """
    if raw is None:
        return None
    marker = parse_marker(raw)
    if marker is None:
        raise ConfigurationError(
            f"Nobody can tell which ledger {place} belongs to: its marker {place}/{MARKER_NAME} is "
            "damaged.",
            "Restore it from a backup. If `ledger:` names the ledger that was always used here, "
            "remove the marker: the next night writes it again.",
        )
    if marker.ledger != ledger:
        other = f"which is ledger {short_id(ledger)}" if ledger else "which does not exist yet"
        raise ConfigurationError(
            f"{place} belongs to ledger {short_id(marker.ledger)} since {marker.since:%Y-%m-%d}, "
            f"not to {called}, {other}.",
            "Name that ledger in `ledger:` (IMPORTER_LEDGER and --ledger override it); `importer "
            "doctor` shows a ledger's id. If it is lost for good, no other ledger knows who was "
            "contacted from here, and those people would be contacted again if their list is "
            f"uploaded again. To let this ledger take over, remove {place}/{MARKER_NAME}.",
        )
    if marker.night and not knows(marker.night):
        raise ConfigurationError(
            f"{called} is an older copy: it does not know {marker.night}, which worked on "
            f"{place} with this ledger, or the people who were contacted then.",
            "Use only the newest copy, wherever it is. If this is the newest, people contacted "
            "since would be contacted again if their list is uploaded again. To use this copy, "
            f"remove {place}/{MARKER_NAME}.",
        )
    return marker


class MarkedPlace(Protocol):
    """A folder that can have an ownership marker, on this machine or another."""

    @property
    def name(self) -> str:
        """Its place, for a person."""
        ...

    def read(self) -> bytes | None:
        """Read its marker, or another file of that name; None if there is none.

        Raises:
            ConfigurationError: it cannot be read.
        """
        ...

    def create(self, marker: bytes) -> None:
        """Write its marker, completely or not at all; an existing one stays.

        Raises:
            ConfigurationError: it cannot be written.
        """
        ...

    def rewrite(self, marker: bytes) -> None:
        """Replace its marker, completely or not at all.

        Raises:
            ConfigurationError: it cannot be written.
        """
        ...


def check_owner(place: MarkedPlace, ledger: Ledger | None) -> Marker | None:
    """Check that a ledger may work on a folder, without writing anything.

    Args:
        place: the folder.
        ledger: the ledger; None if it does not exist yet.

    Returns:
        The folder's marker, or None.

    Raises:
        ConfigurationError: as for `check_marker`.
    """
    if ledger is None:
        return check_marker(place.read(), "", "the one of `ledger:`", place.name, lambda _: False)
    return check_marker(place.read(), ledger.id, ledger.name, place.name, ledger.nights.knows)


def claim_folder(place: MarkedPlace, ledger: Ledger, now: datetime) -> None:
    """Mark a folder as a ledger's own, or check that it is marked.

    The marker is checked again after it is written: if two ledgers claim a folder at the same
    time, one is refused.

    Raises:
        ConfigurationError: it belongs to another ledger, or cannot be marked.
    """
    if check_owner(place, ledger) is not None:
        return
    place.create(render_marker(Marker(ledger.id, now.astimezone(UTC).date())))
    if check_owner(place, ledger) is None:
        raise ConfigurationError(
            f"{place.name} does not keep {MARKER_NAME}, which says which ledger it belongs to.",
            "Make sure that no other program removes hidden files there.",
        )


def note_night(place: MarkedPlace, ledger: Ledger, night: str) -> None:
    """Note the night in a folder's marker, so that older copies of the ledger are refused.

    Args:
        place: a folder that belongs to the ledger.
        ledger: the ledger, which already has the night.
        night: the id of the night.

    Raises:
        ConfigurationError: the marker cannot be written.
    """
    marker = check_owner(place, ledger)
    if marker is not None:
        place.rewrite(render_marker(replace(marker, night=night)))


def claim_subfolder(
    place: LocalFolder, inbox: str, own: Ledger, main: Ledger, now: datetime
) -> None:
    """Mark a subfolder as its own ledger's, or check that it is marked.

    A subfolder that uses the main ledger needs no marker.

    Args:
        place: the subfolder.
        inbox: name of the inbox.
        own: ledger of the subfolder's settings.
        main: the inbox's ledger.
        now: UTC.

    Raises:
        ConfigurationError: it belongs to another ledger, or cannot be marked.
    """
    if own is main and not place.is_marked():
        return
    if own.is_copy_of(main):
        own.assign_new_id()
    if not place.is_marked() and own.id != main.id and own.submissions.is_empty():
        refuse_new_ledger(place, inbox, own.name, main)
    claim_folder(place, own, now)


def refuse_new_ledger(place: LocalFolder, inbox: str, own_name: str, main: Ledger) -> None:
    """Refuse an empty ledger for a subfolder whose imports are in the main ledger.

    Args:
        place: the subfolder.
        inbox: name of the inbox.
        own_name: what a person calls the empty ledger.
        main: the inbox's ledger.

    Raises:
        ConfigurationError: the main ledger has imports of this subfolder.
    """
    last_run = main.nights.last_run_of(place.path.name, inbox)
    if last_run is not None:
        raise ConfigurationError(
            f"Files of {place.name} were imported with {main.name} until {last_run:%Y-%m-%d}. "
            f"The new ledger {own_name} does not know who was contacted.",
            "Remove its `ledger:` from `folders:`, or start the new ledger as a copy of that one, "
            "with a copy of its key.",
        )


@dataclass(frozen=True)
class LocalFolder:
    """A folder of this machine that can have an ownership marker.

    Attributes:
        path: the path of the folder.
        shown: the name that messages use; its path by default.
        link: gives a file a second name, atomically and only if nothing has that name.
    """

    path: Path
    shown: str = ""
    link: Callable[[Path, Path], None] = os.link

    @property
    def name(self) -> str:
        """Its place."""
        return self.shown or readable_name(str(self.path))

    def read(self) -> bytes | None:
        """Read its marker; anything but a regular file counts as damaged and is not opened."""
        path = self.path / MARKER_NAME
        try:
            if not stat.S_ISREG(path.lstat().st_mode):
                return b""
            with path.open("rb") as file:
                return file.read(MAX_MARKER_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as exc:
            raise ConfigurationError(
                f"Nobody can tell which ledger {self.name} belongs to: its marker {MARKER_NAME} "
                f"cannot be read: {exc.strerror or exc}.",
                "Give the importer read access to it.",
            ) from exc

    def is_marked(self) -> bool:
        """Whether anything has the marker's name there."""
        return os.path.lexists(self.path / MARKER_NAME)

    def create(self, marker: bytes) -> None:
        """Write the marker unless there is one."""
        self._write(marker, replace=False)

    def rewrite(self, marker: bytes) -> None:
        """Write the marker over the one that is there."""
        self._write(marker, replace=True)

    def _write(self, marker: bytes, *, replace: bool) -> None:
        path = self.path / MARKER_NAME
        try:
            write_durably(path, marker, replace=replace, mode=_MODE, link=self.link)
        except OSError as exc:
            raise ConfigurationError(
                f"{self.name} cannot be marked as this ledger's: {exc.strerror or exc}.",
                "Give the importer write access to the whole inbox, and make room.",
            ) from exc
