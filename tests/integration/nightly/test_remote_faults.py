"""What may go wrong with an inbox elsewhere: clear words, nothing lost, nobody written to twice."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from importer.errors import Exit
from importer.nightly.clock import StopSignal
from importer.nightly.inbox import InboxFolders
from importer.nightly.remote.backends import RemoteStopped, S3Files, SftpFiles
from importer.nightly.remote.storage import DRAFT, Store
from importer.report.night_report import FileEnding
from tests.support.night_setup import candidate_list
from tests.support.postgres import server_url
from tests.support.remote_inboxes import (
    RemoteNightSetup,
    date,
    expected_phones,
    make_remote_setup,
    open_claims,
    phones,
)
from tests.support.waiting import wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from importer.nightly.remote.remote_inbox import RemoteInbox
    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import S3Server, SftpServer

__all__ = ["server_url"]  # a fixture


@pytest.fixture
def setup(remote_setup: RemoteNightSetup) -> RemoteNightSetup:
    """Return a machine with settings for an inbox elsewhere."""
    return remote_setup


class Crash(BaseException):
    """The process is gone."""


class Mortal(Store):
    """A store whose process dies at a step: before it is done, or after."""

    def __init__(self, store: Store, step: int, *, after: bool) -> None:
        self.__dict__.update(store.__dict__)
        self.left, self.after = step, after

    def _with_retries(self, attempt: Any) -> Any:
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Crash
        found = super()._with_retries(attempt)
        if self.left == 0:
            raise Crash
        return found


def doomed(inbox: RemoteInbox, *, step: int, after: bool) -> RemoteInbox:
    """Return the inbox of a night that dies at that step."""
    return replace(inbox, store=Mortal(inbox.store, step, after=after))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_step(setup: RemoteNightSetup, sandbox: Sandbox, *, after: bool) -> None:
    """One after the other, with a new list for each: all are imported once and given back.

    EVERY_STEP=1 dies at each of them; by itself the test takes every fifth, to end in time.
    """
    setup.add_remote_file("acme/importer.yaml", "campaign: camp-acme\n")
    alive, stride = setup.made, 1 if os.environ.get("EVERY_STEP") else 5
    for lists, step in enumerate(range(1 + stride // 2 * after, 1_000, stride), 1):
        name = f"acme/list-{step}.csv"
        setup.add_remote_file(name, candidate_list(3 * lists - 3, 3))
        setup.made = partial(doomed, step=step, after=after)
        try:
            setup.night()
        except Crash:
            setup.made = alive
            assert setup.night().exit_code is Exit.OK
            assert setup.faults == []
        else:
            break  # it has no more steps
        assert phones(sandbox) == expected_phones(3 * lists)
        assert (setup.staged_spreadsheets(), open_claims(setup)) == (set(), 0)
        files = setup.remote.files()
        contents = {files[path] for path in setup.remote_spreadsheets()}
        assert contents == {candidate_list(3 * each, 3).encode() for each in range(lists)}
        assert f"done/{date(setup)}/{name}" in files
        assert name not in files
    assert step > 10


CONCURRENCY: Final = 4
"""Requests that are under way at once by default."""


@pytest.fixture(params=["file", "server"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return a ledger that two machines share: in a file, and on a server if there is one."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/shared.db"
    return str(request.getfixturevalue("server_url"))


def test_two_nights_at_once(
    setup: RemoteNightSetup, sandbox: Sandbox, tmp_path: Path, ledger: str
) -> None:
    """On two machines with one ledger: one works, the other one says who does."""
    key = f"hmac_key_file: {tmp_path}/shared.key\n"
    other = make_remote_setup(tmp_path, setup.remote, sandbox, "other")
    for each in (setup, other):
        each.settings(sandbox.base_url, f"ledger: {ledger}\n{key}")
    setup.add_remote_file("list.csv", candidate_list(0, 20))
    sandbox.set_faults("slow:1:60")
    flags = ("nightly", setup.remote.address, "--quiet-s", "0")
    first = setup.workspace.process(*flags)
    wait_until(lambda: len(sandbox.journal) >= CONCURRENCY, first)
    second = other.workspace.process(*flags)
    _, result = second.communicate()
    assert second.returncode == Exit.SETUP
    assert f"The inbox {setup.remote.address} is in use by" in result
    assert f"process {first.pid}" in result
    first.kill()
    first.communicate()
    sandbox.set_faults("")
    # A dead process holds nothing, once a server has noticed that it is dead.
    other.settings(sandbox.base_url, f"ledger: {ledger}\n{key}ledger_wait_s: 30\n")
    # Beside what was under way, only a file's sender has an intent for what it was about to send.
    about_to_send = ledger.startswith("sqlite")
    assert other.night().exit_code is (Exit.DOUBTFUL if about_to_send else Exit.OK)
    setup.add_remote_file("later.csv", candidate_list(20, 1))
    night = other.night()  # its conversation is the witness that settles the others
    assert night.exit_code is (Exit.SETUP if about_to_send else Exit.OK)
    assert any("send with `importer resume" in each for each in night.notes) is about_to_send
    assert max(phones(sandbox).values()) == 1
    assert set(phones(sandbox)) <= set(expected_phones(21))


def test_two_that_meet_at_one_file(setup: RemoteNightSetup) -> None:
    """Even where the lock was lost, the ledger gives a file to one of them."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    one, other = setup.opened(), InboxFolders(setup.workspace.folder / "elsewhere")
    two = replace(setup.opened(), folders=other)
    for each in (one, two):
        each.folders.root.mkdir(parents=True)
    (first,), (second,) = one.list_arrivals(), two.list_arrivals()
    assert one.claim(first) == one.folders.root / "working/list.csv"
    assert two.claim(second) is None
    assert (one.list_arrivals(), two.list_arrivals()) == ([], [])
    one.store.close()
    two.store.close()


