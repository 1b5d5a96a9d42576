"""What the API demands of a request body, as far as its public documentation says.

Written apart from `schemas.templates` on purpose: what the importer believes and what the sandbox
demands are two readings of the same pages, and a rehearsal shows where they differ.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from importer.sandbox.meetings import configuration_fault, participants_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from importer.model import Json

E164: Final = re.compile(r"\+[1-9]\d{1,14}", re.ASCII)
EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
COUNTRY: Final = re.compile(r"[A-Z]{2}")
UNKNOWN_CAMPAIGN: Final = "missing-"
"""A campaign id that begins so does not exist in the sandbox: a 404 to rehearse."""

_TEXTS: Final = (
    "firstName",
    "phoneNumber",
    "emailAddress",
    "countryCode",
    "lastName",
    "campaignId",
    "externalCampaignId",
    "externalId",
)
_FLAGS: Final = ("skipDuplicationCheck", "shouldSendDuringBusinessHours")
_MEETING: Final = ("meetingParticipants", "meetingConfiguration")


def refusal(body: Json, *, scheduling: bool) -> str:
    """Why the API would answer 400 to this body, naming the key; empty if it would not.

    Args:
        body: the request body, parsed.
        scheduling: the body was sent to `/scheduling/conversations`, so that participants and
            configuration are required; `/conversations` has neither.
    """
    if not isinstance(body, dict):
        return "the body must be a JSON object"
    known = (*_TEXTS, *_FLAGS, *(_MEETING if scheduling else ()))
    for key in body:
        if key not in known:
            return f"{key} is not a key of this call"
    return _candidate_fault(body) or (_meeting_fault(body) if scheduling else "")


def _candidate_fault(body: Mapping[str, Json]) -> str:
    """What is wrong with the part of the body that is about the candidate."""
    for key in _TEXTS:
        if key in body and not _is_text(body[key]):
            return f"{key} must be a text that is not empty"
    for key in _FLAGS:
        if key in body and not isinstance(body[key], bool):
            return f"{key} must be true or false"
    if "firstName" not in body:
        return "firstName is required"
    if "campaignId" not in body and "externalCampaignId" not in body:
        return "campaignId or externalCampaignId is required"
    return _contact_fault(body)


def _contact_fault(body: Mapping[str, Json]) -> str:
    """What is wrong with phone, e-mail and country."""
    phone, email, country = (
        body.get(key) for key in ("phoneNumber", "emailAddress", "countryCode")
    )
    if phone is None and email is None:
        return "phoneNumber or emailAddress is required"
    if isinstance(phone, str) and not E164.fullmatch(phone):
        return "phoneNumber must be in E.164 format, such as +442079460018"
    if isinstance(email, str) and not EMAIL.fullmatch(email):
        return "emailAddress must be an e-mail address"
    if isinstance(country, str) and not COUNTRY.fullmatch(country):
        return "countryCode must be an ISO 3166-1 alpha-2 code, such as GB"
    return ""


def _meeting_fault(body: Mapping[str, Json]) -> str:
    """What is wrong with participants and configuration."""
    for key in _MEETING:
        if key not in body:
            return f"{key} is required"
    configuration = body["meetingConfiguration"]
    if not isinstance(configuration, dict):
        return "meetingConfiguration must be an object"
    return configuration_fault(configuration) or participants_fault(
        body["meetingParticipants"], str(configuration.get("availabilityMethod", ""))
    )


def _is_text(value: Json) -> bool:
    """Whether a value is a text with something in it."""
    return isinstance(value, str) and bool(value.strip())
