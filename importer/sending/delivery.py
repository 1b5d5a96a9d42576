"""How a run is told to send, and whom it tells what happens."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

from importer.errors import Exit
from importer.ledger import open_and_lock
from importer.ledger.writer import LedgerWriter
from importer.model import State
from importer.planning.history import writing
from importer.sending.circuit_breaker import Ending, Guards
from importer.sending.client import Client
from importer.sending.rate_limiter import Pace
from importer.sending.reconcile import Doubt, Reconciled, present_statuses, reconcile
from importer.sending.retry import Policy
from importer.sending.worker import submit

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import Doubtful
    from importer.model import Outcome, Submission
    from importer.planning.history import History
    from importer.settings import Credentials, Settings


@dataclass(frozen=True, slots=True)
class Order:
    """How a plan is to be delivered.

    Attributes:
        command: what the holder of the ledger is called, for whoever waits for it.
        credentials: of the API.
        limit: send at most so many and leave the others open; None for all.
        on_start: told the run's id, how many submissions it has to send, and the seconds that
            this will take; again where it comes to a second round.
        on_stage: told in a sentence what takes a while besides.
        on_unread: told why the API's list, which was to settle doubts, could not be read.
        on_outcome: told each outcome as soon as it is durable.
        on_commit: told the name of each write to the ledger as soon as it is durable, before
            anything follows from it; a crash test stops the process there.
        signals: these stop the run; what is under way finishes.
        watch: given the event that stops the run, inside its event loop, to set it for reasons of
            the caller's own.
    """

    command: str
    credentials: Credentials
    limit: int | None = None
    on_start: Callable[[str, int, float], None] = lambda _run, _count, _seconds: None
    on_stage: Callable[[str], None] = lambda _sentence: None
    on_unread: Callable[[str], None] = lambda _reason: None
    on_outcome: Callable[[Outcome], None] = lambda _outcome: None
    on_commit: Callable[[str], None] | None = None
    signals: tuple[signal.Signals, ...] = ()
    watch: Callable[[asyncio.Event], None] = lambda _stop: None

    def stop_event(self) -> asyncio.Event:
        """Set when one of the signals comes; to be asked for inside a running event loop."""
        stop = asyncio.Event()
        for number in self.signals:
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        self.watch(stop)
        return stop


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
    with open_and_lock(settings.ledger, order.command, settings.ledger_wait_s) as ledger:
        run = None if name is None else ledger.runs.find(name).id
        history = writing(ledger, settings, order.credentials.organization_id)
        found = asyncio.run(_reconcile(run, history, settings, order))
        return Settled(found, ledger.doubts.list(run))


def refresh_run(name: str | None, settings: Settings, order: Order) -> Refreshed:
    """Reads the present statuses of the conversations of a run, or of all, into the ledger.

    Raises:
        LedgerError: somebody holds the ledger, or there is none.
        UsageError: there is no such run.
    """
    with open_and_lock(settings.ledger, order.command, settings.ledger_wait_s) as ledger:
        run = None if name is None else ledger.runs.find(name).id
        ids = ledger.conversations.ids(run)
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
        for each in ledger.doubts.list(run)
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
        witnesses=ledger.conversations.ids(limit=_WITNESSES),
        stop=stop,
    )
    ledger.doubts.reconcile(found.outcomes)
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
    ledger.conversations.write_statuses(statuses.by_id)
    known: dict[str, int] = {}
    for status in statuses.by_id.values():
        known[status] = known.get(status, 0) + 1
    return Refreshed(len(ids), known, statuses.reason)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run's client, journal and pace, for as long as it sends."""

    run: str
    history: History
    settings: Settings
    order: Order
    client: Client
    journal: LedgerWriter
    pace: Pace
    stop: asyncio.Event

    @classmethod
    @asynccontextmanager
    async def begun(
        cls,
        run: str,
        history: History,
        settings: Settings,
        order: Order,
        stop: asyncio.Event,
    ) -> AsyncIterator[Self]:
        """Opens what is needed to send, and closes it again whatever happens."""
        async with (
            Client(settings, order.credentials) as client,
            LedgerWriter(history.ledger, run) as journal,
        ):
            yield cls(
                run, history, settings, order, client, journal, Pace(settings.rate_per_s), stop
            )

    async def send(self, submissions: Iterable[Submission], count: int) -> Ending:
        """Sends submissions, the canary first.

        Args:
            submissions: in the order in which they go.
            count: how many they are.
        """
        rest = iter(submissions)
        if self.settings.canary:
            ending = await self._canary(islice(rest, self.settings.canary), count)
            if ending:
                return ending
        return await self._submit(rest, Guards.of(self.settings, count))

    async def _canary(self, first: Iterator[Submission], count: int) -> Ending:
        """Sends the first few, and says no unless every one of them was created."""
        bad: list[Outcome] = []

        def note(outcome: Outcome) -> None:
            if outcome.state not in {State.CREATED, State.DUPLICATE}:
                bad.append(outcome)
            self.order.on_outcome(outcome)

        ending = await self._submit(first, Guards.of(self.settings, count), note)
        if ending or not bad:
            return ending
        return Ending(
            f"The canary failed: {len(bad)} of the first {min(self.settings.canary, count)} were "
            f"not created ({bad[0].message})",
            Exit.HELD,
        )

    async def _submit(
        self,
        submissions: Iterable[Submission],
        guards: Guards,
        on_outcome: Callable[[Outcome], None] | None = None,
    ) -> Ending:
        return await submit(
            submissions,
            client=self.client,
            journal=self.journal,
            pace=self.pace,
            policy=Policy.of(self.settings),
            guards=guards,
            concurrency=self.settings.concurrency,
            stop=self.stop,
            on_outcome=on_outcome or self.order.on_outcome,
        )

    async def reconcile(self) -> bool:
        """Asks the API what became of this run's doubtful submissions, and records the answer.

        Returns:
            Whether some were proved absent, and may be sent now.
        """
        if not self.settings.reconcile or self.stop.is_set():
            return False
        found = await settle_doubts(
            self.run,
            self.history,
            self.settings,
            self.order,
            client=self.client,
            pace=self.pace,
            stop=self.stop,
        )
        return any(outcome.state is State.PLANNED for outcome in found.outcomes)
