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
from importer.languages import (
    number,
    translate,
    translate_count,
    translate_filled,
    translate_word,
)
from importer.masking import DOTS, find_file, scrub
from importer.model import State
from importer.report.formatting import (
    GivenFlags,
    elapsed,
    free_name,
    plain,
    release_command,
)
from importer.report.night_report import FileEnding
from importer.report.outcomes import OUTCOME_MEANING
from importer.report.terminal import command_line, indent, plain_table, section, steps
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console, RenderableType

    from importer.ledger.nights import Night, NightFile
    from importer.ledger.records import Run, SubmissionRecord
    from importer.ledger.senders import SendersOverview
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
        return Group(Text(translate("Nothing is doubtful.")))
    found = sum(each.state is State.CREATED for each in outcomes)
    absent = sum(each.state is State.PLANNED for each in outcomes)
    duplicates = sum(each.state is State.DUPLICATE for each in outcomes)
    parts: list[RenderableType] = [
        Text(
            translate(
                "{found} found in the API's list, {absent} proved absent, {doubtful} still "
                "doubtful.",
                found=number(found),
                absent=number(absent),
                doubtful=number(len(settled.doubtful)),
            ),
            style="bold",
        )
    ]
    if duplicates:
        refused = translate_count(
            duplicates,
            "{n} refused as a duplicate, and the list shows it.",
            "{n} refused as duplicates, and the list shows them.",
        )
        parts.append(Text(refused))
    if settled.findings.reason:
        parts.append(Text(translate_filled(settled.findings.reason)))
    if absent:
        parts.append(Text(translate("Those proved absent can be sent now:")))
        parts += command_line(f"importer resume {run or 'RUN'}{given.text_for('resume')}")
    if settled.doubtful:
        parts += section(translate("To settle by hand"), "bold yellow")
        parts += worklist(settled.doubtful, given)
    return Group(*parts)


def refreshed_text(refreshed: RefreshReport) -> RenderableType:
    """Return the number of conversations in each status."""
    table = plain_table("status", "conversations", numbers=frozenset({"conversations"}))
    for status, count in sorted(refreshed.known.items()):
        table.add_row(Text(plain(status)), number(count))
    known = sum(refreshed.known.values())
    summary = translate_count(
        refreshed.asked,
        "{known} of {n} conversation read.",
        "{known} of {n} conversations read.",
        known=number(known),
    )
    reason = translate_filled(refreshed.reason)
    return Group(Text(f"{summary} {reason}".rstrip(), style="bold"), indent(table))


def senders_text(shown: SendersOverview) -> RenderableType:
    """Return who sends on a ledger that several machines share, and how fast."""
    if not shown.senders:
        return Text(translate("Nobody is sending."))
    numbers = frozenset({"number", "doubtful"})
    table = plain_table("number", "sender", "run", "state", "doubtful", numbers=numbers)
    for each in shown.senders:
        busy = translate("sending") if each.run or each.turns else translate("waits for work")
        state = busy if each.is_live else translate("no sign of life")
        state = " ".join([state, *(f"({turn})" for turn in each.turns)])
        table.add_row(
            number(each.number), plain(each.name), each.run or "", state, number(each.doubtful)
        )
    speed = ""
    if shown.rate is not None:
        speed = translate("All together: {rate} requests a second.", rate=f"{shown.rate:.1f}")
    if shown.held_until is not None:
        time = f"{shown.held_until:%H:%M:%S} UTC"
        held = translate("The API asked to wait until {time}.", time=time)
        speed = f"{speed} {held}"
    return Group(indent(table), Text(speed))


