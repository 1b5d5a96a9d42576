"""What may go wrong with an inbox elsewhere: clear words, nothing lost, nobody written to twice."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from importer.errors import Exit
from importer.nightly.clock import StopSignal
from importer.nightly.inbox import InboxFolders
from importer.nightly.remote.backends import RemoteStopped, S3Files, SftpFiles
from importer.nightly.remote.storage import DRAFT, Store
from importer.report.night_report import FileEnding
from tests.support.nights import people
from tests.support.postgres import server_url
from tests.support.remote_inboxes import FarBed, date, expected_phones, far_bed, open_claims, phones

if TYPE_CHECKING:
    from pathlib import Path

    from importer.nightly.remote.remote_inbox import RemoteInbox
    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import FarS3, FarSftp

__all__ = ["server_url"]  # a fixture


@pytest.fixture
def bed(far_away: FarBed) -> FarBed:
    """It lies elsewhere."""
    return far_away


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
    """The inbox of a night that dies at that step."""
    return replace(inbox, store=Mortal(inbox.store, step, after=after))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_crash_at_any_step(bed: FarBed, sandbox: Sandbox, *, after: bool) -> None:
    """One after the other, with a new list for each: all are imported once and given back.

    EVERY_STEP=1 dies at each of them; by itself the test takes every fifth, to end in time.
    """
    bed.arrives("acme/importer.yaml", "campaign: camp-acme\n")
    alive, stride = bed.made, 1 if os.environ.get("EVERY_STEP") else 5
    for lists, step in enumerate(range(1 + stride // 2 * after, 1_000, stride), 1):
        name = f"acme/list-{step}.csv"
        bed.arrives(name, people(3 * lists - 3, 3))
        bed.made = partial(doomed, step=step, after=after)
        try:
            bed.night()
        except Crash:
            bed.made = alive
            assert bed.night().exit_code is Exit.OK
            assert bed.faults == []
        else:
            break  # it has no more steps
        assert phones(sandbox) == expected_phones(3 * lists)
        assert (bed.lies_on_the_desk(), open_claims(bed)) == (set(), 0)
        files = bed.far.files()
        contents = {files[path] for path in bed.lies_there()}
        assert contents == {people(3 * each, 3).encode() for each in range(lists)}
        assert f"done/{date(bed)}/{name}" in files
        assert name not in files
    assert step > 10


@pytest.fixture(params=["file", "server"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A ledger that two machines share: in a file, and on a server where there is one."""
    if request.param == "file":
        return f"sqlite:///{tmp_path}/shared.db"
    return str(request.getfixturevalue("server_url"))


def test_two_nights_at_once(bed: FarBed, sandbox: Sandbox, tmp_path: Path, ledger: str) -> None:
    """On two machines with one ledger: one works, the other one says who does."""
    key = f"hmac_key_file: {tmp_path}/shared.key\n"
    other = far_bed(tmp_path, bed.far, sandbox, "other")
    for each in (bed, other):
        each.settings(sandbox.base_url, f"ledger: {ledger}\n{key}")
    bed.arrives("list.csv", people(0, 20))
    sandbox.set_faults("slow:1:60")
    flags = ("nightly", bed.far.address, "--quiet-s", "0")
    first = bed.desk.process(*flags)
    while not sandbox.journal:
        assert first.poll() is None
    second = other.desk.process(*flags)
    _, said = second.communicate()
    assert second.returncode == Exit.SETUP
    assert f"The inbox {bed.far.address} is in use by" in said
    assert f"process {first.pid}" in said
    first.kill()
    first.communicate()
    sandbox.set_faults("")
    # A dead process holds nothing, once a server has noticed that it is dead.
    other.settings(sandbox.base_url, f"ledger: {ledger}\n{key}ledger_wait_s: 30\n")
    assert other.night().exit_code is Exit.DOUBTFUL  # what it was about to send
    bed.arrives("later.csv", people(20, 1))
    night = other.night()  # its conversation is the witness that settles the others
    assert night.exit_code is Exit.SETUP
    assert any("send with `importer resume" in each for each in night.notes)
    assert max(phones(sandbox).values()) == 1
    assert set(phones(sandbox)) <= set(expected_phones(21))


