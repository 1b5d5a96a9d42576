"""Measure how workbooks of every format are read, beside fastexcel's time to a frame.

`python -m tests.support.bench.readers [KIND ...]` prints a table. The workbooks hold the people of
the benchmark; they are made once and kept. XLS is written by xlwt, which only this needs.
"""

from __future__ import annotations

import sys
import time
import zipfile
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

import fastexcel
import xlsxwriter

from importer.loader.files import unpack
from importer.loader.workbook import open_workbook
from importer.settings import Settings
from tests.corpus.workbooks import BinarySheet, binary_workbook, real, row, shared
from tests.support.bench.contest import WORK
from tests.support.bench.people import people
from tests.support.bench.phones import numbers_of_all_countries

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import polars as pl

_ROWS: Final = 200_000
_FEWER: Final = 50_000
_LINKS: Final = 60_000  # Excel allows 65,530
_ROUNDS: Final = 3
_PHONE: Final = 2
_EMAIL: Final = 3
_PLUS: Final = '"+"0'


def list_of(rows: int) -> pl.DataFrame:
    """Return the first people of the benchmark."""
    return people(0, rows, phones=numbers_of_all_countries())


def _digits(phone: str) -> int:
    return int("".join(filter(str.isdigit, phone)).lstrip("0"))


def write_xlsx(path: Path, what: str = "") -> None:
    """Write the list as XLSX.

    Args:
        path: the workbook.
        what: what it has besides texts: `texts` (in the cells, not shared), `hidden`, `links`,
            `formulas` or `format` (phones as numbers with a format of their own).
    """
    frame = list_of(_ROWS)
    options = {"constant_memory": what == "texts", "strings_to_urls": False}
    with xlsxwriter.Workbook(path, options) as book:
        sheet = book.add_worksheet()
        shown = book.add_format({"num_format": _PLUS})
        sheet.write_row(0, 0, frame.columns)
        for number, cells in enumerate(frame.iter_rows(), start=1):
            if what == "hidden" and not number % 10:
                sheet.set_row(number, None, None, {"hidden": True})
            for column, value in enumerate(cells):
                if what == "links" and column == _EMAIL and number <= _LINKS:
                    sheet.write_url(number, column, f"mailto:{value}", string=value)
                elif what == "formulas" and column == _EMAIL:
                    sheet.write_formula(number, column, f'=LOWER("{value}")', None, value)
                elif what == "format" and column == _PHONE:
                    sheet.write_number(number, column, _digits(value), shown)
                else:
                    sheet.write_string(number, column, value)
        if what == "hidden":
            sheet.set_column(8, 8, None, None, {"hidden": True})


def write_xlsb(path: Path, *, numbers: bool = False) -> None:
    """Write the list as XLSB with shared texts; `numbers` makes phones formatted numbers."""
    frame = list_of(_ROWS)
    places: dict[str, int] = {}
    rows = []
    for number, cells in enumerate((tuple(frame.columns), *frame.iter_rows()), start=1):
        rows.append(
            row(
                number,
                *(
                    real(column, _digits(value), style=1)
                    if numbers and column == _PHONE and number > 1
                    else shared(column, places.setdefault(value, len(places)))
                    for column, value in enumerate(cells)
                ),
            )
        )
    path.write_bytes(binary_workbook([BinarySheet("List", b"".join(rows))], list(places), (_PLUS,)))


def write_xls(path: Path, *, numbers: bool = False) -> None:
    """Write the list as XLS, with as many rows as fit on its sheet."""
    xlwt = import_module("xlwt")  # carries no types

    book = xlwt.Workbook(encoding="utf-8")
    sheet = book.add_sheet("List")
    style = xlwt.easyxf(num_format_str=_PLUS)
    frame = list_of(_FEWER)
    for number, cells in enumerate((tuple(frame.columns), *frame.iter_rows())):
        for column, value in enumerate(cells):
            if numbers and number and column == _PHONE:
                sheet.write(number, column, _digits(value), style)
            else:
                sheet.write(number, column, value)
    book.save(str(path))


_ODS_HEAD: Final = (
    '<?xml version="1.0" encoding="UTF-8"?><office:document-content'
    ' xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"'
    ' xmlns:table="urn:oasis:names:tc:opendocument:xmlns:table:1.0"'
    ' xmlns:text="urn:oasis:names:tc:opendocument:xmlns:text:1.0"'
    ' xmlns:calcext="urn:org:documentfoundation:names:experimental:calc:xmlns:calcext:1.0"'
    ' office:version="1.3"><office:body><office:spreadsheet><table:table table:name="List">'
    '<table:table-column table:number-columns-repeated="9"/>'
)
_MANIFEST: Final = "urn:oasis:names:tc:opendocument:xmlns:manifest:1.0"
_ODS_END: Final = "</table:table></office:spreadsheet></office:body></office:document-content>"


