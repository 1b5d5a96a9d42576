"""Mask personal values: enough to recognise a person one knows, too little to contact them."""

from __future__ import annotations

import re
from typing import Final

import phonenumbers

DOTS: Final = "•••"
_CALLING_CODES: Final = frozenset(str(code) for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
_HIDDEN_DIGITS: Final = 4  # of a national number, at least
_SHOWN_DIGITS: Final = 4
_PHONE_DIGITS: Final = 7  # a run of this many digits may be a phone
_E164: Final = re.compile(r"\+[1-9]\d{1,14}")
_PERSONAL: Final = re.compile(
    r"""
      (?P<id>\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b   # a UUID
         | \b(?=[0-9]*[a-f])(?:[0-9a-f]{8}|[0-9a-f]{12}|[0-9a-f]{16}|[0-9a-f]{24,})\b  # a hash
         | \b(?:ledger|plan|night|key),?[ ][0-9a-f]{8,64}\b    # one of digits only, so called
         | (?<![\w+])20\d{6}-[0-2]\d[0-5]\d[0-5]\d-[0-9a-f]{4}(?!\w)   # a run
         | (?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?Z?)?(?!\d))
    | (?P<email>[^\s@<>"'(),;:=/]+(?:@|%40)[^\s@<>"'(),;:=/&]+)
    | (?P<phone>(?:\+|%2B|00)?\d(?:[\s().\-/\u00a0\u2010-\u2015]{0,3}\d){6,})
    """,
    re.VERBOSE | re.IGNORECASE,
)
_STAMP: Final = re.compile(
    r"""
    (?<![\d+])
    (?: (?:19|20)\d\d [-_.]? (?:0[1-9]|1[0-2]) [-_.]? (?:0[1-9]|[12]\d|3[01])   # 20261122
      | (?:0[1-9]|[12]\d|3[01]) [-_.] (?:0[1-9]|1[0-2]) [-_.] (?:19|20)\d\d )   # 22.11.2026
    (?: [-_T ]? (?:[01]\d|2[0-3]) [-_.]? [0-5]\d (?: [-_.]? [0-5]\d )? )?      # 190850
    (?!\d)
    """,
    re.VERBOSE,
)
"""A date, perhaps with a time, in the name of a file."""


def mask_phone(e164: str) -> str:
    """`+442079460018` as `+44 •••• 0018`; a short number shows fewer digits, or none."""
    digits = re.sub(r"\D", "", e164)
    code = next((digits[:size] for size in (1, 2, 3) if digits[:size] in _CALLING_CODES), "")
    if not e164.startswith("+"):
        code = ""
    national = digits.removeprefix(code)
    shown = max(0, min(_SHOWN_DIGITS, len(national) - _HIDDEN_DIGITS))
    parts = (f"+{code}" if code else "", f"{DOTS}•", national[len(national) - shown :])
    return " ".join(part for part in parts if part)


def mask_email(address: str) -> str:
    """`ada@example.com` as `a•••@e•••.com`; a name of one or two letters shows none of them."""
    local, _, domain = address.rpartition("@")
    label, dot, ending = domain.rpartition(".")
    if not dot:
        label, ending = domain, ""
    return f"{_initial(local)}@{_initial(label)}{dot}{ending}"


def mask(value: str) -> str:
    """Mask a personal value as a phone, an e-mail or a name; empty stays empty."""
    text = value.strip()
    if not text:
        return ""
    if "@" in text:
        return mask_email(text)
    if _E164.fullmatch(text) or sum(map(str.isdecimal, text)) >= _PHONE_DIGITS:
        return mask_phone(text)
    return _initial(text)


def scrub(text: str) -> str:
    """Mask phones and e-mails in free text; ids, hashes and dates stay."""
    return _PERSONAL.sub(_replace, text)


def scrub_name(text: str) -> str:
    """Mask a file's name, or a sentence with one or with a run's id; their dates stay."""
    shown, end = [], 0
    for stamp in _STAMP.finditer(text):
        shown += [scrub(text[end : stamp.start()]), stamp.group()]
        end = stamp.end()
    return "".join([*shown, scrub(text[end:])])


def _replace(found: re.Match[str]) -> str:
    """What replaces a match."""
    whole = found.group()
    if found.group("id"):
        return whole
    if found.group("email"):
        return mask_email(whole.replace("%40", "@"))
    return mask_phone(whole.replace("%2B", "+").replace("%2b", "+"))


def _initial(word: str) -> str:
    """The first letter of a word of more than two."""
    return f"{word[0]}{DOTS}" if len(word) > 2 else DOTS  # noqa: PLR2004 (the sentence above)