def test_two_that_meet_at_one_file(bed: FarBed) -> None:
    """Even where the lock was lost, the ledger gives a file to one of them."""
    bed.arrives("list.csv", people(0, 2))
    one, other = bed.opened(), InboxFolders(bed.desk.folder / "elsewhere")
    two = replace(bed.opened(), folders=other)
    for each in (one, two):
        each.folders.root.mkdir(parents=True)
    (first,), (second,) = one.list_arrivals(), two.list_arrivals()
    assert one.claim(first) == one.folders.root / "working/list.csv"
    assert two.claim(second) is None
    assert (one.list_arrivals(), two.list_arrivals()) == ([], [])
    one.store.close()
    two.store.close()


def test_a_file_that_changes_before_it_is_fetched(bed: FarBed, sandbox: Sandbox) -> None:
    """What was seen is not taken, and what lies there now is an arrival of its own."""
    bed.arrives("list.csv", people(0, 2))
    inbox = bed.opened()
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    bed.arrives("list.csv", people(0, 3))
    assert inbox.claim(arrival) is None
    assert open_claims(bed) == 0
    (arrival,) = inbox.list_arrivals()
    inbox.store.close()
    assert bed.night().rows["created"] == 3
    assert phones(sandbox) == expected_phones(3)


def test_a_file_that_changes_while_it_is_imported(bed: FarBed, sandbox: Sandbox) -> None:
    """What was fetched is imported, what was uploaded meanwhile too; neither is lost."""
    bed.arrives("list.csv", people(0, 2))
    inbox = bed.opened()
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    assert inbox.claim(arrival) is not None
    inbox.store.close()
    bed.arrives("list.csv", people(2, 3))
    assert bed.night().rows["created"] == 5
    done = f"done/{date(bed)}"
    files = bed.far.files()
    assert {files[f"{done}/list.csv"], files[f"{done}/list-2.csv"]} == {
        people(0, 2).encode(),
        people(2, 3).encode(),
    }
    assert bed.lies_there() == {f"{done}/list.csv", f"{done}/list-2.csv"}
    assert phones(sandbox) == expected_phones(5)


def test_an_upload_at_the_moment_of_a_removal(bed: FarBed) -> None:
    """The store itself looks which file it is: another one stays, also after a crash."""
    bed.arrives("list.csv", people(0, 2))
    inbox = bed.opened()
    old = inbox.store.entry("list.csv")
    assert old is not None
    bed.arrives("list.csv", people(0, 3))
    files = inbox.store._files
    if isinstance(files, S3Files):
        assert not files.remove_checked("list.csv", old)
    assert not inbox.store.remove("list.csv", old.version)
    assert bed.far.files() == {"list.csv": people(0, 3).encode()}
    new = inbox.store.entry("list.csv")
    assert new is not None
    if isinstance(files, SftpFiles):  # it died once the file was aside, and another one came
        files.system.mv(files.address.below("list.csv"), files._aside("list.csv", new.version))
        bed.arrives("list.csv", people(0, 4))
    assert inbox.store.remove("list.csv", new.version)
    assert set(bed.far.files()) == ({"list.csv"} if isinstance(files, SftpFiles) else set())
    assert inbox.store.remove("list.csv", "none") is not isinstance(files, SftpFiles)
    inbox.store.close()


def test_an_upload_that_goes_on(bed: FarBed) -> None:
    """A file that changes between two looks waits until it does not."""
    bed.arrives("list.csv", people(0, 2)[:40])
    bed.clock.time = bed.clock.time.replace(year=2020)  # by the clock nothing is old enough
    later = bed.clock.time.replace(minute=bed.clock.time.minute)
    bed.clock.events.append((later, lambda: bed.arrives("list.csv", people(0, 2))))
    assert bed.night().rows["created"] == 2
    assert len(bed.clock.waits) >= 2


