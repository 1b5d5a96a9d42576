"""Send a plan, resume a run, reconcile doubtful submissions, refresh statuses.

    deliver:  begin a run -> reconcile -> send -> reconcile -> send what was proved absent
    resume:   the same for a run that has begun; it sends nothing that may have been sent

Everything holds the ledger and runs in one event loop. On a server, several processes may hold it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

import polars as pl

from importer.errors import CredentialsError, Exit, UsageError
from importer.ledger import open_and_lock
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.ledger.tables import OPEN, SENDABLE
from importer.masking import find_file
from importer.model import RowStatus, RunReport, State
from importer.planning.history import (
    ALLOWED,
    OpenRows,
    bind_history,
    find_no_longer_sendable,
    refuse_shared_folder,
)
from importer.planning.payload import (
    RowsByKey,
    identify,
    planned_rows,
    submissions,
    with_keys,
)
from importer.preflight import refuse_example_values
from importer.prepare import prepare
from importer.report.exit_codes import exit_of_run
from importer.sending.campaigns import CampaignRows
from importer.sending.circuit_breaker import Ending
from importer.sending.client import Client
from importer.sending.events import apply_events
from importer.sending.reconcile import Sighting, see_conversation
from importer.sending.run_options import SILENT
from importer.sending.sender import (
    ReconcileReport,
    RefreshReport,
    Sender,
    doubt_of,
    refresh_statuses,
)
from importer.sending.supply import Claimed, FirstFew, Listed
from importer.sending.tracing import add_facts, open_traces, traced
from schemas.codes import WORDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager

    from sqlalchemy import Connection

    from importer.ledger import Ledger
    from importer.ledger.records import Run, SubmissionRecord
    from importer.model import Plan, Submission
    from importer.planning.history import RunHistory
    from importer.sending.run_options import Observer, RunOptions
    from importer.settings import Credentials, Settings
    from schemas.codes import Code

_ROUNDS: Final = 3
"""Rounds of sending in a run. Rows that the last one leaves proved absent wait for a resume."""

_PLANNING: Final = "plan"
_PLANNING_S: Final = 300.0
"""The turn of the one sender that plans, and how long another one waits for it, seconds."""

_PIECE: Final = 8_000_000
"""Bytes of a file that are prepared again at once: a tenth more time and 100 MB less than usual."""

_BATCH: Final = (16, 64)
"""At least and at most this many submissions are claimed at a time on a server."""

_SETTLE: Final = (
    "The API's list settles none of them now. `importer reconcile` looks again later; or look the "
    "people up, and settle each with `importer resolve`."
)


def deliver(
    plan: Plan, settings: Settings, options: RunOptions, observer: Observer = SILENT
) -> RunReport:
    """Send the ready rows of a plan, and report how each submission stands.

    Args:
        plan: the plan as `prepare` made it.
        settings: the ones it was made with.
        options: credentials, limit and signals.
        observer: the observer that is told what happens.

    Raises:
        Held: a template has example values, and the API contacts people.
        LedgerError: another process holds the ledger, or it fails; nothing more is sent then.
    """
    refuse_example_values(plan, settings)
    started_s = monotonic()
    with _locked_ledger(settings, options, observer, create=True) as ledger:
        run, plan, history = begin_run(plan, settings, options.credentials, ledger)
        opening = Sender.open(run, history, settings, options, observer)
        report = _finish(run, ledger, asyncio.run(_send_rounds(plan, run, opening)))
        return replace(report, took_s=monotonic() - started_s)


def begin_run(
    plan: Plan,
    settings: Settings,
    credentials: Credentials,
    ledger: Ledger,
    then: Callable[[Connection, str], None] | None = None,
) -> tuple[str, Plan, RunHistory]:
    """Write a new run with the rows of a plan to the ledger; send nothing.

    Args:
        plan: the plan as `prepare` made it.
        settings: the ones it was made with.
        credentials: name the organization.
        ledger: locked by this process.
        then: as for `Runs.begin`.

    Returns:
        The id of the run, the plan as it can be sent, and the ledger with its identity.

    Raises:
        LedgerError: another process plans, or the ledger belongs to another organization.
    """
    with ledger.turn(_PLANNING, max(settings.ledger_wait_s, _PLANNING_S)) as fence:
        history = bind_history(ledger, settings, credentials.organization_id)
        apply_events(ledger, history.identity.organization)
        plan = history.exclude_known(plan, settings)  # again: another run may have ended since
        new = NewRun(
            plan.hash, _files(plan), history.run_settings(settings), settings.retry_rejected
        )
        keys = [pl.Series(dtype=pl.String)]
        rows = _note_keys(planned_rows(plan, history.identity, settings), keys)
        run = ledger.runs.begin(new, rows, fence, then)
        return run, with_keys(plan, pl.concat(keys)), history


def _note_keys(parts: Iterable[pl.DataFrame], keys: list[pl.Series]) -> Iterator[pl.DataFrame]:
    """Yield planned rows, and add the keys of the ready ones to a list."""
    for part in parts:
        keys.append(part["key"].filter(part["status"] == RowStatus.READY.value))
        yield part


def resume(
    run_id: str | None,
    settings: Settings,
    options: RunOptions,
    observer: Observer = SILENT,
    copies: Mapping[str, str] | None = None,
) -> RunReport:
    """Continue a run where it stopped; nothing is sent again that may have been sent.

    Args:
        run_id: id of the run, or its beginning; None for the newest.
        settings: those that shape bodies must be unchanged since the run began.
        options: credentials, limit and signals.
        observer: the observer that is told what happens.
        copies: as for `prepare_again`.

    Raises:
        UsageError: there is no such run, or its files or settings have changed.
        Held: a template has example values, and the API contacts people.
        LedgerError: another process holds the ledger, or it fails.
    """
    started_s = monotonic()
    with _locked_ledger(settings, options, observer) as ledger:
        run = ledger.runs.find(run_id)
        history = bind_history(ledger, settings, options.credentials.organization_id)
        plan = prepare_again(run, settings, copies, _find_open_rows(run, history))
        refuse_example_values(plan, settings)
        plan = identify(plan, history.identity)
        ledger.runs.reopen(run.id)
        if not run.settings.get(ALLOWED):
            reject_shared_contacts(run.id, ledger, settings)
        opening = Sender.open(run.id, history, settings, options, observer)
        report = _finish(run.id, ledger, asyncio.run(_send_rounds(plan, run.id, opening)))
        return replace(report, took_s=monotonic() - started_s)


def _find_open_rows(run: Run, history: RunHistory) -> OpenRows | None:
    """Find what a run may still send, if that is a small part of it.

    On a server, another process may meanwhile open more of its submissions; so all rows are kept.
    """
    ledger = history.ledger
    if ledger.share(run.id) is not None:
        return None
    states = ledger.runs.states(run.id)
    left = sum(states.get(state, 0) for state in SENDABLE | OPEN)
    if left > sum(states.values()) // 2:
        return None
    keys = pl.Series(ledger.submissions.unfinished(run.id), dtype=pl.String)
    return OpenRows(history.identity, keys)


def prepare_again(
    run: Run,
    settings: Settings,
    copies: Mapping[str, str] | None = None,
    open_rows: OpenRows | None = None,
) -> Plan:
    """Prepare the plan of an earlier run again from its files; it can be sent, but not shown.

    Args:
        run: the run.
        settings: those that shape bodies must be unchanged since the run began.
        copies: sha256 -> path of a copy of the file; by default the files are where they were.
        open_rows: keeps only a part of the rows; all of them by default.

    Raises:
        UsageError: a file is gone, or a file, a template or a setting has changed.
    """
    files = []
    for source in run.sources:
        if copies is not None:
            if source.sha256 not in copies:
                raise UsageError(
                    f"This machine does not see a file of run {run.id} in `uploads:`.",
                    "Set `uploads:` to one folder or store for all machines, then run `importer "
                    f"jobs --resume {run.id}`. If the file is gone, run another copy of it; rows "
                    "already sent are skipped.",
                )
            files.append(copies[source.sha256])
            continue
        if not source.name:
            raise UsageError(
                f"The names of the files of run {run.id} were purged.",
                "Run the file again: rows that are done are skipped.",
            )
        if source.path is None:
            raise UsageError(
                f"Run {run.id} read {source.name} from standard input, which cannot be read again.",
                "Save it as a file and run it; rows already sent are skipped.",
            )
        path = find_file(source.path, source.sha256)
        if not Path(path).is_file():
            raise UsageError(
                f"Run {run.id} needs {path}, which is gone.",
                "Put the file back, or run another copy of it; rows already sent are skipped.",
            )
        files.append(path)
    plan = prepare(files, settings, open_rows, cells=False, piece=_PIECE)
    for source, path, table in zip(run.sources, files, plan.tables, strict=True):
        if source.sha256 != table.source.sha256:
            raise UsageError(
                f"{path} is not the file that run {run.id} read; its content changed.",
                "Put the old file back, or run the new one; rows already sent are skipped.",
            )
    if plan.hash != run.plan_hash:
        raise UsageError(
            f"Templates, settings or the importer changed since run {run.id}, so its rows would "
            "be sent differently from what was approved.",
            "Put them back, or run the file again; rows already sent are skipped.",
        )
    return plan


def reconcile(
    run_id: str | None, settings: Settings, options: RunOptions, observer: Observer = SILENT
) -> ReconcileReport:
    """Look up the doubtful submissions of a run, or of all runs, in the API's list.

    Args:
        run_id: id of the run, or its beginning; None for all runs.
        settings: say where the ledger and the API are.
        options: credentials and signals.
        observer: the observer that is told what happens.

    Raises:
        UsageError: there is no such run.
        LedgerError: another process holds the ledger, or there is none.
    """
    with _locked_ledger(settings, options, observer) as ledger:
        run = None if run_id is None else ledger.runs.find(run_id).id
        history = bind_history(ledger, settings, options.credentials.organization_id)

        async def look_up() -> ReconcileReport:
            async with Sender.open(run, history, settings, options, observer) as sender:
                return ReconcileReport(await sender.reconcile(), ledger.doubts.list(run))

        return asyncio.run(look_up())


def refresh(
    run_id: str | None, settings: Settings, options: RunOptions, observer: Observer = SILENT
) -> RefreshReport:
    """Read the present statuses of the conversations of a run, or of all runs, into the ledger.

    Args and exceptions: as for `reconcile`.
    """
    with _locked_ledger(settings, options, observer) as ledger:
        run = None if run_id is None else ledger.runs.find(run_id).id
        bind_history(
            ledger, settings, options.credentials.organization_id
        )  # refuses another's ledger
        apply_events(ledger, options.credentials.organization_id)
        ids = ledger.conversations.ids(run)
        return asyncio.run(refresh_statuses(ids, ledger, settings, options, observer))


def check_conversation(
    record: SubmissionRecord, conversation_id: str, ledger: Ledger, settings: Settings
) -> Sighting:
    """Ask the API whether a conversation that a person names belongs to a row.

    Args:
        record: the row's submission; a request for it has left.
        conversation_id: the one that the person names.
        ledger: the open ledger that holds the record.
        settings: say where the API is.

    Raises:
        LedgerError: the ledger belongs to another API or organization.
    """
    try:
        credentials = settings.credentials()
    except CredentialsError as missing:
        return Sighting(None, missing.message)
    identity = bind_history(ledger, settings, credentials.organization_id).identity

    async def see() -> Sighting:
        async with Client(settings, credentials) as client:
            return await see_conversation(conversation_id, doubt_of(record), client, identity)

    return asyncio.run(see())


@contextmanager
def _locked_ledger(
    settings: Settings, options: RunOptions, observer: Observer, *, create: bool = False
) -> Iterator[Ledger]:
    """Lock the ledger: the caller's if it is open, else the one that the settings name."""
    if options.ledger is not None:
        with options.ledger.lock(options.command, settings.ledger_wait_s, lease_s=settings.lease_s):
            options.ledger.recover()
            yield options.ledger
        return
    refuse_shared_folder(settings)  # before a ledger is made there
    with open_and_lock(
        settings.ledger,
        options.command,
        settings.ledger_wait_s,
        create=create,
        new=create and settings.new_ledger,
        on_commit=observer.on_commit,
        lease_s=settings.lease_s,
    ) as ledger:
        yield ledger