def test_a_file_that_changes_before_it_is_fetched(
    setup: RemoteNightSetup, sandbox: Sandbox
) -> None:
    """What was seen is not taken, and the new file is an arrival of its own."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    inbox = setup.opened()
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    setup.add_remote_file("list.csv", candidate_list(0, 3))
    assert inbox.claim(arrival) is None
    assert open_claims(setup) == 0
    (arrival,) = inbox.list_arrivals()
    inbox.store.close()
    assert setup.night().rows["created"] == 3
    assert phones(sandbox) == expected_phones(3)


def test_a_file_that_changes_while_it_is_imported(
    setup: RemoteNightSetup, sandbox: Sandbox
) -> None:
    """What was fetched is imported, what was uploaded meanwhile too; neither is lost."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    inbox = setup.opened()
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    assert inbox.claim(arrival) is not None
    inbox.store.close()
    setup.add_remote_file("list.csv", candidate_list(2, 3))
    assert setup.night().rows["created"] == 5
    done = f"done/{date(setup)}"
    files = setup.remote.files()
    assert {files[f"{done}/list.csv"], files[f"{done}/list-2.csv"]} == {
        candidate_list(0, 2).encode(),
        candidate_list(2, 3).encode(),
    }
    assert setup.remote_spreadsheets() == {f"{done}/list.csv", f"{done}/list-2.csv"}
    assert phones(sandbox) == expected_phones(5)


