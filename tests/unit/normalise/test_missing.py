"""Cells that say "not available" are empty; cells that are somebody's name are not."""

from __future__ import annotations

import polars as pl
import pytest

from importer.normalise.text import blank_missing


def left(cell: str | None, *, contact: bool) -> str | None:
    """Return the rest of one cell."""
    result: str | None = blank_missing(pl.Series([cell], dtype=pl.String), contact=contact)[0]
    return result


@pytest.mark.parametrize("contact", [False, True])
@pytest.mark.parametrize(
    "cell",
    [
        *("N/A", "n/a", "#N/A", "N / A", "(none)", "None", "NONE", "NULL", "null", "<null>"),
        *("-", "--", "—", "?", "...", "/", "Unknown", "TBC", "not available", "no phone"),
        *("keine Angabe", "k/a", "unbekannt", "nicht verfügbar", "entfällt"),
        *("néant", "neant", "aucun", "non renseigné", "Non disponible"),
        *("ninguno", "no aplica", "desconocido", "sin teléfono", "s/d"),
        *("nessuno", "sconosciuto", "non disponibile", "n/d"),
        *("onbekend", "n.v.t.", "niet beschikbaar"),
        *("nie dotyczy", "nieznany", "brak danych", "b/d"),
        *("nenhum", "não informado", "nao se aplica", "desconhecido"),
    ],
)
def test_not_available_is_empty(cell: str, *, contact: bool) -> None:
    """In eight languages, with signs around it, with or without accents."""
    assert left(cell, contact=contact) is None


@pytest.mark.parametrize(
    "cell",
    [
        *("na", "nil", "x", "xxx", "no", "kein", "geen", "brak", "nie", "0", "000", "anonymous"),
        *("n.a.", "kein Handy", "pas de téléphone", "sin móvil", "nessuna e-mail"),
        *("geen telefoon", "brak numeru", "no phone number", "liegt nicht vor", "to follow"),
    ],
)
def test_short_words_are_no_contact(cell: str) -> None:
    """They are empty as a phone or an e-mail; elsewhere they may be a name, initials or a code."""
    assert left(cell, contact=True) is None
    assert left(cell, contact=False) == cell


@pytest.mark.parametrize(
    "cell",
    [
        "Null",
        "Nan",
        "Na",
        "Nil",
        "No",
        "N.A.",
        "Blank",
        "Ada",
        "None-Smith",
        "Naomi",
        "0123",
        "#####",
        "+44",
        "a@n.example",
        None,
    ],
)
def test_everything_else_stays(cell: str | None) -> None:
    """Real names among the words, and cells that only contain one."""
    assert left(cell, contact=False) == cell
