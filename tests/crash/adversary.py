"""The adversary: a seeded mind that kills the importer and the sandbox at the worst moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.crash.verdict import submissions
from tests.crash.world import LIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.nursery import Life, Nursery
    from tests.crash.world import World

FAULTS: Final = (
    "429:0.003:0,503:0.003:0,500:0.004,500-after:0.006,502-after:0.003,422:0.003,reset-before:0.006,"
    "reset-after:0.008,unread:0.003,close-before:0.003,close-after:0.006,garbage-before:0.003,"
    "garbage-after:0.004,half-header:0.003,half-body:0.004,wrong-length:0.003,not-json:0.003,"
    "html:0.003,empty:0.002,no-id:0.004,redirect:0.002,stall:0.002:5,stall-before:0.001:5,"
    "late:0.008:0.7,slow:0.004:0.2,"
    "list-500:0.01,list-reset:0.005,list-garbage:0.005,list-503:0.01:0,list-half-body:0.005"
)
"""What goes wrong by itself, besides the kills; lists are truthful, if they can be read."""

KILLED: Final = -signal.SIGKILL
TICK_S: Final = 0.004
_PLANNING, _RECONCILING = 0.25, 0.2
"""How many of the kills come while a process still plans, and while it asks for its doubts."""

_SLOWEST_S: Final = 60.0
_GOOD_ENDS: Final = frozenset({0, 1, 2, 4, 5, 6})
ASKING: Final = "Asking the API"


@dataclass(slots=True)
class Tally:
    """What the adversary did.

    Attributes:
        kills: of the importer, by what it was doing at that moment.
        lives: processes of the importer.
        restarts: of the sandbox.
        complaints: what a process said that none should.
    """

    kills: dict[str, int] = field(default_factory=dict)
    lives: int = 0
    restarts: int = 0
    complaints: list[str] = field(default_factory=list)


class Adversary:
    """Lets processes live at one desk, and ends most of them.

    Args:
        world: the desk; its sandbox is open.
        nursery: starts processes.
        kills: how many it means to kill.
        restarts: how often it means to kill the sandbox.
        seed: of every choice.
    """

    def __init__(
        self, world: World, nursery: Nursery, *, kills: int, restarts: int, seed: int
    ) -> None:
        self._world = world
        self._nursery = nursery
        self._to_kill = kills
        self._to_restart = restarts
        self._dice = random.Random(seed)
        self._accepted = world.accepted()
        self.tally = Tally()

    def rage(self) -> None:
        """Kill process after process until enough are dead."""
        while (left := self._to_kill - sum(self.tally.kills.values())) > 0:
            life = self._start(self._command())
            if self._dice.random() < (self._to_restart - self.tally.restarts) / left:
                self._world.restart(FAULTS)
                self.tally.restarts += 1
            self._kill(life, left)

    def relent(self) -> None:
        """Lets the work be finished: faults end, and nothing is killed any more."""
        self._world.restart("")
        for command in (("run", LIST, "--yes"), ("reconcile",)) * 5:
            self._start(command)
            self._end(self._nursery.ended())
            if all(state in {"created", "rejected"} for _, state, _, _ in self._submissions()):
                return

    def _submissions(self) -> list[tuple[int, str, str | None, str]]:
        known = submissions(self._world.ledger)
        return known or [(0, "planned", None, "")]

    def _command(self) -> tuple[str, ...]:
        """Mostly resume; sometimes the whole file again, or a look at the list."""
        if not self._world.ledger.exists() or self._dice.random() < 0.12:
            return "run", LIST, "--yes"
        if "There is no run" in self._last_words():
            return "run", LIST, "--yes"
        return ("reconcile",) if self._dice.random() < 0.08 else ("resume",)

    def _start(self, command: tuple[str, ...]) -> Life:
        self.tally.lives += 1
        return self._nursery.start(
            command, folder=self._world.folder, env=self._world.env, said=self._world.said
        )

    def _last_words(self) -> str:
        said = self._world.said
        return said.read_text("utf-8", errors="replace") if said.exists() else ""

    def _kill(self, life: Life, left: int) -> None:
        """Waits for the moment, and kills; a process that ends before has ended well."""
        when = self._moment(life, left)
        deadline = time.monotonic() + _SLOWEST_S
        while not when() and time.monotonic() < deadline:
            code = self._nursery.ended(TICK_S)
            if code is not None:
                self._end(code)
                return
        doing = _doing(life.words())
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(life.pid, signal.SIGKILL)
        code = self._nursery.ended()
        if code == KILLED:
            self.tally.kills[doing] = self.tally.kills.get(doing, 0) + 1
        else:
            self._end(code)

    def _moment(self, life: Life, left: int) -> Callable[[], bool]:
        """When to kill: after some time, while it reconciles, or after some conversations.

        So many conversations end every life, so that there is work left for those to come.
        """
        dice, now = self._dice, time.monotonic
        accepted = next(self._accepted)
        share = max(1, (self._world.rows.height - accepted) // left)
        until, extra_s = accepted + dice.randint(1, 2 * share), dice.uniform(0.0, 0.03)
        reached = _Since(lambda: next(self._accepted) >= until, extra_s, now)
        kind = dice.random()
        if kind < _PLANNING:
            timely = _Since(lambda: True, dice.uniform(0.0, 1.2), now)
        elif kind < _PLANNING + _RECONCILING:
            timely = _Since(lambda: ASKING in life.words(), dice.uniform(0.0, 2.5), now)
        else:
            return reached
        return lambda: timely() or reached()

    def _end(self, code: int | None) -> None:
        """Notes an end that no process should come to by itself."""
        words = self._last_words()
        if code not in _GOOD_ENDS or "inside importer" in words or "Traceback" in words:
            self.tally.complaints.append(f"exit code {code}: {words[-600:]}")


class _Since:
    """Whether something came true some seconds ago."""

    def __init__(self, what: Callable[[], bool], wait_s: float, now: Callable[[], float]) -> None:
        self._what, self._wait_s, self._now = what, wait_s, now
        self._at: float | None = None

    def __call__(self) -> bool:
        if self._at is None and self._what():
            self._at = self._now() + self._wait_s
        return self._at is not None and self._now() >= self._at


def _doing(words: str) -> str:
    """What a process was at, to judge by its words."""
    asked, sending = words.rfind(ASKING), words.rfind(": sending ")
    if max(asked, sending) < 0:
        return "planning"
    return "reconciling" if asked > sending else "sending"
