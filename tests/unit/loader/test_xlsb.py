"""Binary workbooks (XLSB) are read as Excel shows them, and damaged ones are refused."""

from __future__ import annotations

import io
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest

from importer.loader.files import unpack
from importer.loader.sheet import Merged, Refusal
from importer.loader.workbook import Workbook, open_workbook, read_values
from importer.settings import Settings
from schemas.codes import Code
from tests.corpus.workbooks import (
    BinarySheet,
    binary_workbook,
    cell,
    every_kind,
    hidden_columns,
    inline,
    real,
    record,
    row,
    shared,
    whole,
    wide,
)

DEFAULTS = Settings()
CORPUS = Path(__file__).parents[2] / "corpus" / "files" / "every-kind.xlsb"


def opened(data: bytes, given: Settings = DEFAULTS) -> Workbook:
    """Return a workbook as `check` opens it."""
    return open_workbook(unpack(data, given), given)


def refused(data: bytes, given: Settings = DEFAULTS) -> Refusal:
    """Return why a workbook is not read."""
    with pytest.raises(Refusal) as caught:
        opened(data, given)
    return caught.value


def only(rows: bytes, columns: bytes = b"", **more: Any) -> bytes:
    """Return a workbook of one sheet."""
    return binary_workbook([BinarySheet("One", rows, columns)], **more)


def rebuilt(data: bytes, change: dict[str, Any]) -> bytes:
    """Return the same archive, with some parts under another name, changed or left out.

    Args:
        data: the archive.
        change: path -> new path, new bytes, or None.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(file, "w") as after:
        for name in before.namelist():
            now = change.get(name, name)
            if isinstance(now, str):
                after.writestr(now, before.read(name))
            elif now is not None:
                after.writestr(name, now)
    return file.getvalue()


def cells(data: bytes) -> list[tuple[Any, ...]]:
    """Return all cells of the sheet that is read."""
    return opened(data).frame.rows()


def test_the_corpus_holds_what_the_writer_writes() -> None:
    """The file in the corpus is what today's writer makes."""
    with zipfile.ZipFile(CORPUS) as kept, zipfile.ZipFile(io.BytesIO(every_kind())) as now:
        assert kept.namelist() == now.namelist()
        assert all(kept.read(name) == now.read(name) for name in kept.namelist())


def test_another_reader_reads_the_same_values() -> None:
    """Calamine differs in what it does not read: formats, errors and texts with fonts in them."""
    data = every_kind()
    found = {}
    for sheet in ("Old", "March", "April"):
        ours = opened(data, Settings(sheet=sheet)).frame.rows()
        theirs = {line[0]: line[1:] for line in read_values(data, sheet).rows()}
        for number, *texts in ours:
            for column, text in enumerate(texts):
                other = theirs[number][column]
                if text != (other or None):
                    found[sheet, number, column] = text, other
    assert found == {
        ("March", 2, 0): ("+1 2025550104", "2025550104"),
        ("March", 2, 2): ("Lovelace", None),
        ("March", 2, 4): ("2026-03-01", "46082"),
        ("March", 2, 6): ("#DIV/0!", None),
        ("March", 4, 0): ("02079460018", "2079460018"),
        ("March", 6, 7): ("#N/A", None),
    }


def test_hidden_merged_and_linked() -> None:
    """What is hidden, merged or linked is known; a hidden sheet is read only by its name."""
    book = opened(every_kind())
    assert (book.sheet, book.others) == ("March", ("April",))
    assert book.parts.hidden_rows == {3}
    assert book.parts.hidden_columns == {8}
    assert book.parts.merged == [Merged(2, 7, 4, 7)]
    assert book.parts.links == {(4, 3): "mailto:grace@example.com"}
    assert opened(every_kind(), Settings(sheet="Old")).frame.rows() == [(1, "Phone")]
    assert "it has “Old”, “March”, “April”" in refused(every_kind(), Settings(sheet="May")).detail


def test_rows_and_columns_without_height_or_width_are_hidden() -> None:
    """A row of height 0 and a column of width 0 are not shown, even without the flag."""
    flat = record(0, struct.pack("<IIHBBBI", 1, 0, 0, 0, 0, 0, 0)) + inline(0, "Ada")
    narrow = record(60, struct.pack("<4IH", 1, 2, 0, 0, 0))
    parts = opened(only(row(1, inline(0, "Name")) + flat, narrow)).parts
    assert (parts.hidden_rows, parts.hidden_columns) == ({2}, {1, 2})
    everything = opened(only(row(1, inline(0, "x")), hidden_columns(0, 0xFFFFFFFF))).parts
    assert len(everything.hidden_columns) == 16_384


