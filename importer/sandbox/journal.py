"""The sandbox's journal: one JSON line for each conversation it accepted, durable in groups."""

from __future__ import annotations

import asyncio
import json
import os
from typing import IO, TYPE_CHECKING, Final, TypedDict

from importer.errors import ConfigurationError

if TYPE_CHECKING:
    from pathlib import Path

    from importer.model import Json


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
