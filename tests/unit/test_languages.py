"""Texts in the reader's language: chosen, filled in, and found again; English costs nothing."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime

import pytest

from importer.languages import (
    choose_language,
    decimal,
    language,
    language_of_terminal,
    moment,
    number,
    translate,
    translate_count,
    translate_filled,
    translate_word,
    use_language,
)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_AT"}, "de"),
        ({"LANG": "C.UTF-8", "LANGUAGE": "de"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LANGUAGE": "de:en"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "de_CH.UTF-8"}, "de"),
        ({"LANG": "fr_FR.UTF-8"}, "en"),
    ],
)
def test_the_environment_names_the_language(environ: dict[str, str], expected: str) -> None:
    """As gettext reads it: LC_ALL, then LC_MESSAGES, then LANG; LANGUAGE unless it is C."""
    assert language_of_terminal(environ) == expected


def test_the_first_language_that_there_is_counts() -> None:
    """A browser's list has others in front."""
    assert choose_language(["fr-FR", "de-CH", "en"]) == "de"
    assert choose_language(["nl"]) == "en"


def test_a_block_has_its_language_and_the_next_has_the_one_before() -> None:
    """A request does not change the language of another."""
    with use_language("de"):
        assert language() == "de"
        with use_language("en"):
            assert translate("Nothing to send.") == "Nothing to send."
        assert translate("Nothing to send.") == "Es gibt nichts zu senden."
    assert language() == "en"


def test_counts_numbers_and_dates_follow_the_language() -> None:
    """One and many have their own text, and separators are the language's."""
    at = datetime(2026, 3, 5, 14, 2, tzinfo=UTC)
    assert translate_count(1, "{n} row", "{n} rows") == "1 row"
    assert (number(1_200), decimal(0.8), moment(at)) == ("1,200", "0.8", "5 March 2026, 14:02")
    with use_language("de"):
        assert translate_count(1, "{n} row", "{n} rows") == "1 Zeile"
        assert translate_count(1_200, "{n} row", "{n} rows") == "1.200 Zeilen"
        assert (number(1_200), decimal(0.8), moment(at)) == ("1.200", "0,8", "5. März 2026, 14:02")


def test_a_filled_text_is_found_by_its_pattern() -> None:
    """Values stay as they are, numbers get the language's separators, parts are translated."""
    with use_language("de"):
        assert translate_filled("row 12 of row 3.csv") == "Zeile 12 von row 3.csv"
        assert translate_filled("more than 50,000,000 bytes (max_expanded_bytes)").startswith(
            "mehr als 50.000.000 Byte"
        )
        damaged = translate_filled("it is damaged or cut short in sheet “no content”")
        assert damaged == "beschädigt oder unvollständig im Tabellenblatt „no content“"


def test_what_is_unknown_stays_as_it_is() -> None:
    """A message of the API, a value of the file, a state that is new, and an empty text."""
    with use_language("de"):
        for text in ("", "Ada Lovelace", "{not} a place", "100% of {n}"):
            assert translate_filled(text) == text
            assert translate_word(text) == text
            assert translate(text) == text


def test_english_needs_no_catalogue() -> None:
    """It opens no file and imports neither gettext nor Babel."""
    code = (
        "import sys; from importer.languages import translate, translate_count, translate_filled;"
        "translate('a'); translate_count(2, '{n} a', '{n} b'); translate_filled('a');"
        "print(sorted({'gettext', 'babel'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True
    )
    assert result.stdout.strip() == "[]"
