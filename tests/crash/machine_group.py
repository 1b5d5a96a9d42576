"""Several machines on one ledger, and the seeded adversary that kills, freezes and cuts them off.

An end that the adversary has seen is noted in the ledger, as a parent would do.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import polars as pl
import psycopg

from importer.ledger import Ledger
from importer.ledger.column_types import run_of_number
from importer.ledger.tables import STATES
from importer.model import State
from importer.planning.identity import key_id
from tests.crash.audit import Known, entries, read_known
from tests.crash.fork_server import ForkServer
from tests.crash.installation import LIST, Installation, candidates
from tests.crash.machine import POINTS
from tests.crash.verdict import Events, Verdict, worst_second
from tests.support.bench.people import people
from tests.support.bench.phones import numbers_of_all_countries
from tests.support.postgres import Server, pooled

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.crash.fork_server import Child

_WITNESSES: Final = "witnesses.csv"
MACHINE: Final = "tests.crash.machine:main"
LEASE_S: Final = 1.2
_LONGEST_S: Final = 600.0
_TO_DIE_S: Final = 10.0
_LATENCY: Final = "slow:0.9:0.1,reset-before:0.02,reset-after:0.02,500-after:0.02"
_GOOD_ENDS: Final = frozenset({0, 1, 4, 5, 6, -signal.SIGKILL})
_STILL_S: Final = 240.0
"""Something hangs if nobody is contacted for this long, while processes start again and again."""

_DISTURBED: Final = 0.85
"""The last people are contacted after the kills."""

UNDER_WAY: Final = 4
"""Requests that a machine has under way at once."""

_DIAGNOSIS: Final = (
    "SELECT * FROM turns",
    "SELECT * FROM rates",
    "SELECT id, host, until, over_at, ended_at, run, now() FROM senders ORDER BY 1 DESC LIMIT 8",
    "SELECT state, sender, code, count(*) FROM submissions GROUP BY 1, 2, 3 LIMIT 50",
    "SELECT pid, state, wait_event, left(query, 200) FROM pg_stat_activity",
)
"""Queries that show which process waits for which."""

_OPEN: Final = (State.PLANNED, State.SENDING, State.DOUBTFUL, State.UNSENT)

SETTINGS: Final = {
    "IMPORTER_CONCURRENCY": str(UNDER_WAY),
    "IMPORTER_READ_TIMEOUT_S": "2",
    "IMPORTER_SETTLE_S": "1",
    "IMPORTER_MAX_RESENDS": "1000",
    "IMPORTER_MAX_DOUBTFUL": "1000000",
    "IMPORTER_MAX_FAILURES_IN_A_ROW": "10000",
    "IMPORTER_MAX_FAILURES": "1000000",
    "IMPORTER_CANARY": "0",
    "IMPORTER_PREFLIGHT": "off",
    "IMPORTER_HMAC_KEY": "c3" * 32,
}


@dataclass(slots=True)
class Machine:
    """One worker: a folder, and a server that forks its processes.

    Attributes:
        name: of the machine.
        folder: its working folder.
        forks: starts its processes.
        child: the present process.
        frozen_until: when it goes on; None if it is not frozen.
        point: where the present process freezes; empty if it does not.
    """

    name: str
    folder: Path
    forks: ForkServer
    child: Child | None = None
    frozen_until: float | None = None
    point: str = ""

    def state(self) -> str:
        """Return the state of the process, one letter; empty if there is no process."""
        if self.child is None:
            return ""
        try:
            return Path(f"/proc/{self.child.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (OSError, IndexError):
            return ""

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process."""
        if self.child is not None:
            with suppress(ProcessLookupError):
                os.kill(self.child.pid, number)


