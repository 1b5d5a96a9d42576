"""Folders, patterns and archives stand for the spreadsheets in them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from importer.errors import UsageError
from importer.loader import expand, load
from importer.settings import Settings
from tests.corpus.text_files import PLAIN, zipped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with spreadsheets and other things."""
    for name in ("b.csv", "A.XLSX", "c.csv.gz", "notes.md", "~$A.xlsx", ".hidden.csv"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "d.tsv").write_bytes(b"x")
    return tmp_path


def test_a_folder_is_its_spreadsheets(folder: Path) -> None:
    """Sorted by name, without what programs leave behind, and without its folders."""
    assert expand([str(folder)]) == [str(folder / name) for name in ("A.XLSX", "b.csv", "c.csv.gz")]


def test_a_pattern_is_what_it_matches(folder: Path) -> None:
    """Also in folders below, with `**`."""
    assert expand([str(folder / "*.csv")]) == [str(folder / "b.csv")]
    assert str(folder / "more" / "d.tsv") in expand([str(folder / "**")])


def test_names_stay_in_order_and_come_once(folder: Path) -> None:
    """What is named twice is read once; a file that is not there is kept, to be reported."""
    names = [str(folder / "b.csv"), "-", "gone.csv", str(folder / "b.csv")]
    assert expand(names) == names[:3]


def test_a_file_with_magic_in_its_name_is_a_file(tmp_path: Path) -> None:
    """`list[1].csv` that exists is no pattern."""
    path = tmp_path / "list[1].csv"
    path.write_text(PLAIN)
    assert expand([str(path)]) == [str(path)]


@pytest.mark.parametrize("name", ["more/none-*.csv", "empty"])
def test_nothing_found_is_wrong_usage(folder: Path, name: str) -> None:
    """A pattern or a folder without spreadsheets stops the run before it starts."""
    (folder / "empty").mkdir()
    with pytest.raises(UsageError, match="no spreadsheet"):
        expand([str(folder / name)])


def test_no_names_are_wrong_usage() -> None:
    """So is nothing at all."""
    with pytest.raises(UsageError, match="No file"):
        expand([])


def test_an_archive_of_several_is_each_of_them(tmp_path: Path) -> None:
    """Each spreadsheet of a zip is read by its own name, with its own hash."""
    path = tmp_path / "lists.zip"
    path.write_bytes(zipped({"march.csv": PLAIN.encode(), "x/april.csv": b"Phone,Name\n1,Ada\n"}))
    names = expand([str(path)])
    assert names == [f"{path}/march.csv", f"{path}/x/april.csv"]
    tables = [load(name, Settings()) for name in names]
    assert [table.frame.height for table in tables] == [2, 1]
    assert len({table.source.sha256 for table in tables}) == 2


def test_an_archive_of_one_stays(tmp_path: Path) -> None:
    """A zip of one spreadsheet is read by its own name; a broken one, too."""
    path, broken = tmp_path / "list.zip", tmp_path / "broken.zip"
    path.write_bytes(zipped({"march.csv": PLAIN.encode()}))
    broken.write_bytes(b"PK\x03\x04")
    assert expand([str(path), str(broken)]) == [str(path), str(broken)]


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    """The system allows any bytes; the file is refused under a name that every report can say."""
    name = os.fsdecode(bytes(tmp_path) + b"/latin\xfc.csv")
    Path(name).write_text("Phone\n+12025550104\n")
    (found,) = expand([str(tmp_path)])
    table = load(found, Settings())
    assert table.source.name == f"{tmp_path}/latin\N{REPLACEMENT CHARACTER}.csv"
    assert table.problems["detail"].to_list() == ["its name is not UTF-8; rename it"]
