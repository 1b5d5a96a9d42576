"""`importer jobs` and `upgrade`: several machines on one ledger, seen from any of them."""

from __future__ import annotations

import getpass
import sys
from typing import TYPE_CHECKING

import click
from rich.console import Console

from importer.cli.ledger_commands import open_ledger
from importer.cli.options import confirm, read_settings, settings_flags, tell
from importer.errors import Exit, UsageError
from importer.languages import translate
from importer.ledger import Ledger
from importer.report.terminal_history import senders_text
from importer.settings.settings import FLAGS

if TYPE_CHECKING:
    from pathlib import Path

    from importer.settings import Settings


@click.command(short_help="Show who sends on a ledger that several machines share.")
@click.option(
    "--ended",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Say that this sender has ended for certain, such as on a machine that is off.",
)
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--metrics", is_flag=True, help="Print the ledger's numbers for Prometheus.")
@settings_flags(*FLAGS["jobs"])
def jobs(
    *, ended: int | None, yes: bool, metrics: bool, config: Path | None, **flags: object
) -> int:
    """Show the senders of a ledger on PostgreSQL, what each is doing, and the rate of all.

    A sender whose lease is over may only be frozen. If its machine cannot be asked, nobody but you
    knows that it has ended. After you say so, its doubtful rows can be sent again once the API's
    list shows that they are absent.
    """
    settings = read_settings(config, flags)
    if ended is not None:
        return _note_ended(settings, ended, yes=yes)
    with open_ledger(settings) as ledger:
        if metrics:
            from importer.report.metrics import render_metrics_of_ledger  # noqa: PLC0415 - rare

            click.echo(render_metrics_of_ledger(ledger), nl=False)
            return Exit.OK
        shown = ledger.senders.overview()
    Console().print(senders_text(shown), crop=False)
    return Exit.OK


def _note_ended(settings: Settings, number: int, *, yes: bool) -> int:
    """Note that a person says that a sender has ended."""
    with Ledger.open(settings.ledger, create=False) as ledger:
        sender = ledger.senders.find(number)
        if sender.is_live:
            raise UsageError(
                f"Sender {number} renews its lease: it has not ended.",
                "End its process, or wait until the lease is over.",
            )
        if not yes:
            if not sys.stdin.isatty():
                raise UsageError("There is no terminal to ask on.", "Give --yes.")
            question = translate("Has {sender} ended for certain?", sender=sender.name)
            if not confirm(question):
                tell("Nothing was changed.")
                return Exit.HELD
        ledger.senders.note_ended(number, getpass.getuser())
    tell(translate("Noted that {sender} has ended.", sender=sender.name))
    return Exit.OK


@click.command(short_help="Bring the ledger to the version of this program.")
@settings_flags(*FLAGS["upgrade"])
def upgrade(*, config: Path | None, **flags: object) -> int:
    """Bring the ledger to the version of this program, once for all machines.

    A ledger in a file gets a backup beside it. A ledger on PostgreSQL is upgraded under a lock, and
    not while an older version sends; back it up with pg_dump before.
    """
    settings = read_settings(config, flags)
    with Ledger.open(settings.ledger, create=False) as ledger:
        tell(translate("The ledger {name} is of this version.", name=ledger.name))
    return Exit.OK
