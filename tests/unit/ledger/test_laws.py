"""In any order of events: people who may have been contacted are never sent to again.

The machine plays importer, API and person at random. Its own memory is only what happened: which
requests left, and what is known of them.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from importer.errors import UsageError
from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.model import State
from tests.unit.ledger.ledger_builders import (
    Clock,
    absent_outcome,
    found_outcome,
    new_run,
    planned_row,
)

KEYS = [f"k{n}" for n in range(3)]
ANSWERS = [*State, State.CREATED, State.CREATED, State.DOUBTFUL]
"""What may be said of a request, the usual more often."""

GIVEN_UP = {State.UNSENT, State.REJECTED}
SURE = frozenset({State.CREATED, State.DUPLICATE})
"""Said of a request by the API: the person has the conversation."""

MEMORY = Path("/dev/shm")  # noqa: S108 - only for speed: a disk is not what is tested here

keys = st.sampled_from(KEYS)
some_keys = st.just(KEYS) | st.lists(keys, max_size=5)
bodies = st.sampled_from("12")


class Sending(RuleBasedStateMachine):
    """Runs, requests, crashes and verdicts over three people."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = Clock()
        self.runs: list[str] = []
        self.planned: set[str] = set()
        self.under_way: dict[str, str] = {}  # key -> run: a live sender waits for the answer
        self.in_doubt: set[str] = set()  # nobody waits any more
        self.contacted: set[str] = set()  # for certain
        self.words: set[str] = set()  # a person's word was the last that was heard of them
        self.ledger = self.opened()

    def opened(self) -> Ledger:
        """Return the ledger, as a new process opens it."""
        url = f"sqlite:///{self.folder / 'importer.db'}"
        return Ledger.open(url, now=self.clock.now, suffix=self.clock.end)

    def teardown(self) -> None:
        """Remove the file."""
        self.ledger.close()
        shutil.rmtree(self.folder)

    def may_have_got_it(self) -> set[str]:
        """Return the people who may have got a request."""
        return set(self.under_way) | self.in_doubt | self.contacted

    @rule(chosen=st.dictionaries(keys, bodies, min_size=1))
    def begin(self, chosen: dict[str, str]) -> None:
        """Plan a list; people who may have been reached are not among those to send to."""
        rows = [planned_row(key, n + 2, body=body) for n, (key, body) in enumerate(chosen.items())]
        run = self.ledger.runs.begin(new_run(), rows)
        self.runs.append(run)
        self.planned |= set(chosen)
        sendable = set(self.ledger.submissions.sendable(run))
        assert sendable <= set(chosen)
        assert not sendable & self.may_have_got_it()

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), chosen=some_keys, newest=st.booleans())
    def intend(self, data: st.DataObject, chosen: list[str], *, newest: bool) -> None:
        """Send a request if the ledger grants it."""
        run = self.runs[-1] if newest else data.draw(st.sampled_from(self.runs))
        sendable = set(self.ledger.submissions.sendable(run))
        granted = self.ledger.submissions.intend(run, chosen)
        for key, may in zip(chosen, granted, strict=True):
            if may:
                assert key not in self.may_have_got_it()
                self.under_way[key] = run
                self.words.discard(key)
        assert {key for key, may in zip(chosen, granted, strict=True) if may} == (
            sendable & set(chosen)
        )

    @precondition(lambda self: self.planned)
    @rule(data=st.data(), state=st.sampled_from(ANSWERS), own=st.booleans())
    def settle(self, data: st.DataObject, state: State, *, own: bool) -> None:
        """Record an answer, perhaps too late, perhaps to a sender of another run."""
        key = data.draw(st.sampled_from(sorted(self.planned)))
        run = (
            self.ledger.submissions.records([key])[key].run
            if own
            else data.draw(st.sampled_from(self.runs))
        )
        (written,) = self.ledger.submissions.settle(run, [Settlement(key, state)])
        if self.under_way.get(key) == run:
            assert (written is None) == (state is State.SENDING)
        elif written:
            # Nobody waits for it: a doubt may end well, and what never left may be given up.
            assert state in SURE if key in self.in_doubt else state in GIVEN_UP
            assert key not in self.contacted | set(self.under_way)
        if not written:
            return
        self.under_way.pop(key, None)
        self.in_doubt.discard(key)
        self.words.discard(key)
        if state in SURE:
            self.contacted.add(key)
        if state is State.DOUBTFUL:
            self.in_doubt.add(key)

    @rule()
    def crash(self) -> None:
        """Let the process die; the next one opens the ledger and takes stock."""
        self.ledger.close()
        self.ledger = self.opened()
        assert self.ledger.submissions.recover() == len(self.under_way)
        self.in_doubt |= set(self.under_way)
        self.under_way.clear()

    @rule(key=keys, there=st.booleans())
    def reconcile(self, key: str, *, there: bool) -> None:
        """Let the API's list show the conversation, or prove that there is none."""
        written = self.ledger.doubts.reconcile(
            [found_outcome(key, f"conv-{key}") if there else absent_outcome(key)]
        )
        assert written == (key in self.in_doubt)
        self.decided(key, sent=there)

    @precondition(lambda self: self.runs)
    @rule(data=st.data(), row=st.integers(2, 4), sent=st.booleans())
    def resolve(self, data: st.DataObject, row: int, *, sent: bool) -> None:
        """Let a person decide, or correct a decision; they may know more than we do."""
        run = data.draw(st.sampled_from(self.runs))
        try:
            doubt = self.ledger.doubts.resolve(run, row, sent=sent, by="a person")
        except UsageError:
            return
        assert doubt.key in self.in_doubt | set(self.under_way) | self.words
        self.under_way.pop(doubt.key, None)
        self.contacted.discard(doubt.key)
        self.in_doubt.add(doubt.key)
        self.words.add(doubt.key)
        self.decided(doubt.key, sent=sent)

    def decided(self, key: str, *, sent: bool) -> None:
        """Note that a doubt has ended."""
        if key in self.in_doubt:
            self.in_doubt.discard(key)
            if sent:
                self.contacted.add(key)

    @rule(days=st.integers(0, 100))
    def purge(self, days: int) -> None:
        """Let time pass, and remove old text."""
        self.clock.pass_s(days * 86_400)
        self.ledger.purge(self.clock.now())

    @invariant()
    def nobody_is_lost_or_forgotten(self) -> None:
        """Require that the ledger has everybody who was ever planned, in the known state."""
        standing = self.ledger.submissions.records(KEYS)
        assert set(standing) == self.planned
        for key, each in standing.items():
            assert (each.state in SURE) == (key in self.contacted)
            doubtful = key in self.in_doubt or key in self.under_way
            assert (each.state is State.DOUBTFUL) == doubtful
        assert {doubt.key for doubt in self.ledger.doubts.list()} == (
            self.in_doubt | set(self.under_way)
        )


TestSending = Sending.TestCase
TestSending.settings = settings(
    max_examples=30,
    stateful_step_count=30,
    deadline=None,  # others may use the machine
    suppress_health_check=[HealthCheck.too_slow],
)
