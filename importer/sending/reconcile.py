"""Look up doubtful submissions in the API's list of conversations.

Found is created. Not found is proof of absence only if all of this holds:

- the list was read to an end that the API states, without an error or a sign that more follows;
- `settle_s` has passed since the request was given up, and since we last created a conversation in
  that campaign;
- the list has caught up: it shows, by its externalId, a conversation of the same campaign and kind
  that we created after the doubtful request left (a witness), or ten times the longest lag that
  was measured on at least twenty of our conversations has passed;
- it leaves out none of the conversations that we created at about that time in that campaign;
- it shows nothing that may be this conversation, and nothing of that time that may be anybody's;
- the API checks for duplicates itself, and the row was sent at most `max_resends` times again.

Anything less, and the submission stays doubtful until a later run brings a witness.
"""

from __future__ import annotations

import asyncio
import random as random_source
from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from importer.ledger.records import ListLag, Witness
from importer.model import MaybeSent, NotSent, Outcome, State
from importer.sending.circuit_breaker import StoppedWaiting, stop_switch
from importer.sending.echo import text_at
from importer.sending.matching import Doubt, Evidence, id_of
from importer.sending.responses import is_2xx, is_4xx, is_redirect
from importer.sending.retry import Policy, backoff_s, pause_s

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterator,
        Awaitable,
        Callable,
        Collection,
        Iterator,
        Mapping,
        Sequence,
    )
    from datetime import datetime

    from importer.model import Response
    from importer.sending.circuit_breaker import StopSwitch
    from importer.sending.matching import PersonHashes
    from importer.sending.rate_limiter import Limiter
    from importer.sending.responses import Page
    from importer.settings import Settings


# ---- read the list page by page, at the shared rate ----------------------------------------------


class ConversationSource(Protocol):
    """The part of the client that reads conversations."""

    async def conversations(self, token: str | None = None) -> Page:
        """Fetch one page of the list; raise NotSent or MaybeSent."""
        ...

    async def conversation(self, conversation_id: str) -> Page:
        """Fetch one conversation; raise NotSent or MaybeSent."""
        ...


class ListUnreadable(Exception):
    """The list cannot be read to its end; the text says why."""