def test_a_transfer_that_is_cut(bed: FarBed, sandbox: Sandbox) -> None:
    """After some tries it is left for the next night; a file that comes through is imported."""
    bed.arrives("a.csv", people(0, 20_000))
    bed.arrives("b.csv", people(0, 2))
    bed.far.wire.cut_after = 300_000
    night = bed.night()
    assert [(file.name, file.ending) for file in night.files] == [
        ("a.csv", FileEnding.WAITING),
        ("b.csv", FileEnding.DONE),
    ]
    assert "does not answer properly" in night.files[0].reason
    assert (night.exit_code, phones(sandbox)) == (Exit.SETUP, expected_phones(2))
    assert bed.lies_there() == {"a.csv", f"done/{date(bed)}/b.csv"}
    assert (bed.lies_on_the_desk(), open_claims(bed)) == (set(), 1)
    bed.arrives("c.csv", people(0, 2))  # though the first one is broken, it goes on with others
    assert [file.name for file in bed.night().files] == ["c.csv"]
    bed.far.wire.cut_after = None
    bed.arrives("a.csv", people(0, 3))  # nothing was imported of it, so it may as well be another
    assert bed.night().exit_code is Exit.OK
    assert phones(sandbox) == expected_phones(3)
    assert open_claims(bed) == 0


def test_an_inbox_that_is_away(bed: FarBed, sandbox: Sandbox) -> None:
    """Staged files are imported; their results are uploaded when the inbox answers again."""
    bed.arrives("list.csv", people(0, 2))
    bed.settings(sandbox.base_url, "send_between: 08:00-20:00\ndeadline: '06:00'\n")
    bed.clock.time = bed.clock.time.replace(hour=2)
    assert bed.night().files[0].ending is FileEnding.WAITING
    bed.clock.time = bed.clock.time.replace(hour=9)
    bed.far.wire.down = True
    night = bed.night()
    assert (night.files[0].ending, night.exit_code) == (FileEnding.DONE, Exit.SETUP)
    assert phones(sandbox) == expected_phones(2)
    assert any("not uploaded" in note and "next night" in note for note in night.notes)
    assert sum(bed.clock.waits) < 1200
    bed.far.wire.down = False
    assert bed.lies_there() == {"list.csv"}
    night = bed.night()
    assert (night.files, night.exit_code) == ((), Exit.OK)
    assert bed.lies_there() == {f"done/{date(bed)}/list.csv"}
    assert f"done/{date(bed)}/list.csv.results.csv" in bed.far.files()
    assert phones(sandbox) == expected_phones(2)


def test_an_inbox_that_cannot_be_written_to(bed: FarBed, sandbox: Sandbox) -> None:
    """Its files are imported once, and everything is given back when it may be."""
    bed.night()  # the first one marks the inbox
    bed.arrives("list.csv", people(0, 2))
    bed.far.refuse_writing(refused=True)
    for _ in range(2):
        night = bed.night()
        assert night.exit_code is Exit.SETUP
        assert any(
            "refuses access" in note and "listing, reading, writing" in note for note in night.notes
        )
        assert bed.lies_there() == {"list.csv"}
        assert bed.faults != []
    assert phones(sandbox) == expected_phones(2)
    bed.far.refuse_writing(refused=False)
    assert bed.night().exit_code is Exit.OK
    assert bed.lies_there() == {f"done/{date(bed)}/list.csv"}
    assert (bed.lies_on_the_desk(), open_claims(bed)) == (set(), 0)
    assert phones(sandbox) == expected_phones(2)


def test_a_file_that_comes_too_slowly(bed: FarBed, sandbox: Sandbox) -> None:
    """It is left after remote_file_s, whatever still comes."""
    bed.settings(sandbox.base_url, "remote_file_s: 0\n")
    bed.arrives("list.csv", people(0, 2))
    before = bed.clock.elapsed_s
    ticks = iter(range(1_000_000))
    bed.clock.elapsed_s = lambda: before() + next(ticks) / 1000  # type: ignore[method-assign]
    night = bed.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.SETUP, FileEnding.WAITING)
    assert "took too long" in night.files[0].reason
    assert bed.lies_there() == {"list.csv"}


def test_told_to_stop(bed: FarBed, sandbox: Sandbox) -> None:
    """Before it begins: nothing is claimed."""
    bed.arrives("list.csv", people(0, 2))
    stop = StopSignal(0.0)
    stop.request()
    assert bed.night(stop).exit_code is Exit.INTERRUPTED
    assert (bed.lies_there(), open_claims(bed), sandbox.requests) == ({"list.csv"}, 0, 0)