@pytest.mark.parametrize(("since_1904", "day"), [(False, "2026-03-01"), (True, "2030-03-02")])
def test_days_are_counted_from_1900_or_1904(since_1904: bool, day: str) -> None:  # noqa: FBT001
    """The workbook says from when; built-in formats need no code."""
    rows = row(1, whole(0, 46082, style=1), real(1, 46082.75, style=1), real(2, 1.5, style=2))
    data = only(rows, codes=("dd/mm/yyyy", "[h]:mm"), since_1904=since_1904)
    assert cells(data) == [(1, day, f"{day}T18:00:00", "36:00:00")]


@pytest.mark.parametrize(
    ("packed", "shown"),
    [
        (5 << 2 | 2, "5"),
        (0xFFFFFFFF & (-5 << 2 | 2), "-5"),
        (1234 << 2 | 3, "12.34"),
        (0xFFFFFFFF & (-1 << 2 | 3), "-0.01"),
        (0x3FF80000, "1.5"),
        (0x3FF80000 | 1, "0.015"),
        (0xC0000000, "-2"),
    ],
)
def test_numbers_in_four_bytes(packed: int, shown: str) -> None:
    """Integers, halves of doubles, hundredths, each with its sign."""
    assert cells(only(row(1, cell(2, 0, struct.pack("<I", packed))))) == [(1, shown)]


def test_cells_without_a_column_stand_right_of_the_one_before() -> None:
    """Short cells, as some writers save them, mixed with long ones."""
    style = struct.pack("<I", 0)
    rows = row(
        1,
        inline(1, "B"),
        record(12, style),
        record(13, style + struct.pack("<I", 7 << 2 | 2)),
        record(14, style + b"\x17"),
        record(15, style + b"\1"),
        record(16, style + struct.pack("<d", 0.5)),
        record(17, style + wide("G")),
        record(18, style + struct.pack("<I", 0)),
        record(61, style + b"\0" + wide("I")),
        inline(10, "K"),
    )
    row_now = (1, None, "B", None, "7", "#REF!", "true", "0.5", "G", "H", "I", "K")
    assert cells(only(rows, texts=("H",))) == [row_now]


def test_other_bits_after_a_style() -> None:
    """The bits after a style's number do not belong to it."""
    value = struct.pack("<d", 2025550104)
    rows = row(1, cell(5, 0, value, style=1 | 1 << 24), cell(9, 1, value + bytes(6), style=1))
    assert cells(only(rows, codes=('"+1 "0',))) == [(1, "+1 2025550104", "+1 2025550104")]


def test_parts_are_found_by_relations_in_any_case_and_place() -> None:
    """Another case, other slashes, and no list of relations for the package as a whole."""
    data = every_kind()
    odd = {
        "xl/workbook.bin": "XL\\Workbook.bin",
        "xl/sharedStrings.bin": "xl/SHAREDSTRINGS.BIN",
        "xl/worksheets/sheet2.bin": "/xl/worksheets/Sheet2.bin",
        "_rels/.rels": None,
    }
    assert opened(rebuilt(data, odd)).frame.equals(opened(data).frame)
    moved = {
        "xl/workbook.bin": "book/main.bin",
        "xl/_rels/workbook.bin.rels": "book/_rels/main.bin.rels",
        **{f"xl/worksheets/sheet{n}.bin": f"book/worksheets/sheet{n}.bin" for n in (1, 2, 3)},
        "xl/sharedStrings.bin": "book/sharedStrings.bin",
        "xl/styles.bin": "book/styles.bin",
    }
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        root = archive.read("_rels/.rels").replace(b"xl/workbook.bin", b"book/main.bin")
    again = rebuilt(rebuilt(data, moved), {"_rels/.rels": root})
    assert opened(again).frame.equals(opened(data).frame)


def test_a_workbook_without_styles_or_shared_texts() -> None:
    """Both parts may be missing, unless a cell needs them."""
    gone = {"xl/styles.bin": None, "xl/sharedStrings.bin": None}
    assert cells(rebuilt(only(row(1, real(0, 4.0), inline(1, "x"))), gone)) == [(1, "4", "x")]
    assert "damaged" in refused(rebuilt(every_kind(), gone)).detail


