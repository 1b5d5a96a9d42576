"""The proof: whatever kills the importer, nobody is contacted twice and nobody is lost.

`python -m tests.crash.proof --seed 1 --submissions 10000 --kills 200` prints what was done and what
an auditor finds, and fails on any difference. Four desks work at once, each with a list, a ledger
and a sandbox of its own, whose duplicate check is off; every conversation stands in its journal.

What the proof assumes, as the importer does: the API accepts a request within `settle_s` of our
giving it up or not at all, and its list, if it can be read, is true. A 422 is a no for good.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.crash.adversary import FAULTS, Adversary, Tally
from tests.crash.audit import Audit, audit
from tests.crash.fork_server import ForkServer
from tests.crash.installation import Installation

if TYPE_CHECKING:
    from collections.abc import Sequence

DESKS = 4


@dataclass(frozen=True, slots=True)
class Result:
    """What happened at one desk, and what an auditor finds there."""

    tally: Tally
    verdict: Audit

    @property
    def faults(self) -> list[str]:
        """Everything that must not be."""
        left = [f"{self.verdict.open} submissions are not through"] if self.verdict.open else []
        return [*self.verdict.differences, *left, *self.tally.complaints]


def prove(folder: Path, *, submissions: int, kills: int, restarts: int, seed: int) -> Result:
    """Sends a list under fire at one desk, lets it come to its end, and compares.

    Args:
        folder: that does not exist yet.
        submissions: good rows of the list.
        kills: of the importer.
        restarts: of the sandbox.
        seed: of everything.
    """
    installation = Installation.create(folder, submissions, seed)
    try:
        installation.open(FAULTS)
        with ForkServer() as fork_server:
            adversary = Adversary(
                installation, fork_server, kills=kills, restarts=restarts, seed=seed
            )
            adversary.kill_processes()
            adversary.finish()
    finally:
        installation.close()
    return Result(adversary.tally, audit(installation))


def main(arguments: Sequence[str] | None = None) -> int:
    """Proves for some seeds, and says what was found; 1 if anything must not be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=12, help="of the sandbox")
    parser.add_argument("--desks", type=int, default=DESKS)
    options = parser.parse_args(arguments)
    failed = False
    for seed in options.seed:
        folder = Path(tempfile.mkdtemp(prefix=f"proof-{seed}-"))
        began = time.monotonic()
        with ThreadPoolExecutor(options.desks) as pool:
            desks = list(
                pool.map(
                    lambda number, seed=seed, folder=folder: prove(
                        folder / f"desk-{number}",
                        submissions=-(-options.submissions // options.desks),
                        kills=-(-options.kills // options.desks),
                        restarts=-(-options.restarts // options.desks),
                        seed=seed * 100 + number,
                    ),
                    range(options.desks),
                )
            )
        _say(_summary(seed, desks, time.monotonic() - began))
        faults = [fault for desk in desks for fault in desk.faults]
        for fault in faults[:20]:
            _say(f"  DIFFERENCE: {fault}")
        if faults:
            failed = True
            _say(f"  Everything is kept in {folder}.")
        else:
            shutil.rmtree(folder)
    return int(failed)


def _summary(seed: int, desks: Sequence[Result], took_s: float) -> str:
    """Counts of all desks together."""
    kills: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for desk in desks:
        kills.update(desk.tally.kills)
        states.update(desk.verdict.states)
    verdicts = [desk.verdict for desk in desks]
    doing = ", ".join(f"{count} while {what}" for what, count in kills.most_common())
    known = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return (
        f"seed {seed}: {sum(v.rows for v in verdicts)} people, "
        f"{sum(v.conversations for v in verdicts)} conversations; "
        f"{sum(d.tally.processes for d in desks)} processes, {kills.total()} killed ({doing}), "
        f"{sum(d.tally.restarts for d in desks)} sandboxes killed; {took_s:.0f} s\n"
        f"  ledger: {known}\n"
        f"  contacted twice {sum(len(v.twice) for v in verdicts)}, "
        f"lost {sum(len(v.lost) for v in verdicts)}, "
        f"sent but not known as sent {sum(len(v.hidden) for v in verdicts)}, "
        f"otherwise wrong {sum(len(v.wrong) for v in verdicts)}, "
        f"not through {sum(v.open for v in verdicts)}"
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program's output


if __name__ == "__main__":
    sys.exit(main())
