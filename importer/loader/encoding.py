"""Detect the encoding of a text: byte-order mark, NUL bytes, UTF-8, then how its words look.

An 8-bit text does not name its encoding. Each encoding reads its bytes as different letters, and
in each language a letter has its usual neighbours: `ñ` comes before a vowel, `ń` does not. Babel's
words of each language show which. If one reading is much likelier than all others, it is taken,
with a warning. If none is, the uncertain characters are marked, and their rows are held back.
Tried and rejected: charset-normalizer, which read French names as cp775 and `Søren` as cp1250.
"""

from __future__ import annotations

import codecs
import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from importer.loader.sheet import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHUNK: Final = 1 << 16  # small enough for the processor's cache
_HEAD: Final = 4096
_MOSTLY: Final = 0.3
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_SAMPLE: Final = 40

DOUBT: Final = "\ufdd2"
"""Marks the character after it as uncertain; no real text contains this code point."""

_EVERY: Final = r"[^\x00-\x7f]"


@dataclass(frozen=True, slots=True)
class Encoding:
    """The encoding of a file.

    Attributes:
        codec: Python's name for it.
        mark: length of the byte-order mark in bytes.
        sample: a few words as the guessed encoding reads them, and other readings if the guess is
            uncertain; None if nothing was guessed.
        doubtful: pattern of the uncertain characters; None if there are none.
        odd: whether some rows are not UTF-8, but the rest is.
    """

    codec: str
    mark: int = 0
    sample: str | None = field(default=None, repr=False)
    doubtful: str | None = field(default=None, repr=False)
    odd: bool = False

    @property
    def has_doubts(self) -> bool:
        """Whether `as_utf8` puts `DOUBT` before characters."""
        return self.odd or self.doubtful is not None


def detect_encoding(data: bytes, forced: str | None, fallback: str) -> Encoding:
    """Return the encoding of a text.

    Args:
        data: the bytes.
        forced: the encoding that the user names. Its byte-order mark is skipped. Text with the
            mark of UTF-8 is still read as UTF-8, because our files of rejected rows have it.
        fallback: the encoding of text that is not Unicode. The default, `cp1252`, is used only if
            the words look like it.

    Raises:
        Refusal: it is not text, or not in the encoding that the user names.
    """
    if forced is not None:
        return _encoding_named(data, forced)
    for mark, codec in _MARKS:
        if data.startswith(mark):
            odd = codec == "utf-8" and not is_valid(data, codec, len(mark))
            found = Encoding(codec, len(mark), odd=odd)
            return found if odd else _require_valid(data, found)
    wide = _detect_by_nuls(data[:_HEAD])
    if wide is not None:
        return _require_valid(data, Encoding(wide))
    valid = is_valid(data, "utf-8")
    if valid or _is_mostly_utf8(data):
        return Encoding("utf-8", odd=not valid)
    return _detect_one_byte(data, fallback)


def _detect_one_byte(data: bytes, fallback: str) -> Encoding:
    """Return the encoding that the settings name, or else the likeliest one."""
    codec = codecs.lookup(fallback).name
    if codec != _DEFAULT and is_valid(data, codec):
        words = [word.decode(codec) for word in _find_odd_words(data)]
        return Encoding(codec, sample=_sample_of(words))
    return _choose_likeliest(data, codec)


def is_valid(data: bytes, codec: str, start: int = 0) -> bool:
    """Whether bytes are text in an encoding; they are checked in parts, to bound the memory."""
    if codec == "utf-8" and data.isascii():
        return True
    decoder = codecs.getincrementaldecoder(codec)()
    view = memoryview(data)
    try:
        for place in range(start, len(data), _CHUNK):
            decoder.decode(view[place : place + _CHUNK])
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def as_utf8(data: bytes, encoding: Encoding) -> bytes:
    """Return the text in UTF-8, with `DOUBT` before uncertain characters."""
    if encoding.codec in {"utf-8", "ascii"} and not encoding.odd:
        return data
    view = memoryview(data)[encoding.mark :]
    if encoding.doubtful is not None:
        whole = str(view, encoding.codec, "replace")
        return re.sub(f"(?:{encoding.doubtful})", rf"{DOUBT}\g<0>", whole).encode()
    decoder = codecs.getincrementaldecoder(encoding.codec)(_ODD if encoding.odd else "strict")
    text = bytearray()
    for place in range(0, len(view), _CHUNK):
        text += decoder.decode(view[place : place + _CHUNK]).encode()
    text += decoder.decode(b"", final=True).encode()
    return bytes(text)


