"""Each stage of an import on one list, beside the least that it could cost, in the same run.

The stages are commands, each a process of its own: the check, the bodies, the plan of a run
that sends one message to the sandbox, the check of the same list when the ledger knows it, and the
results.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from dataclasses import dataclass, field
from shutil import rmtree
from typing import TYPE_CHECKING, Final

from tests.support.bench.contest import (
    FLOOR,
    OURS,
    WORK,
    checking,
    ours,
    rival,
    run,
    sandbox,
    settings,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from tests.support.bench.measuring import Cost

_WORKBOOK_ROWS: Final = 100_000  # a larger workbook takes minutes to write
_LEFT: Final = 20
_HELP: Final = "importer --help"
_OUTCOME: Final = ("state", "status", "sent_at", "settled_at", "attempts")


@dataclass(frozen=True, slots=True)
class Stage:
    """What a stage cost, and its floor.

    Attributes:
        name: of the stage.
        cost: measured.
        floor_name: what the floor does.
        floor: measured in the same run.
    """

    name: str
    cost: Cost = field(repr=False)
    floor_name: str
    floor: Cost = field(repr=False)


def measure(file: Path, rows: int, runs: int) -> Iterator[Stage]:
    """Measure every stage on a list; the best of a few runs if a run changes nothing."""

    def best(command: Sequence[str | Path]) -> Cost:
        return min((run(command, rows) for _ in range(runs)), key=lambda cost: cost.wall_s)

    check = best(checking(file))
    yield Stage(OURS, check, FLOOR, best(rival("polars_read.py", file)))
    bodies = WORK / "bodies.jsonl"
    yield Stage("... --payloads", run(checking(file, "--payloads", bodies), rows), OURS, check)
    bodies.unlink()
    if rows <= _WORKBOOK_ROWS:
        book = _workbook(file, rows)
        yield Stage(
            "... of XLSX", best(checking(book)), "fastexcel", best(rival("fastexcel_read.py", book))
        )
    yield from _of_the_ledger(file, rows, check)


def _of_the_ledger(file: Path, rows: int, check: Cost) -> Iterator[Stage]:
    """Plan a run, resume it, look at the list again, and fetch the results."""
    folder = WORK / "ledger"
    rmtree(folder, ignore_errors=True)
    folder.mkdir()
    database, table = folder / "importer.db", folder / "results.csv"
    bare = run(ours("--help"), rows)
    with sandbox(folder) as url:
        config = folder / "importer.yaml"
        more = f"base_url: {url}\nledger: sqlite:///{database}\nrate_per_s: 1000\n"
        config.write_text(settings().read_text("utf-8") + more, "utf-8")
        command = ours("run", "--config", config, "--yes", "--limit", "1", file)
        yield Stage("run --limit 1", run(command, rows), OURS, check)
        ledger_bytes[rows] = bytes_of_each(database)
        _settle(database, left=_LEFT)
        resume = run(ours("resume", "--config", config, "--yes"), rows)
        yield Stage(f"resume with {_LEFT} rows left", resume, OURS, check)
        command = ours("reconcile", "--config", config)
        yield Stage("reconcile without a doubt", run(command, rows), _HELP, bare)
    _settle(database)
    yield Stage("runs", run(ours("runs", "--config", config), rows), _HELP, bare)
    yield Stage("the same list again", run(checking(file, config=config), rows), OURS, check)
    raw = run(rival("sqlite_rows.py", database), rows)
    command = ours("results", "--config", config, "--format", "csv", "--output", table)
    yield Stage("results", run(command, rows), "rows of the ledger", raw)
    rmtree(folder)


ledger_bytes: Final[dict[int, float]] = {}
"""Rows of a list -> bytes of the ledger for each planned submission, as `measure` found them."""


def bytes_of_each(database: Path) -> float:
    """Return the bytes of a ledger in SQLite for each submission, with all of its indexes."""
    with closing(sqlite3.connect(database)) as ledger:
        (size,) = ledger.execute(
            "SELECT sum(pgsize) FROM dbstat WHERE name IN (SELECT name FROM sqlite_master"
            " WHERE tbl_name IN ('submissions', 'run_rows', 'attempts'))"
        ).fetchone()
        (count,) = ledger.execute("SELECT count(*) FROM submissions").fetchone()
    return float(size / count)


def _settle(database: Path, left: int = 0) -> None:
    """Make every submission but a few a created one, as the only one that was sent."""
    with closing(sqlite3.connect(database)) as ledger, ledger:
        there = {row[1] for row in ledger.execute("PRAGMA table_info(submissions)")}
        names = ", ".join(name for name in _OUTCOME if name in there)
        sent = "SELECT max(sent_at) FROM submissions"
        ledger.execute(
            f"UPDATE submissions SET ({names}) = (SELECT {names} FROM submissions"  # noqa: S608 (ours)
            f" WHERE sent_at = ({sent}) LIMIT 1) WHERE id NOT IN (SELECT id FROM submissions"
            " WHERE sent_at IS NULL LIMIT ?)",
            (left,),
        )


def _workbook(file: Path, rows: int) -> Path:
    """Return the list as a workbook of text cells; it is made once and kept."""
    path = WORK / f"{rows}.xlsx"
    if not path.is_file():
        run([sys.executable, "-m", "tests.support.bench.people", "--workbook", file, path], rows)
    return path
