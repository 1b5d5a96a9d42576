"""Plain English: quaint phrases stay out of docstrings, messages and documents."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
DOCUMENTED: Final = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

PLAINER: Final = {
    r"the same of": "name the thing again",
    r"so many": "this many",
    r"nobody (?:\w+ ){0,4}whom": "only people who",
    r"what became of": "the result of",
    r"(?:leaves?|left|leaving|lets?) (?:\w+ )?alone": "do not change",
    r"(?:is|are) to be": "will be, must be",
    r"(?:its|their) like": "and the like",
    r"stands? (?:in|there|here|beside|behind|at)": "is",
    r"(?:lies?|lay) (?:in|there|here|beside|elsewhere|on)": "is",
    r"as (?:it|they) stands?": "unchanged, as it is",
    r"whoever": "anybody who, the person who",
    r"otherwise than": "differently from",
    r"where there (?:is|are)": "if there is",
    r"where (?:it|they) (?:has|have|says?|does|do)": "if it has",
    r"goes? before": "is stronger than",
    r"hears? of": "is told",
    r"for ever": "forever",
    r"what is left": "the rest",
    r"of which nobody": "that nobody",
    r"it is said": "name who says it",
    r"(?:is|are) told of": "is told about",
    r"(?:in|by) whatever": "in any, by any",
    r"(?:person|somebody)'s word": "decision, approval",
    r"than (?:it|they) seems?": "wrong",
    r"(?:upon|hence|whereby|thereby|lest|anew)": "on, so, by which, again",
    r"(?:people|persons?|somebody|anybody|those) whom": "people that",
    r"(?:is|are) (?:that|those) of": "name the thing again, or write x's",
}
"""Phrase -> what to write instead."""

BANNED: Final = re.compile("|".join(rf"\b(?:{phrase})\b" for phrase in PLAINER), re.IGNORECASE)


def find_phrases(text: str) -> list[str]:
    """Return the phrases of a text that have a plainer form."""
    return [found[0] for found in BANNED.finditer(" ".join(text.split()))]


def read_texts() -> Iterator[tuple[str, str]]:
    """Yield place and text of every docstring, message of ours, and line of a document."""
    for package in ("importer", "schemas"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield f"{path.relative_to(ROOT)}:{node.lineno}", node.value
    for path in sorted((ROOT / "tests").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, DOCUMENTED) and (text := ast.get_docstring(node)):
                yield f"{path.relative_to(ROOT)}:{node.body[0].lineno}", text
    documents = [
        ROOT / "README.md",
        *(ROOT / "importer").rglob("*.md"),
        *(ROOT / "importer").rglob("*.j2"),
        *(ROOT / "importer" / "cli" / "starter").rglob("*.yaml"),
        *(ROOT / "samples").rglob("*.yaml"),
    ]
    for path in sorted(documents):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def test_every_text_is_plain() -> None:
    """A phrase of the list has a plainer form beside it."""
    found = {place: phrases for place, text in read_texts() if (phrases := find_phrases(text))}
    assert not found, f"write it plainer, as in {PLAINER}"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Stop after so many failures.", ["so many"]),
        ("Nobody is contacted whom an earlier run reached.", ["Nobody is contacted whom"]),
        ("Nobody is contacted twice: people that the ledger knows are skipped.", []),
        ("Its columns are those of the file.", ["are those of"]),
        ("what\n    became of each row", ["what became of"]),
        ("The row as it stands, where there is one.", ["as it stands", "where there is"]),
        ("Whether the file exists where it should be.", []),
        ("A folder stands for its spreadsheets; the list is relied on.", []),
    ],
)
def test_phrases_are_found_and_nothing_else(text: str, found: list[str]) -> None:
    """Across line breaks, and not inside of plain sentences."""
    assert find_phrases(text) == found
