"""A run that workers of several machines send a slice at a time."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

from importer.deliver import (
    check_campaigns_of_plan,
    claim_size,
    contact_window,
    reject_no_longer_sendable,
    reject_shared_contacts,
    render_rows,
)
from importer.planning.history import ALLOWED, bind_history
from importer.planning.payload import RowsByKey, identify
from importer.preflight import refuse_example_values
from importer.sending.circuit_breaker import ClosedCampaigns, Ending
from importer.sending.events import apply_events
from importer.sending.sender import Sender
from importer.sending.supply import Claimed, FirstFew

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from importer.ledger.records import Run
    from importer.model import Plan
    from importer.planning.history import RunHistory
    from importer.sending.reconcile import ListFindings
    from importer.sending.run_options import Observer, RunOptions
    from importer.settings import Settings


@dataclass(slots=True, eq=False)
class SlicedRun:
    """A run that this process sends in slices, beside other senders; the ledger is on a server.

    Attributes:
        run: the run.
        plan: its plan, with the keys of its rows.
        history: the ledger, locked by this process, and the identity of its people.
        settings: those of the run.
        since: UTC; when it was begun or resumed last.
        closed: campaigns that accept nobody.
        is_new: whether this process has sent no slice of it yet.
    """

    run: Run
    plan: Plan
    history: RunHistory
    settings: Settings
    since: datetime
    closed: ClosedCampaigns = field(default_factory=ClosedCampaigns)
    is_new: bool = True

    @classmethod
    def load(
        cls, run: Run, plan: Plan, settings: Settings, options: RunOptions, since: datetime
    ) -> Self:
        """Make one of a run and its plan; people who were planned meanwhile are rejected.

        Args:
            run: the run.
            plan: prepared again.
            settings: those of the run.
            options: credentials, and the open ledger.
            since: as for this class.

        Raises:
            Held: a template has example values, and the API contacts people.
            LedgerError: the ledger belongs to another organization, or fails.
        """
        if options.ledger is None:
            raise ValueError("a run is sent in slices on a ledger that is open")
        refuse_example_values(plan, settings)
        history = bind_history(options.ledger, settings, options.credentials.organization_id)
        plan = identify(plan, history.identity)
        if not run.settings.get(ALLOWED):
            reject_shared_contacts(plan, run.id, history, settings)
        return cls(run, plan, history, settings, since)

    def count_left(self) -> int:
        """Count the submissions that can be sent now."""
        return self.history.ledger.submissions.count_sendable(self.run.id, self.since)

    def send(self, options: RunOptions, observer: Observer) -> Ending:
        """Send until nothing can be claimed, the limit is reached, or the run must stop.

        Args:
            options: credentials, limit and signals.
            observer: the observer that is told what happens.
        """
        opening = Sender.open(self.run.id, self.history, self.settings, options, observer)
        return asyncio.run(self._send(opening))

    async def _send(self, opening: AbstractAsyncContextManager[Sender]) -> Ending:
        ledger, settings, run = self.history.ledger, self.settings, self.run.id
        async with opening as sender:
            sender.closed = self.closed
            apply_events(ledger, self.history.identity.organization)
            if self.is_new:
                reject_no_longer_sendable(run, ledger, settings)
                await check_campaigns_of_plan(self.plan, sender)
                self.is_new = False
            left = self.count_left()
            count = left if sender.options.limit is None else min(left, sender.options.limit)
            sender.observer.on_start(run, count, sender.limiter.eta_s(count))
            share = ledger.share(run, contact_window(settings), self.since)
            if share is None:
                raise ValueError("a run is sent in slices only on a server")
            render = partial(render_rows, self.plan, RowsByKey(self.plan.frame), sender)
            claimed = Claimed(share, render, claim_size(settings), patient=False)
            try:
                return await sender.send(
                    FirstFew(claimed, count), max(self.plan.frame.height, 1), share
                )
            finally:
                await claimed.close()

    def look_up(self, options: RunOptions, observer: Observer) -> ListFindings:
        """Look up the doubtful submissions of the run in the API's list."""

        async def look() -> ListFindings:
            opening = Sender.open(self.run.id, self.history, self.settings, options, observer)
            async with opening as sender:
                return await sender.reconcile()

        return asyncio.run(look())
