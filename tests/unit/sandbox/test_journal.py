"""The journal keeps what was accepted, whatever happens to the process."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING

import pytest

from importer.errors import ConfigurationError
from importer.sandbox.store import Conversations, Journal, JournalEntry, read_journal

if TYPE_CHECKING:
    from pathlib import Path


def entries(count: int) -> list[JournalEntry]:
    """Some accepted conversations."""
    conversations = Conversations([], now=lambda: 1_800_000_000.25)
    for number in range(count):
        body = {"firstName": "Åsa", "emailAddress": f"a{number}@example.org", "campaignId": "c"}
        conversations.accept("acme", "/conversations", body)
    return conversations.entries


def append(path: Path, some: list[JournalEntry]) -> None:
    """Appends entries as the sandbox does, all at once."""

    async def together() -> None:
        journal = Journal(path)
        await asyncio.gather(*(journal.append(entry) for entry in some))
        journal.close()

    asyncio.run(together())


def test_what_was_appended_is_read_again(tmp_path: Path) -> None:
    """Entries come back as they were, in order, over two openings of the file."""
    path = tmp_path / "deep" / "journal.jsonl"
    some = entries(50)
    append(path, some[:20])
    append(path, some[20:])
    assert read_journal(path) == some
    assert len(path.read_bytes().splitlines()) == 50


def test_no_journal_is_an_empty_one(tmp_path: Path) -> None:
    """A file that is not there yet has no entries, and reading does not make it."""
    assert read_journal(tmp_path / "none.jsonl") == []
    assert not (tmp_path / "none.jsonl").exists()


def test_only_its_owner_reads_it(tmp_path: Path) -> None:
    """Bodies are personal data: the file's mode is 0600."""
    path = tmp_path / "journal.jsonl"
    append(path, entries(1))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_an_unfinished_last_line_is_cut_off(tmp_path: Path) -> None:
    """Killed while writing, the sandbox goes on after the last whole line."""
    path = tmp_path / "journal.jsonl"
    some = entries(3)
    append(path, some[:2])
    whole = path.read_bytes()
    path.write_bytes(whole + json.dumps(some[2]).encode()[:40])
    assert read_journal(path) == some[:2]
    assert path.read_bytes() == whole
    append(path, some[2:])
    assert read_journal(path) == some


@pytest.mark.parametrize("line", ["{", '"text"', '{"id": "conv_1"}', ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    """A file that is no journal is refused with the number of its line, not overwritten."""
    path = tmp_path / "journal.jsonl"
    append(path, entries(1))
    with path.open("a") as file:
        file.write(f"{line}\n")
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match=r"journal\.jsonl:2"):
        read_journal(path)
    assert path.read_bytes() == before


def test_a_folder_is_no_journal(tmp_path: Path) -> None:
    """What cannot be opened is a setting to correct."""
    with pytest.raises(ConfigurationError):
        read_journal(tmp_path)
    with pytest.raises(ConfigurationError):
        Journal(tmp_path)
