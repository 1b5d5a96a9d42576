"""`importer work`, `jobs` and `upgrade`: several machines on one ledger and one queue."""

from __future__ import annotations

import getpass
import logging
import os
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import click
from rich.console import Console, Group
from rich.text import Text

from importer.cli.ledger_commands import open_ledger
from importer.cli.options import confirm, read_settings, settings_flags, tell
from importer.errors import Exit, UsageError
from importer.languages import number, translate, translate_filled, translate_word
from importer.ledger import Ledger
from importer.ledger.records import ListState
from importer.planning.history import has_key_in_environment
from importer.planning.identity import hmac_key, key_id
from importer.report.formatting import plain
from importer.report.terminal import indent, plain_table
from importer.report.terminal_history import senders_text
from importer.settings.settings import FLAGS
from importer.work.queue import QUEUES, JobQueue, is_installed, read_overview, require_queue
from importer.work.queued_lists import QueuedLists, read_listed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from importer.settings import Settings
    from importer.work.queue import QueueOverview
    from importer.work.queued_lists import ListedRun


@click.command(short_help="Send what was put into the queue, beside other machines.")
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=2,
    show_default=True,
    help="Lists and nights to work on at the same time.",
)
@click.option(
    "--queues",
    default=",".join(QUEUES),
    show_default=True,
    metavar="NAME,...",
    help="Take only these: send (lists), night (nights).",
)
@click.option("--child", type=int, hidden=True, help="Be one worker of this process.")
@settings_flags(*FLAGS["work"])
def work(*, jobs: int, queues: str, child: int | None, config: Path | None, **flags: object) -> int:
    """Send the lists and run the nights that were put into the queue, until Ctrl-C or SIGTERM.

    Start it on as many machines as you like, with the same settings, templates and ledger, which
    must be on PostgreSQL. `importer run FILE --queue` puts a list in. Workers are restarted if they
    are killed or the database restarts; at the end, requests under way finish and the rest is
    handed back.
    """
    names = [name.strip() for name in queues.split(",") if name.strip()]
    if not names or set(names) - set(QUEUES):
        raise UsageError(f"There is no queue {queues!r}.", f"Name {' or '.join(QUEUES)}.")
    settings = read_settings(config, flags)
    logging.basicConfig(format="%(asctime)s %(message)s", level=logging.WARNING)
    require_queue(settings)
    if child is not None:
        from importer.work.worker_process import run_worker  # noqa: PLC0415 - an extra

        return run_worker(settings, settings.credentials(), names, child)
    from importer.work.worker_pool import WorkerPool  # noqa: PLC0415 - an extra

    command = [sys.executable, "-m", "importer", "work", "--queues", ",".join(names)]
    command += ["-q", "--child", str(os.getpid())]
    command += [] if config is None else ["--config", str(config)]
    for name, value in settings.flags.items():
        command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return WorkerPool(settings, command, jobs, tell).run()


@click.command(short_help="Show who sends on a ledger that several machines share.")
@click.option(
    "--ended",
    type=click.IntRange(min=1),
    metavar="NUMBER",
    help="Say that this sender has ended for certain, such as on a machine that is off.",
)
@click.option("--pause", metavar="RUN", help="Pause this run of the queue on every machine.")
@click.option("--resume", metavar="RUN", help="Let this run of the queue go on.")
@click.option("--stop", metavar="RUN", help="Stop this run of the queue; --resume continues it.")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--metrics", is_flag=True, help="Print the ledger's numbers for Prometheus.")
@settings_flags(*FLAGS["jobs"])
def jobs(
    *,
    ended: int | None,
    pause: str | None,
    resume: str | None,
    stop: str | None,
    yes: bool,
    metrics: bool,
    config: Path | None,
    **flags: object,
) -> int:
    """Show the senders of a ledger on PostgreSQL, its queue, and the rate of all.

    A list that was put into the queue can be paused, resumed and stopped from any machine; requests
    under way finish.

    A sender whose lease is over may be frozen, and go on. If its machine cannot be asked, only you
    can find out whether it has ended. After you say so, its doubtful rows can be sent again once
    the API's list shows that they are absent.
    """
    settings = read_settings(config, flags)
    if ended is not None:
        return _note_ended(settings, ended, yes=yes)
    if (pause, resume, stop) != (None, None, None):
        return _change_list(settings, pause, resume, stop)
    with open_ledger(settings) as ledger:
        if metrics:
            from importer.report.metrics import render_metrics_of_ledger  # noqa: PLC0415 - rare

            click.echo(render_metrics_of_ledger(ledger), nl=False)
            return Exit.OK
        shown = ledger.senders.overview()
        lists = [] if settings.ledger_file else read_listed(ledger)
    console = Console()
    console.print(senders_text(shown), crop=False)
    queue = None if settings.ledger_file else read_overview(settings)
    if queue is not None:
        console.print(_queue_text(queue, lists), crop=False)
    return Exit.OK


