"""Accepted conversations, in memory and in a journal file with one JSON line for each."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
import zlib
from collections import defaultdict
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Final, TypedDict

from importer.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from importer.model import Json
    from importer.sandbox.faults import StatusChange


class JournalEntry(TypedDict):
    """One accepted conversation: `receivedAt` is ISO 8601 UTC, `received_s` Unix seconds."""

    id: str
    organizationId: str
    path: str
    campaignId: str | None
    externalCampaignId: str | None
    externalId: str | None
    phoneNumber: str | None
    emailAddress: str | None
    firstName: str
    receivedAt: str
    received_s: float
    body: dict[str, Json]


OWNER_ONLY: Final = 0o600


def read_journal(path: Path) -> list[JournalEntry]:
    """Read a journal, oldest entry first, and truncate an unfinished last line.

    An unfinished line was never answered, so its conversation does not exist.

    Raises:
        ConfigurationError: the file cannot be read, or another line is damaged.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    except OSError as exc:
        message = f"The journal {path} cannot be read ({type(exc).__name__})."
        raise ConfigurationError(message, "Give another file.") from exc
    entries: list[JournalEntry] = []
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not JournalEntry.__required_keys__ <= entry.keys():
            message = f"{path}:{number}: this is not a line of a sandbox's journal."
            raise ConfigurationError(message, "Give another file, or remove that line.")
        entries.append(entry)  # type: ignore[arg-type]  # its keys were compared just now
    return entries


