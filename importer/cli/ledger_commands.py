"""`importer runs`, `results`, `reconcile` and the like: read, settle, tidy and copy the ledger."""

from __future__ import annotations

import getpass
import re
import signal
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from importer import deliver
from importer.cli.options import (
    Output,
    check_outputs,
    confirm,
    json_format,
    messages,
    read_settings,
    settings_flags,
    tell,
)
from importer.deliver import report_of
from importer.errors import Exit, LedgerError, UsageError
from importer.languages import (
    ENGLISH,
    language,
    translate,
    translate_count,
    translate_filled,
    use_language,
)
from importer.ledger import Ledger, open_and_lock
from importer.ledger.doubts import RESOLVED
from importer.loader import open_read
from importer.masking import find_file
from importer.model import State
from importer.planning.identity import key_file
from importer.report.export import reconcile_json, refresh_json, runs_json, write_json
from importer.report.formatting import GivenFlags
from importer.report.progress import progress
from importer.report.results import (
    Form,
    read_result_rows,
    reread_files,
    save_results,
    view_results,
    write_results,
)
from importer.report.terminal import section
from importer.report.terminal_history import (
    FIRST_ROWS,
    PastNight,
    nights_text,
    refreshed_text,
    results_table,
    runs_table,
    settled_text,
    worklist,
)
from importer.sending.run_options import RunOptions
from importer.settings.secrets import Secrets
from importer.settings.settings import FLAGS

if TYPE_CHECKING:
    from importer.ledger.nights import Night
    from importer.ledger.records import Purged, Run, SubmissionRecord
    from importer.settings import Settings


_WIDE: Final = 110
"""Columns of a terminal that can show the ids of conversations beside the rest."""


def open_ledger(settings: Settings) -> Ledger:
    """Open the ledger for reading; raise LedgerError if there is none."""
    ledger = Ledger.open_existing(settings.ledger)
    if ledger is None:
        raise LedgerError(
            "There is no ledger yet: nothing has been sent from here.",
            "Start with `importer run FILE`, or name the ledger with --ledger or --config.",
        )
    return ledger


@click.command(short_help="List the runs and nights in the ledger.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Show at most this many, the newest first.",
)
@json_format
@settings_flags(*FLAGS["runs"])
def runs(*, limit: int, form: str, config: Path | None, **flags: object) -> None:
    """List the runs in the ledger with the state of their rows, the newest first.

    The nights of `importer nightly` follow: how each ended, its files, and what still needs a
    person.
    """
    settings = read_settings(config, flags)
    with open_ledger(settings) as ledger:
        found = ledger.runs.list(limit)
        counts = {run.id: ledger.runs.states(run.id) for run in found}
        nights = [_past_night(ledger, night) for night in ledger.nights.list(limit)]
        doubtful = len(ledger.doubts.list()) if nights or form == "json" else 0
        several = len(ledger.nights.inboxes()) > 1
    if form == "json":
        write_json(runs_json(found, counts, nights, doubtful), sys.stdout)
        return
    console = Output()
    if found or not nights:
        console.print(runs_table(found, counts))
    if nights:
        given = GivenFlags.of(settings)
        text = nights_text(nights, doubtful, several=several, given=given)
        console.print(text, crop=False)


def _past_night(ledger: Ledger, night: Night) -> PastNight:
    files = ledger.nights.of_night(night.id)
    newest = {file.sha256: ledger.nights.last(file.sha256) or file for file in files}
    counts = {
        run: report_of(ledger, ledger.runs.find(run)) for run in {f.run for f in files if f.run}
    }
    rejected = {
        run: report.counts.rejected + report.states.get(State.REJECTED, 0)
        for run, report in counts.items()
    }
    return PastNight(night, sorted(files, key=lambda file: file.position), newest, rejected)


@click.command(short_help="Show the result of each row of a run.")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "csv", "json", "parquet"]),
    default="text",
    show_default=True,
    help="text: a table; the others: every row with the columns of its file, then import_status, "
    "conversation_id, reason, attempted_at, progress, progress_at and meeting_at.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file instead of standard output.",
)
@settings_flags(*FLAGS["results"])
def results(
    run_id: str | None, *, form: str, output: Path | None, config: Path | None, **flags: object
) -> None:
    """Show the result of each row of RUN, or of the newest run.

    Progress says how far a conversation is, as far as the ledger knows: `importer refresh` asks
    the API. The CSV can be fixed and imported: rows that are done are skipped. It has your own
    columns as long as the imported file is unchanged and in its place.
    """
    settings = read_settings(config, flags)
    with open_ledger(settings) as ledger:
        run = ledger.runs.find(run_id)
        if output is not None:
            sources = [find_file(each.path or "-", each.sha256) for each in run.sources]
            check_outputs({"--output": output}, sources, settings)
        if form == "text":
            _print_results(ledger, run, settings)
            return
        files = reread_files(run.sources, partial(open_read, settings=settings))
        for sentence in files.missing:
            tell(translate_filled(sentence))
        shown = view_results(ledger, run, report_of(ledger, run))
        lines = read_result_rows(ledger, run)
        wanted: Form = form  # type: ignore[assignment]  # click has checked it
        if form == "parquet" and output is None and sys.stdout.isatty():
            raise UsageError(
                "Parquet cannot be shown on a terminal.", "Give --output FILE.parquet."
            )
        with use_language(ENGLISH if form == "json" else language()):
            if output is not None:
                save_results(shown, lines, files, output, wanted)
            else:
                write_results(shown, lines, files, sys.stdout, wanted)


