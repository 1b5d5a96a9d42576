"""What may go wrong in a night: clear words, nothing lost, nobody written to twice."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit, UsageError
from importer.ledger import Ledger
from importer.ledger.nights import NightFile
from importer.nightly.clock import StopSignal
from importer.nightly.context import NightContext
from importer.nightly.doctor import examine
from importer.nightly.import_file import import_file
from importer.nightly.inbox import InboxFolders, LocalInbox, OpenLedgers
from importer.nightly.night import open_event_log
from importer.nightly.release import release_file
from importer.report.night_report import FileEnding
from tests.support.night_setup import NightSetup, candidate_list
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox


def test_a_night_without_credentials_says_so(
    setup: NightSetup, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no file came: else a broken set-up shows only when one does."""
    monkeypatch.delenv("POPP_API_KEY")
    night = setup.night()
    assert night.exit_code is Exit.SETUP
    assert any("POPP_API_KEY" in note for note in night.notes)


def test_a_list_of_people_who_were_all_imported(setup: NightSetup, sandbox: Sandbox) -> None:
    """Another order of the same people is another content, and nobody new."""
    setup.add_file("a.csv", candidate_list(0, 3))
    setup.night()
    header, *rows = candidate_list(0, 3).splitlines()
    setup.add_file("b.csv", "\n".join([header, *reversed(rows)]))
    (file,) = setup.night().files
    assert (file.ending, file.reason, file.exit_code) == (
        FileEnding.DONE,
        "It contains nobody new.",
        0,
    )
    assert file.rows["already-imported"] == 3
    assert [label for label, _ in file.pages] == ["what was checked"]
    assert len(sandbox.journal) == 3


def test_settings_of_a_subfolder(setup: NightSetup, sandbox: Sandbox) -> None:
    """They go over the main ones; wrong ones leave their files alone and stop no others."""
    setup.add_file("acme/list.csv", candidate_list(0, 2))
    setup.add_file("acme/importer.yaml", "campaign: camp-acme\n")
    setup.add_file("broken/list.csv", candidate_list(5, 2))
    setup.add_file("broken/importer.yaml", "campain: x\n")
    setup.add_file("plain/list.csv", candidate_list(0, 2))
    night = setup.night()
    assert [file.ending for file in night.files] == [
        FileEnding.DONE,
        FileEnding.WAITING,
        FileEnding.DONE,
    ]
    assert "campain" in night.files[1].reason
    assert night.exit_code is Exit.SETUP
    campaigns = [entry["campaignId"] for entry in sandbox.journal]
    assert campaigns == ["camp-acme", "camp-acme", "camp-42", "camp-42"]
    assert "working/broken/list.csv" in setup.spreadsheets()


def test_outside_its_hours_a_file_is_checked_and_waits(setup: NightSetup, sandbox: Sandbox) -> None:
    """It is sent when people may be written to; what cannot be sent is said at once."""
    setup.settings(sandbox.base_url, "send_between: 08:00-20:00\n")
    setup.clock.time = setup.clock.time.replace(hour=2, minute=0, second=0, microsecond=0)
    started = setup.clock.time
    setup.add_file("a.csv", candidate_list(0, 2))
    setup.add_file("b.csv", "nothing that we know\n")
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE, FileEnding.FAILED]
    assert setup.clock.waits == [6 * 3600]
    assert night.ended == started + timedelta(hours=6)


def test_the_deadline_leaves_the_rest_for_the_next_night(
    setup: NightSetup, sandbox: Sandbox
) -> None:
    """Which begins with it."""
    setup.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    setup.clock.time = setup.clock.time.replace(hour=2)
    setup.add_file("a.csv", candidate_list(0, 2))
    night = setup.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.INTERRUPTED, FileEnding.WAITING)
    assert len(sandbox.journal) == 0
    setup.clock.time = setup.clock.time.replace(hour=9)
    night = setup.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.OK, FileEnding.DONE)


def test_refused_credentials_end_the_sending(setup: NightSetup, sandbox: Sandbox) -> None:
    """Nothing else is sent in that night, and nothing is lost."""
    sandbox.set_faults("401:1")
    setup.add_file("a.csv", candidate_list(0, 2))
    setup.add_file("b.csv", candidate_list(2, 2))
    before = sandbox.requests
    night = setup.night()
    assert night.exit_code is Exit.SETUP
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.WAITING]
    assert sandbox.requests - before <= 2
    sandbox.set_faults("")
    assert setup.night().rows["created"] == 4


def test_a_folder_with_the_name_of_a_page(setup: NightSetup) -> None:
    """It stays as it is; file and page get another name."""
    date = f"{setup.clock.time:%Y-%m-%d}"
    folder = setup.inbox / "done" / date / "a.csv.check.html"
    folder.mkdir(parents=True)
    setup.add_file("a.csv", candidate_list(0, 2))
    (file,) = setup.night().files
    assert (file.ending, file.rows["created"], file.exit_code) == (FileEnding.DONE, 2, Exit.OK)
    assert folder.is_dir()
    assert not list(folder.iterdir())
    pages = [setup.inbox / page for _, page in file.pages]
    assert pages
    assert all(page.is_file() for page in pages)


