"""A remote inbox as a folder that can have a mark."""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from importer.errors import ConfigurationError, UsageError
from importer.ledger import Ledger
from importer.ledger.nights import Claim
from importer.nightly.inbox import (
    FAILED,
    HELD,
    MARKER,
    WORKING,
    WRITTEN,
    Arrival,
    Inbox,
    alone,
    digest,
    free,
    kept_name,
)
from importer.nightly.ownership import (
    LONGEST,
    NAME,
    Folder,
    belong,
    belongs,
    folder_belongs,
    looked,
    looking_at,
    remember,
)
from importer.nightly.release import record
from importer.nightly.remote.address import Address, is_remote
from importer.nightly.remote.remote_errors import RemoteFault
from importer.nightly.remote.storage import Store
from importer.nightly.remote.transfer import DRAFT, Listing, carry_back, desk_refused, left_on_desk
from importer.report.formatting import quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from importer.errors import ImporterError
    from importer.nightly.clock import Clock, Stop
    from importer.nightly.inbox_settings import InboxSettings
    from importer.nightly.ownership import Mark


@dataclass(frozen=True)
class FarFolder:
    """The root of a remote inbox; its methods raise RemoteFault where the inbox is away.

    Attributes:
        store: the door to the inbox.
    """

    store: Store

    @property
    def name(self) -> str:
        """Its address."""
        return str(self.store.address)

    def read(self) -> bytes | None:
        """Its mark, or whatever lies there as one; None where nothing does."""
        return self.store.read(NAME, LONGEST)

    def create(self, mark: bytes) -> None:
        """Puts its mark there, whole or not at all; one that is there already stays.

        Where a store cannot promise the latter, whoever puts it looks at it afterwards.
        """
        self.store.create(NAME, mark)

    def rewrite(self, mark: bytes) -> None:
        """Puts another one in the place of its mark, whole or not at all."""
        self.store.rewrite(NAME, mark)


@dataclass
class _State:
    """What a night learns of the inbox.

    Attributes:
        away: it does not answer; nothing more is fetched in this night.
        ours: its mark names our ledger; nothing is put there before that is known.
    """

    away: bool = False
    ours: bool = False


