"""The second proof: stop a run at each of its writes to the ledger, one after the other.

`python -m tests.crash.every_write` kills the run at each write and resumes it to the end; `--pairs`
also kills the resume at each of its writes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.errors import Exit
from tests.crash.adversary import KILLED, SETTLED
from tests.crash.audit import Audit, audit, entries, submissions
from tests.crash.fork_server import STOP_AT_WRITE, ForkServer
from tests.crash.installation import LIST, Installation, candidates

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FAULTS: Final = "500-after:0.2,reset-after:0.1,reset-before:0.1,429:0.1:0,garbage-after:0.1"
_SMALL: Final = {
    "IMPORTER_CONCURRENCY": "2",
    "IMPORTER_RATE_PER_S": "40",  # few intents share a commit
    "IMPORTER_SETTLE_S": "0.05",  # here nothing is accepted late
    "IMPORTER_MAX_RESENDS": "1000",
}


@dataclass(frozen=True, slots=True)
class Stopped:
    """Where a run and its resume were stopped (0: not at all), and what an auditor finds."""

    run_at: int
    resume_at: int
    verdict: Audit

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        where = f"stopped at write {self.run_at}, resume at {self.resume_at}"
        left = [f"{self.verdict.open} submissions are not through"] if self.verdict.open else []
        return [f"{where}: {fault}" for fault in (*self.verdict.differences, *left)]


def stop_everywhere(
    folder: Path, *, rows: int, pairs: bool, seed: int = 1, step: int = 1
) -> Iterator[Stopped]:
    """Yield each place where a run (and, in pairs, its resume) was stopped, once.

    Args:
        folder: to work in.
        rows: good rows of the list.
        pairs: stop the resume too.
        seed: of the list and of the faults.
        step: stop at each write, or at every second, third ... one.
    """
    people = candidates(rows, seed)
    base = Installation.create(folder / "sandbox", people, seed, threaded=True)
    try:
        base.open(FAULTS)
        with ForkServer() as fork_server:
            run_at, reached = 0, True
            while reached:
                run_at, resume_at, again = run_at + step, 0, True
                while again:
                    resume_at += pairs
                    here = folder / f"{run_at}-{resume_at}"
                    reached, again, verdict = _tried(base, here, fork_server, run_at, resume_at)
                    again = again and pairs and reached
                    yield Stopped(run_at, resume_at, verdict)
    finally:
        base.close()


def _tried(
    base: Installation, folder: Path, fork_server: ForkServer, run_at: int, resume_at: int
) -> tuple[bool, bool, Audit]:
    """Run with one or two stops in a new folder; return whether each stop was reached."""
    installation = Installation.create(folder, base.rows, base.seed, port=base.port)
    # An organization of its own: the sandbox's other conversations are not this run's.
    organization = f"org-{folder.name}"
    env = {**installation.env, **_SMALL, "POPP_ORGANIZATION_ID": organization}

    def run_process(*arguments: str) -> int:
        code, words = fork_server.run(
            *arguments, folder=folder, env=env, output=installation.output, main=STOP_AT_WRITE
        )
        if code not in {0, 1, 2, 4, 5, KILLED} or "Traceback" in words:
            raise AssertionError(f"{arguments}: exit code {code}: {words}")
        return code

    reached = run_process(str(run_at), "run", LIST) == KILLED
    code = run_process(str(resume_at), "resume")
    again = code == KILLED
    for _ in range(8):  # faults go on, and doubts take another look
        if code in {Exit.OK, Exit.REJECTED}:
            break
        no_run = "There is no run" in installation.output.read_text("utf-8")
        code = run_process("0", *(("run", LIST) if no_run else ("resume",)))
    base.restart("")
    for _ in range(4):
        installation.add_witnesses()
        run_process("0", "run", LIST)
        if all(each.state in SETTLED for each in submissions(installation.ledger)):
            break
    base.restart(FAULTS)
    own = [each for each in entries(base.journal) if each["organizationId"] == organization]
    installation.journal.write_text("".join(f"{json.dumps(each)}\n" for each in own), "utf-8")
    return reached, again, audit(installation)


def main(arguments: Sequence[str] | None = None) -> int:
    """Stop everywhere, and print what was found; return 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--pairs", action="store_true", help="stop the resume everywhere too")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        tried = list(
            stop_everywhere(Path(folder), rows=options.rows, pairs=options.pairs, seed=options.seed)
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
