"""An inbox belongs to one ledger: with another one nothing is claimed, fetched or sent."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import TYPE_CHECKING

import pytest

from importer.errors import ConfigurationError, Exit
from importer.ledger import Ledger
from importer.nightly.ownership import (
    MARKER_NAME,
    MAX_MARKER_BYTES,
    Marker,
    parse_marker,
    render_marker,
)
from importer.report.night_report import FileEnding
from tests.support.nights import Bed, people
from tests.support.postgres import server_url
from tests.support.remote_inboxes import FarBed, expected_phones, far_bed, open_claims, phones

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

__all__ = ["server_url"]  # a fixture

FIRST = Path(__file__).parents[2] / "unit" / "ledger" / "version-0001.sql"
OTHER = "ledger: sqlite:///other.db\n"
NIGHTLY = ("nightly", "inbox", "--quiet-s", "0")


def marked(folder: Path) -> str:
    """The id of the ledger that a folder is marked with."""
    mark = parse_marker((folder / MARKER_NAME).read_bytes())
    assert mark is not None
    return mark.ledger


def id_of(url: str) -> str:
    """The id of a ledger."""
    with Ledger.open(url, create=False) as ledger:
        return ledger.id


def refused(bed: Bed, *command: str) -> str:
    """Types a command that another ledger's mark refuses, and gives what it says."""
    before = bed.lies()
    said = bed.desk(*command)
    assert said.code == Exit.SETUP, said
    assert bed.lies() == before
    return said.out if command[0] == "doctor" else said.error


