"""The road: `prepare()` reads, checks and plans; `deliver()` sends, records and reports.

`prepare()` stands in a module of its own, so that a check starts without what only sending needs.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from importer.ledger import open_and_lock
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.model import RunReport, State
from importer.planning.history import to_leave_alone, writing
from importer.planning.payload import planned_rows, submissions
from importer.preflight import exit_of_run, same_plan
from importer.prepare import prepare
from importer.sending.circuit_breaker import Ending
from importer.sending.delivery import Delivery
from schemas.codes import WORDS

if TYPE_CHECKING:
    from importer.ledger import Ledger
    from importer.ledger.records import Run
    from importer.model import Plan
    from importer.planning.history import History
    from importer.sending.delivery import Order
    from importer.settings import Settings

__all__ = ["deliver", "prepare", "report_of", "resume"]


_ROUNDS: Final = 2
"""How often a run sends again what was proved absent."""


def deliver(plan: Plan, settings: Settings, order: Order) -> RunReport:
    """Sends what is ready, under the ledger's lock, and says what became of it.

    Raises:
        LedgerError: somebody else holds the ledger, or it fails; nothing more is sent then.
    """
    with open_and_lock(
        settings.ledger,
        order.command,
        settings.ledger_wait_s,
        create=True,
        on_commit=order.on_commit,
    ) as ledger:
        history = writing(ledger, settings, order.credentials.organization_id)
        plan = history.applied_to(plan, settings)  # again: a run may have ended meanwhile
        new = NewRun(plan.hash, _files(plan), history.noted(settings), settings.retry_rejected)
        run = ledger.runs.begin(new, planned_rows(plan, history.identity, settings))
        return _delivered(plan, ledger.runs.find(run), history, settings, order)


def resume(name: str | None, settings: Settings, order: Order) -> RunReport:
    """Goes on with a run where it stopped; sends nothing again that may have been sent.

    Args:
        name: id of the run, or its beginning; the newest where None.
        settings: the same as then, as far as they shape bodies.
        order: how.

    Raises:
        UsageError: there is no such run, or its files or settings are no longer what they were.
    """
    with open_and_lock(
        settings.ledger, order.command, settings.ledger_wait_s, on_commit=order.on_commit
    ) as ledger:
        run = ledger.runs.find(name)
        history = writing(ledger, settings, order.credentials.organization_id)
        plan = same_plan(run, lambda files: prepare(files, settings))
        ledger.runs.reopen(run.id)
        return _delivered(plan, run, history, settings, order)


def report_of(ledger: Ledger, run: Run, ending: Ending | None = None) -> RunReport:
    """What a run did, as the ledger knows it now.

    Args:
        ledger: that holds it.
        run: as the ledger gives it.
        ending: why it ended, where that is known better than from the ledger.
    """
    states, counts = ledger.runs.states(run.id), ledger.runs.counts(run.id)
    end = ending or Ending(run.stopped)
    return RunReport(
        run=run.id,
        counts=counts,
        states=states,
        started=run.started,
        finished=run.finished or datetime.now(UTC),
        stopped=end.reason,
        exit_code=exit_of_run(counts.rejected, states, end),
        plan_hash=run.plan_hash,
    )


def _leave_alone(run: str, ledger: Ledger, settings: Settings) -> None:
    """Rejects what was meant for those who opted out, or whom others contacted, meanwhile."""
    found = to_leave_alone(ledger, run, settings, now=datetime.now(UTC))
    if found:
        ledger.submissions.settle(
            run,
            [
                Settlement(key, State.REJECTED, code=code.value, message=WORDS[code].fix)
                for key, code in found.items()
            ],
        )


def _delivered(
    plan: Plan, run: Run, history: History, settings: Settings, order: Order
) -> RunReport:
    ending = asyncio.run(_deliver(plan, run, history, settings, order))
    history.ledger.runs.finish(run.id, ending.reason)
    return report_of(history.ledger, history.ledger.runs.find(run.id), ending)


async def _deliver(
    plan: Plan, run: Run, history: History, settings: Settings, order: Order
) -> Ending:
    """Settles what is doubtful, sends what is open, settles again, and sends what was absent.

    What is absent again and again is left to a later resume: something eats those requests.
    """
    stop = order.stop_event()
    async with Delivery.begun(run.id, history, settings, order, stop) as delivery:
        await delivery.reconcile()
        ending = await _send(plan, history, settings, order, delivery)
        for _ in range(_ROUNDS):
            if ending or not await delivery.reconcile():
                return ending
            ending = await _send(plan, history, settings, order, delivery)
        await delivery.reconcile()
        return ending


async def _send(
    plan: Plan, history: History, settings: Settings, order: Order, delivery: Delivery
) -> Ending:
    """Sends whatever the ledger says may be sent in this run."""
    _leave_alone(delivery.run, history.ledger, settings)
    keys = history.ledger.submissions.sendable(delivery.run)
    going = keys if order.limit is None else keys[: order.limit]
    order.on_start(delivery.run, len(going), delivery.pace.eta_s(len(going)))
    bodies = submissions(plan, history.identity, settings, only=frozenset(going))
    ending = await delivery.send(bodies, len(going))
    if not ending and len(going) < len(keys):
        return Ending(f"The limit of {order.limit} is reached.", Exit.OK)
    return ending


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