_ODD: Final = "importer-odd-bytes"


def _read_odd_bytes(error: UnicodeError) -> tuple[str, int]:
    """Decode bytes that are not UTF-8 as cp1252, each with `DOUBT` before it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    some = error.object[error.start : error.end].decode(_DEFAULT, "replace")
    return "".join(f"{DOUBT}{char}" for char in some), error.end


codecs.register_error(_ODD, _read_odd_bytes)


def _encoding_named(data: bytes, forced: str) -> Encoding:
    try:
        codec = codecs.lookup(forced).name
    except LookupError:
        raise Refusal(Code.FILE_UNREADABLE, f"there is no encoding {forced}") from None
    for mark, marked in _MARKS:
        ours = mark == codecs.BOM_UTF8 and data.startswith(mark) and is_valid(data, marked)
        if ours or (data.startswith(mark) and marked.startswith(codec.removesuffix("-sig"))):
            return _require_valid(data, Encoding(marked, len(mark)))
    return _require_valid(data, Encoding(codec.removesuffix("-sig")))


def _require_valid(data: bytes, encoding: Encoding) -> Encoding:
    if not is_valid(data, encoding.codec, encoding.mark):
        raise Refusal(Code.FILE_UNREADABLE, f"it is not valid {encoding.codec} text")
    return encoding


def _detect_by_nuls(head: bytes) -> str | None:
    """Detect UTF-16 without a mark: in mostly Latin text, every other byte is NUL."""
    half = len(head) // 2
    if not half or b"\0" not in head:
        return None
    even, odd = head[0 : 2 * half : 2].count(0), head[1 : 2 * half : 2].count(0)
    if odd > _MOSTLY * half and even < odd / 10:
        return "utf-16-le"
    if even > _MOSTLY * half and odd < even / 10:
        return "utf-16-be"
    return None


def _is_mostly_utf8(data: bytes) -> bool:
    """Whether most lines with non-ASCII letters are UTF-8.

    Text in another encoding is hardly ever valid UTF-8 by chance.
    """
    lines = (line[0] for line in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", data))
    some = [is_valid(line, "utf-8") for line in islice(lines, _PLACES)]
    return 2 * sum(some) > len(some)


class _Candidate(NamedTuple):
    """An encoding that a text may be in.

    Attributes:
        codec: Python's name for it.
        languages: the languages written in it, by Babel's names.
        rarity: how much better than cp1252 it must fit.
    """

    codec: str
    languages: str
    rarity: float


_DEFAULT: Final = "cp1252"
_WEST: Final = "de fr es it nl pt sv da nb fi is ca ga"
_CENTRE: Final = "pl cs sk hu sl hr ro"
_CANDIDATES: Final = (
    _Candidate(_DEFAULT, _WEST, 0),
    _Candidate("mac_roman", _WEST, 3),
    _Candidate("cp850", _WEST, 3),
    _Candidate("cp1250", _CENTRE, 1),
    _Candidate("iso8859-2", _CENTRE, 3),
    _Candidate("cp852", _CENTRE, 3),
    _Candidate("cp1254", "tr az", 1.5),
    _Candidate("cp1257", "lt lv et", 4),
    _Candidate("cp1251", "ru uk bg sr be mk", 1),
    _Candidate("koi8-r", "ru bg", 3),
    _Candidate("koi8-u", "uk", 3),
    _Candidate("cp866", "ru", 3),
    _Candidate("mac_cyrillic", "ru uk", 3),
    _Candidate("cp1253", "el", 1),
    _Candidate("iso8859-7", "el", 3),
    _Candidate("cp1255", "he", 1),
    _Candidate("cp1256", "ar fa", 1),
)
_DOUBLE: Final = ("cp932", "euc_jp", "gb18030", "big5", "cp949")
"""East Asian encodings, which a few names cannot tell apart."""

_WORDS: Final = 400  # at most this many different words are judged,
_PLACES: Final = 20_000  # and this many places are searched for them
_LONGEST: Final = 60
_NOT_WORD: Final = rb" ,;|\"\t\r\n\d.@()+\-:/&"
_WORD_END: Final = re.compile(rb"[" + _NOT_WORD + rb"]")
_MARGIN: Final = 6.0
"""How much likelier the best reading must be than the next one, as a natural logarithm."""
_UNLIKELY: Final = -6.5
"""A reading is taken only if its words are likelier than this on average."""
_IMPOSSIBLE: Final = -13.0
_TYPOGRAPHY: Final = "’‘“”'´`"
_LETTERS_ELSEWHERE: Final = "£¤¥¦§¨¬¯±³¶¸¹×÷"
_SYMBOLS: Final = "¡¢£¤¥¦§¨¬¯±³µ¶¸¹¼½¾¿×÷†‡ˆ‰‹›€"
_IN_A_WORD: Final = (
    rf"(?<=[^\W\d_])[{_SYMBOLS}](?=[^\W\d_])"
    rf"|(?<![^\W_])[{_LETTERS_ELSEWHERE}](?=[^\W\d_])|(?<=[a-z])[{_LETTERS_ELSEWHERE}]"
)
_SMALL: Final = 4
_APOSTROPHE: Final = re.compile(r"(?:[^\W_]{1,2}['’][^\W_]+|[^\W_]+['’](?:s|[A-ZÀ-Þ][^\W_]*))")
_CAPITAL_INSIDE: Final = re.compile(
    "[^\\W_](?=[^\\W_a-zA-Z])(?:"
    + "|".join(chr(code) for code in range(0xC0, 0x530) if chr(code).isupper())
    + ")"
)


class _Reading(NamedTuple):
    """The words of a text as one encoding reads them.

    Attributes:
        score: natural logarithm of the reading's likelihood; higher is likelier.
        mean: the score for each word, on average.
        codec: Python's name for the encoding.
        words: the words as this encoding reads them.
    """

    score: float
    mean: float
    codec: str
    words: tuple[str, ...]


def _choose_likeliest(data: bytes, fallback: str) -> Encoding:
    """Return the encoding that the words of an 8-bit text look like, with the remaining doubts.

    Raises:
        Refusal: no encoding fits.
    """
    words = list(_find_odd_words(data))
    readings = _read_in_each(words)
    double = [codec for codec in _DOUBLE if _is_east_asian(data, codec)]
    best = readings[0] if readings else None
    likely = best is not None and best.mean > _UNLIKELY and not double
    if best is not None and likely and is_valid(data, best.codec):
        near = [other for other in readings[1:] if best.score - other.score < _MARGIN]
        doubtful = _doubtful_pattern(data, best.codec, [other.codec for other in near])
        return Encoding(best.codec, sample=_compare_readings([best, *near]), doubtful=doubtful)
    uncertain = [*double, *(reading.codec for reading in readings), fallback]
    codec = next((each for each in uncertain if is_valid(data, each)), None)
    if codec is None:
        raise Refusal(
            Code.FILE_UNREADABLE,
            f"it is not text in UTF-8, UTF-16 or {fallback}; --encoding can name another",
        )
    shown = [
        _Reading(0, 0, each, tuple(word.decode(each, "replace") for word in words[:_SMALL]))
        for each in (double or [codec])
    ]
    return Encoding(codec, sample=_compare_readings(shown), doubtful=_EVERY)


def _find_odd_words(data: bytes) -> Iterator[bytes]:
    """Find the first distinct words that have non-ASCII bytes."""
    seen: set[bytes] = set()
    place = 0
    for _ in range(_PLACES):
        found = _HIGH.search(data, place)
        if found is None or len(seen) == _WORDS:
            return
        before = data[max(0, found.start() - _LONGEST) : found.start()]
        start = found.start() - len(_WORD_END.split(before)[-1])
        end = _WORD_END.search(data, found.start())
        place = end.start() if end is not None else len(data)
        word = data[start : min(place, start + _LONGEST)]
        if word not in seen:
            seen.add(word)
            yield word


def _read_in_each(words: Sequence[bytes]) -> list[_Reading]:
    """Read words in each encoding; return the distinct readings, the likeliest first."""
    found: dict[tuple[str, ...], _Reading] = {}
    for codec, languages, rarity in _CANDIDATES:
        try:
            texts = tuple(word.decode(codec) for word in words)
        except UnicodeDecodeError:
            continue
        if sum(map(_is_impossible, texts)) * 2 > len(texts):
            continue  # saves loading its languages
        score = sum(_likelihood(text, languages) for text in texts)
        reading = _Reading(score - rarity, score / max(1, len(texts)), codec, texts)
        known = found.get(texts)
        if known is not None:  # of equal readings, keep the name of the commoner encoding
            reading = max(known, reading)._replace(codec=known.codec)
        found[texts] = reading
    return sorted(found.values(), key=lambda reading: -reading.score)


def _is_impossible(text: str) -> bool:
    """Whether a word mixes letters with symbols, mixes scripts, or has capitals inside it."""
    word = text.strip(_TYPOGRAPHY)
    letters = [char for char in word if char.isalpha() or unicodedata.category(char) == "Mn"]
    if not letters:
        return len(word) > 1 and len(set(word)) > 1
    if len(letters) < len(word) and not _APOSTROPHE.fullmatch(word):
        return True
    scripts = {unicodedata.name(char, "?").split()[0] for char in letters}
    if len(scripts - {"COMBINING", "RIGHT", "FEMININE", "MASCULINE"}) > 1:
        return True
    return not word.isupper() and _CAPITAL_INSIDE.search(word) is not None


def _likelihood(text: str, languages: str) -> float:
    """Return how likely a word is in the language that it fits best, as a natural logarithm."""
    if _is_impossible(text):
        return _IMPOSSIBLE
    plain = "".join(filter(str.isalpha, text)).lower()
    edge = _UNLIKELY if text[-1:] in "‘’“”" or text[:1] in "‘’“”" else 0.0
    if plain.isascii():
        return edge
    return edge + max(_in_language(plain, language) for language in languages.split())


def _in_language(word: str, language: str) -> float:
    """Return how likely a word's non-ASCII letters are in their places, as a mean logarithm."""
    pairs, firsts, shares = _pairs_of(language)
    scores = []
    for one, other in zip(f"^{word}", f"{word}$", strict=True):
        if not (one + other).isascii():
            likely = (pairs[one + other] + shares.get(other, 1e-4)) / (firsts[one] + 1)
            scores.append(math.log(max(likely, 1e-5)))
    return sum(scores) / len(scores)


