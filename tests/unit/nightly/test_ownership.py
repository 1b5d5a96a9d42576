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
from importer.nightly.inbox import InboxFolders
from importer.nightly.ownership import (
    MARKER_NAME,
    MAX_MARKER_BYTES,
    LocalFolder,
    Marker,
    check_marker,
    check_owner,
    claim_folder,
    claim_subfolder,
    parse_marker,
    render_marker,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def every_night(_: str) -> bool:
    """Return a ledger that was always there."""
    return True


OURS = Marker("0123456789abcdef" * 2, date(2026, 11, 22))
OTHER = Marker("f" * 32, date(2026, 1, 1))
NOW = datetime(2026, 11, 22, 23, tzinfo=UTC)
DAMAGED = {
    "empty": b"",
    "half": render_marker(OURS)[:-8],
    "without an id": render_marker(OURS).replace(OURS.ledger.encode(), b""),
    "no day": render_marker(OURS).replace(b"11-22", b"11-31"),
    "two ids": render_marker(OURS) + b"ledger: " + b"f" * 32 + b"\n",
    "no text": b"\xff\xfe\x00",
    "too long": render_marker(OURS).ljust(MAX_MARKER_BYTES + 1)[:MAX_MARKER_BYTES] + b"x",
}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Yield a new ledger, beside the inbox."""
    with Ledger.open(f"sqlite:///{tmp_path / 'ours.db'}") as opened:
        yield opened


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty inbox."""
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def test_what_it_says() -> None:
    """Words for the person who finds it, and all that is needed to read it again."""
    text = render_marker(OURS).decode("ascii")
    assert "One ledger records who was contacted from this folder" in text
    assert "If you delete this file, another ledger takes over" in text
    assert text.endswith(f"ledger: {OURS.ledger}\nsince: 2026-11-22\n")
    assert parse_marker(text.encode()) == OURS
    assert parse_marker(text.replace("\n", "\r\n").encode()) == OURS


def test_who_may_go_on() -> None:
    """Its own ledger, and any if there is no mark."""
    assert check_marker(None, OURS.ledger, "importer.db", "/srv/inbox", every_night) is None
    assert (
        check_marker(render_marker(OURS), OURS.ledger, "importer.db", "/srv/inbox", every_night)
        == OURS
    )


def test_an_older_copy_of_the_ledger() -> None:
    """It lacks the night that worked there last, and so the people contacted in it."""
    text = render_marker(replace(OURS, night="night-20261122-020000-0001"))
    nights = {"night-20261122-020000-0001"}
    mark = check_marker(text, OURS.ledger, "importer.db", "/srv/inbox", nights.__contains__)
    assert mark == replace(OURS, night="night-20261122-020000-0001")
    with pytest.raises(ConfigurationError, match=r"older copy: it does not know night-2026"):
        check_marker(text, OURS.ledger, "importer.db", "/srv/inbox", set().__contains__)


def test_another_ledger() -> None:
    """It is told whose the inbox is, since when, and what taking over means."""
    with pytest.raises(ConfigurationError) as raised:
        check_marker(
            render_marker(OTHER), OURS.ledger, "/srv/importer.db", "/srv/inbox", every_night
        )
    assert str(raised.value) == (
        "/srv/inbox belongs to ledger ffffffff since 2026-01-01, not to /srv/importer.db, "
        "which is ledger 01234567. Name that ledger in `ledger:` (IMPORTER_LEDGER and --ledger "
        "override it); `importer doctor` shows a ledger's id. If it is lost for good, no other "
        "ledger knows who was contacted from here, and those people would be contacted again if "
        "their list is uploaded again. To let this ledger take over, remove "
        "/srv/inbox/.importer-ledger."
    )
    with pytest.raises(ConfigurationError, match="which does not exist yet"):
        check_marker(render_marker(OTHER), "", "/srv/importer.db", "/srv/inbox", every_night)


@pytest.mark.parametrize("raw", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one(raw: bytes) -> None:
    """Nobody can tell whose it is, so nobody goes on."""
    with pytest.raises(ConfigurationError, match=r"is damaged\. Restore it from a backup"):
        check_marker(raw, OURS.ledger, "importer.db", "/srv/inbox", every_night)


def test_it_is_made_once(root: Path, ledger: Ledger) -> None:
    """By the first who comes; the day stays, and nothing else is there."""
    assert check_owner(LocalFolder(root), ledger) is None
    assert list(root.iterdir()) == []
    claim_folder(LocalFolder(root), ledger, NOW)
    claim_folder(LocalFolder(root), ledger, NOW.replace(year=2027))
    assert parse_marker((root / MARKER_NAME).read_bytes()) == Marker(ledger.id, NOW.date())
    assert [path.name for path in root.iterdir()] == [MARKER_NAME]
    assert InboxFolders(root).list_arrivals() == []


def test_two_at_once(root: Path) -> None:
    """Of several that mark a folder at the same moment one does, and its mark is whole."""
    marks = [render_marker(Marker(f"{number:032x}", OURS.since)) for number in range(8)]
    ready = Barrier(len(marks))

    def create(mark: bytes) -> bytes | None:
        ready.wait()
        LocalFolder(root).create(mark)
        return LocalFolder(root).read()

    with ThreadPoolExecutor(len(marks)) as pool:
        seen = set(pool.map(create, marks))
    assert len(seen) == 1
    assert seen <= set(marks)
    assert [path.name for path in root.iterdir()] == [MARKER_NAME]


def test_somebody_was_faster(root: Path, ledger: Ledger) -> None:
    """Between looking and marking: the other one's mark stays, and we go."""

    def late(draft: Path, path: Path) -> None:
        path.write_bytes(render_marker(OTHER))
        os.link(draft, path)

    with pytest.raises(ConfigurationError, match="belongs to ledger ffffffff"):
        claim_folder(LocalFolder(root, link=late), ledger, NOW)
    assert [path.name for path in root.iterdir()] == [MARKER_NAME]


def test_a_file_system_without_links(root: Path, ledger: Ledger) -> None:
    """It is renamed there, and never over an existing one."""

    def refuse(draft: Path, path: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted", str(draft), None, str(path))

    place = LocalFolder(root, link=refuse)
    place.create(render_marker(OTHER))
    place.create(render_marker(OURS))
    assert place.read() == render_marker(OTHER)
    (root / MARKER_NAME).unlink()
    claim_folder(place, ledger, NOW)
    assert [path.name for path in root.iterdir()] == [MARKER_NAME]


def test_a_disk_that_cannot_be_written(root: Path, ledger: Ledger) -> None:
    """It says so, and leaves nothing half done there."""

    def refuse(draft: Path, path: Path) -> None:
        del path
        raise OSError(errno.ENOSPC, "No space left on device", str(draft))

    with pytest.raises(ConfigurationError, match=r"cannot be marked .* No space left on device"):
        claim_folder(LocalFolder(root, link=refuse), ledger, NOW)
    assert list(root.iterdir()) == []


@pytest.mark.parametrize("kind", ["folder", "pipe", "link"])
def test_something_else_in_its_place(root: Path, ledger: Ledger, tmp_path: Path, kind: str) -> None:
    """It is not opened, which could take forever or lead elsewhere, and not replaced."""
    path = root / MARKER_NAME
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (tmp_path / "elsewhere").write_bytes(render_marker(OURS))
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is damaged"):
        claim_folder(LocalFolder(root), ledger, NOW)
    assert os.path.lexists(path)


def test_one_that_may_not_be_read(root: Path, ledger: Ledger) -> None:
    """It may be another's, so nobody goes on."""
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    (root / MARKER_NAME).write_bytes(render_marker(OTHER))
    (root / MARKER_NAME).chmod(0)
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        claim_folder(LocalFolder(root), ledger, NOW)


def test_subfolders(root: Path, ledger: Ledger, tmp_path: Path) -> None:
    """Only one with a ledger of its own has a mark, and keeps to it."""
    for name in ("acme", "other"):
        (root / name).mkdir()
    with Ledger.open(f"sqlite:///{tmp_path / 'acme.db'}") as own:

        def claim(folder: str, chosen: Ledger) -> None:
            claim_subfolder(LocalFolder(root / folder), str(root), chosen, ledger, NOW)

        claim("other", ledger)
        claim("gone", ledger)
        claim("acme", own)
        claim("acme", own)
        assert [path.parent.name for path in root.rglob(MARKER_NAME)] == ["acme"]
        result = f"not to .*ours.db, which is ledger {ledger.id[:8]}"
        with pytest.raises(ConfigurationError, match=result):
            claim("acme", ledger)