def worklist(
    doubtful: Sequence[SubmissionRecord], given: GivenFlags = NO_FLAGS
) -> list[RenderableType]:
    """Return what a person needs to settle each doubtful row: who, when, why, and the command.

    Print it without cropping.
    """
    parts: list[RenderableType] = [
        Text(
            translate(
                "Look each person up in Popp. If the message is there, give the id of its "
                "conversation. If it is certainly not there, give --not-sent instead: then the "
                "next resume sends it."
            )
        ),
    ]
    rows = Counter((each.run, each.row) for each in doubtful)
    for each in doubtful:
        who = translate(
            "{file} row {row}: {person}, campaign {campaign}",
            file=plain(each.source_name),
            row=each.row,
            person=each.masked,
            campaign=plain(each.campaign),
        )
        facts = Table.grid(padding=(0, 1))
        facts.add_row(translate_word("sent"), Text(f"{each.requested_at:%Y-%m-%d %H:%M:%S} UTC"))
        facts.add_row(translate_word("external id"), Text(plain(each.external_id)))
        if each.request_id:
            facts.add_row(translate_word("request id"), Text(plain(each.request_id)))
        file = f" --file {shlex.quote(plain(each.source_name, 300))}"
        several = rows[each.run, each.row] > 1
        parts += [
            Text(),
            indent(Text(who, style="bold")),
            indent(facts, 4),
            indent(Text(plain(scrub(translate_filled(each.message)), 400)), 4),
            *command_line(
                f"importer resolve {each.run} {each.row}{file if several else ''}"
                f"{given.text_for('resolve')} --sent CONVERSATION_ID"
            ),
        ]
    return parts