def test_a_crash_between_the_last_answer_and_the_move(setup: NightSetup, sandbox: Sandbox) -> None:
    """The next night moves the file and reports on it as on its own."""
    path = setup.add_file("a.csv", candidate_list(0, 2))
    (file,) = setup.night().files
    done, working = setup.inbox / file.place, setup.inbox / "working/a.csv"
    done.rename(working)
    assert not path.exists()
    with Ledger.open(setup.inbox_settings.load().ledger) as ledger:
        last = ledger.nights.of_folder("", [FileEnding.DONE], 1)[0]
        facts = {name: getattr(last, name) for name in NightFile.__slots__}
        ledger.nights.write(NightFile(**{**facts, "ending": FileEnding.WAITING.value}))
    (again,) = setup.night().files
    assert (again.ending, again.run, again.rows["created"]) == (FileEnding.DONE, file.run, 2)
    assert len(sandbox.journal) == 2


def test_told_to_stop_before_it_begins(setup: NightSetup, sandbox: Sandbox) -> None:
    """Nothing is claimed."""
    setup.add_file("a.csv", candidate_list(0, 2))
    stop = StopSignal(0.0)
    stop.request()
    assert setup.night(stop).exit_code is Exit.INTERRUPTED
    assert setup.spreadsheets() == {"a.csv"}
    assert sandbox.requests == 0


def test_sigterm_while_it_sends(setup: NightSetup, sandbox: Sandbox) -> None:
    """What is under way finishes within the grace; the next night sends the rest, nobody twice."""
    setup.settings(sandbox.base_url, "quiet_s: 0\ngrace_s: 20\n")
    sandbox.set_faults("slow:1:0.5")
    setup.add_file("a.csv", candidate_list(0, 30))
    process = setup.workspace.process("nightly", "inbox")
    wait_until(lambda: bool(sandbox.journal), process)
    process.terminate()
    out, _ = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert "told to stop" in out
    sent = len(sandbox.journal)
    assert 0 < sent < 30
    with Ledger.open(setup.inbox_settings.load().ledger) as ledger:
        assert ledger.doubts.list() == ()
    sandbox.set_faults("")
    setup.night()
    assert len({entry["phoneNumber"] for entry in sandbox.journal}) == len(sandbox.journal) == 30


def test_a_file_that_is_taken_away(setup: NightSetup) -> None:
    """The report says that it is gone, and that is no fault."""
    with (
        open_event_log(None, setup.clock, "n") as log,
        OpenLedgers(setup.inbox_settings.ledger()) as ledgers,
    ):
        inbox = LocalInbox(InboxFolders(setup.inbox), ledgers)
        work = NightContext(
            inbox, setup.inbox_settings, setup.clock, StopSignal(0), log, "n", setup.clock.time
        )
        report = import_file(work, "", setup.inbox / "working/gone.csv", 0)
    assert (report.ending, report.exit_code) == (FileEnding.GONE, Exit.OK)


def test_only_held_files_are_released(setup: NightSetup) -> None:
    """Anything else is refused with what to do."""
    path = setup.add_file("a.csv", candidate_list(0, 2))
    with pytest.raises(UsageError, match="is not held"):
        release_file(path, setup.inbox_settings, setup.clock.now())


def test_release_keeps_what_a_person_has_changed(setup: NightSetup) -> None:
    """Unchanged pages go; a corrected list stays, and no later night overwrites it."""
    broken = candidate_list(0, 2) + "Ada,,Chef\n" * 3
    setup.add_file("list.csv", broken)
    assert setup.night().exit_code is Exit.HELD
    corrected = setup.inbox / "held/list.csv.rejected.csv"
    corrected.write_text("a person's work")
    result = setup.workspace("release", "inbox/held/list.csv")
    assert result.code == Exit.OK
    assert "list.csv.rejected.csv was changed since the night" in result.err
    assert corrected.read_text() == "a person's work"
    assert not (setup.inbox / "held/list.csv.check.html").exists()
    assert setup.night().rows["created"] == 2
    setup.add_file("list.csv", candidate_list(2, 2) + "Grace,,Chef\n" * 3)
    assert setup.night().exit_code is Exit.HELD
    assert corrected.read_text() == "a person's work"
    assert (setup.inbox / "held/list-2.csv").exists()
    result = setup.workspace("release", "inbox/held/list-2.csv")
    assert "was changed" not in result.err
    assert not (setup.inbox / "held/list-2.csv.rejected.csv").exists()


def test_the_doctor_finds_what_is_wrong(setup: NightSetup, sandbox: Sandbox) -> None:
    """Each thing by itself, all of them at once."""
    assert all(finding.ok for finding in examine(setup.inbox_settings, setup.clock.now()))
    setup.workspace.write("templates/participants/team.yaml", "- {name: x}\n")
    sandbox.set_faults("list-401:1")
    wrong = [
        each.subject for each in examine(setup.inbox_settings, setup.clock.now()) if not each.ok
    ]
    assert wrong == ["templates", "service"]
