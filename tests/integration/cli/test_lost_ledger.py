"""A ledger that is lost, emptied, exchanged or old contacts nobody until a person says so."""

from __future__ import annotations

import shutil
import signal
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from tests.integration.cli.conftest import GOOD, SETTINGS
from tests.support.postgres import server_url
from tests.support.waiting import wait_until
from tests.support.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from importer.sandbox.server import Sandbox
    from tests.support.workspace import CommandResult

__all__ = ["server_url"]  # a fixture

RUN = ("run", "good.csv", "--yes")
MORE = GOOD + "Cy,+12025550106,Chef\n"


def reached(sandbox: Sandbox) -> Counter[str]:
    """Return how often each person was contacted."""
    return Counter(str(entry["phoneNumber"]) for entry in sandbox.journal)


def refused(workspace: Workspace, sandbox: Sandbox, *command: str) -> CommandResult:
    """Type a command; require that it contacts nobody and says why."""
    before = len(sandbox.journal)
    result = workspace(*(command or RUN))
    assert result.code == Exit.SETUP, result
    assert len(sandbox.journal) == before
    return result


def delete(folder: Path) -> None:
    """Delete the ledger."""
    (folder / "importer.db").unlink()


def empty(folder: Path) -> None:
    """Empty the ledger's file."""
    (folder / "importer.db").write_bytes(b"")


def delete_all_but_the_key(folder: Path) -> None:
    """Delete everything that shows there was a ledger, except its key."""
    for file in folder.glob("importer.db*"):
        if file.suffix != ".key":
            file.unlink()


def put_a_new_one(folder: Path) -> None:
    """Put the ledger of another folder in its place."""
    delete(folder)
    (folder / "importer.db.last").rename(folder / "last")
    shutil.copy(folder / "another.db", folder / "importer.db")
    (folder / "last").rename(folder / "importer.db.last")


@pytest.mark.parametrize("lose", [delete, empty, delete_all_but_the_key])
def test_a_lost_ledger(
    sandbox_workspace: Workspace, sandbox: Sandbox, lose: Callable[[Path], None]
) -> None:
    """Nobody is contacted again, however often it is tried, until --new-ledger."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    lose(sandbox_workspace.folder)
    for _ in range(2):
        result = refused(sandbox_workspace, sandbox)
        assert "knows who was contacted" in result.err
        assert "--new-ledger" in result.err
    sandbox_workspace.write(
        "good.csv", "first_name,phone_number,Job Title\nDee,+12025550107,Chef\n"
    )
    assert sandbox_workspace(*RUN, "--new-ledger").code == Exit.OK
    assert sandbox_workspace(*RUN).code == Exit.OK  # it is the ledger from now on
    assert set(reached(sandbox).values()) == {1}
    assert len(sandbox.journal) == 3


def test_an_older_copy(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """It lacks the last run; the newest copy, put back, goes on."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    ledger, copy, newest = (
        sandbox_workspace.folder / name for name in ("importer.db", "copy", "newest")
    )
    shutil.copy(ledger, copy)
    sandbox_workspace.write("good.csv", MORE)
    assert sandbox_workspace(*RUN).code == Exit.OK
    shutil.copy(ledger, newest)
    shutil.copy(copy, ledger)
    assert "is an older copy" in refused(sandbox_workspace, sandbox).err
    assert "is an older copy" in refused(sandbox_workspace, sandbox, "resume").err
    shutil.copy(newest, ledger)
    assert sandbox_workspace(*RUN).code == Exit.OK
    assert set(reached(sandbox).values()) == {1}


