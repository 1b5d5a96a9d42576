"""A small importer that kills itself at a given point; the tests of crashes run it.

Usage: crash_child.py URL SERVER POINT. SERVER is a file that stands for the API: each accepted
request is a line. After POINT writes and requests the process gets SIGKILL; 0 is never.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from importer.ledger import Ledger
from importer.ledger.records import Settlement
from importer.ledger.writer import LedgerWriter
from importer.model import State
from tests.unit.ledger.ledger_builders import (
    absent_outcome,
    found_outcome,
    new_run,
    planned_row,
    submission,
)

KEYS = ("k1", "k2", "k3")


class Api:
    """Accepts every request, and shows what it accepted; it outlives our crashes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def accepted(self) -> list[str]:
        """Return keys in the order of their requests."""
        return self.path.read_text("utf-8").split()

    def create(self, key: str) -> str:
        """Contact somebody."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(f"{key}\n")
        return f"conv-{key}"


class Points:
    """Counts what may be the last thing that the process does."""

    def __init__(self, last: int) -> None:
        self.left = last

    def reached(self, _what: str = "") -> None:
        """Count one more; at the last one the process dies on the spot."""
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


async def send(ledger: Ledger, run: str, api: Api, points: Points) -> None:
    """Send what is open, with two workers."""
    keys = iter(ledger.submissions.sendable(run))
    async with LedgerWriter(ledger, run) as journal:

        async def work() -> None:
            for key in keys:
                await journal.intend(submission(key))
                conversation = api.create(key)
                points.reached()
                await journal.settle(Settlement(key, State.CREATED, 201, conversation))

        await asyncio.gather(work(), work())


def main(url: str, server: str, last: str) -> None:
    """Begin a run or go on with it, as `run` and `resume` do."""
    points, api = Points(int(last)), Api(Path(server))
    with Ledger.open(url, on_commit=points.reached) as ledger, ledger.lock("a crash"):
        ledger.submissions.recover()
        ledger.doubts.reconcile(
            found_outcome(doubt.key, f"conv-{doubt.key}")
            if doubt.key in api.accepted()
            else absent_outcome(doubt.key)
            for doubt in ledger.doubts.list()
        )
        runs = ledger.runs.list(1)
        if runs:
            ledger.runs.reopen(runs[0].id)
            run = runs[0].id
        else:
            run = ledger.runs.begin(
                new_run(), [planned_row(key, n + 2) for n, key in enumerate(KEYS)]
            )
        asyncio.run(send(ledger, run, api, points))
        ledger.runs.finish(run)


if __name__ == "__main__":
    main(*sys.argv[1:])
