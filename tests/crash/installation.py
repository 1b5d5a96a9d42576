"""An installation under test: a list of made-up people, a ledger, and a sandbox of its own.

The duplicate check of the sandbox is off, so nothing hides a mistake of the importer: a person
who is contacted twice is in the journal twice.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from tests.crash.fork_server import ROOT
from tests.support.bench.people import people
from tests.support.bench.phones import everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST: Final = "candidates.csv"
_EVERY: Final = 37
"""One flaw of each kind in this many rows: useless, repeated, without phone, without id."""

SETTINGS: Final = {
    "IMPORTER_RATE_PER_S": "10000",
    "IMPORTER_CONCURRENCY": "8",
    "IMPORTER_READ_TIMEOUT_S": "0.4",
    "IMPORTER_CONNECT_TIMEOUT_S": "2",
    "IMPORTER_ATTEMPTS": "3",
    "IMPORTER_WAIT_BASE_S": "0.02",
    "IMPORTER_MAX_WAIT_S": "0.2",
    "IMPORTER_SETTLE_S": "1.5",
    "IMPORTER_MAX_FAILURES_IN_A_ROW": "100",
    "IMPORTER_PARTICIPANTS": "panel",
    "IMPORTER_ON_PROBLEMS": "skip",
    "IMPORTER_TEMPLATES": str(ROOT / "samples" / "templates"),
    "POPP_API_KEY": "rehearsal",
    "COLUMNS": "250",
}
"""Short waits, no rate limit, and the usual guards except one."""


def candidates(count: int, seed: int) -> pl.DataFrame:
    """A list with `count` good rows in some campaigns, and the usual flawed rows.

    Each good row has its own e-mail address, by which the audit finds it in the journal.
    """
    made = people(0, count, phones=everywhere(), campaigns=3, seed=seed).with_row_index("at")
    turn = pl.col("at") % _EVERY
    good = made.with_columns(
        pl.when(turn == 1).then(pl.lit("")).otherwise("Mobile").alias("Mobile"),
        pl.when(turn == 2).then(pl.lit("")).otherwise("Candidate ID").alias("Candidate ID"),
    )
    useless = made.filter(turn == 3).with_columns(
        pl.lit("12").alias("Mobile"), pl.lit("").alias("Email"), pl.lit("").alias("Candidate ID")
    )
    again = good.filter(turn == 4)
    return pl.concat([good, useless, again]).sort("at", maintain_order=True).drop("at")


@dataclass(slots=True)
class Installation:
    """A list, a ledger and a sandbox.

    Attributes:
        folder: holds all files.
        rows: the list as written.
        seed: of everything random.
        port: of the sandbox; 0 before it first starts.
        restarts: number of times the sandbox was killed and started again.
    """

    folder: Path
    rows: pl.DataFrame
    seed: int
    port: int = 0
    restarts: int = 0
    _sandbox: subprocess.Popen[str] | None = None

    @classmethod
    def create(cls, folder: Path, count: int, seed: int) -> Self:
        """Create the folder with a list of `count` good rows; start nothing."""
        folder.mkdir(parents=True)
        rows = candidates(count, seed)
        rows.write_csv(folder / LIST)
        return cls(folder, rows, seed)

    @property
    def ledger(self) -> Path:
        """The file of the ledger."""
        return self.folder / "importer.db"

    @property
    def journal(self) -> Path:
        """The journal of the sandbox."""
        return self.folder / "journal.jsonl"

    @property
    def output(self) -> Path:
        """The output of the latest process."""
        return self.folder / "output.txt"

    @property
    def env(self) -> dict[str, str]:
        """Environment of every importer process."""
        return {
            **SETTINGS,
            "POPP_ORGANIZATION_ID": f"org-{self.seed}",
            "IMPORTER_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "IMPORTER_LEDGER": f"sqlite:///{self.ledger}",
        }

    def open(self, faults: str) -> None:
        """Start the sandbox on its earlier port."""
        command = [
            *(sys.executable, "-m", "importer.cli.main", "sandbox"),
            *("--port", str(self.port), "--journal", str(self.journal)),
            *("--faults", faults, "--seed", str(self.seed + self.restarts)),
            "--no-duplicate-check",
        ]
        with (self.folder / "sandbox.txt").open("a") as words:
            self._sandbox = subprocess.Popen(
                command, cwd=ROOT, stdout=subprocess.PIPE, stderr=words, text=True
            )
        assert self._sandbox.stdout is not None
        ready = self._sandbox.stdout.readline()
        if "http://127.0.0.1:" not in ready:
            raise RuntimeError(f"the sandbox did not start: {ready!r}")
        self.port = int(ready.partition("http://127.0.0.1:")[2].partition("/")[0])

    def close(self) -> None:
        """Kill the sandbox without warning."""
        if self._sandbox is not None:
            self._sandbox.kill()
            self._sandbox.wait()
            if self._sandbox.stdout is not None:
                self._sandbox.stdout.close()
            self._sandbox = None

    def restart(self, faults: str) -> None:
        """Kill the sandbox and start it again from its journal."""
        self.close()
        self.restarts += 1
        self.open(faults)

    def accepted(self) -> Iterator[int]:
        """Yield the current number of conversations in the journal, endlessly."""
        count, position = 0, 0
        while True:
            if self.journal.exists():
                with self.journal.open("rb") as file:
                    file.seek(position)
                    news = file.read()
                whole = news.rfind(b"\n") + 1
                count, position = count + news.count(b"\n"), position + whole
            yield count
