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
from tests.support.nights import Bed, people

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox


def test_a_night_without_credentials_says_so(bed: Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where no file came: else a broken set-up shows only when one does."""
    monkeypatch.delenv("POPP_API_KEY")
    night = bed.night()
    assert night.exit_code is Exit.SETUP
    assert any("POPP_API_KEY" in note for note in night.notes)


def test_a_list_of_people_who_were_all_imported(bed: Bed, sandbox: Sandbox) -> None:
    """Another order of the same people is another content, and nobody new."""
    bed.arrive("a.csv", people(0, 3))
    bed.night()
    header, *rows = people(0, 3).splitlines()
    bed.arrive("b.csv", "\n".join([header, *reversed(rows)]))
    (file,) = bed.night().files
    assert (file.ending, file.reason, file.exit_code) == (
        FileEnding.DONE,
        "It contains nobody new.",
        0,
    )
    assert file.rows["already-imported"] == 3
    assert [label for label, _ in file.pages] == ["what was checked"]
    assert len(sandbox.journal) == 3


def test_settings_of_a_subfolder(bed: Bed, sandbox: Sandbox) -> None:
    """They go over the main ones; wrong ones leave their files alone and stop no others."""
    bed.arrive("acme/list.csv", people(0, 2))
    bed.arrive("acme/importer.yaml", "campaign: camp-acme\n")
    bed.arrive("broken/list.csv", people(5, 2))
    bed.arrive("broken/importer.yaml", "campain: x\n")
    bed.arrive("plain/list.csv", people(0, 2))
    night = bed.night()
    assert [file.ending for file in night.files] == [
        FileEnding.DONE,
        FileEnding.WAITING,
        FileEnding.DONE,
    ]
    assert "campain" in night.files[1].reason
    assert night.exit_code is Exit.SETUP
    campaigns = [entry["campaignId"] for entry in sandbox.journal]
    assert campaigns == ["camp-acme", "camp-acme", "camp-42", "camp-42"]
    assert "working/broken/list.csv" in bed.lies()


def test_outside_its_hours_a_file_is_checked_and_waits(bed: Bed, sandbox: Sandbox) -> None:
    """It is sent when people may be written to; what cannot be sent is said at once."""
    bed.settings(sandbox.base_url, "send_between: 08:00-20:00\n")
    bed.clock.time = bed.clock.time.replace(hour=2, minute=0, second=0, microsecond=0)
    started = bed.clock.time
    bed.arrive("a.csv", people(0, 2))
    bed.arrive("b.csv", "nothing that we know\n")
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE, FileEnding.FAILED]
    assert bed.clock.waits == [6 * 3600]
    assert night.ended == started + timedelta(hours=6)


def test_the_deadline_leaves_the_rest_for_the_next_night(bed: Bed, sandbox: Sandbox) -> None:
    """Which begins with it."""
    bed.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    bed.clock.time = bed.clock.time.replace(hour=2)
    bed.arrive("a.csv", people(0, 2))
    night = bed.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.INTERRUPTED, FileEnding.WAITING)
    assert len(sandbox.journal) == 0
    bed.clock.time = bed.clock.time.replace(hour=9)
    night = bed.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.OK, FileEnding.DONE)


def test_refused_credentials_end_the_sending(bed: Bed, sandbox: Sandbox) -> None:
    """Nothing else is sent in that night, and nothing is lost."""
    sandbox.set_faults("401:1")
    bed.arrive("a.csv", people(0, 2))
    bed.arrive("b.csv", people(2, 2))
    before = sandbox.requests
    night = bed.night()
    assert night.exit_code is Exit.SETUP
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.WAITING]
    assert sandbox.requests - before <= 2
    sandbox.set_faults("")
    assert bed.night().rows["created"] == 4


def test_a_folder_with_the_name_of_a_page(bed: Bed) -> None:
    """It stays as it is; file and page get another name."""
    date = f"{bed.clock.time:%Y-%m-%d}"
    folder = bed.inbox / "done" / date / "a.csv.check.html"
    folder.mkdir(parents=True)
    bed.arrive("a.csv", people(0, 2))
    (file,) = bed.night().files
    assert (file.ending, file.rows["created"], file.exit_code) == (FileEnding.DONE, 2, Exit.OK)
    assert folder.is_dir()
    assert not list(folder.iterdir())
    pages = [bed.inbox / page for _, page in file.pages]
    assert pages
    assert all(page.is_file() for page in pages)


def test_a_crash_between_the_last_answer_and_the_move(bed: Bed, sandbox: Sandbox) -> None:
    """The next night moves the file and reports on it as on its own."""
    path = bed.arrive("a.csv", people(0, 2))
    (file,) = bed.night().files
    done, working = bed.inbox / file.place, bed.inbox / "working/a.csv"
    done.rename(working)
    assert not path.exists()
    with Ledger.open(bed.places.load().ledger) as ledger:
        last = ledger.nights.of_folder("", [FileEnding.DONE], 1)[0]
        facts = {name: getattr(last, name) for name in NightFile.__slots__}
        ledger.nights.write(NightFile(**{**facts, "ending": FileEnding.WAITING.value}))
    (again,) = bed.night().files
    assert (again.ending, again.run, again.rows["created"]) == (FileEnding.DONE, file.run, 2)
    assert len(sandbox.journal) == 2


def test_told_to_stop_before_it_begins(bed: Bed, sandbox: Sandbox) -> None:
    """Nothing is claimed."""
    bed.arrive("a.csv", people(0, 2))
    stop = StopSignal(0.0)
    stop.request()
    assert bed.night(stop).exit_code is Exit.INTERRUPTED
    assert bed.lies() == {"a.csv"}
    assert sandbox.requests == 0


def test_sigterm_while_it_sends(bed: Bed, sandbox: Sandbox) -> None:
    """What is under way finishes within the grace; the next night sends the rest, nobody twice."""
    bed.settings(sandbox.base_url, "quiet_s: 0\ngrace_s: 20\n")
    sandbox.set_faults("slow:1:0.5")
    bed.arrive("a.csv", people(0, 30))
    process = bed.desk.process("nightly", "inbox")
    while not sandbox.journal:
        assert process.poll() is None
    process.terminate()
    out, _ = process.communicate()
    assert process.returncode == Exit.INTERRUPTED
    assert "told to stop" in out
    sent = len(sandbox.journal)
    assert 0 < sent < 30
    with Ledger.open(bed.places.load().ledger) as ledger:
        assert ledger.doubts.list() == ()
    sandbox.set_faults("")
    bed.night()
    assert len({entry["phoneNumber"] for entry in sandbox.journal}) == len(sandbox.journal) == 30


def test_a_file_that_is_taken_away(bed: Bed) -> None:
    """It is said to be gone, and that is no fault."""
    with (
        open_event_log(None, bed.clock, "n") as log,
        OpenLedgers(bed.places.ledger()) as ledgers,
    ):
        inbox = LocalInbox(InboxFolders(bed.inbox), ledgers)
        work = NightContext(inbox, bed.places, bed.clock, StopSignal(0), log, "n", bed.clock.time)
        report = import_file(work, "", bed.inbox / "working/gone.csv", 0)
    assert (report.ending, report.exit_code) == (FileEnding.GONE, Exit.OK)


def test_only_held_files_are_released(bed: Bed) -> None:
    """Anything else is refused with what to do."""
    path = bed.arrive("a.csv", people(0, 2))
    with pytest.raises(UsageError, match="is not held"):
        release_file(path, bed.places, bed.clock.now())


def test_release_keeps_what_a_person_has_changed(bed: Bed) -> None:
    """Unchanged pages go; a corrected list stays, and no later night overwrites it."""
    broken = people(0, 2) + "Ada,,Chef\n" * 3
    bed.arrive("list.csv", broken)
    assert bed.night().exit_code is Exit.HELD
    corrected = bed.inbox / "held/list.csv.rejected.csv"
    corrected.write_text("a person's work")
    said = bed.desk("release", "inbox/held/list.csv")
    assert said.code == Exit.OK
    assert "list.csv.rejected.csv was changed since the night" in said.err
    assert corrected.read_text() == "a person's work"
    assert not (bed.inbox / "held/list.csv.check.html").exists()
    assert bed.night().rows["created"] == 2
    bed.arrive("list.csv", people(2, 2) + "Grace,,Chef\n" * 3)
    assert bed.night().exit_code is Exit.HELD
    assert corrected.read_text() == "a person's work"
    assert (bed.inbox / "held/list-2.csv").exists()
    said = bed.desk("release", "inbox/held/list-2.csv")
    assert "was changed" not in said.err
    assert not (bed.inbox / "held/list-2.csv.rejected.csv").exists()


def test_the_doctor_finds_what_is_wrong(bed: Bed, sandbox: Sandbox) -> None:
    """Each thing by itself, all of them at once."""
    assert all(finding.ok for finding in examine(bed.places, bed.clock.now()))
    bed.desk.write("templates/participants/team.yaml", "- {name: x}\n")
    sandbox.set_faults("list-401:1")
    wrong = [each.subject for each in examine(bed.places, bed.clock.now()) if not each.ok]
    assert wrong == ["templates", "service"]
