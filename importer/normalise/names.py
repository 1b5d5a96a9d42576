"""Repair names that programs have encoded or garbled, find what is not a name, split full names."""

from __future__ import annotations

import html
import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import unquote

import polars as pl

_ODD: Final = (
    r"&#?\w+;|=\?|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\x[0-9A-Fa-f]{2}"
    r"|[ÂÃÄÅÐÑØÙâã]\W|[ÂÃÄÅÐÑØÙ][^A-Za-z]"
)
_QUOTES: Final = "'\"`´‘’‚“”„«»‹›"
_QUOTED: Final = rf"^\s*[{_QUOTES}]+\s*([^{_QUOTES}].*?)\s*[{_QUOTES}]+\s*$"
_ENCODED_WORD: Final = re.compile(r"=\?[\w-]+\?[bBqQ]\?[^?\s]*\?=")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPE: Final = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|x([0-9A-Fa-f]{2}))")
_PROGRAMS: Final = 3


def decode_names(cells: pl.Series) -> pl.Series:
    """Undo entities, encoded words, escapes and garbled UTF-8 in names.

    Args:
        cells: raw text.

    Returns:
        The same number of cells; one that cannot be repaired for certain is unchanged.
    """
    odd = cells.str.contains(_ODD).fill_null(value=False).arg_true()
    if not odd.len():
        return cells
    repaired = [_decode(cell) for cell in cells.gather(odd)]
    return cells.clone().scatter(odd, pl.Series(repaired, dtype=pl.String))


def unquote_names(cells: pl.Series) -> pl.Series:
    """Remove quotation marks around whole names.

    Args:
        cells: tidy text.
    """
    if not cells.str.contains(rf"^[{_QUOTES}]").any():
        return cells
    return cells.str.replace(_QUOTED, "${1}")


def _decode(cell: str) -> str:
    """Decode text that one or several programs have encoded."""
    for _ in range(_PROGRAMS):
        before, cell = cell, _decode_once(cell)
        if cell == before:
            break
    return cell


def _decode_once(cell: str) -> str:
    text = html.unescape(cell) if re.search(r"&#?\w+;", cell) else cell
    text = _ENCODED_WORD.sub(lambda found: _decode_word(found[0]), text)
    text = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
    if _SURROGATE.search(text):  # half a character
        return cell
    return _ungarble(_unquote(text) if "%" in text else text)


def _decode_word(word: str) -> str:
    """Decode `=?utf-8?Q?Jos=C3=A9?=` as `José`."""
    try:
        [(raw, charset)] = decode_header(word)
        return raw.decode(charset or "ascii") if isinstance(raw, bytes) else raw
    except (HeaderParseError, LookupError, UnicodeDecodeError, ValueError):
        return word


