"""Headers become columns: known names, near misses, duplicates, and names for the rest."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from importer import problems
from schemas.codes import Code
from schemas.columns import BY_NAME, COLUMNS, FOREIGN_ALIASES, GROUP, ROW, SOURCE, SYSTEM_ALIASES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import polars as pl


LEFT_ALONE: Final = frozenset({"", "-", "ignore"})
"""Values of an override that say: this header is none of the canonical columns."""

_ACCENTLESS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
_SEPARATORS: Final = re.compile(r"[\W_]+")
_WHOLE_NAMES: Final = frozenset({"name", "naam", "nom", "nombre", "nome"})
_CLOSE: Final = 0.8
_LONG_ENOUGH: Final = 4
_SHORT_ENOUGH: Final = 40
_REMARK: Final = re.compile(
    r"[(\[{]\s*(?:required|mandatory|optional|if any|mobile|mob|e\.?164|international"
    r"|with country code|incl\.? country code|iso|iso[ -]?2|alpha-2|given|family|primary|main"
    r"|yes/no|y/n|pflichtfeld|erforderlich|mobil|optionnel|obligatoire|portable|obligatorio"
    r"|opcional|móvil|obbligatorio|facoltativo|verplicht|optioneel|wymagane|opcjonalne"
    r"|obrigatório)\s*[)\]}]",
    re.IGNORECASE,
)
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """How the headers of a file were understood.

    Attributes:
        names: one unique name per header, in file order: the header as it stands; one that
            repeats has ` (2)`, ` (3)` after it.
        mapping: name -> canonical column.
        extra: name -> placeholder name, for the headers that are no canonical column.
        problems: a problem frame without rows; the reader knows which row the header is.
    """

    names: tuple[str, ...]
    mapping: Mapping[str, str]
    extra: Mapping[str, str]
    problems: pl.DataFrame = field(repr=False)


def fold(header: str) -> str:
    """What comparison sees of a header: letters and digits, without case and accents."""
    text = unicodedata.normalize("NFKD", header.casefold().translate(_ACCENTLESS))
    return "".join(filter(str.isalnum, text))


def placeholder_name(header: str) -> str:
    """The name of a column in templates: lower case, `_` for every run of other characters."""
    text = unicodedata.normalize("NFKC", header).lower()
    return _SEPARATORS.sub("_", text).strip("_") or "column"


def _words(header: str) -> tuple[str, ...]:
    """What a header may be known as: all of it, and without a remark in brackets."""
    without = _REMARK.sub("", header)
    return (fold(header),) if without == header else (fold(header), fold(without))


def _known(header: str) -> str | None:
    """The canonical column that a header names, by itself or by an alias."""
    words = known()
    return next((words[word] for word in _words(header) if word in words), None)


@lru_cache(maxsize=1)
def known() -> Mapping[str, str]:
    """Every folded name and alias, in every language, with the canonical column that it means."""
    words: dict[str, str] = {}
    for column in COLUMNS:
        for word in (column.name, column.api_key or "", *column.aliases):
            words.setdefault(fold(word), column.name)
    for columns in (SYSTEM_ALIASES, *FOREIGN_ALIASES.values()):
        for name, aliases in columns.items():
            for word in aliases:
                words.setdefault(fold(word), name)
    words.pop("", None)
    return MappingProxyType(words)


def columns_named(headers: Iterable[str], overrides: Mapping[str, str]) -> set[str]:
    """The canonical columns that a row of cells names."""
    own = {fold(header): column for header, column in overrides.items()}
    found = (own.get(fold(header)) or _known(header) for header in headers if header)
    return {column for column in found if column is not None and column not in LEFT_ALONE}


def resembling(headers: Iterable[str]) -> int:
    """How many cells of a row are nearly the name of a column."""
    words = tuple(word for word in known() if len(word) >= _LONG_ENOUGH)
    few = [fold(header) for header in islice(headers, _SHOWN) if len(header) <= _SHORT_ENOUGH]
    return sum(bool(get_close_matches(word, words, n=1, cutoff=_CLOSE)) for word in few)


def unique(headers: Iterable[str]) -> tuple[str, ...]:
    """The headers as they stand, with ` (2)`, ` (3)` after those that repeat."""
    taken = {ROW, SOURCE, GROUP}
    names: list[str] = []
    for header in headers:
        name, number = header, 1
        while name in taken:
            number += 1
            name = f"{header} ({number})"
        taken.add(name)
        names.append(name)
    return tuple(names)


def understand(headers: Sequence[str], overrides: Mapping[str, str]) -> Headers:
    """Maps the headers of a file to columns.

    Args:
        headers: the header cells as they stand; they may repeat.
        overrides: header -> canonical column, over the aliases; a value of `LEFT_ALONE` keeps
            the header an extra column, and any other name becomes its placeholder name.
    """
    names = unique(headers)
    said = {
        name: _said(name, header, overrides) for name, header in zip(names, headers, strict=True)
    }
    claims = {name: column for name, column in said.items() if column in BY_NAME and column}
    fixed = set(claims.values())
    for name, header in zip(names, headers, strict=True):
        column = _known(header)
        if said[name] is None and column is not None and column not in fixed:
            claims[name] = column
    claims = _whole_names(claims, headers, names, said)

    often = Counter(claims.values())
    mapping: dict[str, str] = {}
    for name in names:
        if name in claims and claims[name] not in mapping.values():
            mapping[name] = claims[name]
    extra = _placeholders([name for name in names if name not in mapping], said)
    found = [
        *(_duplicates(column, names, claims) for column, count in often.items() if count > 1),
        *_missing(mapping, names),
        *_near_misses(extra, claims, said),
    ]
    return Headers(names, mapping, extra, problems.joined(found))


def _said(name: str, header: str, overrides: Mapping[str, str]) -> str | None:
    """What the settings say of a header: a column, a placeholder, "" for neither, or nothing."""
    for key in (name, header):
        if key in overrides:
            return _target(overrides[key])
    word = fold(header)
    for key, column in overrides.items():
        if word and fold(key) == word:
            return _target(column)
    return None


def _target(column: str) -> str:
    return "" if column.strip() in LEFT_ALONE else column.strip()


def _whole_names(
    claims: Mapping[str, str],
    headers: Sequence[str],
    names: Sequence[str],
    said: Mapping[str, str | None],
) -> dict[str, str]:
    """The claims, with `Name` read as what it means beside its neighbours.

    `Name; Vorname` and `Nom; Prénom` are family and given name, `Nom` or `Nombre` alone is all
    of the name.
    """
    changed = dict(claims)
    columns = set(claims.values())
    for name, header in zip(names, headers, strict=True):
        if name not in claims or said[name] is not None or fold(header) not in _WHOLE_NAMES:
            continue
        others = columns - {claims[name]}
        if claims[name] == "full_name" and "first_name" in others and "last_name" not in others:
            changed[name] = "last_name"
        elif claims[name] in {"first_name", "last_name"} and not others & {
            "first_name",
            "last_name",
            "full_name",
        }:
            changed[name] = "full_name"
    return changed


def _placeholders(names: Sequence[str], said: Mapping[str, str | None]) -> dict[str, str]:
    """Header -> placeholder name, none of them twice and none of them a canonical column."""
    taken = set(BY_NAME)
    extra: dict[str, str] = {}
    for name in names:
        wanted = said[name] if said[name] not in BY_NAME else None
        base = placeholder_name(wanted or name)
        placeholder, number = base, 1
        while placeholder in taken:
            number += 1
            placeholder = f"{base}_{number}"
        taken.add(placeholder)
        extra[name] = placeholder
    return extra


def _duplicates(column: str, names: Sequence[str], claims: Mapping[str, str]) -> pl.DataFrame:
    claimants = ", ".join(f"“{name}”" for name in names if claims.get(name) == column)
    return problems.one(Code.COLUMN_DUPLICATE, column=column, detail=f"{column}: {claimants}")


def _missing(mapping: Mapping[str, str], names: Sequence[str]) -> list[pl.DataFrame]:
    """The columns without which no row can be good, named beside those that are there."""
    columns = set(mapping.values())
    there = ", ".join(name for name in names[:_SHOWN] if name)
    there += " and more" if len(names) > _SHOWN else ""
    wanted = []
    if not columns & {"phone_number", "email"}:
        wanted.append("phone_number or email")
    if not columns & {"first_name", "full_name"}:
        wanted.append("first_name or full_name")
    return [
        problems.one(Code.COLUMN_MISSING, detail=f"{columns} (it has: {there})")
        for columns in wanted
    ]


def _near_misses(
    extra: Mapping[str, str], claims: Mapping[str, str], said: Mapping[str, str | None]
) -> list[pl.DataFrame]:
    """A warning for each header that is nearly the name of a column that the file lacks."""
    taken = set(claims.values())
    open_words = [
        word
        for word, column in known().items()
        if column not in taken and len(word) >= _LONG_ENOUGH
    ]
    found = []
    for name, placeholder in extra.items():
        if said[name] is not None:
            continue
        word = fold(name)
        for close in get_close_matches(word, open_words, n=1, cutoff=_CLOSE):
            column = known()[close]
            found.append(
                problems.one(Code.COLUMN_UNKNOWN, column=placeholder, detail=f"`{column}`")
            )
    return found
