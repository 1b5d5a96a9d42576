"""Workbooks are read as the program shows them, and damaged ones are refused."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from openpyxl import Workbook as Book

from importer.loader import xls
from importer.loader.sheet import Merged, Refusal, column_letters, column_place, ranges
from importer.loader.workbook import open_workbook, spread_merged
from importer.settings import Settings
from schemas.codes import Code
from schemas.columns import ROW

FILES = Path(__file__).parents[2] / "corpus" / "files"
DEFAULTS = Settings()


def saved(rows: list[list[Any]]) -> bytes:
    """Return a workbook of one sheet, as bytes."""
    book, file = Book(), io.BytesIO()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(file)
    return file.getvalue()


def changed(data: bytes, member: str, old: str, new: str) -> bytes:
    """Return the same archive with another text in one of its members."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            text = before.read(name)
            if name == member:
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode())
            after.writestr(name, text)
    return file.getvalue()


SHEET = "xl/worksheets/sheet1.xml"
PEOPLE = saved([["Phone", "Name"], [1, "Ada"], [2, "Grace"]])


def cells(data: bytes, given: Settings = DEFAULTS) -> list[tuple[Any, ...]]:
    """Return everything in the sheet below its first row."""
    sheet = open_workbook(data, given)
    return sheet.below(sheet.head()[0]).frame.rows()


def refused(data: bytes, given: Settings = DEFAULTS) -> Refusal:
    """Return why a workbook is not read."""
    with pytest.raises(Refusal) as caught:
        open_workbook(data, given)
    return caught.value


@pytest.mark.parametrize("kind", ["openpyxl.xlsx", "libreoffice.xls", "libreoffice.ods"])
def test_a_sheet_by_name(kind: str) -> None:
    """The sheet that the settings name is read, a hidden one too; another name is refused."""
    data = (FILES / f"sheets-{kind}").read_bytes()
    april = open_workbook(data, Settings(sheet="April"))
    assert (april.sheet, april.notes) == ("April", ())
    assert open_workbook(data, Settings(sheet="Old")).sheet == "Old"
    assert "“May”; it has “Old”, “March”, “April”" in refused(data, Settings(sheet="May")).detail


def test_entities_are_not_expanded() -> None:
    """A document type, with which a small file can become a large one, is refused."""
    bomb = '<!DOCTYPE w [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]><worksheet'
    assert (
        "document type"
        in refused(
            changed(PEOPLE, "xl/workbook.xml", "<workbook", bomb.replace("worksheet", "workbook"))
        ).detail
    )


@pytest.mark.parametrize(
    "hiding",
    [
        '<row r="2" hidden="1"',
        '<row r="2" hidden="true"',
        '<row r="2" ht="0" customHeight="1"',
    ],
)
def test_hidden_rows(hiding: str) -> None:
    """A row may be hidden in several ways."""
    assert cells(changed(PEOPLE, SHEET, '<row r="2"', hiding)) == [(3, "2", "Grace")]


def test_errors_and_formulas_without_a_value() -> None:
    """Errors stay to be seen, and a formula that was never computed is one."""
    data = changed(PEOPLE, SHEET, 't="n"><v>1</v>', 't="e"><v>#REF!</v>')
    data = changed(data, SHEET, '<c r="A3" t="n"><v>2</v>', '<c r="A3"><f>1+1</f>')
    assert cells(data) == [(2, "#REF!", "Ada"), (3, "#NOT-SAVED!", "Grace")]


def test_limits_are_checked_before_room_is_made() -> None:
    """A stray cell far away costs a message, not the memory of all cells between."""
    far = saved([["Phone", "Name"]] + [[1, "Ada"]] * 50)
    assert "max_rows" in refused(far, Settings(max_rows=20)).detail
    assert "max_columns" in refused(far, Settings(max_columns=1)).detail
    wide = Settings(max_columns=20_000, max_rows=2_000_000)
    corner = (FILES / "far-corner-openpyxl.xlsx").read_bytes()
    refusal = refused(corner, wide)
    assert refusal.code is Code.FILE_TOO_LARGE
    assert "max_expanded_bytes" in refusal.detail


@pytest.mark.parametrize(
    "name", ["plain-openpyxl.xlsx", "plain-libreoffice.xls", "plain-libreoffice.ods"]
)
def test_a_cut_workbook(name: str) -> None:
    """Half a workbook is damaged, whatever its kind."""
    data = (FILES / name).read_bytes()
    assert refused(data[: len(data) // 3]).code is Code.FILE_UNREADABLE


def test_a_locked_workbook() -> None:
    """An encrypted XLSX is a compound file with a package in it; the password is named."""
    entry = bytearray(128)
    name = "EncryptedPackage".encode("utf-16-le")
    entry[: len(name)] = name
    struct.pack_into("<HB", entry, 64, len(name) + 2, 2)
    struct.pack_into("<II", entry, 116, 0xFFFFFFFE, 10_000)
    header = bytearray(512)
    header[:8] = xls.MAGIC
    struct.pack_into("<HH", header, 30, 9, 6)
    struct.pack_into("<I", header, 48, 1)
    struct.pack_into("<3I", header, 56, 4096, 0xFFFFFFFE, 0)
    struct.pack_into("<2I", header, 68, 0xFFFFFFFE, 0)
    struct.pack_into("<109I", header, 76, 0, *([0xFFFFFFFF] * 108))
    fat = struct.pack("<128I", 0xFFFFFFFD, 0xFFFFFFFE, *([0xFFFFFFFF] * 126))
    assert "password" in refused(bytes(header) + fat + bytes(entry).ljust(512, b"\0")).detail


@pytest.mark.parametrize(
    ("stream", "reason"),
    [("WordDocument", "Word document"), ("EncryptedPackage", "password"), ("Other", "damaged")],
)
def test_compound_files_of_other_programs(stream: str, reason: str) -> None:
    """A compound file that is no workbook is named for what it is, if its streams tell."""
    data = xls.MAGIC + bytes(600) + stream.encode("utf-16-le") + bytes(600)
    assert reason in refused(data).detail


def test_a_value_is_spread_over_merged_rows_only_where_there_are_rows() -> None:
    """Rows that are blank otherwise stay away, and cells with values keep them."""
    frame = pl.DataFrame(
        {ROW: [2, 3, 5], "0": ["a", None, None], "1": ["x", "y", None]},
        schema={ROW: pl.UInt32, "0": pl.String, "1": pl.String},
    )
    now, result = spread_merged(frame, [Merged(2, 0, 9, 0), Merged(2, 1, 3, 1), Merged(4, 1, 5, 1)])
    assert now["0"].to_list() == ["a", "a", "a"]
    assert now["1"].to_list() == ["x", "y", None]
    assert "A2:A9" in result


def test_columns_have_letters() -> None:
    """A, Z, AA, XFD and back."""
    for place, letters in ((0, "A"), (25, "Z"), (26, "AA"), (16_383, "XFD")):
        assert (column_letters(place), column_place(letters)) == (letters, place)


def test_ranges_are_short() -> None:
    """Runs of rows are joined, and a long list ends."""
    assert ranges([9, 4, 5, 6, 2]) == "2, 4-6, 9"
    assert ranges(range(0, 60, 2)).endswith("18 and 20 more")
