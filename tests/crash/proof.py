"""The proof: whatever kills the importer, nobody is contacted twice and nobody is lost.

`python -m tests.crash.proof --seed 1 --submissions 10000 --kills 200` proves it for an honest API
and fails on any difference between the journal of the sandbox and the ledger; nothing is left open.
`python -m tests.crash.proof --personalities --submissions 300 --kills 200` proves it for every
personality of the sandbox: contacted twice 0, lost 0, and whatever is open is openly so.

The duplicate check of the sandbox is off. What the proof assumes, as the importer does: the API
accepts a request within `settle_s` of our giving it up or not at all. A 422 is a definite no.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from importer.sandbox.personalities import PERSONALITIES
from tests.crash.adversary import FAULTS, Adversary, Tally
from tests.crash.audit import Audit, audit
from tests.crash.fork_server import ForkServer
from tests.crash.installation import Installation, candidates

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WORKERS: Final = 4
_LATE: Final = ",late:0.02:0.7"
_AT_ONCE: Final = {"IMPORTER_SETTLE_S": "0.1"}
"""If nothing is accepted late, nothing needs to be waited for."""

DISTURBED: Final = (
    "429:0.02:0,500:0.01,500-after:0.04,reset-before:0.04,reset-after:0.06,garbage-after:0.02,"
    f"half-body:0.02,list-500:0.02{_LATE}"
)
"""Faults beside a personality: more, for there are fewer people; and nobody is refused."""


@dataclass(frozen=True, slots=True)
class Trial:
    """An API that the importer is tried against.

    Attributes:
        name: personality, or `honest`.
        behave: of the sandbox.
        honest: nothing may be left open.
        settings: more environment variables of the importer.
    """

    name: str
    behave: str = ""
    honest: bool = False
    settings: Mapping[str, str] = field(default_factory=dict)


HONEST: Final = Trial(
    "honest",
    honest=True,
    settings={"IMPORTER_MAX_RESENDS": "1000", "IMPORTER_MAX_DOUBTFUL": "1000000"},
)
_ARGUMENTS: Final = {"share": "0.3", "campaign": "camp-2", "seconds": "3"}
"""Some people and one campaign meet a personality; a list lags longer than `settle_s`."""

TRIALS: Final = {
    name: Trial(
        name,
        name
        if name == "clock-behind" or each.argument not in _ARGUMENTS
        else f"{name}:{_ARGUMENTS[each.argument]}",
    )
    for name, each in PERSONALITIES.items()
}
"""One for each personality."""


@dataclass(frozen=True, slots=True)
class Result:
    """What happened in one installation, and what the audit finds there.

    Attributes:
        trial: the API.
        tally: of the adversary.
        audit: after the end.
        exit_code: of the last run.
        took_s: seconds.
    """

    trial: Trial
    tally: Tally
    audit: Audit
    exit_code: int
    took_s: float

    @property
    def faults(self) -> list[str]:
        """Everything that must not be, in words."""
        found = self.audit.differences if self.trial.honest else self.audit.dangerous
        left = []
        if self.trial.honest and (self.audit.open or self.audit.states["duplicate"]):
            left.append(f"not everything is through: {dict(self.audit.states)}")
        return [*found, *left, *self.tally.complaints]

    def __str__(self) -> str:
        states = self.audit.states
        exits = " ".join(f"{code}:{count}" for code, count in sorted(self.tally.exits.items()))
        return (
            f"{self.trial.name:20} {self.audit.rows} people, {self.audit.conversations} "
            f"conversations, {sum(self.tally.kills.values())} kills, contacted twice "
            f"{len(self.audit.twice)}, lost {len(self.audit.lost) + len(self.audit.hidden)}, "
            f"otherwise wrong {len(self.audit.wrong)}, doubtful openly {states['doubtful']}, "
            f"unsent {states['unsent'] + states['planned']}, rejected {states['rejected']}, "
            f"duplicate {states['duplicate']}, exit codes {exits}, last {self.exit_code}; "
            f"{self.took_s:.0f} s"
        )


@dataclass(frozen=True, slots=True)
class Size:
    """How large a trial is.

    Attributes:
        submissions: good rows of the list.
        kills: of the importer.
        restarts: of the sandbox.
        threaded: run the sandbox in this process.
        rounds: of run and reconcile after the kills, at most.
    """

    submissions: int
    kills: int
    restarts: int = 0
    threaded: bool = False
    rounds: int = 5


def prove(
    folder: Path, size: Size, *, seed: int, trial: Trial = HONEST, fork_server: ForkServer
) -> Result:
    """Send a list while the adversary kills, let the importer finish, and audit.

    Args:
        folder: does not exist yet.
        size: of the trial.
        seed: of everything random.
        trial: the API.
        fork_server: starts the processes; nothing else may use it meanwhile.
    """
    started = time.monotonic()
    existing = trial.name == "existing-as-200"
    rows = candidates(
        size.submissions, seed, flawed=trial.honest, **({"phoneless": 5} if existing else {})
    )
    faults = FAULTS if trial.honest else DISTURBED
    if size.threaded:
        faults = faults.replace(_LATE, "")
    installation = Installation.create(
        folder,
        rows,
        seed,
        behave=trial.behave,
        settings={**trial.settings, **(_AT_ONCE if size.threaded else {})},
        threaded=size.threaded,
    )
    if existing:
        installation.add_existing()
    try:
        installation.open(faults)
        adversary = Adversary(
            installation,
            fork_server,
            kills=size.kills,
            restarts=size.restarts,
            faults=faults,
            seed=seed,
        )
        adversary.kill_processes()
        code = adversary.finish(size.rounds)
    finally:
        installation.close()
    found = audit(installation, true_ids=trial.name != "one-id-for-all")
    return Result(trial, adversary.tally, found, code, time.monotonic() - started)


def main(arguments: Sequence[str] | None = None) -> int:
    """Prove, and print what was found; 1 if anything must not be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seed", type=int, nargs="+", default=[1])
    parser.add_argument("--submissions", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--restarts", type=int, default=12, help="of the sandbox")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument(
        "--personalities",
        nargs="*",
        metavar="NAME",
        help="prove for these personalities, or for all, instead of the honest API",
    )
    options = parser.parse_args(arguments)
    failed = False
    for seed in options.seed:
        top = Path(tempfile.mkdtemp(prefix=f"proof-{seed}-"))
        size = Size(options.submissions, options.kills, options.restarts)
        if options.personalities is None:
            results = _prove_honest(top, size, seed, options.workers)
        else:
            names = options.personalities or list(TRIALS)
            results = _prove_personalities(top, size, seed, options.workers, names)
        faults = [f"{each.trial.name}: {fault}" for each in results for fault in each.faults]
        for fault in faults[:40]:
            _say(f"  DIFFERENCE: {fault}")
        if faults:
            failed = True
            _say(f"  Everything is kept in {top}.")
        else:
            shutil.rmtree(top)
    return int(failed)


