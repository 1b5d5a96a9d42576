"""`importer run` and `resume`: show what would be sent, ask, send, and show the result."""

from __future__ import annotations

import signal
import socket
import sys
from functools import partial
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click

from importer.cli.options import (
    OUT_FILE,
    check_outputs,
    confirm,
    json_format,
    messages,
    read_settings,
    settings_flags,
)
from importer.deliver import deliver, reconcile
from importer.deliver import resume as resume_run
from importer.errors import ConfigurationError, Exit, Held, ImporterError, UsageError
from importer.languages import (
    ENGLISH,
    language,
    translate,
    translate_count,
    translate_filled,
    use_language,
)
from importer.ledger import Ledger
from importer.loader import expand, open_read
from importer.masking import find_file
from importer.model import State
from importer.planning.history import open_history
from importer.planning.plan import drop_cells
from importer.preflight import refuse_example_values, refuse_unreadable, require_expected_plan
from importer.prepare import prepare
from importer.report import export, terminal, view
from importer.report.exit_codes import exit_of_plan, exit_without_sending
from importer.report.formatting import GivenFlags
from importer.report.outcomes import outcome_frame
from importer.report.progress import progress
from importer.report.results import read_result_rows, reread_files, save_results
from importer.report.terminal_history import LISTED, print_run, settled_text
from importer.sending.run_options import RunOptions
from importer.settings.settings import FLAGS
from importer.settings.sources import SANDBOX_URL
from importer.settings.values import is_loopback

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Plan, RunReport
    from importer.settings import Credentials, Settings


STOPS = (signal.SIGINT, signal.SIGTERM)
"""Signals that end a run early: requests under way finish, and the ledger stays whole."""

_OPEN = (State.PLANNED, State.UNSENT, State.SENDING, State.DOUBTFUL)
"""States of submissions that `resume` may send."""


@click.command(short_help="Check spreadsheets, ask, and create the conversations.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--yes", is_flag=True, help="Do not ask. Required without a terminal.")
@click.option("--dry-run", is_flag=True, help="Show the summary and stop, like check.")
@click.option(
    "--limit", type=click.IntRange(min=1), help="Send at most this many; resume sends the rest."
)
@click.option(
    "--expect-plan",
    metavar="HASH|FILE",
    help="Send only if the plan is this one: its hash, or the JSON of check --format json.",
)
@click.option("--queue", is_flag=True, help="Let workers (`importer work`) send the list.")
@click.option(
    "--wait/--no-wait",
    default=True,
    help="With --queue: wait until the workers are done, or only print the run's id.",
)
@click.option("--results", type=OUT_FILE, help="Write the result of each row to this CSV file.")
@click.option("--show-values", is_flag=True, help="Show phones, e-mails and names unmasked.")
@json_format
@settings_flags(*FLAGS["run"])
def run(
    files: tuple[str, ...],
    *,
    yes: bool,
    dry_run: bool,
    limit: int | None,
    expect_plan: str | None,
    queue: bool,
    wait: bool,
    results: Path | None,
    show_values: bool,
    form: str,
    config: Path | None,
    **flags: object,
) -> int:
    """Check spreadsheets, show what would be sent, ask, and create the conversations.

    Nobody is contacted twice: people that the ledger has as contacted are skipped, whichever
    file lists them. Ctrl-C lets requests under way finish; `importer resume` continues.
    """
    settings = read_settings(config, flags)
    if queue:
        _require_queue(settings, limit)
    if results is not None:
        check_outputs({"--results": results}, expand(files), settings)
    console = messages()
    if not dry_run:
        _migrate_ledger(settings)
    with open_history(settings) as history:
        plan = prepare(files, settings, history)
    shown = view.plan_view(plan, settings)
    goes = not dry_run and not shown.blocked and plan.counts.ready > 0
    terminal.print_plan(console, shown, show_values=show_values, steps=not goes)
    if dry_run:
        return _end_unsent(shown, "dry-run", exit_of_plan(plan), form)
    _refuse_unsendable(plan, expect_plan, blocked=shown.blocked)
    if not plan.counts.ready and _look_up_earlier(settings):
        with open_history(settings) as history:
            plan = prepare(files, settings, history)
        shown = view.plan_view(plan, settings)
        terminal.print_plan(console, shown, show_values=show_values, steps=not plan.counts.ready)
    if not plan.counts.ready:
        console.print(translate("Nothing to send."))
        return _end_unsent(shown, "nothing-to-send", exit_without_sending(plan), form)
    credentials = settings.credentials()
    refuse_example_values(plan, settings)
    _require_sandbox(settings)
    count = plan.counts.ready if limit is None else min(limit, plan.counts.ready)
    people = translate_count(count, "Contact {n} person", "Contact {n} people")
    if not yes and not _ask(people, settings, credentials):
        console.print(translate("Nothing was sent."))
        return _end_unsent(shown, "not-confirmed", Exit.HELD, form)
    plan = drop_cells(plan)
    del shown  # it holds them, too
    if queue:
        from importer.cli.queue_following import (  # noqa: PLC0415 - heavy
            put_in_queue,
            show_queued,
            wait_for_run,
        )

        run_id = put_in_queue(plan, files, settings, credentials)
        if not wait:
            return show_queued(run_id, settings, form)
        report = wait_for_run(run_id, settings, console)
    else:
        options = RunOptions("importer run", credentials, limit, STOPS)
        with progress(console) as observer:
            report = deliver(plan, settings, options, observer)
    return _show_result(report, settings, results, form)


