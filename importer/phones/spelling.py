"""Recognise what people write around a phone: marks, labels, extensions, remarks, other numbers.

Nothing here checks whether a number exists.
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
"""Details of cells without a number."""


class CellKind(StrEnum):
    """What a tidy cell contains."""

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

_MOBILE_WORDS: Final = (
    r"(?:mobile?|mobil|mobiel|mob|m[oó]vil|cell(?:phone|ulare)?|cel(?:ular)?|handy|gsm|portable"
    r"|kom(?:[oó]rka)?|telem[oó]vel)"
)
_LABEL: Final = rf"{_MOBILE_WORDS}(?: (?:phone|number|no\.?))?[ .]*[:=][ ]*"
_DIGITS: Final = r"[+(]*[0-9][0-9 ()/.-]*[0-9]"
_LABELLED: Final = rf"{_KINDS}(?: (?:phone|number|no\.?))?[ .]*[:=][ ]*{_DIGITS}"
_LABELLED_MOBILE: Final = rf"(?i)\b{_LABEL}{_DIGITS}"
_ALL_LABELLED: Final = rf"(?i)^{_LABELLED}(?:[ ,;/|\n]+{_LABELLED})+$"
_EMPTY_EXTENSION: Final = r"(?i)([0-9)])[ ,;]*(?:\(?(?:e?xt(?:ension|n)?|x|poste)\b[ .:]*\)?|#)$"
_TIME_WORDS: Final = (
    r"(?:only|best|call|please|text|preferred|after|before|until|till|from|between|and|to|at|the|in"
    r"|am|pm|a\.m\.|p\.m\.|[0-9]{1,2}(?:[:.][0-9]{2})?(?: ?(?:am|pm|h|uhr))?|o'clock|evenings?"
    r"|mornings?|afternoons?|days?|daytime|time|weekdays?|weekends?|any|anytime|ab|nach|vor|bis|uhr"
    r"|abends|morgens|tagsüber|après|avant|soir|matin|heures|después de|antes de|las|tardes?"
    r"|mañanas?|noches?|horas|dopo|prima|delle|ore|sera|mattina|na|voor|uur|avonds|overdag|po|przed|godz"
    r"|wieczorem|depois|antes|das|noite|manhã)"
)
_WHEN: Final = rf"(?i)([0-9]) *\((?:{_TIME_WORDS}[ .,;&/-]*)+\)$"

_EXTENSION: Final = (
    r"(?i)^[^a-z;]*(?:[0-9][^0-9a-z]*){5,}"
    r"(?:;ext=|[ ,;.(/-]*(?:e?xt(?:ensi(?:o|ó)n|ension|n)?|x|#|durchwahl|dw|app(?:arat)?|nst"
    r"|nebenstelle|poste?|interno?|int|ramal|anexo|toestel|tst|wewn?|доб)[ .:#-]*)[0-9]{1,9}[ )#]*$"
)
_SCIENTIFIC: Final = r"^\+?[0-9]+(?:[.,][0-9]*)?[eE]\+?[0-9]{1,3}$"
_DECIMAL: Final = r"^(\+?[0-9]{5,})[.,]0+$"
_AND: Final = r"(?:or|and|oder|und|bzw\.?|sowie|ou|et|o|u|y|e|of|en|lub|albo|oraz|i)"
_BETWEEN: Final = rf"(?i)\s*(?:[;|\n&,]|:::|\s{_AND}\s)[\s;|&,]*"
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
    """Return sign beyond ASCII -> its ASCII form; that of a direction mark is empty."""
    found = {}
    for sign in map(chr, (*range(0x20000), *range(0xE0000, 0xE0200), sys.maxunicode)):
        category = unicodedata.category(sign)
        if category == "Nd":
            found[sign] = str(unicodedata.decimal(sign))
        elif category in _BY_CATEGORY:
            found[sign] = _BY_CATEGORY[category]
    found |= _BY_SIGN
    return {sign: said for sign, said in found.items() if sign != said}


def drop_remarks(text: pl.Series) -> pl.Series:
    """Remove text that is certainly no part of a number; the caller reports it.

    That is a `#` or `ext.` without digits at the end, and a remark on when to call. Of several
    labelled numbers, all but the only mobile number are removed.

    Args:
        text: tidy cells.
    """
    if not text.str.contains(r"[\p{L}#]").any():
        return text
    text = text.str.replace(_EMPTY_EXTENSION, "${1}").str.replace(_WHEN, "${1}")
    frame = text.alias("text").to_frame()
    cell = pl.col("text")
    mobile = cell.str.extract_all(_LABELLED_MOBILE)
    several = cell.str.contains(_ALL_LABELLED) & (mobile.list.len() == 1)
    return frame.select(
        pl.when(several)
        .then(mobile.list.first().str.replace(rf"(?i)^{_LABEL}", "").str.strip_chars(" ,;/|\n"))
        .otherwise(cell)
        .alias(text.name)
    ).to_series()


def is_plain(text: pl.Series) -> pl.Series:
    """Whether each cell is certainly one tidy number; false for nulls."""
    return text.str.contains(_PLAIN).fill_null(value=False)


def tidy(text: pl.Series) -> pl.Series:
    """Remove invisible signs, labels and `.0`, and write signs in ASCII if possible."""
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
    """Whether each tidy cell is the digits of one number, with or without a plus."""
    return text.str.contains(_NUMBER)


def classify(text: pl.Expr) -> pl.Expr:
    """Return the `CellKind`, as text, of each tidy cell that is not a number."""
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


def split_parts(text: pl.Expr) -> pl.Expr:
    """Split each cell at what separates numbers, into a list."""
    cut = text.str.replace_all(_BETWEEN, _CUT)
    return cut.str.replace_all(_SECOND_PLUS, "${1}" + _CUT + "+").str.split(_CUT)


def split_sides(text: pl.Expr) -> pl.Expr:
    """Split each cell at slashes, into a list."""
    return text.str.split("/")