def test_told_to_stop_while_it_fetches(bed: FarBed, sandbox: Sandbox) -> None:
    """The claim stays, and the next night begins with it."""
    bed.arrives("list.csv", people(0, 2))
    stop = StopSignal(0.0)
    inbox = bed.opened(stop)
    inbox.folders.root.mkdir(parents=True)
    (arrival,) = inbox.list_arrivals()
    stop.request()
    with pytest.raises(RemoteStopped, match="ended before the whole file"):
        inbox.claim(arrival)
    inbox.store.close()
    assert (open_claims(bed), (bed.inbox / DRAFT).exists()) == (1, True)
    assert bed.night().rows["created"] == 2
    assert not (bed.inbox / DRAFT).exists()
    assert phones(sandbox) == expected_phones(2)


def test_settings_that_cannot_be_read(bed: FarBed, sandbox: Sandbox) -> None:
    """A file is not imported without its own: they name the campaign."""
    bed.arrives("acme/importer.yaml", "campaign: [\n")
    bed.arrives("acme/list.csv", people(0, 2))
    night = bed.night()
    assert (night.exit_code, night.files[0].ending) == (Exit.SETUP, FileEnding.WAITING)
    assert phones(sandbox) == Counter()
    bed.arrives("acme/importer.yaml", "campaign: camp-acme\n")
    assert bed.night().rows["created"] == 2


# ---- what is wrong, in words ---------------------------------------------------------------------


def wrong(bed: FarBed, address: str) -> str:
    """What the doctor says of an inbox."""
    said = bed.desk("doctor", address)
    lines = [line for line in said.out.splitlines() if line.startswith("WRONG")]
    assert said.code == (Exit.SETUP if lines else Exit.OK), said.err
    return "\n".join(lines)


def test_the_doctor_finds_all_well(bed: FarBed) -> None:
    """It leaves nothing there, nor on the desk."""
    bed.arrives("acme/importer.yaml", "campaign: camp-acme\n")
    said = bed.desk("doctor", bed.far.address)
    assert wrong(bed, bed.far.address) == ""
    assert "campaign camp-acme" in said.out
    assert set(bed.far.files()) == {"acme/importer.yaml"}
    assert not bed.inbox.exists()


def test_the_doctor_names_what_is_wrong(bed: FarBed) -> None:
    """An inbox that refuses, and one that is not there."""
    bed.far.refuse_writing(refused=True)
    assert "refuses access: the credentials are wrong or lack permission" in wrong(
        bed, bed.far.address
    )
    bed.far.refuse_writing(refused=False)
    place = bed.far.address.replace("bucket-", "none-") + "-none"
    assert (
        "does not exist: the bucket or the folder is missing. Make it, or correct its name."
        in wrong(bed, place)
    )


def test_the_doctor_and_hosts(far_sftp: FarSftp, tmp_path: Path, sandbox: Sandbox) -> None:
    """A host that nobody knows, one that is another one, and one that does not know us."""
    bed = far_bed(tmp_path, far_sftp, sandbox)
    known = tmp_path / "home/.ssh/known_hosts"
    line = known.read_text("utf-8")
    known.write_text("")
    assert "The host key of sftp://127.0.0.1 is not in known_hosts." in wrong(bed, far_sftp.address)
    assert known.read_text("utf-8") == ""
    ours = (tmp_path / "home/.ssh/id_ed25519.pub").read_text("utf-8").split()[1]
    known.write_text(f"{line.split()[0]} ssh-ed25519 {ours}\n")
    assert "shows another host key than known_hosts has" in wrong(bed, far_sftp.address)
    known.write_text(line)
    (tmp_path / "sshd/authorized").write_text("")
    assert "refuses access" in wrong(bed, far_sftp.address)


def test_the_doctor_and_credentials(
    far_s3: FarS3, tmp_path: Path, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None at all, and a scheme whose extra is not installed."""
    bed = far_bed(tmp_path, far_s3, sandbox)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    said = wrong(bed, far_s3.address)
    assert "There are no credentials for s3://" in said
    assert "AWS_PROFILE" in said
    assert "pip install '.[gs]'" in wrong(bed, "gs://bucket/inbox")


def test_no_secret_in_an_address(bed: FarBed) -> None:
    """It is refused with what to do instead, and not repeated."""
    said = bed.desk("nightly", "sftp://ada:hunter2@127.0.0.1/inbox")
    assert said.code == Exit.USAGE
    assert "key file or an agent" in said.err
    assert "hunter2" not in said.err + said.out