def _refuse_unsendable(plan: Plan, expect_plan: str | None, *, blocked: bool) -> None:
    """Raise an error if a file cannot be used, the plan is another one, or rows need fixing."""
    refuse_unreadable(plan)
    if expect_plan is not None:
        require_expected_plan(expect_plan, plan)
    if blocked:
        n = plan.counts.rejected
        raise Held(
            f"Nothing is sent while {n:,} rows need fixing."
            if n > 1
            else "Nothing is sent while 1 row needs fixing.",
            "Fix them, or leave them out with --on-problems skip.",
        )


def _require_queue(settings: Settings, limit: int | None) -> None:
    """Check what a list needs to be put into the queue, before long work."""
    from importer.work.worker_pool import require_workable  # noqa: PLC0415 - heavy

    require_workable(settings)
    if limit is not None:
        raise UsageError("--limit and --queue exclude each other.", "Leave one of them out.")
    if "rate_per_s" in settings.flags:
        raise UsageError(
            "--rate-per-s and --queue exclude each other: workers keep the rate of their settings.",
            "Set `rate_per_s` in importer.yaml on the machines of the workers.",
        )


@click.command(short_help="Resume an unfinished run.")
@click.argument("run_id", required=False, metavar="[RUN]")
@click.option("--yes", is_flag=True, help="Do not ask. Without a terminal nobody is asked.")
@click.option("--results", type=OUT_FILE, help="Write the result of each row to this CSV file.")
@json_format
@settings_flags(*FLAGS["resume"])
def resume(
    run_id: str | None,
    *,
    yes: bool,
    results: Path | None,
    form: str,
    config: Path | None,
    **flags: object,
) -> int:
    """Resume RUN, or the newest run, where it stopped.

    It needs the same files, settings and templates. Rows that were sent are not sent again, and
    doubtful ones are looked up first.
    """
    settings = read_settings(config, flags)
    credentials = settings.credentials()
    with Ledger.open(settings.ledger, create=False) as ledger:
        run = ledger.runs.find(run_id)
        states = ledger.runs.states(run.id)
        left = sum(states.get(state, 0) for state in _OPEN)
    if results is not None:
        sources = [find_file(each.path or "-", each.sha256) for each in run.sources]
        check_outputs({"--results": results}, sources, settings)
    _require_sandbox(settings)
    console = messages()
    if left and not yes and sys.stdin.isatty():
        people = translate_count(left, "Contact up to {n} person", "Contact up to {n} people")
        if not _ask(people, settings, credentials):
            console.print(translate("Nothing was sent."))
            if form == "json":
                held = export.error_json(Exit.HELD, "Nothing was sent.")
                export.write_json(held, sys.stdout)
            return Exit.HELD
    options = RunOptions("importer resume", credentials, signals=STOPS)
    with progress(console, done=sum(states.values()) - left) as observer:
        report = resume_run(run_id, settings, options, observer)
    return _show_result(report, settings, results, form)


