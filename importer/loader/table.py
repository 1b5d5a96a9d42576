"""One file becomes one table, or a table without rows and the reason why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from importer import problems
from importer.loader import content, header_row
from importer.loader.assemble import assemble
from importer.loader.delimited import open_text
from importer.loader.refusal import Refusal
from importer.loader.workbook import open_workbook
from importer.model import Source, Table
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.loader.cells import Sheet
    from importer.settings import Settings

    _Opened: TypeAlias = tuple[Sheet, Source, list[pl.DataFrame]]

_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1")


def load(name: str, settings: Settings) -> Table:
    """Reads one file; a file that cannot be read is an empty table with a problem.

    Args:
        name: path of the file, or `-` for standard input.
        settings: encoding, sheet, header overrides and limits.
    """
    source = Source(name, "", None, 0)
    try:
        held = content.read(name, settings.max_bytes)
        source = replace(source, sha256=held.sha256, path=held.path, size=len(held.data))
        return _table(held.data, source, settings)
    except Refusal as refusal:
        return _refused(source, refusal)


def _table(data: bytes, source: Source, settings: Settings) -> Table:
    if not data:
        raise Refusal(Code.FILE_EMPTY, "no content")
    opened = _workbook if data.startswith(_WORKBOOKS) else _text
    sheet, source, found = opened(data, source, settings)
    header = header_row.find(sheet.head(), settings.columns)
    source = replace(source, header_row=header.row)
    return assemble(source, header, sheet.below(header), settings.columns, found)


def _workbook(data: bytes, source: Source, settings: Settings) -> _Opened:
    book = open_workbook(data, settings)
    return book, replace(source, sheet=book.sheet), []


def _text(data: bytes, source: Source, settings: Settings) -> _Opened:
    text = open_text(data, settings)
    codec, sample = text.encoding.codec, text.encoding.sample
    found = []
    if sample is not None:
        found.append(problems.one(Code.ENCODING_GUESSED, detail=f"{codec}, as in {sample}"))
    return text, replace(source, encoding=codec, delimiter=text.dialect.delimiter), found


def _refused(source: Source, refusal: Refusal) -> Table:
    return Table(
        source=source,
        frame=pl.DataFrame(schema={ROW: pl.UInt32}),
        mapping={},
        extra={},
        ignored=(),
        problems=problems.one(refusal.code, detail=refusal.detail),
    )
