"""Numbers as text: all digits, no exponent, no `.0`; serial dates as ISO writes them."""

from __future__ import annotations

import math
import re
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

_SIGNIFICANT: Final = 15  # as many digits as spreadsheet programs keep
_LITERAL: Final = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?!h+\]|m+\]|s+\])[^\]]*\]', re.IGNORECASE)
_DATE: Final = re.compile(r"[dmyhs]", re.IGNORECASE)
_ELAPSED: Final = re.compile(r"\[[hms]+\]", re.IGNORECASE)
_ZEROS: Final = re.compile(r"0{2,20}")
_BUILT_IN_DATES: Final = frozenset({*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)})
_BUILT_IN_ELAPSED: Final = 46
_DAY_S: Final = 86_400
_LEAP_BUG: Final = 60  # the 29 February 1900 that never was
_LAST_DAY: Final = 2_958_466


def plain(value: float) -> str:
    """A number as a person would write it: `442079460018`, `0.3`, `-5`."""
    if math.isinf(value) or math.isnan(value):
        return str(value)
    return f"{Decimal(f'{value:.{_SIGNIFICANT}g}').normalize() + 0:f}"


def padded(digits: str, width: int) -> str:
    """A whole number with the leading zeros that its format shows."""
    return digits.zfill(width) if digits.isdigit() else digits


def zeros(code: str) -> int:
    """How many digits a format like `00000000000` shows; 0 for every other format."""
    return len(code) if _ZEROS.fullmatch(code) else 0


def is_date(number: int, code: str | None) -> bool:
    """Whether a number format shows dates or times.

    Args:
        number: of the format; the built-in ones have no code of their own.
        code: such as `dd/mm/yyyy`.
    """
    if code is None:
        return number in _BUILT_IN_DATES
    return _DATE.search(_LITERAL.sub("", code.partition(";")[0])) is not None


def is_elapsed(number: int, code: str | None) -> bool:
    """Whether a number format shows how long something took, such as `[h]:mm`."""
    return number == _BUILT_IN_ELAPSED if code is None else _ELAPSED.search(code) is not None


def moment(serial: float, *, since_1904: bool = False, elapsed: bool = False) -> str:
    """A serial date: `2026-03-01`, `2026-03-01T09:30:00`, `09:30:00`, or the number again."""
    if not 0 <= serial < _LAST_DAY:
        return plain(serial)
    days, seconds = divmod(round(serial * _DAY_S), _DAY_S)
    clock = f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if elapsed:
        return f"{days * 24 + seconds // 3600:02}{clock[2:]}"
    if not days and not since_1904:
        return clock
    first = datetime(1904, 1, 1) if since_1904 else datetime(1899, 12, 30)  # noqa: DTZ001
    if not since_1904 and days < _LEAP_BUG:
        days += 1
    day = (first + timedelta(days=days)).date().isoformat()
    return day if not seconds else f"{day}T{clock}"
