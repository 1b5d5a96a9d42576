"""No value of a real list can be read from the ledger's files, at any time of a run."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from importer.ledger import Ledger
from importer.ledger.records import NewRun, Settlement, SourceFile
from importer.model import State
from importer.planning.identity import Identity
from importer.planning.payload import planned_rows
from importer.prepare import prepare
from importer.settings import load_settings
from schemas.columns import PERSONAL

if TYPE_CHECKING:
    from importer.model import Plan

SAMPLES = Path(__file__).parents[3] / "samples"


def personal(plan: Plan) -> set[str]:
    """Return every name, phone and e-mail of a plan, as the list spells it and as we do."""
    values: set[str] = set()
    for column in PERSONAL & set(plan.frame.columns):
        values |= set(plan.frame[column].drop_nulls())
    for table in plan.tables:
        for header, column in table.mapping.items():
            if column in PERSONAL:
                values |= set(table.frame[header].drop_nulls())
    return values


def written(folder: Path) -> str:
    """Return all that the files of a folder hold, even dropped pages and the write-ahead log."""
    return "\n".join(path.read_bytes().decode("utf-8", "replace") for path in folder.iterdir())


def cells(folder: Path) -> str:
    """Return every cell of the ledger in a folder, a line each."""
    with closing(sqlite3.connect(folder / "importer.db")) as ledger:
        tables = ledger.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return "\n".join(
            str(cell)
            for (table,) in tables
            for row in ledger.execute(f'SELECT * FROM "{table}"')  # noqa: S608 - our own tables
            for cell in row
        )


def told(text: str, values: set[str]) -> set[str]:
    """Return the values in a text: numbers and addresses anywhere, names as words."""
    words = set(re.findall(r"[\w'’-]+", text))
    return {
        value
        for value in values
        if value in words or (re.search(r"[@ ]|\d{7}", value) and value in text)
    }


def leaked(folder: Path, values: set[str]) -> set[str]:
    """Return the values that the ledger in a folder holds, in cells or in its files' bytes.

    Among bytes, of which some are random (checksums), three letters may meet by chance; so names
    of up to four are sought in the cells alone.
    """
    unmistakable = {value for value in values if len(value) > 4}
    return told(cells(folder), values) | told(written(folder), unmistakable)


def test_what_leaks_is_found(tmp_path: Path) -> None:
    """A short name in a cell, a longer one in the rest of a dropped row."""
    with closing(sqlite3.connect(tmp_path / "importer.db")) as ledger:
        ledger.execute("PRAGMA secure_delete = OFF")
        ledger.execute("CREATE TABLE runs (name TEXT)")
        ledger.executemany("INSERT INTO runs VALUES (?)", [("to Ada",), ("to Grace",)])
        ledger.execute("DELETE FROM runs WHERE name = 'to Grace'")
        ledger.commit()
    assert leaked(tmp_path, {"Ada", "Grace", "Mary"}) == {"Ada", "Grace"}


def test_nothing_personal_is_written(url: str, tmp_path: Path) -> None:
    """A thousand candidates are planned, sent and settled, and none of them can be named."""
    settings = load_settings(SAMPLES / "importer.yaml", {})
    plan = prepare([str(SAMPLES / "nightly-list.csv")], settings)
    values = personal(plan)
    assert len(values) > 1_000
    # The search finds what is there: in the list itself nearly everything.
    there = (SAMPLES / "nightly-list.csv").read_text("utf-8").replace(",", "\n")
    assert len(told(there, values)) > 1_000
    source = SourceFile("nightly-list.csv", None, plan.tables[0].source.sha256, 1)
    identity = Identity(b"k" * 32, "acme", "")
    rows = list(planned_rows(plan, identity, settings))
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(NewRun(plan.hash, (source,), settings.shaping()), rows)
        assert leaked(tmp_path, values) == set()
        keys = ledger.submissions.sendable(run)
        assert len(keys) > 900
        ledger.submissions.intend(run, keys)
        ledger.submissions.settle(
            run, [Settlement(key, State.CREATED, 201, f"c-{key}") for key in keys]
        )
        assert leaked(tmp_path, values) == set()
    assert leaked(tmp_path, values) == set()
