"""Read what fastexcel does not give of an XLSX: sheets, hidden cells, formats and links."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote
from xml.sax.saxutils import quoteattr

import polars as pl

from importer.loader.files import member_chunks, plain_path
from importer.loader.safe_xml import LONGEST_TEXT, parse, small
from importer.loader.sheet import (
    BYTES_OF_CELL,
    NOT_SAVED,
    Merged,
    Parts,
    Refusal,
    adds_digits,
    check_extent,
    column_letters,
    column_place,
    shown_number,
)
from schemas.codes import Code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from importer.settings import Settings

_ROOT_RELATIONS: Final = "_rels/.rels"
_WORKBOOK: Final = "xl/workbook.xml"
BINARY_WORKBOOK: Final = "xl/workbook.bin"
_STRINGS: Final = "xl/sharedStrings.xml"
_STYLES: Final = "xl/styles.xml"
_CELL: Final = re.compile(
    rb"<(?:\w+:)?c\s[^>]{0,200}?\br\s*=\s*[\"']([A-Z]{1,3})([0-9]{1,7})[\"'][^>]*+(?<!/)>"
)
_WORD: Final = r"(?-u:\b)"  # Rust's patterns are slow with \b for all letters
_ERROR: Final = rf"{_WORD}t\s*=\s*[\"']e[\"']"
_SPECIAL: Final = (
    rf"{_WORD}(?:hidden|zeroHeight)\s*=\s*[\"'](?:1|t|on)"
    rf"|<(?:\w+:)?(?:mergeCell|f|hyperlink){_WORD}|{_ERROR}|{_WORD}(?:ht|width)\s*=\s*[\"']0[\"']"
)
_ANY_ROW: Final = r"<(?:\w+:)?row[\s/>]"
_ANY_CELL: Final = r"<(?:\w+:)?c[\s/>]"
_ROW_NUMBER: Final = r"^(?:[^>]*\s)?r\s*=\s*[\"'][0-9]{1,7}[\"']"
_CELL_PLACE: Final = r"^(?:[^>]*\s)?r\s*=\s*[\"'][A-Z]{1,3}[0-9]{1,7}[\"']"
_MAYBE_HIDDEN: Final = rf"^[^>]*(?:hidden|{_WORD}ht\s*=\s*[\"'][^1-9\"']*[\"'])"
_FORMULA_ALONE: Final = r"<f[\s/>](?:[^<]|<[^/v]|</[^c]|<v[^>]*/>|<v[^>]*></v>)*</c>"
_LINK: Final = r"(?i:HYPERLINK\()"
_NUMBER_CELL: Final = (
    r"^r=\"([A-Z]{1,3})([0-9]{1,7})\" s=\"([0-9]{1,5})\"(?: t=\"n\")?><v>([0-9]{1,15})</v></c>"
)
_WHOLE_CELL: Final = r"^(?:[^<>]*/>|(?s:.*?)</c>)"
_REFERENCE: Final = re.compile(r"([A-Z]{1,3})([0-9]{1,7})")
_LINK_FORMULA: Final = re.compile(r'\s*(?:_xlfn\.)?HYPERLINK\(\s*"([^"]+)"', re.IGNORECASE)
_TRUE: Final = frozenset({"1", "true", "on"})


@dataclass(frozen=True, slots=True)
class SheetName:
    """A sheet of a workbook.

    Attributes:
        name: as shown on the tab.
        path: the path of its XML in the archive.
        visible: whether the tab is shown.
    """

    name: str
    path: str
    visible: bool


@dataclass(frozen=True, slots=True)
class Package:
    """The parts of a workbook, found by its relations and not by their names.

    Attributes:
        book: the archive.
        sheets: the worksheets, in the order of their tabs.
        strings: path of the shared strings; None if there are none.
        styles: path of the number formats; None if there are none.
        since_1904: whether days are counted from 1904.
        usual: fastexcel can read the workbook unchanged.
    """

    book: zipfile.ZipFile
    sheets: tuple[SheetName, ...]
    strings: str | None
    styles: str | None
    since_1904: bool
    usual: bool


def open_package(book: zipfile.ZipFile) -> Package:
    """Find the parts of a workbook.

    Raises:
        Refusal: the workbook is damaged.
    """
    names = PartNames(book)
    main = main_path(names)
    relations = relations_of(names, main)
    sheets: list[SheetName] = []
    dates: list[str] = []

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "workbookPr":
            dates.append(attributes.get("date1904", ""))
        elif name == "sheet":
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            kind, target = relations.get(key, ("", ""))
            if kind == "worksheet":
                visible = attributes.get("state", "visible") == "visible"
                sheets.append(
                    SheetName(attributes.get("name", ""), names.find(target) or target, visible)
                )

    parse(small(member_chunks(book, names.find(main) or main)), start)
    parts = dict(relations.values())
    since_1904 = bool(dates) and dates[0] in _TRUE
    strings = names.find(parts.get("sharedStrings", _STRINGS))
    styles = names.find(parts.get("styles", _STYLES))
    return Package(
        book,
        tuple(sheets),
        strings,
        styles,
        since_1904,
        usual=not names.odd
        and main == _WORKBOOK
        and strings in {None, _STRINGS}
        and styles in {None, _STYLES}
        and not (since_1904 and len(dates) > 1),  # calamine lets the last one decide
    )


class PartNames:
    """Finds members of an archive, ignoring case and the kind of slash.

    Attributes:
        book: the archive.
        odd: fastexcel would not find a member that was found here.
    """

    def __init__(self, book: zipfile.ZipFile) -> None:
        self.book = book
        self._names = {plain_path(name): name for name in book.namelist()}
        self.odd = any("\\" in name or name.startswith("/") for name in book.namelist())

    def find(self, path: str) -> str | None:
        """Find the member at a path, as it is called; None if there is none."""
        found = self._names.get(plain_path(path))
        self.odd = self.odd or (found is not None and found != path)
        return found


def main_path(names: PartNames) -> str:
    """Return the path of the part that lists the sheets: `.xml`, or `.bin` in an XLSB."""
    root = relations_of(names, "")
    main = next((target for kind, target in root.values() if kind == "officeDocument"), "")
    if main:
        return main
    only_binary = names.find(_WORKBOOK) is None and names.find(BINARY_WORKBOOK) is not None
    return BINARY_WORKBOOK if only_binary else _WORKBOOK


def relations_of(names: PartNames, part: str) -> dict[str, tuple[str, str]]:
    """Read the relations of a part: id -> kind and path of the target.

    Args:
        names: the names of the parts of the archive.
        part: the path of a part; empty for the archive as a whole.
    """
    at = PurePosixPath(part.replace("\\", "/"))
    folder = "" if str(at.parent) == "." else f"{at.parent}/"
    path = names.find(f"{folder}_rels/{at.name}.rels")
    found: dict[str, tuple[str, str]] = {}

    def start(name: str, attributes: dict[str, str]) -> None:
        if name == "Relationship":
            kind = attributes.get("Type", "").rpartition("/")[2]
            target = attributes.get("Target", "")
            if attributes.get("TargetMode") != "External":
                target = _resolved(folder, target)
            found[attributes.get("Id", str(len(found)))] = kind, target

    if path is not None:
        parse(small(member_chunks(names.book, path)), start)
    return found


def _resolved(folder: str, target: str) -> str:
    """Resolve a path that is relative to a folder."""
    target = target.replace("\\", "/")
    steps: list[str] = []
    for step in (target if target.startswith("/") else folder + target).split("/"):
        if step == "..":
            del steps[-1:]
        elif step not in {"", "."}:
            steps.append(step)
    return "/".join(steps)


def usual_package(package: Package, sheet: SheetName) -> bytes:
    """Rewrite the workbook with one sheet, and with its parts at the paths fastexcel expects."""
    types = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    parts = {"worksheet": ("xl/worksheets/sheet1.xml", sheet.path)}
    if package.strings is not None:
        parts["sharedStrings"] = (_STRINGS, package.strings)
    if package.styles is not None:
        parts["styles"] = (_STYLES, package.styles)
    relations = "".join(
        f'<Relationship Id="{kind}" Type="{types}/{kind}" Target="/{path}"/>'
        for kind, (path, _) in parts.items()
    )
    around = "http://schemas.openxmlformats.org/package/2006"
    texts = {
        "[Content_Types].xml": f'<Types xmlns="{around}/content-types"/>',
        _ROOT_RELATIONS: f'<Relationships xmlns="{around}/relationships"><Relationship Id="r"'
        f' Type="{types}/officeDocument" Target="{_WORKBOOK}"/></Relationships>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{around}/relationships">'
        f"{relations}</Relationships>",
        _WORKBOOK: '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
        f' xmlns:r="{types}"><workbookPr date1904="{int(package.since_1904)}"/><sheets>'
        f'<sheet name={quoteattr(sheet.name)} sheetId="1" r:id="worksheet"/></sheets></workbook>',
    }
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as after:
        for path, text in texts.items():
            after.writestr(path, text)
        for path, member in parts.values():
            with after.open(path, "w") as part:
                for chunk in member_chunks(package.book, member):
                    part.write(chunk)
    return file.getvalue()


def check_strings(package: Package) -> None:
    """Refuse shared strings that are too long, before they take memory.

    Raises:
        Refusal: one is too long.
    """
    if package.strings is not None:
        for _ in _whole_tags(member_chunks(package.book, package.strings)):
            pass


def check_sheet(package: Package, sheet: SheetName, settings: Settings) -> bool:
    """Unpack a sheet chunk by chunk, and refuse it if it exceeds a limit.

    Returns:
        Whether it has anything for `read_parts`, such as hidden rows, formulas or links.

    Raises:
        Refusal: it is over a limit, or damaged.
    """
    special, columns, is_certain = _look_over(package, sheet, settings, 0)
    if not is_certain:
        _look_over(package, sheet, settings, columns)
    return special


def _look_over(
    package: Package, sheet: SheetName, settings: Settings, columns: int
) -> tuple[bool, int, bool]:
    """Measure a sheet; only chunks with a cell beyond the known columns are read cell by cell.

    Returns:
        Whether it has parts, how many columns, and whether no chunk before the last columns were
        found can have had too many rows for them.
    """
    last = tags = most_passed = 0
    special = False
    most = _most_rows(columns, settings)
    beyond = _beyond(columns, most)
    for part in _whole_tags(member_chunks(package.book, sheet.path)):
        tags += part.count(b"<row") + part.count(b":row ")
        text = pl.Series([part.decode("utf-8", "replace")])  # Rust's patterns are ten times faster
        if text.str.contains(beyond).any():
            cells = _CELL.findall(part)
            letters = {letter for letter, _ in cells}
            columns = max(columns, 0, *(column_place(letter.decode()) + 1 for letter in letters))
            last = max(last, 0, *(int(row) for _, row in cells))
            most = _most_rows(columns, settings)
            beyond = _beyond(columns, most)
        else:
            most_passed = max(most_passed, most)
        check_extent(max(last, tags if not last else 0), columns, settings)
        special = special or text.str.contains(_SPECIAL).any()
    return special, columns, most_passed <= most


def _most_rows(columns: int, settings: Settings) -> int:
    """Return how many rows a sheet of this many columns may have."""
    room = settings.max_expanded_bytes // (max(columns, 1) * BYTES_OF_CELL)
    return min(settings.max_rows, room)


def _beyond(columns: int, rows: int) -> str:
    """Return the pattern of a cell that is not empty, outside of this many columns and rows."""
    far = f"{_after(column_letters(columns - 1), 'A', 'Z', 3)}[0-9]{{1,7}}" if columns else "[A-Z]"
    low = f"[A-Z]{{1,3}}{_after(str(rows), '0', '9', 7)}[\"']"
    return rf"{_WORD}r\s*=\s*[\"'](?:{far}|{low})(?:[^>]*[^/>])?>"


def _after(text: str, first: str, last: str, longest: int) -> str:
    """Return the pattern of texts that are longer, or as long and later in the order of signs."""
    anything = f"[{first}-{last}]"
    later = [
        f"{text[:place]}[{chr(ord(sign) + 1)}-{last}]{anything}{{{len(text) - place - 1}}}"
        for place, sign in enumerate(text)
        if sign < last
    ]
    if len(text) < longest:
        later.append(f"{anything}{{{len(text) + 1},{longest}}}")
    return f"(?:{'|'.join(later)})" if later else r"[^\s\S]"


def _whole_tags(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Cut chunks again, so that each ends with a tag."""
    rest = b""
    for chunk in chunks:
        end = chunk.rfind(b">") + 1
        if not end:
            rest += chunk
            if len(rest) > LONGEST_TEXT + len(chunk):
                detail = f"a cell has more than {LONGEST_TEXT:,} bytes"
                raise Refusal(Code.FILE_TOO_LARGE, detail)
            continue
        yield rest + chunk[:end]
        rest = chunk[end:]
    yield rest