def report_of(ledger: Ledger, run: Run, ending: Ending | None = None) -> RunReport:
    """Return the report of a run as the ledger knows it now.

    Args:
        ledger: the one with the run.
        run: the run as the ledger gives it.
        ending: why it ended; what the ledger says by default.
    """
    states, counts = ledger.runs.states(run.id), ledger.runs.counts(run.id)
    elsewhere = ledger.runs.open_elsewhere(run.id)
    end = ending or Ending(run.stopped) or _explain_taken_over(ledger, run.id)
    return RunReport(
        run=run.id,
        counts=counts,
        states=states,
        started=run.started,
        finished=run.finished or datetime.now(UTC),
        stopped=end.reason,
        exit_code=exit_of_run(counts.rejected, Counter(states) + Counter(elsewhere), end),
        open_elsewhere=sum(elsewhere.values()),
        plan_hash=run.plan_hash,
    )


def _explain_taken_over(ledger: Ledger, run: str) -> Ending:
    """Return which run has taken over rows that are not sent yet; false if none has."""
    runs = ledger.runs.find_taken_over(run)
    if not runs:
        return Ending()
    other = max(runs, key=lambda each: runs[each])
    doubtful = ledger.runs.states(run, live=True).get(State.DOUBTFUL, 0)
    return Ending(
        f"Run {other} has taken over {runs[other]:,} of its rows, because it has the same people. "
        f"`importer results {other}` shows them.",
        Exit.DOUBTFUL if doubtful else Exit.HELD,
    )