@dataclass(frozen=True, slots=True)
class Pager:
    """Reads pages, and retries each one within the bounds of the policy."""

    client: ConversationSource
    limiter: Limiter
    settings: Settings
    switch: StopSwitch
    sleep: Callable[[float], Awaitable[object]]
    random: Callable[[], float]

    async def pages(self) -> AsyncIterator[Page]:
        """Yield the pages of the list from start to end.

        Raises:
            ListUnreadable: the API did not confirm that the list ended; the pages read so far were
                yielded.
        """
        token: str | None = None
        tokens: set[str] = set()
        count, total = 0, 0
        until = self.limiter.time() + self.settings.max_list_s
        for number in range(self.settings.max_pages):
            if number and self.limiter.time() > until:
                raise ListUnreadable(
                    f"The list of conversations was not read to its end within max_list_s "
                    f"({self.settings.max_list_s:g} s): {count} conversations."
                )
            page = await self._page(partial(self.client.conversations, token))
            yield page
            count, total = count + len(page.conversations), max(total, page.total or 0)
            token = page.next_token
            if token is None:
                if page.incomplete:
                    raise ListUnreadable(
                        f"The list of conversations is not complete: {page.incomplete}."
                    )
                if count < total:
                    raise ListUnreadable(
                        f"The list of conversations shows {count} of {total} conversations."
                    )
                return
            if token in tokens:
                raise ListUnreadable("The list of conversations repeats itself and has no end.")
            tokens.add(token)
        raise ListUnreadable(
            f"The list of conversations is longer than max_pages ({self.settings.max_pages})."
        )

    async def each(self, conversation_ids: Sequence[str]) -> AsyncIterator[Page]:
        """Yield conversations one by one; skip those that the API does not have."""
        for conversation_id in conversation_ids:
            ask = partial(self.client.conversation, conversation_id)
            yield await self._page(ask, HTTPStatus.NOT_FOUND)

    async def pause(self, seconds: float) -> None:
        """Wait, unless the run stops."""
        try:
            await self.switch.wait_for(lambda: self.sleep(seconds))
        except StoppedWaiting as exc:
            raise ListUnreadable("Interrupted before the list of conversations was read.") from exc

    async def _page(self, ask: Callable[[], Awaitable[Page]], *known: int) -> Page:
        """Read one page; reading is harmless, so every temporary failure is retried."""
        policy = Policy.of(self.settings)
        reason = ""
        for attempt in range(1, policy.attempts + 1):
            permitted_at = await self._permit()
            wait_s = backoff_s(attempt, policy, self.random)
            try:
                page = await ask()
            except (NotSent, MaybeSent) as exc:
                reason = str(exc)
            else:
                response = page.response
                reason = f"HTTP {response.status}"
                if response.refusal:
                    reason = f"{reason}, {response.refusal}"
                self.limiter.apply_quota(response.remaining, response.reset_s, policy.max_wait_s)
                if _is_good(response) or response.status in known:
                    self.limiter.note_success()
                    return page
                if _is_final(response):
                    break
                if _is_busy(response):
                    wait_s = pause_s(response, attempt, policy, self.random)
                    self.limiter.hold(wait_s)
                    self.limiter.slow_down(permitted_at)
            if attempt < policy.attempts:
                await self.pause(wait_s)
        raise ListUnreadable(f"The list of conversations cannot be read ({reason}).")

    async def _permit(self) -> float:
        try:
            return await self.switch.wait_for(self.limiter.acquire)
        except StoppedWaiting as exc:
            raise ListUnreadable("Interrupted before the list of conversations was read.") from exc


def _is_good(response: Response) -> bool:
    return is_2xx(response.status) and response.readable and not response.refusal


def _is_busy(response: Response) -> bool:
    return response.status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}


def _is_final(response: Response) -> bool:
    """Whether a retry would not help: a redirect, or a refusal that is not temporary."""
    no = is_redirect(response.status) or is_4xx(response.status)
    return no and response.status not in {408, 425, 429}


# ---- decide what it shows ------------------------------------------------------------------------


ABSENT: Final = "absent"
"""The code of a submission that was proved absent from the list."""

UNSETTLED: Final = "unsettled"
"""The code of a submission that stays doubtful."""

AROUND: Final = timedelta(hours=1)
"""Conversations that we created up to this long before a doubtful request must be listed, too."""

_MEASURED: Final = 20
"""The list's lag must be known for at least this many conversations."""

_LAGS: Final = 10
"""A conversation that exists is listed after this many times the longest lag."""

_ASKED_ONE_BY_ONE: Final = 20
"""Up to this many conversations are asked for by id; for more the list is read."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The ledger's facts that can prove an absence.

    Attributes:
        witnesses: (campaign, kind) -> conversations that we created there, also a while before
            the first doubtful request.
        lag: how late the list has shown our conversations so far.
        owned: ids of conversations that already belong to other submissions.
    """

    witnesses: Mapping[tuple[str, str], Sequence[Witness]] = field(default_factory=dict)
    lag: ListLag = field(default_factory=lambda: ListLag(0, 0.0))
    owned: frozenset[str] = frozenset()

    def lag_passed(self, doubt: Doubt, now: datetime) -> bool:
        """Whether the list's measured lag says that it would show the conversation by now."""
        waited_s = (now - doubt.given_up_at).total_seconds()
        return self.lag.count >= _MEASURED and waited_s > _LAGS * self.lag.longest_s

    def can_settle(self, doubt: Doubt, now: datetime) -> bool:
        """Whether reading the list may prove anything about a doubt of an earlier run."""
        known = self.witnesses.get((doubt.campaign, doubt.kind), ())
        later = any(each.sent_at > doubt.sent_at for each in known)
        return later or self.lag_passed(doubt, now)


