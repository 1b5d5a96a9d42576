"""Stop a run early: after too many failures or doubts, after a refusal, or on request."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

from importer.errors import Exit
from importer.ledger.records import FAILURES, FailureCounts
from importer.model import State

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from importer.ledger.run_guards import RunGuards
    from importer.model import Outcome
    from importer.settings import Settings


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FailureLimits:
    """The numbers of failures (rejected, doubtful, unsent) that a run may have.

    Attributes:
        max_failures: one more stops the run; None for no limit.
        max_failures_in_a_row: this many without a success between them stop the run.
        max_doubtful: this many open doubts stop the run, to be looked up; None for no limit.
    """

    max_failures: int | None = None
    max_failures_in_a_row: int | None = None
    max_doubtful: int | None = None

    @classmethod
    def of(cls, settings: Settings, total: int) -> FailureLimits:
        """Return the limits that the settings describe, for a run of `total` submissions."""
        return cls(
            settings.failures_allowed(total), settings.max_failures_in_a_row, settings.max_doubtful
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """The reason why sending ended; false if everything was done.

    Attributes:
        reason: one sentence for a person; empty if everything was done.
        exit_code: OK, SETUP (the API refuses access or cannot be reached), HELD (too many
            failures), DOUBTFUL (too many doubts) or INTERRUPTED.
    """

    reason: str = ""
    exit_code: Exit = Exit.OK

    def __bool__(self) -> bool:
        return bool(self.reason)

    def __str__(self) -> str:
        return self.reason


UNREACHABLE: Final = "The API cannot be reached."
"""How the reason begins if no request of a run reached the API."""

INTERRUPTED: Final = Ending("Interrupted before everything was done.", Exit.INTERRUPTED)
"""The ending of a run that was asked to stop."""


class StoppedWaiting(Exception):
    """The run stops, so all waiting ends."""


class StopSwitch:
    """Prevents new attempts and ends every wait for one; keeps the first reason."""

    def __init__(self) -> None:
        self.stopped = False
        self.ending = Ending()
        self.error: Exception | None = None
        self._waits: set[asyncio.Timeout] = set()

    def stop(self, ending: Ending, error: Exception | None = None) -> None:
        """Stop for a reason or an error; an error replaces any reason."""
        self.error = self.error or error
        if self.stopped:
            return
        self.stopped, self.ending = True, ending
        for wait in self._waits:
            wait.reschedule(0.0)

    async def wait_for(self, wait: Callable[[], Awaitable[T]]) -> T:
        """Wait for something.

        Raises:
            StoppedWaiting: the run stops, or stopped while we waited.
        """
        if self.stopped:
            raise StoppedWaiting
        try:
            async with asyncio.timeout(None) as scope:
                self._waits.add(scope)
                try:
                    result = await wait()
                finally:
                    self._waits.discard(scope)
        except TimeoutError as exc:
            raise StoppedWaiting from exc
        if self.stopped:
            raise StoppedWaiting
        return result


@asynccontextmanager
async def stop_switch(stop: asyncio.Event) -> AsyncIterator[StopSwitch]:
    """Yield a switch that stops when the event is set."""
    switch = StopSwitch()

    async def watch() -> None:
        await stop.wait()
        switch.stop(INTERRUPTED)

    watcher = asyncio.create_task(watch())
    try:
        yield switch
    finally:
        watcher.cancel()


class OutageDetector:
    """Distinguishes an outage of the service from faults of rows, by the last outcomes of a run.

    Attributes:
        outage: whether the last outcomes were failures and none of them refused a row. If so, the
            service did not work, and other rows would have failed, too.
    """

    def __init__(self) -> None:
        self.outage = False
        self._refused = False

    def note(self, outcome: Outcome) -> None:
        """Note an outcome; a success starts the count again."""
        failed = outcome.state in FAILURES
        self._refused = failed and (self._refused or outcome.state is State.REJECTED)
        self.outage = failed and not self._refused


@dataclass(slots=True)
class ClosedCampaigns:
    """Campaigns that accept nobody, and how many rows were left unsent because of that.

    Attributes:
        reasons: campaign -> a sentence for a person.
        left: campaign -> number of rows.
    """

    reasons: dict[str, str] = field(default_factory=dict)
    left: dict[str, int] = field(default_factory=dict)

    def close(self, campaign: str, reason: str) -> None:
        """Send nothing more to a campaign; the first reason stays."""
        self.reasons.setdefault(campaign, reason)

    def leave(self, campaign: str) -> None:
        """Count a row that was left unsent."""
        self.left[campaign] = self.left.get(campaign, 0) + 1

    def ending(self) -> Ending:
        """Return the ending of a run that left rows unsent; false if it left none."""
        sentences = [
            f"Campaign {campaign}: {self.reasons[campaign]} Its rows were not sent ({count}); "
            "after that is fixed, a later run or resume sends them."
            for campaign, count in self.left.items()
        ]
        return Ending(" ".join(sentences), Exit.SETUP if sentences else Exit.OK)


class CircuitBreaker:
    """Counts outcomes against the limits.

    Args:
        limits: how many failures a run may have.
        doubtful: how many submissions of the run are doubtful already.
        closed: campaigns that reject every row; kept across the rounds of sending.
        guards: the guards of the run, if several senders share them: these count then.
    """

    def __init__(
        self,
        limits: FailureLimits,
        doubtful: int = 0,
        closed: ClosedCampaigns | None = None,
        guards: RunGuards | None = None,
    ) -> None:
        self.closed = closed or ClosedCampaigns()
        self._limits = limits
        self._guards = guards
        self._counts = FailureCounts(doubtful=doubtful)

    def count(self, outcome: Outcome) -> Ending:
        """Count an outcome; return an ending if it is one failure too many."""
        if self._guards is not None:
            return Ending()  # it is counted where its end is written
        self._counts = self._counts.after(outcome.state, outcome.status, outcome.message)
        return self._check_limits() if outcome.state in FAILURES else Ending()

    def catch_up(self) -> Ending:
        """Return an ending if another sender has stopped, or all together fail too often."""
        if self._guards is None:
            return Ending()
        if self._guards.stopped is not None:
            reason, exit_code = self._guards.stopped
            return Ending(reason, Exit(exit_code))
        self._counts = self._guards.counts
        return self._check_limits() if self._counts.in_a_row else Ending()

    def _check_limits(self) -> Ending:
        return self._too_many_in_a_row() or self._too_many() or self._too_many_doubts()

    def end(self) -> Ending:
        """Return the ending of a run that nothing stopped: perhaps the API could not be reached."""
        return self._unreachable() if self._counts.failed and not self._counts.reached else Ending()

    def _too_many_in_a_row(self) -> Ending:
        most = self._limits.max_failures_in_a_row
        if most is None or self._counts.in_a_row < most:
            return Ending()
        if self._counts.unreached_in_a_row >= most:
            return self._unreachable()
        if self._too_many_doubts():
            return self._too_many_doubts()
        return Ending(
            f"{self._counts.in_a_row} submissions in a row failed. {self._counts.last}", Exit.HELD
        )

    def _too_many(self) -> Ending:
        most = self._limits.max_failures
        if most is None or self._counts.failed <= most:
            return Ending()
        return Ending(
            f"{self._counts.failed} submissions failed; max_failures allows {most}. "
            f"{self._counts.last}",
            Exit.HELD,
        )

    def _too_many_doubts(self) -> Ending:
        most = self._limits.max_doubtful
        if most is None or self._counts.doubtful < most:
            return Ending()
        return Ending(
            f"{self._counts.doubtful} submissions are doubtful (max_doubtful: {most}), so nothing "
            f"more is sent. {self._counts.last}",
            Exit.DOUBTFUL,
        )

    def _unreachable(self) -> Ending:
        return Ending(f"{UNREACHABLE} {self._counts.last}", Exit.SETUP)
