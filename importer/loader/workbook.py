"""Choose the sheet of a workbook that has the candidates, and read its cells as shown."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import polars as pl

from importer import problems
from importer.loader import files, ods, office_package, xls, xlsb, xlsx
from importer.loader.headers import columns_named
from importer.loader.sheet import (
    Cells,
    Parts,
    Record,
    Refusal,
    column_letters,
    missing_reader,
    ranges,
    without_blanks,
)
from schemas.codes import Code
from schemas.columns import ROW

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from importer.loader.sheet import Merged
    from importer.settings import Settings


_DAMAGED: Final = "it is damaged, or not a workbook"
_MOMENT: Final = r"^(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d)(?:\.0+|(\.\d+?)0*)?$"
_TIME_ONLY: Final = r"^1899-12-3[01]T"
_MIDNIGHT: Final = "T00:00:00"


def read_values(data: bytes, sheet: str) -> pl.DataFrame:
    """Read all cells of a sheet with fastexcel, from the first row and column on.

    Args:
        data: the workbook, XLSX, within the limits.
        sheet: name of the sheet.

    Returns:
        `#row` from 1, and `0`, `1`, ... as text; an error in a cell is null.

    Raises:
        Refusal: the workbook is damaged.
    """
    try:
        import fastexcel  # noqa: PLC0415 (optional; a CSV does not need it)
    except ImportError:
        raise missing_reader("XLSX") from None
    try:
        book = fastexcel.read_excel(data)
        values = book.load_sheet(sheet, header_row=None, skip_rows=0, dtypes="string")
        first = min((column.absolute_index for column in values.available_columns()), default=0)
        frame = values.to_polars()
    except fastexcel.FastExcelError as error:
        raise Refusal(Code.FILE_UNREADABLE, _DAMAGED) from error
    except BaseException as error:  # a panic of the reader: no Exception, and not importable
        if type(error).__name__ != "PanicException":
            raise
        raise Refusal(Code.FILE_UNREADABLE, _DAMAGED) from error
    frame.columns = [str(first + place) for place in range(frame.width)]
    before = (pl.lit(None, dtype=pl.String).alias(str(place)) for place in range(first))
    return frame.select(*before, pl.all().map_batches(_iso)).with_row_index(ROW, offset=1)


def _iso(cells: pl.Series) -> pl.Series:
    """Write dates and times in ISO form; drop midnight from dates, and the day from times."""
    if not cells.str.contains(_MOMENT).any():
        return cells
    moments = cells.str.replace(_MOMENT, "${1}T${2}${3}")
    changed = moments != cells
    short = moments.str.replace(_TIME_ONLY, "").str.strip_suffix(_MIDNIGHT)
    return short.zip_with(changed.fill_null(value=False), cells)


@dataclass(frozen=True, slots=True)
class Hidden:
    """The hidden rows and columns that were left out.

    Attributes:
        detail: rows and columns in words; empty if nothing was hidden.
        headers: the headers of the columns; blank if a column has none.
        cells: `#row` and the columns, named as in the frame.
    """

    detail: str = ""
    headers: tuple[str, ...] = ()
    cells: pl.DataFrame = field(default_factory=pl.DataFrame, repr=False)


def drop_hidden(
    frame: pl.DataFrame, names: Sequence[str], parts: Parts
) -> tuple[pl.DataFrame, Hidden]:
    """Remove hidden rows and columns, and say what was removed.

    Args:
        frame: `#row` and `0`, `1`, ... below the header, without blank rows.
        names: the cells of the header row, including hidden columns.
        parts: the parts of the sheet.
    """
    rows = sorted(parts.hidden_rows.intersection(frame[ROW])) if parts.hidden_rows else []
    columns = [
        place
        for place in sorted(parts.hidden_columns)
        if place < len(names)
        and (names[place].strip() or frame[str(place)].null_count() < frame.height)
    ]
    left_out = []
    cells = pl.DataFrame()
    if rows:
        left_out.append(f"{'row' if len(rows) == 1 else 'rows'} {ranges(rows)}")
        frame = frame.filter(~pl.col(ROW).is_in(rows))
    if columns:
        shown = ", ".join(_named(place, names[place]) for place in columns)
        left_out.append(f"{'column' if len(columns) == 1 else 'columns'} {shown}")
        cells = frame.select(ROW, *map(str, columns))
        empty = pl.lit(None, dtype=pl.String)
        frame = frame.with_columns(empty.alias(str(place)) for place in columns)
    headers = tuple(names[place] for place in columns)
    return frame, Hidden(" and ".join(left_out), headers, cells)


def _named(place: int, name: str) -> str:
    return f"{column_letters(place)} (“{name}”)" if name.strip() else column_letters(place)


def spread_merged(frame: pl.DataFrame, merged: Sequence[Merged]) -> tuple[pl.DataFrame, str]:
    """Repeat the value of merged cells in each of their rows; return a sentence about it, too.

    Only empty cells in the first column of a block are filled, and only in rows that are not blank.
    """
    rows = frame[ROW].to_list()
    columns: dict[int, dict[int, str]] = {}
    filled = []
    for block in merged:
        first = bisect_left(rows, block.top)
        last = bisect_right(rows, block.bottom)
        name = str(block.left)
        if name not in frame.columns or first >= last - 1 or rows[first] != block.top:
            continue
        cells = frame[name][first:last]
        if cells[0] is None or cells.null_count() < cells.len() - 1:
            continue
        columns.setdefault(block.left, {}).update(dict.fromkeys(rows[first + 1 : last], cells[0]))
        letters = column_letters(block.left)
        filled.append(f"{letters}{block.top}:{letters}{block.bottom}")
    frame = _with(frame, columns)
    if not filled:
        return frame, ""
    shown = ", ".join(filled[:5]) + (" and more" if len(filled) > 5 else "")  # noqa: PLR2004
    return frame, f"The value of merged cells was repeated in each of their rows: {shown}."


def replace_shown(frame: pl.DataFrame, parts: Parts) -> pl.DataFrame:
    """Replace values by what the spreadsheet program shows: errors, digits of formats."""
    return _with(frame, parts.shown)


def _with(frame: pl.DataFrame, columns: Mapping[int, Mapping[int, str]]) -> pl.DataFrame:
    """Replace some cells: column -> row -> new value."""
    for place, values in columns.items():
        name = str(place)
        if name not in frame.columns:
            continue
        now = pl.DataFrame(
            {ROW: list(values), "now": list(values.values())},
            schema={ROW: pl.UInt32, "now": pl.String},
        )
        frame = (
            frame.join(now, on=ROW, how="left", maintain_order="left")
            .with_columns(pl.coalesce("now", name).alias(name))
            .drop("now")
        )
    return frame


HEADER_ROWS: Final = 20
_CONTACTS: Final = frozenset({"phone_number", "email"})


@dataclass(frozen=True, slots=True, eq=False)
class Workbook:
    """The chosen sheet of a workbook.

    Attributes:
        sheet: the name of the sheet.
        frame: `#row` and `0`, `1`, ... (text) for all columns, including hidden ones.
        parts: what it has besides values.
        others: names of the other visible sheets.
        rivals: the others that hold a candidate list, too.
        notes: sentences about the workbook for reports.
    """

    sheet: str
    frame: pl.DataFrame = field(repr=False)
    parts: Parts = field(repr=False)
    others: tuple[str, ...] = ()
    rivals: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def head(self) -> list[Record]:
        """Return the first rows, in which the header may be, without blank and hidden ones."""
        found = []
        for row, *cells in self.frame.filter(pl.col(ROW) <= HEADER_ROWS).iter_rows():
            shown = [
                "" if cell is None or place in self.parts.hidden_columns else cell
                for place, cell in enumerate(cells)
            ]
            if row not in self.parts.hidden_rows and any(map(str.strip, shown)):
                found.append(Record(row, shown))
        return found

    def below(self, header: Record) -> Cells:
        """Return the visible cells below the header."""
        frame = without_blanks(self.frame.filter(pl.col(ROW) > header.row))
        (cells,) = self.frame.filter(pl.col(ROW) == header.row).rows()
        names = [cell or "" for cell in cells[1:]]
        visible, hidden = drop_hidden(frame, names, self.parts)
        found = []
        if hidden.detail:
            found.append(
                problems.one(Code.ROWS_HIDDEN, detail=f"{hidden.detail} in sheet “{self.sheet}”")
            )
        if self.rivals:
            detail = f"sheet “{self.sheet}” was read, not {_quoted(self.rivals)}"
            found.append(problems.one(Code.SHEETS_NOT_READ, detail=detail))
        visible, filled = spread_merged(visible, self.parts.merged)
        return Cells(
            visible,
            problems.concat(found),
            ignored=tuple(filter(str.strip, hidden.headers)),
            notes=(*self.notes, filled) if filled else self.notes,
            links=self.parts.links,
            hidden=hidden.cells,
            hidden_headers=hidden.headers,
        )


def open_workbook(data: bytes, settings: Settings) -> Workbook:
    """Read the sheet that the settings name, or else the one that holds the candidates.

    That is the first visible sheet, unless exactly one other visible sheet holds a candidate list
    and the first does not.

    Args:
        data: XLSX, XLSM, XLSB, XLS or ODS, within the limit on unpacked size.
        settings: sheet, limits, and the user's headers.

    Raises:
        Refusal: it is damaged or locked, has no such sheet, or is over a limit.
    """
    if data.startswith(xls.MAGIC):
        old = xls.open_book(data)
        return _choose(xls.sheet_names(old), lambda place: xls.read(old, place, settings), settings)
    book = files.open_zip(data)
    if files.is_ods(book):
        sheets = ods.read_sheets(book, settings)
        names = [(sheet.name, sheet.visible) for sheet in sheets]
        return _choose(names, lambda place: sheets[place].read(), settings)
    parts = office_package.PartNames(book)
    if office_package.main_path(parts).lower().endswith(".bin"):
        binary = xlsb.open_book(parts)
        names = [(sheet.name, sheet.visible) for sheet in binary.sheets]
        return _choose(names, lambda place: xlsb.read(binary, place, settings), settings)
    package = office_package.open_package(book)
    xlsx.check_strings(package)
    names = [(sheet.name, sheet.visible) for sheet in package.sheets]
    return _choose(names, lambda place: _read_xlsx(package, place, data, settings), settings)


def _read_xlsx(
    package: office_package.Package, place: int, data: bytes, settings: Settings
) -> tuple[pl.DataFrame, Parts]:
    sheet = package.sheets[place]
    special = xlsx.check_sheet(package, sheet, settings)
    formats = xlsx.special_formats(package)
    parts = xlsx.read_parts(package, sheet, formats) if special or formats else Parts()
    if not package.usual:
        data = office_package.usual_package(package, sheet)
    return replace_shown(read_values(data, sheet.name), parts), parts


def _choose(
    sheets: Sequence[tuple[str, bool]],
    read: Callable[[int], tuple[pl.DataFrame, Parts]],
    settings: Settings,
) -> Workbook:
    """Choose and read a sheet, and note the others.

    Args:
        sheets: name of each sheet, and whether it is visible.
        read: reads the sheet at a position.
        settings: may name the sheet.
    """
    names = [name for name, _ in sheets]
    visible = [place for place, (_, is_visible) in enumerate(sheets) if is_visible]
    if settings.sheet is not None:
        if settings.sheet not in names:
            detail = f"it has no sheet “{settings.sheet}”; it has {_quoted(names)}"
            raise Refusal(Code.FILE_UNREADABLE, detail)
        return Workbook(settings.sheet, *read(names.index(settings.sheet)))
    if not visible:
        detail = f"all of its sheets are hidden ({_quoted(names)}); --sheet can still read one"
        raise Refusal(Code.FILE_UNREADABLE, detail)
    first = Workbook(names[visible[0]], *read(visible[0]))
    if len(visible) == 1:
        return first
    rest = [_readable(names[place], place, read) for place in visible[1:]]
    holders = [book for book in rest if book is not None and _holds_list(book, settings)]
    chosen = first
    if holders and not _holds_list(first, settings):
        if len(holders) > 1:
            lists = _quoted([book.sheet for book in holders])
            detail = f"none in sheet “{first.sheet}”; sheets {lists} hold lists, name one (--sheet)"
            raise Refusal(Code.HEADER_NOT_FOUND, detail)
        (chosen,) = holders
    others = tuple(names[place] for place in visible if names[place] != chosen.sheet)
    return replace(
        chosen,
        others=others,
        rivals=tuple(book.sheet for book in holders if book is not chosen),
        notes=(f"Sheet “{chosen.sheet}” was read, not {_quoted(others)} (choose with --sheet).",),
    )


def _readable(
    name: str, place: int, read: Callable[[int], tuple[pl.DataFrame, Parts]]
) -> Workbook | None:
    """Read a sheet other than the first; return None if it cannot be read."""
    try:
        return Workbook(name, *read(place))
    except Refusal:
        return None


def _holds_list(book: Workbook, settings: Settings) -> bool:
    """Whether a sheet has headers that include a phone or e-mail, and rows below them."""
    head = book.head()
    listed = [
        record
        for record in head
        if len(named := columns_named(record.cells, settings.columns)) > 1 and named & _CONTACTS
    ]
    return bool(listed) and book.frame[ROW][-1] > listed[0].row


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"“{name}”" for name in names)
