"""Workers take submissions along the road permit -> intent -> request -> decision -> record.

`retry.decide` decides, `Pace` says when, the journal remembers; here it is only done, in an order
that a crash at any point leaves safe: what may have left is recorded before it leaves.
"""

from __future__ import annotations

import asyncio
import random as random_source
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from importer.errors import Exit
from importer.guards import CalledOff, Ending, Tally, brake_at
from importer.ledger.journal import NOT_LEFT
from importer.ledger.records import Settlement
from importer.model import Decision, MaybeSent, NotSent, Outcome, Reply, State, Verb
from importer.retry import decide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from importer.guards import Brake, Guards
    from importer.model import Submission
    from importer.pacing import Pace
    from importer.retry import Policy


class Creates(Protocol):
    """What is needed of the client."""

    async def create(self, submission: Submission) -> Reply:
        """One request; raises NotSent or MaybeSent where there is no answer."""
        ...


class Journal(Protocol):
    """What is needed of the ledger."""

    async def intend(self, submission: Submission) -> None:
        """Durable on return: a request for it may leave. Raises to refuse it."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Durable on return: how that attempt ended and where the submission stands."""
        ...


_STATES: Final[dict[Verb, State]] = {
    Verb.CREATED: State.CREATED,
    Verb.DUPLICATE: State.DUPLICATE,
    Verb.REJECTED: State.REJECTED,
    Verb.DOUBTFUL: State.DOUBTFUL,
    Verb.UNSENT: State.UNSENT,
    Verb.AGAIN: State.PLANNED,
    Verb.STOP: State.UNSENT,
}


async def submit(
    submissions: Iterable[Submission],
    *,
    client: Creates,
    journal: Journal,
    pace: Pace,
    policy: Policy,
    guards: Guards,
    concurrency: int,
    stop: asyncio.Event,
    on_outcome: Callable[[Outcome], None],
    now: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random_source.random,
) -> Ending:
    """Send submissions until there are no more, or something says stop.

    Args:
        submissions: drawn one by one, as a worker gets free; bodies are rendered just then.
        client: makes one request.
        journal: remembers durably.
        pace: gives a permit for every single request.
        policy: bounds of attempts and time.
        guards: bounds of failures.
        concurrency: how many requests may be under way at once.
        stop: once set, no attempt begins; those under way finish and are recorded.
        on_outcome: called once for each submission that is through, after that is durable. One
            that was called off while it waited is not through: it stays planned.
        now: seconds on a clock that never goes back.
        sleep: waits for that many seconds of it.
        random: jitter, a number of [0, 1).

    Raises:
        Exception: whatever the journal, the iterator or `on_outcome` raised first; what was under
            way has finished and was recorded as far as the journal let it.
    """
    tally = Tally(guards)
    drawn = iter(submissions)
    async with brake_at(stop) as brake:
        workers = [
            _Worker(client, journal, pace, policy, brake, tally, on_outcome, now, sleep, random)
            for _ in range(concurrency)
        ]
        await asyncio.gather(*(worker.run(drawn) for worker in workers))
    if brake.error is not None:
        raise brake.error
    return brake.ending


@dataclass(slots=True)
class _Journey:
    """How far one submission has come in this run."""

    submission: Submission
    attempts: int = 0
    began: float = 0.0
    status: int | None = None
    conversation_id: str | None = None

    def settlement(self, decision: Decision, took_s: float) -> Settlement:
        """How its last attempt ended."""
        return Settlement(
            key=self.submission.key,
            state=_STATES[decision.verb],
            status=self.status,
            conversation_id=self.conversation_id,
            code=decision.code,
            message=decision.message,
            duration_s=took_s,
        )

    def outcome(self, decision: Decision) -> Outcome:
        """Where it stands after that decision."""
        return Outcome(
            key=self.submission.key,
            state=_STATES[decision.verb],
            attempts=self.attempts,
            status=self.status,
            conversation_id=self.conversation_id,
            code=decision.code,
            message=decision.message,
        )


