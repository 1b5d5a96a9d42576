"""A remote inbox: its files are claimed in the ledger and imported from a staging folder.

Files and their results are uploaded to the inbox's `done/`, `held/` and `failed/`.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ConfigurationError, UsageError
from importer.ledger.nights import Claim
from importer.nightly.inbox import (
    DONE_SUFFIX,
    FAILED,
    HELD,
    PAGE_SUFFIXES,
    WORKING,
    Arrival,
    Inbox,
    InboxFolders,
    LocalInbox,
    free_path,
    lock_inbox,
    numbered_names,
    safe_name,
    sha256_of,
)
from importer.nightly.ownership import (
    MARKER_NAME,
    MAX_MARKER_BYTES,
    LocalFolder,
    check_owner,
    claim_folder,
    note_night,
)
from importer.nightly.release import Released, record_release, refuse_page, written_pages
from importer.nightly.remote.address import Address, is_remote
from importer.nightly.remote.backends import RemoteFault
from importer.nightly.remote.storage import (
    DRAFT,
    RemoteListing,
    Store,
    hashes_to_upload,
    staging_refusal,
    upload_results,
)
from importer.report.formatting import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime

    from importer.errors import ImporterError
    from importer.ledger import Ledger
    from importer.nightly.clock import Clock, StopSignal
    from importer.nightly.inbox import InboxSettings, OpenLedgers
    from importer.nightly.ownership import Marker


@dataclass(frozen=True)
class RemoteFolder:
    """The root of a remote inbox, which can have an ownership marker.

    Methods raise RemoteFault if the inbox does not answer.

    Attributes:
        store: the files of the inbox.
    """

    store: Store

    @property
    def name(self) -> str:
        """Its address."""
        return str(self.store.address)

    def read(self) -> bytes | None:
        """Read its marker, or another file of that name; None if there is none."""
        return self.store.read(MARKER_NAME, MAX_MARKER_BYTES)

    def create(self, marker: bytes) -> None:
        """Write its marker; an existing one stays, if the store can promise that."""
        self.store.create(MARKER_NAME, marker)

    def rewrite(self, marker: bytes) -> None:
        """Replace its marker, completely or not at all."""
        self.store.rewrite(MARKER_NAME, marker)


@dataclass
class _State:
    """The facts that a night learns about the inbox.

    Attributes:
        away: whether it has stopped answering; if so, nothing more is fetched tonight.
        ours: whether its marker names our ledger; nothing is written there before that is known.
    """

    away: bool = False
    ours: bool = False


@dataclass(frozen=True)
class RemoteInbox:
    """A remote inbox and its staging folder.

    Args:
        folders: the staging folder; created if it does not exist.
        store: the files of the inbox.
        ledgers: the main one has the claims of every machine.
        clock: the time of claims.
    """

    folders: InboxFolders
    store: Store
    ledgers: OpenLedgers
    clock: Clock
    _state: _State = field(default_factory=_State)

    @cached_property
    def _listing(self) -> RemoteListing:
        return RemoteListing(self.folders.root, self.store)

    @property
    def name(self) -> str:
        """Its address."""
        return str(self.store.address)

    @property
    def is_remote(self) -> bool:
        """Always."""
        return True

    @contextmanager
    def lock(self, now: datetime) -> Iterator[None]:
        """Lock the staging folder and, through the ledger, the inbox for this night."""
        root = self.folders.root
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise staging_refusal(root, exc) from exc
        try:
            with suppress(RemoteFault):  # `start` tries again, and reports it
                self.ledgers.refuse_stranger(LocalFolder(root), RemoteFolder(self.store))
            with (
                lock_inbox(root, now),
                self.ledgers.main.lock("importer nightly", inbox=self.name),
            ):
                (root / DRAFT).unlink(missing_ok=True)  # from a night that was cut off
                yield
        finally:
            self.store.close()

    def start(self, now: datetime) -> list[ImporterError]:
        """Upload what the last night left, read the settings, and fetch what was claimed.

        First, check that the inbox and the staging folder belong to our ledger.
        """
        del now
        # even if the inbox does not answer: files may be in the staging folder
        check_owner(LocalFolder(self.folders.root), self.ledgers.main)
        faults: list[ImporterError] = []
        for step in (
            self._claim_ownership,
            self.upload_results,
            self.fetch_settings,
            self._fetch_claimed,
        ):
            try:
                step()
            except RemoteFault as fault:
                faults.append(fault)
                vital = step in (self._claim_ownership, self.fetch_settings)
                if vital or not self.store.answers():
                    self._state.away = (
                        True  # without its settings nothing may be sent: they name the campaigns
                    )
                    break
        return faults

    def check_owner(self, ledger: Ledger | None) -> Marker | None:
        """Check that our ledger may work on it, without writing anything.

        Args:
            ledger: ours; None if it does not exist yet.

        Returns:
            The inbox's marker, or None.

        Raises:
            RemoteFault: it does not answer.
            ConfigurationError: the inbox, or its staging folder, belongs to another ledger.
        """
        check_owner(LocalFolder(self.folders.root), ledger)
        return check_owner(RemoteFolder(self.store), ledger)

    def _claim_ownership(self) -> None:
        """Mark inbox and staging folder as our ledger's, once a night."""
        if self._state.ours:
            return
        claim_folder(RemoteFolder(self.store), self.ledgers.main, self.clock.now())
        claim_folder(LocalFolder(self.folders.root), self.ledgers.main, self.clock.now())
        self._state.ours = True

    def note_night(self, night: str) -> None:
        """Note the night in the inbox's marker if the inbox answers; raise RemoteFault."""
        if not self._state.away:
            note_night(RemoteFolder(self.store), self.ledgers.main, night)

    def upload_results(self) -> None:
        """Upload what is in `done/`, `held/`, `failed/` and `nights/` of the staging folder."""
        upload_results(
            self.folders, self.store, self.ledgers.main, self.clock, self._claim_ownership
        )

    def fetch_settings(self) -> None:
        """Fetch every `importer.yaml` of the inbox; raise RemoteFault."""
        self._listing.list_folders()

    def list_arrivals(self) -> list[Arrival]:
        """Return the files that have arrived and are not claimed, as a local inbox does.

        Raises:
            RemoteFault: the inbox cannot be listed; this night does not list it again.
        """
        if self._state.away:
            return []
        claims = self.ledgers.main.claims.open(self.name)
        claimed = {(each.path, each.version) for each in claims}
        try:
            found = self._listing.list_arrivals()
        except RemoteFault:
            self._state.away = True
            raise
        return [
            each
            for each in found
            if (self.folders.relative(each.path), each.file_stat[1]) not in claimed
        ]

    def claim(self, arrival: Arrival) -> Path | None:
        """Claim an arrival and fetch it; None if it is gone, or claimed by somebody else.

        Raises:
            RemoteFault: it cannot be fetched now; the claim stays for the next night.
        """
        if self._state.away:
            return None
        path, version = self.folders.relative(arrival.path), str(arrival.file_stat[1])
        claim = self.make_claim(path, version)
        if not self.ledgers.main.claims.take(claim):
            return None
        try:
            return self.fetch(claim)
        except RemoteFault as fault:
            self._note_whether_away(fault)
            raise

    def unclaim(self, path: Path, folder: str) -> None:
        """Leave the file in the staging folder: its original can be fetched again."""

    def free_path(self, folder: Path, name: str) -> Path:
        """Return a path that is free here and, if the inbox answers, there."""
        path = free_path(folder, name, PAGE_SUFFIXES)
        with suppress(RemoteFault):
            for each in numbered_names(name):
                path = folder / each
                beside = [folder / f"{each}{end}" for end in ("", *PAGE_SUFFIXES)]
                if any(os.path.lexists(one) for one in beside):
                    continue
                if self._state.away or not any(map(self._is_taken, beside)):
                    return path
        return path

    def _is_taken(self, path: Path) -> bool:
        """Whether the remote inbox has a file at the place of a path of the staging folder."""
        return self.store.entry(self.folders.relative(path)) is not None

    # ---- claims ------------------------------------------------------------------------------

    def make_claim(self, path: str, version: str) -> Claim:
        """Make a claim by this process, now."""
        holder = f"{socket.gethostname()} (process {os.getpid()})"
        return Claim(self.name, path, version, self.clock.now(), holder)

    def fetch(self, claim: Claim, on_hash: Callable[[str], None] | None = None) -> Path | None:
        """Fetch a claimed file into `working/`; if it is gone, drop the claim and return None.

        Args:
            claim: already in the ledger.
            on_hash: called with the file's hash before the file is in its place.
        """
        root, claims = self.folders.root, self.ledgers.main.claims
        draft = root / DRAFT
        sha256 = self.store.fetch(claim.path, claim.version, draft)
        if sha256 is None:  # another version is there: a new arrival
            claims.drop(claim)
            return None
        try:
            into = root / WORKING / subfolder_of(claim.path)
            into.mkdir(parents=True, exist_ok=True)
            target = free_path(into, safe_name(claim.path.rpartition("/")[2]))
            claims.note_fetched(claim, self.folders.relative(target), sha256)
            if on_hash is not None:
                on_hash(sha256)
            draft.rename(target)
        except OSError as exc:
            raise staging_refusal(root, exc) from exc
        with suppress(RemoteFault):  # without its file, the marker means nothing
            self.remove(claim.path + DONE_SUFFIX)
        return target

    def _fetch_claimed(self) -> None:
        """Fetch files that an earlier night claimed and that are not in this staging folder."""
        open_claims = self.ledgers.main.claims.open(self.name)
        here = hashes_to_upload(self.folders.root) if open_claims else frozenset()
        faults = []
        for claim in open_claims:
            if claim.sha256 in here or self._is_staged(claim) or self._state.away:
                continue
            try:
                self.fetch(claim)
            except RemoteFault as fault:
                faults.append(fault)
                self._note_whether_away(fault)
        if faults:
            files = quantity(len(faults), "claimed file was", "claimed files were")
            raise RemoteFault(f"{files} not fetched: {faults[0].message}", faults[0].fix)

    def _note_whether_away(self, fault: RemoteFault) -> None:
        """Find out whether only one file failed, or the whole inbox does not answer."""
        self._state.away = fault.passing and not self.store.answers()

    def _is_staged(self, claim: Claim) -> bool:
        path = self.folders.root / claim.place
        return bool(claim.place) and path.is_file() and sha256_of(path) == claim.sha256

    def has_staged(self, path: str) -> bool:
        """Whether a file of the inbox is claimed and in the staging folder."""
        claims = self.ledgers.main.claims.open(self.name)
        return any(each.path == path and self._is_staged(each) for each in claims)

    def remove(self, path: str) -> None:
        """Remove the file at a path of the inbox, if there is one."""
        found = self.store.entry(path)
        if found is not None:
            self.store.remove(path, found.version)


