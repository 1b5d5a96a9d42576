"""Workbooks cell by cell beside other readers: `make compare FOLDER=path`.

Every workbook below the folder is read by the importer and by `xlrd`, `openpyxl` and
`python-calamine`. Each reading is a process of its own with a time limit, so that a reader may
crash or hang. A difference is no fault by itself: the importer reads what a cell shows, and the
others what it stores, such as `00042` and `42`.
"""

# ruff: noqa: PLC0415 - each process imports only its reader, which others may not have

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

_LIMIT_S: Final = 60
_DIGITS: Final = 15
_EXAMPLES: Final = 3
_SUFFIXES: Final = frozenset({".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"})
_ROOT: Final = Path(__file__).parents[3]

Sheets = dict[str, dict[str, str]]
"""Sheet -> cell (`row:column`, from 1) -> text; empty cells are not there."""


def text_of(value: object) -> str:
    """Return a cell as text: numbers without `.0`, moments as ISO writes them, no midnight."""
    if isinstance(value, float):
        return f"{Decimal(f'{value:.{_DIGITS}g}'):f}"
    if isinstance(value, datetime):
        moment = value.replace(microsecond=0)
        value = moment.date() if moment.time() == time() else moment
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    if isinstance(value, (date, time)):
        return value.isoformat()
    text = "" if value is None else str(value)
    return text.lower() if isinstance(value, bool) else text


def _cells(rows: Sequence[Sequence[object]]) -> dict[str, str]:
    return {
        f"{row}:{column}": text
        for row, values in enumerate(rows, 1)
        for column, value in enumerate(values, 1)
        if (text := text_of(value)).strip()
    }


def _by_importer(path: Path) -> Sheets:
    from importer.loader import ods, office_package, xls, xlsb
    from importer.loader.files import is_ods as has_ods
    from importer.loader.files import open_zip, unpack
    from importer.loader.sheet import Refusal
    from importer.loader.workbook import open_workbook
    from importer.settings import Settings

    settings = Settings()
    data = unpack(path.read_bytes(), settings)
    if data.startswith(xls.MAGIC):
        names = [name for name, _ in xls.sheet_names(xls.open_book(data))]
    elif has_ods(book := open_zip(data)):
        names = [sheet.name for sheet in ods.read_sheets(book, settings)]
    elif office_package.main_path(parts := office_package.PartNames(book)).endswith(".bin"):
        names = [sheet.name for sheet in xlsb.open_book(parts).sheets]
    else:
        names = [sheet.name for sheet in office_package.open_package(book).sheets]
    found: Sheets = {}
    for name in names:
        try:
            frame = open_workbook(data, settings.model_copy(update={"sheet": name})).frame
        except Refusal as refusal:
            found[name] = {"refused": refusal.detail}
            continue
        found[name] = {
            f"{row}:{int(column) + 1}": cell
            for column in frame.columns[1:]
            for row, cell in zip(frame["#row"], frame[column], strict=True)
            if cell is not None and cell.strip()
        }
    return found


def _by_openpyxl(path: Path) -> Sheets:
    import openpyxl

    book = openpyxl.load_workbook(path, data_only=True)
    return {sheet.title: _cells(list(sheet.values)) for sheet in book.worksheets}


def _by_xlrd(path: Path) -> Sheets:
    import xlrd

    book = xlrd.open_workbook(path)

    def value(cell: xlrd.sheet.Cell) -> object:
        if cell.ctype == xlrd.XL_CELL_ERROR:
            return xlrd.error_text_from_code.get(cell.value, "#ERROR!")
        if cell.ctype == xlrd.XL_CELL_BOOLEAN:
            return bool(cell.value)
        if cell.ctype != xlrd.XL_CELL_DATE:
            return cell.value
        moment = xlrd.xldate_as_datetime(cell.value, book.datemode)
        return moment.time() if cell.value < 1 else moment

    return {
        sheet.name: _cells([list(map(value, sheet.row(row))) for row in range(sheet.nrows)])
        for sheet in book.sheets()
    }


