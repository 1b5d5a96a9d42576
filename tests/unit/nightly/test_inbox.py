"""What has arrived, what is whole, and how it moves."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from importer.errors import ConfigurationError
from importer.nightly.inbox import InboxFolders, LocalInbox, OpenLedgers, free_path, lock_inbox
from importer.nightly.night import UploadWatch
from tests.support.night_setup import candidate_list

if TYPE_CHECKING:
    from pathlib import Path


def names(folders: InboxFolders) -> list[str]:
    """Return what has arrived, relative to the inbox."""
    return [each.path.relative_to(folders.root).as_posix() for each in folders.list_arrivals()]


def local(root: Path) -> LocalInbox:
    """Return the folder as an inbox."""
    return LocalInbox(InboxFolders(root), OpenLedgers("sqlite://"))


def test_only_finished_files_arrive_in_order(tmp_path: Path) -> None:
    """Temporary, hidden and our own ones are left; links could lead anywhere."""
    for name in ("b.csv", "a.csv", "c.csv.part", "d.filepart", "e.tmp", ".f.csv", "~$g.xlsx",
                 "h.csv.done", "importer.yaml"):  # fmt: skip
        (tmp_path / name).write_text("x")
    for name in ("acme/z.csv", "done/2026-01-01/old.csv", "held/h.csv", ".git/x.csv"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    (tmp_path / "link.csv").symlink_to(tmp_path / "a.csv")
    assert names(InboxFolders(tmp_path)) == ["a.csv", "b.csv", "acme/z.csv"]


def test_a_file_that_changes_is_not_whole(tmp_path: Path) -> None:
    """It has to stay as it is for the whole of quiet_s."""
    file, watch = tmp_path / "a.csv", UploadWatch(60)
    file.write_text("1")
    (first,) = InboxFolders(tmp_path).list_arrivals()
    assert watch.remaining_s(first, first.changed_s + 10, 0) == pytest.approx(50)
    file.write_text("12")
    (second,) = InboxFolders(tmp_path).list_arrivals()
    assert watch.remaining_s(second, second.changed_s + 1, 30) == pytest.approx(59)
    assert watch.remaining_s(second, second.changed_s + 1, 89) == pytest.approx(1)
    assert watch.remaining_s(second, second.changed_s + 1, 90) == 0


def test_an_old_file_is_whole_at_once(tmp_path: Path) -> None:
    """A night need not wait for what has been there since noon."""
    (tmp_path / "a.csv").write_text("1")
    (arrival,) = InboxFolders(tmp_path).list_arrivals()
    assert UploadWatch(60).remaining_s(arrival, arrival.changed_s + 61, 0) == 0


def test_a_clock_that_went_back_holds_nothing_for_ever(tmp_path: Path) -> None:
    """A file from the future is whole once it was looked at for long enough."""
    (tmp_path / "a.csv").write_text("1")
    (arrival,) = InboxFolders(tmp_path).list_arrivals()
    watch = UploadWatch(60)
    assert watch.remaining_s(arrival, arrival.changed_s - 86_400, 0) == 60
    assert watch.remaining_s(arrival, arrival.changed_s - 86_400, 60) == 0


def test_claiming_moves_and_never_overwrites(tmp_path: Path) -> None:
    """Two files of one name are kept beside each other; a marker goes with its file."""
    inbox = local(tmp_path)
    for text in ("one", "two"):
        (tmp_path / "a.csv").write_text(text)
        (tmp_path / "a.csv.done").write_text("")
        (arrival,) = inbox.list_arrivals()
        assert arrival.has_done_marker
        assert inbox.claim(arrival) is not None
    assert [path.name for _, path in inbox.folders.list_claimed()] == ["a-2.csv", "a.csv"]
    assert (tmp_path / "working/a.csv").read_text() == "one"
    assert not (tmp_path / "a.csv.done").exists()


def test_a_file_that_is_gone_is_not_claimed(tmp_path: Path) -> None:
    """The uploader may have taken it back."""
    (tmp_path / "a.csv").write_text(candidate_list(0, 1))
    (arrival,) = InboxFolders(tmp_path).list_arrivals()
    arrival.path.unlink()
    assert local(tmp_path).claim(arrival) is None


def test_an_inbox_that_cannot_be_written_to(tmp_path: Path) -> None:
    """The message names the file and what to do."""
    (tmp_path / "a.csv").write_text("x")
    (arrival,) = InboxFolders(tmp_path).list_arrivals()
    (tmp_path / "working").write_text("a file where a folder should be")
    with pytest.raises(ConfigurationError, match=r"a\.csv cannot be moved .* write access"):
        local(tmp_path).claim(arrival)


def test_a_free_name(tmp_path: Path) -> None:
    """The first that nothing has."""
    (tmp_path / "a.csv").touch()
    (tmp_path / "a-2.csv").touch()
    assert free_path(tmp_path, "a.csv").name == "a-3.csv"


def test_one_night_at_a_time(tmp_path: Path) -> None:
    """The second learns who was first; afterwards the way is free."""
    now = datetime(2026, 7, 10, 2, tzinfo=UTC)
    with lock_inbox(tmp_path, now):
        result = r"The inbox .* is in use by .* since 2026-07-10 02:00:00 UTC"
        with pytest.raises(ConfigurationError, match=result), lock_inbox(tmp_path, now):
            pass
    with lock_inbox(tmp_path, now):
        pass


def test_a_link_among_the_claimed_files_is_not_followed(tmp_path: Path) -> None:
    """A writer of `working/` could have any file of this machine read; a note says so."""
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "people.csv").write_text(candidate_list(0, 1))
    working = tmp_path / "inbox" / "working"
    working.mkdir(parents=True)
    (working / "file.csv").symlink_to(secret / "people.csv")
    (working / "folder").symlink_to(secret)
    (working / "real.csv").write_text("x")
    folders = InboxFolders(tmp_path / "inbox")
    assert [path.name for _, path in folders.list_claimed()] == ["real.csv"]
    assert [result.split(",")[0] for result in folders.explain_skipped()] == [
        "working/file.csv is a link",
        "working/folder is a link",
    ]


def test_a_file_that_becomes_a_link_before_it_is_claimed(tmp_path: Path) -> None:
    """It is not read."""
    (tmp_path / "a.csv").write_text("x")
    (arrival,) = InboxFolders(tmp_path).list_arrivals()
    arrival.path.unlink()
    arrival.path.symlink_to("/etc/passwd")
    assert local(tmp_path).claim(arrival) is None
