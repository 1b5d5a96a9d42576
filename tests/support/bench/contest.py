"""Run the importer and other tools on a file, slow ones on a part of it."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.support.bench.measuring import measured

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.support.bench.measuring import Cost

ROOT: Final = Path(__file__).parents[3]
WORK: Final = ROOT / ".bench"
OURS: Final = "importer check"
FLOOR: Final = "polars.read_csv"
LOOP: Final = "phonenumbers loop"
FRICTIONLESS: Final = "Frictionless"
PANDAS: Final = "pandas with apply"

_AS_INSTALLED: Final = (
    "import sys; sys.modules['hypothesis'] = None; from importer.cli.main import main; main()"
)
"""The command line as users have it: Pandera imports hypothesis, a tool of tests, where it is."""

_SETTINGS: Final = """\
templates: {templates}
participants: panel
max_bytes: 4000000000
max_rows: 20000000
"""
SLICE: Final = 100_000
"""Rows that the slow tools are given; the others get the whole file."""

RUNS: Final = 3
"""How often a short command is run; the best counts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the table.

    Attributes:
        name: of the contestant.
        cost: on the rows that it was given.
        whole: on all rows of the file: measured, or reckoned from the slice.
    """

    name: str
    cost: Cost = field(repr=False)
    whole: Cost

    @property
    def sliced(self) -> bool:
        """Whether it was given a part of the file only."""
        return self.cost.rows < self.whole.rows


def environment() -> dict[str, str]:
    """Return our environment without settings of the importer; compiled modules are kept."""
    away = ("IMPORTER_", "POPP_", "PYTHONDONTWRITEBYTECODE")
    found = {name: value for name, value in os.environ.items() if not name.startswith(away)}
    return found | {
        "PYTHONPATH": str(ROOT),
        "COLUMNS": "100",
        "POPP_API_KEY": "rehearsal",  # for the sandbox
        "POPP_ORGANIZATION_ID": "bench",
    }


def ours(*arguments: str | Path) -> list[str | Path]:
    """Return a command line of the importer."""
    return [sys.executable, "-c", _AS_INSTALLED, *arguments]


def checking(file: Path, *more: str | Path, config: Path | None = None) -> list[str | Path]:
    """Return the command line of `importer check` with an HTML report."""
    return ours(
        "check", "--config", config or settings(), "--report", WORK / "report.html", *more, file
    )


def settings() -> Path:
    """Write settings with the templates of the samples and for files of any size."""
    path = WORK / "importer.yaml"
    path.write_text(_SETTINGS.format(templates=ROOT / "samples" / "templates"), "utf-8")
    return path


@contextmanager
def sandbox(folder: Path) -> Iterator[str]:
    """Run a sandbox in a process of its own, with a durable journal; yield its base URL."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = str(folder / "journal.jsonl")
    command = [sys.executable, "-m", "importer.cli.main", "sandbox", "--port", "0"]
    with subprocess.Popen(
        [*command, "--journal", journal], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().split()[-1]
        finally:
            process.terminate()


def run(command: Sequence[str | Path], rows: int) -> Cost:
    """Run a command; return its cost."""
    return measured(
        command,
        rows,
        environment=environment(),
        output=WORK / "output.txt",
        errors=WORK / "errors.txt",
    )


def enter_slow(name: str, file: Path, rows: int) -> Entry:
    """Measure a slow tool on the first rows of a file, and without rows for its start-up."""
    script = {
        LOOP: "phonenumbers_loop.py",
        FRICTIONLESS: "frictionless_check.py",
        PANDAS: "pandas_apply.py",
    }[name]
    given = min(rows, SLICE)
    idle = run(rival(script, head(file, 0)), 0)
    cost = run(rival(script, head(file, given)), given)
    return Entry(name, cost, cost.grown(idle, rows))


def rival(script: str, file: Path) -> list[str | Path]:
    """Return the command line of another tool; some have an environment of their own."""
    apart = script.startswith(("frictionless", "pandas"))
    python = WORK / "venv" / "bin" / "python" if apart else Path(sys.executable)
    return [python, Path(__file__).parent / "rivals" / script, file]


def head(file: Path, rows: int) -> Path:
    """Write the first rows of a file into another file; return its path."""
    part = WORK / f"head-{rows}.csv"
    with file.open("rb") as lines, part.open("wb") as out:
        out.writelines(islice(lines, rows + 1))
    return part
