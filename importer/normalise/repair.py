"""Repair names that programs have quoted, encoded or garbled, if the repair is certain."""

from __future__ import annotations

import html
import re
from email.errors import HeaderParseError
from email.header import decode_header
from typing import Final
from urllib.parse import unquote

import polars as pl

_ODD: Final = r"&#?\w+;|=\?|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|[ÂÃÄÅÐÑØÙâã]\W|[ÂÃÄÅÐÑØÙ][^A-Za-z]"
_QUOTES: Final = "'\"`´‘’‚“”„«»‹›"
_QUOTED: Final = rf"^\s*[{_QUOTES}]+\s*([^{_QUOTES}].*?)\s*[{_QUOTES}]+\s*$"
_ENCODED_WORD: Final = re.compile(r"=\?[\w-]+\?[bBqQ]\?[^?\s]*\?=")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_ESCAPE: Final = re.compile(r"\\u([0-9A-Fa-f]{4})")
_PROGRAMS: Final = 3


def decode_names(cells: pl.Series) -> pl.Series:
    """Undo entities, encoded words, escapes and garbled UTF-8 in names.

    Args:
        cells: text as it came.

    Returns:
        As many cells; one that cannot be repaired for certain is unchanged.
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
    """The text that programs have encoded, perhaps one after the other."""
    for _ in range(_PROGRAMS):
        before, cell = cell, _decode_once(cell)
        if cell == before:
            break
    return cell


def _decode_once(cell: str) -> str:
    text = html.unescape(cell) if re.search(r"&#?\w+;", cell) else cell
    text = _ENCODED_WORD.sub(lambda found: _decode_word(found[0]), text)
    text = _ESCAPE.sub(lambda found: chr(int(found[1], 16)), text)
    if _SURROGATE.search(text):  # half a character
        return cell
    return _ungarble(_unquote(text) if "%" in text else text)


def _decode_word(word: str) -> str:
    """`=?utf-8?Q?Jos=C3=A9?=` as `José`."""
    try:
        [(raw, charset)] = decode_header(word)
        return raw.decode(charset or "ascii") if isinstance(raw, bytes) else raw
    except (HeaderParseError, LookupError, UnicodeDecodeError, ValueError):
        return word


def _unquote(text: str) -> str:
    """`Jos%C3%A9` as `José`."""
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        return text


def _ungarble(text: str) -> str:
    """UTF-8 that was read as Windows-1252, as it was meant: `JosÃ©` as `José`."""
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
