"""Mask personal values: a reader can recognise a person they know, but cannot contact them."""

from __future__ import annotations

import hashlib
import html
import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

import phonenumbers

if TYPE_CHECKING:
    from collections.abc import Iterable

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
         | \b(?:https?|s3|gs|az|sftp|postgresql)://(?:[a-z][a-z0-9._-]*|\d+(?:\.\d+){3})
           (?::\d+)?(?![^\s/?#]*@)  # a bucket or server
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
    """Return `+442079460018` as `+44 •••• 0018`; a short number shows fewer digits, or none."""
    digits = e164[1:] if e164[:1] == "+" and e164[1:].isdecimal() else re.sub(r"\D", "", e164)
    start, shown = mask_digits(digits[:3] if e164.startswith("+") else "", len(digits))
    return f"{start} {digits[-shown:]}" if shown else start


@lru_cache
def mask_digits(begin: str, length: int) -> tuple[str, int]:
    """Return the text before the last digits of a masked phone, and how many are shown.

    Args:
        begin: the first three digits of a number that begins with a plus sign; else empty.
        length: how many digits it has.
    """
    code = next((begin[:size] for size in (1, 2, 3) if begin[:size] in _CALLING_CODES), "")
    national = length - len(code)
    shown = max(0, min(_SHOWN_DIGITS, national - _HIDDEN_DIGITS))
    return f"+{code} {DOTS}•" if code else f"{DOTS}•", shown


def mask_email(address: str) -> str:
    """Return `ada@example.com` as `a•••@e•••.com`; a name of one or two letters is hidden whole."""
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
    """Mask phones and e-mails in free text; ids, hashes, dates and servers stay."""
    return _PERSONAL.sub(_replace, text)


def hide_person(text: str, names: Iterable[str], email: str = "") -> str:
    """Hide a person in a text that others wrote, such as an error of the API.

    A word is hidden if it contains a word of the person's names or mailbox. Case and accents do not
    matter, and escapes of URLs, HTML and JSON are decoded first.

    Args:
        text: a text on one line.
        names: first and last name.
        email: the person's address; its domain may stay.
    """
    named = [_folded_words(name) for name in names]
    mailbox = _folded_words(email.partition("@")[0])
    flat = ["".join(words) for words in (*named, mailbox)]
    joined = {a + b for a in flat for b in (*flat, "") if a != b}
    initials = {a[:1] + b for a in flat for b in flat if b}
    words = {word for some in (*named, mailbox) for word in some} | joined | initials
    words = {word for word in words if len(word) > 1 or not word.isascii()}
    parts = [word for word in words if len(word) >= (_LONG_WORD if word.isascii() else 2)]

    def hide(run: re.Match[str]) -> str:
        found = _folded_words(_decode(run.group()))
        whole = any(word in words or word.removesuffix("s") in words for word in found)
        joined = "".join(found)
        return DOTS if whole or any(part in joined for part in parts) else run.group()

    return _RUN.sub(hide, text) if words else text


def _folded_words(text: str) -> list[str]:
    """Return the words of a text in lower case and without accents."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return re.findall(r"[^\W\d_]+", plain)


def _decode(run: str) -> str:
    """Undo the escapes of URLs, HTML and JSON."""
    plain = unquote(html.unescape(run))
    return _ESCAPE.sub(lambda found: chr(int(found[1], 16)), plain)


_RUN: Final = re.compile(r"[^\s\"(),:<>\[\]{}]+")
_ESCAPE: Final = re.compile(r"\\u([0-9a-fA-F]{4})")
_LONG_WORD: Final = 5  # letters; a shorter name may be within any word: "art" in "participant"


def scrub_name(text: str) -> str:
    """Mask a file's name, or a sentence with one or with a run's id; their dates stay."""
    shown, end = [], 0
    for stamp in _STAMP.finditer(text):
        shown += [scrub(text[end : stamp.start()]), stamp.group()]
        end = stamp.end()
    return "".join([*shown, scrub(text[end:])])


def mask_file_name(path: str) -> str:
    """Mask a file's name for the ledger, which outlives the file: `CV Ada Lovelace.csv`.

    A list is often named after the person in it. A word stays only if it is certainly not a
    person's name. A month stays only if nothing else is masked: `April Jones`. Folders are
    unchanged, archives are not.
    """
    *folders, name = path.split("/")
    shown = [_mask_words(each) if each.lower().endswith(".zip") else each for each in folders]
    return "/".join([*shown, _mask_words(name)])


def _mask_words(name: str) -> str:
    """Mask the words of one name, without its endings."""
    ending = _ENDING.search(name)
    base = name[: ending.start()] if ending else name
    words = {part.lower() for word in _WORD.findall(base) for part in _parts(word)}
    if words <= _IMPERSONAL | _MONTHS:
        return scrub_name(name)
    masked = _WORD.sub(lambda word: _mask_word(word.group()), scrub_name(base))
    return masked + name[len(base) :]


def _mask_word(word: str) -> str:
    known = all(part.lower() in _IMPERSONAL for part in _parts(word))
    return word if known else _initial(word)


def _parts(word: str) -> list[str]:
    """Return the words of `CandidateList`."""
    return [word] if word.lower() in _IMPERSONAL else _CAPITALISED.sub(r" \1", word).split()


_ENDING: Final = re.compile(
    r"(?:\.(?:csv|tsv|tab|txt|xlsx?|xlsm|xlsb|ods|zip|gz|json))+$", re.IGNORECASE
)
_WORD: Final = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
_CAPITALISED: Final = re.compile(r"(?<=[a-z])([A-Z])")
_DAYS_AND_MONTHS: Final = """
january february march april may june july august september october november december jan feb mar
apr jun jul aug sep sept oct nov dec monday tuesday wednesday thursday friday saturday sunday mon
tue wed thu fri sat sun januar februar märz mai juni juli oktober dezember janvier février mars
avril juin juillet août septembre octobre novembre décembre
"""
_MONTHS: Final = frozenset(_DAYS_AND_MONTHS.split())
_OF_LISTS: Final = """
list lists file files data database dataset table sheet book workbook spreadsheet export exported
exports import imported imports upload uploaded download downloaded report reports result results
extract dump backup copy version final draft temp tmp test tests sample samples example examples
template input output batch part page row rows record records csv tsv txt xls xlsx ods zip utf
ascii latin unnamed untitled stdin standard candidate candidates applicant applicants application
applications contact contacts people person persons participant participants employee employees
staff worker workers member members user users lead leads recruit recruits recruiter recruiters
recruiting recruitment hire hires hiring interview interviews interviewer interviewers
interviewees screening onboarding onsite talent pool cv cvs resume resumes phone phones mobile
mobiles email emails mail mails number numbers name names address addresses shortlist longlist
waitlist referrals kandidaten bewerber liste candidats candidatos lista day days week weeks month
months year years night nights nightly morning evening today tonight tomorrow yesterday daily
weekly monthly yearly annual quarter date time am pm utc gmt q cw kw h winter autumn a an and or
of the for from to in on at by with without per no not all any other others more most less few
many some new newest old older oldest current previous next last latest first second third fourth
fifth one two three four five six seven eight nine ten good bad best odd even clean cleaned dirty
fixed raw full half partial short long big large small tiny huge same different again ready done
held failed waiting rejected accepted created duplicate duplicates doubtful unsent open closed
active left right main mine ours yours early late later before after begin start end over under up
down out off ok todo pending retry updated update corrected correction additional extra empty
campaign campaigns client clients customer customers company agency job jobs role roles position
positions vacancy vacancies opening openings department team teams office offices branch region
regional site sites store stores shop shops warehouse warehouses kitchen restaurant restaurants
hotel hotels hospital school call center centre logistics retail sales support service services
marketing finance it hr tech engineering operations ops admin security cleaning catering
hospitality healthcare nursing driving delivery chefs waiters nurses drivers engineers developers
managers assistants graduates graduate interns intern temps seasonal summer fulltime parttime
round invite invites invited invitation reminder reminders followup workday greenhouse lever
smartrecruiters bullhorn ashby teamtailor personio icims taleo successfactors linkedin indeed
excel google sheets
mixed fix renamed missing hidden broken nothing gone every fault faults errors wrong letter letters
notes recruiting everyone everybody monthend x y z
"""
_IMPERSONAL: Final = frozenset([*_OF_LISTS.split(), *ascii_lowercase])
"""Words in the names of lists that are (almost) never a person's name; and single letters."""


def _replace(found: re.Match[str]) -> str:
    """Return what replaces a match."""
    whole = found.group()
    if found.group("id"):
        return whole
    if found.group("email"):
        return mask_email(whole.replace("%40", "@"))
    return mask_phone(whole.replace("%2B", "+").replace("%2b", "+"))


def _initial(word: str) -> str:
    """Return the first letter of a word of three or more letters; else nothing."""
    return f"{word[0]}{DOTS}" if len(word) > 2 else DOTS  # noqa: PLR2004 (the sentence above)


def find_file(path: str, sha256: str) -> str:
    """Find the file of a path in the ledger, where its name may be masked.

    Args:
        path: as in the ledger.
        sha256: the SHA-256 of its content; decides between files with the same masked name.

    Returns:
        The path of the file; `path` if there is no such file.
    """
    kept = Path(path)
    if DOTS not in kept.name or kept.exists():
        return path
    try:
        found = [each for each in kept.parent.iterdir() if mask_file_name(each.name) == kept.name]
    except OSError:
        return path
    of_content = (each for each in found if len(found) == 1 or _has_content(each, sha256))
    return str(next(of_content, kept))


def _has_content(path: Path, sha256: str) -> bool:
    with suppress(OSError):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    return False
