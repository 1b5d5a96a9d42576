"""Numbers lose no digits, and serial dates become those that the program shows."""

from __future__ import annotations

import polars as pl
import pytest

from importer.loader import sheet


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (442079460018.0, "442079460018"),
        (4.47911123456789e17, "447911123456789000"),
        (0.1 + 0.2, "0.3"),
        (1e-5, "0.00001"),
        (-5.0, "-5"),
        (-0.0, "0"),
        (1e20, "100000000000000000000"),
        (float("inf"), "inf"),
    ],
)
def test_plain(value: float, text: str) -> None:
    """No exponent, no `.0`, fifteen digits."""
    assert sheet.plain(value) == text


@pytest.mark.parametrize(
    ("serial", "text"),
    [
        (46082, "2026-03-01"),
        (46082.395833333336, "2026-03-01T09:30:00"),
        (0.5, "12:00:00"),
        (61, "1900-03-01"),
        (59, "1900-02-28"),
        (1, "1900-01-01"),
        (-1, "-1"),
        (3e6, "3000000"),
        (46081.999999, "2026-03-01"),
    ],
)
def test_moments(serial: float, text: str) -> None:
    """Days without a time, times without a day, and what is no date stays a number."""
    assert sheet.moment(serial) == text


def test_moments_since_1904() -> None:
    """Old workbooks of the Mac count from another day."""
    assert sheet.moment(44620, since_1904=True) == "2026-03-01"
    assert sheet.moment(0, since_1904=True) == "1904-01-01"


def test_elapsed_time() -> None:
    """More than a day is not cut to a clock."""
    assert sheet.moment(1.25, elapsed=True) == "30:00:00"


@pytest.mark.parametrize(
    ("number", "code", "date"),
    [
        (14, None, True),
        (0, None, False),
        (164, "dd/mm/yyyy", True),
        (164, "[$-409]d mmm;@", True),
        (164, "[h]:mm", True),
        (164, '0.00 "days"', False),
        (164, "[Red]0.00", False),
        (164, r"0\d", False),
        (164, "00000000000", False),
    ],
)
def test_which_formats_are_dates(number: int, code: str | None, date: bool) -> None:  # noqa: FBT001
    """Letters in quotation marks, brackets and after a backslash do not count."""
    assert sheet.is_date(number, code) is date


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (0, None),
        (164, "0"),
        (164, '"+"0'),
        (164, '"+1 "000\\-000\\-0000'),
        (164, "00000000000"),
        (164, '"tel "General" +"'),
        (164, "[<=9999999]###-####;+1 (###) ###-####"),
        (164, "[$€-407]#,##0.00"),
        (164, "+0;-0"),
        (164, "dd/mm/yyyy"),
        (46, None),
    ],
)
def test_many_numbers_are_shown_as_one_by_one(number: int, code: str | None) -> None:
    """Numbers of every length, in one column."""
    digits = pl.Series(["0", "7", "42", "5550104", "2025550104", "442079460018", "9" * 15])
    shown = sheet.shown_digits(digits, number, code)
    assert shown.to_list() == [sheet.shown_number(float(each), number, code) for each in digits]
