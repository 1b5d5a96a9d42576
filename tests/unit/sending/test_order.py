"""How a run is told to stop, and whom it tells what happens."""

from __future__ import annotations

import asyncio
import os
import signal

from importer.model import Outcome, State
from importer.sending.delivery import Order
from tests.support.made import CREDENTIALS


def test_a_signal_sets_the_event() -> None:
    """The process goes on; whoever waits for the event is told."""

    async def main() -> bool:
        stop = Order("a test", CREDENTIALS, signals=(signal.SIGUSR1,)).stop_event()
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGUSR1)
        return await asyncio.wait_for(stop.wait(), 10)

    assert asyncio.run(main())


def test_nobody_needs_to_be_told() -> None:
    """By default there is no limit, no signal and no listener."""
    order = Order("a test", CREDENTIALS)
    order.on_start("run", 1, 0.2)
    order.on_stage("Asking.")
    order.on_outcome(Outcome("key", State.CREATED, 1))
    assert order.limit is None
    assert order.signals == ()
    assert "made-up-key" not in repr(order)