LISTED: Final = 20
"""Rows that the summary of a run names for one reason."""

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
        view: the view of the run.
        doubtful: the doubtful rows of the run, from the ledger.
        results: the results file that was written, if any.
    """
    report, totals = view.report, view.totals
    whole_s = (report.finished - report.started).total_seconds()
    took = elapsed(whole_s if report.took_s is None else report.took_s)
    parts: list[RenderableType] = [
        Text(
            translate("Run {run}: {headline}", run=report.run, headline=_headline(view)),
            style="bold",
        ),
        Text(translate("It took {time}.", time=took)),
    ]
    if view.rehearsal:
        rehearsal = translate("This was a rehearsal: nobody was contacted.")
        parts.append(Text(rehearsal, style="bold"))
    if report.stopped:
        reason = plain(translate_filled(report.stopped), 400)
        stopped = translate("It stopped early: {reason}", reason=reason)
        parts.append(Text(stopped, style="bold yellow"))
    table = plain_table("result", "rows", "what it means", numbers=frozenset({"rows"}))
    for status, meaning in OUTCOME_MEANING.items():
        if totals[status]:
            style = _ROW_STYLES.get(status, "")
            name = Text(translate_word(status), style=style)
            table.add_row(name, number(totals[status]), Text(translate(meaning)))
    parts += [Text(), indent(table)]
    if totals["doubtful"]:
        parts += section(translate("To settle by hand if they stay doubtful"), "bold yellow")
        if doubtful:
            parts += worklist(doubtful, view.given)
        else:
            parts.append(_places(view, "doubtful"))
    if report.open_elsewhere:
        parts += section(translate("Left open by an earlier run"), "bold yellow")
        left = translate_count(
            report.open_elsewhere,
            "{n} row of this file, still doubtful or unsent:",
            "{n} rows of this file, still doubtful or unsent:",
        )
        parts.append(Text(left))
        parts += command_line(f"importer reconcile{view.given.text_for('reconcile')}")
    if totals["rejected"] or totals["unsent"]:
        parts += section(translate("Not sent"), "bold red")
        parts.append(_places(view, "rejected", "unsent"))
    parts += [
        *section(translate("What next")),
        *steps(_next_steps(view, results, listed=bool(doubtful))),
    ]
    meaning = translate(EXIT_MEANING[Exit(report.exit_code)])
    code = translate("Exit code {code}: {meaning}", code=report.exit_code, meaning=meaning)
    parts += [Text(), Text(f"{code}.", style="dim")]
    return Group(*parts)


def _headline(view: RunView) -> str:
    """Sum up a run: `312 conversations started from 340 rows.`."""
    created, read = view.totals["created"], sum(view.totals.values())
    if not read:
        return translate("it had no rows.")
    if not created:
        return translate("no conversation was started.")
    rows = translate_count(read, "{n} row", "{n} rows")
    return translate_count(
        created,
        "{n} conversation started from {rows}.",
        "{n} conversations started from {rows}.",
        rows=rows,
    )


def _places(view: RunView, *statuses: str) -> RenderableType:
    """Return the first lines of some statuses with file, row, person and reason."""
    lines = view.with_status(*statuses)
    several = len(view.files) > 1
    table = plain_table(*(["file"] if several else []), "row", "person", "result", "reason")
    for column in table.columns[several : several + 3]:
        column.no_wrap = True
    wanted = ("source", ROW, "contact", "status", "message")
    for source, row, contact, status, message in lines.head(LISTED).select(wanted).iter_rows():
        file = [Text(plain(source))] if several else []
        reason = Text(plain(scrub(translate_filled(message)), 200))
        result = Text(translate_word(status))
        table.add_row(*file, Text(str(row)), Text(plain(contact or "")), result, reason)
    more = sum(view.totals[status] for status in statuses) - min(lines.height, LISTED)
    if more > 0:
        table.add_row(Text(translate_count(more, "and {n} more row", "and {n} more rows")))
    return indent(table)


def _next_steps(view: RunView, results: Path | None, *, listed: bool) -> Iterator[tuple[str, str]]:
    """Yield what the user can do now, as sentences and commands.

    Args:
        view: the view of the run.
        results: the results file that was written, if any.
        listed: whether each doubtful row is listed above with its command.
    """
    run, totals, flags = view.report.run, view.totals, view.given.text_for
    if results is not None:
        yield translate("Results: {file}", file=results), ""
    else:
        file = free_name("results.csv", view.files)
        command = f"importer results {run} --format csv{flags('results')} > {file}"
        yield translate("Get every row with its result:"), command
    left = totals["planned"] + totals["unsent"]
    if left:
        yield (
            translate_count(
                left,
                "Send the {n} row not sent yet; nobody is contacted twice:",
                "Send the {n} rows not sent yet; nobody is contacted twice:",
            ),
            f"importer resume {run}{flags('resume')}",
        )
    if totals["doubtful"]:
        yield (
            translate("Look up the doubtful rows in the API again later:"),
            f"importer reconcile {run}{flags('reconcile')}",
        )
    if totals["doubtful"] and not listed:
        yield (
            translate("Settle one that you looked up yourself, with --sent or --not-sent:"),
            f"importer resolve {run} ROW{flags('resolve')} --sent CONVERSATION_ID",
        )
    if totals["rejected"]:
        sentence = translate_count(
            totals["rejected"],
            "Fix the rejected row and run the file again; rows that are done are skipped.",
            "Fix the {n} rejected rows and run the file again; rows that are done are skipped.",
        )
        yield sentence, ""


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
        became = [
            f"{number(found[state])} {translate_word(state.value)}"
            for state in State
            if found[state]
        ]
        purged = translate("(purged)")
        files = ", ".join(PurePath(source.name).name or purged for source in run.sources)
        finished = translate("finished") if run.finished else translate("not finished")
        ended = translate_filled(run.stopped) if run.stopped else finished
        table.add_row(
            Text(run.id),
            Text(f"{run.started:%Y-%m-%d %H:%M}"),
            Text(plain(files, 60)),
            Text(", ".join(became)),
            Text(plain(ended, 60)),
        )
    return table


FIRST_ROWS: Final = 100
"""Rows that the table of results shows."""


def results_table(view: RunView, *, most: int = FIRST_ROWS, ids: bool = True) -> RenderableType:
    """Return the first `most` rows of a run with their results, and the number of the others.

    Args:
        view: the view of the run.
        most: rows to show.
        ids: show the ids of the conversations, which need a wide terminal.
    """
    several, progress = len(view.files) > 1, view.progress
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
            Text(translate_word(status), style=_ROW_STYLES.get(status, "")),
            *([Text(plain(translate_word(word or "")) + when)] if progress else []),
            *([Text(plain(conversation or ""))] if ids else []),
            Text(plain(scrub(translate_filled(message or "")), 200)),
        )
    parts: list[RenderableType] = [table]
    read = sum(view.totals.values())
    if read > most:
        more = translate_count(
            read - most,
            "and {n} more row; --format csv gives them all.",
            "and {n} more rows; --format csv gives them all.",
        )
        parts.append(Text(more, style="dim"))
    if not ids:
        about = translate("--format csv also gives the ids of the conversations.")
        parts.append(Text(about, style="dim"))
    if progress:
        counts = ", ".join(
            f"{number(count)} {translate_word(word)}" for word, count in progress.items()
        )
        known = translate("As far as is known: {counts}.", counts=counts)
        parts += [Text(), Text(known, style="bold")]
    return Group(*parts)


_ENDING_STYLES = {FileEnding.DONE: "green", FileEnding.HELD: "yellow", FileEnding.FAILED: "red"}
_SETTLED = frozenset({FileEnding.DONE, FileEnding.SEEN})
"""Endings that need nothing from a person."""


@dataclass(frozen=True, slots=True)
class PastNight:
    """A night with its files, from the ledger.

    Attributes:
        night: when it was, and how it ended.
        files: the files in the order in which they were taken.
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
        several: whether the ledger has nights of several inboxes, so each night names its inbox.
        given: flags for the commands that are proposed.
    """
    parts: list[RenderableType] = [*section(translate("Nights"))]
    for position, past in enumerate(nights):
        head = _head(past.night, newest=not position)
        if several and past.night.inbox:
            head += "\n" + translate("in {inbox}", inbox=plain(past.night.inbox, 200))
        parts += [Text(), Text(head), indent(_files(past))]
    todo = list(_todo(nights, doubtful, given))
    if todo:
        parts += section(translate("What needs a person"), "bold yellow")
        for sentence, command in todo:
            parts += [*steps([(sentence, "")]), *command_line(command)]
    return Group(*parts)


def _head(night: Night, *, newest: bool) -> str:
    """Return when a night was, how long it took and how it ended."""
    started = f"{night.id}: {night.started:%Y-%m-%d %H:%M} UTC"
    if night.ended is None or night.exit_code is None:
        ending = translate("running or interrupted") if newest else translate("interrupted")
        return f"{started}, {ending}"
    took = elapsed(max(0.0, (night.ended - night.started).total_seconds()))
    meaning = translate(EXIT_MEANING[Exit(night.exit_code)])
    code = translate("Exit code {code}: {meaning}", code=night.exit_code, meaning=meaning)
    return f"{started}, {took}\n{code}"


def _files(past: PastNight) -> RenderableType:
    """Return a line for each file: ending, name, and run or reason."""
    if not past.files:
        return Text(translate("no files"), style="dim")
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold", max_width=30)
    table.add_column(overflow="fold")
    for file in past.files:
        ending = FileEnding(file.ending)
        table.add_row(
            Text(translate_word(ending.value), style=_ENDING_STYLES.get(ending, "")),
            Text(plain(_called(file))),
            Text("\n".join(_details(file, past)), style="" if file.reason else "dim"),
        )
    return table


def _details(file: NightFile, past: PastNight) -> Iterator[str]:
    if file.run is not None:
        rejected = past.rejected.get(file.run, 0)
        if rejected and file.ending == "done":
            yield translate_count(
                rejected,
                "run {run}, {n} row rejected",
                "run {run}, {n} rows rejected",
                run=file.run,
            )
        else:
            yield translate("run {run}", run=file.run)
    if file.reason:
        yield plain(translate_filled(file.reason), 300)
    later = past.now.get(file.sha256, file)
    if file.ending not in _SETTLED and later.night != file.night and later.ending != file.ending:
        yield translate(
            "{ending} on {moment} UTC",
            ending=translate_word(later.ending),
            moment=f"{later.at:%Y-%m-%d %H:%M}",
        )


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
                    translate("Look at {file}; then release or remove it:", file=name),
                    _release(past.night, now, given),
                )
            elif now.ending == FileEnding.FAILED:
                yield translate("Fix {file} and put it into the inbox again.", file=name), ""
            elif now.ending == FileEnding.WAITING:
                yield (
                    translate(
                        "{file} is left for the next night, which begins with it.", file=name
                    ),
                    "",
                )
    if doubtful:
        yield (
            translate_count(
                doubtful,
                "{n} submission may have been accepted; look it up:",
                "{n} submissions may have been accepted; look them up:",
            ),
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
    name = file.name or translate("(name purged)")
    return f"{file.folder}/{name}" if file.folder else name
