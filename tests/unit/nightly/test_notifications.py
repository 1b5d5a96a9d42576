"""The morning's message: once, with retries where it surely did not arrive, and never a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from importer.nightly import notifications
from importer.settings import Settings
from tests.support.night_setup import serve_webhook
from tests.support.sockets import closed_port, silent_server

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

NOW = datetime(2026, 7, 10, 6, tzinfo=UTC)


def sent(settings: Settings, waits: list[float], **more: Any) -> Mapping[str, str]:
    """Send a message."""
    return notifications.send_message(
        settings, "subject", "text", {"text": "t"}, now=NOW, sleep=waits.append, **more
    )


def test_nobody_wants_a_message() -> None:
    """Then none is sent."""
    assert sent(Settings(), []) == {}


@pytest.mark.parametrize(
    ("answers", "outcome", "posts"),
    [
        ([], "sent", 1),
        ([503, 429], "sent", 3),
        ([503] * 9, "not delivered (HTTP 503)", 4),
        ([500], "perhaps delivered (HTTP 500)", 1),
        ([404], "not delivered (HTTP 404)", 1),
        ([307], "not delivered (HTTP 307)", 1),
    ],
)
def test_a_webhook(
    answers: list[int], outcome: str, posts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was surely not taken is sent again, and only so often."""
    waits: list[float] = []
    with serve_webhook() as (url, got, statuses):
        statuses.extend(answers)
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        assert sent(Settings(), waits) == {"webhook": outcome}
    assert len(got) == posts
    assert len(waits) == posts - 1


def test_a_webhook_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have taken the message, so it gets no second one."""
    waits: list[float] = []
    with silent_server() as url:
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        assert sent(Settings(), waits, timeout_s=0.1) == {
            "webhook": "perhaps delivered (ReadTimeout)"
        }
    assert waits == []


def test_whoever_is_told_to_stop_tries_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is to end, and no message keeps it."""
    with serve_webhook() as (url, got, statuses):
        statuses.extend([503] * 4)
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        assert sent(Settings(), [], stopped=lambda: True) == {"webhook": "not delivered (HTTP 503)"}
    assert len(got) == 1


def test_a_mail_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways are tried, and both say what happened."""
    with closed_port() as url:
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        settings = Settings(mail_to=("ops@example.com",), smtp=url.removeprefix("http://"))
        assert sent(settings, []) == {
            "mail": "not delivered (ConnectionRefusedError)",
            "webhook": "not delivered (ConnectError)",
        }


def test_secrets_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The night says why no message was sent."""
    monkeypatch.setenv("IMPORTER_SECRETS_DIR", str(tmp_path / "gone"))
    assert sent(Settings(mail_to=("ops@example.com",)), []) == {
        "mail or webhook": "not delivered (IMPORTER_SECRETS_DIR: there is no such folder.)"
    }
