"""Which delimiter a text has: the one that gives headers we know and rows of one width."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from importer.headers import recognised
from importer.loader.records import records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DELIMITERS: Final = (",", ";", "\t", "|")
_SAID: Final = re.compile(r'\A"?sep=([^\r\n"])"?[ \t,;|]*(?:\r\n|\r|\n|\Z)', re.IGNORECASE)
_ROWS: Final = 100
_HEADER_ROWS: Final = 20


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a text is delimited.

    Attributes:
        delimiter: one character.
        said: the first line is `sep=` and the delimiter, no row.
    """

    delimiter: str
    said: bool = False


def detect(head: str, overrides: Mapping[str, str]) -> Dialect:
    """Finds the delimiter.

    Args:
        head: the first lines of the text, whole.
        overrides: header -> column, as in the settings: these headers are known, too.
    """
    said = _SAID.match(head)
    if said is not None:
        return Dialect(said.group(1), said=True)
    fits = {delimiter: _fit(head, delimiter, overrides) for delimiter in DELIMITERS}
    return Dialect(max(DELIMITERS, key=fits.__getitem__))


def _fit(head: str, delimiter: str, overrides: Mapping[str, str]) -> tuple[int, float, int]:
    """How well a delimiter explains the first rows: known headers, even rows, width."""
    read = islice(records(iter(io.StringIO(head, newline="")), delimiter), _ROWS)
    rows = [record.cells for record in read if any(map(str.strip, record.cells))]
    if not rows:
        return 0, 0.0, 0
    known = [recognised(cells, overrides) for cells in rows[:_HEADER_ROWS]]
    header = known.index(max(known))
    width = len(rows[header])
    return max(known), _evenness(rows[header:], width), width


def _evenness(rows: Sequence[Sequence[str]], width: int) -> float:
    return sum(len(cells) == width for cells in rows) / len(rows)
