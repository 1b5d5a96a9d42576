"""Send submissions. Each attempt takes five steps: permit, intent, request, decision, record."""

from __future__ import annotations

import asyncio
import random as random_source
import time
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from tenacity import AsyncRetrying, RetryCallState, retry_if_result

from importer.errors import Exit
from importer.ledger.records import Settlement
from importer.ledger.submissions import CONVERSATION_OF_ANOTHER
from importer.ledger.writer import NOT_LEFT, ClaimLost, NoLongerToSend
from importer.model import Action, Decision, MaybeSent, NotSent, Outcome, Response, State
from importer.sending.circuit_breaker import Ending, StoppedWaiting, stop_switch
from importer.sending.client import LeaseOver, new_id
from importer.sending.retry import decide
from importer.sending.tracing import add_facts, traced

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from importer.ledger.records import SubmissionRecord
    from importer.model import Submission
    from importer.sending.circuit_breaker import CircuitBreaker, StopSwitch
    from importer.sending.rate_limiter import Limiter
    from importer.sending.retry import Policy
    from importer.sending.run_options import Observer
    from importer.sending.supply import Supply


_STATES: Final[dict[Action, State]] = {
    Action.CREATED: State.CREATED,
    Action.DUPLICATE: State.DUPLICATE,
    Action.REJECTED: State.REJECTED,
    Action.DOUBTFUL: State.DOUBTFUL,
    Action.UNSENT: State.UNSENT,
    Action.AGAIN: State.PLANNED,
    Action.STOP: State.UNSENT,
    Action.STOP_CAMPAIGN: State.UNSENT,
}

_UNCOUNTED: Final = frozenset({Action.AGAIN, Action.STOP, Action.STOP_CAMPAIGN})
"""Actions that do not end a submission, so no guard counts them."""

_CLAIMING: Final = frozenset({Action.CREATED, Action.DUPLICATE})
_UNCLAIMED: Final[dict[State | None, Action]] = {
    State.DOUBTFUL: Action.DOUBTFUL,
    State.REJECTED: Action.REJECTED,
}
"""State in the ledger -> action, for an answer with another submission's conversation."""

CAMPAIGN_CLOSED: Final = "campaign-closed"
"""The code of a submission that stays unsent because its campaign accepts nobody."""

SKEW_S: Final = 60.0
"""The user is told if the API's clock differs from ours by more than this."""


@dataclass(slots=True)
class SubmissionProgress:
    """The progress of one submission in a run.

    Attributes:
        submission: what to send.
        attempts: how many attempts have begun so far.
        started: when the first attempt got its permit, on the run's clock.
        status: the status of the last answer; None if the last attempt had none.
        conversation_id: the conversation's id in the last answer; None if it has none.
        request_id: the request's id in the last answer; our own id if the answer has none; empty if
            the request was not sent.
    """

    submission: Submission
    attempts: int = 0
    started: float = 0.0
    status: int | None = None
    conversation_id: str | None = None
    request_id: str = ""

    def begin_attempt(self, now: float) -> None:
        """Begin another attempt; clear the result of the last one."""
        self.started = self.started if self.attempts else now
        self.attempts += 1
        self.status = self.conversation_id = None
        self.request_id = new_id()

    def note_response(self, happened: Response | NotSent | MaybeSent) -> None:
        """Record the status and ids of a response."""
        if isinstance(happened, Response):
            self.status, self.conversation_id = happened.status, happened.conversation_id
            self.request_id = happened.request_id or self.request_id
        elif isinstance(happened, NotSent):
            self.request_id = ""  # the API has not seen it

    def settlement(self, decision: Decision, took_s: float | None) -> Settlement:
        """Return how the last attempt ended, for the ledger."""
        return Settlement(
            key=self.submission.key,
            state=_STATES[decision.action],
            status=self.status,
            conversation_id=self._shown_id(decision),
            code=decision.code,
            message=decision.message,
            duration_s=took_s,
            request_id=self.request_id,
            counts=decision.action not in _UNCOUNTED,
        )

    def outcome(self, decision: Decision) -> Outcome:
        """Return the submission's state after a decision, for observers."""
        return Outcome(
            key=self.submission.key,
            state=_STATES[decision.action],
            attempts=self.attempts,
            status=self.status,
            conversation_id=self._shown_id(decision),
            code=decision.code,
            message=decision.message,
        )

    def _shown_id(self, decision: Decision) -> str | None:
        """Return the conversation's id if it belongs to this submission."""
        ours = decision.action in {Action.CREATED, Action.DUPLICATE}
        return self.conversation_id if ours else None


class ConversationCreator(Protocol):
    """The client, as a worker uses it."""

    async def create(self, submission: Submission, request_id: str) -> Response:
        """Send one request; raise NotSent or MaybeSent if no response came."""
        ...


