"""What reconciliation and refreshing found, on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Group
from rich.text import Text

from importer.masks import scrub
from importer.model import State
from importer.report.layout import indented, listing, section
from importer.report.wording import counted, number, plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import RenderableType

    from importer.aftermath import Refreshed, Settled
    from importer.ledger.records import Doubtful


def settled_text(settled: Settled) -> RenderableType:
    """What the list said of the doubtful ones, and the worklist of those that are still so."""
    outcomes = settled.outcomes.outcomes
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
    if settled.outcomes.reason:
        parts.append(Text(settled.outcomes.reason))
    if absent:
        parts.append(Text("The absent ones can be sent now: importer resume RUN"))
    if settled.doubtful:
        parts += section("To settle by hand", "bold yellow")
        parts.append(worklist(settled.doubtful))
        parts.append(
            Text("Look each up in Popp, then: importer resolve RUN ROW --sent ID or --not-sent")
        )
    return Group(*parts)


def refreshed_text(refreshed: Refreshed) -> RenderableType:
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
