"""Numbers, lists and values as a reader likes them: plural right, sorted, no control characters."""

from __future__ import annotations

import math
import re
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence


DELIMITERS: Final = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}

# Control characters could repaint a terminal; direction marks could turn a line around.
_UNSEEN: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]+")


def number(count: int) -> str:
    """A whole number with a comma between thousands."""
    return f"{count:,}"


def counted(count: int, singular: str, plural: str | None = None) -> str:
    """A number with its noun: `1 row`, `1,200 rows`."""
    return f"{count:,} {singular if count == 1 else plural or singular + 's'}"


def listed(items: Sequence[int], total: int | None = None, *, most: int = 12) -> str:
    """Row numbers in a line, and how many are left out: `14, 27, 33 and 9 more`."""
    shown = ", ".join(str(item) for item in items[:most])
    more = (len(items) if total is None else total) - min(len(items), most)
    return f"{shown} and {more:,} more" if more > 0 else shown


def plain(text: str, most: int = 80) -> str:
    """A value in one line that no terminal takes for a command, cut to `most` characters."""
    clean = _UNSEEN.sub(" ", text)
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def duration(seconds: float) -> str:
    """A time that nobody needs to the second: `under a minute`, `about 3 hours 20 minutes`."""
    minutes = math.ceil(seconds / 60)
    if minutes <= 1:
        return "under a minute" if seconds < 60 else "about a minute"  # noqa: PLR2004
    if minutes < 60:  # noqa: PLR2004
        return f"about {minutes} minutes"
    hours, rest = divmod(minutes, 60)
    return f"about {counted(hours, 'hour')}" + (f" {counted(rest, 'minute')}" if rest else "")


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a number above one: `12 KB`."""
    value = float(count)
    for unit in ("bytes", "KB", "MB"):
        if value < 1000:  # noqa: PLR2004
            return counted(count, "byte") if unit == "bytes" else f"{value:.0f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"


def read_as(encoding: str, delimiter: str, sheet: str | None, header_row: int) -> str:
    """How a file was understood: `UTF-8, semicolons`, or the sheet, and an unusual header row."""
    if sheet is not None:
        how = f"sheet {sheet}"
    else:
        separator = DELIMITERS.get(delimiter, delimiter)
        how = ", ".join(part for part in (encoding, separator) if part)
    return f"{how}, header in row {header_row}" if how and header_row > 1 else how


def elapsed(seconds: float) -> str:
    """A time that is over: `0.8 s`, `42 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds < 10:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 1:
        return f"{rest} s"
    hours, left = divmod(minutes, 60)
    return f"{hours} h {left} min" if hours else f"{minutes} min {rest} s"


def weight(*texts: str) -> int:
    """Bytes that texts take in a page, escaped."""
    return sum(len(escape(text).encode()) for text in texts)
