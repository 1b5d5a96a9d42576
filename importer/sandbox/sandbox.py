"""A quota on request: so many requests each second, the rest is refused with 429."""

from __future__ import annotations

import json
import logging
import math
import random
import time
from array import array
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from importer.sandbox import store as journals
from importer.sandbox.app import Endpoints
from importer.sandbox.faults import parse
from importer.sandbox.store import Conversations
from importer.sandbox.wire import faulty

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from importer.model import Json
    from importer.sandbox.faults import Fault, Target


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


_LOG: Final = logging.getLogger(__name__)


class Sandbox:
    """One sandbox: its conversations, what it has counted, and its faults.

    Attributes:
        base_url: what `base_url` of the settings should be; known once it listens.
        conversations: those it accepted; the journal's first.
        arrivals: `time.monotonic` seconds of every request to `/v1`, in order.
        statuses: how many answers each status had; 0 counts the requests without a whole answer.
    """

    def __init__(
        self, *, journal: Path | None, faults: str, duplicate_check: bool, seed: int
    ) -> None:
        wall_s, started_s = time.time(), time.monotonic()
        self.base_url = ""
        self.arrivals = array("d")
        self.statuses: Counter[int] = Counter()
        self._faults = parse(faults)
        self._quota = self._new_quota()
        self._random = random.Random(seed)  # noqa: S311  # faults are to be repeatable, not secret
        self.conversations = Conversations(
            [] if journal is None else journals.read(journal),
            now=lambda: wall_s + time.monotonic() - started_s,
            fates=self._faults.fates,
            seed=seed,
        )
        self._journal = None if journal is None else journals.Journal(journal)
        endpoints = Endpoints(
            self.conversations,
            self._journal,
            duplicate_check=duplicate_check,
            counts=self.counts,
        )
        broken = faulty(endpoints.app(), self._draw)
        self.app: ASGIApp = self._counting(limited(broken, lambda: self._quota))

    @property
    def journal(self) -> list[journals.Entry]:
        """Every accepted conversation, oldest first, as it stands in the journal file."""
        return list(self.conversations.entries)

    @property
    def requests(self) -> int:
        """How many requests came to `/v1`, refused ones and broken ones among them."""
        return len(self.arrivals)

    def set_faults(self, specification: str) -> None:
        """Other faults from the next request on; how conversations end stays as it was.

        Raises:
            UsageError: the specification is not one.
        """
        self._faults = replace(parse(specification), fates=self._faults.fates)
        self._quota = self._new_quota()

    def counts(self) -> Mapping[str, Json]:
        """Requests, conversations, and answers by status."""
        return {
            "requests": self.requests,
            "conversations": len(self.conversations.entries),
            "answers": {str(status): count for status, count in sorted(self.statuses.items())},
        }

    def close(self) -> None:
        """Closes the journal."""
        if self._journal is not None:
            self._journal.close()

    def _new_quota(self) -> Quota | None:
        """The quota that the faults ask for, with nothing taken yet."""
        limit_per_s = self._faults.limit_per_s
        return Quota(limit_per_s, time.monotonic) if limit_per_s else None

    def _draw(self, target: Target) -> Fault | None:
        """The fault that the next request of this kind meets."""
        return self._faults.draw(target, self._random.random)

    def _counting(self, app: ASGIApp) -> ASGIApp:
        """The app, with every request to the API counted as it comes and as it is answered."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            if not scope["path"].startswith("/v1/"):
                await app(scope, receive, send)
                return
            self.arrivals.append(time.monotonic())
            answered = 0

            async def sent(message: Message) -> None:
                nonlocal answered
                answered = message.get("status", answered)
                await send(message)

            try:
                await app(scope, receive, sent)
            except ClientDisconnect:
                pass  # whoever hung up amid the request needs no answer
            except Exception:
                _LOG.exception("the sandbox could not answer")  # such as: the disk is full
                raise
            finally:
                self.statuses[answered] += 1

        return counted
