"""An API that follows a script, and a journal that takes note, for tests of the workers."""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from importer.model import MaybeSent, NotSent, Outcome, Response, State
from importer.sending.circuit_breaker import CircuitBreaker, Ending, FailureLimits
from importer.sending.rate_limiter import RateLimiter
from importer.sending.retry import Policy
from importer.sending.run_options import SilentObserver
from importer.sending.supply import Listed
from importer.sending.worker import SendingContext, TimeSource, submit
from tests.support import builders
from tests.support.virtual_time import clock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from importer.ledger.records import Settlement
    from importer.model import Submission


Happened = Response | NotSent | MaybeSent
CREATED = Response(201, "c-1")
REFUSED = NotSent("ConnectError")
LOST = MaybeSent("ReadTimeout")


@dataclass
class ScriptedApi(SilentObserver):
    """The API and the ledger, and what they were asked, in order.

    Attributes:
        answers: what the API says to each request of a key; the last one from then on.
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
    stages: list[str] = field(default_factory=list)
    request_ids: list[str] = field(default_factory=list)
    of_another: frozenset[str] = frozenset()
    in_flight: int = 0
    most_in_flight: int = 0
    before_intent: Callable[[str], None] = lambda _: None
    before_settling: Callable[[str], None] = lambda _: None

    def note(self, what: str, key: str) -> None:
        """Write down that something happens now."""
        self.events.append((clock(), what, key))

    async def intend(self, submission: Submission) -> None:
        """Act as the ledger's journal does."""
        self.before_intent(submission.key)
        await asyncio.sleep(self.writes_s)
        self.note("intend", submission.key)

    def on_outcome(self, outcome: Outcome) -> None:
        """Note what an observer is told."""
        self.outcomes.append(outcome)

    def on_stage(self, sentence: str) -> None:
        """Note what an observer is told."""
        self.stages.append(sentence)

    async def settle(self, settlement: Settlement) -> State:
        """Act as the ledger's journal does."""
        self.before_settling(settlement.key)
        await asyncio.sleep(self.writes_s)
        self.note("settle", settlement.key)
        self.settled.append(settlement)
        return State.DOUBTFUL if settlement.key in self.of_another else settlement.state

    async def create(self, submission: Submission, request_id: str) -> Response:
        """Answer as the client does."""
        self.request_ids.append(request_id)
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
        """Return when something happened."""
        return [at for at, event, _ in self.events if event == what]

    def keys(self, what: str) -> list[str]:
        """Return the keys of the submissions."""
        return [key for _, event, key in self.events if event == what]

    def states(self) -> dict[str, State]:
        """Return the state of each submission in the ledger."""
        return {each.key: each.state for each in self.settled}


def make_submissions(count: int) -> Iterator[Submission]:
    """Return submissions `key-0` and so on, made as they are drawn."""
    return map(builders.submission, range(count))


async def send_all(
    scripted: ScriptedApi,
    submissions: Iterable[Submission],
    *,
    rate: float = math.inf,
    policy: Policy | None = None,
    limits: FailureLimits | None = None,
    breaker: CircuitBreaker | None = None,
    concurrency: int = 1,
    stop: asyncio.Event | None = None,
) -> Ending:
    """Send them, without chance."""
    breaker = breaker or CircuitBreaker(limits or FailureLimits())
    ends = SendingContext(
        client=scripted,
        journal=scripted,
        limiter=RateLimiter(rate, now=clock),
        policy=policy or Policy(),
        breaker=breaker,
        observer=scripted,
        concurrency=concurrency,
        clock=TimeSource(now=clock, random=lambda: 1.0),
    )
    return await submit(Listed(submissions), ends, stop or asyncio.Event())


def last_event_s(scripted: ScriptedApi) -> float:
    """Return when the last thing happened."""
    return scripted.events[-1][0]