@dataclass(frozen=True, slots=True)
class ListFindings:
    """The list's findings about doubtful submissions.

    Attributes:
        outcomes: one for each, in their order: `created` with the conversation's id, `planned`
            with the code `absent` (may be sent again), or still `doubtful` with the reason. After
            them `duplicate` for each conflict whose conversation the list shows.
        reason: why the list was not read to its end; empty if it was, or if nothing more had to be
            found.
        pages: how many were read.
        external_ids: those that the list showed.
        skew_s: seconds that the API's clock is ahead of ours; None if it shows no time.
    """

    outcomes: tuple[Outcome, ...] = ()
    reason: str = ""
    pages: int = 0
    external_ids: frozenset[str] = field(default=frozenset(), repr=False)
    skew_s: float | None = None

    @property
    def absent(self) -> int:
        """The number of those that were proved absent, and may be sent again."""
        return sum(outcome.state is State.PLANNED for outcome in self.outcomes)

    @property
    def duplicates(self) -> int:
        """The number of conflicts that were proved to be duplicates."""
        return sum(outcome.state is State.DUPLICATE for outcome in self.outcomes)

    @property
    def settled(self) -> int:
        """The number of those that are no longer doubtful."""
        return sum(each.state in {State.CREATED, State.PLANNED} for each in self.outcomes)


@dataclass(frozen=True, slots=True)
class ConversationStatuses:
    """The present statuses of conversations.

    Attributes:
        by_id: conversation id -> current status; what the API did not show is missing.
        reason: why it is not complete; empty if it is.
    """

    by_id: dict[str, str]
    reason: str = ""


async def look_up(
    doubts: Sequence[Doubt],
    *,
    client: ConversationSource,
    limiter: Limiter,
    settings: Settings,
    hashes: PersonHashes,
    now: Callable[[], datetime],
    proof: Proof,
    claims: Sequence[Doubt] = (),
    stop: asyncio.Event | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random_source.random,
) -> ListFindings:
    """Look up doubtful submissions in the list; the caller records the outcomes.

    Args:
        doubts: the doubts of any number of runs.
        client: the client that asks; asking again is harmless.
        limiter: shared with the workers that send.
        settings: settle_s, max_pages, max_resends, bounds of the attempts.
        hashes: keyed hashes of people.
        now: the time of day, of the clock that `sent_at` was read from.
        proof: what the ledger knows.
        claims: submissions that the API refused as duplicates without proof.
        stop: ends it early, with everything still doubtful.
        sleep: waits for that many seconds.
        random: jitter, a number of [0, 1).
    """
    if not doubts and not claims:
        return ListFindings()
    evidence = Evidence([*doubts, *claims], hashes, proof.owned)
    unfound = _Unfound(evidence, doubts, claims)
    pages, reason, skew_s = 0, "", None
    async with stop_switch(stop or asyncio.Event()) as switch:
        pager = Pager(client, limiter, settings, switch, sleep, random)
        try:
            await pager.pause(_settling_s(doubts, proof, settings.settle_s, now()))
            async for page in pager.pages():
                pages += 1
                skew_s = page.response.skew_s if skew_s is None else skew_s
                evidence.note(page.conversations, page.response.skew_s or 0.0)
                if unfound.none_left():
                    break
        except ListUnreadable as exc:
            reason = str(exc)
    decider = _DoubtDecider(evidence, proof, settings, now(), reason)
    duplicates = filter(None, (_confirmed(claim, evidence) for claim in claims))
    return ListFindings(
        (*map(decider.decide, doubts), *duplicates),
        reason,
        pages,
        frozenset(evidence.external_ids),
        skew_s,
    )