def write_ods(path: Path, *, numbers: bool = False) -> None:
    """Write the list as LibreOffice writes ODS; `numbers` makes phones formatted numbers."""
    frame = list_of(_FEWER)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as book:
        kind = "application/vnd.oasis.opendocument.spreadsheet"
        book.writestr("mimetype", kind, zipfile.ZIP_STORED)
        book.writestr(
            "META-INF/manifest.xml",
            f'<m:manifest xmlns:m="{_MANIFEST}">'
            f'<m:file-entry m:full-path="/" m:media-type="{kind}"/>'
            '<m:file-entry m:full-path="content.xml" m:media-type="text/xml"/></m:manifest>',
        )
        with book.open("content.xml", "w") as file:
            file.write(_ODS_HEAD.encode())
            for number, cells in enumerate((tuple(frame.columns), *frame.iter_rows())):
                texts = "".join(
                    _ods_cell(value, number=numbers and number > 0 and column == _PHONE)
                    for column, value in enumerate(cells)
                )
                file.write(
                    f'<table:table-row table:style-name="ro1">{texts}</table:table-row>'.encode()
                )
            file.write(_ODS_END.encode())


def _ods_cell(value: str, *, number: bool) -> str:
    kind, more, shown = "string", "", escape(value)
    if number:
        kind, more = "float", f' office:value="{_digits(value)}"'
        shown = f"+{_digits(value)}"
    style = ' table:style-name="ce1"' if number else ""
    return (
        f'<table:table-cell{style} office:value-type="{kind}"{more} calcext:value-type="{kind}">'
        f"<text:p>{shown}</text:p></table:table-cell>"
    )


KINDS: Final[dict[str, tuple[str, Callable[[Path], None]]]] = {
    "XLSX": ("plain.xlsx", write_xlsx),
    "... with texts in the cells": ("texts.xlsx", lambda path: write_xlsx(path, "texts")),
    "... with hidden rows and columns": ("hidden.xlsx", lambda path: write_xlsx(path, "hidden")),
    "... with 60,000 links": ("links.xlsx", lambda path: write_xlsx(path, "links")),
    "... with 200,000 formulas": ("formulas.xlsx", lambda path: write_xlsx(path, "formulas")),
    "... with formatted phones": ("format.xlsx", lambda path: write_xlsx(path, "format")),
    "XLSB": ("plain.xlsb", write_xlsb),
    "XLSB with formatted phones": ("format.xlsb", lambda path: write_xlsb(path, numbers=True)),
    "XLS": ("plain.xls", write_xls),
    "XLS with formatted phones": ("format.xls", lambda path: write_xls(path, numbers=True)),
    "ODS": ("plain.ods", write_ods),
    "ODS with formatted phones": ("format.ods", lambda path: write_ods(path, numbers=True)),
}


def _read(data: bytes) -> int:
    settings = Settings()
    return open_workbook(unpack(data, settings), settings).frame.height


def _read_by_fastexcel(data: bytes) -> int:
    sheet = fastexcel.read_excel(data).load_sheet(0, header_row=None, dtypes="string")
    return sheet.to_polars().height


def _cpu_s(act: Callable[[bytes], int], data: bytes, rows: set[int]) -> float:
    started = time.process_time()
    rows.add(act(data))
    return time.process_time() - started


def measure(names: list[str]) -> None:
    """Print CPU seconds of each kind of workbook: ours, the floor, and the ratio.

    Args:
        names: names of files; all files if there are none.
    """
    folder = WORK / "workbooks"
    folder.mkdir(parents=True, exist_ok=True)
    sys.stdout.write(f"| {'reading':34} |  rows   | ours  | fastexcel | x    |\n")
    for what, (name, write) in KINDS.items():
        if names and name not in names:
            continue
        path = folder / name
        if not path.is_file():
            if path.suffix == ".xls" and find_spec("xlwt") is None:
                sys.stdout.write(f"| {what:34} | not measured: xlwt is not installed |\n")
                continue
            write(path)
        data, rows = path.read_bytes(), set[int]()
        pairs = [
            (_cpu_s(_read, data, rows), _cpu_s(_read_by_fastexcel, data, rows))
            for _ in range(_ROUNDS)
        ]
        ours, floor = (min(side) for side in zip(*pairs, strict=True))
        if len(rows) > 1:
            raise RuntimeError(f"{name}: the readers found {rows} rows")
        costs = f"{ours:5.2f} | {floor:9.2f} | {ours / floor:4.1f}"
        sys.stdout.write(f"| {what:34} | {rows.pop():7,} | {costs} |\n")


if __name__ == "__main__":
    measure(sys.argv[1:])
