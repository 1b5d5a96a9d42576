"""A run at work: sends what is open, and finds out what became of what is doubtful."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Self

from importer.client import Client
from importer.errors import Exit
from importer.guards import Ending, Guards
from importer.ledger.journal import Journal
from importer.model import State
from importer.pacing import Pace
from importer.reconcile import Doubt, reconcile
from importer.retry import Policy
from importer.submitter import submit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from importer.model import Outcome, Submission
    from importer.people import History
    from importer.settings import Credentials, Settings


@dataclass(frozen=True, slots=True)
class Delivery:
    """One run's client, journal and pace, for as long as it sends."""

    run: str
    history: History
    settings: Settings
    client: Client
    journal: Journal
    pace: Pace
    stop: asyncio.Event
    on_outcome: Callable[[Outcome], None] = field(repr=False)

    @classmethod
    @asynccontextmanager
    async def begun(
        cls,
        run: str,
        history: History,
        settings: Settings,
        credentials: Credentials,
        *,
        stop: asyncio.Event,
        on_outcome: Callable[[Outcome], None],
    ) -> AsyncIterator[Self]:
        """Opens what is needed to send, and closes it again whatever happens."""
        async with (
            Client(settings, credentials) as client,
            Journal(history.ledger, run) as journal,
        ):
            yield cls(
                run, history, settings, client, journal, Pace(settings.rate_per_s), stop, on_outcome
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
            self.on_outcome(outcome)

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
            on_outcome=on_outcome or self.on_outcome,
        )

    async def reconcile(self) -> bool:
        """Asks the API what became of this run's doubtful submissions, and records the answer.

        Returns:
            Whether some were proved absent, and may be sent now.
        """
        ledger = self.history.ledger
        doubts = [
            Doubt(each.key, each.external_id, each.campaign, each.person, each.sent_at)
            for each in ledger.doubtful(self.run)
        ]
        if not doubts or not self.settings.reconcile or self.stop.is_set():
            return False
        found = await reconcile(
            doubts,
            client=self.client,
            pace=self.pace,
            settings=self.settings,
            person=self.history.identity.person,
            now=lambda: datetime.now(UTC),
            witnesses=ledger.witnesses(self.run),
            stop=self.stop,
        )
        ledger.conclude(found.outcomes)
        return any(outcome.state is State.PLANNED for outcome in found.outcomes)