def _by_calamine(path: Path) -> Sheets:
    import python_calamine

    book = python_calamine.CalamineWorkbook.from_path(str(path))
    return {
        name: _cells(book.get_sheet_by_name(name).to_python(skip_empty_area=False))
        for name in book.sheet_names
    }


_READERS: Final[dict[str, tuple[Callable[[Path], Sheets], frozenset[str]]]] = {
    "importer": (_by_importer, _SUFFIXES),
    "openpyxl": (_by_openpyxl, frozenset({".xlsx", ".xlsm"})),
    "xlrd": (_by_xlrd, frozenset({".xls"})),
    "calamine": (_by_calamine, _SUFFIXES),
}


def read_apart(reader: str, path: Path, python: str, limit_s: float = _LIMIT_S) -> Sheets | str:
    """Read a workbook in a process of its own.

    Args:
        reader: one of `_READERS`.
        path: of the workbook.
        python: interpreter that has the reader.
        limit_s: seconds until the process is ended.

    Returns:
        The cells, or a sentence that says why there are none.
    """
    command = [python, "-m", "tests.support.bench.compare", "--read", reader, str(path.absolute())]
    try:
        done = subprocess.run(
            command, cwd=_ROOT, capture_output=True, text=True, timeout=limit_s, check=False
        )
    except subprocess.TimeoutExpired:
        return f"no end after {limit_s:g} s"
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return lines[-1][:100]
    found: Sheets = json.loads(done.stdout)
    return found


def differences(ours: Sheets, theirs: Sheets) -> Iterator[tuple[str, str, str]]:
    """Yield each cell that differs: `sheet row:column`, our text, their text."""
    for sheet in dict.fromkeys([*ours, *theirs]):
        mine, other = ours.get(sheet, {}), theirs.get(sheet, {})
        for cell in dict.fromkeys([*mine, *other]):
            one, two = mine.get(cell, ""), other.get(cell, "")
            if one.split() != two.split():
                yield f"{sheet} {cell}", one, two


def _compare(path: Path, pythons: dict[str, str]) -> Iterator[str]:
    """Yield the lines of the table about one workbook."""
    suffix = path.suffix.lower()
    ours = read_apart("importer", path, pythons["importer"])
    for reader, (_, suffixes) in _READERS.items():
        if reader == "importer" or suffix not in suffixes:
            continue
        theirs = read_apart(reader, path, pythons[reader])
        if isinstance(ours, str) or isinstance(theirs, str):
            same = isinstance(ours, str) and isinstance(theirs, str)
            result = "neither reads it" if same else f"importer: {_short(ours)}; {_short(theirs)}"
            yield f"{path.name:40} {reader:10} {result}"
            continue
        found = list(differences(ours, theirs))
        yield f"{path.name:40} {reader:10} {len(found) or 'no'} differences"
        yield from (f"    {at}: {one!r} | {two!r}" for at, one, two in found[:_EXAMPLES])


def _short(found: Sheets | str) -> str:
    if isinstance(found, str):
        return found
    refused = [cells["refused"] for cells in found.values() if "refused" in cells]
    return refused[0] if refused else f"{sum(map(len, found.values()))} cells"


def main(arguments: Sequence[str]) -> int:
    """Compare all workbooks below a folder, or be one of the processes that read."""
    if arguments[:1] == ["--read"]:
        _, reader, path = arguments
        json.dump(_READERS[reader][0](Path(path)), sys.stdout)
        return 0
    folder, *others = arguments or [""]
    if not Path(folder).is_dir() or not folder:
        sys.stderr.write("Give a folder: make compare FOLDER=path\n")
        return 2
    pythons = dict.fromkeys(_READERS, sys.executable) | {
        "calamine": (others or [sys.executable])[0]
    }
    paths = sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in _SUFFIXES)
    counts: Counter[str] = Counter()
    for book in paths:
        for line in _compare(book, pythons):
            sys.stdout.write(f"{line}\n")
            counts["same" if line.endswith("no differences") else "other"] += line[0] != " "
    sys.stdout.write(
        f"{len(paths)} workbooks; {counts['same']} readings alike, {counts['other']} not\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
