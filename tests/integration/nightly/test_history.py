"""`importer runs` shows the nights: how each ended, its files, and what still needs a person."""

from __future__ import annotations

import html
import re
import shlex
from datetime import timedelta
from typing import TYPE_CHECKING

from importer.report.night_report import night_text
from tests.support.desk import Desk, Said
from tests.support.nights import HEADER, Bed, people

if TYPE_CHECKING:
    from importer.sandbox.server import Sandbox

WRONG = f"{HEADER}\nAda,12345,Chef\n"


def shown(bed: Bed, *flags: str) -> Said:
    """What `importer runs` says on a terminal of 80 columns."""
    said = Desk(bed.desk.folder, {**bed.desk.env, "COLUMNS": "80"})("runs", *flags)
    assert said.code == 0, said.err
    lines = [each for each in said.out.splitlines() if not each.lstrip().startswith("importer ")]
    assert max(map(len, lines)) <= 80  # a command is one line, to be pasted
    return said


def todo(said: Said) -> str:
    """What needs a person, in one line."""
    return " ".join(said.out.partition("What needs a person")[2].split())


def test_nights_with_their_files(bed: Bed) -> None:
    """Each file with its ending and its run or reason; what is open is at the end."""
    bed.arrive("acme/good.csv", people(0, 4) + "Ada,12345,Chef\n")
    bed.arrive("held.csv", WRONG)
    bed.arrive("letter.txt", "dear all\n")
    night = bed.night()
    run = next(file.run for file in night.files if file.run)
    said = shown(bed)
    text = " ".join(said.out.split())
    assert f"{night.id}: {night.started:%Y-%m-%d %H:%M} UTC, 0.0 s Exit code 3: a file" in text
    assert f"done acme/good.csv run {run}, 1 row rejected" in text
    assert "held held.csv 100% of its rows are rejected" in text
    assert "failed letter.txt No header row was found" in text
    assert f"importer release {bed.inbox}/held/held.csv" in todo(said)
    assert "Fix letter.txt" in todo(said)
    assert "good.csv" not in todo(said)


def test_a_held_file_called_after_a_person(bed: Bed) -> None:
    """The ledger has only its masked name; the command has the one in `held/`, and works."""
    bed.arrive("CV Ada Lovelace.csv", WRONG)
    bed.night()
    said = shown(bed)
    assert "held CV A••• L•••.csv" in " ".join(said.out.split())
    assert f"importer release '{bed.inbox}/held/CV Ada Lovelace.csv'" in todo(said)
    ledgers = list(bed.desk.folder.glob("importer.db*"))
    assert ledgers
    assert not any(b"ovelace" in each.read_bytes() for each in ledgers)
    (bed.inbox / "held" / "CV Ada Lovelace.csv").unlink()
    assert "importer release INBOX/held/CV A••• L•••.csv" in todo(shown(bed))


def test_the_command_that_releases_can_be_pasted(bed: Bed) -> None:
    """Into a shell, by a folder and a name with spaces and quotes; also where two have the name."""
    (bed.inbox.parent / "inbox").rename(bed.inbox.parent / "the team's inbox")
    bed.folder = "the team's inbox"
    bed.arrive("acme $(x)/a & b.csv", WRONG)
    bed.night()
    bed.clock.time += timedelta(days=1)
    bed.arrive("acme $(x)/a & b.csv", WRONG + "Ada,12346,Chef\n")
    night = bed.night()
    wanted = [f"{bed.inbox}/held/acme $(x)/a & b{end}.csv" for end in ("-2", "")]
    lines = [line.strip() for line in shown(bed).out.splitlines()]
    commands = [shlex.split(line) for line in lines if line.startswith("importer release ")]
    assert commands == [["importer", "release", path] for path in wanted]
    (command,) = re.findall(r"release it with `([^`]*)`", night_text(night).replace("\n  ", " "))
    flags = ["--config", str(bed.desk.folder / "importer.yaml")]
    assert shlex.split(command) == [*commands[0], *flags]
    assert f"`{command}`" in night_text(night)  # in one line of it
    page = html.unescape((bed.inbox / "nights" / f"{night.id}.html").read_text("utf-8"))
    assert f"`{command}`" in page or f"<code>{command}</code>" in page
    for words in commands:
        assert bed.desk(*words[1:]).code == 0
    assert "importer release" not in shown(bed).out