@dataclass(frozen=True, slots=True)
class Style:
    """How an adversary works.

    Attributes:
        freezes: share of the processes that freeze.
        points: at which points they freeze.
        longest: the longest freeze, in leases.
        kills: chance of a kill in each step, beside those that follow the progress.
        mutation: a defence that every process lacks.
        pooled: whether the machines reach the database through PgBouncer.
        lease_s: how long a lease lasts.
    """

    freezes: float = 0.7
    points: Sequence[str] = POINTS
    longest: float = 3.0
    kills: float = 0.002
    mutation: str = ""
    pooled: bool = False
    lease_s: float = LEASE_S


class Machines:
    """Several machines on one ledger, and their adversary.

    Args:
        folder: for all files.
        server: of the ledger.
        count: of machines.
        people: of the list.
        rate: requests a second of all machines.
        seed: of every choice.
        style: of the adversary.
    """

    def __init__(
        self,
        folder: Path,
        server: Server,
        *,
        count: int,
        people: int,
        rate: float,
        seed: int,
        style: Style,
    ) -> None:
        self._server = server
        self.style = style
        self._dice = random.Random(seed)
        self._rate = rate
        self.installation = Installation.create(
            folder / "shared", candidates(people, seed, flawed=False), seed
        )
        self._stack = ExitStack()
        self._url = (
            self._stack.enter_context(pooled(server, folder)) if style.pooled else server.url
        )
        self.machines = [self._machine(folder, number) for number in range(count)]
        self.events = Events()
        self._run = ""

    def __enter__(self) -> Self:
        self.installation.open(_LATENCY)
        with Ledger.open(self._server.url) as ledger:  # as `importer upgrade` does
            ledger.note_key(key_id(SETTINGS["IMPORTER_HMAC_KEY"].encode()))
        return self

    def __exit__(self, *_: object) -> None:
        for machine in self.machines:
            machine.signal(signal.SIGKILL)
            machine.signal(signal.SIGCONT)
            if machine.child is not None:
                machine.forks.wait(_TO_DIE_S)  # its end may have been read already
        self._stack.close()
        self.installation.close()

    def _machine(self, folder: Path, number: int) -> Machine:
        own = folder / f"machine-{number}"
        own.mkdir()
        return Machine(f"machine-{number}", own, self._stack.enter_context(ForkServer()))

    # ---- processes ---------------------------------------------------------------------------

    def _start(self, machine: Machine, *command: str, calm: bool = False, freeze: str = "") -> None:
        env = {
            **self.installation.env,
            **SETTINGS,
            "IMPORTER_LEASE_S": str(self.style.lease_s),
            "IMPORTER_RATE_PER_S": str(self._rate),
            "IMPORTER_LEDGER": self._url,
            "MACHINE": machine.name,
        }
        dice = self._dice
        if not calm and dice.random() < self.style.freezes:
            freeze = f"{dice.choice(self.style.points)}:{dice.randint(1, 4)}"
        env["MACHINE_FREEZE"] = freeze
        machine.point = freeze.partition(":")[0]
        if self.style.mutation:
            env["MACHINE_MUTATION"] = self.style.mutation
        if not calm and dice.random() < 0.2:
            env["MACHINE_CLOCK_S"] = dice.choice(["3600", "-3600"])
            self.events.done["clocks wrong"] += 1
        machine.child = machine.forks.start(
            command, folder=self.installation.folder, env=env, output=machine.folder / "output.txt",
            main=MACHINE,
        )  # fmt: skip

    def _command(self) -> tuple[str, ...]:
        if not self._run:
            return "run", LIST, "--yes"
        dice = self._dice.random()
        if dice < 0.1:
            return "run", LIST, "--yes"
        return ("reconcile",) if dice < 0.2 else ("resume", self._open_runs()[0], "--yes")

    def _note_end(self, machine: Machine, code: int) -> None:
        """Note a process that has ended, as its parent does."""
        self.events.exits[code] += 1
        if code == 4:
            assert machine.child is not None
            self.events.setups[_last_error(machine.child.text())] += 1
        assert machine.child is not None
        text = machine.child.text()
        wrong = code not in _GOOD_ENDS or "Traceback" in text or "fault of importer" in text
        if wrong:
            self.events.complaints.append(f"exit code {code}: {text[-1500:]}")
        self._write_end(machine)
        machine.child = None

    def _write_end(self, machine: Machine) -> None:
        """Write into the ledger that the process of a machine has ended."""
        assert machine.child is not None
        wanted = "SELECT id FROM senders WHERE host = %s AND pid = %s AND ended_at IS NULL"
        for _ in range(50):
            with suppress(psycopg.Error), self.connect() as connection:
                ids = [
                    row[0] for row in connection.execute(wanted, [machine.name, machine.child.pid])
                ]
                note = (
                    "UPDATE senders SET ended_at = clock_timestamp(), ended_how = 'killed'"
                    " WHERE id = ANY(%s)"
                )
                connection.execute(note, [ids])
                touch = (
                    "UPDATE submissions SET settled_at = clock_timestamp()"
                    " WHERE state = %s AND sender = ANY(%s)"
                )
                connection.execute(touch, [STATES.number(State.DOUBTFUL), ids])
                break
            time.sleep(0.1)

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the database."""
        return psycopg.connect(self._server.url, autocommit=True)

    # ---- the adversary -----------------------------------------------------------------------

    def disturb(self, count: int) -> None:
        """Kill this many processes, and disturb them in other ways.

        A kill waits for some progress, so that there is progress on a slow test machine, too.
        """
        if not count:
            self._start(self.machines[0], *self._command(), calm=True)
        accepted = self.installation.accepted()
        gap = _DISTURBED * self.installation.rows.height / max(count, 1)
        kill_at, best, since = self._draw_gap(gap), 0, time.monotonic()
        while not self._run or self.events.done["killed"] < count:
            progress = next(accepted)
            if progress > best:
                best, since = progress, time.monotonic()
            if time.monotonic() > since + _STILL_S:
                self.events.complaints.append(f"nothing happens any more: {self._describe()}")
                return
            self._tend()
            time.sleep(self._dice.uniform(0.02, 0.1))
            self._find_run()
            if self._run and self._is_done():
                return
            dice = self._dice.random()
            if progress >= kill_at or dice < self.style.kills:
                kill_at = progress + self._draw_gap(gap)
                self._kill()
                self._cut_or_restart()

    def _draw_gap(self, mean: float) -> float:
        return self._dice.uniform(0.2 * mean, 1.8 * mean)

    def _cut_or_restart(self) -> None:
        """Cut the connections after one kill in six, and restart the server after one in thirty."""
        dice = self._dice.random()
        if dice < 1 / 6:
            self._cut()
        elif dice < 1 / 6 + 1 / 30:
            self._server.restart()
            self.events.done["database restarted"] += 1

    def _tend(self) -> None:
        """Start processes that are missing, note those that have ended, and unfreeze others."""
        for machine in self.machines:
            state = machine.state()
            if machine.child is None:
                if self._run or machine is self.machines[0]:
                    self._start(machine, *self._command())
            elif state == "T" and machine.frozen_until is None:
                self.events.done["frozen"] += 1
                self.events.points[machine.point] += 1
                rest = LEASE_S * self._dice.uniform(0.5, self.style.longest)
                machine.frozen_until = time.monotonic() + rest
            elif machine.frozen_until is not None:
                if time.monotonic() >= machine.frozen_until:
                    machine.frozen_until = None
                    machine.signal(signal.SIGCONT)
            elif (code := machine.forks.wait(0.0)) is not None:
                self._note_end(machine, code)

    def _is_done(self) -> bool:
        """Whether nothing is open any more, so that no event can do harm."""
        with suppress(psycopg.Error):
            return not any(each.state in _OPEN for each in self.known())
        return False

    def _find_run(self) -> None:
        if not self._run:
            with suppress(psycopg.Error), self.connect() as connection:
                row = connection.execute(
                    "SELECT id FROM runs ORDER BY started_at LIMIT 1"
                ).fetchone()
                self._run = run_of_number(row[0]) if row else ""

    def _open_runs(self) -> list[str]:
        """Return the runs that have open rows, most rows first; the first run if there is none.

        A second `run` of a list takes over the rows that the first one has not sent.
        """
        wanted = (
            "SELECT run FROM submissions WHERE state = ANY(%s) GROUP BY 1 ORDER BY count(*) DESC"
        )
        found: list[str] = []
        with suppress(psycopg.Error), self.connect() as connection:
            numbers = [STATES.number(state) for state in _OPEN]
            found = [run_of_number(row[0]) for row in connection.execute(wanted, [numbers])]
        return found or [self._run]

    def _kill(self) -> None:
        alive = [each for each in self.machines if each.child is not None]
        if not alive:
            return
        machine = self._dice.choice(alive)
        machine.signal(signal.SIGKILL)
        machine.signal(signal.SIGCONT)
        machine.frozen_until = None
        code = machine.forks.wait()
        assert code is not None
        self.events.done["killed"] += 1
        self._note_end(machine, code)

    def _cut(self) -> None:
        """Cut every connection of the importers to the database."""
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = 'postgres'"
        )
        with suppress(psycopg.Error), self.connect() as connection:
            connection.execute(cut)
        self.events.done["connections cut"] += 1

    def finish(self, rounds: int = 8) -> None:
        """Let all machines finish, without faults."""
        for machine in self.machines:
            if machine.child is not None:
                machine.signal(signal.SIGCONT)
                machine.frozen_until = None
        self.installation.restart("slow:1:0.1")
        _write_witnesses(self.installation)
        for number in range(rounds):
            if not self._wait_for_all():
                self.events.complaints.append(f"a machine does not end: {self._describe()}")
                return
            states = Counter(each.state for each in self.known())
            if not any(states[state] for state in _OPEN) and number > 1:
                return
            if number % 2:
                for machine, run in zip(self.machines, cycle(self._open_runs()), strict=False):
                    self._start(machine, "resume", run, "--yes", calm=True)
            else:
                self._start(self.machines[0], "run", _WITNESSES, "--yes", calm=True)

    def _wait_for_all(self, longest_s: float = 120.0) -> bool:
        """Wait until every process has ended; what is frozen goes on."""
        until = time.monotonic() + longest_s
        while any(each.child is not None for each in self.machines):
            for machine in self.machines:
                if machine.state() == "T":
                    machine.signal(signal.SIGCONT)
                if machine.child is not None and (code := machine.forks.wait(0.02)) is not None:
                    self._note_end(machine, code)
            if time.monotonic() > until:
                return False
        return True

    def _describe(self) -> str:
        """Say what every process does, and what the ledger knows: for a run that does not end."""
        said = [
            f"{state} {count}"
            for state, count in Counter(each.state for each in self.known()).items()
        ]
        with self.connect() as connection:
            for query in _DIAGNOSIS:
                said += [str(row) for row in connection.execute(query)]
        for machine in self.machines:
            machine.signal(signal.SIGUSR1)
        time.sleep(1.0)
        for machine in self.machines:
            text = "" if machine.child is None else machine.child.text()
            said.append(f"{machine.name} {machine.state()}: {text[-6000:]}")
        return "\n".join(said)

    def work_calmly(self) -> None:
        """Let all machines send one run, undisturbed, to its end."""
        first, *others = self.machines
        self._start(first, "run", LIST, "--yes", calm=True)
        while not self._run:
            self._find_run()
            time.sleep(0.05)
        for machine in others:
            self._start(machine, "resume", self._run, "--yes", calm=True)
        if not self._wait_for_all(_LONGEST_S):
            raise RuntimeError("the machines do not end")

    def freeze_first(self, case: Case) -> None:
        """Freeze one machine, let the other one finish without it, and let it go on."""
        first, second = self.machines
        self._start(first, "run", LIST, "--yes", calm=True, freeze=f"{case.point}:3")
        _wait_until_frozen(first)
        self._find_run()
        time.sleep(LEASE_S * 1.5)
        self._start(second, "resume", self._run, "--yes", calm=True)
        self._wait_for(second)
        if case.said_ended:
            self._write_end(first)
            time.sleep(1.0)
        freeze = f"{case.second}:1" if case.second else ""
        self._start(second, "resume", self._run, "--yes", calm=True, freeze=freeze)
        if case.second:
            _wait_until_frozen(second)
        else:
            self._wait_for(second)
        first.signal(signal.SIGCONT)
        self._wait_for(first)
        if case.second:
            second.signal(signal.SIGKILL)
            self._wait_for(second)
        for _ in range(2 if case.second else 1):
            self._start(second, "resume", self._run, "--yes", calm=True)
            self._wait_for(second)

    def _wait_for(self, machine: Machine) -> None:
        code = machine.forks.wait(_LONGEST_S)
        if code is None:
            raise RuntimeError("a machine does not end")
        self._note_end(machine, code)

    # ---- the judge ---------------------------------------------------------------------------

    def known(self) -> list[Known]:
        """Return the submissions of the ledger."""
        wanted = "SELECT row, state, conversation_id, external_id, code, message FROM submissions"
        with self.connect() as connection:
            return list(map(read_known, connection.execute(wanted)))

    def judge(self, seconds: float) -> Verdict:
        """Compare the journal with the ledger."""
        known = {each.external_id: each for each in self.known()}
        journal = entries(self.installation.journal)
        sent = Counter(
            (each["emailAddress"] or each["phoneNumber"], each["campaignId"]) for each in journal
        )
        ids = {each["externalId"] for each in journal}
        return Verdict(
            people=len(known),
            conversations=len(journal),
            twice=[
                f"{count} conversations with one person" for count in sent.values() if count > 1
            ],
            lost=[
                f"row {each.row} is created, and has no conversation"
                for key, each in known.items()
                if each.state == "created" and key not in ids
            ],
            hidden=[
                f"row {each.row} is {each.state}, and has a conversation"
                for key, each in known.items()
                if each.state in {"planned", "unsent", "rejected"} and key in ids
            ],
            unnamed=[
                f"row {each.row} is doubtful without a reason"
                for each in known.values()
                if each.state == "doubtful" and not each.message
            ],
            left=[
                f"row {each.row} is still {each.state}"
                for each in known.values()
                if each.state in {"planned", "sending", "unsent"}
            ],
            states=Counter(each.state for each in known.values()),
            worst=worst_second([each["received_s"] for each in journal]),
            rate=self._rate,
            seconds=seconds,
            events=self.events,
        )


def _write_witnesses(installation: Installation) -> None:
    """Write a list of new people; their conversations show that the API's list is up to date."""
    start = 1_000 + installation.rows.height
    more = people(
        start, start + 4, phones=numbers_of_all_countries(), campaigns=4, seed=installation.seed
    )
    campaigns = [f"camp-{number}" for number in (1, 2, 3, 4)]
    more.with_columns(pl.Series("Campaign", campaigns)).write_csv(installation.folder / _WITNESSES)


def _last_error(text: str) -> str:
    """Return the last lines of a process's output, without numbers; they say why it ended."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = " ".join(lines[-3:])
    return re.sub(r"\d+", "N", said)[-300:]


@dataclass(frozen=True, slots=True)
class Case:
    """How a defence is shown to be needed: one of two machines freezes beyond its lease.

    Attributes:
        point: where it freezes, the third time that it gets there.
        said_ended: whether a person meanwhile says, wrongly, that it has ended.
        second: where the other machine freezes when it sends what the first one had begun, until
            the first one has gone on; then it is killed. Empty if it does not.
    """

    point: str
    said_ended: bool = False
    second: str = ""


def _wait_until_frozen(machine: Machine) -> None:
    until = time.monotonic() + _LONGEST_S
    while machine.state() != "T":
        if time.monotonic() > until or machine.forks.wait(0.02) is not None:
            raise RuntimeError(f"a machine did not freeze at the {machine.point}")
