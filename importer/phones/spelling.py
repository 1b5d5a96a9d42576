"""What people write around a phone number: marks, labels, extensions, several numbers in a cell.

Nothing here knows which numbers exist. A cell is made tidy, and what is left of it has a
`CellKind`.
"""

from __future__ import annotations

import sys
import unicodedata
from enum import StrEnum
from functools import cache
from typing import Final

import polars as pl

LETTERS: Final = ": it contains letters"
STRANGE: Final = ": it contains characters that no phone number has"
"""They complete the messages of cells that hold no number."""


class CellKind(StrEnum):
    """What a tidy cell is."""

    BLANK = "blank"
    NUMBER = "number"
    SEVERAL = "several"
    SCIENTIFIC = "scientific"
    EXTENSION = "extension"
    LETTERS = "letters"
    STRANGE = "strange"


_KINDS: Final = (
    r"(?:t[eé]l[eéè]?(?:fono?|fone|foon|phone|efon|ef[oó]n|efono)?|phone|fon|tlf|tfno|mobile?|mobiel|mob"
    r"|m[oó]vil|movil|cell(?:phone|ulare)?|cel(?:ular)?|handy|gsm|port(?:able)?|kom(?:[oó]rka)?"
    r"|whats ?app|wa|sms|callto|home|work|privat[eo]?|main|direct|office)"
)
_LETTERS: Final = r"[ptmchw]"  # "p:+44..." is how lead forms export
_NUMBER_WORDS: Final = r"(?:no|nr|num|number|numero|n[uú]mero|nummer)"
_FIRST: Final = (
    rf"^(?i)(?:{_KINDS}\b|(?:{_LETTERS}|{_NUMBER_WORDS})\s?[.:])[ .:/()#-]*"
    rf"(?:(?:{_KINDS}|{_NUMBER_WORDS})\b[ .:/()#-]*){{0,2}}"
)
_LAST: Final = rf"(?i)[ ,]*(?:[ (\[]{_KINDS}|\({_LETTERS})[ .)\]]*$"

_EXTENSION: Final = (
    r"(?i)^[^a-z;]*(?:[0-9][^0-9a-z]*){5,}"
    r"(?:;ext=|[ ,;.(/-]*(?:e?xt(?:ensi(?:o|ó)n|ension|n)?|x|#|durchwahl|dw|app(?:arat)?|nst"
    r"|nebenstelle|poste?|interno?|int|ramal|anexo|toestel|tst|wewn?|доб)[ .:#-]*)[0-9]{1,9}[ )#]*$"
)
_SCIENTIFIC: Final = r"^\+?[0-9]+(?:[.,][0-9]*)?[eE]\+?[0-9]{1,3}$"
_DECIMAL: Final = r"^(\+?[0-9]{5,})[.,]0+$"
_AND: Final = r"(?:or|and|oder|und|bzw\.?|sowie|ou|et|o|u|y|e|of|en|lub|albo|oraz|i)"
_BETWEEN: Final = rf"(?i)\s*(?:[;|\n&,]|\s{_AND}\s)[\s;|&,]*"
_SECOND_PLUS: Final = r"([0-9][ ().\[\]/-]*)\+"
_CUT: Final = "\x1f"  # ASCII's own separator; tidy text has no control characters

_PLAIN: Final = r"^\+?[0-9(][0-9 ()/-]*$"
_NUMBER: Final = r"^[ (\[]*\+?[0-9 ()\[\]/-]*[0-9][0-9 ()\[\]/-]*(?:\.[0-9 ()\[\]/-]+)*\.?$"
_ENDS: Final = " \n;,|&='\"’‘`´ʼ"  # ="0791..." and '0791... are how spreadsheets keep the zero

_BY_CATEGORY: Final = {"Zs": " ", "Pd": "-", "Cf": "", "Cc": ""}
_BY_SIGN: Final = (
    dict.fromkeys("\r\n\v\f\x85\u2028\u2029", "\n")
    | {
        "\t": " ",
        "−": "-",
        "ー": "-",
        "＋": "+",
        "﹢": "+",
        "（": "(",
        "）": ")",
        "［": "[",
        "］": "]",
    }
    | dict.fromkeys("☎☏✆📞📱📲\ufe0f", "")  # pictures of phones
    | dict.fromkeys("／⁄∕", "/")
    | dict.fromkeys("．·•∙․‧", ".")
    | {
        "：": ":",
        "；": ";",
        "，": ",",
        "、": ",",
        "＇": "'",
        "＂": '"',
        "“": '"',
        "”": '"',
        "＝": "=",
    }
)


@cache
def _in_ascii() -> dict[str, str]:
    """What each sign beyond plain ASCII says in it; direction marks and their like say nothing."""
    found = {}
    for sign in map(chr, (*range(0x20000), *range(0xE0000, 0xE0200), sys.maxunicode)):
        category = unicodedata.category(sign)
        if category == "Nd":
            found[sign] = str(unicodedata.decimal(sign))
        elif category in _BY_CATEGORY:
            found[sign] = _BY_CATEGORY[category]
    found |= _BY_SIGN
    return {sign: said for sign, said in found.items() if sign != said}


def plain(text: pl.Series) -> pl.Series:
    """Whether each cell is one number already tidy: false for nulls and whatever is in doubt."""
    return text.str.contains(_PLAIN).fill_null(value=False)


def tidy(text: pl.Series) -> pl.Series:
    """The same cells without what cannot be seen, labels and `.0`, in ASCII where there is any."""
    if text.str.contains(r"[^ -~]").any():
        signs = _in_ascii()
        text = text.str.replace_many(list(signs), list(signs.values()))
    text = text.str.strip_chars(_ENDS)
    if text.str.contains(r"\p{L}").any():
        text = text.str.replace(_FIRST, "").str.replace(_LAST, "").str.strip_chars(_ENDS)
    if text.str.contains("++", literal=True).any():
        text = text.str.replace(r"^([ (\[]*)\++", "${1}+")
    if text.str.contains(r"[.,]0+$").any():
        text = text.str.replace(_DECIMAL, "${1}")
    return text


def is_number(text: pl.Series) -> pl.Series:
    """Whether each tidy cell is the digits of one number, with a plus at most in front of them."""
    return text.str.contains(_NUMBER)


def kind(text: pl.Expr) -> pl.Expr:
    """What each tidy cell that is no number is, a `CellKind` as text."""
    return (
        pl.when(text == "")
        .then(pl.lit(CellKind.BLANK.value))
        .when(text.str.contains(_SCIENTIFIC))
        .then(pl.lit(CellKind.SCIENTIFIC.value))
        .when(text.str.contains(_EXTENSION))
        .then(pl.lit(CellKind.EXTENSION.value))
        .when(text.str.contains(_BETWEEN) | text.str.contains(_SECOND_PLUS))
        .then(pl.lit(CellKind.SEVERAL.value))
        .when(text.str.contains(r"\p{L}"))
        .then(pl.lit(CellKind.LETTERS.value))
        .otherwise(pl.lit(CellKind.STRANGE.value))
    )


def parts(text: pl.Expr) -> pl.Expr:
    """The pieces of each cell between what separates numbers, as a list."""
    cut = text.str.replace_all(_BETWEEN, _CUT)
    return cut.str.replace_all(_SECOND_PLUS, "${1}" + _CUT + "+").str.split(_CUT)


def sides(text: pl.Expr) -> pl.Expr:
    """The pieces of each cell between slashes, as a list."""
    return text.str.split("/")