def test_nights_of_two_inboxes(bed: Bed) -> None:
    """Each says where it was, once there is more than one."""
    bed.night()
    assert str(bed.inbox) not in shown(bed).out
    first = bed.inbox
    (bed.desk.folder / "second").mkdir()
    bed.folder = "second"
    bed.clock.time += timedelta(days=1)
    bed.night()
    text = "".join(shown(bed).out.split())
    assert f"in{bed.inbox}" in text
    assert f"in{first}" in text


def test_what_was_released_and_imported_needs_nobody(bed: Bed, sandbox: Sandbox) -> None:
    """The night that held it says what became of it later; the newest night stands first."""
    bed.arrive("held.csv", people(0, 2) + WRONG.partition("\n")[2])
    first = bed.night()
    assert bed.desk("release", "inbox/held/held.csv").code == 0
    said = shown(bed)
    assert "released on" in said.out
    assert "held.csv" not in todo(said)
    bed.clock.time += timedelta(days=1)
    second = bed.night()
    said = shown(bed)
    assert f"done on {second.ended:%Y-%m-%d %H:%M} UTC" in said.out
    assert todo(said) == ""
    assert 0 < said.out.index(second.id) < said.out.index(first.id)
    assert len(sandbox.journal) == 2
    assert first.id not in shown(bed, "--limit", "1").out


def test_a_subfolder_with_a_ledger_of_its_own(bed: Bed) -> None:
    """Its ledger shows the nights in which it had files, and how they ended."""
    bed.folder_settings("acme", ledger="sqlite:///acme.db")
    bed.arrive("acme/a.csv", people(0, 2))
    bed.arrive("b.csv", people(2, 2))
    night = bed.night()
    said = shown(bed, "--ledger", f"sqlite:///{bed.desk.folder}/acme.db")
    assert f"{night.id}: " in said.out
    assert "Exit code 0" in said.out
    assert "acme/a.csv" in said.out
    assert "b.csv" not in said.out.replace("acme/a.csv", "")
    assert "b.csv" in shown(bed).out


def test_settings_that_are_broken_hide_no_doubt(bed: Bed, sandbox: Sandbox) -> None:
    """What may have been accepted is counted, whatever else is wrong."""
    bed.settings(sandbox.base_url, "skip_duplication_check: true\n")
    sandbox.set_faults("reset-before:1")
    bed.arrive("a.csv", people(0, 1))
    bed.arrive("broken/importer.yaml", "campain: x\n")
    bed.arrive("broken/a.csv", people(1, 1))
    assert bed.night().doubtful_open == 1


def test_doubtful_submissions_need_somebody(bed: Bed, sandbox: Sandbox) -> None:
    """With the command that asks what became of them; an empty night says that nothing came."""
    bed.night()
    bed.clock.time += timedelta(days=1)
    bed.settings(sandbox.base_url, "skip_duplication_check: true\n")  # so absence proves nothing
    sandbox.set_faults("reset-before:1")
    bed.arrive("a.csv", people(0, 1))
    bed.night()
    said = shown(bed)
    assert "1 submission may have been accepted; look it up: importer reconcile" in todo(said)
    assert "no files" in said.out


def test_a_folder_without_nights_shows_runs_alone(bed: Bed) -> None:
    """Nothing is said of nights where none was."""
    path = bed.desk.write("list.csv", people(0, 1))
    assert bed.desk("run", str(path), "--yes").code == 0
    said = shown(bed)
    assert "list.csv" in said.out
    assert "Night" not in said.out
