"""Signals stop a run; an observer that ignores everything is enough."""

from __future__ import annotations

import asyncio
import os
import signal

from importer.model import Outcome, State
from importer.sending.run_options import SILENT, RunOptions, SilentObserver, make_stop_event
from tests.support.builders import CREDENTIALS


def test_a_signal_sets_the_event() -> None:
    """The process goes on; everybody who waits for the event is told."""

    async def main() -> bool:
        options = RunOptions("a test", CREDENTIALS, signals=(signal.SIGUSR1,))
        stop = make_stop_event(options, SILENT)
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGUSR1)
        return await asyncio.wait_for(stop.wait(), 10)

    assert asyncio.run(main())


def test_an_observer_gets_the_event() -> None:
    """It can stop the run for reasons of its own."""

    class Impatient(SilentObserver):
        def on_stop_event(self, stop: asyncio.Event) -> None:
            stop.set()

    async def main() -> bool:
        return make_stop_event(RunOptions("a test", CREDENTIALS), Impatient()).is_set()

    assert asyncio.run(main())


def test_nobody_needs_to_listen() -> None:
    """By default there is no limit, no signal and no listener."""
    options = RunOptions("a test", CREDENTIALS)
    SILENT.on_start("run", 1, 0.2)
    SILENT.on_stage("Asking.")
    SILENT.on_commit("record")
    SILENT.on_list_unreadable("HTTP 500")
    SILENT.on_outcome(Outcome("key", State.CREATED, 1))
    assert options.limit is None
    assert options.signals == ()
    assert "made-up-key" not in repr(options)
