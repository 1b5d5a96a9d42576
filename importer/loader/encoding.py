"""Which encoding a text is in: its mark, its NULs, UTF-8, then what its words look like.

An 8-bit text says nothing of its encoding. Each encoding gives other letters, and the letters of
a language have other neighbours: `ñ` comes before a vowel, `ń` does not. The words that Babel
knows of each language show that. If one reading is much likelier than every other, it is taken,
with a warning; else the characters that are uncertain are marked, and their rows are held back.
Tried and left: charset-normalizer, which took names in French for cp775 and `Søren` for cp1250.
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
_CHUNK: Final = 1 << 16  # what is decoded stays in the processor's cache
_HEAD: Final = 4096
_MOSTLY: Final = 0.3
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
_HIGH: Final = re.compile(rb"[\x80-\xff]")
_SAMPLE: Final = 40

DOUBT: Final = "\ufdd2"
"""Stands before every character that may be another one; no text contains it by itself."""

_EVERY: Final = r"[^\x00-\x7f]"


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes become text.

    Attributes:
        codec: name for Python.
        mark: length of the byte-order mark, bytes.
        sample: words that show how a guess reads, and the other readings if it is uncertain; None
            if nothing was guessed.
        doubtful: pattern of the characters that may be others; None if there are none.
        odd: it is UTF-8, except for some rows.
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
    """Finds the encoding of a text.

    Args:
        data: the bytes.
        forced: the encoding that the user says it is. A byte-order mark of it is still skipped,
            and UTF-8 with its mark is UTF-8 even so: our files of rejected rows are that.
        fallback: what the user's text is in if it is not Unicode; `cp1252`, the default, is only
            taken if its words look like it.

    Raises:
        Refusal: it is no text, or not in the encoding that the user says.
    """
    if forced is not None:
        return _forced(data, forced)
    for mark, codec in _MARKS:
        if data.startswith(mark):
            odd = codec == "utf-8" and not is_valid(data, codec, len(mark))
            found = Encoding(codec, len(mark), odd=odd)
            return found if odd else _strict(data, found)
    wide = _by_nuls(data[:_HEAD])
    if wide is not None:
        return _strict(data, Encoding(wide))
    valid = is_valid(data, "utf-8")
    if valid or _is_mostly_utf8(data):
        return Encoding("utf-8", odd=not valid)
    return _of_one_byte(data, fallback)


def _of_one_byte(data: bytes, fallback: str) -> Encoding:
    """The encoding that the user's settings name, else the likeliest."""
    codec = codecs.lookup(fallback).name
    if codec != _DEFAULT and is_valid(data, codec):
        words = [word.decode(codec) for word in _odd_words(data)]
        return Encoding(codec, sample=_shown(words))
    return _likeliest(data, codec)


def is_valid(data: bytes, codec: str, start: int = 0) -> bool:
    """Whether bytes are text in an encoding; looks at them part by part, in bounded memory."""
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
    """The same text in UTF-8, with `DOUBT` before uncertain characters; unchanged if it is that."""
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
    """Reads bytes that are not UTF-8 as cp1252, each with `DOUBT` before it."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    some = error.object[error.start : error.end].decode(_DEFAULT, "replace")
    return "".join(f"{DOUBT}{char}" for char in some), error.end


codecs.register_error(_ODD, _read_odd_bytes)


def _forced(data: bytes, forced: str) -> Encoding:
    try:
        codec = codecs.lookup(forced).name
    except LookupError:
        raise Refusal(Code.FILE_UNREADABLE, f"there is no encoding {forced}") from None
    for mark, marked in _MARKS:
        ours = mark == codecs.BOM_UTF8 and data.startswith(mark) and is_valid(data, marked)
        if ours or (data.startswith(mark) and marked.startswith(codec.removesuffix("-sig"))):
            return _strict(data, Encoding(marked, len(mark)))
    return _strict(data, Encoding(codec.removesuffix("-sig")))


def _strict(data: bytes, encoding: Encoding) -> Encoding:
    if not is_valid(data, encoding.codec, encoding.mark):
        raise Refusal(Code.FILE_UNREADABLE, f"it is not valid {encoding.codec} text")
    return encoding


def _by_nuls(head: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of mostly Latin text is NUL."""
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
    """Whether more lines with letters beyond ASCII are UTF-8 than are not.

    Bytes of another encoding are hardly ever UTF-8 by chance.
    """
    lines = (line[0] for line in re.finditer(rb"[^\r\n]*[\x80-\xff][^\r\n]*", data))
    some = [is_valid(line, "utf-8") for line in islice(lines, _PLACES)]
    return 2 * sum(some) > len(some)


