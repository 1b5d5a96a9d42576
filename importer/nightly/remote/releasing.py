"""A person lets go of a file that a remote inbox holds: it is claimed, and brought to the desk."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from importer.errors import UsageError
from importer.ledger import Ledger
from importer.nightly.belonging import folder_belongs
from importer.nightly.inbox import FAILED, HELD
from importer.nightly.names import WRITTEN
from importer.nightly.release import record
from importer.nightly.remote.address import Address
from importer.nightly.remote.faults import RemoteFault
from importer.nightly.remote.inbox import folder_of
from importer.nightly.remote.opening import opened_remote, rooted

if TYPE_CHECKING:
    from pathlib import Path

    from importer.nightly.places import Places
    from importer.nightly.stopping import Clock, Stop


def release_remote(file: str, places: Places, clock: Clock, stop: Stop) -> Path:
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
        settings, folder = places.settings(folder_of(path)), folder_of(path)
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
