"""Secrets from the environment or a directory of files, and the names of `IMPORTER_*` variables."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from importer.errors import CredentialsError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable


PREFIX: Final = "IMPORTER_"
SECRETS_DIR: Final = "IMPORTER_SECRETS_DIR"
_ELSEWHERE: Final = frozenset(
    f"{PREFIX}{name}"
    for name in ("HMAC_KEY", "WEBHOOK_URL", "SMTP_PASSWORD", "METRICS_TOKEN", "OIDC_CLIENT_SECRET")
)
"""Variables that hold secrets, not settings."""
FOR_HEADERS: Final = re.compile(r"[!-~]+")


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials that identify us to the API.

    Attributes:
        api_key: sent as `x-api-key`.
        organization_id: sent as `x-organization-id`; part of every submission key.
    """

    api_key: SecretStr
    organization_id: str = field(repr=False)


class Secrets(BaseSettings):
    """Every secret: from the environment, else from a file of the secrets directory."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    popp_api_key: SecretStr | None = None
    popp_organization_id: SecretStr | None = None
    popp_webhook_secret: SecretStr | None = None
    importer_hmac_key: SecretStr | None = None
    importer_webhook_url: SecretStr | None = None
    importer_smtp_password: SecretStr | None = None
    importer_metrics_token: SecretStr | None = None
    importer_oidc_client_secret: SecretStr | None = None

    @field_validator("*", mode="before")
    @classmethod
    def _bare(cls, value: object) -> object:
        """Strip blanks and line breaks; a blank secret counts as missing."""
        return (value.strip() or None) if isinstance(value, str) else value

    @classmethod
    def read(cls) -> Self:
        """Read the secrets.

        Raises:
            SettingsError: the secrets directory is missing or cannot be read.
        """
        folder = os.environ.get(SECRETS_DIR) or None
        if folder is not None and not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_DIR}: there is no such folder.")
        try:
            found = cls(_secrets_dir=folder)  # type: ignore[call-arg] # added by its metaclass
        except (OSError, ValueError) as exc:
            raise SettingsError(f"{SECRETS_DIR}: a file there cannot be read.") from exc
        return found


def credentials() -> Credentials:
    """Return the API key and the organization, from the environment or the secrets directory.

    Raises:
        CredentialsError: one of them is missing, or cannot be sent in a header.
        SettingsError: the secrets directory cannot be read.
    """
    found = Secrets.read()
    key, organization = found.popp_api_key, found.popp_organization_id
    if key is None or organization is None:
        missing = ["POPP_API_KEY"] * (key is None)
        missing += ["POPP_ORGANIZATION_ID"] * (organization is None)
        raise CredentialsError(
            f"{missing[0]} is not set."
            if len(missing) == 1
            else f"{' and '.join(missing)} are not set.",
            f"Type `{'; '.join(f'export {name}=...' for name in missing)}`, or put a file of "
            f"that name into the folder that {SECRETS_DIR} names.",
        )
    for name, secret in (("POPP_API_KEY", key), ("POPP_ORGANIZATION_ID", organization)):
        if not FOR_HEADERS.fullmatch(secret.get_secret_value()):
            raise CredentialsError(
                f"{name} contains a space, a line break or another character that cannot be sent.",
                "Copy it again, without spaces or quotation marks around it.",
            )
    return Credentials(api_key=key, organization_id=organization.get_secret_value())


def unknown_variables(known: Iterable[str]) -> list[str]:
    """Return the `IMPORTER_*` variables that are neither known settings nor secrets, upper case."""
    expected = {*known, SECRETS_DIR, *_ELSEWHERE}
    found = {name.upper() for name in os.environ if name.upper().startswith(PREFIX)}
    return sorted(found - expected)
