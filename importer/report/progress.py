"""How far a run is: a bar on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
from rich.text import Text

from importer.report.wording import counted, duration, number, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from importer.model import Outcome, State

EVERY_S: Final = 10.0
"""Seconds between two plain lines."""


class Teller(Protocol):
    """Tells a person how far a run is."""

    def outcome(self, outcome: Outcome) -> None:
        """One submission came to its end for now."""

    def say(self, sentence: str) -> None:
        """Something a person should know meanwhile, such as a pause that the service asked for."""


@contextmanager
def telling(
    console: Console,
    total: int,
    *,
    eta_s: Callable[[int], float],
    now: Callable[[], float] = time.monotonic,
    every_s: float = EVERY_S,
) -> Iterator[Teller]:
    """Tells how far a run of `total` submissions is, on standard error's console.

    Args:
        console: a bar is drawn where it is a terminal.
        total: submissions to send.
        eta_s: how many submissions are left -> seconds until they are sent.
        now: monotonic clock, seconds.
        every_s: seconds between plain lines.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with _bar(console) as bar:
            yield _Bar(bar, total, eta_s)
        return
    lines = _Lines(console, total, eta_s, now, every_s)
    lines.begin()
    try:
        yield lines
    finally:
        lines.end()


def tally(states: Counter[State]) -> str:
    """How many stand where: `400 created, 10 duplicate`."""
    return ", ".join(f"{number(count)} {state.value}" for state, count in states.most_common())


def _bar(console: Console) -> Progress:
    """Bar, count and what became of them, in one line that goes on to the end of the run."""
    return Progress(
        TextColumn("Sending"),
        BarColumn(bar_width=30),
        TaskProgressColumn(),
        TextColumn("{task.fields[said]}", markup=False),
        console=console,
    )


class _Bar:
    """The teller of a terminal."""

    def __init__(self, bar: Progress, total: int, eta_s: Callable[[int], float]) -> None:
        self._bar, self._total, self._eta_s = bar, total, eta_s
        self._states: Counter[State] = Counter()
        left = f"{duration(eta_s(total))} left" if total else ""
        self._task = bar.add_task("", total=total, said=left)

    def outcome(self, outcome: Outcome) -> None:
        self._states[outcome.state] += 1
        left = self._total - self._states.total()
        said = (
            f"{tally(self._states)}; {duration(self._eta_s(left))} left"
            if left > 0
            else (tally(self._states))
        )
        self._bar.update(self._task, completed=self._states.total(), said=said)

    def say(self, sentence: str) -> None:
        self._bar.console.print(Text(plain(sentence, 400)))


class _Lines:
    """The teller of logs and pipes."""

    def __init__(
        self,
        console: Console,
        total: int,
        eta_s: Callable[[int], float],
        now: Callable[[], float],
        every_s: float,
    ) -> None:
        self._console, self._total, self._eta_s = console, total, eta_s
        self._now, self._every_s = now, every_s
        self._states: Counter[State] = Counter()
        self._told = now()

    def begin(self) -> None:
        """What is about to happen."""
        if self._total:
            self._print(
                f"Sending {counted(self._total, 'message')}; {duration(self._eta_s(self._total))}."
            )

    def outcome(self, outcome: Outcome) -> None:
        self._states[outcome.state] += 1
        if self._now() - self._told < self._every_s:
            return
        self._told = self._now()
        left = self._total - self._states.total()
        self._print(f"{self._so_far()}; {duration(self._eta_s(left))} left.")

    def say(self, sentence: str) -> None:
        self._print(plain(sentence, 400))

    def end(self) -> None:
        """What came of it."""
        if self._total:
            self._print(f"{self._so_far()}.")

    def _so_far(self) -> str:
        done = f"{number(self._states.total())} of {number(self._total)} done"
        return f"{done}: {tally(self._states)}" if self._states else done

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