def test_an_upload_at_the_moment_of_a_removal(setup: RemoteNightSetup) -> None:
    """The store itself looks which file it is: another one stays, also after a crash."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    inbox = setup.opened()
    old = inbox.store.entry("list.csv")
    assert old is not None
    setup.add_remote_file("list.csv", candidate_list(0, 3))
    files = inbox.store._files
    if isinstance(files, S3Files):
        assert not files.remove_checked("list.csv", old)
    assert not inbox.store.remove("list.csv", old.version)
    assert setup.remote.files() == {"list.csv": candidate_list(0, 3).encode()}
    new = inbox.store.entry("list.csv")
    assert new is not None
    if isinstance(files, SftpFiles):  # it died once the file was aside, and another one came
        files.system.mv(files.address.below("list.csv"), files._aside("list.csv", new.version))
        setup.add_remote_file("list.csv", candidate_list(0, 4))
    assert inbox.store.remove("list.csv", new.version)
    assert set(setup.remote.files()) == ({"list.csv"} if isinstance(files, SftpFiles) else set())
    assert inbox.store.remove("list.csv", "none") is not isinstance(files, SftpFiles)
    inbox.store.close()


def test_an_upload_that_goes_on(setup: RemoteNightSetup) -> None:
    """A file that changes between two looks waits until it does not."""
    setup.add_remote_file("list.csv", candidate_list(0, 2)[:40])
    setup.clock.time = setup.clock.time.replace(year=2020)  # by the clock nothing is old enough
    later = setup.clock.time.replace(minute=setup.clock.time.minute)
    setup.clock.events.append(
        (later, lambda: setup.add_remote_file("list.csv", candidate_list(0, 2)))
    )
    assert setup.night().rows["created"] == 2
    assert len(setup.clock.waits) >= 2


def test_a_transfer_that_is_cut(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """After some tries it is left for the next night; a file that comes through is imported."""
    setup.add_remote_file("a.csv", candidate_list(0, 20_000))
    setup.add_remote_file("b.csv", candidate_list(0, 2))
    setup.remote.wire.cut_after = 300_000
    night = setup.night()
    assert [(file.name, file.ending) for file in night.files] == [
        ("a.csv", FileEnding.WAITING),
        ("b.csv", FileEnding.DONE),
    ]
    assert "does not answer properly" in night.files[0].reason
    assert (night.exit_code, phones(sandbox)) == (Exit.SETUP, expected_phones(2))
    assert setup.remote_spreadsheets() == {"a.csv", f"done/{date(setup)}/b.csv"}
    assert (setup.staged_spreadsheets(), open_claims(setup)) == (set(), 1)
    setup.add_remote_file(
        "c.csv", candidate_list(0, 2)
    )  # though the first one is broken, it goes on with others
    assert [file.name for file in setup.night().files] == ["c.csv"]
    setup.remote.wire.cut_after = None
    setup.add_remote_file(
        "a.csv", candidate_list(0, 3)
    )  # nothing was imported of it, so it may as well be another
    assert setup.night().exit_code is Exit.OK
    assert phones(sandbox) == expected_phones(3)
    assert open_claims(setup) == 0


def test_an_inbox_that_is_away(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Staged files are imported; their results are uploaded when the inbox answers again."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    setup.clock.time = setup.clock.time.replace(hour=2)
    assert setup.night().files[0].ending is FileEnding.WAITING
    setup.clock.time = setup.clock.time.replace(hour=9)
    setup.remote.wire.down = True
    night = setup.night()
    assert (night.files[0].ending, night.exit_code) == (FileEnding.DONE, Exit.SETUP)
    assert phones(sandbox) == expected_phones(2)
    assert any("not uploaded" in note and "next night" in note for note in night.notes)
    assert sum(setup.clock.waits) < 1200
    setup.remote.wire.down = False
    assert setup.remote_spreadsheets() == {"list.csv"}
    night = setup.night()
    assert (night.files, night.exit_code) == ((), Exit.OK)
    assert setup.remote_spreadsheets() == {f"done/{date(setup)}/list.csv"}
    assert f"done/{date(setup)}/list.csv.results.csv" in setup.remote.files()
    assert phones(sandbox) == expected_phones(2)


def test_an_inbox_that_cannot_be_written_to(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Its files are imported once, and everything is given back when it may be."""
    setup.night()  # the first one marks the inbox
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.remote.refuse_writing(refused=True)
    for _ in range(2):
        night = setup.night()
        assert night.exit_code is Exit.SETUP
        assert any(
            "refuses access" in note and "listing, reading, writing" in note for note in night.notes
        )
        assert setup.remote_spreadsheets() == {"list.csv"}
        assert setup.faults != []
    assert phones(sandbox) == expected_phones(2)
    setup.remote.refuse_writing(refused=False)
    assert setup.night().exit_code is Exit.OK
    assert setup.remote_spreadsheets() == {f"done/{date(setup)}/list.csv"}
    assert (setup.staged_spreadsheets(), open_claims(setup)) == (set(), 0)
    assert phones(sandbox) == expected_phones(2)


def test_a_file_that_comes_too_slowly(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """It is left after remote_file_s, whatever still comes."""
    setup.settings(sandbox.base_url, "remote_file_s: 0\n")
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    before = setup.clock.elapsed_s
    ticks = iter(range(1_000_000))
    setup.clock.elapsed_s = lambda: before() + next(ticks) / 1000  # type: ignore[method-assign]
    night = setup.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.SETUP, FileEnding.WAITING)
    assert "took too long" in night.files[0].reason
    assert setup.remote_spreadsheets() == {"list.csv"}


