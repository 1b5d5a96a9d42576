"""Encodings are found by mark, NULs and strict UTF-8; guesses say so."""

from __future__ import annotations

import codecs

import pytest

from importer.loader.encoding import as_utf8, detect_encoding
from importer.loader.sheet import Refusal

GERMAN = "Vorname;Straße\r\nJürgen;Größe\r\n"
FRENCH = "Prénom;Où\r\nHélène;Noël\r\nFrançois;d’accord\r\n"
POLISH = "Imię;Miasto\r\nŁukasz;Łódź\r\n"


@pytest.mark.parametrize(
    ("data", "codec"),
    [
        (GERMAN.encode(), "utf-8"),
        (codecs.BOM_UTF8 + GERMAN.encode(), "utf-8"),
        (b"plain", "utf-8"),
        (codecs.BOM_UTF16_LE + POLISH.encode("utf-16-le"), "utf-16-le"),
        (codecs.BOM_UTF16_BE + POLISH.encode("utf-16-be"), "utf-16-be"),
        (codecs.BOM_UTF32_LE + POLISH.encode("utf-32-le"), "utf-32-le"),
        (POLISH.encode("utf-16-le"), "utf-16-le"),
        (POLISH.encode("utf-16-be"), "utf-16-be"),
    ],
)
def test_what_is_certain(data: bytes, codec: str) -> None:
    """Nothing is guessed, and no mark is left in the text."""
    found = detect_encoding(data, None, "cp1252")
    assert (found.codec, found.sample) == (codec, None)
    text = as_utf8(data, found).removeprefix(codecs.BOM_UTF8)
    assert text.decode() == data.decode(codec).removeprefix("\ufeff")


@pytest.mark.parametrize("text", [GERMAN, FRENCH])
@pytest.mark.parametrize("codec", ["cp1252", "mac_roman"])
def test_guesses_show_a_sample(text: str, codec: str) -> None:
    """Western text of the two families is told apart, and words of it are shown."""
    found = detect_encoding(text.encode(codec), None, "cp1252")
    assert found.codec == codec
    assert found.sample is not None
    assert ("Straße" if text == GERMAN else "Prénom") in found.sample


def test_the_fallback_is_a_setting() -> None:
    """Text from Warsaw reads right where the settings say so."""
    found = detect_encoding(POLISH.encode("cp1250"), None, "cp1250")
    assert as_utf8(POLISH.encode("cp1250"), found).decode() == POLISH


def test_forcing_decides() -> None:
    """`--encoding` is believed, and nothing is called a guess then."""
    data = GERMAN.encode("mac_roman")
    found = detect_encoding(data, "mac_roman", "cp1252")
    assert (as_utf8(data, found).decode(), found.sample) == (GERMAN, None)


@pytest.mark.parametrize(
    ("data", "forced", "said"),
    [
        (GERMAN.encode("cp1252"), "utf-8", "not valid utf-8"),
        (b"x", "klingon", "no encoding klingon"),
        (codecs.BOM_UTF16_LE + b"\x00\xd8", None, "not valid utf-16-le"),
        (b"\xe4\xf6\xfc\x9d", None, "UTF-8, UTF-16 or cp1252"),
    ],
)
def test_what_cannot_be_read(data: bytes, forced: str | None, said: str) -> None:
    """The refusal names the encodings that do not fit."""
    with pytest.raises(Refusal, match=said):
        detect_encoding(data, forced, "cp1252")


def test_a_long_text_is_checked_to_its_end() -> None:
    """A wrong byte after megabytes is found, and a character over the edge of a part is not."""
    long = "é" * 1_500_000
    assert detect_encoding(("x" + long).encode(), None, "cp1252").codec == "utf-8"
    assert detect_encoding(long.encode() + b"\xe9", None, "cp1252").codec != "utf-8"