def _unquote(text: str) -> str:
    """Decode `Jos%C3%A9` as `José`."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _ungarble(text: str) -> str:
    """Repair UTF-8 that was read as Windows-1252: `JosÃ©` becomes `José`."""
    if text.isascii():
        return text
    raw = bytearray()
    for sign in text:
        try:
            raw += sign.encode("cp1252")
        except UnicodeEncodeError:
            try:
                raw += sign.encode("latin-1")  # the bytes that Windows-1252 leaves undefined
            except UnicodeEncodeError:
                return text
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return text


FIRST: Final = "first_name"
LAST: Final = "last_name"
FULL: Final = "full_name"

LONGEST_NAME: Final = 100
"""Characters; the longest names of real people are shorter."""

_FAULTS: Final = (
    (r"[{}]", "it contains { or }"),
    (r"\x{fffd}", "it contains a character that was lost (\N{REPLACEMENT CHARACTER})"),
    (r"\S@\S", "it contains an e-mail address"),
    (
        r"(?i)://|\bwww\.|[\pL\d-]\.[a-z]{2,}/|[\pL\d-]{2}\.(?:com|net|org|info|biz|xyz)\b",
        "it contains a link",
    ),
    (r"=\?[\w-]+\?|&#?\w+;|%[0-9A-F]{2}|\\u[0-9A-Fa-f]{4}", "it is encoded"),
    (
        r"\p{Ll}[ÂÃ]|[ÂÃ][\x{80}-\x{bf}€‚ƒ„…†‡ˆ‰‹‘“”•–—˜™›]",
        "it is garbled; the file may have another encoding",
    ),
    (r"[<>]", "it contains < or >"),
    (r"^\P{L}*$", "it contains no letters"),
    (r"\?", "it contains a question mark, perhaps instead of a letter that was lost"),
    (r"\\", "it contains a backslash"),
)
"""Patterns of text that is not a name, each with its message."""

_CERTAIN: Final = r"^[\p{L}--[ÂÃ]][[\p{L}\p{M}--[ÂÃ]]' -]*$"
"""Letters, apostrophes, hyphens and blanks only: most names, and no fault is possible in them."""

_TITLES: Final = (
    "mr|mrs|ms|miss|mx|dr|prof|professor|sir|herr|frau|mme|mlle|madame|monsieur|señor|señora|"
    "señorita|sra|srta|signor|signora|signorina|dhr|mevr|drs|senhor|senhora|dott|inż|mgr"
)
_DOTTED_TITLES: Final = r"rev|eng|ir|ing|dipl\.?-ing|mag|sig|sr|mw"
_TITLED: Final = rf"(?i)^(?:(?:(?:{_TITLES})(?:\.\s*|\s+))|(?:(?:{_DOTTED_TITLES})\.\s+))+"
_SUFFIX: Final = (
    r"\s*,\s*((?i:jr|sr|ii|iii|iv|ph\.?\s?d|mba|m\.?sc|b\.?sc|b\.?eng|m\.?eng|llm|cpa|esq)\.?"
    r"|MD|M\.D\.|[BM]\.A\.)$"
)
_FAMILY_FIRST: Final = r"^[\p{Han}\p{Hangul}\p{Hiragana} ]+$"
_PARTICLE: Final = (
    "van|von|vom|zu|zur|de|del|della|di|da|das|do|dos|du|des|la|le|el|al|ter|ten|bin|ibn|mac|st"
)
_PLAIN: Final = rf"^\S+ (?:(?i:{_PARTICLE})\.?(?: |$)(?:\S+ ?)*|\S+)$"
"""First and last name are two words, or the last name begins with a particle."""
_CAPITALS: Final = (
    r"^((?:[\p{Lu}\p{M}'’.-]+ )*?[\p{Lu}\p{M}'’-]{3,}(?: [\p{Lu}\p{M}'’.-]+)*) "
    r"(\p{Lu}\p{M}*[\p{Ll}\p{M}'’-].*)$"
)


def find_name_faults(cells: pl.Series) -> pl.Series:
    """Return for each cell that cannot be sent as a name the reason; null for the others.

    Args:
        cells: tidy names, or null.
    """
    name = pl.col("name")
    length = name.str.len_chars()
    faults = [
        pl.when(length > LONGEST_NAME).then(
            pl.format(f"it has {{}} characters, more than {LONGEST_NAME}", length)
        ),
        *(pl.when(name.str.contains(pattern)).then(pl.lit(said)) for pattern, said in _FAULTS),
    ]
    certain = cells.str.contains(_CERTAIN) & (cells.str.len_bytes() <= LONGEST_NAME)
    uncertain = (~certain).arg_true()
    found = cells.gather(uncertain).alias("name").to_frame().select(pl.coalesce(faults))
    nothing = pl.Series("fault", [None], dtype=pl.String).new_from_index(0, cells.len())
    return nothing.scatter(uncertain, found.to_series())


def split_names(cells: pl.Series, lasts: pl.Series) -> pl.DataFrame:
    """Split full names.

    Args:
        cells: tidy full names, or null.
        lasts: the known last names, or null; the rest of the full name is then the first name.

    Returns:
        The same number of rows: `first_name` (null only if there is nothing but a title or a family
        name), `last_name` (null if the name is one word), `plain` (whether the split is certain,
        because of a comma, capitals, a script, a known last name, or just two words).
    """
    name, known = pl.col("name"), pl.col("known")
    frame = (
        cells.alias("name")
        .to_frame()
        .with_columns(lasts.alias("known"), name.str.replace_all("[，،]", ","))
    )
    frame = frame.with_columns(name.str.extract(_SUFFIX, 1).alias("suffix")).with_columns(
        name.str.replace(_SUFFIX, "").str.replace(_TITLED, "").alias("name")
    )
    comma = name.str.contains(",", literal=True)
    family_first = name.str.contains(_FAMILY_FIRST) & name.str.contains(" ", literal=True)
    shouted = name.str.contains(_CAPITALS)
    after_known = name.str.ends_with(pl.lit(" ") + known)
    plain = comma | family_first | shouted | after_known | name.str.contains(_PLAIN)
    first = (
        pl.when(after_known)
        .then(name.str.head(name.str.len_chars() - known.str.len_chars()))
        .when(comma)
        .then(name.str.extract(r"^[^,]*,(.*)$", 1))
        .when(family_first)
        .then(name.str.extract(r"^\S+ (.*)$", 1))
        .when(shouted)
        .then(name.str.extract(_CAPITALS, 2))
        .otherwise(name.str.extract(r"^(\S+)", 1))
    )
    last = (
        pl.when(comma)
        .then(name.str.extract(r"^([^,]*),", 1))
        .when(family_first)
        .then(name.str.extract(r"^(\S+) ", 1))
        .when(shouted)
        .then(name.str.extract(_CAPITALS, 1))
        .otherwise(name.str.extract(r"^\S+ (.*)$", 1))
    )
    named = frame.select(
        first.str.strip_chars(" ,").str.replace(_TITLED, "").alias(FIRST),
        pl.coalesce(known, last.str.strip_chars(" ,")).alias(LAST),
        pl.when(known.is_null()).then(pl.col("suffix")).alias("suffix"),
        plain.fill_null(value=False).alias("plain"),
    )
    whole = pl.when(pl.col(LAST) != "").then(
        pl.concat_str(LAST, pl.lit(", ") + pl.col("suffix"), ignore_nulls=True)
    )
    return named.select(
        pl.when(pl.col(FIRST) != "").then(pl.col(FIRST)), whole.alias(LAST), "plain"
    )
