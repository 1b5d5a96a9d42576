"""Made-up submissions and settings for the tests of sending."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import SecretStr

from importer.model import Json, Submission
from importer.settings import Credentials, Settings

if TYPE_CHECKING:
    from collections.abc import Mapping


CREDENTIALS = Credentials(api_key=SecretStr("made-up-key"), organization_id="org-1")


class PlainHashes:
    """What stands for the keyed hashes of people: text that can be read."""

    organization = "org-1"

    def person(self, phone: str | None, email: str | None) -> str:
        """Return text that can be read, instead of a hash."""
        return f"hash of {phone or email}"

    def email(self, address: str) -> str:
        """Return text that can be read, instead of a hash."""
        return f"e-mail hash of {address.lower()}"


HASHES = PlainHashes()

BODY: dict[str, Json] = {
    "phoneNumber": "+442079460018",
    "emailAddress": "ada@example.com",
    "firstName": "Ada",
    "lastName": "Lovelace",
    "campaignId": "camp-42",
}


def settings(**values: object) -> Settings:
    """Return settings with short timeouts, and what else a test needs."""
    short = {"connect_timeout_s": 0.5, "read_timeout_s": 0.5, "write_timeout_s": 0.5}
    return Settings.model_validate({**short, **values})


def submission(number: int = 1, body: Mapping[str, Json] | None = None) -> Submission:
    """Return the submission of a row."""
    return Submission(
        key=f"key-{number}",
        external_id=f"ext-{number}",
        source=0,
        row=number + 1,
        campaign="camp-42",
        person=f"person-{number}",
        masked="+44 •••• 0018",
        body={**BODY, "externalId": f"ext-{number}"} if body is None else body,
        body_hash=f"hash-{number}",
    )