class _Unfound:
    """The submissions that the list does not show yet; each page looks at a few of them only.

    Args:
        evidence: everything that was read.
        doubts: the doubts to find.
        claims: the claims to find.
    """

    def __init__(
        self, evidence: Evidence, doubts: Sequence[Doubt], claims: Sequence[Doubt]
    ) -> None:
        self._every = [partial(evidence.find_certain, doubt) for doubt in doubts]
        self._every += [partial(evidence.find_existing, claim) for claim in claims]
        self._waiting = list(self._every)

    def none_left(self) -> bool:
        """Whether everything is found now."""
        while self._waiting and self._waiting[-1]():
            self._waiting.pop()
        if not self._waiting:  # a later page can make a find uncertain
            self._waiting = [find for find in self._every if not find()]
        return not self._waiting


@dataclass(frozen=True, slots=True)
class Sighting:
    """The conversation that a person names for a row, as the API shows it.

    Attributes:
        fits: whether it is the row's conversation; None if the API does not say.
        reason: why it is not, or why nothing is known; empty if it fits.
    """

    fits: bool | None
    reason: str = ""


async def see_conversation(
    conversation_id: str, doubt: Doubt, client: ConversationSource, hashes: PersonHashes
) -> Sighting:
    """Ask the API once for a conversation, and compare it with the row."""
    try:
        page = await client.conversation(conversation_id)
    except (NotSent, MaybeSent) as exc:
        return Sighting(None, f"the API does not answer ({exc})")
    if page.response.status == HTTPStatus.NOT_FOUND:
        return Sighting(fits=False, reason="the API knows no such conversation")
    shown = page.conversations[0] if page.conversations else {}
    if id_of(shown) != conversation_id:
        return Sighting(None, f"the API does not show it (HTTP {page.response.status})")
    evidence = Evidence([doubt], hashes)
    evidence.note([shown], page.response.skew_s or 0.0)
    if evidence.find_possible(doubt):
        return Sighting(fits=True)
    if evidence.is_blind_for(doubt):
        return Sighting(None, "the API does not show whose it is")
    return Sighting(
        fits=False, reason="it is of another person or campaign, or older than the request"
    )


async def read_statuses(
    conversation_ids: Collection[str],
    *,
    client: ConversationSource,
    limiter: Limiter,
    settings: Settings,
    stop: asyncio.Event | None = None,
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    random: Callable[[], float] = random_source.random,
) -> ConversationStatuses:
    """Read the present statuses of conversations: a few one by one, many from the list."""
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


def _settling_s(doubts: Sequence[Doubt], proof: Proof, settle_s: float, now: datetime) -> float:
    """Return the seconds until the doubts, and our conversations beside them, are `settle_s` old.

    A conversation that was just created may rightly be missing, so it could not show that the list
    leaves some out.
    """
    times = [each.given_up_at for each in doubts]
    for place in {(each.campaign, each.kind) for each in doubts}:
        times += [each.sent_at for each in proof.witnesses.get(place, ())]
    if not times:
        return 0.0
    return min(max(settle_s - (now - max(times)).total_seconds(), 0.0), settle_s)


def _confirmed(claim: Doubt, evidence: Evidence) -> Outcome | None:
    """Return the duplicate that the list proves; None if it does not."""
    found = evidence.find_existing(claim)
    if not found:
        return None
    return Outcome(
        claim.key,
        State.DUPLICATE,
        attempts=0,
        conversation_id=found[0].conversation_id,
        code="duplicate",
        message="The list shows that this person already has a conversation in this campaign.",
    )


