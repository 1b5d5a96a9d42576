"""One sandbox: the endpoints, the faults in front of them, the journal, and the counts."""

from __future__ import annotations

import logging
import random
import time
from array import array
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from starlette.requests import ClientDisconnect

from importer.sandbox import journal as journals
from importer.sandbox.app import Endpoints
from importer.sandbox.conversations import Conversations
from importer.sandbox.faults import parse
from importer.sandbox.quota import Quota, limited
from importer.sandbox.wire import faulty

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from importer.model import Json
    from importer.sandbox.faults import Fault, Target

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
