"""The nights on a terminal: how each ended, what became of its files, and what needs a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.console import Group
from rich.table import Table
from rich.text import Text

from importer.errors import EXIT_MEANING, Exit
from importer.report.commands import release_command
from importer.report.layout import indented, pasted, section, steps
from importer.report.night import ENDING_MEANING, Ending
from importer.report.wording import counted, elapsed, plain

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rich.console import RenderableType

    from importer.ledger.nights import Night, NightFile

_STYLES = {Ending.DONE: "green", Ending.HELD: "yellow", Ending.FAILED: "red"}
_SETTLED = frozenset({Ending.DONE, Ending.SEEN})
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
    for number, past in enumerate(nights):
        head = _head(past.night, newest=not number)
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
        ending = Ending(file.ending)
        table.add_row(
            Text(ending.value, style=_STYLES.get(ending, "")),
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
            if now.ending == Ending.HELD:
                yield f"Look at {name}; then let it go, or take it away:", _release(past.night, now)
            elif now.ending == Ending.FAILED:
                yield f"Mend {name} and send it again.", ""
            elif now.ending == Ending.WAITING:
                yield f"{name} is {ENDING_MEANING[Ending.WAITING]}.", ""
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
