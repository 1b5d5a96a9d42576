"""Archives are unpacked within their limit, whatever they claim."""

from __future__ import annotations

import gzip
import io
import os
import socket
import zipfile
from pathlib import Path

import pytest

from importer.loader import files, load
from importer.loader.sheet import Refusal
from importer.settings import Settings
from schemas.codes import Code
from tests.corpus.text_files import PLAIN, zipped

LIST = PLAIN.encode()
BOMB = b"\0" * 3_000_000


def refused(data: bytes, limit: int = 1_000_000) -> Refusal:
    """Return why data are not unpacked."""
    with pytest.raises(Refusal) as caught:
        files.unpack(data, Settings(max_expanded_bytes=limit))
    return caught.value


@pytest.mark.parametrize(
    "data",
    [
        LIST,
        gzip.compress(LIST, mtime=0),
        gzip.compress(LIST[:50], mtime=0) + gzip.compress(LIST[50:], mtime=0),
        gzip.compress(LIST, mtime=0) + b"\0" * 512,
        zipped({"list.csv": LIST}),
        zipped({"folder/List.CSV": LIST, ".DS_Store": b"", "folder/~$x.xlsx": b""}),
        zipped({"list.csv.gz": gzip.compress(LIST, mtime=0)}),
    ],
)
def test_one_list_comes_out(data: bytes) -> None:
    """Out of gzip, zip and gzip in zip; other members do not matter."""
    assert files.unpack(data, Settings(max_expanded_bytes=1_000_000)) == LIST


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(BOMB, mtime=0),
        gzip.compress(gzip.compress(BOMB, mtime=0), mtime=0),
        zipped({"list.csv": BOMB}),
        zipped({"list.csv.gz": gzip.compress(BOMB, mtime=0)}),
        zipped({"xl/workbook.xml": b"", "[Content_Types].xml": b"", "xl/worksheets/x": BOMB}),
    ],
    ids=["gz", "gz-in-gz", "zip", "gz-in-zip", "workbook"],
)
def test_a_bomb_ends_in_a_message(data: bytes) -> None:
    """It is not unpacked further than the limit, and the message names the limit."""
    refusal = refused(data)
    assert refusal.code is Code.FILE_TOO_LARGE
    assert "max_expanded_bytes" in refusal.detail


def test_a_workbook_that_lies_about_its_size() -> None:
    """What counts is what a member unpacks to, not what the archive says it does."""
    data = zipped({"xl/workbook.xml": b"", "xl/worksheets/sheet1.xml": BOMB})
    lying = data.replace(len(BOMB).to_bytes(4, "little"), (10).to_bytes(4, "little"))
    assert lying != data
    assert refused(lying).code is Code.FILE_TOO_LARGE


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (gzip.compress(LIST)[:-9], "cut short"),
        (zipped({"list.csv": LIST})[:-20], "cut short"),
        (zipped({"a.csv": LIST, "b.csv": LIST}), "2 spreadsheets: a.csv, b.csv"),
        (zipped({"a.md": LIST}), "no spreadsheet"),
        (zipped({"word/document.xml": b""}), "Word"),
        (zipped({"Index/Document.iwa": b""}), "Numbers"),
        (zipped({"mimetype": b"application/vnd.oasis.opendocument.text"}), "no spreadsheet"),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(LIST)))), "archive in an archive"),
    ],
)
def test_what_is_not_unpacked(data: bytes, result: str) -> None:
    """One precise sentence for each."""
    refusal = refused(data)
    assert refusal.code is Code.FILE_UNREADABLE
    assert result in refusal.detail


def test_a_locked_archive() -> None:
    """A password is said to be the reason."""
    file = io.BytesIO(zipped({"list.csv": LIST}))
    with zipfile.ZipFile(file) as box:
        place = box.start_dir
    data = bytearray(file.getvalue())
    data[place + 8] |= 1
    assert "password" in refused(bytes(data)).detail


def packed(text: bytes) -> list[bytes]:
    """Return a text in every kind of archive, and as it is."""
    return [text, gzip.compress(text, mtime=0), zipped({"list.csv": text})]


@pytest.mark.parametrize("kind", range(3))
def test_a_line_that_no_row_needs(kind: int) -> None:
    """One endless line is refused before anybody looks for cells in it."""
    text = packed(b"first_name,phone\nAda," + b"1" * 3_000_000 + b"\n")[kind]
    with pytest.raises(Refusal, match="max_cell_chars") as caught:
        files.unpack(text, Settings(max_columns=10, max_cell_chars=100))
    assert caught.value.code is Code.FILE_TOO_LARGE


@pytest.mark.parametrize("kind", [1, 2])
@pytest.mark.parametrize("row", [b"Ada,1\n", b'"Ada\n",1\n', b'"A"",",1\r\n'])
def test_too_many_rows_are_counted_while_they_are_unpacked(kind: int, row: bytes) -> None:
    """Breaks in quotation marks and blank rows at the end do not count."""
    fits = b"first_name,phone\n" + row * 500 + b",\n" * 1_000
    assert files.unpack(packed(fits)[kind], Settings(max_rows=500)) == fits
    with pytest.raises(Refusal, match="max_rows"):
        files.unpack(packed(fits + row * 21)[kind], Settings(max_rows=500))


def test_what_is_too_large_to_be_kept_is_unpacked_twice() -> None:
    """It comes out whole if it is allowed."""
    parts = [b"first_name,phone\n", b"Ada,1\n", b"Ben,2\n"]
    assert files.collect(lambda: iter(parts), Settings(), most_kept=20) == b"".join(parts)


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    """Nobody writes into it, and nobody waits for that."""
    pipe = tmp_path / "list.csv"
    os.mkfifo(pipe)
    for name, reason in ((pipe, "a pipe"), (Path(os.devnull), "a device"), (tmp_path, "a folder")):
        table = load(str(name), Settings())
        assert table.problems["code"].to_list() == ["file-unreadable"]
        assert reason in table.problems["detail"][0]


def test_a_socket_is_refused(tmp_path: Path) -> None:
    """So is a socket."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "s.csv"))
        table = load(str(tmp_path / "s.csv"), Settings())
    assert "a socket" in table.problems["detail"][0]
