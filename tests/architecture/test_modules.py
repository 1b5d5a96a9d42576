"""The house: few rooms, one name for one thing, and a sentence at every door."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = sorted(
    str(path.relative_to(ROOT))
    for package in ("importer", "schemas")
    for path in (ROOT / package).rglob("*.py")
)
MOST_AT_THE_ROOT: Final = 10
LONGEST: Final = 600
"""Lines. A file of 150 to 450 lines is usual; a longer one holds two nouns."""

TEST_FOLDERS: Final = frozenset(
    {"unit", "integration", "crash", "properties", "corpus", "docs", "architecture", "support"}
)


def parse(module: str) -> ast.Module:
    """Return the syntax tree of a module, by its path from the root."""
    return ast.parse((ROOT / module).read_text("utf-8"))


def test_every_module_says_what_it_is() -> None:
    """Its docstring opens with one sentence, on one line."""
    silent = {}
    for module in MODULES:
        docstring = ast.get_docstring(parse(module)) or ""
        first, _, rest = docstring.partition("\n")
        if not re.fullmatch(r"\S.*[.?]", first) or (rest and not rest.startswith("\n")):
            silent[module] = first
    assert not silent


def test_the_root_has_few_modules() -> None:
    """What is loose at the root of `importer/` is what everything else is about."""
    at_the_root = [module for module in MODULES if Path(module).parent == Path("importer")]
    assert len(at_the_root) <= MOST_AT_THE_ROOT


def test_no_module_holds_two_nouns() -> None:
    """As far as its length tells."""
    lines = {module: len((ROOT / module).read_text("utf-8").splitlines()) for module in MODULES}
    assert not {module: count for module, count in lines.items() if count > LONGEST}


def test_no_two_files_have_one_name() -> None:
    """One word, one thing."""
    places = defaultdict(list)
    for module in MODULES:
        if Path(module).stem not in {"__init__", "__main__"}:
            places[Path(module).name].append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_no_two_public_classes_have_one_name() -> None:
    """One word, one thing."""
    places = defaultdict(list)
    for module in MODULES:
        for node in parse(module).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(module)
    assert not {name: found for name, found in places.items() if len(found) > 1}


def test_the_tests_have_their_folders() -> None:
    """And no others."""
    found = {
        path.name
        for path in (ROOT / "tests").iterdir()
        if path.is_dir() and not path.name.startswith(("__", "."))
    }
    assert found == TEST_FOLDERS
