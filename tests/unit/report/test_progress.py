"""How far a run is, on a terminal and in a log."""

from __future__ import annotations

import io
from dataclasses import dataclass

from rich.console import Console

from importer.model import Outcome, State
from importer.report.progress import progress


@dataclass
class Clock:
    """A clock that is set by hand."""

    now: float = 0.0

    def __call__(self) -> float:
        """Return the time, seconds."""
        return self.now


def outcome(state: State = State.CREATED) -> Outcome:
    """Return one submission that came to its end."""
    return Outcome("ab", state, 1)


def test_a_log_gets_a_line_now_and_then() -> None:
    """Beginning, every ten seconds, end; the time left follows the pace so far."""
    out, clock = io.StringIO(), Clock()
    with progress(Console(file=out, width=60), now=clock) as on:
        on.on_start("run-1", 100, 20.0)
        for _ in range(50):
            clock.now += 1
            on.on_outcome(outcome())
        on.on_outcome(outcome(State.REJECTED))
    assert out.getvalue().splitlines() == [
        "Run run-1: sending 100 messages, under a minute.",
        "10 of 100 done: 10 created; about 2 minutes left.",
        "20 of 100 done: 20 created; about 2 minutes left.",
        "30 of 100 done: 30 created; about 2 minutes left.",
        "40 of 100 done: 40 created; about a minute left.",
        "50 of 100 done: 50 created; under a minute left.",
        "51 of 100 done: 50 created, 1 rejected.",
    ]


def test_the_plan_is_believed_until_there_is_a_pace() -> None:
    """After one slow answer nobody is told that it takes forever."""
    out, clock = io.StringIO(), Clock()
    with progress(Console(file=out), now=clock) as on:
        on.on_start("run-1", 100, 200.0)
        clock.now += 30
        on.on_outcome(outcome())
    assert "1 of 100 done: 1 created; about 4 minutes left." in out.getvalue()


def test_nothing_to_send_is_silent() -> None:
    """Neither a beginning nor an end."""
    out = io.StringIO()
    with progress(Console(file=out)) as on:
        on.on_start("run-1", 0, 0.0)
    assert out.getvalue() == ""


def test_a_second_round_is_counted_anew() -> None:
    """What was sent again after reconciliation begins at nothing, after the end of the first."""
    out = io.StringIO()
    with progress(Console(file=out)) as on:
        on.on_start("run-1", 1, 0.2)
        on.on_outcome(outcome(State.DOUBTFUL))
        on.on_start("run-1", 1, 0.2)
        on.on_outcome(outcome())
    assert [line for line in out.getvalue().splitlines() if "done" in line] == [
        "1 of 1 done: 1 doubtful.",
        "1 of 1 done: 1 created.",
    ]


def test_what_happens_meanwhile_is_said_in_one_line() -> None:
    """And cannot command the terminal."""
    out = io.StringIO()
    with progress(Console(file=out, width=200)) as on:
        on.on_stage("The service asks to wait\n\x1b[2J30 s.")
    assert out.getvalue() == "The service asks to wait [2J30 s.\n"


def test_a_terminal_gets_a_bar() -> None:
    """With percent, what happened to them, and the time left; nothing is left of markup."""
    out, clock = io.StringIO(), Clock()
    console = Console(file=out, force_terminal=True, width=120, _environ={"TERM": "xterm"})
    with progress(console, now=clock) as on:
        on.on_start("run-1", 4, 300.0)
        on.on_outcome(outcome())
        on.on_stage("[bold]waiting[/bold]")
        for _ in range(3):
            on.on_outcome(outcome(State.DUPLICATE))
    text = out.getvalue()
    assert "Run run-1" in text
    assert "100%" in text
    assert "3 duplicate, 1 created" in text
    assert "[bold]waiting[/bold]" in text


def test_a_resumed_run_goes_on_from_where_it_was() -> None:
    """What was settled before counts as done, for the bar too; a second round begins again."""
    out, clock = io.StringIO(), Clock()
    with progress(Console(file=out), now=clock, done=60) as on:
        on.on_start("run-1", 40, 8.0)
        clock.now += 11
        on.on_outcome(outcome())
        on.on_start("run-1", 1, 0.2)
        on.on_outcome(outcome())
    assert "61 of 100 done: 1 created; under a minute left." in out.getvalue()
    assert "1 of 1 done: 1 created." in out.getvalue()
    terminal = Console(
        file=io.StringIO(), force_terminal=True, width=120, _environ={"TERM": "xterm"}
    )
    with progress(terminal, now=clock, done=60) as on:
        on.on_start("run-1", 40, 8.0)
    assert isinstance(terminal.file, io.StringIO)
    assert " 60%" in terminal.file.getvalue()


def test_the_bar_is_not_red() -> None:
    """Red is for what is wrong."""
    out = io.StringIO()
    console = Console(
        file=out, force_terminal=True, width=120, color_system="truecolor",
        _environ={"TERM": "xterm"},
    )  # fmt: skip
    with progress(console) as on:
        on.on_start("run-1", 2, 1.0)
        on.on_outcome(outcome())
    assert "38;2;249;38;114" not in out.getvalue()
    assert "\x1b[36m" in out.getvalue()
