"""The proof for many machines: several senders on one ledger, killed, frozen and cut off.

`python -m tests.crash.machines --seed 1 --people 1500 --events 200` starts PostgreSQL, a sandbox
without duplicate check, and workers that each seem to be a machine of their own. A seeded adversary
kills them, freezes them beyond their lease at every point, makes their clocks wrong, cuts their
connections to the database and restarts it. At the end the journal of the sandbox is compared with
the ledger, person by person.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.crash.audit import entries
from tests.crash.machine import MUTATIONS, POINTS
from tests.crash.machine_group import UNDER_WAY, Case, Machines, Style
from tests.crash.verdict import Verdict, worst_second
from tests.support.postgres import PROGRAMS, own_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def prove(
    folder: Path,
    *,
    seed: int,
    machines: int,
    people: int,
    events: int,
    rate: float,
    style: Style | None = None,
) -> Verdict:
    """Disturb machines on one ledger, let them finish, and judge."""
    started = time.monotonic()
    with (
        own_server(folder / "postgres") as server,
        Machines(
            folder,
            server,
            count=machines,
            people=people,
            rate=rate,
            seed=seed,
            style=style or Style(),
        ) as all_machines,
    ):
        all_machines.disturb(events)
        all_machines.finish()
        return all_machines.judge(time.monotonic() - started)


def freeze_one(folder: Path, case: Case, mutation: str = "") -> Verdict:
    """Freeze one of two machines beyond its lease, and judge; a defence may be missing."""
    started = time.monotonic()
    with (
        own_server(folder / "postgres") as server,
        Machines(
            folder,
            server,
            count=2,
            people=24,
            rate=100,
            seed=5,
            style=Style(freezes=0.0, kills=0.0, mutation=mutation),
        ) as pair,
    ):
        pair.installation.restart("slow:1:0.1")
        pair.freeze_first(case)
        return pair.judge(time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Throughput:
    """How fast undisturbed machines are.

    Attributes:
        per_s: requests a second.
        worst: most requests in a second.
    """

    per_s: float
    worst: int


def measure(
    folder: Path, *, machines: int, seconds: float, rate: float, latency_s: float
) -> Throughput:
    """Measure how fast undisturbed machines are, with four requests under way each.

    Args:
        folder: for all files.
        machines: how many.
        seconds: of work for them.
        rate: of all together.
        latency_s: how long an answer takes.
    """
    expected = min(machines * UNDER_WAY / latency_s, rate)
    with (
        own_server(folder / "postgres") as server,
        Machines(
            folder,
            server,
            count=machines,
            people=int(expected * seconds),
            rate=rate,
            seed=1,
            style=Style(freezes=0.0, kills=0.0, lease_s=10.0),
        ) as calm,
    ):
        calm.installation.restart(f"slow:1:{latency_s}")
        calm.work_calmly()
        times = sorted(each["received_s"] for each in entries(calm.installation.journal))
        # From when all are at work until the first has nothing more to do.
        start, end = times[len(times) // 3], times[len(times) * 4 // 5]
        per_s = sum(start <= at < end for at in times) / (end - start)
        return Throughput(per_s, worst_second(times))


def _lines(seed: int, verdict: Verdict) -> Iterator[str]:
    done = ", ".join(f"{what} {count}" for what, count in sorted(verdict.events.done.items()))
    states = ", ".join(f"{state} {count}" for state, count in sorted(verdict.states.items()))
    yield f"seed {seed}: {verdict.people} people, {verdict.conversations} conversations; {done}"
    yield f"  frozen at {dict(verdict.events.points)}"
    yield f"  {states}; exit codes {dict(verdict.events.exits)}"
    yield (
        f"  contacted twice {len(verdict.twice)}, lost {len(verdict.lost)}, hidden"
        f" {len(verdict.hidden)}, left {len(verdict.left)};"
        f" worst second {verdict.worst}; {verdict.seconds:.0f} s"
    )
    yield from (f"  {count} x {why}" for why, count in verdict.events.setups.most_common(6))
    yield from (f"  {fault}" for fault in verdict.faults)


DEFENCES: Final = (
    (Case("last-check"), "resend-without-known-death"),
    (Case("intent", said_ended=True), "no-check"),
    (Case("intent", said_ended=True, second="write"), "settle-by-run"),
)
"""What happens, and the defence that is needed then."""


def _show_defences() -> None:
    """Show that somebody is contacted twice only if a defence is missing."""
    for case, mutation in DEFENCES:
        for lacks in ("", mutation):
            with tempfile.TemporaryDirectory() as name:
                Path(name).chmod(0o755)
                verdict = freeze_one(Path(name), case, lacks)
            print(  # noqa: T201
                f"frozen after the {case.point}, {lacks or 'nothing'} taken away:"
                f" contacted twice {len(verdict.twice)}, {dict(verdict.states)}",
                *verdict.events.complaints,
                flush=True,
            )


def _measure_all(counts: Sequence[int], rate: float, latency_s: float, seconds: float) -> None:
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            found = measure(
                Path(name), machines=count, seconds=seconds, rate=rate, latency_s=latency_s
            )
        print(  # noqa: T201
            f"{count} machines: {found.per_s:.1f} requests a second, worst second {found.worst}",
            flush=True,
        )


def main() -> None:
    """Run the proof for some seeds, or what the flags ask for."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--machines", type=int, default=4)
    parser.add_argument("--people", type=int, default=1_500)
    parser.add_argument("--events", type=int, default=200, help="kills with SIGKILL")
    parser.add_argument("--rate", type=float, default=100.0)
    parser.add_argument("--freezes", type=float, default=Style().freezes)
    parser.add_argument("--points", nargs="+", choices=POINTS, default=POINTS)
    parser.add_argument("--longest", type=float, default=Style().longest)
    parser.add_argument("--kills", type=float, default=Style().kills)
    parser.add_argument("--mutation", choices=MUTATIONS, default="")
    parser.add_argument("--pgbouncer", action="store_true", help="between machines and database")
    parser.add_argument("--defences", action="store_true")
    parser.add_argument("--throughput", type=int, nargs="*", metavar="MACHINES")
    parser.add_argument("--latency", type=float, default=0.2, help="for --throughput, seconds")
    parser.add_argument("--seconds", type=float, default=20.0, help="of work, for --throughput")
    given = parser.parse_args()
    if not PROGRAMS:
        sys.exit("PostgreSQL is not installed; `apt-get install postgresql` brings it.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the servers must not outlive us
    if given.defences:
        _show_defences()
        return
    if given.throughput:
        _measure_all(given.throughput, given.rate, given.latency, given.seconds)
        return
    style = Style(
        given.freezes,
        given.points,
        given.longest,
        given.kills,
        given.mutation,
        pooled=given.pgbouncer,
    )
    faults = 0
    for seed in given.seed:
        with tempfile.TemporaryDirectory() as name:
            Path(name).chmod(0o755)
            verdict = prove(
                Path(name), seed=seed, machines=given.machines, people=given.people,
                events=given.events, rate=given.rate, style=style,
            )  # fmt: skip
        print(*_lines(seed, verdict), sep="\n", flush=True)  # noqa: T201
        faults += len(verdict.faults)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
