"""The tables that are printed, as Markdown that reads well unrendered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.bench.contest import FLOOR, OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.bench.aims import Aim
    from tests.support.bench.contest import Entry
    from tests.support.bench.rates import Rate
    from tests.support.bench.stages import Stage


def costs_table(entries: Sequence[Entry]) -> str:
    """Return a table of tools: seconds and memory as measured, rows a second, and two ratios.

    The ratios are of the clock, for the whole file: to the floor, and to ours (how much slower).
    """
    whole = {each.name: each.whole for each in entries}
    lines = [
        ("", "rows given", "wall s", "CPU s", "peak MB", "rows/s", "x floor", "x ours"),
        *(
            (
                each.name,
                f"{each.cost.rows:,}",
                f"{each.cost.wall_s:.2f}",
                f"{each.cost.cpu_s:.2f}",
                f"{each.cost.peak_mb:,.0f}",
                f"{each.whole.rows / each.whole.wall_s:,.0f}",
                f"{each.whole.wall_s / whole[FLOOR].wall_s:.1f}",
                f"{each.whole.wall_s / whole[OURS].wall_s:.1f}",
            )
            for each in entries
        ),
    ]
    return _table(lines)


def stages_table(found: Mapping[int, Sequence[Stage]]) -> str:
    """Return a table of stages at each size, with ratios to the floor of the same run."""
    lines = [
        (
            "rows",
            "stage",
            "clock s",
            "CPU s",
            "peak MB",
            "floor",
            "clock s",
            "CPU s",
            "x clock",
            "x CPU",
        )
    ]
    for rows, stages in found.items():
        for stage in stages:
            cost, floor = stage.cost, stage.floor
            lines.append(
                (
                    f"{rows:,}",
                    stage.name,
                    f"{cost.wall_s:.2f}",
                    f"{cost.cpu_s:.2f}",
                    f"{cost.peak_mb:,.0f}",
                    stage.floor_name,
                    f"{floor.wall_s:.2f}",
                    f"{floor.cpu_s:.2f}",
                    f"{cost.wall_s / floor.wall_s:.1f}",
                    f"{cost.cpu_s / floor.cpu_s:.1f}",
                )
            )
    return _table(lines)


def rates_table(rates: Sequence[Rate]) -> str:
    """Return a table of rates: how many a second, CPU of each, and the ratio to its floor."""
    lines = [
        ("what", "number", "a second", "CPU ms each", "floor", "x CPU"),
        *(
            (
                each.what,
                f"{each.times:,}",
                f"{each.times / each.wall_s:,.0f}",
                f"{1000 * each.cpu_s / each.times:.3f}",
                each.floor_name,
                f"{each.cpu_s / each.floor_s:.1f}" if each.floor_s else "",
            )
            for each in rates
        ),
    ]
    return _table(lines)


def aims_table(aims: Sequence[Aim]) -> str:
    """Return a table of aims: what was promised, what was measured, held or not."""
    lines = [("aim", "bound", "measured", "")]
    for aim in aims:
        word = "at least" if aim.least else "at most"
        held = "held" if aim.held else "NOT HELD"
        lines.append((aim.what, f"{word} {aim.bound:,g} {aim.unit}", f"{aim.found:,.2f}", held))
    return _table(lines)


def _table(lines: Sequence[Sequence[str]]) -> str:
    """Return lines of cells as Markdown, padded; the first line is the header."""
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(lines[0]))]
    padded = [
        "| "
        + " | ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        + " |"
        for line in lines
    ]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([padded[0], "| " + " | ".join(rule) + " |", *padded[1:]])
