"""The ledger for the workers that send: async, with many writes in each commit.

One thread writes. Writes that arrive during a commit go into the next one, so the disk limits the
number of commits, not of submissions. Commits start a moment apart, so that each one has more
writes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random

from importer.errors import LedgerAway, LedgerError
from importer.ledger.records import Settlement
from importer.ledger.webhook_events import EVENT
from importer.model import State
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from importer.ledger.ledger import Ledger
    from importer.ledger.records import SubmissionRecord
    from importer.ledger.shares import RunShare
    from importer.model import Submission


NOT_LEFT: Final = "not-left"
"""The code of a submission whose intent was written after its sender was cancelled."""

_UNWANTED: Final = frozenset({Code.OPTED_OUT.value, Code.CONTACTED_RECENTLY.value})
"""Codes of submissions that are rejected right before their request."""

_AWAY_S: Final = 600.0
"""How long answers are kept while the server is away."""

_GROUP: Final = 1_000
_APART_S: Final = 0.01  # after a longer pause, a request is written at once


class NoLongerToSend(Exception):
    """A submission was settled while its run went on: its person opted out, or an event showed it.

    Attributes:
        known: the submission as the ledger has it now.
    """

    def __init__(self, known: SubmissionRecord) -> None:
        super().__init__(known.key)
        self.known = known


class ClaimLost(Exception):
    """Another sender may send this submission by now: this one's lease was over for a moment."""


_Answer = bool | State | None
"""For an intent, whether the request may leave; for a settlement, the state that was written."""


@dataclass(frozen=True, slots=True, eq=False)
class _Request:
    """One write, and the future of the caller that waits for it, if any."""

    key: str
    settlement: Settlement | None
    waiter: asyncio.Future[_Answer] | None


