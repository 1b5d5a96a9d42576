"""Seven nights, as they come: everybody is written to once, and nothing is lost."""

from __future__ import annotations

import signal
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING

from importer.errors import Exit
from importer.ledger import Ledger
from importer.model import State
from importer.report.night_report import FileEnding
from importer.sandbox.server import start_sandbox
from tests.support.night_setup import HEADER, candidate_list, make_night_setup, serve_webhook
from tests.support.waiting import wait_until
from tests.support.workspace import CREDENTIALS

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from importer.report.night_report import NightReport
    from importer.sandbox.server import Sandbox
    from tests.support.night_setup import NightSetup


def endings(night: NightReport) -> dict[str, FileEnding]:
    """Return the ending of each file."""
    return {file.name: file.ending for file in night.files}


def next_evening(setup: NightSetup) -> None:
    """Move the clock to half past one of the next night."""
    tomorrow = setup.clock.time + timedelta(days=1)
    setup.clock.time = tomorrow.replace(hour=1, minute=30, second=0, microsecond=0)


def killed_in_the_middle(setup: NightSetup, sandbox: Sandbox) -> None:
    """Run a night in a process of its own, and kill it while requests are under way."""
    sandbox.set_faults("slow:1:30")
    before = len(sandbox.journal)
    few = ("--rate-per-s", "20")  # few intents ahead, so that witnesses are left
    process = setup.workspace.process("nightly", "inbox", "--quiet-s", "0", *few)
    wait_until(lambda: len(sandbox.journal) >= before + 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")


def test_seven_nights(  # noqa: PLR0915 - one story
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal, the folders, the ledger and the messages are as they must be."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with start_sandbox() as sandbox, serve_webhook() as (url, posts, _):
        monkeypatch.setenv("IMPORTER_WEBHOOK_URL", url)
        setup = make_night_setup(tmp_path, sandbox.base_url, "notify: always\ndeadline: '06:00'\n")

        next_evening(setup)  # 1: a good list
        setup.add_file("monday.csv", candidate_list(0, 20))
        night = setup.night()
        assert (night.exit_code, night.rows["created"]) == (Exit.OK, 20)

        next_evening(setup)  # 2: a good one, and yesterday's under another name
        setup.add_file("tuesday.csv", candidate_list(20, 20))
        setup.add_file("renamed.csv", candidate_list(0, 20))
        night = setup.night()
        assert endings(night) == {"renamed.csv": FileEnding.SEEN, "tuesday.csv": FileEnding.DONE}
        assert "as monday.csv" in night.files[0].reason
        assert night.rows["created"] == 20

        next_evening(setup)  # 3: a good one, and nobody else
        setup.add_file("wednesday.csv", candidate_list(40, 20))
        assert setup.night().rows["created"] == 20

        next_evening(setup)  # 4: a list that was pasted twice
        doubled = candidate_list(60, 20) + candidate_list(60, 20).partition("\n")[2]
        setup.add_file("thursday.csv", doubled)
        night = setup.night()
        assert night.exit_code is Exit.HELD
        assert "40 rows, 20 are usual" in night.files[0].reason
        assert (setup.inbox / "held/thursday.csv").is_file()
        result = setup.workspace("release", "inbox/held/thursday.csv")
        assert result.code == 0, result.err

        next_evening(setup)  # 5: what was released, an upload that broke off, and one under way
        setup.add_file("friday.csv", candidate_list(80, 20)[:200])
        setup.add_file("later.csv.filepart", candidate_list(80, 5))
        night = setup.night()
        assert endings(night) == {"thursday.csv": FileEnding.DONE, "friday.csv": FileEnding.HELD}
        assert (night.rows["created"], night.rows["duplicate-in-file"]) == (20, 20)

        next_evening(setup)  # 6: the whole of it, while the API is away from two to three
        setup.add_file("friday.csv", candidate_list(80, 20))
        setup.clock.time = setup.clock.time.replace(hour=2, minute=0)
        sandbox.set_faults("503:1:1")
        back = setup.clock.time.replace(hour=3)
        setup.clock.events.append((back, lambda: sandbox.set_faults("")))
        night = setup.night()
        assert (night.exit_code, night.rows["created"]) == (Exit.OK, 20)
        assert back <= night.ended < back + timedelta(minutes=15)

        setup.add_file("saturday.csv", candidate_list(100, 20))  # 7: killed, and then goes on
        killed_in_the_middle(setup, sandbox)
        assert "working/saturday.csv" in setup.spreadsheets()
        next_evening(setup)
        setup.add_file(
            "sunday.csv", candidate_list(120, 20, HEADER.replace("Job Title", "Position"))
        )
        night = setup.night()
        assert endings(night) == {"saturday.csv": FileEnding.DONE, "sunday.csv": FileEnding.HELD}
        assert "columns (job_title)" in night.files[1].reason
        assert night.doubtful_open == 0

        written_to = Counter(entry["phoneNumber"] for entry in sandbox.journal)
        assert written_to == Counter(f"+1415555{number:04}" for number in range(120))
        dated = {
            path.partition("/")[2].partition("/")[2]
            for path in setup.spreadsheets()
            if "done/" in path
        }
        weekdays = ("monday", "tuesday", "renamed", "wednesday", "thursday", "friday", "saturday")
        assert dated == {f"{day}.csv" for day in weekdays}
        rest = {path for path in setup.spreadsheets() if "done/" not in path}
        assert rest == {"held/friday.csv", "held/sunday.csv", "later.csv.filepart"}
        with Ledger.open(setup.inbox_settings.load().ledger) as ledger:
            counts = sum(
                (Counter(ledger.runs.states(run.id)) for run in ledger.runs.list()), Counter()
            )
            assert counts == Counter({State.CREATED: 120})
            assert all(run.finished is not None and not run.stopped for run in ledger.runs.list())
            nights = ledger.nights.list()
        assert [each.exit_code for each in nights][:1] == [Exit.HELD]
        assert len(posts) == 7
        assert "20 conversations started from 1 file" in posts[0]["text"]
        assert not any("415555" in post["text"] or "Ada" in post["text"] for post in posts)
