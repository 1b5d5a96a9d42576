"""Inboxes elsewhere, on real servers: imported once and given back, whatever breaks meanwhile."""

from __future__ import annotations

import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.report.night_report import FileEnding
from tests.support.night_setup import candidate_list
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

    from importer.sandbox.server import Sandbox
    from tests.support.remote_inboxes import SftpServer


@pytest.fixture
def setup(remote_setup: RemoteNightSetup) -> RemoteNightSetup:
    """Return a machine with settings for an inbox elsewhere."""
    return remote_setup


def test_a_plain_night(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """The same files are taken as from a folder, and are there with their pages afterwards."""
    setup.add_remote_file("list.csv", candidate_list(0, 3))
    setup.add_remote_file("acme/importer.yaml", "campaign: camp-acme\n")
    setup.add_remote_file("acme/list.csv", candidate_list(3, 2))
    setup.add_remote_file("odd.csv", "nothing that we know\n")
    setup.add_remote_file("later.csv.part", candidate_list(9, 1))
    setup.add_remote_file(".hidden.csv", candidate_list(9, 1))
    night = setup.night()
    assert [(file.name, file.ending) for file in night.files] == [
        ("list.csv", FileEnding.DONE),
        ("odd.csv", FileEnding.FAILED),
        ("list.csv", FileEnding.DONE),
    ]
    assert (night.inbox, setup.faults) == (setup.remote.address, [])
    assert phones(sandbox) == expected_phones(5)
    assert [entry["campaignId"] for entry in sandbox.journal] == ["camp-42"] * 3 + ["camp-acme"] * 2
    done = f"done/{date(setup)}"
    assert setup.remote_spreadsheets() == {
        f"{done}/list.csv", f"{done}/acme/list.csv", "failed/odd.csv", "later.csv.part",
        ".hidden.csv",
    }  # fmt: skip
    files = setup.remote.files()
    assert files[f"{done}/list.csv"] == candidate_list(0, 3).encode()
    assert f"{done}/acme/list.csv.results.csv" in files
    assert f"nights/{night.id}.html" in files
    assert f"{done}/list.csv".encode() in files[f"nights/{night.id}.html"]
    assert (setup.staged_spreadsheets(), open_claims(setup)) == (set(), 0)
    assert setup.night().files == ()


def test_the_same_content_again(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Under the same name and under another one: it was imported, and is moved beside the first."""
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.night()
    setup.add_remote_file("list.csv", candidate_list(0, 2))
    setup.add_remote_file("renamed.csv", candidate_list(0, 2))
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN, FileEnding.SEEN]
    done = f"done/{date(setup)}"
    assert setup.remote_spreadsheets() == {
        f"{done}/{name}.csv" for name in ("list", "list-2", "renamed")
    }
    assert phones(sandbox) == expected_phones(2)


def test_a_marker(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Where settings ask for one, a file waits for it; it goes with its file."""
    setup.settings(sandbox.base_url, "done_marker: true\n")
    setup.add_remote_file("a.csv", candidate_list(0, 1))
    setup.add_remote_file("b.csv", candidate_list(1, 1))
    setup.add_remote_file("b.csv.done", "")
    assert [file.name for file in setup.night().files] == ["b.csv"]
    assert setup.remote_spreadsheets() == {"a.csv", f"done/{date(setup)}/b.csv"}


def test_a_host_of_ssh_config(sftp_server: SftpServer, tmp_path: Path, sandbox: Sandbox) -> None:
    """Name, port, key and known hosts may stand where SSH itself has them."""
    setup = make_remote_setup(tmp_path, sftp_server, sandbox)
    ssh = tmp_path / "home/.ssh"
    (ssh / "id_ed25519").rename(ssh / "elsewhere")
    (ssh / "known_hosts").rename(ssh / "known_elsewhere")
    (ssh / "config").write_text(
        f"Host agency\n HostName 127.0.0.1\n Port {sftp_server.wire.port}\n"
        f" IdentityFile ~/.ssh/elsewhere\n UserKnownHostsFile ~/.ssh/known_elsewhere\n"
    )
    result = setup.workspace("doctor", f"sftp://agency{sftp_server.folder}")
    assert result.code == Exit.OK, result.out


def test_held_and_released(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """By its address; the next night begins with it, and it leaves `held/` only then."""
    setup.add_remote_file("list.csv", candidate_list(0, 2) + "Ada,,Chef\n" * 3)
    night = setup.night()
    assert (night.exit_code, phones(sandbox)) == (Exit.HELD, Counter())
    assert setup.remote_spreadsheets() == {"held/list.csv"}
    address = f"{setup.remote.address}/held/list.csv"
    for _ in range(2):
        result = setup.workspace("release", address)
    assert (result.code, "released already" in result.error) == (Exit.USAGE, True)
    assert "held/list.csv.check.html" not in setup.remote.files()
    assert setup.night().rows["created"] == 2
    assert setup.remote_spreadsheets() == {f"done/{date(setup)}/list.csv"}
    assert phones(sandbox) == expected_phones(2)


def kill_while_it_sends(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Start a night, and end it with SIGKILL when the service has taken four rows."""
    sandbox.set_faults("slow:1:30")
    few = ("--rate-per-s", "20")  # few intents ahead, so that witnesses are left
    process = setup.workspace.process("nightly", setup.remote.address, "--quiet-s", "0", *few)
    wait_until(lambda: len(sandbox.journal) >= 4, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")


def test_killed_while_it_sends(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """The next night continues with the staged file, settles doubts, and uploads the results."""
    setup.add_remote_file("list.csv", candidate_list(0, 20))
    kill_while_it_sends(setup, sandbox)
    assert setup.remote_spreadsheets() == {"list.csv"}
    night = setup.night()
    assert (night.exit_code, night.doubtful_open) == (Exit.OK, 0)
    assert phones(sandbox) == expected_phones(20)
    assert setup.remote_spreadsheets() == {f"done/{date(setup)}/list.csv"}


def test_killed_on_a_machine_that_is_gone(setup: RemoteNightSetup, sandbox: Sandbox) -> None:
    """Another staging folder with the same ledger fetches the claimed file again, and continues."""
    setup.add_remote_file("list.csv", candidate_list(0, 20))
    kill_while_it_sends(setup, sandbox)
    setup.settings(sandbox.base_url, "desk: another\n")
    assert setup.night().exit_code is Exit.OK
    assert phones(sandbox) == expected_phones(20)
    assert setup.remote_spreadsheets() == {f"done/{date(setup)}/list.csv"}
    setup.settings(sandbox.base_url)  # the first machine comes back, with its copy
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.SEEN]
    assert phones(sandbox) == expected_phones(20)