def subfolder_of(path: str) -> str:
    """Return the subfolder of a path in an inbox, even if the file is in `held/` or `failed/`."""
    parts = path.split("/")[:-1]
    return "/".join(parts[1:] if parts and parts[0] in {HELD, FAILED} else parts)


def locate(inbox: str, settings: InboxSettings) -> InboxSettings:
    """Return the settings of an inbox; for a remote one, their root is the staging folder.

    Args:
        inbox: a folder, or an address.
        settings: have the config and the flags; the root is not used.

    Raises:
        UsageError: the address is not valid.
        SettingsError: something in the main settings is unknown or wrong.
    """
    if not is_remote(inbox):
        return replace(settings, root=Path(inbox).resolve())
    staging = settings.main().desk / Address.parse(inbox).folder_name
    return replace(settings, root=staging, remote=True)


def open_inbox(
    inbox: str, settings: InboxSettings, ledgers: OpenLedgers, clock: Clock, stop: StopSignal
) -> Inbox:
    """Make the inbox, without connecting to anything yet.

    Args:
        inbox: a folder, or an address.
        settings: the settings as `locate` returns them.
        ledgers: the ledgers of the inbox.
        clock: the time.
        stop: ends long transfers.
    """
    if is_remote(inbox):
        return open_remote(inbox, settings, ledgers, clock, stop)
    return LocalInbox(InboxFolders(settings.root), ledgers)


