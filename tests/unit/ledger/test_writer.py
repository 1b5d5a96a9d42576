"""The journal returns when a write is durable, groups commits, and hides no failure."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.ledger.writer import NOT_LEFT, LedgerWriter
from importer.model import State
from tests.unit.ledger.ledger_builders import new_run, planned_row, submission

if TYPE_CHECKING:
    from collections.abc import Iterator


class Gate:
    """Stops the ledger after a commit until a test lets it go on, and counts commits."""

    def __init__(self) -> None:
        self.records = 0
        self.arrived = threading.Event()
        self.open = threading.Event()
        self.open.set()

    def __call__(self, what: str) -> None:
        """Note a commit; the ledger calls this after each one."""
        if what == "record":
            self.records += 1
            self.arrived.set()
            assert self.open.wait(10)

    def shut(self) -> None:
        """Let the next commit wait."""
        self.arrived.clear()
        self.open.clear()


@pytest.fixture
def gate() -> Gate:
    """Return an open gate."""
    return Gate()


@contextmanager
def gated(url: str, gate: Gate, number: int) -> Iterator[tuple[Ledger, str]]:
    """Yield a ledger behind the gate, with a run of that many planned submissions k0, k1, ..."""
    with Ledger.open(url, on_commit=gate) as ledger:
        yield (
            ledger,
            ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(number)]),
        )


def test_what_returns_is_durable(url: str, file_ledger: Ledger) -> None:
    """Another connection sees the open attempt when `intend` returns, and its end likewise."""
    run = file_ledger.runs.begin(new_run(), [planned_row("k1")])

    async def send() -> list[State]:
        seen = []
        with Ledger.open(url) as other:
            async with LedgerWriter(file_ledger, run) as journal:
                await journal.intend(submission("k1"))
                seen += list(other.runs.states(run))
                await journal.settle(Settlement("k1", State.CREATED, 201))
                seen += list(other.runs.states(run))
        return seen

    assert asyncio.run(send()) == [State.DOUBTFUL, State.CREATED]


def test_commits_are_shared(url: str, gate: Gate) -> None:
    """What comes during a commit goes into the next one, all of it together."""

    async def send(ledger: Ledger, run: str) -> int:
        async with LedgerWriter(ledger, run) as journal:
            gate.shut()
            first = asyncio.create_task(journal.intend(submission("k0")))
            await asyncio.to_thread(gate.arrived.wait, 10)
            rest = [asyncio.create_task(journal.intend(submission(f"k{n}"))) for n in range(1, 50)]
            await asyncio.sleep(0)
            gate.open.set()
            await asyncio.gather(first, *rest)
        return gate.records

    with gated(url, gate, 50) as (ledger, run):
        assert asyncio.run(send(ledger, run)) == 2
        assert ledger.runs.states(run) == {State.DOUBTFUL: 50}


def test_a_refusal_reaches_its_waiter_alone(ledger: Ledger) -> None:
    """Of two intents for one submission one is refused; others in the group are not touched."""
    run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])

    async def send() -> tuple[BaseException | None, ...]:
        async with LedgerWriter(ledger, run) as journal:
            return await asyncio.gather(
                journal.intend(submission("k1")),
                journal.intend(submission("k1")),
                journal.intend(submission("k2")),
                return_exceptions=True,
            )

    first, second, third = asyncio.run(send())
    assert (first, third) == (None, None)
    assert isinstance(second, LedgerError)
    assert "again" in str(second)


def test_an_end_and_the_next_intent_keep_their_order(ledger: Ledger) -> None:
    """Attempt, end, attempt, end of one submission, all put in at once, are written in order."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])

    async def send() -> None:
        async with LedgerWriter(ledger, run) as journal:
            await asyncio.gather(
                journal.intend(submission("k1")),
                journal.settle(Settlement("k1", State.PLANNED, 429, code="http-429")),
                journal.intend(submission("k1")),
                journal.settle(Settlement("k1", State.CREATED, 201)),
            )

    asyncio.run(send())
    (row,) = ledger.runs.rows(run)
    assert row.submission
    assert (row.submission.state, row.submission.attempts) == (State.CREATED, 2)


def test_a_failure_reaches_every_waiter_and_every_later_intent(url: str) -> None:
    """Where the disk fails nobody is told that a request may leave, then or later."""

    def fail(what: str) -> None:
        if what == "record":
            raise OSError("the disk is gone")

    async def send(ledger: Ledger, run: str) -> list[object]:
        errors: list[object] = []
        async with LedgerWriter(ledger, run) as journal:
            errors += await asyncio.gather(
                *(journal.intend(submission(f"k{n}")) for n in range(3)), return_exceptions=True
            )
            errors += await asyncio.gather(journal.intend(submission("k3")), return_exceptions=True)
        return errors

    with Ledger.open(url, on_commit=fail) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(4)])
        errors = asyncio.run(send(ledger, run))
        assert [str(error) for error in errors] == ["the disk is gone"] * 4