def _queue_text(queue: QueueOverview, lists: Sequence[ListedRun]) -> Group:
    """Return what waits in the queue, who works on it, and the lists that have not ended."""
    waiting, busy = sum(queue.waiting.values()), sum(queue.under_way.values())
    said = translate(
        "Workers: {workers}. Jobs: {busy} under way, {waiting} waiting, {stalled} stalled.",
        workers=number(queue.workers),
        busy=number(busy),
        waiting=number(waiting),
        stalled=number(queue.stalled),
    )
    if not lists:
        return Group(Text(said))
    table = plain_table("run", "state", "left", "by", "", numbers=frozenset({"left"}))
    for each in lists:
        state = translate_word(each.state.value)
        reason = plain(translate_filled(each.message), 400)
        table.add_row(plain(each.run), state, number(each.left), plain(each.by), reason)
    return Group(Text(said), indent(table))


def _change_list(
    settings: Settings, pause: str | None, resume: str | None, stop: str | None
) -> int:
    """Pause, resume or stop a list of the queue."""
    [run, *others] = [each for each in (pause, resume, stop) if each is not None]
    if others:
        raise UsageError("--pause, --resume and --stop exclude each other.", "Give one of them.")
    if not run:  # as from a variable of a script that is not set
        raise UsageError("The id of the run is empty.", "`importer jobs` lists the runs.")
    with (
        Ledger.open(settings.ledger, create=False) as ledger,
        JobQueue.open(settings) as queue,
        closing(QueuedLists(settings, ledger)) as lists,
    ):
        if resume is not None:
            known = lists.resume(run)
        else:
            known = lists.pause(run, for_good=stop is not None)
        queue.wake_worker()
    if known.state is ListState.QUEUED:
        tell(translate("Run {run} goes on.", run=known.run))
    else:
        state = translate_word(known.state.value)
        tell(
            translate(
                "Run {run} is {state}; `importer jobs --resume {run}` lets it go on.",
                run=known.run,
                state=state,
            )
        )
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
    not while an older version sends; back it up with pg_dump before. There it also sets up the
    queue of `importer work`, if that is installed. If IMPORTER_HMAC_KEY is set, only this command
    makes a new ledger.
    """
    settings = read_settings(config, flags)
    has_key = has_key_in_environment()  # then no other command makes a ledger
    with Ledger.open(settings.ledger, create=has_key) as ledger:
        if ledger.key_id is None and not ledger.runs.list(limit=1):
            if has_key:
                ledger.note_key(key_id(hmac_key(settings, create=False)))
            tell(
                translate(
                    "The ledger {name} is new and empty: it does not know who was contacted.",
                    name=ledger.name,
                )
            )
        else:
            tell(translate("The ledger {name} is up to date.", name=ledger.name))
    if settings.ledger_file is None and is_installed():
        with JobQueue.open(settings) as queue:
            made = queue.set_up()
        tell(translate("The queue was set up.") if made else translate("The queue is up to date."))
    return Exit.OK
