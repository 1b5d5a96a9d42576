"""The sender of a run: its client, its ledger writer and its rate limiter."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from importer.errors import Exit, TurnTaken
from importer.ledger.run_guards import Canary
from importer.ledger.writer import LedgerWriter
from importer.model import State
from importer.sending.campaigns import NOT_BY_EXTERNAL_ID, check_campaigns, require_ids
from importer.sending.circuit_breaker import (
    CircuitBreaker,
    ClosedCampaigns,
    Ending,
    FailureLimits,
)
from importer.sending.client import Client
from importer.sending.events import apply_events
from importer.sending.matching import Doubt
from importer.sending.reconcile import AROUND, ListFindings, Proof, look_up, read_statuses
from importer.sending.retry import UNCONFIRMED_DUPLICATE, Policy
from importer.sending.run_options import SilentObserver, make_stop_event
from importer.sending.shared_rate import open_limiter
from importer.sending.supply import FirstFew
from importer.sending.worker import SKEW_S, SendingContext, skew_text, submit
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
    from datetime import datetime

    from importer.ledger import Ledger
    from importer.ledger.records import SubmissionRecord
    from importer.ledger.shares import RunShare
    from importer.model import Outcome
    from importer.planning.history import RunHistory
    from importer.sending.campaigns import CampaignRows
    from importer.sending.rate_limiter import Limiter
    from importer.sending.run_options import Observer, RunOptions
    from importer.sending.supply import Supply
    from importer.settings import Settings


_RECONCILING: Final = "reconcile"
"""The turn of the one sender that looks doubts up; the list shows all campaigns."""

_ANOTHER_S: Final = 0.5

_FOR_ALL: Final = frozenset({Exit.HELD, Exit.SETUP})
"""The endings that stop every sender of a run."""

MEASURABLE: Final = timedelta(minutes=15)
"""The list's lag is measured on conversations that are newer than this."""


@dataclass(frozen=True, slots=True)
class ReconcileReport:
    """The result of looking doubtful submissions up in the API's list.

    Attributes:
        findings: the verdict on each.
        doubtful: the rows that are still doubtful, with what a person needs to settle them.
    """

    findings: ListFindings
    doubtful: Sequence[SubmissionRecord]


@dataclass(frozen=True, slots=True)
class RefreshReport:
    """The present statuses of conversations.

    Attributes:
        asked: how many conversations the ledger knows.
        known: status -> number of conversations that have it now.
        reason: why the report is incomplete; empty if it is complete.
    """

    asked: int
    known: dict[str, int]
    reason: str


