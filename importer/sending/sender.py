"""One run at work: its client, its writer to the ledger and its rate, while it sends."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Final, Self

from importer.errors import Exit
from importer.ledger.writer import LedgerWriter
from importer.model import State
from importer.sending.circuit_breaker import Ending, FailureLimits
from importer.sending.client import Client
from importer.sending.rate_limiter import RateLimiter
from importer.sending.reconcile import Doubt, ListFindings, look_up, read_statuses
from importer.sending.retry import Policy
from importer.sending.run_options import SilentObserver, make_stop_event
from importer.sending.worker import submit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from importer.ledger import Ledger
    from importer.ledger.records import Doubtful
    from importer.model import Outcome, Submission
    from importer.planning.history import History
    from importer.sending.run_options import Observer, RunOptions
    from importer.settings import Settings


_WITNESSES: Final = 5
"""Conversations known to exist that a list must show before its silence proves anything."""


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """What the API's list said about doubtful submissions.

    Attributes:
        findings: the verdict on each.
        doubtful: those that are still doubtful, with what a person needs to settle them.
    """

    findings: ListFindings
    doubtful: Sequence[Doubtful]


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """The present statuses of conversations.

    Attributes:
        asked: how many conversations the ledger knows.
        known: status -> number of conversations that have it now.
        reason: why the report is incomplete; empty if it is complete.
    """

    asked: int
    known: dict[str, int]
    reason: str


@dataclass(frozen=True, slots=True)
class Sender:
    """Sends the submissions of one run, and looks up the doubtful ones."""

    run: str | None
    history: History
    settings: Settings
    options: RunOptions
    observer: Observer
    client: Client
    limiter: RateLimiter
    stop: asyncio.Event

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        run: str | None,
        history: History,
        settings: Settings,
        options: RunOptions,
        observer: Observer,
    ) -> AsyncIterator[Self]:
        """Open the client, and close it in the end.

        Args:
            run: id of the run; None to look up the doubts of every run.
            history: the ledger and the identity of its people.
            settings: of the run.
            options: credentials and signals.
            observer: hears what happens.
        """
        stop = make_stop_event(options, observer)
        async with Client(settings, options.credentials) as client:
            limiter = RateLimiter(settings.rate_per_s)
            yield cls(run, history, settings, options, observer, client, limiter, stop)

    async def send(self, submissions: Iterable[Submission], count: int) -> Ending:
        """Send submissions, the canary first.

        Args:
            submissions: in the order in which they go.
            count: how many there are.
        """
        rest = iter(submissions)
        if self.settings.canary:
            ending = await self._send_canary(islice(rest, self.settings.canary), count)
            if ending:
                return ending
        return await self._submit(rest, count, self.observer)

    async def _send_canary(self, first: Iterator[Submission], count: int) -> Ending:
        """Send the first few; stop the run unless all of them were created."""
        canary = _CanaryObserver(self.observer)
        ending = await self._submit(first, count, canary)
        if ending or not canary.failures:
            return ending
        return Ending(
            f"The canary failed: {len(canary.failures)} of the first "
            f"{min(self.settings.canary, count)} were not created "
            f"({canary.failures[0].message})",
            Exit.HELD,
        )

    async def _submit(
        self, submissions: Iterable[Submission], count: int, observer: Observer
    ) -> Ending:
        if self.run is None:
            raise ValueError("there is no run to send for")
        async with LedgerWriter(self.history.ledger, self.run) as journal:
            return await submit(
                submissions,
                client=self.client,
                journal=journal,
                limiter=self.limiter,
                policy=Policy.of(self.settings),
                limits=FailureLimits.of(self.settings, count),
                concurrency=self.settings.concurrency,
                stop=self.stop,
                on_outcome=observer.on_outcome,
            )

    async def reconcile(self) -> ListFindings:
        """Look up doubtful submissions in the API's list, and record the verdicts."""
        ledger = self.history.ledger
        doubts = [
            Doubt(
                each.key, each.external_id, each.campaign, each.person, each.sent_at, each.ended_at
            )
            for each in ledger.doubts.list(self.run)
        ]
        if not doubts or self.stop.is_set():
            return ListFindings()
        self.observer.on_stage(
            f"Looking up {len(doubts)} doubtful submissions in the API's list; this takes up to "
            f"{self.settings.settle_s:.0f} seconds, and the time to read the list."
        )
        found = await look_up(
            doubts,
            client=self.client,
            limiter=self.limiter,
            settings=self.settings,
            person=self.history.identity.person,
            now=lambda: datetime.now(UTC),
            witnesses=ledger.conversations.ids(limit=_WITNESSES),
            stop=self.stop,
        )
        ledger.doubts.reconcile(found.outcomes)
        if found.reason:
            self.observer.on_list_unreadable(found.reason)
        return found


class _CanaryObserver(SilentObserver):
    """Notes the outcomes that fail the canary, and passes all of them on."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self.failures: list[Outcome] = []

    def on_outcome(self, outcome: Outcome) -> None:
        """Note a failure."""
        if outcome.state not in {State.CREATED, State.DUPLICATE}:
            self.failures.append(outcome)
        self._observer.on_outcome(outcome)


async def refresh_statuses(
    ids: Sequence[str],
    ledger: Ledger,
    settings: Settings,
    options: RunOptions,
    observer: Observer,
) -> RefreshReport:
    """Read the present statuses of conversations from the API into the ledger."""
    stop = make_stop_event(options, observer)
    async with Client(settings, options.credentials) as client:
        limiter = RateLimiter(settings.rate_per_s)
        statuses = await read_statuses(
            ids, client=client, limiter=limiter, settings=settings, stop=stop
        )
    ledger.conversations.write_statuses(statuses.by_id)
    known: dict[str, int] = {}
    for status in statuses.by_id.values():
        known[status] = known.get(status, 0) + 1
    return RefreshReport(len(ids), known, statuses.reason)
