"""Understand the headers of a file: canonical columns, their order, near misses, placeholders.

A header is understood if it is an alias, or all its words are known: `Person : Phones: Mobile`.
A header with an unknown word (`Contact owner`) is an extra column.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from importer import problems
from schemas.codes import Code
from schemas.columns import (
    ADVERTISING,
    AREA_CODES,
    BY_NAME,
    CANDIDATE_WORDS,
    COLUMNS,
    COMPANIONS,
    EMAIL_WORDS,
    FILLER_WORDS,
    FIRST_USE,
    FOREIGN_ALIASES,
    FORM_HEADERS,
    GROUP,
    GUEST_WORDS,
    HOME_USE,
    ID_OWNERS,
    LAST_USE,
    MOBILE_WORDS,
    OTHER_HEADERS,
    OTHER_PEOPLE,
    PHONE_WORDS,
    ROW,
    SOURCE,
    SYSTEM_ALIASES,
    WORK_USE,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import polars as pl


LEFT_ALONE: Final = frozenset({"", "-", "ignore"})
"""Overrides that make a header an extra column."""

_ACCENTLESS: Final = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ı": "i", "æ": "ae", "œ": "oe"})
_SEPARATORS: Final = re.compile(r"[\W_]+")
_WHOLE_NAMES: Final = frozenset({"name", "naam", "nom", "nombre", "nome"})
_CLOSE: Final = 0.8
_LONG_ENOUGH: Final = 4
_SHORT_ENOUGH: Final = 40
_REMARK: Final = re.compile(
    r"[(\[{]\s*(?:required|mandatory|optional|if any|mobile|mob|e\.?164|international"
    r"|with country code|incl\.? country code|iso|iso[ -]?2|alpha-2|given|family|primary|main"
    r"|yes/no|y/n|m/w/d|m/f/d|m/f|w/m/d|as (?:on|in|per) (?:your )?(?:passport|id|cv|resume)"
    r"|pflichtfeld|erforderlich|mobil|optionnel|obligatoire|portable|obligatorio"
    r"|opcional|móvil|obbligatorio|facoltativo|verplicht|optioneel|wymagane|opcjonalne"
    r"|obrigatório)\s*[)\]}]",
    re.IGNORECASE,
)
_SHOWN: Final = 12


@dataclass(frozen=True, slots=True, eq=False)
class Headers:
    """The headers of a file, and the columns that they were read as.

    Attributes:
        names: one unique name per header, in file order: the header itself; a repeated header
            gets ` (2)`, ` (3)` after it.
        mapping: name -> canonical column.
        extra: name -> placeholder name, for extra columns.
        fallbacks: canonical column -> headers to try, in this order, if the cell of the header in
            `mapping` is empty; each is an extra column, too.
        prefixes: header of phones -> the header before it, which has their area codes.
        problems: a problem frame without row numbers; the caller adds the header's row.
    """

    names: tuple[str, ...]
    mapping: Mapping[str, str]
    extra: Mapping[str, str]
    fallbacks: Mapping[str, tuple[str, ...]]
    problems: pl.DataFrame = field(repr=False)
    prefixes: Mapping[str, str] = field(default_factory=dict)


def fold(header: str) -> str:
    """Reduce a header to lower-case letters and digits without accents, to compare it."""
    text = unicodedata.normalize("NFKD", header.casefold().translate(_ACCENTLESS))
    return "".join(filter(str.isalnum, text))


def placeholder_name(header: str) -> str:
    """Return a column's name in templates: lower case, with `_` for other characters."""
    text = unicodedata.normalize("NFKC", header).lower()
    return _SEPARATORS.sub("_", text).strip("_") or "column"


_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PATH: Final = re.compile(r"\s*[:/>|]\s*|\s+-\s+")
_NOT_WORD: Final = re.compile(r"[\W_]+")
_MOST_WORDS: Final = 12
_NOT_ALONE: Final = {"text", "sms", "electronico", "elettronica", "posta"}
_CALLING_CODE: Final = {"country", "code"}
_WHOLE: Final = {"first_name", "last_name", "full_name", "candidate_id", "country"}


def _words_of(header: str) -> tuple[str, ...]:
    """Return the words of a header in lower case, without accents; `E-mail` is one word."""
    text = _CAMEL.sub(" ", header.replace("WhatsApp", "whatsapp"))
    text = text.casefold().translate(_ACCENTLESS)
    text = unicodedata.normalize("NFKD", text).replace("e-mail", "email")
    plain = "".join(char for char in text if not unicodedata.combining(char))
    return tuple(filter(None, _NOT_WORD.split(plain)))