class _Candidate(NamedTuple):
    """An encoding that a text may be in.

    Attributes:
        codec: name for Python.
        languages: those written in it, as Babel names them.
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
"""East Asian encodings: they look too much alike to be told apart by a few names."""

_WORDS: Final = 400  # at most so many different words are judged,
_PLACES: Final = 20_000  # and so many places looked at
_LONGEST: Final = 60
_NOT_WORD: Final = rb" ,;|\"\t\r\n\d.@()+\-:/&"
_WORD_END: Final = re.compile(rb"[" + _NOT_WORD + rb"]")
_MARGIN: Final = 6.0
"""How much likelier the best reading must be than the next: natural logarithm."""
_UNLIKELY: Final = -6.5
"""A reading is taken if its mean word is likelier than this."""
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
    """What an encoding makes of the words of a text.

    Attributes:
        score: natural logarithm of how likely it is, the higher the likelier.
        mean: of one word.
        codec: name for Python.
        words: as they read.
    """

    score: float
    mean: float
    codec: str
    words: tuple[str, ...]


def _likeliest(data: bytes, fallback: str) -> Encoding:
    """The encoding that the words of an 8-bit text look like, with the doubts that are left.

    Raises:
        Refusal: no encoding fits.
    """
    words = list(_odd_words(data))
    readings = _readings(words)
    double = [codec for codec in _DOUBLE if _is_east_asian(data, codec)]
    best = readings[0] if readings else None
    likely = best is not None and best.mean > _UNLIKELY and not double
    if best is not None and likely and is_valid(data, best.codec):
        near = [other for other in readings[1:] if best.score - other.score < _MARGIN]
        doubtful = _differing(data, best.codec, [other.codec for other in near])
        return Encoding(best.codec, sample=_compared([best, *near]), doubtful=doubtful)
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
    return Encoding(codec, sample=_compared(shown), doubtful=_EVERY)


def _odd_words(data: bytes) -> Iterator[bytes]:
    """The first different words with bytes beyond ASCII."""
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


def _readings(words: Sequence[bytes]) -> list[_Reading]:
    """What the encodings make of words, the likeliest first; none twice that read alike."""
    found: dict[tuple[str, ...], _Reading] = {}
    for codec, languages, rarity in _CANDIDATES:
        try:
            texts = tuple(word.decode(codec) for word in words)
        except UnicodeDecodeError:
            continue
        if sum(map(_is_impossible, texts)) * 2 > len(texts):
            continue  # the languages need not be loaded
        score = sum(_likelihood(text, languages) for text in texts)
        reading = _Reading(score - rarity, score / max(1, len(texts)), codec, texts)
        known = found.get(texts)
        if known is not None:  # the commoner encoding gives it its name
            reading = max(known, reading)._replace(codec=known.codec)
        found[texts] = reading
    return sorted(found.values(), key=lambda reading: -reading.score)


def _is_impossible(text: str) -> bool:
    """Whether a word has symbols between its letters, two scripts, or capitals inside of it."""
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
    """How likely a word is in the likeliest of some languages: natural logarithm."""
    if _is_impossible(text):
        return _IMPOSSIBLE
    plain = "".join(filter(str.isalpha, text)).lower()
    edge = _UNLIKELY if text[-1:] in "‘’“”" or text[:1] in "‘’“”" else 0.0
    if plain.isascii():
        return edge
    return edge + max(_in_language(plain, language) for language in languages.split())


def _in_language(word: str, language: str) -> float:
    """How likely the letters beyond ASCII of a word are in their places: mean of logarithms."""
    pairs, firsts, shares = _pairs_of(language)
    scores = []
    for one, other in zip(f"^{word}", f"{word}$", strict=True):
        if not (one + other).isascii():
            likely = (pairs[one + other] + shares.get(other, 1e-4)) / (firsts[one] + 1)
            scores.append(math.log(max(likely, 1e-5)))
    return sum(scores) / len(scores)


@cache
def _pairs_of(language: str) -> tuple[Counter[str], Counter[str], dict[str, float]]:
    """How often letters follow each other in the words that Babel has of a language.

    Returns:
        Pairs, first letters of pairs, and the share of each letter; `^` and `$` are the edges.
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
    """Whether all characters beyond ASCII are Chinese, Japanese or Korean in an encoding.

    Other texts are hardly ever: letters come in pairs then, and none is beside a Latin one.
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


def _differing(data: bytes, codec: str, others: Sequence[str]) -> str | None:
    """Pattern of characters that other encodings read otherwise, and of symbols in words."""
    doubtful = set()
    for byte in set(data) - set(range(0x80)):
        char, *rest = (bytes([byte]).decode(each, "replace") for each in (codec, *others))
        if set(rest) - {char}:
            doubtful.add(re.escape(char))
    if doubtful:
        return "|".join((*sorted(doubtful), _IN_A_WORD))
    return _IN_A_WORD if re.search(_IN_A_WORD, data.decode(codec, "replace")) else None


def _compared(readings: Sequence[_Reading]) -> str:
    """The first different words in each reading: `cp1250, as in Jiří; or cp1252, as in Jiøí`."""
    others = readings[1:]
    places = [
        place
        for place, words in enumerate(zip(*(reading.words for reading in readings), strict=True))
        if not others or len(set(words)) > 1
    ]
    shown = [_shown([reading.words[place] for place in places]) for reading in readings]
    rest = zip(others, shown[1:], strict=True)
    return shown[0] + "".join(f"; or {other.codec}, as in {text}" for other, text in rest)


def _shown(words: Sequence[str]) -> str:
    """A few words, as many as fit into a message."""
    few = list(dict.fromkeys(words))
    most = next((n for n in range(1, len(few)) if sum(map(len, few[:n])) > _SAMPLE), None)
    return ", ".join(few[:most])[: 2 * _SAMPLE]


def is_text(text: str) -> bool:
    """Whether decoded characters are what people write: few of them are control characters.

    Some cells have a few, which are removed later and reported; of binary data a tenth is.
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
    """Refuses what is plainly no table, by its first characters.

    Raises:
        Refusal: it names what the file is.
    """
    head = data[:_FIRST_BYTES].removeprefix(codecs.BOM_UTF8).decode("latin-1")
    for pattern, said in _KINDS:
        if pattern.match(head):
            raise Refusal(Code.FILE_UNREADABLE, said)