def _look_up_earlier(settings: Settings) -> bool:
    """Look up the doubtful rows of earlier runs; return whether any was settled. Send nothing."""
    console = messages()
    ledger = Ledger.open_existing(settings.ledger) if settings.reconcile else None
    if ledger is None:
        return False
    with ledger:
        if not ledger.doubts.list():
            return False
    try:
        options = RunOptions("importer run", settings.credentials(), signals=STOPS)
        with progress(console) as observer:
            settled = reconcile(None, settings, options, observer)
    except ImporterError as error:
        reason = translate_filled(str(error))
        said = translate(
            "The doubtful rows of earlier runs were not looked up: {reason}", reason=reason
        )
        console.print(said)
        return False
    console.print(settled_text(settled, GivenFlags.of(settings)), crop=False)
    return settled.findings.settled > 0


def _require_sandbox(settings: Settings) -> None:
    """Raise ConfigurationError if this is a rehearsal and nothing listens at its address."""
    if not settings.rehearsal:
        return
    place = urlsplit(settings.base_url)
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=5).close()
    except OSError as error:
        usual = settings.base_url == SANDBOX_URL
        command = "importer sandbox" if usual else f"importer sandbox --port {port}"
        raise ConfigurationError(
            f"The sandbox does not answer at {settings.base_url}, so nothing was sent.",
            f"Start it in another terminal with `{command}`.",
        ) from error


def _ask(contact: str, settings: Settings, credentials: Credentials) -> bool:
    """Ask the person at the terminal; raise UsageError if there is no terminal.

    Args:
        contact: the beginning of the question: `Contact 312 people`.
        settings: say the address of the API.
        credentials: name the organization.
    """
    if not sys.stdin.isatty():
        raise UsageError("There is no terminal to ask on.", "Give --yes to send without asking.")
    # Polars installs a handler of its own, under which reading continues after Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    host = urlsplit(settings.base_url).hostname or ""
    question = translate(
        "{contact} through {host} as organization {organization}?",
        contact=contact,
        host=host,
        organization=credentials.organization_id,
    )
    if is_loopback(host):
        question += f" ({translate('rehearsal: nobody is contacted')})"
    return confirm(question)


def _end_unsent(shown: view.PlanView, ending: str, code: Exit, form: str) -> int:
    """End a run that sent nothing."""
    if form == "json":
        export.write_json(export.unsent_json(shown, ending, code), sys.stdout)
    return code


def _show_result(report: RunReport, settings: Settings, results: Path | None, form: str) -> int:
    """Show the result of a run, and write its results file if one was asked for."""
    console = messages()
    with Ledger.open(settings.ledger, create=False) as ledger:
        run = ledger.runs.find(report.run)
        names = [each.name for each in run.sources]
        with use_language(ENGLISH if form == "json" else language()):
            named = outcome_frame(ledger.runs.not_sent(run.id, LISTED), names)
            shown = view.run_view(report, named, names, settings)
        doubtful = ledger.doubts.list(run.id)
        error, written = None, results
        if results is not None:
            files = reread_files(run.sources, partial(open_read, settings=settings))
            try:
                save_results(shown, read_result_rows(ledger, run), files, results)
            except ImporterError as failed:  # the result is still shown
                error, written = failed, None
    print_run(console, shown, doubtful=doubtful, results=written)
    if form == "json":
        name = None if written is None else str(written)
        export.write_json(export.run_json(shown, doubtful, name, error), sys.stdout)
        if error is not None:
            click.echo(
                translate("Error: {message}", message=translate_filled(str(error))), err=True
            )
            return error.exit_code
    if error is not None:
        raise error
    return Exit(report.exit_code)


def _migrate_ledger(settings: Settings) -> None:
    """Migrate the ledger of an older version, with a backup; create none."""
    file = settings.ledger_file
    if file is not None and file.is_file() and file.stat().st_size:
        Ledger.open(settings.ledger, create=False, new=settings.new_ledger).close()
