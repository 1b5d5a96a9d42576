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
from tests.support.night_setup import NightSetup, candidate_list
from tests.support.postgres import server_url
from tests.support.remote_inboxes import (
    RemoteNightSetup,
    expected_phones,
    make_remote_setup,
    open_claims,
    phones,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

__all__ = ["server_url"]  # a fixture

FIRST = Path(__file__).parents[2] / "unit" / "ledger" / "version-0001.sql"
OTHER = "ledger: sqlite:///other.db\n"
NIGHTLY = ("nightly", "inbox", "--quiet-s", "0")


def marked(folder: Path) -> str:
    """Return the id of the ledger that a folder is marked with."""
    mark = parse_marker((folder / MARKER_NAME).read_bytes())
    assert mark is not None
    return mark.ledger


def id_of(url: str) -> str:
    """Return the id of a ledger."""
    with Ledger.open(url, create=False) as ledger:
        return ledger.id


def refused(setup: NightSetup, *command: str) -> str:
    """Type a command that another ledger's marker refuses; return what it says."""
    before = setup.spreadsheets()
    result = setup.workspace(*command)
    assert result.code == Exit.SETUP, result
    assert setup.spreadsheets() == before
    return result.out if command[0] == "doctor" else result.error


def test_a_second_ledger_reaches_nobody(setup: NightSetup, sandbox: Sandbox) -> None:
    """The list comes again and meets a new ledger: it stays where it is, and nothing is sent."""
    setup.add_file("list.csv", candidate_list(0, 5))
    setup.add_file("odd.csv", candidate_list(5, 2) + "Ada,,Chef\n" * 3)
    assert setup.night().rows["created"] == 5
    with Ledger.open(setup.inbox_settings.ledger()) as ledger:
        first, day = ledger.id, ledger.nights.list()[0].started
    setup.add_file("list.csv", candidate_list(0, 5))
    setup.settings(sandbox.base_url, OTHER)
    asked = sandbox.requests
    for command in (NIGHTLY, ("release", "inbox/held/odd.csv"), ("doctor", "inbox")):
        result = refused(setup, *command)
        assert f"{setup.inbox} belongs to ledger {first[:8]} since {day:%Y-%m-%d}, not" in result
        assert f"To let this ledger take over, remove {setup.inbox}/{MARKER_NAME}." in result
    assert sandbox.requests <= asked + 1  # the doctor asks
    assert phones(sandbox) == expected_phones(5)
    with Ledger.open(setup.inbox_settings.ledger()) as ledger:
        assert ledger.submissions.is_empty()
        assert ledger.nights.list() == ()
    setup.settings(sandbox.base_url)
    assert [file.ending for file in setup.night().files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(5)


def test_a_ledger_that_was_lost(setup: NightSetup) -> None:
    """Without it the night ends with what that means; without the mark a new one takes over."""
    setup.add_file("list.csv", candidate_list(0, 2))
    setup.night()
    first = marked(setup.inbox)
    setup.add_file("new.csv", candidate_list(2, 2))
    for file in setup.workspace.folder.glob("importer.db*"):
        file.unlink()
    assert "no other ledger knows who was contacted from here" in refused(setup, *NIGHTLY)
    (setup.inbox / MARKER_NAME).unlink()
    assert setup.night().rows["created"] == 2
    assert marked(setup.inbox) == id_of(setup.inbox_settings.ledger()) != first


def test_a_copy_of_the_ledger(setup: NightSetup, sandbox: Sandbox) -> None:
    """It knows who was contacted, so it goes on wherever it lies."""
    setup.add_file("list.csv", candidate_list(0, 2))
    setup.night()
    for name in ("importer.db", "importer.db.key"):
        shutil.move(
            setup.workspace.folder / name,
            setup.workspace.folder / name.replace("importer", "other"),
        )
    setup.settings(sandbox.base_url, OTHER)
    setup.add_file("list.csv", candidate_list(0, 2))
    assert [file.ending for file in setup.night().files] == [FileEnding.SEEN]


def test_on_a_server(setup: NightSetup, sandbox: Sandbox, server_url: str) -> None:
    """The ledger of the first nights is on a server, and the other one in a file."""
    setup.settings(sandbox.base_url, f"ledger: {server_url}\nhmac_key_file: server.key\n")
    setup.add_file("list.csv", candidate_list(0, 2))
    setup.night()
    assert marked(setup.inbox) == id_of(server_url)
    setup.settings(sandbox.base_url)
    setup.add_file("list.csv", candidate_list(0, 2))
    refused(setup, *NIGHTLY)
    assert phones(sandbox) == expected_phones(2)
    setup.settings(sandbox.base_url, f"ledger: {server_url}\nhmac_key_file: server.key\n")
    assert [file.ending for file in setup.night().files] == [FileEnding.SEEN]


@pytest.mark.parametrize("raw", [b"", b"ledger: 12\n"])
def test_a_damaged_mark(setup: NightSetup, sandbox: Sandbox, raw: bytes) -> None:
    """Nobody can tell whose the inbox is: nothing is sent until somebody said so."""
    setup.add_file("list.csv", candidate_list(0, 2))
    (setup.inbox / MARKER_NAME).write_bytes(raw)
    for command in (NIGHTLY, ("doctor", "inbox")):
        assert f"its marker {setup.inbox}/{MARKER_NAME} is damaged" in refused(setup, *command)
    assert not sandbox.journal
    (setup.inbox / MARKER_NAME).unlink()
    assert setup.night().rows["created"] == 2


def test_the_doctor_marks_nothing(setup: NightSetup) -> None:
    """It says that nobody has the inbox yet, and later whose it is."""
    result = setup.workspace("doctor", "inbox")
    assert "ok    ownership: it belongs to no ledger yet" in result.out
    assert list(setup.inbox.iterdir()) == []
    setup.night()
    result = setup.workspace("doctor", "inbox")
    assert (
        f"ok    ownership: it belongs to this ledger, {marked(setup.inbox)[:8]}, since"
        in result.out
    )
    assert f"its id is {marked(setup.inbox)[:8]}" in result.out


def test_the_mark_stays(setup: NightSetup) -> None:
    """It is no arrival, it is not moved, and no purge takes it."""
    setup.add_file("list.csv", candidate_list(0, 2))
    setup.night()
    before = marked(setup.inbox)
    assert setup.workspace("purge", "--older-than", "0", "--yes").code == Exit.OK
    assert setup.night().files == ()
    assert marked(setup.inbox) == before
    assert [path.parent for path in setup.inbox.rglob(f"{MARKER_NAME}*")] == [setup.inbox]


def test_an_older_copy_reaches_nobody(setup: NightSetup, sandbox: Sandbox) -> None:
    """A backup put back, or a copy that worked elsewhere meanwhile: it lacks the last night."""
    setup.add_file("first.csv", candidate_list(0, 2))
    setup.night()
    ledger, copy = setup.workspace.folder / "importer.db", setup.workspace.folder / "copy.db"
    shutil.copy(ledger, copy)
    setup.add_file("second.csv", candidate_list(2, 3))
    setup.night()
    shutil.copy(copy, ledger)
    setup.add_file("again.csv", candidate_list(2, 3) + "\n")
    with pytest.raises(ConfigurationError, match="is an older copy"):
        setup.night()
    assert (setup.inbox / "again.csv").is_file()
    assert len(sandbox.journal) == 5


def test_a_copy_for_a_subfolder_is_a_ledger_of_its_own(setup: NightSetup, sandbox: Sandbox) -> None:
    """From its first night on, the main one does not know who was contacted, and may not go on."""
    setup.add_file("acme/first.csv", candidate_list(0, 2))
    setup.night()
    for end in ("", ".key"):
        shutil.copy(
            setup.workspace.folder / f"importer.db{end}", setup.workspace.folder / f"other.db{end}"
        )
    setup.folder_settings("acme", ledger=own_ledger(setup, "other"))
    setup.add_file("acme/second.csv", candidate_list(2, 3))
    assert setup.night().rows["created"] == 3
    assert marked(setup.inbox / "acme") != marked(setup.inbox)
    setup.folder_settings("acme")
    setup.add_file("acme/again.csv", candidate_list(2, 3) + "\n")
    assert ends(setup) == {"acme": FileEnding.WAITING}
    assert len(sandbox.journal) == 5


def test_a_subfolder_as_an_inbox_belongs_with_the_whole(
    setup: NightSetup, sandbox: Sandbox
) -> None:
    """Another ledger may not work on a part of an inbox either."""
    setup.add_file("acme/first.csv", candidate_list(0, 2))
    setup.night()
    setup.add_file("acme/again.csv", candidate_list(0, 2) + "\n")
    result = setup.workspace(
        "nightly", "inbox/acme", "--quiet-s", "0", "--ledger", "sqlite:///two.db"
    )
    assert result.code == Exit.SETUP
    assert "belongs to ledger" in result.err
    assert len(sandbox.journal) == 2


def test_a_ledger_of_an_older_version(setup: NightSetup) -> None:
    """It is upgraded with a backup, and the first night of an inbox that had many just marks it."""
    setup.add_file("done/2026-01-01/old.csv", candidate_list(0, 2))
    setup.add_file("held/odd.csv", candidate_list(2, 2))
    setup.add_file("working/list.csv", candidate_list(4, 2))
    with sqlite3.connect(setup.workspace.folder / "importer.db") as old:
        old.executescript(FIRST.read_text("utf-8"))
    old.close()
    assert setup.night().rows["created"] == 2
    assert marked(setup.inbox) == id_of(setup.inbox_settings.ledger())
    assert len(list(setup.workspace.folder.glob("importer.db-before-0016-*"))) == 1
    assert {"done/2026-01-01/old.csv", "held/odd.csv"} < setup.spreadsheets()
    assert setup.night().exit_code is Exit.OK


# ---- subfolders ----------------------------------------------------------------------------------


def ends(setup: NightSetup) -> dict[str, FileEnding]:
    """Play a night, and say how the file of each folder ended."""
    return {file.folder: file.ending for file in setup.night().files}


def own_ledger(setup: NightSetup, name: str = "acme") -> str:
    """Return URL of a ledger for one subfolder."""
    return f"sqlite:///{setup.workspace.folder}/{name}.db"


def test_a_subfolder_with_a_ledger_of_its_own(setup: NightSetup, sandbox: Sandbox) -> None:
    """It has its own mark; with another ledger its files wait, and the others go on."""
    setup.folder_settings("acme", ledger=own_ledger(setup))
    setup.add_file("acme/list.csv", candidate_list(0, 3))
    setup.add_file("other/list.csv", candidate_list(3, 1))
    assert ends(setup) == {"acme": FileEnding.DONE, "other": FileEnding.DONE}
    own = marked(setup.inbox / "acme")
    assert own == id_of(setup.inbox_settings.load("acme").ledger) != marked(setup.inbox)
    assert not (setup.inbox / "other" / MARKER_NAME).exists()
    for text in ("", own_ledger(setup, "third")):  # the main one, and a new one
        setup.folder_settings("acme", **({"ledger": text} if text else {}))
        setup.add_file("acme/list.csv", candidate_list(0, 3))
        setup.add_file("other/more.csv", candidate_list(5 if text else 4, 1))
        night = setup.night()
        found = {file.folder: file for file in night.files if file.ending is not FileEnding.SEEN}
        assert found["acme"].ending is FileEnding.WAITING
        assert found["other"].ending is FileEnding.DONE
        assert f"{setup.inbox}/acme belongs to ledger {own[:8]}" in found["acme"].reason
        assert night.exit_code is Exit.SETUP
        assert any(
            "working/acme/list" in each and "is waiting until you act" in each
            for each in night.todo
        )
        assert "WRONG ownership of acme" in setup.workspace("doctor", "inbox").out
    assert max(phones(sandbox).values()) == 1
    assert len(sandbox.journal) == 6
    setup.folder_settings("acme", ledger=own_ledger(setup))
    assert {file.ending for file in setup.night().files} == {FileEnding.SEEN}  # from working/
    assert "ok    ownership of acme" in setup.workspace("doctor", "inbox").out
    assert max(phones(sandbox).values()) == 1


def test_a_subfolders_file_from_an_earlier_night(setup: NightSetup, sandbox: Sandbox) -> None:
    """It was claimed and half sent, and then its ledger changed: it waits for its own."""
    setup.settings(sandbox.base_url, "rate_per_s: 20\n")  # few intents ahead, so witnesses are left
    setup.folder_settings("acme", ledger=own_ledger(setup))
    setup.add_file("acme/list.csv", candidate_list(0, 20))
    sandbox.set_faults("slow:1:30")
    process = setup.workspace.process(*NIGHTLY)
    wait_until(lambda: len(sandbox.journal) >= 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")
    sent = len(sandbox.journal)
    assert setup.spreadsheets() == {"working/acme/list.csv"}
    setup.folder_settings("acme")
    setup.add_file("other/list.csv", candidate_list(20, 1))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.DONE]
    assert f"{setup.inbox}/acme belongs to ledger" in night.files[0].reason
    assert len(sandbox.journal) == sent + 1
    assert "working/acme/list.csv" in setup.spreadsheets()
    setup.folder_settings("acme", ledger=own_ledger(setup))
    assert ends(setup) == {"acme": FileEnding.DONE}
    assert phones(sandbox) == expected_phones(21)


def test_a_subfolder_that_leaves_the_main_ledger(setup: NightSetup, sandbox: Sandbox) -> None:
    """A new ledger does not know who the main one reached: its files wait; a copy does."""
    setup.add_file("acme/list.csv", candidate_list(0, 2))
    assert ends(setup) == {"acme": FileEnding.DONE}
    setup.folder_settings("acme", ledger=own_ledger(setup))
    setup.add_file("acme/list.csv", candidate_list(0, 2))
    (file,) = setup.night().files
    assert file.ending is FileEnding.WAITING
    assert (
        f"Files of {setup.inbox}/acme were imported with {setup.workspace.folder}/" in file.reason
    )
    assert not (setup.inbox / "acme" / MARKER_NAME).exists()
    assert not list(setup.workspace.folder.glob("acme.db*"))  # no new ledger was made to be refused
    for end in ("db", "db.key"):
        shutil.copy(
            setup.workspace.folder / f"importer.{end}", setup.workspace.folder / f"acme.{end}"
        )
    assert ends(setup) == {"acme": FileEnding.SEEN}
    assert phones(sandbox) == expected_phones(2)


def test_releasing_in_a_subfolder(setup: NightSetup, sandbox: Sandbox) -> None:
    """What its own ledger held, no other one lets go."""
    setup.folder_settings("acme", ledger=own_ledger(setup))
    setup.add_file("acme/list.csv", candidate_list(0, 2) + "Ada,,Chef\n" * 3)
    assert ends(setup) == {"acme": FileEnding.HELD}
    setup.folder_settings("acme")
    result = refused(setup, "release", "inbox/held/acme/list.csv")
    assert f"{setup.inbox}/acme belongs to ledger" in result
    setup.folder_settings("acme", ledger=own_ledger(setup))
    assert setup.workspace("release", "inbox/held/acme/list.csv").code == Exit.OK
    assert ends(setup) == {"acme": FileEnding.DONE}
    assert phones(sandbox) == expected_phones(2)


# ---- elsewhere -----------------------------------------------------------------------------------


def far_mark(setup: RemoteNightSetup) -> str:
    """Return the id of the ledger that an inbox elsewhere is marked with."""
    mark = parse_marker(setup.remote.files()[MARKER_NAME])
    assert mark is not None
    return mark.ledger


def test_a_second_machine_reaches_nobody(
    remote_setup: RemoteNightSetup, sandbox: Sandbox, tmp_path: Path
) -> None:
    """It has a ledger of its own, and meets the mark of the first: nothing is fetched or sent."""
    setup, remote = remote_setup, remote_setup.remote
    setup.add_remote_file("list.csv", candidate_list(0, 3))
    setup.add_remote_file("odd.csv", candidate_list(3, 2) + "Ada,,Chef\n" * 3)
    assert setup.night().rows["created"] == 3
    assert far_mark(setup) == id_of(setup.inbox_settings.ledger()) == marked(setup.inbox)
    setup.add_remote_file("list.csv", candidate_list(0, 3))
    other = make_remote_setup(tmp_path, remote, sandbox, "other")
    before = remote.files()
    for command in (
        ("nightly", remote.address, "--quiet-s", "0"),
        ("release", f"{remote.address}/held/odd.csv"),
        ("doctor", remote.address),
    ):
        result = refused(other, *command)
        assert f"{remote.address} belongs to ledger {far_mark(setup)[:8]} since" in result
    assert remote.files() == before
    assert open_claims(other) == 0
    assert other.staged_spreadsheets() == set()
    assert phones(sandbox) == expected_phones(3)
    assert [file.ending for file in setup.night().files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(3)


def test_what_lies_on_the_desk(remote_setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """It was fetched with one ledger; another one leaves it, also while the inbox is away."""
    setup = remote_setup
    setup.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    setup.clock.time = setup.clock.time.replace(hour=2)
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    assert [file.ending for file in setup.night().files] == [FileEnding.WAITING]
    setup.settings(sandbox.base_url, OTHER)
    setup.remote.wire.down = True
    with pytest.raises(ConfigurationError, match="belongs to ledger"):
        setup.night()
    assert phones(sandbox) == Counter()
    assert setup.staged_spreadsheets() == {"working/list.csv"}
    setup.settings(sandbox.base_url)
    assert [file.ending for file in setup.night().files] == [
        FileEnding.DONE
    ]  # by its own it is sent
    assert phones(sandbox) == expected_phones(2)


def test_an_inbox_that_is_away_at_first(remote_setup: RemoteNightSetup) -> None:
    """Nobody could look at the mark: nothing is fetched in this night, and the next one does."""
    setup = remote_setup
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.remote.wire.down = True
    night = setup.night()
    assert (night.files, night.exit_code) == ((), Exit.SETUP)
    setup.remote.wire.down = False
    assert set(setup.remote.files()) == {"list.csv"}
    assert setup.night().rows["created"] == 2
    assert far_mark(setup) == id_of(setup.inbox_settings.ledger())


def test_an_inbox_that_cannot_be_marked(remote_setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Whose it is cannot be kept there, so nothing is fetched."""
    setup = remote_setup
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.remote.refuse_writing(refused=True)
    night = setup.night()
    assert (night.files, night.exit_code) == ((), Exit.SETUP)
    assert set(setup.remote.files()) == {"list.csv"}
    assert (phones(sandbox), setup.staged_spreadsheets()) == (Counter(), set())


def test_of_two_marks_the_first_stays(remote_setup: RemoteNightSetup) -> None:
    """The store itself makes sure, and its marker is whole."""
    store = remote_setup.opened().store
    assert store.read(MARKER_NAME, 100) is None
    for mark in (b"first", b"second"):
        store.create(MARKER_NAME, mark)
    assert store.read(MARKER_NAME, 100) == b"first"
    assert store.read(MARKER_NAME, 2) == b"fi"
    store.close()
    assert remote_setup.remote.files() == {MARKER_NAME: b"first"}


def test_of_several_marks_at_once_one_stays(remote_setup: RemoteNightSetup) -> None:
    """Machines that come at the same moment all see the same mark afterwards."""
    marks = [
        render_marker(Marker(f"{number:032x}", remote_setup.clock.time.date()))
        for number in range(4)
    ]
    ready = Barrier(len(marks))

    def create(mark: bytes) -> bytes | None:
        store = remote_setup.opened().store
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
    assert set(remote_setup.remote.files()) == {MARKER_NAME}


def test_a_subfolder_that_is_another_ledgers(
    remote_setup: RemoteNightSetup, sandbox: Sandbox
) -> None:
    """Somebody imports it as a folder of a local inbox, with its own ledger: its files wait."""
    setup = remote_setup
    setup.add_remote_file(
        f"acme/{MARKER_NAME}", render_marker(Marker("f" * 32, setup.clock.time.date()))
    )
    setup.add_remote_file("acme/list.csv", candidate_list(0, 2))
    setup.add_remote_file("other/list.csv", candidate_list(2, 1))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.WAITING, FileEnding.DONE]
    assert f"{setup.remote.address}/acme belongs to ledger ffffffff" in night.files[0].reason
    assert "acme/list.csv" in setup.remote_spreadsheets()
    result = setup.workspace("doctor", setup.remote.address).out
    assert (
        f"WRONG ownership of acme: {setup.remote.address}/acme belongs to ledger ffffffff" in result
    )
    assert sum(phones(sandbox).values()) == 1
