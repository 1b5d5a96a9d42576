"""One desk of the proof: a list of made-up people, a ledger, and a sandbox of its own.

The sandbox checks for no duplicates, so that nothing hides a mistake of ours: whoever is sent
twice stands in its journal twice.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import polars as pl

from tests.crash.nursery import ROOT
from tests.support.bench.people import people
from tests.support.bench.phones import everywhere

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LIST: Final = "candidates.csv"
_EVERY: Final = 37
"""Each so many rows one is no use, one is there twice, one has no phone, and one no id."""

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
"""Of every process: short waits, no limit to the rate, and the usual guards but one."""


def candidates(count: int, seed: int) -> pl.DataFrame:
    """A list whose good rows are `count` people in some campaigns, with the usual flaws around.

    Every good row has an e-mail of its own, by which the sandbox's journal is held to the list.
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
class World:
    """A desk.

    Attributes:
        folder: everything of it.
        rows: the list, as it was written.
        seed: of everything.
        port: of the sandbox.
        restarts: how often the sandbox was killed and came back.
    """

    folder: Path
    rows: pl.DataFrame
    seed: int
    port: int = 0
    restarts: int = 0
    _sandbox: subprocess.Popen[str] | None = None

    @classmethod
    def made(cls, folder: Path, count: int, seed: int) -> Self:
        """A desk with a list of `count` good rows; nothing runs yet."""
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
        """What the sandbox accepted."""
        return self.folder / "journal.jsonl"

    @property
    def said(self) -> Path:
        """The last words of the last process."""
        return self.folder / "said.txt"

    @property
    def env(self) -> dict[str, str]:
        """The environment of every process of this desk."""
        return {
            **SETTINGS,
            "POPP_ORGANIZATION_ID": f"org-{self.seed}",
            "IMPORTER_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "IMPORTER_LEDGER": f"sqlite:///{self.ledger}",
        }

    def open(self, faults: str) -> None:
        """Starts the sandbox, at the port that it had before."""
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
        """Kills the sandbox, in the middle of whatever it does."""
        if self._sandbox is not None:
            self._sandbox.kill()
            self._sandbox.wait()
            if self._sandbox.stdout is not None:
                self._sandbox.stdout.close()
            self._sandbox = None

    def restart(self, faults: str) -> None:
        """Kills the sandbox and starts it again, with what its journal holds."""
        self.close()
        self.restarts += 1
        self.open(faults)

    def accepted(self) -> Iterator[int]:
        """Endlessly: how many conversations the journal holds by now."""
        count, position = 0, 0
        while True:
            if self.journal.exists():
                with self.journal.open("rb") as file:
                    file.seek(position)
                    news = file.read()
                whole = news.rfind(b"\n") + 1
                count, position = count + news.count(b"\n"), position + whole
            yield count