@dataclass(slots=True)
class Sender:
    """Sends the submissions of one run, and looks up the doubtful ones.

    Attributes:
        run: id of the run; None to look up the doubts of every run.
        history: the ledger and the identity of its people.
        settings: the settings of the run.
        options: credentials, limit and signals.
        observer: the observer that is told what happens.
        client: one request a call.
        limiter: the rate that all requests share.
        stop: stops everything once it is set.
        closed: campaigns that accept nobody.
        done: how many submissions have ended, in all rounds.
    """

    run: str | None
    history: RunHistory
    settings: Settings
    options: RunOptions
    observer: Observer
    client: Client
    limiter: Limiter
    stop: asyncio.Event
    closed: ClosedCampaigns = field(default_factory=ClosedCampaigns)
    done: int = 0

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        run: str | None,
        history: RunHistory,
        settings: Settings,
        options: RunOptions,
        observer: Observer,
    ) -> AsyncIterator[Self]:
        """Open the client, and close it at the end."""
        stop = make_stop_event(options, observer)
        ledger = history.ledger
        may_leave = None if ledger.lease is None else ledger.lease.may_leave
        async with (
            Client(settings, options.credentials, now=ledger.now, may_leave=may_leave) as client,
            open_limiter(ledger, settings) as limiter,
        ):
            yield cls(run, history, settings, options, observer, client, limiter, stop)

    async def check_campaigns(
        self, rows: Iterable[CampaignRows], *, by_external_id: bool = False
    ) -> None:
        """Ask the API for each campaign; nothing is sent to one that it refuses.

        Args:
            rows: the rows of each campaign.
            by_external_id: whether other rows name their campaign by an externalCampaignId.

        Raises:
            SettingsError: the API does not answer, and the settings require that.
        """
        if self.settings.preflight == "off" or self.stop.is_set():
            return
        if by_external_id:
            require_ids(self.settings)
            self.observer.on_stage(
                f"Rows name an externalCampaignId, and {NOT_BY_EXTERNAL_ID}; sending goes on "
                "without that answer."
            )
        verdicts = await check_campaigns(
            rows, client=self.client, limiter=self.limiter, settings=self.settings
        )
        for campaign, verdict in verdicts.items():
            if verdict.refused:
                self.closed.close(campaign, verdict.refused)
            elif verdict.note:
                self.observer.on_stage(verdict.note)
            elif verdict.unknown:
                self.observer.on_stage(
                    f"The API does not say whether campaign {campaign} can be sent to "
                    f"({verdict.unknown}); sending goes on without that answer."
                )

    async def send(self, supply: Supply, count: int, share: RunShare | None = None) -> Ending:
        """Send submissions, the canary first.

        Args:
            supply: the supply of submissions, in the order of sending.
            count: how many there are.
            share: the share that supplies them, if the ledger is on a server.
        """
        if share is not None:
            await asyncio.to_thread(share.join)
        if self.settings.canary and not self.done and await self._is_canary_due(share):
            ending = await self._send_canary(FirstFew(supply, self.settings.canary), count, share)
            if ending:
                return ending
        ending = await self._submit(supply, count, share, _CountingObserver(self))
        if share is not None and ending.exit_code in _FOR_ALL:
            await asyncio.to_thread(share.guards.stop, ending.reason, ending.exit_code)
        return ending

    async def _is_canary_due(self, share: RunShare | None) -> bool:
        """Whether this sender sends the canary; if another one does, wait until it has passed."""
        while share is not None and not self.stop.is_set():
            canary = await asyncio.to_thread(share.take_canary)
            if canary is not Canary.UNDER_WAY or share.guards.stopped:
                return canary is Canary.OPEN
            with suppress(TimeoutError):
                await asyncio.wait_for(self.stop.wait(), _ANOTHER_S)
        return share is None

    async def _send_canary(self, first: Supply, count: int, share: RunShare | None) -> Ending:
        """Send the first few; stop the run unless all of them were created."""
        canary = _CountingObserver(self)
        ending = await self._submit(first, count, share, canary)
        if not ending and canary.failures:
            ending = self._held_by(canary, count)
        if share is not None and ending.exit_code in _FOR_ALL:
            await asyncio.to_thread(share.guards.stop, ending.reason, ending.exit_code)
        elif share is not None and not ending:
            await asyncio.to_thread(share.guards.pass_canary)
        return ending

    def _held_by(self, canary: _CountingObserver, count: int) -> Ending:
        """Return the ending of a run whose canary failed."""
        return Ending(
            f"The canary failed: {len(canary.failures)} of the first "
            f"{min(self.settings.canary, count)} were not created "
            f"({canary.failures[0].message})",
            Exit.HELD,
        )

    async def _submit(
        self, supply: Supply, count: int, share: RunShare | None, observer: Observer
    ) -> Ending:
        if self.run is None:
            raise ValueError("there is no run to send for")
        ledger = self.history.ledger
        breaker = CircuitBreaker(
            FailureLimits.of(self.settings, count),
            len(ledger.doubts.list(self.run)),
            self.closed,
            None if share is None else share.guards,
        )
        if ending := breaker.catch_up():
            return ending
        async with LedgerWriter(ledger, self.run, share) as journal:
            context = SendingContext(
                client=self.client,
                journal=journal,
                limiter=self.limiter,
                policy=Policy.of(self.settings),
                breaker=breaker,
                observer=observer,
                concurrency=self.settings.concurrency,
            )
            return await submit(supply, context, self.stop)

    async def reconcile(self, *, wait: bool = True) -> ListFindings:
        """Look up doubtful submissions in the API's list, and record the verdicts.

        This run's are always looked up; other runs' only if something, such as a later
        conversation, can prove that they are absent.

        Args:
            wait: whether to wait for another sender that looks them up at the moment.
        """
        while not self.stop.is_set():
            try:
                with self.history.ledger.turn(_RECONCILING):
                    return await self._reconcile()
            except TurnTaken:  # its findings are ours, too: there may be nothing left to look up
                if not wait:
                    break
                with suppress(TimeoutError):
                    await asyncio.wait_for(self.stop.wait(), _ANOTHER_S)
        return ListFindings()

    async def _reconcile(self) -> ListFindings:
        ledger, now = self.history.ledger, self.history.ledger.now()
        apply_events(ledger, self.history.identity.organization)
        listed = ledger.doubts.list()
        every = self._read_doubts(listed)
        claims = list(self._read_doubts(self.claims()).values())
        proof = self._proof([*every.values(), *claims])
        doubts = [
            doubt
            for (run, _), doubt in every.items()
            if self.run in {None, run} or proof.can_settle(doubt, now)
        ]
        if not doubts and not claims:
            return ListFindings()
        if doubts:
            self.observer.on_stage(
                f"Looking up {len(doubts)} doubtful submissions in the API's list; this takes up "
                f"to {self.settings.settle_s:.0f} seconds, and the time to read the list."
            )
        if claims:
            self.observer.on_stage(
                f"Looking up {len(claims)} submissions that the API refused as duplicates without "
                "showing the conversation."
            )
        found = await look_up(
            doubts,
            client=self.client,
            limiter=self.limiter,
            settings=self.settings,
            hashes=self.history.identity,
            now=ledger.now,
            proof=proof,
            claims=claims,
            stop=self.stop,
        )
        ledger.conversations.note_listed(_recent(proof, found, now), ledger.now())
        ledger.doubts.reconcile(found.outcomes, {each.key: each for each in listed})
        self._tell_absent_elsewhere(every, found)
        if found.skew_s is not None and abs(found.skew_s) > SKEW_S:
            self.observer.on_stage(skew_text(found.skew_s))
        if found.reason:
            self.observer.on_list_unreadable(found.reason)
        return found

    def claims(self) -> Sequence[SubmissionRecord]:
        """Return the submissions that the API refused as duplicates without proof."""
        return self.history.ledger.doubts.list_rejected(UNCONFIRMED_DUPLICATE, self.run)

    def _tell_absent_elsewhere(
        self, every: Mapping[tuple[str, str], Doubt], found: ListFindings
    ) -> None:
        """Name the earlier runs that have rows to send again: only `resume` can send them."""
        absent = {each.key for each in found.outcomes if each.state is State.PLANNED}
        runs = {run for run, key in every if key in absent} - {self.run}
        if self.run is None or not runs:
            return
        for run in sorted(runs):
            self.observer.on_stage(
                f"Rows of run {run} were proved not to have been sent: `importer resume {run}` "
                "sends them."
            )

    def _read_doubts(self, listed: Sequence[SubmissionRecord]) -> dict[tuple[str, str], Doubt]:
        """Return (run, key) -> doubt for submissions of the ledger."""
        ledger = self.history.ledger
        kinds = {
            run: str(ledger.runs.find(run).settings.get("conversation", "auto-schedule"))
            for run in {each.run for each in listed}
        }
        return {(each.run, each.key): doubt_of(each, kinds[each.run]) for each in listed}

    def _proof(self, doubts: Iterable[Doubt]) -> Proof:
        """Return what the ledger knows that may prove that these are absent."""
        since: dict[tuple[str, str], datetime] = {}
        for doubt in doubts:
            place, start = (doubt.campaign, doubt.kind), doubt.sent_at - AROUND
            since[place] = min(since.get(place, start), start)
        if not since:
            return Proof()
        known = self.history.ledger.conversations
        return Proof(
            {place: known.witnesses(*place, start) for place, start in since.items()},
            known.list_lag(),
            frozenset(known.ids()),
        )