@lru_cache(maxsize=8192)
def _known(header: str) -> str | None:
    """Return the canonical column that a header means, by its alias or its words, or None."""
    words = known_headers()
    for word in (fold(header), fold(_REMARK.sub("", header))):
        if word in words:
            return words[word]
    if len(header) > 2 * _SHORT_ENOUGH:
        return None
    parts = [part for part in _PATH.split(header) if part.strip()]
    if len(parts) > 1 and all(map(_leads, parts[:-1])):
        last = _by_words(_words_of(parts[-1]))
        return last or _by_words(_words_of(header))
    return _by_words(_words_of(header))


def _leads(part: str) -> bool:
    """Whether a part of a path only names the owner or the kind of the rest."""
    kinds = {"name", "names", "contact", "personal", "legal", "full"} | PHONE_WORDS | EMAIL_WORDS
    return set(_words_of(part)) <= kinds | CANDIDATE_WORDS | FILLER_WORDS


def _by_words(found: tuple[str, ...]) -> str | None:
    """Return the column that words mean if each of them is known; an unknown one changes it."""
    if not 0 < len(found) <= _MOST_WORDS:
        return None
    words = set(found)
    used = words - FILLER_WORDS - CANDIDATE_WORDS - FIRST_USE - HOME_USE - WORK_USE - LAST_USE
    for column, cores in (("email", EMAIL_WORDS), ("phone_number", PHONE_WORDS)):
        if words & cores - _NOT_ALONE and used - {"contact"} <= cores:
            rest = words - cores - CANDIDATE_WORDS - FIRST_USE
            return "country" if rest == _CALLING_CODE else column
    around = FILLER_WORDS | CANDIDATE_WORDS | {"legal", "preferred"}
    core = tuple(word for word in found if word not in around)
    if core in {("id",), ("identifier",)}:
        return "candidate_id" if words & CANDIDATE_WORDS else None
    if len(core) == 2 and core[1] in {"id", "identifier"} and core[0] in ID_OWNERS:  # noqa: PLR2004
        return "candidate_id"
    meant = known_headers().get(_trimmed(found, around)) or known_headers().get("".join(core))
    if meant not in _WHOLE or (meant == "full_name" and not words & CANDIDATE_WORDS):
        return None
    return meant


def _trimmed(found: Sequence[str], around: Collection[str]) -> str:
    """Join the words of a name itself: `nomdefamille` for `Votre nom de famille`."""
    places = [place for place, word in enumerate(found) if word not in around]
    return "".join(found[places[0] : places[-1] + 1]) if places else ""


@dataclass(frozen=True, slots=True, order=True)
class _Rank:
    """The order in which several headers of one column are tried, lowest first.

    Attributes:
        whose: 0 if the header names the candidate, else 1.
        use: mobile, then no word, home, work, other.
        number: the digit in the header.
    """

    whose: int
    use: int
    number: int


def _rank(header: str, column: str) -> _Rank:
    """Return the rank of a header among those that mean the same column."""
    words = set(_words_of(header))
    uses = (
        (MOBILE_WORDS if column == "phone_number" else FIRST_USE, 0),
        (LAST_USE, 4),
        (WORK_USE, 3),
        (HOME_USE, 2 if column == "phone_number" else 0),
    )
    use = next((place for some, place in uses if words & some), 1)
    numbers = [int(word) for word in words if word.isdecimal() and len(word) == 1]
    return _Rank(int(not words & CANDIDATE_WORDS), use, min(numbers, default=0))


@lru_cache(maxsize=1)
def known_headers() -> Mapping[str, str]:
    """Return every folded name and alias, in every language, with its canonical column."""
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


def reason_for(name: str, overrides: Mapping[str, str]) -> str:
    """Return why a header that `understand` mapped means its column, in a few words."""
    header = re.sub(r" \(\d+\)$", "", name)
    if _given(name, header, overrides) is not None:
        return "your settings"
    if fold(header) in known_headers() or fold(_REMARK.sub("", header)) in known_headers():
        return "a known name"
    return "its words" if _known(header) else "the headers beside it"


def columns_named(headers: Iterable[str], overrides: Mapping[str, str]) -> set[str]:
    """Return the canonical columns that a row of cells names."""
    own = {fold(header): column for header, column in overrides.items()}
    found = (own.get(fold(header)) or _known(header) for header in headers if header)
    return {column for column in found if column is not None and column not in LEFT_ALONE}


