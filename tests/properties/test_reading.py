"""Whatever is written as CSV reads back, on both roads; whatever is no spreadsheet is refused."""

from __future__ import annotations

import codecs
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from importer import problems
from importer.loader import load
from importer.loader.delimited import open_text
from importer.loader.sheet import without_blanks
from importer.settings import Settings
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.model import Table

HEADERS = ("Phone", "First name", "Größe", 'Note, "long"', "Last\nname")
ENCODINGS = ("utf-8", "utf-8-sig", "utf-16-le", "utf-16-be", "utf-16", "cp1252", "mac_roman")
MARKS = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
DEFAULTS = Settings()

cells = st.one_of(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], include_characters="\r\n\t"),
        max_size=8,
    ),
    st.text('ab ,;\t|"\r\n\\=\u00a0é', max_size=8),
)


@dataclass(frozen=True)
class Written:
    """A table as some program writes it: how, and the bytes."""

    rows: list[list[str]]
    delimiter: str
    end: str
    encoding: str
    every: bool
    last_end: bool
    said: bool

    def text(self) -> str:
        """Return the table with delimiters, quoted where it must be or everywhere."""
        lines = [self.delimiter.join(map(self.quoted, row)) for row in self.rows]
        result = [f"sep={self.delimiter}"] if self.said else []
        return self.end.join([*result, *lines]) + (self.end if self.last_end else "")

    def quoted(self, cell: str) -> str:
        """Return a cell, in quotation marks if it needs them."""
        plain = not self.every and not set(cell) & {self.delimiter, '"', "\r", "\n"}
        return cell if plain else '"' + cell.replace('"', '""') + '"'

    def data(self) -> bytes:
        """Return the bytes of the file."""
        return MARKS.get(self.encoding, b"") + self.text().encode(self.encoding)


@st.composite
def tables(draw: st.DrawFn) -> Written:
    """Return tables of any text, in any dialect and encoding."""
    encoding = draw(st.sampled_from(ENCODINGS))
    width = draw(st.integers(2, len(HEADERS)))
    cell = cells
    if encoding in {"cp1252", "mac_roman"}:
        cell = cells.map(lambda text: text.encode(encoding, "ignore").decode(encoding))
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), max_size=6))
    return Written(
        rows=[list(HEADERS[:width]), *rows],
        delimiter=draw(st.sampled_from(",;\t|")),
        end=draw(st.sampled_from(["\n", "\r\n", "\r"])),
        encoding=encoding,
        every=draw(st.booleans()),
        last_end=draw(st.booleans()),
        said=draw(st.booleans()),
    )


def loaded(data: bytes, given: Settings = DEFAULTS) -> Table:
    """Return the table that bytes are read as, by way of a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "candidates.csv"
        path.write_bytes(data)
        return load(str(path), given)


def expected(rows: list[list[str]]) -> list[tuple[int | str | None, ...]]:
    """Return rows and cells of what was written: blank rows count, but are not there."""
    return [
        (number, *(cell or None for cell in row))
        for number, row in enumerate(rows[1:], start=2)
        if any(map(str.strip, row))
    ]


@given(tables())
@settings(max_examples=50, deadline=None)
def test_a_table_reads_back(table: Written) -> None:
    """The same cells on the same rows, in every dialect and encoding."""
    forced = table.encoding if table.encoding in {"cp1252", "mac_roman"} else None
    found = loaded(table.data(), DEFAULTS.model_copy(update={"encoding": forced}))
    assume(Code.TOTALS_SKIPPED not in found.problems["code"])
    assert found.frame.rows() == expected(table.rows)
    assert set(found.problems["code"]) <= {Code.FILE_EMPTY, Code.CELL_ERROR}
    if table.rows[1:]:
        assert found.source.delimiter == table.delimiter


@given(tables())
@settings(max_examples=40, deadline=None)
def test_both_roads_agree_on_tables(table: Written) -> None:
    """The fast road is taken where the text is regular, and reads the same as the exact one."""
    forced = table.encoding if table.encoding in {"cp1252", "mac_roman"} else None
    text = open_text(table.data(), DEFAULTS.model_copy(update={"encoding": forced}))
    header = text.head()[0]
    fast, exact = text.below(header), text.below(header, careful=True)
    assert without_blanks(fast.frame).equals(without_blanks(exact.frame))
    assert not exact.problems.height


@given(
    st.text('ab ,"\\', max_size=12),
    st.lists(
        st.sampled_from([*'ab,,""\n\n\r \\', "\r\n", '""', '","', '"\n"', "a,b\n", '"a","b"\n'])
    ),
)
@example("", ["a", ",", "b", "\n", "\n", "c", "\n", ",", "d"])
@settings(max_examples=150, deadline=None)
def test_both_roads_agree_on_anything(extra: str, soup: list[str]) -> None:
    """If the fast road gives an answer at all, it is the exact one's."""
    first = "Phone,First name" + ("," + extra if extra else "")
    text = open_text((first + "\n" + "".join(soup)).encode(), DEFAULTS)
    header = next((record for record in text.head() if record.row == 1), None)
    if header is None or text.dialect.delimiter != ",":
        return
    fast, exact = text.below(header), text.below(header, careful=True)
    assert without_blanks(fast.frame).equals(without_blanks(exact.frame))
    assert fast.problems.equals(exact.problems) or not exact.problems.height


@pytest.mark.parametrize("start", [b"", b"Phone,First name\n", b"PK\x03\x04", b"\x1f\x8b\x08\0"])
@given(data=st.binary(max_size=400))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_bytes_give_a_traceback(start: bytes, data: bytes) -> None:
    """Random bytes end in a table, perhaps without rows and with a problem."""
    found = loaded(start + data)
    assert found.frame.schema[ROW] == pl.UInt32
    assert found.problems.schema == problems.SCHEMA
    assert found.frame.width == 1 + len(found.mapping) + len(found.extra)