def test_a_second_ledger_reaches_nobody(bed: Bed, sandbox: Sandbox) -> None:
    """The list comes again and meets a new ledger: it stays where it is, and nothing is sent."""
    bed.arrive("list.csv", people(0, 5))
    bed.arrive("odd.csv", people(5, 2) + "Ada,,Chef\n" * 3)
    assert bed.night().rows["created"] == 5
    with Ledger.open(bed.places.ledger()) as ledger:
        first, day = ledger.id, ledger.nights.list()[0].started
    bed.arrive("list.csv", people(0, 5))
    bed.settings(sandbox.base_url, OTHER)
    asked = sandbox.requests
    for command in (NIGHTLY, ("release", "inbox/held/odd.csv"), ("doctor", "inbox")):
        said = refused(bed, *command)
        assert f"{bed.inbox} belongs to ledger {first[:8]} since {day:%Y-%m-%d}, not" in said
        assert f"To let this ledger take over, remove {bed.inbox}/{MARKER_NAME}." in said
    assert sandbox.requests <= asked + 1  # the doctor asks
    assert phones(sandbox) == expected_phones(5)
    with Ledger.open(bed.places.ledger()) as ledger:
        assert ledger.submissions.is_empty()
        assert ledger.nights.list() == ()
    bed.settings(sandbox.base_url)
    assert [file.ending for file in bed.night().files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(5)


def test_a_ledger_that_was_lost(bed: Bed) -> None:
    """Without it the night ends with what that means; without the mark a new one takes over."""
    bed.arrive("list.csv", people(0, 2))
    bed.night()
    first = marked(bed.inbox)
    bed.arrive("new.csv", people(2, 2))
    for file in bed.desk.folder.glob("importer.db*"):
        file.unlink()
    assert "no other ledger knows who was contacted from here" in refused(bed, *NIGHTLY)
    (bed.inbox / MARKER_NAME).unlink()
    assert bed.night().rows["created"] == 2
    assert marked(bed.inbox) == id_of(bed.places.ledger()) != first


def test_a_copy_of_the_ledger(bed: Bed, sandbox: Sandbox) -> None:
    """It knows who was contacted, so it goes on wherever it lies."""
    bed.arrive("list.csv", people(0, 2))
    bed.night()
    for name in ("importer.db", "importer.db.key"):
        shutil.move(bed.desk.folder / name, bed.desk.folder / name.replace("importer", "other"))
    bed.settings(sandbox.base_url, OTHER)
    bed.arrive("list.csv", people(0, 2))
    assert [file.ending for file in bed.night().files] == [FileEnding.SEEN]


def test_on_a_server(bed: Bed, sandbox: Sandbox, server_url: str) -> None:
    """The ledger of the first nights is on a server, and the other one in a file."""
    bed.settings(sandbox.base_url, f"ledger: {server_url}\nhmac_key_file: server.key\n")
    bed.arrive("list.csv", people(0, 2))
    bed.night()
    assert marked(bed.inbox) == id_of(server_url)
    bed.settings(sandbox.base_url)
    bed.arrive("list.csv", people(0, 2))
    refused(bed, *NIGHTLY)
    assert phones(sandbox) == expected_phones(2)
    bed.settings(sandbox.base_url, f"ledger: {server_url}\nhmac_key_file: server.key\n")
    assert [file.ending for file in bed.night().files] == [FileEnding.SEEN]


@pytest.mark.parametrize("raw", [b"", b"ledger: 12\n"])
def test_a_damaged_mark(bed: Bed, sandbox: Sandbox, raw: bytes) -> None:
    """Nobody can tell whose the inbox is: nothing is sent until somebody said so."""
    bed.arrive("list.csv", people(0, 2))
    (bed.inbox / MARKER_NAME).write_bytes(raw)
    for command in (NIGHTLY, ("doctor", "inbox")):
        assert f"its marker {bed.inbox}/{MARKER_NAME} is damaged" in refused(bed, *command)
    assert not sandbox.journal
    (bed.inbox / MARKER_NAME).unlink()
    assert bed.night().rows["created"] == 2


def test_the_doctor_marks_nothing(bed: Bed) -> None:
    """It says that nobody has the inbox yet, and later whose it is."""
    said = bed.desk("doctor", "inbox")
    assert "ok    ownership: it belongs to no ledger yet" in said.out
    assert list(bed.inbox.iterdir()) == []
    bed.night()
    said = bed.desk("doctor", "inbox")
    assert f"ok    ownership: it belongs to this ledger, {marked(bed.inbox)[:8]}, since" in said.out
    assert f"its id is {marked(bed.inbox)[:8]}" in said.out


def test_the_mark_stays(bed: Bed) -> None:
    """It is no arrival, it is not moved, and no purge takes it."""
    bed.arrive("list.csv", people(0, 2))
    bed.night()
    before = marked(bed.inbox)
    assert bed.desk("purge", "--older-than", "0", "--yes").code == Exit.OK
    assert bed.night().files == ()
    assert marked(bed.inbox) == before
    assert [path.parent for path in bed.inbox.rglob(f"{MARKER_NAME}*")] == [bed.inbox]


def test_an_older_copy_reaches_nobody(bed: Bed, sandbox: Sandbox) -> None:
    """A backup put back, or a copy that worked elsewhere meanwhile: it lacks the last night."""
    bed.arrive("first.csv", people(0, 2))
    bed.night()
    ledger, copy = bed.desk.folder / "importer.db", bed.desk.folder / "copy.db"
    shutil.copy(ledger, copy)
    bed.arrive("second.csv", people(2, 3))
    bed.night()
    shutil.copy(copy, ledger)
    bed.arrive("again.csv", people(2, 3) + "\n")
    with pytest.raises(ConfigurationError, match="is an older copy"):
        bed.night()
    assert (bed.inbox / "again.csv").is_file()
    assert len(sandbox.journal) == 5


def test_a_copy_for_a_subfolder_is_a_ledger_of_its_own(bed: Bed, sandbox: Sandbox) -> None:
    """From its first night on the main one does not know whom it contacted, and may not go on."""
    bed.arrive("acme/first.csv", people(0, 2))
    bed.night()
    for end in ("", ".key"):
        shutil.copy(bed.desk.folder / f"importer.db{end}", bed.desk.folder / f"other.db{end}")
    bed.folder_settings("acme", ledger=own_ledger(bed, "other"))
    bed.arrive("acme/second.csv", people(2, 3))
    assert bed.night().rows["created"] == 3
    assert marked(bed.inbox / "acme") != marked(bed.inbox)
    bed.folder_settings("acme")
    bed.arrive("acme/again.csv", people(2, 3) + "\n")
    assert ends(bed) == {"acme": FileEnding.WAITING}
    assert len(sandbox.journal) == 5


def test_a_subfolder_as_an_inbox_belongs_with_the_whole(bed: Bed, sandbox: Sandbox) -> None:
    """Another ledger may not work on a part of an inbox either."""
    bed.arrive("acme/first.csv", people(0, 2))
    bed.night()
    bed.arrive("acme/again.csv", people(0, 2) + "\n")
    said = bed.desk("nightly", "inbox/acme", "--quiet-s", "0", "--ledger", "sqlite:///two.db")
    assert said.code == Exit.SETUP
    assert "belongs to ledger" in said.err
    assert len(sandbox.journal) == 2


def test_a_ledger_of_an_older_version(bed: Bed) -> None:
    """It is upgraded with a backup, and the first night of an inbox that had many just marks it."""
    bed.arrive("done/2026-01-01/old.csv", people(0, 2))
    bed.arrive("held/odd.csv", people(2, 2))
    bed.arrive("working/list.csv", people(4, 2))
    with sqlite3.connect(bed.desk.folder / "importer.db") as old:
        old.executescript(FIRST.read_text("utf-8"))
    old.close()
    assert bed.night().rows["created"] == 2
    assert marked(bed.inbox) == id_of(bed.places.ledger())
    assert len(list(bed.desk.folder.glob("importer.db-before-0015-*"))) == 1
    assert {"done/2026-01-01/old.csv", "held/odd.csv"} < bed.lies()
    assert bed.night().exit_code is Exit.OK


# ---- subfolders ----------------------------------------------------------------------------------


def ends(bed: Bed) -> dict[str, FileEnding]:
    """Plays a night, and says how the file of each folder ended."""
    return {file.folder: file.ending for file in bed.night().files}


def own_ledger(bed: Bed, name: str = "acme") -> str:
    """URL of a ledger for one subfolder."""
    return f"sqlite:///{bed.desk.folder}/{name}.db"


def test_a_subfolder_with_a_ledger_of_its_own(bed: Bed, sandbox: Sandbox) -> None:
    """It has its own mark; with another ledger its files wait, and the others go on."""
    bed.folder_settings("acme", ledger=own_ledger(bed))
    bed.arrive("acme/list.csv", people(0, 3))
    bed.arrive("other/list.csv", people(3, 1))
    assert ends(bed) == {"acme": FileEnding.DONE, "other": FileEnding.DONE}
    own = marked(bed.inbox / "acme")
    assert own == id_of(bed.places.load("acme").ledger) != marked(bed.inbox)
    assert not (bed.inbox / "other" / MARKER_NAME).exists()
    for text in ("", own_ledger(bed, "third")):  # the main one, and a new one
        bed.folder_settings("acme", **({"ledger": text} if text else {}))
        bed.arrive("acme/list.csv", people(0, 3))
        bed.arrive("other/more.csv", people(5 if text else 4, 1))
        night = bed.night()
        found = {file.folder: file for file in night.files if file.ending is not FileEnding.SEEN}
        assert found["acme"].ending is FileEnding.WAITING
        assert found["other"].ending is FileEnding.DONE
        assert f"{bed.inbox}/acme belongs to ledger {own[:8]}" in found["acme"].reason
        assert night.exit_code is Exit.SETUP
        assert any(
            "working/acme/list" in each and "is waiting until you act" in each
            for each in night.todo
        )
        assert "WRONG ownership of acme" in bed.desk("doctor", "inbox").out
    assert max(phones(sandbox).values()) == 1
    assert len(sandbox.journal) == 6
    bed.folder_settings("acme", ledger=own_ledger(bed))
    assert {file.ending for file in bed.night().files} == {FileEnding.SEEN}  # from working/
    assert "ok    ownership of acme" in bed.desk("doctor", "inbox").out
    assert max(phones(sandbox).values()) == 1


def test_a_subfolders_file_from_an_earlier_night(bed: Bed, sandbox: Sandbox) -> None:
    """It was claimed and half sent, and then its ledger changed: it waits for its own."""
    bed.settings(sandbox.base_url, "rate_per_s: 20\n")  # few intents ahead, so witnesses are left
    bed.folder_settings("acme", ledger=own_ledger(bed))
    bed.arrive("acme/list.csv", people(0, 20))
    sandbox.set_faults("slow:1:30")
    process = bed.desk.process(*NIGHTLY)
    while len(sandbox.journal) < 4:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")
    sent = len(sandbox.journal)
    assert bed.lies() == {"working/acme/list.csv"}
    bed.folder_settings("acme")
    bed.arrive("other/list.csv", people(20, 1))
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.DONE]
    assert f"{bed.inbox}/acme belongs to ledger" in night.files[0].reason
    assert len(sandbox.journal) == sent + 1
    assert "working/acme/list.csv" in bed.lies()
    bed.folder_settings("acme", ledger=own_ledger(bed))
    assert ends(bed) == {"acme": FileEnding.DONE}
    assert phones(sandbox) == expected_phones(21)


