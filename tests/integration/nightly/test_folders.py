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
from tests.support.nights import Bed, people

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
    """What became of the files of each folder."""
    return {file.folder: file.ending for file in night.files}


@pytest.mark.parametrize(("text", "said"), SETTINGS.values(), ids=SETTINGS)
def test_broken_settings_of_a_subfolder(
    bed: Bed, sandbox: Sandbox, text: str | bytes, said: str
) -> None:
    """Its files wait with the reason, the others go; once mended, the next night has them."""
    bed.arrive("broken/importer.yaml", text)
    bed.arrive("broken/a.csv", people(0, 2))
    bed.arrive("without/a.csv", people(2, 2))
    night = bed.night()
    assert endings(night) == {"broken": FileEnding.WAITING, "without": FileEnding.DONE}
    assert said in night.files[0].reason
    assert night.exit_code is Exit.SETUP
    assert any(said in each for each in night.todo)
    bed.arrive("broken/importer.yaml", "")
    assert endings(bed.night()) == {"broken": FileEnding.DONE}
    assert len(sandbox.journal) == 4


@pytest.mark.parametrize("key", ["templates", "meeting"])
def test_templates_that_are_missing(bed: Bed, sandbox: Sandbox, key: str) -> None:
    """Its files wait with the name of the template; nothing is sent with another one."""
    bed.folder_settings("acme", **{key: "nowhere"})
    bed.arrive("acme/a.csv", people(0, 2))
    bed.arrive("other/a.csv", people(2, 2))
    night = bed.night()
    assert endings(night) == {"acme": FileEnding.WAITING, "other": FileEnding.DONE}
    assert "there is no meeting template" in night.files[0].reason
    assert "working/acme/a.csv is waiting until you act: " in night.todo[0]
    bed.folder_settings("acme")
    assert endings(bed.night()) == {"acme": FileEnding.DONE}
    assert len(sandbox.journal) == 4


def test_an_inbox_that_is_none(bed: Bed, tmp_path: Path) -> None:
    """Neither a folder that is missing nor a file is an inbox."""
    bed.desk.write("file", "x")
    for name, said in (("nowhere", "There is no folder"), ("file", "is a file")):
        for command in ("nightly", "doctor"):
            end = bed.desk(command, name)
            assert end.code in {Exit.SETUP, Exit.USAGE}, end
            assert said in end.out + end.err
    assert not (tmp_path / "nowhere").exists()


def test_an_inbox_that_cannot_be_written(bed: Bed, sandbox: Sandbox) -> None:
    """Nothing is sent from where it could not be taken away."""
    with small_disk(bed.inbox, MB):
        bed.arrive("a.csv", people(0, 2))
        subprocess.run(("mount", "-o", "remount,ro", str(bed.inbox)), check=True)
        for command in ("nightly", "doctor"):
            end = bed.desk(command, "inbox")
            assert end.code == Exit.SETUP, end
            assert "Read-only file system" in end.out + end.err
        assert bed.lies() == {"a.csv"}
    assert sandbox.requests <= 1  # the doctor asks


def test_a_subfolder_on_another_file_system(bed: Bed, sandbox: Sandbox) -> None:
    """Its files cannot be claimed at once, so they stay; the others go all the same."""
    with small_disk(bed.inbox / "far", MB):
        bed.arrive("far/a.csv", people(0, 2))
        bed.arrive("near/a.csv", people(2, 2))
        assert bed.desk("doctor", "inbox").code == Exit.SETUP
        night = bed.night()
        assert endings(night) == {"near": FileEnding.DONE}
        assert night.exit_code is Exit.SETUP
        assert "far/a.csv cannot be moved" in night.todo[-1]
        assert "on one file system" in night.todo[-1]
        assert "far/a.csv" in bed.lies()
    assert len(sandbox.journal) == 2


def test_names_that_no_report_can_hold(bed: Bed, sandbox: Sandbox) -> None:
    """Bytes that are no text, and names without room for a page's: imported under another name."""
    bed.arrive("good.csv", people(0, 2))
    for number, name in enumerate([b"latin\xfc.csv", b"y" * 251 + b".csv", b"z" * 247 + b".csv"]):
        Path(os.fsdecode(bytes(bed.inbox) + b"/" + name)).write_text(people(2 + 2 * number, 2))
    night = bed.night()
    assert [file.ending for file in night.files] == [FileEnding.DONE] * 4
    assert night.exit_code is Exit.OK
    assert not bed.faults
    assert len(sandbox.journal) == 8
    assert any(name.endswith("/latin_.csv") for name in bed.lies())
    assert len(list(bed.inbox.rglob("*.results.csv"))) == 4


def test_a_link_to_a_folder_is_not_looked_into(bed: Bed, sandbox: Sandbox) -> None:
    """It could lead to where the ledger lies; the summary and the doctor say so."""
    bed.desk.write("elsewhere/a.csv", people(0, 2))
    (bed.inbox / "client").symlink_to(bed.desk.folder / "elsewhere")
    (bed.inbox / "up").symlink_to(bed.desk.folder)
    latin = Path(os.fsdecode(bytes(bed.inbox) + b"/latin\xfc"))
    latin.mkdir()
    (latin / "a.csv").write_text(people(0, 2))
    night = bed.night()
    assert not night.files
    assert [note.split(",")[0] for note in night.notes] == [
        "client is a link",
        "latin\N{REPLACEMENT CHARACTER} has a name that is not UTF-8",
        "up is a link",
    ]
    assert not bed.faults
    assert not sandbox.journal
    assert "is a link" in bed.desk("doctor", "inbox").out
