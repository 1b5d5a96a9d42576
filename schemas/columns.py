"""The canonical columns: what a candidate spreadsheet may say, and what people call it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection

ROW: Final = "#row"
"""Frame column with the spreadsheet row (the `#` keeps it apart from every placeholder name)."""

SOURCE: Final = "#source"
"""Frame column with the position of the row's file among the files of the run."""

GROUP: Final = "#group"
"""Frame column with the position of the row's group in the plan."""


@dataclass(frozen=True, slots=True)
class Column:
    """One canonical column of a candidate spreadsheet.

    Attributes:
        name: what the column is called everywhere in the program and in templates.
        api_key: the key of the request body that it fills, or None where it steers the import.
        about: one sentence for the person who fills in the spreadsheet.
        example: a value that may stand in the column.
        aliases: other headers that people use, compared without case, spaces, `_`, `-` and dots.
        own: the value is the candidate's own: it never forms a group.
        personal: the value is personal data: masked in terminals and logs.
    """

    name: str
    api_key: str | None
    about: str
    example: str
    aliases: tuple[str, ...]
    own: bool = False
    personal: bool = False


COLUMNS: Final[tuple[Column, ...]] = (
    Column(
        name="phone_number",
        api_key="phoneNumber",
        about="The candidate's phone, in any usual spelling; a phone or an e-mail is required.",
        example="+44 20 7946 0018",
        aliases=(
            "phone",
            "mobile",
            "cell",
            "telephone",
            "tel",
            "mobile number",
            "mobile no",
            "mobile phone",
            "cell phone",
            "cell number",
            "phone no",
            "telephone number",
            "telephone no",
            "tel no",
            "contact number",
            "candidate phone",
            "whatsapp",
            "msisdn",
        ),
        own=True,
        personal=True,
    ),
    Column(
        name="email",
        api_key="emailAddress",
        about="The candidate's e-mail address; a phone or an e-mail is required.",
        example="ada@example.com",
        aliases=("e-mail", "mail", "email address", "e-mail address", "candidate email"),
        own=True,
        personal=True,
    ),
    Column(
        name="first_name",
        api_key="firstName",
        about="The candidate's given name; required.",
        example="Ada",
        aliases=("forename", "given name", "given names", "first", "fname", "candidate first name"),
        own=True,
        personal=True,
    ),
    Column(
        name="last_name",
        api_key="lastName",
        about="The candidate's family name.",
        example="Lovelace",
        aliases=("surname", "family name", "last", "lname", "candidate last name"),
        own=True,
        personal=True,
    ),
    Column(
        name="full_name",
        api_key=None,
        about="Both names in one cell; split when first_name is empty, with a warning.",
        example="Lovelace, Ada",
        aliases=("name", "candidate", "candidate name", "applicant", "applicant name"),
        own=True,
        personal=True,
    ),
    Column(
        name="country",
        api_key="countryCode",
        about="The country of the phone, as a name or a code; else default_country is taken.",
        example="GB",
        aliases=("country code", "country name", "phone country", "iso country"),
        own=True,
    ),
    Column(
        name="campaign",
        api_key="campaignId",
        about="The id of the campaign; this, external_campaign or the setting is required.",
        example="camp-42",
        aliases=("campaign id", "campaign code"),
    ),
    Column(
        name="external_campaign",
        api_key="externalCampaignId",
        about="The campaign's id in your own system, instead of campaign.",
        example="REQ-1001",
        aliases=("external campaign id", "external campaign code", "requisition", "requisition id"),
    ),
    Column(
        name="candidate_id",
        api_key="externalId",
        about="The candidate's id in your own system; sent along, so that answers can be matched.",
        example="A-1001",
        aliases=("external id", "applicant id", "candidate number", "candidate no", "ats id"),
        own=True,
    ),
    Column(
        name="meeting_template",
        api_key=None,
        about="Which templates/meetings/*.yaml to use; else the setting meeting.",
        example="onsite-45",
        aliases=("meeting", "interview type", "meeting type", "interview template"),
    ),
    Column(
        name="participant_template",
        api_key=None,
        about="Which templates/participants/*.yaml to use; else the setting participants.",
        example="hiring-manager",
        aliases=("participants", "participant", "interviewers", "panel"),
    ),
    Column(
        name="send_during_business_hours",
        api_key="shouldSendDuringBusinessHours",
        about="Whether the first message waits for business hours (yes or no).",
        example="yes",
        aliases=(
            "business hours",
            "business hours only",
            "send in business hours",
            "should send during business hours",
        ),
        own=True,
    ),
    Column(
        name="skip_duplication_check",
        api_key="skipDuplicationCheck",
        about="Destructive, and refused unless the setting of the same name allows it (yes or no).",
        example="no",
        aliases=("skip duplicate check",),
        own=True,
    ),
)

BY_NAME: Final[dict[str, Column]] = {column.name: column for column in COLUMNS}
OWN: Final[frozenset[str]] = frozenset(column.name for column in COLUMNS if column.own)
PERSONAL: Final[frozenset[str]] = frozenset(column.name for column in COLUMNS if column.personal)

RETURNED_COLUMNS: Final = (
    "_file",
    "_row",
    "_problems",
    "import_status",
    "conversation_id",
    "reason",
    "attempted_at",
)
"""Headers that our own output files add; in a file that is given back they are ignored."""


def returned(headers: Collection[str]) -> frozenset[str]:
    """Those of a file's headers that an output file of ours added, compared as they stand.

    The first three of `RETURNED_COLUMNS` are ours wherever they stand, the others only in a file
    that has `import_status`: a recruiter may have a `reason` of their own. Where they have, ours
    is called `import_reason`, and theirs stays theirs.
    """
    ours = set(RETURNED_COLUMNS[:3])
    if "import_status" in headers:
        ours |= {unused(name, headers) for name in RETURNED_COLUMNS[3:]}
    return frozenset(ours.intersection(headers))


def unused(name: str, headers: Collection[str]) -> str:
    """What a results file calls its column beside a user's of the same name: `import_reason`."""
    return f"import_{name}" if f"import_{name}" in headers else name