class LedgerWriter:
    """Intents and ends of attempts of one run, committed in groups.

    Make and use it only inside one running event loop; close it with `aclose` or `async with`.

    Args:
        ledger: open for writing.
        run: id of the run.
        share: what this process sends of the run, if the ledger is on a server. Then a server that
            is away is waited for, and answers are kept until it is back.
    """

    def __init__(self, ledger: Ledger, run: str, share: RunShare | None = None) -> None:
        self._ledger = ledger
        self._run = run
        self._share = share
        self._loop = asyncio.get_running_loop()
        self._requests: deque[_Request] = deque()
        self._news = threading.Condition()
        self._failed: Exception | None = None
        self._closed = False
        self._started_s = -_APART_S
        self._writer = threading.Thread(target=self._write, name="ledger", daemon=True)
        self._writer.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def intend(self, submission: Submission) -> None:
        """Return when the intent to send this submission is durable.

        If the caller is cancelled while it waits, no request leaves, and the ledger notes that.

        Raises:
            NoLongerToSend: its person has opted out, or an event of the API shows that it exists.
            ClaimLost: another sender may send it.
            LedgerError: the submission must not be sent (it was already, or is no longer this
                run's), or the ledger failed; after a failure no intent succeeds again.
        """
        if self._failed is not None:
            raise self._failed
        waiter = self._ask(submission.key, None)
        try:
            granted = await waiter
        except asyncio.CancelledError:
            # Was it durable already when the cancellation came?
            told = waiter.done() and not waiter.cancelled() and waiter.exception() is None
            if told and waiter.result():
                self._take_back(submission.key)
            raise
        if not granted:
            await self._explain_refusal(submission.key)
            if self._share is not None:
                raise ClaimLost
            raise LedgerError(
                f"The ledger refuses to send row {submission.row} again.",
                "It was sent already, may have been, or belongs to a newer run.",
            )

    async def _explain_refusal(self, key: str) -> None:
        """Raise NoLongerToSend if that is why an intent was refused."""
        known = (await asyncio.to_thread(self._ledger.submissions.records, [key])).get(key)
        if known is not None and known.run == self._run:
            opted_out = known.state is State.REJECTED and known.code in _UNWANTED
            shown = known.state is State.CREATED and known.decided_by == EVENT
            if opted_out or shown:
                raise NoLongerToSend(known)

    async def settle(self, settlement: Settlement) -> State:
        """Return the written state, when the end of an attempt is durable.

        It is doubtful instead of created if another submission has that conversation.

        Raises:
            LedgerError: this state cannot follow the submission's present one, or the ledger
                failed.
        """
        written = await self._ask(settlement.key, settlement)
        if not isinstance(written, State):
            raise LedgerError(
                f"The ledger does not expect a submission to become {settlement.state}.",
                "This is a fault of importer; please report it.",
            )
        return written

    async def aclose(self) -> None:
        """Write what is still waiting, and end the thread."""
        with self._news:
            self._closed = True
            self._news.notify()
        await asyncio.to_thread(self._writer.join)
        if self._requests:  # intents of the last group whose callers were cancelled
            await asyncio.to_thread(self._write)

    def _ask(self, key: str, settlement: Settlement | None) -> asyncio.Future[_Answer]:
        if self._closed:
            raise LedgerError("The ledger's writer is closed.")
        waiter: asyncio.Future[_Answer] = self._loop.create_future()
        self._put(_Request(key, settlement, waiter))
        return waiter

    def _take_back(self, key: str) -> None:
        """Write that nothing was sent, after an intent whose caller was cancelled."""
        self._put(_Request(key, Settlement(key, State.PLANNED, code=NOT_LEFT), None))

    def _put(self, request: _Request) -> None:
        with self._news:
            self._requests.append(request)
            self._news.notify()

    # ---- the writing thread ------------------------------------------------------------------

    def _write(self) -> None:
        """Commit group after group until the writer is closed and nothing waits."""
        while group := self._next_group():
            self._commit(group)

    def _next_group(self) -> list[_Request]:
        """Return the waiting requests in order, up to the second one for a submission."""
        with self._news:
            self._news.wait_for(lambda: self._requests or self._closed)
            soon_s = self._started_s + _APART_S - time.monotonic()
            if soon_s > 0:
                self._news.wait_for(lambda: self._closed, soon_s)
            self._started_s = time.monotonic()
            group: dict[str, _Request] = {}
            while self._requests and self._requests[0].key not in group and len(group) < _GROUP:
                request = self._requests.popleft()
                group[request.key] = request
        return list(group.values())

    def _commit(self, group: list[_Request]) -> None:
        """Write a group in one transaction, and tell everybody who waits for it.

        If that fails, no intent is tried again, now or later. Ends of attempts are written once
        more, without the intents: how a request ended is worth a second try.
        """
        intents = [request for request in group if request.settlement is None]
        ends = [request for request in group if request.settlement is not None]
        if self._failed is None:
            try:
                self._record(intents, ends)
            except Exception as error:  # noqa: BLE001 - all who wait must learn of it
                self._failed = error
            else:
                return
        self._later(_fail, intents, self._failed)
        if ends:
            self._write_ends(ends)

    def _write_ends(self, ends: list[_Request]) -> None:
        """Write ends of attempts; if that fails, each by itself: one must not cost the others."""
        try:
            self._record([], ends)
        except Exception as error:  # noqa: BLE001 - all who wait must learn of it
            if len(ends) == 1 or isinstance(error, LedgerAway):
                self._later(_fail, ends, error)
                return
            for each in ends:
                self._write_ends([each])

    def _record(self, intents: list[_Request], ends: list[_Request]) -> None:
        keys = [request.key for request in intents]
        settlements = [request.settlement for request in ends if request.settlement is not None]
        if self._share is None:
            granted, settled = self._ledger.submissions.record(self._run, keys, settlements)
        else:
            granted, settled = record_patiently(self._share, keys, settlements)
        done = [*zip(intents, granted, strict=True), *zip(ends, settled, strict=True)]
        self._later(self._tell, done)

    def _later(self, tell: Callable[..., None], *what: object) -> None:
        """Call a function in the event loop, unless the loop is closed."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(tell, *what)

    # ---- back in the event loop --------------------------------------------------------------

    def _tell(self, done: list[tuple[_Request, _Answer]]) -> None:
        for request, well in done:
            if request.waiter is None:
                continue
            if not request.waiter.done():
                request.waiter.set_result(well)
            elif request.settlement is None and well:
                self._take_back(request.key)


def record_patiently(
    share: RunShare, keys: Sequence[str], settlements: Sequence[Settlement]
) -> tuple[tuple[bool, ...], tuple[State | None, ...]]:
    """Write to a server; if it is away, wait until it is back. Known answers must not be lost."""
    for attempt in Retrying(
        retry=retry_if_exception_type(LedgerAway),
        stop=stop_after_delay(_AWAY_S),
        wait=wait_random(0.1, 0.5),
        reraise=True,
    ):
        with attempt:
            again = attempt.retry_state.attempt_number > 1
            return share.record(keys, settlements, again=again)
    raise AssertionError("unreachable")


def _fail(group: list[_Request], error: BaseException) -> None:
    for request in group:
        if request.waiter is not None and not request.waiter.done():
            request.waiter.set_exception(error)
