"""Sending to broken servers, with a ledger on disk and a client on a socket."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from importer.ledger.records import NewRun
from importer.ledger.writer import LedgerWriter
from importer.model import Action, Outcome, PlannedRow, RowStatus, State
from importer.sending.circuit_breaker import CircuitBreaker, Ending, FailureLimits
from importer.sending.client import Client
from importer.sending.rate_limiter import RateLimiter
from importer.sending.retry import Policy
from importer.sending.run_options import SilentObserver
from importer.sending.supply import Listed
from importer.sending.worker import SendingContext, submit
from tests.support import builders
from tests.support.server_behaviours import CLEAR, DOUBTFUL, answers_on, created
from tests.support.sockets import Peer, Seen, closed_port, serve_raw

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server_behaviours import Behaviour


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Yield a ledger in a file."""
    with Ledger.open(f"sqlite:///{tmp_path / 'ledger.db'}") as opened:
        yield opened


def planned(ledger: Ledger, count: int) -> str:
    """Plan a run with that many rows to send."""
    rows = [
        PlannedRow(
            source=0,
            row=each.row,
            status=RowStatus.READY.value,
            key=each.key,
            campaign=each.campaign,
            external_id=each.external_id,
            person=each.person,
            masked=each.masked,
            body_hash=each.body_hash,
        )
        for each in map(builders.submission, range(count))
    ]
    return ledger.runs.begin(NewRun("a" * 64, ()), rows)


class Collector(SilentObserver):
    """Keeps the outcomes."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def on_outcome(self, outcome: Outcome) -> None:
        """Keep it."""
        self.outcomes.append(outcome)


async def sent(
    ledger: Ledger, run: str, url: str, **chosen: object
) -> tuple[Ending, list[Outcome]]:
    """Send what a run has open to a server, without a rate unless it is chosen."""
    quick = {"rate_per_s": 10_000, "wait_base_s": 0.001}
    settings = builders.settings(base_url=url, **{**quick, **chosen})
    wanted = set(ledger.submissions.sendable(run))
    observer = Collector()
    async with (
        Client(settings, builders.CREDENTIALS) as client,
        LedgerWriter(ledger, run) as journal,
    ):
        context = SendingContext(
            client=client,
            journal=journal,
            limiter=RateLimiter(settings.rate_per_s),
            policy=Policy.of(settings),
            breaker=CircuitBreaker(FailureLimits()),
            observer=observer,
            concurrency=4,
        )
        open_ = (each for each in map(builders.submission, range(100)) if each.key in wanted)
        ending = await submit(Listed(open_), context, asyncio.Event())
    return ending, observer.outcomes


def twice(ledger: Ledger, behaviour: Behaviour, **chosen: object) -> tuple[Outcome, Seen]:
    """Return one submission, and then a second run of the context over what is still open."""
    run = planned(ledger, 1)

    async def main() -> tuple[Outcome, Seen]:
        async with serve_raw(behaviour) as seen:
            _, (outcome, *_) = await sent(ledger, run, seen.url, **chosen)
            await sent(ledger, run, seen.url, **chosen)
            return outcome, seen

    return asyncio.run(main())


@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_end_is_recorded_and_never_sent_again(ledger: Ledger, name: str) -> None:
    """Neither by this run nor by the next."""
    outcome, seen = twice(ledger, DOUBTFUL[name])
    assert outcome.state is State.DOUBTFUL
    assert len(seen.requests) == 1
    assert [each.key for each in ledger.doubts.list()] == ["key-0"]


SETTLED = [Action.CREATED, Action.DUPLICATE, Action.REJECTED]


@pytest.mark.parametrize("name", [name for name, (_, verb) in CLEAR.items() if verb in SETTLED])
def test_a_clear_end_is_recorded_and_never_sent_again(ledger: Ledger, name: str) -> None:
    """Created, duplicate or rejected as the table has it."""
    behaviour, verb = CLEAR[name]
    outcome, seen = twice(ledger, behaviour)
    assert outcome.state.value == verb.value
    assert len(seen.requests) == 1
    assert ledger.submissions.sendable(ledger.runs.find().id) == []


def test_a_429_is_tried_again_until_it_is_unsent(ledger: Ledger) -> None:
    """And stays open for a later run."""

    async def busy(peer: Peer) -> None:
        await peer.request()
        await peer.answer("429 Too Many Requests", b"", "Retry-After: 0")

    run = planned(ledger, 1)

    async def main() -> tuple[list[Outcome], Seen]:
        async with serve_raw(busy) as seen:
            _, outcomes = await sent(ledger, run, seen.url, attempts=3)
            return outcomes, seen

    (outcome,), seen = asyncio.run(main())
    assert (outcome.state, outcome.attempts) == (State.UNSENT, 3)
    assert len(seen.requests) == 3
    assert ledger.submissions.sendable(run) == ["key-0"]


def test_a_dead_api_leaves_everything_open(ledger: Ledger) -> None:
    """One reason, and nothing doubtful."""
    run = planned(ledger, 6)
    with closed_port() as url:
        ending, outcomes = asyncio.run(sent(ledger, run, url, attempts=2))
    assert ending.exit_code is Exit.SETUP
    assert {each.state for each in outcomes} == {State.UNSENT}
    assert len(ledger.submissions.sendable(run)) == 6
    assert ledger.doubts.list() == ()


def test_a_key_that_expires_amid_a_run(ledger: Ledger) -> None:
    """What was created stays, the one that met it and the rest stay open, nothing else is sent."""
    run = planned(ledger, 60)

    async def expires(peer: Peer) -> None:
        while True:
            await peer.request()
            if len(peer.seen.requests) > 20:
                await peer.answer("401 Unauthorized", b'{"error": "expired"}')
            else:
                await peer.answer("201 Created", created(len(peer.seen.requests)))

    async def main() -> tuple[Ending, Seen]:
        async with serve_raw(expires) as seen:
            ending, _ = await sent(ledger, run, seen.url)
            return ending, seen

    ending, seen = asyncio.run(main())
    assert str(ending).startswith("The API refuses our credentials (HTTP 401): expired. Check ")
    assert 21 <= len(seen.requests) <= 24
    counts = ledger.runs.states(run)
    assert counts[State.CREATED] == 20
    assert len(ledger.submissions.sendable(run)) == 40
    assert State.SENDING not in counts


@pytest.mark.parametrize("rate", [40, 10_000])
def test_every_request_reaches_the_server_once(ledger: Ledger, rate: float) -> None:
    """At an ordinary rate and without one; and no second sees more than the rate."""
    run = planned(ledger, 50)
    loop_times: list[float] = []

    async def notes(peer: Peer) -> None:
        while True:
            await peer.request()
            loop_times.append(asyncio.get_running_loop().time())
            await peer.answer("201 Created", created(len(peer.seen.requests)))

    async def main() -> Seen:
        async with serve_raw(notes if rate < 100 else answers_on) as seen:
            await sent(ledger, run, seen.url, rate_per_s=rate)
            return seen

    seen = asyncio.run(main())
    assert len(seen.requests) == len(set(seen.requests)) == 50
    assert ledger.runs.states(run) == {State.CREATED: 50}
    # Two at this rate may have their permit already while the disk keeps them waiting.
    for start in loop_times:
        assert sum(start <= at < start + 1 for at in loop_times) <= rate + 2
