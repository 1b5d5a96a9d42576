"""`importer reconcile`, `resolve` and `refresh`: settle doubts, and update statuses."""

from __future__ import annotations

import getpass
import signal
import sys
from typing import TYPE_CHECKING, Final

import click

from importer import deliver
from importer.cli.options import json_format, messages, read_settings, settings_flags, tell
from importer.errors import Exit, UsageError
from importer.ledger import open_and_lock
from importer.ledger.doubts import RESOLVED
from importer.report.formatting import GivenFlags
from importer.report.json_report import reconcile_json, refresh_json, write_json
from importer.report.progress import progress
from importer.report.terminal_history import refreshed_text, settled_text
from importer.sending.run_options import RunOptions
from importer.settings.settings import FLAGS

if TYPE_CHECKING:
    from pathlib import Path

    from importer.ledger import Ledger
    from importer.ledger.records import SubmissionRecord
    from importer.settings import Settings


STOPS = (signal.SIGINT, signal.SIGTERM)


@click.command(short_help="Look up doubtful submissions in the API.")
@click.argument("run_id", required=False, metavar="[RUN]")
@json_format
@settings_flags(*FLAGS["reconcile"])
def reconcile(run_id: str | None, *, form: str, config: Path | None, **flags: object) -> int:
    """Look up the doubtful submissions of RUN, or of all runs, in the API's list of conversations.

    A submission that is found becomes created. One that is proved absent can be sent by
    `importer resume`. The others stay doubtful and are listed with what you need to settle them.
    """
    settings = read_settings(config, flags)
    options = RunOptions("importer reconcile", settings.credentials(), signals=STOPS)
    with progress(messages()) as observer:
        settled = deliver.reconcile(run_id, settings, options, observer)
    text = settled_text(settled, GivenFlags.of(settings), run=run_id)
    messages().print(text, crop=False)
    code = Exit.DOUBTFUL if settled.doubtful else Exit.OK
    if form == "json":
        write_json(reconcile_json(settled, run_id, code), sys.stdout)
    return code


@click.command(short_help="Update the status of the conversations.")
@click.argument("run_id", required=False, metavar="[RUN]")
@json_format
@settings_flags(*FLAGS["refresh"])
def refresh(run_id: str | None, *, form: str, config: Path | None, **flags: object) -> int:
    """Update the status of the conversations of RUN, or of all runs, from the API.

    People who opted out are not contacted by later runs.
    """
    settings = read_settings(config, flags)
    options = RunOptions("importer refresh", settings.credentials(), signals=STOPS)
    with progress(messages()) as observer:
        refreshed = deliver.refresh(run_id, settings, options, observer)
    messages().print(refreshed_text(refreshed))
    code = Exit.SETUP if refreshed.reason else Exit.OK
    if form == "json":
        write_json(refresh_json(refreshed, run_id, code), sys.stdout)
    return code


_PLACEHOLDERS: Final = frozenset(
    {"", "ID", "CONVERSATION_ID", "CONVERSATION ID", "CONVERSATION-ID"}
)
"""What somebody pastes who has not looked up the conversation yet."""


@click.command(short_help="Settle a doubtful submission yourself.")
@click.argument("run_id", metavar="RUN")
@click.argument("row", type=click.IntRange(min=2))
@click.option(
    "--sent",
    metavar="CONVERSATION_ID",
    help="The message was sent; CONVERSATION_ID is the id of its conversation.",
)
@click.option("--not-sent", is_flag=True, help="The message was not sent, and may be sent again.")
@click.option(
    "--unchecked", is_flag=True, help="Take the CONVERSATION_ID without asking the API for it."
)
@click.option(
    "--file", "source", help="Name of the file, if several files of the run have this row."
)
@settings_flags(*FLAGS["resolve"])
def resolve(
    run_id: str,
    row: int,
    *,
    sent: str | None,
    not_sent: bool,
    unchecked: bool,
    source: str | None,
    config: Path | None,
    **flags: object,
) -> None:
    """Settle a doubtful ROW of RUN yourself; the ledger records who decided.

    Look the person up in Popp first: with --not-sent the next resume contacts them. If you gave a
    wrong answer, give the right one: that is possible until something else happens to the row.
    """
    if (sent is None) is not not_sent:
        raise UsageError("Give either --sent CONVERSATION_ID or --not-sent.")
    if sent is not None and sent.strip(" <>[]{}").upper() in _PLACEHOLDERS:
        raise UsageError(
            f"{sent} is not the id of a conversation.",
            "Look the person up in Popp, and give the id that the conversation has there.",
        )
    settings = read_settings(config, flags)
    with open_and_lock(settings.ledger, "importer resolve", settings.ledger_wait_s) as ledger:
        run = ledger.runs.find(run_id).id
        found = ledger.doubts.find(run, row, conversation_id=sent, source=source)
        if sent is not None and not unchecked:
            _check_conversation(sent, found, ledger, settings)
        settled = ledger.doubts.resolve(
            run,
            row,
            sent=sent is not None,
            conversation_id=sent,
            by=getpass.getuser(),
            source=source,
        )
    now = f"is conversation {sent}" if sent is not None else "was not sent, and may be sent again"
    tell(f"Row {settled.row} of {settled.source_name} ({settled.masked}) {now}.")
    if settled.code == RESOLVED:
        before = (
            f"conversation {settled.conversation_id}" if settled.conversation_id else "not sent"
        )
        tell(f"Before, {settled.decided_by} had answered: {before}. The ledger keeps both answers.")


def _check_conversation(
    conversation_id: str, record: SubmissionRecord, ledger: Ledger, settings: Settings
) -> None:
    """Raise UsageError if the API shows that a conversation is not that of a row; else warn."""
    sighting = deliver.look_at(record, conversation_id, ledger, settings)
    if sighting.fits is False:
        raise UsageError(
            f"{conversation_id} is not the conversation of row {record.row} "
            f"({record.masked}): {sighting.reason}.",
            "Look the person up again; if you are sure, give --unchecked.",
        )
    if sighting.fits is None:
        click.echo(
            f"Warning: {conversation_id} was not checked: {sighting.reason.rstrip('.')}. If it is "
            "wrong, give `importer resolve` again with the right one.",
            err=True,
        )