class AttemptJournal(Protocol):
    """The ledger, as a worker uses it."""

    async def intend(self, submission: Submission) -> None:
        """Record durably that a submission's request may be sent; refuse by raising an error.

        Raises:
            NoLongerToSend: the submission has been settled in the meantime; the run skips it.
            ClaimLost: another sender may send it; the run skips it.
        """
        ...

    async def settle(self, settlement: Settlement) -> State | None:
        """Record durably how an attempt ended; return the state in the ledger."""
        ...


@dataclass(frozen=True, slots=True)
class TimeSource:
    """Time and randomness, which tests can replace.

    Attributes:
        now: seconds on a clock that never goes back.
        sleep: waits for a number of seconds.
        random: returns a number between 0 and 1, for jitter.
    """

    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    random: Callable[[], float] = random_source.random


_AHEAD_S: Final = 0.05
_MOST_AHEAD: Final = 16


@dataclass(frozen=True, slots=True)
class SendingContext:
    """The state that all workers of a round share.

    Attributes:
        client: makes one request.
        journal: records durably.
        limiter: gives a permit for each request.
        policy: the limits on attempts and time, and which answers to trust.
        breaker: counts failures against the limits, and knows which campaigns accept nobody.
        observer: is notified of each finished submission, once its result is durable. If the run
            stops while a submission waits, the submission is not finished: it stays planned.
        concurrency: the maximum number of requests in flight.
        clock: time and randomness.
    """

    client: ConversationCreator
    journal: AttemptJournal
    limiter: Limiter
    policy: Policy
    breaker: CircuitBreaker
    observer: Observer
    concurrency: int
    clock: TimeSource = field(default_factory=TimeSource)


async def submit(supply: Supply, context: SendingContext, stop: asyncio.Event) -> Ending:
    """Send submissions until none are left or the run stops.

    Args:
        supply: the submissions; a free worker takes one at a time.
        context: the state that the workers share.
        stop: once it is set, no new attempt begins. Requests in flight finish and are recorded.

    Raises:
        Exception: the first exception from the journal, the supply or the observer, raised once
            the requests in flight have finished. They are recorded if the journal still works.
    """
    capacity = _Capacity.of(context.concurrency, context.limiter.rate)
    async with stop_switch(stop) as switch:
        worker = _Worker(context, capacity, switch)
        await asyncio.gather(*(worker.run(supply) for _ in range(capacity.workers)))
    if switch.error is not None:
        raise switch.error
    return switch.ending or context.breaker.end()


@dataclass(frozen=True, slots=True)
class _Capacity:
    """The number of submissions that may be at each stage at once.

    A commit takes a few milliseconds. To keep every slot busy, some submissions get a permit and an
    intent before a slot is free. Their number is what the rate allows in `_AHEAD_S` seconds, the
    longest time between a permit and its request. At usual rates this is one submission.

    Attributes:
        ahead: limits the submissions that wait for a slot.
        under_way: limits the requests in flight; each holds one slot.
        workers: enough workers for both, plus as many as `ahead` allows to record results.
    """

    ahead: asyncio.Semaphore
    under_way: asyncio.Semaphore
    workers: int

    @classmethod
    def of(cls, concurrency: int, rate_per_s: float) -> _Capacity:
        """Make the capacity for a concurrency and a rate."""
        ahead = max(1, int(min(rate_per_s * _AHEAD_S, _MOST_AHEAD)))
        return cls(
            asyncio.Semaphore(ahead), asyncio.Semaphore(concurrency), concurrency + 2 * ahead
        )


class _CampaignClosed(Exception):
    """The campaign closed while a submission waited; the message says why."""