@pytest.mark.parametrize(
    "rows",
    [
        row(1, shared(0, 1)),
        row(1, real(0, 1.0, style=9)),
        row(1, cell(5, 0, b"1234")),
        row(1, cell(6, 0, struct.pack("<I", 9) + b"A\0")),
        row(1, inline(1, "b"), inline(0, "a")),
        row(1, inline(0, "a"), inline(0, "b")),
        row(2, inline(0, "a")) + row(1, inline(0, "b")),
        row(1, inline(0, "a")) + row(1, inline(0, "b")),
        inline(0, "a"),
        record(0, b"\0"),
        row(1) + b"\x06\xff\xff\xff\xff",
        row(1) + b"\x06\x7f",
        row(1) + b"\xff",
    ],
    ids=lambda rows: rows.hex()[-16:],
)
def test_damage_is_refused(rows: bytes) -> None:
    """Too short, out of order, or pointing to nothing: never a traceback, and no row is lost."""
    refusal = refused(only(rows, texts=("x",)))
    assert refusal.code is Code.FILE_UNREADABLE
    assert "damaged" in refusal.detail


def test_rows_without_an_end_are_refused() -> None:
    """A sheet that ends between two records has lost rows."""
    data = only(row(1, inline(0, "a")) + row(2, inline(0, "b")))
    cut = record(129) + record(145) + row(1, inline(0, "a"))
    assert "damaged" in refused(rebuilt(data, {"xl/worksheets/sheet1.bin": cut})).detail
    assert "cut short" in refused(rebuilt(data, {"xl/worksheets/sheet1.bin": None})).detail


def test_limits() -> None:
    """They hold before memory is taken: cells far away, and one long text in many cells."""
    far = only(row(1, inline(0, "a")) + row(1_048_576, inline(16_383, "x")))
    assert "max_rows" in refused(far, Settings(max_rows=20)).detail
    assert "max_columns" in refused(only(row(1, inline(9, "x"))), Settings(max_columns=5)).detail
    wide_open = Settings(max_rows=2_000_000, max_columns=20_000)
    assert "max_expanded_bytes" in refused(far, wide_open).detail
    many = only(b"".join(row(n, shared(0, 0)) for n in range(1, 1_001)), texts=("x" * 30_000,))
    assert "max_expanded_bytes" in refused(many, Settings(max_expanded_bytes=1_000_000)).detail
    long = only(row(1, inline(0, "x" * 600_000)))
    assert refused(long).code is Code.FILE_TOO_LARGE


def test_blank_styled_cells_count_for_nothing() -> None:
    """A format that was applied to whole columns makes no rows."""
    rows = row(1, inline(0, "a")) + row(1_048_576, cell(1, 16_383, b""))
    assert cells(only(rows)) == [(1, "a")]


def test_halves_of_characters_are_replaced() -> None:
    """A text that is not UTF-16 is marked, so that its row is not sent."""
    half = struct.pack("<I", 2) + b"\x3d\xd8A\0"
    assert "\ufffd" in cells(only(row(1, cell(6, 0, half))))[0][1]


def test_any_damage_is_a_refusal() -> None:
    """Bytes are flipped, cut and doubled in each part; whatever comes of it is no traceback."""
    rng = random.Random(494)
    data = every_kind()
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    outcomes = {"read": 0, "refused": 0}
    for turn in range(400):
        name = rng.choice([name for name in parts if name.endswith(".bin")])
        part = bytearray(parts[name])
        place = rng.randrange(len(part))
        if turn % 3 == 0:
            del part[place:]
        elif turn % 3 == 1:
            part[place] = rng.randrange(256)
        else:
            part[place:place] = part[max(0, place - rng.randrange(9)) : place]
        try:
            opened(rebuilt(data, {name: bytes(part)})).head()
            outcomes["read"] += 1
        except Refusal:
            outcomes["refused"] += 1
    assert all(outcomes.values())


@pytest.mark.parametrize("given", [DEFAULTS, Settings(max_columns=7), Settings(max_rows=900)])
def test_runs_of_shared_texts_are_read_as_cell_by_cell(
    monkeypatch: pytest.MonkeyPatch, given: Settings
) -> None:
    """Also with columns left out, empty texts, texts with fonts, and other cells in between."""
    chance = random.Random(5)
    texts = ["", "Ada", "Grace Hopper", "ß" * 70, "+44 20 7946 0018"]
    rows = b""
    for number in range(1, 1_000):
        columns = sorted(chance.sample(range(9), chance.randrange(9)))
        rows += row(
            number,
            *(
                real(column, 2025550104)
                if chance.random() < 0.1
                else shared(column, *chance.choices(range(5), (1, 30, 30, 5, 30)))
                for column in columns
            ),
        )
    data = only(rows, texts=texts)

    def read() -> tuple[Any, ...] | str:
        try:
            book = opened(data, given)
        except Refusal as refusal:
            return str(refusal)
        return book.frame.rows(), book.frame.columns

    found = read()
    monkeypatch.setattr("importer.loader.xlsb._SHARED_CELLS", re.compile(b"(?!)"))
    assert found == read()
    assert isinstance(found, str) == (given is not DEFAULTS)
