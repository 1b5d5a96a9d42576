"""Split full names into first and last names, without changing any letter.

A comma decides ("García Márquez, Gabriel"), or capitals ("DUPONT Jean"), or the script ("王 小明").
Otherwise the first word is the first name, which is right for most people but not for all: hence
the warning. Titles before the name are dropped.
"""

from __future__ import annotations

from typing import Final

import polars as pl

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
        r"[ÂÃ][\x{80}-\x{bf}€‚ƒ„…†‡ˆ‰‹‘“”•–—˜™›]",
        "it is garbled; the file may have another encoding",
    ),
    (r"[<>]", "it contains < or >"),
    (r"^\P{L}*$", "it contains no letters"),
)
"""Patterns of what is no name, and how that is said."""

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
    """For each cell that cannot be sent as a name why not, as text; null for the others.

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
    return cells.alias("name").to_frame().select(pl.coalesce(faults).alias("fault")).to_series()


def split_names(cells: pl.Series, lasts: pl.Series) -> pl.DataFrame:
    """Split full names.

    Args:
        cells: tidy full names, or null.
        lasts: the last names that are known; the rest of the full name is then the first name.

    Returns:
        As many rows: `first_name` (null only if there is nothing but a title or a family name),
        `last_name` (null if the name is one word), `plain` (whether nothing was guessed: a comma,
        capitals, a script, a known last name, or just two words say where to split)
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
