"""Codes are a closed list, and one table has their words."""

from __future__ import annotations

import re
import string

import pytest

from importer.report.tasks import INSTRUCTIONS
from schemas.codes import WORDS, Code


def test_the_list_and_the_tables_agree() -> None:
    """Every code has words and a thing to do, and none has them that is gone."""
    assert set(WORDS) == set(Code) == set(INSTRUCTIONS)


@pytest.mark.parametrize("code", Code)
def test_words_are_sentences(code: Code) -> None:
    """Message and fix begin with a capital and end with a stop; only two names are filled in."""
    words = WORDS[code]
    for result in (words.message, words.fix):
        assert re.fullmatch(r"[A-Z].*[.]", result), result
    assert {field for _, field, _, _ in string.Formatter().parse(words.message) if field} <= {
        "header",
        "detail",
    }
    assert "{" not in words.fix


@pytest.mark.parametrize("code", Code)
def test_codes_are_words_with_dashes(code: Code) -> None:
    """The name in the program is the one in the JSON."""
    assert code.value == code.name.lower().replace("_", "-")