def test_a_subfolder_that_leaves_the_main_ledger(bed: Bed, sandbox: Sandbox) -> None:
    """A new ledger does not know whom the main one reached: its files wait; a copy does."""
    bed.arrive("acme/list.csv", people(0, 2))
    assert ends(bed) == {"acme": FileEnding.DONE}
    bed.folder_settings("acme", ledger=own_ledger(bed))
    bed.arrive("acme/list.csv", people(0, 2))
    (file,) = bed.night().files
    assert file.ending is FileEnding.WAITING
    assert f"Files of {bed.inbox}/acme were imported with {bed.desk.folder}/" in file.reason
    assert not (bed.inbox / "acme" / MARKER_NAME).exists()
    assert not list(bed.desk.folder.glob("acme.db*"))  # no new ledger was made to be refused
    for end in ("db", "db.key"):
        shutil.copy(bed.desk.folder / f"importer.{end}", bed.desk.folder / f"acme.{end}")
    assert ends(bed) == {"acme": FileEnding.SEEN}
    assert phones(sandbox) == expected_phones(2)


def test_releasing_in_a_subfolder(bed: Bed, sandbox: Sandbox) -> None:
    """What its own ledger held, no other one lets go."""
    bed.folder_settings("acme", ledger=own_ledger(bed))
    bed.arrive("acme/list.csv", people(0, 2) + "Ada,,Chef\n" * 3)
    assert ends(bed) == {"acme": FileEnding.HELD}
    bed.folder_settings("acme")
    said = refused(bed, "release", "inbox/held/acme/list.csv")
    assert f"{bed.inbox}/acme belongs to ledger" in said
    bed.folder_settings("acme", ledger=own_ledger(bed))
    assert bed.desk("release", "inbox/held/acme/list.csv").code == Exit.OK
    assert ends(bed) == {"acme": FileEnding.DONE}
    assert phones(sandbox) == expected_phones(2)