def test_told_to_stop(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Before it begins: nothing is claimed."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    stop = StopSignal(0.0)
    stop.request()
    assert setup.night(stop).exit_code is Exit.INTERRUPTED
    assert (setup.remote_spreadsheets(), open_claims(setup), sandbox.requests) == (
        {"list.csv"},
        0,
        0,
    )


def test_told_to_stop_while_it_fetches(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """The claim stays, and the next night begins with it."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    stop = StopSignal(0.0)
    inbox = setup.opened(stop)
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    stop.request()
    with pytest.raises(RemoteStopped, match="ended before the whole file"):
        inbox.claim(arrival)
    inbox.store.close()
    assert (open_claims(setup), (setup.inbox / DRAFT).exists()) == (1, True)
    assert setup.night().rows["created"] == 2
    assert not (setup.inbox / DRAFT).exists()
    assert phones(sandbox) == expected_phones(2)


def test_settings_that_cannot_be_read(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """A file is not imported without its own: they name the campaign."""
    setup.add_remote_file("acme/importer.yaml", "campaign: [\n")
    setup.add_remote_file("acme/list.csv", candidate_list(0, 2))
    night = setup.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.SETUP, FileEnding.WAITING)
    assert phones(sandbox) == Counter()
    setup.add_remote_file("acme/importer.yaml", "campaign: camp-acme\n")
    assert setup.night().rows["created"] == 2


# ---- what is wrong, in words ---------------------------------------------------------------------


def wrong(setup: RemoteNightSetup, address: str) -> str:
    """Return what the doctor says of an inbox."""
    result = setup.workspace("doctor", address)
    lines = [line for line in result.out.splitlines() if line.startswith("WRONG")]
    assert result.code == (Exit.SETUP if lines else Exit.OK), result.err
    return "\n".join(lines)


def test_the_doctor_finds_all_well(setup: RemoteNightSetup) -> None:
    """It leaves nothing there, nor in the staging folder."""
    setup.add_remote_file("acme/importer.yaml", "campaign: camp-acme\n")
    result = setup.workspace("doctor", setup.remote.address)
    assert wrong(setup, setup.remote.address) == ""
    assert "campaign camp-acme" in result.out
    assert set(setup.remote.files()) == {"acme/importer.yaml"}
    assert not setup.inbox.exists()


def test_the_doctor_names_what_is_wrong(setup: RemoteNightSetup) -> None:
    """An inbox that refuses, and one that is not there."""
    setup.remote.refuse_writing(refused=True)
    assert "refuses access: the credentials are wrong or lack permission" in wrong(
        setup, setup.remote.address
    )
    setup.remote.refuse_writing(refused=False)
    place = setup.remote.address.replace("bucket-", "none-") + "-none"
    assert (
        "does not exist: the bucket or the folder is missing. Make it, or correct its name."
        in wrong(setup, place)
    )


def test_the_doctor_and_hosts(sftp_server: SftpServer, tmp_path: Path, sandbox: Sandbox) -> None:
    """A host that nobody knows, one that is another one, and one that does not know us."""
    setup = make_remote_setup(tmp_path, sftp_server, sandbox)
    known = tmp_path / "home/.ssh/known_hosts"
    line = known.read_text("utf-8")
    known.write_text("")
    assert "The host key of sftp://127.0.0.1 is not in known_hosts." in wrong(
        setup, sftp_server.address
    )
    assert known.read_text("utf-8") == ""
    ours = (tmp_path / "home/.ssh/id_ed25519.pub").read_text("utf-8").split()[1]
    known.write_text(f"{line.split()[0]} ssh-ed25519 {ours}\n")
    assert "shows another host key than known_hosts has" in wrong(setup, sftp_server.address)
    known.write_text(line)
    (tmp_path / "sshd/authorized").write_text("")
    assert "refuses access" in wrong(setup, sftp_server.address)


def test_the_doctor_and_credentials(
    s3_server: S3Server, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at all, and a scheme whose extra is not installed."""
    setup = make_remote_setup(tmp_path, s3_server, sandbox)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    result = wrong(setup, s3_server.address)
    assert "There are no credentials for s3://" in result
    assert "AWS_PROFILE" in result
    assert "pip install '.[gs]'" in wrong(setup, "gs://bucket/inbox")


def test_no_secret_in_an_address(setup: RemoteNightSetup) -> None:
    """It is refused with what to do instead, and not repeated."""
    result = setup.workspace("nightly", "sftp://ada:hunter2@127.0.0.1/inbox")
    assert result.code == Exit.USAGE
    assert "key file or an agent" in result.err
    assert "hunter2" not in result.err + result.out