def _print_results(ledger: Ledger, run: Run, settings: Settings) -> None:
    """Print the first results of a run, and what to do about its doubtful rows."""
    console, doubtful = Output(), ledger.doubts.list(run.id)
    shown = view_results(ledger, run, report_of(ledger, run), most=FIRST_ROWS)
    console.print(results_table(shown, ids=console.width >= _WIDE))
    if doubtful:
        parts = (
            *section(translate("To settle by hand"), "bold yellow"),
            *worklist(doubtful, GivenFlags.of(settings)),
        )
        console.print(*parts, sep="\n", crop=False)


@click.command(short_help="Remove the readable text of old runs from the ledger.")
@click.option(
    "--older-than",
    metavar="DAYS",
    required=True,
    help="Purge runs that ended more than this many days ago, such as 90d.",
)
@click.option("--dry-run", is_flag=True, help="Show what would be removed, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal only 0d needs it.")
@settings_flags(*FLAGS["purge"])
def purge(
    *, older_than: str, dry_run: bool, yes: bool, config: Path | None, **flags: object
) -> int:
    """Remove masked text, messages and file names of old runs from the ledger, for good.

    Keyed hashes, states and times stay, so that nobody is contacted twice. Backups that upgrades
    made before then are deleted; delete the copies that `importer backup` made yourself.
    """
    found = re.fullmatch(r"([0-9]{1,5})d?", older_than.strip())
    if found is None:
        raise UsageError(f"--older-than takes days, such as 90d, not {older_than}.")
    days = int(found[1])
    settings = read_settings(config, flags)
    before = datetime.now(UTC) - timedelta(days=days)
    if dry_run or (sys.stdin.isatty() and not yes and days):
        with open_ledger(settings) as ledger:
            wanted = ledger.find_purgeable(before)
        if not (wanted.submissions or wanted.runs or wanted.backups):
            tell(translate("There is nothing to remove."))
            return Exit.OK
        if dry_run:
            click.echo(translate("Would remove {what}.", what=_purged_text(wanted)))
            return Exit.OK
        if not confirm(translate("Remove {what}, for good?", what=_purged_text(wanted))):
            tell("Nothing was removed.")
            return Exit.HELD
    if not days and not yes:
        raise UsageError(
            "0d removes the text of every run, also of the last one.",
            "Give --yes to confirm, or --dry-run to see what would be removed.",
        )
    with open_and_lock(settings.ledger, "importer purge", settings.ledger_wait_s) as ledger:
        purged = ledger.purge(before)
    tell(translate("Removed {what}.", what=_purged_text(purged)))
    return Exit.OK


def _purged_text(purged: Purged) -> str:
    """Return what is removed, in words."""
    parts = [
        translate_count(
            purged.submissions,
            "the masked text of {n} submission",
            "the masked text of {n} submissions",
        ),
        translate_count(purged.runs, "the file names of {n} run", "the file names of {n} runs"),
    ]
    if purged.backups:
        parts.append(translate_count(len(purged.backups), "{n} backup", "{n} backups"))
    return translate("{parts} and {last}", parts=", ".join(parts[:-1]), last=parts[-1])


@click.command(short_help="Copy the ledger, at any moment.")
@click.argument("file", type=click.Path(path_type=Path))
@settings_flags(*FLAGS["backup"])
def backup(file: Path, *, config: Path | None, **flags: object) -> None:
    """Copy the ledger to FILE, complete and private, even while a run writes to it.

    An existing file is never overwritten. Keep a copy of the ledger's key with it: without the
    key nobody in the ledger can be recognised.
    """
    settings = read_settings(config, flags)
    with open_ledger(settings) as ledger:
        ledger.backup(file)
    place = "IMPORTER_HMAC_KEY" if Secrets.read().importer_hmac_key else str(key_file(settings))
    copied = translate(
        "{file} is a complete copy of {ledger}. Its key {key} is not in it: keep both.",
        file=file,
        ledger=ledger.name,
        key=place,
    )
    restore = translate(
        "To restore: stop every importer process, put the file and the key back, and delete "
        "{ledger}-wal, -shm and .last if they exist. People contacted after this copy was made "
        "are not in it: they are contacted again if a later list contains them.",
        ledger=ledger.name,
    )
    tell(f"{copied}\n{restore}")


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
"""Placeholders that people paste if they have not looked up the conversation yet."""


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
    about = {"row": settled.row, "file": settled.source_name, "person": settled.masked}
    if sent is not None:
        tell(translate("Row {row} of {file} ({person}) is conversation {id}.", id=sent, **about))
    else:
        tell(
            translate(
                "Row {row} of {file} ({person}) was not sent, and may be sent again.", **about
            )
        )
    if settled.code == RESOLVED:
        before = (
            translate("conversation {id}", id=settled.conversation_id)
            if settled.conversation_id
            else translate("not sent")
        )
        tell(
            translate(
                "Before, {person} had answered: {before}. The ledger keeps both answers.",
                person=settled.decided_by,
                before=before,
            )
        )


def _check_conversation(
    conversation_id: str, record: SubmissionRecord, ledger: Ledger, settings: Settings
) -> None:
    """Raise UsageError if the API shows that a conversation is not the row's; warn if unsure."""
    sighting = deliver.check_conversation(record, conversation_id, ledger, settings)
    if sighting.fits is False:
        raise UsageError(
            f"{conversation_id} is not the conversation of row {record.row} "
            f"({record.masked}): {sighting.reason}.",
            "Look the person up again; if you are sure, give --unchecked.",
        )
    if sighting.fits is None:
        warning = translate(
            "Warning: {id} was not checked: {reason}. If it is wrong, give `importer resolve` "
            "again with the right one.",
            id=conversation_id,
            reason=translate_filled(sighting.reason).rstrip("."),
        )
        click.echo(warning, err=True)
