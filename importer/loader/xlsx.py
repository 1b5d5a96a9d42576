"""What is in an XLSX beside values, read from its XML: sheets, hidden parts, errors, merges."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from importer.loader.files import member_chunks
from importer.loader.safe_xml import parse
from importer.loader.sheet import NOT_SAVED, Merged, Parts, Refusal, column_place, zeros
from schemas.codes import Code

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

_WORKBOOK: Final = "xl/workbook.xml"
_CELL: Final = re.compile(
    rb"<(?:\w+:)?c\s[^>]{0,200}?\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"'][^>]*+(?<!/)>"
)
_SPECIAL: Final = re.compile(
    rb"\b(?:hidden|zeroHeight)\s*=\s*[\"'](?:1|t|on)|<(?:\w+:)?(?:mergeCell|f)\b"
    rb"|\bt\s*=\s*[\"']e[\"']"
    rb"|\b(?:ht|width)\s*=\s*[\"']0[\"']"
)
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_LONGEST_TAG: Final = 1 << 24
_TRUE: Final = frozenset({"1", "true", "on"})


@dataclass(frozen=True, slots=True)
class SheetName:
    """A sheet of a workbook.

    Attributes:
        name: as the tab says.
        path: of its XML in the archive.
        visible: the spreadsheet program shows its tab.
    """

    name: str
    path: str
    visible: bool


def sheet_names(book: zipfile.ZipFile) -> list[SheetName]:
    """The worksheets of a workbook, in the order of their tabs.

    Raises:
        Refusal: the workbook is damaged.
    """
    targets: dict[str, str] = {}
    found: list[tuple[str, str, bool]] = []

    def relation(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship" and attributes.get("Type", "").endswith("/worksheet"):
            targets[attributes.get("Id", "")] = attributes.get("Target", "")

    def sheet(name: str, attributes: dict[str, str]) -> None:
        if name == "sheet":
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            visible = attributes.get("state", "visible") == "visible"
            found.append((attributes.get("name", ""), key, visible))

    parse(member_chunks(book, "xl/_rels/workbook.xml.rels"), relation)
    parse(member_chunks(book, _WORKBOOK), sheet)
    return [
        SheetName(name, _path(targets[key]), visible)
        for name, key, visible in found
        if key in targets
    ]


def _path(target: str) -> str:
    return target[1:] if target.startswith("/") else str(PurePosixPath("xl") / target)


def extent(book: zipfile.ZipFile, path: str) -> tuple[int, int, bool]:
    """How many rows and columns a sheet spans, and whether anything in it is special.

    Special is whatever `parts` looks for; a plain sheet need not be walked through for it.
    """
    rows = columns = 0
    special = False
    for part in _whole_tags(member_chunks(book, path)):
        cells = _CELL.findall(part)
        if cells:
            letters = {letter for letter, _ in cells}
            columns = max(columns, *(column_place(letter.decode()) + 1 for letter in letters))
            rows = max(rows, *(int(row) for _, row in cells))
        special = special or _SPECIAL.search(part) is not None
    return rows, columns, special


def _whole_tags(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, parted after the end of a tag."""
    rest = b""
    for chunk in chunks:
        end = chunk.rfind(b">") + 1
        if not end:
            rest += chunk
            if len(rest) > _LONGEST_TAG:
                raise Refusal(Code.FILE_UNREADABLE, "a part of the workbook is damaged")
            continue
        yield rest + chunk[:end]
        rest = chunk[end:]
    yield rest


def padded_styles(book: zipfile.ZipFile) -> dict[int, int]:
    """Style -> digits, for styles that show a number with leading zeros (`00000000000`)."""
    if "xl/styles.xml" not in book.namelist():
        return {}
    formats: dict[str, int] = {}
    styles: list[int] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        if name == "numFmt":
            formats[attributes.get("numFmtId", "")] = zeros(attributes.get("formatCode", ""))
        elif name == "cellXfs":
            inside = True
        elif name == "xf" and inside:
            styles.append(formats.get(attributes.get("numFmtId", ""), 0))

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != "cellXfs"

    parse(member_chunks(book, "xl/styles.xml"), start, end)
    return {style: digits for style, digits in enumerate(styles) if digits}


def parts(book: zipfile.ZipFile, path: str, padded: dict[int, int]) -> Parts:
    """Walks through a sheet for what its values do not tell.

    Args:
        book: the workbook.
        path: of the sheet's XML in it.
        padded: from `padded_styles`.

    Raises:
        Refusal: the sheet is damaged.
    """
    walk = _Walk(padded)
    parse(member_chunks(book, path), walk.start, walk.end, walk.text)
    return walk.found


class _Walk:
    """What is known while the elements of a sheet pass by."""

    def __init__(self, padded: dict[int, int]) -> None:
        self.found = Parts()
        self._padded = padded
        self._row = self._column = 0
        self._formula = self._error = self._text = self._reading = False
        self._value = ""
        self._zero_height = False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        if name == "c":
            self._cell(attributes)
        elif name == "f":
            self._formula = True
        elif name == "v":
            self._reading = self._error or self._formula
        elif name == "row":
            self._row = int(attributes.get("r") or self._row + 1)
            self._column = 0
            if _is_hidden(attributes, "ht", default=self._zero_height):
                self.found.hidden_rows.add(self._row)
        elif name == "col" and _is_hidden(attributes, "width", default=False):
            first, last = int(attributes["min"]), int(attributes["max"])
            self.found.hidden_columns.update(range(first - 1, min(last, 1 << 14)))
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "sheetFormatPr":
            self._zero_height = attributes.get("zeroHeight", "") in _TRUE

    def end(self, name: str) -> None:
        """An element ends."""
        if name == "v":
            self._reading = False
        elif name == "c":
            place = (self._row, self._column - 1)
            if self._error:
                self.found.errors[place] = self._value or "#ERROR!"
            elif self._formula and not self._value and not self._text:
                self.found.errors[place] = NOT_SAVED

    def text(self, data: str) -> None:
        """Text passes by."""
        if self._reading:
            self._value += data

    def _cell(self, attributes: dict[str, str]) -> None:
        reference = _REFERENCE.fullmatch(attributes.get("r", ""))
        if reference is not None:
            self._column = column_place(reference.group(1)) + 1
        else:
            self._column += 1
        self._formula = self._reading = False
        self._error = attributes.get("t") == "e"
        self._text = attributes.get("t") in {"str", "inlineStr", "s"}
        self._value = ""
        digits = self._padded.get(int(attributes.get("s") or 0), 0)
        if digits and attributes.get("t", "n") == "n":
            self.found.padded[self._row, self._column - 1] = digits

    def _merge(self, reference: str) -> None:
        ends = [_REFERENCE.fullmatch(corner) for corner in reference.split(":")]
        if len(ends) == 2 and ends[0] and ends[1]:  # noqa: PLR2004
            (left, top), (right, bottom) = ends[0].groups(), ends[1].groups()
            self.found.merged.append(
                Merged(int(top), column_place(left), int(bottom), column_place(right))
            )


def _is_hidden(attributes: dict[str, str], size: str, *, default: bool) -> bool:
    if "hidden" in attributes:
        return attributes["hidden"] in _TRUE
    return default or float(attributes.get(size, "1")) == 0
