"""Tidying text: spaces, invisible characters and the normal form change, letters never do.

What a cell loses: blanks at its ends, characters without a picture (controls, zero-width and
direction marks, soft hyphens, byte-order marks) and the difference between two spellings of the
same letter (NFC). A zero-width joiner stays where the script needs it to shape its letters, as in
Persian, Hindi or Malayalam names, and inside emoji.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

if TYPE_CHECKING:
    from collections.abc import Collection

SURE: Final = (
    r" -~\x{a1}-\x{ac}\x{ae}-\x{2ff}\x{400}-\x{482}\x{48a}-\x{52f}\x{1e00}-\x{1e9a}"
    r"\x{1ea0}-\x{1ef9}\x{2010}-\x{2027}\x{20ac}\x{3041}-\x{3096}\x{30a1}-\x{30fa}"
    r"\x{4e00}-\x{9fff}\x{ac00}-\x{d7a3}"
)
"""Characters that tidying never touches, wherever they stand, apart from the plain blank.

One cheap look at each cell for anything else spares nearly every file the work below; a test
holds each of them against the Unicode tables.
"""

BLANK: Final = r"[\s\p{Zs}\x{2800}\x{3164}\x{ffa0}]"
"""Whatever shows as nothing but room, line breaks included."""

_ODD_TEXT: Final = rf"[^{SURE}]|^ | $|^$"
_ODD_LINE: Final = rf"{_ODD_TEXT}|  "

_INVISIBLE: Final = (
    r"[\x{0}-\x{8}\x{e}-\x{1f}\x{7f}-\x{84}\x{86}-\x{9f}\x{ad}\x{61c}\x{180e}\x{1bca0}-\x{1bca3}"
    r"\x{1d173}-\x{1d17a}\x{200b}-\x{200f}\x{202a}-\x{202e}\x{2060}-\x{206f}\x{fdd2}-\x{fdef}"
    r"\x{feff}\x{fff0}-\x{fffb}\x{fffe}\x{ffff}\x{e0000}-\x{e007f}]"
)
_BREAK: Final = r"\r\n|[\r\x{b}\x{c}\x{85}\x{2028}\x{2029}]"
_SPACE: Final = r"[\p{Zs}\x{2800}\x{3164}\x{ffa0}]"

_SCRIPTS: Final = (
    "Arabic Syriac Nko Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada "
    "Malayalam Sinhala Tibetan Myanmar Khmer Extended_Pictographic"
)
_SHAPED: Final = r"\x{fe0f}\x{1f3fb}-\x{1f3ff}" + "".join(
    rf"\p{{{script}}}" for script in _SCRIPTS.split()
)
_VIRAMA: Final = r"\x{94d}\x{9cd}\x{a4d}\x{acd}\x{b4d}\x{bcd}\x{c4d}\x{ccd}\x{d4d}\x{dca}"
_ZWNJ, _ZWJ = "\u200c", "\u200d"
_KEPT: Final = {_ZWNJ: "\ufdd0", _ZWJ: "\ufdd1"}  # noncharacters, so no text can hold them


def tidy(cells: pl.DataFrame, lines: Collection[str]) -> tuple[pl.DataFrame, dict[str, pl.Series]]:
    """The same cells without stray blanks and invisible characters, in normal form C.

    Args:
        cells: text columns.
        lines: columns whose cells are one line: runs of blanks and line breaks become one blank.
            In the others line breaks and inner blanks stay.

    Returns:
        The tidy cells (null where nothing is left), and for each column that had odd cells the
        positions (UInt32) of these.
    """
    looks = (
        pl.col(name).str.contains(_ODD_LINE if name in lines else _ODD_TEXT)
        for name in cells.columns
    )
    places = {look.name: look.arg_true() for look in cells.select(looks) if look.any()}
    changed = [
        cells[name].clone().scatter(at, _tidied(cells[name].gather(at), one_line=name in lines))
        for name, at in places.items()
    ]
    return cells.with_columns(changed), places


def _tidied(cells: pl.Series, *, one_line: bool) -> pl.Series:
    """Odd cells, tidied; null where nothing is left."""
    cells = _joiners_marked(cells)
    text = pl.col(cells.name).str.replace_all(_BREAK, "\n").str.replace_all(_INVISIBLE, "")
    text = text.str.replace_all(_SPACE, " ")
    if one_line:
        text = text.str.replace_all(r"[ \t\n]+", " ")
    text = text.str.strip_chars(" \t\n").str.normalize("NFC")
    for joiner, mark in _KEPT.items():
        text = text.str.replace_all(mark, joiner, literal=True)
    return cells.to_frame().select(pl.when(text != "").then(text).alias(cells.name)).to_series()


def _joiners_marked(cells: pl.Series) -> pl.Series:
    """The same cells with marks in place of the joiners that shape letters."""
    cells = cells.str.replace_all(r"[\x{fdd0}\x{fdd1}]", "")
    if not cells.str.contains(f"[{_ZWNJ}{_ZWJ}]").any():
        return cells
    for joiner, mark in _KEPT.items():
        between = rf"([{_SHAPED}]){joiner}([{_SHAPED}])"
        for _ in range(2):  # a letter between two joiners belongs to both matches
            cells = cells.str.replace_all(between, f"${{1}}{mark}${{2}}")
        cells = cells.str.replace_all(rf"([{_VIRAMA}]){joiner}", f"${{1}}{mark}")
    return cells


def folded(cells: pl.Series) -> pl.Series:
    """What two spellings of one word share: letters and digits, lower case, without accents."""
    text = pl.col(cells.name).str.to_lowercase().str.normalize("NFKD")
    text = text.str.replace_all(r"[^\p{L}\p{N}+]", "")
    text = text.str.replace_many(["ß", "ł", "ø", "đ", "æ", "œ"], ["ss", "l", "o", "d", "ae", "oe"])
    return cells.to_frame().select(text).to_series()


def visible(text: pl.Expr) -> pl.Expr:
    """The same text with what cannot be seen spelled out (`<U+200B>`), cut at 200 characters."""
    cut = (
        pl.when(text.str.len_chars() > _SHOWN_CHARS)
        .then(text.str.head(_SHOWN_CHARS) + pl.lit("…"))
        .otherwise(text)
    )
    return cut.str.replace_many(list(_SPELLED), list(_SPELLED.values()))


_SHOWN_CHARS: Final = 200
_UNSEEN: Final = (
    (0x0, 0x1F),
    (0x7F, 0xA0),
    (0xAD, 0xAD),
    (0x61C, 0x61C),
    (0x180E, 0x180E),
    (0x2000, 0x200F),
    (0x2028, 0x202F),
    (0x205F, 0x206F),
    (0x3000, 0x3000),
    (0x3164, 0x3164),
    (0xFEFF, 0xFEFF),
    (0xFFA0, 0xFFA0),
    (0xFFF0, 0xFFFB),
)
_SPELLED: Final = {
    chr(code): f"<U+{code:04X}>" for first, last in _UNSEEN for code in range(first, last + 1)
}
