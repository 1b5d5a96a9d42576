"""The mark of an inbox: whole or not there, never over another one, and what it means."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from importer.errors import ConfigurationError
from importer.ledger import Ledger
from importer.nightly.inbox import Inbox
from importer.nightly.ownership import (
    LONGEST,
    NAME,
    Folder,
    Mark,
    belong,
    folder_belongs,
    judged,
    looked,
    mark_of,
    text_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def every_night(_: str) -> bool:
    """A ledger that was always there."""
    return True


OURS = Mark("0123456789abcdef" * 2, date(2026, 11, 22))
OTHER = Mark("f" * 32, date(2026, 1, 1))
NOW = datetime(2026, 11, 22, 23, tzinfo=UTC)
DAMAGED = {
    "empty": b"",
    "half": text_of(OURS)[:-8],
    "without an id": text_of(OURS).replace(OURS.ledger.encode(), b""),
    "no day": text_of(OURS).replace(b"11-22", b"11-31"),
    "two ids": text_of(OURS) + b"ledger: " + b"f" * 32 + b"\n",
    "no text": b"\xff\xfe\x00",
    "too long": text_of(OURS).ljust(LONGEST + 1)[:LONGEST] + b"x",
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger, beside the inbox."""
    with Ledger.open(f"sqlite:///{tmp_path / 'ours.db'}") as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """An empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_what_it_says() -> None:
    """Words for whoever finds it, and all that is needed to read it again."""
    text = text_of(OURS).decode("ascii")
    assert "Who was contacted from this folder stands in one ledger" in text
    assert "removing this file lets another ledger take over" in text
    assert text.endswith(f"ledger: {OURS.ledger}\nsince: 2026-11-22\n")
    assert mark_of(text.encode()) == OURS
    assert mark_of(text.replace("\n", "\r\n").encode()) == OURS


def test_who_may_go_on() -> None:
    """Its own ledger, and any where there is no mark."""
    assert judged(None, OURS.ledger, "importer.db", "/srv/inbox", every_night) is None
    assert judged(text_of(OURS), OURS.ledger, "importer.db", "/srv/inbox", every_night) == OURS


def test_an_older_copy_of_the_ledger() -> None:
    """It lacks the night that worked there last, and so whoever was contacted in it."""
    text = text_of(replace(OURS, night="night-20261122-020000-0001"))
    nights = {"night-20261122-020000-0001"}
    mark = judged(text, OURS.ledger, "importer.db", "/srv/inbox", nights.__contains__)
    assert mark == replace(OURS, night="night-20261122-020000-0001")
    with pytest.raises(ConfigurationError, match=r"older copy: it knows nothing of night-2026"):
        judged(text, OURS.ledger, "importer.db", "/srv/inbox", set().__contains__)


def test_another_ledger() -> None:
    """It is told whose the inbox is, since when, and what taking over means."""
    with pytest.raises(ConfigurationError) as raised:
        judged(text_of(OTHER), OURS.ledger, "/srv/importer.db", "/srv/inbox", every_night)
    assert str(raised.value) == (
        "/srv/inbox belongs to ledger ffffffff since 2026-01-01, and not to /srv/importer.db, "
        "which is ledger 01234567. Name that ledger in `ledger:` (IMPORTER_LEDGER and --ledger go "
        "before it); `importer doctor` shows a ledger's id. If it is lost for good: no other one "
        "knows who was contacted from here, and would contact them again where a list comes again; "
        "removing /srv/inbox/.importer-ledger lets this one take over."
    )
    with pytest.raises(ConfigurationError, match="which is not there yet"):
        judged(text_of(OTHER), "", "/srv/importer.db", "/srv/inbox", every_night)


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one(raw: bytes) -> None:
    """Nobody can tell whose it is, so nobody goes on."""
    with pytest.raises(ConfigurationError, match=r"is damaged\. Restore it from a backup"):
        judged(raw, OURS.ledger, "importer.db", "/srv/inbox", every_night)


def test_it_is_made_once(root: Path, ledger: Ledger) -> None:
    """By the first who comes; the day stays, and nothing else lies there."""
    assert looked(Folder(root), ledger) is None
    assert list(root.iterdir()) == []
    belong(Folder(root), ledger, NOW)
    belong(Folder(root), ledger, NOW.replace(year=2027))
    assert mark_of((root / NAME).read_bytes()) == Mark(ledger.id, NOW.date())
    assert [path.name for path in root.iterdir()] == [NAME]
    assert Inbox(root).arrivals() == []


def test_two_at_once(root: Path) -> None:
    """Of several that mark a folder at the same moment one does, and its mark is whole."""
    marks = [text_of(Mark(f"{number:032x}", OURS.since)) for number in range(8)]
    ready = Barrier(len(marks))

    def create(mark: bytes) -> bytes | None:
        ready.wait()
        Folder(root).create(mark)
        return Folder(root).read()

    with ThreadPoolExecutor(len(marks)) as pool:
        seen = set(pool.map(create, marks))
    assert len(seen) == 1
    assert seen <= set(marks)
    assert [path.name for path in root.iterdir()] == [NAME]


def test_somebody_was_faster(root: Path, ledger: Ledger) -> None:
    """Between looking and marking: the other one's mark stays, and we go."""

    def late(draft: Path, path: Path) -> None:
        path.write_bytes(text_of(OTHER))
        os.link(draft, path)

    with pytest.raises(ConfigurationError, match="belongs to ledger ffffffff"):
        belong(Folder(root, link=late), ledger, NOW)
    assert [path.name for path in root.iterdir()] == [NAME]


