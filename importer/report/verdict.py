"""What would happen, in one sentence, and what else there is to say of the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.report.wording import counted, duration, number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from importer.model import Counts


def headline(counts: Counts, groups: int) -> str:
    """What would happen: `312 of 340 rows are ready for 4 groups; 28 need fixing.`.

    A single row, none at all and all of them are said as a person would.
    """
    if not counts.read:
        return "There are no rows to import."
    fixing = f"{number(counts.rejected)} {'needs' if counts.rejected == 1 else 'need'} fixing"
    return f"{_ready(counts, groups)}; {fixing if counts.rejected else 'nothing needs fixing'}."


def _ready(counts: Counts, groups: int) -> str:
    """The first half of the sentence."""
    one = counts.read == 1
    if not counts.ready:
        return (
            "The only row is not ready" if one else f"None of {number(counts.read)} rows is ready"
        )
    for_groups = f"ready for {counted(groups, 'group')}"
    if counts.ready == counts.read:
        return f"{'The only row is' if one else f'All {number(counts.read)} rows are'} {for_groups}"
    verb = "is" if counts.ready == 1 else "are"
    return f"{number(counts.ready)} of {number(counts.read)} rows {verb} {for_groups}"


def asides(counts: Counts, unusable: int, send_s: float) -> Iterator[str]:
    """What else happens, in sentences.

    Args:
        counts: of the plan.
        unusable: files with a fault that keeps all their rows out.
        send_s: seconds that sending the ready rows takes.
    """
    if unusable:
        yield f"{counted(unusable, 'file')} could not be used."
    if counts.duplicates:
        verb = "repeats" if counts.duplicates == 1 else "repeat"
        yield f"{_rows(counts.duplicates)} {verb} a person of an earlier row: left out."
    if counts.already_imported:
        verb = "was" if counts.already_imported == 1 else "were"
        yield f"{_rows(counts.already_imported)} {verb} dealt with by an earlier run: left out."
    if counts.ready:
        yield f"Sending takes {duration(send_s)}."


def _rows(count: int) -> str:
    return counted(count, "row")
