"""Tidy text, and read words that mean an empty cell, yes or no.

Unusual characters are written as code points, so that none is invisible in an editor.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection


SURE: Final = (
    r" -~\x{a1}-\x{ac}\x{ae}-\x{2ff}\x{400}-\x{482}\x{48a}-\x{52f}\x{1e00}-\x{1e9a}"
    r"\x{1ea0}-\x{1ef9}\x{2010}-\x{2027}\x{20ac}\x{3041}-\x{3096}\x{30a1}-\x{30fa}"
    r"\x{4e00}-\x{9fff}\x{ac00}-\x{d7a3}"
)
"""Content of a regex class: characters that tidying never changes, except for the plain space.
A test compares each of them with the Unicode tables."""

BLANK: Final = r"[\s\p{Zs}\x{2800}\x{3164}\x{ffa0}]"
"""Regular expression: any character that shows as blank space, including line breaks."""

ZWNJ: Final = "\u200c"
ZWJ: Final = "\u200d"
MARKS: Final = {ZWNJ: "\ufdd0", ZWJ: "\ufdd1"}
"""Joiner -> the noncharacter that replaces it while the other joiners are removed."""

_SCRIPTS: Final = (
    "Arabic Syriac Nko Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada "
    "Malayalam Sinhala Tibetan Myanmar Khmer Extended_Pictographic"
)
SHAPED: Final = r"\x{fe0f}\x{1f3fb}-\x{1f3ff}" + "".join(
    rf"\p{{{script}}}" for script in _SCRIPTS.split()
)
"""Content of a regex class: letters and emoji whose shape a joiner between them changes."""

VIRAMA: Final = r"\x{94d}\x{9cd}\x{a4d}\x{acd}\x{b4d}\x{bcd}\x{c4d}\x{ccd}\x{d4d}\x{dca}"
"""Content of a regex class: signs after which a joiner shapes the letter before it (അനില്‍)."""

_RANGES: Final = (
    (0x0, 0x8),
    (0xE, 0x1F),
    (0x7F, 0x84),
    (0x86, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x61C, 0x61C),
    (0x180E, 0x180E),
    (0x200B, 0x200B),  # zero-width space; the joiners after it are looked at one by one
    (0x200E, 0x200F),  # direction marks
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xFDD0, 0xFDEF),
    (0xFEFF, 0xFEFF),  # byte-order mark
    (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE007F),  # tags
)
_INVISIBLE: Final = [chr(code) for first, last in _RANGES for code in range(first, last + 1)]
_SPACES: Final = [
    chr(code)
    for code in (
        *(0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000),
        *(0x2800, 0x3164, 0xFFA0),  # not spaces in Unicode, but they look blank
    )
]
_BREAKS: Final = ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")

IN_TEXT: Final = (
    dict.fromkeys(_BREAKS, "\n") | dict.fromkeys(_SPACES, " ") | dict.fromkeys(_INVISIBLE, "")
)
"""Replacements in a cell that may have several lines."""

IN_LINE: Final = IN_TEXT | dict.fromkeys((*_BREAKS, "\t"), " ")
"""Replacements in a cell of one line."""

SPELLED: Final = {
    one: f"<U+{ord(one):04X}>" for one in (*_INVISIBLE, *_SPACES, *_BREAKS[1:], "\t", ZWNJ, ZWJ)
}
"""Invisible character -> how reports show it."""

UNACCENTED: Final = dict.fromkeys(map(chr, range(0x300, 0x370)), "") | {
    "ß": "ss",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "æ": "ae",
    "œ": "oe",
}
"""Accents to drop after decomposing, and letters that do not decompose."""


_ODD_IN_TEXT: Final = rf"[^{SURE}]|^ | $|^$"
_ODD_IN_LINE: Final = rf"{_ODD_IN_TEXT}|  "
_SHOWN_CHARS: Final = 200
_FIRST_ROWS: Final = 2_000
_REPEATED: Final = 4
"""A column is repetitive if a distinct cell appears at least this often, on average."""
_NOWHERE: Final = pl.Series([], dtype=pl.UInt32)


def tidy(cells: pl.DataFrame, lines: Collection[str]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """Remove stray blanks and invisible characters, and compose letters (normal form C).

    Most cells need no change; one cheap test finds the others.

    Args:
        cells: text columns.
        lines: columns of one-line cells: runs of blanks and line breaks become one blank. Other
            columns keep line breaks and inner blanks.

    Returns:
        The tidy cells (null if nothing is left), and column -> positions (UInt32) of its odd
        cells, for the columns that have some.
    """
    found = _find_odd(cells, lines)
    places = {name: found[name] for name in cells.columns if found[name].len()}
    changed = [
        cells[name].clone().scatter(at, _tidy_odd(cells[name].gather(at), one_line=name in lines))
        for name, at in places.items()
    ]
    return cells.with_columns(changed), places


def _find_odd(cells: pl.DataFrame, lines: Collection[str]) -> dict[str, pl.Series]:
    """Return for each column the positions (UInt32) of cells that may have to change.

    In a repetitive column each distinct cell is tested once.
    """
    patterns = {name: _ODD_IN_LINE if name in lines else _ODD_IN_TEXT for name in cells.columns}
    few = [name for name in cells.columns if is_repetitive(cells[name])]
    many = [name for name in cells.columns if name not in few]
    looks = cells.select(pl.col(name).str.contains(patterns[name]) for name in many)
    found = {look.name: look.arg_true() for look in looks}
    for name in few:
        words = cells[name].unique()
        odd = words.filter(words.str.contains(patterns[name]))
        found[name] = cells[name].is_in(odd.implode()).arg_true() if odd.len() else _NOWHERE
    return found


def is_repetitive(cells: pl.Series) -> bool:
    """Whether a column has few distinct cells, as far as its first rows show."""
    first = cells.head(_FIRST_ROWS)
    return first.n_unique() < first.len() / _REPEATED


def _tidy_odd(cells: pl.Series, *, one_line: bool) -> pl.Series:
    """Tidy odd cells; null if nothing is left."""
    replacements = IN_LINE if one_line else IN_TEXT
    text = cells.str.replace_many(list(replacements), list(replacements.values()), leftmost=True)
    if text.str.contains_any([ZWNJ, ZWJ]).any():
        text = _drop_idle_joiners(text)
    if one_line:
        text = text.str.replace_all(" {2,}", " ")
    text = _compose(text.str.strip_chars(" " if one_line else " \t\n"))
    something = pl.when(pl.col(cells.name) != "").then(pl.col(cells.name))
    return text.to_frame().select(something.alias(cells.name)).to_series()


def _compose(cells: pl.Series) -> pl.Series:
    """Put text into normal form C, which most text has already."""
    unsure = cells.str.contains(f"[^{SURE}]").arg_true()
    if not unsure.len():
        return cells
    return cells.clone().scatter(unsure, cells.gather(unsure).str.normalize("NFC"))


def _drop_idle_joiners(cells: pl.Series) -> pl.Series:
    """Remove zero-width joiners that shape no letter."""
    for joiner, mark in MARKS.items():
        between = rf"([{SHAPED}]\p{{M}}*){joiner}+([{SHAPED}])"
        for _ in range(2):  # a letter between two joiners belongs to both matches
            cells = cells.str.replace_all(between, f"${{1}}{mark}${{2}}")
        cells = cells.str.replace_all(rf"([{VIRAMA}]\p{{M}}*){joiner}", f"${{1}}{mark}")
    cells = cells.str.replace_all(f"[{ZWNJ}{ZWJ}]", "")
    for joiner, mark in MARKS.items():
        cells = cells.str.replace_all(mark, joiner, literal=True)
    return cells


def fold_words(cells: pl.Series) -> pl.Series:
    """Reduce words to letters and digits, in lower case and without accents, to compare them."""
    text = cells.str.to_lowercase()
    if (text.str.len_bytes() != text.str.len_chars()).any():
        text = text.str.normalize("NFKD")
        text = text.str.replace_many(list(UNACCENTED), list(UNACCENTED.values()))
    return text.str.replace_all(r"[^\p{L}\p{N}+]", "")


def spell_out(text: pl.Expr) -> pl.Expr:
    """Spell out invisible characters (`<U+200B>`), and cut the text at 200 characters."""
    cut = (
        pl.when(text.str.len_chars() > _SHOWN_CHARS)
        .then(text.str.head(_SHOWN_CHARS) + pl.lit("…"))
        .otherwise(text)
    )
    return cut.str.replace_many(list(SPELLED), list(SPELLED.values()))


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
"""Words that are names if written with other capitals: Null, Nan."""

_CONTACT_WORDS: Final = """
    n.a., na, nil, null, nan, no, nd, n.d., ka, k.a., sd, s.d., nc, b.d., nk, x, xx, xxx, blank,
    empty, missing, pending, withheld, anonymous, kein, keine, leer, ohne, fehlt, nein, vide,
    non, vacío, assente, mancante, vuoto, geen, leeg, nee, brak, nie, vazio, não, sans, sin, senza,
    zonder, bez, sem, private, confidential, refused, declined, to follow, not on file, on file,
    none given, prefer not to say, not disclosed, not shared, not supplied, does not have one,
    leave blank, same as above, keine vorhanden, nicht erwünscht, liegt nicht vor, folgt, wird
    nachgereicht, manquant, manquante, non fourni, non fournie, confidentiel, no tiene, no
    facilitado, no indicado, falta, non indicato, niet opgegeven, niet ingevuld, volgt, nie ma, não
    tem, não fornecido, em falta
