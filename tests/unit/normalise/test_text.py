"""Tidying changes spaces, invisible characters and the normal form, and no letter."""

from __future__ import annotations

import re
import sys
import unicodedata

import polars as pl
import pytest

from importer.normalise.text import SURE, fold_words, spell_out, tidy

LINE, TEXT = "line", "text"


def tidied(cell: str | None, column: str = LINE) -> str | None:
    """Return one cell after tidying."""
    frame, _ = tidy(pl.DataFrame({column: [cell]}, schema={column: pl.String}), {LINE})
    result: str | None = frame[column][0]
    return result


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien",
        "O\u2019Brien",
        "Müller",
        "Nguyễn Thị Hương",
        "José",
        "李小龙",
        "Łukasz Żółć",
        "Þórður Ásgeirsson",
        "Иван Петрович",
        "Ελένη",
        "김철수",
        "田中 さくら",
        "محمد علي",
        "Jean-Luc",
        "d\u2019Artagnan",
        "علی\u200cرضا",
        "ක්\u200dරිස්ටි",
        "അനില്\u200d",
        "क्\u200dष\u200dक",
        "बि\u200dल्कुल",
        "👩\u200d💻",
    ],
)
def test_names_of_all_scripts_stay_as_they_are(name: str) -> None:
    """Letters, apostrophes and the joiners that shape letters are not touched."""
    assert tidied(name) == name
    assert tidied(name, TEXT) == name


@pytest.mark.parametrize(
    ("cell", "becomes"),
    [
        ("  Ada ", "Ada"),
        ("\u00a0Ada\u2003Lovelace\u00a0", "Ada Lovelace"),
        ("Ada  \t Lovelace", "Ada Lovelace"),
        ("Ada\r\nLovelace", "Ada Lovelace"),
        ("A\u200bd\u00ada\ufeff", "Ada"),
        ("\u202aAda\u202c\u200e", "Ada"),
        ("A\x00d\x07a\x7f", "Ada"),
        ("A\u200dd\u200ca", "Ada"),
        ("Ada\u200d", "Ada"),
        ("Jose\u0301", "José"),
        ("Jose\u200b\u0301", "José"),
        ("Mu\u0308ller", "Müller"),
        ("\u200b\u00a0", None),
        ("\u3164", None),
        ("", None),
        ("   ", None),
        (None, None),
        ("\ufdd0Ada\ufdd1", "Ada"),
        ("علی\u200c\u200cرضا\u200c", "علی\u200cرضا"),
        ("A\U000e0041da", "Ada"),
        ("क\u0301\u200b\u094d\u200c", "क\u094d\u0301\u200c"),
        ("\u200dAda", "Ada"),
    ],
)
def test_what_cannot_be_seen_goes(cell: str | None, becomes: str | None) -> None:
    """Blanks at the ends, invisible characters and decomposed letters; nothing left is null."""
    assert tidied(cell) == becomes


@pytest.mark.parametrize(
    ("cell", "becomes"),
    [
        (" Two\r\nlines  and a gap ", "Two\nlines  and a gap"),
        ("One\u2028two\x85three\rfour", "One\ntwo\nthree\nfour"),
        ("tab\tstays\u00a0here", "tab\tstays here"),
    ],
)
def test_text_of_several_lines_keeps_them(cell: str, becomes: str) -> None:
    """Outside of the one-line columns, line breaks and inner blanks stay."""
    assert tidied(cell, TEXT) == becomes


def test_only_odd_cells_are_named_and_the_given_frame_stays() -> None:
    """The positions name the cells that needed work; the raw cells can still be shown."""
    raw = pl.DataFrame({LINE: ["Ada", " Bob", "Müller", "C\u200by"], TEXT: ["a", "b", "c", "d"]})
    frame, odd = tidy(raw, {LINE})
    assert {name: at.to_list() for name, at in odd.items()} == {LINE: [1, 3]}
    assert frame[LINE].to_list() == ["Ada", "Bob", "Müller", "Cy"]
    assert raw[LINE].to_list() == ["Ada", " Bob", "Müller", "C\u200by"]


def test_sure_characters_are_sure() -> None:
    """Each character that the cheap look lets pass is visible, in NFC, and combines with none."""
    sure = re.compile("[" + re.sub(r"\\x\{([0-9a-f]+)\}", lambda m: chr(int(m[1], 16)), SURE) + "]")
    every = [chr(code) for code in range(sys.maxunicode + 1)]
    passing = {one for one in every if sure.match(one)}
    seconds = {
        parts[1]
        for one in every
        if len(parts := unicodedata.normalize("NFD", one)) > 1 and not 0xD800 <= ord(one) <= 0xDFFF
    }
    assert len(passing) > 30_000
    for one in passing:
        assert unicodedata.is_normalized("NFC", one), hex(ord(one))
        assert unicodedata.combining(one) == 0, hex(ord(one))
        assert one == " " or unicodedata.category(one)[0] in "LNPSM", hex(ord(one))
    assert not passing & seconds


def test_every_control_and_format_character_goes_or_is_meant_to_stay() -> None:
    """Of all characters without a picture only line breaks, blanks and visible signs survive."""
    unseen = [
        chr(code)
        for code in range(sys.maxunicode + 1)
        if unicodedata.category(chr(code)) in {"Cc", "Cf"}
    ]
    frame, _ = tidy(pl.DataFrame({TEXT: [f"a{one}b" for one in unseen]}), {LINE})
    left = {one for one, cell in zip(unseen, frame[TEXT], strict=True) if one in cell}
    signs = {one for one in left if unicodedata.category(one) == "Cf"}
    assert left - signs == {"\n", "\t"}
    assert all(
        "NUMBER" in (name := unicodedata.name(one))
        or "SIGN" in name
        or "MARK" in name
        or "END OF AYAH" in name
        or "EGYPTIAN" in name
        or "POUND" in name
        or "PIASTRE" in name
        for one in signs
    ), signs


def test_folding_compares_words() -> None:
    """Case, accents, punctuation and blanks do not count; letters and digits do."""
    words = ["Großbritannien", "U.K.", "Côte d'Ivoire", "WŁOCHY", "İtalya", "+44", "UK2"]
    assert fold_words(pl.Series(words)).to_list() == [
        "grossbritannien",
        "uk",
        "cotedivoire",
        "wlochy",
        "italya",
        "+44",
        "uk2",
    ]


def test_unseen_characters_are_spelled_out_and_long_text_is_cut() -> None:
    """A person sees what was there, and a terminal gets no control character."""
    frame = pl.DataFrame({"cell": ["A\u200bd\x1ba\u00a0", "x" * 300]})
    shown = frame.select(spell_out(pl.col("cell"))).to_series().to_list()
    assert shown == ["A<U+200B>d<U+001B>a<U+00A0>", "x" * 200 + "…"]
