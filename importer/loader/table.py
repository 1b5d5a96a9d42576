"""One file becomes one table, or a table without rows and the reason why."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

import polars as pl

from importer import problems
from importer.loader import archive, compound, content, header_row
from importer.loader.assemble import assemble
from importer.loader.delimited import open_text
from importer.loader.names import spoken
from importer.loader.refusal import Refusal
from importer.loader.workbook import open_workbook
from importer.model import Source, Table
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from importer.loader.cells import Sheet
    from importer.settings import Settings

    _Opened: TypeAlias = tuple[Sheet, Source, list[pl.DataFrame]]

_WORKBOOKS: Final = (*archive.ZIP, compound.MAGIC)


def load(name: str, settings: Settings) -> Table:
    """Reads one file; a file that cannot be read is an empty table with a problem.

    Args:
        name: path of the file, `-` for standard input, or `lists.zip/march.csv` for one of the
            spreadsheets in an archive.
        settings: encoding, sheet, header overrides and limits.
    """
    source = Source(spoken(name), "", None, 0)
    try:
        held = content.read(name, settings.max_bytes, settings.max_expanded_bytes)
    except Refusal as refusal:
        return _refused(source, refusal)
    source = replace(source, path=held.path, size=len(held.data))
    table = _table(held.data, source, settings)
    return replace(table, source=replace(table.source, sha256=held.sha256()))


def _table(data: bytes, source: Source, settings: Settings) -> Table:
    try:
        unpacked = archive.unpack(data, settings.max_expanded_bytes)
        sheet, source, found = _opened(unpacked, source, settings)
        header = header_row.find(sheet.head(), settings.columns)
        source = replace(source, header_row=header.row)
        return assemble(source, header, sheet.below(header), settings.columns, found)
    except Refusal as refusal:
        return _refused(source, refusal)


def _opened(data: bytes, source: Source, settings: Settings) -> _Opened:
    if not data:
        raise Refusal(Code.FILE_EMPTY, "no content")
    if data.startswith(_WORKBOOKS):
        book = open_workbook(data, settings)
        return book, replace(source, sheet=book.sheet), []
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
