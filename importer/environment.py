"""What the environment says: settings as `IMPORTER_*`, secrets also as files of a directory."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from pydantic import SecretStr, create_model
from pydantic_settings import BaseSettings, SettingsConfigDict

from importer.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterable

PREFIX: Final = "IMPORTER_"
SECRETS_DIR: Final = "IMPORTER_SECRETS_DIR"


class Secrets(BaseSettings):
    """What nobody may read: from the environment, else from a file of the secrets directory."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    popp_api_key: SecretStr | None = None
    popp_organization_id: SecretStr | None = None
    importer_hmac_key: SecretStr | None = None

    @classmethod
    def read(cls) -> Self:
        """The secrets as they stand now.

        Raises:
            SettingsError: the secrets directory is none, or cannot be read.
        """
        folder = os.environ.get(SECRETS_DIR) or None
        if folder is not None and not Path(folder).is_dir():
            raise SettingsError(f"{SECRETS_DIR}: there is no such folder.")
        try:
            found = cls(_secrets_dir=folder)  # type: ignore[call-arg] # added by its metaclass
        except (OSError, ValueError) as exc:
            raise SettingsError(f"{SECRETS_DIR}: a file there cannot be read.") from exc
        return found.model_copy(
            update={
                name: None
                for name in cls.model_fields
                if (secret := getattr(found, name)) is not None
                and not secret.get_secret_value().strip()
            }
        )


class _Variables(BaseSettings):
    """The settings among the variables of the environment, all text."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", env_ignore_empty=True)


def variables(names: Iterable[str]) -> dict[str, str]:
    """Setting -> text of its `IMPORTER_*` variable, for the settings that have one."""
    fields: dict[str, object] = dict.fromkeys(names, (str | None, None))
    found = create_model("_Found", __base__=_Variables, **fields)()  # type: ignore[call-overload]
    return {name: str(value) for name, value in found.model_dump(exclude_unset=True).items()}


def strangers(names: Iterable[str]) -> list[str]:
    """The `IMPORTER_*` variables that are no setting of these names, upper case."""
    known = {f"{PREFIX}{name}".upper() for name in names} | {SECRETS_DIR, f"{PREFIX}HMAC_KEY"}
    return sorted({name.upper() for name in os.environ if name.upper().startswith(PREFIX)} - known)
