"""Where the workers of a run get the next submission: from a list, or from claims on a server."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from importer.errors import LedgerAway

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from importer.ledger.shares import RunShare
    from importer.model import Submission


_AWAY_S: Final = 0.5
_SHORTEST_S: Final = 0.1
_LONGEST_S: Final = 2.0
"""How long to wait until it is asked again whether others are at work: at first, and at most."""


class Supply(Protocol):
    """The source of the workers' next submission."""

    async def take(self) -> Submission | None:
        """Return the next one; None if there is none left."""
        ...


class Listed:
    """A supply that is known from the start.

    Args:
        submissions: taken one by one when a worker is free; bodies are rendered only then.
    """

    def __init__(self, submissions: Iterable[Submission]) -> None:
        self._rest = iter(submissions)

    async def take(self) -> Submission | None:
        """Return the next one; None if there is none left."""
        return next(self._rest, None)


class FirstFew:
    """The first submissions of a supply.

    Args:
        supply: the supply to take them from.
        count: how many.
    """

    def __init__(self, supply: Supply, count: int) -> None:
        self._supply = supply
        self._left = count

    async def take(self) -> Submission | None:
        """Return the next one; None if there is none left."""
        if self._left <= 0:
            return None
        self._left -= 1
        return await self._supply.take()


class Claimed:
    """Submissions that are claimed a few at a time, beside other senders of the same run.

    It ends when nothing of the run is left, not even with other senders: what one of them leaves
    behind is claimed here.

    Args:
        share: claims.
        render: makes the submissions of some keys, in their order.
        batch: how many to claim at a time.
        patient: wait for what other senders have claimed; else it ends when nothing can be claimed.
    """

    def __init__(
        self,
        share: RunShare,
        render: Callable[[Sequence[str]], Iterable[Submission]],
        batch: int,
        *,
        patient: bool = True,
    ) -> None:
        self._share = share
        self._render = render
        self._batch = batch
        self._patient = patient
        self._ready: deque[Submission] = deque()
        self._turn = asyncio.Lock()

    async def take(self) -> Submission | None:
        """Return the next one; None if there is none left."""
        wait_s = _SHORTEST_S
        async with self._turn:
            while not self._ready:
                try:
                    keys = await asyncio.to_thread(self._share.claim, self._batch)
                    if keys == [] and not await self._may_get_more():
                        return None
                except LedgerAway:
                    await asyncio.sleep(_AWAY_S)
                    continue
                self._ready.extend(self._render(keys) if keys else ())
                if not keys:
                    await asyncio.sleep(wait_s)
                    wait_s = min(wait_s * 2, _LONGEST_S)
            return self._ready.popleft()

    async def _may_get_more(self) -> bool:
        return self._patient and await asyncio.to_thread(self._share.others_at_work)

    async def close(self) -> None:
        """Hand back what was claimed and has not left."""
        with suppress(LedgerAway):  # the end of the lease hands it back as well
            await asyncio.to_thread(self._share.hand_back)
