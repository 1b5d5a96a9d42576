"""Codes of problems: the closed list, and the words of each."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Severity(StrEnum):
    """How serious a problem is: only an error keeps its row from being sent."""

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
    ENCODING_DOUBTFUL = "encoding-doubtful"
    HEADER_NOT_FOUND = "header-not-found"
    HEADER_MOVED = "header-moved"
    ROWS_HIDDEN = "rows-hidden"
    SHEETS_NOT_READ = "sheets-not-read"
    TOTALS_SKIPPED = "totals-skipped"
    COLUMN_MISSING = "column-missing"
    COLUMN_DUPLICATE = "column-duplicate"
    COLUMN_UNKNOWN = "column-unknown"
    COLUMNS_RANKED = "columns-ranked"
    COLUMN_UNUSED = "column-unused"
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
    """The severity, message and fix of a code; `{header}` and `{detail}` are filled in."""

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
            _E,
            "The file exceeds a limit: {detail}.",
            "Split the file, or raise that limit in importer.yaml.",
        ),
        Code.ENCODING_GUESSED: Words(
            _W,
            "The text encoding is a guess: {detail}.",
            "Check the example. If it looks wrong, set --encoding, or save the file as UTF-8.",
        ),
        Code.ENCODING_DOUBTFUL: Words(
            _E,
            "Some letters of this row may be wrong: {detail}.",
            "Give the encoding of the file with --encoding, or enter the letters again and save "
            "the file as UTF-8.",
        ),
        Code.HEADER_NOT_FOUND: Words(
            _E,
            "No header row was found: {detail}.",
            "Put the column names into one row near the top; `importer columns` lists them.",
        ),
        Code.HEADER_MOVED: Words(
            _I,
            "Row {detail} was taken as the header row.",
            "Nothing to do if that is right.",
        ),
        Code.ROWS_HIDDEN: Words(
            _W, "Hidden cells were left out: {detail}.", "Unhide them if they should be imported."
        ),
        Code.SHEETS_NOT_READ: Words(
            _W,
            "More than one sheet holds candidates: {detail}.",
            "Choose one with --sheet, or save each list as a file of its own.",
        ),
        Code.TOTALS_SKIPPED: Words(
            _I,
            "This row below the candidates is a total or note, and was left out: {detail}.",
            "Nothing to do. If it is a candidate, fill in a phone number or an e-mail address.",
        ),
        Code.COLUMN_MISSING: Words(
            _E,
            "The file has no column for {detail}.",
            "Add the column, or name its header under `columns:` in importer.yaml, such as "
            "`Hiring mgr mail: hiring_manager_email`.",
        ),
        Code.COLUMN_DUPLICATE: Words(
            _E,
            "Several headers mean the same column: {detail}.",
            "Keep one of them, or choose one under `columns:` in importer.yaml.",
        ),
        Code.COLUMN_UNKNOWN: Words(
            _W,
            "The header is unknown, but looks like {detail}.",
            "If that is meant, rename the header, or name its column under `columns:` in "
            "importer.yaml.",
        ),
        Code.COLUMNS_RANKED: Words(
            _I,
            "Several headers mean the same column: {detail}.",
            "Nothing to do if that is right. If not, name the right header under `columns:` in "
            "importer.yaml.",
        ),
        Code.COLUMN_UNUSED: Words(
            _W,
            "The column is not used, but its cells look like {detail}.",
            "If they are the candidates', put this line into importer.yaml.",
        ),
        Code.NOT_A_CANDIDATE: Words(
            _I,
            "The row is not a candidate, and was left out: {detail}.",
            "Nothing to do. If it is one, fill in a phone number or an e-mail address.",
        ),
        Code.ROW_RAGGED: Words(
            _E,
            "The row does not match the header row: it has {detail}.",
            "Put quotation marks around values that contain the delimiter, and add missing cells.",
        ),
        Code.QUOTE_UNCLOSED: Words(
            _E,
            "A quotation mark is opened here but never closed.",
            "Close or remove the quotation mark.",
        ),
        Code.VALUE_TOO_LONG: Words(
            _E,
            "The value is too long: it has {detail}.",
            "Shorten it, or raise max_cell_chars in importer.yaml.",
        ),
        Code.VALUE_CHANGED: Words(
            _I, "The value was tidied: {detail}.", "Nothing to do if the result is right."
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
            "Begin the number with + and the country code, fill in the country, or set "
            "default_country in importer.yaml.",
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
            "Check whether both rows are the same person.",
        ),
        Code.EMAIL_TYPO: Words(
            _W,
            "The e-mail address may contain a typing error: {detail}.",
            "Correct the address, or leave it if it is right.",
        ),
        Code.EMAIL_OF_ANOTHER: Words(
            _E,
            "The same e-mail address is in {detail}, in the same campaign, with another phone "
            "number or none.",
            "If it is one person, keep one of the two rows. If two people share the address, set "
            "allow_shared_contact in importer.yaml.",
        ),
        Code.CANDIDATE_ID_OF_ANOTHER: Words(
            _E,
            "The same candidate id is in {detail}, for another person.",
            "If it is one person, keep one of the two rows. If not, correct the id. To send both, "
            "set allow_shared_contact in importer.yaml.",
        ),
        Code.PHONE_OF_ANOTHER_NAME: Words(
            _E,
            "The same contact is in {detail} under another name. The API tells people apart by "
            "phone, else by e-mail, so only one of them can be contacted in a campaign.",
            "Correct the contact, or remove the row. If an earlier run contacted this very person "
            "under another name, allow_shared_contact in importer.yaml skips the row instead.",
        ),
        Code.BRACES_IN_VALUE: Words(
            _E,
            "The value has double braces, which the API would replace in its message.",
            "Remove the braces.",
        ),
        Code.CAMPAIGN_MISSING: Words(
            _E,
            "The row names no campaign.",
            "Fill in the campaign, or set `campaign` in importer.yaml.",
        ),
        Code.CAMPAIGN_SPELLING: Words(
            _E,
            "The campaign is also spelled `{detail}`; only case or spaces differ.",
            "Spell it in one way, as the API does, in the file and in importer.yaml.",
        ),
        Code.BOOLEAN_INVALID: Words(
            _E, "This is neither yes nor no.", "Enter yes or no, or leave the cell empty."
        ),
        Code.SKIP_CHECK_NOT_ALLOWED: Words(
            _E,
            "The row asks to skip the duplicate check, which can close a running conversation.",
            "Empty the cell, or allow it with `skip_duplication_check: true` in importer.yaml.",
        ),
        Code.TEMPLATE_MISSING: Words(
            _E,
            "Neither the row nor the settings name a {detail}.",
            "Fill in the column, or set a default in importer.yaml.",
        ),
        Code.TEMPLATE_UNKNOWN: Words(
            _E,
            "There is no template with this name: {detail}.",
            "Correct the name, or add a template with this name.",
        ),
        Code.TEMPLATE_INVALID: Words(
            _E,
            "With this row's values, the template is invalid: {detail}.",
            "Correct the values or the template.",
        ),
        Code.TEMPLATE_KEY_UNKNOWN: Words(
            _W, "The template has an unknown key: {detail}.", "Check its spelling."
        ),
        Code.TEMPLATE_UNUSUAL: Words(
            _W,
            "The template may not be what the API expects: {detail}.",
            "Check the template; it is sent unchanged.",
        ),
        Code.PLACEHOLDER_MISSING: Words(
            _E,
            "The row has no value for {detail}, which the template needs.",
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
            "Nothing to do. To contact this person again, set `round` in importer.yaml.",
        ),
        Code.POSSIBLY_SENT: Words(
            _W,
            "An earlier request for this person may have been accepted: {detail}.",
            "Run `importer reconcile`, or decide with `importer resolve`.",
        ),
        Code.REJECTED_BEFORE: Words(
            _E,
            "The API rejected this row before, and the row has not changed: {detail}.",
            "Correct what the API rejected. If the API was at fault, run again with "
            "--retry-rejected.",
        ),
        Code.CONTACTED_RECENTLY: Words(
            _E,
            "This person was contacted recently: {detail}.",
            "Wait, or run again with --allow-recent.",
        ),
        Code.OPTED_OUT: Words(
            _E, "This person has opted out: {detail}.", "Do not contact them; remove the row."
        ),
    }
)
