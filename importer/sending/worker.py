"""How far one submission has come in a run, and what is written and told of it."""

from __future__ import annotations

import asyncio
import random as random_source
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from importer.errors import Exit
from importer.ledger.records import Settlement
from importer.ledger.writer import NOT_LEFT
from importer.model import Decision, MaybeSent, NotSent, Outcome, Response, State, Verb
from importer.sending.circuit_breaker import CircuitBreaker, Ending, StoppedWaiting, stop_switch
from importer.sending.retry import decide

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator

    from importer.model import Submission
    from importer.sending.circuit_breaker import FailureLimits, StopSwitch
    from importer.sending.rate_limiter import RateLimiter
    from importer.sending.retry import Policy


_STATES: Final[dict[Verb, State]] = {
    Verb.CREATED: State.CREATED,
    Verb.DUPLICATE: State.DUPLICATE,
    Verb.REJECTED: State.REJECTED,
    Verb.DOUBTFUL: State.DOUBTFUL,
    Verb.UNSENT: State.UNSENT,
    Verb.AGAIN: State.PLANNED,
    Verb.STOP: State.UNSENT,
}


@dataclass(slots=True)
class SubmissionProgress:
    """One submission on its way.

    Attributes:
        submission: what is to be sent.
        attempts: requests that were about to leave, so far.
        began: when the first of them was permitted, on the clock of the run.
        status: of the last answer; None where the last attempt had none.
        conversation_id: the same.
    """

    submission: Submission
    attempts: int = 0
    began: float = 0.0
    status: int | None = None
    conversation_id: str | None = None

    def begin_attempt(self, now: float) -> None:
        """Take note of another attempt; nothing of the one before is kept."""
        self.began = self.began if self.attempts else now
        self.attempts += 1
        self.status = self.conversation_id = None

    def note_response(self, happened: Response | NotSent | MaybeSent) -> None:
        """Keep what an answer says."""
        if isinstance(happened, Response):
            self.status, self.conversation_id = happened.status, happened.conversation_id

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


class ConversationCreator(Protocol):
    """What is needed of the client."""

    async def create(self, submission: Submission) -> Response:
        """One request; raises NotSent or MaybeSent where there is no answer."""
        ...


class AttemptJournal(Protocol):
    """What is needed of the ledger."""

    async def intend(self, submission: Submission) -> None:
        """Durable on return: a request for it may leave. Raises to refuse it."""
        ...

    async def settle(self, settlement: Settlement) -> State | None:
        """Durable on return: how that attempt ended. Returns the state that was written."""
        ...


_WHAT_TO_CHECK: Final = "Check POPP_API_KEY and POPP_ORGANIZATION_ID."
_AHEAD_S: Final = 0.05
_MOST_AHEAD: Final = 16


