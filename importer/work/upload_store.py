"""Uploaded lists in an object store; each machine that needs them has working copies.

A list is in the store before anybody is told that it arrived, and so is each correction. A page or
a worker on another machine fetches what it needs. One page works with a store at a time.
"""

from __future__ import annotations

import os
import re
import secrets
import threading
import time
import unicodedata
from typing import TYPE_CHECKING, Final

from importer.errors import SettingsError, UsageError
from importer.ledger.records import ListState
from importer.loader.corrections import ENDING
from importer.nightly.remote.address import Address
from importer.nightly.remote.backends import RemoteFault
from importer.nightly.remote.storage import Store

if TYPE_CHECKING:
    from pathlib import Path

    from importer.ledger.uploaded_lists import UploadedLists
    from importer.settings import Settings


ID: Final = re.compile(r"[0-9a-f]{32}")
STORE_UNREACHABLE: Final = (
    "The place where lists are kept cannot be reached now. It goes on by itself."
)
_LONGEST_NAME: Final = 120
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f/\\]+")


def new_id() -> str:
    """Return an id that nobody can guess."""
    return secrets.token_hex(16)


def file_name(given: str) -> str:
    """Return the name of an uploaded file as the person knows it, valid in a folder."""
    name = unicodedata.normalize("NFC", given.replace("\\", "/").rpartition("/")[2])
    name = _UNSEEN.sub(" ", name).strip().lstrip(".") or "list"
    if name.endswith(ENDING):
        name = f"{name}.txt"
    stem, dot, ending = name.rpartition(".")
    while len(name.encode()) > _LONGEST_NAME and stem:
        stem = stem[:-1]
        name = f"{stem}{dot}{ending}"
    return name.encode()[:_LONGEST_NAME].decode("utf-8", "ignore")


def make_list_folder(uploads: Path, list_id: str) -> Path:
    """Make the folder for the files of a list, readable only for us, and return it."""
    uploads.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = uploads / list_id / "list"
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


_SCHEMES: Final = frozenset({"s3", "gs", "az", "abfs"})


def open_upload_store(settings: Settings) -> UploadStore | None:
    """Return the store that the setting `uploads` names; None if it is a folder.

    Raises:
        SettingsError: the address is not one of an object store.
    """
    if not isinstance(settings.uploads, str):
        return None
    try:
        address = Address.parse(settings.uploads)
    except UsageError as wrong:
        raise SettingsError(f"uploads: {wrong.message}", wrong.fix) from wrong
    if address.scheme not in _SCHEMES:
        raise SettingsError(
            f"uploads: lists cannot be kept at {address.scheme}:// addresses.",
            "Name a folder, or an object store such as s3://bucket/folder.",
        )
    return UploadStore(address, settings)


def folder_of_uploads(settings: Settings, store: UploadStore | None) -> Path:
    """Return the folder of the lists, or of their working copies if they are in a store."""
    return settings.folder / settings.uploads if store is None else store.folder


class UploadStore:
    """The files of uploaded lists in an object store, by list.

    Every method raises RemoteFault if the store does not answer.

    Args:
        address: bucket and folder.
        settings: time limits, and the folder of working copies.

    Attributes:
        folder: holds the working copies.
    """

    def __init__(self, address: Address, settings: Settings) -> None:
        self.folder: Path = settings.folder / settings.desk / f"uploads-{address.folder_name}"
        self._store = Store(
            address,
            settings.remote_timeout_s,
            settings.remote_file_s,
            elapsed_s=time.monotonic,
            sleep=time.sleep,
            goes_on=lambda: True,
        )
        self._lock = threading.Lock()
        self._versions: dict[str, str] = {}

    def save(self, path: Path) -> None:
        """Upload a file of a list to the store, and return when the store has it.

        If the upload fails, the working copy is deleted: only what the store has counts.
        """
        place = path.relative_to(self.folder).as_posix()
        with self._lock:
            self._versions.pop(place, None)
            try:
                self._store.put(path, place)
                found = self._store.entry(place)
            except RemoteFault:
                path.unlink(missing_ok=True)
                raise
            if found is not None:
                self._versions[place] = found.version

    def fetch(self, list_id: str) -> None:
        """Download the files of a list that are missing here or out of date."""
        within, here = f"{list_id}/list", self.folder / list_id / "list"
        with self._lock:
            for each in self._store.list_folder(within):
                place = f"{within}/{each.name}"
                if self._versions.get(place) == each.version and (here / each.name).is_file():
                    continue
                here.mkdir(mode=0o700, parents=True, exist_ok=True)
                here.parent.chmod(0o700)
                draft = here / f".{os.getpid()}.part"  # a page and workers may fetch at once
                os.close(os.open(draft, os.O_WRONLY | os.O_CREAT, 0o600))
                if self._store.fetch(place, each.version, draft) is not None:
                    draft.rename(here / each.name)
                    self._versions[place] = each.version
                draft.unlink(missing_ok=True)

    def delete(self, list_id: str, keep: str = "") -> None:
        """Delete the files of a list from the store, except the one named `keep`."""
        within = f"{list_id}/list"
        with self._lock:
            for each in self._store.list_folder(within):
                if each.name != keep:
                    self._store.remove(f"{within}/{each.name}", each.version)
                    self._versions.pop(f"{within}/{each.name}", None)

    def delete_leftovers(self, lists: UploadedLists) -> None:
        """Delete the files of lists that were deleted while the store did not answer."""
        for list_id in self.lists():
            found = lists.find(list_id) if ID.fullmatch(list_id) else None
            if found is not None and found.state is ListState.DELETED:
                self.delete(list_id)

    def lists(self) -> list[str]:
        """Return the ids of the lists that have files in the store."""
        with self._lock:
            return [each.name for each in self._store.list_folder() if each.folder]

    def answers(self) -> bool:
        """Whether the store can be listed."""
        with self._lock:
            return self._store.answers()

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._store.close()
