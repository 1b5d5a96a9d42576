"""The sandbox's webhook: send signed events about conversations, again until they are answered."""

from __future__ import annotations

import base64
import heapq
import hmac
import http.client
import ipaddress
import json
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final, Self
from urllib.parse import urlsplit

from importer.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from importer.model import Json
    from importer.sandbox.personalities import Behaviour
    from importer.sandbox.store import Conversations, JournalEntry


EVENTS: Final[Mapping[str, str]] = {
    "QUEUED": "CONVERSATION_QUEUED",
    "ONGOING": "CONVERSATION_STARTED",
    "COMPLETED_SCREENING_PASSED": "CONVERSATION_COMPLETED",
    "COMPLETED_SCREENING_FAILED": "CONVERSATION_COMPLETED",
    "CLOSED": "CONVERSATION_MAX_NUDGES_REACHED",
    "OPTED_OUT": "CONVERSATION_OPTED_OUT",
    "DELIVERY_FAILED": "START_CONVERSATION_FAILED",
}
"""Status of a conversation -> the event that announces it."""

RETRIES_S: Final = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Seconds between the attempts to deliver an event; after the last it is given up."""

_TIMEOUT_S: Final = 10.0
_MEETING: Final = timedelta(minutes=45)
_ANSWERED: Final = range(200, 300)


@dataclass(frozen=True, slots=True, order=True)
class _Task:
    """Something to do at a time: the first due is the smallest.

    Attributes:
        due_s: the time on the monotonic clock.
        number: keeps the order of tasks that are due at once.
        do: what to do.
    """

    due_s: float
    number: int
    do: Callable[[], None]


class EventSender:
    """Sends events to one receiver on this machine, in a thread of its own.

    Use it as a context manager: it sends as long as the context lasts.

    Args:
        url: the URL of the receiver, which must be on this machine.
        secret: signs the events.
        behaviour: the personalities.
        conversations: whose statuses change with time.
        retries_s: seconds between the attempts.

    Raises:
        UsageError: the URL is not one on this machine.
    """

    def __init__(
        self,
        url: str,
        secret: bytes,
        behaviour: Behaviour,
        conversations: Conversations,
        retries_s: tuple[float, ...] = RETRIES_S,
    ) -> None:
        self._host, self._port, self._path = _parse_url(url)
        self._secret = secret
        self._behaviour = behaviour
        self._conversations = conversations
        self._retries_s = retries_s
        self._tasks: list[_Task] = []
        self._added = self._announced = 0
        self._results: Counter[str] = Counter()
        self._bookings: dict[str, str] = {}  # conversation id -> id of its booking
        self._news = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="sandbox events", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        self._thread.join()

    def counts(self) -> dict[str, Json]:
        """Count the deliveries that were answered, must be tried again, and were given up."""
        return {name: self._results[name] for name in ("delivered", "retried", "given up")}

    # ---- what happens ------------------------------------------------------------------------

    def announce_new(self, entry: JournalEntry) -> None:
        """Announce a conversation that was accepted, and later the statuses that it takes."""
        self._announce("CONVERSATION_QUEUED", self._conversation(entry))
        for after_s, status in self._conversations.later_statuses(entry):
            if status != "QUEUED":
                self._add(after_s, partial(self._announce_due, entry, status))

    def announce_status(self, entry: JournalEntry) -> None:
        """Announce a status that was set by hand."""
        event = EVENTS.get(self._conversations.status(entry))
        if event is not None:
            self._announce(event, self._conversation(entry))

    def announce_meeting(self, entry: JournalEntry, begins: datetime | None) -> None:
        """Announce that a meeting was arranged; None announces that it was cancelled."""
        known = entry["id"] in self._bookings
        if begins is None:
            event = "CALENDAR_MEETING_CANCELLED"
        else:
            event = "CALENDAR_MEETING_RESCHEDULED" if known else "CALENDAR_MEETING_SCHEDULED"
        booking = self._bookings.setdefault(entry["id"], f"book_{uuid.uuid4().hex}")
        if begins is None:
            del self._bookings[entry["id"]]
        details: dict[str, Json] = {"title": "Interview", "timezone": "UTC"}
        if begins is not None:
            details["startDateTime"] = begins.isoformat()
            details["endDateTime"] = (begins + _MEETING).isoformat()
        self._announce(
            event,
            {
                "recordId": booking,
                "organizationId": entry["organizationId"],
                "conversationId": entry["id"],
                "externalConversationId": self._external_id(entry),
                "externalCampaignId": entry["externalCampaignId"],
                "meetingDetails": details,
            },
        )

    def _announce_due(self, entry: JournalEntry, status: str) -> None:
        """Announce a status that a conversation takes by itself, unless it was set by hand."""
        if self._conversations.status(entry) == status:
            self._announce(EVENTS[status], self._conversation(entry))

    def _conversation(self, entry: JournalEntry) -> dict[str, Json]:
        return {
            "recordId": entry["id"],
            "organizationId": entry["organizationId"],
            "conversationStatus": self._conversations.status(entry),
            "candidateId": f"cand_{entry['id'][-8:]}",
            "externalId": self._external_id(entry),
            "externalCampaignId": entry["externalCampaignId"],
            "participantFirstName": entry["firstName"],
            "participantLastName": entry["body"].get("lastName"),
            "campaignConversationUrl": None,
        }

    def _external_id(self, entry: JournalEntry) -> str | None:
        return None if "no-external-id" in self._behaviour else entry["externalId"]

    def _announce(self, event: str, data: dict[str, Json]) -> None:
        """Send an event, as often and as late as the personalities say."""
        at = datetime.now(UTC) + timedelta(seconds=self._behaviour.clock_offset_s)
        content = {
            "event": event,
            "eventId": f"evt_{uuid.uuid4().hex}",
            "eventTimestamp": at.isoformat(timespec="microseconds"),
            "data": data,
        }
        body = json.dumps(content, ensure_ascii=False).encode()
        self._announced += 1
        late_s = self._behaviour.event_delay_s if self._announced % 2 else 0.0
        for _ in range(2 if "repeated-events" in self._behaviour else 1):
            self._add(late_s, partial(self._deliver, body, 0))

    # ---- sending -----------------------------------------------------------------------------

    def _add(self, after_s: float, do: Callable[[], None]) -> None:
        with self._news:
            self._added += 1
            heapq.heappush(self._tasks, _Task(time.monotonic() + after_s, self._added, do))
            self._news.notify()

    def _work(self) -> None:
        """Do each task when it is due, until the sandbox ends."""
        while (task := self._next()) is not None:
            task.do()

    def _next(self) -> _Task | None:
        with self._news:
            while not self._closed:
                due_s = self._tasks[0].due_s - time.monotonic() if self._tasks else None
                if due_s is not None and due_s <= 0:
                    return heapq.heappop(self._tasks)
                self._news.wait(due_s)
        return None

    def _deliver(self, body: bytes, failures: int) -> None:
        """Send a body once; if it is not answered with a 2xx, try again later."""
        if self._post(body) in _ANSWERED:
            self._results["delivered"] += 1
        elif failures < len(self._retries_s):
            self._results["retried"] += 1
            self._add(self._retries_s[failures], partial(self._deliver, body, failures + 1))
        else:
            self._results["given up"] += 1

    def _post(self, body: bytes) -> int:
        """Post a body; return the status of the answer, 0 if there is none."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT_S)
        headers = {"content-type": "application/json", "x-signature": self._sign(body)}
        try:
            connection.request("POST", self._path, body, headers)
            return connection.getresponse().status
        except (OSError, http.client.HTTPException):
            return 0
        finally:
            connection.close()

    def _sign(self, body: bytes) -> str:
        digest = hmac.digest(self._secret, body, "sha256")
        if "base64-signatures" in self._behaviour:
            return base64.b64encode(digest).decode()
        return digest.hex()


def _parse_url(url: str) -> tuple[str, int, str]:
    """Return host, port and path of a URL on this machine; raise UsageError for any other."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
        here = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        here = False
    if not here or parts.scheme != "http":
        raise UsageError(
            "--webhook must be an address on this machine, because a rehearsal stays here.",
            "For example: --webhook http://127.0.0.1:8766/webhooks",
        )
    return host, port, parts.path or "/"
