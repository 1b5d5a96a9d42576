"""Every fault that input can have: one closed list, one table of words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """How much a problem matters: an error keeps its row out, the others do not."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


class Code(StrEnum):
    """What can be wrong with a file, a column, a row or a value."""

    FILE_MISSING = "file-missing"
    FILE_UNREADABLE = "file-unreadable"
    FILE_EMPTY = "file-empty"
    FILE_TOO_LARGE = "file-too-large"
    ENCODING_GUESSED = "encoding-guessed"
    HEADER_NOT_FOUND = "header-not-found"
    HEADER_MOVED = "header-moved"
    ROWS_HIDDEN = "rows-hidden"
    SHEETS_NOT_READ = "sheets-not-read"
    TOTALS_SKIPPED = "totals-skipped"
    COLUMN_MISSING = "column-missing"
    COLUMN_DUPLICATE = "column-duplicate"
    COLUMN_UNKNOWN = "column-unknown"
    ROW_RAGGED = "row-ragged"
    QUOTE_UNCLOSED = "quote-unclosed"
    VALUE_TOO_LONG = "value-too-long"
    VALUE_CHANGED = "value-changed"
    CELL_ERROR = "cell-error"
    FIRST_NAME_MISSING = "first-name-missing"
    NAME_SPLIT = "name-split"
    CONTACT_MISSING = "contact-missing"
    PHONE_INVALID = "phone-invalid"
    PHONE_TOO_SHORT = "phone-too-short"
    PHONE_TOO_LONG = "phone-too-long"
    PHONE_COUNTRY_NEEDED = "phone-country-needed"
    PHONE_SCIENTIFIC = "phone-scientific"
    PHONE_ZERO_LOST = "phone-zero-lost"
    PHONE_TWO_NUMBERS = "phone-two-numbers"
    PHONE_EXTENSION = "phone-extension"
    PHONE_NOT_MOBILE = "phone-not-mobile"
    COUNTRY_UNKNOWN = "country-unknown"
    COUNTRY_DIFFERS = "country-differs"
    EMAIL_INVALID = "email-invalid"
    EMAIL_SHARED = "email-shared"
    EMAIL_OF_ANOTHER = "email-of-another"
    CANDIDATE_ID_OF_ANOTHER = "candidate-id-of-another"
    PHONE_OF_ANOTHER_NAME = "phone-of-another-name"
    BRACES_IN_VALUE = "braces-in-value"
    CAMPAIGN_MISSING = "campaign-missing"
    CAMPAIGN_SPELLING = "campaign-spelling"
    BOOLEAN_INVALID = "boolean-invalid"
    SKIP_CHECK_NOT_ALLOWED = "skip-check-not-allowed"
    TEMPLATE_MISSING = "template-missing"
    TEMPLATE_UNKNOWN = "template-unknown"
    TEMPLATE_INVALID = "template-invalid"
    TEMPLATE_KEY_UNKNOWN = "template-key-unknown"
    PLACEHOLDER_MISSING = "placeholder-missing"
    DUPLICATE_IN_FILE = "duplicate-in-file"
    ALREADY_IMPORTED = "already-imported"
    POSSIBLY_SENT = "possibly-sent"
    REJECTED_BEFORE = "rejected-before"
    CONTACTED_RECENTLY = "contacted-recently"
    OPTED_OUT = "opted-out"


@dataclass(frozen=True, slots=True)
class Words:
    """What a code says: severity, message (`{header}` and `{detail}` are filled in) and fix."""

    severity: Severity
    message: str
    fix: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