def special_formats(package: Package) -> dict[int, tuple[int, str | None]]:
    """Return style -> number and code of its format, for formats that show more than a value."""
    if package.styles is None:
        return {}
    codes: dict[str, str] = {}
    styles: list[str] = []
    inside = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal inside
        if name == "numFmt":
            codes[attributes.get("numFmtId", "")] = attributes.get("formatCode", "")
        elif name == "cellXfs":
            inside = True
        elif name == "xf" and inside:
            styles.append(attributes.get("numFmtId", "0"))

    def end(name: str) -> None:
        nonlocal inside
        inside = inside and name != "cellXfs"

    parse(small(member_chunks(package.book, package.styles)), start, end)
    formats = {key: (int(key or 0), codes.get(key)) for key in styles}
    special = {key for key, known in formats.items() if adds_digits(*known)}
    return {style: formats[key] for style, key in enumerate(styles) if key in special}


def read_parts(
    package: Package, sheet: SheetName, formats: Mapping[int, tuple[int, str | None]]
) -> Parts:
    """Read hidden rows and columns, shown texts, merged cells and links of a sheet.

    Args:
        package: the workbook.
        sheet: one of its sheets.
        formats: the formats from `special_formats`.

    Raises:
        Refusal: the sheet is damaged.
    """
    walk = _Walk(
        link_targets(package.book, sheet.path),
        {
            style: partial(shown_number, number=number, code=code, since_1904=package.since_1904)
            for style, (number, code) in formats.items()
        },
    )
    chunks = _special_cells(member_chunks(package.book, sheet.path), walk)
    parse(chunks, walk.start, walk.end, walk.text)
    return walk.found