"""
"""Words that can be names, initials or country codes, but neither a phone nor an e-mail."""

_NONE: Final = (
    "no kein keine keinen pas-de sans sin nessun nessuna senza geen zonder brak bez sem nenhum"
)
_THINGS: Final = """
    phone telephone mobile cell number phone-number mobile-number email e-mail mail address
    telefon telefonnummer handy handynummer mobil mobilnummer adresse téléphone portable courriel
    teléfono móvil correo telefono cellulare numero telefoon telefoonnummer mobiel telefonu numeru
    maila telefone telemóvel celular email-address
"""
"""Each of the words before each of these says that a contact is not there: "kein Handy"."""

_AROUND: Final = r"[\s()\[\]<>#'\"*.-]*"
_SIGNS: Final = r"^[\s.?*/\\_~=‐‑‒–—−-]+$"  # but not `#####`, a column too narrow for its number
_ZEROS: Final = r"^[\s0]+$"


def blank_missing(cells: pl.Series, *, contact: bool) -> pl.Series:
    """Make cells that say "not available" null.

    Args:
        cells: tidy text.
        contact: whether the cells are phones or e-mails; short words and zeros then count, too.
    """
    missing = cells.str.contains(_pattern(contact=contact))
    return cells.set(missing.fill_null(value=False), None) if missing.any() else cells


@cache
def _pattern(*, contact: bool) -> str:
    """Return the regular expression of a whole cell that means "not available"."""
    listed = f"{_WORDS},{_CONTACT_WORDS}" if contact else _WORDS
    words = "|".join(_spellings(" ".join(word.split())) for word in listed.split(","))
    if contact:
        none, things = (
            "|".join(_spellings(word.replace("-", " ")) for word in some.split())
            for some in (_NONE, _THINGS)
        )
        words += rf"|(?:{none})[\s._-]+(?:{things})"
    said = rf"^{_AROUND}(?:(?i:{words})|{'|'.join(_EXACT)}){_AROUND}$"
    return f"{said}|{_SIGNS}|{_ZEROS}" if contact else f"{said}|{_SIGNS}"


def _spellings(word: str) -> str:
    """Return a pattern of a word, with or without accents; spaces match other separators."""
    letters = []
    for letter in unicodedata.normalize("NFC", word):
        plain = unicodedata.normalize("NFD", letter)[0]
        letters.append(f"[{letter}{plain}]" if plain != letter else letter)
    return "".join(letters).replace(".", r"\.?").replace(" ", r"[\s._-]*")


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
    """Return a frame of folded words with `true` or `false`."""
    meaning = dict.fromkeys(_YES.split(), "true") | dict.fromkeys(_NO.split(), "false")
    words, said = pl.Series("word", list(meaning)), pl.Series("said", list(meaning.values()))
    return pl.DataFrame([_key(words), said]).unique("word")


def _key(cells: pl.Series) -> pl.Series:
    """Fold words for comparison, except marks such as ✓."""
    plain = fold_words(cells.str.replace(r"^([01])\.0+$", "${1}"))  # a number cell says 1.0
    return plain.zip_with(plain != "", cells)


def read_booleans(cells: pl.Series) -> pl.Series:
    """Read yes and no as `true` and `false`; an empty cell, or any other word, is null.

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
