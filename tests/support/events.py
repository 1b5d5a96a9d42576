"""Events as the API sends them, and their signatures."""

from __future__ import annotations

import base64
import hmac
import json
from datetime import UTC, datetime
from itertools import count
from typing import Any, Final

SECRET: Final = "a secret that nobody guesses"
NOON: Final = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
_NUMBERS: Final = count(1)


def event(name: str, at: datetime = NOON, *, event_id: str = "", **data: Any) -> bytes:
    """Return the body of an event."""
    content = {
        "event": name,
        "eventId": event_id or f"evt-{next(_NUMBERS)}",
        "eventTimestamp": at.isoformat(),
        "data": data,
    }
    return json.dumps(content).encode()


def signature(body: bytes, encoding: str = "hex", secret: str = SECRET) -> str:
    """Return what the API sends as `x-signature`."""
    digest = hmac.digest(secret.encode(), body, "sha256")
    return digest.hex() if encoding == "hex" else base64.b64encode(digest).decode()
