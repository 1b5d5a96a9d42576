"""The file beside a ledger counts its important writes, and says whether the `-wal` is needed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.copies import last_write_file, read_last_write
from importer.ledger.records import Settlement
from importer.model import State
from tests.unit.ledger.ledger_builders import Clock, new_run, planned_row, settle_submission

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NOW = Clock().now()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of the ledger."""
    return tmp_path / "importer.db"


def test_it_counts_what_a_later_run_must_know(url: str, path: Path) -> None:
    """Runs and nights, intents, opt-outs, settled doubts; open until it is closed."""
    with Ledger.open(url) as ledger:
        assert read_last_write(path) is None
        ledger.nights.begin("night-1", NOW)
        run = settle_submission(ledger, "k1", State.DOUBTFUL)
        counts = [read_last_write(path)]
        for write in (
            lambda: ledger.runs.finish(run),
            lambda: ledger.runs.reopen(run),
            lambda: ledger.doubts.reconcile([]),
            lambda: ledger.doubts.resolve(run, 2, sent=True, by="ops"),
            lambda: ledger.bind("api", "organization", "folded"),
            lambda: ledger.conversations.write_statuses({"conv-1": "OPTED_OUT"}),
        ):
            write()
            counts.append(read_last_write(path))
        assert [each and (each.writes, each.closed) for each in counts] == [
            (number, False) for number in range(3, 10)
        ]
        assert {each and each.ledger for each in counts} == {ledger.id}
    last = read_last_write(path)
    assert last is not None
    assert (last.writes, last.closed) == (9, True)
    assert last_write_file(path).stat().st_mode & 0o777 == 0o600


def test_the_file_alone_is_complete_after_closing(url: str, path: Path, tmp_path: Path) -> None:
    """Also while somebody else has it open."""
    with Ledger.open(url) as other:
        other.runs.list()
        with Ledger.open(url) as ledger:
            settle_submission(ledger, "k1", State.CREATED)
        shutil.copy(path, tmp_path / "copy.db")
    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        assert copy.submissions.records(["k1"])["k1"].state is State.CREATED


def test_closing_beside_a_run_does_not_say_closed(url: str, path: Path) -> None:
    """Its `-wal` is still needed."""
    with Ledger.open(url) as ledger, ledger.lock("importer run"):
        ledger.runs.begin(new_run(), [])
        Ledger.open(url).close()
        last = read_last_write(path)
        assert last is not None
        assert not last.closed


def test_a_last_write_file_that_cannot_be_written(url: str, path: Path) -> None:
    """The ledger is written anyway: it is the memory, the file only its guard."""
    last_write_file(path).mkdir()
    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(url)
    last_write_file(path).rmdir()
    with Ledger.open(url) as ledger:
        last_write_file(path).mkdir()
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        assert ledger.submissions.sendable(run) == ["k1"]


def test_a_copy_that_parts_from_its_original(url: str, path: Path, clock: Clock) -> None:
    """It gets another id, and is still the newest copy of itself."""
    with Ledger.open(url, now=clock.now) as ledger:
        settle_submission(ledger, "k1", State.CREATED)
        ledger.assign_new_id()
    with Ledger.open(url) as ledger:
        last = read_last_write(path)
        assert last is not None
        assert last.ledger == ledger.id


def test_a_backup_while_it_is_written_to(url: str, tmp_path: Path) -> None:
    """It holds what was committed, without the files beside it."""
    with Ledger.open(url) as ledger, ledger.lock("importer run"):
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        readonly = Ledger.open_existing(url)
        assert readonly is not None
        with readonly:
            readonly.backup(tmp_path / "copy.db")
        ledger.submissions.intend(run, ["k1"])
    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        assert copy.submissions.records(["k1"])["k1"].state is State.PLANNED


def test_a_copy_without_the_last_intents_is_an_older_one(
    url: str, path: Path, tmp_path: Path
) -> None:
    """Each group of intents counts: what may have left is known to the newest copy alone."""
    copies = [tmp_path / f"{number}.db" for number in range(3)]
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
        for key, copy in zip(("k1", "k2", "k2"), copies, strict=True):
            ledger.backup(copy)
            ledger.submissions.intend(run, [key])
    for copy in copies:
        shutil.copy(copy, path)
        with pytest.raises(LedgerError, match="is an older copy"):
            Ledger.open(url)


def test_ends_of_attempts_do_not_count(url: str, path: Path) -> None:
    """A copy without them knows of the request: it is doubtful there, and not sent again."""
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        ledger.submissions.intend(run, ["k1"])
        before = read_last_write(path)
        ledger.submissions.settle(run, [Settlement("k1", State.CREATED, 201, "conv-1")])
        assert read_last_write(path) == before


# ---- a `-wal` file that a killed run left ---------------------------------------------------


