"""The settings of the receiver of the API's events: how its signatures are written."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from importer.errors import SettingsError
from importer.settings.secrets import Secrets

if TYPE_CHECKING:
    from pydantic import SecretStr


WEBHOOK_SECRET = "POPP_WEBHOOK_SECRET"  # noqa: S105 - the name of a variable
_MIN_BYTES = 16


class WebhookSettings(BaseModel):
    """Settings of the receiver of events, in `importer serve` and `importer webhooks`."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, use_attribute_docstrings=True
    )

    webhook_signature: Literal["hex", "base64"] = "hex"
    """How the API writes the signature of an event in the header x-signature."""
    webhook_key_form: Literal["text", "hex", "base64"] = "text"
    """How POPP_WEBHOOK_SECRET is written: as it is used, or as bytes in hex or base64."""

    def webhook_key(self) -> bytes | None:
        """The bytes under which events are signed; None if there is no secret.

        Raises:
            SettingsError: the secret is not what `webhook_key_form` says, or can be guessed.
        """
        secret = Secrets.read().popp_webhook_secret
        if secret is None:
            return None
        key = self._decode(secret)
        if len(key) < _MIN_BYTES:
            raise SettingsError(
                f"{WEBHOOK_SECRET} is shorter than {_MIN_BYTES} bytes, so it can be guessed.",
                "Make a longer secret where the webhook is set up, and set it here, too.",
            )
        return key

    def _decode(self, secret: SecretStr) -> bytes:
        text = secret.get_secret_value()
        try:
            if self.webhook_key_form == "hex":
                return bytes.fromhex(text)
            if self.webhook_key_form == "base64":
                return base64.b64decode(text, validate=True)
        except (ValueError, binascii.Error):
            raise SettingsError(
                f"{WEBHOOK_SECRET} is not {self.webhook_key_form}, as `webhook_key_form` says.",
                "Copy the secret again, or set `webhook_key_form: text`.",
            ) from None
        return text.encode()