def test_a_file_system_without_links(root: Path, ledger: Ledger) -> None:
    """It is renamed there, and never over one that lies there."""

    def refuse(draft: Path, path: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", str(draft), None, str(path))

    place = Folder(root, link=refuse)
    place.create(text_of(OTHER))
    place.create(text_of(OURS))
    assert place.read() == text_of(OTHER)
    (root / NAME).unlink()
    belong(place, ledger, NOW)
    assert [path.name for path in root.iterdir()] == [NAME]


def test_a_disk_that_cannot_be_written(root: Path, ledger: Ledger) -> None:
    """It says so, and leaves nothing half done there."""

    def refuse(draft: Path, path: Path) -> None:
        del path
        raise OSError(errno.ENOSPC, "No space left on device", str(draft))

    with pytest.raises(ConfigurationError, match=r"cannot be marked .* No space left on device"):
        belong(Folder(root, link=refuse), ledger, NOW)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_something_else_in_its_place(root: Path, ledger: Ledger, tmp_path: Path, kind: str) -> None:
    """It is not opened, which could take for ever or lead elsewhere, and not replaced."""
    path = root / NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "elsewhere").write_bytes(text_of(OURS))
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is damaged"):
        belong(Folder(root), ledger, NOW)
    assert os.path.lexists(path)


def test_one_that_may_not_be_read(root: Path, ledger: Ledger) -> None:
    """It may be another's, so nobody goes on."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / NAME).write_bytes(text_of(OTHER))
    (root / NAME).chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        belong(Folder(root), ledger, NOW)


def test_subfolders(root: Path, ledger: Ledger, tmp_path: Path) -> None:
    """Only one with a ledger of its own has a mark; whoever has one keeps to it."""
    inbox = Inbox(root)
    main, own = f"sqlite:///{tmp_path / 'ours.db'}", f"sqlite:///{tmp_path / 'acme.db'}"
    for name in ("acme", "other"):
        (root / name).mkdir()
    folder_belongs(inbox, "other", main, main, NOW)
    folder_belongs(inbox, "gone", main, main, NOW)
    folder_belongs(inbox, "acme", own, main, NOW)
    folder_belongs(inbox, "acme", own, main, NOW)
    assert [path.parent.name for path in root.rglob(NAME)] == ["acme"]
    with pytest.raises(
        ConfigurationError, match=f"and not to .*ours.db, which is ledger {ledger.id[:8]}"
    ):
        folder_belongs(inbox, "acme", main, main, NOW)
