"""The tool that compares readers sees what differs, and survives readers that fail or hang."""

from __future__ import annotations

import sys
from datetime import datetime, time, timedelta
from pathlib import Path

import pytest

from tests.support.bench.compare import differences, read_apart, text_of

CORPUS = Path(__file__).parents[2] / "corpus" / "files"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        (True, "true"),
        (42.0, "42"),
        (0.00001, "0.00001"),
        (442079460018.0, "442079460018"),
        (datetime(2026, 3, 1), "2026-03-01"),  # noqa: DTZ001
        (datetime(2026, 3, 1, 9, 30), "2026-03-01T09:30:00"),  # noqa: DTZ001
        (time(9, 30), "09:30:00"),
        (timedelta(hours=255, minutes=10), "255:10:00"),
    ],
)
def test_values_of_all_readers_become_one_text(value: object, text: str) -> None:
    """What they mean is compared, not how a library spells it."""
    assert text_of(value) == text


def test_each_cell_that_differs_is_named() -> None:
    """Also one that only one of the two has."""
    ours = {"A": {"1:1": "x", "2:1": "0042"}, "B": {"1:1": "y"}}
    theirs = {"A": {"1:1": "x", "2:1": "42"}, "C": {"1:1": "z"}}
    assert list(differences(ours, theirs)) == [
        ("A 2:1", "0042", "42"),
        ("B 1:1", "y", ""),
        ("C 1:1", "", "z"),
    ]


def test_readers_run_apart() -> None:
    """One file by two of them; and one that is no workbook at all."""
    book = CORPUS / "dates-openpyxl.xlsx"
    ours = read_apart("importer", book, sys.executable)
    assert isinstance(ours, dict)
    assert any(ours.values())
    assert ours == read_apart("openpyxl", book, sys.executable)
    assert "InvalidFile" in str(read_apart("openpyxl", CORPUS / "binary.csv", sys.executable))


def test_a_reader_that_hangs_is_ended() -> None:
    """It takes no more than its time."""
    assert "no end" in str(read_apart("importer", CORPUS / "binary.csv", sys.executable, 0.001))