@dataclass(frozen=True)
class RemoteInbox(Inbox):
    """An inbox that lies elsewhere, with its desk.

    Args:
        root: the desk; made where it is not there.
        store: the door to the inbox.
        ledger: URL of the ledger that has the claims, the same for every machine.
        clock: the time of claims.
    """

    store: Store
    ledger: str
    clock: Clock
    _state: _State = field(default_factory=_State)

    @cached_property
    def _listing(self) -> Listing:
        return Listing(self.root, self.store)

    @property
    def name(self) -> str:
        """Its address."""
        return str(self.store.address)

    @property
    def elsewhere(self) -> bool:
        """It does."""
        return True

    @contextmanager
    def at_work(self, now: datetime) -> Iterator[None]:
        """Keeps every other night out of the desk and, by the ledger, out of the inbox."""
        try:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as exc:
            raise desk_refused(self.root, exc) from exc
        try:
            with (
                alone(self.root, now),
                Ledger.open(self.ledger) as ledger,
                ledger.lock("importer nightly", inbox=self.name),
            ):
                (self.root / DRAFT).unlink(missing_ok=True)  # what a night that died had half of
                yield
        finally:
            self.store.close()

    def begin(self, ledger: str, now: datetime) -> list[ImporterError]:
        """Gives back what the last night left, reads the settings, and fetches what was claimed.

        Before all of it the inbox and the desk have to be our ledger's.
        """
        del ledger, now  # an inbox elsewhere cannot name one: it is ours
        with Ledger.open(self.ledger) as opened:
            looked(Folder(self.root), opened)  # also where the inbox is away: files may lie here
        faults: list[ImporterError] = []
        for step in (self._belong, self.carry_back, self.read_settings, self._take_up):
            try:
                step()
            except RemoteFault as fault:
                faults.append(fault)
                if step in (self._belong, self.read_settings) or not self.store.answers():
                    self._state.away = True  # not without settings: they name the campaign
                    break
        return faults

    def looked(self, ledger: Ledger | None) -> Mark | None:
        """The mark of the inbox, if it has one; nothing is written.

        Args:
            ledger: ours; None where it is not there yet.

        Raises:
            RemoteFault: it does not answer.
            ConfigurationError: the inbox, or its desk, belongs to another ledger.
        """
        looked(Folder(self.root), ledger)
        return looked(FarFolder(self.store), ledger)

    def _belong(self) -> None:
        """Sees to it that inbox and desk belong to our ledger: once in a night is enough."""
        if self._state.ours:
            return
        with Ledger.open(self.ledger) as opened:
            belong(FarFolder(self.store), opened, self.clock.now())
            belong(Folder(self.root), opened, self.clock.now())
        self._state.ours = True

    def remember(self, ledger: Ledger, night: str) -> None:
        """The same in the inbox itself, if it answers; raises RemoteFault, too."""
        if not self._state.away:
            remember(FarFolder(self.store), ledger, night)

    def carry_back(self) -> None:
        """Gives back what lies in the desk's `done/`, `held/`, `failed/` and `nights/`."""
        carry_back(self.root, self.store, self.ledger, self.clock, self._belong)

    def read_settings(self) -> None:
        """Brings every `importer.yaml` of the inbox to the desk; raises RemoteFault."""
        self._listing.folders()

    def arrivals(self) -> list[Arrival]:
        """What has arrived and is nobody's yet, by the rules of a local inbox.

        Raises:
            RemoteFault: the inbox cannot be listed; this night lists it no more.
        """
        if self._state.away:
            return []
        with Ledger.open(self.ledger) as ledger:
            claimed = {(each.path, each.version) for each in ledger.claims.open(self.name)}
        try:
            found = self._listing.arrivals()
        except RemoteFault:
            self._state.away = True
            raise
        return [each for each in found if (self._path(each), each.print[1]) not in claimed]

    def claim(self, arrival: Arrival) -> Path | None:
        """Claims an arrival and brings it to the desk; None where it is gone, or another's.

        Raises:
            RemoteFault: it cannot be fetched now; the claim stays, and the next night goes on.
        """
        if self._state.away:
            return None
        claim = self.claim_of(self._path(arrival), str(arrival.print[1]))
        with Ledger.open(self.ledger) as ledger:
            if not ledger.claims.take(claim):
                return None
        try:
            return self.bring(claim)
        except RemoteFault as fault:
            self._look_after(fault)
            raise

    def give_back(self, path: Path, folder: str) -> Path | None:
        """Leaves a file of the desk where it is: its original can be fetched again."""
        del folder
        return path

    def free(self, folder: Path, name: str) -> Path:
        """A path that nothing has, neither on the desk nor, as far as it answers, in the inbox."""
        number, path = 1, free(folder, name)
        with suppress(RemoteFault):
            while not self._state.away and self.store.entry(self._below(path)) is not None:
                number += 1
                path = free(folder, f"{Path(name).stem}-{number}{Path(name).suffix}")
        return path

    # ---- claims ------------------------------------------------------------------------------

    def claim_of(self, path: str, version: str) -> Claim:
        """A claim by this process, now."""
        holder = f"{socket.gethostname()} (process {os.getpid()})"
        return Claim(self.name, path, version, self.clock.now(), holder)

    def bring(self, claim: Claim, learnt: Callable[[str], None] | None = None) -> Path | None:
        """Fetches a claimed file into `working/`; None, and no claim, where it is gone.

        Args:
            claim: in the ledger already.
            learnt: told the file's hash before it is there.
        """
        draft = self.root / DRAFT
        sha256 = self.store.fetch(claim.path, claim.version, draft)
        with Ledger.open(self.ledger) as ledger:
            if sha256 is None:  # what lies there now, if anything does, is an arrival of its own
                ledger.claims.drop(claim)
                return None
            try:
                into = self.root / WORKING / folder_of(claim.path)
                into.mkdir(parents=True, exist_ok=True)
                target = free(into, kept_name(claim.path.rpartition("/")[2]))
                ledger.claims.note_fetched(claim, self._below(target), sha256)
                if learnt is not None:
                    learnt(sha256)
                draft.rename(target)
            except OSError as exc:
                raise desk_refused(self.root, exc) from exc
        with suppress(RemoteFault):  # without its file a marker means nothing
            self.remove(claim.path + MARKER)
        return target

    def _take_up(self) -> None:
        """Fetches again what an earlier night claimed and this desk has not."""
        with Ledger.open(self.ledger) as ledger:
            open_claims = ledger.claims.open(self.name)
        here = left_on_desk(self.root) if open_claims else frozenset()
        faults = []
        for claim in open_claims:
            if claim.sha256 in here or self._lies_at_its_place(claim) or self._state.away:
                continue
            try:
                self.bring(claim)
            except RemoteFault as fault:
                faults.append(fault)
                self._look_after(fault)
        if faults:
            files = quantity(len(faults), "claimed file was", "claimed files were")
            raise RemoteFault(f"{files} not fetched: {faults[0].message}", faults[0].fix)

    def _look_after(self, fault: RemoteFault) -> None:
        """Finds out whether a file could not be fetched, or nothing can be in this night."""
        self._state.away = fault.passing and not self.store.answers()

    def _lies_at_its_place(self, claim: Claim) -> bool:
        path = self.root / claim.place
        return bool(claim.place) and path.is_file() and digest(path) == claim.sha256

    def has(self, path: str) -> bool:
        """Whether a file of the inbox is claimed, and lies on the desk."""
        with Ledger.open(self.ledger) as ledger:
            claims = ledger.claims.open(self.name)
        return any(each.path == path and self._lies_at_its_place(each) for each in claims)

    def remove(self, path: str) -> None:
        """Removes whatever lies at a path of the inbox."""
        found = self.store.entry(path)
        if found is not None:
            self.store.remove(path, found.version)

    def _path(self, arrival: Arrival) -> str:
        return self._below(arrival.path)

    def _below(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def folder_of(path: str) -> str:
    """The subfolder of a path in an inbox, also where it lies in `held/` or `failed/`."""
    parts = path.split("/")[:-1]
    return "/".join(parts[1:] if parts and parts[0] in {HELD, FAILED} else parts)


def rooted(inbox: str, places: InboxSettings) -> InboxSettings:
    """The places of an inbox, which are those of its desk where it lies elsewhere.

    Args:
        inbox: a folder, or an address.
        places: with config and flags; its root is not looked at.

    Raises:
        UsageError: the address cannot be one.
        SettingsError: something in the main settings is unknown or wrong.
    """
    if not is_remote(inbox):
        return replace(places, root=Path(inbox).resolve())
    desk = places.main().desk / Address.of(inbox).folder_name
    return replace(places, root=desk, remote=True)


def opened(inbox: str, places: InboxSettings, clock: Clock, stop: Stop) -> Inbox:
    """The inbox itself; nothing is connected to yet.

    Args:
        inbox: a folder, or an address.
        places: rooted there.
        clock: the time.
        stop: ends long transfers.
    """
    return opened_remote(inbox, places, clock, stop) if is_remote(inbox) else Inbox(places.root)


def opened_remote(inbox: str, places: InboxSettings, clock: Clock, stop: Stop) -> RemoteInbox:
    """The same for an address alone."""
    settings = places.main()
    store = Store(
        Address.of(inbox),
        settings.remote_timeout_s,
        settings.remote_file_s,
        elapsed_s=clock.elapsed_s,
        sleep=lambda seconds: clock.wait(seconds, stop),
        goes_on=lambda: not stop.asked(),
    )
    return RemoteInbox(places.root, store, settings.ledger, clock)


def try_remote(inbox: RemoteInbox) -> str:
    """Lists, writes, reads and deletes, and brings the settings; says that all of it works.

    Raises:
        RemoteFault: something does not.
        ConfigurationError: the inbox belongs to another ledger; nothing else was tried.
    """
    store = inbox.store
    try:
        with looking_at(inbox.ledger) as ledger:
            said = belongs(inbox.looked(ledger))
        inbox.read_settings()
        probe = inbox.root / f".importer-doctor-{os.getpid()}"
        probe.write_bytes(b"importer doctor\n")
        store.put(probe, probe.name)
        entry = store.entry(probe.name)
        if entry is None or not store.remove(probe.name, entry.version):
            raise ConfigurationError(f"{inbox.name} does not keep what is written to it.")
    finally:
        store.close()
    return f"{inbox.name} can be listed, read, written to and deleted from; {said}"


def release_remote(file: str, places: InboxSettings, clock: Clock, stop: Stop) -> Path:
    """Puts a held file in front of the next night; where it lies on the desk then.

    Its original stays in `held/` until that night is through with it.

    Args:
        file: its address.
        places: with config and flags.
        clock: the time.
        stop: ends long transfers.

    Raises:
        UsageError: it is not held, or is released already, or is a page of ours.
        ConfigurationError: a night works in the inbox, or it does not answer, or belongs to
            another ledger.
    """
    found = Address.of(file).split_at(HELD, FAILED)
    if found is None:
        raise UsageError(f"{file} is not held.", "Name a file in held/ or failed/ of the inbox.")
    if file.endswith(WRITTEN):
        raise UsageError(f"{file} is what was written about a file.", "Name the file itself.")
    address, path = found
    places = rooted(str(address), places)
    inbox = opened_remote(str(address), places, clock, stop)
    now = clock.now()
    with inbox.at_work(now):
        with Ledger.open(inbox.ledger) as ledger:
            inbox.looked(ledger)
        inbox.read_settings()
        entry = inbox.store.entry(path)
        if entry is None:
            raise UsageError(f"There is no file {file}.", "Name a file in held/ of the inbox.")
        settings, folder = places.load(folder_of(path)), folder_of(path)
        folder_belongs(inbox, folder, settings.ledger, inbox.ledger, now)
        claim = inbox.claim_of(path, entry.version)
        with Ledger.open(inbox.ledger) as ledger:
            if not ledger.claims.take(claim) and inbox.has(path):
                raise UsageError(f"{file} is released already.", "The next night begins with it.")
        moved = inbox.bring(claim, lambda sha256: record(settings, folder, entry.name, sha256, now))
        if moved is None:
            raise UsageError(f"{file} is gone.")
        for suffix in WRITTEN:  # they are written again when the file is through
            with suppress(RemoteFault):
                inbox.remove(path + suffix)
        return moved
