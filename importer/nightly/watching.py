"""Which arrivals are whole: nobody has changed them for long enough."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from importer.nightly.inbox import Arrival, Print


@dataclass
class Watch:
    """Finds out which arrivals are whole: unchanged for long enough, by the clock or by looking.

    Attributes:
        quiet_s: how long a file must not have changed.
    """

    quiet_s: float
    _seen: dict[Path, tuple[Print, float]] = field(default_factory=dict)

    def left_s(self, arrival: Arrival, wall_s: float, elapsed_s: float) -> float:
        """Seconds until an arrival counts as whole if it does not change; 0 where it does now.

        Args:
            arrival: as it is now.
            wall_s: seconds since 1970. Where the clock stands before the file's own time, only
                looking counts, so that a clock that jumps holds nothing back for ever.
            elapsed_s: of a clock that never jumps.
        """
        known, since = self._seen.get(arrival.path, (None, elapsed_s))
        if known != arrival.print:
            since = elapsed_s
            self._seen[arrival.path] = (arrival.print, since)
        quiet = max(elapsed_s - since, wall_s - arrival.changed_s)
        return max(0.0, self.quiet_s - quiet)
