"""A run on a terminal: what became of its rows, which need a person, and what to do next."""

from __future__ import annotations

from collections import Counter
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.text import Text

from importer.errors import EXIT_MEANING, Exit
from importer.masks import scrub
from importer.model import State
from importer.report.layout import indented, listing, section, steps
from importer.report.outcomes import MEANING
from importer.report.terminal_aftermath import worklist
from importer.report.wording import counted, elapsed, number, plain
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl
    from rich.console import Console, RenderableType

    from importer.ledger.records import Doubtful, Run
    from importer.report.view import RunView

_LISTED: Final = 20
_STYLES: Final = {"created": "green", "rejected": "red", "doubtful": "yellow", "unsent": "yellow"}


def print_run(
    console: Console,
    view: RunView,
    *,
    doubtful: Sequence[Doubtful] = (),
    results: Path | None = None,
) -> None:
    """Prints `run_text` with an empty line before and after it."""
    console.print(Text(), run_text(view, doubtful=doubtful, results=results), Text(), sep="\n")


def run_text(
    view: RunView, *, doubtful: Sequence[Doubtful] = (), results: Path | None = None
) -> Group:
    """What became of the rows, the worklist of doubtful ones, and what to do next.

    Args:
        view: of the run.
        doubtful: what the ledger knows of its doubtful rows.
        results: the results file that was written, if one was.
    """
    report, totals = view.report, view.totals
    took = elapsed((report.finished - report.started).total_seconds())
    parts: list[RenderableType] = [
        Text(f"Run {report.run}: {_headline(view)}", style="bold"),
        Text(f"It took {took}."),
    ]
    if report.stopped:
        parts.append(Text(f"It stopped early: {plain(report.stopped, 400)}", style="bold yellow"))
    table = listing("result", "rows", "what it means", numbers=frozenset({"rows"}))
    for status, meaning in MEANING.items():
        if totals[status]:
            style = _STYLES.get(status, "")
            table.add_row(Text(status, style=style), number(totals[status]), Text(meaning))
    parts += [Text(), indented(table)]
    if totals["doubtful"]:
        parts += section("To settle by hand if they stay doubtful", "bold yellow")
        parts.append(
            worklist(doubtful) if doubtful else _places(view, view.with_status("doubtful"))
        )
    if totals["rejected"] or totals["unsent"]:
        parts += section("Not sent", "bold red")
        parts.append(_places(view, view.with_status("rejected", "unsent")))
    parts += [*section("What next"), *steps(_next_steps(view, results))]
    meaning = EXIT_MEANING[Exit(report.exit_code)]
    parts += [Text(), Text(f"Exit code {report.exit_code}: {meaning}.", style="dim")]
    return Group(*parts)


def _headline(view: RunView) -> str:
    """`312 of 340 rows have a conversation`, in the words that fit the numbers."""
    created, read = view.totals["created"], view.outcomes.height
    if not read:
        return "it had no rows."
    if not created:
        return "no conversation was started."
    return f"{counted(created, 'conversation')} started from {counted(read, 'row')}."


def _places(view: RunView, lines: pl.DataFrame) -> RenderableType:
    """The first lines, each with file, row, time and reason."""
    several = len(view.files) > 1
    table = listing(*(["file"] if several else []), "row", "result", "attempted", "reason")
    for source, row, status, at, message in (
        lines.head(_LISTED).select("source", ROW, "status", "attempted_at", "message").iter_rows()
    ):
        file = [Text(plain(source))] if several else []
        when = f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""
        reason = Text(plain(scrub(message), 200))
        table.add_row(*file, Text(str(row)), Text(status), Text(when), reason)
    more = lines.height - _LISTED
    if more > 0:
        table.add_row(Text(f"and {counted(more, 'more row')}"))
    return indented(table)


def _next_steps(view: RunView, results: Path | None) -> Iterator[tuple[str, str]]:
    """What the person at the terminal can do now, as sentences and commands."""
    run, totals, again = view.report.run, view.totals, view.said.again
    if results is not None:
        yield f"Every row with what became of it is in {results}.", ""
    else:
        command = f"importer results {run} --format csv{again('results')} > results.csv"
        yield "Get every row back with what became of it:", command
    left = totals["planned"] + totals["unsent"]
    if left:
        rows = counted(left, "row")
        yield (
            f"Go on with the {rows} not sent; nobody is contacted twice:",
            f"importer resume {run}{again('resume')}",
        )
    if totals["doubtful"]:
        yield (
            "Ask the service what became of the doubtful rows:",
            f"importer reconcile {run}{again('reconcile')}",
        )
        yield (
            "Settle one that you looked up yourself:",
            f"importer resolve {run} ROW --sent ID{again('resolve')}   (or --not-sent)",
        )
    if totals["rejected"]:
        rows = "row" if totals["rejected"] == 1 else f"{number(totals['rejected'])} rows"
        yield f"Fix the rejected {rows} and run the file again; what is done is skipped.", ""


def runs_table(runs: Iterable[Run], counts: Mapping[str, Mapping[State, int]]) -> RenderableType:
    """The runs of the ledger, a line for each.

    Args:
        runs: newest first.
        counts: id of a run -> how many of its rows stand in each state.
    """
    table = listing("run", "started (UTC)", "files", "rows now", "ended")
    for column in table.columns[:2]:
        column.no_wrap = True
    for run in runs:
        found = Counter(counts.get(run.id, {}))
        found[State.DOUBTFUL] += found.pop(State.SENDING, 0)
        became = [f"{number(found[state])} {state.value}" for state in State if found[state]]
        files = ", ".join(PurePath(source.name).name for source in run.sources)
        ended = run.stopped or ("finished" if run.finished else "not finished")
        table.add_row(
            Text(run.id),
            Text(f"{run.started:%Y-%m-%d %H:%M}"),
            Text(plain(files, 60)),
            Text(", ".join(became)),
            Text(plain(ended, 60)),
        )
    return table


def results_table(view: RunView, *, most: int = 100) -> RenderableType:
    """The rows of a run with what became of each; the first `most`, and how many more there are."""
    several = len(view.files) > 1
    table = listing(
        *(["file"] if several else []), "row", "result", "conversation", "attempted", "reason"
    )
    wanted = ("source", ROW, "status", "conversation_id", "attempted_at", "message")
    for source, row, status, conversation, at, message in (
        view.outcomes.head(most).select(wanted).iter_rows()
    ):
        table.add_row(
            *([Text(plain(source))] if several else []),
            Text(str(row)),
            Text(status, style=_STYLES.get(status, "")),
            Text(plain(conversation or "")),
            Text(f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""),
            Text(plain(scrub(message or ""), 200)),
        )
    if view.outcomes.height > most:
        more = counted(view.outcomes.height - most, "more row")
        return Group(table, Text(f"and {more}; --format csv gives them all.", style="dim"))
    return table