def _special_cells(chunks: Iterator[bytes], walk: _Walk) -> Iterator[bytes]:
    """Leave out the rows and cells of a sheet that have only a value, before it is parsed.

    The walk gets plain numbers with a special format at once.

    Comments, unnumbered cells and rows hidden by default are rare; all of their sheet is parsed.
    """
    numbers = "|".join(map(str, walk.formats))
    style = rf"{_WORD}s\s*=\s*[\"'](?:{numbers})[\"']" if numbers else r"[^\s\S]"
    usual = True
    for part in _whole_tags(chunks):
        usual = usual and b"<!" not in part and b"zeroHeight" not in part
        try:
            text = part.decode()
        except UnicodeDecodeError:
            usual = False
        yield _without_plain_cells(_without_plain_rows(text, style), style, walk) if usual else part


def _without_plain_rows(text: str, style: str) -> str:
    """Leave out the rows without anything special; the first and last may be cut, so they stay."""
    rows = pl.Series([text]).str.split("<row ").explode()
    numbered = rows[1:].str.contains(_ROW_NUMBER).sum()
    if numbered != pl.Series([text]).str.count_matches(_ANY_ROW)[0]:
        return text
    special = f"{_MAYBE_HIDDEN}|{_FORMULA_ALONE}|{_LINK}|{_ERROR}|{style}"
    ends = pl.Series([0, rows.len() - 1], dtype=pl.UInt32)
    return "<row ".join(rows.filter(rows.str.contains(special).scatter(ends, values=True)))


