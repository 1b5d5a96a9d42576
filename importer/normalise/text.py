"""Tidying text: spaces, invisible characters and the normal form change, letters never do.

What a cell loses: blanks at its ends, characters without a picture (controls, zero-width and
direction marks, soft hyphens, byte-order marks) and the difference between two spellings of the
same letter (NFC). A zero-width joiner stays where the script needs it to shape its letters, as in
Persian, Hindi or Malayalam names, and inside emoji.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from importer.normalise.characters import (
    IN_LINE,
    IN_TEXT,
    MARKS,
    SHAPED,
    SPELLED,
    SURE,
    UNACCENTED,
    VIRAMA,
    ZWJ,
    ZWNJ,
)

if TYPE_CHECKING:
    from collections.abc import Collection

_ODD_IN_TEXT: Final = rf"[^{SURE}]|^ | $|^$"
_ODD_IN_LINE: Final = rf"{_ODD_IN_TEXT}|  "
_SHOWN_CHARS: Final = 200
_FIRST_ROWS: Final = 2_000
_REPEATED: Final = 4
"""A column repeats itself that has so many times fewer different cells among its first rows."""
_NOWHERE: Final = pl.Series([], dtype=pl.UInt32)


def tidy(cells: pl.DataFrame, lines: Collection[str]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """The same cells without stray blanks and invisible characters, in normal form C.

    One cheap look at each cell for characters that are not sure to stay spares nearly every cell
    the work.

    Args:
        cells: text columns.
        lines: columns whose cells are one line: runs of blanks and line breaks become one blank.
            In the others line breaks and inner blanks stay.

    Returns:
        The tidy cells (null where nothing is left), and for each column that had odd cells the
        positions (UInt32) of these.
    """
    found = _odd(cells, lines)
    places = {name: found[name] for name in cells.columns if found[name].len()}
    changed = [
        cells[name].clone().scatter(at, _tidied(cells[name].gather(at), one_line=name in lines))
        for name, at in places.items()
    ]
    return cells.with_columns(changed), places


def _odd(cells: pl.DataFrame, lines: Collection[str]) -> dict[str, pl.Series]:
    """For each column the positions (UInt32) of the cells that may have to change.

    Where a column says few things again and again, each of them is looked at once.
    """
    patterns = {name: _ODD_IN_LINE if name in lines else _ODD_IN_TEXT for name in cells.columns}
    first = cells.head(_FIRST_ROWS)
    few = [name for name in cells.columns if first[name].n_unique() < first.height / _REPEATED]
    many = [name for name in cells.columns if name not in few]
    looks = cells.select(pl.col(name).str.contains(patterns[name]) for name in many)
    found = {look.name: look.arg_true() for look in looks}
    for name in few:
        words = cells[name].unique()
        odd = words.filter(words.str.contains(patterns[name]))
        found[name] = cells[name].is_in(odd.implode()).arg_true() if odd.len() else _NOWHERE
    return found


def _tidied(cells: pl.Series, *, one_line: bool) -> pl.Series:
    """Odd cells, tidied; null where nothing is left."""
    became = IN_LINE if one_line else IN_TEXT
    text = cells.str.replace_many(list(became), list(became.values()), leftmost=True)
    if text.str.contains_any([ZWNJ, ZWJ]).any():
        text = _without_idle_joiners(text)
    if one_line:
        text = text.str.replace_all(" {2,}", " ")
    text = _composed(text.str.strip_chars(" " if one_line else " \t\n"))
    something = pl.when(pl.col(cells.name) != "").then(pl.col(cells.name))
    return text.to_frame().select(something.alias(cells.name)).to_series()


def _composed(cells: pl.Series) -> pl.Series:
    """The same text in normal form C, which most of it is in already."""
    unsure = cells.str.contains(f"[^{SURE}]").arg_true()
    if not unsure.len():
        return cells
    return cells.clone().scatter(unsure, cells.gather(unsure).str.normalize("NFC"))


def _without_idle_joiners(cells: pl.Series) -> pl.Series:
    """The same cells without the zero-width joiners that shape no letter."""
    for joiner, mark in MARKS.items():
        between = rf"([{SHAPED}]\p{{M}}*){joiner}+([{SHAPED}])"
        for _ in range(2):  # a letter between two joiners belongs to both matches
            cells = cells.str.replace_all(between, f"${{1}}{mark}${{2}}")
        cells = cells.str.replace_all(rf"([{VIRAMA}]\p{{M}}*){joiner}", f"${{1}}{mark}")
    cells = cells.str.replace_all(f"[{ZWNJ}{ZWJ}]", "")
    for joiner, mark in MARKS.items():
        cells = cells.str.replace_all(mark, joiner, literal=True)
    return cells


def folded(cells: pl.Series) -> pl.Series:
    """What two spellings of one word share: letters and digits, lower case, without accents."""
    text = cells.str.to_lowercase()
    if (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.normalize("NFKD")
        text = text.str.replace_many(list(UNACCENTED), list(UNACCENTED.values()))
    return text.str.replace_all(r"[^\p{L}\p{N}+]", "")


def visible(text: pl.Expr) -> pl.Expr:
    """The same text with what cannot be seen spelled out (`<U+200B>`), cut at 200 characters."""
    cut = (
        pl.when(text.str.len_chars() > _SHOWN_CHARS)
        .then(text.str.head(_SHOWN_CHARS) + pl.lit("…"))
        .otherwise(text)
    )
    return cut.str.replace_many(list(SPELLED), list(SPELLED.values()))
