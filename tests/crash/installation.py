"""An installation under test: a list of made-up people, a ledger, and a sandbox of its own.

The duplicate check of the sandbox is off, so nothing hides a mistake of the importer: a person
who is contacted twice is in the journal twice.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import polars as pl

from importer.sandbox.server import SandboxOptions, start_sandbox
from importer.sandbox.store import Conversations
from tests.crash.fork_server import ROOT
from tests.support.bench.people import people
from tests.support.bench.phones import numbers_of_all_countries

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from importer.sandbox.server import Sandbox

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


def candidates(
    count: int, seed: int, *, flawed: bool = True, phoneless: int = _EVERY
) -> pl.DataFrame:
    """Return a list with `count` good rows in some campaigns, and some repeated ones.

    The audit finds a good row in the journal by its e-mail address and campaign.

    Args:
        count: good rows of the list.
        seed: of the names.
        flawed: add rows that cannot be sent; else add people who are in a second campaign.
        phoneless: one row in this many has no phone number.
    """
    made = people(
        0, count, phones=numbers_of_all_countries(), campaigns=3, seed=seed
    ).with_row_index("at")
    turn = pl.col("at") % _EVERY
    good = made.with_columns(
        pl.when(pl.col("at") % phoneless == 1).then(pl.lit("")).otherwise("Mobile").alias("Mobile"),
        pl.when(turn == 2).then(pl.lit("")).otherwise("Candidate ID").alias("Candidate ID"),
    )
    useless = made.filter(turn == 3).with_columns(
        pl.lit("12").alias("Mobile"), pl.lit("").alias("Email"), pl.lit("").alias("Candidate ID")
    )
    second = good.filter(turn % 9 == 5).with_columns(pl.lit("camp-4").alias("Campaign"))
    again = good.filter(turn == 4)
    rows = pl.concat([good, useless if flawed else second, again])
    return rows.sort("at", maintain_order=True).drop("at")


@dataclass(slots=True)
class Installation:
    """A list, a ledger and a sandbox.

    Attributes:
        folder: holds all files.
        rows: the list as written.
        seed: of everything random.
        port: of the sandbox; 0 before it first starts.
        behave: personalities of the sandbox.
        settings: more environment variables of the importer.
        threaded: run the sandbox in a thread of this process; restarts only change its faults.
        restarts: number of times the sandbox was killed and started again.
    """

    folder: Path
    rows: pl.DataFrame
    seed: int
    port: int = 0
    behave: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    threaded: bool = False
    restarts: int = 0
    _sandbox: subprocess.Popen[str] | None = None
    _thread: ExitStack = field(default_factory=ExitStack)
    _own: Sandbox | None = None

    @classmethod
    def create(cls, folder: Path, rows: pl.DataFrame, seed: int, **options: Any) -> Self:
        """Create the folder with a list; start nothing."""
        folder.mkdir(parents=True)
        rows.write_csv(folder / LIST)
        return cls(folder, rows, seed, **options)

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
            **self.settings,
            "POPP_ORGANIZATION_ID": f"org-{self.seed}",
            "IMPORTER_BASE_URL": f"http://127.0.0.1:{self.port}/v1",
            "IMPORTER_LEDGER": f"sqlite:///{self.ledger}",
        }

    def open(self, faults: str) -> None:
        """Start the sandbox on its earlier port."""
        if self.threaded:
            self._own = self._thread.enter_context(
                start_sandbox(
                    SandboxOptions(
                        journal=self.journal,
                        faults=faults,
                        behave=self.behave,
                        duplicate_check=False,
                        seed=self.seed,
                    )
                )
            )
            self.port = urlsplit(self._own.base_url).port or 0
            return
        command = [
            *(sys.executable, "-m", "importer.cli.main", "sandbox"),
            *("--port", str(self.port), "--journal", str(self.journal)),
            *("--faults", faults, "--seed", str(self.seed + self.restarts)),
            *("--no-duplicate-check", "--behave", self.behave),
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
        """Kill the sandbox without warning; a thread ends gently."""
        self._thread.close()
        if self._sandbox is not None:
            self._sandbox.kill()
            self._sandbox.wait()
            if self._sandbox.stdout is not None:
                self._sandbox.stdout.close()
            self._sandbox = None

    def restart(self, faults: str) -> None:
        """Kill the sandbox and start it again from its journal."""
        if self._own is not None:
            self._own.set_faults(faults)
            return
        self.close()
        self.restarts += 1
        self.open(faults)

    def add_existing(self) -> None:
        """Begin the journal with a day-old conversation with each person without a phone."""
        conversations = Conversations([], now=lambda: time.time() - 86_400)
        phoneless = self.rows.filter(pl.col("Mobile") == "").unique(["Email", "Campaign"])
        for row in phoneless.sort("Email").iter_rows(named=True):
            body = {
                "firstName": row["First Name"],
                "emailAddress": row["Email"],
                "campaignId": row["Campaign"],
                "externalId": f"old-{len(conversations.entries)}",
            }
            conversations.accept(f"org-{self.seed}", "/conversations", body)
        lines = "".join(f"{json.dumps(each)}\n" for each in conversations.entries)
        self.journal.write_text(lines, "utf-8")

    def add_witnesses(self) -> None:
        """Add a person for each campaign to the list.

        Their conversations show the importer that the list of conversations is up to date.
        """
        start = 1_000 + self.rows.height
        more = people(
            start, start + 3, phones=numbers_of_all_countries(), campaigns=3, seed=self.seed
        )
        more = more.with_columns(pl.Series("Campaign", ["camp-1", "camp-2", "camp-3"]))
        self.rows = pl.concat([self.rows, more])
        self.rows.write_csv(self.folder / LIST)

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
