"""`importer webhooks`: receive the API's events, for installations without the page."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import click

from importer.cli.options import read_settings, settings_flags
from importer.settings.settings import FLAGS
from importer.web.webhook_receiver import receive_webhooks

if TYPE_CHECKING:
    from pathlib import Path


@click.command(short_help="Receive the events that the API sends.")
@settings_flags(*FLAGS["webhooks"])
def webhooks(*, config: Path | None, **flags: object) -> None:
    """Receive the API's events, so that opt-outs, failures and meetings are known at once.

    Every event is in the ledger before it is answered. `importer serve` receives events, too; this
    command is for those who do not run the page. It needs POPP_WEBHOOK_SECRET and an existing
    ledger, listens on this machine unless --listen says more, and stops on Ctrl-C or SIGTERM.
    `importer explain webhooks` has the details.
    """
    settings = read_settings(config, flags)
    receive_webhooks(settings, say=click.echo, signals=(signal.SIGINT, signal.SIGTERM))
