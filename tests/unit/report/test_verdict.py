"""The one line that says what will happen."""

from __future__ import annotations

import pytest

from importer.model import Counts
from importer.report.view import asides, headline


@pytest.mark.parametrize(
    ("counts", "groups", "said"),
    [
        (
            Counts(read=340, ready=312, rejected=28),
            4,
            "312 of 340 rows are ready for 4 groups; 28 need fixing.",
        ),
        (
            Counts(read=2, ready=1, rejected=1),
            1,
            "1 of 2 rows is ready for 1 group; 1 needs fixing.",
        ),
        (Counts(read=5, ready=5), 1, "All 5 rows are ready for 1 group; nothing needs fixing."),
        (Counts(read=1, ready=1), 1, "The only row is ready for 1 group; nothing needs fixing."),
        (Counts(read=1, rejected=1), 0, "The only row is not ready; 1 needs fixing."),
        (Counts(read=9, rejected=9), 0, "None of 9 rows is ready; 9 need fixing."),
        (Counts(), 0, "There are no rows to import."),
        (
            Counts(read=4000, ready=2000, duplicates=2000),
            1000,
            "2,000 of 4,000 rows are ready for 1,000 groups; nothing needs fixing.",
        ),
    ],
)
def test_the_headline_agrees_with_its_numbers(counts: Counts, groups: int, said: str) -> None:
    """Singular, plural, all, none."""
    assert headline(counts, groups) == said


def test_what_else_happens_is_said() -> None:
    """Files, repeats, earlier runs and the time it takes, each only where there is one."""
    assert list(asides(Counts(read=3, duplicates=1, already_imported=2), 1, 0.0)) == [
        "1 file could not be used.",
        "1 row repeats the person of an earlier row: skipped.",
        "2 rows were imported by an earlier run: skipped.",
    ]
    assert list(asides(Counts(read=600, ready=600), 0, 120.0)) == ["Sending takes about 2 minutes."]
    assert not list(asides(Counts(read=1, rejected=1), 0, 0.0))