@pytest.fixture
def killed(url: str, path: Path, tmp_path: Path) -> Killed:
    """Return a ledger: one run ended well, another was killed after its second request."""
    copies = tmp_path / "copies"
    copies.mkdir()
    with Ledger.open(url) as ledger:
        ledger.runs.begin(new_run(), [planned_row("k0")])
    shutil.copy(path, copies / "before the last run")
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1"), planned_row("k2", 3)])
        ledger.backup(copies / "in the middle of it")
        ledger.submissions.intend(run, ["k1"])
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA wal_checkpoint(RESTART)")
        ledger.submissions.intend(run, ["k2"])
        folder = tmp_path / "killed"
        folder.mkdir()
        for each in (path, last_write_file(path), path.with_name("importer.db-wal")):
            shutil.copy(each, folder)
    with Ledger.open(f"sqlite:///{copies / 'another ledger'}") as ledger:
        settle_submission(ledger, "k1", State.CREATED)
        ledger.runs.begin(new_run(), [])
    return Killed(folder / "importer.db", copies)


@dataclass(frozen=True)
class Killed:
    """What a kill left: a ledger with its `-wal` file, and other copies in a folder."""

    ledger: Path
    copies: Path

    @property
    def url(self) -> str:
        """Of the ledger."""
        return f"sqlite:///{self.ledger}"


def test_the_newest_copy_beside_its_wal(killed: Killed) -> None:
    """It is whole, and knows both requests."""
    with Ledger.open(killed.url) as ledger:
        assert ledger.submissions.recover() == 2
    last = read_last_write(killed.ledger)
    assert last is not None
    assert last.closed


@pytest.mark.parametrize("new", [False, True])
@pytest.mark.parametrize("copy", ["before the last run", "in the middle of it", "another ledger"])
def test_another_copy_beside_the_wal(killed: Killed, copy: str, *, new: bool) -> None:
    """SQLite would make a mixture of the two; it gets no chance, and neither file is touched."""
    newest = killed.ledger.read_bytes()
    shutil.copy(killed.copies / copy, killed.ledger)
    files = list(killed.ledger.parent.iterdir())
    contents = [each.read_bytes() for each in files]
    with pytest.raises(LedgerError, match="does not belong to the file"):
        Ledger.open(killed.url, new=new)
    assert [each.read_bytes() for each in files] == contents
    killed.ledger.write_bytes(newest)
    with Ledger.open(killed.url) as ledger:
        assert ledger.submissions.recover() == 2


def test_an_older_wal_beside_the_newest_copy(killed: Killed) -> None:
    """It would put old pages over new ones; nothing is written."""
    wal = killed.ledger.with_name("importer.db-wal")
    older = wal.read_bytes()
    with Ledger.open(killed.url) as ledger:
        settle_submission(ledger, "k3", State.CREATED)
    wal.write_bytes(older)
    newest = killed.ledger.read_bytes()
    with pytest.raises(LedgerError, match="is an older copy"):
        Ledger.open(killed.url)
    assert killed.ledger.read_bytes() == newest


def test_a_last_write_file_of_before(killed: Killed) -> None:
    """It does not say what the ledger's file has alone; the newest copy is still accepted."""
    file = last_write_file(killed.ledger)
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    with Ledger.open(killed.url) as ledger:
        assert ledger.submissions.recover() == 2


@pytest.mark.parametrize("text", ["", "writes: 1\n", "x" * 1_000])
def test_an_intent_mends_a_file_of_another_size(url: str, path: Path, text: str) -> None:
    """Only a file that we wrote while open is overwritten in place; any other is replaced."""
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        last_write_file(path).write_text(text)
        ledger.submissions.intend(run, ["k1"])
        last = read_last_write(path)
        assert last is not None
        assert last.writes == 2


def test_an_intent_never_writes_through_a_link(url: str, path: Path, tmp_path: Path) -> None:
    """Whatever it leads to stays as it is."""
    elsewhere = tmp_path / "elsewhere"
    with Ledger.open(url) as ledger:
        run = ledger.runs.begin(new_run(), [planned_row("k1")])
        content = last_write_file(path).read_bytes()
        elsewhere.write_bytes(content)
        last_write_file(path).unlink()
        last_write_file(path).symlink_to(elsewhere)
        ledger.submissions.intend(run, ["k1"])
        assert elsewhere.read_bytes() == content
        assert not last_write_file(path).is_symlink()


@pytest.mark.parametrize(
    "make",
    [os.mkfifo, lambda path: path.symlink_to("nowhere"), lambda path: path.write_bytes(b"\xff")],
)
def test_what_is_no_last_write_file_is_refused_at_once(
    url: str, path: Path, make: Callable[[Path], None]
) -> None:
    """A pipe would wait forever, and a link to nothing would pass for no file."""
    with Ledger.open(url) as ledger:
        settle_submission(ledger, "k1", State.CREATED)
    last_write_file(path).unlink()
    make(last_write_file(path))
    with pytest.raises(LedgerError, match="last is damaged"):
        Ledger.open(url)
