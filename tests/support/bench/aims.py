"""What was promised, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.support.bench.contest import FLOOR, FRICTIONLESS, LOOP, OURS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.support.bench.contest import Entry
    from tests.support.bench.measuring import Cost

MILLION: Final = 1_000_000
_SMALLER: Final = 100_000
_HUGE: Final = 10_000_000
_NOISE: Final = 1.1  # "no worse" within what two runs of the same differ by


@dataclass(frozen=True, slots=True)
class Aim:
    """A bound, and what was measured.

    Attributes:
        what: in words.
        found: measured.
        bound: the most that it may be, or the least.
        unit: of both.
        least: whether the bound is the least.
    """

    what: str
    found: float
    bound: float
    unit: str
    least: bool = False

    @property
    def held(self) -> bool:
        """Whether it is kept."""
        return self.found >= self.bound if self.least else self.found <= self.bound


def aims_of(found: Mapping[int, Sequence[Entry]]) -> list[Aim]:
    """Return the aims for the sizes that were measured."""
    costs = {rows: {each.name: each.whole for each in entries} for rows, entries in found.items()}
    aims: list[Aim] = []
    if MILLION in costs:
        aims += _of_a_million(costs[MILLION])
        if _SMALLER in costs:
            aims += _of_growth(costs[_SMALLER][OURS], costs[MILLION][OURS])
    if _HUGE in costs:
        aims.append(Aim("10,000,000 rows: peak memory", costs[_HUGE][OURS].peak_mb, 2500, "MB"))
    return aims


def _of_a_million(costs: Mapping[str, Cost]) -> list[Aim]:
    """Return the aims for a million rows, ours beside the others, by the clock."""
    own, floor = costs[OURS], costs[FLOOR]
    return [
        Aim(f"1,000,000 rows: beside `{FLOOR}`", own.wall_s / floor.wall_s, 5, "x"),
        Aim(
            "1,000,000 rows: faster than the loop",
            costs[LOOP].wall_s / own.wall_s,
            8,
            "x",
            least=True,
        ),
        Aim(
            "1,000,000 rows: faster than Frictionless",
            costs[FRICTIONLESS].wall_s / own.wall_s,
            10,
            "x",
            least=True,
        ),
        Aim("1,000,000 rows: peak memory", own.peak_mb, 1200, "MB"),
    ]


def _of_growth(small: Cost, large: Cost) -> list[Aim]:
    """Return the aims for time and memory of a row, at a million beside a hundred thousand."""
    return [
        Aim(f"{name} per row at 1,000,000 beside 100,000", one / two, _NOISE, "x")
        for name, one, two in (
            ("CPU", large.cpu_s / large.rows, small.cpu_s / small.rows),
            ("memory", large.peak_mb / large.rows, small.peak_mb / small.rows),
        )
    ]