@dataclass(slots=True)
class _Worker:
    """Takes one submission at a time down the whole road."""

    client: Creates
    journal: Journal
    pace: Pace
    policy: Policy
    brake: Brake
    tally: Tally
    on_outcome: Callable[[Outcome], None]
    now: Callable[[], float]
    sleep: Callable[[float], Awaitable[object]]
    random: Callable[[], float]

    async def run(self, drawn: Iterator[Submission]) -> None:
        """Work until nothing is left or the brake is pulled; an error pulls it."""
        retrying = AsyncRetrying(  # one for each worker: it keeps state between its steps
            retry=retry_if_result(_is_again),
            wait=_wait_s,
            sleep=self._pause,
            reraise=True,
        )
        try:
            while not self.brake.pulled and (submission := next(drawn, None)) is not None:
                journey = _Journey(submission)
                decision: Decision | None = await retrying(self._attempt, journey)
                if decision is not None:
                    self._finish(journey.outcome(decision))
        except Exception as exc:  # noqa: BLE001  (the others finish first, then it is raised)
            self.brake.pull(Ending(), exc)

    async def _attempt(self, journey: _Journey) -> Decision | None:
        """One request from permit to record; None where it was called off and nothing left."""
        submission = journey.submission
        try:
            left_at = await self.brake.released(self.pace.permit)
        except CalledOff:
            return None
        if not journey.attempts:
            journey.began = self.now()
        journey.attempts += 1
        await self.journal.intend(submission)
        if self.brake.pulled:
            await self._call_off(journey)
            return None
        sent_at = self.now()
        happened = await self._request(submission)
        ended_at = self.now()
        decision = decide(
            happened, journey.attempts, ended_at - journey.began, self.policy, self.random
        )
        self._learn(happened, decision, left_at)
        reply = happened if isinstance(happened, Reply) else None
        journey.status = reply.status if reply else None
        journey.conversation_id = reply.conversation_id if reply else None
        if decision.verb is Verb.STOP:
            self.brake.pull(Ending(decision.message, Exit.SETUP))
        await self.journal.settle(journey.settlement(decision, ended_at - sent_at))
        return decision

    async def _request(self, submission: Submission) -> Reply | NotSent | MaybeSent:
        try:
            return await self.client.create(submission)
        except (NotSent, MaybeSent) as exc:
            return exc

    async def _call_off(self, journey: _Journey) -> None:
        """Take back an intent whose request was not made."""
        again = Decision(Verb.AGAIN, code=NOT_LEFT, message="Called off before it was sent.")
        await self.journal.settle(journey.settlement(again, 0.0))

    def _learn(
        self, happened: Reply | NotSent | MaybeSent, decision: Decision, left_at: float
    ) -> None:
        """What the answer says about the pace."""
        if decision.hold:
            self.pace.hold(decision.wait_s)
            self.pace.slow_down(left_at)
        elif isinstance(happened, Reply):
            self.pace.recovered()
        if isinstance(happened, Reply):
            self.pace.respect(happened.remaining, happened.reset_s, self.policy.max_wait_s)

    async def _pause(self, seconds: float) -> None:
        with suppress(CalledOff):
            await self.brake.released(lambda: self.sleep(seconds))

    def _finish(self, outcome: Outcome) -> None:
        if outcome.state is State.PLANNED:
            return
        self.on_outcome(outcome)
        ending = self.tally.count(outcome)
        if ending:
            self.brake.pull(ending)


def _is_again(decision: Decision | None) -> bool:
    return decision is not None and decision.verb is Verb.AGAIN


def _wait_s(state: RetryCallState) -> float:
    """The wait that the last decision asks for."""
    if state.outcome is None or state.outcome.failed:
        return 0.0
    decision = state.outcome.result()
    return decision.wait_s if isinstance(decision, Decision) else 0.0