@dataclass(frozen=True, slots=True)
class _DoubtDecider:
    """Says what the list, as it was read, proves about each doubt.

    Attributes:
        evidence: everything that was read.
        proof: what the ledger knows.
        settings: max_resends, settle_s, skip_duplication_check.
        now: when the reading ended.
        unread: why the list was not read to its end; empty if it was.
        compared: (campaign, kind) -> what the list shows of our conversations there.
    """

    evidence: Evidence
    proof: Proof
    settings: Settings
    now: datetime
    unread: str
    compared: dict[tuple[str, str], _WitnessesInList] = field(default_factory=dict)

    def decide(self, doubt: Doubt) -> Outcome:
        """Return what is known now about one doubt."""
        certain = self.evidence.find_certain(doubt)
        if certain:
            message = "Found in the list of conversations."
            if len(certain) > 1:
                message = f"Found in the list of conversations; {len(certain)} of them match."
            return Outcome(
                doubt.key,
                State.CREATED,
                attempts=0,
                conversation_id=certain[0].conversation_id,
                message=message,
            )
        unproved = next(filter(None, self._objections(doubt)), "")
        if unproved:
            return Outcome(doubt.key, State.DOUBTFUL, attempts=0, code=UNSETTLED, message=unproved)
        return Outcome(
            doubt.key,
            State.PLANNED,
            attempts=0,
            code=ABSENT,
            message="The list of conversations does not hold it, so it may be sent again.",
        )

    def _objections(self, doubt: Doubt) -> Iterator[str]:
        """Return why a conversation may exist although it was not found; ignore empty texts."""
        possible = self.evidence.find_possible(doubt)
        if possible:
            ids = sorted({seen.conversation_id or "one without an id" for seen in possible})
            yield (
                "The list shows conversations that may be this one, but not for certain: "
                f"{', '.join(ids)}."
            )
        yield self.unread
        if self.settings.skip_duplication_check:
            yield "The API was told not to check for duplicates, so it cannot be sent again."
        if self.evidence.is_blind_for(doubt):
            yield (
                "The list shows conversations of that time without saying whose they are: no "
                "externalId, and no readable phone or e-mail."
            )
        if (self.now - doubt.given_up_at).total_seconds() < self.settings.settle_s:
            yield f"The request was given up less than {self.settings.settle_s:g} s ago (settle_s)."
        yield self._behind(doubt)
        if doubt.resends >= self.settings.max_resends:
            yield (
                "The list does not hold it, but it was sent again after such proof before "
                f"(max_resends: {self.settings.max_resends}); look the person up, and settle it "
                "with `importer resolve`."
            )

    def _behind(self, doubt: Doubt) -> str:
        """Return why the list might not have caught up; empty if it has."""
        known = self._compare_witnesses(doubt.campaign, doubt.kind)
        missing = len(known.lacking) - bisect_left(known.lacking, doubt.sent_at - AROUND)
        if missing == 1:
            return (
                "The list lacks a conversation that is known to exist, so it proves nothing. The "
                "next run looks again."
            )
        if missing:
            return (
                f"The list lacks {missing} conversations that are known to exist, so it proves "
                "nothing. The next run looks again."
            )
        if known.newest is not None and known.newest > doubt.sent_at:
            return ""
        if self.proof.lag_passed(doubt, self.now):
            return ""
        return (
            "The list does not hold it, but nothing shows that the list is up to date: it needs a "
            "conversation of this campaign that was created later. The next run looks again."
        )

    def _compare_witnesses(self, campaign: str, kind: str) -> _WitnessesInList:
        """Return what the list shows of our conversations of a campaign; compared once."""
        place = campaign, kind
        if place not in self.compared:
            known, shown = self.proof.witnesses.get(place, ()), self.evidence.external_ids
            listed = (each.sent_at for each in known if each.external_id in shown)
            newest = max(listed, default=None)
            # The look-up waited that long. A list with a longer lag must be read again later.
            due = self.now - timedelta(seconds=self.settings.settle_s)
            # A list that shows a conversation shows the older ones too, or it leaves some out.
            due = due if newest is None else max(due, newest)
            lacking = (each for each in known if each.external_id not in shown)
            times = sorted(each.sent_at for each in lacking if each.sent_at <= due)
            self.compared[place] = _WitnessesInList(newest, times)
        return self.compared[place]


@dataclass(frozen=True, slots=True)
class _WitnessesInList:
    """What the list shows of our conversations of one campaign and kind.

    Attributes:
        newest: when the newest that it shows was requested; None if it shows none.
        lacking: when those were requested that it should show and does not, oldest first.
    """

    newest: datetime | None
    lacking: Sequence[datetime]