def _without_plain_cells(text: str, style: str, walk: _Walk) -> bytes:
    """Leave out the cells without anything special, and those that the walk can take at once."""
    cells = pl.Series([text]).str.split("<c ").explode()
    numbered = cells[1:].str.contains(_CELL_PLACE).sum()
    if numbered != pl.Series([text]).str.count_matches(_ANY_CELL)[0]:
        return text.encode()
    around = cells.str.replace(_WHOLE_CELL, "").scatter([0], cells.head(1))
    special = cells.str.contains(rf"^[^>]*(?:{_ERROR}|{style})|{_FORMULA_ALONE}|{_LINK}")
    special = special.scatter([cells.len() - 1, 0], [True, False])
    places = (special & cells.str.contains(_NUMBER_CELL)).arg_true()
    walk.take_numbers(cells.gather(places))
    special = special.scatter(places, values=False)
    return "".join(("<c " + cells).zip_with(special, around)).encode()


def link_targets(book: zipfile.ZipFile, sheet: str) -> dict[str, str]:
    """Return the addresses that cells of a sheet link to: id -> address."""
    relations = relations_of(PartNames(book), sheet).items()
    return {key: unquote(target) for key, (kind, target) in relations if kind == "hyperlink"}


class _Walk:
    """Collects the parts of a sheet while its XML is parsed."""

    def __init__(
        self, targets: Mapping[str, str], formats: Mapping[int, Callable[[float], str]]
    ) -> None:
        self.found = Parts()
        self._targets = targets
        self.formats = formats
        self._row = self._column = 0
        self._has_formula = self._is_error = self._is_text = False
        self._shown: Callable[[float], str] | None = None
        self._into: list[str] | None = None
        self._value: list[str] = []
        self._formula: list[str] = []
        self._zero_height = False

    def take_numbers(self, cells: pl.Series) -> None:
        """Take the cells that match `_NUMBER_CELL`."""
        found = cells.str.extract_groups(_NUMBER_CELL).struct.unnest()
        columns = {letters: column_place(letters) for letters in found["1"].unique()}
        for letters, row, style, digits in found.iter_rows():
            shown = self.formats[int(style)](float(digits))
            self.found.shown[int(row), columns[letters]] = shown

    def start(self, name: str, attributes: dict[str, str]) -> None:
        """Handle the start of an element."""
        if name == "c":
            self._start_cell(attributes)
        elif name == "f":
            self._has_formula = True
            self._into = self._formula
        elif name == "v":
            if self._is_error or self._has_formula or self._shown:
                self._into = self._value
        elif name == "row":
            self._row = int(attributes.get("r") or self._row + 1)
            self._column = 0
            if _is_hidden(attributes, "ht", default=self._zero_height):
                self.found.hidden_rows.add(self._row)
        elif name in _OF_SHEET:
            self._note(name, attributes)

    def _note(self, name: str, attributes: dict[str, str]) -> None:
        """Note an element outside of the rows: columns, merged cells, links."""
        if name == "col" and _is_hidden(attributes, "width", default=False):
            first, last = int(attributes["min"]), int(attributes["max"])
            self.found.hidden_columns.update(range(first - 1, min(last, 1 << 14)))
        elif name == "mergeCell":
            self._merge(attributes.get("ref", ""))
        elif name == "sheetFormatPr":
            self._zero_height = attributes.get("zeroHeight", "") in _TRUE
        elif name == "hyperlink":
            key = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            place = _REFERENCE.match(attributes.get("ref", ""))
            if place is not None and key in self._targets:
                at = int(place[2]), column_place(place[1])
                self.found.links[at] = self._targets[key]

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name in {"v", "f"}:
            self._into = None
        elif name == "c":
            self._end_cell((self._row, self._column - 1), "".join(self._value))

    def text(self, data: str) -> None:
        """Collect text."""
        if self._into is not None:
            self._into.append(data)

    def _start_cell(self, attributes: dict[str, str]) -> None:
        reference = _REFERENCE.fullmatch(attributes.get("r", ""))
        if reference is not None:
            self._column = column_place(reference[1]) + 1
        else:
            self._column += 1
        kind = attributes.get("t", "n")
        self._has_formula = False
        self._is_error = kind == "e"
        self._is_text = kind in {"str", "inlineStr", "s"}
        self._value, self._formula, self._into = [], [], None
        self._shown = None
        if kind == "n" and self.formats:
            self._shown = self.formats.get(int(attributes.get("s") or 0))

    def _end_cell(self, place: tuple[int, int], value: str) -> None:
        if self._is_error:
            self.found.shown[place] = value or "#ERROR!"
        elif self._has_formula and not value and not self._is_text:
            self.found.shown[place] = NOT_SAVED
        elif self._shown is not None and value:
            self.found.shown[place] = self._shown(float(value))
        if self._has_formula and (link := _LINK_FORMULA.match("".join(self._formula))):
            self.found.links[place] = unquote(link[1])

    def _merge(self, reference: str) -> None:
        ends = [_REFERENCE.fullmatch(corner) for corner in reference.split(":")]
        if len(ends) == 2 and ends[0] and ends[1]:  # noqa: PLR2004
            (left, top), (right, bottom) = ends[0].groups(), ends[1].groups()
            self.found.merged.append(
                Merged(int(top), column_place(left), int(bottom), column_place(right))
            )


_OF_SHEET: Final = frozenset({"col", "mergeCell", "sheetFormatPr", "hyperlink"})


def _is_hidden(attributes: dict[str, str], size: str, *, default: bool) -> bool:
    if "hidden" in attributes:
        return attributes["hidden"] in _TRUE
    return default or float(attributes.get(size, "1")) == 0
