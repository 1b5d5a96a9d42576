"""The texts of the importer in the reader's language.

The English text is the key: `translate("Nothing has been sent.")`. The other languages are gettext
catalogues beside this file; `python -m tests.docs.catalogues` brings them up to date. English needs
no catalogue and costs nothing. What machines read stays English in every language: JSON, codes, the
ledger, logs and metrics.

The core puts English texts together and knows no language: details of problems, texts of errors.
`translate_filled` finds such a text again by its pattern when it is shown.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import datetime
    from gettext import NullTranslations

ENGLISH: Final = "en"
LANGUAGES: Final[Mapping[str, str]] = {ENGLISH: "English", "de": "Deutsch"}
"""Code of a language -> its own name."""

FILLED: Final = "filled"
"""Context of the patterns of `translate_filled` in a catalogue."""

WORD: Final = "word"
"""Context of single words that a table or a code is shown with."""

_DOMAIN: Final = "importer"
_FOLDER: Final = Path(__file__).parent
_PLACE: Final = re.compile(r"\{(\w+)\}")
_GROUP: Final = re.compile(r"\(\?P<\w+>\.\+\?\)")
_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+")
_NEXT_SENTENCE: Final = re.compile(r"((?<=[.!?]) (?=[A-Z`“])|\n)")
_current: ContextVar[str] = ContextVar("language", default=ENGLISH)
_asked: ContextVar[str] = ContextVar("asked_language", default="")


def language() -> str:
    """Return the code of the language that texts are in now."""
    return _current.get()


def asked_language() -> str:
    """Return the language of --lang; empty if the flag is not given."""
    return _asked.get()


@contextmanager
def use_terminal_language(name: str, *, asked: bool) -> Iterator[None]:
    """Choose the language of a command, and of click, which asks gettext for its own texts.

    Args:
        name: code of the language.
        asked: whether it was asked for with --lang; if so, proposed commands repeat the flag.
    """
    import gettext  # noqa: PLC0415 - English does without it

    token, before = _asked.set(name if asked else ""), os.environ.get("LANGUAGE")
    domain = gettext.textdomain()
    if name != ENGLISH:
        gettext.bindtextdomain(_DOMAIN, str(_FOLDER))
        gettext.textdomain(_DOMAIN)
        os.environ["LANGUAGE"] = name
    try:
        with use_language(name):
            yield
    finally:
        _asked.reset(token)
        gettext.textdomain(domain)
        if before is None:
            os.environ.pop("LANGUAGE", None)
        else:
            os.environ["LANGUAGE"] = before


@contextmanager
def use_language(name: str) -> Iterator[None]:
    """Choose the language of a block; afterwards the one before it is back."""
    token = _current.set(name)
    try:
        yield
    finally:
        _current.reset(token)


def choose_language(wanted: Iterable[str]) -> str:
    """Return the first language that there is, else English.

    Args:
        wanted: such as `de`, `de-AT` or `de_DE.UTF-8`, the preferred one first.
    """
    names = (re.split(r"[-_.@]", each.strip().lower())[0] for each in wanted)
    return next((name for name in names if name in LANGUAGES), ENGLISH)


def language_of_terminal(environ: Mapping[str, str]) -> str:
    """Return the language that the environment names, as gettext reads it."""
    locale = next((environ[n] for n in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(n)), "")
    if locale.partition(".")[0] in {"", "C", "POSIX"}:
        return ENGLISH
    return choose_language([*filter(None, environ.get("LANGUAGE", "").split(":")), locale])


def translate(text: str, /, **values: object) -> str:
    """Return a text in the reader's language, with its values filled in.

    Args:
        text: English, a literal, such as `Run {run}`.
        values: for its placeholders; numbers with `number`.
    """
    found = text
    if text and (name := _current.get()) != ENGLISH:
        found = _catalogue(name).gettext(text)
    return found.format(**values) if values else found


def translate_count(count: int, one: str, many: str, /, **values: object) -> str:
    """Return the text for one or for many, with the count as `{n}` in it."""
    name = _current.get()
    if name == ENGLISH:
        found = one if count == 1 else many
    else:
        found = _catalogue(name).ngettext(one, many, count)
    return found.format(n=number(count), **values)


def translate_word(word: str) -> str:
    """Return a word of a table, such as a state; an unknown word stays as it is."""
    name = _current.get()
    return word if name == ENGLISH or not word else _catalogue(name).pgettext(WORD, word)


@lru_cache(maxsize=4_096)
def _filled(name: str, text: str) -> str:
    if (found := _matched(name, text, across=False)) is not None:
        return found
    if (same := _catalogue(name).gettext(text)) != text:
        return same
    parts = _NEXT_SENTENCE.split(text)
    if len(parts) == 1:
        where, colon, what = text.partition(": ")
        return f"{where}{colon}{_filled(name, what)}" if what else text
    sentences = [each if place % 2 else _filled(name, each) for place, each in enumerate(parts)]
    known = all(new != old for new, old in zip(sentences[::2], parts[::2], strict=True))
    if not known and (found := _matched(name, text, across=True)) is not None:
        return found
    return "".join(sentences)


def _matched(name: str, text: str, *, across: bool) -> str | None:
    """Return a text by the pattern that it was made from; None if there is none.

    Args:
        name: the name of the language.
        text: English.
        across: whether a value may consist of several sentences, too.
    """
    patterns = _patterns(name)
    first = text.partition(" ")[0]
    for pattern, translation in (*patterns.get(first, ()), *patterns.get("", ())):
        found = pattern.fullmatch(text)
        if found and (across or not any(map(_NEXT_SENTENCE.search, found.groups()))):
            return _fill(name, translation, found.groupdict())
    return None


def translate_filled(text: str) -> str:
    """Return an English text whose values are filled in already; an unknown one stays English.

    A text that is not known as a whole is translated sentence by sentence, and after a colon.
    """
    name = _current.get()
    return text if name == ENGLISH or not text else _filled(name, text)


def _fill(name: str, translation: str, values: Mapping[str, str]) -> str:
    return _PLACE.sub(lambda place: _value(name, place[1], values[place[1]]), translation)


def _value(name: str, place: str, value: str) -> str:
    """Return a value: `{part}` is a text of its own, and `{n}` a number."""
    kind = place.rstrip("0123456789")
    if kind == "part":
        return _filled(name, value)
    if kind == "n" and _THOUSANDS.fullmatch(value):
        return _number(name, int(value.replace(",", "")))
    return value


@cache
def _patterns(name: str) -> Mapping[str, Sequence[tuple[re.Pattern[str], str]]]:
    """Return the patterns of a language by their first word; empty if that is a placeholder."""
    found: dict[str, list[tuple[re.Pattern[str], str]]] = {}
    for key, translation in _entries(name):
        parts = _PLACE.split(key)
        literal = [re.escape(part) for part in parts[::2]]
        places = [rf"(?P<{place}>.+?)" for place in parts[1::2]]
        pattern = "".join(sum(zip(literal, [*places, ""], strict=True), ()))
        word, blank, _ = parts[0].partition(" ")
        found.setdefault(word if blank or len(parts) == 1 else "", []).append(
            (re.compile(pattern, re.DOTALL), translation)
        )
    for some in found.values():  # the most words first: it says the most
        some.sort(key=lambda each: -len(_GROUP.sub("", each[0].pattern)))
    return found


def _entries(name: str) -> Iterator[tuple[str, str]]:
    """Yield the patterns of a catalogue and their translations."""
    separator = f"{FILLED}\x04"
    catalogue: Mapping[object, str] = vars(_catalogue(name)).get("_catalog", {})
    for key, translation in catalogue.items():
        if isinstance(key, str) and key.startswith(separator):
            yield key.removeprefix(separator), translation


@cache
def _catalogue(name: str) -> NullTranslations:
    from gettext import translation  # noqa: PLC0415 - English does without it

    return translation(_DOMAIN, _FOLDER, [name])


def number(count: int) -> str:
    """Return a whole number with thousands separators."""
    return _number(_current.get(), count)


def decimal(value: float, digits: int = 1) -> str:
    """Return a number with this many digits after the decimal sign."""
    name = _current.get()
    if name == ENGLISH:
        return f"{value:.{digits}f}"
    from babel.numbers import format_decimal  # noqa: PLC0415 - English does without it

    return format_decimal(value, f"0.{'0' * digits}", locale=name)


def _number(name: str, count: int) -> str:
    if name == ENGLISH:
        return f"{count:,}"
    from babel.numbers import format_decimal  # noqa: PLC0415 - English does without it

    return format_decimal(count, locale=name)


def moment(at: datetime) -> str:
    """Return a date and time in words: `5 March 2026, 14:02`."""
    return f"{day(at)}, {at:%H:%M}"


def day(at: datetime) -> str:
    """Return a date in words: `5 March 2026`."""
    name = _current.get()
    if name == ENGLISH:
        return at.strftime("%-d %B %Y")
    from babel.dates import format_date  # noqa: PLC0415 - English does without it

    return format_date(at, "long", locale=name)
