"""The texts of the page in the reader's language, and problems in a recruiter's words.

Every text that a recruiter reads goes through `Wording`, which asks `importer.languages`. Messages
about problems come from `schemas.codes`; those that name settings, flags or templates have plainer
words here.
"""

from __future__ import annotations

import re
from datetime import UTC
from operator import itemgetter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import polars as pl
from babel import Locale
from babel.dates import format_date

from importer.languages import ENGLISH, language, translate, translate_count, translate_filled
from importer.normalise.countries import CODES
from importer.problems import with_words
from importer.report.tasks import instruction
from schemas.codes import WORDS, Code

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime, tzinfo

    from importer.model import Table


RECRUITER: Final[Mapping[Code, tuple[str, str]]] = MappingProxyType(
    {
        Code.FILE_TOO_LARGE: (
            "The file is too large: {detail}.",
            "Split the list, and upload the parts one by one.",
        ),
        Code.ENCODING_GUESSED: (
            "Some letters may read wrong: {detail}.",
            "Check the example. If it looks wrong, save the file as XLSX or as CSV (UTF-8).",
        ),
        Code.ENCODING_DOUBTFUL: (
            "Some letters of this row may read wrong: {detail}.",
            "Enter them again, or save the file as XLSX or as CSV (UTF-8) and upload it again.",
        ),
        Code.HEADER_NOT_FOUND: (
            "There is no row with the names of the columns: {detail}.",
            "Put the names of the columns into the first row.",
        ),
        Code.SHEETS_NOT_READ: (
            "More than one sheet holds candidates: {detail}.",
            "Save each sheet as a file of its own, and upload them one by one.",
        ),
        Code.COLUMN_MISSING: (
            "The list has no column for {detail}.",
            "Say under “Columns” which one it is, choose another meeting, or add it to the file.",
        ),
        Code.COLUMN_DUPLICATE: (
            "Several columns mean the same thing: {detail}.",
            "Say under “Columns” which of them counts.",
        ),
        Code.COLUMN_UNKNOWN: (
            "The name of this column is not known, but looks like {detail}.",
            "If that is what it is, say so under “Columns”.",
        ),
        Code.COLUMNS_RANKED: (
            "Several columns mean the same thing: {detail}.",
            "If the order is wrong, change it under “Columns”.",
        ),
        Code.COLUMN_UNUSED: (
            "This column is not used, but it looks like contact details.",
            "If they are the candidates’, say so under “Columns”.",
        ),
        Code.VALUE_TOO_LONG: ("The value is too long: it has {detail}.", "Shorten it."),
        Code.PHONE_COUNTRY_NEEDED: (
            "The country of the phone number is unknown.",
            "Begin the number with + and the country code, or fill in the country.",
        ),
        Code.COUNTRY_UNKNOWN: (
            "The country is unknown.",
            "Enter its name, such as Germany, or its code, such as DE.",
        ),
        Code.EMAIL_OF_ANOTHER: (
            "The same e-mail address is in {detail}, with another phone number or none.",
            "If it is one person, leave one of the two rows out. If not, correct the address.",
        ),
        Code.CANDIDATE_ID_OF_ANOTHER: (
            "The same candidate id is in {detail}, for another person.",
            "If it is one person, leave one of the two rows out. If not, correct the id.",
        ),
        Code.PHONE_OF_ANOTHER_NAME: (
            "The same phone number is in {detail} under another name.",
            "Correct the number, or leave the row out.",
        ),
        Code.BRACES_IN_VALUE: ("The value has double braces.", "Remove the braces."),
        Code.CAMPAIGN_MISSING: ("The row names no campaign.", "Choose a campaign for the list."),
        Code.CAMPAIGN_SPELLING: (
            "The campaign is also spelled “{detail}”.",
            "Spell it in one way.",
        ),
        Code.SKIP_CHECK_NOT_ALLOWED: (
            "The row asks for a second conversation with the same person.",
            "Leave the row out, or ask the person who runs this page.",
        ),
        Code.TEMPLATE_MISSING: (
            "This row does not say which meeting or which people to meet it is for.",
            "Choose them for the list, or fill in the column.",
        ),
        Code.TEMPLATE_UNKNOWN: (
            "There is no meeting, and there are no people to meet, with this name.",
            "Correct the name.",
        ),
        Code.TEMPLATE_INVALID: (
            "With the values of this row, the meeting cannot be arranged: {detail}.",
            "Correct the values.",
        ),
        Code.TEMPLATE_KEY_UNKNOWN: (
            "The meeting is described in an unusual way.",
            "Ask the person who runs this page.",
        ),
        Code.TEMPLATE_UNUSUAL: (
            "The meeting is described in an unusual way.",
            "Ask the person who runs this page.",
        ),
        Code.PLACEHOLDER_MISSING: (
            "The row has no value for {detail}, which the meeting needs.",
            "Fill in the value.",
        ),
        Code.ALREADY_IMPORTED: (
            "This person was contacted for this campaign before.",
            "Nothing to do: the person is not contacted again.",
        ),
        Code.POSSIBLY_SENT: (
            "A message to this person may have gone out before.",
            "Nothing to do here: it is on the page “Doubtful rows”.",
        ),
        Code.REJECTED_BEFORE: (
            "The service refused this row before, and the row has not changed.",
            "Correct what the service refused.",
        ),
        Code.CONTACTED_RECENTLY: (
            "This person was contacted recently.",
            "Wait, or leave the row out.",
        ),
        Code.OPTED_OUT: ("This person does not want to be contacted.", "Leave the row out."),
    }
)
"""Code -> message and fix, instead of those for the person who runs the importer."""

