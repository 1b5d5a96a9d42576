"""`importer init` writes a beginning that works as it stands, and never over anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

from importer.errors import Exit
from tests.support.desk import FAST, Desk

if TYPE_CHECKING:
    from pathlib import Path

    from importer.sandbox.server import Sandbox


def test_check_accepts_the_starter_as_it_stands(starter: Desk) -> None:
    """All of its rows are ready, and there is nothing to fix or to look at."""
    said = starter.without("POPP_API_KEY", "POPP_ORGANIZATION_ID")("check", "candidates.csv")
    assert said.code == Exit.OK
    assert "All 2 rows are ready" in said.err
    assert "To fix" not in said.err
    assert "To check" not in said.err


def test_the_sandbox_takes_the_starter(starter: Desk, sandbox: Sandbox) -> None:
    """The first rehearsal of a new user creates a conversation for each row."""
    said = starter("run", "candidates.csv", "--yes", "--base-url", sandbox.base_url, *FAST)
    assert said.code == Exit.OK, said.err
    assert sorted(entry["firstName"] for entry in sandbox.journal) == ["Ada", "Joseph"]


def test_nothing_is_overwritten(starter: Desk) -> None:
    """One file that is there already keeps all from being written, and is named."""
    (starter.folder / "importer.yaml").unlink()
    starter.write("candidates.csv", "mine")
    before = starter.files()
    said = starter("init")
    assert said.code == Exit.USAGE
    assert "candidates.csv" in said.error
    assert "importer.yaml" not in said.error
    assert starter.files() == before


def test_a_folder_of_its_own(tmp_path: Path) -> None:
    """The folder is made, and the next step begins by going there."""
    desk = Desk(tmp_path)
    said = desk("init", "new desk")
    assert said.code == Exit.OK
    assert "cd 'new desk'" in said.err
    assert Desk(tmp_path / "new desk")("check", "candidates.csv").code == Exit.OK


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """Wrong usage, and the file stays."""
    desk = Desk(tmp_path)
    desk.write("taken", "mine")
    assert desk("init", "taken").code == Exit.USAGE
    assert desk.files() == {"taken": b"mine"}
