"""The file beside a ledger counts its important writes, and says whether the `-wal` is needed."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from importer.errors import LedgerError
from importer.ledger import Ledger
from importer.ledger.copies import last_write_file, read_last_write
from importer.model import State
from tests.unit.ledger.made import new_run, ready, settled

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.ledger.made import Clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the ledger."""
    return tmp_path / "importer.db"


def test_it_counts_what_a_later_run_must_know(url: str, path: Path) -> None:
    """Runs that begin, go on and end, and doubts that are settled; open until it is closed."""
    with Ledger.open(url) as ledger:
        assert read_last_write(path) is None
        run = settled(ledger, "k1", State.DOUBTFUL)
        counts = [read_last_write(path)]
        for write in (
            lambda: ledger.runs.finish(run),
            lambda: ledger.runs.reopen(run),
            lambda: ledger.doubts.reconcile([]),
            lambda: ledger.doubts.resolve(run, 2, sent=True, by="ops"),
            lambda: ledger.bind("api", "organization", "folded"),
        ):
            write()
            counts.append(read_last_write(path))
        assert [each and (each.writes, each.closed) for each in counts] == [
            (number, False) for number in range(1, 7)
        ]
        assert {each and each.ledger for each in counts} == {ledger.id}
    last = read_last_write(path)
    assert last is not None
    assert (last.writes, last.closed) == (6, True)
    assert last_write_file(path).stat().st_mode & 0o777 == 0o600


def test_the_file_alone_is_complete_after_closing(url: str, path: Path, tmp_path: Path) -> None:
    """Also while somebody else has it open."""
    with Ledger.open(url) as other:
        other.runs.list()
        with Ledger.open(url) as ledger:
            settled(ledger, "k1", State.CREATED)
        shutil.copy(path, tmp_path / "copy.db")
    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        assert copy.submissions.standing(["k1"])["k1"].state is State.CREATED


def test_closing_beside_a_run_does_not_say_closed(url: str, path: Path) -> None:
    """Its `-wal` is still needed."""
    with Ledger.open(url) as ledger, ledger.lock("importer run"):
        ledger.runs.begin(new_run(), [])
        Ledger.open(url).close()
        last = read_last_write(path)
        assert last is not None
        assert not last.closed


def test_a_last_write_file_that_cannot_be_written(url: str, path: Path) -> None:
    """The ledger is written all the same: it is the memory, the file only its guard."""
    last_write_file(path).mkdir()
    with pytest.raises(LedgerError, match="damaged"):
        Ledger.open(url)
    last_write_file(path).rmdir()
    with Ledger.open(url) as ledger:
        last_write_file(path).mkdir()
        run = ledger.runs.begin(new_run(), [ready("k1")])
        assert ledger.submissions.sendable(run) == ["k1"]


def test_a_copy_that_parts_from_its_original(url: str, path: Path, clock: Clock) -> None:
    """It gets another id, and is still the newest copy of itself."""
    with Ledger.open(url, now=clock.now) as ledger:
        settled(ledger, "k1", State.CREATED)
        ledger.part_from_original()
    with Ledger.open(url) as ledger:
        last = read_last_write(path)
        assert last is not None
        assert last.ledger == ledger.id


def test_a_backup_while_it_is_written_to(url: str, tmp_path: Path) -> None:
    """It holds what was committed, without the files beside it."""
    with Ledger.open(url) as ledger, ledger.lock("importer run"):
        run = ledger.runs.begin(new_run(), [ready("k1")])
        looking = Ledger.open_existing(url)
        assert looking is not None
        with looking:
            looking.backup(tmp_path / "copy.db")
        ledger.submissions.intend(run, ["k1"])
    with Ledger.open(f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        assert copy.submissions.standing(["k1"])["k1"].state is State.PLANNED
