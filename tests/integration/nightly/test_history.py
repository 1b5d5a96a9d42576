"""`importer runs` shows the nights: how each ended, its files, and what still needs a person."""

from __future__ import annotations

import html
import re
import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

from importer.report.night_report import night_text
from tests.support.night_setup import HEADER, NightSetup, candidate_list
from tests.support.workspace import CommandResult, Workspace

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

WRONG = f"{HEADER}\nAda,12345,Chef\n"


def shown(setup: NightSetup, *flags: str) -> CommandResult:
    """Return what `importer runs` says on a terminal of 80 columns."""
    result = Workspace(setup.workspace.folder, {**setup.workspace.env, "COLUMNS": "80"})(
        "runs", *flags
    )
    assert result.code == 0, result.err
    lines = [each for each in result.out.splitlines() if not each.lstrip().startswith("importer ")]
    assert max(map(len, lines)) <= 80  # a command is one line, to be pasted
    return result


def todo(result: CommandResult) -> str:
    """Return what needs a person, in one line."""
    return " ".join(result.out.partition("What needs a person")[2].split())


def test_nights_with_their_files(setup: NightSetup) -> None:
    """Each file with its ending and its run or reason; what is open is at the end."""
    setup.add_file("acme/good.csv", candidate_list(0, 4) + "Ada,12345,Chef\n")
    setup.add_file("held.csv", WRONG)
    setup.add_file("letter.txt", "dear all\n")
    night = setup.night()
    run = next(file.run for file in night.files if file.run)
    result = shown(setup)
    text = " ".join(result.out.split())
    assert f"{night.id}: {night.started:%Y-%m-%d %H:%M} UTC, 0.0 s Exit code 3: a file" in text
    assert f"done acme/good.csv run {run}, 1 row rejected" in text
    assert "held held.csv 100% of its rows are rejected" in text
    assert "failed letter.txt No header row was found" in text
    assert f"importer release {setup.inbox}/held/held.csv" in todo(result)
    assert "Fix letter.txt" in todo(result)
    assert "good.csv" not in todo(result)


def test_a_held_file_called_after_a_person(setup: NightSetup) -> None:
    """The ledger has only its masked name; the command has the one in `held/`, and works."""
    setup.add_file("CV Ada Lovelace.csv", WRONG)
    setup.night()
    result = shown(setup)
    assert "held CV A••• L•••.csv" in " ".join(result.out.split())
    assert f"importer release '{setup.inbox}/held/CV Ada Lovelace.csv'" in todo(result)
    ledgers = list(setup.workspace.folder.glob("importer.db*"))
    assert ledgers
    assert not any(b"ovelace" in each.read_bytes() for each in ledgers)
    (setup.inbox / "held" / "CV Ada Lovelace.csv").unlink()
    assert "importer release INBOX/held/CV A••• L•••.csv" in todo(shown(setup))


def test_the_command_that_releases_can_be_pasted(setup: NightSetup) -> None:
    """Into a shell, by a folder and a name with spaces and quotes; also where two have the name."""
    (setup.inbox.parent / "inbox").rename(setup.inbox.parent / "the team's inbox")
    setup.folder = "the team's inbox"
    setup.add_file("acme $(x)/a & b.csv", WRONG)
    setup.night()
    setup.clock.time += timedelta(days=1)
    setup.add_file("acme $(x)/a & b.csv", WRONG + "Ada,12346,Chef\n")
    night = setup.night()
    wanted = [f"{setup.inbox}/held/acme $(x)/a & b{end}.csv" for end in ("-2", "")]
    lines = [line.strip() for line in shown(setup).out.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("importer release ")]
    assert commands == [["importer", "release", path] for path in wanted]
    (command,) = re.findall(r"release it with `([^`]*)`", night_text(night).replace("\n  ", " "))
    flags = ["--config", str(setup.workspace.folder / "importer.yaml")]
    assert shlex.split(command) == [*commands[0], *flags]
    assert f"`{command}`" in night_text(night)  # in one line of it
    page = html.unescape((setup.inbox / "nights" / f"{night.id}.html").read_text("utf-8"))
    assert f"`{command}`" in page or f"<code>{command}</code>" in page
    for words in commands:
        assert setup.workspace(*words[1:]).code == 0
    assert "importer release" not in shown(setup).out


