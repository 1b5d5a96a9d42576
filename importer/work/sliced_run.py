"""A run that workers of several machines send a slice at a time, and when a slice ends."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from importer.deliver import (
    check_campaigns_of_plan,
    claim_size,
    contact_window,
    reject_no_longer_sendable,
    reject_shared_contacts,
    render_rows,
)
from importer.errors import ImporterError
from importer.ledger.uploaded_lists import WORKING
from importer.planning.history import ALLOWED, bind_history
from importer.planning.payload import RowsByKey, identify
from importer.preflight import refuse_example_values
from importer.sending.circuit_breaker import ClosedCampaigns, Ending, OutageDetector
from importer.sending.events import apply_events
from importer.sending.run_options import SilentObserver
from importer.sending.sender import Sender
from importer.sending.supply import Claimed, FirstFew

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from importer.ledger.records import Run
    from importer.ledger.uploaded_lists import UploadedLists
    from importer.model import Outcome, Plan
    from importer.nightly.clock import StopSignal
    from importer.planning.history import RunHistory
    from importer.sending.reconcile import ListFindings
    from importer.sending.run_options import Observer, RunOptions
    from importer.settings import Settings


_SHORT_SLICE_S: Final = 3.0
"""A slice ends after this many seconds if another list waits for a worker."""

_WAITING_S: Final = 1.0
"""A list that has waited this long for a worker counts as waiting, seconds."""

_POLL_S: Final = 1.0


@dataclass(slots=True, eq=False)
class SlicedRun:
    """A run that this process sends in slices, beside other senders; the ledger is on a server.

    Attributes:
        run: the run.
        plan: its plan, with the keys of its rows.
        history: the ledger, locked by this process, and the identity of its people.
        settings: the settings of the run.
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
            settings: the settings of the run.
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
            reject_shared_contacts(run.id, options.ledger, settings)
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


class SliceObserver(SilentObserver):
    """Ends a slice in time: because it is over, its list was paused, or another list waits.

    Args:
        lists: the lists of the ledger.
        list_id: the list that is being sent.
        signal: ends the slice.
        longest_s: seconds after which it ends.
        shared_s: seconds after which it ends if another list waits.
        on_look: called each time that it looks at its list, once a second.

    Attributes:
        progressed: whether anything was sent.
        gave_way: whether it ended because another list waits.
    """

    def __init__(
        self,
        lists: UploadedLists,
        list_id: str,
        signal: StopSignal,
        longest_s: float,
        shared_s: float = _SHORT_SLICE_S,
        *,
        on_look: Callable[[], None] | None = None,
    ) -> None:
        self._lists = lists
        self._list_id = list_id
        self._signal = signal
        self._longest_s = longest_s
        self._shared_s = shared_s
        self._on_look = on_look
        self._over = threading.Event()
        self._began_s = time.monotonic()
        self._outages = OutageDetector()
        self.progressed = False
        self.gave_way = False

    @property
    def is_outage(self) -> bool:
        """Whether the API did not work at the end."""
        return self._outages.outage

    def on_stop_event(self, stop: asyncio.Event) -> None:
        """End the run after `longest_s`, or when the signal says so."""
        self._signal.watch(stop, self._longest_s)

    def begin(self) -> None:
        """Count its time from now, because nothing was sent before."""
        self._began_s = time.monotonic()

    def on_outcome(self, outcome: Outcome) -> None:
        """Note that something was sent, and whether the API works."""
        self.progressed = True
        self._outages.note(outcome)

    def __enter__(self) -> Self:
        threading.Thread(target=self._poll, name="slice", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def _poll(self) -> None:
        while not self._over.wait(_POLL_S):
            try:
                if self._on_look is not None:
                    self._on_look()
                known = self._lists.find(self._list_id)
                paused = known is None or known.state not in WORKING or known.wish
                long_enough = time.monotonic() - self._began_s > self._shared_s
                self.gave_way = (
                    not paused and long_enough and self._lists.is_one_waiting(_WAITING_S)
                )
                if paused or self.gave_way:
                    self._signal.request()
                    return
            except ImporterError:
                continue  # the slice itself deals with a database that is away
