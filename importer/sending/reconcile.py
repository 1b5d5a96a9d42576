"""What became of doubtful submissions: the API's list of conversations, walked to its end.

Found is created. Not found is proof only of a list that was read whole, some time after the
request, by an API that checks for duplicates itself; anything less, and it stays doubtful.
"""

from __future__ import annotations

import asyncio
import random as random_source
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from importer.model import Outcome, State
from importer.sending.circuit_breaker import stop_switch
from importer.sending.matching import Doubt, Evidence, id_of
from importer.sending.pagination import ListUnreadable, Pager
from importer.sending.responses import text_at

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence
    from datetime import datetime

    from importer.sending.pagination import ConversationSource
    from importer.sending.rate_limiter import RateLimiter
    from importer.settings import Settings

__all__ = ["ConversationStatuses", "Doubt", "ListFindings", "look_up", "read_statuses"]


ABSENT: Final = "absent"
"""The code of a submission that the list was proved not to hold."""

UNSETTLED: Final = "unsettled"
"""The code of a submission that stays doubtful."""

_ASKED_ONE_BY_ONE: Final = 20
"""Up to so many conversations are asked for by id; for more the list is walked."""


@dataclass(frozen=True, slots=True)
class ListFindings:
    """What the list says of the doubtful ones.

    Attributes:
        outcomes: one for each, in their order: `created` with the conversation's id, `planned`
            with the code `absent` (may be sent again), or still `doubtful` with the reason.
        reason: why the list was not read whole; empty where it was, or nothing was left to find.
        pages: how many were read.
    """

    outcomes: tuple[Outcome, ...] = ()
    reason: str = ""
    pages: int = 0

    @property
    def absent(self) -> int:
        """How many were proved absent, and may be sent again."""
        return sum(outcome.state is State.PLANNED for outcome in self.outcomes)


@dataclass(frozen=True, slots=True)
class ConversationStatuses:
    """What became of conversations.

    Attributes:
        by_id: conversation id -> its status now; one that is not shown is not in it.
        reason: why it is not complete; empty where it is.
    """

    by_id: dict[str, str]
    reason: str = ""


async def look_up(
    doubts: Sequence[Doubt],
    *,
    client: ConversationSource,
    limiter: RateLimiter,
    settings: Settings,
    person: Callable[[str | None, str | None], str],
    now: Callable[[], datetime],
    witnesses: Collection[str] = (),
    stop: asyncio.Event | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random_source.random,
) -> ListFindings:
    """Find out what became of doubtful submissions; nothing is recorded, that is the caller's.

    Args:
        doubts: of any number of runs.
        client: asks; asking again is harmless.
        limiter: shared with whoever sends.
        settings: settle_s, max_pages, bounds of the attempts, skip_duplication_check.
        person: keyed hash of a person, given the phone or else the e-mail (one is None).
        now: the time of day, of the clock that `sent_at` was read from.
        witnesses: ids of conversations known to exist; a list without them proves nothing.
        stop: ends it early, with everything still doubtful.
        sleep: waits for that many seconds.
        random: jitter, a number of [0, 1).
    """
    if not doubts:
        return ListFindings()
    evidence, missing = Evidence(doubts, person), set[str | None](witnesses)
    pages, reason = 0, ""
    async with stop_switch(stop or asyncio.Event()) as switch:
        pager = Pager(client, limiter, settings, switch, sleep, random)
        try:
            await pager.pause(_settling_s(doubts, settings.settle_s, now()))
            async for page in pager.pages():
                pages += 1
                evidence.note(page.conversations)
                missing.difference_update(map(id_of, page.conversations))
                if all(evidence.certain(doubt) for doubt in doubts):
                    break
        except ListUnreadable as exc:
            reason = str(exc)
    if not reason and settings.skip_duplication_check:
        doubtful = "The API was told not to check for duplicates, so it cannot be sent again."
    elif not reason and missing:
        doubtful = "The list lacks conversations that are known to exist, so it proves nothing."
    else:
        doubtful = reason
    return ListFindings(
        tuple(_verdict(doubt, evidence, doubtful) for doubt in doubts), reason, pages
    )


async def read_statuses(
    conversation_ids: Collection[str],
    *,
    client: ConversationSource,
    limiter: RateLimiter,
    settings: Settings,
    stop: asyncio.Event | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random_source.random,
) -> ConversationStatuses:
    """What the API says now of conversations: one by one where they are few, else by its list."""
    wanted, found = set(conversation_ids), dict[str, str]()
    async with stop_switch(stop or asyncio.Event()) as switch:
        pager = Pager(client, limiter, settings, switch, sleep, random)
        few = len(wanted) <= _ASKED_ONE_BY_ONE
        pages = pager.each(sorted(wanted)) if few else pager.pages()
        try:
            async for page in pages:
                for conversation in page.conversations:
                    shown_id, status = id_of(conversation), text_at(conversation, "status")
                    if shown_id is not None and shown_id in wanted and status is not None:
                        found[shown_id] = status
                if len(found) == len(wanted):
                    break
        except ListUnreadable as exc:
            return ConversationStatuses(found, str(exc))
    return ConversationStatuses(found)


def _settling_s(doubts: Sequence[Doubt], settle_s: float, now: datetime) -> float:
    """Seconds until `settle_s` have gone by since the last of them was given up."""
    youngest = min((now - (each.ended_at or each.sent_at)).total_seconds() for each in doubts)
    return min(max(settle_s - youngest, 0.0), settle_s)


def _verdict(doubt: Doubt, evidence: Evidence, unproved: str) -> Outcome:
    """What is known of one of them now.

    Args:
        doubt: the one.
        evidence: of all that was read.
        unproved: why not finding it proves nothing; empty where it does.
    """
    certain, possible = evidence.certain(doubt), evidence.possible(doubt)
    if certain:
        again = f" {len(certain)} conversations match." if len(certain) > 1 else ""
        return Outcome(
            doubt.key,
            State.CREATED,
            attempts=0,
            conversation_id=certain[0].conversation_id,
            message=f"Found in the list of conversations.{again}",
        )
    if possible:
        ids = ", ".join(sorted({seen.conversation_id or "one without an id" for seen in possible}))
        unproved = f"The list shows what may be it, but need not: {ids}."
    elif not unproved and evidence.blind_for(doubt):
        unproved = "The list shows conversations without externalId, phone and e-mail."
    if unproved:
        return Outcome(doubt.key, State.DOUBTFUL, attempts=0, code=UNSETTLED, message=unproved)
    return Outcome(
        doubt.key,
        State.PLANNED,
        attempts=0,
        code=ABSENT,
        message="The list of conversations does not hold it, so it may be sent again.",
    )
