"""What a recruiter reads speaks of lists and people, never of settings, flags or templates."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

import importer.web
from importer.languages import LANGUAGES, choose_language, use_language
from importer.web.page_app import preferred
from importer.web.wording import WORDING
from schemas.codes import WORDS, Code

TECHNICAL: Final = re.compile(
    r"--\w|`|\byaml\b|\btemplates?\b|\{|\bAPI\b|importer |vorlage|platzhalter", re.IGNORECASE
)
PAGES: Final = Path(importer.web.__file__).parent / "templates"
DETAILS: Final = (
    "`{job_title}`",
    'phones: `columns: {"Handy": phone_number}`',
    "it has more than 200 bytes (max_bytes)",
    "10,001 characters, more than max_cell_chars (10,000)",
    "“Job title”, which a template needs",
    "run 20261127-080000-abcd, row 4",
)


@pytest.mark.parametrize("code", Code)
@pytest.mark.parametrize("language", LANGUAGES)
def test_problems_are_told_in_a_recruiters_words(language: str, code: Code) -> None:
    """Whatever the detail."""
    with use_language(language):
        for detail in DETAILS if "{detail}" in WORDS[code].message else ("",):
            result = " ".join((*WORDING.problem(code, "Job", detail), WORDING.task(code, "“Job”")))
            assert not TECHNICAL.search(result), result


def test_texts_of_pages_are_plain() -> None:
    """Every text that goes through the catalogue."""
    texts = [
        text
        for path in PAGES.glob("*.j2")
        for text in re.findall(r'(?:_|counted)\([^"()]*"([^"]+)"', path.read_text("utf-8"))
    ]
    assert len(texts) > 150
    wrong = [text for text in texts if TECHNICAL.search(re.sub(r"\{\w+\}", "", text))]
    assert not wrong


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("", "en"), ("xx", "en"), ("en-GB,en;q=0.9", "en"), ("*", "en"), ("q=;;,", "en")],
)
def test_the_language_is_one_that_there_is(accepted: str, language: str) -> None:
    """English by default."""
    assert choose_language(preferred(accepted)) == language
