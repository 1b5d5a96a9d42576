"""Which encoding a text is in: its mark, its NULs, strict UTF-8, then a guess that says so."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from typing import Final

from importer.loader.sheet import Refusal
from schemas.codes import Code

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
_WORD: Final = re.compile(r"[^\s,;|\"\t]*[^\x00-\x7f][^\s,;|\"\t]*")
_LETTERS: Final = frozenset("äöüßÄÖÜéèêëáàâåãçñíìîïóòôõøúùûýÿæœÉÈÊÁÀÂÅÃÇÑÍÎÓÔÕØÚÆ")
_SAMPLE: Final = 40
_NEAR: Final = 2000


@dataclass(frozen=True, slots=True)
class Encoding:
    """How bytes become text.

    Attributes:
        codec: name for Python.
        mark: length of the byte-order mark, bytes.
        sample: words that show how a guess reads; None where nothing was guessed.
    """

    codec: str
    mark: int = 0
    sample: str | None = field(default=None, repr=False)


def detect_encoding(data: bytes, forced: str | None, fallback: str) -> Encoding:
    """Finds the encoding of a text.

    Args:
        data: the bytes.
        forced: the encoding that the user says it is; a byte-order mark of it is still skipped.
        fallback: what to take for text that is not Unicode; Mac Roman is taken instead of
            cp1252 where it gives more letters.

    Raises:
        Refusal: it is no text, or not in the encoding that the user says.
    """
    if forced is not None:
        return _forced(data, forced)
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return _strict(data, Encoding(codec, len(mark)))
    wide = _by_nuls(data[:_HEAD])
    if wide is not None:
        return _strict(data, Encoding(wide))
    if is_valid(data, "utf-8"):
        return Encoding("utf-8")
    codec = _single_byte(data, fallback)
    return Encoding(codec, sample=_sample(data, codec))


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
    """The same text in UTF-8; the data themselves where they are that already."""
    if encoding.codec in {"utf-8", "ascii"}:
        return data
    decoder = codecs.getincrementaldecoder(encoding.codec)()
    view = memoryview(data)
    text = bytearray()
    for place in range(encoding.mark, len(data), _CHUNK):
        text += decoder.decode(view[place : place + _CHUNK]).encode()
    return bytes(text)


def _forced(data: bytes, forced: str) -> Encoding:
    try:
        codec = codecs.lookup(forced).name
    except LookupError:
        raise Refusal(Code.FILE_UNREADABLE, f"there is no encoding {forced}") from None
    for mark, marked in _MARKS:
        if data.startswith(mark) and marked.startswith(codec.removesuffix("-sig")):
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


def _single_byte(data: bytes, fallback: str) -> str:
    codec = codecs.lookup(fallback).name
    high = b"".join(_HIGH.findall(data))
    if codec == "cp1252" and _letters(high, "mac_roman") > _letters(high, codec):
        return "mac_roman"
    if is_valid(data, codec):
        return codec
    raise Refusal(
        Code.FILE_UNREADABLE,
        f"it is not text in UTF-8, UTF-16 or {codec}; --encoding can name another",
    )


def _letters(high: bytes, codec: str) -> int:
    """How many bytes beyond ASCII are letters of Western European names in an encoding."""
    weights = [
        byte for byte in range(0x80, 0x100) if bytes([byte]).decode(codec, "replace") in _LETTERS
    ]
    return sum(high.count(byte) for byte in weights)


def _sample(data: bytes, codec: str) -> str:
    """The first different words that a guess is seen in."""
    first = _HIGH.search(data)
    place = first.start() if first is not None else 0
    start = data.rfind(b"\n", 0, place) + 1
    text = data[max(start, place - _NEAR) : place + _NEAR].decode(codec, "replace")
    words = list(dict.fromkeys(_WORD.findall(text)))
    most = next((n for n in range(1, len(words)) if sum(map(len, words[:n])) > _SAMPLE), None)
    return ", ".join(words[:most])[: 2 * _SAMPLE]


def is_text(text: str) -> bool:
    """Whether decoded characters are what people write: hardly any control characters."""
    controls = len(_CONTROLS.findall(text))
    return controls * 100 <= len(text) and "\0" not in text


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
