"""An event loop whose time leaps: nothing sleeps, and an hour of waiting takes no time.

When nothing is ready, the clock jumps to the next timer instead of waiting for it. Timers may be
made late on purpose, as those of a busy machine are.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


T = TypeVar("T")


class _Leaps(selectors.DefaultSelector):
    """Waits for nothing: what should be waited is added to the time."""

    def __init__(self, late_s: Callable[[], float]) -> None:
        super().__init__()
        self.time = 0.0
        self._late_s = late_s

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("everybody waits for somebody else")
            if timeout > 0:
                self.time += timeout + self._late_s()
        return events


class _LeapingLoop(asyncio.SelectorEventLoop):
    """An ordinary loop on leaping time, from 0."""

    def __init__(self, late_s: Callable[[], float]) -> None:
        self._leaps = _Leaps(late_s)
        super().__init__(self._leaps)

    def time(self) -> float:
        """Return seconds since the loop began."""
        return self._leaps.time


def clock() -> float:
    """Return the time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()


def run(main: Coroutine[Any, Any, T], *, late_s: Callable[[], float] = lambda: 0.0) -> T:
    """Run a coroutine on leaping time.

    Args:
        main: what to run.
        late_s: by how many seconds the next timer is late.
    """
    with asyncio.Runner(loop_factory=lambda: _LeapingLoop(late_s)) as runner:
        return runner.run(main)
