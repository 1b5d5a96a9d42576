"""SIGTERM at every line of code in which a night can wait for it."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

BEGINNING = """
    import asyncio, signal, sys
    from importer.nightly.clock import StopSignal

    def sent_at(number, call):
        '''Raise SIGTERM at a line of the call; return whether it has this line.'''
        lines = iter(range(number))

        def trace(*_):
            if next(lines, None) is None:
                sys.settrace(None)
                signal.raise_signal(signal.SIGTERM)
                return None
            return trace

        sys.settrace(trace)
        try:
            call()
        finally:
            is_past = sys.gettrace() is not None
            sys.settrace(None)
        return not is_past

    number = 0
"""

WHILE_IT_WAITS = """
    while True:
        stop = StopSignal(60)
        with stop.on_signals():
            if not sent_at(number, lambda: stop.wait(0.001)):
                break
            assert stop.requested(), number
        number += 1
"""

WHILE_A_RUN_IS_ENTERED = """
    async def is_stopped():
        stop, event = StopSignal(60), asyncio.Event()
        with stop.on_signals():
            was_sent = sent_at(number, lambda: stop.watch(event, 60))
            await asyncio.sleep(0)
        assert event.is_set() is was_sent is stop.requested(), number
        return was_sent

    while asyncio.run(is_stopped()):
        number += 1
"""

END = """
    print(number)
"""


@pytest.mark.parametrize("moments", [WHILE_IT_WAITS, WHILE_A_RUN_IS_ENTERED])
def test_no_line_loses_the_signal(moments: str) -> None:
    """Nothing hangs: the handler runs in a thread that may hold any lock of the wait."""
    script = "".join(map(dedent, (BEGINNING, moments, END)))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 5
