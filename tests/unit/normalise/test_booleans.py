"""Yes and no are read in eight languages, and nothing else is."""

from __future__ import annotations

import polars as pl
import pytest

from importer.normalise.text import read_booleans


def read(*cells: str | None) -> list[str | None]:
    """Return what some cells say."""
    return read_booleans(pl.Series("flag", cells, dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    "cell",
    [
        "yes",
        "Yes",
        "Y",
        "TRUE",
        "true",
        "1",
        "1.0",
        "x",
        "X",
        "on",
        "ja",
        "JA",
        "oui",
        "sí",
        "si",
        "sì",
        "tak",
        "sim",
    ],
)
def test_yes(cell: str) -> None:
    """However people say yes."""
    assert read(cell) == ["true"]


@pytest.mark.parametrize(
    "cell",
    [
        "no",
        "No",
        "N",
        "FALSE",
        "false",
        "0",
        "0.0",
        "off",
        "nein",
        "non",
        "nie",
        "não",
        "nao",
        "nee",
    ],
)
def test_no(cell: str) -> None:
    """However people say no."""
    assert read(cell) == ["false"]


@pytest.mark.parametrize(
    ("cell", "result"),
    [
        ("wahr", "true"),
        ("falsch", "false"),
        ("vrai", "true"),
        ("faux", "false"),
        ("verdadero", "true"),
        ("falso", "false"),
        ("vero", "true"),
        ("waar", "true"),
        ("onwaar", "false"),
        ("prawda", "true"),
        ("fałsz", "false"),
        ("włączone", "true"),
        ("verdadeiro", "true"),
        ("✓", "true"),
        ("✗", "false"),
    ],
)
def test_true_and_false_in_other_words(cell: str, result: str) -> None:
    """The spreadsheet programs' own words in their languages, and ticks."""
    assert read(cell) == [result]


@pytest.mark.parametrize("cell", ["maybe", "10", "2", "yes and no", "-", "?", "n/a", "01"])
def test_anything_else_is_neither(cell: str) -> None:
    """No guess is made."""
    assert read(cell) == [None]


def test_a_column_keeps_its_rows() -> None:
    """Empty cells stay, between others and alone."""
    assert read("yes", None, "nein", "what") == ["true", None, "false", None]
    assert read(None, None) == [None, None]
