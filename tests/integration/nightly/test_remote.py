"""Inboxes elsewhere, on real servers: imported once and given back, whatever breaks meanwhile."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.report.night_report import FileEnding
from tests.support.nights import people
from tests.support.remote_inboxes import FarBed, date, expected_phones, far_bed, open_claims, phones

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import FarSftp


@pytest.fixture
def bed(far_away: FarBed) -> FarBed:
    """It lies elsewhere."""
    return far_away


def test_a_plain_night(bed: FarBed, sandbox: Sandbox) -> None:
    """The same files are taken as from a folder, and lie there with their pages afterwards."""
    bed.arrives("list.csv", people(0, 3))
    bed.arrives("acme/importer.yaml", "campaign: camp-acme\n")
    bed.arrives("acme/list.csv", people(3, 2))
    bed.arrives("odd.csv", "nothing that we know\n")
    bed.arrives("later.csv.part", people(9, 1))
    bed.arrives(".hidden.csv", people(9, 1))
    night = bed.night()
    assert [(file.name, file.ending) for file in night.files] == [
        ("list.csv", FileEnding.DONE),
        ("odd.csv", FileEnding.FAILED),
        ("list.csv", FileEnding.DONE),
    ]
    assert (night.inbox, bed.faults) == (bed.far.address, [])
    assert phones(sandbox) == expected_phones(5)
    assert [entry["campaignId"] for entry in sandbox.journal] == ["camp-42"] * 3 + ["camp-acme"] * 2
    done = f"done/{date(bed)}"
    assert bed.lies_there() == {
        f"{done}/list.csv", f"{done}/acme/list.csv", "failed/odd.csv", "later.csv.part",
        ".hidden.csv",
    }  # fmt: skip
    files = bed.far.files()
    assert files[f"{done}/list.csv"] == people(0, 3).encode()
    assert f"{done}/acme/list.csv.results.csv" in files
    assert f"nights/{night.id}.html" in files
    assert f"{done}/list.csv".encode() in files[f"nights/{night.id}.html"]
    assert (bed.lies_on_the_desk(), open_claims(bed)) == (set(), 0)
    assert bed.night().files == ()


def test_the_same_content_again(bed: FarBed, sandbox: Sandbox) -> None:
    """Under the same name and under another one: it was imported, and lies beside the first."""
    bed.arrives("list.csv", people(0, 2))
    bed.night()
    bed.arrives("list.csv", people(0, 2))
    bed.arrives("renamed.csv", people(0, 2))
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN, FileEnding.SEEN]
    done = f"done/{date(bed)}"
    assert bed.lies_there() == {f"{done}/{name}.csv" for name in ("list", "list-2", "renamed")}
    assert phones(sandbox) == expected_phones(2)


def test_a_marker(bed: FarBed, sandbox: Sandbox) -> None:
    """Where settings ask for one, a file waits for it; it goes with its file."""
    bed.settings(sandbox.base_url, "done_marker: true\n")
    bed.arrives("a.csv", people(0, 1))
    bed.arrives("b.csv", people(1, 1))
    bed.arrives("b.csv.done", "")
    assert [file.name for file in bed.night().files] == ["b.csv"]
    assert bed.lies_there() == {"a.csv", f"done/{date(bed)}/b.csv"}


def test_a_host_of_ssh_config(far_sftp: FarSftp, tmp_path: Path, sandbox: Sandbox) -> None:
    """Name, port, key and known hosts may stand where SSH itself has them."""
    bed = far_bed(tmp_path, far_sftp, sandbox)
    ssh = tmp_path / "home/.ssh"
    (ssh / "id_ed25519").rename(ssh / "elsewhere")
    (ssh / "known_hosts").rename(ssh / "known_elsewhere")
    (ssh / "config").write_text(
        f"Host agency\n HostName 127.0.0.1\n Port {far_sftp.wire.port}\n"
        f" IdentityFile ~/.ssh/elsewhere\n UserKnownHostsFile ~/.ssh/known_elsewhere\n"
    )
    said = bed.desk("doctor", f"sftp://agency{far_sftp.folder}")
    assert said.code == Exit.OK, said.out


def test_held_and_released(bed: FarBed, sandbox: Sandbox) -> None:
    """By its address; the next night begins with it, and it leaves `held/` only then."""
    bed.arrives("list.csv", people(0, 2) + "Ada,,Chef\n" * 3)
    night = bed.night()
    assert (night.exit_code, phones(sandbox)) == (Exit.HELD, Counter())
    assert bed.lies_there() == {"held/list.csv"}
    address = f"{bed.far.address}/held/list.csv"
    for _ in range(2):
        said = bed.desk("release", address)
    assert (said.code, "released already" in said.error) == (Exit.USAGE, True)
    assert "held/list.csv.check.html" not in bed.far.files()
    assert bed.night().rows["created"] == 2
    assert bed.lies_there() == {f"done/{date(bed)}/list.csv"}
    assert phones(sandbox) == expected_phones(2)


def kill_while_it_sends(bed: FarBed, sandbox: Sandbox) -> None:
    """Starts a night, and ends it with SIGKILL when the service has taken four rows."""
    sandbox.set_faults("slow:1:30")
    few = ("--rate-per-s", "20")  # few intents ahead, so that witnesses are left
    process = bed.desk.process("nightly", bed.far.address, "--quiet-s", "0", *few)
    while len(sandbox.journal) < 4:
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")


def test_killed_while_it_sends(bed: FarBed, sandbox: Sandbox) -> None:
    """The next night continues with the staged file, settles doubts, and uploads the results."""
    bed.arrives("list.csv", people(0, 20))
    kill_while_it_sends(bed, sandbox)
    assert bed.lies_there() == {"list.csv"}
    night = bed.night()
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert phones(sandbox) == expected_phones(20)
    assert bed.lies_there() == {f"done/{date(bed)}/list.csv"}


def test_killed_on_a_machine_that_is_gone(bed: FarBed, sandbox: Sandbox) -> None:
    """Another staging folder with the same ledger fetches the claimed file again, and continues."""
    bed.arrives("list.csv", people(0, 20))
    kill_while_it_sends(bed, sandbox)
    bed.settings(sandbox.base_url, "desk: another\n")
    assert bed.night().exit_code is Exit.OK
    assert phones(sandbox) == expected_phones(20)
    assert bed.lies_there() == {f"done/{date(bed)}/list.csv"}
    bed.settings(sandbox.base_url)  # the first machine comes back, with its copy
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(20)