def count_near_misses(headers: Iterable[str]) -> int:
    """Count the cells of a row that are nearly the name of a column."""
    words = tuple(word for word in known_headers() if len(word) >= _LONG_ENOUGH)
    few = [fold(header) for header in islice(headers, _SHOWN) if len(header) <= _SHORT_ENOUGH]
    return sum(bool(get_close_matches(word, words, n=1, cutoff=_CLOSE)) for word in few)


def make_unique(headers: Iterable[str]) -> tuple[str, ...]:
    """Return the headers, with ` (2)`, ` (3)` after repeated ones."""
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
    """Map the headers of a file to columns.

    Args:
        headers: the header cells; they may repeat.
        overrides: header -> canonical column, stronger than the aliases. A value of `LEFT_ALONE`
            makes the header an extra column, and any other name becomes its placeholder name.
    """
    names = make_unique(headers)
    given = {
        name: _given(name, header, overrides) for name, header in zip(names, headers, strict=True)
    }
    claims = {name: column for name, column in given.items() if column in BY_NAME and column}
    fixed = set(claims.values())
    folded = frozenset(map(fold, headers))
    prefixes = _prefixes(names, headers, given)
    for name, header in zip(names, headers, strict=True):
        column = _known(header) or _beside(fold(header), folded)
        if name in prefixes.values() or (column == "campaign" and folded & ADVERTISING):
            continue
        if given[name] is None and column is not None and column not in fixed:
            claims[name] = column
    claims = _whole_names(claims, headers, names, given)
    mapping, fallbacks, found = _ranked(claims, names, fixed)
    used = {*mapping, *fallbacks.get("phone_number", ())}
    prefixes = {name: area for name, area in prefixes.items() if name in used}
    found.extend(itertools.starmap(_joined, prefixes.items()))
    extra = _placeholders([name for name in names if name not in mapping], given)
    problem = [
        *found,
        *_missing(mapping, names),
        *_near_misses(extra, claims, given),
    ]
    return Headers(names, mapping, extra, fallbacks, problems.concat(problem), prefixes)


def _prefixes(
    names: Sequence[str], headers: Sequence[str], given: Mapping[str, str | None]
) -> dict[str, str]:
    """Return header of phones -> header of the area codes directly before it."""
    pairs = itertools.pairwise(zip(names, headers, strict=True))
    return {
        name: area
        for (area, area_header), (name, header) in pairs
        if _is_area_code(area_header)
        and given[area] is None
        and (given[name] or _known(header)) == "phone_number"
        and not _is_area_code(header)
    }


def _is_area_code(header: str) -> bool:
    """Whether a header names area codes: `Area code`, `Handy-Vorwahl`."""
    uses = FIRST_USE | HOME_USE | WORK_USE | LAST_USE | CANDIDATE_WORDS | PHONE_WORDS
    words = _words_of(header)
    rest = "".join(word for word in words if word not in uses)
    return rest in AREA_CODES or (rest == "prefix" and bool(set(words) & PHONE_WORDS))


def _joined(name: str, area: str) -> pl.DataFrame:
    """Report that a phone comes in two columns."""
    detail = f"phone_number is read from “{area}” and “{name}”, joined"
    return problems.one(Code.COLUMNS_RANKED, column="phone_number", detail=detail)


def is_of_others(header: str) -> bool:
    """Whether a header says that its values belong to somebody other than the candidate."""
    return bool(set(_words_of(header)) & OTHER_PEOPLE)


def _beside(word: str, others: frozenset[str]) -> str | None:
    """Return the column that a folded header means because of the other headers, or None."""
    column, companions = COMPANIONS.get(word, ("", frozenset()))
    if not companions & others or (word == "id" and others & FORM_HEADERS):
        return None
    return column


_ONE_OF_A_KIND: Final = frozenset({"phone_number", "email", "first_name", "last_name", "full_name"})
_TRIED_IN_ORDER: Final = frozenset({"phone_number", "email"})