AT_COLUMN: Final[Mapping[tuple[Code, str], tuple[str, str]]] = MappingProxyType(
    {
        (Code.PHONE_OF_ANOTHER_NAME, "email"): (
            "The same e-mail address is in {detail} under another name.",
            "Correct the address, add a phone number, or leave the row out.",
        ),
    }
)
"""Code and column -> message and fix, if it depends on the column."""

TASKS: Final[Mapping[Code, str]] = MappingProxyType(
    {
        Code.COLUMN_MISSING: "Say which column is {label}",
        Code.ENCODING_DOUBTFUL: "Check letters that may read wrong",
        Code.HEADER_NOT_FOUND: "Add a row with the names of the columns",
        Code.TEMPLATE_MISSING: "Say which meeting it is",
        Code.TEMPLATE_UNKNOWN: "Correct the name of the meeting or of the people to meet",
        Code.TEMPLATE_INVALID: "Correct what the meeting is filled with",
        Code.TEMPLATE_KEY_UNKNOWN: "Have a look at how the meeting is described",
        Code.TEMPLATE_UNUSUAL: "Have a look at how the meeting is described",
        Code.SHEETS_NOT_READ: "Upload each sheet by itself",
    }
)
"""Code -> the task in a recruiter's words, where `INSTRUCTIONS` has others."""

_SETTING: Final = re.compile(r" \((?:max_\w+(?: x max_\w+)?)\)")
_LIMIT: Final = re.compile(r"max_\w+ \((\d[\d.,]*)\)")
_PLACE: Final = re.compile(r"\{([a-z0-9_]+)\}")
_MACHINE: Final = re.compile(r"; --?\w+[^;.]*|`columns: [^`]*`")


_PLAINER: Final[Mapping[str, tuple[tuple[str, str], ...]]] = MappingProxyType(
    {
        ENGLISH: (
            ("which a template needs", "which the meeting needs"),
            ("which the template needs", "which the meeting needs"),
            ("participant template", "list of people to meet"),
            ("meeting template", "meeting"),
            ("template", "meeting"),
        ),
        "de": (
            ("was eine Vorlage braucht", "was für den Termin nötig ist"),
            ("Teilnehmervorlage", "Liste der Gesprächspartner"),
            ("Terminvorlage", "Beschreibung des Termins"),
            ("Vorlage", "Beschreibung des Termins"),
        ),
    }
)
"""Language -> technical words of a detail and plain ones."""


