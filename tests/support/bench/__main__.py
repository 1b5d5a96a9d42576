"""`make bench`: measure the importer beside what people use today, on the same files in one run.

Files of 10,000, 100,000 and 1,000,000 rows (10,000,000 too with BENCH_HUGE=1) are made in `.bench/`
by the seeded generator. Everything is a process of its own, from its start to its end: ours from
the command to the HTML report on disk. Each stage of an import is beside its floor; then the check
of the largest file is beside other tools. Clock seconds are of the best of a few runs, since other
work on the machine is in them; CPU seconds are beside them.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.bench.aims import Aim, aims_of
from tests.support.bench.contest import (
    FLOOR,
    FRICTIONLESS,
    LOOP,
    OURS,
    PANDAS,
    RUNS,
    WORK,
    Entry,
    checking,
    enter_slow,
    head,
    ours,
    run,
    settings,
)
from tests.support.bench.stages import ledger_bytes, measure
from tests.support.bench.tables import aims_table, costs_table, stages_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.bench.stages import Stage

SIZES: Final = (10_000, 100_000, 1_000_000)
HUGE: Final = 10_000_000
_TEN: Final = 10
_STARTS: Final = 3


def main() -> int:
    """Measure, print the tables, and return 1 if an aim is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=None, help="sizes of files")
    options.add_argument("--quick", action="store_true", help="two sizes, once, ours alone")
    options.add_argument("--out", type=Path, help="write the tables there too, as Markdown")
    chosen = options.parse_args()
    sizes = chosen.rows or (*SIZES, *((HUGE,) if os.environ.get("BENCH_HUGE") else ()))
    sizes = sizes[:2] if chosen.quick else sizes
    WORK.mkdir(exist_ok=True)
    messages = [_machine()]
    _print(messages[0])
    stages: dict[int, list[Stage]] = {}
    for rows in sizes:
        stages[rows] = list(
            measure(_list_of(rows), rows, 1 if chosen.quick or rows >= HUGE else RUNS)
        )
        sys.stderr.write(f"{rows:,} rows are measured.\n")
    messages.append(stages_table(stages))
    _print(messages[-1])
    messages.append(_run_part("rates"))
    _print(messages[-1])
    messages.append(
        "Bytes of the ledger for each planned submission: "
        + ", ".join(f"{size:,.0f} of {rows:,}" for rows, size in ledger_bytes.items())
    )
    _print(messages[-1])
    aims = _measure_start_up(_list_of(sizes[0]))
    if not chosen.quick:
        found = {rows: _contestants(its) for rows, its in stages.items()}
        found[sizes[-1]] += [
            enter_slow(name, _list_of(sizes[-1]), sizes[-1])
            for name in (LOOP, FRICTIONLESS, PANDAS)
        ]
        messages.append(f"**{sizes[-1]:,} rows**\n\n{costs_table(found[sizes[-1]])}")
        _print(messages[-1])
        aims = [*aims_of(found), *_measure_faults(min(max(sizes), SIZES[1])), *aims]
    messages.append(aims_table(aims))
    _print(messages[-1])
    if not chosen.rows and not chosen.quick:
        for module in ("readers", "submitting"):
            messages.append(_run_part(module))
            _print(messages[-1])
    if chosen.out is not None:
        chosen.out.write_text("\n\n".join(messages) + "\n", "utf-8")
    return 0 if all(aim.held for aim in aims) else 1


def _contestants(stages: Sequence[Stage]) -> list[Entry]:
    """Return the floor and ours, as measured with the stages."""
    check = next(stage for stage in stages if stage.name == OURS)
    costs = {FLOOR: check.floor, OURS: check.cost}
    return [Entry(name, cost, cost) for name, cost in costs.items()]


def _list_of(rows: int) -> Path:
    """Return the file with this many rows; it is made once and kept, because it is seeded."""
    path = WORK / f"{rows}.csv"
    return _make("tests.support.bench.people", rows, path)


def _make(module: str, rows: int, path: Path) -> Path:
    """Let a generator write a file, in a process of its own, which keeps this one small.

    A child is charged with the size of its parent.
    """
    if not path.is_file():
        run([sys.executable, "-m", module, str(rows), path], rows)
    return path


def _measure_faults(rows: int) -> list[Aim]:
    """Measure a file with a fault in each row beside a clean one."""
    wrong = _make("tests.support.bench.faulty", rows, WORK / f"{rows}-wrong.csv")
    clean, idle = run(checking(_list_of(rows)), rows), run(checking(head(wrong, 1)), 1)
    ratio = (run(checking(wrong), rows).cpu_s - idle.cpu_s) / (clean.cpu_s - idle.cpu_s)
    return [Aim(f"{rows:,} wrong rows beside as many clean ones, start-up apart", ratio, 3, "x")]


def _measure_start_up(file: Path) -> list[Aim]:
    """Measure the smallest commands; the best of a few runs, because others use the machine."""
    ten = head(file, _TEN)
    return [
        Aim(
            "`importer --help`",
            min(run(ours("--help"), 0).wall_s for _ in range(_STARTS)),
            0.3,
            "s",
        ),
        Aim(
            "`importer check` of ten rows",
            min(
                run(ours("check", "--config", settings(), ten), _TEN).wall_s for _ in range(_STARTS)
            ),
            0.4,
            "s",
        ),
    ]


def _run_part(module: str) -> str:
    """Run a part of the benchmark in a process of its own, and return the table it prints."""
    command = [sys.executable, "-m", f"tests.support.bench.{module}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _machine() -> str:
    """Return the day, the machine and its load."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python "
        f"{sys.version_info.major}.{sys.version_info.minor}; load of the machine before: {load}."
    )


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
