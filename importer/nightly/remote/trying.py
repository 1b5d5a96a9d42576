"""Tries a remote inbox as a night uses it, and leaves nothing there."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from importer.errors import ConfigurationError
from importer.nightly.belonging import looking_at
from importer.nightly.mark import belongs

if TYPE_CHECKING:
    from importer.nightly.remote.inbox import RemoteInbox


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