def test_ends_are_tried_again_by_themselves(url: str) -> None:
    """After a failure what happened to requests still reaches the disk; no new request leaves."""
    failures = iter([False, True])

    def fail(what: str) -> None:
        if what == "record" and next(failures, False):
            raise OSError("the disk is full")

    async def send(ledger: Ledger, run: str) -> list[object]:
        errors: list[object] = []
        async with LedgerWriter(ledger, run) as journal:
            await journal.intend(submission("k0"))
            errors += await asyncio.gather(journal.intend(submission("k1")), return_exceptions=True)
            errors += await asyncio.gather(
                journal.settle(Settlement("k0", State.CREATED, 201)),
                journal.intend(submission("k2")),
                return_exceptions=True,
            )
        return errors

    with Ledger.open(url, on_commit=fail) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(3)])
        first, second, third = asyncio.run(send(ledger, run))
        assert [str(error) for error in (first, second, third)] == [
            "the disk is full",
            "created",
            "the disk is full",
        ]
        assert ledger.submissions.records(["k0"])["k0"].state is State.CREATED
        assert ledger.submissions.sendable(run) == ["k2"]


def test_an_end_that_cannot_be_written_costs_no_other_one(ledger: Ledger) -> None:
    """They share a commit; without it each one is written by itself."""
    run = ledger.runs.begin(new_run(), [planned_row(f"k{n}", n + 2) for n in range(3)])
    messages = ("", "half a character: \ud800", "")

    async def send() -> list[object]:
        async with LedgerWriter(ledger, run) as journal:
            keys = [f"k{n}" for n in range(3)]
            await asyncio.gather(*(journal.intend(submission(key)) for key in keys))
            ends = [
                journal.settle(Settlement(key, State.CREATED, 201, message=message))
                for key, message in zip(keys, messages, strict=True)
            ]
            return await asyncio.gather(*ends, return_exceptions=True)

    first, second, third = asyncio.run(send())
    assert (first, third) == (State.CREATED, State.CREATED)
    assert isinstance(second, UnicodeEncodeError)
    states = {key: each.state for key, each in ledger.submissions.records(["k0", "k1"]).items()}
    assert states == {"k0": State.CREATED, "k1": State.DOUBTFUL}


def test_whoever_is_cancelled_sends_nothing_and_the_ledger_knows(url: str, gate: Gate) -> None:
    """An intent that was committed for a cancelled sender is planned again, not doubtful."""

    async def send(ledger: Ledger, run: str) -> None:
        async with LedgerWriter(ledger, run) as journal:
            gate.shut()
            sender = asyncio.create_task(journal.intend(submission("k0")))
            await asyncio.to_thread(gate.arrived.wait, 10)
            sender.cancel()
            await asyncio.gather(sender, return_exceptions=True)
            gate.open.set()

    with gated(url, gate, 1) as (ledger, run):
        asyncio.run(send(ledger, run))
        (row,) = ledger.runs.rows(run)
        assert row.submission
        assert (row.submission.state, row.submission.code) == (State.PLANNED, NOT_LEFT)


def test_whoever_is_cancelled_just_when_told_sends_nothing(url: str, gate: Gate) -> None:
    """The intent was granted, but its sender never went on: it is planned again."""

    async def send(ledger: Ledger, run: str) -> None:
        async with LedgerWriter(ledger, run) as journal:
            gate.shut()
            sender = asyncio.create_task(journal.intend(submission("k0")))
            await asyncio.to_thread(gate.arrived.wait, 10)
            other = journal.intend(submission("k1"))
            other.send(None)  # its commit follows the news for the first, which waits in the loop
            gate.arrived.clear()
            gate.open.set()
            assert gate.arrived.wait(10)
            asyncio.get_running_loop().call_soon(sender.cancel)
            assert isinstance(
                (await asyncio.gather(sender, return_exceptions=True))[0], BaseException
            )
            other.close()

    with gated(url, gate, 2) as (ledger, run):
        asyncio.run(send(ledger, run))
        first, _ = ledger.runs.rows(run)
        assert first.submission
        assert (first.submission.state, first.submission.code) == (State.PLANNED, NOT_LEFT)


def test_a_closed_journal_takes_nothing(ledger: Ledger) -> None:
    """After closing, callers are told."""
    run = ledger.runs.begin(new_run(), [planned_row("k1")])

    async def send() -> None:
        journal = LedgerWriter(ledger, run)
        await journal.aclose()
        await journal.aclose()
        await journal.intend(submission("k1"))

    with pytest.raises(LedgerError, match="closed"):
        asyncio.run(send())
    assert ledger.submissions.sendable(run) == ["k1"]


def test_closing_writes_what_waits(url: str, gate: Gate) -> None:
    """Ends that nobody awaited yet are on disk when the journal is closed."""

    async def send(ledger: Ledger, run: str) -> None:
        journal = LedgerWriter(ledger, run)
        await asyncio.gather(*(journal.intend(submission(f"k{n}")) for n in range(20)))
        ends = [
            asyncio.create_task(journal.settle(Settlement(f"k{n}", State.CREATED, 201)))
            for n in range(20)
        ]
        await asyncio.sleep(0)
        await journal.aclose()
        await asyncio.gather(*ends)

    with gated(url, gate, 20) as (ledger, run):
        asyncio.run(send(ledger, run))
        assert ledger.runs.states(run) == {State.CREATED: 20}
