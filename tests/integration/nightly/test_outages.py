"""An outage of the service: the night waits and tries again, and holds no file for it."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from importer.errors import Exit
from importer.nightly.clock import StopSignal
from importer.nightly.context import NightContext
from importer.nightly.inbox import InboxFolders, LocalInbox, OpenLedgers
from importer.nightly.night import open_event_log
from importer.report.night_report import FileEnding
from importer.sandbox.server import start_sandbox
from tests.support.night_setup import NightSetup, candidate_list
from tests.support.sockets import closed_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from importer.sandbox.server import Sandbox

FAULTS = {
    "creating alone": "503:1",
    "everything": "500:1,list-500:1",
    "no answer": "close-before:1,list-close:1",
}


WAIT_S = 1700
"""Three tries in an hour are enough to see it."""


def at_two(setup: NightSetup, base_url: str, more: str = "") -> datetime:
    """Set the clock to two in the night, and return that time."""
    setup.settings(base_url, f"outage_wait_s: {WAIT_S}\n{more}")
    setup.clock.time = setup.clock.time.replace(hour=2, minute=0, second=0, microsecond=0)
    return setup.clock.time


def once_each(sandbox: Sandbox, count: int) -> bool:
    """Whether this many people were written to, each of them once."""
    written_to = Counter(entry["phoneNumber"] for entry in sandbox.journal)
    return len(written_to) == count == written_to.total()


@pytest.mark.parametrize(
    ("faults", "rows"),
    [
        ("creating alone", 30),
        ("creating alone", 3),
        ("everything", 30),
        ("everything", 3),
        ("no answer", 30),
    ],
)
def test_an_hour_without_the_service(
    setup: NightSetup, sandbox: Sandbox, faults: str, rows: int
) -> None:
    """The file waits in working/ and is imported when the service is back.

    Nobody has to look, unless every row of a short list is doubtful: then no later conversation
    shows that the list of the API is up to date, and none goes again.
    """
    settled = rows > 10
    back = at_two(setup, sandbox.base_url) + timedelta(hours=1)
    sandbox.set_faults(FAULTS[faults])
    setup.clock.events.append((back, lambda: sandbox.set_faults("")))
    setup.add_file("a.csv", candidate_list(0, rows))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE], night.files[0].reason
    code, still_open = (Exit.OK, 0) if settled else (Exit.DOUBTFUL, rows)
    assert (night.exit_code, night.doubtful_open) == (code, still_open)
    assert night.ended < back + timedelta(seconds=WAIT_S)
    assert once_each(sandbox, rows if settled else 0)


@pytest.fixture
def port() -> Iterator[int]:
    """Yield the port of a service that is not there yet."""
    with closed_port() as url:
        yield int(urlsplit(url).port or 0)


def test_a_service_that_is_not_there(setup: NightSetup, port: int) -> None:
    """Connections are refused for an hour, and then a service listens."""
    back = at_two(setup, f"http://127.0.0.1:{port}/v1") + timedelta(hours=1)
    setup.add_file("a.csv", candidate_list(0, 30))
    with ExitStack() as later:
        came: list[Sandbox] = []

        def comes() -> None:
            came.append(later.enter_context(start_sandbox()))
            setup.settings(came[0].base_url)

        setup.clock.events.append((back, comes))
        night = setup.night()
        assert [file.ending for file in night.files] == [FileEnding.DONE], night.files[0].reason
        assert back <= night.ended < back + timedelta(seconds=WAIT_S)
        assert once_each(came[0], 30)


@pytest.mark.parametrize("faults", ["creating alone", "everything"])
def test_an_outage_beyond_the_deadline(setup: NightSetup, sandbox: Sandbox, faults: str) -> None:
    """It leaves the file for the next night, which begins with it and settles what is doubtful."""
    at_two(setup, sandbox.base_url, "deadline: '03:00'\nrate_per_s: 20\n")
    sandbox.set_faults(FAULTS[faults])
    setup.add_file("a.csv", candidate_list(0, 15))
    setup.add_file("b.csv", candidate_list(15, 15))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.WAITING] * 2
    assert night.exit_code is Exit.SETUP
    assert setup.spreadsheets() == {"working/a.csv", "working/b.csv"}
    assert all(wait <= WAIT_S for wait in setup.clock.waits)
    sandbox.set_faults("")
    setup.clock.time += timedelta(hours=23)
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE] * 2
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert once_each(sandbox, 30)


def test_rows_that_are_refused_hold_the_file(setup: NightSetup, sandbox: Sandbox) -> None:
    """A clear no to ten in a row is the file's own fault: a person should look."""
    sandbox.set_faults("422:1")
    setup.add_file("a.csv", candidate_list(0, 30))
    (file,) = setup.night().files
    assert (file.ending, file.exit_code) == (FileEnding.HELD, Exit.HELD)
    assert "10 submissions in a row failed" in file.reason
    assert len(sandbox.journal) == 0


def test_who_met_an_outage_goes_after_the_others(setup: NightSetup, tmp_path: Path) -> None:
    """A file that only looks like an outage keeps no other from being sent."""
    ledgers = OpenLedgers(setup.inbox_settings.ledger())
    with open_event_log(None, setup.clock, "n") as log:
        inbox = LocalInbox(InboxFolders(setup.inbox), ledgers)
        work = NightContext(
            inbox, setup.inbox_settings, setup.clock, StopSignal(0), log, "n", setup.clock.time
        )  # fmt: skip
    first, second = ("", tmp_path / "a.csv"), ("", tmp_path / "b.csv")
    work.pause(first[1], 600)
    assert work.sort([first, second]) == [second, first]
    now = setup.clock.now()
    assert work.earliest_sending(setup.inbox_settings.load(), now) == now + timedelta(minutes=10)
    setup.clock.seconds += 600
    assert work.earliest_sending(setup.inbox_settings.load(), now) == now
