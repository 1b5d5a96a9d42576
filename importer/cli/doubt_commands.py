"""`importer reconcile`, `resolve` and `refresh`: what became of what was sent."""

from __future__ import annotations

import getpass
import signal
from typing import TYPE_CHECKING

import click
from rich.console import Console

from importer import deliver
from importer.cli.options import settings_flags, settings_of
from importer.errors import Exit, UsageError
from importer.ledger import open_and_lock
from importer.report.progress import progress
from importer.report.terminal_history import refreshed_text, settled_text
from importer.sending.run_options import RunOptions
from importer.settings.flags import FLAGS

if TYPE_CHECKING:
    from pathlib import Path


STOPS = (signal.SIGINT, signal.SIGTERM)


@click.command(short_help="Find out what became of doubtful submissions.")
@click.argument("run_id", required=False, metavar="[RUN]")
@settings_flags(*FLAGS["reconcile"])
def reconcile(run_id: str | None, *, config: Path | None, **flags: object) -> int:
    """Ask the API's list of conversations what became of the doubtful submissions of RUN.

    Found ones are created; those proved absent can be sent by `importer resume`; the others stay
    doubtful, and are listed with what is needed to settle each by hand. Without RUN, of all runs.
    """
    settings = settings_of(config, flags)
    options = RunOptions("importer reconcile", settings.credentials(), signals=STOPS)
    with progress(Console(stderr=True)) as observer:
        settled = deliver.reconcile(run_id, settings, options, observer)
    Console(stderr=True).print(settled_text(settled))
    return Exit.DOUBTFUL if settled.doubtful else Exit.OK


@click.command(short_help="Read what became of the conversations since.")
@click.argument("run_id", required=False, metavar="[RUN]")
@settings_flags(*FLAGS["refresh"])
def refresh(run_id: str | None, *, config: Path | None, **flags: object) -> int:
    """Read the present status of each conversation of RUN, or of all runs, into the ledger.

    Who opted out is never contacted by a later run.
    """
    settings = settings_of(config, flags)
    options = RunOptions("importer refresh", settings.credentials(), signals=STOPS)
    with progress(Console(stderr=True)) as observer:
        refreshed = deliver.refresh(run_id, settings, options, observer)
    Console(stderr=True).print(refreshed_text(refreshed))
    return Exit.SETUP if refreshed.reason else Exit.OK


@click.command(short_help="Say yourself what became of a doubtful submission.")
@click.argument("run_id", metavar="RUN")
@click.argument("row", type=click.IntRange(min=2))
@click.option("--sent", metavar="ID", help="It arrived, and is the conversation of this id.")
@click.option("--not-sent", is_flag=True, help="It did not arrive, and may be sent again.")
@click.option("--file", "source", help="Name of the file, where several have such a row.")
@settings_flags(*FLAGS["resolve"])
def resolve(
    run_id: str,
    row: int,
    *,
    sent: str | None,
    not_sent: bool,
    source: str | None,
    config: Path | None,
    **flags: object,
) -> None:
    """Settle a doubtful ROW of RUN on your word; the ledger remembers who decided.

    Look the person up in Popp first: --not-sent lets the next resume contact them.
    """
    if (sent is None) is not not_sent:
        raise UsageError("Say either --sent ID or --not-sent.")
    settings = settings_of(config, flags)
    with open_and_lock(settings.ledger, "importer resolve", settings.ledger_wait_s) as ledger:
        settled = ledger.doubts.resolve(
            ledger.runs.find(run_id).id,
            row,
            sent=sent is not None,
            conversation_id=sent,
            by=getpass.getuser(),
            source=source,
        )
    now = f"is conversation {sent}" if sent is not None else "was not sent, and may go again"
    click.echo(f"Row {settled.row} of {settled.source_name} ({settled.masked}) {now}.", err=True)
