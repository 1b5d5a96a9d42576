"""`make bench`: checking candidates beside what people use today, on the same files in one run.

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
    """Measures, prints the tables, and exits with 1 if an aim is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, nargs="+", default=None, help="sizes of files")
    options.add_argument("--quick", action="store_true", help="two sizes, once, ours alone")
    options.add_argument("--out", type=Path, help="write the tables there too, as Markdown")
    chosen = options.parse_args()
    sizes = chosen.rows or (*SIZES, *((HUGE,) if os.environ.get("BENCH_HUGE") else ()))
    sizes = sizes[:2] if chosen.quick else sizes
    WORK.mkdir(exist_ok=True)
    messages = [_machine()]
    _tell(messages[0])
    stages: dict[int, list[Stage]] = {}
    for rows in sizes:
        stages[rows] = list(measure(made(rows), rows, 1 if chosen.quick or rows >= HUGE else RUNS))
        sys.stderr.write(f"{rows:,} rows are measured.\n")
    messages.append(stages_table(stages))
    _tell(messages[-1])
    messages.append(_printed("rates"))
    _tell(messages[-1])
    messages.append(
        "Bytes of the ledger for each planned submission: "
        + ", ".join(f"{size:,.0f} of {rows:,}" for rows, size in ledger_bytes.items())
    )
    _tell(messages[-1])
    aims = _of_start_up(made(sizes[0]))
    if not chosen.quick:
        found = {rows: _contestants(its) for rows, its in stages.items()}
        found[sizes[-1]] += [
            enter_slow(name, made(sizes[-1]), sizes[-1]) for name in (LOOP, FRICTIONLESS, PANDAS)
        ]
        messages.append(f"**{sizes[-1]:,} rows**\n\n{costs_table(found[sizes[-1]])}")
        _tell(messages[-1])
        aims = [*aims_of(found), *_of_faults(min(max(sizes), SIZES[1])), *aims]
    messages.append(aims_table(aims))
    _tell(messages[-1])
    if not chosen.rows and not chosen.quick:
        for module in ("readers", "submitting"):
            messages.append(_printed(module))
            _tell(messages[-1])
    if chosen.out is not None:
        chosen.out.write_text("\n\n".join(messages) + "\n", "utf-8")
    return 0 if all(aim.held for aim in aims) else 1


def _contestants(stages: Sequence[Stage]) -> list[Entry]:
    """The floor and ours, as measured with the stages."""
    check = next(stage for stage in stages if stage.name == OURS)
    costs = {FLOOR: check.floor, OURS: check.cost}
    return [Entry(name, cost, cost) for name, cost in costs.items()]


def made(rows: int) -> Path:
    """The file of so many rows; it is made once and kept, for the generator is seeded."""
    path = WORK / f"{rows}.csv"
    return _made("tests.support.bench.people", rows, path)


def _made(module: str, rows: int, path: Path) -> Path:
    """What a generator writes, in a process of its own: children are charged the parent's size."""
    if not path.is_file():
        run([sys.executable, "-m", module, str(rows), path], rows)
    return path


def _of_faults(rows: int) -> list[Aim]:
    """A file in which every row is wrong beside a clean one."""
    wrong = _made("tests.support.bench.faulty", rows, WORK / f"{rows}-wrong.csv")
    clean, idle = run(checking(made(rows)), rows), run(checking(head(wrong, 1)), 1)
    ratio = (run(checking(wrong), rows).cpu_s - idle.cpu_s) / (clean.cpu_s - idle.cpu_s)
    return [Aim(f"{rows:,} wrong rows beside as many clean ones, start-up apart", ratio, 3, "x")]


def _of_start_up(file: Path) -> list[Aim]:
    """How long the smallest things take; the best of a few, for others use the machine too."""
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


def _printed(module: str) -> str:
    """The table that a part of the benchmark prints as a process of its own."""
    command = [sys.executable, "-m", f"tests.support.bench.{module}"]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def _machine() -> str:
    """When and on what."""
    load = ", ".join(f"{each:.1f}" for each in os.getloadavg())
    return (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, Python "
        f"{sys.version_info.major}.{sys.version_info.minor}; load of the machine before: {load}."
    )


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
