"""Read phones in any usual spelling: marks, labels, extensions and remarks, several in a cell."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable
from enum import StrEnum
from functools import cache, partial
from typing import Final, TypeAlias

import polars as pl

from importer.phones import bulk
from importer.phones.reference import AT, VERDICT, Validator, fault_verdicts
from schemas.codes import Code

LETTERS: Final = ": it contains letters"
STRANGE: Final = ": it contains characters that no phone number has"
"""Details of cells without a number."""


class CellKind(StrEnum):
    """The content of a tidy cell."""

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
    """Return sign beyond ASCII -> its ASCII form, which is empty for a direction mark."""
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


# ---- reading ---------------------------------------------------------------------------------

Read: TypeAlias = Callable[[pl.Series, pl.Series], pl.DataFrame]
"""From cells and countries to the columns of VERDICT, in the same order."""

_LONG: Final = r"(?:[0-9][^0-9]*){6}"
_SHORT: Final = r"^[^0-9\p{L}]*[0-9]{1,5}[^0-9\p{L}]*$"
_LAST_DIGIT: Final = r"([0-9])[ ()\[\]./-]*$"
_DECIMAL_PART: Final = r"[.,]0+ *$"


def read_several(
    cells: pl.DataFrame, parts: pl.Expr, read: Read, *, slashed: bool
) -> list[pl.DataFrame]:
    """Read cells with several parts; they give a number only if all parts are the same number.

    Args:
        cells: `AT`, `text` (tidy) and `country`.
        parts: the parts of a text, as a list.
        read: reads single parts.
        slashed: whether slashes separate the parts, and no part is an area code.

    Returns:
        Frames of `AT` and the columns of `VERDICT`.
    """
    if cells.is_empty():
        return []
    pieces = (
        cells.select(AT, "country", parts.alias("part"))
        .explode("part")
        .filter(pl.col("part").str.contains(r"[^ \n]"))
    )
    part, e164 = pl.col("part"), pl.col("e164")
    two = pl.lit(slashed) | (pl.col("long") > 1)
    ends = part.str.extract(_LAST_DIGIT).alias("end")
    ended = pieces.with_columns(pl.when(~part.str.contains(_DECIMAL_PART)).then(ends))
    glance = _per_cell(
        ended,
        long=part.str.contains(_LONG),
        others=(pl.col("end") != _first_of_cell(ended, "end")).fill_null(value=False),
    )
    sure = glance.filter(two & (pl.col("others") > 0))  # one number ends in one digit
    pieces = pieces.join(sure, on=AT, how="anti")
    pieces = pieces.hstack(read(pieces["part"], pieces["country"]))
    found = pieces.filter(_begins(pieces)).join(
        _per_cell(
            pieces,
            others=e164.is_null() | (e164 != _first_of_cell(pieces, "e164")).fill_null(value=True),
            valid=e164.is_not_null(),
            long=part.str.contains(_LONG),
            short=part.str.contains(_SHORT),
            letters=part.str.contains(r"\p{L}"),
        ),
        on=AT,
    )
    same, two = pl.col("others") == 0, two | (pl.col("valid") > 1)
    extended = e164.is_not_null() & (pl.col("short") == pl.col("parts") - 1)
    return [
        fault_verdicts(sure, pl.lit(Code.PHONE_TWO_NUMBERS.value), pl.lit("")),
        found.filter(same).select(AT, *VERDICT),
        fault_verdicts(
            found.filter(~same),
            pl.when(two)
            .then(pl.lit(Code.PHONE_TWO_NUMBERS.value))
            .when(extended)
            .then(pl.lit(Code.PHONE_EXTENSION.value))
            .otherwise(pl.lit(Code.PHONE_INVALID.value)),
            pl.when(two | extended)
            .then(pl.lit(""))
            .when(pl.col("letters") > 0)
            .then(pl.lit(LETTERS))
            .otherwise(pl.lit(STRANGE)),
        ),
    ]


def _begins(pieces: pl.DataFrame) -> pl.Series:
    """Whether each piece is the first of its cell."""
    return (pieces[AT] != pieces[AT].shift()).fill_null(value=True)


def _first_of_cell(pieces: pl.DataFrame, column: str) -> pl.Series:
    """Return for each piece the value of the first piece of its cell."""
    begins = _begins(pieces)
    return pieces.filter(begins)[column].gather(begins.cum_sum() - 1)


def _per_cell(pieces: pl.DataFrame, **flags: pl.Expr) -> pl.DataFrame:
    """Count the pieces of each cell, and those with each flag."""
    flagged = pieces.select(AT, parts=pl.lit(value=True), **flags)
    return flagged.group_by(AT).agg(pl.exclude(AT).sum())


_FAULTS: Final = {
    CellKind.SCIENTIFIC: (Code.PHONE_SCIENTIFIC, "scientific notation"),
    CellKind.EXTENSION: (Code.PHONE_EXTENSION, ""),
    CellKind.LETTERS: (Code.PHONE_INVALID, LETTERS),
    CellKind.STRANGE: (Code.PHONE_INVALID, STRANGE),
}
_DOUBLE_ZERO: Final = r"^[ (\[]*00([^0-9]*[1-9])"
_TRUNK_ZERO: Final = r"\( *0 *\)"
_ABROAD_WITH_TRUNK_ZERO: Final = rf"^[ (\[]*(?:\+|00).*[0-9].*{_TRUNK_ZERO}"
_LONG_ON_BOTH_SIDES: Final = r"(?:[0-9][^0-9/]*){6}/(?:.*/)?[^0-9/]*(?:[0-9][^0-9/]*){6}"


def read_phones(
    numbers: pl.Series, countries: pl.Series, *, validate: Validator = bulk.validate
) -> pl.DataFrame:
    """Read phones in any usual spelling.

    Args:
        numbers: the cells, as text.
        countries: ISO alpha-2 of the country in which each is read, or null.
        validate: checks single numbers; `reference.validate` gives the same verdicts, but slowly.

    Returns:
        One row per cell, in the same order: `e164` (text; null if there is no usable number),
        `code` (a value of `Code`; null if nothing is wrong), `detail` (text that completes the
        code's message, else empty), `region` (ISO alpha-2 of the number, "001" for numbers of no
        country, null without a number), `mobile` (whether it may receive a text; null without a
        number). An empty cell has nulls and an empty detail.
    """
    cells = pl.DataFrame(
        {"text": numbers.cast(pl.String), "country": countries.cast(pl.String)}
    ).with_row_index(AT)
    plain = is_plain(cells["text"])
    if plain.all():
        return _restore_order(_read_numbers(cells, validate))
    rough = cells.filter(~plain).with_columns(pl.col("text").fill_null(""))
    rough = rough.with_columns(tidy(rough["text"]))
    number = is_number(rough["text"])
    rest = rough.filter(~number).with_columns(classify(pl.col("text")).alias("kind"))
    more = pl.col("kind") == CellKind.SEVERAL.value
    read = partial(read_phones, validate=validate)
    found = [
        *_read_numbers(pl.concat([cells.filter(plain), rough.filter(number)]), validate),
        *read_several(rest.filter(more), split_parts(pl.col("text")), read, slashed=False),
        _faults(rest.filter(~more)),
    ]
    return _restore_order(found)


def _restore_order(found: list[pl.DataFrame]) -> pl.DataFrame:
    """Put all verdicts into the order of their cells."""
    whole = pl.concat(found)
    if not whole[AT].is_sorted():
        whole = whole.sort(AT)
    return whole.drop(AT)


def _faults(cells: pl.DataFrame) -> pl.DataFrame:
    """Return the faults of cells without a number, by their kind."""
    kinds = [kind.value for kind in _FAULTS]
    codes = [code.value for code, _ in _FAULTS.values()]
    details = [detail for _, detail in _FAULTS.values()]
    kind = pl.col("kind")
    return fault_verdicts(
        cells,
        code=kind.replace_strict(kinds, codes, default=None, return_dtype=pl.String),
        detail=kind.replace_strict(kinds, details, default="", return_dtype=pl.String),
    )


def _read_numbers(cells: pl.DataFrame, validate: Validator) -> list[pl.DataFrame]:
    """Read cells with one number, or with two and a slash between them."""
    slashed = cells["text"].str.contains("/", literal=True)
    if not slashed.any():
        return [
            part.select(AT, *VERDICT)
            for part in _retry_respelled(_validate_cells(cells, validate), validate)
        ]
    one, two = _split_area_codes(cells.filter(slashed), validate)
    whole = pl.concat(
        _retry_respelled(
            _validate_cells(pl.concat([cells.filter(~slashed), one]), validate), validate
        )
    )
    hopeless = whole["e164"].is_null() & whole["text"].str.contains(_LONG_ON_BOTH_SIDES)
    two = pl.concat([two, whole.filter(hopeless).select(two.columns)])
    read = partial(read_phones, validate=validate)
    return [
        whole.filter(~hopeless).select(AT, *VERDICT),
        *read_several(two, split_sides(pl.col("text")), read, slashed=True),
    ]


def _split_area_codes(
    cells: pl.DataFrame, validate: Validator
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Separate cells in which slashes follow area codes from cells in which they divide numbers.

    In the latter, the part before the first or the last slash is a valid number.
    """
    text = pl.col("text")
    first = cells.select(AT, "country", text.str.extract("^([^/]*)/"))
    last = cells.filter(text.str.count_matches("/", literal=True) > 1)
    before = pl.concat([first, last.select(AT, "country", text.str.extract("^(.*)/"))])
    starts = before.select("text", "country").unique()
    valid = starts.filter(validate(starts)["e164"].is_not_null())
    two = before.join(valid, on=["text", "country"], how="semi", nulls_equal=True)
    return cells.join(two, on=AT, how="anti"), cells.join(two, on=AT, how="semi")