def test_another_ledger_in_its_place(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """It is not the one that was here."""
    assert (
        sandbox_workspace(*RUN, "--ledger", "sqlite:///another.db", "--limit", "1").code == Exit.OK
    )
    sandbox_workspace.write(
        "good.csv", "first_name,phone_number,Job Title\nDee,+12025550107,Chef\n"
    )
    assert sandbox_workspace(*RUN).code == Exit.OK
    put_a_new_one(sandbox_workspace.folder)
    assert "is not the one that was here" in refused(sandbox_workspace, sandbox).err


@pytest.mark.parametrize("place", ["file", "server"])
def test_an_empty_ledger_under_a_key_of_the_environment(
    sandbox_workspace: Workspace,
    sandbox: Sandbox,
    request: pytest.FixtureRequest,
    place: str,
) -> None:
    """A new machine has no key file and no last-write file; the key itself was made elsewhere."""
    own = Workspace(
        sandbox_workspace.folder, {**sandbox_workspace.env, "IMPORTER_HMAC_KEY": "k" * 40}
    )
    url = "sqlite:///new.db" if place == "file" else request.getfixturevalue("server_url")
    result = refused(own, sandbox, *RUN, "--ledger", url)
    assert "is new and empty" in result.err
    made = own("upgrade", "--ledger", url)  # a person asks for it
    assert "is new and empty: it does not know who was contacted" in made.err
    assert own(*RUN, "--ledger", url).code == Exit.OK
    assert "is up to date" in own("upgrade", "--ledger", url).err
    other = Workspace(own.folder, {**own.env, "IMPORTER_HMAC_KEY": "j" * 40})
    assert "HMAC key" in refused(other, sandbox, *RUN, "--ledger", url).err
    assert own(*RUN, "--ledger", url).code == Exit.OK
    assert set(reached(sandbox).values()) == {1}


def kill_a_run(workspace: Workspace, sandbox: Sandbox) -> None:
    """Kill a run that waits for answers; it leaves its `-wal`."""
    rows = "".join(f"Cy,+120255501{number},Chef\n" for number in range(10, 40))
    workspace.write("good.csv", f"first_name,phone_number,Job Title\n{rows}")
    before = len(sandbox.journal)
    sandbox.set_faults("slow:1:30")
    process = workspace.process(*RUN)
    wait_until(lambda: len(sandbox.journal) >= before + 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")


def test_an_older_copy_beside_the_log_of_a_killed_run(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """The log belongs to the newest copy: with it the older one would pass for the newest."""
    assert sandbox_workspace(*RUN, "--limit", "1").code == Exit.OK
    ledger, copy, newest = (
        sandbox_workspace.folder / name for name in ("importer.db", "copy", "newest")
    )
    shutil.copy(ledger, copy)
    assert sandbox_workspace("resume").code == Exit.OK
    people = (sandbox_workspace.folder / "good.csv").read_text()
    kill_a_run(sandbox_workspace, sandbox)
    shutil.copy(ledger, newest)
    shutil.copy(copy, ledger)
    sandbox_workspace.write("good.csv", people)
    for command in (RUN, (*RUN, "--new-ledger"), ("resume",)):
        assert "does not belong to the file" in refused(sandbox_workspace, sandbox, *command).err
    shutil.copy(newest, ledger)
    assert sandbox_workspace(*RUN).code == Exit.OK
    assert set(reached(sandbox).values()) == {1}


def test_the_log_of_a_killed_run_is_lost(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """What it had sent stands only in the `-wal` that somebody removed."""
    kill_a_run(sandbox_workspace, sandbox)
    for end in ("-wal", "-shm"):
        (sandbox_workspace.folder / f"importer.db{end}").unlink()
    for command in (RUN, ("resume",)):
        assert "importer.db-wal is missing" in refused(sandbox_workspace, sandbox, *command).err


def test_a_killed_run_goes_on(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Commands that only look, or open and close the ledger, do not make it look lost."""
    rows = "".join(f"Cy,+120255501{number},Chef\n" for number in range(10, 70))
    sandbox_workspace.write("good.csv", f"first_name,phone_number,Job Title\n{rows}")
    sandbox.set_faults("slow:1:30")
    process = sandbox_workspace.process(*RUN)
    wait_until(lambda: len(sandbox.journal) >= 4)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")
    assert sandbox_workspace("runs").code == Exit.OK
    assert sandbox_workspace("backup", "copy.db").code == Exit.OK
    assert sandbox_workspace("purge", "--older-than", "9d").code == Exit.OK
    assert not (sandbox_workspace.folder / "importer.db-wal").exists()
    assert sandbox_workspace("resume").code == Exit.OK
    assert set(reached(sandbox).values()) == {1}
    assert len(sandbox.journal) == 60


def test_a_copy_taken_in_the_middle_of_a_run(
    sandbox_workspace: Workspace, sandbox: Sandbox
) -> None:
    """It is older than each request that left since, also if the run is then killed."""
    rows = "".join(f"Cy,+120255501{number},Chef\n" for number in range(10, 70))
    sandbox_workspace.write("good.csv", f"first_name,phone_number,Job Title\n{rows}")
    sandbox.set_faults("slow:1:1.5")
    process = sandbox_workspace.process(*RUN)
    wait_until(lambda: len(sandbox.journal) >= 4)
    assert sandbox_workspace("backup", "copy.db").code == Exit.OK
    taken_at = len(sandbox.journal)
    wait_until(lambda: len(sandbox.journal) >= taken_at + 6)  # four workers may have had intents
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sandbox.set_faults("")
    assert sandbox_workspace("purge", "--older-than", "9d").code == Exit.OK  # no `-wal` is left
    ledger, newest = sandbox_workspace.folder / "importer.db", sandbox_workspace.folder / "newest"
    shutil.copy(ledger, newest)
    shutil.copy(sandbox_workspace.folder / "copy.db", ledger)
    for command in (RUN, ("resume",), ("reconcile",)):
        assert "is an older copy" in refused(sandbox_workspace, sandbox, *command).err
    shutil.copy(newest, ledger)
    assert sandbox_workspace("resume").code == Exit.OK
    assert set(reached(sandbox).values()) == {1}
    assert len(sandbox.journal) == 60


def test_a_damaged_last_write_file(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """Nobody can tell; removing it is the way out."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    sandbox_workspace.write("importer.db.last", "ledger: 12\n")
    assert "importer.db.last is damaged" in refused(sandbox_workspace, sandbox).err
    (sandbox_workspace.folder / "importer.db.last").unlink()
    assert sandbox_workspace(*RUN).code == Exit.OK


def test_the_flag_is_for_one_run(sandbox_workspace: Workspace) -> None:
    """Neither file nor environment may say it."""
    sandbox_workspace.write("importer.yaml", f"{SETTINGS}new_ledger: true\n")
    assert "--new-ledger" in sandbox_workspace("check", "good.csv").err


# ---- whose it is --------------------------------------------------------------------------------


def test_another_api(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """After a rehearsal the real API is refused, for its people were not contacted."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    result = refused(sandbox_workspace, sandbox, *RUN, "--base-url", "https://api.invalid/v1")
    assert "belongs to the API at http://127.0.0.1" in result.err
    assert "--ledger sqlite:///rehearsal.db" in result.err
    assert sandbox_workspace("check", "good.csv", "--config", "importer.yaml").code == Exit.OK


@pytest.mark.parametrize("name", ["other", "ACME"])
def test_another_organization(sandbox_workspace: Workspace, sandbox: Sandbox, name: str) -> None:
    """Also one that differs in case alone, which may be the same to the API."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    other = type(sandbox_workspace)(
        sandbox_workspace.folder, {**sandbox_workspace.env, "POPP_ORGANIZATION_ID": name}
    )
    result = refused(other, sandbox)
    assert "belongs to another organization" in result.err
    assert ("capitals or blanks" in result.err) == (name != "other")


# ---- backups ------------------------------------------------------------------------------------


def test_a_backup(sandbox_workspace: Workspace, sandbox: Sandbox) -> None:
    """It is private, complete, and goes on where it was made once it is put back."""
    assert sandbox_workspace(*RUN).code == Exit.OK
    result = sandbox_workspace("backup", "copy.db")
    assert result.code == Exit.OK
    assert "importer.db.key" in result.err
    copy = sandbox_workspace.folder / "copy.db"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert not list(sandbox_workspace.folder.glob("copy.db?*"))
    assert sandbox_workspace("backup", "copy.db").code == Exit.USAGE
    assert sandbox_workspace("backup", "nowhere/copy.db").code == Exit.USAGE
    delete_all_but_the_key(sandbox_workspace.folder)
    copy.rename(sandbox_workspace.folder / "importer.db")
    sandbox_workspace.write("good.csv", MORE)
    assert sandbox_workspace(*RUN).code == Exit.OK
    assert set(reached(sandbox).values()) == {1}
    assert len(sandbox.journal) == 3


def test_no_ledger_to_back_up(sandbox_workspace: Workspace) -> None:
    """There is none yet."""
    assert sandbox_workspace("backup", "copy.db").code == Exit.SETUP
    assert not (sandbox_workspace.folder / "copy.db").exists()
