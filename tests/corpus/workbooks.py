"""The workbooks of the corpus: written by openpyxl, some saved again by LibreOffice."""

from __future__ import annotations

import datetime as dt
import subprocess
from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from openpyxl.worksheet.worksheet import Worksheet

HEADER: Final = ("Phone", "First name", "Last name", "Email")
ADA: Final = ("+44 20 7946 0018", "Ada", "Lovelace", "ada@example.com")
GRACE: Final = ("+1 202 555 0104", "Grace", "Hopper", "grace@example.com")
MARY: Final = ("+61 491 570 006", "Mary", "Somerville", "mary@example.com")


def plain(sheet: Any) -> None:
    """A tidy list, with a blank row in it."""
    for row in (HEADER, ADA, (), GRACE):
        sheet.append(row)


def hidden(sheet: Any) -> None:
    """A hidden row and a hidden column."""
    for row in (HEADER, ADA, GRACE, MARY):
        sheet.append(row)
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["D"].hidden = True


def sheets(sheet: Any) -> None:
    """A hidden sheet first, then two that are shown."""
    sheet.title = "Old"
    sheet.sheet_state = "hidden"
    sheet.append(("Phone", "secret"))
    for name, person in (("March", ADA), ("April", GRACE)):
        other = sheet.parent.create_sheet(name)
        other.append(HEADER)
        other.append(person)


def numbers(sheet: Any) -> None:
    """Phones kept as numbers, some with a format that shows what is not in them."""
    sheet.append(("Phone", "First name", "Score"))
    sheet.append((442079460018, "Ada", 1.5))
    sheet.append((442079460018.0, "Grace", 0.1 + 0.2))
    sheet.append((2079460018, "Mary", 1e-5))
    sheet.append((2079460019, "Ann", -3.0))
    sheet.append(("02079460018", "Joan", 10_000_000_000_000))
    sheet["A5"].number_format = "00000000000"
    sheet["A2"].number_format = "0.00E+00"


def dates(sheet: Any) -> None:
    """Dates, moments, times and booleans."""
    sheet.append((*HEADER[:2], "Start", "Moment", "Time", "Remote"))
    moment = dt.datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001 (workbooks know no zones)
    sheet.append((*ADA[:2], moment.date(), moment, moment.time(), True))
    sheet.append((*GRACE[:2], "1 March", None, None, False))


def formulas(sheet: Any) -> None:
    """Formulas, one of them with an error."""
    sheet.append((*HEADER[:2], "Twice", "Share"))
    sheet.append((*ADA[:2], '=B2&" "&B2', "=1/0"))
    sheet.append((*GRACE[:2], '=""', "=1/4"))


def merged(sheet: Any) -> None:
    """A campaign merged over three rows, and a title merged over the columns."""
    sheet.append(("Candidates of this week",))
    sheet.merge_cells("A1:C1")
    sheet.append(("Phone", "First name", "Campaign"))
    for person in (ADA, GRACE, MARY):
        sheet.append((*person[:2], None))
    sheet["C3"] = "camp-42"
    sheet.merge_cells("C3:C5")


def offset(sheet: Any) -> None:
    """A list that begins somewhere in the middle."""
    for place, row in enumerate((HEADER, ADA, GRACE), start=4):
        for column, value in enumerate(row, start=3):
            sheet.cell(place, column, value)
    sheet["C8"] = "Total"
    sheet["D8"] = 2


def texts(sheet: Any) -> None:
    """Line breaks, spaces, quotation marks and text that looks like something else."""
    sheet.append((*HEADER[:2], "Note"))
    sheet.append((*ADA[:2], "two\nlines"))
    sheet.append((*GRACE[:2], '  "quoted", and more  '))
    sheet.append(("'+61 491 570 006", "Mary", "007"))


def blank(sheet: Any) -> None:
    """Nothing at all."""


def far(sheet: Any) -> None:
    """A stray value in the last corner of the sheet."""
    sheet.append(HEADER)
    sheet.append(ADA)
    sheet["XFD1048576"] = "x"


BOOKS: Final[dict[str, Callable[[Any], None]]] = {
    "plain": plain,
    "hidden": hidden,
    "sheets": sheets,
    "numbers": numbers,
    "dates": dates,
    "formulas": formulas,
    "merged": merged,
    "offset": offset,
    "texts": texts,
    "blank": blank,
    "far-corner": far,
}
SAVED_AGAIN: Final = {
    "plain": ("xls", "ods"),
    "hidden": ("xls", "ods", "xlsx"),
    "sheets": ("xls", "ods"),
    "numbers": ("xls", "ods", "xlsx"),
    "dates": ("xls", "ods"),
    "formulas": ("xls", "ods", "xlsx"),
    "merged": ("xls", "ods"),
    "offset": ("xls", "ods", "csv"),
    "texts": ("xls", "ods", "csv"),
}


def write(folder: Path) -> None:
    """Writes every workbook; LibreOffice (`soffice`) saves some of them again."""
    made = folder / "made"
    made.mkdir()
    for name, fill in BOOKS.items():
        book = Workbook()
        sheet: Worksheet = book.active
        fill(sheet)
        book.save(folder / f"{name}-openpyxl.xlsx")
        for kind in SAVED_AGAIN.get(name, ()):
            source = made / f"{name}-libreoffice.xlsx"
            source.write_bytes((folder / f"{name}-openpyxl.xlsx").read_bytes())
            out = made / kind
            subprocess.run(
                ["soffice", "--headless", "--convert-to", kind, "--outdir", out, source],
                check=True,
                capture_output=True,
            )
            (out / f"{name}-libreoffice.{kind}").rename(folder / f"{name}-libreoffice.{kind}")
    for path in sorted(made.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    made.rmdir()