@cache
def _pairs_of(language: str) -> tuple[Counter[str], Counter[str], dict[str, float]]:
    """Count how often letters follow each other in Babel's words of a language.

    Returns:
        The pairs, the first letters of pairs, and the share of each letter. `^` and `$` stand for
        the edges of a word.
    """
    from babel import Locale  # noqa: PLC0415 (most texts are UTF-8)

    locale = Locale.parse(language)
    cities = (zone["city"] for zone in locale.time_zones.values() if "city" in zone)
    names = (locale.territories, locale.languages, locale.currencies, locale.scripts)
    texts: Iterable[str] = (*cities, *(text for some in names for text in some.values()))
    words = {word for text in texts for word in re.findall(r"[^\W\d_]+", text.lower())}
    pairs: Counter[str] = Counter()
    for word in words:
        pairs.update(map("".join, zip(f"^{word}", f"{word}$", strict=True)))
    firsts: Counter[str] = Counter()
    seconds: Counter[str] = Counter()
    for pair, count in pairs.items():
        firsts[pair[0]] += count
        seconds[pair[1]] += count
    total = seconds.total()
    return pairs, firsts, {letter: count / total for letter, count in seconds.items()}


def _is_east_asian(data: bytes, codec: str) -> bool:
    """Whether an encoding reads all non-ASCII characters as Chinese, Japanese or Korean.

    Other texts hardly ever do this: it takes non-ASCII bytes in pairs, without Latin letters beside
    them.
    """
    start = _HIGH.search(data)
    line = data.rfind(b"\n", 0, start.start() if start is not None else 0) + 1
    part = data[line : line + 2 * _HEAD].rpartition(b"\n")[0] or data[line : line + 2 * _HEAD]
    try:
        text = part.decode(codec)
    except UnicodeDecodeError:
        return False
    if re.search(r"[a-zA-Z][^\x00-\x7f]|[^\x00-\x7f][a-zA-Z]", text):
        return False
    kinds = {unicodedata.name(char, "?").split()[0] for char in text if not char.isascii()}
    east = {"CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "IDEOGRAPHIC"}
    return kinds <= east | {"FULLWIDTH"} and is_valid(data, codec)


def _doubtful_pattern(data: bytes, codec: str, others: Sequence[str]) -> str | None:
    """Return a pattern of characters that other encodings read differently, or None.

    It also matches symbols inside words.
    """
    doubtful = set()
    for byte in set(data) - set(range(0x80)):
        char, *rest = (bytes([byte]).decode(each, "replace") for each in (codec, *others))
        if set(rest) - {char}:
            doubtful.add(re.escape(char))
    if doubtful:
        return "|".join((*sorted(doubtful), _IN_A_WORD))
    return _IN_A_WORD if re.search(_IN_A_WORD, data.decode(codec, "replace")) else None


def _compare_readings(readings: Sequence[_Reading]) -> str:
    """Show the words that readings differ in: `cp1250, as in Jiří; or cp1252, as in Jiøí`."""
    others = readings[1:]
    places = [
        place
        for place, words in enumerate(zip(*(reading.words for reading in readings), strict=True))
        if not others or len(set(words)) > 1
    ]
    shown = [_sample_of([reading.words[place] for place in places]) for reading in readings]
    rest = zip(others, shown[1:], strict=True)
    return shown[0] + "".join(f"; or {other.codec}, as in {text}" for other, text in rest)


def _sample_of(words: Sequence[str]) -> str:
    """Join a few words, as many as fit into a message."""
    few = list(dict.fromkeys(words))
    most = next((n for n in range(1, len(few)) if sum(map(len, few[:n])) > _SAMPLE), None)
    return ", ".join(few[:most])[: 2 * _SAMPLE]


def is_text(text: str) -> bool:
    """Whether decoded characters look like text: few of them are control characters.

    A few in some cells are removed later and reported. In binary data, a tenth of the characters
    are control characters.
    """
    return len(_CONTROLS.findall(text)) * 20 <= len(text)


_FIRST_BYTES: Final = 1000
_KINDS: Final = (
    (re.compile(r"%PDF-"), "it is a PDF"),
    (re.compile(r"\{\\rtf"), "it is a rich text document"),
    (re.compile(r"(?:\x89PNG|GIF8|\xff\xd8\xff)"), "it is a picture"),
    (re.compile(r"SQLite format 3"), "it is a database"),
    (
        re.compile(r"(?:[\w-]+: [^\n]*\n){0,20}?MIME-Version: 1", re.IGNORECASE),
        "it is a web archive (MHTML); open it and save it as XLSX",
    ),
    (re.compile(r"ID;P"), "it is a SYLK file; open it and save it as XLSX"),
    (
        re.compile(r"\s*(?:<!doctype html|<html|<head|<table|<meta)", re.IGNORECASE),
        "it is a web page",
    ),
    (re.compile(r"\s*<\?xml(?s:.){0,500}?office:spreadsheet"), "it is an XML spreadsheet of 2003"),
    (re.compile(r"\s*<\?xml"), "it is XML"),
    (re.compile(r'\s*[\[{]\s*(?:["{\[]|\})'), "it is JSON"),
)


def refuse_other_formats(data: bytes) -> None:
    """Refuse a file whose first characters show that it is not a table.

    Raises:
        Refusal: says what the file is.
    """
    head = data[:_FIRST_BYTES].removeprefix(codecs.BOM_UTF8).decode("latin-1")
    for pattern, said in _KINDS:
        if pattern.match(head):
            raise Refusal(Code.FILE_UNREADABLE, said)
