"""The verdict on a proof: what happened to every person, and what the adversary did."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

_JITTER_S: Final = 0.02
"""By how much the noted times of two requests that left together may differ."""


@dataclass(slots=True)
class Events:
    """What the adversary did, where processes froze, and how they ended."""

    done: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    exits: Counter[int] = field(default_factory=Counter)
    setups: Counter[str] = field(default_factory=Counter)
    complaints: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What journal and ledger say.

    Attributes:
        people: rows of the list that can be sent.
        conversations: in the journal.
        twice: people with more than one conversation.
        lost: rows without a conversation that the ledger calls created, or does not know.
        hidden: rows with a conversation that the ledger does not know.
        unnamed: doubtful rows without a reason.
        left: rows that nobody sent, although every process could end calmly.
        states: of the rows.
        worst: most requests in a second.
        rate: the allowed requests in a second.
        seconds: how long the proof took.
        events: what was done.
    """

    people: int
    conversations: int
    twice: list[str]
    lost: list[str]
    hidden: list[str]
    unnamed: list[str]
    left: list[str]
    states: Counter[str]
    worst: int
    rate: float
    seconds: float
    events: Events

    @property
    def faults(self) -> list[str]:
        """What must not happen."""
        fast = [f"{self.worst} requests in a second"] if self.worst > self.rate else []
        return [
            *fast,
            *self.twice,
            *self.lost,
            *self.hidden,
            *self.unnamed,
            *self.left,
            *self.events.complaints,
        ]


def worst_second(times: Sequence[float]) -> int:
    """Return the most requests in any one second, as far as the sandbox's times are exact."""
    times = sorted(times)
    first = worst = 0
    for last, at in enumerate(times):
        while times[first] <= at - 1.0 + _JITTER_S:
            first += 1
        worst = max(worst, last - first + 1)
    return worst