# ---- elsewhere -----------------------------------------------------------------------------------


def far_mark(bed: FarBed) -> str:
    """The id of the ledger that an inbox elsewhere is marked with."""
    mark = parse_marker(bed.far.files()[MARKER_NAME])
    assert mark is not None
    return mark.ledger


def test_a_second_machine_reaches_nobody(
    far_away: FarBed, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It has a ledger of its own, and meets the mark of the first: nothing is fetched or sent."""
    bed, far = far_away, far_away.far
    bed.arrives("list.csv", people(0, 3))
    bed.arrives("odd.csv", people(3, 2) + "Ada,,Chef\n" * 3)
    assert bed.night().rows["created"] == 3
    assert far_mark(bed) == id_of(bed.places.ledger()) == marked(bed.inbox)
    bed.arrives("list.csv", people(0, 3))
    other = far_bed(tmp_path, far, sandbox, "other")
    before = far.files()
    for command in (
        ("nightly", far.address, "--quiet-s", "0"),
        ("release", f"{far.address}/held/odd.csv"),
        ("doctor", far.address),
    ):
        said = refused(other, *command)
        assert f"{far.address} belongs to ledger {far_mark(bed)[:8]} since" in said
    assert far.files() == before
    assert open_claims(other) == 0
    assert other.lies_on_the_desk() == set()
    assert phones(sandbox) == expected_phones(3)
    assert [file.ending for file in bed.night().files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(3)


def test_what_lies_on_the_desk(far_away: FarBed, sandbox: Sandbox) -> None:
    """It was fetched with one ledger; another one leaves it, also while the inbox is away."""
    bed = far_away
    bed.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    bed.clock.time = bed.clock.time.replace(hour=2)
    bed.arrives("list.csv", people(0, 2))
    assert [file.ending for file in bed.night().files] == [FileEnding.WAITING]
    bed.settings(sandbox.base_url, OTHER)
    bed.far.wire.down = True
    with pytest.raises(ConfigurationError, match="belongs to ledger"):
        bed.night()
    assert phones(sandbox) == Counter()
    assert bed.lies_on_the_desk() == {"working/list.csv"}
    bed.settings(sandbox.base_url)
    assert [file.ending for file in bed.night().files] == [FileEnding.DONE]  # by its own it is sent
    assert phones(sandbox) == expected_phones(2)


def test_an_inbox_that_is_away_at_first(far_away: FarBed) -> None:
    """Nobody could look at the mark: nothing is fetched in this night, and the next one does."""
    bed = far_away
    bed.arrives("list.csv", people(0, 2))
    bed.far.wire.down = True
    night = bed.night()
    assert (night.files, night.exit_code) == ((), Exit.SETUP)
    bed.far.wire.down = False
    assert set(bed.far.files()) == {"list.csv"}
    assert bed.night().rows["created"] == 2
    assert far_mark(bed) == id_of(bed.places.ledger())


def test_an_inbox_that_cannot_be_marked(far_away: FarBed, sandbox: Sandbox) -> None:
    """Whose it is cannot be kept there, so nothing is fetched."""
    bed = far_away
    bed.arrives("list.csv", people(0, 2))
    bed.far.refuse_writing(refused=True)
    night = bed.night()
    assert (night.files, night.exit_code) == ((), Exit.SETUP)
    assert set(bed.far.files()) == {"list.csv"}
    assert (phones(sandbox), bed.lies_on_the_desk()) == (Counter(), set())


def test_of_two_marks_the_first_stays(far_away: FarBed) -> None:
    """The store itself sees to it, and what lies there is whole."""
    store = far_away.opened().store
    assert store.read(MARKER_NAME, 100) is None
    for mark in (b"first", b"second"):
        store.create(MARKER_NAME, mark)
    assert store.read(MARKER_NAME, 100) == b"first"
    assert store.read(MARKER_NAME, 2) == b"fi"
    store.close()
    assert far_away.far.files() == {MARKER_NAME: b"first"}


def test_of_several_marks_at_once_one_stays(far_away: FarBed) -> None:
    """Machines that come at the same moment all see the same mark afterwards."""
    marks = [
        render_marker(Marker(f"{number:032x}", far_away.clock.time.date())) for number in range(4)
    ]
    ready = Barrier(len(marks))

    def create(mark: bytes) -> bytes | None:
        store = far_away.opened().store
        assert store.read(MARKER_NAME, MAX_MARKER_BYTES) is None
        ready.wait()
        store.create(MARKER_NAME, mark)
        found = store.read(MARKER_NAME, MAX_MARKER_BYTES)
        store.close()
        return found

    with ThreadPoolExecutor(len(marks)) as pool:
        seen = set(pool.map(create, marks))
    assert len(seen) == 1
    assert seen <= set(marks)
    assert set(far_away.far.files()) == {MARKER_NAME}


def test_a_subfolder_that_is_another_ledgers(far_away: FarBed, sandbox: Sandbox) -> None:
    """Somebody imports it as a folder of a local inbox, with its own ledger: its files wait."""
    bed = far_away
    bed.arrives(f"acme/{MARKER_NAME}", render_marker(Marker("f" * 32, bed.clock.time.date())))
    bed.arrives("acme/list.csv", people(0, 2))
    bed.arrives("other/list.csv", people(2, 1))
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.DONE]
    assert f"{bed.far.address}/acme belongs to ledger ffffffff" in night.files[0].reason
    assert "acme/list.csv" in bed.lies_there()
    said = bed.desk("doctor", bed.far.address).out
    assert f"WRONG ownership of acme: {bed.far.address}/acme belongs to ledger ffffffff" in said
    assert sum(phones(sandbox).values()) == 1
