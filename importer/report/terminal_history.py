"""Runs, nights, results and reconciliation on a terminal."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.table import Table
from rich.text import Text

from importer.errors import EXIT_MEANING, Exit
from importer.masking import DOTS, find_file, scrub
from importer.model import State
from importer.report.formatting import (
    GivenFlags,
    elapsed,
    free_name,
    number,
    plain,
    quantity,
    release_command,
)
from importer.report.night_report import ENDING_MEANING, FileEnding
from importer.report.outcomes import OUTCOME_MEANING, progress_totals
from importer.report.terminal import command_line, indent, plain_table, section, steps
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import polars as pl
    from rich.console import Console, RenderableType

    from importer.ledger.nights import Night, NightFile
    from importer.ledger.records import Run, SubmissionRecord
    from importer.report.view import RunView
    from importer.sending.sender import ReconcileReport, RefreshReport


NO_FLAGS: Final = GivenFlags()


def settled_text(
    settled: ReconcileReport, given: GivenFlags = NO_FLAGS, *, run: str | None = None
) -> Group:
    """Return what reconciliation found, and the worklist of what is still doubtful.

    Print it without cropping.

    Args:
        settled: what was found.
        given: flags for the commands that are proposed.
        run: the run that was asked for; None for all.
    """
    outcomes = settled.findings.outcomes
    if not outcomes and not settled.doubtful:
        return Group(Text("Nothing is doubtful."))
    found = sum(each.state is State.CREATED for each in outcomes)
    absent = sum(each.state is State.PLANNED for each in outcomes)
    duplicates = sum(each.state is State.DUPLICATE for each in outcomes)
    parts: list[RenderableType] = [
        Text(
            f"{number(found)} found in the API's list, {number(absent)} proved absent, "
            f"{number(len(settled.doubtful))} still doubtful.",
            style="bold",
        )
    ]
    if duplicates:
        parts.append(Text(f"{number(duplicates)} refused as duplicates, and the list shows them."))
    if settled.findings.reason:
        parts.append(Text(settled.findings.reason))
    if absent:
        parts.append(Text("Those proved absent can be sent now:"))
        parts += command_line(f"importer resume {run or 'RUN'}{given.text_for('resume')}")
    if settled.doubtful:
        parts += section("To settle by hand", "bold yellow")
        parts += worklist(settled.doubtful, given)
    return Group(*parts)


def refreshed_text(refreshed: RefreshReport) -> RenderableType:
    """Return the number of conversations in each status."""
    table = plain_table("status", "conversations", numbers=frozenset({"conversations"}))
    for status, count in sorted(refreshed.known.items()):
        table.add_row(Text(plain(status)), number(count))
    known = sum(refreshed.known.values())
    summary = f"{number(known)} of {quantity(refreshed.asked, 'conversation')} read."
    return Group(Text(f"{summary} {refreshed.reason}".rstrip(), style="bold"), indent(table))


def worklist(
    doubtful: Sequence[SubmissionRecord], given: GivenFlags = NO_FLAGS
) -> list[RenderableType]:
    """Return what a person needs to settle each doubtful row: who, when, why, and the command.

    Print it without cropping.
    """
    parts: list[RenderableType] = [
        Text(
            "Look each person up in Popp. If the message is there, give the id of its "
            "conversation. If it is certainly not there, give --not-sent instead: then the next "
            "resume sends it."
        ),
    ]
    rows = Counter((each.run, each.row) for each in doubtful)
    for each in doubtful:
        who = f"{plain(each.source_name)} row {each.row}: {each.masked}"
        facts = Table.grid(padding=(0, 1))
        facts.add_row("sent", Text(f"{each.requested_at:%Y-%m-%d %H:%M:%S} UTC"))
        facts.add_row("external id", Text(plain(each.external_id)))
        if each.request_id:
            facts.add_row("request id", Text(plain(each.request_id)))
        file = f" --file {shlex.quote(plain(each.source_name, 300))}"
        several = rows[each.run, each.row] > 1
        parts += [
            Text(),
            indent(Text(f"{who}, campaign {plain(each.campaign)}", style="bold")),
            indent(facts, 4),
            indent(Text(plain(scrub(each.message), 400)), 4),
            *command_line(
                f"importer resolve {each.run} {each.row}{file if several else ''}"
                f"{given.text_for('resolve')} --sent CONVERSATION_ID"
            ),
        ]
    return parts


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
    doubtful: Sequence[SubmissionRecord] = (),
    results: Path | None = None,
) -> None:
    """Print `run_text` with an empty line before and after it."""
    text = run_text(view, doubtful=doubtful, results=results)
    console.print(Text(), text, Text(), sep="\n", crop=False)


def run_text(
    view: RunView, *, doubtful: Sequence[SubmissionRecord] = (), results: Path | None = None
) -> Group:
    """Return the results of a run, the worklist of doubtful rows, and what to do next.

    Args:
        view: of the run.
        doubtful: its doubtful rows, from the ledger.
        results: the results file that was written, if any.
    """
    report, totals = view.report, view.totals
    whole_s = (report.finished - report.started).total_seconds()
    took = elapsed(whole_s if report.took_s is None else report.took_s)
    parts: list[RenderableType] = [
        Text(f"Run {report.run}: {_headline(view)}", style="bold"),
        Text(f"It took {took}."),
    ]
    if view.rehearsal:
        parts.append(Text("This was a rehearsal: nobody was contacted.", style="bold"))
    if report.stopped:
        parts.append(Text(f"It stopped early: {plain(report.stopped, 400)}", style="bold yellow"))
    table = plain_table("result", "rows", "what it means", numbers=frozenset({"rows"}))
    for status, meaning in OUTCOME_MEANING.items():
        if totals[status]:
            style = _ROW_STYLES.get(status, "")
            table.add_row(Text(status, style=style), number(totals[status]), Text(meaning))
    parts += [Text(), indent(table)]
    if totals["doubtful"]:
        parts += section("To settle by hand if they stay doubtful", "bold yellow")
        if doubtful:
            parts += worklist(doubtful, view.given)
        else:
            parts.append(_places(view, view.with_status("doubtful")))
    if report.open_elsewhere:
        parts += section("Left open by an earlier run", "bold yellow")
        left = quantity(report.open_elsewhere, "row")
        parts.append(Text(f"{left} of this file, still doubtful or unsent:"))
        parts += command_line(f"importer reconcile{view.given.text_for('reconcile')}")
    if totals["rejected"] or totals["unsent"]:
        parts += section("Not sent", "bold red")
        parts.append(_places(view, view.with_status("rejected", "unsent")))
    parts += [*section("What next"), *steps(_next_steps(view, results, listed=bool(doubtful)))]
    meaning = EXIT_MEANING[Exit(report.exit_code)]
    parts += [Text(), Text(f"Exit code {report.exit_code}: {meaning}.", style="dim")]
    return Group(*parts)


def _headline(view: RunView) -> str:
    """Sum up a run: `312 conversations started from 340 rows.`."""
    created, read = view.totals["created"], view.outcomes.height
    if not read:
        return "it had no rows."
    if not created:
        return "no conversation was started."
    return f"{quantity(created, 'conversation')} started from {quantity(read, 'row')}."


def _places(view: RunView, lines: pl.DataFrame) -> RenderableType:
    """Return the first lines with file, row, person and reason."""
    several = len(view.files) > 1
    table = plain_table(*(["file"] if several else []), "row", "person", "result", "reason")
    for column in table.columns[several : several + 3]:
        column.no_wrap = True
    wanted = ("source", ROW, "contact", "status", "message")
    for source, row, contact, status, message in lines.head(_LISTED).select(wanted).iter_rows():
        file = [Text(plain(source))] if several else []
        reason = Text(plain(scrub(message), 200))
        table.add_row(*file, Text(str(row)), Text(plain(contact or "")), Text(status), reason)
    more = lines.height - _LISTED
    if more > 0:
        table.add_row(Text(f"and {quantity(more, 'more row')}"))
    return indent(table)


def _next_steps(view: RunView, results: Path | None, *, listed: bool) -> Iterator[tuple[str, str]]:
    """Yield what the user can do now, as sentences and commands.

    Args:
        view: of the run.
        results: the results file that was written, if any.
        listed: each doubtful row is listed above with its command.
    """
    run, totals, flags = view.report.run, view.totals, view.given.text_for
    if results is not None:
        yield f"Results: {results}", ""
    else:
        file = free_name("results.csv", view.files)
        command = f"importer results {run} --format csv{flags('results')} > {file}"
        yield "Get every row with its result:", command
    left = totals["planned"] + totals["unsent"]
    if left:
        rows = quantity(left, "row")
        yield (
            f"Send the {rows} not sent yet; nobody is contacted twice:",
            f"importer resume {run}{flags('resume')}",
        )
    if totals["doubtful"]:
        yield (
            "Look up the doubtful rows in the API again later:",
            f"importer reconcile {run}{flags('reconcile')}",
        )
    if totals["doubtful"] and not listed:
        yield (
            "Settle one that you looked up yourself:",
            f"importer resolve {run} ROW{flags('resolve')} --sent CONVERSATION_ID  (or --not-sent)",
        )
    if totals["rejected"]:
        count = totals["rejected"]
        rows = "rejected row" if count == 1 else f"{number(count)} rejected rows"
        yield f"Fix the {rows} and run the file again; rows that are done are skipped.", ""


def runs_table(runs: Iterable[Run], counts: Mapping[str, Mapping[State, int]]) -> RenderableType:
    """Return a table of the runs of the ledger.

    Args:
        runs: newest first.
        counts: id of a run -> number of its rows in each state.
    """
    table = plain_table("run", "started (UTC)", "files", "rows now", "ended")
    for column in table.columns[:2]:
        column.no_wrap = True
    for run in runs:
        found = Counter(counts.get(run.id, {}))
        found[State.DOUBTFUL] += found.pop(State.SENDING, 0)
        became = [f"{number(found[state])} {state.value}" for state in State if found[state]]
        files = ", ".join(PurePath(source.name).name or "(purged)" for source in run.sources)
        ended = run.stopped or ("finished" if run.finished else "not finished")
        table.add_row(
            Text(run.id),
            Text(f"{run.started:%Y-%m-%d %H:%M}"),
            Text(plain(files, 60)),
            Text(", ".join(became)),
            Text(plain(ended, 60)),
        )
    return table


def results_table(view: RunView, *, most: int = 100, ids: bool = True) -> RenderableType:
    """Return the first `most` rows of a run with their results, and the number of the others.

    Args:
        view: of the run.
        most: rows to show.
        ids: show the ids of the conversations, which need a wide terminal.
    """
    several, progress = len(view.files) > 1, progress_totals(view.outcomes)
    table = plain_table(
        *(["file"] if several else []),
        *("row", "person", "result"),
        *(["progress"] if progress else []),
        *(["conversation"] if ids else []),
        "reason",
    )
    for column in table.columns[several : several + 3]:
        column.no_wrap = True
    wanted = (
        *("source", ROW, "contact", "status", "progress", "meeting_at"),
        *("conversation_id", "message"),
    )
    for source, row, contact, status, word, meeting, conversation, message in (
        view.outcomes.head(most).select(wanted).iter_rows()
    ):
        when = f" {meeting:%Y-%m-%d %H:%M} UTC" if meeting else ""
        table.add_row(
            *([Text(plain(source))] if several else []),
            Text(str(row)),
            Text(plain(contact or "")),
            Text(status, style=_ROW_STYLES.get(status, "")),
            *([Text(plain(word or "") + when)] if progress else []),
            *([Text(plain(conversation or ""))] if ids else []),
            Text(plain(scrub(message or ""), 200)),
        )
    parts: list[RenderableType] = [table]
    if view.outcomes.height > most:
        more = quantity(view.outcomes.height - most, "more row")
        parts.append(Text(f"and {more}; --format csv gives them all.", style="dim"))
    if not ids:
        parts.append(Text("--format csv also gives the ids of the conversations.", style="dim"))
    if progress:
        counts = (f"{number(count)} {word}" for word, count in progress.items())
        parts += [Text(), Text(f"As far as is known: {', '.join(counts)}.", style="bold")]
    return Group(*parts)


_ENDING_STYLES = {FileEnding.DONE: "green", FileEnding.HELD: "yellow", FileEnding.FAILED: "red"}
_SETTLED = frozenset({FileEnding.DONE, FileEnding.SEEN})
"""Endings that need nothing from a person."""


@dataclass(frozen=True, slots=True)
class PastNight:
    """A night with its files, from the ledger.

    Attributes:
        night: when it was, and how it ended.
        files: in the order in which they were taken.
        now: sha256 -> the newest record of that content, of this night or a later one.
        rejected: id of a run -> number of its rejected rows.
    """

    night: Night
    files: Sequence[NightFile]
    now: Mapping[str, NightFile]
    rejected: Mapping[str, int] = field(default_factory=dict)


def nights_text(
    nights: Sequence[PastNight],
    doubtful: int,
    *,
    several: bool = False,
    given: GivenFlags = NO_FLAGS,
) -> Group:
    """Return every night with its files, then what a person still has to do.

    A command stays on one line, however long: print it without cropping.

    Args:
        nights: newest first.
        doubtful: number of doubtful submissions of all runs.
        several: the ledger has nights of several inboxes, so each night names its inbox.
        given: flags for the commands that are proposed.
    """
    parts: list[RenderableType] = [*section("Nights")]
    for position, past in enumerate(nights):
        head = _head(past.night, newest=not position)
        if several and past.night.inbox:
            head += f"\nin {plain(past.night.inbox, 200)}"
        parts += [Text(), Text(head), indent(_files(past))]
    todo = list(_todo(nights, doubtful, given))
    if todo:
        parts += section("What needs a person", "bold yellow")
        for sentence, command in todo:
            parts += [*steps([(sentence, "")]), *command_line(command)]
    return Group(*parts)


def _head(night: Night, *, newest: bool) -> str:
    """Return when a night was, how long it took and how it ended."""
    started = f"{night.id}: {night.started:%Y-%m-%d %H:%M} UTC"
    if night.ended is None or night.exit_code is None:
        return f"{started}, {'running or interrupted' if newest else 'interrupted'}"
    took = elapsed(max(0.0, (night.ended - night.started).total_seconds()))
    return f"{started}, {took}\nexit code {night.exit_code}: {EXIT_MEANING[Exit(night.exit_code)]}"


def _files(past: PastNight) -> RenderableType:
    """Return a line for each file: ending, name, and run or reason."""
    if not past.files:
        return Text("no files", style="dim")
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
            f", {quantity(rejected, 'row')} rejected" if rejected and file.ending == "done" else ""
        )
    if file.reason:
        yield plain(file.reason, 300)
    later = past.now.get(file.sha256, file)
    if file.ending not in _SETTLED and later.night != file.night and later.ending != file.ending:
        yield f"{later.ending} on {later.at:%Y-%m-%d %H:%M} UTC"


def _todo(
    nights: Sequence[PastNight], doubtful: int, given: GivenFlags
) -> Iterator[tuple[str, str]]:
    """Yield what is still to do: each content once, by its newest record."""
    told: set[str] = set()
    for past in nights:
        for file in past.files:
            now = past.now.get(file.sha256, file)
            if file.sha256 in told or now.ending in _SETTLED or now.night != file.night:
                continue
            told.add(file.sha256)
            name = plain(_called(now))
            if now.ending == FileEnding.HELD:
                yield (
                    f"Look at {name}; then release or remove it:",
                    _release(past.night, now, given),
                )
            elif now.ending == FileEnding.FAILED:
                yield f"Fix {name} and put it into the inbox again.", ""
            elif now.ending == FileEnding.WAITING:
                yield f"{name} is {ENDING_MEANING[FileEnding.WAITING]}.", ""
    if doubtful:
        count, them = quantity(doubtful, "submission"), "it" if doubtful == 1 else "them"
        yield (
            f"{count} may have been accepted; look {them} up:",
            f"importer reconcile{given.text_for('reconcile')}",
        )


def _release(night: Night, file: NightFile, given: GivenFlags) -> str:
    """Return the command that releases a file; without its name it cannot be pasted."""
    place, flags = f"held/{_called(file)}", given.text_for("release")
    if not file.name or night.inbox is None:
        return release_command(None, place, flags)
    found = find_file(f"{night.inbox}/{place}", file.sha256).removeprefix(f"{night.inbox}/")
    return release_command(None if DOTS in found else night.inbox, found, flags)


def _called(file: NightFile) -> str:
    """Return the path below the inbox; names of old nights are purged."""
    name = file.name or "(name purged)"
    return f"{file.folder}/{name}" if file.folder else name
