"""From what stands on the command line to an inbox, wherever it lies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from importer.nightly.inbox import Inbox
from importer.nightly.remote.address import Address, is_remote
from importer.nightly.remote.inbox import RemoteInbox
from importer.nightly.remote.store import Store

if TYPE_CHECKING:
    from importer.nightly.places import Places
    from importer.nightly.stopping import Clock, Stop


def rooted(inbox: str, places: Places) -> Places:
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
    return replace(places, root=desk, elsewhere=True)


def opened(inbox: str, places: Places, clock: Clock, stop: Stop) -> Inbox:
    """The inbox itself; nothing is connected to yet.

    Args:
        inbox: a folder, or an address.
        places: rooted there.
        clock: the time.
        stop: ends long transfers.
    """
    return opened_remote(inbox, places, clock, stop) if is_remote(inbox) else Inbox(places.root)


def opened_remote(inbox: str, places: Places, clock: Clock, stop: Stop) -> RemoteInbox:
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
