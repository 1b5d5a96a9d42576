"""Progress of a run: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn
from rich.text import Text

from importer.languages import number, translate, translate_count, translate_filled, translate_word
from importer.report.formatting import duration, plain
from importer.sending.run_options import SilentObserver

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rich.console import Console

    from importer.model import Outcome, State

EVERY_S: Final = 10.0
"""Seconds between two plain lines."""

_TRUSTED: Final = 10
"""Number of outcomes after which the measured rate replaces the planned one."""


@contextmanager
def progress(
    console: Console,
    *,
    done: int = 0,
    now: Callable[[], float] = time.monotonic,
    every_s: float = EVERY_S,
) -> Iterator[ShownProgress]:
    """Show the progress of a run: a bar if the console is a terminal, else plain lines.

    Args:
        console: the console that writes to standard error.
        done: submissions that an earlier part of the run settled; the bar starts there.
        now: monotonic clock, seconds.
        every_s: seconds between plain lines.
    """
    if console.is_terminal and not console.is_dumb_terminal:
        with _bar(console) as bar:
            yield _Bar(bar, now, done)
        return
    lines = _Lines(console, now, every_s, done)
    try:
        yield lines
    finally:
        lines.end()


@dataclass(slots=True)
class _Progress:
    """The rows sent so far; `before` was done by an earlier part of the run."""

    total: int = 0
    before: int = 0
    planned_s: float = 0.0
    started: float = 0.0
    states: Counter[State] = field(default_factory=Counter)

    @property
    def count(self) -> int:
        """Settled in this part."""
        return self.states.total()

    @property
    def done(self) -> int:
        """Settled in all."""
        return self.before + self.count

    def left_s(self, now: float) -> float:
        """Estimate the seconds until the rest is sent: by the plan first, then by the rate."""
        left = max(0, self.total - self.before - self.count)
        if self.count >= _TRUSTED:
            return left * (now - self.started) / self.count
        going = self.total - self.before
        return left * self.planned_s / going if going else 0.0

    def tally(self) -> str:
        """Count the states: `400 created, 10 duplicate`."""
        return ", ".join(
            f"{number(n)} {translate_word(state.value)}" for state, n in self.states.most_common()
        )


def _bar(console: Console) -> Progress:
    """Return a bar with the counts of the states beside it."""
    return Progress(
        TextColumn(translate("Sending")),
        BarColumn(bar_width=30, complete_style="cyan", finished_style="green"),
        TaskProgressColumn(),
        TextColumn("{task.fields[summary]}", markup=False),
        console=console,
    )


class ShownProgress(SilentObserver, ABC):
    """Shows the progress of a run, which this process or other ones send.

    Args:
        now: monotonic clock, seconds.
        before: submissions that an earlier part of the run settled.
    """

    def __init__(self, now: Callable[[], float], before: int) -> None:
        self._now, self._before = now, before
        self._done = _Progress()

    def on_outcome(self, outcome: Outcome) -> None:
        """Count a submission that has ended, and show it."""
        self._done.states[outcome.state] += 1
        self._show()

    def note(self, states: Mapping[State, int]) -> None:
        """Show how many submissions have ended in each state."""
        self._done.states = Counter(states)
        self._show()

    def _begin(self, count: int, seconds: float) -> None:
        """Begin a round of sending; a second round has its own count."""
        before, self._before = self._before, 0
        self._done = _Progress(before + count, before, seconds, self._now())

    @abstractmethod
    def _show(self) -> None:
        """Show what is done now."""


class _Bar(ShownProgress):
    """Progress on a terminal."""

    def __init__(self, bar: Progress, now: Callable[[], float], before: int) -> None:
        super().__init__(now, before)
        self._bar = bar
        self._task: TaskID | None = None

    def on_start(self, run: str, count: int, seconds: float) -> None:
        if not count:
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._begin(count, seconds)
        self._bar.console.print(Text(translate("Run {run}", run=run)))
        left = translate("{duration} left", duration=duration(seconds))
        self._task = self._bar.add_task(
            "", total=self._done.total, completed=self._done.done, summary=left
        )

    def _show(self) -> None:
        done = self._done
        summary = done.tally()
        if done.done < done.total:
            left = duration(done.left_s(self._now()))
            summary = f"{summary}; {translate('{duration} left', duration=left)}"
        if self._task is not None:
            self._bar.update(self._task, completed=done.done, summary=summary)

    def on_stage(self, sentence: str) -> None:
        self._bar.console.print(Text(plain(translate_filled(sentence), 400)))


class _Lines(ShownProgress):
    """Progress in logs and pipes."""

    def __init__(
        self, console: Console, now: Callable[[], float], every_s: float, before: int
    ) -> None:
        super().__init__(now, before)
        self._console, self._every_s = console, every_s
        self._printed_at = now()

    def on_start(self, run: str, count: int, seconds: float) -> None:
        if not count:
            return
        self.end()
        self._begin(count, seconds)
        self._printed_at = self._done.started
        self._print(
            translate_count(
                count,
                "Run {run}: sending {n} message, {duration}.",
                "Run {run}: sending {n} messages, {duration}.",
                run=run,
                duration=duration(seconds),
            )
        )

    def _show(self) -> None:
        now = self._now()
        if now - self._printed_at < self._every_s or self._done.done >= self._done.total:
            return
        self._printed_at = now
        left = translate("{duration} left", duration=duration(self._done.left_s(now)))
        self._print(f"{self._summary()}; {left}.")

    def on_stage(self, sentence: str) -> None:
        self._print(plain(translate_filled(sentence), 400))

    def end(self) -> None:
        """Print the last line."""
        if self._done.total:
            self._print(f"{self._summary()}.")

    def _summary(self) -> str:
        done = translate(
            "{done} of {total} done",
            done=number(self._done.done),
            total=number(self._done.total),
        )
        return f"{done}: {self._done.tally()}" if self._done.states else done

    def _print(self, line: str) -> None:
        self._console.print(Text(line), soft_wrap=True)
