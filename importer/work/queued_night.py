"""A night that was put into the queue: a worker runs it as `importer nightly` would."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from importer.nightly.clock import SystemClock
from importer.nightly.inbox import InboxSettings, OpenLedgers
from importer.nightly.night import run_night
from importer.nightly.notifications import notify, upload_page
from importer.nightly.remote.remote_inbox import locate, open_inbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.nightly.clock import StopSignal


_LOG: Final = logging.getLogger(__name__)


def run_queued_night(
    inbox: str, config: Path | None, flags: Mapping[str, object], stop: StopSignal
) -> Exit:
    """Run a night of an inbox, and send its message; return its exit code.

    Args:
        inbox: the folder, or the address.
        config: the settings file of this machine; None if there is none.
        flags: the flags of this machine, and of the command that put the night in.
        stop: ends the night early.

    Raises:
        ConfigurationError: another night works there, or the settings, the inbox or the ledger
            cannot be used.
    """
    inbox_settings = locate(inbox, InboxSettings(Path(), config, flags))
    clock = SystemClock()
    with OpenLedgers(inbox_settings.ledger()) as ledgers:
        place = open_inbox(inbox, inbox_settings, ledgers, clock, stop)
        night = run_night(place, inbox_settings, clock, stop, least=logging.WARNING)
        settings = inbox_settings.load()
        faults = notify(night, settings, inbox_settings.root, stop.wait, stop.requested)
        faults += upload_page(place, clock.now())
    for fault in faults:
        _LOG.warning("%s", fault)
    return Exit(night.exit_code)
