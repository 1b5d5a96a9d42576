"""A clock that stands still or jumps, between nights and within one: nothing lost or repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from importer.nightly.release import release_file
from importer.report.night_report import FileEnding, night_text, render_metrics
from tests.support.nights import HEADER, Bed, people

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

WRONG = f"{HEADER}\nAda,12345,Chef\n"
JUMPS = {"back": -1, "forward": 1}


def test_everything_within_one_second(bed: Bed, sandbox: Sandbox) -> None:
    """Nights and releases are told apart; two inboxes may keep one ledger."""
    for number in range(2):
        bed.arrive(f"{number}.csv", people(number, 1) + WRONG.partition("\n")[2] + f"{number},1,x")
    first = bed.night()
    assert [file.ending for file in first.files] == [FileEnding.HELD] * 2
    for number in range(2):
        release_file(bed.inbox / f"held/{number}.csv", bed.places, bed.clock.now())
    second = bed.night()
    assert [file.ending for file in second.files] == [FileEnding.DONE] * 2
    other = Bed(bed.desk, bed.clock, folder="other")
    other.inbox.mkdir()
    other.arrive("2.csv", people(2, 1))
    other.arrive("again.csv", (bed.inbox / second.files[0].place).read_bytes())
    third = other.night()
    assert [file.ending for file in third.files] == [FileEnding.DONE, FileEnding.SEEN]
    with Ledger.open(bed.places.load().ledger) as ledger:
        assert {night.id for night in ledger.nights.list()} == {first.id, second.id, third.id}
        assert [len(ledger.nights.of_night(each.id)) for each in (first, second, third)] == [2] * 3
    assert len(sandbox.journal) == 3


@pytest.mark.parametrize("sign", JUMPS.values(), ids=JUMPS)
def test_between_nights(bed: Bed, sandbox: Sandbox, sign: int) -> None:
    """The clock was wrong by a year: what was imported stays so, and what is new comes."""
    bed.arrive("a.csv", people(0, 3))
    bed.arrive("held.csv", people(3, 2) + WRONG.partition("\n")[2])
    assert bed.night().rows["created"] == 3
    bed.clock.time += sign * timedelta(days=365)
    bed.arrive("again.csv", people(0, 3))
    bed.arrive("new.csv", people(5, 2))
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN, FileEnding.DONE]
    assert night.rows["created"] == 2
    release_file(bed.inbox / "held/held.csv", bed.places, bed.clock.now())
    assert bed.night().rows["created"] == 2
    bed.clock.time -= sign * timedelta(days=365)
    assert bed.night().files == ()
    assert len(sandbox.journal) == 7


@pytest.mark.parametrize("sign", JUMPS.values(), ids=JUMPS)
def test_within_a_night(bed: Bed, sandbox: Sandbox, sign: int) -> None:
    """A file that waits for quiet, or for the service, waits as long as it should and no longer."""
    jump = sign * timedelta(hours=3)

    def jumps() -> None:
        bed.clock.time += jump
        bed.clock.events.append((bed.clock.time + timedelta(seconds=70), jumps_again))

    def jumps_again() -> None:
        bed.clock.time += jump
        sandbox.set_faults("")

    bed.settings(sandbox.base_url, "quiet_s: 60\noutage_wait_s: 600\n")
    path = bed.arrive("a.csv", people(0, 12))
    bed.clock.time = bed.clock.time.fromtimestamp(path.stat().st_mtime, bed.clock.time.tzinfo)
    began = bed.clock.time
    sandbox.set_faults("429:1")
    bed.clock.events.append((began + timedelta(seconds=10), jumps))
    night = bed.night()
    assert (night.exit_code, night.rows["created"]) == (Exit.OK, 12)
    assert 660 - 0.01 <= bed.clock.seconds <= 661 + 0.01
    assert night.took_s == bed.clock.seconds
    assert len(sandbox.journal) == 12
    assert "-" not in night_text(night).partition("UTC, ")[2].partition("\n")[0]
    assert "duration_seconds -" not in render_metrics(night)
    said = bed.desk("runs")
    assert said.code == 0
    assert "UTC, -" not in said.out


def test_beyond_the_deadline(bed: Bed, sandbox: Sandbox) -> None:
    """A clock that jumps over the deadline ends the night; the next one has the rest."""
    bed.settings(sandbox.base_url, "quiet_s: 60\ndeadline: '06:00'\n")
    path = bed.arrive("a.csv", people(0, 2))
    bed.clock.time = bed.clock.time.fromtimestamp(path.stat().st_mtime, bed.clock.time.tzinfo)

    def jumps() -> None:
        bed.clock.time += timedelta(days=2)

    bed.clock.events.append((bed.clock.time, jumps))
    night = bed.night()
    assert night.exit_code in {Exit.OK, Exit.INTERRUPTED}
    assert len(sandbox.journal) == 0
    assert bed.lies() <= {"a.csv", "working/a.csv"}
    bed.clock.events.clear()
    assert bed.night().rows["created"] == 2
