"""Totals and export notes below the data are no candidates: they are left out, and named."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from importer import problems
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Sequence

    import polars as pl

TAIL: Final = 5
"""Rows at the end that may be no data."""

_TOTAL: Final = re.compile(
    r"(?:(?:grand |sub)?totals?|sum|summe|gesamt(?:summe|zahl)?|insgesamt|count|record count"
    r"|anzahl|somme|total général|nombre|suma|recuento|totale|somma|totaal|som|aantal|razem"
    r"|łącznie|ogółem|soma|contagem)(?!\w)",
    re.IGNORECASE,
)
_NOTE: Final = re.compile(
    r"(?:exported|generated|created|printed|report|end of|page \d|\*+ ?end|exportiert|erstellt"
    r"|seite \d|exporté|généré|exportado|generado|esportato|generato|geëxporteerd|wygenerowano"
    r"|gerado)\b.*",
    re.IGNORECASE | re.DOTALL,
)
_AFTER: Final = re.compile(r"[\s:=()]*(?P<number>[\d.,\s\u00a0\u202f']*)(?:rows?|records?|\))?")
_NUMBER: Final = re.compile(r"[-+]?[\d.,\s\u00a0\u202f'%€$£]+")
_FEWER_THAN_A_PHONE: Final = 7


def without(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cells without what stands below the data, and a problem (info) for each row of it.

    A row that could be a candidate, with an e-mail or as many digits as a phone has, never goes.

    Args:
        frame: `#row` and text columns, without blank rows.
    """
    rows = []
    for row, *cells in reversed(frame.tail(TAIL).rows()):
        filled = [cell.strip() for cell in cells if cell is not None and cell.strip()]
        if not _is_footer(filled):
            break
        rows.append((row, filled[0]))
    if not rows:
        return frame, problems.empty()
    found = [
        problems.one(Code.TOTALS_SKIPPED, row=row, value=text, detail=text[:40])
        for row, text in rows
    ]
    return frame.head(-len(rows)), problems.joined(found)


def _is_footer(cells: Sequence[str]) -> bool:
    if not cells:
        return False
    if any("@" in cell or sum(map(str.isdigit, cell)) >= _FEWER_THAN_A_PHONE for cell in cells[1:]):
        return False
    if len(cells) == 1 and "@" not in cells[0] and _NOTE.fullmatch(cells[0]):
        return True
    word = _TOTAL.match(cells[0])
    after = _AFTER.fullmatch(cells[0], word.end()) if word is not None else None
    if after is None or sum(map(str.isdigit, after.group())) >= _FEWER_THAN_A_PHONE:
        return False
    return all(_NUMBER.fullmatch(cell) or _TOTAL.fullmatch(cell) for cell in cells[1:])
