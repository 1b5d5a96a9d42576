"""What people write around a phone number: marks, labels, extensions, several numbers in a cell.

Everything here is a Polars expression over the text of cells; nothing here knows which numbers
exist. What is left of a cell after `tidy` is a `Kind`.
"""

from __future__ import annotations

import sys
import unicodedata
from enum import StrEnum
from functools import cache
from typing import Final

import polars as pl


class Kind(StrEnum):
    """What a tidy cell is."""

    BLANK = "blank"
    NUMBER = "number"
    SEVERAL = "several"
    SCIENTIFIC = "scientific"
    EXTENSION = "extension"
    LETTERS = "letters"
    STRANGE = "strange"


_LABELS: Final = (
    r"(?:t[eé]l[eéè]?(?:fono?|fone|foon|phone|efon|ef[oó]n|efono)?|phone|fon|tlf|tfno|mobile?|mobiel|mob"
    r"|m[oó]vil|movil|cell(?:phone|ulare)?|cel(?:ular)?|handy|gsm|port(?:able)?|kom(?:[oó]rka)?"
    r"|whats ?app|wa|sms|callto|home|work|privat[eo]?|main|direct|office|no|nr|num|number|numero"
    r"|n[uú]mero|nummer)"
)
_LETTER_LABELS: Final = r"[ptmchw]"  # "p:+44..." is how lead forms export
_FIRST: Final = rf"^(?i)(?:(?:{_LABELS}\b|{_LETTER_LABELS}\s?[.:])[ .:/()#-]*){{1,3}}"
_LAST: Final = rf"(?i)[ ,]*(?:[ (\[]{_LABELS}|\({_LETTER_LABELS})[ .)\]]*$"

_EXTENSION: Final = (
    r"(?i)^[^a-z;]*(?:[0-9][^0-9a-z]*){5,}"
    r"(?:;ext=|[ ,;.(/-]*(?:e?xt(?:ensi(?:o|ó)n|ension|n)?|x|#|durchwahl|dw|app(?:arat)?|nst"
    r"|nebenstelle|poste?|interno?|int|ramal|anexo|toestel|tst|wewn?|доб)[ .:#-]*)[0-9]{1,9}[ )#]*$"
)
_SCIENTIFIC: Final = r"^\+?[0-9]+(?:[.,][0-9]*)?[eE]\+?[0-9]{1,3}$"
_DECIMAL: Final = r"^(\+?[0-9]{5,})[.,]0+$"
_AND: Final = r"(?:or|and|oder|und|bzw\.?|sowie|ou|et|o|u|y|e|of|en|lub|albo|oraz|i)"
_BETWEEN: Final = rf"(?i)\s*(?:[;|\n&,]|\s{_AND}\s)[\s;|&,]*"
_CUT: Final = "\x1f"  # ASCII's own separator; tidy text has no control characters
_PLAIN: Final = r"^\+?[0-9(][0-9 ()./-]*$"
_NUMBER: Final = r"^[ (\[]*\+?[0-9 ()\[\]./-]*$"

_MARKS: Final = (
    (r"[\r\n\v\f\x{85}\x{2028}\x{2029}]+", "\n"),
    (r"[\t\p{Zs}]", " "),
    (r"[\p{Cf}\p{Cc}--\n]", ""),  # direction marks, zero widths, byte-order marks
    (r"[\p{Pd}\x{2212}\x{30FC}]", "-"),
    (r"[＋﹢]", "+"),
    (r"[（]", "("),
    (r"[）]", ")"),
    (r"[［]", "["),
    (r"[］]", "]"),
    (r"[／⁄∕]", "/"),
    (r"[．·•∙․‧]", "."),
    (r"[：]", ":"),
    (r"[；]", ";"),
    (r"[，、]", ","),
    (r'^[\s=]*"(.*)"\s*$', "${1}"),  # ="0791..." is how exports keep the zero
    (r"^[\s'’‘`´ʼ＇]+", ""),
    (r"\s+$", ""),
)


@cache
def _digits() -> tuple[list[str], list[str]]:
    """Every decimal digit of Unicode beyond ASCII, and what it says in ASCII."""
    foreign = [
        sign
        for sign in map(chr, range(128, sys.maxunicode + 1))
        if unicodedata.category(sign) == "Nd"
    ]
    return foreign, [str(unicodedata.decimal(sign)) for sign in foreign]


def plain(text: pl.Series) -> pl.Series:
    """Whether each cell is one number already tidy: false for nulls and whatever is in doubt."""
    return (
        text.str.contains(_PLAIN)
        & ~text.str.contains("..", literal=True)
        & ~(text.str.ends_with("0") & text.str.contains(_DECIMAL))
    ).fill_null(value=False)


def tidy(text: pl.Series) -> pl.Series:
    """The same cells without what cannot be seen, labels and `.0`, in ASCII where there is any."""
    for pattern, by in _MARKS:
        text = text.str.replace_all(pattern, by)
    if text.str.contains(r"[\p{Nd}--0-9]").any():
        foreign, ascii_digits = _digits()
        text = text.str.replace_many(foreign, ascii_digits)
    text = text.str.replace(_FIRST, "").str.replace(_LAST, "")
    text = text.str.replace(r"^([ (\[]*)\++", "${1}+")
    return text.str.replace(_DECIMAL, "${1}").str.strip_chars(" \n;,|&")


def kind(text: pl.Expr) -> pl.Expr:
    """What each tidy cell is, a `Kind` as text."""
    return (
        pl.when(text == "")
        .then(pl.lit(Kind.BLANK.value))
        .when(text.str.contains(_SCIENTIFIC))
        .then(pl.lit(Kind.SCIENTIFIC.value))
        .when(text.str.contains(_NUMBER) & ~text.str.contains("..", literal=True))
        .then(
            pl.when(text.str.contains("[0-9]"))
            .then(pl.lit(Kind.NUMBER.value))
            .otherwise(pl.lit(Kind.STRANGE.value))
        )
        .when(text.str.contains(_EXTENSION))
        .then(pl.lit(Kind.EXTENSION.value))
        .when(parts(text).list.len() > 1)
        .then(pl.lit(Kind.SEVERAL.value))
        .when(text.str.contains(r"\p{L}"))
        .then(pl.lit(Kind.LETTERS.value))
        .otherwise(pl.lit(Kind.STRANGE.value))
    )


def parts(text: pl.Expr) -> pl.Expr:
    """The pieces of each cell between what separates numbers, as a list without empty ones."""
    cut = text.str.replace_all(_BETWEEN, _CUT)
    cut = cut.str.replace_all(r"([0-9][ ().\[\]/-]*)\+", "${1}" + _CUT + "+")
    return cut.str.split(_CUT).list.eval(pl.element().filter(pl.element().str.strip_chars() != ""))


def sides(text: pl.Expr) -> pl.Expr:
    """The pieces of each cell between slashes, as a list without empty ones."""
    return text.str.split("/").list.eval(pl.element().filter(pl.element().str.strip_chars() != ""))
