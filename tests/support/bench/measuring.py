"""One command as a process of its own: how long it took, what it cost, how large it grew."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_GOOD: Final = frozenset({0, 1})  # 1: it ran, and found faults
_KIB_PER_MB: Final = 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """What a process cost from its start to its end.

    Attributes:
        wall_s: seconds on the clock; other work on the machine is in them.
        cpu_s: seconds of all its threads, user and system; the measure that ratios are made of.
        peak_mb: largest resident memory, MiB.
        rows: that it went through.
    """

    wall_s: float
    cpu_s: float
    peak_mb: float
    rows: int

    def grown(self, idle: Cost, rows: int) -> Cost:
        """Estimate the cost of more rows: the start-up once, and the rest row by row.

        Args:
            idle: the cost of the same command without rows.
            rows: how many.
        """
        times = rows / self.rows
        return Cost(
            idle.wall_s + max(0.0, self.wall_s - idle.wall_s) * times,
            idle.cpu_s + max(0.0, self.cpu_s - idle.cpu_s) * times,
            self.peak_mb,
            rows,
        )


def measured(
    command: Sequence[str | Path],
    rows: int,
    *,
    environment: Mapping[str, str],
    output: Path,
    errors: Path,
) -> Cost:
    """Run a command to its end; return its cost.

    Args:
        command: program and arguments.
        rows: that it goes through.
        environment: all of its variables.
        output: file for what it prints.
        errors: file for what it says on standard error.

    Raises:
        RuntimeError: it failed; the text is the end of what it said.
    """
    modes = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    arguments = [str(part) for part in command]
    started = time.perf_counter()
    child = os.posix_spawnp(
        arguments[0],
        arguments,
        environment,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 1, str(output), modes, 0o644),
            (os.POSIX_SPAWN_OPEN, 2, str(errors), modes, 0o644),
        ],
    )
    _, status, usage = os.wait4(child, 0)
    wall_s = time.perf_counter() - started
    code = os.waitstatus_to_exitcode(status)
    if code not in _GOOD:
        result = errors.read_text("utf-8", "replace")[-2000:]
        raise RuntimeError(f"{' '.join(arguments)} ended with {code}: {result}")
    return Cost(wall_s, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / _KIB_PER_MB, rows)
