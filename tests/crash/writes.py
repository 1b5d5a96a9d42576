"""The second proof: a run is stopped between every two of its writes to the ledger, one by one.

`python -m tests.crash.writes` stops the run at each write, then goes on to the end; with `--pairs`
the resume is stopped at each of its writes as well.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from tests.crash.adversary import KILLED
from tests.crash.nursery import STOPPING, Nursery
from tests.crash.verdict import Verdict, compared, entries
from tests.crash.world import LIST, World

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAULTS: Final = "500-after:0.2,reset-after:0.1,reset-before:0.1,429:0.1:0,garbage-after:0.1"
_SMALL: Final = {
    "IMPORTER_CONCURRENCY": "2",
    "IMPORTER_RATE_PER_S": "40",  # few intents share a commit
    "IMPORTER_SETTLE_S": "0.05",  # here nothing is accepted late
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run and its resume were stopped (0: not at all), and what an auditor finds."""

    run_at: int
    resume_at: int
    verdict: Verdict

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        where = f"stopped at write {self.run_at}, resume at {self.resume_at}"
        left = [f"{self.verdict.open} submissions are not through"] if self.verdict.open else []
        return [f"{where}: {fault}" for fault in (*self.verdict.differences, *left)]


def exhaustively(folder: Path, *, rows: int, pairs: bool, seed: int = 1) -> Iterator[Stopped]:
    """Every place where a run (and, in pairs, its resume) can be stopped, each tried once.

    Args:
        folder: to work in.
        rows: good rows of the list.
        pairs: stop the resume too.
        seed: of the list and of the faults.
    """
    base = World.made(folder / "sandbox", rows, seed)
    try:
        base.open(FAULTS)
        with Nursery() as nursery:
            run_at, reached = 0, True
            while reached:
                run_at, resume_at, again = run_at + 1, 0, True
                while again:
                    resume_at += pairs
                    here = folder / f"{run_at}-{resume_at}"
                    reached, again, verdict = _tried(base, here, nursery, run_at, resume_at)
                    again = again and pairs and reached
                    yield Stopped(run_at, resume_at, verdict)
    finally:
        base.close()


def _tried(
    base: World, folder: Path, nursery: Nursery, run_at: int, resume_at: int
) -> tuple[bool, bool, Verdict]:
    """One run with one or two stops in a new folder; whether each stop was reached."""
    world = World.made(folder, base.rows.height, base.seed)
    world = replace(world, rows=base.rows, port=base.port)
    base.rows.write_csv(folder / LIST)
    # An organization of its own: the sandbox's other conversations are not this run's.
    organization = f"org-{folder.name}"
    env = {**world.env, **_SMALL, "POPP_ORGANIZATION_ID": organization}

    def lives(*arguments: str) -> int:
        code, words = nursery.run(
            *arguments, folder=folder, env=env, said=world.said, main=STOPPING
        )
        if code not in {0, 1, 2, 4, 5, KILLED} or "Traceback" in words:
            raise AssertionError(f"{arguments}: exit code {code}: {words}")
        return code

    reached = lives(str(run_at), "run", LIST) == KILLED
    code = lives(str(resume_at), "resume")
    again = code == KILLED
    for _ in range(8):  # faults go on, and doubts take another look
        if code in {Exit.OK, Exit.REJECTED}:
            break
        command = (
            ("run", LIST) if "There is no run" in world.said.read_text("utf-8") else ("resume",)
        )
        code = lives("0", *command)
    own = [each for each in entries(base.journal) if each["organizationId"] == organization]
    world.journal.write_text("".join(f"{json.dumps(each)}\n" for each in own), "utf-8")
    return reached, again, compared(world)


def main(arguments: Sequence[str] | None = None) -> int:
    """Stops everywhere, and says what was found; 1 if anything must not be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--pairs", action="store_true", help="stop the resume everywhere too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tried = list(
            exhaustively(Path(folder), rows=options.rows, pairs=options.pairs, seed=options.seed)
        )
    faults = [fault for each in tried for fault in each.faults]
    sent = sum(each.verdict.conversations for each in tried)
    print(  # noqa: T201  # a program's output
        f"stopped between every two writes: {len(tried)} histories, {sent} conversations, "
        f"{len(faults)} differences",
        *(f"  DIFFERENCE: {fault}" for fault in faults[:20]),
        sep="\n",
    )
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
