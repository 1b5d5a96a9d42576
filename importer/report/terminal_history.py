"""What reconciliation and refreshing found, on a terminal."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from importer.errors import EXIT_MEANING, Exit
from importer.masking import scrub
from importer.model import State
from importer.report.formatting import counted, elapsed, number, plain, release_command
from importer.report.night_report import ENDING_MEANING, FileEnding
from importer.report.outcomes import MEANING
from importer.report.terminal import indented, listing, pasted, section, steps
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl
    from rich.console import Console, RenderableType

    from importer.ledger.nights import Night, NightFile
    from importer.ledger.records import Doubtful, Run
    from importer.report.view import RunView
    from importer.sending.sender import ReconcileReport, RefreshReport


def settled_text(settled: ReconcileReport) -> RenderableType:
    """What the list said of the doubtful ones, and the worklist of those that are still so."""
    outcomes = settled.findings.outcomes
    if not outcomes and not settled.doubtful:
        return Text("Nothing is doubtful.")
    found = sum(each.state is State.CREATED for each in outcomes)
    absent = sum(each.state is State.PLANNED for each in outcomes)
    parts: list[RenderableType] = [
        Text(
            f"{number(found)} found in the API's list, {number(absent)} proved absent, "
            f"{number(len(settled.doubtful))} still doubtful.",
            style="bold",
        )
    ]
    if settled.findings.reason:
        parts.append(Text(settled.findings.reason))
    if absent:
        parts.append(Text("The absent ones can be sent now: importer resume RUN"))
    if settled.doubtful:
        parts += section("To settle by hand", "bold yellow")
        parts.append(worklist(settled.doubtful))
        parts.append(
            Text("Look each up in Popp, then: importer resolve RUN ROW --sent ID or --not-sent")
        )
    return Group(*parts)


def refreshed_text(refreshed: RefreshReport) -> RenderableType:
    """How many conversations have which status now."""
    table = listing("status", "conversations", numbers=frozenset({"conversations"}))
    for status, count in sorted(refreshed.known.items()):
        table.add_row(Text(plain(status)), number(count))
    known = sum(refreshed.known.values())
    said = f"{number(known)} of {counted(refreshed.asked, 'conversation')} read."
    return Group(Text(f"{said} {refreshed.reason}".rstrip(), style="bold"), indented(table))


def worklist(doubtful: Sequence[Doubtful]) -> RenderableType:
    """Everything that a person needs to find each doubtful row in Popp."""
    table = listing("run", "file", "row", "person", "campaign", "external id", "sent", "reason")
    for each in doubtful:
        table.add_row(
            Text(each.run),
            Text(plain(each.source_name)),
            str(each.row),
            Text(each.masked),
            Text(plain(each.campaign)),
            Text(plain(each.external_id)),
            f"{each.sent_at:%Y-%m-%d %H:%M:%S} UTC",
            Text(plain(scrub(each.message), 200)),
        )
    return indented(table)


_LISTED: Final = 20
_ROW_STYLES: Final = {
    "created": "green",
    "rejected": "red",
    "doubtful": "yellow",
    "unsent": "yellow",
}


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
            style = _ROW_STYLES.get(status, "")
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
            Text(status, style=_ROW_STYLES.get(status, "")),
            Text(plain(conversation or "")),
            Text(f"{at:%Y-%m-%d %H:%M:%S} UTC" if at else ""),
            Text(plain(scrub(message or ""), 200)),
        )
    if view.outcomes.height > most:
        more = counted(view.outcomes.height - most, "more row")
        return Group(table, Text(f"and {more}; --format csv gives them all.", style="dim"))
    return table


_ENDING_STYLES = {FileEnding.DONE: "green", FileEnding.HELD: "yellow", FileEnding.FAILED: "red"}
_SETTLED = frozenset({FileEnding.DONE, FileEnding.SEEN})
"""Nobody has to look at these again."""


@dataclass(frozen=True, slots=True)
class PastNight:
    """A night with its files, as the ledger has them.

    Attributes:
        night: when it was, and how it ended.
        files: in the order in which they were taken.
        now: sha256 -> the newest record of that content, of this night or a later one.
        rejected: id of a run -> how many of its rows were rejected, by us or by the API.
    """

    night: Night
    files: Sequence[NightFile]
    now: Mapping[str, NightFile]
    rejected: Mapping[str, int] = field(default_factory=dict)


def nights_text(nights: Sequence[PastNight], doubtful: int, *, several: bool = False) -> Group:
    """Every night with its files, and below them what is still for a person to do.

    A command stays in one line, however long: print it without cropping.

    Args:
        nights: newest first.
        doubtful: how many submissions may have been accepted, of all runs.
        several: the ledger has nights of more than one inbox, so each says where it was.
    """
    parts: list[RenderableType] = [*section("Nights")]
    for position, past in enumerate(nights):
        head = _head(past.night, newest=not position)
        if several and past.night.inbox:
            head += f"\nin {plain(past.night.inbox, 200)}"
        parts += [Text(), Text(head), indented(_files(past))]
    todo = list(_todo(nights, doubtful))
    if todo:
        parts += section("What needs a person", "bold yellow")
        for sentence, command in todo:
            parts += [*steps([(sentence, "")]), *pasted(command)]
    return Group(*parts)


def _head(night: Night, *, newest: bool) -> str:
    """When it was, how long it took and how it ended."""
    began = f"{night.id}: {night.started:%Y-%m-%d %H:%M} UTC"
    if night.ended is None or night.exit_code is None:
        return f"{began}, {'under way or cut off' if newest else 'cut off'}"
    took = elapsed(max(0.0, (night.ended - night.started).total_seconds()))
    return f"{began}, {took}\nexit code {night.exit_code}: {EXIT_MEANING[Exit(night.exit_code)]}"


def _files(past: PastNight) -> RenderableType:
    """A line for each file: ending, name, and run or reason."""
    if not past.files:
        return Text("no file came", style="dim")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=30)
    table.add_column(overflow="fold")
    for file in past.files:
        ending = FileEnding(file.ending)
        table.add_row(
            Text(ending.value, style=_ENDING_STYLES.get(ending, "")),
            Text(plain(_called(file))),
            Text("\n".join(_details(file, past)), style="" if file.reason else "dim"),
        )
    return table


def _details(file: NightFile, past: PastNight) -> Iterator[str]:
    if file.run is not None:
        rejected = past.rejected.get(file.run, 0)
        yield f"run {file.run}" + (
            f", {counted(rejected, 'row')} rejected" if rejected and file.ending == "done" else ""
        )
    if file.reason:
        yield plain(file.reason, 300)
    later = past.now.get(file.sha256, file)
    if file.ending not in _SETTLED and later.night != file.night and later.ending != file.ending:
        yield f"{later.ending} on {later.at:%Y-%m-%d %H:%M} UTC"


def _todo(nights: Sequence[PastNight], doubtful: int) -> Iterator[tuple[str, str]]:
    """What is open now: each content once, as its newest record has it."""
    told: set[str] = set()
    for past in nights:
        for file in past.files:
            now = past.now.get(file.sha256, file)
            if file.sha256 in told or now.ending in _SETTLED or now.night != file.night:
                continue
            told.add(file.sha256)
            name = plain(_called(now))
            if now.ending == FileEnding.HELD:
                yield f"Look at {name}; then let it go, or take it away:", _release(past.night, now)
            elif now.ending == FileEnding.FAILED:
                yield f"Mend {name} and send it again.", ""
            elif now.ending == FileEnding.WAITING:
                yield f"{name} is {ENDING_MEANING[FileEnding.WAITING]}.", ""
    if doubtful:
        count = counted(doubtful, "submission")
        yield f"{count} may have been accepted; ask the service:", "importer reconcile"


def _release(night: Night, file: NightFile) -> str:
    """The command; what has lost its name cannot be pasted anyhow."""
    return release_command(night.inbox if file.name else None, f"held/{_called(file)}")


def _called(file: NightFile) -> str:
    """The name below the inbox; those of old nights are purged."""
    name = file.name or "(name purged)"
    return f"{file.folder}/{name}" if file.folder else name
