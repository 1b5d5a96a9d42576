"""Every module says what it is, has a test of its name, and holds one idea."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = sorted(
    str(path.relative_to(ROOT))
    for package in ("importer", "schemas")
    for path in (ROOT / package).rglob("*.py")
)
LONG: Final = 300

WHOLE: Final = {
    "importer/cli": "tests/cli",  # as a user types it
    "importer/ledger/migrations": "tests/unit/ledger/test_schema.py",
    "importer/ledger/migrations/versions": "tests/unit/ledger/test_schema.py",
    "importer/loader": "tests/unit/loader",  # from bytes to a table: its readers have one door
    "importer/nightly": "tests/unit/nightly",
    "importer/nightly/remote": "tests/nightly/test_remote.py",  # on real servers
    "importer/normalise": "tests/unit/normalise",
    "importer/phones": "tests/unit/test_phones.py",  # one answer, that of phonenumbers itself
    "importer/sandbox": "tests/unit/sandbox",  # over HTTP, as a client meets it
    "importer/settings": "tests/unit/test_settings.py",  # file, environment and flags in one
    "importer/validate": "tests/unit/validate",
}
"""Packages with one door, whose modules are tested through it where they have no test file."""

TESTED_ELSEWHERE: Final = {
    "importer/journey.py": "tests/unit/test_submitter.py",  # how far the submitter is with one
    "importer/ledger/__init__.py": "tests/unit/ledger",
    "importer/ledger/database.py": "tests/unit/ledger/test_opening.py",
    "importer/ledger/faults.py": "tests/unit/ledger/test_opening.py",
    "importer/ledger/nights.py": "tests/unit/nightly",
    "importer/ledger/reader.py": "tests/unit/ledger/test_looking.py",
    "importer/ledger/records.py": "tests/unit/ledger/test_planning.py",  # values without methods
    "importer/ledger/states.py": "tests/unit/ledger/test_attempting.py",
    "importer/ledger/store.py": "tests/unit/ledger/test_laws.py",
    "importer/ledger/tables.py": "tests/unit/ledger/test_schema.py",
    "importer/mistakes.py": "tests/unit/test_settings.py",  # the words of its messages
    "importer/model.py": "tests/unit/test_pipeline.py",  # values without methods
    "importer/pairing.py": "tests/unit/test_grouping.py",
    "importer/report/columns.py": "tests/cli/test_columns.py",
    "importer/report/layout.py": "tests/unit/report/test_terminal.py",
    "importer/report/night.py": "tests/nightly/test_morning.py",
    "importer/report/night_metrics.py": "tests/nightly/test_morning.py",
    "importer/report/night_page.py": "tests/nightly/test_morning.py",
    "importer/report/night_text.py": "tests/nightly/test_morning.py",
    "importer/report/payloads.py": "tests/cli/test_check.py",
    "importer/report/terminal_aftermath.py": "tests/cli/test_run.py",
    "importer/walking.py": "tests/unit/test_reconcile.py",
    "schemas/aliases.py": "tests/unit/test_headers.py",
    "schemas/parts.py": "tests/unit/test_templates.py",
}
"""Modules without a test file of their name -> where they are tested."""

LONGER: Final = {
    "importer/model.py": "every type that travels, in the order of the road",
}
"""Modules of more lines -> why."""


def own_test(module: str) -> Path:
    """The test file of a module: `importer/report/json.py` -> `tests/unit/report/test_json.py`."""
    path = Path(*Path(module).parts[1:])
    return ROOT / "tests" / "unit" / path.parent / f"test_{path.name}"


def test_every_module_says_what_it_is() -> None:
    """Its docstring opens with one sentence, on one line."""
    silent = {}
    for module in MODULES:
        said = ast.get_docstring(ast.parse((ROOT / module).read_text("utf-8"))) or ""
        first, _, rest = said.partition("\n")
        if not re.fullmatch(r"\S.*[.?]", first) or (rest and not rest.startswith("\n")):
            silent[module] = first
    assert not silent


def test_every_module_holds_one_idea() -> None:
    """As far as its length tells."""
    lines = {module: len((ROOT / module).read_text("utf-8").splitlines()) for module in MODULES}
    assert not {
        module: count for module, count in lines.items() if count > LONG and module not in LONGER
    }, "part them"


def test_every_module_has_a_test_of_its_name() -> None:
    """Or stands in a list with where it is tested; an empty `__init__` needs none."""
    untested = []
    for module in MODULES:
        door = WHOLE.get(str(Path(module).parent)) or TESTED_ELSEWHERE.get(module)
        empty = len(ast.parse((ROOT / module).read_text("utf-8")).body) <= 1
        if door is not None:
            assert (ROOT / door).exists(), module
        elif not empty and not own_test(module).exists():
            untested.append(module)
    assert not untested


def test_the_lists_name_modules_that_there_are() -> None:
    """Nothing is excused that is gone."""
    assert not {*TESTED_ELSEWHERE, *LONGER} - set(MODULES)
    assert all((ROOT / package).is_dir() for package in WHOLE)
