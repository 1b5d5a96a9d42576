"""Loading never raises: what is wrong with a file is said in its table."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
from typing import TYPE_CHECKING

import openpyxl
import pytest

from importer.loader import load
from importer.loader.table import drop_footers
from importer.settings import Settings
from schemas.codes import Code
from tests.corpus.text_files import PLAIN
from tests.corpus.workbooks import BinarySheet, binary_workbook, inline, row

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def said(name: str, given: Settings | None = None) -> list[tuple[str, str]]:
    """Return code and detail of every problem of a file."""
    found = load(name, given or Settings()).problems
    return list(found.select("code", "detail").iter_rows())


def test_a_file_and_where_it_came_from(tmp_path: Path) -> None:
    """The table says which bytes it was read from."""
    path = tmp_path / "list.csv"
    path.write_text(PLAIN)
    source = load(str(path), Settings()).source
    assert source.sha256 == hashlib.sha256(PLAIN.encode()).hexdigest()
    assert (source.name, source.path, source.size) == (str(path), path, len(PLAIN))


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("gone.csv", Code.FILE_MISSING, ""),
        (".", Code.FILE_UNREADABLE, "folder"),
        ("a\0b", Code.FILE_UNREADABLE, "cannot be opened"),
    ],
)
def test_what_cannot_be_opened(tmp_path: Path, name: str, code: Code, words: str) -> None:
    """A missing file, a folder, and a name that cannot be."""
    [(found, detail)] = said(f"{tmp_path}/{name}")
    assert found == code
    assert words in detail


@pytest.mark.parametrize(
    ("rows", "code", "words"),
    [
        ((), Code.FILE_EMPTY, "no rows in sheet “March”"),
        ((("Phone", "Name"),), Code.FILE_EMPTY, "no rows below it in sheet “March”"),
        ((("a", "b"), ("c", "d")), Code.HEADER_NOT_FOUND, "a known column in sheet “March”"),
    ],
)
def test_what_a_workbook_lacks_names_its_sheet(
    tmp_path: Path, rows: Sequence[tuple[str, ...]], code: Code, words: str
) -> None:
    """In every format, even if there is only one sheet."""
    book = openpyxl.Workbook()
    book.active.title = "March"
    for texts in rows:
        book.active.append(texts)
    book.save(tmp_path / "list.xlsx")
    cells = (row(n, *map(inline, range(9), texts)) for n, texts in enumerate(rows, 1))
    data = binary_workbook([BinarySheet("March", b"".join(cells))])
    (tmp_path / "list.xlsb").write_bytes(data)
    for name in ("list.xlsx", "list.xlsb"):
        [(found, detail)] = said(str(tmp_path / name))
        assert found == code
        assert detail.endswith(words)


def test_standard_input_is_read() -> None:
    """`-` is whatever is piped in, also a workbook or an archive."""
    program = (
        "from importer.loader import load; from importer.settings import Settings; "
        "table = load('-', Settings()); print(table.source.path, table.frame.height)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=PLAIN.encode(), capture_output=True, check=True
    )
    assert done.stdout.split() == [b"None", b"2"]


def test_bytes_over_the_limit_are_not_read(tmp_path: Path) -> None:
    """The limit is named."""
    path = tmp_path / "list.csv"
    path.write_text(PLAIN)
    assert said(str(path), Settings(max_bytes=50)) == [
        (Code.FILE_TOO_LARGE, "it has more than 50 bytes (max_bytes)")
    ]


@pytest.mark.parametrize(
    ("last", "goes"),
    [
        ("Total,", True),
        ("TOTAL: 2,", True),
        ("Summe,340", True),
        ("Grand total,12,", True),
        ("2 records,", True),
        ("Filter: open,", True),
        ("*** end of list ***,", True),
        ("Stand: 01.03.2026 10:30,", True),
        ("(1 row affected)", True),
        ("Phone: +44 20 7946 0018,", False),
        ("A-1001,", False),
        ("Ada Lovelace,", False),
        ("Exported on 1 March 2026,", True),
        ("Sum,+44 20 7946 0018", False),  # a name
        ("Sum,sum@example.com", False),
        ("Total 442079460018,", False),
        ("Ada,", False),
        ("Report,Ann", False),
    ],
)
def test_totals_go_and_people_stay(tmp_path: Path, last: str, goes: bool) -> None:  # noqa: FBT001
    """A row goes only if it cannot be a candidate, and a problem says which."""
    path = tmp_path / "list.csv"
    path.write_text(f"First name,Phone\nAda,1\n{last}\n")
    table = load(str(path), Settings())
    assert (table.frame.height == 1) is goes
    assert (Code.TOTALS_SKIPPED in table.problems["code"]) is goes
    assert Code.ROW_RAGGED not in table.problems["code"] or not goes


def test_no_footers_in_nothing() -> None:
    """A table without rows has no totals."""
    assert drop_footers(load("gone.csv", Settings()).frame)[0].height == 0


def test_a_million_cells_do_not_take_long_to_be_refused(tmp_path: Path) -> None:
    """Rows that are all of another width are problems, not exceptions."""
    path = tmp_path / "list.csv"
    out = io.StringIO("Phone,First name\n")
    path.write_text(out.getvalue() + "1\n" * 3000)
    table = load(str(path), Settings())
    assert table.frame.height == 3000
    assert table.problems.filter(table.problems["code"] == Code.ROW_RAGGED).height == 3000
