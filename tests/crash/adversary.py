"""The adversary: kills the importer and the sandbox at seeded random moments."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.crash.audit import submissions
from tests.crash.installation import LIST

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.fork_server import Child, ForkServer
    from tests.crash.installation import Installation

FAULTS: Final = (
    "429:0.003:0,503:0.003:0,500:0.004,500-after:0.006,502-after:0.003,422:0.003,reset-before:0.006,"
    "reset-after:0.008,unread:0.003,close-before:0.003,close-after:0.006,garbage-before:0.003,"
    "garbage-after:0.004,half-header:0.003,half-body:0.004,wrong-length:0.003,not-json:0.003,"
    "html:0.003,empty:0.002,no-id:0.004,redirect:0.002,stall:0.002:5,stall-before:0.001:5,"
    "late:0.008:0.7,slow:0.004:0.2,"
    "list-500:0.01,list-reset:0.005,list-garbage:0.005,list-503:0.01:0,list-half-body:0.005"
)
"""Faults besides the kills; a list that can be read is true."""

KILLED: Final = -signal.SIGKILL
TICK_S: Final = 0.004
_PLANNING_S: Final = 1.2
_MOST_PROCESSES: Final = 12
_PLANNING, _RECONCILING = 0.25, 0.2
"""Share of the kills during planning, and during reconciliation."""

_SLOWEST_S: Final = 60.0
_GOOD_ENDS: Final = frozenset({0, 1, 2, 4, 5, 6})
SETTLED: Final = frozenset({"created", "rejected", "duplicate"})
ASKING: Final = "Asking the API"


@dataclass(slots=True)
class Tally:
    """What the adversary did.

    Attributes:
        kills: killed importer processes, by what they were doing.
        processes: started importer processes.
        restarts: of the sandbox.
        exits: processes that ended by themselves, by exit code.
        complaints: unexpected exit codes and tracebacks, and a 0 with somebody missing.
    """

    kills: dict[str, int] = field(default_factory=dict)
    processes: int = 0
    restarts: int = 0
    exits: Counter[int] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


class Adversary:
    """Starts importer processes in one installation and kills most of them.

    Args:
        installation: its sandbox is running.
        fork_server: starts processes.
        kills: number of processes to kill.
        restarts: number of times to kill the sandbox.
        faults: of the sandbox, during the kills.
        seed: of every choice.
    """

    def __init__(
        self,
        installation: Installation,
        fork_server: ForkServer,
        *,
        kills: int,
        restarts: int = 0,
        faults: str = FAULTS,
        seed: int,
    ) -> None:
        self._installation = installation
        self._fork_server = fork_server
        self._to_kill = kills
        self._to_restart = restarts
        self._faults = faults
        self._dice = random.Random(seed)
        self._accepted = installation.accepted()
        self._usual_s = _PLANNING_S
        self._idle = False
        self.tally = Tally()

    def kill_processes(self) -> None:
        """Start and kill processes until enough are dead."""
        most = _MOST_PROCESSES * self._to_kill
        while (left := self._to_kill - sum(self.tally.kills.values())) > 0:
            if self.tally.processes >= most:
                self.tally.complaints.append(f"only {self._to_kill - left} of {most} were killed")
                return
            command = self._command()
            child = self._start(command)
            if self._dice.random() < (self._to_restart - self.tally.restarts) / left:
                self._installation.restart(self._faults)
                self.tally.restarts += 1
            self._kill(child, left, command)

    def finish(self, rounds: int = 5) -> int:
        """Let the importer finish, without faults and kills; returns the exit code of its last run.

        Args:
            rounds: of run and reconcile, at most.
        """
        self._installation.restart("")
        code = None
        for _ in range(rounds):
            before = self._states()
            for command in (("run", LIST, "--yes"), ("reconcile",)):
                self._start(command)
                ended = self._fork_server.wait()
                self._end(ended, command)
                code = ended if command[0] == "run" else code
                if all(state in SETTLED for state in self._states()):
                    return self._last_run(command, code)
            if self._states() == before and before:
                break
        return self._last_run(("reconcile",), code)

    def _last_run(self, command: tuple[str, ...], code: int | None) -> int:
        """Return the exit code of a run over what is known now."""
        if command[0] != "run":
            self._start(("run", LIST, "--yes"))
            code = self._fork_server.wait()
            self._end(code, ("run",))
        assert code is not None
        return code

    def _states(self) -> list[str]:
        known = submissions(self._installation.ledger)
        return [each.state for each in known] or ["planned"]

    def _command(self) -> tuple[str, ...]:
        """Return mostly resume; sometimes run the whole file again, or reconcile."""
        if not self._installation.ledger.exists() or self._dice.random() < 0.12:
            return "run", LIST, "--yes"
        if "There is no run" in self._last_output():
            return "run", LIST, "--yes"
        return ("reconcile",) if self._dice.random() < 0.08 else ("resume",)

    def _start(self, command: tuple[str, ...]) -> Child:
        self.tally.processes += 1
        return self._fork_server.start(
            command,
            folder=self._installation.folder,
            env=self._installation.env,
            output=self._installation.output,
        )

    def _last_output(self) -> str:
        output = self._installation.output
        return output.read_text("utf-8", errors="replace") if output.exists() else ""

    def _kill(self, child: Child, left: int, command: tuple[str, ...]) -> None:
        """Wait for the moment and kill the process, unless it has ended before."""
        when = self._moment(child, left)
        started = time.monotonic()
        while not when() and time.monotonic() < started + _SLOWEST_S:
            code = self._fork_server.wait(TICK_S)
            if code is not None:
                self._usual_s = (self._usual_s + time.monotonic() - started) / 2
                self._idle = True
                self._end(code, command)
                return
        doing = _doing(child.text())
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            os.kill(child.pid, signal.SIGKILL)
        code = self._fork_server.wait()
        if code == KILLED:
            self.tally.kills[doing] = self.tally.kills.get(doing, 0) + 1
            self._idle = False
        else:
            self._end(code, command)

    def _moment(self, child: Child, left: int) -> Callable[[], bool]:
        """Return when to kill: after some time, during reconciliation, or after some conversations.

        A number of conversations always ends a process, so that work remains for the next ones.
        If the process before found nothing to do, the time decides.
        """
        dice, now = self._dice, time.monotonic
        accepted = next(self._accepted)
        share = max(1, (self._installation.rows.height - accepted) // left)
        until, extra_s = accepted + dice.randint(1, 2 * share), dice.uniform(0.0, 0.03)
        reached = _Since(lambda: next(self._accepted) >= until, extra_s, now)
        kind = 0.0 if self._idle else dice.random()
        if kind < _PLANNING:
            timely = _Since(lambda: True, dice.uniform(0.0, min(self._usual_s, _PLANNING_S)), now)
        elif kind < _PLANNING + _RECONCILING:
            timely = _Since(lambda: ASKING in child.text(), dice.uniform(0.0, 2.5), now)
        else:
            return reached
        return lambda: timely() or reached()

    def _end(self, code: int | None, command: tuple[str, ...]) -> None:
        """Note the end of a process, and whether it is an unexpected one."""
        words = self._last_output()
        if code is not None:
            self.tally.exits[code] += 1
        if code not in _GOOD_ENDS or "inside importer" in words or "Traceback" in words:
            self.tally.complaints.append(f"exit code {code}: {words[-600:]}")
        missing = [state for state in self._states() if state not in {"created", "duplicate"}]
        if code == 0 and command[0] == "run" and missing:
            states = ", ".join(sorted(set(missing)))
            self.tally.complaints.append(f"a run ended with 0, but {len(missing)} are {states}")


class _Since:
    """Whether a condition became true some seconds ago."""

    def __init__(self, what: Callable[[], bool], wait_s: float, now: Callable[[], float]) -> None:
        self._what, self._wait_s, self._now = what, wait_s, now
        self._at: float | None = None

    def __call__(self) -> bool:
        if self._at is None and self._what():
            self._at = self._now() + self._wait_s
        return self._at is not None and self._now() >= self._at


def _doing(words: str) -> str:
    """Return what a process was doing, by its output."""
    asked, sending = words.rfind(ASKING), words.rfind(": sending ")
    if max(asked, sending) < 0:
        return "planning"
    return "reconciling" if asked > sending else "sending"