def _finish(run: str, ledger: Ledger, ending: Ending) -> RunReport:
    ledger.runs.finish(run, ending.reason)
    return report_of(ledger, ledger.runs.find(run), ending)


async def _send_rounds(
    plan: Plan, run: str, opening: AbstractAsyncContextManager[Sender]
) -> Ending:
    """Look up doubts, send what is open, and send again what was proved absent."""
    with open_traces(), traced("run", run=run) as span:
        ending = await _send_in_rounds(plan, run, opening)
        add_facts(span, exit_code=ending.exit_code)
        return ending


async def _send_in_rounds(
    plan: Plan, run: str, opening: AbstractAsyncContextManager[Sender]
) -> Ending:
    async with opening as sender:
        reconciles = sender.settings.reconcile
        if reconciles:
            await sender.reconcile(wait=False)  # what another sender finds can be sent below
        if sender.history.ledger.submissions.count_sendable(run):
            await check_campaigns_of_plan(plan, sender)
        absent = 0
        while True:
            ending = await _send_open(plan, run, sender)
            if reconciles and ending.exit_code is Exit.HELD:
                return await _explain_conflicts(ending, sender)
            too_many_doubts = ending.exit_code is Exit.DOUBTFUL
            if not reconciles or (ending and not too_many_doubts):
                break
            findings = await sender.reconcile()
            if too_many_doubts:
                if findings.settled:
                    continue
                ending = replace(ending, reason=f"{ending.reason} {_SETTLE}")
                break
            absent += 1
            if absent == _ROUNDS or not findings.absent:
                break
        return ending or sender.closed.ending()


