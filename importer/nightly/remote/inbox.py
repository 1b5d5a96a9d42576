"""A remote inbox at work: files are brought to a desk, imported there, and given back.

The order of steps, each durable before the next one begins. A crash between any two of them loses
nothing and writes to nobody twice:

1. The ledger gets a claim, unique by inbox, path and version. Nothing was touched yet.
2. The file is fetched beside the desk's folders, and is still that version and that long.
3. The claim gets the file's hash and its place on the desk.
4. The file is renamed into `working/` of the desk. Its original stays where it is.
5. It is imported as any file of a local inbox, and lies in `done/`, `held/` or `failed/`.
6. The pages about it, and then the file, are put to the same folder of the inbox, and looked at.
7. The original is removed, if it is still the claimed version; what was uploaded meanwhile stays.
8. The claim gets its end.
9. The desk's copies are removed.

The original is the last thing to go, so whatever is cut off can be fetched once more. That is what
a night does first: it holds the inbox's lock in the ledger, so whatever claim is open belongs to
nobody else. What the desk still has of it, by its hash, goes on from there; the rest is fetched
again. A content that was imported already is known to the ledger, which is the second net.
"""

from __future__ import annotations

import os
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from importer.ledger import Ledger
from importer.ledger.claims import Claim
from importer.nightly.alone import alone
from importer.nightly.belonging import Folder, belong, looked, remember
from importer.nightly.inbox import FAILED, HELD, WORKING, Arrival, Inbox, digest, free
from importer.nightly.names import MARKER, kept_name
from importer.nightly.remote.faults import RemoteFault
from importer.nightly.remote.listing import DRAFT, Listing, desk_refused
from importer.nightly.remote.marking import FarFolder
from importer.nightly.remote.returning import carry_back, left_on_desk
from importer.report.wording import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from importer.errors import ImporterError
    from importer.nightly.mark import Mark
    from importer.nightly.remote.store import Store
    from importer.nightly.stopping import Clock


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
                ledger.hold("importer nightly", inbox=self.name),
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
                ledger.claims.fetched(claim, self._below(target), sha256)
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
            files = counted(len(faults), "claimed file was", "claimed files were")
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
