"""The workbooks of the corpus: written by openpyxl, some saved again by LibreOffice; one XLSB."""

from __future__ import annotations

import datetime as dt
import io
import struct
import subprocess
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from openpyxl import Workbook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from openpyxl.worksheet.worksheet import Worksheet

HEADER: Final = ("Phone", "First name", "Last name", "Email")
ADA: Final = ("+44 20 7946 0018", "Ada", "Lovelace", "ada@example.com")
GRACE: Final = ("+1 202 555 0104", "Grace", "Hopper", "grace@example.com")
MARY: Final = ("+61 491 570 006", "Mary", "Somerville", "mary@example.com")


def plain(sheet: Any) -> None:
    """Write a tidy list, with a blank row in it."""
    for row in (HEADER, ADA, (), GRACE):
        sheet.append(row)


def hidden(sheet: Any) -> None:
    """Write a hidden row and a hidden column."""
    for row in (HEADER, ADA, GRACE, MARY):
        sheet.append(row)
    sheet.row_dimensions[3].hidden = True
    sheet.column_dimensions["D"].hidden = True


def sheets(sheet: Any) -> None:
    """Write a hidden sheet first, then two that are shown."""
    sheet.title = "Old"
    sheet.sheet_state = "hidden"
    sheet.append(("Phone", "secret"))
    for name, person in (("March", ADA), ("April", GRACE)):
        other = sheet.parent.create_sheet(name)
        other.append(HEADER)
        other.append(person)


def numbers(sheet: Any) -> None:
    """Write phones as numbers, some with a format that shows what is not in them."""
    sheet.append(("Phone", "First name", "Score"))
    sheet.append((442079460018, "Ada", 1.5))
    sheet.append((442079460018.0, "Grace", 0.1 + 0.2))
    sheet.append((2079460018, "Mary", 1e-5))
    sheet.append((2079460019, "Ann", -3.0))
    sheet.append(("02079460018", "Joan", 10_000_000_000_000))
    sheet["A5"].number_format = "00000000000"
    sheet["A2"].number_format = "0.00E+00"


def dates(sheet: Any) -> None:
    """Write dates, moments, times and booleans."""
    sheet.append((*HEADER[:2], "Start", "Moment", "Time", "Remote"))
    moment = dt.datetime(2026, 3, 1, 9, 30)  # noqa: DTZ001 (workbooks know no zones)
    sheet.append((*ADA[:2], moment.date(), moment, moment.time(), True))
    sheet.append((*GRACE[:2], "1 March", None, None, False))


def formulas(sheet: Any) -> None:
    """Write formulas, one of them with an error."""
    sheet.append((*HEADER[:2], "Twice", "Share"))
    sheet.append((*ADA[:2], '=B2&" "&B2', "=1/0"))
    sheet.append((*GRACE[:2], '=""', "=1/4"))


def merged(sheet: Any) -> None:
    """Write a campaign merged over three rows, and a title merged over the columns."""
    sheet.append(("Candidates of this week",))
    sheet.merge_cells("A1:C1")
    sheet.append(("Phone", "First name", "Campaign"))
    for person in (ADA, GRACE, MARY):
        sheet.append((*person[:2], None))
    sheet["C3"] = "camp-42"
    sheet.merge_cells("C3:C5")


def offset(sheet: Any) -> None:
    """Write a list that begins somewhere in the middle."""
    for place, row in enumerate((HEADER, ADA, GRACE), start=4):
        for column, value in enumerate(row, start=3):
            sheet.cell(place, column, value)
    sheet["C8"] = "Total"
    sheet["D8"] = 2


def texts(sheet: Any) -> None:
    """Write line breaks, spaces, quotation marks and text that looks like something else."""
    sheet.append((*HEADER[:2], "Note"))
    sheet.append((*ADA[:2], "two\nlines"))
    sheet.append((*GRACE[:2], '  "quoted", and more  '))
    sheet.append(("'+61 491 570 006", "Mary", "007"))


def blank(sheet: Any) -> None:
    """Write nothing at all."""


def far(sheet: Any) -> None:
    """Write a stray value in the last corner of the sheet."""
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
    """Write every workbook; let LibreOffice (`soffice`) save some of them again."""
    (folder / "every-kind.xlsb").write_bytes(every_kind())
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