def doubt_of(record: SubmissionRecord, kind: str = "auto-schedule") -> Doubt:
    """Return a submission of the ledger as a doubt.

    Args:
        record: a request for it was sent.
        kind: the setting `conversation` of its run.
    """
    return Doubt(
        key=record.key,
        external_id=record.external_id,
        campaign=record.campaign,
        person=record.person,
        sent_at=record.requested_at,
        ended_at=record.settled_at,
        email=record.email,
        resends=record.resends,
        kind=kind,
    )


def _recent(proof: Proof, found: ListFindings, now: datetime) -> frozenset[str]:
    """Return our conversations in the list that are new enough to measure its lag."""
    since = now - MEASURABLE
    ours = (each for known in proof.witnesses.values() for each in known)
    return frozenset(each.external_id for each in ours if each.sent_at > since) & found.external_ids


class _CountingObserver(SilentObserver):
    """Counts the outcomes of a sender, notes failures of a canary, and passes every outcome on."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self.failures: list[Outcome] = []

    def on_stage(self, sentence: str) -> None:
        """Pass it on."""
        self._sender.observer.on_stage(sentence)

    def on_outcome(self, outcome: Outcome) -> None:
        """Count it, and note a failure."""
        self._sender.done += 1
        well = outcome.state in {State.CREATED, State.DUPLICATE}
        opted_out = outcome.code == Code.OPTED_OUT.value  # the person's choice, no failure
        if not well and not opted_out and len(self.failures) < 1_000:  # noqa: PLR2004
            self.failures.append(outcome)
        self._sender.observer.on_outcome(outcome)


async def refresh_statuses(
    ids: Sequence[str],
    ledger: Ledger,
    settings: Settings,
    options: RunOptions,
    observer: Observer,
) -> RefreshReport:
    """Read the present statuses of conversations from the API into the ledger."""
    stop = make_stop_event(options, observer)
    async with (
        Client(settings, options.credentials) as client,
        open_limiter(ledger, settings) as limiter,
    ):
        statuses = await read_statuses(
            ids, client=client, limiter=limiter, settings=settings, stop=stop
        )
    ledger.conversations.write_statuses(statuses.by_id)
    known: dict[str, int] = {}
    for status in statuses.by_id.values():
        known[status] = known.get(status, 0) + 1
    return RefreshReport(len(ids), known, statuses.reason)
