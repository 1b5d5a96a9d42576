"""How far a run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.text import Text

from importer.report.formatting import counted, duration, number, plain
from importer.sending.run_options import SilentObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from importer.model import Outcome, State
    from importer.sending.run_options import Observer

EVERY_S: Final = 10.0
"""Seconds between two plain lines."""

_TRUSTED: Final = 10
"""From so many outcomes on, what they took says more than what was planned."""


@contextmanager
def progress(
    console: Console, *, now: Callable[[], float] = time.monotonic, every_s: float = EVERY_S
) -> Iterator[Observer]:
    """Show how far a run is: a bar if the console is a terminal, else plain lines.

    Args:
        console: of standard error.
        now: monotonic clock, seconds.
        every_s: seconds between plain lines.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with _bar(console) as bar:
            yield _Bar(bar, now)
        return
    lines = _Lines(console, now, every_s)
    try:
        yield lines
    finally:
        lines.end()


@dataclass(slots=True)
class _Sofar:
    """What has been done of what was planned."""

    total: int = 0
    planned_s: float = 0.0
    began: float = 0.0
    states: Counter[State] = field(default_factory=Counter)

    @property
    def done(self) -> int:
        return self.states.total()

    def left_s(self, now: float) -> float:
        """Seconds until the rest is sent: as planned, and soon as the pace so far says."""
        left = max(0, self.total - self.done)
        if self.done >= _TRUSTED:
            return left * (now - self.began) / self.done
        return left * self.planned_s / self.total if self.total else 0.0

    def tally(self) -> str:
        """How many stand where: `400 created, 10 duplicate`."""
        return ", ".join(f"{number(n)} {state.value}" for state, n in self.states.most_common())


def _bar(console: Console) -> Progress:
    """Bar, count and what became of them, in one line."""
    return Progress(
        TextColumn("Sending"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        console=console,
    )


class _Bar(SilentObserver):
    """The teller of a terminal."""

    def __init__(self, bar: Progress, now: Callable[[], float]) -> None:
        self._bar, self._now = bar, now
        self._sofar = _Sofar()
        self._task: TaskID | None = None

    def on_start(self, run: str, count: int, seconds: float) -> None:
        if not count:
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._sofar = _Sofar(count, seconds, self._now())
        self._bar.console.print(Text(f"Run {run}"))
        self._task = self._bar.add_task("", total=count, said=f"{duration(seconds)} left")

    def on_outcome(self, outcome: Outcome) -> None:
        sofar = self._sofar
        sofar.states[outcome.state] += 1
        said = sofar.tally()
        if sofar.done < sofar.total:
            said = f"{said}; {duration(sofar.left_s(self._now()))} left"
        if self._task is not None:
            self._bar.update(self._task, completed=sofar.done, said=said)

    def on_stage(self, sentence: str) -> None:
        self._bar.console.print(Text(plain(sentence, 400)))


class _Lines(SilentObserver):
    """The teller of logs and pipes."""

    def __init__(self, console: Console, now: Callable[[], float], every_s: float) -> None:
        self._console, self._now, self._every_s = console, now, every_s
        self._sofar = _Sofar()
        self._told = now()

    def on_start(self, run: str, count: int, seconds: float) -> None:
        if not count:
            return
        self.end()
        self._told = self._now()
        self._sofar = _Sofar(count, seconds, self._told)
        self._print(f"Run {run}: sending {counted(count, 'message')}, {duration(seconds)}.")

    def on_outcome(self, outcome: Outcome) -> None:
        self._sofar.states[outcome.state] += 1
        now = self._now()
        if now - self._told < self._every_s or self._sofar.done >= self._sofar.total:
            return
        self._told = now
        self._print(f"{self._said()}; {duration(self._sofar.left_s(now))} left.")

    def on_stage(self, sentence: str) -> None:
        self._print(plain(sentence, 400))

    def end(self) -> None:
        """What came of what was begun."""
        if self._sofar.total:
            self._print(f"{self._said()}.")

    def _said(self) -> str:
        done = f"{number(self._sofar.done)} of {number(self._sofar.total)} done"
        return f"{done}: {self._sofar.tally()}" if self._sofar.states else done

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