def _plain_detail(detail: str) -> str:
    """Return the detail of a problem without the names of settings and flags."""
    text = translate_filled(detail)
    text = _LIMIT.sub(r"\1", text)
    text = _MACHINE.sub("", _SETTING.sub("", text)).replace("`", "")
    text = _PLACE.sub(lambda found: translate("“{name}”", name=found[1].replace("_", " ")), text)
    for technical, plain in _PLAINER[language()]:
        text = text.replace(technical, plain)
    return text


class Wording:
    """The texts of a page in the reader's language; in a template it is called `_`."""

    @property
    def language(self) -> str:
        """The code of the language, such as `en`."""
        return language()

    def __call__(self, text: str, /, **values: object) -> str:
        """Return a text with its values filled in; `_("{n} rows", n=3)`.

        A text that the core has put together, such as the message of an error, is found again by
        its pattern.
        """
        found = translate(text, **values)
        return translate_filled(found) if found == text else found

    def count(self, number: int, one: str, many: str, /, **values: object) -> str:
        """Return the text for one or for many, with `{n}` as the number in it."""
        return translate_count(number, one, many, **values)

    def moment(self, at: datetime, zone: tzinfo = UTC) -> str:
        """Return date and time: `3 Nov 2026, 14:05`, or `03.11.2026, 14:05`."""
        local = at.astimezone(zone)
        if language() == ENGLISH:
            return f"{local.day} {local:%b %Y, %H:%M}"
        return f"{format_date(local, 'medium', locale=language())}, {local:%H:%M}"

    def countries(self) -> list[tuple[str, str]]:
        """Return the countries as codes and names, in order of their names."""
        names = Locale.parse(language()).territories
        return sorted(((code, names[code]) for code in CODES if code in names), key=itemgetter(1))

    def problem(self, code: Code, header: str, detail: str, column: str = "") -> tuple[str, str]:
        """Return what is wrong and what to do, in a recruiter's words."""
        plainest = AT_COLUMN.get((code, column)) or RECRUITER.get(code)
        message, fix = plainest or (WORDS[code].message, WORDS[code].fix)
        plain = _plain_detail(detail)
        return translate(message, header=header, detail=plain), translate(fix)

    def task(self, code: Code, label: str, column: str = "") -> str:
        """Return what to do about a kind of problem: `Correct the phone number`."""
        if (code, column) == (Code.PHONE_OF_ANOTHER_NAME, "email"):
            return translate("Correct the e-mail address that two people have")
        if code not in TASKS:
            return instruction(code, label)
        return translate(TASKS[code]).replace("{label}", label or translate("the value"))


def with_plain_words(frame: pl.DataFrame, tables: Sequence[Table]) -> pl.DataFrame:
    """Add `header`, `message` and `fix` to a problem frame, in a recruiter's words."""
    worded = with_words(frame, tables)
    causes = worded.select("column", "code", "header", "detail").unique(maintain_order=True)
    said = [
        WORDING.problem(Code(code), header or column or "", detail, column or "")
        for column, code, header, detail in causes.iter_rows()
    ]
    plain = causes.with_columns(
        pl.Series("#message", [message for message, _ in said], dtype=pl.String),
        pl.Series("#fix", [fix for _, fix in said], dtype=pl.String),
    )
    return (
        worded.join(plain, on=causes.columns, how="left", nulls_equal=True, maintain_order="left")
        .with_columns(pl.col("#message").alias("message"), pl.col("#fix").alias("fix"))
        .drop("#message", "#fix")
    )


_GUARD: Final = re.compile(r"(?:, and|;) guard_\w+ (?:allows|expects)[^.]*(?=\.$)")


def plain_anomaly(sentence: str) -> str:
    """Return how a list differs from earlier ones, without the setting that says so."""
    return translate_filled(_GUARD.sub("", sentence))


_FILLED_LATER: Final = re.compile(r"\{\{?\s*([A-Za-z0-9_]+)\s*\}?\}")


def in_brackets(text: str) -> str:
    """Return a text of a template with what is filled in later as words: `[job title]`."""
    return _FILLED_LATER.sub(lambda found: f"[{found[1].replace('_', ' ').lower()}]", text)


WORDING: Final = Wording()
"""The texts of the request that is being answered."""