def _prove_honest(top: Path, size: Size, seed: int, workers: int) -> list[Result]:
    """Return share one large list among some installations; print a summary."""
    started = time.monotonic()
    part = Size(
        -(-size.submissions // workers), -(-size.kills // workers), -(-size.restarts // workers)
    )

    def prove_part(number: int) -> Result:
        with ForkServer() as server:
            folder = top / f"part-{number}"
            return prove(folder, part, seed=seed * 100 + number, fork_server=server)

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(prove_part, range(workers)))
    _say(_summary(seed, results, time.monotonic() - started))
    return results


def _prove_personalities(
    top: Path, size: Size, seed: int, workers: int, names: Sequence[str]
) -> list[Result]:
    """Prove for some personalities; print a line for each."""

    def prove_one(name: str) -> Result:
        with ForkServer() as server:
            result = prove(top / name, size, seed=seed, trial=TRIALS[name], fork_server=server)
        _say(str(result))
        return result

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(prove_one, names))


def _summary(seed: int, results: Sequence[Result], took_s: float) -> str:
    """Return the counts of all installations together."""
    kills: Counter[str] = Counter()
    states: Counter[str] = Counter()
    for each in results:
        kills.update(each.tally.kills)
        states.update(each.audit.states)
    audits = [each.audit for each in results]
    doing = ", ".join(f"{count} while {what}" for what, count in kills.most_common())
    known = ", ".join(f"{count} {state}" for state, count in states.most_common())
    return (
        f"seed {seed}: {sum(a.rows for a in audits)} people, "
        f"{sum(a.conversations for a in audits)} conversations; "
        f"{sum(each.tally.processes for each in results)} processes, {kills.total()} killed "
        f"({doing}), {sum(each.tally.restarts for each in results)} sandboxes killed; "
        f"{took_s:.0f} s\n"
        f"  ledger: {known}\n"
        f"  contacted twice {sum(len(a.twice) for a in audits)}, "
        f"lost {sum(len(a.lost) for a in audits)}, "
        f"sent but not known as sent {sum(len(a.hidden) + len(a.unconfirmed) for a in audits)}, "
        f"otherwise wrong {sum(len(a.wrong) for a in audits)}, "
        f"not through {sum(a.open for a in audits)}"
    )


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201  # a program's output


if __name__ == "__main__":
    sys.exit(main())