def _ranked(
    claims: Mapping[str, str], names: Sequence[str], fixed: Collection[str]
) -> tuple[dict[str, str], dict[str, tuple[str, ...]], list[pl.DataFrame]]:
    """Choose one header for each column and its fallbacks, and report the choice.

    Args:
        claims: header -> the column that it means.
        names: the headers in file order.
        fixed: columns whose header the settings choose.
    """
    chosen: dict[str, str] = {}
    fallbacks: dict[str, tuple[str, ...]] = {}
    found = []
    for column in dict.fromkeys(claims.values()):
        claimants = [name for name in names if claims.get(name) == column]
        ranked = sorted(claimants, key=lambda name: _name_rank(name, column))
        if column in _TRIED_IN_ORDER:
            ranked = sorted(claimants, key=lambda name: _rank(name, column))
        best, *others = ranked
        chosen[best] = column
        if not others:
            continue
        if column not in _ONE_OF_A_KIND or column in fixed or _equal(best, others[0], column):
            found.append(_duplicates(column, names, claims))
            chosen = {name: it for name, it in chosen.items() if it != column}
            chosen[claimants[0]] = column
            continue
        same = [name for name in others if _whose(name) == _whose(best)]
        if column in _TRIED_IN_ORDER and same:
            fallbacks[column] = tuple(same)
        left = [name for name in others if name not in fallbacks.get(column, ())]
        found.append(_order(column, best, fallbacks.get(column, ()), left))
    mapping = {name: chosen[name] for name in names if name in chosen}
    return mapping, fallbacks, found


def _whose(header: str) -> int:
    return int(not set(_words_of(header)) & CANDIDATE_WORDS)


def _equal(one: str, other: str, column: str) -> bool:
    """Whether two headers have the same rank, so that none of them can be chosen."""
    if column in _TRIED_IN_ORDER:
        return False
    return _name_rank(one, column) == _name_rank(other, column)


def _name_rank(header: str, column: str) -> tuple[bool, bool, int]:
    """Rank a header of a name: a guest's before the host's, an alias before other words."""
    words = set(_words_of(header))
    return (
        not words & GUEST_WORDS,
        known_headers().get(fold(header)) != column,
        int(not words & CANDIDATE_WORDS),
    )


def _order(column: str, best: str, fallbacks: Sequence[str], left: Sequence[str]) -> pl.DataFrame:
    """Report which of several headers a column is read from."""
    detail = f"{column} is read from “{best}”"
    if fallbacks:
        detail += "; if that is empty, from " + ", then ".join(f"“{name}”" for name in fallbacks)
    if left:
        detail += "; not from " + ", ".join(f"“{name}”" for name in left)
    return problems.one(Code.COLUMNS_RANKED, column=column, detail=detail)


def _given(name: str, header: str, overrides: Mapping[str, str]) -> str | None:
    """Return the override of a header: a column, a placeholder, "" to ignore it, or None."""
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


_NAMES: Final = frozenset({"first_name", "last_name", "full_name"})


def _whole_names(
    claims: Mapping[str, str],
    headers: Sequence[str],
    names: Sequence[str],
    given: Mapping[str, str | None],
) -> dict[str, str]:
    """Correct the claims of headers such as `Name`, whose meaning depends on the others.

    `Name; Vorname` and `Nom; Prénom` are family and given name; `Nom` or `Nombre` alone is the
    full name.
    """
    changed = dict(claims)
    columns = set(claims.values())
    for name, header in zip(names, headers, strict=True):
        bare = _trimmed(_words_of(header), FILLER_WORDS | CANDIDATE_WORDS)
        if name not in claims or given[name] is not None or bare not in _WHOLE_NAMES:
            continue
        others = columns - {claims[name]}
        of_names = others & _NAMES
        if any(claims.get(other) in of_names and _whose(other) < _whose(name) for other in names):
            continue  # `Name` beside `Your first name` is the person who sent the form
        if claims[name] == "full_name" and "first_name" in others and "last_name" not in others:
            changed[name] = "last_name"
        elif claims[name] in {"first_name", "last_name"} and not of_names:
            changed[name] = "full_name"
    return changed


def _placeholders(names: Sequence[str], given: Mapping[str, str | None]) -> dict[str, str]:
    """Return header -> placeholder name; all differ, and none is a canonical column."""
    taken = set(BY_NAME)
    extra: dict[str, str] = {}
    for name in names:
        wanted = given[name] if given[name] not in BY_NAME else None
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
    """Report missing columns that every row needs, with the headers that are there."""
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
    extra: Mapping[str, str], claims: Mapping[str, str], given: Mapping[str, str | None]
) -> list[pl.DataFrame]:
    """Return a warning for each header that is nearly the name of a missing column."""
    taken = set(claims.values())
    open_words = [
        word
        for word, column in known_headers().items()
        if column not in taken and len(word) >= _LONG_ENOUGH
    ]
    found = []
    for name, placeholder in extra.items():
        word = fold(name)
        if given[name] is not None or name in claims or word in FORM_HEADERS | OTHER_HEADERS:
            continue
        for close in get_close_matches(word, open_words, n=1, cutoff=_CLOSE):
            column = known_headers()[close]
            found.append(
                problems.one(Code.COLUMN_UNKNOWN, column=placeholder, detail=f"`{column}`")
            )
    return found
