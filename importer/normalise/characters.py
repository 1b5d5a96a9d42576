"""Which characters tidying removes, replaces, keeps or spells out.

Written as code points, so that nothing here is invisible in an editor.
"""

from __future__ import annotations

from typing import Final

SURE: Final = (
    r" -~\x{a1}-\x{ac}\x{ae}-\x{2ff}\x{400}-\x{482}\x{48a}-\x{52f}\x{1e00}-\x{1e9a}"
    r"\x{1ea0}-\x{1ef9}\x{2010}-\x{2027}\x{20ac}\x{3041}-\x{3096}\x{30a1}-\x{30fa}"
    r"\x{4e00}-\x{9fff}\x{ac00}-\x{d7a3}"
)
"""Inside of a regular expression's brackets: characters that tidying never touches, wherever
they stand, apart from the plain blank. A test holds each of them against the Unicode tables."""

BLANK: Final = r"[\s\p{Zs}\x{2800}\x{3164}\x{ffa0}]"
"""Regular expression: whatever shows as nothing but room, line breaks included."""

ZWNJ: Final = "\u200c"
ZWJ: Final = "\u200d"
MARKS: Final = {ZWNJ: "\ufdd0", ZWJ: "\ufdd1"}
"""Joiner -> the noncharacter that stands for it while the others are removed."""

_SCRIPTS: Final = (
    "Arabic Syriac Nko Mongolian Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada "
    "Malayalam Sinhala Tibetan Myanmar Khmer Extended_Pictographic"
)
SHAPED: Final = r"\x{fe0f}\x{1f3fb}-\x{1f3ff}" + "".join(
    rf"\p{{{script}}}" for script in _SCRIPTS.split()
)
"""Inside of brackets: letters and pictures that a joiner between them shapes."""

VIRAMA: Final = r"\x{94d}\x{9cd}\x{a4d}\x{acd}\x{b4d}\x{bcd}\x{c4d}\x{ccd}\x{d4d}\x{dca}"
"""Inside of brackets: signs after which a joiner shapes the letter before, as in അനില്‍."""

_RANGES: Final = (
    (0x0, 0x8),
    (0xE, 0x1F),
    (0x7F, 0x84),
    (0x86, 0x9F),
    (0xAD, 0xAD),  # soft hyphen
    (0x61C, 0x61C),
    (0x180E, 0x180E),
    (0x200B, 0x200B),  # zero-width space; the joiners after it are looked at one by one
    (0x200E, 0x200F),  # direction marks
    (0x202A, 0x202E),
    (0x2060, 0x206F),
    (0xFDD0, 0xFDEF),
    (0xFEFF, 0xFEFF),  # byte-order mark
    (0xFFF0, 0xFFFB),
    (0xFFFE, 0xFFFF),
    (0x1BCA0, 0x1BCA3),
    (0x1D173, 0x1D17A),
    (0xE0000, 0xE007F),  # tags
)
_INVISIBLE: Final = [chr(code) for first, last in _RANGES for code in range(first, last + 1)]
_SPACES: Final = [
    chr(code)
    for code in (
        *(0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000),
        *(0x2800, 0x3164, 0xFFA0),  # no spaces to Unicode, and blank to the eye
    )
]
_BREAKS: Final = ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029")

IN_TEXT: Final = (
    dict.fromkeys(_BREAKS, "\n") | dict.fromkeys(_SPACES, " ") | dict.fromkeys(_INVISIBLE, "")
)
"""What becomes of characters where a cell may have several lines."""

IN_LINE: Final = IN_TEXT | dict.fromkeys((*_BREAKS, "\t"), " ")
"""What becomes of characters where a cell is one line."""

SPELLED: Final = {
    one: f"<U+{ord(one):04X}>" for one in (*_INVISIBLE, *_SPACES, *_BREAKS[1:], "\t", ZWNJ, ZWJ)
}
"""How unseen characters are shown to a person."""

UNACCENTED: Final = dict.fromkeys(map(chr, range(0x300, 0x370)), "") | {
    "ß": "ss",
    "ł": "l",
    "ø": "o",
    "đ": "d",
    "æ": "ae",
    "œ": "oe",
}
"""What comparing words leaves out after decomposing them, and letters that do not decompose."""
