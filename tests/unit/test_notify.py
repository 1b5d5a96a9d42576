"""The morning's message: once, with retries where it surely did not arrive, and never a failure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer import notify
from importer.settings import Settings
from tests.nights import listening
from tests.sockets import nobody_listens

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 7, 10, 6, tzinfo=UTC)


def sent(settings: Settings, waits: list[float]) -> Mapping[str, str]:
    """Sends a message."""
    return notify.send(settings, "subject", "text", {"text": "t"}, now=NOW, sleep=waits.append)


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
    ],
)
def test_a_webhook(
    answers: list[int], outcome: str, posts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only what was surely not taken is sent again, and only so often."""
    waits: list[float] = []
    with listening() as (url, got, statuses):
        statuses.extend(answers)
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        assert sent(Settings(), waits) == {"webhook": outcome}
    assert len(got) == posts
    assert len(waits) == posts - 1


def test_a_mail_server_that_is_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways are tried, and both say what happened."""
    with nobody_listens() as url:
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        settings = Settings(mail_to=("ops@example.com",), smtp=url.removeprefix("http://"))
        assert sent(settings, []) == {
            "mail": "not delivered (ConnectionRefusedError)",
            "webhook": "not delivered (ConnectError)",
        }
