"""Words that mean "not available", in eight languages."""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import polars as pl

_WORDS: Final = """
    n/a, n / a, none, unknown, not available, not applicable, not provided, not given, not
    known, not supplied, not specified, no data, no phone, no number, no mobile, no email, no
    e-mail, undefined, to be confirmed, to be advised, to be announced, tbc, tbd, tba, keine
    Angabe, keine Angaben, k/a, unbekannt, nicht vorhanden, nicht bekannt, nicht verfügbar,
    nicht angegeben, entfällt, keine Telefonnummer, keine E-Mail, aucun, aucune, néant, inconnu,
    inconnue, non disponible, non renseigné, non communiqué, non applicable, non précisé, sans
    objet, pas disponible, ninguno, ninguna, desconocido, desconocida, no disponible, no aplica,
    no aplicable, sin datos, sin teléfono, sin correo, no consta, s/d, s/n, nessuno, nessuna,
    sconosciuto, sconosciuta, non applicabile, non noto, n/d, non disponibile, non fornito,
    onbekend, niet beschikbaar, niet van toepassing, niet bekend, n.v.t., nieznany, nieznana,
    nieznane, nie dotyczy, niedostępne, niedostępny, nie podano, brak danych, brak informacji,
    b/d, nenhum, nenhuma, desconhecido, desconhecida, não disponível, indisponível, não se
    aplica, não aplicável, não informado, sem telefone, sem email
"""
_EXACT: Final = ("NULL", "null", "nan", "NaN")
"""Words that are names in other capitals: Null, Nan."""

_CONTACT_WORDS: Final = """
    n.a., na, nil, null, nan, no, nd, n.d., ka, k.a., sd, s.d., nc, b.d., nk, x, xx, xxx, blank,
    empty, missing, pending, withheld, anonymous, kein, keine, leer, ohne, fehlt, nein, vide,
    non, vacío, assente, mancante, vuoto, geen, leeg, nee, brak, nie, vazio, não
"""
"""Words that can be names, initials or country codes, but neither a phone nor an e-mail."""

_AROUND: Final = r"[\s()\[\]<>#'\"*.-]*"
_SIGNS: Final = r"^[\s.?*/\\_~=‐‑‒–—−-]+$"  # but not `#####`, a column too narrow for its number
_ZEROS: Final = r"^[\s0]+$"


def blank_missing(cells: pl.Series, *, contact: bool) -> pl.Series:
    """Make cells that say "not available" null.

    Args:
        cells: tidy text.
        contact: the cells are phones or e-mails, so that short words and zeros count, too.
    """
    missing = cells.str.contains(_pattern(contact=contact)) | cells.str.contains(_SIGNS)
    if contact:
        missing |= cells.str.contains(_ZEROS)
    return cells.set(missing.fill_null(value=False), None) if missing.any() else cells


@cache
def _pattern(*, contact: bool) -> str:
    """Regular expression of a whole cell."""
    listed = f"{_WORDS},{_CONTACT_WORDS}" if contact else _WORDS
    words = "|".join(_spellings(" ".join(word.split())) for word in listed.split(","))
    return rf"^{_AROUND}(?:(?i:{words})|{'|'.join(_EXACT)}){_AROUND}$"


def _spellings(word: str) -> str:
    """The word with or without accents; blanks may be other separators."""
    letters = []
    for letter in unicodedata.normalize("NFC", word):
        plain = unicodedata.normalize("NFD", letter)[0]
        letters.append(f"[{letter}{plain}]" if plain != letter else letter)
    return "".join(letters).replace(".", r"\.?").replace(" ", r"[\s._-]*")