async def check_campaigns_of_plan(plan: Plan, sender: Sender) -> None:
    """Ask the API about each campaign of a plan; nothing is sent to one that it refuses."""
    external = plan.frame.filter(
        pl.col("campaign").is_null() & pl.col("external_campaign").is_not_null()
    )
    await sender.check_campaigns(_campaign_rows(plan), by_external_id=external.height > 0)


async def _explain_conflicts(ending: Ending, sender: Sender) -> Ending:
    """Look up the rows of a held run that the API refused as duplicates without proof."""
    if not sender.claims():
        return ending
    findings = await sender.reconcile()
    if not findings.duplicates:
        return ending
    goes_on = f"The list shows that {findings.duplicates} of them are duplicates"
    return replace(ending, reason=f"{ending.reason} {goes_on}; `importer resume` continues.")


async def _send_open(plan: Plan, run: str, sender: Sender) -> Ending:
    """Send the submissions that the ledger allows to be sent in this run."""
    history, settings, limit = sender.history, sender.settings, sender.options.limit
    apply_events(history.ledger, history.identity.organization)
    reject_no_longer_sendable(run, history.ledger, settings)
    left = history.ledger.submissions.count_sendable(run)
    count = left if limit is None else min(left, max(limit - sender.done, 0))
    sender.observer.on_start(run, count, sender.limiter.eta_s(count))
    share = history.ledger.share(run, contact_window(settings), sender.options.since)
    if share is None:
        # In a new run all rows of the plan are left, and no key has to be read from the ledger.
        only = None
        if left != plan.frame.height:
            only = frozenset(history.ledger.submissions.sendable(run, count))
        bodies = submissions(plan, history.identity, settings, only=only)
        ending = await sender.send(Listed(islice(bodies, count)), count)
    else:
        render = partial(render_rows, plan, RowsByKey(plan.frame), sender)
        claimed = Claimed(share, render, claim_size(settings))
        supply = claimed if limit is None else FirstFew(claimed, count)
        try:
            ending = await sender.send(supply, count, share)
        finally:
            await claimed.close()
    if not ending and count < left:
        return Ending(f"The limit of {limit} is reached.", Exit.OK)
    return ending


