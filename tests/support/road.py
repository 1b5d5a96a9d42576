"""Both ends of the road, for tests: an API that follows a script, a journal that takes note."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.model import MaybeSent, NotSent, Outcome, Response, State
from importer.sending.circuit_breaker import Ending, FailureLimits
from importer.sending.rate_limiter import RateLimiter
from importer.sending.retry import Policy
from importer.sending.worker import submit
from tests.support import made
from tests.support.leaping import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from importer.ledger.records import Settlement
    from importer.model import Submission


Happened = Response | NotSent | MaybeSent
CREATED = Response(201, "c-1")
REFUSED = NotSent("ConnectError")
LOST = MaybeSent("ReadTimeout")


@dataclass
class Road:
    """Both ends of the road, the API and the ledger, and what came to them, in order.

    Attributes:
        answers: what the API says to each request of a key; the last one for ever after.
        takes_s: how long the API takes.
        writes_s: how long the ledger takes.
        events: (time, what, key), what being intend, request, answer or settle.
    """

    answers: dict[str, list[Happened]] = field(default_factory=dict)
    takes_s: float = 0.0
    writes_s: float = 0.0
    events: list[tuple[float, str, str]] = field(default_factory=list)
    settled: list[Settlement] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    before_intent: Callable[[str], None] = lambda _: None
    before_settling: Callable[[str], None] = lambda _: None

    def note(self, what: str, key: str) -> None:
        """Write down that something happens now."""
        self.events.append((clock(), what, key))

    async def intend(self, submission: Submission) -> None:
        """As the ledger's journal."""
        self.before_intent(submission.key)
        await asyncio.sleep(self.writes_s)
        self.note("intend", submission.key)

    async def settle(self, settlement: Settlement) -> None:
        """As the ledger's journal."""
        self.before_settling(settlement.key)
        await asyncio.sleep(self.writes_s)
        self.note("settle", settlement.key)
        self.settled.append(settlement)

    async def create(self, submission: Submission) -> Response:
        """As the client."""
        self.note("request", submission.key)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        await asyncio.sleep(self.takes_s)
        self.in_flight -= 1
        self.note("answer", submission.key)
        left = self.answers.get(submission.key, [CREATED])
        happened = left[0] if len(left) == 1 else left.pop(0)
        if not isinstance(happened, Response):
            raise happened
        return happened

    def times(self, what: str) -> list[float]:
        """When something happened."""
        return [at for at, event, _ in self.events if event == what]

    def keys(self, what: str) -> list[str]:
        """To which submissions."""
        return [key for _, event, key in self.events if event == what]

    def states(self) -> dict[str, State]:
        """Where each submission stands in the ledger."""
        return {each.key: each.state for each in self.settled}


def some(count: int) -> Iterator[Submission]:
    """Submissions `key-0` and so on, made as they are drawn."""
    return map(made.submission, range(count))


async def go(
    road: Road,
    submissions: Iterable[Submission],
    *,
    rate: float = math.inf,
    policy: Policy | None = None,
    limits: FailureLimits | None = None,
    concurrency: int = 1,
    stop: asyncio.Event | None = None,
) -> Ending:
    """Send them down the road, without chance."""
    return await submit(
        submissions,
        client=road,
        journal=road,
        limiter=RateLimiter(rate, now=clock),
        policy=policy or Policy(),
        limits=limits or FailureLimits(),
        concurrency=concurrency,
        stop=stop or asyncio.Event(),
        on_outcome=road.outcomes.append,
        now=clock,
        random=lambda: 1.0,
    )


def clock_end(road: Road) -> float:
    """When the last thing happened."""
    return road.events[-1][0]