WORDS: Final[Mapping[Code, Words]] = MappingProxyType(
    {
        Code.FILE_MISSING: Words(_E, "There is no such file.", "Correct its name or its folder."),
        Code.FILE_UNREADABLE: Words(
            _E, "The file cannot be read: {detail}.", "Save it again as CSV (UTF-8) or XLSX."
        ),
        Code.FILE_EMPTY: Words(
            _E, "The file has {detail}.", "Put a header row and at least one candidate into it."
        ),
        Code.FILE_TOO_LARGE: Words(
            _E, "The file is over a limit: {detail}.", "Split the file, or raise the limit named."
        ),
        Code.ENCODING_GUESSED: Words(
            _W,
            "The text encoding is a guess: {detail}.",
            "Look at the sample; if it reads wrong, give --encoding or save as UTF-8.",
        ),
        Code.HEADER_NOT_FOUND: Words(
            _E,
            "No header row was found: {detail}.",
            "Name the columns in one row near the top; `importer columns` lists the names.",
        ),
        Code.HEADER_MOVED: Words(
            _I, "The header was taken from row {detail}.", "Nothing to do if that row is it."
        ),
        Code.ROWS_HIDDEN: Words(
            _W, "Hidden parts were left out: {detail}.", "Unhide what should be imported."
        ),
        Code.SHEETS_NOT_READ: Words(
            _W,
            "More than one sheet holds candidates: {detail}.",
            "Name the sheet with --sheet, or put each list into a file of its own.",
        ),
        Code.TOTALS_SKIPPED: Words(
            _I,
            "The row stands below the data and was left out: {detail}.",
            "Nothing to do. If it is a candidate, fill in a phone or an e-mail.",
        ),
        Code.COLUMN_MISSING: Words(
            _E,
            "The file has no column for {detail}.",
            "Add the column, or name its header under `columns:` in importer.yaml.",
        ),
        Code.COLUMN_DUPLICATE: Words(
            _E,
            "Several headers mean the same column: {detail}.",
            "Keep one of them, or say under `columns:` in importer.yaml which one counts.",
        ),
        Code.COLUMN_UNKNOWN: Words(
            _W,
            "The header is not known, but looks like {detail}.",
            "Rename it, or name it under `columns:` in importer.yaml.",
        ),
        Code.ROW_RAGGED: Words(
            _E,
            "The row has {detail}.",
            "Put values that contain the delimiter in quotes, and fill the row up to the header.",
        ),
        Code.QUOTE_UNCLOSED: Words(
            _E,
            "A quotation mark is opened here and never closed.",
            "Close or remove the quotation mark.",
        ),
        Code.VALUE_TOO_LONG: Words(
            _E, "The value has {detail}.", "Shorten it, or raise the limit in importer.yaml."
        ),
        Code.VALUE_CHANGED: Words(
            _I, "The value was tidied: {detail}.", "Nothing to do if the result is right."
        ),
        Code.CELL_ERROR: Words(
            _E, "The cell holds a spreadsheet error, {detail}.", "Repair the formula or the value."
        ),
        Code.FIRST_NAME_MISSING: Words(
            _E, "The candidate has no first name.", "Fill in the first name."
        ),
        Code.NAME_SPLIT: Words(
            _W,
            "The full name was split: {detail}.",
            "Check the two names, or give them in columns of their own.",
        ),
        Code.CONTACT_MISSING: Words(
            _E, "There is neither a phone nor an e-mail.", "Fill in at least one of the two."
        ),
        Code.PHONE_INVALID: Words(
            _E, "This is not a phone number that exists{detail}.", "Correct the number."
        ),
        Code.PHONE_TOO_SHORT: Words(
            _E, "The phone number has too few digits.", "Fill in the missing digits."
        ),
        Code.PHONE_TOO_LONG: Words(
            _E, "The phone number has too many digits.", "Remove what does not belong to it."
        ),
        Code.PHONE_COUNTRY_NEEDED: Words(
            _E,
            "The phone number does not say its country.",
            "Write it with + and country code, fill in the country, or set default_country.",
        ),
        Code.PHONE_SCIENTIFIC: Words(
            _E,
            "The spreadsheet program turned the number into {detail}; its digits are lost.",
            "Format the column as text and enter the number again.",
        ),
        Code.PHONE_ZERO_LOST: Words(
            _W,
            "The phone seems to have lost its leading zero in the spreadsheet.",
            "Format the column as text and enter the number again.",
        ),
        Code.PHONE_TWO_NUMBERS: Words(
            _E, "The cell holds more than one phone number.", "Keep the one to be contacted."
        ),
        Code.PHONE_EXTENSION: Words(
            _E,
            "The phone number has an extension, which no message can reach.",
            "Give a direct number.",
        ),
        Code.PHONE_NOT_MOBILE: Words(
            _W,
            "The number is not a mobile one; a text message may not arrive.",
            "Give a mobile number where there is one.",
        ),
        Code.COUNTRY_UNKNOWN: Words(
            _E, "The country is not known.", "Write its ISO code, such as GB or DE."
        ),
        Code.COUNTRY_DIFFERS: Words(
            _W,
            "The phone belongs to another country than the row says: {detail}.",
            "Correct whichever is wrong.",
        ),
        Code.EMAIL_INVALID: Words(
            _E, "This is not an e-mail address: {detail}.", "Correct the address."
        ),
        Code.EMAIL_SHARED: Words(
            _W,
            "The same e-mail stands under another phone in {detail}.",
            "Check whether they are one person.",
        ),
        Code.EMAIL_OF_ANOTHER: Words(
            _E,
            "The same e-mail is in {detail}, in the same campaign, with another phone or none.",
            "If it is one person, keep one of the two. If they share the address, set "
            "allow_shared_contact.",
        ),
        Code.CANDIDATE_ID_OF_ANOTHER: Words(
            _E,
            "The same candidate id is in {detail}, in the same campaign, with another contact.",
            "If it is one person, keep one of the two; else correct the id. To send both, set "
            "allow_shared_contact.",
        ),
        Code.PHONE_OF_ANOTHER_NAME: Words(
            _E,
            "The same phone is in {detail} under another name: the API knows people by their "
            "phone, so only one of them can be contacted in a campaign.",
            "Correct the phone, or remove the row.",
        ),
        Code.BRACES_IN_VALUE: Words(
            _E,
            "The value has double braces, which the API would fill in when it writes the message.",
            "Remove the braces.",
        ),
        Code.CAMPAIGN_MISSING: Words(
            _E,
            "The row names no campaign.",
            "Fill in campaign or external_campaign, or set campaign in importer.yaml.",
        ),
        Code.CAMPAIGN_SPELLING: Words(
            _E,
            "The campaign differs only in case or blanks from `{detail}`.",
            "Write the campaign as the API does, in the file and in the settings.",
        ),
        Code.BOOLEAN_INVALID: Words(
            _E, "This is neither yes nor no.", "Write yes or no, or leave it empty."
        ),
        Code.SKIP_CHECK_NOT_ALLOWED: Words(
            _E,
            "The row asks to skip the duplicate check, which can close a running conversation.",
            "Clear the cell, or allow it with skip_duplication_check: true in importer.yaml.",
        ),
        Code.TEMPLATE_MISSING: Words(
            _E,
            "The row names no {detail}, and the settings name none.",
            "Fill in the column, or set it in importer.yaml.",
        ),
        Code.TEMPLATE_UNKNOWN: Words(
            _E, "There is no template of this name: {detail}.", "Correct the name, or add the file."
        ),
        Code.TEMPLATE_INVALID: Words(
            _E,
            "With this row's values the template breaks a rule: {detail}.",
            "Correct the values that the template takes, or the template.",
        ),
        Code.TEMPLATE_KEY_UNKNOWN: Words(
            _W, "The template has a key that we do not know: {detail}.", "Check its spelling."
        ),
        Code.PLACEHOLDER_MISSING: Words(
            _E,
            "The template needs {detail}, and the row has no value for it.",
            "Fill in the value, or take the placeholder out of the template.",
        ),
        Code.DUPLICATE_IN_FILE: Words(
            _W,
            "The same person and campaign stand already in {detail}.",
            "Nothing to do: only the first is contacted. Remove this row if you like.",
        ),
        Code.ALREADY_IMPORTED: Words(
            _I,
            "This person was imported into this campaign already: {detail}.",
            "Nothing to do. To write to them again, set round in importer.yaml.",
        ),
        Code.POSSIBLY_SENT: Words(
            _W,
            "An earlier request for this person may have been accepted: {detail}.",
            "Run `importer reconcile`, or settle it with `importer resolve`.",
        ),
        Code.REJECTED_BEFORE: Words(
            _E,
            "The API refused this row before, and nothing in it has changed: {detail}.",
            "Correct what the API refused. Where the reason was at the service and is gone, send "
            "with --retry-rejected.",
        ),
        Code.CONTACTED_RECENTLY: Words(
            _E,
            "This person was contacted lately: {detail}.",
            "Wait, or allow it with --allow-recent.",
        ),
        Code.OPTED_OUT: Words(
            _E, "This person has opted out: {detail}.", "Do not contact them; remove the row."
        ),
    }
)