_PARTS: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE: Final = "http://schemas.openxmlformats.org/package/2006"


def record(kind: int, content: bytes = b"") -> bytes:
    """Return a record of an XLSB: number of its kind, length, content."""
    head = bytes([kind]) if kind < 0x80 else bytes([kind & 0x7F | 0x80, kind >> 7])
    size = len(content)
    while size > 0x7F:
        head += bytes([size & 0x7F | 0x80])
        size >>= 7
    return head + bytes([size]) + content


def wide(text: str) -> bytes:
    """Return a text in a record."""
    return struct.pack("<I", len(text.encode("utf-16-le")) // 2) + text.encode("utf-16-le")


def row(number: int, *cells: bytes, hidden: bool = False) -> bytes:
    """Return a row, counted from 1, and its cells."""
    head = struct.pack("<IIHBBBI", number - 1, 0, 300, 0, 0x10 * hidden, 0, 0)
    return record(0, head) + b"".join(cells)


def cell(kind: int, column: int, value: bytes, style: int = 0) -> bytes:
    """Return a cell of any kind."""
    return record(kind, struct.pack("<II", column, style) + value)


def shared(column: int, place: int) -> bytes:
    """Return a cell with a shared text."""
    return cell(7, column, struct.pack("<I", place))


def inline(column: int, text: str) -> bytes:
    """Return a cell with a text of its own."""
    return cell(6, column, wide(text))


def whole(column: int, value: int, style: int = 0, *, hundredths: bool = False) -> bytes:
    """Return a cell with a whole number in four bytes, or with its hundredth part."""
    return cell(2, column, struct.pack("<I", (value << 2 | 2 | hundredths) & 0xFFFFFFFF), style)


def real(column: int, value: float, style: int = 0) -> bytes:
    """Return a cell with a number."""
    return cell(5, column, struct.pack("<d", value), style)


def hidden_columns(first: int, last: int) -> bytes:
    """Return columns that are not shown."""
    return record(60, struct.pack("<4IH", first, last, 2304, 0, 1))


def merged_cells(top: int, left: int, bottom: int, right: int) -> bytes:
    """Return a block of cells; rows count from 1, columns from 0."""
    return record(176, struct.pack("<4I", top - 1, bottom - 1, left, right))


def hyperlink(at_row: int, column: int, key: str) -> bytes:
    """Return a link behind a cell."""
    place = struct.pack("<4I", at_row - 1, at_row - 1, column, column)
    return record(494, place + wide(key) + wide("") * 3)


@dataclass(frozen=True)
class BinarySheet:
    """A sheet of an XLSB.

    Attributes:
        name: on its tab.
        rows: their records.
        columns: records before the rows.
        after: records after the rows.
        state: 0 is shown, 1 hidden, 2 hidden well.
        links: id -> address.
    """

    name: str
    rows: bytes
    columns: bytes = b""
    after: bytes = b""
    state: int = 0
    links: Mapping[str, str] = field(default_factory=dict)

    def data(self) -> bytes:
        """Return the part of the sheet."""
        middle = record(145) + self.rows + record(146)
        size = record(148, struct.pack("<4I", 0, 9, 0, 9))
        return record(129) + size + self.columns + middle + self.after + record(130)


def _relations(targets: Iterable[tuple[str, str, str]]) -> str:
    """Return the relations of a part: id, kind, target."""
    found = "".join(
        f'<Relationship Id="{key}" Type="{_PARTS}/{kind}" Target="{target}"'
        + (' TargetMode="External"/>' if kind == "hyperlink" else "/>")
        for key, kind, target in targets
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{found}</Relationships>'


def binary_workbook(
    sheets: Sequence[BinarySheet],
    texts: Sequence[str] = (),
    codes: Sequence[str] = (),
    *,
    since_1904: bool = False,
) -> bytes:
    """Return an XLSB as Excel writes it, as far as anybody reads it.

    Args:
        sheets: in the order of their tabs.
        texts: the shared ones.
        codes: formats of the styles from 1 on; style 0 has none.
        since_1904: days are counted from 1904.
    """
    tabs = b"".join(
        record(156, struct.pack("<II", sheet.state, n) + wide(f"rId{n}") + wide(sheet.name))
        for n, sheet in enumerate(sheets, 1)
    )
    properties = record(153, struct.pack("<II", int(since_1904), 0) + wide(""))
    numbers = range(164, 164 + len(codes))
    formats = b"".join(
        record(44, struct.pack("<H", number) + wide(code))
        for number, code in zip(numbers, codes, strict=True)
    )
    styles = b"".join(record(47, struct.pack("<HH12x", 0, number)) for number in (0, *numbers))
    named = record(626) + record(47, struct.pack("<HH12x", 0xFFFF, 14)) + record(627)
    parts: dict[str, bytes | str] = {
        "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types"/>',
        "_rels/.rels": _relations([("rId1", "officeDocument", "xl/workbook.bin")]),
        "xl/_rels/workbook.bin.rels": _relations(
            [
                *(
                    (f"rId{n}", "worksheet", f"worksheets/sheet{n}.bin")
                    for n in range(1, len(sheets) + 1)
                ),
                ("texts", "sharedStrings", "sharedStrings.bin"),
                ("styles", "styles", "styles.bin"),
            ]
        ),
        "xl/workbook.bin": record(131)
        + properties
        + record(143)
        + tabs
        + record(144)
        + record(132),
        "xl/sharedStrings.bin": record(159, struct.pack("<II", len(texts), len(texts)))
        + b"".join(record(19, b"\0" + wide(text)) for text in texts)
        + record(160),
        "xl/styles.bin": record(278)
        + record(615, struct.pack("<I", len(codes)))
        + formats
        + record(616)
        + named
        + record(617, struct.pack("<I", len(codes) + 1))
        + styles
        + record(618)
        + record(279),
    }
    for n, sheet in enumerate(sheets, 1):
        parts[f"xl/worksheets/sheet{n}.bin"] = sheet.data()
        if sheet.links:
            links = [(key, "hyperlink", target) for key, target in sheet.links.items()]
            parts[f"xl/worksheets/_rels/sheet{n}.bin.rels"] = _relations(links)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in parts.items():
            archive.writestr(zipfile.ZipInfo(path), content, zipfile.ZIP_DEFLATED)
    return file.getvalue()


SHARED: Final = (
    "Phone",
    "First name",
    "Last name",
    "Email",
    "Start",
    "Remote",
    "Share",
    "Campaign",
)


def every_kind() -> bytes:
    """Return all kinds of cells, a hidden sheet, row and column, formats, merged cells, a link."""
    header = (*map(shared, range(8), range(8)), inline(8, "Secret"))
    people = (
        row(1, *header),
        row(
            2,
            real(0, 2025550104, style=1),
            inline(1, "Ada"),
            cell(62, 2, b"\0" + wide("Lovelace")),
            cell(8, 3, wide("ada@example.com") + bytes(6)),
            whole(4, 46082, style=3),
            cell(4, 5, b"\1"),
            cell(3, 6, b"\x07"),
            inline(7, "camp-42"),
            inline(8, "hidden"),
        ),
        row(3, inline(0, MARY[0]), inline(1, MARY[1]), inline(2, MARY[2]), hidden=True),
        row(
            4,
            real(0, 2079460018, style=2),
            inline(1, "Grace"),
            inline(2, "Hopper"),
            inline(3, "write to Grace"),
            real(4, 46082.5, style=3),
            cell(10, 5, b"\0" + bytes(6)),
            cell(9, 6, struct.pack("<d", 0.25) + bytes(6)),
            cell(1, 7, b""),
        ),
        row(
            6,
            inline(0, "+61 491 570 006"),
            inline(1, "Joan"),
            inline(2, "Clarke"),
            whole(6, 1250, hundredths=True),
            cell(11, 7, b"\x2a" + bytes(6)),
        ),
    )
    march = BinarySheet(
        "March",
        b"".join(people),
        columns=record(390) + hidden_columns(8, 8) + record(391),
        after=record(177, struct.pack("<I", 1))
        + merged_cells(2, 7, 4, 7)
        + record(178)
        + hyperlink(4, 3, "rId1"),
        links={"rId1": "mailto:grace@example.com"},
    )
    april = BinarySheet("April", row(1, shared(0, 0), shared(1, 1)) + row(2, inline(1, "Bob")))
    old = BinarySheet("Old", row(1, shared(0, 0)), state=1)
    codes = ('"+1 "0', "00000000000", "yyyy\\-mm\\-dd")
    return binary_workbook((old, march, april), SHARED, codes)
