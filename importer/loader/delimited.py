"""Text with delimiters: encoding, delimiter, then the fast road or the exact one."""

from __future__ import annotations

import codecs
import io
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from importer import problems
from importer.loader import decode, dialect, exact, foreign, regular
from importer.loader.cells import Cells, Record
from importer.loader.cutting import end_of_data
from importer.loader.records import lines_of, records
from importer.loader.refusal import Refusal
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Iterator

    import polars as pl

    from importer.loader.records import Read
    from importer.settings import Settings

HEADER_ROWS: Final = 20
_HEAD_BYTES: Final = 1 << 17


@dataclass(frozen=True, slots=True, eq=False)
class Delimited:
    """A text that was understood, ready to be read.

    Attributes:
        data: UTF-8, whatever the file was written in; a byte-order mark may be before it.
        encoding: what the file was written in.
        dialect: how it is delimited.
        settings: the limits.
    """

    data: bytes = field(repr=False)
    encoding: decode.Encoding
    dialect: dialect.Dialect
    settings: Settings

    def head(self) -> list[Record]:
        """The rows in which the header may be, blank ones left out."""
        found = []
        before = int(self.dialect.said)
        for read in islice(self._records(), HEADER_ROWS):
            if any(map(str.strip, read.cells)):
                end = read.lines + int(self.dialect.said)
                found.append(Record(read.row, read.cells, before, end))
            before = read.lines + int(self.dialect.said)
        return found

    def below(self, header: Record, *, careful: bool = False) -> Cells:
        """Everything below the header.

        Args:
            header: one of `head()`.
            careful: take the exact road even where the text is regular.
        """
        if len(header.cells) > self.settings.max_columns:
            raise Refusal(
                Code.FILE_TOO_LARGE,
                f"{len(header.cells):,} columns, and {self.settings.max_columns:,} are allowed "
                "(max_columns)",
            )
        frame = None if careful else self._regular(header)
        if frame is None:
            return exact.read(self._records(len(header.cells)), header, self.settings.max_rows)
        if frame.height > self.settings.max_rows:
            raise exact.too_many(self.settings.max_rows)
        return Cells(frame, problems.empty())

    def _records(self, width: int | None = None) -> Iterator[Read]:
        lines = lines_of(self.data)
        if self.dialect.said:
            next(lines)
        return records(lines, self.dialect.delimiter, width)

    def _regular(self, header: Record) -> pl.DataFrame | None:
        """The rows by the fast road, or None; the blank ones at the end are not looked at."""
        delimiter = self.dialect.delimiter
        end = end_of_data(io.BytesIO(self.data), len(self.data), delimiter.encode())
        data = self.data if end == len(self.data) else self.data[:end]
        if b'"' not in data and data.count(b"\n") > self.settings.max_rows + header.end_line:
            raise exact.too_many(self.settings.max_rows)
        start = 0
        for _ in range(header.end_line):
            start = data.find(b"\n", start) + 1
            if not start:
                return None
        return regular.read(data, start, delimiter, header)


def open_text(data: bytes, settings: Settings) -> Delimited:
    """Finds out how a text is encoded and delimited.

    Raises:
        Refusal: it is no text.
    """
    foreign.refuse(data)
    encoding = decode.detect(data, settings.encoding, settings.fallback_encoding)
    data = decode.as_utf8(data, encoding)
    head = _head(data)
    if not decode.is_text(head):
        raise Refusal(Code.FILE_UNREADABLE, "it is neither text nor a workbook that we know")
    return Delimited(data, encoding, dialect.detect(head, settings.columns), settings)


def _head(data: bytes) -> str:
    """The first lines, whole."""
    part = data[:_HEAD_BYTES].removeprefix(codecs.BOM_UTF8)
    text = part.decode("utf-8", "ignore")
    if len(data) <= _HEAD_BYTES:
        return text
    end = max(text.rfind("\n"), text.rfind("\r", 0, -1))
    return text[: end + 1] or text
