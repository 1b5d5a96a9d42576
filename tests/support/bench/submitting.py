"""How fast a list is sent, beside a bare httpx loop in the same minute, and what it costs.

`python -m tests.support.bench.submitting` prints one table. The sandbox is another process; the
loop sends the same bodies to it with the same concurrency, and keeps no ledger.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
from pydantic import SecretStr

from importer.deliver import deliver
from importer.ledger.tables import STATES
from importer.model import State
from importer.prepare import prepare
from importer.sending.run_options import RunOptions, SilentObserver
from importer.settings import Credentials, load_settings
from tests.support.bench.contest import ROOT, sandbox
from tests.support.bench.people import write

if TYPE_CHECKING:
    from importer.settings import Settings

CREDENTIALS: Final = Credentials(api_key=SecretStr("rehearsal"), organization_id="bench")
AIM: Final = 0.7


def settings(folder: Path, base_url: str, concurrency: int) -> Settings:
    """Return the settings of a run without a limit to the rate."""
    return load_settings(
        ROOT / "samples" / "importer.yaml",
        {
            "base_url": base_url,
            "ledger": f"sqlite:///{folder / 'importer.db'}",
            "rate_per_s": 10_000,
            "concurrency": concurrency,
        },
    )


def ours(folder: Path, file: Path, concurrency: int) -> dict[str, float]:
    """Send a list; return seconds of sending, requests, commits and CPU seconds."""
    commits = [0]
    began: list[float] = []
    cpu: list[float] = []

    class Meter(SilentObserver):
        """Counts commits from the start of sending on."""

        def on_start(self, run: str, count: int, seconds: float) -> None:
            """Start the clocks."""
            del run, seconds
            if count:
                began.append(time.perf_counter())
                cpu.append(time.process_time())
                commits[0] = 0

        def on_commit(self, write: str) -> None:
            """Count a commit."""
            del write
            commits[0] += 1

    with sandbox(folder) as url:
        chosen = settings(folder, url, concurrency)
        options = RunOptions("bench", CREDENTIALS)
        report = deliver(prepare([str(file)], chosen), chosen, options, Meter())
        took_s, cpu_s = time.perf_counter() - began[0], time.process_time() - cpu[0]
    with closing(sqlite3.connect(folder / "importer.db")) as ledger:
        (sent,) = ledger.execute(
            f"SELECT count(*) FROM submissions WHERE state = {STATES.number(State.CREATED)}"  # noqa: S608 (ours)
        ).fetchone()
    assert sent == report.counts.ready, report
    return {"requests": sent, "seconds": took_s, "cpu": cpu_s, "commits": commits[0]}


def bare(folder: Path, bodies: list[dict[str, Any]], concurrency: int) -> float:
    """Send the same bodies by a bare httpx loop; return its seconds."""
    with sandbox(folder) as url:
        return asyncio.run(_loop(f"{url}/scheduling/conversations", bodies, concurrency))


async def _loop(url: str, bodies: list[dict[str, Any]], concurrency: int) -> float:
    rest = iter(bodies)
    headers = {"x-api-key": "rehearsal", "x-organization-id": "bench"}
    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with httpx.AsyncClient(headers=headers, limits=limits, timeout=30) as client:

        async def worker() -> None:
            for body in rest:
                answer = await client.post(url, json=body)
                assert answer.status_code == httpx.codes.CREATED, answer.text

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return time.perf_counter() - began


def bodies_of(journal: Path) -> list[dict[str, Any]]:
    """Return the bodies that a sandbox accepted."""
    return [json.loads(line)["body"] for line in journal.read_text("utf-8").splitlines()]


def peak_mb(rows: int, limit: int) -> float:
    """Return the peak memory of a run that plans rows and sends a part, in its own process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.bench.submitting", "--peak", str(rows), str(limit)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def _peak(rows: int, limit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "list.csv", rows)
        with sandbox(folder) as url:
            chosen = settings(folder, url, 8)
            options = RunOptions("bench", CREDENTIALS, limit=limit)
            deliver(prepare([str(folder / "list.csv")], chosen), chosen, options)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)  # noqa: T201  # the answer


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=3_000)
    parser.add_argument("--concurrency", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peak", type=int, nargs=2, metavar=("ROWS", "LIMIT"))
    options = parser.parse_args()
    if options.peak:
        _peak(*options.peak)
        return
    runs, loops = [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "list.csv", options.requests)
        for number in range(options.rounds):  # in turns, so that both meet the same machine
            here = folder / str(number)
            runs.append(ours(here, folder / "list.csv", options.concurrency))
            bodies = bodies_of(here / "journal.jsonl")
            loops.append(bare(here / "bare", bodies, options.concurrency))
    best = max(runs, key=lambda run: run["requests"] / run["seconds"])
    ratios = [loop / run["seconds"] for run, loop in zip(runs, loops, strict=True)]
    ratio = sorted(ratios)[len(ratios) // 2]
    lines = {
        "our requests/s, intents and ends durable": best["requests"] / best["seconds"],
        "bare httpx loop, requests/s": options.requests / min(loops),
        f"ratio, median of {len(ratios)} rounds (aim {AIM})": ratio,
        "the same, worst round": min(ratios),
        "ledger commits/s": best["commits"] / best["seconds"],
        "submissions per commit (two writes each)": 2 * best["requests"] / best["commits"],
        "CPU ms per submission (ours)": 1000 * best["cpu"] / best["requests"],
        "peak MB, 100,000 rows planned, 500 sent": peak_mb(100_000, 500),
    }
    for what, value in lines.items():
        print(f"{what:45} {value:10.2f}")  # noqa: T201  # a program's output


if __name__ == "__main__":
    main()
