"""Corrections beside a list: every reader applies them, and none writes them into the list."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.loader import load
from importer.loader.corrections import (
    Correction,
    append_corrections,
    corrections_file,
    read_corrections,
)
from importer.prepare import prepare
from importer.settings import Settings
from schemas.codes import Code
from tests.support.recruiter import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

LIST = "First Name,Mobile,Email\nAda,#REF!,ada@example.com\n,+44 20 7946 0018,b@example.com\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a list with a spreadsheet error in row 2 and without a name in row 3."""
    path = tmp_path / "list.csv"
    path.write_text(LIST, "utf-8")
    return path


def cell(seq: int, row: int, header: str, value: str | None) -> Correction:
    """Return the correction of a cell."""
    return Correction(seq, row, header, value, out=False, by="ann", at="2026-11-27T08:00:00Z")


def out(seq: int, row: int, *, leave: bool = True) -> Correction:
    """Return a row that is left out, or taken in again."""
    return Correction(seq, row, "", None, out=leave, by="ann", at="2026-11-27T08:00:00Z")


def test_a_corrected_cell_counts_and_its_fault_is_gone(path: Path) -> None:
    """The file stays as it was; the hash of its content covers both; a note says so."""
    plain = load(str(path), Settings())
    assert Code.CELL_ERROR.value in plain.problems["code"]
    append_corrections(path, [cell(1, 2, "Mobile", "+44 20 7946 0019")])
    table = load(str(path), Settings())
    assert table.frame["Mobile"].to_list() == ["+44 20 7946 0019", "+44 20 7946 0018"]
    assert Code.CELL_ERROR.value not in table.problems["code"]
    assert table.source.sha256 != plain.source.sha256
    assert table.original["Mobile"].to_list() == ["#REF!"]
    assert "1 cell was corrected by hand." in table.notes
    assert path.read_text("utf-8") == LIST


def test_a_row_left_out_is_not_read(path: Path) -> None:
    """Until it is taken in again: then everything is as it was, the hash too."""
    plain = load(str(path), Settings())
    append_corrections(path, [out(1, 3)])
    assert load(str(path), Settings()).frame["#row"].to_list() == [2]
    append_corrections(path, [out(2, 3, leave=False)])
    again = load(str(path), Settings())
    assert again.frame.equals(plain.frame)
    assert again.source.sha256 == plain.source.sha256


def test_a_line_that_a_crash_cut_short_does_not_count(path: Path) -> None:
    """And the next one is not glued to it."""
    append_corrections(path, [cell(1, 3, "First Name", "Bo")])
    beside = corrections_file(path)
    whole = beside.read_bytes()
    beside.write_bytes(whole + b'{"seq": 2, "row": 3, "header": "Fir')
    assert read_corrections(path).cells == {(3, "First Name"): "Bo"}
    append_corrections(path, [cell(2, 3, "First Name", "Bob")])
    assert read_corrections(path).cells == {(3, "First Name"): "Bob"}
    assert beside.read_bytes().startswith(whole)
    assert beside.stat().st_mode & 0o077 == 0


def test_corrections_that_cannot_be_read_keep_the_list_out(path: Path) -> None:
    """It is never sent uncorrected."""
    corrections_file(path).write_text("no json\n")
    table = load(str(path), Settings())
    assert table.frame.height == 0
    assert table.problems["code"].to_list() == [Code.FILE_UNREADABLE.value]


def test_every_command_reads_them(path: Path) -> None:
    """A check of a long list too, which is otherwise read in pieces."""
    settings = Settings(
        templates=SAMPLES / "templates",
        meeting="onsite-45",
        participants="panel",
        campaign="camp-1",
        default_country="GB",
    )
    with path.open("a") as file:
        file.writelines(f"Cy,,c{number}@example.com\n" for number in range(2_000))
    append_corrections(path, [cell(1, 3, "First Name", "Bo"), out(2, 4)])
    plan = prepare([str(path)], settings, piece=1_000)
    assert plan.counts.read == 2_001
    first = plan.tables[0].frame["First Name"].to_list()
    assert first[:2] == ["Ada", "Bo"]
