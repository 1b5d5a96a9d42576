"""A run at work: sends what is open, and finds out what became of what is doubtful."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Self

from importer.aftermath import settle_doubts
from importer.client import Client
from importer.errors import Exit
from importer.guards import Ending, Guards
from importer.ledger.journal import Journal
from importer.model import State
from importer.pacing import Pace
from importer.retry import Policy
from importer.submitter import submit

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from importer.model import Outcome, Submission
    from importer.order import Order
    from importer.people import History
    from importer.settings import Settings


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run's client, journal and pace, for as long as it sends."""

    run: str
    history: History
    settings: Settings
    order: Order
    client: Client
    journal: Journal
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
            Journal(history.ledger, run) as journal,
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