async def submit(
    submissions: Iterable[Submission],
    *,
    client: ConversationCreator,
    journal: AttemptJournal,
    limiter: RateLimiter,
    policy: Policy,
    limits: FailureLimits,
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
        limiter: gives a permit for every single request.
        policy: bounds of attempts and time.
        limits: bounds of failures.
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
    tally, lanes = CircuitBreaker(limits), _Lanes.of(concurrency, limiter.rate)
    drawn = iter(submissions)
    async with stop_switch(stop) as switch:
        worker = _Worker(
            client, journal, limiter, policy, lanes, switch, tally, on_outcome, now, sleep, random
        )
        await asyncio.gather(*(worker.run(drawn) for _ in range(lanes.workers)))
    if switch.error is not None:
        raise switch.error
    return switch.ending or tally.end()


@dataclass(frozen=True, slots=True)
class _Lanes:
    """How many may be where on the road at once.

    A commit takes some milliseconds. So that lanes do not stand empty meanwhile, some submissions
    get their permit and intent ahead of a free one: as many as the rate lets go in `_AHEAD_S`, for
    each might leave that much later than permitted. At an ordinary rate that is one.

    Attributes:
        ahead: those that are about to leave.
        under_way: requests.
        workers: enough for both, and for as many whose end is being recorded.
    """

    ahead: asyncio.Semaphore
    under_way: asyncio.Semaphore
    workers: int

    @classmethod
    def of(cls, concurrency: int, rate_per_s: float) -> _Lanes:
        """The lanes for that many requests at once at that rate."""
        ahead = max(1, int(min(rate_per_s * _AHEAD_S, _MOST_AHEAD)))
        return cls(
            asyncio.Semaphore(ahead), asyncio.Semaphore(concurrency), concurrency + 2 * ahead
        )


@dataclass(frozen=True, slots=True)
class _Worker:
    """Takes one submission at a time down the whole road."""

    client: ConversationCreator
    journal: AttemptJournal
    limiter: RateLimiter
    policy: Policy
    lanes: _Lanes
    switch: StopSwitch
    tally: CircuitBreaker
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
            while not self.switch.stopped and (submission := next(drawn, None)) is not None:
                progress = SubmissionProgress(submission)
                decision: Decision | None = await retrying(self._attempt, progress)
                if decision is not None:
                    self.on_outcome(progress.outcome(decision))
        except Exception as exc:  # noqa: BLE001  (the others finish first, then it is raised)
            self.switch.stop(Ending(), exc)

    async def _attempt(self, progress: SubmissionProgress) -> Decision | None:
        """One request from permit to record; None where it was called off and nothing left."""
        try:
            permitted_at = await self._depart(progress)
        except StoppedWaiting:
            return None
        sent_at = self.now()
        try:
            happened = await self._request(progress.submission)
            took_s = self.now() - sent_at
            decision = decide(
                happened, progress.attempts, self.now() - progress.began, self.policy, self.random
            )
            self._learn(happened, decision, permitted_at)
            progress.note_response(happened)
            self._judge(progress, decision)
        finally:
            self.lanes.under_way.release()
        await self.journal.settle(progress.settlement(decision, took_s))
        return decision

    async def _depart(self, progress: SubmissionProgress) -> float:
        """Get ready to make a request: permit, durable intent, a free lane.

        Returns:
            When it was permitted. The lane is to be released.

        Raises:
            StoppedWaiting: the brake was pulled; the ledger knows that nothing left.
        """
        await self.switch.wait_for(self.lanes.ahead.acquire)
        try:
            permitted_at = await self.switch.wait_for(self.limiter.acquire)
            progress.begin_attempt(self.now())
            await self.journal.intend(progress.submission)
            try:
                await self.switch.wait_for(self.lanes.under_way.acquire)
                await self.switch.wait_for(
                    self.limiter.wait_while_held
                )  # the API may have said so meanwhile
            except (
                StoppedWaiting
            ):  # all ends now: a lane that is not given back is missed by nobody
                again = Decision(Verb.AGAIN, code=NOT_LEFT, message="Called off before it left.")
                await self.journal.settle(progress.settlement(again, 0.0))
                raise
        finally:
            self.lanes.ahead.release()
        return permitted_at

    async def _request(self, submission: Submission) -> Response | NotSent | MaybeSent:
        try:
            return await self.client.create(submission)
        except (NotSent, MaybeSent) as exc:
            return exc

    def _learn(
        self, happened: Response | NotSent | MaybeSent, decision: Decision, permitted_at: float
    ) -> None:
        """What the answer says about the limiter."""
        if decision.hold:
            self.limiter.hold(decision.wait_s)
            self.limiter.slow_down(permitted_at)
        elif isinstance(happened, Response):
            self.limiter.note_success()
        if isinstance(happened, Response):
            self.limiter.apply_quota(happened.remaining, happened.reset_s, self.policy.max_wait_s)

    async def _pause(self, seconds: float) -> None:
        with suppress(StoppedWaiting):
            await self.switch.wait_for(lambda: self.sleep(seconds))

    def _judge(self, progress: SubmissionProgress, decision: Decision) -> None:
        """Pull the brake where this is the end of the run, before another lane gets free."""
        if decision.verb is Verb.STOP:
            self.switch.stop(Ending(f"{decision.message} {_WHAT_TO_CHECK}", Exit.SETUP))
        elif decision.verb is not Verb.AGAIN:
            ending = self.tally.count(progress.outcome(decision))
            if ending:
                self.switch.stop(ending)


def _is_again(decision: Decision | None) -> bool:
    return decision is not None and decision.verb is Verb.AGAIN


def _wait_s(state: RetryCallState) -> float:
    """The wait that the last decision asks for."""
    if state.outcome is None or state.outcome.failed:
        return 0.0
    decision = state.outcome.result()
    return decision.wait_s if isinstance(decision, Decision) else 0.0