def render_rows(
    plan: Plan, rows: RowsByKey, sender: Sender, keys: Sequence[str]
) -> list[Submission]:
    """Make the submissions with these keys."""
    found = rows.find(keys)
    return list(submissions(plan, sender.history.identity, sender.settings, found))


def contact_window(settings: Settings) -> timedelta | None:
    """Return how long people are held back after another run contacted them; None for no time."""
    days = 0 if settings.allow_recent else settings.contact_window_days
    return timedelta(days=days) if days else None


def claim_size(settings: Settings) -> int:
    """Return how many submissions to claim at once: enough for all workers, few enough to share.

    To claim and render them takes 8 to 10 ms, however many they are.
    """
    least, most = _BATCH
    return min(max(4 * settings.concurrency, least), most)


def _campaign_rows(plan: Plan) -> list[CampaignRows]:
    """Return how many rows go to each campaign, and how many of them have a phone and an e-mail."""
    counted = (
        plan.frame.filter(pl.col("campaign").is_not_null())
        .group_by("campaign", maintain_order=True)
        .agg(
            pl.len().alias("rows"),
            pl.col("phone_number").is_not_null().sum().alias("phones"),
            pl.col("email").is_not_null().sum().alias("emails"),
        )
    )
    return [CampaignRows(**row) for row in counted.iter_rows(named=True)]


def reject_no_longer_sendable(run: str, ledger: Ledger, settings: Settings) -> None:
    """Reject rows of people who opted out or were contacted by other runs in the meantime."""
    _reject(find_no_longer_sendable(ledger, run, settings, now=ledger.now()), run, ledger)


def reject_shared_contacts(run: str, ledger: Ledger, settings: Settings) -> None:
    """Reject rows of people that another run has meanwhile planned under another contact."""
    if not settings.allow_shared_contact:
        _reject(ledger.rechecks.shared_contacts(run), run, ledger)


def _reject(found: Mapping[str, Code], run: str, ledger: Ledger) -> None:
    ends = [
        Settlement(key, State.REJECTED, code=code.value, message=WORDS[code].fix)
        for key, code in found.items()
    ]
    if not ends:
        return
    share = ledger.share(run)
    if share is None:
        ledger.submissions.settle(run, ends)
    else:  # what another sender is sending stays as it is
        share.record((), ends)


def _files(plan: Plan) -> tuple[SourceFile, ...]:
    return tuple(
        SourceFile(
            name=table.source.name,
            path=None if table.source.path is None else str(table.source.path),
            sha256=table.source.sha256,
            size=table.source.size,
        )
        for table in plan.tables
    )
