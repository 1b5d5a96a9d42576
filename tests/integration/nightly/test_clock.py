"""A clock that stands still or jumps, between nights and within one: nothing lost or repeated."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.ledger import Ledger
from importer.nightly.release import release_file
from importer.report.night_report import FileEnding, night_text, render_metrics
from tests.support.night_setup import HEADER, NightSetup, candidate_list

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

WRONG = f"{HEADER}\nAda,12345,Chef\n"
JUMPS = {"back": -1, "forward": 1}


def test_everything_within_one_second(setup: NightSetup, sandbox: Sandbox) -> None:
    """Nights and releases are told apart; two inboxes may keep one ledger."""
    for number in range(2):
        setup.add_file(
            f"{number}.csv", candidate_list(number, 1) + WRONG.partition("\n")[2] + f"{number},1,x"
        )
    first = setup.night()
    assert [file.ending for file in first.files] == [FileEnding.HELD] * 2
    for number in range(2):
        release_file(setup.inbox / f"held/{number}.csv", setup.inbox_settings, setup.clock.now())
    second = setup.night()
    assert [file.ending for file in second.files] == [FileEnding.DONE] * 2
    other = NightSetup(setup.workspace, setup.clock, folder="other")
    other.inbox.mkdir()
    other.add_file("2.csv", candidate_list(2, 1))
    other.add_file("again.csv", (setup.inbox / second.files[0].place).read_bytes())
    third = other.night()
    assert [file.ending for file in third.files] == [FileEnding.DONE, FileEnding.SEEN]
    with Ledger.open(setup.inbox_settings.load().ledger) as ledger:
        assert {night.id for night in ledger.nights.list()} == {first.id, second.id, third.id}
        assert [len(ledger.nights.of_night(each.id)) for each in (first, second, third)] == [2] * 3
    assert len(sandbox.journal) == 3


@pytest.mark.parametrize("sign", JUMPS.values(), ids=JUMPS)
def test_between_nights(setup: NightSetup, sandbox: Sandbox, sign: int) -> None:
    """The clock was wrong by a year: what was imported stays so, and what is new comes."""
    setup.add_file("a.csv", candidate_list(0, 3))
    setup.add_file("held.csv", candidate_list(3, 2) + WRONG.partition("\n")[2])
    assert setup.night().rows["created"] == 3
    setup.clock.time += sign * timedelta(days=365)
    setup.add_file("again.csv", candidate_list(0, 3))
    setup.add_file("new.csv", candidate_list(5, 2))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN, FileEnding.DONE]
    assert night.rows["created"] == 2
    release_file(setup.inbox / "held/held.csv", setup.inbox_settings, setup.clock.now())
    assert setup.night().rows["created"] == 2
    setup.clock.time -= sign * timedelta(days=365)
    assert setup.night().files == ()
    assert len(sandbox.journal) == 7


@pytest.mark.parametrize("sign", JUMPS.values(), ids=JUMPS)
def test_within_a_night(setup: NightSetup, sandbox: Sandbox, sign: int) -> None:
    """A file that waits for quiet, or for the service, waits as long as it should and no longer."""
    jump = sign * timedelta(hours=3)

    def jumps() -> None:
        setup.clock.time += jump
        setup.clock.events.append((setup.clock.time + timedelta(seconds=70), jumps_again))

    def jumps_again() -> None:
        setup.clock.time += jump
        sandbox.set_faults("")

    setup.settings(sandbox.base_url, "quiet_s: 60\noutage_wait_s: 600\n")
    path = setup.add_file("a.csv", candidate_list(0, 12))
    setup.clock.time = setup.clock.time.fromtimestamp(path.stat().st_mtime, setup.clock.time.tzinfo)
    began = setup.clock.time
    sandbox.set_faults("429:1")
    setup.clock.events.append((began + timedelta(seconds=10), jumps))
    night = setup.night()
    assert (night.exit_code, night.rows["created"]) == (Exit.OK, 12)
    assert 660 - 0.01 <= setup.clock.seconds <= 661 + 0.01
    assert night.took_s == setup.clock.seconds
    assert len(sandbox.journal) == 12
    assert "-" not in night_text(night).partition("UTC, ")[2].partition("\n")[0]
    assert "duration_seconds -" not in render_metrics(night)
    result = setup.workspace("runs")
    assert result.code == 0
    assert "UTC, -" not in result.out


def test_beyond_the_deadline(setup: NightSetup, sandbox: Sandbox) -> None:
    """A clock that jumps over the deadline ends the night; the next one has the rest."""
    setup.settings(sandbox.base_url, "quiet_s: 60\ndeadline: '06:00'\n")
    path = setup.add_file("a.csv", candidate_list(0, 2))
    setup.clock.time = setup.clock.time.fromtimestamp(path.stat().st_mtime, setup.clock.time.tzinfo)

    def jumps() -> None:
        setup.clock.time += timedelta(days=2)

    setup.clock.events.append((setup.clock.time, jumps))
    night = setup.night()
    assert night.exit_code in {Exit.OK, Exit.INTERRUPTED}
    assert len(sandbox.journal) == 0
    assert setup.spreadsheets() <= {"a.csv", "working/a.csv"}
    setup.clock.events.clear()
    assert setup.night().rows["created"] == 2