@dataclass(slots=True)
class _Worker:
    """Sends one submission at a time, from permit to record."""

    context: SendingContext
    capacity: _Capacity
    switch: StopSwitch
    told_skew: bool = False

    async def run(self, supply: Supply) -> None:
        """Send until no submission is left or the run stops; an error stops the run."""
        retrying = AsyncRetrying(  # one per worker, because it keeps state
            retry=retry_if_result(_is_again),
            wait=_wait_s,
            sleep=self._pause,
            reraise=True,
        )
        try:
            while (submission := await self._next(supply)) is not None:
                progress = SubmissionProgress(submission)
                decision: Decision | None = await retrying(self._attempt, progress)
                if decision is not None:
                    self.context.observer.on_outcome(progress.outcome(decision))
        except Exception as exc:  # noqa: BLE001 - `submit` raises it at the end
            self.switch.stop(Ending(), exc)

    async def _next(self, supply: Supply) -> Submission | None:
        """Return the next submission; None if none is left or the run stopped."""
        try:
            return await self.switch.wait_for(supply.take)
        except StoppedWaiting:
            return None

    async def _attempt(self, progress: SubmissionProgress) -> Decision | None:
        """Make one attempt, from permit to record; None if the request could not be sent now."""
        try:
            permitted_at = await self._prepare_request(progress)
        except (StoppedWaiting, ClaimLost):
            return None
        except _CampaignClosed as closed:
            return await self._leave_unsent(progress, str(closed))
        except NoLongerToSend as settled:
            return _adopt_end(progress, settled.known)
        now = self.context.clock.now
        sent_at = now()
        try:
            with traced("attempt", number=progress.attempts) as span:
                happened = await self._request(progress)
                add_facts(span, status=_status_of(happened), ended=type(happened).__name__)
            if isinstance(happened, LeaseOver):
                await self._take_back(progress)
                return None
            took_s = now() - sent_at
            decision = decide(
                happened,
                progress.attempts,
                now() - progress.started,
                self.context.policy,
                self.context.clock.random,
            )
            self._learn(happened, decision, permitted_at)
            progress.note_response(happened)
            if decision.action not in _CLAIMING:
                self._stop_if_required(progress, decision)  # before the slot becomes free
        finally:
            self.capacity.under_way.release()
        written = await self.context.journal.settle(progress.settlement(decision, took_s))
        if decision.action in _CLAIMING:
            unclaimed = _UNCLAIMED.get(written)  # only the ledger knows all conversations
            if unclaimed is not None:
                decision = Decision(
                    unclaimed,
                    code=CONVERSATION_OF_ANOTHER,
                    message="The API answered with the conversation of another submission.",
                )
            self._stop_if_required(progress, decision)
        ending = self.context.breaker.catch_up()
        if ending:
            self.switch.stop(ending)
        return decision

    async def _prepare_request(self, progress: SubmissionProgress) -> float:
        """Prepare a request: get a permit, a durable intent and a free slot.

        Returns:
            The time of the permit. The caller must release the slot.

        Raises:
            StoppedWaiting: the run is stopping; the ledger records that nothing was sent.
            _CampaignClosed: the campaign accepts nobody; nothing was sent.
            NoLongerToSend: the submission has been settled in the meantime; nothing was sent.
            ClaimLost: another sender may send it; nothing was sent.
        """
        context, campaign = self.context, progress.submission.campaign
        self._check_campaign(campaign)
        if context.limiter.needs_free_slot:
            return await self._prepare_when_free(progress)
        await self.switch.wait_for(self.capacity.ahead.acquire)
        try:
            permitted_at = await self._intend(progress)
            try:
                await self.switch.wait_for(self.capacity.under_way.acquire)
                # The API may have asked us to wait since the permit was given.
                permitted_at = await self.switch.wait_for(
                    partial(context.limiter.confirm, permitted_at)
                )
            except StoppedWaiting:  # the run ends, so nobody needs the slot
                await self._take_back(progress)
                raise
            try:
                self._check_campaign(campaign)
            except _CampaignClosed:
                self.capacity.under_way.release()
                await self._take_back(progress)
                raise
        finally:
            self.capacity.ahead.release()
        return permitted_at

    async def _prepare_when_free(self, progress: SubmissionProgress) -> float:
        """Prepare a request like `_prepare_request`, but wait for the free slot first.

        Several machines take their permits in turn, and each permit must be used at its time. So it
        must not wait for a slot.
        """
        context, campaign = self.context, progress.submission.campaign
        await self.switch.wait_for(self.capacity.under_way.acquire)
        try:
            permitted_at = await self._intend(progress)
            try:
                confirm = partial(context.limiter.confirm, permitted_at)
                permitted_at = await self.switch.wait_for(confirm)
                self._check_campaign(campaign)
            except (StoppedWaiting, _CampaignClosed):
                await self._take_back(progress)
                raise
        except BaseException:  # even cancellation must free the slot
            self.capacity.under_way.release()
            raise
        return permitted_at

    async def _intend(self, progress: SubmissionProgress) -> float:
        """Wait for a permit, then write a durable intent; return the time of the permit."""
        permitted_at = await self._permit()
        self._check_campaign(progress.submission.campaign)
        progress.begin_attempt(self.context.clock.now())
        await self.context.journal.intend(progress.submission)
        return permitted_at

    async def _permit(self) -> float:
        """Wait for a permit; return its time."""
        return await self.switch.wait_for(partial(self.context.limiter.acquire, early=True))

    async def _take_back(self, progress: SubmissionProgress) -> None:
        """Undo an intent: record that nothing was sent."""
        again = Decision(Action.AGAIN, code=NOT_LEFT, message="Stopped before it was sent.")
        await self.context.journal.settle(progress.settlement(again, 0.0))

    def _check_campaign(self, campaign: str) -> None:
        """Raise _CampaignClosed if the campaign accepts nobody."""
        reason = self.context.breaker.closed.reasons.get(campaign)
        if reason is not None:
            raise _CampaignClosed(reason)

    async def _leave_unsent(self, progress: SubmissionProgress, reason: str) -> Decision:
        """Mark a submission as unsent because its campaign accepts nobody; no guard counts it."""
        decision = Decision(Action.UNSENT, code=CAMPAIGN_CLOSED, message=reason)
        self.context.breaker.closed.leave(progress.submission.campaign)
        end = replace(progress.settlement(decision, None), counts=False)
        await self.context.journal.settle(end)
        return decision

    async def _request(self, progress: SubmissionProgress) -> Response | NotSent | MaybeSent:
        """Send the request; return its response, or the exception if there is none."""
        try:
            return await self.context.client.create(progress.submission, progress.request_id)
        except (NotSent, MaybeSent) as exc:
            return exc

    def _learn(
        self, happened: Response | NotSent | MaybeSent, decision: Decision, permitted_at: float
    ) -> None:
        """Adapt the rate, the quota and the clock warning to a response."""
        limiter, policy = self.context.limiter, self.context.policy
        if decision.hold:
            limiter.hold(decision.wait_s)
            limiter.slow_down(permitted_at)
        elif isinstance(happened, Response):
            limiter.note_success()
        if not isinstance(happened, Response):
            return
        limiter.apply_quota(happened.remaining, happened.reset_s, policy.max_wait_s)
        if happened.remaining == 0 and (happened.reset_s or 0.0) > policy.longest_pause_s:
            duration = _format_duration(happened.reset_s or 0.0)
            self.switch.stop(
                Ending(
                    f"The API's quota is used up for {duration}. Run `importer resume` after it "
                    "resets.",
                    Exit.SETUP,
                )
            )
        self._tell_skew(happened.skew_s or 0.0)

    def _tell_skew(self, skew_s: float) -> None:
        """Tell the user once if the API's clock differs from ours by more than `SKEW_S`."""
        if abs(skew_s) > SKEW_S and not self.told_skew:
            self.told_skew = True
            self.context.observer.on_stage(skew_text(skew_s))

    async def _pause(self, seconds: float) -> None:
        """Wait before the next attempt; return at once if the run stops."""
        with suppress(StoppedWaiting):
            await self.switch.wait_for(lambda: self.context.clock.sleep(seconds))

    def _stop_if_required(self, progress: SubmissionProgress, decision: Decision) -> None:
        """Stop the run or the campaign if the decision requires it."""
        breaker = self.context.breaker
        if decision.action is Action.STOP:
            self.switch.stop(Ending(_say_with_fix(decision), Exit.SETUP))
        elif decision.action is Action.STOP_CAMPAIGN:
            campaign = progress.submission.campaign
            breaker.closed.close(campaign, _say_with_fix(decision))
            breaker.closed.leave(campaign)
        elif decision.action is not Action.AGAIN:
            ending = breaker.count(progress.outcome(decision))
            if ending:
                self.switch.stop(ending)


