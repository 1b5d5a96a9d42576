"""Folders that are not as they should be: clear words, and the others go on."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from importer.errors import Exit
from importer.report.night_report import FileEnding
from tests.support.disks import small_disk
from tests.support.night_setup import NightSetup, candidate_list

if TYPE_CHECKING:
    from importer.report.night_report import NightReport
    from importer.sandbox.server import Sandbox

MB = 1_000_000
SETTINGS = {
    "unknown key": ("campain: x\n", "did you mean `campaign`"),
    "not YAML": ("campaign: [\n", "importer.yaml:"),
    "not text": (b"\xff\xfe\x00", "importer.yaml"),
    "a list": ("- campaign\n", "importer.yaml"),
    "a wrong value": ("default_country: soon\n", "default_country"),
    "another API": ("base_url: https://example.org/v1\n", "cannot be set in an inbox"),
    "other readers": ("mail_to: [a@example.org]\n", "mail_to: cannot be set in an inbox"),
}


def endings(night: NightReport) -> dict[str, FileEnding]:
    """Return the ending of the files of each folder."""
    return {file.folder: file.ending for file in night.files}


@pytest.mark.parametrize(("text", "result"), SETTINGS.values(), ids=SETTINGS)
def test_broken_settings_of_a_subfolder(
    setup: NightSetup, sandbox: Sandbox, text: str | bytes, result: str
) -> None:
    """Its files wait with the reason, the others go; once mended, the next night has them."""
    setup.add_file("broken/importer.yaml", text)
    setup.add_file("broken/a.csv", candidate_list(0, 2))
    setup.add_file("without/a.csv", candidate_list(2, 2))
    night = setup.night()
    assert endings(night) == {"broken": FileEnding.WAITING, "without": FileEnding.DONE}
    assert result in night.files[0].reason
    assert night.exit_code is Exit.SETUP
    assert any(result in each for each in night.todo)
    setup.add_file("broken/importer.yaml", "")
    assert endings(setup.night()) == {"broken": FileEnding.DONE}
    assert len(sandbox.journal) == 4


@pytest.mark.parametrize("key", ["templates", "meeting"])
def test_templates_that_are_missing(setup: NightSetup, sandbox: Sandbox, key: str) -> None:
    """Its files wait with the name of the template; nothing is sent with another one."""
    setup.folder_settings("acme", **{key: "nowhere"})
    setup.add_file("acme/a.csv", candidate_list(0, 2))
    setup.add_file("other/a.csv", candidate_list(2, 2))
    night = setup.night()
    assert endings(night) == {"acme": FileEnding.WAITING, "other": FileEnding.DONE}
    assert "there is no meeting template" in night.files[0].reason
    assert "working/acme/a.csv is waiting until you act: " in night.todo[0]
    setup.folder_settings("acme")
    assert endings(setup.night()) == {"acme": FileEnding.DONE}
    assert len(sandbox.journal) == 4


def test_an_inbox_that_is_none(setup: NightSetup, tmp_path: Path) -> None:
    """Neither a folder that is missing nor a file is an inbox."""
    setup.workspace.write("file", "x")
    for name, result in (("nowhere", "There is no folder"), ("file", "is a file")):
        for command in ("nightly", "doctor"):
            end = setup.workspace(command, name)
            assert end.code in {Exit.SETUP, Exit.USAGE}, end
            assert result in end.out + end.err
    assert not (tmp_path / "nowhere").exists()


def test_an_inbox_that_cannot_be_written(setup: NightSetup, sandbox: Sandbox) -> None:
    """Nothing is sent from where it could not be taken away."""
    with small_disk(setup.inbox, MB):
        setup.add_file("a.csv", candidate_list(0, 2))
        subprocess.run(("mount", "-o", "remount,ro", str(setup.inbox)), check=True)
        for command in ("nightly", "doctor"):
            end = setup.workspace(command, "inbox")
            assert end.code == Exit.SETUP, end
            assert "Read-only file system" in end.out + end.err
        assert setup.spreadsheets() == {"a.csv"}
    assert sandbox.requests <= 1  # the doctor asks


def test_a_subfolder_on_another_file_system(setup: NightSetup, sandbox: Sandbox) -> None:
    """Its files cannot be claimed at once, so they stay; the others go anyway."""
    with small_disk(setup.inbox / "far", MB):
        setup.add_file("far/a.csv", candidate_list(0, 2))
        setup.add_file("near/a.csv", candidate_list(2, 2))
        assert setup.workspace("doctor", "inbox").code == Exit.SETUP
        night = setup.night()
        assert endings(night) == {"near": FileEnding.DONE}
        assert night.exit_code is Exit.SETUP
        assert "far/a.csv cannot be moved" in night.todo[-1]
        assert "on one file system" in night.todo[-1]
        assert "far/a.csv" in setup.spreadsheets()
    assert len(sandbox.journal) == 2


def test_names_that_no_report_can_hold(setup: NightSetup, sandbox: Sandbox) -> None:
    """Bytes that are no text, and names without room for a page's: imported under another name."""
    setup.add_file("good.csv", candidate_list(0, 2))
    for number, name in enumerate([b"latin\xfc.csv", b"y" * 251 + b".csv", b"z" * 247 + b".csv"]):
        Path(os.fsdecode(bytes(setup.inbox) + b"/" + name)).write_text(
            candidate_list(2 + 2 * number, 2)
        )
    night = setup.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE] * 4
    assert night.exit_code is Exit.OK
    assert not setup.faults
    assert len(sandbox.journal) == 8
    assert any(name.endswith("/latin_.csv") for name in setup.spreadsheets())
    assert len(list(setup.inbox.rglob("*.results.csv"))) == 4


def test_a_link_to_a_folder_is_not_looked_into(setup: NightSetup, sandbox: Sandbox) -> None:
    """It could lead to where the ledger lies; the summary and the doctor say so."""
    setup.workspace.write("elsewhere/a.csv", candidate_list(0, 2))
    (setup.inbox / "client").symlink_to(setup.workspace.folder / "elsewhere")
    (setup.inbox / "up").symlink_to(setup.workspace.folder)
    latin = Path(os.fsdecode(bytes(setup.inbox) + b"/latin\xfc"))
    latin.mkdir()
    (latin / "a.csv").write_text(candidate_list(0, 2))
    night = setup.night()
    assert not night.files
    assert [note.split(",")[0] for note in night.notes] == [
        "client is a link",
        "latin\N{REPLACEMENT CHARACTER} has a name that is not UTF-8",
        "up is a link",
    ]
    assert not setup.faults
    assert not sandbox.journal
    assert "is a link" in setup.workspace("doctor", "inbox").out