class Journal:
    """Appends entries durably, in groups.

    Entries that arrive during a write are written together as the next group, so one fsync
    serves many requests.
    """

    def __init__(self, path: Path) -> None:
        """Open the file for appending; a new one is readable by its owner only.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, OWNER_ONLY)
        except OSError as exc:
            message = f"The journal {path} cannot be written ({type(exc).__name__})."
            raise ConfigurationError(message, "Give another file.") from exc
        self._file: IO[bytes] = os.fdopen(handle, "ab", buffering=0)
        self._waiting: list[bytes] = []
        self._group: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def append(self, entry: JournalEntry) -> None:
        """Write one entry and wait until it is on the disk.

        Raises:
            OSError: the disk refuses it.
        """
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._waiting.append(line.encode())
        if self._next is None:
            self._next = asyncio.create_task(self._write_group(self._group))
        await asyncio.shield(self._next)

    async def _write_group(self, before: asyncio.Task[None] | None) -> None:
        """Wait for the group before, then write the entries that are waiting."""
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._group, self._next = self._next, None
        lines, self._waiting = b"".join(self._waiting), []
        await asyncio.to_thread(self._write, lines)

    def _write(self, lines: bytes) -> None:
        view = memoryview(lines)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()


QUEUED_AFTER_S: Final = 1.0
ONGOING_AFTER_S: Final = 3.0


class Conversations:
    """Every accepted conversation, in order of acceptance.

    Args:
        entries: the entries of earlier runs of the sandbox.
        now: Unix seconds that never go back.
        status_changes: later statuses, by share of the conversations.
        seed: the seed of the choice between the status changes.
    """

    def __init__(
        self,
        entries: Sequence[JournalEntry],
        *,
        now: Callable[[], float],
        status_changes: Sequence[StatusChange] = (),
        seed: int = 0,
    ) -> None:
        self._now = now
        self._status_changes = status_changes
        self._seed = seed
        self._forced: dict[str, str] = {}
        self._by_id: dict[str, JournalEntry] = {}
        self._by_person: dict[tuple[str, ...], str] = {}
        self._by_external_id: dict[tuple[str, str], str] = {}
        self._of: defaultdict[str, list[JournalEntry]] = defaultdict(list)
        self.entries: list[JournalEntry] = []
        for entry in entries:
            self._add(entry)

    def accept(self, organization: str, path: str, body: Mapping[str, Json]) -> JournalEntry:
        """Add a conversation for a valid body."""
        received_s = self._now()

        def text(key: str) -> str | None:
            value = body.get(key)
            return value if isinstance(value, str) else None

        entry = JournalEntry(
            id=f"conv_{uuid.uuid4().hex}",
            organizationId=organization,
            path=path,
            campaignId=text("campaignId"),
            externalCampaignId=text("externalCampaignId"),
            externalId=text("externalId"),
            phoneNumber=text("phoneNumber"),
            emailAddress=text("emailAddress"),
            firstName=text("firstName") or "",
            receivedAt=_iso(received_s),
            received_s=received_s,
            body=dict(body),
        )
        self._add(entry)
        return entry

    def find_duplicate(self, organization: str, body: Mapping[str, Json]) -> JournalEntry | None:
        """Find the latest conversation of an organization with a person in a campaign."""
        found = self._by_person.get(_person(organization, body))
        return None if found is None else self._by_id[found]

    def find_external_id(self, organization: str, external_id: Json) -> JournalEntry | None:
        """Find the latest conversation of an organization with an externalId."""
        found = self._by_external_id.get((organization, str(external_id)))
        return None if found is None else self._by_id[found]

    def first(self, organization: str) -> JournalEntry:
        """Return the oldest conversation of an organization that has one."""
        return self._of[organization][0]

    def campaigns(self, organization: str) -> list[str]:
        """List the campaign ids of an organization's conversations, in order of appearance."""
        own = self._of.get(organization, [])
        found = [entry["campaignId"] or entry["externalCampaignId"] or "" for entry in own]
        return list(dict.fromkeys(found))

    def age_s(self, entry: JournalEntry) -> float:
        """Return the seconds since a conversation was accepted."""
        return self._now() - entry["received_s"]

    def get(self, organization: str, conversation_id: str) -> JournalEntry | None:
        """Return a conversation of the organization; None if it has none with this id."""
        entry = self._by_id.get(conversation_id)
        return entry if entry is not None and entry["organizationId"] == organization else None

    def page(
        self, organization: str, before: int | None, limit: int
    ) -> tuple[list[JournalEntry], int]:
        """Return a page of an organization's conversations, newest first.

        Args:
            organization: owner of the conversations.
            before: position from the previous page; None for the first page.
            limit: maximum number of conversations.

        Returns:
            The page and the position for the next one, 0 if there is none. Positions count from
            the oldest conversation, so new conversations do not shift them.
        """
        own = self._of.get(organization, [])
        end = len(own) if before is None else min(before, len(own))
        start = max(end - limit, 0)
        return own[start:end][::-1], start

    def view(self, entry: JournalEntry) -> dict[str, Json]:
        """Return a conversation as the API shows it."""
        return {
            "id": entry["id"],
            "organizationId": entry["organizationId"],
            "campaignId": entry["campaignId"],
            "externalCampaignId": entry["externalCampaignId"],
            "externalId": entry["externalId"],
            "participantPhoneNumber": entry["phoneNumber"],
            "participantEmailAddress": entry["emailAddress"],
            "participantFirstName": entry["firstName"],
            "participantLastName": entry["body"].get("lastName"),
            "status": self.status(entry),
            "needsReview": False,
            "isHumanTakeover": False,
            "createdAt": entry["receivedAt"],
            "updatedAt": entry["receivedAt"],
        }

    def status(self, entry: JournalEntry) -> str:
        """Return the present status: set by hand, or else by age and the drawn status change."""
        forced = self._forced.get(entry["id"])
        if forced is not None:
            return forced
        age_s, status = self.age_s(entry), "CREATED"
        for after_s, later in self.later_statuses(entry):
            if age_s >= after_s:
                status = later
        return status

    def later_statuses(self, entry: JournalEntry) -> list[tuple[float, str]]:
        """Return the statuses a conversation takes by itself: seconds after acceptance, status."""
        usual = [(QUEUED_AFTER_S, "QUEUED"), (ONGOING_AFTER_S, "ONGOING")]
        drawn = zlib.crc32(f"{self._seed}:{entry['id']}".encode()) / 2**32
        for change in self._status_changes:
            drawn -= change.share
            if drawn < 0:
                before = [each for each in usual if each[0] < change.after_s]
                return [*before, (change.after_s, change.status)]
        return usual

    def find(self, conversation_id: str) -> JournalEntry | None:
        """Return a conversation of any organization; None if there is none with this id."""
        return self._by_id.get(conversation_id)

    def set_status(self, conversation_id: str, status: str) -> bool:
        """Fix a status until the sandbox ends; False if there is no such conversation."""
        if conversation_id not in self._by_id:
            return False
        self._forced[conversation_id] = status
        return True

    def _add(self, entry: JournalEntry) -> None:
        self.entries.append(entry)
        self._by_id[entry["id"]] = entry
        self._by_person[_person(entry["organizationId"], entry["body"])] = entry["id"]
        if entry["externalId"] is not None:
            self._by_external_id[entry["organizationId"], entry["externalId"]] = entry["id"]
        self._of[entry["organizationId"]].append(entry)


def _person(organization: str, body: Mapping[str, Json]) -> tuple[str, ...]:
    """Return what the duplicate check compares: organization, campaign, phone or else e-mail."""
    campaign = body.get("campaignId") or body.get("externalCampaignId") or ""
    contact = body.get("phoneNumber") or str(body.get("emailAddress") or "").lower()
    return organization, str(campaign), str(contact)


def _iso(seconds: float) -> str:
    """Format Unix seconds as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
