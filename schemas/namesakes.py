"""Compare names: may they belong to one person? One of them may be known only by its signs.

The ledger keeps no name. It keeps signs: short keyed hashes of the words and of their beginnings.
They distinguish a short form or a misspelling from another name, and reveal neither.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from difflib import SequenceMatcher
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Sign: TypeAlias = "Callable[[str], str]"
"""Turns a text into `SIGN` characters, under a secret key."""

SIGN: Final = 6
"""Hex digits of a sign: three bytes."""

_ALIKE: Final = 0.8
"""Above this ratio of difflib, two words count as spellings of one word."""
_BEGINNING: Final = 3  # letters; words with the same beginning count as forms of one word
_WORD: Final = 2 * SIGN  # the signs of a word: of its beginning and of all of it
_TITLES: Final = frozenset(
    ("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "frau", "mme", "mlle", "sra", "dhr")
)
_LETTERS: Final = {"ł": "l", "ø": "o", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i"}
_IDEOGRAPHS: Final = "\u2e80"
"""Words that sort before this are in a script with letters, in which one letter is an initial."""
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz"
_PLAIN_WORDS: Final = re.compile(r"[a-z]+")
_WORDS: Final = re.compile(r"[^\W\d_]+")
_APOSTROPHES: Final = re.compile(r"['’`]")
_LATIN, _OTHER_SCRIPT, _LASTS = "", "~", "/"


class _Part(NamedTuple):
    """The words of a first or last name, or their signs.

    Attributes:
        words: the words, or their signs, in order.
        latin: whether all of them are in plain Latin letters.
    """

    words: Sequence[str]
    latin: bool


_Name: TypeAlias = tuple[_Part, _Part]


def names_differ(one: tuple[str | None, str | None], other: tuple[str | None, str | None]) -> bool:
    """Whether two people's names are clearly different.

    Case, accents, initials, short forms (Jo for John), order, middle names and small misspellings
    do not count. A name that is missing or in another script is not different.

    Args:
        one: first and last name.
        other: first and last name.
    """
    return _differ(_split(*one), _split(*other), _meet)


def signer(secret: bytes) -> Sign:
    """Return a hash function for signs.

    Args:
        secret: different for each row, so that rows cannot be compared.
    """
    start = _start_signing(secret)

    def sign(text: str) -> str:
        state = start()
        state.update(text.encode())
        return state.hexdigest()

    return sign


def sign_names(names: Iterable[tuple[bytes, str | None, str | None]]) -> list[str]:
    """Return the signs of many names, for `differs_from_signs`; empty without a name.

    Args:
        names: for each row its secret, as for `signer`, and its first and last name.
    """
    signs, forms = list[bytes](), list[_Signed]()
    add, add_form = signs.append, forms.append
    for secret, first, last in names:
        form = _list_signed(first, last)
        add_form(form)
        start = _start_signing(secret)
        for text in form.texts:
            state = start()
            state.update(text)
            add(state.digest())
    digits, at = b"".join(signs).hex(), 0
    signed = list[str]()
    for texts, size, mark, last_mark in forms:
        lasts, end = at + size, at + SIGN * len(texts)
        if mark or last_mark:
            firsts = f"{digits[at : at + SIGN]}{mark}{digits[at + SIGN : lasts]}"
            signed.append(f"{firsts}{_LASTS}{last_mark}{digits[lasts:end]}")
        else:
            signed.append(f"{digits[at:lasts]}{_LASTS}{digits[lasts:end]}" if texts else "")
        at = end
    return signed


def _start_signing(secret: bytes) -> Callable[[], hashlib.blake2s]:
    """Return a function that gives a fresh hash for one sign."""
    return hashlib.blake2s(key=secret, digest_size=SIGN // 2).copy


class _Signed(NamedTuple):
    """What is signed of a name, and how the signs are joined.

    Attributes:
        texts: UTF-8: the name as it was written, then of each word the beginning and all of it;
            nothing without a name.
        size: digits of the signs before those of the last name.
        mark: the script of the first name.
        last_mark: the script of the last name.
    """

    texts: tuple[bytes, ...]
    size: int = 0
    mark: str = ""
    last_mark: str = ""


@lru_cache(maxsize=32_768)
def _list_signed(first: str | None, last: str | None) -> _Signed:
    """Return what is signed of a name."""
    firsts, lasts = _split(first, last)
    if not firsts.words:
        return _Signed(())
    words = (*firsts.words, *lasts.words)
    texts = (_spell(first, last), *(text for word in words for text in (word[:_BEGINNING], word)))
    return _Signed(
        tuple(text.encode() for text in texts),
        SIGN + _WORD * len(firsts.words),
        *(_LATIN if part.latin else _OTHER_SCRIPT for part in (firsts, lasts)),
    )


def differs_from_signs(first: str | None, last: str | None, signs: str, sign: Sign) -> bool:
    """Whether a name is clearly different from one that `sign_names` saw.

    It works like `names_differ`, but is more careful: words that begin with the same three letters
    are not different either, nor is an initial from any word.

    Args:
        first: first name.
        last: last name.
        signs: the keyed hashes of the other name.
        sign: the keyed hash function that made them.
    """
    if not signs or signs.startswith(sign(_spell(first, last))):
        return False  # most rows; comparing words takes far longer
    firsts, _, lasts = signs[SIGN:].partition(_LASTS)

    def meet(words: Sequence[str], signed: Sequence[str]) -> bool:
        return any(_has_sign(word, signed, sign) for word in words)

    return _differ(_split(first, last), (_read_part(firsts), _read_part(lasts)), meet)


def _differ(one: _Name, other: _Name, meet: Callable[[Sequence[str], Sequence[str]], bool]) -> bool:
    (first, last), (other_first, other_last) = one, other
    if not first.words or not other_first.words or first.latin != other_first.latin:
        return False
    everything = (*first.words, *last.words)
    other_everything = (*other_first.words, *other_last.words)
    if not (meet(first.words, other_everything) and meet(everything, other_first.words)):
        return True
    if not last.words or not other_last.words or last.latin != other_last.latin:
        return False
    return not (meet(last.words, other_everything) or meet(everything, other_last.words))


def _meet(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether the names share a word, the beginning of a word, or a nearly equal word."""
    return any(
        word.startswith(other)
        or other.startswith(word)
        or SequenceMatcher(None, word, other).ratio() > _ALIKE
        for word in words
        for other in others
    )


