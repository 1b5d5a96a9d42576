"""After sending: what became of doubtful submissions, and of the conversations since."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from importer.client import Client
from importer.ledger import held
from importer.pacing import Pace
from importer.people import writing
from importer.reconcile import Doubt, Reconciled, present_statuses, reconcile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import Doubtful
    from importer.order import Order
    from importer.people import History
    from importer.settings import Settings

_WITNESSES: Final = 5
"""Conversations known to exist that a list must show before its silence proves anything."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What reconciliation found.

    Attributes:
        outcomes: of it.
        doubtful: what still is, with all that a person needs to settle it.
    """

    outcomes: Reconciled
    doubtful: Sequence[Doubtful]


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What was learnt of conversations.

    Attributes:
        asked: how many the ledger knows.
        known: status -> how many have it now.
        reason: why it is not complete; empty where it is.
    """

    asked: int
    known: dict[str, int]
    reason: str


def reconcile_run(name: str | None, settings: Settings, order: Order) -> Settled:
    """Asks the API what became of the doubtful submissions of a run, or of all runs.

    Raises:
        LedgerError: somebody holds the ledger, or there is none.
        UsageError: there is no such run.
    """
    with held(settings.ledger, order.command, settings.ledger_wait_s) as ledger:
        run = None if name is None else ledger.run(name).id
        history = writing(ledger, settings, order.credentials.organization_id)
        found = asyncio.run(_reconcile(run, history, settings, order))
        return Settled(found, ledger.doubtful(run))


def refresh_run(name: str | None, settings: Settings, order: Order) -> Refreshed:
    """Reads the present statuses of the conversations of a run, or of all, into the ledger.

    Raises:
        LedgerError: somebody holds the ledger, or there is none.
        UsageError: there is no such run.
    """
    with held(settings.ledger, order.command, settings.ledger_wait_s) as ledger:
        run = None if name is None else ledger.run(name).id
        ids = ledger.conversations(run)
        return asyncio.run(_refresh(ids, ledger, settings, order))


async def settle_doubts(
    run: str | None,
    history: History,
    settings: Settings,
    order: Order,
    *,
    client: Client,
    pace: Pace,
    stop: asyncio.Event,
) -> Reconciled:
    """Asks, and records the answer; with nothing doubtful it asks nobody."""
    ledger = history.ledger
    doubts = [
        Doubt(each.key, each.external_id, each.campaign, each.person, each.sent_at, each.ended_at)
        for each in ledger.doubtful(run)
    ]
    if not doubts:
        return Reconciled()
    order.on_stage(
        f"Asking the API what became of {len(doubts)} doubtful submissions; "
        f"this takes up to {settings.settle_s:.0f} seconds, and the reading of its list."
    )
    found = await reconcile(
        doubts,
        client=client,
        pace=pace,
        settings=settings,
        person=history.identity.person,
        now=lambda: datetime.now(UTC),
        witnesses=ledger.conversations(limit=_WITNESSES),
        stop=stop,
    )
    ledger.reconciled(found.outcomes)
    if found.reason:
        order.on_unread(found.reason)
    return found


async def _reconcile(
    run: str | None, history: History, settings: Settings, order: Order
) -> Reconciled:
    stop = order.stop_event()
    async with Client(settings, order.credentials) as client:
        pace = Pace(settings.rate_per_s)
        return await settle_doubts(
            run, history, settings, order, client=client, pace=pace, stop=stop
        )


async def _refresh(
    ids: Sequence[str], ledger: Ledger, settings: Settings, order: Order
) -> Refreshed:
    stop = order.stop_event()
    async with Client(settings, order.credentials) as client:
        statuses = await present_statuses(
            ids, client=client, pace=Pace(settings.rate_per_s), settings=settings, stop=stop
        )
    ledger.refreshed(statuses.by_id)
    known: dict[str, int] = {}
    for status in statuses.by_id.values():
        known[status] = known.get(status, 0) + 1
    return Refreshed(len(ids), known, statuses.reason)