def test_nights_of_two_inboxes(setup: NightSetup) -> None:
    """Each says where it was, once there is more than one."""
    setup.night()
    assert str(setup.inbox) not in shown(setup).out
    first = setup.inbox
    (setup.workspace.folder / "second").mkdir()
    setup.folder = "second"
    setup.clock.time += timedelta(days=1)
    setup.night()
    text = "".join(shown(setup).out.split())
    assert f"in{setup.inbox}" in text
    assert f"in{first}" in text


def test_what_was_released_and_imported_needs_nobody(setup: NightSetup, sandbox: Sandbox) -> None:
    """The night that held it says what happened to it later; the newest night stands first."""
    setup.add_file("held.csv", candidate_list(0, 2) + WRONG.partition("\n")[2])
    first = setup.night()
    assert setup.workspace("release", "inbox/held/held.csv").code == 0
    result = shown(setup)
    assert "released on" in result.out
    assert "held.csv" not in todo(result)
    setup.clock.time += timedelta(days=1)
    second = setup.night()
    result = shown(setup)
    assert f"done on {second.ended:%Y-%m-%d %H:%M} UTC" in result.out
    assert todo(result) == ""
    assert 0 < result.out.index(second.id) < result.out.index(first.id)
    assert len(sandbox.journal) == 2
    assert first.id not in shown(setup, "--limit", "1").out


def test_a_subfolder_with_a_ledger_of_its_own(setup: NightSetup) -> None:
    """Its ledger shows the nights in which it had files, and how they ended."""
    setup.folder_settings("acme", ledger="sqlite:///acme.db")
    setup.add_file("acme/a.csv", candidate_list(0, 2))
    setup.add_file("b.csv", candidate_list(2, 2))
    night = setup.night()
    result = shown(setup, "--ledger", f"sqlite:///{setup.workspace.folder}/acme.db")
    assert f"{night.id}: " in result.out
    assert "Exit code 0" in result.out
    assert "acme/a.csv" in result.out
    assert "b.csv" not in result.out.replace("acme/a.csv", "")
    assert "b.csv" in shown(setup).out


def test_settings_that_are_broken_hide_no_doubt(setup: NightSetup, sandbox: Sandbox) -> None:
    """What may have been accepted is counted, whatever else is wrong."""
    setup.settings(sandbox.base_url, "skip_duplication_check: true\n")
    sandbox.set_faults("reset-before:1")
    setup.add_file("a.csv", candidate_list(0, 1))
    setup.add_file("broken/importer.yaml", "campain: x\n")
    setup.add_file("broken/a.csv", candidate_list(1, 1))
    assert setup.night().doubtful_open == 1


def test_doubtful_submissions_need_somebody(setup: NightSetup, sandbox: Sandbox) -> None:
    """With the command that asks what happened to them; an empty night says that nothing came."""
    setup.night()
    setup.clock.time += timedelta(days=1)
    setup.settings(sandbox.base_url, "skip_duplication_check: true\n")  # so absence proves nothing
    sandbox.set_faults("reset-before:1")
    setup.add_file("a.csv", candidate_list(0, 1))
    setup.night()
    result = shown(setup)
    assert "1 submission may have been accepted; look it up: importer reconcile" in todo(result)
    assert "no files" in result.out


def test_a_folder_without_nights_shows_runs_alone(setup: NightSetup) -> None:
    """Nothing is said of nights where none was."""
    path = setup.workspace.write("list.csv", candidate_list(0, 1))
    assert setup.workspace("run", str(path), "--yes").code == 0
    result = shown(setup)
    assert "list.csv" in result.out
    assert "Night" not in result.out
