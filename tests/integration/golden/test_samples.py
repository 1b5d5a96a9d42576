"""Each sample is a test: `importer check` gives the result that is beside it.

A file put into `samples/` together with its `.expected.json` adds a case. After a change that is
meant to change results, write them again and read the difference:

    GOLDEN=write python -m pytest tests/integration/golden
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

import pytest

from importer.errors import Exit
from schemas.codes import Code
from tests.support.workspace import Workspace

ROOT: Final = Path(__file__).resolve().parents[3]
SAMPLES: Final = ROOT / "samples"
SUFFIX: Final = ".expected.json"
SPREADSHEETS: Final = sorted(
    str(path.relative_to(SAMPLES))
    for path in (*SAMPLES.iterdir(), *(SAMPLES / "systems").iterdir())
    if path.suffix in {".csv", ".xlsx"}
)
EXIT_CODES: Final = {
    "every-fault.csv": Exit.REJECTED,
    "recruiter-export.csv": Exit.REJECTED,
}
"""How `check` ends where it is not with 0."""

LEDGER_CODES: Final = {
    # what only a ledger knows
    "already-imported",
    "possibly-sent",
    "rejected-before",
    "contacted-recently",
    "opted-out",
}
FILE_CODES: Final = {
    # what is wrong with a whole file or template, or stands below the rows
    "file-missing",
    "file-unreadable",
    "file-empty",
    "file-too-large",
    "encoding-guessed",
    "encoding-doubtful",
    "header-not-found",
    "header-moved",
    "rows-hidden",
    "sheets-not-read",
    "totals-skipped",
    "column-missing",
    "column-duplicate",
    "column-unknown",
    "columns-ranked",
    "column-unused",
    "not-a-candidate",
    "template-key-unknown",
}


def checked(name: str, folder: Path) -> dict[str, Any]:
    """Return what `importer check samples/NAME --format json` says, with a ledger of its own."""
    workspace = Workspace(ROOT, {"IMPORTER_LEDGER": f"sqlite:///{folder / 'importer.db'}"})
    settings = (Path("samples") / name).parent / "importer.yaml"
    result = workspace("check", f"samples/{name}", "--config", str(settings), "--format", "json")
    assert result.code == EXIT_CODES.get(name, Exit.OK), result.err
    report: dict[str, Any] = json.loads(result.out)
    return report


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_a_sample_gives_what_stands_beside_it(name: str, tmp_path: Path) -> None:
    """The whole report is the same, apart from the hash of the plan."""
    report = checked(name, tmp_path)
    assert len(report.pop("plan")) == 64
    beside = SAMPLES / (name + SUFFIX)
    if os.environ.get("GOLDEN") == "write":
        beside.write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", "utf-8")
    assert report == json.loads(beside.read_text("utf-8"))


def test_every_sample_has_its_result_and_every_result_its_sample() -> None:
    """Nothing is left beside a file that is gone, and no sample is unchecked."""
    places = (*SAMPLES.glob(f"*{SUFFIX}"), *SAMPLES.glob(f"systems/*{SUFFIX}"))
    results = {str(path.relative_to(SAMPLES)).removesuffix(SUFFIX) for path in places}
    assert results == set(SPREADSHEETS)


def expected(name: str) -> dict[str, Any]:
    """Return the result beside a sample."""
    report: dict[str, Any] = json.loads((SAMPLES / (name + SUFFIX)).read_text("utf-8"))
    return report


@pytest.mark.parametrize("name", SPREADSHEETS)
def test_rows_add_up(name: str) -> None:
    """Rows read = ready + rejected + duplicates + already imported, and groups hold the ready."""
    report = expected(name)
    totals = report["totals"]
    assert totals["read"] == sum(
        totals[what] for what in ("ready", "rejected", "duplicates", "already_imported")
    )
    assert totals["read"] == sum(source["rows"] for source in report["sources"])
    assert totals["ready"] == sum(group["rows"] for group in report["groups"])
    assert sum(count["count"] for count in report["problem_counts"]) == len(report["problems"])


def test_every_row_of_every_fault_has_the_fault_that_it_names() -> None:
    """The column Fault of `every-fault.csv` names the code, and the first row has none."""
    problems = expected("every-fault.csv")["problems"]
    with (SAMPLES / "every-fault.csv").open(encoding="utf-8", newline="") as file:
        # the last row leaves a quotation mark open, which csv would carry on to the file's end
        lines = file.read().splitlines()
    named = {}
    for row, line in enumerate(lines[1:], start=2):
        cells = next(csv.reader([line.replace('"Ada,', "Ada,")]))
        named[row] = cells[15]
    for row, fault in named.items():
        found = [problem["code"] for problem in problems if problem["row"] == row]
        assert fault in found or (fault == "" and not found), (row, fault, found)


def test_every_code_of_a_row_is_in_every_fault() -> None:
    """A new code needs a row in the sample, unless only a ledger or a file can have it."""
    found = Counter(problem["code"] for problem in expected("every-fault.csv")["problems"])
    assert {code.value for code in Code} - set(found) == LEDGER_CODES | FILE_CODES


def test_the_nightly_list_is_a_thousand_good_rows_in_six_groups() -> None:
    """Three campaigns, two meeting templates, nothing to fix."""
    report = expected("nightly-list.csv")
    assert report["totals"]["ready"] == 1_000
    assert report["problems"] == []
    assert len(report["groups"]) == 6


def test_the_nightly_list_is_what_its_generator_writes(tmp_path: Path) -> None:
    """The seeded generator gives the committed file again, byte by byte."""
    again = tmp_path / "again.csv"
    command = [sys.executable, "-m", "tests.support.bench.people", "--nightly", str(again)]
    subprocess.run(command, cwd=ROOT, check=True)
    assert again.read_bytes() == (SAMPLES / "nightly-list.csv").read_bytes()


@pytest.mark.parametrize("name", [name for name in SPREADSHEETS if name.startswith("systems/")])
def test_exports_of_applicant_systems_are_ready_as_they_are(name: str) -> None:
    """Name, contact and the candidate's id of every row are read, without a setting for it."""
    report = expected(name)
    assert report["totals"]["ready"] == report["totals"]["read"] > 1
    columns = set(report["sources"][0]["columns"].values())
    assert {"candidate_id", "email", "phone_number"} <= columns
    assert columns & {"first_name", "full_name"}
    assert {"error"} & {problem["severity"] for problem in report["problems"]} == set()