def _validate_cells(cells: pl.DataFrame, validate: Validator) -> pl.DataFrame:
    """Add the verdicts to the cells."""
    return cells.select(AT, "text", "country").hstack(validate(cells.select("text", "country")))


def _retry_respelled(found: pl.DataFrame, validate: Validator) -> list[pl.DataFrame]:
    """Validate faulty numbers again in another spelling, if they have one.

    Two leading zeros mean a plus, unless they mean something else in the country. A zero in
    brackets after the calling code is dropped if the number is invalid with it.
    """
    faulty = found["e164"].is_null()
    if not faulty.any():
        return [found]
    done, wrong = [found.filter(~faulty)], found.filter(faulty)
    zeros = wrong["text"].str.contains(_DOUBLE_ZERO)
    if zeros.any():
        plus = pl.col("text").str.replace(_DOUBLE_ZERO, "+${1}")
        wrong = pl.concat(
            [
                wrong.filter(~zeros),
                _validate_cells(wrong.filter(zeros).with_columns(plus), validate),
            ]
        )
    bracketed = wrong["text"].str.contains(_ABROAD_WITH_TRUNK_ZERO) & wrong["e164"].is_null()
    if bracketed.any():
        bare = wrong.filter(bracketed).with_columns(pl.col("text").str.replace(_TRUNK_ZERO, ""))
        better = _validate_cells(bare, validate)
        valid = better["e164"].is_not_null()
        wrong = pl.concat(
            [wrong.filter(~bracketed), wrong.filter(bracketed).filter(~valid), better.filter(valid)]
        )
    return [*done, wrong]
