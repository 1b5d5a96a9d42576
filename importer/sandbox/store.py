"""The sandbox's journal: one JSON line for each conversation it accepted, durable in groups."""

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
    from importer.sandbox.faults import Fate


class Entry(TypedDict):
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


def read(path: Path) -> list[Entry]:
    """The entries of a journal, oldest first; an unfinished last line is cut off the file.

    A line that was cut was never answered, so the conversation that it began does not exist.

    Raises:
        ConfigurationError: the file cannot be read, or a line before the last is damaged.
    """
    try:
        data = path.read_bytes() if path.exists() else b""
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.truncate(path, whole)
    except OSError as exc:
        message = f"The journal {path} cannot be read ({type(exc).__name__})."
        raise ConfigurationError(message, "Give another file.") from exc
    entries: list[Entry] = []
    for number, line in enumerate(data[:whole].splitlines(), start=1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict) or not Entry.__required_keys__ <= entry.keys():
            message = f"{path}:{number}: this is not a line of a sandbox's journal."
            raise ConfigurationError(message, "Give another file, or remove that line.")
        entries.append(entry)  # type: ignore[arg-type]  # its keys were compared just now
    return entries


class Journal:
    """Appends entries; `append` returns when the line is on the disk.

    Lines that arrive while another group is being written are written together as the next one,
    so that durability costs one fsync for each group and not for each request.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file for appending and creates it, readable by its owner only.

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

    async def append(self, entry: Entry) -> None:
        """Writes one entry and waits until the disk has it.

        Raises:
            OSError: the disk refused.
        """
        line = json.dumps(entry, ensure_ascii=False, separators=(",", ":")) + "\n"
        self._waiting.append(line.encode())
        if self._next is None:
            self._next = asyncio.create_task(self._write_group(self._group))
        await asyncio.shield(self._next)

    async def _write_group(self, before: asyncio.Task[None] | None) -> None:
        """Waits for the group before, then writes whatever has gathered."""
        if before is not None and not before.done():
            await asyncio.wait([before])
        self._group, self._next = self._next, None
        lines, self._waiting = b"".join(self._waiting), []
        await asyncio.to_thread(self._write, lines)

    def _write(self, lines: bytes) -> None:
        """Writes and flushes bytes to the disk itself."""
        view = memoryview(lines)
        while view:
            view = view[self._file.write(view) :]
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file; every entry that was appended is in it."""
        self._file.close()


QUEUED_AFTER_S: Final = 1.0
ONGOING_AFTER_S: Final = 3.0


class Conversations:
    """Every conversation that the sandbox accepted, in order of acceptance.

    Args:
        entries: those of earlier runs of the sandbox.
        now: Unix seconds that never go back.
        fates: how the conversations end, by share.
        seed: of the choice between the fates.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        *,
        now: Callable[[], float],
        fates: Sequence[Fate] = (),
        seed: int = 0,
    ) -> None:
        self._now = now
        self._fates = fates
        self._seed = seed
        self._forced: dict[str, str] = {}
        self._by_id: dict[str, Entry] = {}
        self._by_person: dict[tuple[str, ...], str] = {}
        self._of: defaultdict[str, list[Entry]] = defaultdict(list)
        self.entries: list[Entry] = []
        for entry in entries:
            self._keep(entry)

    def accept(self, organization: str, path: str, body: Mapping[str, Json]) -> Entry:
        """A new conversation for a body that breaks no rule."""
        received_s = self._now()

        def text(key: str) -> str | None:
            value = body.get(key)
            return value if isinstance(value, str) else None

        entry = Entry(
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
        self._keep(entry)
        return entry

    def same(self, organization: str, body: Mapping[str, Json]) -> Entry | None:
        """The conversation that this organization has with this person in this campaign."""
        found = self._by_person.get(_person(organization, body))
        return None if found is None else self._by_id[found]

    def get(self, organization: str, conversation_id: str) -> Entry | None:
        """One conversation of the organization; None for another's, as if there were none."""
        entry = self._by_id.get(conversation_id)
        return entry if entry is not None and entry["organizationId"] == organization else None

    def page(self, organization: str, before: int | None, limit: int) -> tuple[list[Entry], int]:
        """The newest conversations before a position, and the position where the next page starts.

        Args:
            organization: whose.
            before: position given with the page before; None for the first page.
            limit: how many at most.

        Returns:
            The page, newest first, and a position that is 0 when nothing is left. Positions count
            from the oldest, so that conversations accepted meanwhile shift nothing.
        """
        own = self._of.get(organization, [])
        end = len(own) if before is None else min(before, len(own))
        start = max(end - limit, 0)
        return own[start:end][::-1], start

    def view(self, entry: Entry) -> dict[str, Json]:
        """A conversation as the API shows it."""
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

    def status(self, entry: Entry) -> str:
        """Where a conversation stands by now: as it was set, or as time and its fate have it."""
        forced = self._forced.get(entry["id"])
        if forced is not None:
            return forced
        age_s = self._now() - entry["received_s"]
        drawn = zlib.crc32(f"{self._seed}:{entry['id']}".encode()) / 2**32
        for fate in self._fates:
            drawn -= fate.share
            if drawn < 0:
                if age_s >= fate.after_s:
                    return fate.status
                break
        if age_s < QUEUED_AFTER_S:
            return "CREATED"
        return "QUEUED" if age_s < ONGOING_AFTER_S else "ONGOING"

    def set_status(self, conversation_id: str, status: str) -> bool:
        """Fixes a conversation's status until the sandbox ends; False if there is no such one."""
        if conversation_id not in self._by_id:
            return False
        self._forced[conversation_id] = status
        return True

    def _keep(self, entry: Entry) -> None:
        """Adds an entry to every index."""
        self.entries.append(entry)
        self._by_id[entry["id"]] = entry
        self._by_person[_person(entry["organizationId"], entry["body"])] = entry["id"]
        self._of[entry["organizationId"]].append(entry)


def _person(organization: str, body: Mapping[str, Json]) -> tuple[str, ...]:
    """Whom a body is about, as the duplicate check sees it: phone, else e-mail, in a campaign."""
    campaign = body.get("campaignId") or body.get("externalCampaignId") or ""
    contact = body.get("phoneNumber") or str(body.get("emailAddress") or "").lower()
    return organization, str(campaign), str(contact)


def _iso(seconds: float) -> str:
    """Unix seconds as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")
