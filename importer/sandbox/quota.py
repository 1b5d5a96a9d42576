"""A quota on request: so many requests each second, the rest is refused with 429."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

WINDOW_S: Final = 1.0


class Quota:
    """Counts requests in windows of one second, the first of which opens each window.

    Args:
        per_s: how many a window takes.
        now: monotonic seconds.
    """

    def __init__(self, per_s: int, now: Callable[[], float]) -> None:
        self._per_s = per_s
        self._now = now
        self._ends_s = -math.inf
        self._taken = 0

    def take(self) -> int:
        """Counts one request; how many more the window takes, or -1 if this one is too many."""
        now_s = self._now()
        if now_s >= self._ends_s:
            self._ends_s, self._taken = now_s + WINDOW_S, 0
        if self._taken >= self._per_s:
            return -1
        self._taken += 1
        return self._per_s - self._taken

    def headers(self, remaining: int) -> list[tuple[bytes, bytes]]:
        """What the API might say of it: the limit, what is left, and seconds to the next window."""
        reset_s = math.ceil(max(self._ends_s - self._now(), 0.0))
        numbers = (("limit", self._per_s), ("remaining", max(remaining, 0)), ("reset", reset_s))
        return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in numbers]


def limited(app: ASGIApp, quota_of: Callable[[], Quota | None]) -> ASGIApp:
    """An app behind a quota.

    Args:
        app: what answers the requests within it.
        quota_of: the quota as it is when a request comes; None for none.
    """

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        quota = quota_of()
        if quota is None:
            await app(scope, receive, send)
            return
        remaining = quota.take()
        headers = quota.headers(remaining)

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], *headers]}
            await send(message)

        if remaining >= 0:
            await app(scope, receive, with_headers)
            return
        error = json.dumps({"error": "too many requests"}).encode()
        start = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(error)).encode()),
            (b"retry-after", b"1"),
        ]
        await with_headers({"type": "http.response.start", "status": 429, "headers": start})
        await send({"type": "http.response.body", "body": error})

    return behind
