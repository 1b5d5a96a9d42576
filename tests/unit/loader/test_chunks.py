"""A long list comes in pieces where that is sure to give what the whole gives, and else whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from importer.loader import NotInChunks, load, open_pieces
from importer.settings import Settings
from schemas.columns import ROW
from tests.support.tables import SETTINGS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from importer.loader import Pieces
    from importer.model import Table

SIZE = 2_000
HEADER = "First Name,Phone,Job\n"


def lines(count: int, cell: str = "Nurse") -> str:
    """Return this many regular rows."""
    return "".join(f"Cy{n},+1 202 555 01{n % 100:02},{cell}\n" for n in range(count))


def opened(folder: Path, text: str | bytes, settings: Settings = SETTINGS) -> Pieces:
    """Return a text as a file, open in pieces of `SIZE` bytes."""
    file = folder / "list.csv"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return open_pieces(str(file), settings, SIZE)


def read(pieces: Pieces) -> list[Table]:
    """Return all pieces, one after the other."""
    return [each() for each in pieces.tables()]


@pytest.mark.parametrize(
    "text",
    [
        HEADER + lines(400),
        "\ufeff" + HEADER + lines(400),
        (HEADER + lines(400)).replace("\n", "\r\n"),
        HEADER.replace(",", ";") + lines(400).replace(",", ";"),
        "sep=,\n" + HEADER + lines(400),
        "Exported list\n\n" + HEADER + lines(400),
        '"First Name","Phone","Job"\n' + lines(400),
        HEADER + lines(400, '"Nurse, ""senior""\nnights"'),
        HEADER + lines(200) + "\n\n,,\n" + lines(200),
        HEADER + lines(400) + "Total,400,\n",
        HEADER + lines(400).rstrip("\n"),
        HEADER + lines(400, "#REF!"),
        HEADER + lines(400) + "\n" * 3 * SIZE,
        HEADER + lines(400) + "Total,,\n" + " ,,\r\n" * SIZE + ",,",
        HEADER + lines(200) + "\n" * 3 * SIZE + lines(200),
    ],
    ids=[
        "plain",
        "mark",
        "crlf",
        "semicolon",
        "sep",
        "preamble",
        "quoted",
        "wrapped",
        "blank",
        *("total", "open", "errors", "blank-end", "sheet-end", "blank-middle"),
    ],
)
def test_pieces_are_the_whole(tmp_path: Path, text: str) -> None:
    """The same rows with the same numbers, columns, problems and hash."""
    pieces = opened(tmp_path, text)
    tables = read(pieces)
    assert len(tables) > 2
    whole = load(str(tmp_path / "list.csv"), SETTINGS)
    rows = [row for table in tables for row in table.frame.rows()]
    assert rows == whole.frame.rows()
    found = [row for table in tables for row in table.problems.rows() if row[1] is not None]
    assert found == [row for row in whole.problems.rows() if row[1] is not None]
    assert all(table.mapping == whole.mapping for table in tables)
    assert pieces.extra == whole.extra
    assert pieces.source() == whole.source


@pytest.mark.parametrize(
    "text",
    [
        HEADER + lines(400) + "Cy,+1 202 555 0199\n" + lines(400),
        HEADER + lines(400) + "Cy,+1 202 555 0199,Nurse,late\n" + lines(400),
        HEADER + lines(400) + 'Cy,+1 202 555 0199,"Nurse\n' + lines(400),
        HEADER + lines(400) + 'Cy,+1 202 555 0199,5" pipe\n' + lines(400),
        HEADER + lines(400) + "Cy,+1 202 555 0199,a\rb\n" + lines(400),
        HEADER.encode() + lines(40_000).encode() + "Zoë,,\n".encode("cp1252"),
    ],
    ids=["short", "long", "unclosed", "mark", "return", "latin"],
)
def test_what_must_be_seen_whole_says_so(tmp_path: Path, text: str | bytes) -> None:
    """However late in the file it stands."""
    with pytest.raises(NotInChunks, match=r"list\.csv"):
        read(opened(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        HEADER + lines(20),
        (HEADER + lines(400)).encode("utf-16"),
        "First Name,Phone,\n" + lines(400),
        'He said "hello"\n' + HEADER + lines(400),
        lines(400),
        "Cy\n" * 2_000,
        b"PK\x03\x04" + b"x" * 9_000,
    ],
    ids=["short", "wide", "headless", "spoken", "nameless", "one-word", "zip"],
)
def test_the_rest_is_read_at_once(tmp_path: Path, text: str | bytes) -> None:
    """One piece, which is what `load` gives."""
    (table,) = read(opened(tmp_path, text))
    whole = load(str(tmp_path / "list.csv"), SETTINGS)
    assert table.frame.equals(whole.frame)
    assert table.problems.equals(whole.problems)
    assert table.source == whole.source


def test_a_file_that_is_not_there_is_one_piece(tmp_path: Path) -> None:
    """With its problem."""
    (table,) = read(open_pieces(str(tmp_path / "none.csv"), SETTINGS, SIZE))
    assert table.problems["code"].to_list() == ["file-missing"]


def test_limits_hold_in_pieces_too(tmp_path: Path) -> None:
    """A list with too many rows is not read to its end; read whole, it is refused."""
    few = Settings(max_rows=300)
    with pytest.raises(NotInChunks):
        read(opened(tmp_path, HEADER + lines(400), few))
    (table,) = read(open_pieces(str(tmp_path / "list.csv"), few, SIZE, whole=True))
    assert table.problems["code"].to_list() == ["file-too-large"]


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-700]),
        lambda file: file.write_bytes(b"Phone,First Name,Job\n" + file.read_bytes()),
        lambda file: file.write_bytes(file.read_bytes() + lines(1).encode()),
    ],
    ids=["truncated", "another", "longer"],
)
def test_a_file_that_changes_meanwhile_is_read_again(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    """Nothing of the two is mixed."""
    tables = opened(tmp_path, HEADER + lines(400)).tables()
    next(tables)
    change(tmp_path / "list.csv")
    with pytest.raises(NotInChunks):
        list(tables)


def test_a_file_that_is_replaced_meanwhile(tmp_path: Path) -> None:
    """The old one is read to its end; one that is gone or another before that is read again."""
    file = tmp_path / "list.csv"
    tables = opened(tmp_path, HEADER + lines(400)).tables()
    next(tables)
    file.unlink()
    assert sum(each().frame.height for each in tables) > 0
    for text in (None, "Phone,First Name,Job\n" + lines(400)):
        pieces = opened(tmp_path, HEADER + lines(400))
        file.unlink()
        if text is not None:
            file.write_text(text)
        with pytest.raises(NotInChunks):
            read(pieces)


def test_a_mark_of_order_is_a_cell_s_wherever_it_stands(tmp_path: Path) -> None:
    """A byte-order mark may begin any cell, also where a piece begins."""
    text = HEADER + "".join(f"\ufeff{line}\n" for line in lines(400).splitlines())
    tables = read(opened(tmp_path, text))
    assert len(tables) > 1
    for table in tables:
        assert table.frame.to_series(1).str.starts_with("\ufeff").all()


def test_rows_are_numbered_from_the_top(tmp_path: Path) -> None:
    """Over pieces, blank lines and cells of several lines."""
    blank = HEADER + "\n" + lines(100) + "\n\n" + lines(300)
    numbers = [row for table in read(opened(tmp_path, blank)) for row in table.frame[ROW]]
    assert numbers == [*range(3, 103), *range(105, 405)]
    wrapped = HEADER + lines(400, '"a\nb"')
    numbers = [row for table in read(opened(tmp_path, wrapped)) for row in table.frame[ROW]]
    assert numbers == [*range(2, 402)]