# ---- words ---------------------------------------------------------------------------------


def _split(first: str | None, last: str | None) -> _Name:
    """Return the folded words of both names; a missing last name is the last of several words."""
    words, lasts = _fold(first), _fold(last)
    if not lasts and len(words) > 1:
        words, lasts = words[:-1], words[-1:]
    return _part(words), _part(lasts)


def _part(words: tuple[str, ...]) -> _Part:
    return _Part(words, all(word.isascii() for word in words))


@lru_cache(maxsize=4_096)
def _fold(name: str | None) -> tuple[str, ...]:
    """Return the words of a name in lower case, without accents."""
    if not name:
        return ()
    if name.isascii():
        words = _PLAIN_WORDS.findall(_APOSTROPHES.sub("", name.lower()))
    else:
        plain = unicodedata.normalize("NFKD", name.casefold())
        plain = "".join(_LETTERS.get(c, c) for c in plain if not unicodedata.combining(c))
        words = _WORDS.findall(_APOSTROPHES.sub("", plain))
    return tuple([word for word in words if word not in _TITLES] or words)


# ---- signs ---------------------------------------------------------------------------------


def _spell(first: str | None, last: str | None) -> str:
    """Return the name as it was written."""
    return f"{first or ''}{_LASTS}{last or ''}"


def _read_part(text: str) -> _Part:
    """Return the signs of each word of a part."""
    signs = text.removeprefix(_OTHER_SCRIPT)
    words = [signs[start : start + _WORD] for start in range(0, len(signs), _WORD)]
    return _Part(words, latin=signs == text)


def _has_sign(word: str, signed: Sequence[str], sign: Sign) -> bool:
    """Whether a word may be a form of one of the words that were signed."""
    if len(word) < _BEGINNING and word < _IDEOGRAPHS:
        return bool(signed)  # an initial
    if sign(word[:_BEGINNING]) in {each[:SIGN] for each in signed}:
        return True
    whole = {each[SIGN:] for each in signed}
    return any(sign(each) in whole for each in (word[:1], word[:2], *_misspell(word)))


def _misspell(word: str) -> Iterator[str]:
    """Yield the words that are nearly equal to a word, but do not have its beginning.

    For one letter more, less or changed, the ratio of difflib depends on the length alone.
    """
    length = len(word)
    may_lack, may_change = (
        (2 * length - 2) / total > _ALIKE for total in (2 * length - 1, 2 * length)
    )
    for place in range(min(_BEGINNING, length)):
        before, letter, after = word[:place], word[place], word[place + 1 :]
        yield from (before + other + letter + after for other in _ALPHABET)
        if may_lack:
            yield before + after
        if may_change:
            yield from (before + other + after for other in _ALPHABET)
            yield before + after[:1] + letter + after[1:]