def _say_with_fix(decision: Decision) -> str:
    """Return the reason for a decision, and how a person can fix it."""
    return f"{decision.message} {decision.fix}".strip()


def _status_of(happened: Response | NotSent | MaybeSent) -> int | None:
    return happened.status if isinstance(happened, Response) else None


def _adopt_end(progress: SubmissionProgress, known: SubmissionRecord) -> Decision:
    """Take over the result of a submission that is already settled, as a decision."""
    progress.attempts -= 1  # nothing was sent, so this attempt does not count
    progress.conversation_id = known.conversation_id
    action = Action.CREATED if known.state is State.CREATED else Action.REJECTED
    return Decision(action, code=known.code, message=known.message)


def skew_text(skew_s: float) -> str:
    """Return a sentence about the difference between the API's clock and ours."""
    direction = "ahead of" if skew_s > 0 else "behind"
    return (
        f"The API's clock is {abs(skew_s):.0f} seconds {direction} this machine's; one of the two "
        "is wrong. Check this machine's clock. Times of conversations are corrected by this "
        "difference."
    )


def _format_duration(seconds: float) -> str:
    """Return a duration in words."""
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{round(seconds / 3600)} hours"  # noqa: PLR2004


def _is_again(decision: Decision | None) -> bool:
    return decision is not None and decision.action is Action.AGAIN


def _wait_s(state: RetryCallState) -> float:
    """Return the seconds to wait before the next attempt, from the last decision."""
    if state.outcome is None or state.outcome.failed:
        return 0.0
    decision = state.outcome.result()
    return decision.wait_s if isinstance(decision, Decision) else 0.0
