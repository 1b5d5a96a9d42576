"""Read binary workbooks (XLS) with xlrd.

A reader of our own gave identical cells, hidden rows, merged cells and visibility on every file of
the corpus, and failed on workbooks that xlrd reads.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from importer.loader.sheet import (
    Merged,
    Parts,
    Refusal,
    as_frame,
    check_extent,
    missing_reader,
    shown_number,
)
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    import polars as pl

    from importer.settings import Settings

    Book: TypeAlias = Any  # xlrd carries no types

MAGIC: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_DAMAGED: Final = "it is damaged, or not a workbook"
_OF_OTHERS: Final = (
    ("EncryptedPackage", "it is protected by a password"),
    ("WordDocument", "it is a Word document"),
    ("PowerPoint Document", "it is a PowerPoint presentation"),
    ("__substg1.0_", "it is an Outlook message"),
)
"""Names of streams in other kinds of file, and what such a file is."""


class _Nowhere(io.TextIOBase):
    """A log file for xlrd that drops its remarks about damaged records."""

    def write(self, text: str) -> int:
        """Drop a remark."""
        return len(text)


def open_book(data: bytes) -> Book:
    """Open a workbook; `read` reads its sheets.

    Raises:
        Refusal: it is damaged, locked, or a document of another kind.
    """
    try:
        import xlrd  # noqa: PLC0415 (optional; a CSV does not need it)
    except ImportError:
        raise missing_reader("XLS") from None

    def open_data() -> Book:
        return xlrd.open_workbook(
            file_contents=data,
            formatting_info=True,
            on_demand=True,
            ragged_rows=True,
            logfile=_Nowhere(),
        )

    try:
        return _guard(open_data)
    except Refusal as refusal:
        for name, reason in _OF_OTHERS:
            if name.encode("utf-16-le") in data:
                raise Refusal(Code.FILE_UNREADABLE, reason) from refusal
        raise


def sheet_names(book: Book) -> list[tuple[str, bool]]:
    """Return the worksheets in tab order, each with whether it is visible."""
    visibilities = book._sheet_visibility
    return list(zip(book.sheet_names(), (not hidden for hidden in visibilities), strict=True))


def read(book: Book, place: int, settings: Settings) -> tuple[pl.DataFrame, Parts]:
    """Read all cells of a sheet, and what it has besides values.

    Returns:
        `#row` and `0`, `1`, ... as text; and the parts.

    Raises:
        Refusal: the sheet is damaged, or over a limit.
    """
    found: tuple[pl.DataFrame, Parts] = _guard(
        lambda: _read(book, book.sheet_by_index(place), settings)
    )
    return found


def _guard(act: Callable[[], Any]) -> Any:
    """Turn the many exceptions that xlrd raises for damaged files into a refusal."""
    try:
        return act()
    except Refusal:
        raise
    except Exception as error:  # xlrd checks little, so damaged files raise any class
        reason = _DAMAGED
        if "encrypted" in str(error):
            reason = "it is protected by a password"
        raise Refusal(Code.FILE_UNREADABLE, reason) from error


def _read(book: Book, sheet: Any, settings: Settings) -> tuple[pl.DataFrame, Parts]:
    check_extent(sheet.nrows, sheet.ncols, settings)
    parts = Parts(
        hidden_rows={row + 1 for row, info in sheet.rowinfo_map.items() if info.hidden},
        hidden_columns={place for place, info in sheet.colinfo_map.items() if info.hidden},
        merged=[
            Merged(top + 1, left, bottom, right - 1)
            for top, bottom, left, right in sheet.merged_cells
        ],
    )
    for (row, place), link in sheet.hyperlink_map.items():
        if link.url_or_path:
            parts.links[row + 1, place] = str(link.url_or_path)
    rows: list[int] = []
    cells: list[list[str | None]] = []
    width = 0
    for row in range(sheet.nrows):
        texts = [_text(book, cell) for cell in sheet.row(row)]
        if any(texts):
            rows.append(row + 1)
            cells.append(texts)
            width = max(width, *(n for n, text in enumerate(texts, 1) if text))
    for texts in cells:
        del texts[width:]
        texts.extend([None] * (width - len(texts)))
    return as_frame(rows, cells), parts


def _text(book: Book, cell: Any) -> str | None:
    """Return a cell as the spreadsheet program shows it."""
    import xlrd  # noqa: PLC0415 (it is there by now)

    kind, value = cell.ctype, cell.value
    if kind == xlrd.XL_CELL_TEXT:
        return str(value) or None
    if kind in {xlrd.XL_CELL_NUMBER, xlrd.XL_CELL_DATE}:
        return _number(book, cell.xf_index, value)
    if kind == xlrd.XL_CELL_BOOLEAN:
        return "true" if value else "false"
    if kind == xlrd.XL_CELL_ERROR:
        return str(xlrd.error_text_from_code.get(value, "#ERROR!"))
    return None


def _number(book: Book, style: int | None, value: float) -> str:
    """Return a number as its style shows it."""
    key = book.xf_list[style].format_key if style is not None else 0
    known = book.format_map.get(key)
    code = (known.format_str or None) if known is not None else None
    return shown_number(value, key, code, since_1904=bool(book.datemode))
