"""Conversations are found and listed, change status over time, and survive in the journal."""

from __future__ import annotations

import asyncio
import json
import stat
from typing import TYPE_CHECKING, Any

import pytest

from importer.errors import ConfigurationError
from importer.sandbox.faults import StatusChange
from importer.sandbox.store import Conversations, Journal, JournalEntry, read_journal

if TYPE_CHECKING:
    from pathlib import Path

START_S = 1_800_000_000.0


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now_s = START_S

    def __call__(self) -> float:
        """Return the time that was set."""
        return self.now_s


def person(number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a body, different for each number."""
    return {
        "firstName": "Ada",
        "emailAddress": f"ada{number}@example.org",
        "campaignId": "camp-1",
        **changes,
    }


def test_a_person_is_recognised_by_phone_else_by_email() -> None:
    """The same phone is the same person whatever the e-mail, and capitals do not matter."""
    conversations = Conversations([], now=Clock())
    conversations.accept("acme", "/c", person(1, phoneNumber="+442079460018"))
    conversations.accept("acme", "/c", person(2))
    assert conversations.find_duplicate("acme", person(3, phoneNumber="+442079460018"))
    assert conversations.find_duplicate("acme", person(2, emailAddress="ADA2@Example.org"))
    assert not conversations.find_duplicate("acme", person(1))
    assert not conversations.find_duplicate("acme", person(2, campaignId="camp-2"))
    assert not conversations.find_duplicate("other", person(2))


def test_another_organization_sees_nothing() -> None:
    """Neither by id nor in the list."""
    conversations = Conversations([], now=Clock())
    entry = conversations.accept("acme", "/c", person())
    assert conversations.get("acme", entry["id"]) is entry
    assert conversations.get("other", entry["id"]) is None
    assert conversations.page("other", None, 10) == ([], 0)


@pytest.mark.parametrize("limit", [1, 3, 7, 100])
def test_pages_show_everything_once_while_more_arrive(limit: int) -> None:
    """A walk sees each conversation that was there when it began, newest first."""
    conversations = Conversations([], now=Clock())
    first = [conversations.accept("acme", "/c", person(number))["id"] for number in range(7)]
    seen: list[str] = []
    before: int | None = None
    while before != 0:
        page, before = conversations.page("acme", before, limit)
        seen += [entry["id"] for entry in page]
        conversations.accept("acme", "/c", person(1000 + len(seen)))
    assert seen == first[::-1]


def test_a_conversation_proceeds_with_time() -> None:
    """CREATED, QUEUED, ONGOING; updated by the clock alone."""
    clock = Clock()
    conversations = Conversations([], now=clock)
    entry = conversations.accept("acme", "/c", person())
    statuses = []
    for clock.now_s in (START_S, START_S + 2, START_S + 60):
        statuses.append(conversations.view(entry)["status"])
    assert statuses == ["CREATED", "QUEUED", "ONGOING"]


def test_status_changes_come_by_share_and_time() -> None:
    """Of 2,000 conversations about a fifth opts out and a tenth is not delivered, later."""
    clock = Clock()
    changes = (StatusChange("OPTED_OUT", 0.2, 5.0), StatusChange("DELIVERY_FAILED", 0.1, 5.0))
    conversations = Conversations([], now=clock, status_changes=changes, seed=1)
    entries = [conversations.accept("acme", "/c", person(number)) for number in range(2_000)]
    clock.now_s += 4
    assert {conversations.status(entry) for entry in entries} == {"ONGOING"}
    clock.now_s += 4
    statuses = [conversations.status(entry) for entry in entries]
    assert 320 < statuses.count("OPTED_OUT") < 480
    assert 140 < statuses.count("DELIVERY_FAILED") < 260
    assert statuses == [conversations.status(entry) for entry in entries]


def test_a_status_that_was_set_stays() -> None:
    """Time no longer changes it; an unknown id returns False."""
    clock = Clock()
    conversations = Conversations([], now=clock)
    entry = conversations.accept("acme", "/c", person())
    assert conversations.set_status(entry["id"], "CLOSED")
    clock.now_s += 100
    assert conversations.status(entry) == "CLOSED"
    assert not conversations.set_status("conv_none", "CLOSED")


def test_a_conversation_is_shown_as_the_api_shows_it() -> None:
    """With the key names of the API and the values of the body."""
    conversations = Conversations([], now=Clock())
    body = person(phoneNumber="+442079460018", lastName="Lovelace", externalId="A-1")
    view = conversations.view(conversations.accept("acme", "/c", body))
    assert view.pop("id")
    assert view == {
        "organizationId": "acme",
        "campaignId": "camp-1",
        "externalCampaignId": None,
        "externalId": "A-1",
        "participantPhoneNumber": "+442079460018",
        "participantEmailAddress": "ada0@example.org",
        "participantFirstName": "Ada",
        "participantLastName": "Lovelace",
        "status": "CREATED",
        "needsReview": False,
        "isHumanTakeover": False,
        "createdAt": "2027-01-15T08:00:00.000000+00:00",
        "updatedAt": "2027-01-15T08:00:00.000000+00:00",
    }


def entries(count: int) -> list[JournalEntry]:
    """Return some accepted conversations."""
    conversations = Conversations([], now=lambda: 1_800_000_000.25)
    for number in range(count):
        body = {"firstName": "Åsa", "emailAddress": f"a{number}@example.org", "campaignId": "c"}
        conversations.accept("acme", "/conversations", body)
    return conversations.entries


def append(path: Path, some: list[JournalEntry]) -> None:
    """Append entries as the sandbox does, all at once."""

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
