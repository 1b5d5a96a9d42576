"""The key of the API's events: from the environment, in the form that the settings name."""

from __future__ import annotations

import base64

import pytest

from importer.errors import SettingsError
from importer.settings.page_settings import WEBHOOK_SECRET, WebhookSettings

KEY = bytes(range(32))


@pytest.mark.parametrize(
    ("form", "text", "key"),
    [
        ("text", "a secret that nobody guesses", b"a secret that nobody guesses"),
        ("hex", KEY.hex(), KEY),
        ("base64", base64.b64encode(KEY).decode(), KEY),
    ],
)
def test_the_form_of_the_secret_is_a_setting(
    form: str, text: str, key: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As it is used, or as bytes."""
    settings = WebhookSettings.model_validate({"webhook_key_form": form})
    assert settings.webhook_key() is None
    monkeypatch.setenv(WEBHOOK_SECRET, f" {text}\n")
    assert settings.webhook_key() == key


@pytest.mark.parametrize("form", ["hex", "base64"])
def test_a_secret_of_another_form_is_refused(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the name of the setting, and without the secret."""
    monkeypatch.setenv(WEBHOOK_SECRET, "not (in) any such form!")
    settings = WebhookSettings.model_validate({"webhook_key_form": form})
    with pytest.raises(SettingsError, match=f"is not {form}") as refused:
        settings.webhook_key()
    assert "any such form" not in str(refused.value)
