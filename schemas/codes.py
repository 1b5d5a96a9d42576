"""Codes of input faults: a closed list, and one table with their words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """How serious a problem is: an error keeps its row out, the others do not."""

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
    COLUMNS_RANKED = "columns-ranked"
    NOT_A_CANDIDATE = "not-a-candidate"
    ROW_RAGGED = "row-ragged"
    QUOTE_UNCLOSED = "quote-unclosed"
    VALUE_TOO_LONG = "value-too-long"
    VALUE_CHANGED = "value-changed"
    CELL_ERROR = "cell-error"
    FIRST_NAME_MISSING = "first-name-missing"
    NAME_INVALID = "name-invalid"
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
    EMAIL_TYPO = "email-typo"
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
    TEMPLATE_UNUSUAL = "template-unusual"
    PLACEHOLDER_MISSING = "placeholder-missing"
    DUPLICATE_IN_FILE = "duplicate-in-file"
    ALREADY_IMPORTED = "already-imported"
    POSSIBLY_SENT = "possibly-sent"
    REJECTED_BEFORE = "rejected-before"
    CONTACTED_RECENTLY = "contacted-recently"
    OPTED_OUT = "opted-out"


@dataclass(frozen=True, slots=True)
class Words:
    """Severity, message (`{header}` and `{detail}` are filled in) and fix of a code."""

    severity: Severity
    message: str
    fix: str


_E, _W, _I = Severity.ERROR, Severity.WARNING, Severity.INFO

WORDS: Final[Mapping[Code, Words]] = MappingProxyType(
    {
        Code.FILE_MISSING: Words(_E, "The file does not exist.", "Check its name and folder."),
        Code.FILE_UNREADABLE: Words(
            _E, "The file cannot be read: {detail}.", "Save it again as CSV (UTF-8) or XLSX."
        ),
        Code.FILE_EMPTY: Words(
            _E, "The file has {detail}.", "Add a header row and at least one candidate."
        ),
        Code.FILE_TOO_LARGE: Words(
            _E, "The file is over a limit: {detail}.", "Split the file, or raise that limit."
        ),
        Code.ENCODING_GUESSED: Words(
            _W,
            "The text encoding is a guess: {detail}.",
            "Check the sample. If it is wrong, give --encoding, or save the file as UTF-8.",
        ),
        Code.HEADER_NOT_FOUND: Words(
            _E,
            "No header row was found: {detail}.",
            "Put the column names into one row near the top; `importer columns` lists them.",
        ),
        Code.HEADER_MOVED: Words(
            _I,
            "The header was taken from row {detail}.",
            "Nothing to do if that is the header row.",
        ),
        Code.ROWS_HIDDEN: Words(
            _W, "Hidden parts were left out: {detail}.", "Unhide them if they should be imported."
        ),
        Code.SHEETS_NOT_READ: Words(
            _W,
            "More than one sheet holds candidates: {detail}.",
            "Name the sheet with --sheet, or put each list into a file of its own.",
        ),
        Code.TOTALS_SKIPPED: Words(
            _I,
            "The row is below the candidates and was left out: {detail}.",
            "Nothing to do. If it is a candidate, fill in a phone number or an e-mail address.",
        ),
        Code.COLUMN_MISSING: Words(
            _E,
            "The file has no column for {detail}.",
            "Add the column, or name its header under `columns:` in importer.yaml.",
        ),
        Code.COLUMN_DUPLICATE: Words(
            _E,
            "Several headers mean the same column: {detail}.",
            "Keep one of them, or choose one under `columns:` in importer.yaml.",
        ),
        Code.COLUMN_UNKNOWN: Words(
            _W,
            "The header is unknown, but looks like {detail}.",
            "Rename it, or map it under `columns:` in importer.yaml.",
        ),
        Code.COLUMNS_RANKED: Words(
            _I,
            "Several headers mean the same column; their order is {detail}.",
            "Nothing to do if that is right; else name the one that counts under `columns:` in "
            "importer.yaml.",
        ),
        Code.NOT_A_CANDIDATE: Words(
            _I,
            "The row is no candidate and was left out: {detail}.",
            "Nothing to do. If it is one, fill in a phone or an e-mail.",
        ),
        Code.ROW_RAGGED: Words(
            _E,
            "The row has {detail}.",
            "Put quotes around values that contain the delimiter, and fill missing cells.",
        ),
        Code.QUOTE_UNCLOSED: Words(
            _E,
            "A quotation mark is opened here but never closed.",
            "Close or remove the quotation mark.",
        ),
        Code.VALUE_TOO_LONG: Words(
            _E, "The value has {detail}.", "Shorten it, or raise max_cell_chars in importer.yaml."
        ),
        Code.VALUE_CHANGED: Words(
            _I, "The value was cleaned: {detail}.", "Nothing to do if the result is right."
        ),
        Code.CELL_ERROR: Words(
            _E,
            "The cell contains the spreadsheet error {detail}.",
            "Correct the formula or the value.",
        ),
        Code.FIRST_NAME_MISSING: Words(
            _E, "The candidate has no first name.", "Fill in the first name."
        ),
        Code.NAME_INVALID: Words(
            _E,
            "This cannot be sent as a person's name: {detail}.",
            "Enter the name as the person writes it.",
        ),
        Code.NAME_SPLIT: Words(
            _W,
            "The full name was split: {detail}.",
            "Check the two names, or put them into separate columns.",
        ),
        Code.CONTACT_MISSING: Words(
            _E,
            "The candidate has neither a phone number nor an e-mail address.",
            "Fill in one of the two.",
        ),
        Code.PHONE_INVALID: Words(
            _E, "This is not a valid phone number{detail}.", "Correct the number."
        ),
        Code.PHONE_TOO_SHORT: Words(
            _E, "The phone number has too few digits.", "Add the missing digits."
        ),
        Code.PHONE_TOO_LONG: Words(
            _E, "The phone number has too many digits.", "Remove the extra digits."
        ),
        Code.PHONE_COUNTRY_NEEDED: Words(
            _E,
            "The country of the phone number is unknown.",
            "Write it with + and country code, fill in the country, or set default_country.",
        ),
        Code.PHONE_SCIENTIFIC: Words(
            _E,
            "The spreadsheet program turned the number into {detail}, and digits were lost.",
            "Format the column as text and enter the number again.",
        ),
        Code.PHONE_ZERO_LOST: Words(
            _W,
            "The phone number seems to have lost its leading zero in the spreadsheet.",
            "Format the column as text and enter the number again.",
        ),
        Code.PHONE_TWO_NUMBERS: Words(
            _E, "The cell contains more than one phone number.", "Keep the one to contact."
        ),
        Code.PHONE_EXTENSION: Words(
            _E,
            "The phone number has an extension, which cannot receive messages.",
            "Enter a direct number.",
        ),
        Code.PHONE_NOT_MOBILE: Words(
            _W,
            "This is not a mobile number; a text message may not arrive.",
            "Enter a mobile number if you have one.",
        ),
        Code.COUNTRY_UNKNOWN: Words(
            _E, "The country is unknown.", "Enter its ISO code, such as GB or DE."
        ),
        Code.COUNTRY_DIFFERS: Words(
            _W,
            "The phone number is not from the country in the row: {detail}.",
            "Correct the one that is wrong.",
        ),
        Code.EMAIL_INVALID: Words(
            _E, "This is not an e-mail address: {detail}.", "Correct the address."
        ),
        Code.EMAIL_SHARED: Words(
            _W,
            "The same e-mail address is in {detail}, with another phone number and campaign.",
            "Check whether they are one person.",
        ),
        Code.EMAIL_TYPO: Words(
            _W,
            "The e-mail address may contain a typing error: {detail}.",
            "Correct the address, or leave it if it is right.",
        ),
        Code.EMAIL_OF_ANOTHER: Words(
            _E,
            "The same e-mail is in {detail}, in the same campaign, with another phone or none.",
            "If it is one person, keep one of the two. If they share the address, set "
            "allow_shared_contact.",
        ),
        Code.CANDIDATE_ID_OF_ANOTHER: Words(
            _E,
            "The same candidate id is in {detail}, for another person.",
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
            "Fill in the campaign, or set campaign in importer.yaml.",
        ),
        Code.CAMPAIGN_SPELLING: Words(
            _E,
            "The campaign differs only in case or blanks from `{detail}`.",
            "Write the campaign as the API does, in the file and in the settings.",
        ),
        Code.BOOLEAN_INVALID: Words(
            _E, "This is neither yes nor no.", "Enter yes or no, or leave the cell empty."
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
            _E,
            "There is no template with this name: {detail}.",
            "Correct the name, or add the file.",
        ),
        Code.TEMPLATE_INVALID: Words(
            _E,
            "Filled in with this row's values, the template is invalid: {detail}.",
            "Correct the values, or the template.",
        ),
        Code.TEMPLATE_KEY_UNKNOWN: Words(
            _W, "The template has an unknown key: {detail}.", "Check its spelling."
        ),
        Code.TEMPLATE_UNUSUAL: Words(
            _W,
            "The template may not be what the API expects: {detail}.",
            "Check it; it is sent as it is.",
        ),
        Code.PLACEHOLDER_MISSING: Words(
            _E,
            "The template needs {detail}, and the row has no value for it.",
            "Fill in the value, or remove the placeholder from the template.",
        ),
        Code.DUPLICATE_IN_FILE: Words(
            _W,
            "This person is already in {detail}, with the same campaign.",
            "Nothing to do: only the first row is sent.",
        ),
        Code.ALREADY_IMPORTED: Words(
            _I,
            "This person was already imported into this campaign: {detail}.",
            "Nothing to do. To write to them again, set round in importer.yaml.",
        ),
        Code.POSSIBLY_SENT: Words(
            _W,
            "An earlier request for this person may have been accepted: {detail}.",
            "Run `importer reconcile`, or decide with `importer resolve`.",
        ),
        Code.REJECTED_BEFORE: Words(
            _E,
            "The API rejected this row before, and it has not changed: {detail}.",
            "Correct what the API rejected. If the service was the cause, send it again with "
            "--retry-rejected.",
        ),
        Code.CONTACTED_RECENTLY: Words(
            _E,
            "This person was contacted recently: {detail}.",
            "Wait, or allow it with --allow-recent.",
        ),
        Code.OPTED_OUT: Words(
            _E, "This person has opted out: {detail}.", "Do not contact them; remove the row."
        ),
    }
)