def open_remote(
    inbox: str, settings: InboxSettings, ledgers: OpenLedgers, clock: Clock, stop: StopSignal
) -> RemoteInbox:
    """Make a remote inbox, as `open_inbox` does."""
    main = settings.main()
    store = Store(
        Address.parse(inbox),
        main.remote_timeout_s,
        main.remote_file_s,
        elapsed_s=clock.elapsed_s,
        sleep=lambda seconds: clock.wait(seconds, stop),
        goes_on=lambda: not stop.requested(),
    )
    return RemoteInbox(InboxFolders(settings.root), store, ledgers, clock)


def probe(inbox: RemoteInbox) -> None:
    """Test a remote inbox: list, write, read, delete, and fetch its settings.

    Raises:
        RemoteFault: something does not work.
    """
    store = inbox.store
    inbox.fetch_settings()
    trial = inbox.folders.root / f".importer-doctor-{os.getpid()}"
    trial.write_bytes(b"importer doctor\n")
    store.put(trial, trial.name)
    entry = store.entry(trial.name)
    if entry is None or not store.remove(trial.name, entry.version):
        raise ConfigurationError(f"{inbox.name} does not keep what is written to it.")


def release_remote_file(
    file: str, settings: InboxSettings, ledgers: OpenLedgers, clock: Clock, stop: StopSignal
) -> Released:
    """Fetch a held file to where the next night starts; return its path in the staging folder.

    The original stays in `held/` until that night has concluded it.

    Args:
        file: the address of the file.
        settings: have the config and the flags.
        ledgers: the ledgers of the inbox.
        clock: the time.
        stop: ends long transfers.

    Raises:
        UsageError: it is not held, was released already, or is one of our pages.
        ConfigurationError: a night works in the inbox, or it does not answer, or belongs to
            another ledger.
    """
    found = Address.parse(file).split_at(HELD, FAILED)
    if found is None:
        raise UsageError(f"{file} is not held.", "Name a file in held/ or failed/ of the inbox.")
    refuse_page(file)
    address, path = found
    settings = locate(str(address), settings)
    inbox = open_remote(str(address), settings, ledgers, clock, stop)
    now = clock.now()
    with inbox.lock(now):
        inbox.check_owner(ledgers.main)
        inbox.fetch_settings()
        entry = inbox.store.entry(path)
        if entry is None:
            raise UsageError(f"There is no file {file}.", "Name a file in held/ of the inbox.")
        folder = subfolder_of(path)
        url = settings.load(folder).ledger
        if folder:
            place = LocalFolder(inbox.folders.root / folder, f"{inbox.name}/{folder}")
            ledger = ledgers.claim(place, inbox.name, url, now)
        else:
            ledger = ledgers.get(url)
        claim = inbox.make_claim(path, entry.version)
        if not ledgers.main.claims.take(claim) and inbox.has_staged(path):
            raise UsageError(f"{file} was released already.", "The next night starts with it.")
        written: dict[str, str] = {}

        def record(sha256: str) -> None:
            written.update(written_pages(ledger, sha256))
            record_release(ledger, folder, entry.name, sha256, now)

        moved = inbox.fetch(claim, record)
        if moved is None:
            raise UsageError(f"{file} is gone.")
        return Released(moved, tuple(_remove_pages(inbox, path, written)))


def _remove_pages(inbox: RemoteInbox, path: str, written: Mapping[str, str]) -> Iterator[str]:
    """Remove the pages about a file that are as the night wrote them; yield the changed ones."""
    for suffix in PAGE_SUFFIXES:
        with suppress(RemoteFault):
            page = inbox.store.entry(path + suffix)
            if page is None:
                continue
            if inbox.store.sha256_of(path + suffix) == written.get(suffix):
                inbox.store.remove(path + suffix, page.version)
            else:
                yield page.name
