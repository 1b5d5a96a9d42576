"""Read yes and no in eight languages."""

from __future__ import annotations

from functools import cache
from typing import Final

import polars as pl

from importer.normalise.text import fold_words

_YES: Final = """
    true t yes y ok on 1 x ✓ ✔ ☑ ✅ checked
    ja j wahr an ein
    oui o vrai active
    si s verdadero cierto
    vero acceso
    waar aan
    tak prawda wlaczone
    sim verdadeiro
"""
_NO: Final = """
    false f no n off 0 ✗ ✘ ☐ unchecked
    nein falsch aus
    non faux inactive
    falso
    nee onwaar uit
    nie falsz wylaczone
    nao
"""


@cache
def _table() -> pl.DataFrame:
    """Folded word -> `true` or `false`."""
    meaning = dict.fromkeys(_YES.split(), "true") | dict.fromkeys(_NO.split(), "false")
    words, said = pl.Series("word", list(meaning)), pl.Series("said", list(meaning.values()))
    return pl.DataFrame([_key(words), said]).unique("word")


def _key(cells: pl.Series) -> pl.Series:
    """The words as they are compared; marks such as ✓ are compared as they are."""
    plain = fold_words(cells.str.replace(r"^([01])\.0+$", "${1}"))  # a number cell says 1.0
    return plain.zip_with(plain != "", cells)


def read_booleans(cells: pl.Series) -> pl.Series:
    """Read yes and no as `true` and `false`; null if a cell is empty or neither.

    Args:
        cells: tidy text.
    """
    distinct = cells.drop_nulls().unique()
    if not distinct.len():
        return cells
    table = pl.DataFrame({"cell": distinct, "word": _key(distinct)}).join(
        _table(), on="word", how="inner"
    )
    return cells.replace_strict(
        table["cell"], table["said"], default=None, return_dtype=pl.String
    ).alias(cells.name)
